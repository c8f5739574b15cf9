"""A Dask cluster: who is connected to it, what differs there, and what is sent to its workers.

Dask does a lost worker's tasks again on another one. What a worker keeps for all of its tasks it builds from what each
of them is told, so that one that comes late, or in the place of another, needs nothing else.
"""

import logging
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

from gnet_inspect import __version__
from gnet_inspect.errors import MissingError, UsageError, some_of
from gnet_inspect.search.counting import Asked, Batch, Counter
from gnet_inspect.search.space import Space

# Who does not answer for so long is not there.
CONNECT_S = 10
# A worker has one of these for each device that one measurement at a time may use.
DEVICE = "device"
# What decides numbers, or how they are sent.
PACKAGES = ("python", "dask", "distributed", "numpy", "msgspec")
OWN = "gnet-inspect"
INSTALL = "pip install 'gnet-inspect[cluster]'"


class Question(NamedTuple):
    """What all batches of a sweep are of, as it is sent: by its digest a worker knows what it has built already."""

    packed: bytes
    digest: str
    version: str


class Pending:
    """What a worker will answer."""

    def __init__(self, cluster: "Cluster", future: Any) -> None:
        self._cluster, self._future = cluster, future

    def result(self) -> Any:
        """Its answer, or its error. Raises MissingError where the cluster is lost."""
        with self._cluster.explain():
            return self._future.result()


class Cluster:
    """A connection to a scheduler. Raises MissingError where nobody answers, or where workers have another version."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError:
            raise MissingError(f"--cluster needs dask, which is not installed. Install it with: {INSTALL}") from None
        _check_address(address)
        self.address = address
        # What it logs of a lost connection is told as an error, once.
        logger = logging.getLogger("distributed")
        self._level, self._logger = logger.level, logger
        logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            # What differs is told by `differences`.
            warnings.simplefilter("ignore")
            try:
                connect: Any = distributed.Client
                self._client = connect(address, timeout=CONNECT_S, set_as_default=False)
            except OSError:
                raise MissingError(
                    f"--cluster {address}: no scheduler answers there. (dask scheduler says the address of one)"
                ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        # Tasks that nobody waits for any more are cancelled.
        self._client.close()
        self._logger.setLevel(self._level)

    @property
    def threads(self) -> int:
        """How many tasks its workers run at once; they come and go."""
        with self.explain(OSError):
            found: Iterable[int] = self._client.nthreads().values()
        return sum(found)

    @property
    def devices(self) -> int:
        """How many devices its workers declare."""
        with self.explain(OSError):
            workers = self._client.scheduler_info()["workers"].values()
        return sum(int(worker.get("resources", {}).get(DEVICE, 0)) for worker in workers)

    def differences(self) -> list[str]:
        """Sentences on the versions that differ there. Raises MissingError where this package is another one: rows
        would depend on who counts them."""
        with self.explain(OSError):
            found = self._client.get_versions(packages=[OWN, "msgspec"])
        return version_differences(
            self.address, found["client"], {"the scheduler": found["scheduler"], **found["workers"]}
        )

    def submit(self, function: Callable[..., Any], *given: Any, on_device: bool = False) -> Pending:
        """Have a worker call a function of this package; `on_device` one that has a device free for it."""
        resources = {DEVICE: 1} if on_device else None
        with self.explain(OSError):
            return Pending(self, self._client.submit(function, *given, pure=False, resources=resources))

    @contextmanager
    def explain(self, *lost: type[Exception]) -> Iterator[None]:
        """Turns the ends of workers and of the scheduler into errors that say so; these are signs of the latter, too:
        what a worker raises passes as it is."""
        from distributed import KilledWorker
        from distributed.client import ClosedClientError, FutureCancelledError

        signs: tuple[type[Exception], ...] = (FutureCancelledError, ClosedClientError, *lost)
        try:
            yield
        except KilledWorker as error:
            raise MissingError(
                f"--cluster {self.address}: workers ended {error.allowed_failures + 1} times at the same task. "
                "(their logs say why: too little memory, as a rule)"
            ) from None
        except signs as error:
            raise MissingError(
                f"--cluster {self.address}: the scheduler answers no more: {str(error).splitlines()[0]}. "
                "(with -o FILE, --resume goes on)"
            ) from None


def _check_address(address: str) -> None:
    """Raise UsageError for what is no address: a client that tries it says so late, and twice."""
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    try:
        scheme, place = parse_address(address)
        get_backend(scheme)
        parse_host_port(place)
    except ValueError as error:
        raise UsageError(
            f"--cluster: expected the address of a scheduler, like tcp://127.0.0.1:8786, got {address!r}: {error}"
        ) from None


def version_differences(address: str, here: Mapping[str, Any], places: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is said of packages that differ between here and the `places` of a cluster; see `Cluster.differences`."""
    version = _package(here, OWN)
    own = {place: _package(found, OWN) for place, found in places.items()}
    others = [f"{place} has {'none' if found is None else found}" for place, found in own.items() if found != version]
    if others:
        raise MissingError(
            f"--cluster {address}: expected gnet-inspect {version}, as here: {some_of(others)}. "
            f"(install it there: pip install 'gnet-inspect[cluster]=={version}')"
        )
    told = []
    for name in PACKAGES:
        mine = _package(here, name)
        differing = [f"{_package(found, name)} at {place}" for place, found in places.items()]
        differing = [each for each in differing if not each.startswith(f"{mine} at ")]
        if differing:
            told.append(f"versions differ: {name} is {mine} here, {some_of(differing)}")
    return told


def _package(found: Mapping[str, Any], name: str) -> str | None:
    version: str | None = found["packages"].get(name)
    return version


def pack(space: Space, asked: Asked) -> Question:
    """A question as all batches of it are told."""
    packed = pickle.dumps((space, asked))
    return Question(packed, sha256(packed).hexdigest(), __version__)


# --- on a worker ---

_LOCK = Lock()
# The last question: a worker counts for one sweep at a time, as a rule, and tables may be large.
_counters: dict[str, Counter] = {}


def count_batch(question: Question, index: int) -> Batch:
    """One batch, on a worker, which builds its tables once. Raises MissingError where it has another version."""
    if question.version != __version__:
        raise MissingError(
            f"--cluster: expected gnet-inspect {question.version}, got {__version__} at a worker. "
            f"(install it there: pip install 'gnet-inspect[cluster]=={question.version}')"
        )
    # Threads of a worker wait for the one that builds.
    with _LOCK:
        if question.digest not in _counters:
            _counters.clear()
            _counters[question.digest] = Counter(*pickle.loads(question.packed))
        counter = _counters[question.digest]
    return counter.run(index)
