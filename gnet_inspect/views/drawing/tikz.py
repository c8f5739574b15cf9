r"""Placed -> TikZ: a tikzpicture that a paper takes by \input, in the paper's own letters, to be edited by hand.

It is plain ASCII, needs no library of TikZ, and compiles whatever a spec calls its layers.
"""

from collections.abc import Iterator

from gnet_inspect.errors import UsageError, printable
from gnet_inspect.views.drawing.diagram import Drawing
from gnet_inspect.views.drawing.lettering import fit_text
from gnet_inspect.views.drawing.painting import Area, Bar, Letters, Shape, Sign, colors_of, line_widths, paint
from gnet_inspect.views.drawing.placed import TYPES, Placed, Point
from gnet_inspect.views.drawing.svg import number
from gnet_inspect.views.drawing.themes import HALO, INKS, SIGN, Theme
from gnet_inspect.views.drawing.wiring import Arc, Wiring
from gnet_inspect.views.tex import in_tex, letter_in_tex

# In points: TeX knows no longer length.
LARGEST = 16_383.0
# The size of letters that every font of TeX has; others are made of it, because few fonts have them all.
_BASE = 10.0
_ANCHORS = {"start": "base west", "end": "base east"}


def draw_tikz(placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool = False, scale: float = 1.0) -> str:
    """The tikzpicture: the same for the same picture, to the byte. Raises UsageError where it is too large for TeX."""
    longest = max(placed.width, placed.height) * scale
    if longest > LARGEST:
        raise UsageError(
            f"expected a tikzpicture of at most {LARGEST:,.0f} pt, which is where TeX ends, got {longest:,.0f} pt. "
            "(say a smaller --width, or draw less with --depth or --only)"
        )
    return _Writer(placed, drawing, theme, transparent=transparent, scale=scale).write()


def _fitting(letters: Letters) -> str:
    """The text of a word; one whose letters become escapes is no longer than its place."""
    word = letters.word
    if all(map(letter_in_tex, word.text)):
        return word.text
    plain = "".join(
        letter if letter_in_tex(letter) else letter.encode("unicode_escape").decode("ascii") for letter in word.text
    )
    kind = TYPES[word.kind]
    return fit_text(plain, word.width, kind.size, kind.weight)


class _Writer:
    """Writes one picture. Lengths are multiplied here, so that lines and letters become larger, too."""

    def __init__(self, placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool, scale: float) -> None:
        self.placed, self.drawing, self.theme, self.scale = placed, drawing, theme, scale
        self.painted = list(paint(placed, drawing, theme, transparent=transparent))
        self.widths = line_widths(theme)

    def write(self) -> str:
        shapes = [shape for _, layer in self.painted for shape in layer]
        lines = [
            f"% {_comment(self.drawing.title)}: {_comment(self.drawing.subtitle)}",
            f"% {self._n(self.placed.width)} x {self._n(self.placed.height)} pt, by gnet-inspect. The preamble needs",
            r"% \usepackage{tikz}, and no library of it; letters are those of \sffamily there.",
            r"\begin{tikzpicture}[x=1pt, y=-1pt, line cap=butt, line join=miter,",
            *self._styles(shapes),
            "  ]",
            *self._colors(shapes),
            rf"\useasboundingbox (0,0) rectangle {self._at(self.placed.width, self.placed.height)};",
        ]
        for what, layer in self.painted:
            lines.append(f"% {_comment(what)}")
            for shape in layer:
                lines += self._shape(shape)
        # No blank follows it, where it is set into a box.
        return "\n".join([*lines, r"\end{tikzpicture}%", ""])

    # --- before anything is drawn ---

    def _styles(self, shapes: list[Shape]) -> Iterator[str]:
        """The styles that shapes have, so that a person changes them in one place."""
        areas = {_style(shape): shape for shape in reversed(shapes) if isinstance(shape, Area)}
        for name, area in sorted(areas.items()):
            paints = [f"fill=gnet{area.fill}"] if area.fill else []
            paints += [f"draw=gnet{area.line}", f"line width={self._n(self.widths[area.of])}pt"] if area.line else []
            yield f"  gnet {name}/.style={{{', '.join(paints)}}},"
        for name, color, width in (("wire", "wire", self.theme.wire_width), ("sign", "joint", SIGN)):
            if any(isinstance(shape, Wiring if name == "wire" else Sign) for shape in shapes):
                yield f"  gnet {name}/.style={{draw=gnet{color}, line width={self._n(width)}pt}},"
        yield "  gnet text/.style={anchor=base, inner sep=0pt, outer sep=0pt,"
        yield rf"    font=\normalfont\sffamily\fontsize{{{_BASE:g}}}{{{_BASE:g}}}\selectfont}},"
        for kind in sorted({shape.word.kind for shape in shapes if isinstance(shape, Letters)}):
            size = f"{TYPES[kind].size * self.scale / _BASE:.4f}".rstrip("0").rstrip(".")
            bold = r", execute at begin node=\bfseries" if TYPES[kind].weight == "Medium" else ""
            yield f"  gnet {kind}/.style={{gnet text, scale={size}, text=gnet{INKS[kind]}{bold}}},"
        if any(isinstance(shape, Letters) and shape.halo for shape in shapes):
            yield f"  gnet halo/.style={{line width={self._n(HALO)}pt, line join=round}},"

    def _colors(self, shapes: list[Shape]) -> Iterator[str]:
        """The colours that are there."""
        used = set()
        for shape in shapes:
            match shape:
                case Area():
                    used |= {shape.fill, shape.line}
                case Bar():
                    used.add(shape.fill)
                case Letters():
                    used |= {shape.ink, INKS[shape.word.kind], shape.halo}
                case Sign():
                    used.add("joint")
                case Wiring():
                    used.add("wire")
        for name, color in colors_of(self.theme).items():
            if name in used:
                yield rf"\definecolor{{gnet{name}}}{{HTML}}{{{color.removeprefix('#').upper()}}}"

    # --- what is drawn ---

    def _shape(self, shape: Shape) -> list[str]:
        match shape:
            case Area():
                return [self._area(shape)]
            case Bar():
                return [self._bar(shape)]
            case Sign():
                return [r"\path[gnet sign] " + " ".join(self._line(*line) for line in shape.lines) + ";"]
            case Letters():
                return [self._letters(shape)]
            case Wiring():
                return self._wires(shape)

    def _area(self, area: Area) -> str:
        options = [f"gnet {_style(area)}"]
        if area.is_circle:
            middle = self._at(area.x + area.radius, area.y + area.radius)
            return rf"\path[{', '.join(options)}] {middle} circle[radius={self._n(area.radius)}];"
        if area.radius:
            options.append(f"rounded corners={self._n(area.radius)}pt")
        corner = self._at(area.x + area.width, area.y + area.height)
        return rf"\path[{', '.join(options)}] {self._at(area.x, area.y)} rectangle {corner};"

    def _bar(self, bar: Bar) -> str:
        left, top, right, bottom, r = bar.x, bar.y, bar.x + bar.width, bar.y + bar.height, bar.radius
        radius = self._n(r)
        return (
            rf"\fill[gnet{bar.fill}] {self._at(right, top)} -- {self._at(right, bottom)} "
            f"-- {self._at(left + r, bottom)} arc[start angle=90, end angle=180, radius={radius}] "
            f"-- {self._at(left, top + r)} arc[start angle=180, end angle=270, radius={radius}] -- cycle;"
        )

    def _wires(self, wiring: Wiring) -> list[str]:
        lines = [self._line(*line) for line in wiring.lines] + [self._arc(arc) for arc in wiring.arcs]
        heads = [
            f"{self._at(*tip)} -- {self._at(*one)} -- {self._at(*other)} -- cycle" for tip, one, other in wiring.arrows
        ]
        return [
            *(r"\path[gnet wire]", *(f"  {line}" for line in lines), "  ;"),
            *(r"\fill[gnetwire]", *(f"  {head}" for head in heads), "  ;"),
        ]

    def _line(self, start: Point, stop: Point) -> str:
        return f"{self._at(*start)} -- {self._at(*stop)}"

    def _arc(self, arc: Arc) -> str:
        """A quarter of a circle; angles run as seen in a picture whose y runs downward."""
        middle = arc.start[0] + arc.stop[0] - arc.corner[0], arc.start[1] + arc.stop[1] - arc.corner[1]
        across, along = arc.start[0] - middle[0], arc.start[1] - middle[1]
        first = (0 if across > 0 else 180) if abs(across) > abs(along) else (90 if along > 0 else 270)
        last = first + (90 if arc.turns_right else -90)
        return f"{self._at(*arc.start)} arc[start angle={first}, end angle={last}, radius={self._n(arc.radius)}]"

    def _letters(self, letters: Letters) -> str:
        word = letters.word
        options = [f"gnet {word.kind}"]
        if word.anchor != "middle":
            options.append(f"anchor={_ANCHORS[word.anchor]}")
        if letters.ink != INKS[word.kind]:
            options.append(f"text=gnet{letters.ink}")
        if letters.halo:
            options.append(f"gnet halo, fill=gnet{letters.halo}, draw=gnet{letters.halo}")
        return rf"\node[{', '.join(options)}] at {self._at(word.x, word.y)} {{{in_tex(_fitting(letters))}}};"

    def _at(self, x: float, y: float) -> str:
        return f"({self._n(x)},{self._n(y)})"

    def _n(self, length: float) -> str:
        return number(length * self.scale)


def _style(area: Area) -> str:
    """The name of an area's style: what it is, a card by what its colour says."""
    return area.fill.removesuffix("tint") if area.of == "card" else area.of


def _comment(text: str) -> str:
    """Text as a comment: on one line, in ASCII."""
    return printable(text).encode("ascii", "backslashreplace").decode("ascii")
