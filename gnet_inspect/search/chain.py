"""A program as a chain of parts: where few variables reach across, one part ends and the next begins."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import prod

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.search.program import Lookup, Moment, Program, Variable

# A part is handed on in at most so many states, and has at most so many rows: combinations of a state and of the values
# of the choices in it.
MOST_STATES = 20_000
MOST_ROWS = 100_000_000
# What it costs to begin another part, in rows: each adds a rounding and a walk through all cells.
ROWS_OF_A_PART = 4_000_000


class Part(Struct, eq=False):
    """Some variables in order, of which the choices are free; `before` and `behind` are what is handed on: variables of
    parts before that it needs or passes on, and those that parts behind need."""

    before: tuple[Variable, ...]
    variables: tuple[Variable, ...]
    behind: tuple[Variable, ...]

    @property
    def free(self) -> tuple[Variable, ...]:
        """Its choices."""
        return tuple(variable for variable in self.variables if variable.choice is not None)

    @property
    def states(self) -> int:
        """How many states it begins in."""
        return prod(variable.size for variable in self.before)

    @property
    def states_behind(self) -> int:
        """How many states it hands on."""
        return prod(variable.size for variable in self.behind)

    @property
    def rows(self) -> int:
        """Its combinations of a state and of values."""
        return self.states * prod(variable.size for variable in self.free)


class NoChainError(Exception):
    """Too much reaches across every place: the fewest states and rows there are."""


def cut_chain(program: Program, lookups: Iterable[Lookup], moments: Iterable[Moment]) -> list[Part]:
    """The parts with the fewest rows in all. `lookups` and `moments` are what is asked for. Raises NoChainError."""
    order = {variable: place for place, variable in enumerate(program.variables)}
    number = len(order)
    # The last place at which each variable is needed: what is looked up stands where the last variable of it does.
    last = list(range(number))
    needed = [lookup.variables for lookup in lookups]
    needed += [tuple(each for table in moment.tables for each in table.variables) for moment in moments]
    needed += [(*variable.key, variable) for variable in program.variables if variable.key]
    for variables in needed:
        at = max((order[variable] for variable in variables), default=0)
        for variable in variables:
            last[order[variable]] = max(last[order[variable]], at)
    across = [
        tuple(variable for variable in program.variables[:place] if last[order[variable]] >= place)
        for place in range(number + 1)
    ]
    states = [prod(variable.size for variable in variables) for variables in across]
    # The cheapest way to each place, by way of the places before it.
    cost: list[float] = [0.0] + [float("inf")] * number
    came = [0] * (number + 1)
    for end in range(1, number + 1):
        if states[end] > MOST_STATES:
            continue
        free = 1
        for start in range(end - 1, -1, -1):
            variable = program.variables[start]
            free *= variable.size if variable.choice is not None else 1
            if free > MOST_ROWS:
                break
            rows = free * states[start]
            if states[start] <= MOST_STATES and rows <= MOST_ROWS:
                found = cost[start] + max(rows, ROWS_OF_A_PART)
                if found < cost[end]:
                    cost[end], came[end] = found, start
    if cost[number] == float("inf"):
        raise NoChainError(_why(across, states))
    places = [number]
    while places[-1]:
        places.append(came[places[-1]])
    places.reverse()
    return [Part(across[start], tuple(program.variables[start:end]), across[end]) for start, end in pairwise(places)]


def _why(across: Sequence[tuple[Variable, ...]], states: Sequence[int]) -> str:
    worst = max(range(len(states)), key=lambda place: (states[place] > MOST_STATES, states[place]))
    names = ", ".join(variable.name for variable in across[worst][:6]) + (", ..." if len(across[worst]) > 6 else "")
    return f"{states[worst]:.3g} states reach across one place of it ({names})"


Index = dict[Variable, NDArray[np.int64]]


class Grid:
    """All rows of a part that begin in one state: an axis for each of its choices."""

    def __init__(self, part: Part, state: int) -> None:
        self.part = part
        self.shape = tuple(variable.size for variable in part.free)
        self.index: Index = {}
        for variable in reversed(part.before):
            state, place = divmod(state, variable.size)
            self.index[variable] = np.array(place)
        for axis, variable in enumerate(part.free):
            shape = [1] * len(self.shape)
            shape[axis] = variable.size
            self.index[variable] = np.arange(variable.size).reshape(shape)
        for variable in part.variables:
            if variable.table is not None:
                self.index[variable] = self.of(variable.table, variable.key)

    def of(self, table: NDArray[np.int64], variables: Sequence[Variable]) -> NDArray[np.int64]:
        """A table's numbers, of as many axes as it depends on."""
        return table[tuple(self.index[variable] for variable in variables)] if variables else table

    def sum(self, lookups: Sequence[Lookup]) -> NDArray[np.int64]:
        """The sums of tables without columns, for each row: what depends on the same axes is added first."""
        by_axes: dict[tuple[bool, ...], NDArray[np.int64]] = {}
        for lookup in lookups:
            found = self.of(lookup.table, lookup.variables)
            key = tuple(size > 1 for size in (1,) * (len(self.shape) - found.ndim) + found.shape)
            by_axes[key] = by_axes[key] + found if key in by_axes else found
        total: NDArray[np.int64] = np.zeros((1,) * len(self.shape), np.int64)
        # Small ones first, next to those that share their axes.
        for key in sorted(by_axes, key=lambda each: (sum(each), each)):
            total = total + by_axes[key]
        return self._flat(total)

    def most(self, moments: Sequence[Moment]) -> NDArray[np.int64]:
        """The most bytes held at any of some moments, for each row."""
        most: NDArray[np.int64] = np.zeros((1,) * len(self.shape), np.int64)
        for moment in moments:
            live: NDArray[np.int64] = np.array(moment.always)
            for lookup in moment.tables:
                live = live + self.of(lookup.table, lookup.variables)
            most = np.maximum(most, live)
        return self._flat(most)

    def behind(self) -> NDArray[np.int64]:
        """The state in which the next part begins, for each row."""
        key: NDArray[np.int64] = np.zeros((1,) * len(self.shape), np.int64)
        for variable in self.part.behind:
            key = key * variable.size + self.index[variable]
        return self._flat(key)

    def _flat(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of some axes, one for each row."""
        return np.broadcast_to(numbers, self.shape).ravel() if self.shape else numbers.reshape(1)
