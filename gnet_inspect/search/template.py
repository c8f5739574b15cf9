"""What all networks of a space have in common: their layers and how these are joined, and for each layer the choices
that it depends on, with the layer that each of their values makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from msgspec import Struct

from gnet_inspect.errors import GnetError, SpecError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.ops import Op
from gnet_inspect.search.space import Space
from gnet_inspect.sources.spec.following import Followed, OtherNetworkError, follow_edits, ops_of
from gnet_inspect.sources.spec.overrides import LABEL

# Of one layer so many variants are made; of what varies together in it more would be searched than a table holds.
MOST_VARIANTS = 20_000


class Variants(Struct, frozen=True):
    """The layers that a node may be: one for each combination of the values of `choices`, the last changing first; None
    where such arguments make no layer."""

    choices: tuple[int, ...]
    ops: tuple[Op | None, ...]


class Template(Struct, frozen=True):
    """The networks of a space at one value of each choice that decides which layers there are (`outer`: place by
    choice). `nodes` has the variants of each node of `graph`, and `inputs` those choices that set an input's size, by
    the input's name."""

    space: Space
    graph: Graph
    outer: dict[int, int]
    nodes: tuple[Variants, ...]
    inputs: dict[str, int]

    @property
    def inner(self) -> tuple[int, ...]:
        """The choices that are left."""
        return tuple(index for index in range(len(self.space.choices)) if index not in self.outer)


class NotANetworkError(Exception):
    """A combination of values that makes no network: why."""


def structural_choices(space: Space) -> frozenset[int]:
    """The choices whose values make networks of other layers, or join them differently."""
    places = _own_places(space)
    followed = _followed(space, places)
    found = {index for index, choice in enumerate(space.choices) if followed.structure.intersection(choice.paths)}
    # What a layer says of itself beside sizes, as whether it writes over its input, decides about the whole network.
    # All choices are changed at once: one by one only where that makes a difference.
    rest = [index for index in range(len(space.choices)) if index not in found]
    steps = range(max((space.sizes[index] for index in rest), default=0))
    told = {
        _told(
            space,
            followed.graph,
            [places[index] if index in found else step % size for index, size in enumerate(space.sizes)],
        )
        for step in steps
    }
    if len(told) > 1:
        for index in rest:
            own, alone = places[index], set()
            for place in range(space.sizes[index]):
                places[index] = place
                alone.add(_told(space, followed.graph, places))
            places[index] = own
            if len(alone - {None}) > 1:
                found.add(index)
    return frozenset(found)


def _told(space: Space, graph: Graph, places: Sequence[int]) -> tuple[object, ...] | None:
    try:
        ops = ops_of(space.spec, graph, space.overrides(places))
    except OtherNetworkError:
        return ("other", *places)
    except SpecError as error:
        if error.file == LABEL:
            # A value that nothing could make right, rather than values that do not fit each other.
            raise
        return None
    except GnetError:
        return None
    return tuple(_character(op) for op in ops)


def _character(op: Op) -> tuple[object, ...]:
    """What an analysis asks of a layer beside its numbers."""
    return (
        type(op),
        op.overwrites(),
        op.aliases(False),
        op.keeps_output,
        op.hands_out_weight,
        op.reorders,
        op.leaves_gaps,
        op.puts_in_order,
        op.may_copy,
        op.gives,
        op.reads,
        op.depth,
    )


def templates(space: Space, structural: frozenset[int]) -> Iterator[Template | NotANetworkError]:
    """One for each combination of the structural choices, in order; or why it is none."""
    order = sorted(structural)
    for combination in product(*(range(space.sizes[index]) for index in order)):
        try:
            yield _template(space, dict(zip(order, combination, strict=True)))
        except GnetError as error:
            yield NotANetworkError(str(error))


def _template(space: Space, outer: dict[int, int]) -> Template:
    places = [outer.get(index, place) for index, place in enumerate(_own_places(space))]
    followed = _followed(space, places)
    graph = followed.graph
    by_path = {path: index for index, choice in enumerate(space.choices) for path in choice.paths}
    reached = [
        tuple(sorted({by_path[path] for path in behind if path in by_path} - set(outer))) for behind in followed.behind
    ]
    names = {value.name for value in space.inputs}
    inputs = {
        path: index
        for index, choice in enumerate(space.choices)
        for path in choice.paths
        if path in names and index not in outer
    }
    made = _variants(space, graph, places, dict.fromkeys(reached))
    nodes = tuple(
        Variants(choices, tuple(ops[position] if ops else None for ops in made[choices]))
        if choices
        else Variants((), (node.op,))
        for position, (node, choices) in enumerate(zip(graph.nodes, reached, strict=True))
    )
    return Template(space, graph, outer, nodes, inputs)


def _own_places(space: Space) -> list[int]:
    """The spec's own values, as far as they are among those of the space: they make a network."""
    return [space.base(index) or 0 for index in range(len(space.choices))]


def _followed(space: Space, places: list[int]) -> Followed:
    """The network at these places; where they make none, at the nearest that do, one choice changed at a time."""
    try:
        return follow_edits(space.spec, space.input_values(places), space.overrides(places), space.mode)
    except SpecError as error:
        if error.file == LABEL:
            raise
        for index, size in enumerate(space.sizes):
            for place in range(size):
                tried = [*places]
                tried[index] = place
                try:
                    return follow_edits(space.spec, space.input_values(tried), space.overrides(tried), space.mode)
                except SpecError:
                    continue
        raise error


def _variants(
    space: Space, graph: Graph, places: Sequence[int], sets: Sequence[tuple[int, ...]] | dict[tuple[int, ...], None]
) -> dict[tuple[int, ...], list[tuple[Op, ...] | None]]:
    """By each set of choices the layers of the network at each combination of their values. Sets that have no choice in
    common are gone through together, so that a network is expanded as often as its largest set has combinations."""
    wanted = {choices: _combinations(space, choices) for choices in sets if choices}
    for choices in wanted:
        number = prod(space.sizes[index] for index in choices)
        if number > MOST_VARIANTS:
            names = ", ".join(f"`{space.choices[index].name}`" for index in choices)
            raise UsageError(
                f"--vary: expected at most {MOST_VARIANTS:,} variants of a layer, got {number:,}: "
                f"{names} meet in one. (give them fewer values, or tie them)"
            )
    found: dict[tuple[int, ...], list[tuple[Op, ...] | None]] = {choices: [] for choices in wanted}
    left = dict(wanted)
    while left:
        together = _disjoint(left)
        for step in range(max(len(left[choices]) for choices in together)):
            now = {choices: left[choices][step] for choices in together if step < len(left[choices])}
            ops = _ops(space, graph, _placed(places, now))
            for choices, combination in now.items():
                # Where they make no network together, another set's values may be what makes none.
                alone = ops is None and len(now) > 1
                found[choices].append(_ops(space, graph, _placed(places, {choices: combination})) if alone else ops)
        for choices in together:
            del left[choices]
    return found


def _disjoint(left: Mapping[tuple[int, ...], Sequence[tuple[int, ...]]]) -> list[tuple[int, ...]]:
    """Sets that have no choice in common, the largest first."""
    together: list[tuple[int, ...]] = []
    taken: set[int] = set()
    for choices in sorted(left, key=lambda each: (-len(left[each]), each)):
        if taken.isdisjoint(choices):
            together.append(choices)
            taken.update(choices)
    return together


def _placed(places: Sequence[int], chosen: Mapping[tuple[int, ...], tuple[int, ...]]) -> list[int]:
    """The places with those of some choices in theirs."""
    found = [*places]
    for choices, combination in chosen.items():
        for index, place in zip(choices, combination, strict=True):
            found[index] = place
    return found


def _ops(space: Space, graph: Graph, places: Sequence[int]) -> tuple[Op, ...] | None:
    try:
        return ops_of(space.spec, graph, space.overrides(places))
    except GnetError:
        return None


def _combinations(space: Space, choices: tuple[int, ...]) -> list[tuple[int, ...]]:
    if prod(space.sizes[index] for index in choices) > MOST_VARIANTS:
        return []
    return list(product(*(range(space.sizes[index]) for index in choices)))
