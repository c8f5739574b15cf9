"""Which candidates are not dominated: no other one is as small in all objectives and smaller in one."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def non_dominated(values: Matrix, ties: NDArray[np.float64]) -> NDArray[np.int64]:
    """The places of those, a row each; all columns are to be small. Of equal ones that with the least `ties` is taken,
    of these the first. They are in the order of their values."""
    count, columns = values.shape
    if not count:
        return np.empty(0, np.int64)
    if not columns:
        return np.argsort(ties, kind="stable")
    order = np.lexsort((ties, *values.T[::-1]))
    ordered = values[order]
    if columns == 1:
        return order[:1]
    # Of equal ones the first.
    new = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    order, ordered = order[new], ordered[new]
    if columns == 2:
        least = np.minimum.accumulate(ordered[:, 1])
        return order[np.r_[True, ordered[1:, 1] < least[:-1]]]
    kept: list[int] = []
    # What comes first in this order cannot be dominated by what comes behind it.
    left = np.arange(len(ordered))
    while len(left):
        first = left[0]
        kept.append(int(first))
        rest = left[1:]
        left = rest[(ordered[rest] < ordered[first]).any(axis=1)]
    return order[np.array(kept, np.int64)]
