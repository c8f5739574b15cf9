"""The candidates of a space in batches: their totals, which of them meet the condition, and which are not dominated."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.analysis.roofline import roofline
from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.budgets.conditions import Condition
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph
from gnet_inspect.search.fields import FieldReader
from gnet_inspect.search.front import non_dominated
from gnet_inspect.search.program import CannotCompileError, Columns, Program, Setting, compile_template
from gnet_inspect.search.result import Objective
from gnet_inspect.search.space import Space
from gnet_inspect.search.template import NotANetworkError, Template, templates
from gnet_inspect.search.walk import CHUNK, SECONDS, Places, Walk, places_of
from gnet_inspect.sources.spec import build_graph

# What is lost where a process is killed is less than a batch.
BATCH = 4 * CHUNK
# Where layers do not go into tables, each candidate is built: so many at once.
SLOW_BATCH = 64
FIELD = "receptive_field"
# Where nothing is to be small or large, so many of those that are kept are found.
NEAREST = 100


class Asked(Struct, frozen=True):
    """What is asked of a space. `sample` candidates are drawn with `seed`, or all are gone through."""

    objectives: tuple[Objective, ...] = ()
    condition: Condition | None = None
    setting: Setting = Setting()
    sample: int | None = None
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The totals that are needed to answer, each once."""
        found = [objective.name for objective in self.objectives]
        found += sorted(self.condition.names) if self.condition is not None else []
        return tuple(dict.fromkeys([*found, "params", "macs"]))


class Batch(Struct, eq=False):
    """Some candidates that were counted: the places of the values of those that are kept, a row for each choice, and
    their totals; `front` are the places among these of those that are not dominated by another one of them."""

    index: int
    counted: int
    invalid: int
    places: NDArray[np.uint16]
    totals: Columns
    front: NDArray[np.int64]
    # By the place of a part of the condition, how many valid candidates meet it.
    met: tuple[int, ...]


class Counter:
    """Counts the candidates of a space, batch by batch."""

    def __init__(self, space: Space, asked: Asked) -> None:
        self.space, self.asked = space, asked
        self.templates: list[Template] = []
        self.refused: list[str] = []
        self._walks: list[tuple[Mapping[int, int], _Walker]] = []
        self.away = [np.array(space.away(index)) for index in range(len(space.choices))]
        for found in templates(space):
            if isinstance(found, NotANetworkError):
                self.refused.append(str(found))
                continue
            self.templates.append(found)
            self._walks.append((found.outer, _walker(found, asked)))

    @property
    def programs(self) -> list[Program] | None:
        """The tables, one for each template; None where some layers do not go into tables."""
        found = [walker.program for _, walker in self._walks if isinstance(walker, _Quick)]
        return found if len(found) == len(self.templates) else None

    @property
    def is_slow(self) -> bool:
        """Whether some candidates are built, because their layers do not go into tables."""
        return self.programs is None

    @property
    def batch(self) -> int:
        """How many candidates a batch has."""
        return SLOW_BATCH if self.is_slow else BATCH

    @property
    def total(self) -> int:
        """How many candidates are counted in all."""
        return self.asked.sample or self.space.size

    def run(self, index: int) -> Batch:
        """One batch: the same whatever ran before it, and wherever."""
        start = index * self.batch
        count = min(self.batch, self.total - start)
        if self.asked.sample is None:
            places = places_of(np.arange(start, start + count), self.space.sizes)
        else:
            draw = np.random.default_rng([self.asked.seed, index])
            places = np.array([draw.integers(0, size, count) for size in self.space.sizes])
        totals = self._totals(places)
        valid = totals.pop("invalid") == 0
        met = []
        mask = valid
        for part in self.asked.condition.parts if self.asked.condition is not None else ():
            holds = np.broadcast_to(part.mask(totals), valid.shape) & valid
            met.append(int(holds.sum()))
            mask = mask & holds
        kept = np.flatnonzero(mask)
        places = places[:, kept]
        totals = {name: column[kept] for name, column in totals.items()}
        front = self.front(totals, places)
        return Batch(index, count, int(count - valid.sum()), places.astype(np.uint16), totals, front, tuple(met))

    def _totals(self, places: Places) -> Columns:
        names = self.asked.names
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name in (*names, "invalid")}
        parts: list[NDArray[np.int64]] = []
        left = np.ones(places.shape[1], bool)
        for outer, walker in self._walks:
            mask = left
            for choice, place in outer.items():
                mask = mask & (places[choice] == place)
            which = np.flatnonzero(mask)
            left = left & ~mask
            for start in range(0, len(which), CHUNK):
                some = which[start : start + CHUNK]
                parts.append(some)
                for name, column in walker.totals(places[:, some]).items():
                    columns[name].append(column)
        # What no template stands for is no network.
        rest = np.flatnonzero(left)
        parts.append(rest)
        for name, found in columns.items():
            found.append(np.full(len(rest), 1 if name == "invalid" else 0))
        order = np.argsort(np.concatenate(parts), kind="stable")
        return {name: np.concatenate(found)[order] for name, found in columns.items()}

    def front(self, totals: Columns, places: NDArray[Any]) -> NDArray[np.int64]:
        """The places of the candidates that are not dominated, of equal ones that nearest to the spec."""
        values = objective_values(self.asked.objectives, totals, places.shape[1])
        if not values.shape[1]:
            # Those nearest to the spec: more are not shown.
            return non_dominated(values, self.distance(places))[:NEAREST]
        # How far they are is asked of few: of those that are as good as one of the front in one objective.
        first = non_dominated(values, np.zeros(len(values)))
        some = np.flatnonzero(np.isin(values[:, 0], values[first, 0]))
        return some[non_dominated(values[some], self.distance(places[:, some]))]

    def distance(self, places: NDArray[Any]) -> NDArray[np.float64]:
        """How far each candidate is from the spec's own values."""
        total = np.zeros(places.shape[1])
        for away, row in zip(self.away, places, strict=True):
            total += away[row]
        return total


def objective_values(
    objectives: Sequence[Objective], totals: Mapping[str, NDArray[Any]], count: int
) -> NDArray[np.float64]:
    """What is to be small, a row for each candidate."""
    if not objectives:
        return np.empty((count, 0))
    return np.column_stack([objective.sign * totals[objective.name].astype(np.float64) for objective in objectives])


class _Quick:
    """Looks totals up in tables."""

    def __init__(self, program: Program, template: Template, setting: Setting, names: Sequence[str]) -> None:
        self.program, self.names = program, tuple(names)
        self._walk = Walk(program, setting, [name for name in names if name != FIELD])
        self._fields = FieldReader(template) if FIELD in names else None

    def totals(self, places: Places) -> Columns:
        found = self._walk.totals(places)
        if self._fields is not None:
            valid = found["invalid"] == 0
            fields = np.zeros(len(valid), np.int64)
            fields[valid] = self._fields.of(places[:, valid])
            # Nobody can tell it: no condition on it holds.
            found[FIELD] = np.where(fields < 0, np.nan, fields) if (fields < 0).any() else fields
        return {name: found[name] for name in (*self.names, "invalid")}


class _Slow:
    """Builds each candidate, and summarizes it."""

    def __init__(self, space: Space, setting: Setting, names: Sequence[str]) -> None:
        self.space, self.setting, self.names = space, setting, tuple(names)

    def totals(self, places: Places) -> Columns:
        rows = []
        for candidate in places.T.tolist():
            try:
                graph = build_candidate(self.space, candidate)
                rows.append([*totals_of(graph, self.setting, self.names), 0])
            except GnetError:
                rows.append([*(0.0 for _ in self.names), 1])
        table = np.array(rows).reshape(-1, len(self.names) + 1)
        return {
            name: column if name == SECONDS or np.isnan(column).any() else column.astype(np.int64)
            for name, column in zip((*self.names, "invalid"), table.T, strict=True)
        }


_Walker = _Quick | _Slow


def _walker(template: Template, asked: Asked) -> _Walker:
    if template.space.mode == "eval":
        try:
            return _Quick(compile_template(template, asked.setting), template, asked.setting, asked.names)
        except CannotCompileError:
            pass
    return _Slow(template.space, asked.setting, asked.names)


def build_candidate(space: Space, places: Sequence[int]) -> Graph:
    """The network of a candidate, by the ordinary way. Raises SpecError or UsageError where it is none."""
    shapes = {value.name: value.shape for value in space.input_values(places)}
    return build_graph(space.spec, shapes, overrides=space.overrides(places), mode=space.mode, resize=True)


def totals_of(graph: Graph, setting: Setting, names: Iterable[str], summary: Summary | None = None) -> list[float]:
    """The totals of a network by their JSON names, by the ordinary analysis; NaN for a field that nobody can tell."""
    totals = (summary or summarize(graph, setting.dtype)).totals
    found: list[float] = []
    for name in names:
        if name == FIELD:
            known = totals.receptive_field is not None and totals.receptive_field_status not in ("unknown", "bound")
            found.append(float(min(totals.receptive_field or ())) if known else float("nan"))
        elif name == SECONDS:
            assert setting.device is not None
            found.append(roofline(graph, setting.device, setting.dtype).totals.layers_s)
        else:
            found.append(getattr(totals, name))
    return found
