"""A layer kind of a user's own, registered from outside: once with little said of it, once with all."""

import json
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from gnet_inspect import (
    Family,
    Look,
    Op,
    Saved,
    Temporaries,
    Term,
    Weight,
    build_graph,
    count_flops,
    parse_spec,
    register,
    summarize,
    training_memory,
)
from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.errors import ShapeError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.language.schema import json_schema
from gnet_inspect.ops import KINDS, TOOLS, VOCABULARY, Call, Shape, Shapes, Sight, Terms
from gnet_inspect.ops.arguments import Integer, Number
from tests.conftest import Run

Write = Callable[[str], str]


class Sketch(Op, frozen=True):
    """As little as `register` takes: what it holds and what it makes."""

    out: Annotated[int, Integer(1)]

    def output_shape(self, inputs: Shapes) -> Shape:
        return inputs[0][0], self.out, *inputs[0][2:]

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("matrix", (self.out, inputs[0][1])), Weight("offset", (self.out, 1, 1)))


class ChannelMix(Sketch, frozen=True):
    """The same with all that can be said."""

    family: ClassVar[Family] = Family("channel mixing")
    depth: ClassVar[int] = 1
    module: ClassVar[str] = "tests.own_layers.ChannelMix"
    keeps_output: ClassVar[bool] = False

    gain: Annotated[float, Number(0)] = 1.0

    def output_shape(self, inputs: Shapes) -> Shape:
        if len(inputs[0]) != 4:
            raise ShapeError(f"ChannelMix expects an input N x C x H x W, got {len(inputs[0])} sizes")
        return super().output_shape(inputs)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return prod(outputs[0]) * inputs[0][1]

    def sight(self, inputs: Shapes) -> Sight:
        return (Look((0,)), Look((1,), None), Look((2,)), Look((3,)))

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)

    def temporaries(self, inputs: Shapes, outputs: Shapes, training: bool) -> Temporaries:
        # The product, to which the offset is added.
        return Temporaries(prod(outputs[0]))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        macs = call.macs or 0
        unseen = (Term("a class of one's own", -macs),)
        return {
            "torch": (Term("the addition of each MAC is one more", macs),),
            "fvcore": (),
            "torchinfo": unseen,
            "ptflops_pytorch": unseen,
            "ptflops_aten": (),
            "thop": unseen,
        }

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"channels": inputs[0][1]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        return f"ChannelMix {self.out}"


TEXT = """
name: mine
input: [3, 16, 16]
stages:
  stem:
    conv: {{Conv2d: {{out_channels: 8, kernel_size: 3, padding: 1}}}}
    mix: {{{kind}: {{out: 12}}}}
  head:
    pool: {{AdaptiveAvgPool2d: {{output_size: 1}}}}
    flat: Flatten
    fc: {{Linear: {{out_features: 10}}}}
"""
OTHERS = 16 * 16 * 8 * 3 * 9 + 12 * 10
PARAMS = 8 * 28 + 12 * 8 + 12 + 130


@pytest.fixture
def kinds() -> Iterator[None]:
    """Both are registered, and gone again."""
    for cls in (Sketch, ChannelMix):
        assert register(cls) is cls
        assert register(cls) is cls  # twice does no harm
    yield
    for cls in (Sketch, ChannelMix):
        del VOCABULARY[cls.__name__], KINDS[cls.__name__]


def graph_with(kind: str, mode: str = "eval", batch: int = 1) -> Graph:
    """The network with a layer of the kind in its middle."""
    return build_graph(parse_spec(TEXT.format(kind=kind)), (batch, 3, 16, 16), mode=mode)


pytestmark = pytest.mark.usefixtures("kinds")


def test_what_is_not_said_is_unknown_everywhere_in_numbers() -> None:
    """Totals are a least, the field behind it and each tool's total are unknown, the peak is a bound."""
    graph = graph_with("Sketch")
    summary = summarize(graph)
    assert summary.totals.params == PARAMS
    assert summary.totals.macs == OTHERS
    assert summary.coverage.unknown
    layers = {layer.name: layer for layer in summary.layers}
    assert layers["mix"].macs is None
    assert layers["mix"].receptive_field_status == "unknown"
    assert layers["conv"].receptive_field_status == "exact"
    totals = count_flops(graph).totals
    assert {getattr(totals, tool) for tool in TOOLS} == {None}
    assert activation_peak(graph, 4).status == "bound"
    train = graph_with("Sketch", "train", 2)
    assert "mix" not in {layer.name for layer in training_memory(train, "sgd").saved}


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("summary", "--depth", "layer"), ("Sketch", "at least")),
        (("flops",), ("Sketch", "?")),
        (("roofline", "--on", "a100"), ("mix", "nobody can count mix", "at least")),
        (("summary", "--format", "json"), ('"unknown":', '"mix"')),
    ],
)
def test_what_is_not_said_is_unknown_in_words(
    run: Run, write_spec: Write, command: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    """Every command shows the layer, and that something of it is not known."""
    name, *options = command
    result = run(name, write_spec(TEXT.format(kind="Sketch")), *options)
    assert result.code == 0, result.err
    for word in shown:
        assert word in result.out


@pytest.mark.parametrize("kind", ["Sketch", "ChannelMix"])
def test_a_diagram_has_a_box_for_it(run: Run, write_spec: Write, kind: str) -> None:
    """With its words, at the depth of layers."""
    result = run("diagram", write_spec(TEXT.format(kind=kind)), "--depth", "layer", "--format", "dot")
    assert result.code == 0, result.err
    assert kind in result.out
    # Its weights are known; its MACs where it says so.
    figures = {"Sketch": "108 params, ? MACs", "ChannelMix": "108 params, 24.58 K MACs"}
    assert figures[kind] in result.out
    assert ("at least 55.42 K MACs" in result.out) == (kind == "Sketch")


def test_json_schema_completes_it() -> None:
    """Its arguments, which are required, and what they hold."""
    definitions = json.dumps(json_schema())
    for kind in ("Sketch", "ChannelMix"):
        assert f'"{kind}"' in definitions
    assert '"gain"' in definitions


def test_a_wrong_argument_is_answered_as_any(run: Run, write_spec: Write) -> None:
    """By the kind of the argument, with the place."""
    result = run("summary", write_spec(TEXT.format(kind="Sketch").replace("out: 12", "out: 0")))
    assert result.code == 2
    assert "expected a positive integer, got 0" in result.err


def test_what_cannot_be_built_is_refused() -> None:
    """Nobody knows the module of a kind that names none."""
    pytest.importorskip("torch")
    from gnet_inspect import build_module

    with pytest.raises(UsageError, match="got Sketch: they cannot be built"):
        build_module(graph_with("Sketch"))


def test_all_that_is_said_is_counted() -> None:
    """MACs, the field, the peak and what is kept: exact, and known to be."""
    graph = graph_with("ChannelMix")
    summary = summarize(graph)
    mix = 12 * 16 * 16 * 8
    assert (summary.totals.params, summary.totals.macs) == (PARAMS, OTHERS + mix)
    assert not summary.coverage.unknown
    layers = {layer.name: layer for layer in summary.layers}
    assert (layers["mix"].receptive_field_status, layers["mix"].receptive_field) == ("exact", (3, 3))
    totals = count_flops(graph).totals
    assert None not in {getattr(totals, tool) for tool in TOOLS}
    assert totals.fvcore == totals.macs + 12 * 16 * 16  # the pool's inputs
    assert activation_peak(graph, 4).status == "exact"
    train = graph_with("ChannelMix", "train", 2)
    kept = {layer.name: layer.bytes for layer in training_memory(train, "sgd").saved}
    assert kept["mix"] == 4 * 2 * 8 * 16 * 16


def test_it_is_built_and_verified() -> None:
    """The module is made with the arguments, and is what the graph says: shapes, weights, what tools print."""
    torch = pytest.importorskip("torch")
    from gnet_inspect import build_module
    from gnet_inspect.runtime.verify import run_checks
    from tests.peers import printed_by_all
    from tests.test_training_memory import saved_by_rule, saved_by_torch
    from tests.watching import watched_peak

    graph = graph_with("ChannelMix", batch=2)
    module = build_module(graph)
    assert list(module.state_dict())[2:4] == ["mix.matrix", "mix.offset"]
    assert module(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    checks = run_checks(graph)
    assert [check for check in checks if check.ok is False] == []
    assert sum(check.ok is True for check in checks) >= 4
    totals = count_flops(graph).totals
    assert printed_by_all(graph) == {tool: getattr(totals, tool) for tool in TOOLS}
    assert watched_peak(graph) == (activation_peak(graph, 4).bytes, activation_peak(graph, 4).node)
    assert saved_by_torch(graph_with("ChannelMix", "train", 2)) == saved_by_rule(graph_with("ChannelMix", "train", 2))


def test_a_class_that_says_too_little_is_refused() -> None:
    """Weights and shapes have no default that would be true; a name may be taken once."""

    class Vague(Op, frozen=True):
        def output_shape(self, inputs: Shapes) -> Shape:
            return inputs[0]

    class Conv2d(Sketch, frozen=True):
        pass

    with pytest.raises(UsageError, match="expected `Vague` to say its `weights`"):
        register(Vague)
    with pytest.raises(UsageError, match="a name of its own, got `Conv2d`"):
        register(Conv2d)
    with pytest.raises(UsageError, match="got int"):
        register(int)  # type: ignore[arg-type]  # the mistake is the test


def test_a_space_with_unknown_layers_says_that_sums_are_a_least(run: Run, tmp_path: Path) -> None:
    """Below its table, with the layer's name; not where all are known."""
    for kind, said in (("Sketch", True), ("ChannelMix", False)):
        path = tmp_path / f"{kind}.yaml"
        path.write_text(TEXT.format(kind=kind))
        result = run("sweep", str(path), "--vary", "conv.out_channels=8,16", "--minimize", "macs")
        assert result.code == 0, result.err
        assert ("macs are at least these: those of mix are not known" in result.out) == said
