"""Receptive fields of candidates: of what lies between two places at which one value passes, the ordinary analysis
tells once through which window it is seen; candidates are such windows one behind the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.analysis.receptive import Axis, Edge, Field, image_fields, model_field, receptive_fields
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph, Output, Value, node_of
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.ops import AxisWindow, Shape
from gnet_inspect.search.template import Template, Variants


class Segment(Struct, eq=False):
    """Nodes from `start` up to `end`, into which one value goes and out of which one comes; `choices` decide how they
    see."""

    start: int
    end: int
    source: str
    choices: tuple[int, ...]


class Seen(Struct, frozen=True):
    """How a segment's last value sees its input: a window and a count for each axis where positions go on, else the
    field of the whole rest; and the shape that it hands on."""

    windows: tuple[tuple[AxisWindow, int], ...] | None
    rest: Field | None
    shape: Shape


# What a candidate's field is, by the places of the choices that decide it: the smaller of its axes, None where nobody
# can tell.
Fields = dict[tuple[int, ...], int | None]


class FieldReader:
    """The fields of a template's candidates."""

    def __init__(self, template: Template) -> None:
        self.template = template
        deciding = {index for node in template.nodes if _sees_differently(node) for index in node.choices}
        # Another input has other borders, and poolings of whole maps.
        deciding |= set(template.inputs.values())
        self.choices = tuple(sorted(deciding))
        self.segments = self._segments() if self._is_chain() else []
        self._seen: dict[tuple[int, int, tuple[int, ...], Shape], Seen | None] = {}
        self._found: Fields = {}

    def of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The field of each candidate, all of which are networks; -1 where nobody can tell. What decides it is asked
        once for each combination."""
        key = np.zeros(places.shape[1], np.int64)
        for index in self.choices:
            key = key * self.template.space.sizes[index] + places[index]
        _, some, back = np.unique(key, return_index=True, return_inverse=True)
        return np.array([self._field(places[:, each].tolist()) for each in some.tolist()], np.int64)[back]

    def _field(self, candidate: list[int]) -> int:
        combination = tuple(candidate[index] for index in self.choices)
        if combination not in self._found:
            # Beside what decides, the values of the template's own network do, where they make one together.
            places = [*self.template.places]
            for index, place in zip(self.choices, combination, strict=True):
                places[index] = place
            try:
                self._found[combination] = self._composed(places)
            except GnetError:
                self._found[combination] = self._whole(candidate)
        found = self._found[combination]
        return -1 if found is None else found

    # --- one candidate ---

    def _composed(self, places: Sequence[int]) -> int | None:
        if not self.segments:
            return self._whole(places)
        shape = self._input(self.template.graph.inputs[0], places)
        axes = tuple(_start(size) for size in shape[2:])
        for index, segment in enumerate(self.segments):
            seen = self._see(index, segment, places, shape)
            shape = seen.shape
            if seen.windows is None:
                through = _behind(axes, seen.rest)
                return self._whole(places) if through is None else through
            axes = tuple(axis.through(window, count) for axis, (window, count) in zip(axes, seen.windows, strict=True))
        return min(axis.size for axis in axes)

    def _input(self, given: Value, places: Sequence[int]) -> Shape:
        """The shape of one of the network's inputs."""
        if given.name not in self.template.inputs:
            return given.shape
        choice = self.template.inputs[given.name]
        return (given.shape[0], *self.template.space.choices[choice].values[places[choice]])

    def _whole(self, places: Sequence[int]) -> int | None:
        """What no composition of windows says: the field of the network as one, where anybody can tell."""
        graph = self.template.graph
        inputs = [Value(value.name, self._input(value, places), value.dtype) for value in graph.inputs]
        made = self._graph(0, len(graph.nodes), places, inputs, graph.outputs)
        field = model_field(made, receptive_fields(made))
        if field is None or field.size is None or field.status in ("unknown", "bound"):
            return None
        return min(field.size)

    def _see(self, index: int, segment: Segment, places: Sequence[int], shape: Shape) -> Seen:
        seen = self._asked(segment, index, places, shape)
        if seen is None:
            # What is seen unevenly goes on being so: it and all behind it are asked as one, by all of their choices.
            number = len(self.template.graph.nodes)
            behind = tuple(sorted({choice for each in self.segments[index:] for choice in each.choices}))
            seen = self._asked(Segment(segment.start, number, segment.source, behind), index, places, shape)
        assert seen is not None
        return seen

    def _asked(self, segment: Segment, index: int, places: Sequence[int], shape: Shape) -> Seen | None:
        key = index, segment.end, tuple(places[choice] for choice in segment.choices), shape
        if key not in self._seen:
            self._seen[key] = self._ask(segment, segment.end, places, shape)
        return self._seen[key]

    def _ask(self, segment: Segment, end: int, places: Sequence[int], shape: Shape) -> Seen | None:
        """The ordinary analysis of a segment alone; None where its last value sees its input unevenly or has no
        positions, so that the rest must be asked with it."""
        graph = self._graph(segment.start, end, places, [Value(segment.source, shape)])
        output = graph.nodes[-1].output_shape
        if end == len(self.template.graph.nodes):
            return Seen(None, model_field(graph, receptive_fields(graph)), output)
        straight = _windows(image_fields(graph)[graph.nodes[-1].name])
        return Seen(straight, None, output) if straight is not None else None

    def _graph(
        self,
        start: int,
        end: int,
        places: Sequence[int],
        inputs: Sequence[Value],
        outputs: Sequence[Output] = (),
    ) -> Graph:
        """Some of the nodes as a network of its own; it returns the last of them where no `outputs` are said."""
        template = self.template
        maker = GraphMaker(inputs)
        for node, variants in zip(template.graph.nodes[start:end], template.nodes[start:end], strict=True):
            place = 0
            for choice in variants.choices:
                place = place * template.space.sizes[choice] + places[choice]
            op = variants.ops[place]
            if op is None:
                raise NoLayerError(node.name)
            maker.call(node.name, op, node.inputs, module=node.module)
        return maker.graph(
            model=template.graph.model,
            title=template.graph.title,
            mode=template.graph.mode,
            outputs=[*outputs] or [Output("output", maker.nodes[-1].name)],
            parts=(),
        )

    # --- the segments ---

    def _is_chain(self) -> bool:
        """Whether all comes from one input and ends in the last node."""
        graph = self.template.graph
        return (
            len(graph.inputs) == 1 and all(node.inputs for node in graph.nodes) and graph.output == graph.nodes[-1].name
        )

    def _segments(self) -> list[Segment]:
        graph = self.template.graph
        last: dict[str, int] = {}
        for place, node in enumerate(graph.nodes):
            for name in node.inputs:
                last[node_of(name)] = place
        last[node_of(graph.output)] = len(graph.nodes)
        found: list[Segment] = []
        start, source = 0, graph.inputs[0].name
        alive: set[str] = {value.name for value in graph.inputs}
        for place, node in enumerate(graph.nodes):
            alive.add(node.name)
            alive = {name for name in alive if last.get(name, -1) > place}
            end = place + 1
            if alive == {node.name} and len(node.output_shapes) == 1:
                decided = {c for each in self.template.nodes[start:end] for c in each.choices if c in self.choices}
                if found and not decided and not found[-1].choices:
                    # What nothing decides is asked together.
                    found[-1] = Segment(found[-1].start, end, found[-1].source, ())
                else:
                    found.append(Segment(start, end, source, tuple(sorted(decided))))
                start, source = end, node.name
        if start < len(graph.nodes):
            rest = {c for each in self.template.nodes[start:] for c in each.choices if c in self.choices}
            found.append(Segment(start, len(graph.nodes), source, tuple(sorted(rest))))
        return found


class NoLayerError(GnetError):
    """Arguments that make no layer."""


def _sees_differently(node: Variants) -> bool:
    """Whether a layer's variants look at their input through other windows, whatever channels these have."""
    shown = {_shown(op) for op in node.ops}
    return len(shown) > 1


def _shown(op: Any) -> object:
    """A layer's arguments but for those that only number channels or features."""
    if op is None:
        return None
    plain = {
        name: getattr(op, name)
        for name in op.__struct_fields__
        if name not in ("out_channels", "out_features", "bias", "num_features")
    }
    return type(op), tuple(sorted((name, str(value)) for name, value in plain.items()))


def _start(size: int) -> Axis:
    return Axis(Edge(0, 1), Edge(0, 1), size, 0, size - 1)


def _windows(field: Field | None) -> tuple[tuple[AxisWindow, int], ...] | None:
    """A field as one window for each axis, where it is straight."""
    if field is None or field.axes is None or field.status != "exact":
        return None
    for axis in field.axes:
        if axis.low.parts != 1 or axis.high.parts != 1 or axis.low.apart != axis.high.apart:
            return None
    return tuple((AxisWindow(axis.size, axis.high.apart, 1, axis.offset), axis.count) for axis in field.axes)


def _behind(axes: tuple[Axis, ...], rest: Field | None) -> int | None:
    """The field of the rest, seen through what is before it."""
    if rest is None or rest.axes is None or rest.status in ("unknown", "bound") or len(rest.axes) != len(axes):
        return None
    sizes = []
    for axis, own in zip(axes, rest.axes, strict=True):
        if own.low.parts != 1 or own.high.parts != 1:
            return None
        window = AxisWindow(own.size, own.high.apart, 1, own.offset)
        sizes.append(axis.through(window, own.count).size)
    return min(sizes)
