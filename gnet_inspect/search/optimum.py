"""What is asked of a space, as dynamic programming takes it: which sums are held against each other, which limits cut,
and what it cannot answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil, floor

import numpy as np
from msgspec import Struct

from gnet_inspect.budgets.limits import Limit
from gnet_inspect.search.chain import NoChainError
from gnet_inspect.search.counting import FIELD, Counter
from gnet_inspect.search.exact import Exact, Question, TooManyCellsError
from gnet_inspect.search.fields import FieldReader
from gnet_inspect.search.program import COSTS, Lookup, Program
from gnet_inspect.search.walk import PEAKS, SECONDS, SUMS, look_up

# More points are walked back to than anybody looks at, and a page's chart has room for.
MOST_POINTS = 60


class NotProvableError(Exception):
    """What was asked is not a question for dynamic programming: why, and what would be one."""


class Optimum(Struct, eq=False):
    """What was found: the places of the values of each network, and by how much of its own number a better one may be
    below it; whether nothing was rounded, and by how much of the least cost it was, at most."""

    places: list[list[int]]
    gaps: list[float]
    exact: bool
    gap: float
    # Whether a sum that was rounded is limited: by so much a network that is kept may lie beyond the limit.
    limited: bool


class _Sum(Struct, frozen=True):
    """A sum of a program's tables, and whether it is to be small (1) or large (-1)."""

    column: str
    sign: int

    def tables(self, program: Program) -> list[Lookup]:
        seconds = self.column == SECONDS
        place = 0 if seconds else COSTS.index(self.column)
        # In their own order, and of no axis where they depend on nothing.
        return [
            Lookup(lookup.variables, np.array(self.sign * lookup.table[..., place], order="C"))
            for lookup in (program.seconds if seconds else program.costs)
        ]

    @property
    def opposite(self) -> "_Sum":
        """The same sum, wanted the other way."""
        return _Sum(self.column, -self.sign)


def _named(column: str) -> str:
    """A sum by the name that people know it by."""
    return "activation_bytes" if column == "elements" else column


class _Plan(Struct, eq=False):
    """Of two sums which is counted in cells, and what is the least of the other; `cost_limit` is the most of the cost,
    `cost_floor` the least."""

    cost: _Sum | None
    worth: _Sum
    cost_limit: float | None
    cost_floor: float | None
    peaks: list[Limit]


def find_optimum(counter: Counter, gap: float, tell: Callable[[float, str], None] | None = None) -> Optimum:
    """The networks that are not dominated. Raises NotProvableError."""
    programs = counter.programs
    if programs is None:
        raise NotProvableError("some of its layers do not go into tables")
    plan = _plan(counter)
    found: list[Exact] = []
    # One step of the grid for all, so that one proof covers them.
    least = None
    if plan.cost is not None:
        bounds = [bounds_of(plan.cost.tables(program)) for program in programs]
        least = min(low for low, _ in bounds) if plan.cost.sign > 0 else max(-low for low, _ in bounds)
    for program in programs:
        question = _question(counter, program, plan)
        try:
            exact = Exact(program, question, gap, least)
            if plan.cost_floor is not None and not exact.is_exact:
                raise NotProvableError(
                    f"limits of {_named((plan.cost or plan.worth).column)} on both sides are proved only where "
                    f"nothing is rounded, and a gap of {100 * gap:g} % rounds"
                )
        except NoChainError as error:
            raise NotProvableError(f"it is no chain of small parts: {error}") from None
        except TooManyCellsError as error:
            raise NotProvableError(
                f"a gap of {100 * gap:g} % asks for too much ({error}); a larger --gap may do"
            ) from None
        found.append(exact)
    total = sum(part.states for exact in found for part in exact.parts)
    for exact in found:
        exact.run(_shares(total, tell) if tell is not None else None)
    points = list(_points(counter, found, plan))
    whole = all(exact.is_exact for exact in found) or plan.cost is None
    rounding = max((exact.rounding for exact in found), default=0.0)
    return Optimum(
        [places for places, _ in points],
        [part for _, part in points],
        whole,
        0.0 if whole else rounding / max(abs(least or 1.0), 1e-300),
        not whole and (plan.cost_limit is not None or plan.cost_floor is not None),
    )


def _shares(total: int, tell: Callable[[float, str], None]) -> Callable[[int], None]:
    """Tell of each state that is done, as a part of so many."""
    before = 0

    def progress(now: int) -> None:
        nonlocal before
        tell((now - before) / max(total, 1), "")
        before = now

    return progress


def _objective_sums(counter: Counter) -> list[_Sum]:
    """The sums that are to be small."""
    sums: list[_Sum] = []
    for objective in counter.asked.objectives:
        if objective.name in SUMS:
            sums.append(_Sum(SUMS[objective.name][0], objective.sign))
        elif objective.name == SECONDS:
            sums.append(_Sum(SECONDS, objective.sign))
        elif objective.name in PEAKS or (objective.name == FIELD and _vary_field(counter)):
            raise NotProvableError(f"{objective.name} is no sum over layers: as a limit it can be kept, as in --where")
    return list(dict.fromkeys(sums))


def _sum_limit(limit: Limit, width: int) -> tuple[_Sum, float]:
    """A limit on a sum, as the sum that is to be small and the most that it may be."""
    column, times, in_bytes = (SECONDS, 1, False) if limit.name == SECONDS else SUMS[limit.name]
    sign = 1 if limit.operator in ("<", "<=") else -1
    bound = sign * limit.bound / (times * (width if in_bytes else 1))
    if column == SECONDS:
        return _Sum(column, sign), float(np.nextafter(bound, -np.inf)) if limit.operator in ("<", ">") else bound
    # What is whole is below a bound where it is at most the whole number below it.
    return _Sum(column, sign), float(ceil(bound) - 1 if limit.operator in ("<", ">") else floor(bound))


def _plan(counter: Counter) -> _Plan:
    asked = counter.asked
    if not asked.objectives:
        raise NotProvableError("nothing is to be small or large: say --minimize or --maximize")
    sums = _objective_sums(counter)
    if not sums:
        raise NotProvableError("all of its networks are the same in what is asked")
    peaks: list[Limit] = []
    limits: dict[_Sum, float] = {}
    for part in asked.condition.parts if asked.condition is not None else ():
        limit = part.limit
        if limit is None:
            raise NotProvableError(f"`{part}` is no limit on one total")
        if limit.name in PEAKS and limit.operator in ("<", "<="):
            peaks.append(limit)
        elif (limit.name in SUMS or limit.name == SECONDS) and limit.operator != "==":
            each, bound = _sum_limit(limit, asked.setting.width)
            limits[each] = min(bound, limits.get(each, bound))
        elif limit.name == FIELD and not _vary_field(counter):
            continue
        elif limit.name != "depth":
            raise NotProvableError(f"`{part}` is no limit on a sum over layers")
    cost, worth = _against(sums, limits)
    if cost is None:
        return _Plan(None, worth, None, None, peaks)
    below = limits.get(cost.opposite)
    return _Plan(cost, worth, limits.get(cost), None if below is None else -below, peaks)


def _against(sums: Sequence[_Sum], limits: Mapping[_Sum, float]) -> tuple[_Sum | None, _Sum]:
    """Which sum is counted in cells against which. Of the other only the least is kept, so that a limit that keeps it
    from being less must be on the first."""
    columns = dict.fromkeys(each.column for each in (*sums, *limits))
    if len(sums) > 2 or len(columns) > 2:
        names = ", ".join(map(_named, columns))
        raise NotProvableError(
            f"{max(len(sums), len(columns))} sums are held against each other ({names}), and two can be"
        )
    worth = sums[-1]
    if len(sums) == 2:
        cost = sums[0]
        if worth.opposite in limits and cost.opposite not in limits:
            cost, worth = worth, cost
    else:
        others = [each for each in limits if each.column != worth.column]
        if not others:
            # As the most params below a limit of them.
            return (worth.opposite if worth.opposite in limits else None), worth
        cost = others[0]
    if worth.opposite in limits and worth != cost.opposite:
        way = "at least" if worth.sign > 0 else "at most"
        raise NotProvableError(
            f"{_named(worth.column)} are limited the way they are not wanted ({way} so many), and another sum with them"
        )
    return cost, worth


def _vary_field(counter: Counter) -> bool:
    return any(FieldReader(template).choices for template in counter.templates)


def _question(counter: Counter, program: Program, plan: _Plan) -> Question:
    place = COSTS.index("invalid")
    valid = [
        Lookup(lookup.variables, np.array(lookup.table[..., place], order="C"))
        for lookup in program.costs
        if np.any(lookup.table[..., place])
    ]
    peaks = []
    for limit in plan.peaks:
        moments = program.held if limit.name == PEAKS[0] else program.least
        bound = limit.bound if limit.operator == "<=" else limit.bound - 0.5
        # What is always held is there whatever is chosen.
        if any(not moment.tables and moment.always > bound for moment in moments):
            bound = -1.0
        peaks.append((tuple(moments), bound))
    return Question(
        plan.cost.tables(program) if plan.cost is not None else [],
        plan.worth.tables(program),
        valid,
        plan.cost_limit,
        plan.cost_floor,
        tuple(peaks),
        dict(enumerate(counter.away)),
    )


def _points(counter: Counter, found: Sequence[Exact], plan: _Plan) -> Iterator[tuple[list[int], float]]:
    """The networks walked back to, each with the part of its own number by which a better one may be below it."""
    several = len(counter.asked.objectives) > 1
    for exact, template, program in zip(found, counter.templates, counter.programs or (), strict=True):
        # Those about a limit: rounded sums may lie above it, and the next one is then the best.
        for kept in exact.front(MOST_POINTS, last=not several):
            places = [
                template.outer.get(index, kept.places.get(index, 0)) for index in range(len(counter.space.choices))
            ]
            if plan.cost is None:
                yield places, 0.0
            elif several or plan.cost_limit is None:
                # No network of any structure that is as good costs less than this.
                bounds = [each.least_cost(kept.worth) for each in found]
                yield places, _part_below(look_up(program, plan.cost.tables(program), places), bounds)
            else:
                # Nor is any that keeps the limit better than this.
                bounds = [each.least_worth(plan.cost_limit) for each in found]
                yield places, _part_below(kept.worth, bounds)


def _part_below(value: float, bounds: Iterable[float | None]) -> float:
    least = min(bound for bound in bounds if bound is not None)
    return max(0.0, (value - least) / abs(value)) if value else 0.0


def bounds_of(tables: Iterable[Lookup]) -> tuple[float, float]:
    """What a sum is never below, and never above: the sums of the least and of the greatest of each table."""
    low = high = 0.0
    for lookup in tables:
        low += float(lookup.table.min())
        high += float(lookup.table.max())
    return low, high


def column_bounds(programs: Sequence[Program], name: str, width: int) -> tuple[float, float] | None:
    """What a total of any network of a space is never below, and never above; None for what is no sum. `width` are the
    bytes of an element."""
    if name in SUMS:
        column, times, in_bytes = SUMS[name]
        times *= width if in_bytes else 1
    elif name == SECONDS:
        column, times = SECONDS, 1
    else:
        return None
    found = [bounds_of(_Sum(column, 1).tables(program)) for program in programs]
    return times * min(low for low, _ in found), times * max(high for _, high in found)
