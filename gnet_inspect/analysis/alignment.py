"""Aligning two sequences: which item of the one is which of the other, in order."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# A full alignment's table has this many cells at most (a second of work); larger gaps are cut at equal items first.
MOST_CELLS = 1_000_000


def align(
    old: Sequence[T], new: Sequence[T], likeness: Callable[[T, T], float], identity: Callable[[T], Hashable]
) -> list[tuple[T | None, T | None]]:
    """(old, new) in the order of both; None where one of the sequences has nothing that matches.

    The sum of `likeness` over the pairs is the largest there is; items of likeness 0 are never paired. Equal ends
    (by `identity`) are paired first, and what is then left, if it is very long, is cut at items of equal identity.

    >>> align("axbc", "abyc", lambda a, b: float(a == b), str)
    [('a', 'a'), ('x', None), ('b', 'b'), (None, 'y'), ('c', 'c')]
    """
    start = 0
    keys_old, keys_new = list(map(identity, old)), list(map(identity, new))
    shorter = min(len(old), len(new))
    while start < shorter and keys_old[start] == keys_new[start]:
        start += 1
    end = 0
    while end < shorter - start and keys_old[-1 - end] == keys_new[-1 - end]:
        end += 1
    last_old, last_new = len(old) - end, len(new) - end
    pairs: list[tuple[T | None, T | None]] = list(zip(old[:start], new[:start], strict=True))
    here = start, start
    cells = (last_old - start) * (last_new - start)
    for there in [*(_anchors(keys_old, keys_new, here, (last_old, last_new)) if cells > MOST_CELLS else ()), None]:
        stop = there or (last_old, last_new)
        before, after = old[here[0] : stop[0]], new[here[1] : stop[1]]
        between = _best(before, after, likeness)
        pairs += between
        if there:
            pairs.append((old[there[0]], new[there[1]]))
            here = there[0] + 1, there[1] + 1
    return pairs + list(zip(old[last_old:], new[last_new:], strict=True))


def _anchors(
    old: list[Hashable], new: list[Hashable], start: tuple[int, int], stop: tuple[int, int]
) -> list[tuple[int, int]]:
    """The longest rising run of items with equal identity, each identity taken once."""
    places = {key: index for index, key in reversed(list(enumerate(new[: stop[1]]))) if index >= start[1]}
    matches = [(index, places[key]) for index, key in enumerate(old[: stop[0]]) if index >= start[0] and key in places]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for position, (_, place) in enumerate(matches):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(place)
            ends.append(position)
        else:
            tails[length], ends[length] = place, position
    chain = []
    position = ends[-1] if ends else -1
    while position >= 0:
        chain.append(matches[position])
        position = before[position]
    return chain[::-1]


def _best(old: Sequence[T], new: Sequence[T], likeness: Callable[[T, T], float]) -> Iterator[tuple[T | None, T | None]]:
    """The alignment of the largest likeness, by dynamic programming over all pairs."""
    if len(old) * len(new) > MOST_CELLS:
        yield from ((item, None) for item in old)
        yield from ((None, item) for item in new)
        return
    # best[i][j]: the largest sum for old[i:] and new[j:].
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    alike = [[likeness(one, other) for other in new] for one in old]
    for i in range(len(old) - 1, -1, -1):
        row, below, scores = best[i], best[i + 1], alike[i]
        for j in range(len(new) - 1, -1, -1):
            score = scores[j]
            paired = score + below[j + 1] if score else 0.0
            row[j] = max(paired, below[j], row[j + 1])
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and alike[i][j] and best[i][j] == alike[i][j] + best[i + 1][j + 1]:
            yield old[i], new[j]
            i, j = i + 1, j + 1
        elif i < len(old) and best[i][j] == best[i + 1][j]:
            yield old[i], None
            i += 1
        else:
            yield None, new[j]
            j += 1
