"""`sweep --cluster`: whoever counts, and whoever is lost meanwhile, the rows are the same."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import gnet_inspect
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Value
from gnet_inspect.language import load_spec
from gnet_inspect.search import cluster as clusters
from gnet_inspect.search.cluster import Cluster, count_batch, pack, version_differences
from gnet_inspect.search.counting import BATCH, Asked
from gnet_inspect.search.result import Objective
from gnet_inspect.search.runners import in_order, run_cluster, run_here
from gnet_inspect.search.space import Space, read_space
from gnet_inspect.search.store import Store
from gnet_inspect.search.sweeping import MOST_ENUMERATED, Sweeper
from gnet_inspect.sources.spec.following import follow_edits
from tests.conftest import Run

distributed = pytest.importorskip("distributed")

ROOT = Path(__file__).parent.parent
OBJECTIVES = (Objective("macs"), Objective("params", maximize=True))
# In training mode each network is built: batches are small, and many.
VARIED = ("c1.out_channels=4:14:1", "c3.out_channels=8:22:1", "f6.out_features=60,84")


def lenet_space(mode: str = "train") -> Space:
    """A space of LeNet-5's."""
    spec = load_spec("lenet5")
    given = tuple(Value(value.name, (2, *value.shape), value.dtype) for value in spec.inputs)
    followed = follow_edits(spec, given, {}, mode)
    return read_space(spec, followed.graph, followed.arguments, VARIED)


class Silent:
    """Nobody is told."""

    def say(self, text: str) -> None: ...
    def tell(self, amount: float, what: str) -> None: ...


def swept(path: Path, run: Any) -> tuple[Any, list[Any], Any]:
    """What a sweep of the space finds by a runner, its rows, and how far its file says it is."""
    space = lenet_space()
    sweeper = Sweeper(space, Asked(OBJECTIVES), 0.01, "LeNet-5")
    with closing(Store(path, space, sweeper.asked.names, {}, resume=False)) as store:
        result = sweeper.run(Silent(), store, run)
        state = store.state
        assert state is not None
        return result, list(store.records()), (state.next, state.sums)


@contextmanager
def process(*arguments: str, says: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of dask's, from the line on in which it says this."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False"}
    command = [sys.executable, "-m", *arguments, "--no-dashboard"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as started:
        assert started.stderr is not None
        try:
            line = next(line for line in started.stderr if says in line)
            yield started, line.split()[-1]
        finally:
            started.kill()


SCHEDULER = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler."""
    with process(*SCHEDULER, says="Scheduler at:") as (_, address):
        yield address


@contextmanager
def workers(scheduler: str, folder: Path, number: int = 2) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """So many workers with a device each, by their addresses."""
    arguments = ("distributed.cli.dask_worker", scheduler, "--no-nanny", "--nthreads", "1")
    more = ("--local-directory", str(folder), "--resources", "device=1")
    with ExitStack() as stack:
        found = {}
        for _ in range(number):
            started, address = stack.enter_context(process(*arguments, *more, says="Start worker at:"))
            found[address] = started
        yield found


def test_a_worker_that_is_killed_costs_no_row(scheduler: str, tmp_path: Path) -> None:
    """In the middle of its work, with batches that only it has: all of them are in the file, once and in order."""
    expected = swept(tmp_path / "here.db", run_here)
    lost: list[str] = []
    batches: list[int] = []

    with (
        workers(scheduler, tmp_path) as there,
        Cluster(scheduler) as cluster,
        distributed.Client(scheduler, set_as_default=False) as watching,
    ):
        first, (address, victim) = next(iter(there)), list(there.items())[1]
        watching.wait_for_workers(2)
        assert cluster.threads == cluster.devices == 2
        assert cluster.differences() == []

        def run(counter: Any, indexes: Any) -> Iterator[Any]:
            for batch in run_cluster(cluster, counter.space, counter.asked, indexes):
                batches.append(batch.index)
                yield batch
                held = {*watching.processing()[address], *watching.has_what()[address]} if not lost else set()
                if held:
                    lost.extend(held)
                    victim.send_signal(signal.SIGKILL)
                    victim.wait()

        found = swept(tmp_path / "cluster.db", run)
        assert list(watching.nthreads()) == [first]
    assert lost
    assert len(batches) > 5
    assert batches == sorted(batches)
    assert found == expected


def test_the_command_gives_the_same_bytes(scheduler: str, tmp_path: Path, run: Run) -> None:
    """CSV and table, by the address of the scheduler; and an error of a worker arrives as that error."""
    varied = [part for item in VARIED for part in ("--vary", item)]
    command = ("sweep", "lenet5", *varied, "--minimize", "macs", "--maximize", "params")
    here = run(*command, "-o", str(tmp_path / "here.csv"))
    with workers(scheduler, tmp_path, 1):
        there = run(*command, "-o", str(tmp_path / "there.csv"), "--cluster", scheduler)
    assert (here.code, there.code) == (0, 0)
    assert here.out == there.out
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()


def test_errors_of_workers_arrive_as_they_are(scheduler: str, tmp_path: Path) -> None:
    """With their class and words; a worker of another version refuses to count."""
    question = pack(lenet_space(), Asked(OBJECTIVES))
    with workers(scheduler, tmp_path, 1), Cluster(scheduler) as cluster:
        with pytest.raises(MissingError, match=f"expected gnet-inspect 9.9, got {gnet_inspect.__version__}"):
            cluster.submit(count_batch, question._replace(version="9.9"), 0).result()
        with pytest.raises(ZeroDivisionError):
            cluster.submit(divmod, 1, 0).result()


def test_a_scheduler_that_is_lost_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and --resume finds every batch that was taken by then."""
    monkeypatch.setattr(clusters, "CONNECT_S", 1)
    seen: list[int] = []
    with process(*SCHEDULER, says="Scheduler at:") as (scheduler, address), workers(address, tmp_path, 1):

        def run(counter: Any, indexes: Any) -> Iterator[Any]:
            with Cluster(address) as cluster:
                for batch in run_cluster(cluster, counter.space, counter.asked, indexes):
                    yield batch
                    seen.append(batch.index)
                    scheduler.kill()
                    scheduler.wait()

        with pytest.raises(MissingError, match="the scheduler answers no more") as error:
            swept(tmp_path / "lost.db", run)
    assert "--resume goes on" in str(error.value)
    space = lenet_space()
    names = Sweeper(space, Asked(OBJECTIVES), 0.01, "LeNet-5").asked.names
    with closing(Store(tmp_path / "lost.db", space, names, {}, resume=True)) as store:
        state = store.state
    assert state is not None
    assert state.next == len(seen) > 0


class Later:
    """Batches that are done when they are asked for, and how many are under way meanwhile."""

    def __init__(self) -> None:
        self.under_way, self.most = 0, 0

    def submit(self, index: int) -> "Due":
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return Due(self, index)


class Due:
    """One of them."""

    def __init__(self, later: Later, index: int) -> None:
        self._later, self._index = later, index

    def result(self) -> int:
        self._later.under_way -= 1
        return self._index


@pytest.mark.parametrize("most", [1, 2, 4, 50])
def test_batches_come_in_order_and_few_are_under_way(most: int) -> None:
    """As many as there may be, and no more, however many there are in all."""
    later = Later()
    assert list(in_order(later.submit, iter(range(20)), lambda: most)) == list(range(20))
    assert later.most == min(most, 20)


def test_workers_that_go_leave_less_under_way() -> None:
    """How many may be is asked for each batch."""
    later, bounds = Later(), iter([8] * 8 + [2] * 100)
    found, left = [], []
    for index in in_order(later.submit, iter(range(20)), lambda: next(bounds)):
        found.append(index)
        left.append(later.under_way)
    assert found == list(range(20))
    assert max(left[7:]) <= 2


def test_an_address_that_nobody_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3, and what starts one. What is no address is said before anything is tried."""
    monkeypatch.setattr(clusters, "CONNECT_S", 0.1)
    command = ("sweep", "lenet5", "--vary", VARIED[0], "--minimize", "macs", "--cluster")
    result = run(*command, "tcp://127.0.0.1:9")
    assert result.code == 3
    assert "error: --cluster tcp://127.0.0.1:9: no scheduler answers there. (dask scheduler" in result.err
    for address, why in (("here", "missing port"), ("http://here:1", "unknown address scheme")):
        result = run(*command, address)
        assert result.code == 2
        assert f"like tcp://127.0.0.1:8786, got '{address}': {why}" in result.err
    result = run(*command, "tcp://127.0.0.1:9", "--workers", "2")
    assert result.code == 2
    assert "--cluster: expected no --workers" in result.err


def test_without_dask_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run("sweep", "lenet5", "--vary", VARIED[0], "--minimize", "macs", "--cluster", "tcp://127.0.0.1:9")
    assert result.code == 3
    assert "pip install 'gnet-inspect[cluster]'" in result.err


def _installed(**packages: str | None) -> dict[str, Any]:
    names = {"gnet-inspect": "1.0", "python": "3.11.7.final.0", "numpy": "2.4.6"}
    return {"packages": {**names, **packages}}


def test_versions_that_differ_are_said() -> None:
    """Of what decides numbers; another version of this package, or none, is an error."""
    here = _installed()
    assert version_differences("tcp://a:1", here, {"the scheduler": here, "tcp://b:2": here}) == []
    places = {"the scheduler": here, "tcp://b:2": _installed(numpy="2.3.0")}
    assert version_differences("tcp://a:1", here, places) == [
        "versions differ: numpy is 2.4.6 here, 2.3.0 at tcp://b:2"
    ]
    for version, words in (("0.9", "0.9"), (None, "none")):
        with pytest.raises(MissingError, match=f"expected gnet-inspect 1.0, as here: tcp://b:2 has {words}"):
            version_differences("tcp://a:1", here, {"tcp://b:2": _installed(**{"gnet-inspect": version})})


# --- docs/clusters.md ---

PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")


def _commands() -> list[list[str]]:
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line) for line in shell.splitlines() if line.startswith("gnet-inspect sweep")]


@pytest.mark.parametrize("words", _commands(), ids=lambda words: words[-1])
def test_commands_of_the_docs_go_as_far_as_the_cluster(
    words: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is right but for the address, at which nobody answers here."""
    monkeypatch.setattr(clusters, "CONNECT_S", 0.1)
    monkeypatch.chdir(tmp_path)
    words[words.index("--cluster") + 1] = "tcp://127.0.0.1:9"
    result = run(*words[1:])
    assert result.code == 3
    assert "no scheduler answers there" in result.err
    assert list(tmp_path.iterdir()) == []


def test_the_docs_say_what_holds() -> None:
    """The numbers of the code, and a cluster of Kubernetes that is YAML."""
    assert len(_commands()) == 4
    assert f"nobody answers at the address for {clusters.CONNECT_S} seconds" in PAGE
    assert f"batch of {BATCH:,}." in PAGE
    assert f"at most {MOST_ENUMERATED:,} networks" in PAGE
    (manifest,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    described = yaml.safe_load(manifest)
    assert described["kind"] == "DaskCluster"
    for part in ("worker", "scheduler"):
        (container,) = described["spec"][part]["spec"]["containers"]
        assert container["args"][:2] == ["dask", part]
