"""Receptive fields, extent and place along both axes, against what torch's own layers let through (tests/seeing.py)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gnet_inspect.analysis.receptive import Axis, receptive_fields
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.language.catalogue import catalogue
from gnet_inspect.ops import VOCABULARY, Op
from gnet_inspect.runtime.module import build_module
from gnet_inspect.sources.spec import build_graph
from tests.amount import at_least
from tests.seeing import Span, seen
from tests.strategies import Document, Draw, specs, to_yaml
from tests.test_properties import examples

# torch copies the input where "same" pads one side more, and a recurrent layer alone drops nothing.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
    pytest.mark.filterwarnings("ignore:dropout option adds dropout"),
]

Layer = dict[str, Any]


class Checked(NamedTuple):
    """How many fields of nodes are exact and how many are bounds; and the nodes without numbers, by what is said."""

    exact: int
    bounds: int
    others: Counter[str]


def check_fields(graph: Graph) -> Checked:
    """Hold every field of a graph to the truth."""
    fields = receptive_fields(graph)
    exact = bounds = 0
    others: Counter[str] = Counter()
    dense = all(is_dense(node.op) for node in graph.nodes)
    axes = max(len(value.shape) for value in graph.inputs) - 2
    truth = [seen(graph, axis) for axis in range(axes)]
    for node in graph.nodes:
        field = fields[node.name]
        spans = [of.get(node.name) for of in truth]
        if field is None or field.axes is None:
            # What pixels reach, place by place, is not passed over in silence.
            others[field.status if field else "none"] += 1
            assert field is not None or not all(spans) or all(len(of or ()) == 1 for of in spans), node.name
            continue
        assert field.status == ("exact" if all(axis.exact for axis in field.axes) else "bound")
        assert len(field.axes) == axes
        for index, axis in enumerate(field.axes):
            known = spans[index]
            assert known is not None, f"{node.name}: nobody knows that"
            check_axis(axis, known, dense, f"{node.name} {index}")
        exact += field.status == "exact"
        bounds += field.status == "bound"
    return Checked(exact, bounds, others)


def is_dense(op: Op) -> bool:
    """Whether what lies inside the input is known at the borders.

    The first tap of a dilated kernel that meets the map may meet it farther in, and an output in a padding as wide as
    the kernel sees nothing.
    """
    if max(getattr(op, "dilation", (1,))) > 1:
        return False
    padding = getattr(op, "padding", ())
    if op.kind == "ZeroPad2d":
        return not any(pad > 0 for pad in padding)
    return isinstance(padding, str) or max(padding, default=0) < min(getattr(op, "kernel_size", (1,)))


def check_axis(axis: Axis, spans: list[Span | None], dense: bool, where: str) -> None:
    """Each output's hull, the widest of those that no border cuts off, and where that of output 0 begins."""
    widths, whole = [0], []
    for index, span in enumerate(spans):
        first, last = -axis.low.at(-index), axis.high.at(index)
        inside = axis.first <= first and last <= axis.last
        expected = max(first, axis.first), min(last, axis.last)
        # No output sees more, and along straight lines none sees more than the size says.
        assert last - first < axis.size, where
        if span is None:
            # In padding; where all outputs see the same it looks like any other.
            assert not (inside and axis.exact and axis.low.apart), where
            continue
        assert expected[0] <= span[0] <= span[1] <= expected[1], (where, index, span, expected)
        widths.append(span[1] - span[0] + 1)
        if inside:
            whole.append(widths[-1])
            if axis.exact:
                assert span == (first, last), (where, index, span, expected)
    assert axis.size >= max(whole, default=0), where
    assert axis.clipped >= max(widths), where
    if axis.exact:
        if whole:
            assert axis.size == max(whole), where
        if spans[0] is not None and axis.offset >= axis.first:
            assert axis.offset == spans[0][0], where
        assert axis.clipped == max(widths) or not dense, where


# Without numbers behind some layer: what a linear layer makes of all positions, or attention over all patches, sees
# all; what attention in windows that are shifted sees is not told.
ALL, UNKNOWN = ("alexnet", "lenet5", "vgg", "vit_b_16"), ("swin_t",)


@pytest.mark.parametrize("name", catalogue())
def test_every_field_of_the_catalogue_is_exact(name: str) -> None:
    """At each model's own input, of every layer, every output and both axes."""
    checked = check_fields(build_graph(load_spec(name)))
    assert checked.exact
    assert not checked.bounds
    expected = {"all"} if name.startswith(ALL) else {"unknown"} if name in UNKNOWN else set()
    assert checked.others.keys() - {"none"} == expected


def _windows() -> Iterator[Layer]:
    """Windows along the height, each argument in turn."""
    for kernel, stride, dilation, padding in product((1, 2, 3, 4, 5), (1, 2, 3), (1, 2, 3), (0, 1, 2, 3, "same")):
        if padding != "same" or stride == 1:
            pad = padding if padding == "same" else [padding, 0]
            arguments = {"kernel_size": [kernel, 1], "stride": [stride, 1], "dilation": [dilation, 1], "padding": pad}
            yield {"Conv2d": {"out_channels": 1, **arguments}}
            if padding != "same":
                for ceil in (False, True) if stride > 1 else (False,):
                    yield {"MaxPool2d": {**arguments, "ceil_mode": ceil}}
                    if dilation == 1:
                        pool = {key: arguments[key] for key in ("kernel_size", "stride", "padding")}
                        yield {"AvgPool2d": {**pool, "ceil_mode": ceil}}
                for extra in range(max(stride, dilation)):
                    yield {"ConvTranspose2d": {"out_channels": 1, **arguments, "output_padding": [extra, 0]}}


def _resamplings() -> Iterator[Layer]:
    for size in (1, 2, 3, 5, 6, 7, 12, 13, 14, 20, 24):
        yield {"AdaptiveAvgPool2d": {"output_size": [size, 1]}}
    targets: list[Layer] = [{"size": [size, 1]} for size in (1, 5, 7, 12, 13, 23, 24, 25, 36)]
    targets += [{"scale_factor": [factor, 1]} for factor in (1, 2, 3, 4, 0.5, 1.5, 2.5, 0.3, 1.05, 2.05, 1.3, 0.7)]
    targets += [{"scale_factor": [factor, 1], "recompute_scale_factor": True} for factor in (2.05, 1.3, 0.7)]
    for target, mode in product(targets, ("nearest", "nearest-exact", "bilinear", "bicubic")):
        for corners in (None, True, False) if mode in ("bilinear", "bicubic") else (None,):
            yield {"Upsample": {**target, "mode": mode, **({} if corners is None else {"align_corners": corners})}}


SINGLE = [*_windows(), *_resamplings()]


def graph_of(layers: list[Any], size: int) -> Graph | None:
    """A network one pixel wide; None where a layer does not fit."""
    document = {"name": "drawn", "input": [1, size, 1], "stages": {"all": layers}}
    try:
        return build_graph(parse_spec(to_yaml(document), "drawn.yaml"))
    except GnetError:
        return None


def test_every_window_with_every_argument() -> None:
    """Alone, and behind a convolution of stride 2 and before one of kernel 3."""
    before = {"Conv2d": {"out_channels": 1, "kernel_size": [3, 1], "stride": [2, 1], "padding": [1, 0]}}
    behind = {"Conv2d": {"out_channels": 1, "kernel_size": [3, 1], "padding": [1, 0]}}
    exact: defaultdict[str, int] = defaultdict(int)
    bounds: defaultdict[str, int] = defaultdict(int)
    for layer in SINGLE:
        (kind,) = layer
        for layers, size in (([layer], 12), ([layer], 13), ([before, layer, behind], 26), ([layer, layer], 25)):
            graph = graph_of(layers, size)
            if graph is not None:
                told, bound, _ = check_fields(graph)
                exact[kind] += told
                bounds[kind] += bound
    assert set(exact) == {"Conv2d", "MaxPool2d", "AvgPool2d", "ConvTranspose2d", "AdaptiveAvgPool2d", "Upsample"}
    # Bounds are what the rules of each class say: dilated or gappy transposed kernels, bicubic on a broken grid, a pool
    # of a broken grid twice over.
    assert not any(bounds[kind] for kind in ("Conv2d", "MaxPool2d", "AvgPool2d"))
    assert all(exact[kind] > bounds[kind] for kind in exact)


SIZE = 24
# What a branch may be made of: less than every layer, in ways that meet in size.
PIECES = [
    layer
    for layer in SINGLE
    if (graph := graph_of([layer], SIZE)) is not None and 3 <= graph.nodes[-1].output_shape[2] <= 2 * SIZE
]


def _output_size(layers: tuple[Layer, ...], size: int) -> int:
    for layer in layers:
        ((kind, arguments),) = layer.items()
        kinds = VOCABULARY[kind].parameters()
        op = VOCABULARY[kind](**{name: kinds[name].kind.read(value) for name, value in arguments.items()})
        try:
            size = op.output_shape(((1, 1, size, 1),))[2]
        except GnetError:
            return 0
    return size


def _branches() -> dict[int, list[tuple[Layer, ...]]]:
    """Branches of up to two layers, by the size they give."""
    found: defaultdict[int, list[tuple[Layer, ...]]] = defaultdict(list)
    for layers in [(), *((layer,) for layer in PIECES), *zip(PIECES[::3], reversed(PIECES[::3]), strict=True)]:
        size = _output_size(layers, SIZE)
        if size >= 3:
            found[size].append(layers)
    # Sizes that one kind of layer gives alone are no meeting.
    return {size: layers for size, layers in found.items() if len(layers) > 10}


BRANCHES = _branches()


@st.composite
def unaligned(draw: Draw) -> list[Any]:
    """Branches of one size that lie anywhere, once or twice over, with windows behind them."""
    layers: list[Any] = []
    size = draw(st.sampled_from(sorted(BRANCHES)))
    branches = [list(draw(st.sampled_from(BRANCHES[size]))) for _ in range(draw(st.integers(2, 3)))]
    layers.append({draw(st.sampled_from(("concat", "add"))): branches})
    layers.extend(draw(st.lists(st.sampled_from(PIECES), max_size=2)))
    if draw(st.booleans()):
        kernels = [draw(st.sampled_from((1, 3, 5))) for _ in range(2)]
        same = [[{"Conv2d": {"out_channels": 1, "kernel_size": [kernel, 1], "padding": "same"}}] for kernel in kernels]
        layers.append({"concat": [*same, [{"MaxPool2d": {"kernel_size": [3, 1], "stride": 1, "padding": [1, 0]}}]]})
    return layers


@examples(at_least(100))
@given(unaligned())
def test_branches_that_are_not_aligned(layers: list[Any]) -> None:
    """The hull of all branches, whichever begins first and whichever ends last; a bound is never said to be exact."""
    graph = graph_of(layers, SIZE)
    if graph is not None:
        check_fields(graph)


@examples(100)
@given(specs(faults=False))
def test_fields_of_specs_that_use_the_whole_language(document: Document) -> None:
    """Both axes, whatever layers there are."""
    try:
        graph = build_graph(parse_spec(to_yaml(document), "drawn.yaml"))
    except GnetError:
        return
    check_fields(graph)


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        # More outputs than inputs, of which the last see padding alone.
        ([{"Conv2d": {"out_channels": 1, "kernel_size": [3, 1]}}, {"Pad": {"multiple": 8}}], 16),
        # All of them lie in padding.
        (
            [
                {"Conv2d": {"out_channels": 1, "kernel_size": 1, "stride": [13, 1], "padding": [1, 0]}},
                {"Identity": {}},
            ],
            2,
        ),
        # One axis merged with one of a single position is there as it was.
        ([{"Unsqueeze": {"dim": 3}}, {"Flatten": {"start_dim": 3}}], 12),
    ],
)
def test_fields_behind_padding_and_behind_axes_of_one_position(layers: list[Layer], count: int) -> None:
    """Each output has its place, and none sees less than nothing."""
    graph = graph_of(layers, 12)
    assert graph is not None
    check_fields(graph)
    field = receptive_fields(graph)[graph.output]
    assert field is not None
    assert field.axes is not None
    assert field.axes[0].count == count
    assert field.axes[0].clipped >= 0


def test_the_pool_beside_the_convolution_moves_the_field() -> None:
    """A convolution that looks one pixel ahead of the image, and a pool without padding: 4 pixels, not 3."""
    branches = (
        "{a: {Conv2d: {out_channels: 1, kernel_size: 3, stride: 2, padding: 1}}}",
        "{b: {MaxPool2d: {kernel_size: 3, stride: 2, ceil_mode: true}}}",
    )
    for order in (branches, branches[::-1]):
        text = f"name: x\ninput: [1, 14, 14]\nstages: {{s: {{x: {{concat: [{', '.join(order)}]}}}}}}"
        graph = build_graph(parse_spec(text))
        layers = {layer.name: layer for layer in summarize(graph).layers}
        joined = layers["x"]
        assert (joined.receptive_field, joined.offset, joined.jump) == ((4, 4), (-1, -1), (2, 2))
        assert joined.receptive_field_status == "exact"
        assert (layers["a"].offset, layers["b"].offset) == ((-1, -1), (0, 0))
        # By gradient: output 3 sees the inputs 5 to 8.
        assert gradient_hull(graph, 3) == ((5, 5), (8, 8))


def gradient_hull(graph: Graph, index: int) -> tuple[Span, Span]:
    """The first and last input, along both axes, of one output of the built network, averages in place of maxima."""
    net = build_module(graph, dtype=torch.float64)
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.1)
    for name, child in net.named_children():
        if isinstance(child, nn.MaxPool2d):
            average = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
            net.add_module(name, average)
    x = torch.zeros(graph.input_shape, dtype=torch.float64, requires_grad=True)
    (reached,) = torch.autograd.grad(net(x)[0, :, index, index].sum(), x)
    rows, columns = torch.nonzero(reached.sum((0, 1)), as_tuple=True)
    return (int(rows.min()), int(columns.min())), (int(rows.max()), int(columns.max()))
