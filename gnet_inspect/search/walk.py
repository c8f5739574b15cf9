"""Candidates in arrays, through the tables of a program: their totals, by the JSON names."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnet_inspect.errors import UsageError
from gnet_inspect.search.program import COSTS, Columns, Lookup, Moment, Program, Setting, Variable

# So many candidates at once lie in a processor's cache: of four times as many the walk is slower.
CHUNK = 16_384
Places = NDArray[np.int64]
# By the JSON name of a total, what it is a multiple of, and whether by an element's bytes.
SUMS = {
    "params": ("params", 1, False),
    "buffers": ("buffers", 1, False),
    "macs": ("macs", 1, False),
    "flops": ("macs", 2, False),
    "param_bytes": ("params", 1, True),
    "activation_bytes": ("elements", 1, True),
}
PEAKS = ("peak_activation_bytes", "least_peak_activation_bytes")
SECONDS = "layers_s"


class Walk:
    """Looks up the totals of candidates: those named, and `invalid`, how many layers of each do not fit their input."""

    def __init__(self, program: Program, setting: Setting, names: Sequence[str]) -> None:
        self.program, self.setting, self.names = program, setting, tuple(names)
        needed = {SUMS[name][0] for name in names if name in SUMS} | {"invalid"}
        if not any(np.any(lookup.table[..., COSTS.index("invalid")]) for lookup in program.costs):
            needed.discard("invalid")
        self.columns = tuple(name for name in COSTS if name in needed)
        chosen = [COSTS.index(name) for name in self.columns]
        self._tables = [
            Lookup(lookup.variables, np.ascontiguousarray(lookup.table[..., chosen])) for lookup in program.costs
        ]

    def totals(self, places: Places) -> Columns:
        """The totals of candidates: `places` has a row for each choice of the space, and a column for each of them."""
        look = _Look(self.program, places)
        costs = dict(zip(self.columns, look.sums(self._tables, len(self.columns), np.int64), strict=True))
        found: Columns = {"invalid": costs.get("invalid", np.zeros(look.count, np.int64))}
        for name in self.names:
            if name in SUMS:
                column, times, by_width = SUMS[name]
                found[name] = costs[column] * (times * (self.setting.width if by_width else 1))
            elif name == SECONDS:
                found[name] = look.sums(self.program.seconds, 1, np.float64)[0]
            elif name in PEAKS:
                found[name] = look.most(self.program.held if name == PEAKS[0] else self.program.least)
            elif name == "depth":
                found[name] = np.full(look.count, self.program.depth)
            else:
                raise UsageError(f"expected a total that candidates have, got {name!r}")
        return found


class _Look:
    """One chunk of candidates."""

    def __init__(self, program: Program, places: Places) -> None:
        self.count = places.shape[1]
        self._values: dict[Variable, NDArray[np.int64]] = {}
        # Tensors are there at several moments.
        self._rows: dict[int, NDArray[np.int64]] = {}
        self._keys: dict[tuple[Variable, ...], NDArray[np.int64]] = {}
        for variable in program.variables:
            if variable.choice is not None:
                self._values[variable] = places[variable.choice]
            else:
                assert variable.table is not None
                self._values[variable] = variable.table.ravel().take(self._key(variable.key))

    def _key(self, variables: tuple[Variable, ...]) -> NDArray[np.int64]:
        if variables not in self._keys:
            key = self._values[variables[0]]
            for variable in variables[1:]:
                key = key * variable.size + self._values[variable]
            self._keys[variables] = key
        return self._keys[variables]

    def _looked_up(self, lookup: Lookup) -> NDArray[np.int64]:
        """A lookup without columns, of each candidate."""
        if id(lookup) not in self._rows:
            self._rows[id(lookup)] = lookup.table.ravel().take(self._key(lookup.variables))
        return self._rows[id(lookup)]

    def sums(self, lookups: Iterable[Lookup], columns: int, kind: type) -> NDArray[Any]:
        """The sums of tables with so many columns: a row for each column."""
        total: NDArray[Any] = np.zeros((self.count, columns), kind)
        for lookup in lookups:
            if lookup.variables:
                total += lookup.table.reshape(-1, columns).take(self._key(lookup.variables), axis=0)
            else:
                total += lookup.table
        return total.T

    def most(self, moments: Iterable[Moment]) -> NDArray[np.int64]:
        """The most bytes held at any moment."""
        most = np.zeros(self.count, np.int64)
        for moment in moments:
            live: NDArray[np.int64] | int = moment.always
            for lookup in moment.tables:
                live = live + self._looked_up(lookup)
            np.maximum(most, live, out=most)
        return most


def look_up(program: Program, lookups: Sequence[Lookup], places: Sequence[int]) -> float:
    """The sum of tables without columns for one candidate."""
    found = _Look(program, np.array(places, np.int64)[:, None]).sums(lookups, 1, np.float64)
    return float(found[0, 0])


def places_of(numbers: NDArray[np.int64], sizes: tuple[int, ...]) -> Places:
    """The places of the values of candidates by their numbers, in the order of the space: the last choice changes
    first."""
    places = np.empty((len(sizes), len(numbers)), np.int64)
    rest = numbers
    for index in range(len(sizes) - 1, -1, -1):
        rest, places[index] = np.divmod(rest, sizes[index])
    return places
