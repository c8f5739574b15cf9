"""Whether networks keep the budgets they have. The fields are the JSON contract of `check`."""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from gnet_inspect.analysis.comparison import Comparison
from gnet_inspect.analysis.summary import Summary
from gnet_inspect.budgets.config import Budget
from gnet_inspect.budgets.limits import Judged, amount_text, judge, total_names, total_of
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.ops import Shape
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.timing import Measurement, ratio_of
from gnet_inspect.units import duration

Status = Literal["kept", "broken", "unknown", "not judged"]
KEPT: Status = "kept"
BROKEN: Status = "broken"
# Nobody knows whether it is kept: that is no pass.
UNKNOWN: Status = "unknown"
# It is about what the model was, and there is no such thing.
NOT_JUDGED: Status = "not judged"

# What `change` limits the growth of.
CHANGING = ("params", "macs", "peak_activation_bytes")
LATENCY = "median_s"
_STATUSES: Mapping[bool | None, Status] = {True: KEPT, False: BROKEN, None: UNKNOWN}
# The operator with which a number can be too large, and what a bound of a number says.
_LIMITS_ABOVE = ("<=", "<", "==")
_BOUND_WORDS = {"least": "at least ", "most": "at most "}


class Where(Struct, frozen=True):
    """A place in a file, by its path from where the command runs: what a broken limit is about. `part` is the path of
    the layer or block that is written there, "" for none."""

    file: str
    line: int
    column: int = 1
    part: str = ""


class Finding(Struct, frozen=True):
    """One limit of one model, judged.

    `limit` is "change" or "latency", else the total's own name; `name` is the total by its JSON name ("median_s" of
    latency). Of `change` and `latency` the `bound` is a share in percent, of the others an amount. `value` is the total
    (None where nobody knows it) and `base` what it was, `growth` by how many percent it is more than that. `note` says
    why something is unknown or not judged, and how much a measured time scatters.
    """

    status: Status
    limit: str
    name: str
    operator: str
    bound: float
    value: int | float | None = None
    base: int | float | None = None
    growth: float | None = None
    note: str = ""
    where: Where | None = None

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.status in (KEPT, NOT_JUDGED)

    @property
    def limits_growth(self) -> bool:
        """Whether it is about what the model was."""
        return self.limit in ("change", "latency")


class Check(Struct, frozen=True):
    """One model held to one budget. `totals` are all totals that may be limited, None where one is not known; `bounds`
    says which of them are a "least" or a "most". `error` says why a model cannot be read, "" for most. `where` is the
    budget itself in its config."""

    model: str
    ok: bool
    input: Shape = ()
    mode: str = "eval"
    dtype: str = "fp32"
    message: str = ""
    findings: tuple[Finding, ...] = ()
    totals: dict[str, int | float | None] = {}
    bounds: dict[str, str] = {}
    error: str = ""
    where: Where | None = None


class PartCost(Struct, frozen=True):
    """A block, or a layer outside of blocks, and its share of the totals."""

    name: str
    kind: str
    params: int
    macs: int
    activation_bytes: int


class Explanation(Struct, frozen=True):
    """What a model's numbers come from: beside what it was a `comparison`, as `compare --diff` makes it, else the parts
    that cost most."""

    model: str
    comparison: Comparison | None = None
    parts: tuple[PartCost, ...] = ()


class Report(Struct, frozen=True, omit_defaults=True):
    """What `check --format json` prints. `base` is what --base says; `explanations` are there where they were asked
    for."""

    schema_version: int
    ok: bool
    config: str | None
    base: str | None
    checks: tuple[Check, ...]
    explanations: tuple[Explanation, ...] = ()


class Before(Struct, frozen=True):
    """What a model was: its totals, and the network, where more than a report is at hand. `note` says why there is
    nothing, or what else was another one."""

    totals: Mapping[str, int | float | None] = {}
    bounds: Mapping[str, str] = {}
    graph: Graph | None = None
    note: str = ""


def amounts_of(summary: Summary) -> tuple[dict[str, int | float | None], dict[str, str]]:
    """(every total that may be limited, which of them are bounds)."""
    totals: dict[str, int | float | None] = {}
    bounds = {}
    for name in total_names():
        totals[name], status = total_of(name, summary)
        if status != "exact" and totals[name] is not None:
            bounds[name] = status
    return totals, bounds


def judge_limits(budget: Budget, summary: Summary, before: Before) -> Iterator[Finding]:
    """Each limit on a total, beside what that was."""
    for limit in budget.limits:
        judged = judge(limit, summary)
        was = before.totals.get(limit.name)
        yield Finding(
            _STATUSES[judged.holds],
            limit.name,
            limit.name,
            limit.operator,
            limit.bound,
            judged.value,
            was,
            growth_of(judged.value, was),
            _why_unknown(judged, summary) if judged.holds is None else "",
        )


def _why_unknown(judged: Judged, summary: Summary) -> str:
    name = judged.limit.name
    if judged.value is None:
        return "nobody knows what a layer sees" if name == "receptive_field" else "it is not known"
    _, status = total_of(name, summary)
    unknown = summary.coverage.unknown
    why = f", because nobody can count {len(unknown):,} of its layers" if unknown and status == "least" else ""
    return f"known is only that it is {_BOUND_WORDS[status]}{amount_text(name, judged.value)}{why}"


def judge_change(budget: Budget, summary: Summary, before: Before) -> Iterator[Finding]:
    """How much params, MACs and peak grew, where the budget limits that."""
    if budget.change is None:
        return
    totals, bounds = amounts_of(summary)
    for name in CHANGING:
        now, was = totals[name], before.totals.get(name)
        status, note = NOT_JUDGED, before.note
        if was is not None and now is not None:
            # Twice a least says nothing of what is between.
            known = name not in bounds and name not in before.bounds
            status = _STATUSES[now <= was * (1 + budget.change / 100) if known else None]
            note = before.note if known else "known is only a bound of it"
        yield Finding(status, "change", name, "<=", budget.change, now, was, growth_of(now, was), note)


def growth_of(now: float | None, was: float | None) -> float | None:
    """By how many percent something is more than it was; None where that is no number.

    >>> growth_of(3, 2), growth_of(1, 0), growth_of(0, 0)
    (50.0, None, 0.0)
    """
    if now is None or was is None:
        return None
    if not was:
        return 0.0 if now == was else None
    return 100 * (now / was - 1)


def judge_latency(bound: float, base: Measurement, head: Measurement) -> Finding:
    """Whether a network takes longer than it did, by two measurements that took turns.

    By the median over rounds of how many times as long it took. One that says "longer" although some round says
    "shorter" is noise: then nobody knows.
    """
    ratio = ratio_of(head, base)
    if ratio is None:
        return Finding(UNKNOWN, "latency", LATENCY, "<=", bound, note="nothing was measured")
    growth, least, most = (100 * (each - 1) for each in (ratio.median, ratio.least, ratio.most))
    status = KEPT if ratio.median <= 1 + bound / 100 else BROKEN if least > 0 else UNKNOWN
    spread = f"rounds in turns say {least:+.1f} to {most:+.1f} %"
    noisy = ", and the machine had other work" if base.noisy or head.noisy else ""
    return Finding(status, "latency", LATENCY, "<=", bound, head.median_s, base.median_s, growth, f"{spread}{noisy}")


def latency_not_judged(bound: float, note: str, status: Status = NOT_JUDGED) -> Finding:
    """Latency that was not measured, and why; or that need not be, because the network is the same."""
    return Finding(status, "latency", LATENCY, "<=", bound, note=note, growth=0.0 if status == KEPT else None)


def parts_of(graph: Graph, summary: Summary, most: int) -> tuple[PartCost, ...]:
    """The parts that cost most, by MACs, then by parameters."""
    found = []
    for entry in Outline(graph, "block").at("block"):
        layers = entry.of(summary.layers)
        found.append(
            PartCost(
                entry.name,
                entry.kind,
                sum(layer.params for layer in layers),
                sum(layer.macs or 0 for layer in layers),
                sum(layer.activation_bytes for layer in layers),
            )
        )
    return tuple(sorted(found, key=lambda part: (-part.macs, -part.params))[:most])


def report_of(
    config: str | None, base: str | None, checks: tuple[Check, ...], explained: tuple[Explanation, ...]
) -> Report:
    """All checks of a run."""
    return Report(SCHEMA_VERSION, all(check.ok for check in checks), config, base, checks, explained)


def bound_text(finding: Finding) -> str:
    """What a limit asks for, as people read it: in full where it would read as the total does, and is not."""
    if finding.limits_growth:
        return f"at most +{finding.bound:g} %"
    return f"{finding.operator} {_full(finding, finding.bound) or amount_text(finding.name, finding.bound)}"


def value_text(finding: Finding) -> str:
    """What a total is, as people read it."""
    if finding.value is None:
        # What was not measured is no question.
        return "" if finding.name == LATENCY or finding.status == NOT_JUDGED else "?"
    if finding.name == LATENCY:
        return duration(finding.value)
    return _full(finding, finding.value) or amount_text(finding.name, finding.value)


def _full(finding: Finding, number: float) -> str:
    """A number in full, where a total and its bound differ in what a short form leaves out; else ""."""
    if finding.limits_growth or finding.value is None or finding.value == finding.bound:
        return ""
    short, asked = (amount_text(finding.name, each) for each in (finding.value, finding.bound))
    return f"{number:,.15g}{' B' if finding.name.endswith('_bytes') else ''}" if short == asked else ""


def base_text(finding: Finding) -> str:
    """What a total was, as people read it."""
    if finding.base is None:
        return ""
    return duration(finding.base) if finding.name == LATENCY else amount_text(finding.name, finding.base)


def growth_text(growth: float | None) -> str:
    """By how much a total is more than it was.

    >>> growth_text(2.345), growth_text(-0.001), growth_text(0.0)
    ('+2.3 %', '-<0.1 %', '0 %')
    """
    if growth is None or growth == 0:
        return "" if growth is None else "0 %"
    text = f"{abs(growth):.1f}"
    return f"{'+' if growth > 0 else '-'}{'<0.1' if text == '0.0' else text} %"
