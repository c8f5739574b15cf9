"""A sweep: what is asked of a space, answered by going through it, by dynamic programming, or by drawing from it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isclose, isnan
from typing import Any, Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gnet_inspect.analysis.roofline import roofline
from gnet_inspect.analysis.summary import coverage_of, summarize
from gnet_inspect.budgets.limits import amount_text
from gnet_inspect.errors import some_of
from gnet_inspect.graph import Graph
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.search.counting import (
    Asked,
    Batch,
    Counter,
    build_candidate,
)
from gnet_inspect.search.front import non_dominated
from gnet_inspect.search.optimum import NotProvableError, column_bounds, find_optimum
from gnet_inspect.search.result import Found, Range, Sweep, Varied, shown_of, size_text
from gnet_inspect.search.runners import run_here
from gnet_inspect.search.space import Space
from gnet_inspect.search.store import State, Store
from gnet_inspect.search.walk import SECONDS
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import duration

# A space of so many networks is gone through.
MOST_ENUMERATED = 5_000_000
MOST_SLOW = 20_000
# Of a space that can be neither gone through nor proved so many are drawn.
DRAWN = 1_000_000
# Of a larger front so many are built again, evenly spread.
MOST_FRONT = 300
# So many values of each total are kept for its distribution.
MOST_VALUES = 200_000

Tell = Callable[[float, str], None]
Run = Callable[[Counter, Iterable[int]], Iterator[Batch]]


class Talk(Protocol):
    """Who is told of a sweep: in sentences what is known before it, and how far it is."""

    def say(self, text: str) -> None: ...
    def tell(self, amount: float, what: str) -> None: ...


class InexactError(AssertionError):
    """A total that was looked up is not what the ordinary analysis says: a mistake in this program."""


class Sweeper:
    """One sweep of a space."""

    def __init__(self, space: Space, asked: Asked, gap: float, title: str) -> None:
        self.space, self.asked, self.gap, self.title = space, asked, gap, title
        self.counter = Counter(space, asked)
        self.notes: list[str] = []
        self.seen = _Seen(self.counter)
        self.interrupted = False
        # Whether a proof rounded a sum that is limited.
        self._limited = False

    # --- before ---

    def foretell(self) -> list[str]:
        """What is known before anything is searched: the size of the space, its bounds, limits that cannot be met or
        never bind, and questions whose answer is a corner."""
        space, counter = self.space, self.counter
        if not counter.templates:
            return [f"no network of the space can be built: {counter.refused[0]}"]
        words = [f"{len(choice.values)} of {choice.name}" for choice in space.choices[:4]]
        more = f" and {len(space.choices) - 4} more" if len(space.choices) > 4 else ""
        told = [f"{size_text(space.size)} networks: {' x '.join(words)}{more}"]
        width = self.asked.setting.width
        programs = counter.programs
        if programs is None:
            told.append("some of its layers do not go into tables: each network is built, which takes milliseconds")
        else:
            spans = []
            for name in self.asked.names:
                bounds = column_bounds(programs, name, width)
                if bounds is not None:
                    low, high = (_amount(name, bound) for bound in bounds)
                    spans.append(f"{name} {low} to {high}")
            if spans:
                told.append(f"its totals lie within: {', '.join(spans)}")
            told += self._limits(programs, width)
        told += self._corner()
        return told

    def _limits(self, programs: Sequence[Any], width: int) -> list[str]:
        """Of each limit that the bounds decide: no network meets it, or all do."""
        told = []
        for part in self.asked.condition.parts if self.asked.condition is not None else ():
            limit = part.limit
            bounds = column_bounds(programs, limit.name, width) if limit is not None else None
            if limit is None or bounds is None:
                continue
            low, high = bounds
            upper = limit.operator in ("<", "<=")
            if (upper and low > limit.bound) or (limit.operator in (">", ">=") and high < limit.bound):
                least = f"{'the least' if upper else 'the most'} is {_amount(limit.name, low if upper else high)}"
                told.append(f"`{part}` cannot be met: {least}{self._where_it_is(limit.name) if upper else ''}")
            elif (upper and high <= limit.bound) or (not upper and low >= limit.bound and limit.operator != "=="):
                told.append(f"`{part}` does not bind: every network of the space meets it")
        return told

    def _where_it_is(self, name: str) -> str:
        """The part of the network that has most of a total which is too large at its least."""
        if name not in ("macs", "params", "flops"):
            return ""
        graph = self.counter.templates[0].graph
        sums: dict[str, int] = {}
        for node in graph.nodes:
            scope = node.block or node.name.split(".")[0]
            sums[scope] = sums.get(scope, 0) + (node.params if name == "params" else node.macs or 0)
        most = max(sums, key=lambda scope: sums[scope])
        share = 100 * sums[most] / max(sum(sums.values()), 1)
        return f"; {most} has the most of it ({share:.0f} % of the network at the first values)"

    def _corner(self) -> list[str]:
        """A question whose answer is known without a search."""
        asked = self.asked
        ways = {objective.maximize for objective in asked.objectives}
        if len(ways) != 1 or not all(_rises(self.space, index) for index in range(len(self.space.choices))):
            return []
        if any(objective.name in ("receptive_field", "depth") for objective in asked.objectives):
            return []
        (largest,) = ways
        holding = (">", ">=") if not largest else ("<", "<=")
        limits = [part.limit for part in asked.condition.parts] if asked.condition is not None else []
        if any(limit is None or limit.operator in holding or limit.operator == "==" for limit in limits):
            return []
        names = " and ".join(objective.name for objective in asked.objectives)
        what, words = ("largest", "--where with a limit above") if largest else ("smallest", "--where with a floor")
        more, other = ("more", "minimize") if largest else ("less", "maximize")
        told = (
            f"all that is asked for is {more} ({names}): where they rise with every value, the answer is every value at"
        )
        return [f"{told} its {what}. Add {words}, or something to {other}"]

    # --- the search ---

    def run(
        self,
        talk: Talk,
        store: Store | None = None,
        run: Run = run_here,
    ) -> Sweep:
        """Answer. KeyboardInterrupt ends it, and what there is stays."""
        most = MOST_SLOW if self.counter.is_slow else MOST_ENUMERATED
        method = "sampled" if self.asked.sample is not None else "enumerated"
        places: list[list[int]] = []
        gaps: list[float] | None = None
        exact, gap = True, None
        if not self.counter.templates:
            pass
        elif self.asked.sample is not None or self.space.size <= most:
            places = self._count(talk, store, run)
            exact = self.asked.sample is None and not self.interrupted
        else:
            try:
                optimum = find_optimum(self.counter, self.gap, talk.tell)
                places, gaps = optimum.places, optimum.gaps
                exact, gap, method = optimum.exact, optimum.gap, "proved"
                self._limited = optimum.limited
            except NotProvableError as error:
                method, exact = "sampled", False
                self._draw_instead(str(error), talk)
                places = self._count(talk, store, run)
        return self._result(method, exact, gap, places, gaps, store)

    def _draw_instead(self, why: str, talk: Talk) -> None:
        """Some networks of a space of which nothing is proved."""
        drawn = MOST_SLOW if self.counter.is_slow else DRAWN
        self.notes.append(
            f"{size_text(self.space.size)} networks are too many to go through, and nothing is proved of them: "
            f"{why}. So {drawn:,} were drawn"
        )
        talk.say(self.notes[-1])
        self.asked = replace(self.asked, sample=drawn)
        self.counter = Counter(self.space, self.asked)
        self.seen = _Seen(self.counter)

    def _count(self, talk: Talk, store: Store | None, run: Run) -> list[list[int]]:
        counter = self.counter
        batches = -(-counter.total // counter.batch)
        first = 0
        state = store.state if store is not None else None
        if state is not None:
            first = state.next
            self.seen.restore(state)
        try:
            for batch in run(counter, range(first, batches)):
                self.seen.add(batch)
                if store is not None:
                    store.add(batch.places, batch.totals, self.seen.state(batch.index + 1))
                talk.tell(batch.counted / counter.total, f"{self.seen.counted:,} counted, {self.seen.kept:,} kept")
        except KeyboardInterrupt:
            self.interrupted = True
        return self.seen.front_places()

    def proposed(self, places: Sequence[Sequence[int]], counted: int, kept: int) -> Sweep:
        """What others found: these networks, of so many that were proposed and so many of them that were measured."""
        self.seen.counted, self.seen.kept = counted, kept
        return self._result("proposed", False, None, [list(each) for each in places], None, None)

    # --- what was found ---

    def _result(
        self,
        method: str,
        exact: bool,
        gap: float | None,
        places: list[list[int]],
        gaps: list[float] | None,
        store: Store | None,
    ) -> Sweep:
        front_size = len(places)
        if front_size > MOST_FRONT:
            places = shown_of(places, MOST_FRONT)
            self.notes.append(f"the front has {front_size:,} networks: {MOST_FRONT} of them, evenly spread, are here")
        built = [self.found(each) for each in places]
        if gaps is not None:
            built = self._proved(built, gaps)
            gap = self._gap_at_limit(built, gap)
        elif method != "proposed":
            self._check(built, places)
        graph = self.base_graph()
        base = _found_of(graph, self.asked, {}, 0.0)
        unknown = coverage_of(graph).unknown
        if unknown:
            self.notes.append(f"macs are at least these: those of {some_of(unknown)} are not known")
        if store is not None and method == "proved":
            self._store_front(store, built)
        return Sweep(
            schema_version=SCHEMA_VERSION,
            model=self.space.spec.name,
            title=self.title,
            input=self.space.inputs[0].shape,
            mode=self.space.mode,
            dtype=self.asked.setting.dtype,
            objectives=self.asked.objectives,
            space=tuple(Varied(choice.paths, choice.values) for choice in self.space.choices),
            size=self.space.size,
            method=method,
            exact=exact,
            gap=0.0 if exact else gap,
            counted=self.seen.counted,
            invalid=self.seen.invalid,
            kept=self.seen.kept,
            base=base,
            front=tuple(built),
            ranges=self.seen.ranges(),
            own={choice.name: value for choice, value in zip(self.space.choices, self.space.own, strict=True)},
            where=self.asked.condition.text if self.asked.condition is not None else "",
            device=self.asked.setting.device.name if self.asked.setting.device is not None else "",
            seed=self.asked.seed if method in ("sampled", "proposed") else None,
            interrupted=self.interrupted,
            front_size=front_size if front_size > len(built) else 0,
            notes=(*self.notes, *(self._said(built) if method != "proposed" else ())),
        )

    def _check(self, built: Sequence[Found], places: Sequence[Sequence[int]]) -> None:
        """Hold what was looked up against the ordinary analysis."""
        looked_up = self.seen.front_totals()
        for found, each in zip(built, places, strict=True):
            for name, value in looked_up[tuple(each)].items():
                own = found.value(name)
                if own is not None and not isnan(value) and not isclose(own, value, rel_tol=1e-9):
                    raise InexactError(f"{name} of {found.edits}: {own} when built, {value} by tables")

    def _said(self, front: Sequence[Found]) -> list[str]:
        told = []
        condition = self.asked.condition
        if self.counter.refused:
            number = len(self.counter.refused)
            what = "structures of the space are no networks" if number > 1 else "structure of the space is no network"
            told.append(f"{number:,} {what}: {self.counter.refused[0]}")
        if condition is not None and self.seen.counted and not self.interrupted:
            valid = self.seen.counted - self.seen.invalid
            for part, met in zip(condition.parts, self.seen.met, strict=True):
                if met == 0 and valid:
                    told.append(f"no network meets `{part}`")
                elif met == valid and len(condition.parts) > 1:
                    told.append(f"every network meets `{part}`")
        told += self._left_open(front)
        if not front and not told:
            told.append("no network meets what was asked")
        return told

    def _left_open(self, front: Sequence[Found]) -> list[str]:
        """Of networks that were drawn: how far below the best of them the bounds of the space leave room."""
        programs = self.counter.programs
        if self.asked.sample is None or programs is None or not front:
            return []
        told = []
        for objective in self.asked.objectives:
            bounds = column_bounds(programs, objective.name, self.asked.setting.width)
            values = [value for found in front if (value := found.value(objective.name)) is not None]
            if bounds is not None and values:
                best = max(values) if objective.maximize else min(values)
                bound = bounds[1] if objective.maximize else bounds[0]
                way = "most" if objective.maximize else "least"
                told.append(
                    f"the {way} {objective.name} that was drawn is {_amount(objective.name, best)}; "
                    f"no network of the space has {'more' if objective.maximize else 'less'} than "
                    f"{_amount(objective.name, bound)}"
                )
        return told

    def found(self, places: Sequence[int]) -> Found:
        """A network of the space, built and summarized as every other one is."""
        graph = build_candidate(self.space, places)
        return _found_of(graph, self.asked, self._edits(places), self._distance(places))

    def _edits(self, places: Sequence[int]) -> dict[str, Any]:
        return {
            path: choice.values[place]
            for choice, place in zip(self.space.choices, places, strict=True)
            for path in choice.paths
        }

    def _distance(self, places: Sequence[int]) -> float:
        column = np.array(places, np.int64)[:, None]
        return float(self.counter.distance(column)[0])

    def base_graph(self) -> Graph:
        """The spec as it is, with the fixed edits."""
        space = self.space
        shapes = {value.name: value.shape for value in space.inputs}
        return build_graph(space.spec, shapes, overrides=space.fixed, mode=space.mode, resize=True)

    def _proved(self, built: Sequence[Found], gaps: Sequence[float]) -> list[Found]:
        """The networks that meet the condition in full, those that are not dominated, with the proven gap of each."""
        asked = self.asked
        kept = []
        for found, bound in zip(built, gaps, strict=True):
            if asked.condition is None or asked.condition.holds(_values(found, asked)):
                kept.append((found, bound))
        values = np.array(
            [
                [objective.sign * (found.value(objective.name) or 0) for objective in asked.objectives]
                for found, _ in kept
            ]
        ).reshape(len(kept), len(asked.objectives))
        order = non_dominated(values, np.array([found.distance for found, _ in kept]))
        return [replace(kept[place][0], gap=round(kept[place][1], 6)) for place in order.tolist()]

    def _gap_at_limit(self, built: Sequence[Found], gap: float | None) -> float | None:
        """What is proven where the sum that was rounded is limited: a network that keeps the limit may have been put
        aside for one that is as good and lies beyond it."""
        if not self._limited or gap is None:
            return gap
        if len(self.asked.objectives) == 1:
            # Of the one that is best, by the least that any network within the limit can have.
            return built[0].gap if built else None
        self.notes.append(
            f"sums were rounded by up to {100 * gap:.2g} %: so near the limit networks of the front may be missing"
        )
        return gap

    def _store_front(self, store: Store, built: Sequence[Found]) -> None:
        if store.state is not None:
            return
        chosen = [self.space.places(found.edits) for found in built]
        table = np.array(chosen, np.uint16).T.reshape(len(self.space.choices), len(chosen))
        totals = {
            name: np.array([found.value(name) if found.value(name) is not None else np.nan for found in built])
            for name in store.names
        }
        store.add(table, totals, State(1, {}, {}))


def _found_of(graph: Any, asked: Asked, edits: Mapping[str, Any], distance: float) -> Found:
    summary = summarize(graph, asked.setting.dtype)
    totals = summary.totals
    seconds = None
    if asked.setting.device is not None:
        seconds = roofline(graph, asked.setting.device, asked.setting.dtype).totals.layers_s
    field = totals.receptive_field
    return Found(
        edits,
        totals.params,
        totals.macs,
        totals.activation_bytes,
        totals.peak_activation_bytes,
        totals.least_peak_activation_bytes,
        tuple(int(size) for size in field) if field else None,
        totals.depth,
        round(distance, 6),
        seconds,
        buffers=totals.buffers,
        param_bytes=totals.param_bytes,
    )


def _amount(name: str, value: float) -> str:
    return duration(value) if name == SECONDS else amount_text(name, value)


def _values(found: Found, asked: Asked) -> dict[str, float | str | None]:
    return {name: found.value(name) for name in (asked.condition.names if asked.condition is not None else ())}


def _rises(space: Space, index: int) -> bool:
    """Whether a choice's values are numbers, or sizes of an input."""
    return all(
        isinstance(value, int | float | tuple) and not isinstance(value, bool) for value in space.choices[index].values
    )


class _Seen:
    """What was counted so far."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.counted = self.invalid = self.kept = 0
        parts = counter.asked.condition.parts if counter.asked.condition is not None else ()
        self.met = [0] * len(parts)
        names = counter.asked.names
        self._places: NDArray[Any] = np.empty((len(counter.space.choices), 0), np.uint16)
        self._front: dict[str, NDArray[Any]] = {name: np.empty(0) for name in names}
        self._least = {name: float("inf") for name in names}
        self._greatest = {name: float("-inf") for name in names}
        self._values: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        batches = max(1, -(-counter.total // counter.batch))
        self._each = max(1, MOST_VALUES // batches)

    def add(self, batch: Batch) -> None:
        """Take a batch in."""
        self.counted += batch.counted
        self.invalid += batch.invalid
        count = batch.places.shape[1]
        self.kept += count
        self.met = [so_far + more for so_far, more in zip(self.met, batch.met, strict=True)]
        for name, column in batch.totals.items():
            if count:
                self._least[name] = min(self._least[name], float(np.nanmin(column)))
                self._greatest[name] = max(self._greatest[name], float(np.nanmax(column)))
                step = max(1, -(-count // self._each))
                self._values[name].append(column[::step].astype(np.float64))
        places = np.concatenate([self._places, batch.places[:, batch.front]], axis=1)
        totals = {
            name: np.concatenate([self._front[name], column[batch.front]]) for name, column in batch.totals.items()
        }
        front = self._counter.front(totals, places)
        self._places = places[:, front]
        self._front = {name: column[front] for name, column in totals.items()}

    def front_places(self) -> list[list[int]]:
        """The networks that are not dominated, in the order of their objectives."""
        found: list[list[int]] = self._places.T.tolist()
        return found

    def front_totals(self) -> dict[tuple[int, ...], dict[str, float]]:
        """What was looked up of them."""
        rows = {name: column.tolist() for name, column in self._front.items()}
        return {
            tuple(places): {name: column[index] for name, column in rows.items()}
            for index, places in enumerate(self.front_places())
        }

    def ranges(self) -> dict[str, Range]:
        """The distribution of each total."""
        found = {}
        for name, values in self._values.items():
            if values:
                together = np.concatenate(values)
                together = together[~np.isnan(together)]
                if len(together):
                    quantiles = np.quantile(together, np.linspace(0, 1, 101), method="lower").tolist()
                    found[name] = Range(self._least[name], self._greatest[name], tuple(quantiles))
        return found

    def state(self, following: int) -> State:
        """All of it, for a file."""
        sums = {
            "counted": self.counted,
            "invalid": self.invalid,
            "kept": self.kept,
            "met": self.met,
            "least": self._least,
            "greatest": self._greatest,
        }
        arrays = {"places": self._places, **{f"front {name}": column for name, column in self._front.items()}}
        for name, values in self._values.items():
            arrays[f"values {name}"] = np.concatenate(values) if values else np.empty(0)
        return State(following, sums, arrays)

    def restore(self, state: State) -> None:
        """What a file has of it."""
        sums, arrays = state.sums, state.arrays
        if not sums:
            return
        self.counted, self.invalid, self.kept = sums["counted"], sums["invalid"], sums["kept"]
        self.met, self._least, self._greatest = sums["met"], sums["least"], sums["greatest"]
        self._places = arrays["places"]
        self._front = {name: arrays[f"front {name}"] for name in self._front}
        self._values = {name: [arrays[f"values {name}"]] for name in self._values}
