"""`sweep --measure latency`: what is timed, in which turns, and what is the best then."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from gnet_inspect.budgets.conditions import parse_condition
from gnet_inspect.cli import measuring
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Graph, Value
from gnet_inspect.language import load_spec
from gnet_inspect.search.counting import Asked, build_candidate, totals_of
from gnet_inspect.search.measuring import Here, There, Times, counted_objectives, measure_front, propose
from gnet_inspect.search.result import LATENCY, TOTALS, Objective, Sweep
from gnet_inspect.search.space import read_space
from gnet_inspect.search.store import Store
from gnet_inspect.search.sweeping import Sweeper
from gnet_inspect.sources.spec.following import follow_edits
from tests.clocks import FakeCandidate, FakeClock
from tests.conftest import Run

VARIED = ("c1.out_channels=4:9:1", "c3.out_channels=8:15:1")
FLAGS = tuple(part for item in VARIED for part in ("--vary", item))
FAST = ("--min-time", "0.01", "--threads", "1", "--device", "cpu")
FASTEST = (Objective(LATENCY), Objective("params", maximize=True))


class Bench:
    """Times networks without a device: so many seconds by their MACs, with a diary of what was timed together."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.diary: list[list[str]] = []
        self.stop_after = stop_after

    def __call__(self, graphs: Sequence[Graph]) -> Times:
        if self.stop_after is not None and len(self.diary) >= self.stop_after:
            raise KeyboardInterrupt
        self.diary.append([graph.variant for graph in graphs])
        return Times([seconds_of(graph) for graph in graphs], "a bench")

    @property
    def all(self) -> set[str]:
        """What was timed."""
        return {name for together in self.diary for name in together}

    @property
    def proposed(self) -> list[str]:
        """What was timed of proposals: all but the last, in which the front takes turns with the spec."""
        return [name for together in self.diary[:-1] for name in together]


def seconds_of(graph: Graph) -> float:
    """A device that likes multiples of four channels, and no others."""
    widths = [node.output_shape[1] for node in graph.nodes if node.op.kind == "Conv2d"]
    return sum(-(-width // 4) * 4 for width in widths[:2]) / 1000


class Silent:
    """Nobody is told."""

    def say(self, text: str) -> None: ...
    def tell(self, amount: float, what: str) -> None: ...


def sweeper(
    objectives: tuple[Objective, ...] = FASTEST, where: str = "", seed: int = 0, varied: Sequence[str] = VARIED
) -> Sweeper:
    """A sweep of LeNet-5's."""
    spec = load_spec("lenet5")
    given = tuple(Value(value.name, (1, *value.shape), value.dtype) for value in spec.inputs)
    followed = follow_edits(spec, given, {}, "eval")
    space = read_space(spec, followed.graph, followed.arguments, varied)
    condition = parse_condition(where, TOTALS) if where else None
    counted = counted_objectives(objectives, on_device=False)
    return Sweeper(space, Asked(counted, condition, seed=seed), 0.01, "LeNet-5")


def all_networks(sweeping: Sweeper) -> Iterator[tuple[float, int]]:
    """The seconds and parameters of every network of a small space."""
    for first in range(sweeping.space.sizes[0]):
        for second in range(sweeping.space.sizes[1]):
            graph = build_candidate(sweeping.space, (first, second))
            yield seconds_of(graph), sum(node.params for node in graph.nodes)


# --- the front ---


@pytest.mark.parametrize("name", [name for name in TOTALS if name != "layers_s"])
def test_a_network_knows_each_total_that_may_be_asked(name: str) -> None:
    """What is not known of it would meet no condition, and win or lose every comparison."""
    sweeping = sweeper()
    graph = build_candidate(sweeping.space, (1, 2))
    assert [sweeping.found((1, 2)).value(name)] == totals_of(graph, sweeping.asked.setting, [name])


def test_the_front_is_timed_in_turns_with_the_spec() -> None:
    """All at once, the spec first; what another one beats in what was measured is no longer of the front."""
    bench, sweeping = Bench(), sweeper()
    counted = sweeping.run(Silent())
    found = measure_front(sweeping, counted, FASTEST, Here(bench), 1000)
    assert bench.diary == [["lenet5", *(_variant(each.edits) for each in counted.front)]]
    assert found.base.measured == {LATENCY: 0.024}
    assert found.objectives == FASTEST
    assert found.measured is not None
    assert (found.measured.device, found.measured.networks) == ("a bench", len(counted.front))
    # By hand: as fast as any that was timed and has as many parameters.
    timed = [(seconds, each) for seconds, each in zip(_seconds(bench, sweeping), counted.front, strict=True)]
    best = [
        each.edits
        for seconds, each in timed
        if not any(
            (other <= seconds and rival.params >= each.params) and (other < seconds or rival.params > each.params)
            for other, rival in timed
        )
    ]
    assert sorted(map(str, best)) == sorted(str(each.edits) for each in found.front)
    assert len(found.front) == len(best) < len(counted.front)
    # Others were not timed.
    assert counted.exact
    assert not found.exact
    assert f"{len(counted.front) - len(best)} of {len(counted.front)} that were timed are beaten" in found.notes


def _variant(edits: Any) -> str:
    return " ".join(["lenet5", *(f"{path}={value}" for path, value in edits.items())])


def _seconds(bench: Bench, sweeping: Sweeper) -> list[float]:
    values = [dict(word.split("=") for word in name.split()[1:]) for name in bench.diary[0][1:]]
    return [sum(-(-int(width) // 4) * 4 for width in edits.values()) / 1000 for edits in values]


def test_so_many_are_timed_as_are_shown() -> None:
    """Evenly spread, with both ends; and what is not to be fast is told how fast it is, and stays."""
    objectives = (Objective("macs"), Objective("params", maximize=True))
    bench, sweeping = Bench(), sweeper(objectives)
    counted = sweeping.run(Silent())
    found = measure_front(sweeping, counted, objectives, Here(bench), 3)
    assert [len(together) for together in bench.diary] == [4]
    assert [found.front[0].edits, found.front[-1].edits] == [counted.front[0].edits, counted.front[-1].edits]
    assert all(each.measured is not None for each in found.front)
    assert found.exact
    assert f"3 of its {len(counted.front)} networks were timed: --points" in found.notes


def test_what_is_interrupted_stays_as_it_was_counted() -> None:
    """Without times."""
    sweeping = sweeper()
    counted = sweeping.run(Silent())
    found = measure_front(sweeping, counted, FASTEST, Here(Bench(stop_after=0)), 3)
    assert found.interrupted
    assert found.front == counted.front
    assert found.measured is None


def test_a_time_is_counted_by_what_stands_for_it() -> None:
    """By the roofline's time where a device is named; once, where that is asked for anyway."""
    assert counted_objectives(FASTEST, on_device=True) == (Objective("layers_s"), FASTEST[1])
    both = (Objective(LATENCY), Objective("macs"))
    assert counted_objectives(both, on_device=False) == (Objective("macs"),)


# --- proposals ---


def proposed(
    trials: int, bench: Bench, where: str = "", seed: int = 0, varied: Sequence[str] = VARIED, **more: Any
) -> Sweep:
    """A sweep of so many networks that Optuna proposes."""
    pytest.importorskip("optuna")
    return propose(sweeper(FASTEST, where, seed, varied), FASTEST, trials, Here(bench), Silent(), 1000, **more)


def test_so_many_are_measured_once_each() -> None:
    """In groups that take turns, and the best of them again, all together with the spec."""
    bench = Bench()
    found = proposed(10, bench)
    assert [len(together) for together in bench.diary[:-1]] == [4, 4, 2]
    assert len(set(bench.proposed)) == 10
    assert bench.diary[-1][0] == "lenet5"
    assert set(bench.diary[-1][1:]) <= set(bench.proposed)
    assert (found.method, found.exact, found.gap, found.kept, found.seed) == ("proposed", False, None, 10, 0)
    assert found.measured is not None
    assert found.measured.networks == len(bench.diary[-1]) - 1
    assert found.measured.proposed >= 10


def test_the_same_seed_proposes_the_same() -> None:
    """And another one others."""
    one, again, other = Bench(), Bench(), Bench()
    assert proposed(9, one) == proposed(9, again)
    proposed(9, other, seed=1)
    assert one.diary == again.diary
    assert one.diary != other.diary


def test_a_whole_space_is_found_to_the_end() -> None:
    """Where there are fewer networks than were asked for, all are measured, and the front is that of all."""
    bench = Bench()
    varied = ("c1.out_channels=4:6:1", "c3.out_channels=8,9,12")
    found = proposed(50, bench, varied=varied)
    assert len(set(bench.proposed)) == len(bench.proposed) == 9
    every = list(all_networks(sweeper(varied=varied)))
    best = {
        (seconds, params)
        for seconds, params in every
        if not any(other <= seconds and more >= params and (other, more) != (seconds, params) for other, more in every)
    }
    assert {(each.value(LATENCY), each.params) for each in found.front} == best
    assert "9 networks were measured: the space has no more" in found.notes


def test_what_where_refuses_is_never_measured() -> None:
    """It costs a build, and no run."""
    bench = Bench()
    where = "params < 50K and macs < 300K"
    found = proposed(6, bench, where=where)
    allowed = {
        _variant(dict(zip(("c1.out_channels", "c3.out_channels"), (first + 4, second + 8), strict=True)))
        for first in range(6)
        for second in range(8)
        if _meets(first, second)
    }
    assert bench.proposed
    assert set(bench.proposed) <= allowed
    assert found.where == where
    nothing = Bench()
    found = proposed(6, nothing, where="params < 1")
    assert nothing.diary == []
    assert found.front == ()
    assert "0 networks were measured: the space has no more that meet --where" in found.notes


def _meets(first: int, second: int) -> bool:
    graph = build_candidate(sweeper().space, (first, second))
    return sum(node.params for node in graph.nodes) < 50_000 and sum(node.macs or 0 for node in graph.nodes) < 300_000


def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    """What it has is not measured again; the file has a row for each, and its time beside it."""
    pytest.importorskip("optuna")
    first, second = Bench(stop_after=2), Bench()
    journal, path = tmp_path / "s.db.journal", tmp_path / "s.db"
    names = sweeper().asked.names
    with closing(Store(path, sweeper().space, names, {}, resume=False)) as store:
        stopped = proposed(12, first, store=store, journal=journal)
        assert store.rows == 8
    assert stopped.interrupted
    assert {_variant(each.edits) for each in stopped.front} <= first.all
    with closing(Store(path, sweeper().space, names, {}, resume=True)) as store:
        found = proposed(12, second, store=store, journal=journal)
        rows = list(store.records())
        assert store.rows == 12
    assert not found.interrupted
    assert len(second.proposed) == 4
    assert not set(second.proposed) & first.all
    with closing(sqlite3.connect(path)) as db:
        times = dict(db.execute("SELECT id, value FROM measured WHERE name = 'latency_s'").fetchall())
    assert sorted(times) == [row[0] for row in rows] == list(range(1, 13))
    for number, one, other, *_ in rows:
        assert times[number] == pytest.approx((-(-one // 4) * 4 + -(-other // 4) * 4) / 1000)
    for each in found.front:
        assert each.id is not None
        assert rows[each.id - 1][1:3] == tuple(each.edits.values())


# --- the device ---


def test_networks_take_turns_by_the_protocol_of_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round by round, there and back, in one measurement: no network is timed after another one is done."""
    pytest.importorskip("torch")
    from gnet_inspect.runtime import latency
    from gnet_inspect.runtime.latency import protocol as protocols

    clock, diary = FakeClock(), list[str]()
    seconds = iter((0.001, 0.002, 0.003))

    def fake(job: Any) -> tuple[Any, None]:
        candidate = FakeCandidate(clock, next(seconds), job.graph.variant, diary)
        candidate.graph = job.graph
        candidate.estimated_bytes, candidate.compile_s = 0, None  # type: ignore[attr-defined]
        return candidate, None

    made = latency.Protocol
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    monkeypatch.setattr(latency, "build_candidate", fake)
    monkeypatch.setattr(latency, "Protocol", lambda least: made(least, 2, 1, clock))
    space = sweeper().space
    graphs = [build_candidate(space, places) for places in ((0, 0), (1, 1), (2, 2))]
    times = measuring.time_in_turns(graphs, device="cpu", dtype="fp32", mode="eval", threads=1, min_time=0.05)
    assert times.seconds == pytest.approx([0.001, 0.002, 0.003])
    assert times.device.startswith("cpu (")
    names = [graph.variant for graph in graphs]
    turns = [name for name, before in zip(diary, ["", *diary[:-1]], strict=True) if name != before]
    assert turns == [*names, *names[1::-1], *names[1:], *names[1::-1], *names[1:]]


def test_the_command_measures(run: Run, tmp_path: Path) -> None:
    """The table has a column for it, CSV and JSON a key; the front's rows are told by their numbers."""
    pytest.importorskip("torch")
    command = ("sweep", "lenet5", *FLAGS, "--measure", "latency", *FAST, "--points", "2")
    table = run(*command, "--minimize", "macs", "--maximize", "params", "-o", str(tmp_path / "m.db"))
    assert table.code == 0
    assert "latency" in table.out
    assert "were counted; 2 of the best were timed\n" in table.out
    assert "48 rows" in table.err
    result = json.loads(run(*command, "--minimize", "latency_s,macs", "--format", "json").out)
    assert result["measured"]["name"] == LATENCY
    assert result["objectives"][0]["name"] == LATENCY
    assert all(found["measured"][LATENCY] > 0 for found in [result["base"], *result["front"]])
    with closing(sqlite3.connect(tmp_path / "m.db")) as db:
        assert db.execute("SELECT count(*) FROM measured").fetchall() == [(2,)]
    lines = run(*command, "--minimize", "macs", "--maximize", "params", "--format", "csv").out.splitlines()
    place = lines[0].split(",").index(LATENCY)
    assert all(float(line.split(",")[place]) > 0 for line in lines[1:])


def test_the_command_proposes(run: Run) -> None:
    """With measured times, and what meets the condition."""
    pytest.importorskip("torch")
    pytest.importorskip("optuna")
    command = ("sweep", "lenet5", *FLAGS, "--minimize", "latency_s", "--measure", "latency", "--propose", "3", *FAST)
    result = run(*command, "--where", "macs < 400K")
    assert result.code == 0
    assert "3 of 48 networks, as Optuna proposed them, were measured; others may be better" in result.out
    assert run(*command, "--where", "macs < 1").code == 1


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--minimize", "macs", "--measure", "accuracy"), 2, "--measure: expected latency, got accuracy, which takes"),
        (("--minimize", "macs", "--measure", "time"), 2, "--measure: expected latency, got 'time'"),
        (("--minimize", "latency_s"), 2, "latency_s: expected --measure latency, which measures it"),
        (("--minimize", "macs", "--propose", "3"), 2, "--propose: expected --measure latency and latency_s among"),
        (("--minimize", "macs", "--measure", "latency", "--propose", "3"), 2, "--propose: expected --measure latency"),
        (("--minimize", "latency_s", "--measure", "latency", "--propose", "0"), 2, "--propose: expected"),
        (("--minimize", "latency_s", "--measure", "latency", "--device", "tpu"), 2, "--device: expected auto, cpu"),
        (("--minimize", "latency_s", "--measure", "latency", "--dtype", "int8"), 2, "--dtype: expected fp32, fp16"),
        (("--minimize", "latency_s", "--measure", "latency", "--device", "cuda:99"), 3, "--device cuda:99: torch sees"),
        (("--where", "latency_s < 1"), 2, "--where: expected a name, got `latency_s`"),
    ],
)
def test_what_cannot_be_measured_is_told(flags: tuple[str, ...], code: int, message: str, run: Run) -> None:
    """In a line, before anything is measured."""
    pytest.importorskip("torch")
    result = run("sweep", "lenet5", *FLAGS, *flags)
    assert result.code == code
    assert message in result.err


@pytest.mark.parametrize(("module", "extra"), [("optuna", "'gnet-inspect[search]'"), ("torch", "torch")])
def test_what_is_missing_is_told(module: str, extra: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3, with what installs it."""
    import importlib.util
    import sys

    pytest.importorskip("torch")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else find(name, *more))
    if module == "optuna":
        monkeypatch.setitem(sys.modules, "optuna", None)
    command = ("sweep", "lenet5", *FLAGS, "--minimize", "latency_s", "--measure", "latency", "--propose", "2")
    result = run(*command, *FAST)
    assert result.code == 3
    assert f"needs {module}, which is not installed" in result.err
    assert f"Install it with: pip install {extra}" in result.err


# --- on a cluster ---

_running, _lock = 0, Lock()


def crowd(graphs: Sequence[Graph]) -> Times:
    """How many measurements run on this worker at once, each of which takes a while."""
    global _running  # noqa: PLW0603  # what all of a worker's threads see
    with _lock:
        _running += 1
        now = _running
    for _ in range(20):
        build_candidate(sweeper().space, (0, 0))
    with _lock:
        _running -= 1
    return Times([float(now)] * len(graphs), "a worker")


def test_a_device_of_a_cluster_measures_one_thing_at_a_time(tmp_path: Path) -> None:
    """However many threads its worker has; in the order that was asked, and never without a device."""
    pytest.importorskip("distributed")
    from gnet_inspect.search.cluster import Cluster
    from tests.test_sweep_cluster import SCHEDULER, process

    worker = ("distributed.cli.dask_worker", "--no-nanny", "--local-directory", str(tmp_path), "--nthreads", "4")
    graphs = [build_candidate(sweeper().space, (place, place)) for place in range(6)]
    with process(*SCHEDULER, says="Scheduler at:") as (_, address), Cluster(address) as cluster:
        without = f"no worker has a device .*dask worker {address} --resources"
        with process(*worker, address, says="Registered to:"), pytest.raises(MissingError, match=without):
            There(cluster, crowd)
        with process(*worker, address, "--resources", "device=1", says="Registered to:"):
            meter = There(cluster, crowd)
            assert meter.devices == 1
            found = list(meter.time([graphs[: number + 1] for number in range(6)]))
    assert [times.seconds for times in found] == [[1.0] * (number + 1) for number in range(6)]
