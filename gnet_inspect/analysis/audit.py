"""The published figures of a spec against the exact ones.

Five verdicts: "agrees" (within the printed rounding; a shape exactly), "close" (within 5 %), "erratum" (the spec
explains why the figure is wrong), "variant" (the spec says which other network it is right for) and "disagrees". A
figure that agrees stays so although an erratum of its row explains another one.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from gnet_inspect.analysis.quantities import Counted, exact_count, smallest_input
from gnet_inspect.errors import SpecError, nearest
from gnet_inspect.graph import Graph, Node
from gnet_inspect.language import Spec, catalogue, load_spec
from gnet_inspect.language.model import Claim, Figure, Published, Row, Said
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.verification import AuditRow, AuditSource, Check, Verification
from gnet_inspect.sources.spec import build_graph, edit_texts
from gnet_inspect.sources.spec.expand import MAX_NODES
from gnet_inspect.sources.spec.overrides import LABEL, OverrideError
from gnet_inspect.units import dimensions

CLOSE_PERCENT = 5.0
# Networks of `published` beside the spec's own: each of them is built.
MOST_NETWORKS = 32
# Of all rows and totals together: a layer that several of them cover counts for each.
MOST_COVERED = 1_000_000


def audit(spec: Spec) -> tuple[AuditRow, ...]:
    """Every published row, total and claim of the spec, judged on the network that its entry names: by default the
    spec as it is, at its own input.

    Rows may name the layers of heads too; totals and claims are about the network without them, unless the entry's mode
    is "train". Raises SpecError for rows that name what is not there, and for edits that meet nothing.
    """
    return _Auditor(spec, build_graph(spec, mode=_widest(spec))).rows()


def verification_of(
    spec: Spec | None, graph: Graph, figures: tuple[AuditRow, ...], checks: Sequence[Check] = ()
) -> Verification:
    """What a verification of a graph found: the checks that were run on it, and the audit of its spec's figures, where
    it has one."""
    ok = all(check.ok is not False for check in checks) and all(row.verdict != "disagrees" for row in figures)
    sources = audited_sources(spec) if spec else ()
    return Verification(SCHEMA_VERSION, graph.model, ok, tuple(checks), figures, graph.overrides, sources)


def audited_sources(spec: Spec) -> tuple[AuditSource, ...]:
    """The sources whose figures are to be read in a way of their own, and how."""
    return tuple(
        AuditSource(
            item.source,
            item.params_are,
            dict(item.units),
            item.note,
            item.macs_are,
            edit_texts(item.overrides),
        )
        for item in spec.published
        if (item.rows or item.totals or item.claims or item.note)
        and (item.units or item.note or item.overrides or _counted_otherwise(item))
    )


def _counted_otherwise(item: Published) -> bool:
    return (item.params_are, item.macs_are) != ("parameters", "multiply-accumulates")


def check_published(spec: Spec, graph: Graph) -> None:
    """Raise SpecError where a published row names a node that is not there, an entry's edits do not fit, or a claim
    compares what is not there or writes out what is no network.

    `graph` has the heads of the spec, too.
    """
    _Auditor(spec, graph).check()


def verdict_of(figure: Figure, exact: float, said: Said) -> str:
    """How a printed figure stands to the exact one."""
    if abs(figure.value - exact) <= figure.rounding:
        return "agrees"
    deviation = _deviation(figure.value, exact)
    near = deviation is not None and abs(deviation) <= CLOSE_PERCENT
    return _explained(said) or ("close" if near else "disagrees")


def _explained(said: Said) -> str:
    return "erratum" if said.erratum else "variant" if said.variant else ""


def _deviation(published: float, exact: float) -> float | None:
    """In percent of the exact figure; None where that is 0."""
    return round(100 * (published / exact - 1), 3) if exact else None


def _widest(spec: Spec) -> str:
    """The mode in which a spec has all its layers."""
    return "train" if spec.heads else "eval"


class _Network:
    """One network that figures are about: `whole` has its heads, `graph` those only where its mode is "train"."""

    def __init__(self, graph: Graph, whole: Graph) -> None:
        self.graph, self.whole = graph, whole
        # The places of the nodes of every layer, block and list, by its name.
        self.members: dict[str, list[int]] = {}
        for index, node in enumerate(whole.nodes):
            for path in (*node.scopes(), node.name):
                self.members.setdefault(path, []).append(index)
        self.smallest: int | None = None


class _Networks:
    """The networks that the entries of one spec are about, each built once."""

    def __init__(self, spec: Spec, whole: Graph) -> None:
        self.spec, self.whole = spec, whole
        self._built: dict[object, _Network] = {}
        self._layers = 0

    def of(self, published: Published) -> _Network:
        key = (repr(_plain(published)), published.mode, published.input)
        network = self._built.get(key)
        if network is None:
            network = self._built[key] = self._build(published)
        return network

    def _build(self, published: Published) -> _Network:
        if not published.overrides and published.input is None:
            eval_graph = build_graph(self.spec) if self.spec.heads and published.mode == "eval" else self.whole
            return _Network(eval_graph, self.whole)
        whole = self._graph(published, _widest(self.spec))
        self._layers += len(whole.nodes)
        if len(self._built) >= MOST_NETWORKS or self._layers > MAX_NODES:
            fact = f"expected published figures of at most {MOST_NETWORKS} networks with {MAX_NODES:,} layers together"
            raise SpecError(f"{fact}, got more", file=self.spec.file, line=published.line, path=published.path)
        graph = self._graph(published, "eval") if self.spec.heads and published.mode == "eval" else whole
        return _Network(graph, whole)

    def _graph(self, published: Published, mode: str) -> Graph:
        """The network at the input that the source states: its weights are those that it has there."""
        shape = (1, *published.input) if published.input else None
        try:
            return build_graph(self.spec, shape, overrides=_plain(published), mode=mode, resize=shape is not None)
        except OverrideError as error:
            raise self._at_edit(published, error.path, error.fact) from None
        except SpecError as error:
            if error.file == LABEL:
                raise self._at_edit(published, error.path, error.fact, error.hint) from None
            fact = f"in the network of `{published.path}`: {error.fact}"
            raise SpecError(fact, file=error.file, line=error.line, path=error.path, hint=error.hint) from None

    def _at_edit(self, published: Published, path: str, fact: str, hint: str = "") -> SpecError:
        """An error of an edit, at the place where the spec has it."""
        edited = max(
            (edit for edit in published.overrides if path == edit or path.startswith(f"{edit}.")), key=len, default=path
        )
        line = published.overrides[edited].line if edited in published.overrides else published.line
        return SpecError(fact, file=self.spec.file, line=line, path=f"{published.path}.with.{path}", hint=hint)


def _plain(published: Published) -> dict[str, Any]:
    return {path: value.plain() for path, value in published.overrides.items()}


class _Auditor:
    """One spec's figures beside what is counted; `whole` is its graph with heads."""

    def __init__(self, spec: Spec, whole: Graph) -> None:
        self.spec = spec
        self.networks = _Networks(spec, whole)
        self._models: dict[str, tuple[Node, ...]] = {}
        self._sums: dict[tuple[int, str], int] = {}
        self._covered = 0

    @cached_property
    def _catalogue(self) -> frozenset[str]:
        return frozenset(catalogue())

    def check(self) -> None:
        """Raise SpecError for what cannot be judged."""
        for published in self.spec.published:
            network = self.networks.of(published)
            for row in published.rows:
                self._nodes_of(network, row)
            if published.totals:
                self._cover(published.totals, len(network.graph.nodes))
            for claim in published.claims:
                if claim.difference:
                    self._difference(claim)
                for side in (claim.of, claim.to):
                    if isinstance(side, Spec):
                        build_graph(side)

    def rows(self) -> tuple[AuditRow, ...]:
        rows: list[AuditRow] = []
        for published in self.spec.published:
            network = self.networks.of(published)
            for row in published.rows:
                counted = Counted(published, network.whole, self._nodes_of(network, row))
                rows += _judge_row(counted, row, ", ".join(row.nodes))
            if published.totals:
                self._cover(published.totals, len(network.graph.nodes))
                counted = Counted(published, network.graph, network.graph.nodes, whole=True)
                rows += _judge_row(counted, published.totals, "total")
                rows += self._judge_smallest(network, published, published.totals)
            rows += [self._judge_claim(network, published, claim) for claim in published.claims]
        return tuple(rows)

    def _nodes_of(self, network: _Network, row: Row) -> list[Node]:
        """The nodes a row covers, in execution order."""
        chosen: set[int] = set()
        for name in row.nodes:
            members = network.members.get(name)
            if members is None:
                known = {name.partition(".")[0] for name in network.members}
                fact = f"expected the name of a layer or block in `nodes`, got `{name}`"
                raise self._error(row, "nodes", fact, nearest(name, known))
            self._cover(row, len(members))
            if not chosen.isdisjoint(members):
                raise self._error(row, "nodes", f"expected each layer once in `nodes`, got those of `{name}` again")
            chosen.update(members)
        return [network.whole.nodes[index] for index in sorted(chosen)]

    def _cover(self, row: Row, layers: int) -> None:
        self._covered += layers
        if self._covered > MOST_COVERED:
            fact = f"expected published rows and totals that cover at most {MOST_COVERED:,} layers together, got more"
            raise SpecError(fact, file=self.spec.file, line=row.line, path=row.path)

    def _error(self, part: Row | Claim, key: str, fact: str, hint: str = "") -> SpecError:
        return SpecError(fact, file=self.spec.file, line=part.line, path=f"{part.path}.{key}", hint=hint)

    def _judge_smallest(self, network: _Network, published: Published, totals: Row) -> list[AuditRow]:
        figure = totals.figures.get("min_input")
        if figure is None:
            return []
        if network.smallest is None:
            network.smallest = smallest_input(self.spec, network.graph, _plain(published)) or -1
        if network.smallest < 0:
            reason = "no square input was found that the network takes; the search is bounded"
            return [_row(published, "total", "min_input", figure.printed, None, None, "not run", reason)]
        return [_judged(published, "total", "min_input", figure, network.smallest, totals.said)]

    def _judge_claim(self, network: _Network, published: Published, claim: Claim) -> AuditRow:
        """ "12 x fewer parameters than AlexNet": a ratio between two models, or between two networks written out."""
        names = [side if isinstance(side, str) else side.name for side in (claim.of, claim.to)]
        label, printed = " / ".join(names), claim.value.printed
        if claim.difference:
            what = f"{claim.quantity} difference"
            return _judged(published, " - ".join(names), what, claim.value, self._difference(claim), claim.said)
        what = f"{claim.quantity} ratio"
        of, to = (self._total(network, side, claim.quantity) for side in (claim.of, claim.to))
        if of is None or to is None:
            reason = f"no model {names[0] if of is None else names[1]} in the catalogue"
            return _row(published, label, what, printed, None, None, "not run", reason)
        if to == 0:
            reason = f"{names[1]} has no {claim.quantity}"
            return _row(published, label, what, printed, None, None, "disagrees", reason)
        return _judged(published, label, what, claim.value, of / to, claim.said)

    def _difference(self, claim: Claim) -> float:
        """Between what two sources of the spec say; in decimals, because 6.67 - 10.07 is -3.40 there."""
        sides = []
        for key, side in (("of", claim.of), ("to", claim.to)):
            found = [
                published.accuracy[claim.quantity]
                for published in self.spec.published
                if published.source == side and published.accuracy and claim.quantity in published.accuracy
            ]
            if len(found) != 1:
                known = [item.source for item in self.spec.published if item.accuracy]
                fact = f"expected one source of this spec with a {claim.quantity}, got {len(found)} named `{side}`"
                raise self._error(claim, key, fact, nearest(str(side), known))
            sides.append(Decimal(str(found[0])))
        return float(sides[0] - sides[1])

    def _total(self, network: _Network, side: str | Spec, what: str) -> int | None:
        """A sum over a network; those of the catalogue are built once, however many claims name them."""
        if isinstance(side, Spec):
            return _sum(build_graph(side).nodes, what)
        if side == self.spec.name:
            return self._sum_of(network.graph.nodes, what)
        if side not in self._models:
            if side not in self._catalogue:
                return None
            self._models[side] = build_graph(load_spec(side)).nodes
        return self._sum_of(self._models[side], what)

    def _sum_of(self, nodes: Sequence[Node], what: str) -> int:
        # By what the networks and models kept here hold, so that an id stays what it is.
        key = id(nodes), what
        if key not in self._sums:
            self._sums[key] = _sum(nodes, what)
        return self._sums[key]


def _sum(nodes: Sequence[Node], what: str) -> int:
    return sum(node.params if what == "params" else node.macs or 0 for node in nodes)


def _judge_row(counted: Counted, row: Row, label: str) -> list[AuditRow]:
    rows = [
        _judged(counted.published, label, what, figure, exact_count(what, counted), row.said)
        for what, figure in row.figures.items()
        if what != "min_input"
    ]
    if row.output:
        exact = counted.nodes[-1].output_shape[1:]
        verdict = "agrees" if row.output == exact else _explained(row.said) or "disagrees"
        note = _words(row.said, verdict)
        rows.append(_row(counted.published, label, "output", dimensions(row.output), exact, None, verdict, note))
    return rows


def _judged(published: Published, label: str, what: str, figure: Figure, exact: float, said: Said) -> AuditRow:
    verdict, deviation = verdict_of(figure, exact, said), _deviation(figure.value, exact)
    return _row(published, label, what, figure.printed, exact, deviation, verdict, _words(said, verdict))


def _words(said: Said, verdict: str) -> str:
    return {"erratum": said.erratum, "variant": said.variant}.get(verdict, said.note)


def _row(
    published: Published,
    label: str,
    what: str,
    printed: str,
    exact: float | tuple[int, ...] | None,
    deviation: float | None,
    verdict: str,
    note: str,
) -> AuditRow:
    return AuditRow(
        published.source,
        label,
        what,
        printed,
        exact,
        deviation,
        verdict,
        note,
        edit_texts(published.overrides),
        published.mode,
        (1, *published.input) if published.input else (),
    )
