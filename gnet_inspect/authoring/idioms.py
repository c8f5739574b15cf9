"""What programs spell in several functions and the language has one word for: a graph with these words in their place.

Each idiom is recognised by what it computes, node by node, never by a class's name alone; what is not just that stays.
"""

import re
from collections.abc import Iterator, Mapping
from math import prod

from msgspec.structs import replace

from gnet_inspect.graph import Graph, Node, node_of
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.rewriting import functions_as_layers
from gnet_inspect.ops import Op, Shape
from gnet_inspect.ops.attention import ShiftedWindowAttention
from gnet_inspect.ops.channels import LayerNorm2d
from gnet_inspect.ops.functions import Computed
from gnet_inspect.ops.merging import Concat, LearnedTensor
from gnet_inspect.ops.movement import ChannelShuffle, Flatten, Identity, Permute, Reshape, Roll, Slice
from gnet_inspect.ops.normalization import LayerNorm
from gnet_inspect.spelling import free_name


def in_words(graph: Graph) -> Graph:
    """A graph whose functions are layers, and whose idioms are one layer each. Its tree of parts is not kept."""
    draft = _Draft(functions_as_layers(graph))
    draft.name_windows()
    draft.name_inputs()
    draft.name_channel_norms()
    draft.name_homes()
    draft.drop_empty_pads()
    draft.name_shuffles()
    draft.name_reshapes()
    draft.name_slices()
    draft.name_tokens()
    draft.join_step_by_step()
    return draft.graph()


class _Draft:
    """A graph being reworded: its nodes in order, by their names."""

    def __init__(self, graph: Graph) -> None:
        self.given = graph
        self.nodes = {node.name: node for node in graph.nodes}
        # Where each stands among all.
        self.places = {node.name: place for place, node in enumerate(graph.nodes)}
        # By a value's name the one that is read in its place; by that of an input its new one.
        self.moved: dict[str, str] = {}
        self.inputs: dict[str, str] = {}

    def graph(self) -> Graph:
        """What has become of it, in one part."""
        given = self.given
        maker = GraphMaker([replace(value, name=self.inputs.get(value.name, value.name)) for value in given.inputs])
        maker.open("stage", given.model)
        for node in self._in_order():
            maker.call(
                node.name,
                node.op,
                tuple(map(self.value, node.inputs)),
                module=node.module,
                is_frozen=node.is_frozen,
                held=node.held,
            )
        part = maker.close()
        return maker.graph(
            model=given.model,
            title=given.title,
            mode=given.mode,
            outputs=[replace(output, value=self.value(output.value)) for output in given.outputs],
            parts=[part] if part else [],
            origin=given.origin,
            names_outputs=given.names_outputs,
            left_heads=given.left_heads,
            unreached=given.unreached,
        )

    def value(self, name: str) -> str:
        """What is read by a name now."""
        while name in self.moved:
            name = self.moved[name]
        return name

    def readers(self) -> dict[str, list[Node]]:
        """The nodes that read each value."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            for value in dict.fromkeys(map(self.value, node.inputs)):
                found.setdefault(value, []).append(node)
        return found

    def _in_order(self) -> Iterator[Node]:
        """The nodes, each behind what it reads."""
        done: set[str] = set()
        for first in sorted(self.nodes.values(), key=lambda node: self.places[node.name]):
            waiting = [first]
            while waiting:
                node = waiting[-1]
                lacking = [
                    self.nodes[made]
                    for value in map(self.value, node.inputs)
                    if (made := node_of(value)) in self.nodes and made not in done
                ]
                if lacking:
                    waiting += lacking
                    continue
                waiting.pop()
                if node.name not in done:
                    done.add(node.name)
                    yield node

    def _put(self, old: Node, new: Node) -> None:
        """One node in the place of another."""
        if new.name != old.name:
            del self.nodes[old.name]
            self.moved[old.name] = new.name
            self.places[new.name] = self.places[old.name]
        self.nodes[new.name] = new

    def _inside(self) -> dict[str, list[str]]:
        """By the path of each scope the nodes below it."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for path in node.scopes():
                found.setdefault(path, []).append(node.name)
        return found

    def _drop(self, node: Node, value: str) -> None:
        """Leave a node out; who read it reads `value`."""
        del self.nodes[node.name]
        self.moved[node.name] = value

    def _alone(self, node: Node, readers: Mapping[str, list[Node]]) -> Node | None:
        """The one reader of a node that nothing else sees."""
        found = readers.get(node.name, [])
        seen = any(self.value(output.value) == node.name for output in self.given.outputs)
        return found[0] if len(found) == 1 and not seen else None

    # --- the idioms ---

    def name_inputs(self) -> None:
        """Inputs that lie deeper in what the network is given: their paths as one word."""
        taken = {value.name for value in self.given.inputs} | set(self.nodes)
        for value in self.given.inputs:
            name = re.sub(r"\W+", "_", value.name).strip("_")
            if name != value.name and name not in taken:
                self.moved[value.name] = self.inputs[value.name] = name

    def name_homes(self) -> None:
        """A function on just the weights of one module: that module's layer. What else the module runs, as the
        activation behind a norm, has no weights, and stands beside it under a name of its own."""
        inside = self._inside()
        for node in list(self.nodes.values()):
            says = [weight.name for weight in node.op.weights(node.input_shapes)] if not node.module else []
            held = [weight.name for weight in node.held or ()]
            home = held[0].rpartition(".")[0] if held else ""
            if not says or not home or sorted(held) != sorted(f"{home}.{name}" for name in says):
                continue
            others = [self.nodes[name] for name in inside.get(home, ()) if name in self.nodes and name != node.name]
            beside = [f"{home}_{other.name.removeprefix(f'{home}.')}" for other in others]
            taken = home in self.nodes and home != node.name
            if (
                taken
                or any(other.params or other.buffers for other in others)
                or any("." in name.removeprefix(home) or name in self.nodes or name in inside for name in beside)
            ):
                continue
            for other, name in zip(others, beside, strict=True):
                self._put(other, replace(other, name=name, module=name if other.module == other.name else other.module))
            self._put(node, replace(node, name=home, module=home, held=None))

    def drop_empty_pads(self) -> None:
        """A pad that adds nothing at this size."""
        for node in list(self.nodes.values()):
            if node.op.kind == "pad" and node.input_shapes == (node.output_shape,):
                self._drop(node, self.value(node.inputs[0]))

    def name_channel_norms(self) -> None:
        """Permute, layer norm over what was the channels, permute back: torchvision's LayerNorm2d."""
        readers, inside = self.readers(), self._inside()
        for node in list(self.nodes.values()):
            if not _permutes(node, (0, 2, 3, 1)) or (norm := self._alone(node, readers)) is None:
                continue
            back = self._alone(norm, readers) if isinstance(norm.op, LayerNorm) and not norm.module else None
            scope = norm.name.rpartition(".")[0]
            held = [weight.name for weight in norm.held or ()]
            if back is None or not _permutes(back, (0, 3, 1, 2)) or held != [f"{scope}.weight", f"{scope}.bias"]:
                continue
            if len(inside.get(scope, ())) != 3 or any(
                not one.name.startswith(f"{scope}.") for one in (node, norm, back)
            ):
                continue
            assert isinstance(norm.op, LayerNorm)
            op = LayerNorm2d(eps=norm.op.eps)
            self._put(back, replace(back, name=scope, op=op, inputs=node.inputs, module=scope, held=None))
            del self.nodes[node.name], self.nodes[norm.name]

    def name_shuffles(self) -> None:
        """Channels as groups x rest, these two swapped, and one axis again: ChannelShuffle."""
        readers = self.readers()
        for node in list(self.nodes.values()):
            shape, made = node.input_shapes[0] if node.input_shapes else (), node.output_shape
            if not isinstance(node.op, Reshape) or len(shape) < 3 or made[1:3] != (made[1], shape[1] // made[1]):
                continue
            if (made[0], *made[3:]) != (shape[0], *shape[2:]) or (swap := self._alone(node, readers)) is None:
                continue
            order = (0, 2, 1, *range(3, len(made)))
            back = self._alone(swap, readers) if _permutes(swap, order) else None
            if back is None or not isinstance(back.op, Reshape) or back.output_shape != shape:
                continue
            self._put(back, replace(back, op=ChannelShuffle(made[1]), inputs=node.inputs))
            del self.nodes[node.name], self.nodes[swap.name]

    def name_reshapes(self) -> None:
        """Axes that become one: Flatten; what keeps the batch says so, that another batch may come."""
        for node in list(self.nodes.values()):
            if isinstance(node.op, Reshape):
                op = _flatten_of(node.input_shapes[0], node.output_shape)
                if op is None and node.input_shapes[0][0] == node.output_shape[0]:
                    op = Reshape((0, *node.output_shape[1:]))
                if op is not None:
                    self._put(node, replace(node, op=op))

    def name_slices(self) -> None:
        """A slice up to the end says so, and not where the end is."""
        for node in list(self.nodes.values()):
            if isinstance(node.op, Slice) and node.op.stop == node.input_shapes[0][node.op.dim]:
                self._put(node, replace(node, op=replace(node.op, stop=None)))

    def name_tokens(self) -> None:
        """A learned tensor with a first size of 1, expanded to the batch: the learned tensor."""
        for node in list(self.nodes.values()):
            held = node.held or ()
            if isinstance(node.op, Computed) and node.op.function == "expand" and len(held) == 1 and held[0].trained:
                shape = held[0].shape
                if shape[:1] == (1,) and shape[1:] == node.output_shape[1:] and held[0].name not in self.nodes:
                    name = held[0].name
                    self._put(node, replace(node, name=name, op=LearnedTensor(shape), module=name, held=None))

    def join_step_by_step(self) -> None:
        """A concat of all that came before, again and again with one part more (DenseNet): each adds its part to the
        last one, in the scope that makes the part."""
        known: dict[tuple[str, ...], str] = {}
        begun = {node.inputs[:1] for node in self.nodes.values() if isinstance(node.op, Concat) and node.inputs[1:]}
        for node in list(self.nodes.values()):
            if not isinstance(node.op, Concat) or node.op.dim != 1:
                continue
            inputs = tuple(map(self.value, node.inputs))
            if len(inputs) == 1:
                if node.inputs in begun:
                    self._drop(node, inputs[0])
                    known[inputs] = inputs[0]
                else:
                    self._put(node, replace(node, op=Identity()))
                continue
            before = known.get(inputs[:-1])
            if before is None:
                continue
            known[inputs] = name = self._beside(inputs[-1])
            self._put(node, replace(node, name=name, inputs=(before, inputs[-1]), module=name))
            # Later ones are of what they were.
            known[tuple(map(self.value, inputs))] = name

    def _beside(self, value: str) -> str:
        """A name for a join in the scope that makes a value."""
        return free_name(f"{node_of(value).rpartition('.')[0]}.output", self.nodes)

    def name_windows(self) -> None:
        """torchvision's attention in shifted windows, by its functions: pad, roll, windows, attention, and back."""
        scopes: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            scopes.setdefault(node.name.rpartition(".")[0], []).append(node)
        for scope, nodes in scopes.items():
            op = _window_attention(scope, nodes)
            if op is None:
                continue
            inside = {node.name for node in nodes}
            outside = {
                value for node in nodes for value in map(self.value, node.inputs) if node_of(value) not in inside
            }
            if len(outside) != 1:
                continue
            last = nodes[-1]
            shapes = (last.output_shape,)
            if nodes[0].input_shapes != shapes or op.macs(shapes, shapes) != sum(node.macs or 0 for node in nodes):
                continue
            self._put(last, replace(last, name=scope, op=op, inputs=(outside.pop(),), module=scope, held=None))
            for node in nodes[:-1]:
                del self.nodes[node.name]


def _permutes(node: Node, dims: Shape) -> bool:
    return isinstance(node.op, Permute) and tuple(dim % len(dims) for dim in node.op.dims) == dims


def _flatten_of(shape: Shape, made: Shape) -> Op | None:
    """The Flatten that makes one shape of another; None where several axes change."""
    for start in range(1, len(shape)):
        for end in range(start + 1, len(shape)):
            if (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]) == made:
                return Flatten(start, -1 if end == len(shape) - 1 else end)
    return None


def _window_attention(scope: str, nodes: list[Node]) -> ShiftedWindowAttention | None:
    held = {weight.name.removeprefix(f"{scope}."): weight for node in nodes for weight in node.held or ()}
    needed = {"qkv.weight", "proj.weight", "relative_position_bias_table", "relative_position_index"}
    if not needed <= set(held) or not set(held) <= needed | {"qkv.bias", "proj.bias"}:
        return None
    table = held["relative_position_bias_table"].shape
    side = round((table[0] ** 0.5 + 1) / 2)
    shift = next((node.op for node in nodes if isinstance(node.op, Roll)), None)
    if (2 * side - 1) ** 2 != table[0]:
        return None
    return ShiftedWindowAttention(
        heads=table[1],
        window=(side, side),
        shift=(abs(_shift(shift, 0)), abs(_shift(shift, 1))) if shift is not None else (0, 0),
        qkv_bias="qkv.bias" in held,
        proj_bias="proj.bias" in held,
    )


def _shift(roll: Roll, index: int) -> int:
    return roll.shifts[index]
