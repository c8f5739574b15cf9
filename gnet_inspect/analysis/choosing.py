"""Choosing among networks: which of them no other one is better than, by the objectives that somebody has."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

MINIMIZE, MAXIMIZE = "minimize", "maximize"
# By name, what is known of one network; None of what is not.
Known = Mapping[str, float | str | None]


class Objective(Struct, frozen=True):
    """A quantity by its JSON name, and whether less or more of it is better ("minimize" or "maximize")."""

    name: str
    goal: str

    def cost(self, known: Known) -> float | None:
        """What is to be small of a network; None where the quantity is unknown, or no number."""
        value = known[self.name]
        if value is None or isinstance(value, str):
            return None
        return value if self.goal == MINIMIZE else -value


def pareto_marks(networks: Sequence[Known], objectives: Sequence[Objective]) -> tuple[bool | None, ...]:
    """Of each network whether no other is better in one objective and as good in all of them. One of which an objective
    is unknown does not compete: None.

    >>> points = ((1, 30), (2, 20), (2, 25), (0, None))
    >>> objectives = (Objective("macs", "minimize"), Objective("error", "minimize"))
    >>> pareto_marks([{"macs": macs, "error": error} for macs, error in points], objectives)
    (True, True, False, None)
    """
    costs = [tuple(objective.cost(known) for objective in objectives) for known in networks]
    # What competes, in an order in which nobody is dominated by who comes later: equal costs are one point.
    front: list[tuple[float, ...]] = []
    points = {tuple(cost for cost in point if cost is not None) for point in costs}
    for point in sorted(point for point in points if len(point) == len(objectives)):
        if not any(all(one <= other for one, other in zip(better, point, strict=True)) for better in front):
            front.append(point)
    best = set(front)
    return tuple(None if None in point else point in best for point in costs)


def best_first(networks: Sequence[Known], objective: Objective) -> list[int]:
    """The places of networks, the best by an objective first, those of which it is unknown last; else as they come."""
    costs = [objective.cost(known) for known in networks]
    return sorted(range(len(costs)), key=lambda place: (costs[place] is None, costs[place] or 0))


def objective_words(objectives: Sequence[Objective]) -> str:
    """As a sentence says them.

    >>> objective_words([Objective("macs", "minimize"), Objective("depth", "maximize")])
    'least macs, most depth'
    """
    return ", ".join(f"{'least' if each.goal == MINIMIZE else 'most'} {each.name}" for each in objectives)
