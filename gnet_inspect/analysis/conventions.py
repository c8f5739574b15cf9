"""Graph -> FlopCounts: one network counted as each of the tools people use counts it.

By how much a tool differs from the MACs of a layer, and why, its op says (`Op.differences`): columns are MACs plus
differences, and what explains a column is the sum of its own terms. A tool of which the op says nothing counts what is
not known. The numbers are those that the tool prints when it runs the module that `build_module` builds, as
docs/counting.md says; tests run every tool.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from math import prod

from msgspec import Struct

from gnet_inspect.analysis.gradients import backward_pass, needed_nodes
from gnet_inspect.analysis.memory import may_lie_otherwise
from gnet_inspect.analysis.summary import Coverage, coverage_of
from gnet_inspect.display import Shown, network_words
from gnet_inspect.graph import Graph, Node, as_graph
from gnet_inspect.ops import TOOLS, Shape, Shapes, Term, Terms
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.units import count, sum_known


class KindFlops(Struct, frozen=True):
    """All layers of one kind, as each tool counts them; None where that is not known, of a tool or of MACs."""

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
    """The whole network: what each tool prints, None where that is not known. `count` is the number of layers; `macs`
    lack what nobody can count."""

    count: int
    macs: int
    torch: int | None
    fvcore: int | None
    torchinfo: int | None
    ptflops_pytorch: int | None
    ptflops_aten: int | None
    thop: int | None


class FlopDifference(Struct, frozen=True):
    """One reason why a tool's total is not MACs, and by how much."""

    tool: str
    why: str
    amount: int


class FlopCounts(Shown, Struct, frozen=True, omit_defaults=True):
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
    # All inputs by their names; JSON has the key where there are several.
    inputs: Mapping[str, Shape] = {}
    # What the backward pass takes beside MACs, and whether that is "exact" or a "bound"; JSON has the keys in training
    # mode.
    backward_macs: int | None = None
    backward_flops: int | None = None
    backward_status: str | None = None

    def _brief(self) -> str:
        least = "at least " if self.coverage.unknown else ""
        kinds = f"{least}{count(self.totals.macs)} MACs in {len(self.kinds)} kinds of layers"
        return f"{network_words(self.model, self.overrides, self.input, self.mode)}: {kinds}"


class Convention(Struct, frozen=True):
    """One tool: the key of its column, its name, and the version whose numbers these are.

    - torch: torch.utils.flop_counter.FlopCounterMode; a multiplication and an addition are two, nothing else counts.
    - fvcore: FlopCountAnalysis.total(), operators of a trace, one for each MAC.
    - torchinfo: total_mult_adds, parameters times the positions they are used at.
    - ptflops pytorch: forward hooks on modules and patches of torch.nn.functional; what a module with a hook computes
      by a patched function is counted by both.
    - ptflops aten: matrix products and convolutions as torch dispatches them, with their biases.
    - thop: profile, forward hooks on the classes it knows.

    Tools that put a module into eval mode before they run it never run its heads, and a trace leaves out what no output
    needs.
    """

    key: str
    name: str
    version: str
    runs_heads: bool = True
    runs_unread: bool = True


# In the order of the columns.
CONVENTIONS = (
    Convention("torch", "torch", "2.13.0"),
    Convention("fvcore", "fvcore", "0.1.5.post20221221", runs_unread=False),
    Convention("torchinfo", "torchinfo", "1.8.0"),
    Convention("ptflops_pytorch", "ptflops pytorch", "0.7.5", runs_heads=False),
    Convention("ptflops_aten", "ptflops aten", "0.7.5", runs_heads=False),
    Convention("thop", "thop", "0.1.1.post2209072238", runs_heads=False),
)
assert tuple(convention.key for convention in CONVENTIONS) == TOOLS


# --- the counts ---


def count_flops(network: object, inputs: object = None) -> FlopCounts:
    """A Graph as each tool counts it, by kind of layer; or a torch module that is called with `inputs`, as `summarize`
    takes them.

    >>> from gnet_inspect import build_graph, load_spec
    >>> totals = count_flops(build_graph(load_spec("googlenet_torchvision"))).totals
    >>> totals.torchinfo, totals.fvcore
    (1498391752, 1504878688)
    """
    graph = as_graph(network, inputs)
    rows, terms = _counted(graph)
    totals = FlopTotals(
        len(graph.nodes), sum(row.macs for row in rows), *(sum_known(row.tools[key] for row in rows) for key in TOOLS)
    )
    kinds = sorted(rows, key=lambda row: -row.macs)
    backward = backward_pass(graph)
    return FlopCounts(
        schema_version=SCHEMA_VERSION,
        model=graph.model,
        title=graph.title,
        mode=graph.mode,
        input=graph.input_shape,
        inputs=graph.named_inputs,
        kinds=tuple(row.flops() for row in kinds),
        totals=totals,
        differences=tuple(item for item in _differences(terms) if getattr(totals, item.tool) is not None),
        notes=tuple(_notes(graph, totals)),
        coverage=coverage_of(graph),
        overrides=graph.overrides,
        backward_macs=backward.macs if backward else None,
        backward_flops=2 * backward.macs if backward else None,
        backward_status=backward.status if backward else None,
    )


class _Row:
    """All layers of one kind while they are counted; a tool's number is None once one of them is not known."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.count = self.macs = 0
        self.known = True
        self.tools: dict[str, int | None] = dict.fromkeys(TOOLS, 0)

    def flops(self) -> KindFlops:
        return KindFlops(self.kind, self.count, self.macs if self.known else None, *self.tools.values())


def _counted(graph: Graph) -> tuple[list[_Row], "Counter[tuple[str, str]]"]:
    """(a row for each kind of layer, in order of appearance; why each tool differs, and by how much)."""
    heads, disordered, needed = graph.head_prefixes, may_lie_otherwise(graph), needed_nodes(graph)
    rows: dict[tuple[str, bool], _Row] = {}
    terms: Counter[tuple[str, str]] = Counter()
    # Equal layers of equal shapes are asked once.
    asked: dict[tuple[int, Shapes, int, bool, bool], Mapping[str, Terms]] = {}
    for node in graph.nodes:
        known = node.macs is not None
        row = rows.setdefault((node.op.kind, known), _Row(node.op.kind))
        row.count += 1
        row.macs += node.macs or 0
        row.known = known
        key = id(node.op), node.input_shapes, node.params, bool(node.module), disordered.isdisjoint(node.inputs)
        differences = asked.get(key)
        if differences is None:
            differences = asked[key] = _asked(node, disordered)
        in_head = bool(heads) and node.name.startswith(heads)
        for tool in CONVENTIONS:
            found = differences.get(tool.key)
            if graph.run is not None:
                found = None if tool.key in graph.run.uncounted else _of_own_code(node, tool, graph.mode, found)
            if in_head and not tool.runs_heads:
                found = _not_run(node)
            elif node.name not in needed and not tool.runs_unread:
                found = _not_traced(node)
            counted = row.tools[tool.key]
            if found is None or counted is None or not known:
                row.tools[tool.key] = None
                continue
            row.tools[tool.key] = counted + (node.macs or 0) + sum(term.amount for term in found)
            for term in found:
                terms[tool.key, term.why] += term.amount
    return list(rows.values()), terms


def _asked(node: Node, disordered: Set[str]) -> Mapping[str, Terms]:
    """By how much each tool differs: tools with hooks on modules see no functions. `disordered` are the values that may
    lie in memory in another order than their sizes say."""
    known = node.op.differences(node) if node.module else node.op.differences_of_function(node)
    left = node.op.tools_by_order(node) if disordered and not disordered.isdisjoint(node.inputs) else ()
    return {tool: found for tool, found in known.items() if tool not in left} if left else known


def _of_own_code(node: Node, tool: Convention, mode: str, found: Terms | None) -> Terms | None:
    """What a tool makes of a node of a network that runs by its own code, in the mode that it was traced in.

    The layers are torch's own, which a tool may know better than those that are built here; a function may have been
    called by a name that a tool patched; and a module of the network's own may hold the weights that a function reads.
    """
    if found is None or tool.key in node.op.tools_by_code(is_function=not node.module):
        return None
    if mode == "train" and not tool.runs_heads:
        # It puts the module into eval mode, in which its code may do something else.
        return None
    trained = [weight for weight in node.held or () if weight.trained]
    if tool.key == "torchinfo" and any("weight" in item.name or "bias" in item.name for item in trained):
        return None
    # A second call of a layer holds no weights of its own.
    weights = node.op.weights(node.input_shapes) if node.module else node.weights()
    if mode == "train" and tool.key == "fvcore" and any(weight.counter for weight in weights):
        return (*found, Term("BatchNorm statistics of the batch", 3 * prod(node.input_shapes[0])))
    return found


def counted_by(tool: str, graph: Graph, nodes: Sequence[Node]) -> int:
    """What a tool prints of some nodes of a graph; what is not known of it counts as their MACs."""
    heads = graph.head_prefixes
    convention = next(found for found in CONVENTIONS if found.key == tool)
    total = 0
    for node in nodes:
        in_head = bool(heads) and node.name.startswith(heads)
        left = in_head and not convention.runs_heads
        found = _not_run(node) if left else _asked(node, frozenset()).get(tool, ())
        total += (node.macs or 0) + sum(term.amount for term in found)
    return total


def _differences(terms: "Counter[tuple[str, str]]") -> list[FlopDifference]:
    """By tool, what it adds most of first; what cancels out explains nothing."""
    found = [FlopDifference(tool, why, amount) for (tool, why), amount in terms.items() if amount]
    return sorted(found, key=lambda item: (TOOLS.index(item.tool), -item.amount))


def _not_run(node: Node) -> Terms:
    """A head where a tool puts the module into eval mode, in which heads do not run."""
    return (Term("heads, which do not run in the eval mode it sets", -(node.macs or 0)),)


def _not_traced(node: Node) -> Terms:
    """A layer that no output needs, where a tool traces the module."""
    return (Term("layers that no output needs, which a trace leaves out", -(node.macs or 0)),)


# --- what must be known to repeat a number ---


def _notes(graph: Graph, totals: FlopTotals) -> list[str]:
    notes = []
    if graph.batch > 1 and totals.ptflops_pytorch is not None:
        notes.append(
            f"ptflops: for all {graph.batch} images, given as a dict of arguments; given as a tensor, what its hooks "
            f"count is divided by {graph.batch} and what its patches count is not, which makes "
            f"{_averaged(graph, totals.ptflops_pytorch):,}"
        )
    # What counts its batches works its statistics out in training.
    norms = [node for node in graph.nodes if any(weight.counter for weight in node.weights())]
    if graph.mode == "train" and norms and totals.fvcore is not None and graph.run is None:
        notes.append(
            "BatchNorm with its statistics fixed, as verify runs it: a plain train() " + _updated(norms, totals.fvcore)
        )
    if graph.run is not None and set(TOOLS) <= set(graph.run.uncounted):
        notes.append("no tool can run what this is read of, so that nothing is known of what they would count")
    return [*notes, *graph.notes]


def _updated(norms: list[Node], fvcore: int) -> str:
    """What becomes of a network whose BatchNorm works its statistics out."""
    single = [node.name for node in norms if prod(node.input_shapes[0]) == node.input_shapes[0][1]]
    if single:
        return f"updates them, which torch refuses for the single value per channel of {single[0]}"
    return f"updates them, which fvcore counts as {fvcore + 3 * sum(prod(node.input_shapes[0]) for node in norms):,}"


def _averaged(graph: Graph, total: int) -> int:
    """What ptflops's pytorch backend prints for a batch that it sees as one."""
    heads = graph.head_prefixes
    patched = sum(
        term.amount
        for node in graph.nodes
        if not (heads and node.name.startswith(heads))
        for term in _asked(node, frozenset()).get("ptflops_pytorch", ())
        if term.patched
    )
    return (total - patched) // graph.batch + patched
