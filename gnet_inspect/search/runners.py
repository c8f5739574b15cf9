"""Who counts the batches of a sweep: this process, several on this machine, or a cluster. The rows are the same."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from gnet_inspect.search.counting import Asked, Batch, Counter
from gnet_inspect.search.space import Space

# So many batches are under way for each worker: more would be held until an earlier one is done.
AHEAD = 2
_COUNTER: Counter | None = None


def run_here(counter: Counter, indexes: Iterable[int]) -> Iterator[Batch]:
    """One after the other."""
    return map(counter.run, indexes)


def run_processes(space: Space, asked: Asked, indexes: Iterable[int], workers: int) -> Iterator[Batch]:
    """In so many processes, which read the space once; in order."""
    from multiprocessing import get_context

    # Each begins anew: what a fork has of its parent's threads is not to be relied upon.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (space, asked)) as pool:
        try:
            yield from _in_order(pool, iter(indexes), AHEAD * workers)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _in_order(pool: ProcessPoolExecutor, indexes: Iterator[int], ahead: int) -> Iterator[Batch]:
    under_way: list[Future[Batch]] = []
    for index in indexes:
        under_way.append(pool.submit(_run, index))
        if len(under_way) == ahead:
            yield under_way.pop(0).result()
    for future in under_way:
        wait([future], return_when=FIRST_COMPLETED)
        yield future.result()


def _start(space: Space, asked: Asked) -> None:
    global _COUNTER  # noqa: PLW0603  # what a worker process has once, for all of its batches
    _COUNTER = Counter(space, asked)


def _run(index: int) -> Batch:
    assert _COUNTER is not None
    return _COUNTER.run(index)
