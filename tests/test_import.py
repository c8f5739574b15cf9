"""Networks written down as specs: what is written is the network, reads as a person would have it, or is refused."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from gnet_inspect import build_graph, build_module, load_spec, parse_spec, trace  # noqa: E402
from gnet_inspect.authoring import blocks, writing  # noqa: E402
from gnet_inspect.authoring.program import Layer  # noqa: E402
from gnet_inspect.errors import CannotWriteError  # noqa: E402
from gnet_inspect.graph import Graph  # noqa: E402
from gnet_inspect.language.catalogue import catalogue  # noqa: E402
from gnet_inspect.runtime import importing  # noqa: E402
from gnet_inspect.runtime.importing import import_graph, import_module  # noqa: E402
from gnet_inspect.runtime.references import Given, Network, Reference  # noqa: E402
from gnet_inspect.sources.file import write_graph  # noqa: E402
from tests.conftest import Run  # noqa: E402
from tests.writing import share_of_drawn, written_by_hand  # noqa: E402

# By name: the size of the input, and the lines that the spec may take.
NETWORKS = {
    "googlenet": (224, 60),
    "vgg16": (224, 65),
    "resnet50": (224, 60),
    "inception_v3": (299, 115),
    "mobilenet_v2": (224, 70),
    "mobilenet_v3_large": (224, 115),
    "efficientnet_b0": (224, 90),
    "densenet121": (224, 80),
    "shufflenet_v2_x1_0": (224, 75),
    "regnet_y_400mf": (224, 95),
    "convnext_tiny": (224, 60),
    "vit_b_16": (224, 65),
    "swin_t": (224, 85),
}
SHOWN = ("googlenet", "resnet50", "mobilenet_v2", "densenet121", "shufflenet_v2_x1_0", "swin_t")
# Of drawn specs so many in a hundred are written at least; the others are refused.
WRITTEN = 70

UNET = """
import torch
from torch import nn


class Pair(nn.Module):
    def __init__(self, before, out):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(before, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Up(nn.Module):
    def __init__(self, before, out):
        super().__init__()
        self.up, self.pair = nn.ConvTranspose2d(before, out, 2, stride=2), Pair(2 * out, out)

    def forward(self, x, skip):
        return self.pair(torch.cat([skip, self.up(x)], 1))


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        widths = [width * 2**step for step in range(4)]
        self.first = Pair(3, width)
        self.downs = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), Pair(a, b)) for a, b in zip(widths, widths[1:]))
        self.ups = nn.ModuleList(Up(b, a) for a, b in reversed(list(zip(widths, widths[1:]))))
        self.head, self.kind = nn.Conv2d(width, 2, 1), nn.Linear(widths[-1], 5)

    def forward(self, x):
        values = [self.first(x)]
        for down in self.downs:
            values.append(down(values[-1]))
        x = deep = values.pop()
        for up in self.ups:
            x = up(x, values.pop())
        return {"mask": self.head(x), "kind": self.kind(deep.mean((2, 3)))}


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair, self.input = Pair(3, 3), nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.input(self.pair(self.pair(x)))


class NormAct(nn.BatchNorm2d):
    def __init__(self, width):
        super().__init__(width)
        self.act = nn.ReLU()

    def forward(self, x):
        weights = self.running_mean, self.running_var, self.weight, self.bias
        return self.act(nn.functional.batch_norm(x, *weights, eps=self.eps))


class Acted(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), NormAct(4)

    def forward(self, x):
        return self.norm(self.conv(x))


class Writes(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(nn.functional.leaky_relu_(x, 0.5))


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x) * 0.5
"""


@pytest.fixture(scope="module")
def models(torchvision: ModuleType) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return getattr(torchvision.models, name)(weights=None, **options).eval()

    return make


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a network of one's own, in the folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.py"
    path.write_text(UNET, encoding="utf-8")
    return path


@pytest.mark.torchvision
@pytest.mark.parametrize("name", NETWORKS)
def test_torchvisions_networks(name: str, models: Callable[[str], Any], golden: Callable[[str, str], None]) -> None:
    """Written and proved by the module's own weights; short; and read as before."""
    size, lines = NETWORKS[name]
    module = models(name)
    graph = trace(module, (1, 3, size, size))
    program = writing.write_program(graph, name)
    found = import_graph(graph, name, f"torchvision:{name}")
    written = parse_spec(found.text)
    built = build_module(build_graph(written)).eval()
    state = module.state_dict()
    left = {key for key in state if key.partition(".")[0] in found.left}
    built.load_state_dict({key: value for key, value in state.items() if key not in left}, strict=True)
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(built(x), module(x))
    assert len(found.text.splitlines()) <= lines
    assert not found.renamed
    if name == "googlenet":
        assert found.left == ("aux1", "aux2")
        assert [block.uses for block in program.blocks if block.name == "inception"] == [9]
        inception = next(block for block in program.blocks if block.name == "inception")
        assert [parameter.name for parameter in inception.parameters] == ["c1", "c2", "c3", "c4"]
    if name in SHOWN:
        # What the command writes.
        options = {"init_weights": False} if name == "googlenet" else {}
        traced = Network(Reference(f"torchvision:{name}", options)).trace(Given(((1, 3, size, size),), {}), "eval")
        golden(f"import/{name}.yaml", import_module(traced.made.graph, traced, name, f"torchvision:{name}").text)


@pytest.mark.torchvision
def test_heads_are_written_in_training_mode(run: Run) -> None:
    result = run("import", "torchvision:googlenet", "--mode", "train", "--arg", "init_weights=false")
    assert result.code == 0, result.err
    spec = parse_spec(result.out)
    assert [(head.name, head.source) for head in spec.heads] == [("aux1", "inception4a"), ("aux2", "inception4d")]
    assert sum(node.params for node in build_graph(spec, mode="train").nodes) == 13_004_888


@pytest.mark.parametrize("name", catalogue())
def test_specs_are_written_as_specs(name: str) -> None:
    """The same layers and numbers at the same places of the order, and no name of a layer with weights is lost."""
    graph = build_graph(load_spec(name))
    found = import_graph(graph, name, name)
    written = build_graph(parse_spec(found.text))
    before, after = ([node for node in one.nodes if node.params] for one in (graph, written))
    assert Counter((node.name, node.params, node.macs, node.output_shape) for node in before) == Counter(
        (node.name, node.params, node.macs, node.output_shape) for node in after
    )
    again = import_graph(written, name, name)
    assert again.text == found.text or len(again.text) <= len(found.text)


def test_drawn_specs_are_written_or_refused() -> None:
    assert share_of_drawn(lambda graph: import_module(graph, None, "drawn", "drawn")) >= WRITTEN


def test_networks_by_hand_are_written_or_refused() -> None:
    written = written_by_hand(lambda graph: import_graph(graph, "hand", "hand"))
    assert {"TwoInputs", "DictOutput", "DictInput", "Shared", "Recurrent", "Gru", "Encoder", "Keywords"} <= written


class Nothing(nn.Module):
    """A part of no elements, as some networks have where they have no prefix."""

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = torch.cat([x[:, :0], x.relu()], 1)
        return made


def test_a_part_of_nothing_is_no_layer() -> None:
    with pytest.raises(CannotWriteError, match="for which there is no layer"):
        import_graph(trace(Nothing(), (1, 3, 8, 8)), "nothing", "nothing")


def test_a_network_of_ones_own(run: Run, own: Path) -> None:
    """Skips in by parameters, outputs by name; and all that specs can do works on it."""
    result = run("import", "./own.py:Net", "--input", "1x3x32x32", "-o", "net.yaml")
    assert (result.code, result.out) == (0, "")
    assert "the state dict loads strictly, and the outputs are equal bit by bit" in result.err
    text = Path("net.yaml").read_text(encoding="utf-8")
    assert "outputs: {mask: head, kind: kind}" in text
    assert "{up: {out: 8, skip: first}}" in text
    totals = json.loads(run("summary", "net.yaml", "--format", "json").out)["totals"]
    theirs = json.loads(run("summary", "./own.py:Net", "--input", "1x3x32x32", "--format", "json").out)["totals"]
    assert (totals["params"], totals["macs"]) == (theirs["params"], theirs["macs"])
    assert run("summary", "net.yaml", "--set", "first.out=16", "--resize").code == 0
    difference = run("compare", "./own.py:Net", "net.yaml", "--diff", "--input", "1x3x32x32")
    assert difference.code == 0
    assert "params" in difference.out


def test_what_runs_twice_and_what_is_called_like_torchs_own(run: Run, own: Path) -> None:
    result = run("import", "./own.py:Twice", "--input", "1x3x8x8", "-o", "twice.yaml")
    assert result.code == 0, result.err
    assert "{share: pair}" in Path("twice.yaml").read_text(encoding="utf-8")
    assert json.loads(Path("twice.names.json").read_text(encoding="utf-8")) == {"input": "input_"}
    assert "renamed: input is input_" in result.err


def test_a_forward_that_writes_to_its_input(run: Run, own: Path) -> None:
    """Its input is not what the other one is given."""
    result = run("import", "./own.py:Writes", "--input", "1x3x8x8")
    assert result.code == 0, result.err


def test_a_layer_with_an_activation_inside(run: Run, own: Path) -> None:
    """A norm that is a class of its own keeps its weights' names; what it runs else stands beside it."""
    result = run("import", "./own.py:Acted", "--input", "1x3x8x8")
    assert result.code == 0, result.err
    assert "norm: BatchNorm2d" in result.out
    assert "norm_act: ReLU" in result.out


def test_what_cannot_be_said_is_refused(run: Run, own: Path) -> None:
    """With the layer and the reason, code 1 and no file."""
    result = run("import", "./own.py:Halves", "--input", "1x3x8x8", "-o", "halves.yaml")
    assert (result.code, result.out) == (1, "")
    assert result.err == "error: `mul` is `mul 0.5`, for which there is no layer\n"
    wrong = run("import", "./own.py:Net", "--input", "1x3x32x32", "-o", "net.json")
    assert wrong.code == 2
    assert "expected a file that ends in .yaml, got 'net.json'" in wrong.err
    assert [path.name for path in own.parent.iterdir() if path.is_file()] == ["own.py"]


def test_a_file_without_weights(run: Run, own: Path) -> None:
    graph = build_graph(load_spec("lenet5"))
    Path("lenet.graph.json").write_bytes(write_graph(graph))
    result = run("import", "lenet.graph.json")
    assert result.code == 0
    assert "there were no weights to load" in result.err
    assert build_graph(parse_spec(result.out)).nodes[0].params == graph.nodes[0].params


def change_a_width(graph: Graph, name: str) -> Any:
    """A program in which one layer has another width."""
    program = write_program(graph, name)
    step = next(step for stage in program.stages for step in stage.steps if isinstance(step.body, Layer))
    assert isinstance(step.body, Layer)
    step.body.arguments["out_channels"] += 2
    return program


def swap_two_layers(graph: Graph, name: str) -> Any:
    """A program with a tanh in the place of the first sigmoid."""
    program = write_program(graph, name)
    layers = [step.body for stage in program.stages for step in stage.steps if isinstance(step.body, Layer)]
    found = next(layer for layer in layers if layer.family == "activation")
    found.kind = "Sigmoid" if found.kind != "Sigmoid" else "ReLU"
    found.arguments = {}
    return program


write_program = writing.write_program


@pytest.mark.parametrize(
    ("fault", "said"),
    [(change_a_width, "do not fit what was written of it"), (swap_two_layers, "what was written gives another output")],
)
def test_what_is_not_proved_is_not_written(
    run: Run, own: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., Any], said: str
) -> None:
    monkeypatch.setattr(importing, "write_program", fault)
    result = run("import", "lenet5", "-o", "lenet.yaml")
    assert result.code == 1
    assert said in result.err
    assert not Path("lenet.yaml").exists()
    with pytest.raises(CannotWriteError, match="what was written is another network: it has"):
        import_graph(build_graph(load_spec("lenet5")), "lenet", "lenet5")


def test_columns_follow_from_each_other() -> None:
    """Equal arguments of one sort are one parameter, halves of kernels and multiples of widths are that."""

    def column(kind: str, key: str, *values: Any) -> blocks.Column:
        return blocks.Column((key,), kind, key, list(values))

    kernel, padding = column("Conv2d", "kernel_size", 3, 5, 1), column("Conv2d", "padding", 1, 2, 0)
    narrow, wide = column("Conv2d", "out_channels", 16, 32, 8), column("Conv2d", "out_channels", 64, 128, 32)
    stride = column("Conv2d", "stride", 1, 2, 0)
    found = blocks._Parameters([kernel, padding, wide, narrow, stride], 3, [])
    parameters, uses = found.found()
    assert [parameter.name for parameter in parameters] == ["kernel", "width", "stride"]
    assert [use["width"] for use in uses] == [16, 32, 8]
    assert found.terms[id(padding)] == (kernel, "//", 2)
    assert found.terms[id(wide)] == (narrow, "*", 4)
