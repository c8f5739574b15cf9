"""Graph -> Drawing: the boxes, frames and wires of a diagram as plain data, whatever draws them.

BatchNorm, activations and dropout fold into the layer they follow, and at depth "layer" a block that then is one box is
drawn as that box: a diagram shows what one would sketch, and its tooltips hold the exact figures.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.analysis.difference import OpNumbers, content_of
from gnet_inspect.analysis.summary import LayerSummary, Summary
from gnet_inspect.errors import UsageError, nearest, printable
from gnet_inspect.graph import Graph, Node, Output, node_of
from gnet_inspect.graph.outline import Entry, Outline
from gnet_inspect.units import byte_count, count, dimensions
from gnet_inspect.views.text import at_least, headline, inputs_text

# What a picture is of at most: more boxes are no picture any more.
MOST_BOXES = 2_000
MOST_WIRES = 4_000
# What Graphviz lays out in some seconds; twice as many take it four times as long. Wires are what it works on most.
MOST_LAID_OUT = 1_000
# The same of DOT, which is written in a tenth of a millisecond for each; no layout of more would come to an end.
MOST_DOT_BOXES = 20_000
MOST_DOT_WIRES = 40_000
# The pill of what comes from outside of the part that is drawn.
OUTSIDE = "input"
# A network that opens to no more boxes is drawn opened, where nobody says how far.
MOST_OPENED = 150


class Box(Struct, frozen=True):
    """One node of the diagram: what it says, what its tooltip says, and the figures it may be coloured by.

    `role` is "layer", or the role of the Group that is drawn whole ("block", "stage", "head"); `kind` is the family
    of a layer or the name of a block. A spec calls its blocks as it likes, so what a box is, only the role says.
    """

    key: str
    # The path of the layer, block or stage, and what it is called inside the frame around it.
    name: str
    title: str
    # What it is in the words of tables ("Conv2d 1x1, 64 + ReLU"), and in those of figures, without what folds into it.
    words: str
    sketch: str
    # What folds into it, in figures' words: ("BN", "ReLU").
    folded: tuple[str, ...]
    # The sign in a circle that stands for it, "" where none does.
    sign: str
    figures: tuple[str, ...]
    tooltip: str
    role: str
    # Of a layer its family, of a block its name.
    kind: str
    params: int
    macs: int
    activation_bytes: int
    output: tuple[int, ...]
    # All that it stands for, copies too: the numbers above are theirs together, `figures` those of one.
    layers: tuple[str, ...]
    # How many equal blocks it is, drawn as one.
    times: int = 1


class Frame(Struct, frozen=True):
    """A stage, head or block drawn around its members; its lines stand in a header."""

    key: str
    role: str
    # The path of the block, the name of the stage or head, and what it is called inside the frame around it.
    name: str
    title: str
    # What it is one of, and how many equal ones it stands for.
    words: str
    times: int
    figures: tuple[str, ...]
    tooltip: str
    members: "tuple[Frame | Box, ...]"

    def boxes(self) -> list[Box]:
        """All boxes in it, in execution order."""
        return [member for member in _list_drawn(self.members) if isinstance(member, Box)]


def counted(words: str, times: int, sign: str) -> str:
    """Words of one of several: "5 x bottleneck 64"; a picture has another `sign` than a text."""
    return f"{times} {sign} {words}" if times > 1 else words


def figures_of(member: "Box | Frame", sign: str) -> tuple[str, ...]:
    """The figures of a box or frame: how often, and of one."""
    return tuple(counted(figure, member.times, sign) for figure in member.figures)


class Wire(Struct, frozen=True):
    """A tensor from one box or pill to another; `label` is its shape without the batch."""

    tail: str
    head: str
    label: str
    tooltip: str


class Drawing(Struct, frozen=True):
    """A diagram: a title, and a line that says of what and how much. Wires begin or end at pills, too: what comes into
    the network, or leaves it."""

    title: str
    subtitle: str
    members: tuple[Frame | Box, ...]
    wires: tuple[Wire, ...]
    # What comes in, by the name on its pill.
    inputs: tuple[str, ...]
    # Whether it is of one block or stage alone.
    is_part: bool = False

    def boxes(self) -> list[Box]:
        """All boxes, in execution order."""
        return [member for member in _list_drawn(self.members) if isinstance(member, Box)]

    def frames(self) -> list[Frame]:
        """All frames, outer ones first."""
        return [member for member in _list_drawn(self.members) if isinstance(member, Frame)]

    def pills(self) -> list[str]:
        """What comes in, and behind it what leaves."""
        boxes = {box.key for box in self.boxes()}
        return list(dict.fromkeys([*self.inputs, *(wire.head for wire in self.wires if wire.head not in boxes)]))


def too_large(drawing: Drawing, drawn_by: str = "") -> str:
    """Which bound of pictures a drawing is beyond: "at most 2,000 boxes, got 2,001"; "" if none. Graphviz ("graphviz")
    and its language ("dot") have bounds of their own."""
    most_boxes, most_wires = {
        "dot": (MOST_DOT_BOXES, MOST_DOT_WIRES),
        "graphviz": (MOST_LAID_OUT, 2 * MOST_LAID_OUT),
    }.get(drawn_by, (MOST_BOXES, MOST_WIRES))
    boxes, frames, wires = len(drawing.boxes()), len(drawing.frames()), len(drawing.wires)
    for found, most, what in (
        (boxes, most_boxes, "boxes"),
        (frames, most_boxes, "frames"),
        (wires, most_wires, "wires"),
    ):
        if found > most:
            return f"at most {most:,} {what}, got {found:,}"
    return ""


def _list_drawn(members: tuple[Frame | Box, ...]) -> Iterator[Frame | Box]:
    for member in members:
        yield member
        if isinstance(member, Frame):
            yield from _list_drawn(member.members)


class Options(NamedTuple):
    """What is to be drawn: how far it opens ("" where the drawing may say), of which block or stage alone, whether
    equal blocks that follow each other are drawn once, and which block alone is opened among closed ones."""

    depth: str = "block"
    only: str | None = None
    collapse: bool = False
    opened: str = ""


def drawing_of(graph: Graph, summary: Summary, options: Options) -> Drawing:
    """The diagram of a graph. Raises UsageError for an `only` that names no block, stage or head of it."""
    if not options.depth:
        opened = drawing_of(graph, summary, options._replace(depth="layer"))
        if options.only is not None or len(opened.boxes()) <= MOST_OPENED:
            return opened
        return drawing_of(graph, summary, options._replace(depth="block"))
    outline = Outline(graph)
    shown = _find(outline, options.only) if options.only is not None else None
    maker = _Maker(graph, outline, summary, options, shown)
    members = maker.members_of_graph()
    wires = tuple(maker.wires())
    totals = summary.totals
    size = f"{count(totals.params)} params, {at_least(summary.coverage)}{count(totals.macs)} MACs"
    if shown is not None:
        part = _said(_figures(shown.of(summary.layers))) or "no params, no MACs"
        size = f"{_name_of(shown)} alone: {part} of {size}"
    given = inputs_text(graph.input_shape, graph.named_inputs)
    title, whole = printable(graph.title), printable(headline(graph.title, graph.model, graph.overrides))
    name = whole.removeprefix(title).removeprefix(" - ")
    subtitle = ", ".join(filter(None, (name, given, f"{graph.mode} mode: {size}")))
    boxes = set(maker.box_of.values())
    inputs = tuple(dict.fromkeys(wire.tail for wire in wires if wire.tail not in boxes))
    return Drawing(title, subtitle, members, wires, inputs, shown is not None)


def _find(outline: Outline, name: str) -> Entry:
    """The block of a name, else the stage or head of it."""
    blocks = [entry for entry in outline.entries if entry.role == "block"]
    found: dict[str, Entry] = {}
    for entry in (*blocks, *outline.at("stage")):
        found.setdefault(entry.name, entry)
    if name not in found:
        raise UsageError(f"--only: expected a block, stage or head, got {name!r}. ({nearest(name, found)})")
    return found[name]


def _name_of(entry: Entry) -> str:
    return f"{entry.name}: {entry.describe()}" if entry.role == "block" else printable(entry.name)


def _figures(layers: Sequence[LayerSummary]) -> tuple[str, ...]:
    """Parameters and MACs with their units; what is none is not said."""
    params, macs = sum(layer.params for layer in layers), _macs(layers, count)
    said = [f"{count(params)} params"] if params else []
    return (*said, f"{macs} MACs") if macs != "0" else tuple(said)


def _amounts(layers: Sequence[LayerSummary]) -> dict[str, Any]:
    """What a box has of the layers that it stands for, all together."""
    return {
        "params": sum(layer.params for layer in layers),
        "macs": sum(layer.macs or 0 for layer in layers),
        "activation_bytes": sum(layer.activation_bytes for layer in layers),
        "output": layers[-1].output_shape,
        "layers": tuple(layer.name for layer in layers),
    }


def _shares(node: Node) -> bool:
    """Whether a call reads weights that an earlier one counted."""
    return "@" in node.name and not node.params and bool(node.op.weights(node.input_shapes))


def _said(figures: tuple[str, ...]) -> str:
    return ", ".join(figures)


def _macs(layers: Sequence[LayerSummary], write: Callable[[int], str]) -> str:
    """The MACs of layers: a least, or a question, where nobody can count some of them."""
    known = [layer.macs for layer in layers if layer.macs is not None]
    if not known:
        return "?"
    return f"{'' if len(known) == len(layers) else '>= '}{write(sum(known))}"


class _Maker:
    """Makes the boxes of one graph, and knows afterwards in which box every node is."""

    def __init__(self, graph: Graph, outline: Outline, summary: Summary, options: Options, shown: Entry | None) -> None:
        self.graph, self.outline, self.summary, self.options, self.shown = graph, outline, summary, options, shown
        self.depth = "layer" if shown is not None else options.depth
        self.ops = OpNumbers()
        # By node, which nodes read what it makes; "" where the network returns it.
        self.read_outside: dict[str, list[str]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.read_outside.setdefault(node_of(name), []).append(node.name)
        for output in graph.outputs:
            self.read_outside.setdefault(node_of(output.value), []).append("")
        self.layer_of = {layer.name: layer for layer in summary.layers}
        self.box_of: dict[str, str] = {}
        # Which copy of a run of equal blocks a node lies in, where the run is drawn once.
        self.copy_of: dict[str, tuple[str, int]] = {}
        # By node, the innermost block that it lies in.
        self.block_of = {
            index: entry.name for entry in outline.entries if entry.role == "block" for index in entry.indices
        }
        self.hosts = self._fold()
        self.folded: dict[int, list[int]] = {}
        for index, host in self.hosts.items():
            if index != host:
                self.folded.setdefault(host, []).append(index)
        self._made = 0

    def members_of_graph(self) -> tuple[Frame | Box, ...]:
        if self.shown is not None:
            return (self._frame([self.shown], ""),)
        draw = self._whole_box if self.depth == "stage" else self._frame
        return tuple(draw([stage], "") for stage in self.outline.at("stage"))

    # --- folding ---

    def _fold(self) -> dict[int, int]:
        """For every node the one it is drawn in: what folds goes where its only input goes."""
        places = {node.name: index for index, node in enumerate(self.graph.nodes)}
        readers = self.graph.readers()
        hosts = {}
        for index, node in enumerate(self.graph.nodes):
            hosts[index] = index
            if not node.op.family.folds_as or len(node.inputs) != 1 or node.inputs[0] not in places:
                continue
            before = node.inputs[0]
            scope, own = before.rpartition(".")[0], node.name.rpartition(".")[0]
            # Lists are no blocks: what one of them ends with is often followed by a function of the block around it.
            beside = scope == own or self.block_of.get(index) == self.block_of.get(places[before])
            if beside and self.graph.nodes[places[before]].stage == node.stage and len(readers[before]) == 1:
                hosts[index] = hosts[places[before]]
        return hosts

    # --- boxes and frames ---

    # A `run` is an entry with the equal blocks right behind it, where they are drawn once; else the entry alone.

    def _frame(self, run: Sequence[Entry], scope: str) -> Frame:
        entry = run[0]
        is_block = entry.role == "block"
        return Frame(
            key=self._key("f"),
            role=entry.role,
            name=entry.name,
            title=_run_name(run, scope),
            words=entry.describe() if is_block else "",
            times=len(run),
            figures=_figures(self._layers(run[:1])),
            tooltip=_tooltip(_name_of(entry), self._layers(run)),
            members=self._members(entry, entry.name if is_block else ""),
        )

    def _members(self, entry: Entry, scope: str) -> tuple[Frame | Box, ...]:
        found: list[Frame | Box] = []
        for run in self._runs(self.outline.inside(entry, self.depth)):
            if run[0].role == "layer":
                (index,) = run[0].indices
                if self.hosts[index] == index:
                    found.append(self._layer_box(index, scope))
            elif self.depth == "layer":
                found.append(self._opened(run, scope))
            elif run[0].name == self.options.opened:
                self.depth = "layer"
                found.append(self._opened(run, scope))
                self.depth = self.options.depth
            else:
                found.append(self._whole_box(run, scope))
        return tuple(found)

    def _opened(self, run: Sequence[Entry], scope: str) -> Frame | Box:
        """A block opened: a frame around its boxes, or its one box; equal copies behind it are drawn by the first."""
        entry = run[0]
        boxes = {self.hosts[index] for index in entry.indices}
        drawn: Frame | Box
        if len(boxes) == 1 and len(run) == 1:
            drawn = self._layer_box(boxes.pop(), scope, _short(entry.name, scope))
        else:
            drawn = self._frame(run, scope)
        names = [node.name for node in entry.of(self.graph.nodes)]
        copies: dict[str, list[str]] = {}
        for number, copy in enumerate(run[1:], 1):
            for first, other in zip(names, copy.of(self.graph.nodes), strict=True):
                self.box_of[other.name] = self.box_of[first]
                self.copy_of[other.name] = (entry.name, number)
                self.copy_of.setdefault(first, (entry.name, 0))
                copies.setdefault(first, []).append(other.name)
        return self._standing_for(drawn, copies) if copies else drawn

    def _standing_for(self, member: Frame | Box, copies: dict[str, list[str]]) -> Frame | Box:
        """The same, standing for the copies of its layers, too."""
        if isinstance(member, Frame):
            return replace(member, members=tuple(self._standing_for(inner, copies) for inner in member.members))
        layers = (*member.layers, *(other for name in member.layers for other in copies.get(name, ())))
        return replace(member, **_amounts([self.layer_of[name] for name in layers]))

    def _runs(self, entries: Iterable[Entry]) -> Iterator[list[Entry]]:
        """Entries one by one, but for equal blocks of which each is handed what the one before it made, and no more."""
        run: list[Entry] = []
        alike: object = None
        for entry in entries:
            likeness = self._likeness(entry)
            if run and likeness is not None and likeness == alike and self._follows(run[-1], entry):
                run.append(entry)
                continue
            if run:
                yield run
            run, alike = [entry], likeness
        if run:
            yield run

    def _follows(self, before: Entry, entry: Entry) -> bool:
        """Whether a block reads one value alone, and that of the one before it, of which nobody else reads anything."""
        first = {node.name for node in before.of(self.graph.nodes)}
        nodes = entry.of(self.graph.nodes)
        own = {node.name for node in nodes}
        read = {name for node in nodes for name in node.inputs if node_of(name) not in own}
        leaving = {name for made in first for name in self.read_outside.get(made, ()) if name not in first}
        return len(read) == 1 and node_of(next(iter(read))) in first and leaving <= own

    def _likeness(self, entry: Entry) -> object:
        """What equal blocks of one list have in common; None of what is always drawn itself."""
        if entry.role != "block" or entry.is_branch or not self.options.collapse:
            return None
        nodes = tuple(entry.of(self.graph.nodes))
        shapes = tuple(shape for node in nodes for shape in (*node.input_shapes, node.output_shape))
        return id(entry.parent), entry.kind, content_of(nodes, entry.name, self.ops), shapes

    def _layers(self, run: Sequence[Entry]) -> list[LayerSummary]:
        return [layer for entry in run for layer in entry.of(self.summary.layers)]

    def _layer_box(self, index: int, scope: str, title: str | None = None) -> Box:
        node = self.graph.nodes[index]
        folded = self.folded.get(index, [])
        layers = [self.summary.layers[drawn] for drawn in (index, *folded)]
        words = node.op.describe_box(node.output_shapes)
        kept = tuple(self.graph.nodes[other].op.family.folds_as for other in folded)
        return Box(
            key=self._key_of(layers),
            name=node.name,
            title=title if title is not None else printable(_short(node.name, scope)),
            words=" + ".join([words, *kept]),
            sketch=node.op.sketch(node.output_shapes),
            folded=kept,
            sign=node.op.sign,
            figures=("shared weights", *_figures(layers)) if _shares(node) else _figures(layers),
            tooltip=_tooltip(node.name, layers),
            role="layer",
            kind=node.op.family.name,
            **_amounts(layers),
        )

    def _whole_box(self, run: Sequence[Entry], scope: str) -> Box:
        entry, layers = run[0], self._layers(run)
        words = entry.describe() if entry.role == "block" else f"{len(layers)} layers"
        return Box(
            key=self._key_of(layers),
            name=entry.name,
            title=_run_name(run, scope),
            words=words,
            sketch=words,
            folded=(),
            sign="",
            figures=_figures(self._layers(run[:1])),
            tooltip=_tooltip(_name_of(entry), layers),
            role=entry.role,
            kind=entry.kind,
            times=len(run),
            **_amounts(layers),
        )

    def _key_of(self, layers: Sequence[LayerSummary]) -> str:
        """The key of the box that is made of layers."""
        key = self._key("b")
        for layer in layers:
            self.box_of[layer.name] = key
        return key

    def _key(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}{self._made}"

    # --- wires ---

    def wires(self) -> list[Wire]:
        """One wire for each pair of boxes that a tensor joins; what comes from or goes to the outside has a pill."""
        found: dict[tuple[str, str], Wire] = {}
        readings = list(self._readings())
        # What comes from outside of a part has a pill for each value, with its maker's name where there are several.
        outside = dict.fromkeys(reading.name for reading in readings if reading.tail == OUTSIDE)
        if len(outside) > 1:
            readings = [
                reading._replace(tail=f"from {node_of(reading.name)}") if reading.tail == OUTSIDE else reading
                for reading in readings
            ]
        for reading in readings:
            if reading.tail != reading.head:
                said = f"{reading.name}: {dimensions(reading.shape)}"
                wire = Wire(reading.tail, reading.head, dimensions(reading.shape[1:]), said)
                found.setdefault((reading.tail, reading.head), wire)
        return list(found.values())

    def _readings(self) -> "Iterator[_Reading]":
        """Every tensor that a box reads or the network returns: from which box it comes, and which it goes to."""
        given_names = {value.name for value in self.graph.inputs}
        for node in self.graph.nodes:
            head = self.box_of.get(node.name)
            for name, shape in zip(node.inputs, node.input_shapes, strict=True):
                tail = self.box_of.get(node_of(name))
                run, other = self.copy_of.get(node.name), self.copy_of.get(node_of(name))
                if run and other and run[0] == other[0] and run[1] != other[1]:
                    continue  # from one copy to the next, which is the same picture
                if head is not None:
                    given = _pill_of(name) if name in given_names else OUTSIDE
                    yield _Reading(tail or given, head, name, shape)
                elif tail is not None:
                    yield _Reading(tail, "output", name, shape)
        shapes = self.graph.shapes()
        for output in self.graph.outputs:
            maker = node_of(output.value)
            if maker in self.box_of:
                yield _Reading(self.box_of[maker], self._pill(output), output.value, shapes[output.value])

    def _pill(self, output: Output) -> str:
        """What stands where an output leaves the picture."""
        if output.weight is not None or self.graph.names_outputs:
            return f"output {output.name}"
        several = [other.value for other in self.graph.outputs if other.weight is None]
        return f"output {several.index(output.value)}" if len(several) > 1 else "output"


class _Reading(NamedTuple):
    tail: str
    head: str
    name: str
    shape: tuple[int, ...]


def _pill_of(name: str) -> str:
    """The pill of an input, which no box, frame or output is called like."""
    return f"input {name}" if re.fullmatch(r"[bf]\d+|output.*|from .*", name) else name


def _short(name: str, scope: str) -> str:
    return name.removeprefix(f"{scope}.") if scope else name


def _run_name(run: Sequence[Entry], scope: str) -> str:
    first = printable(_short(run[0].name, scope))
    return first if len(run) == 1 else f"{first} to {_short(run[-1].name, scope)}"


def _tooltip(name: str, layers: Sequence[LayerSummary]) -> str:
    """The exact figures, and every layer that is drawn in a box."""
    params, macs = sum(layer.params for layer in layers), _macs(layers, "{:,}".format)
    activations = sum(layer.activation_bytes for layer in layers)
    lines = [
        name,
        f"output {dimensions(layers[-1].output_shape)}",
        f"{params:,} params, {macs} MACs, {activations:,} bytes of activations ({byte_count(activations)})",
    ]
    if 1 < len(layers) <= 12:
        lines.append(", ".join(f"{layer.name} ({layer.kind})" for layer in layers))
    elif len(layers) > 12:
        lines.append(f"{len(layers)} layers")
    return "\n".join(lines)
