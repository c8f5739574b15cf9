"""Graph -> Graph for inference: fewer layers that read and write less, and the same output up to rounding.

Every pass takes the graph of an eval mode and may be run by itself, in any order and again: a second time it finds
nothing to do. `runtime.optimize` carries the weights over.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate, count, pairwise, takewhile

from msgspec.structs import replace

from gnet_inspect.errors import UsageError, expect
from gnet_inspect.graph.nodes import Graph, Node
from gnet_inspect.graph.rewriting import Place, Rewrite, places, rewritten
from gnet_inspect.ops import ActivatedConcat, Channels, Concat, Op
from gnet_inspect.ops.activation import GELU, LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Tanh
from gnet_inspect.ops.convolution import Conv2d, ConvTranspose2d
from gnet_inspect.ops.normalization import BatchNorm2d

# Each works on every element by itself: on several tensors side by side as on each of them.
ACTIVATIONS = (ReLU, ReLU6, LeakyReLU, Sigmoid, Tanh, SiLU, GELU)


def optimize(graph: Graph) -> Graph:
    """The graph that computes the same with less: batch norm folded, parallel convolutions merged, concat in place.

    >>> from gnet_inspect import build_graph, load_spec
    >>> graph = build_graph(load_spec("googlenet_torchvision"))
    >>> len(graph.nodes), len(optimize(graph).nodes)
    (197, 104)
    """
    return write_concat_in_place(merge_parallel_convolutions(fold_batch_norm(graph)))


# --- batch norm ---


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold every BatchNorm2d into the convolution whose output it alone reads; the convolution then has a bias.

    At inference batch norm is one multiplication and one addition for each channel, which may as well be done to the
    weights (Jacob et al. 2018, section 3.2). One that keeps no running statistics works them out of its input, and
    stays. So does what shares its weights with another call, which is followed by something else.
    """
    _check(graph)
    alone, once = _sole_readers(graph), _called_once(graph)
    changed: dict[str, Node] = {}
    removed: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv2d | ConvTranspose2d) and node.name in once:
            norms = list(takewhile(lambda norm: norm.name in once, _norms_behind(node, alone)))
            if norms:
                changed[node.name] = replace(node, op=replace(node.op, bias=True), sources=_origins([node, *norms]))
                removed |= {norm.name: node.name for norm in norms}
    return rewritten(graph, Rewrite(changed, removed))


def _norms_behind(node: Node, alone: Mapping[str, Node]) -> Iterator[Node]:
    """The batch norms in a row behind a node, each the only reader of the one before."""
    reader = alone.get(node.name)
    while reader is not None and isinstance(reader.op, BatchNorm2d) and reader.op.track_running_stats:
        yield reader
        reader = alone.get(reader.name)


# --- parallel convolutions ---


def merge_parallel_convolutions(graph: Graph) -> Graph:
    """Make one convolution of those that read the same input with the same arguments and have the same activation.

    So the 1x1 convolutions of an Inception block read its input once, not three times. The merged layers stand in the
    scope that the convolutions share; what followed each of them reads a slice of the channels, under the name of the
    layer that it takes the place of. Convolutions in groups stay as they are, and those that are called again.
    """
    _check(graph)
    alone, once = _sole_readers(graph), _called_once(graph)
    siblings: dict[tuple[str, Op, Op | None, bool], list[Node]] = {}
    for node in graph.nodes:
        op, reader = node.op, alone.get(node.name)
        # What such a concat reads was left apart when its ReLU was there to see: the next run leaves it, too.
        activated = reader is not None and isinstance(reader.op, ActivatedConcat)
        if isinstance(op, Conv2d) and op.groups == 1 and node.name in once and not activated:
            activation = _activation(reader)
            alike = replace(op, out_channels=1), activation.op if activation else None, node.is_frozen
            siblings.setdefault((node.inputs[0], *alike), []).append(node)
    merger = _Merger(graph, alone)
    for members in siblings.values():
        if len(members) > 1:
            merger.merge(members)
    return rewritten(graph, merger.rewrite)


def _activation(reader: Node | None) -> Node | None:
    return reader if reader is not None and isinstance(reader.op, ACTIVATIONS) else None


class _Merger:
    """Gathers what becomes of the convolutions of one graph that are merged."""

    def __init__(self, graph: Graph, alone: Mapping[str, Node]) -> None:
        self.alone, self.places = alone, places(graph)
        # The names of layers and of the scopes around them: a new name is none of these.
        self.taken = {path for node in graph.nodes for path in (node.name, *node.scopes())}
        self.rewrite = Rewrite()

    def merge(self, members: list[Node]) -> None:
        """Put one convolution, and one activation where the members have one, in the place of the members."""
        place = self._place(members)
        if place is None:
            return
        channels = [node.output_shape[1] for node in members]
        merged = self._merged(members, sum(channels))
        added, ends = [merged], members
        activations = [found for node in members if (found := _activation(self.alone.get(node.name)))]
        if activations:
            added.append(self._activated(merged, activations))
            ends = activations
            self.rewrite.removed.update((node.name, merged.name) for node in members)
        for end, (start, stop) in zip(ends, pairwise(accumulate(channels, initial=0)), strict=True):
            self.rewrite.changed[end.name] = replace(
                end, op=Channels(start, stop), inputs=(added[-1].name,), sources=()
            )
        self.rewrite.added.setdefault(place, []).extend(added)

    def _place(self, members: list[Node]) -> Place | None:
        """Before the part that holds the first member, in the innermost group that holds all of them.

        None where that is another stage for some, or before their input is there.
        """
        found = [self.places[node.name] for node in members]
        first = found[0]
        depth = next((depth for depth, parts in enumerate(zip(*found, strict=False)) if len(set(parts)) > 1), 0)
        place = first[: depth + 1]
        source = members[0].inputs[0]
        # The network's own inputs are there from the start.
        made = self.places.get(source)
        if len({node.stage for node in members}) > 1 or (made is not None and made > place):
            return None
        return place

    def _merged(self, members: list[Node], channels: int) -> Node:
        """The convolution for all members, named in the scope that they share."""
        first = members[0]
        return replace(
            first,
            name=(name := self._free(f"{_shared_scope(members)}merged_conv")),
            module=name,
            op=replace(first.op, out_channels=channels),
            block=first.block if len({node.block for node in members}) == 1 else None,
            sources=_origins(members),
        )

    def _activated(self, merged: Node, activations: list[Node]) -> Node:
        """The activation behind it."""
        op = activations[0].op
        scope = merged.name.removesuffix(merged.name.rpartition(".")[2])
        name = self._free(f"{scope}merged_{op.kind.lower()}")
        return replace(merged, name=name, module=name, op=op, inputs=(merged.name,), sources=_origins(activations))

    def _free(self, name: str) -> str:
        """The name, or the first of it with a number that is not taken."""
        found = next(
            each for number in count(1) if (each := name if number == 1 else f"{name}{number}") not in self.taken
        )
        self.taken.add(found)
        return found


def _shared_scope(nodes: list[Node]) -> str:
    """ "a.b." for nodes "a.b.c.d" and "a.b.e"."""
    shared: list[str] = []
    for parts in zip(*(node.name.split(".")[:-1] for node in nodes), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}." for part in shared)


# --- concat ---


def write_concat_in_place(graph: Graph) -> Graph:
    """Let every concat apply the ReLU at the end of a branch itself, while it writes that branch into its output.

    A ReLU that something else reads, too, stays. Branches that end in another layer are copied as before.
    """
    _check(graph)
    alone = _sole_readers(graph)
    makers = {node.name: node for node in graph.nodes}
    changed: dict[str, Node] = {}
    removed: dict[str, str] = {}
    for node in graph.nodes:
        # Of a learned tensor torch takes the one for every image.
        alike = len({shape[0] for shape in node.input_shapes}) == 1
        if not isinstance(node.op, Concat) or node.op.dim % len(node.output_shape) != 1 or not alike:
            continue
        flags = list(node.op.relu) if isinstance(node.op, ActivatedConcat) else [False] * len(node.inputs)
        # Two in a row are one: behind a flag nothing is looked for.
        found = {
            index: makers[name]
            for index, name in enumerate(node.inputs)
            if not flags[index] and name in alone and name in makers and isinstance(makers[name].op, ReLU)
        }
        if found:
            relu = tuple(flag or index in found for index, flag in enumerate(flags))
            changed[node.name] = replace(node, op=ActivatedConcat(relu=relu))
            removed |= {maker.name: maker.inputs[0] for maker in found.values()}
    return rewritten(graph, Rewrite(changed, removed))


# --- what they share ---


def _check(graph: Graph) -> None:
    expect(graph, Graph, "a Graph (build_graph gives one)")
    if graph.mode != "eval":
        raise UsageError(
            f'expected a graph of the mode "eval", got "{graph.mode}": what is folded or merged cannot be trained. '
            '(build_graph(spec, mode="eval"))'
        )


def _origins(nodes: list[Node]) -> tuple[str, ...]:
    """What all of them stand for."""
    return tuple(name for node in nodes for name in node.origin)


def _called_once(graph: Graph) -> set[str]:
    """The names of the nodes whose layer no other node calls."""
    calls = Counter(node.module for node in graph.nodes)
    return {node.name for node in graph.nodes if calls[node.module] == 1}


def _sole_readers(graph: Graph) -> dict[str, Node]:
    """By the name of each node that is read once and not the network's output: the node that reads it."""
    kept = {value.name for value in graph.inputs} | {output.value for output in graph.outputs}
    return {name: found[0] for name, found in graph.readers().items() if len(found) == 1 and name not in kept}
