"""What all networks of a space have in common: their layers and how these are joined, and for each layer the choices
that it depends on, with the layer that each of their values makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, product
from math import prod
from random import Random

from msgspec import Struct

from gnet_inspect.errors import GnetError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.ops import Op
from gnet_inspect.search.space import Space
from gnet_inspect.sources.spec.following import Followed, OtherNetworkError, follow_edits, ops_of

# Of one layer so many variants are made; of what varies together in it more would be searched than a table holds.
MOST_VARIANTS = 20_000
# Each combination of choices that decide which layers there are is a network of its own, with tables of its own.
MOST_STRUCTURES = 2_000
# Where the first values make no network, so many others are tried before it is said that none does.
MOST_TRIED = 100


class Variants(Struct, frozen=True):
    """The layers that a node may be: one for each combination of the values of `choices`, the last changing first; None
    where such arguments make no layer."""

    choices: tuple[int, ...]
    ops: tuple[Op | None, ...]


class Template(Struct, frozen=True):
    """The networks of a space at one value of each choice that decides which layers there are (`outer`: place by
    choice). `nodes` has the variants of each node of `graph`, which is the one at `places`, and `inputs` those choices
    that set an input's size, by the input's name."""

    space: Space
    graph: Graph
    outer: dict[int, int]
    nodes: tuple[Variants, ...]
    inputs: dict[str, int]
    places: tuple[int, ...]

    @property
    def inner(self) -> tuple[int, ...]:
        """The choices that are left."""
        return tuple(index for index in range(len(self.space.choices)) if index not in self.outer)


class NotANetworkError(Exception):
    """A combination of values that makes no network: why."""


def templates(space: Space) -> Iterator[Template | NotANetworkError]:
    """One for each combination of the choices that decide which layers there are or how they are joined, in order; or
    why it is none. A choice that does so in some of them only, as one inside of what a switch takes away, is fixed in
    those alone.

    Raises SpecError or UsageError where no network of the space can be built, and UsageError for more combinations than
    anybody waits for.
    """
    # The error of a space that has no network is that of its first one.
    _first_network(space, {})
    for number, found in enumerate(_below(space, {}), 1):
        _check_structures(number)
        yield found


def _below(space: Space, outer: dict[int, int]) -> Iterator[Template | NotANetworkError]:
    """The templates with these choices at these places."""
    try:
        followed, places = _first_network(space, outer)
        structural = {
            index
            for index, choice in enumerate(space.choices)
            if index not in outer and followed.structure.intersection(choice.paths)
        }
        template = None if structural else _template(space, outer, followed, places)
    except _UnlikeError as error:
        template, structural = None, {*error.choices}
    except GnetError as error:
        yield NotANetworkError(str(error))
        return
    if template is not None:
        # What a layer says of itself beside sizes, as whether it writes over its input, decides about all of it.
        structural = {index for node in template.nodes for index in _deciding(node, space.sizes)}
        if not structural:
            yield template
            return
    order = sorted(structural)
    _check_structures(prod(space.sizes[index] for index in order))
    for combination in product(*(range(space.sizes[index]) for index in order)):
        yield from _below(space, {**outer, **dict(zip(order, combination, strict=True))})


def _check_structures(number: int) -> None:
    if number > MOST_STRUCTURES:
        raise UsageError(
            f"--vary: expected at most {MOST_STRUCTURES:,} combinations of values that decide which layers there are, "
            "got more. (give what switches or repeats layers fewer values)"
        )


class _UnlikeError(Exception):
    """Choices of whose values some make other layers than the rest."""

    def __init__(self, choices: tuple[int, ...]) -> None:
        self.choices = choices


def _deciding(node: Variants, sizes: Sequence[int]) -> set[int]:
    """The choices of a node between whose values its character changes."""
    told = [None if op is None else _character(op) for op in node.ops]
    if len({*told} - {None}) < 2:
        return set()
    combinations = list(product(*(range(sizes[index]) for index in node.choices)))
    found = set()
    for axis, choice in enumerate(node.choices):
        by_rest: dict[tuple[int, ...], set[object]] = {}
        for combination, character in zip(combinations, told, strict=True):
            by_rest.setdefault((*combination[:axis], *combination[axis + 1 :]), set()).add(character)
        if any(len(characters - {None}) > 1 for characters in by_rest.values()):
            found.add(choice)
    # Where what makes no layer stands between them, no single choice is to blame.
    return found or {*node.choices}


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


def _template(space: Space, outer: dict[int, int], followed: Followed, places: Sequence[int]) -> Template:
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
        _narrowed(Variants(choices, tuple(ops[position] if ops else None for ops in made[choices])), space.sizes)
        if choices
        else Variants((), (node.op,))
        for position, (node, choices) in enumerate(zip(graph.nodes, reached, strict=True))
    )
    return Template(space, graph, outer, nodes, inputs, tuple(places))


def _narrowed(node: Variants, sizes: Sequence[int]) -> Variants:
    """The same by those choices alone that change it: of a value that an edit replaces it is asked only whether it is
    one."""
    choices, ops = list(node.choices), list(node.ops)
    for choice in node.choices:
        # Along one axis: so many blocks of its values, each of which stands for so many variants behind it.
        size = sizes[choice]
        behind = prod(sizes[each] for each in choices[choices.index(choice) + 1 :])
        if all(op == ops[place - place // behind % size * behind] for place, op in enumerate(ops)):
            ops = [op for place, op in enumerate(ops) if not place // behind % size]
            choices.remove(choice)
    return Variants(tuple(choices), tuple(ops))


def _first_network(space: Space, outer: Mapping[int, int]) -> tuple[Followed, list[int]]:
    """A network with some choices at their places, and its places: of those tried the first that can be built."""
    refused: GnetError | None = None
    for places in islice(_likely(space, outer), MOST_TRIED):
        try:
            overrides = space.overrides(places)
            return follow_edits(space.spec, space.input_values(places), overrides, space.mode), places
        except GnetError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _likely(space: Space, outer: Mapping[int, int]) -> Iterator[list[int]]:
    """Places that may make a network: the first values, the spec's own, these with one of them changed, and then all of
    a small space, or some of a large one."""
    sizes = space.sizes
    first = [outer.get(index, 0) for index in range(len(sizes))]
    own = [outer.get(index, space.base(index) or 0) for index in range(len(sizes))]
    free = [index for index in range(len(sizes)) if index not in outer and sizes[index] > 1]
    yield first
    yield own
    if prod(sizes[index] for index in free) <= MOST_TRIED:
        for combination in product(*(range(sizes[index]) for index in free)):
            yield _placed(first, {tuple(free): combination})
        return
    for start in (own, first):
        for index in free[: MOST_TRIED // 8]:
            for place in range(1, min(sizes[index], 3)):
                yield _placed(start, {(index,): (place,)})
    draw = Random(0)
    while True:
        yield _placed(first, {tuple(free): tuple(draw.randrange(sizes[index]) for index in free)})


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
            ops = _ops(space, graph, _placed(places, now), tuple(chain.from_iterable(now)))
            for choices, combination in now.items():
                # Where they make no network together, another set's values may be what makes none.
                alone = ops is None and len(now) > 1
                found[choices].append(
                    _ops(space, graph, _placed(places, {choices: combination}), choices) if alone else ops
                )
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


def _ops(space: Space, graph: Graph, places: Sequence[int], choices: tuple[int, ...]) -> tuple[Op, ...] | None:
    """The layers at these places; None where their arguments make none. `choices` are those that were changed."""
    try:
        return ops_of(space.spec, graph, space.overrides(places))
    except OtherNetworkError:
        raise _UnlikeError(choices) from None
    except GnetError:
        return None


def _combinations(space: Space, choices: tuple[int, ...]) -> list[tuple[int, ...]]:
    if prod(space.sizes[index] for index in choices) > MOST_VARIANTS:
        return []
    return list(product(*(range(space.sizes[index]) for index in choices)))
