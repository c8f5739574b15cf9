"""Aligning two sequences: which item of the one is which of the other, in order."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")
Pairs = list[tuple[T | None, T | None]]

# The tables of full alignments have this many cells at most (about a second of work).
MOST_CELLS = 1_000_000


def align(
    old: Sequence[T],
    new: Sequence[T],
    likeness: Callable[[T, T], float],
    content: Callable[[T], Hashable],
    cells: int = MOST_CELLS,
) -> tuple[Pairs[T], int]:
    """((old, new) in the order of both, None where one of the two has nothing that matches; the cells it took).

    Up to `cells` cells the sum of `likeness` over the pairs is the largest there is; items of likeness 0 are never
    paired. Longer sequences are cut: equal contents at both ends are paired, then contents that occur once on either
    side, as many as keep their order; what lies between and is still too long counts as removed and added.

    >>> align("axbc", "abyc", lambda a, b: float(a == b), str)[0]
    [('a', 'a'), ('x', None), ('b', 'b'), (None, 'y'), ('c', 'c')]
    """
    if len(old) * len(new) <= cells:
        return _best(old, new, likeness), len(old) * len(new)
    pairs: Pairs[T] = []
    used, here = 0, (0, 0)
    for stop in [*_cuts([content(item) for item in old], [content(item) for item in new]), (len(old), len(new))]:
        before, after = old[here[0] : stop[0]], new[here[1] : stop[1]]
        size = len(before) * len(after)
        if used + size <= cells:
            between = _best(before, after, likeness)
            used += size
        else:
            between = [*((item, None) for item in before), *((None, item) for item in after)]
        pairs += between
        if stop[0] < len(old):
            pairs.append((old[stop[0]], new[stop[1]]))
        here = stop[0] + 1, stop[1] + 1
    return pairs, used


def _cuts(old: list[Hashable], new: list[Hashable]) -> list[tuple[int, int]]:
    """Places where two long sequences surely match: their equal ends, and what is unique in both between them."""
    shorter = min(len(old), len(new))
    start = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    rest = shorter - start
    end = next((index for index in range(rest) if old[-1 - index] != new[-1 - index]), rest)
    middle = _unique(old[start : len(old) - end], new[start : len(new) - end])
    return [
        *((index, index) for index in range(start)),
        *((start + one, start + other) for one, other in middle),
        *((len(old) - index, len(new) - index) for index in range(end, 0, -1)),
    ]


def _unique(old: list[Hashable], new: list[Hashable]) -> list[tuple[int, int]]:
    """The longest rising run of items that occur once on either side (patience sorting)."""
    once = [{key for key, times in Counter(side).items() if times == 1} for side in (old, new)]
    places = {key: index for index, key in enumerate(new) if key in once[1]}
    matches = [(index, places[key]) for index, key in enumerate(old) if key in once[0] and key in places]
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


def _best(old: Sequence[T], new: Sequence[T], likeness: Callable[[T, T], float]) -> Pairs[T]:
    """The alignment of the largest likeness, by dynamic programming over all pairs."""
    # best[i][j]: the largest sum for old[i:] and new[j:].
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    alike = [[likeness(one, other) for other in new] for one in old]
    for i in range(len(old) - 1, -1, -1):
        row, below, scores = best[i], best[i + 1], alike[i]
        for j in range(len(new) - 1, -1, -1):
            paired = scores[j] + below[j + 1] if scores[j] else 0.0
            row[j] = max(paired, below[j], row[j + 1])
    pairs: Pairs[T] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and alike[i][j] and best[i][j] == alike[i][j] + best[i + 1][j + 1]:
            pairs.append((old[i], new[j]))
            i, j = i + 1, j + 1
        elif i < len(old) and best[i][j] == best[i + 1][j]:
            pairs.append((old[i], None))
            i += 1
        else:
            pairs.append((None, new[j]))
            j += 1
    return pairs
