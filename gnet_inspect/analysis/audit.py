"""The published figures of a spec against the exact ones.

Four verdicts: "agrees" (within the printed rounding), "close" (within 5 %), "erratum" (the spec explains it) and
"disagrees". A figure that agrees stays so although an erratum of its row explains another one.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

from gnet_inspect.analysis.depth import depths, weight_layers
from gnet_inspect.analysis.summary import SCHEMA_VERSION
from gnet_inspect.analysis.verification import AuditRow, AuditSource, Check, Verification
from gnet_inspect.errors import SpecError, nearest
from gnet_inspect.graph import Graph, Node, build_graph
from gnet_inspect.ops import WEIGHTED
from gnet_inspect.spec import Spec, catalogue, load_spec
from gnet_inspect.spec.model import Claim, Figure, Published, Row

CLOSE_PERCENT = 5.0
# Of all rows together: a layer that several of them cover counts for each.
MOST_COVERED = 1_000_000


def audit(spec: Spec) -> tuple[AuditRow, ...]:
    """Every published row, total and claim of the spec, judged on it as it is, at its own input.

    Rows may name the layers of heads too; totals and claims are about the network without them. Raises SpecError for
    rows that name what is not there.
    """
    return _Auditor(spec, build_graph(spec, mode="train" if spec.heads else "eval")).rows()


def verification_of(
    spec: Spec, graph: Graph, figures: tuple[AuditRow, ...], checks: Sequence[Check] = ()
) -> Verification:
    """What a verification of a graph found: the checks that were run on it, and the audit of its spec's figures."""
    ok = all(check.ok is not False for check in checks) and all(row.verdict != "disagrees" for row in figures)
    return Verification(SCHEMA_VERSION, graph.model, ok, tuple(checks), figures, graph.overrides, audited_sources(spec))


def audited_sources(spec: Spec) -> tuple[AuditSource, ...]:
    """The sources whose figures are to be read in a way of their own, and how."""
    return tuple(
        AuditSource(item.source, item.params_are, dict(item.units), item.note)
        for item in spec.published
        if item.units or item.note or (item.params_are == "weights" and (item.rows or item.totals))
    )


def check_published(spec: Spec, graph: Graph) -> None:
    """Raise SpecError where a published row names a node that is not there, or a claim writes out what is no network.

    `graph` has the heads of the spec, too.
    """
    auditor = _Auditor(spec, graph)
    for published in spec.published:
        for row in published.rows:
            auditor.nodes_of(row)
        for claim in published.claims:
            for side in (claim.of, claim.to):
                if isinstance(side, Spec):
                    build_graph(side)


def verdict_of(figure: Figure, exact: float, erratum: str) -> str:
    """How a printed figure stands to the exact one."""
    if abs(figure.value - exact) <= figure.rounding:
        return "agrees"
    if erratum:
        return "erratum"
    deviation = _deviation(figure.value, exact)
    return "close" if deviation is not None and abs(deviation) <= CLOSE_PERCENT else "disagrees"


def _deviation(published: float, exact: float) -> float | None:
    """In percent of the exact figure; None where that is 0."""
    return round(100 * (published / exact - 1), 3) if exact else None


class _Auditor:
    """One spec's figures beside what is counted; `whole` is its graph with heads."""

    def __init__(self, spec: Spec, whole: Graph) -> None:
        self.spec, self.whole = spec, whole
        # The places of the nodes of every layer, block and list, by its name.
        self._members: dict[str, list[int]] = {}
        for index, node in enumerate(whole.nodes):
            for path in (*node.scopes(), node.name):
                self._members.setdefault(path, []).append(index)
        self._nodes: dict[str, tuple[Node, ...]] = {}
        self._sums: dict[tuple[str, str], int] = {}
        self._covered = 0

    @cached_property
    def _catalogue(self) -> frozenset[str]:
        return frozenset(catalogue())

    def rows(self) -> tuple[AuditRow, ...]:
        graph = build_graph(self.spec) if self.spec.heads else self.whole
        self._nodes[self.spec.name] = graph.nodes
        rows: list[AuditRow] = []
        for published in self.spec.published:
            for row in published.rows:
                nodes = self.nodes_of(row)
                rows += _judge_row(published, row, ", ".join(row.nodes), nodes, _depth)
            if published.totals:
                rows += _judge_row(
                    published, published.totals, "total", list(graph.nodes), lambda _: weight_layers(graph)
                )
            rows += [self._judge_claim(published, claim) for claim in published.claims]
        return tuple(rows)

    def nodes_of(self, row: Row) -> list[Node]:
        """The nodes a row covers, in execution order."""
        chosen: set[int] = set()
        for name in row.nodes:
            members = self._members.get(name)
            if members is None:
                known = {name.partition(".")[0] for name in self._members}
                fact = f"expected the name of a layer or block in `nodes`, got `{name}`"
                raise self._error(row, fact, nearest(name, known))
            self._covered += len(members)
            if self._covered > MOST_COVERED:
                fact = f"expected published rows that cover at most {MOST_COVERED:,} layers together, got more"
                raise self._error(row, fact)
            if not chosen.isdisjoint(members):
                raise self._error(row, f"expected each layer once in `nodes`, got those of `{name}` again")
            chosen.update(members)
        return [self.whole.nodes[index] for index in sorted(chosen)]

    def _error(self, row: Row, fact: str, hint: str = "") -> SpecError:
        return SpecError(fact, file=self.spec.file, line=row.line, path=f"{row.path}.nodes", hint=hint)

    def _judge_claim(self, published: Published, claim: Claim) -> AuditRow:
        """ "12 x fewer parameters than AlexNet": a ratio between two models, or between two networks written out."""
        names = [side if isinstance(side, str) else side.name for side in (claim.of, claim.to)]
        of, to = (self._total(side, claim.ratio) for side in (claim.of, claim.to))
        label, what = " / ".join(names), f"{claim.ratio} ratio"
        printed = claim.value.printed
        if of is None or to is None:
            reason = f"no model {names[0] if of is None else names[1]} in the catalogue"
            return AuditRow(published.source, label, what, printed, None, None, "not run", reason)
        if to == 0:
            reason = f"{names[1]} has no {claim.ratio}"
            return AuditRow(published.source, label, what, printed, None, None, "disagrees", reason)
        return _judged(published, label, what, claim.value, of / to, claim.erratum, claim.note)

    def _total(self, side: str | Spec, what: str) -> int | None:
        """A sum over a network; those of the catalogue are built once, however many claims name them."""
        if isinstance(side, Spec):
            return _sum(build_graph(side).nodes, what)
        if side not in self._nodes:
            if side not in self._catalogue:
                return None
            self._nodes[side] = build_graph(load_spec(side)).nodes
        if (side, what) not in self._sums:
            self._sums[side, what] = _sum(self._nodes[side], what)
        return self._sums[side, what]


def _sum(nodes: Sequence[Node], what: str) -> int:
    return sum(node.params if what == "params" else node.macs for node in nodes)


def _judge_row(
    published: Published, row: Row, label: str, nodes: list[Node], depth: Callable[[list[Node]], int]
) -> list[AuditRow]:
    exact = {
        "params": lambda: sum(_params(node, published.params_are) for node in nodes),
        "macs": lambda: sum(node.macs for node in nodes),
        "depth": lambda: depth(nodes),
    }
    return [
        _judged(published, label, what, figure, exact[what](), row.erratum, row.note)
        for what, figure in row.figures.items()
    ]


def _judged(
    published: Published, label: str, what: str, figure: Figure, exact: float, erratum: str, note: str
) -> AuditRow:
    verdict = verdict_of(figure, exact, erratum)
    said = erratum if verdict == "erratum" else note
    return AuditRow(
        published.source, label, what, figure.printed, exact, _deviation(figure.value, exact), verdict, said
    )


def _params(node: Node, params_are: str) -> int:
    """Parameters as the source counts them: "weights" leaves out biases and BatchNorm's affine pair."""
    if params_are == "parameters":
        return node.params
    if not isinstance(node.op, WEIGHTED):
        return 0
    return node.params - (node.output_shape[1] if node.op.bias else 0)


def _depth(nodes: list[Node]) -> int:
    """Weight layers on the longest path through these nodes."""
    return max(depths(nodes).values())
