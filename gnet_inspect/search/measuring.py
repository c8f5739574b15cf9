"""Networks of a space by their time on a device: of the front, or of those that Optuna proposes.

What is measured costs seconds, and what is counted microseconds: so what --where asks is decided before anything is
measured, and what is shown in the end was timed in turns, on one device, beside the spec itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import GnetError, MissingError
from gnet_inspect.graph import Graph
from gnet_inspect.search.counting import build_candidate, totals_of
from gnet_inspect.search.front import non_dominated
from gnet_inspect.search.result import LATENCY, Found, Measured, Objective, Sweep, shown_of
from gnet_inspect.search.runners import Pending, in_order
from gnet_inspect.search.space import Space
from gnet_inspect.search.store import State, Store

if TYPE_CHECKING:
    from optuna import Study, Trial

    from gnet_inspect.search.cluster import Cluster
    from gnet_inspect.search.sweeping import Sweeper, Talk

# So many proposals are timed in turns, and told together.
GROUP = 4
# For each one that is measured so many may be proposed: --where refuses most of some spaces.
MOST_PROPOSED = 100


class Times(NamedTuple):
    """The seconds that each of several networks takes, the device, and how many of these are not to be relied upon,
    because the machine had other work meanwhile."""

    seconds: list[float]
    device: str
    noisy: int = 0


# Times networks in turns on one device.
Measure = Callable[[Sequence[Graph]], Times]


class Meter(Protocol):
    """Who measures: groups of networks, each in turns on one device, in the order of the groups."""

    @property
    def devices(self) -> int: ...
    def time(self, groups: Sequence[Sequence[Graph]]) -> Iterator[Times]: ...


class Here(Struct, frozen=True):
    """This process, one group after the other."""

    measure: Measure

    @property
    def devices(self) -> int:
        return 1

    def time(self, groups: Sequence[Sequence[Graph]]) -> Iterator[Times]:
        """The times of each group."""
        return map(self.measure, groups)


class There:
    """The workers of a cluster that declare devices; each device times one group at a time. Raises MissingError where
    none is declared."""

    def __init__(self, cluster: "Cluster", measure: Measure) -> None:
        self._cluster, self._measure = cluster, measure
        if cluster.threads and not cluster.devices:
            raise MissingError(
                f"--cluster {cluster.address}: no worker has a device to measure on. "
                f"(start them with: dask worker {cluster.address} --resources device=1)"
            )

    @property
    def devices(self) -> int:
        return max(self._cluster.devices, 1)

    def time(self, groups: Sequence[Sequence[Graph]]) -> Iterator[Times]:
        """The times of each group; of a worker that is lost meanwhile another one takes them."""

        def submit(index: int) -> Pending[Times]:
            return self._cluster.submit(self._measure, groups[index], on_device=True)

        return in_order(submit, range(len(groups)), lambda: len(groups) + 1)


def counted_objectives(objectives: Sequence[Objective], *, on_device: bool) -> tuple[Objective, ...]:
    """What a front is counted by of which some networks are to be measured: in the place of a time stands what is known
    without one, the roofline's where there is a device, else MACs.

    >>> [each.name for each in counted_objectives([Objective("latency_s"), Objective("params")], on_device=False)]
    ['macs', 'params']
    """
    found: dict[str, Objective] = {}
    for objective in objectives:
        one = objective
        if objective.name == LATENCY:
            one = Objective("layers_s" if on_device else "macs", objective.maximize)
        if one.name not in {each.name for each in objectives} or one is objective:
            found.setdefault(one.name, one)
    return tuple(found.values())


def measure_front(
    sweeper: "Sweeper",
    result: Sweep,
    objectives: tuple[Objective, ...],
    meter: Meter,
    most: int,
    store: Store | None = None,
) -> Sweep:
    """A sweep with the times of so many networks of its front, evenly spread, and of the spec itself, all in turns; the
    front is then what none of these beats. KeyboardInterrupt leaves it as it is."""
    result = replace(result, objectives=objectives)
    chosen = shown_of(result.front, most)
    space = sweeper.space
    places = [space.places(found.edits) for found in chosen]
    try:
        graphs = [sweeper.base_graph(), *(build_candidate(space, each) for each in places)]
        (times,) = meter.time([graphs])
    except KeyboardInterrupt:
        return replace(result, interrupted=True, notes=(*result.notes, "interrupted before all were timed"))
    base, *front = [
        replace(found, measured={**(found.measured or {}), LATENCY: second})
        for found, second in zip([result.base, *chosen], times.seconds, strict=True)
    ]
    if store is not None:
        front = [replace(found, id=number) for found, number in zip(front, store.ids(places), strict=True)]
        store.add_measured((found.id, LATENCY, found.value(LATENCY) or 0.0) for found in front if found.id is not None)
    notes = result.notes
    by_time = LATENCY in {objective.name for objective in objectives}
    if by_time and result.method != "proposed":
        names = " and ".join(objective.name for objective in sweeper.asked.objectives)
        notes = (*notes, f"those that were timed are best by {names}: --propose N goes by measured time alone")
    if len(chosen) < len(result.front):
        notes = (
            *notes,
            f"{len(chosen)} of its {result.front_size or len(result.front):,} networks were timed: --points",
        )
    if by_time:
        timed = len(front)
        front = _front(front, objectives)
        notes = (*notes, f"{timed - len(front)} of {timed} that were timed are beaten") if len(front) < timed else notes
    if times.noisy:
        notes = (
            *notes,
            f"{times.noisy} of {len(graphs)} times are noisy: the machine had other work (--threads, --min-time)",
        )
    return replace(
        result,
        base=base,
        front=tuple(front),
        front_size=0,
        # A network that was not timed may be faster.
        exact=result.exact and not by_time,
        gap=None if by_time else result.gap,
        measured=Measured(LATENCY, times.device, len(chosen), result.counted if result.method == "proposed" else 0),
        notes=notes,
    )


def _front(found: Sequence[Found], objectives: Sequence[Objective]) -> list[Found]:
    values = np.array([[objective.sign * _known(each, objective) for objective in objectives] for each in found])
    order = non_dominated(
        values.reshape(len(found), len(objectives)), np.array([each.distance for each in found], np.float64)
    )
    return [found[place] for place in order.tolist()]


def _known(found: Found, objective: Objective) -> float:
    value = found.value(objective.name)
    assert value is not None
    return value


# --- proposals ---


class Proposals:
    """A study of Optuna's on a space: its trials, of which each network is measured once, and refused without
    measuring where it is none or --where does not hold."""

    def __init__(self, sweeper: "Sweeper", objectives: tuple[Objective, ...], journal: Path | None) -> None:
        self.sweeper, self.objectives = sweeper, objectives
        self.study = _study(objectives, sweeper.asked.seed, journal)
        # By the places of their values, in the order in which they were told: what was measured, and what was refused.
        self.known: dict[tuple[int, ...], Found] = {}
        self.refused: dict[tuple[int, ...], str] = {}
        self.proposed = 0
        self.device = ""
        self.interrupted = False
        self._read()

    def _read(self) -> None:
        """What a journal has of earlier runs."""
        for trial in self.study.get_trials(deepcopy=False):
            self.proposed += 1
            places = tuple(trial.user_attrs.get("places", ()))
            if places and trial.values is not None and places not in self.known:
                self.known[places] = self._found(places, trial.user_attrs[LATENCY])

    def run(self, trials: int, meter: Meter, talk: "Talk") -> None:
        """Measure until so many networks are. KeyboardInterrupt ends it."""
        most = max(MOST_PROPOSED * trials, self.proposed)
        try:
            while len(self.known) < trials and self.proposed < most and not self.is_through():
                group = list(self._ask(min(GROUP * meter.devices, trials - len(self.known)), most))
                split = [group[start : start + GROUP] for start in range(0, len(group), GROUP)]
                timed = meter.time([[proposal.graph for proposal in some] for some in split])
                for some, times in zip(split, timed, strict=True):
                    self.device = times.device
                    for proposal, second in zip(some, times.seconds, strict=True):
                        self._tell(proposal, second)
                talk.tell(0.0, f"{len(self.known):,} of {trials:,} networks measured")
        except KeyboardInterrupt:
            self.interrupted = True

    def is_through(self, under_way: int = 0) -> bool:
        """Whether every network of the space was measured or refused, or is under way."""
        return len(self.known) + len(self.refused) + under_way >= self.sweeper.space.size

    def _ask(self, number: int, most: int) -> Iterator["_Proposal"]:
        """So many networks that were not measured yet, or fewer where no more are found."""
        under_way: set[tuple[int, ...]] = set()
        while len(under_way) < number and self.proposed < most and not self.is_through(len(under_way)):
            trial = self.study.ask()
            self.proposed += 1
            places = _suggested(self.sweeper.space, trial)
            trial.set_user_attr("places", places)
            graph = None
            if places in self.known:
                self._tell_values(trial, self.known[places])
                continue
            if places not in self.refused and places not in under_way:
                graph = self._checked(places)
            if graph is None:
                _refuse(self.study, trial)
                continue
            under_way.add(places)
            yield _Proposal(trial, places, graph)

    def _checked(self, places: tuple[int, ...]) -> Graph | None:
        """The network, where it is one and meets the condition."""
        asked = self.sweeper.asked
        try:
            graph = build_candidate(self.sweeper.space, places)
        except GnetError as error:
            self.refused[places] = str(error)
            return None
        names = asked.names
        totals = dict(zip(names, totals_of(graph, asked.setting, names), strict=True))
        if asked.condition is not None and not asked.condition.holds(totals):
            self.refused[places] = ""
            return None
        return graph

    def _tell(self, proposal: "_Proposal", seconds: float) -> None:
        found = self._found(proposal.places, seconds)
        self.known[proposal.places] = found
        self._tell_values(proposal.trial, found)

    def _tell_values(self, trial: "Trial", found: Found) -> None:
        assert found.measured is not None
        trial.set_user_attr(LATENCY, found.measured[LATENCY])
        self.study.tell(trial, [_known(found, objective) for objective in self.objectives])

    def _found(self, places: tuple[int, ...], seconds: float) -> Found:
        return replace(self.sweeper.found(places), measured={LATENCY: seconds})

    def front(self) -> list[tuple[int, ...]]:
        """The places of those that none beats."""
        places = list(self.known)
        if not places:
            return []
        front = _front(list(self.known.values()), self.objectives)
        by_edits = {id(found): each for each, found in self.known.items()}
        return [by_edits[id(found)] for found in front]

    def store(self, store: Store) -> None:
        """A row for each that was measured, those that are there already left out."""
        names, space = store.names, self.sweeper.space
        new = list(self.known)[store.rows :]
        rows = [totals_of(build_candidate(space, places), self.sweeper.asked.setting, names) for places in new]
        totals = {name: np.array([row[index] for row in rows]) for index, name in enumerate(names)}
        table = np.array(new, np.uint16).T.reshape(len(space.choices), len(new))
        store.add(table, totals, State(1, {}, {}))
        store.add_measured(
            (number, LATENCY, found.value(LATENCY) or 0.0) for number, found in enumerate(self.known.values(), 1)
        )


class _Proposal(NamedTuple):
    """A trial that is under way, and its network."""

    trial: "Trial"
    places: tuple[int, ...]
    graph: Graph


def propose(
    sweeper: "Sweeper",
    objectives: tuple[Objective, ...],
    trials: int,
    meter: Meter,
    talk: "Talk",
    most: int,
    store: Store | None = None,
    journal: Path | None = None,
) -> Sweep:
    """A sweep of so many networks that Optuna proposes and `meter` times; of the front `most` are timed again, all
    in turns. With a journal, networks that it has are counted, and not measured again."""
    proposals = Proposals(sweeper, objectives, journal)
    proposals.run(trials, meter, talk)
    if store is not None:
        proposals.store(store)
    result = sweeper.proposed(proposals.front(), proposals.proposed, len(proposals.known))
    number = len(proposals.known)
    if number < trials and not proposals.interrupted:
        why = "the space has no more" if proposals.is_through() else f"{proposals.proposed:,} proposals brought no more"
        meeting = " that meet --where" if sweeper.asked.condition is not None else ""
        result = replace(result, notes=(*result.notes, f"{number:,} networks were measured: {why}{meeting}"))
    if proposals.interrupted or not result.front:
        found = tuple(proposals.known[places] for places in proposals.front())
        measured = Measured(LATENCY, proposals.device, len(proposals.known), proposals.proposed)
        return replace(result, objectives=objectives, front=found, measured=measured, interrupted=proposals.interrupted)
    return measure_front(sweeper, result, objectives, meter, most, store)


def _study(objectives: Iterable[Objective], seed: int, journal: Path | None) -> "Study":
    try:
        import optuna
    except ImportError:
        raise MissingError(
            "--propose needs optuna, which is not installed. Install it with: pip install 'gnet-inspect[search]'"
        ) from None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    # It tells of each trial, in lines of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=None if journal is None else JournalStorage(JournalFileBackend(str(journal))),
        study_name="gnet-inspect sweep",
        load_if_exists=True,
        directions=["maximize" if objective.maximize else "minimize" for objective in objectives],
        sampler=optuna.samplers.TPESampler(seed=seed),
    )


def _suggested(space: Space, trial: "Trial") -> tuple[int, ...]:
    """The places of the values that a trial proposes: of numbers in their order, of others as categories."""
    return tuple(
        int(trial.suggest_int(choice.name, 0, len(choice.values) - 1))
        if all(isinstance(value, int | float) for value in choice.values)
        else int(trial.suggest_categorical(choice.name, list(range(len(choice.values)))))
        for choice in space.choices
    )


def _refuse(study: "Study", trial: "Trial") -> None:
    """A trial that is not measured has no values, and a sampler does not learn from it."""
    from optuna.trial import TrialState

    study.tell(trial, state=TrialState.FAIL)
