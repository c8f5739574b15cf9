"""The best networks of a space that is too large to be gone through: dynamic programming along the chain of its parts.

Two sums are held against each other: one, the `cost`, is counted in cells of a grid, and of the other, the `worth`, the
least is kept for every state and cell. Each part's cost is rounded down to a cell once, so sums of cells are exact: for
any network there is one that is kept with no more cells and no greater worth, and its cost is less than one cell for
each part above. Where a cell is no larger than the greatest common divisor of all costs, nothing is rounded.
"""

from collections.abc import Callable, Iterator, Sequence
from math import floor, gcd
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.search.chain import Grid, Part, cut_chain
from gnet_inspect.search.program import Lookup, Moment, Program

Numbers = NDArray[Any]
# Of numbers this large two can be added.
NONE = 2**61
# Cells times states that are held, of all parts together, and the sums of two that are made: a processor makes about a
# thousand million a second.
MOST_CELLS = 100_000_000
MOST_SUMS = 60_000_000_000
# Nothing is rounded where that takes no more sums than this, whatever gap would do.
QUICK_SUMS = 2_000_000_000
# Rows are made so many at once.
MOST_GRID = 20_000_000


class TooManyCellsError(Exception):
    """The grid that a gap asks for would be too large: how many cells."""


class Question(Struct, eq=False):
    """What is asked of a program: tables without columns, of what is to be small (what is to be large is negated).

    `cost_limit` is the most that the cost may be, `cost_floor` the least, `peak_limits` the most that is held at any
    of some moments.
    `away` says of each choice's values how far they are from the base: of rows that are equal the nearest is taken.
    """

    cost: list[Lookup]
    worth: list[Lookup]
    valid: list[Lookup]
    cost_limit: float | None = None
    cost_floor: float | None = None
    peak_limits: tuple[tuple[tuple[Moment, ...], float], ...] = ()
    away: dict[int, NDArray[np.float64]] = {}


class Kept(Struct, eq=False):
    """A network that is kept: the place of the value of each choice, its cell, and the least cost that any network of
    the space with no greater worth can have."""

    places: dict[int, int]
    cell: int
    worth: float
    least_cost: float


class _Step(Struct, eq=False):
    """A part with the least cost of its rows, how many cells its costs span, and by state and cell the least worth of
    what comes before it."""

    part: Part
    begins: float
    cells: int
    free: bool
    before: Numbers


class Exact:
    """The kept networks of one program."""

    def __init__(self, program: Program, question: Question, gap: float, least: float | None = None) -> None:
        self.question = question
        moments = [moment for some, _ in question.peak_limits for moment in some]
        self.parts = cut_chain(program, [*question.cost, *question.worth, *question.valid], moments)
        self._assign()
        spans = [self._span(part) for part in self.parts]
        self.fixed = sum(float(lookup.table) for lookup in question.cost if not lookup.variables)
        self.fixed_worth = sum(lookup.table.item() for lookup in question.worth if not lookup.variables)
        self.least = self.fixed + sum(low for low, _, _ in spans)
        free = sum(1 for low, high, _ in spans if high > low)
        whole = all(np.issubdtype(lookup.table.dtype, np.integer) for lookup in question.cost)
        # The step at which nothing is rounded.
        finest = gcd(*(divisor for _, _, divisor in spans)) if whole else 0
        share = gap * abs(self.least if least is None else least) / max(free, 1)
        self.step = float(share)
        self.is_exact = False
        if finest and (finest >= share or self._size(spans, finest)[1] <= QUICK_SUMS):
            self.step, self.is_exact = float(finest), True
        if not self.step and free:
            raise TooManyCellsError("costs that are no whole numbers cannot be exact")
        held, self.sums = self._size(spans, self.step)
        if held > MOST_CELLS or self.sums > MOST_SUMS:
            raise TooManyCellsError(f"{held:.2g} cells are held, and {self.sums:.2g} sums made")
        self.steps: list[_Step] = []
        for part, (low, high, _) in zip(self.parts, spans, strict=True):
            cells = floor((high - low) / self.step) + 1 if high > low else 1
            self.steps.append(_Step(part, low, cells, high > low, np.empty(0)))
        # By part and state the least worth of its rows, where all of them are not too much to hold: the way back asks.
        self._bests: list[list[Numbers | None]] = [[None] * step.part.states for step in self.steps]
        held = sum(step.part.states * step.part.states_behind * step.cells for step in self.steps)
        self._keeps_bests = held <= MOST_CELLS

    def _assign(self) -> None:
        """Which tables are looked up in which part: where the last of their variables stands."""
        place = {variable: index for index, part in enumerate(self.parts) for variable in part.variables}

        def by_part(items: Sequence[Any], variables: Callable[[Any], Sequence[Any]]) -> list[list[Any]]:
            found: list[list[Any]] = [[] for _ in self.parts]
            for item in items:
                if variables(item):
                    found[max(place[variable] for variable in variables(item))].append(item)
            return found

        question = self.question
        self._cost = by_part(question.cost, lambda lookup: lookup.variables)
        self._worth = by_part(question.worth, lambda lookup: lookup.variables)
        self._valid = by_part(question.valid, lambda lookup: lookup.variables)
        self._peaks = [
            (by_part(some, lambda moment: [each for table in moment.tables for each in table.variables]), limit)
            for some, limit in question.peak_limits
        ]

    def _span(self, part: Part) -> tuple[float, float, int]:
        """The least and the most that a part's rows can cost, and what divides the difference of any two."""
        tables = self._cost[self.parts.index(part)]
        low = sum(lookup.table.min().item() for lookup in tables)
        high = sum(lookup.table.max().item() for lookup in tables)
        divisor = 0
        for lookup in tables:
            if np.issubdtype(lookup.table.dtype, np.integer):
                divisor = gcd(divisor, int(np.gcd.reduce((lookup.table - lookup.table.min()).ravel())))
        return low, high, divisor

    def _size(self, spans: Sequence[tuple[float, float, int]], step: float) -> tuple[int, int]:
        """How many cells of all states are held at a step, and about how many sums of two are made."""
        cells, held, sums = 1, 0, 0
        for part, (low, high, _) in zip(self.parts, spans, strict=True):
            own = floor((high - low) / step) + 1 if high > low else 1
            held += part.states * cells
            rows = part.rows // max(part.states, 1)
            sums += part.states * min(rows, own * part.states_behind) * cells
            cells += own - 1
        return held, sums

    @property
    def rounding(self) -> float:
        """By how much a cost may lie above that of the best network: one cell for each part that was rounded."""
        return 0.0 if self.is_exact else self.step * sum(step.free for step in self.steps)

    # --- the walk ---

    def run(self, progress: Callable[[int], None] | None = None) -> None:
        """Fill the cells. `progress` is told how many of the states are done."""
        kind = np.float64 if self._is_real() else np.int64
        values: Numbers = np.zeros((1, 1), kind)
        done = 0
        remaining = sum(step.begins for step in self.steps) + self.fixed
        for index, step in enumerate(self.steps):
            step.before = values
            length = values.shape[1] + step.cells - 1
            if self.question.cost_limit is not None and self.step:
                # What is above the limit with the least of all that is left is no answer.
                length = max(1, min(length, floor((self.question.cost_limit - remaining) / self.step) + 1))
            behind = np.full((step.part.states_behind, length), NONE, kind)
            for state in range(step.part.states):
                so_far = values[state]
                finite = np.flatnonzero(so_far < NONE)
                if len(finite):
                    first, last = int(finite[0]), int(finite[-1]) + 1
                    self._walk(index, state, so_far[first:last], first, behind)
                done += 1
                if progress is not None:
                    progress(done)
            behind[behind > NONE // 2] = NONE
            values = behind
        self.final = values[0]
        limit, floor_ = self.question.cost_limit, self.question.cost_floor
        costs = self._cost_of(0) + self.step * np.arange(len(self.final))
        if limit is not None:
            self.final[costs > limit] = NONE
        if floor_ is not None:
            self.final[costs < floor_] = NONE

    def _is_real(self) -> bool:
        return any(np.issubdtype(lookup.table.dtype, np.floating) for lookup in self.question.worth)

    def _walk(self, index: int, state: int, so_far: Numbers, first: int, behind: Numbers) -> None:
        best = self._best(index, state)
        if self._keeps_bests:
            self._bests[index][state] = best
        length, width = behind.shape[1], len(so_far)
        for cell in np.flatnonzero((best < NONE).any(axis=0)).tolist():
            start = first + cell
            end = min(start + width, length)
            if start >= end:
                break
            column = best[:, cell]
            rows = np.flatnonzero(column < NONE)
            if len(rows) * 2 > len(column):
                part = behind[:, start:end]
                np.minimum(part, so_far[: end - start] + column[:, None], out=part)
            else:
                found = so_far[: end - start] + column[rows, None]
                behind[rows, start:end] = np.minimum(behind[rows, start:end], found)

    def _best(self, index: int, state: int) -> Numbers:
        """By the state that is handed on, and by cell, the least worth of a part's rows."""
        step = self.steps[index]
        kind = np.float64 if self._is_real() else np.int64
        best = np.full(step.part.states_behind * step.cells, NONE, kind)
        behind, cells, worth, _ = self._rows(index, state)
        np.minimum.at(best, behind * step.cells + cells, worth)
        return best.reshape(-1, step.cells)

    def _rows(self, index: int, state: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """The state behind, the cell and the worth of each row that is a network and keeps the limits of memory, and
        its number."""
        step = self.steps[index]
        grid = Grid(step.part, state)
        cost, worth = grid.sum(self._cost[index]), grid.sum(self._worth[index])
        cells = np.floor_divide(cost - step.begins, self.step).astype(np.int64) if step.free else np.zeros_like(cost)
        cells = cells.astype(np.int64)
        behind = grid.behind()
        mask: NDArray[np.bool_] | None = None
        if self._valid[index]:
            mask = grid.sum(self._valid[index]) == 0
        for moments, limit in self._peaks:
            if moments[index]:
                kept = grid.most(moments[index]) <= limit
                mask = kept if mask is None else mask & kept
        if mask is None or mask.all():
            return behind, cells, worth, np.arange(len(worth))
        numbers = np.flatnonzero(mask)
        return behind[numbers], cells[numbers], worth[numbers], numbers

    # --- the way back ---

    def front(self, most: int, *, last: bool = False) -> Iterator[Kept]:
        """The kept networks of which none has fewer cells and no greater worth: at most so many, spread evenly, or the
        last of them, which have the least worth."""
        best = np.minimum.accumulate(self.final)
        cells = np.flatnonzero((self.final < NONE) & (self.final == best) & (np.r_[True, best[1:] < best[:-1]]))
        if last:
            cells = cells[-most:]
        elif len(cells) > most:
            cells = cells[np.unique(np.linspace(0, len(cells) - 1, most).round().astype(int))]
        for cell in cells.tolist():
            yield self.back(int(cell))

    def least_cost(self, worth: float) -> float | None:
        """The cost that no network of the space with no greater worth is below; None where there is no such network."""
        cells = np.flatnonzero(self.final <= worth - self.fixed_worth)
        return None if not len(cells) else self._cost_of(int(cells[0]))

    def least_worth(self, cost: float) -> float | None:
        """The worth that no network of the space with no greater cost is below."""
        base = self._cost_of(0)
        last = floor((cost - base) / self.step) if self.step else 0
        found = self.final[: max(min(last + 1, len(self.final)), 0)]
        if not len(found) or found.min() >= NONE:
            return None
        return float(found.min() + self.fixed_worth)

    def _cost_of(self, cell: int) -> float:
        return self.fixed + sum(step.begins for step in self.steps) + cell * self.step

    def back(self, cell: int) -> Kept:
        """The network that reached a cell."""
        places: dict[int, int] = {}
        wanted, state, at = self.final[cell], 0, cell
        for index in range(len(self.steps) - 1, -1, -1):
            step = self.steps[index]
            before, row, own = self._came(index, state, at, wanted)
            for variable, place in zip(
                step.part.free, np.unravel_index(row, [each.size for each in step.part.free] or (1,)), strict=False
            ):
                assert variable.choice is not None
                places[variable.choice] = int(place)
            at -= own
            wanted, state = step.before[before, at], before
        worth = float(self.final[cell] + self.fixed_worth)
        return Kept(places, cell, worth, self.least_cost(worth) or self._cost_of(cell))

    def _came(self, index: int, behind: int, at: int, wanted: Any) -> tuple[int, int, int]:
        """The state before a part, the row and its cell, by which a cell behind it was reached."""
        step = self.steps[index]
        for state in range(step.part.states):
            values = step.before[state]
            if not self._may_come(index, state, behind, at, wanted):
                continue
            states, cells, worth, numbers = self._rows(index, state)
            left = at - cells
            found = (states == behind) & (left >= 0) & (left < len(values))
            which = np.flatnonzero(found)
            before = values[left[which]]
            equal = which[(before < NONE) & (_close(before + worth[which], wanted))]
            if len(equal):
                row = equal[int(np.argmin(self._away(step.part, numbers[equal])))]
                return state, int(numbers[row]), int(cells[row])
        raise AssertionError("a cell is reached by a row")

    def _may_come(self, index: int, state: int, behind: int, at: int, wanted: Any) -> bool:
        """Whether some row that begins in a state reached a cell behind it, by what was kept of the walk."""
        values, best = self.steps[index].before[state], self._bests[index][state]
        if best is None:
            return not self._keeps_bests and bool((values < NONE).any())
        cells = np.flatnonzero(best[behind] < NONE)
        left = at - cells
        inside = (left >= 0) & (left < len(values))
        before = values[left[inside]]
        return bool(((before < NONE) & _close(before + best[behind, cells[inside]], wanted)).any())

    def _away(self, part: Part, numbers: Numbers) -> Numbers:
        """How far rows are from the base."""
        total = np.zeros(len(numbers))
        for variable, places in zip(
            part.free, np.unravel_index(numbers, [each.size for each in part.free] or (1,)), strict=False
        ):
            assert variable.choice is not None
            if variable.choice in self.question.away:
                total += self.question.away[variable.choice][places]
        return total


def _close(values: Numbers, wanted: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (
        np.isclose(values, wanted, rtol=1e-12, atol=0) if values.dtype.kind == "f" else values == wanted
    )
    return found
