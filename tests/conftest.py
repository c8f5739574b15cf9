"""What the tests share: the command line in process, golden files, and torchvision where it is installed."""

import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from tests.browsing import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Else each of the hundreds of processes that the tests start would compile the package for itself alone.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says nothing of the code on a machine that does other work.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Specs with another library's own names, and the (library, model) each is there.
TWINS = {
    "googlenet_torchvision": ("torchvision", "googlenet"),
    **{
        name: ("torchvision", name)
        for name in (
            "alexnet",
            "convnext_tiny",
            "efficientnet_b0",
            "densenet121",
            "inception_v3",
            "resnext50_32x4d",
            "shufflenet_v2_x1_0",
            "squeezenet1_0",
            "squeezenet1_1",
            "swin_t",
            "mobilenet_v2",
            "mobilenet_v3_large",
            "mobilenet_v3_small",
            "mnasnet1_0",
            "regnet_y_400mf",
            "vit_b_16",
            "wide_resnet50_2",
            *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
            *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
        )
    },
    "inception_v4": ("timm", "inception_v4"),
    "inception_resnet_v2": ("timm", "inception_resnet_v2"),
    "xception": ("timm", "legacy_xception"),
}
# What torchvision calls the heads of a model in the order of ours.
AUXILIARIES = {"googlenet_torchvision": ("aux_logits1", "aux_logits2"), "inception_v3": ("aux_logits",)}
GOLDEN = Path(__file__).parent / "golden"


class Result(NamedTuple):
    """How a command ended: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--overwrite", action="store_true", help="write the golden files anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a browser first: a file of them is minutes on one worker, which would be alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the command line in this process: `run("summary", "googlenet")`; `stdin` is what it may read."""
    from gnet_inspect.cli import main

    monkeypatch.delenv("COLUMNS", raising=False)
    # `main` is the whole process's: what it puts in place for good is taken away again.
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def command(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["gnet-inspect", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capfd.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        assert "Traceback" not in err
        assert "a defect of gnet-inspect" not in err
        return Result(code, out, err)

    yield command
    gc.enable()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/NAME; `--overwrite` writes it instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--overwrite"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; `make goldens` writes it anew"

    return check


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium, where there is one."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """torchvision, importable without its operators: their schemas are defined here, nothing calls them."""
    pytest.importorskip("torch")
    try:
        from importlib.metadata import version

        version("torchvision")
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
    from gnet_inspect.runtime.references import define_operators

    define_operators()
    import torchvision

    module: ModuleType = torchvision
    return module


def twin(torchvision: ModuleType, spec: str, *, heads: bool = False, **options: Any) -> Any:
    """The other library's own model of a spec, its weights as torch's layers make them (timm imports torchvision)."""
    library, name = TWINS[spec]
    if library == "timm":
        return pytest.importorskip("timm").create_model(name, pretrained=False, **options)
    if spec in AUXILIARIES:
        options |= {"aux_logits": heads}
    if spec in AUXILIARIES or spec.startswith("vgg"):
        options |= {"init_weights": False}
    if name.startswith("regnet"):
        import torch

        # It reckons its widths by tensors, which therefore need values, whatever device the caller has set.
        with torch.device("cpu"):
            return getattr(torchvision.models, name)(weights=None, **options)
    return getattr(torchvision.models, name)(weights=None, **options)


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[[str], str]:
    """Write a spec to a file of its own and give its path."""

    def write(text: str, name: str = "mine.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
