"""Drawing -> DOT, Graphviz's language. The graphviz package quotes; text is escaped before, so that it stays text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape as html_escape
from itertools import pairwise

import graphviz
from msgspec import Struct

from gnet_inspect.errors import printable
from gnet_inspect.units import BYTE_UNITS, count, duration
from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame, Wire, counted, figures_of
from gnet_inspect.views.drawing.heat import SHARES, amount_of, heat_edges, heat_step
from gnet_inspect.views.drawing.lettering import in_letters
from gnet_inspect.views.drawing.themes import CLASSES as FAMILIES
from gnet_inspect.views.text import clip

# Roboto is what the layout is measured with; the others are as wide and stand in where a viewer does not have it.
FONTS = "Roboto,Arial,Helvetica,sans-serif"
FONT_SIZE = 20
INK, FAINT = "#1b1f24", "#7d8a99"

# What leaves one box and enters one is held straight, because columns are read down.
CHAIN_WEIGHT = "50"

# What a box is by colour, and the families of the layers that are it; every fill has a contrast of at least 7:1 to the
# ink.
MERGE = "concat, add, mul"
CLASSES = {
    "convolution": ("#cfe3f7", FAMILIES["convolution"]),
    "linear": ("#e4d7f5", FAMILIES["linear"]),
    "attention, matmul, recurrent": ("#f6d3e6", FAMILIES["attention"]),
    "pooling": ("#d6efcf", (*FAMILIES["pooling"], *FAMILIES["upsampling"])),
    "normalisation": ("#fbe6c5", FAMILIES["normalisation"]),
    MERGE: ("#f7d4d4", ("merge",)),
    "stage": ("#e6edf2", ()),
    "other layer": ("#ffffff", ()),
    "block": ("#d3eef0", ()),
}
# From nothing to the most: five steps of one hue.
STEPS = ("#ffffff", "#fdeed9", "#fbd6a8", "#f7b267", "#f29340", "#e5741f")

MOST_TEXT, MOST_HEADING, MOST_TOOLTIP = 90, 160, 2_000


class Style(Struct, frozen=True):
    """How a drawing is drawn.

    `seconds` are measured times by the name of the layer, for the colour "time". `in_roboto` writes letters that Roboto
    lacks as escapes: in a png or pdf they would be empty boxes, while an svg's viewer has fonts of its own.
    """

    direction: str = "TB"
    color: str = "kind"
    seconds: Mapping[str, float] = {}
    in_roboto: bool = False


def draw_dot(drawing: Drawing, style: Style) -> str:
    """The DOT text: the same for the same drawing, to the byte."""
    painter = _Painter(drawing, style)
    dot = graphviz.Digraph(
        graph_attr={
            "rankdir": style.direction,
            "label": painter.heading(),
            "labelloc": "t",
            "fontname": FONTS,
            "fontsize": str(FONT_SIZE),
            "fontcolor": INK,
            "bgcolor": "white",
            "nodesep": "0.2",
            "ranksep": "0.02" if style.direction == "TB" else "0.3",
            "margin": "0.1",
            "newrank": "true",
            "tooltip": painter.label(f"{drawing.title} - {drawing.subtitle}", MOST_TOOLTIP),
        },
        node_attr={
            "shape": "box",
            "style": "rounded,filled",
            "fontname": FONTS,
            "fontsize": str(FONT_SIZE),
            "fontcolor": INK,
            "color": FAINT,
            "margin": "0.09,0.03",
            "height": "0.1",
            "width": "0.1",
        },
        edge_attr={
            "fontname": FONTS,
            "fontsize": str(FONT_SIZE),
            "fontcolor": INK,
            "color": FAINT,
            "arrowsize": "0.7",
        },
    )
    headers = {frame.key for frame in drawing.frames()}
    for pill in sorted(drawing.pills()):
        said = painter.label(pill, MOST_TEXT)
        dot.node(pill, said, shape="plaintext", style="", tooltip=said)
    for member in drawing.members:
        painter.paint(dot, member)
    leaving, entering = Counter(wire.tail for wire in painter.wires), Counter(wire.head for wire in painter.wires)
    for wire in painter.wires:
        said = painter.label(wire.tooltip, MOST_TOOLTIP)
        # The space keeps the label off the wire.
        label = f" {painter.label(wire.label, MOST_TEXT)} " if wire.label else ""
        arrow = {"dir": "none"} if wire.head in headers else {}
        if style.direction == "LR":
            # A header is wide: wires meet its ends, not its text.
            arrow |= ({"tailport": "e"} if wire.tail in headers else {}) | (
                {"headport": "w"} if wire.head in headers else {}
            )
        if leaving[wire.tail] == entering[wire.head] == 1:
            arrow["weight"] = CHAIN_WEIGHT
        dot.edge(wire.tail, wire.head, label=label, tooltip=said, labeltooltip=said, edgetooltip=said, **arrow)
    source: str = dot.source
    return source


class _Painter:
    """Knows the colours of one drawing, and where its wires lead."""

    def __init__(self, drawing: Drawing, style: Style) -> None:
        self.drawing, self.style = drawing, style
        self.boxes = drawing.boxes()
        self.wires = wires_by_headers(drawing)
        self.edges = heat_edges(max((self._value(box) for box in self.boxes), default=0))
        self.heads: dict[str, list[str]] = {}
        self.tails: dict[str, list[str]] = {}
        for wire in self.wires:
            self.heads.setdefault(wire.tail, []).append(wire.head)
            self.tails.setdefault(wire.head, []).append(wire.tail)

    def line(self, text: str, most: int) -> str:
        """Free text as one line that is safe to draw."""
        shown = clip(printable(text), most)
        return in_letters(shown) if self.style.in_roboto else shown

    def label(self, text: str, most: int) -> str:
        """Free text as a label: nothing in it means anything to Graphviz, but for the ends of lines."""
        escaped: str = graphviz.escape("\n".join(self.line(line, most) for line in text.split("\n")))
        return escaped

    def cell(self, text: str) -> str:
        """Free text in an HTML-like table."""
        # Graphviz looks for its escapes ("\\G") here, too: after the entities, and a doubled backslash is one.
        return html_escape(self.line(text, MOST_HEADING)).replace("\\", "\\\\")

    def paint(self, dot: graphviz.Digraph, member: "Frame | Box") -> None:
        if isinstance(member, Box):
            dot.node(
                member.key,
                self.label("\n".join(_rows(member)), MOST_TEXT),
                fillcolor=self.fill(member),
                tooltip=self.label(member.tooltip, MOST_TOOLTIP),
                id=f"box-{member.key}",
            )
            return
        title = ": ".join(filter(None, (member.title, counted(member.words, member.times, "x"))))
        title = self.label("   ".join(filter(None, (title, ", ".join(figures_of(member, "x"))))), MOST_HEADING)
        tooltip = self.label(member.tooltip, MOST_TOOLTIP)
        with dot.subgraph(name=f"cluster_{member.key}") as frame:
            frame.attr(
                label="",
                color=FAINT,
                style="rounded",
                margin="6",
                tooltip=tooltip,
                id=f"frame-{member.key}",
            )
            frame.node(member.key, title, shape="plaintext", style="", margin="0.02,0", height="0.01", tooltip=tooltip)
            for inner in member.members:
                self.paint(frame, inner)
            self._level(frame, member)

    def _level(self, dot: graphviz.Digraph, frame: Frame) -> None:
        """The first boxes of a frame's branches side by side: those that read nothing but what enters the frame."""
        boxes = [member for member in frame.members if isinstance(member, Box)]
        own = {box.key for box in boxes if class_of(box) != MERGE}
        firsts = [head for head in self.heads.get(frame.key, ()) if head in own and self.tails[head] == [frame.key]]
        if len(firsts) > 1:
            with dot.subgraph() as level:
                level.attr(rank="same")
                for key in firsts:
                    level.node(key)

    def fill(self, box: Box) -> str:
        if self.style.color == "kind":
            return CLASSES[class_of(box)][0]
        return STEPS[heat_step(self._value(box), self.edges)]

    def heading(self) -> str:
        """What stands above: the model, its figures, and what the colours mean, as an HTML-like table."""
        cells = [(fill, name) for name, fill in self._legend()]
        rows = [
            f'<tr><td colspan="{max(len(cells), 1)}">{self.cell(line)}</td></tr>'
            for line in (self.drawing.title, self.drawing.subtitle)
        ]
        rows.append("<tr>" + "".join(f'<td bgcolor="{fill}">{self.cell(name)}</td>' for fill, name in cells) + "</tr>")
        return f'<<table border="0" cellborder="0" cellspacing="6" cellpadding="3">{"".join(rows)}</table>>'

    def _legend(self) -> list[tuple[str, str]]:
        if self.style.color == "kind":
            present = {class_of(box) for box in self.boxes}
            return [(name, fill) for name, (fill, _) in CLASSES.items() if name in present]
        what = SHARES[self.style.color]
        edges = [f"up to {self._said(edge)}" for edge in self.edges]
        return list(zip((f"no {what}", *edges), STEPS, strict=True))

    def _said(self, value: float) -> str:
        if self.style.color == "time":
            return duration(value)
        return count(round(value), BYTE_UNITS) if self.style.color == "memory" else count(round(value))

    def _value(self, box: Box) -> float:
        return amount_of(box, self.style.color, self.style.seconds)


def _rows(box: Box) -> tuple[str, ...]:
    """A layer on one line, with its figures; a block or stage on two."""
    said, figures = f"{box.title}: {counted(box.words, box.times, 'x')}", ", ".join(figures_of(box, "x"))
    if box.role == "layer":
        return (f"{said}   {figures}" if figures else said,)
    return (said, figures) if figures else (said,)


def wires_by_headers(drawing: Drawing) -> list[Wire]:
    """The wires as Graphviz is to draw them.

    The first tensor that a frame reads enters by its header, once, and parts there; others go straight to their boxes,
    because behind a header nobody could tell them apart. A shape is written where a tensor sets out. So no wire crosses
    a title, and branches stand side by side.
    """
    inside = dict(_list_framed(drawing.members))
    found: dict[tuple[str, str], Wire] = {}
    led: set[tuple[str, str]] = set()
    # By the key of each frame, the box whose tensor its header hands on.
    handed: dict[str, str] = {}
    for wire in drawing.wires:
        left, entered = inside.get(wire.tail, ()), inside.get(wire.head, ())
        common = next(
            (level for level, ends in enumerate(zip(left, entered, strict=False)) if ends[0] != ends[1]), len(left)
        )
        headers = [frame for frame in entered[common:] if handed.setdefault(frame, wire.tail) == wire.tail]
        hops = [wire.tail, *headers, wire.head]
        if len(hops) > 2 and (wire.tail, hops[-2]) in led:
            # The way to its frame was drawn for a box beside it.
            hops = hops[-2:]
        led.add((wire.tail, hops[-2]))
        for ends in pairwise(hops):
            label = wire.label if ends[0] == wire.tail else ""
            found.setdefault(ends, Wire(*ends, label, wire.tooltip))
    return list(found.values())


def _list_framed(members: Sequence[Frame | Box], inside: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The key of every box, and those of the frames around it, the outermost first."""
    for member in members:
        if isinstance(member, Box):
            yield member.key, inside
        else:
            yield from _list_framed(member.members, (*inside, member.key))


def class_of(box: Box) -> str:
    """The name in CLASSES of what a box is."""
    if box.role != "layer":
        return "block" if box.role == "block" else "stage"
    return next((name for name, (_, kinds) in CLASSES.items() if box.kind in kinds), "other layer")
