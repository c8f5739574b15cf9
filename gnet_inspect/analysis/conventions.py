"""Graph -> FlopCounts: one network counted as each of the tools people use counts it.

A tool's rule says of a layer by how much that tool differs from its MACs, and why: columns are MACs plus differences,
and what explains a column is the sum of its own terms. The numbers are those that the tool prints when it runs the
module that `build_module` builds, as docs/counting.md says; tests run every tool.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from math import prod

from msgspec import Struct

from gnet_inspect.analysis.summary import SCHEMA_VERSION, Coverage, coverage_of
from gnet_inspect.errors import expect
from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops import Shape
from gnet_inspect.ops.convolution import Conv2d, ConvTranspose2d, Linear
from gnet_inspect.ops.elementwise import (
    GELU,
    BatchNorm2d,
    LeakyReLU,
    LocalResponseNorm,
    ReLU,
    ReLU6,
    SiLU,
    Softmax,
)
from gnet_inspect.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from gnet_inspect.ops.resampling import Upsample

# (why, by how much) a tool's number differs from MACs.
Terms = tuple[tuple[str, int], ...]
NOTHING: Terms = ()


class KindFlops(Struct, frozen=True):
    """All layers of one kind, as each tool counts them; None for a kind that nobody can count."""

    kind: str
    count: int
    macs: int | None
    torch: int | None
    fvcore: int | None
    torchinfo: int | None
    ptflops_pytorch: int | None
    ptflops_aten: int | None
    thop: int | None


class FlopTotals(Struct, frozen=True):
    """The whole network: what each tool prints. `count` is the number of layers."""

    count: int
    macs: int
    torch: int
    fvcore: int
    torchinfo: int
    ptflops_pytorch: int
    ptflops_aten: int
    thop: int


class FlopDifference(Struct, frozen=True):
    """One reason why a tool's total is not MACs, and by how much."""

    tool: str
    why: str
    amount: int


class FlopCounts(Struct, frozen=True, omit_defaults=True):
    """What `flops --format json` prints; kinds by MACs, the largest first, and in order of appearance where equal."""

    schema_version: int
    model: str
    title: str
    mode: str
    input: Shape
    kinds: tuple[KindFlops, ...]
    totals: FlopTotals
    differences: tuple[FlopDifference, ...]
    # What a reader must know to get the same numbers from the tools.
    notes: tuple[str, ...]
    coverage: Coverage
    # The edits made to the model; JSON has the key where there are any.
    overrides: tuple[str, ...] = ()


class Convention(Struct, frozen=True):
    """One tool: the key of its column, its name, the version whose rule this is, and the rule.

    Tools that put a module into eval mode before they run it never run its heads.
    """

    key: str
    name: str
    version: str
    rule: Callable[[Node], Terms]
    runs_heads: bool = True


# --- one rule for each tool ---


def torch_rule(node: Node) -> Terms:
    """torch.utils.flop_counter.FlopCounterMode, torch 2.13: a multiplication and an addition are two, nothing else."""
    return _terms("the addition of each MAC is one more", node.macs)


def fvcore_rule(node: Node) -> Terms:
    """fvcore 0.1.5.post20221221, FlopCountAnalysis.total(): operators of a trace, one for each MAC.

    Batch norm counts each element once, and once more with an affine pair; three more where it has to work out its
    statistics. Adaptive pools count their inputs, Upsample its outputs (bilinear four times; other modes are unknown).
    A padding in words ("same") makes another operator of a convolution, which is not known and counts nothing.
    """
    match node.op:
        case Conv2d(padding=str()):
            return _terms("convolutions with a padding in words are not known", -node.macs)
        case BatchNorm2d(affine=affine, track_running_stats=True):
            return _times(1 + affine, "BatchNorm elements", _inputs(node))
        case BatchNorm2d(affine=affine):
            return _times(4 + affine, "BatchNorm elements without running statistics", _inputs(node))
        case AdaptiveAvgPool2d():
            return _terms("inputs of adaptive pools", _inputs(node))
        case Upsample(mode=mode):
            return _times({"nearest": 1, "bilinear": 4}.get(mode, 0), "outputs of Upsample", prod(node.output_shape))
    return NOTHING


def torchinfo_rule(node: Node) -> Terms:
    """torchinfo 1.8.0, total_mult_adds: parameters times the positions they are used at.

    A bias so counts once for each output, and a transposed convolution's weight once for each position of the output,
    where it is used once for each of the input; of BatchNorm2d, whose positions it takes no notice of, the affine pair
    counts once for each image.
    """
    match node.op:
        case Conv2d(bias=True) | Linear(bias=True):
            return _terms("biases", prod(node.output_shape))
        case ConvTranspose2d(bias=bias):
            return _at_outputs(node) + _terms("biases", bias * prod(node.output_shape))
        case BatchNorm2d():
            return _terms("BatchNorm parameters, once for each image", node.params * node.output_shape[0])
    return NOTHING


def ptflops_pytorch_rule(node: Node) -> Terms:
    """ptflops 0.7.5, backend "pytorch": forward hooks on modules, and patches of torch.nn.functional.

    What a module with a hook computes by a patched function is counted by both: ReLU, GELU, Upsample and every pool
    twice.
    """
    return _hooked(node) + _patched(node)


def _hooked(node: Node) -> Terms:
    """What ptflops's hooks add: biases, BatchNorm (twice with an affine pair), activations, the inputs of pools, and
    the outputs of Upsample for the first image of a batch."""
    match node.op:
        case Conv2d(bias=True) | ConvTranspose2d(bias=True) | Linear(bias=True):
            return _terms("biases", prod(node.output_shape))
        case Upsample():
            return _terms("Upsample as a module", prod(node.output_shape[1:]))
        case BatchNorm2d(affine=affine):
            return _times(1 + affine, "BatchNorm elements", _inputs(node))
        case ReLU() | ReLU6() | LeakyReLU() | GELU():
            return _terms("activations as modules", _inputs(node))
        case MaxPool2d() | AvgPool2d() | AdaptiveAvgPool2d():
            return _terms("pools as modules", _inputs(node))
    return NOTHING


def _patched(node: Node) -> Terms:
    """What ptflops's patched functions add: their inputs, and of F.interpolate the outputs, for which it cuts a factor
    to an integer. F.hardtanh, which ReLU6 runs, and F.leaky_relu are not patched; Sigmoid and Tanh are not functions of
    torch.nn.functional."""
    match node.op:
        case ReLU() | GELU() | SiLU() | Softmax():
            return _terms("activations as functions", _inputs(node))
        case MaxPool2d() | AvgPool2d() | AdaptiveAvgPool2d():
            return _terms("pools as functions", _inputs(node))
        case Upsample(size=size, scale_factor=factor):
            axes = [int(along) for along in factor] if factor else list(size or ())
            places = _inputs(node) if factor else prod(node.output_shape[:2])
            return _terms("Upsample as a function", places * prod(axes))
        case LocalResponseNorm(size=size):
            batch, channels, height, width = node.input_shapes[0]
            # x.mul(x), the three-dimensional average pool over padded channels, .mul(alpha) and .add(k).
            pooled = batch * (channels + size - 1) * height * width
            return _terms("functions that LocalResponseNorm calls", 3 * _inputs(node) + pooled)
    return NOTHING


def ptflops_aten_rule(node: Node) -> Terms:
    """ptflops 0.7.5, backend "aten": matrix products and convolutions as torch dispatches them, with their biases."""
    match node.op:
        case Conv2d(bias=True) | ConvTranspose2d(bias=True) | Linear(bias=True):
            return _terms("biases", prod(node.output_shape))
    return NOTHING


def thop_rule(node: Node) -> Terms:
    """thop 0.1.1, profile: forward hooks on the classes it knows.

    Batch norm counts twice its elements, and twice that with an affine pair; average pools their outputs; adaptive ones
    the area of a mean window and 1 for each output, in double precision, cut to an integer for each layer. Upsample
    counts what it takes an output to be made of, as far as the mode is known. A transposed convolution is taken for a
    plain one, whose every output sees the whole kernel.
    """
    match node.op:
        case ConvTranspose2d():
            return _at_outputs(node)
        case Upsample(mode=mode):
            factor = {"nearest": 1, "bilinear": 11, "bicubic": 259}.get(mode, 0)
            return _times(factor, "outputs of Upsample", prod(node.output_shape))
        case BatchNorm2d(affine=affine):
            return _times(2 + 2 * affine, "BatchNorm elements", _inputs(node))
        case AvgPool2d():
            return _terms("outputs of average pools", prod(node.output_shape))
        case AdaptiveAvgPool2d():
            (_, _, height, width), (_, _, rows, columns) = node.input_shapes[0], node.output_shape
            area = (height / rows) * (width / columns)
            return _terms("outputs of adaptive pools x (window + 1)", int((area + 1) * prod(node.output_shape)))
        case Softmax(dim=dim):
            # An exponential, an addition and a division for each element; the first needs no addition.
            return _terms("Softmax", 3 * _inputs(node) - _inputs(node) // node.input_shapes[0][dim])
    return NOTHING


def _at_outputs(node: Node) -> Terms:
    """What a transposed convolution counts where its weights are multiplied at each position of the output."""
    made, read = (prod(shape[2:]) for shape in (node.output_shape, node.input_shapes[0]))
    return _terms("transposed convolutions by their outputs", node.macs * made // read - node.macs)


def _inputs(node: Node) -> int:
    return prod(node.input_shapes[0])


def _terms(why: str, amount: int) -> Terms:
    return ((why, amount),) if amount else NOTHING


def _times(factor: int, what: str, elements: int) -> Terms:
    return _terms(what if factor == 1 else f"{factor} x {what}", factor * elements)


# In the order of the columns.
CONVENTIONS = (
    Convention("torch", "torch", "2.13.0", torch_rule),
    Convention("fvcore", "fvcore", "0.1.5.post20221221", fvcore_rule),
    Convention("torchinfo", "torchinfo", "1.8.0", torchinfo_rule),
    Convention("ptflops_pytorch", "ptflops pytorch", "0.7.5", ptflops_pytorch_rule, runs_heads=False),
    Convention("ptflops_aten", "ptflops aten", "0.7.5", ptflops_aten_rule, runs_heads=False),
    Convention("thop", "thop", "0.1.1.post2209072238", thop_rule, runs_heads=False),
)
TOOLS = tuple(convention.key for convention in CONVENTIONS)


# --- the counts ---


def count_flops(graph: Graph) -> FlopCounts:
    """A graph as each tool counts it, by kind of layer.

    >>> from gnet_inspect import build_graph, load_spec
    >>> totals = count_flops(build_graph(load_spec("googlenet_torchvision"))).totals
    >>> totals.torchinfo, totals.fvcore
    (1498391752, 1504878688)
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    heads = graph.head_prefixes
    rows: dict[tuple[str, bool], Counter[str]] = {}
    terms: Counter[tuple[str, str]] = Counter()
    for node in graph.nodes:
        row = rows.setdefault((node.op.kind, node.op.counted), Counter())
        row["count"] += 1
        if not node.op.counted:
            continue
        row["macs"] += node.macs
        in_head = node.name.startswith(heads)
        for tool in CONVENTIONS:
            row[tool.key] += node.macs
            for why, amount in _differing(tool, node, in_head):
                row[tool.key] += amount
                terms[tool.key, why] += amount
    known = [row for (_, counted), row in rows.items() if counted]
    totals = FlopTotals(len(graph.nodes), *(sum(row[key] for row in known) for key in ("macs", *TOOLS)))
    kinds = sorted(rows.items(), key=lambda item: -item[1]["macs"])
    return FlopCounts(
        schema_version=SCHEMA_VERSION,
        model=graph.model,
        title=graph.title,
        mode=graph.mode,
        input=graph.input_shape,
        kinds=tuple(_kind(kind, row, counted) for (kind, counted), row in kinds),
        totals=totals,
        differences=tuple(_differences(terms)),
        notes=tuple(_notes(graph, totals)),
        coverage=coverage_of(graph),
        overrides=graph.overrides,
    )


def counted_by(tool: str, graph: Graph, nodes: Iterable[Node]) -> int:
    """What one tool of TOOLS counts for some nodes of a graph."""
    (convention,) = (item for item in CONVENTIONS if item.key == tool)
    heads = graph.head_prefixes
    return sum(
        node.macs + sum(amount for _, amount in _differing(convention, node, node.name.startswith(heads)))
        for node in nodes
    )


def _differing(tool: Convention, node: Node, in_head: bool) -> Terms:
    return _not_run(node) if in_head and not tool.runs_heads else tool.rule(node)


def _kind(kind: str, row: "Counter[str]", counted: bool) -> KindFlops:
    numbers = [row[key] if counted else None for key in ("macs", *TOOLS)]
    return KindFlops(kind, row["count"], *numbers)


def _differences(terms: "Counter[tuple[str, str]]") -> list[FlopDifference]:
    """By tool, what it adds most of first; what cancels out explains nothing."""
    found = [FlopDifference(tool, why, amount) for (tool, why), amount in terms.items() if amount]
    return sorted(found, key=lambda item: (TOOLS.index(item.tool), -item.amount))


def _not_run(node: Node) -> Terms:
    """A head where a tool puts the module into eval mode, in which heads do not run."""
    return _terms("heads, which do not run in the eval mode it sets", -node.macs)


# --- what must be known to repeat a number ---


def _notes(graph: Graph, totals: FlopTotals) -> list[str]:
    notes = []
    batch = graph.input_shape[0]
    if batch > 1:
        notes.append(
            f"ptflops: for all {batch} images, given as a dict of arguments; given as a tensor, what its hooks count "
            f"is divided by {batch} and what its patches count is not, which makes "
            f"{_averaged(graph, totals.ptflops_pytorch):,}"
        )
    norms = [node for node in graph.nodes if isinstance(node.op, BatchNorm2d) and node.op.track_running_stats]
    if graph.mode == "train" and norms:
        notes.append(
            f"BatchNorm with its statistics fixed, as verify runs it: a plain train() {_updated(norms, totals)}"
        )
    return notes


def _updated(norms: list[Node], totals: FlopTotals) -> str:
    """What becomes of a network whose BatchNorm works its statistics out."""
    single = [node.name for node in norms if _inputs(node) == node.input_shapes[0][1]]
    if single:
        return f"updates them, which torch refuses for the single value per channel of {single[0]}"
    return f"updates them, which fvcore counts as {totals.fvcore + 3 * sum(map(_inputs, norms)):,}"


def _averaged(graph: Graph, total: int) -> int:
    """What ptflops's pytorch backend prints for a batch that it sees as one."""
    heads = graph.head_prefixes
    patched = sum(amount for node in graph.nodes if not node.name.startswith(heads) for _, amount in _patched(node))
    return (total - patched) // graph.input_shape[0] + patched
