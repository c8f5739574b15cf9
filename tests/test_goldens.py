"""What the commands print, whole: tests/golden, written anew by `make goldens`."""

from collections.abc import Callable

import pytest

from tests.conftest import Run

OUTPUTS = {
    "summary_googlenet_stage.txt": ["summary", "googlenet", "--depth", "stage"],
    "summary_googlenet_block.txt": ["summary", "googlenet"],
    "summary_googlenet_layer.txt": ["summary", "googlenet", "--depth", "layer"],
    "summary_googlenet_train.txt": ["summary", "googlenet", "--mode", "train", "--dtype", "fp16", "--batch", "8"],
    "summary_googlenet.md": ["summary", "googlenet", "--format", "markdown"],
    "summary_googlenet.csv": ["summary", "googlenet", "--format", "csv"],
    "summary_googlenet_top.txt": ["summary", "googlenet", "--depth", "layer", "--sort", "macs", "--top", "5"],
    "summary_googlenet_torchvision.txt": ["summary", "googlenet_torchvision"],
    "summary_googlenet_d2l.txt": ["summary", "googlenet_d2l"],
    "summary_googlenet_d2l_224.json": ["summary", "googlenet_d2l", "--input", "1x1x224x224", "--format", "json"],
    "flops_googlenet.txt": ["flops", "googlenet"],
    "flops_googlenet.json": ["flops", "googlenet", "--format", "json"],
    "list.txt": ["list"],
    "list.json": ["list", "--format", "json"],
    "verify_googlenet_published.txt": ["verify", "googlenet", "--published"],
    "verify_googlenet_published.csv": ["verify", "googlenet", "--published", "--format", "csv"],
    "schema.json": ["schema"],
    "help.txt": ["--help"],
    "help_summary.txt": ["summary", "--help"],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_as_recorded(name: str, run: Run, golden: Callable[[str, str], None]) -> None:
    """The whole text, at the width it takes."""
    result = run(*OUTPUTS[name])
    assert result.code == 0
    golden(name, result.out)


@pytest.mark.parametrize(("command", "width"), [("summary", 80), ("summary", 140), ("flops", 80)])
def test_narrow_output_is_as_recorded(
    command: str, width: int, run: Run, golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same on terminals of two widths."""
    monkeypatch.setenv("COLUMNS", str(width))
    golden(f"{command}_googlenet_{width}.txt", run(command, "googlenet").out)
