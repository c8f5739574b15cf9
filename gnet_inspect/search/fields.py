"""Receptive fields of candidates: of what lies between two places at which one value passes, the ordinary analysis
tells once through which window it is seen; candidates are such windows one behind the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.analysis.receptive import Axis, Edge, Field, model_field, receptive_fields
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
        self.segments = self._segments()
        self._seen: dict[tuple[int, tuple[int, ...], Shape], Seen] = {}
        self._found: Fields = {}

    def of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The field of each candidate, -1 where nobody can tell: what decides it is asked once for each combination."""
        if not self.choices:
            return np.full(places.shape[1], self._field(()), np.int64)
        sizes = [self.template.space.sizes[index] for index in self.choices]
        key = np.zeros(places.shape[1], np.int64)
        for index, size in zip(self.choices, sizes, strict=True):
            key = key * size + places[index]
        keys, back = np.unique(key, return_inverse=True)
        found = []
        for number in keys.tolist():
            combination, rest = [], number
            for size in reversed(sizes):
                rest, place = divmod(rest, size)
                combination.append(place)
            found.append(self._field(tuple(reversed(combination))))
        return np.array(found, np.int64)[back]

    def _field(self, combination: tuple[int, ...]) -> int:
        if combination not in self._found:
            try:
                self._found[combination] = self._composed(dict(zip(self.choices, combination, strict=True)))
            except GnetError:
                # It is no network, and counted as none.
                self._found[combination] = None
        found = self._found[combination]
        return -1 if found is None else found

    # --- one candidate ---

    def _composed(self, places: Mapping[int, int]) -> int | None:
        shape = self._input(places)
        axes = tuple(_start(size) for size in shape[2:])
        for index, segment in enumerate(self.segments):
            seen = self._see(index, segment, places, shape)
            shape = seen.shape
            if seen.windows is None:
                through = _behind(axes, seen.rest)
                return self._whole(places) if through is None else through
            axes = tuple(axis.through(window, count) for axis, (window, count) in zip(axes, seen.windows, strict=True))
        return min(axis.size for axis in axes)

    def _input(self, places: Mapping[int, int]) -> Shape:
        given = self.template.graph.inputs[0]
        if given.name not in self.template.inputs:
            return given.shape
        choice = self.template.inputs[given.name]
        return (given.shape[0], *self.template.space.choices[choice].values[places[choice]])

    def _whole(self, places: Mapping[int, int]) -> int | None:
        """What no composition of windows says: the field of the network as one, where that is exact."""
        number = len(self.template.graph.nodes)
        whole = Segment(0, number, self.template.graph.inputs[0].name, self.choices)
        seen = self._ask(whole, number, places, self._input(places))
        field = None if seen is None else seen.rest
        if field is None or field.size is None or field.status in ("unknown", "bound"):
            return None
        return min(field.size)

    def _see(self, index: int, segment: Segment, places: Mapping[int, int], shape: Shape) -> Seen:
        key = index, tuple(places[choice] for choice in segment.choices), shape
        if key not in self._seen:
            last = segment.end == len(self.template.graph.nodes)
            seen = self._ask(segment, segment.end, places, shape)
            if seen is None or (last and seen.windows is None):
                seen = self._ask(segment, len(self.template.graph.nodes), places, shape)
            assert seen is not None
            self._seen[key] = seen
        return self._seen[key]

    def _ask(self, segment: Segment, end: int, places: Mapping[int, int], shape: Shape) -> Seen | None:
        """The ordinary analysis of a segment alone; None where its last value has no positions, so that the rest must
        be asked as a whole."""
        graph = self._graph(segment, end, places, shape)
        fields = receptive_fields(graph)
        whole = end == len(self.template.graph.nodes)
        field = model_field(graph, fields) if whole else fields[graph.nodes[-1].name]
        output = graph.nodes[-1].output_shape
        if not whole:
            straight = _windows(field)
            return Seen(straight, None, output) if straight is not None else None
        return Seen(None, field, output)

    def _graph(self, segment: Segment, end: int, places: Mapping[int, int], shape: Shape) -> Graph:
        template = self.template
        maker = GraphMaker([Value(segment.source, shape)])
        for node, variants in zip(
            template.graph.nodes[segment.start : end], template.nodes[segment.start : end], strict=True
        ):
            place = 0
            for choice in variants.choices:
                place = place * template.space.sizes[choice] + places.get(choice, 0)
            op = variants.ops[place]
            if op is None:
                raise NoLayerError(node.name)
            maker.call(node.name, op, node.inputs, module=node.module)
        return maker.graph(
            model=template.graph.model,
            title=template.graph.title,
            mode=template.graph.mode,
            outputs=[Output("output", maker.nodes[-1].name)],
            parts=(),
        )

    # --- the segments ---

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
