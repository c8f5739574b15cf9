"""Who counts the batches of a sweep: this process, several on this machine, or a cluster. The rows are the same."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from gnet_inspect.search.counting import Asked, Batch, Counter
from gnet_inspect.search.space import Space

if TYPE_CHECKING:
    from gnet_inspect.search.cluster import Cluster

# So many batches are under way for each worker: more would be held until an earlier one is done.
AHEAD = 2
_COUNTER: Counter | None = None


Answer_co = TypeVar("Answer_co", covariant=True)


class Pending(Protocol[Answer_co]):
    """What is being worked on, and is waited for by asking for its result."""

    def result(self) -> Answer_co: ...


def run_here(counter: Counter, indexes: Iterable[int]) -> Iterator[Batch]:
    """One after the other."""
    return map(counter.run, indexes)


def run_processes(space: Space, asked: Asked, indexes: Iterable[int], workers: int) -> Iterator[Batch]:
    """In so many processes, which read the space once; in order."""
    from multiprocessing import get_context

    # Each begins anew: what a fork has of its parent's threads is not to be relied upon.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (space, asked)) as pool:
        try:
            yield from in_order(lambda index: pool.submit(_run, index), indexes, lambda: AHEAD * workers)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_cluster(cluster: "Cluster", space: Space, asked: Asked, indexes: Iterable[int]) -> Iterator[Batch]:
    """On the workers of a cluster, however many there are at the time; in order."""
    from gnet_inspect.search.cluster import count_batch, pack

    question = pack(space, asked)
    return in_order(
        lambda index: cluster.submit(count_batch, question, index), indexes, lambda: AHEAD * max(cluster.threads, 1)
    )


def in_order(
    submit: Callable[[int], Pending[Answer_co]], indexes: Iterable[int], most: Callable[[], int]
) -> Iterator[Answer_co]:
    """What comes of these indexes, in their order; of them at most so many are under way."""
    under_way: deque[Pending[Answer_co]] = deque()
    for index in indexes:
        under_way.append(submit(index))
        while len(under_way) >= most():
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _start(space: Space, asked: Asked) -> None:
    global _COUNTER  # noqa: PLW0603  # what a worker process has once, for all of its batches
    _COUNTER = Counter(space, asked)


def _run(index: int) -> Batch:
    assert _COUNTER is not None
    return _COUNTER.run(index)
