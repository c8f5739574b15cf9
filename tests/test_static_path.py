"""The static path imports no torch, and this test can fail."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "torchinfo", "fvcore", "ptflops", "thop", "psutil")
STATIC = (
    "import gnet_inspect",
    "from gnet_inspect import build_graph, load_spec, summarize; summarize(build_graph(load_spec('googlenet')))",
    "import gnet_inspect.views.tables.summary, gnet_inspect.analysis.audit, gnet_inspect.language.schema",
    "from gnet_inspect.cli.app import make_app; make_app([])",
)
COMMANDS = (
    ["summary", "googlenet", "--depth", "layer"],
    ["flops", "googlenet"],
    ["explain", "googlenet", "inception4a"],
    ["list"],
    ["show", "googlenet"],
    ["validate", "googlenet"],
    ["schema"],
    ["verify", "googlenet", "--published"],
    ["diagram", "googlenet"],
    ["report", "lenet5", "-o", os.devnull],
    ["roofline", "googlenet", "--on", "h200"],
    ["roofline", "lenet5", "--on", "h200", "--format", "svg", "-o", os.devnull],
    ["check", "googlenet", "--max", "params=7M", "--explain"],
    ["check", "googlenet", "--max", "params=7M", "--format", "sarif"],
    ["--help"],
)


def imported(code: str) -> set[str]:
    """Which of the heavy modules a fresh interpreter has imported after running the code."""
    check = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("code", STATIC)
def test_importing_and_summarising_imports_no_torch(code: str) -> None:
    """The package, the analyses and the command line."""
    assert imported(code) == set()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_static_commands_import_no_torch(command: list[str]) -> None:
    """The commands as a user runs them."""
    run = f"import sys\nsys.argv = {['gnet-inspect', *command]!r}\nfrom gnet_inspect.cli import main\n"
    assert imported(f"{run}try:\n    main()\nexcept SystemExit:\n    pass") == set()


def test_this_test_can_fail() -> None:
    """An import of torch is seen."""
    pytest.importorskip("torch")
    assert "torch" in imported("import torch")


def test_importing_the_package_imports_next_to_nothing() -> None:
    """Not even the libraries it depends on."""
    code = "import gnet_inspect, sys; print(*[n for n in ('yaml', 'msgspec', 'typer', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
