"""Networks as files that run without this program: torch.nn source as a person writes it, ONNX, exported programs."""

import contextlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from gnet_inspect import build_graph, build_module, load_spec, trace  # noqa: E402
from gnet_inspect.authoring.spec_text import spec_text  # noqa: E402
from gnet_inspect.authoring.torch_text import torch_text  # noqa: E402
from gnet_inspect.authoring.writing import write_program  # noqa: E402
from gnet_inspect.errors import CannotWriteError, GnetError  # noqa: E402
from gnet_inspect.language.catalogue import catalogue  # noqa: E402
from gnet_inspect.runtime import exporting  # noqa: E402
from gnet_inspect.runtime.exporting import export_source  # noqa: E402
from gnet_inspect.runtime.importing import import_graph  # noqa: E402
from gnet_inspect.runtime.references import Given, Network, Reference  # noqa: E402
from gnet_inspect.sources.file import read_graph_file, write_graph  # noqa: E402
from tests.conftest import Run  # noqa: E402
from tests.writing import share_of_drawn, written_by_hand  # noqa: E402

# By name the size of the image: as small as the network takes.
NETWORKS = {
    "googlenet": 64,
    "vgg16": 64,
    "resnet50": 64,
    "inception_v3": 96,
    "mobilenet_v2": 64,
    "mobilenet_v3_large": 64,
    "efficientnet_b0": 64,
    "densenet121": 64,
    "shufflenet_v2_x1_0": 64,
    "regnet_y_400mf": 64,
    "convnext_tiny": 64,
}
# So many lines of source there may be for one of the spec.
MOST_LINES = 1.5
# Of drawn specs so many in a hundred are written at least, and of networks by hand so many in all.
WRITTEN, BY_HAND = 55, 17
# Networks of the catalogue that have what others do not: gates, scaled sums, windows, learned tensors.
SAMPLE = ("lenet5", "googlenet", "se_bn_inception", "inception_resnet_v2", "squeezenet1_1", "swin_t", "vit_b_16")

OWN = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, before, out):
        super().__init__()
        self.conv, self.act = nn.Conv2d(before, out, 3, padding=1), nn.ReLU(inplace=True)
        self.proj = nn.Conv2d(before, out, 1) if before != out else None

    def forward(self, x):
        y = self.act(self.conv(x))
        return y + (x if self.proj is None else self.proj(x))


class Flags(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Block(3, 4), Block(4, 4)

    def forward(self, x):
        return self.second(self.first(x))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.block = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), Block(4, 4)

    def forward(self, x):
        x = self.conv(torch.relu(self.conv(x)))
        return self.bn(x), self.block(self.block(x))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.color, self.depth = nn.Conv2d(3, 8, 3), nn.Conv2d(1, 8, 3)
        self.head, self.side = nn.Linear(8, 4), nn.Linear(8, 2)

    def forward(self, image, depth):
        x = torch.relu(self.color(image)) * torch.sigmoid(self.depth(depth))
        x = x.mean((2, 3))
        return {"classes": self.head(x), "side": self.side(x)}


class Lists(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([Block(3, 8), Block(8, 8)])
        self.heads = nn.ModuleList([nn.Conv2d(8, 2, 1), nn.Conv2d(8, 2, 1)])
        self.token = nn.Parameter(torch.randn(1, 2, 1, 1))

    def forward(self, x):
        found = []
        for stage, head in zip(self.stages, self.heads):
            x = stage(x)
            found.append(head(x) + self.token)
        return found


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.lstm, self.fc = nn.Embedding(9, 8), nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, tokens):
        x, (hidden, _) = self.lstm(self.table(tokens))
        return self.fc(x), hidden


class Names(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("conv-1", nn.Conv2d(3, 4, 1))
        self.input, self.concat, self.never = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(2, 2)

    def forward(self, x):
        x = self.get_submodule("conv-1")(x)
        return torch.cat([self.concat(self.input(x)), x], 1)[:, 1:5]


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x) * 0.5
"""
# What is written of a block, its forward and all.
FLAGS = '''class Block(nn.Module):
    """2 of these: 276 parameters, 16.90 K MACs; the first 1x3x8x8 -> 1x4x8x8."""

    def __init__(self, in_channels: int, proj: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.proj = nn.Conv2d(3, 4, 1) if proj else None

    def forward(self, x: Tensor) -> Tensor:
        proj = x if self.proj is None else self.proj(x)
        x = F.relu(self.conv(x), inplace=True) + proj
        return x
'''


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all calls of mypy."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of networks, which the test works in."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(path: Path) -> nn.Module:
    """The network of a file that was written: its last class."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kinds = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == path.stem]
    network = kinds[-1]()
    assert isinstance(network, nn.Module)
    return network


def check(paths: list[Path], cache: Path) -> None:
    """Files are formatted, and what ruff and mypy --strict find no fault with; in `cache` mypy keeps what it knows of
    torch, which takes it longer than all else."""
    names = list(map(str, paths))
    config = ["--isolated", "--line-length", "120"]
    for command in (
        ["ruff", "format", "--check", *config, *names],
        ["ruff", "check", *config, *names],
        ["mypy", "--strict", "--config-file=", f"--cache-dir={cache}", *names],
    ):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.torchvision
@pytest.mark.slow
def test_torchvisions_networks(torchvision: ModuleType, tmp_path: Path, cache: Path) -> None:
    """Each is written in fewer lines than 1.5 times its spec's, is formatted and typed, and takes the weights strictly;
    that its outputs are the same is proved before it is there."""
    paths = []
    for name, size in NETWORKS.items():
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        network = Network(Reference(f"torchvision:{name}", options))
        traced = network.trace(Given(((1, 3, size, size),), {}), "eval")
        found = export_source(traced.made.graph, traced, name)
        assert isinstance(found.content, str)
        lines = spec_text(write_program(traced.made.graph, name)).count("\n")
        assert found.content.count("\n") < MOST_LINES * lines, name
        paths.append(tmp_path / f"{name}.py")
        paths[-1].write_text(found.content)
        assert "gnet_inspect" not in found.content
        state = network.build().state_dict()
        kept = {
            key: value for key, value in state.items() if not key.startswith(tuple(f"{one}." for one in found.left))
        }
        made(paths[-1]).load_state_dict(kept)
    check(paths, cache)


@pytest.mark.torchvision
def test_what_is_shown(torchvision: ModuleType, golden: Callable[[str, str], None]) -> None:
    """What docs/writing.md shows."""
    network = Network(Reference("torchvision:resnet50", {}))
    traced = network.trace(Given(((1, 3, 224, 224),), {}), "eval")
    found = export_source(traced.made.graph, traced, "resnet50")
    assert isinstance(found.content, str)
    golden("export/resnet50.txt", found.content)


def test_drawn_specs_are_written_or_refused() -> None:
    assert share_of_drawn(lambda graph: export_source(graph, None, "drawn")) >= WRITTEN


def test_networks_by_hand_are_written_or_refused() -> None:
    assert len(written_by_hand(lambda graph: export_source(graph, None, "hand", has_weights=False))) >= BY_HAND


@pytest.mark.parametrize("name", SAMPLE)
def test_the_catalogues_networks(name: str) -> None:
    assert name in catalogue()
    graph = build_graph(load_spec(name))
    found = export_source(graph, None, name)
    assert found.proof.endswith("strict state dict, outputs equal bit by bit")


OWN_INPUTS = {
    "Flags": ["1x3x8x8"],
    "Shared": ["1x4x8x8"],
    "TwoInputs": ["image=1x3x8x8", "depth=1x1x8x8"],
    "Lists": ["1x3x8x8"],
    "Words": ["1x5:int64"],
    "Names": ["1x3x8x8"],
}


@pytest.mark.slow
def test_networks_of_ones_own(own: Path, run: Run, cache: Path) -> None:
    """Several inputs and outputs, layers and blocks that run twice, parts that are there or not, lists that are read
    from, second values, names that are no identifiers."""
    said = {}
    for name, inputs in OWN_INPUTS.items():
        flags = [flag for text in inputs for flag in ("--input", text)]
        result = run("export", f"./own.py:{name}", *flags, "-o", f"{name}.py")
        assert result.code == 0, result.err
        assert "strict state dict, outputs equal bit by bit" in result.err
        assert result.out == ""
        assert type(made(own / f"{name}.py")).__name__ == name
        said[name] = result.err
    assert "left out, because eval mode never reads them: never" in said["Names"]
    assert FLAGS in (own / "Flags.py").read_text()
    check([own / f"{name}.py" for name in OWN_INPUTS], cache)


def test_what_cannot_be_written_is_named(own: Path, run: Run) -> None:
    (own / "net.py").write_text("before")
    result = run("export", "./own.py:Halves", "--input", "1x3x8x8", "-o", "net.py")
    assert result.code == 1
    assert "`mul`" in result.err
    assert (own / "net.py").read_text() == "before"
    assert sorted(path.name for path in own.iterdir() if path.suffix) == ["net.py", "own.py"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("padding=1", "padding=1, padding_mode='reflect'", "what was written gives another output 0: apart by"),
        ("padding=1", "padding=2", "what was written gives another output 0: .* not |does not run"),
        ("self.conv = nn", "self.other = nn", "does not run|state dict"),
        ("nn.Conv2d(in_channels, 4", "nn.Conv2d(in_channels, 5", "do not fit|does not run"),
        ("self.proj = nn.Conv2d(3, 4, 1)", "self.proj = nn.Conv2d(3, 4, 1, bias=False)", "has no place"),
        ("super().__init__()", "super().__init__(", "is no source: "),
    ],
)
def test_a_failing_proof_is_refused(
    old: str, new: str, what: str, own: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:

    def wrong(*arguments: Any) -> str:
        found = torch_text(*arguments)
        assert old in found
        return found.replace(old, new)

    monkeypatch.setattr("gnet_inspect.runtime.exporting.torch_text", wrong)
    network = Network(Reference("./own.py:Flags", {}))
    traced = network.trace(Given(((1, 3, 8, 8),), {}), "eval")
    with pytest.raises(CannotWriteError, match=what):
        export_source(traced.made.graph, traced, "Flags")
    assert run("export", "./own.py:Flags", "--input", "1x3x8x8", "-o", "net.py").code == 1
    assert not (own / "net.py").exists()


def test_a_graphs_file_is_written_by_its_layers(own: Path, run: Run) -> None:
    assert run("trace", "resnet18", "-o", "net.graph.json").code == 0
    result = run("export", "net.graph.json", "-o", "net.py")
    assert result.code == 0, result.err
    assert "the same layers, shapes, parameters and multiply-accumulates" in result.err
    names = build_module(build_graph(load_spec("resnet18")), device="meta").state_dict().keys()
    assert made(own / "net.py").state_dict().keys() == names


def test_flags_that_do_not_fit(own: Path, run: Run) -> None:
    for arguments, what in (
        (("-o", "net.txt"), "expected a file that ends in .py, .onnx or .pt2"),
        (("-o", "net.py", "--opset", "18"), "--opset: expected -o with a file that ends in .onnx"),
        (("-o", "net.py", "--dynamic-batch"), "--dynamic-batch: expected -o with a file that ends in .onnx or .pt2"),
    ):
        result = run("export", "lenet5", *arguments)
        assert result.code == 2
        assert what in result.err
    assert [path.name for path in own.iterdir()] == ["own.py"]


# --- other formats ---


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx(dynamic: bool, own: Path, run: Run) -> None:
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    flags = ["--dynamic-batch"] if dynamic else []
    result = run("export", "./own.py:Flags", "--input", "1x3x8x8", "-o", "net.onnx", *flags)
    assert result.code == 0, result.err
    assert result.out == ""
    assert result.err.startswith("wrote net.onnx: ")
    assert len(result.err.splitlines()) == 1
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.shape[1:] == [3, 8, 8]
    for batch in (1, 3) if dynamic else (1,):
        (found,) = session.run(None, {given.name: torch.randn(batch, 3, 8, 8).numpy()})
        assert found.shape == (batch, 4, 8, 8)


def test_onnx_needs_its_packages(own: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxruntime" else object())
    result = run("export", "lenet5", "-o", "net.onnx")
    assert result.code == 3
    assert "pip install onnx onnxscript onnxruntime" in result.err
    assert not (own / "net.onnx").exists()


@pytest.mark.parametrize("dynamic", [False, True])
def test_program(dynamic: bool, own: Path, run: Run) -> None:
    flags = ["--dynamic-batch"] if dynamic else []
    result = run("export", "./own.py:Flags", "--input", "1x3x8x8", "-o", "net.pt2", *flags)
    assert result.code == 0, result.err
    assert "loaded again, its outputs are equal bit by bit" in result.err
    loaded: Any = torch.export.load("net.pt2").module()
    batch = 5 if dynamic else 1
    assert loaded(torch.randn(batch, 3, 8, 8)).shape == (batch, 4, 8, 8)


class Branched(nn.Module):
    """What a file may name: a layer, a module, a class, outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.inner = nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.conv(x)
        return {"first": self.inner(y), "second": y.relu()}


@pytest.mark.parametrize("name", ["conv", "inner", "first", "Branched", '"input"'])
def test_names_of_a_strangers_file_are_no_code(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file calls what is in it: the source of it runs nothing, and neither does its spec."""
    monkeypatch.chdir(tmp_path)
    payload = "'''+\"\"\"+__import__('os').system('touch ran')+\"\"\"+'''"
    text = write_graph(trace(Branched(), (1, 3, 8, 8))).decode()
    named = json.dumps(payload) if name.startswith('"') else json.dumps(payload)[1:-1]
    assert name in text
    try:
        graph = read_graph_file(text.replace(name, named).encode())
        for write in (
            lambda: export_source(graph, None, "net", has_weights=False),
            lambda: import_graph(graph, "net", "net"),
        ):
            with contextlib.suppress(CannotWriteError):
                write()
    except GnetError:
        pass
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from os import system",
        "class A:\n    x = ().__class__",
        "class A:\n    x = eval('1')",
        "print(1)",
        "class A:\n    def f(self): return open('x')",
        "class A(",
    ],
)
def test_source_that_is_no_network_is_not_run(line: str) -> None:
    with pytest.raises(CannotWriteError, match="what was written"):
        exporting.made_of(f'"""A network."""\n\nfrom torch import nn\n\n{line}\n')
