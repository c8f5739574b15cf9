"""What the colours of a diagram say: how much of something each box has, in steps from nothing to the most.

The edges grow as squares: shares of a network's work differ by orders of magnitude, and steps of equal width would show
its largest layer alone. By logarithms, and by ranks, what is twice as much would look the same.
"""

from bisect import bisect_left
from collections.abc import Mapping

from gnet_inspect.views.drawing.diagram import Box

STEPS = 5
# What colours may say the share of, by what a share of it is called; and all that they may say.
SHARES = {"params": "params", "macs": "MACs", "memory": "activations", "time": "time"}
COLORS = ("kind", *SHARES)


def amount_of(box: Box, color: str, seconds: Mapping[str, float]) -> float:
    """How much a box has of what the colours say; `seconds` are measured times by layer."""
    match color:
        case "params":
            return box.params
        case "macs":
            return box.macs
        case "memory":
            return box.activation_bytes
        case "time":
            return sum(seconds.get(name, 0.0) for name in box.layers)
    return 0


def heat_edges(most: float) -> list[float]:
    """The largest amount of each step but the first, which is nothing; the last edge is `most` itself.

    >>> heat_edges(100.0)
    [4.0, 16.0, 36.0, 64.0, 100.0]
    """
    return [*(most * step * step / STEPS**2 for step in range(1, STEPS)), most]


def heat_step(amount: float, edges: list[float]) -> int:
    """The step of an amount of at most the last edge: 0 of nothing, 1 to 5 of what is more.

    It is found among the edges themselves, because a root of a quotient can round to more than 5.

    >>> edges = heat_edges(0.007637982415147165)
    >>> heat_step(0.007637982415147165, edges), heat_step(1e-9, edges), heat_step(0.0, edges)
    (5, 1, 0)
    """
    return 1 + min(bisect_left(edges, amount), STEPS - 1) if amount > 0 else 0
