"""Placed -> pdf, by reportlab: one page as large as the picture, with its font in it, and text that can be searched."""

import re
from io import BytesIO
from typing import Any

from gnet_inspect.errors import missing_picture_package, printable
from gnet_inspect.views.drawing.diagram import Drawing
from gnet_inspect.views.drawing.painting import Area, Bar, Letters, Sign, colors_of, line_widths, paint
from gnet_inspect.views.drawing.placed import TYPES, Placed, Point
from gnet_inspect.views.drawing.themes import HALO, SIGN, Theme
from gnet_inspect.views.drawing.wiring import Wiring
from gnet_inspect.views.fonts import roboto_folder

# In points: readers show no page that is wider or higher.
LARGEST = 14_400.0
# What reportlab knows the font as, beside whatever else a process draws with it.
_FONT = "gnet-inspect-Roboto-"
# How far a curve is drawn toward a corner, to be next to a quarter of a circle.
_ROUND = 0.5523
_DATE = re.compile(rb"/(?:CreationDate|ModDate) \(D:[^()]*\)")


def draw_pdf(placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool = False, scale: float = 1.0) -> bytes:
    """The pdf: the same for the same picture, to the byte. Raises MissingError where reportlab or the font is not
    installed."""
    new_canvas = _canvas_with_font()
    scale = min(scale, LARGEST / max(placed.width, placed.height))
    written = BytesIO()
    canvas = new_canvas(
        written,
        pagesize=(placed.width * scale, placed.height * scale),
        bottomup=0,
        pageCompression=1,
        invariant=1,
        initialFontName=f"{_FONT}Regular",
        lang="en",
    )
    canvas.setTitle(printable(f"{drawing.title} - {drawing.subtitle}"))
    canvas.setAuthor("")
    canvas.setSubject("")
    canvas.setCreator("gnet-inspect")
    canvas.scale(scale, scale)
    writer = _Writer(canvas, theme)
    for _, shapes in paint(placed, drawing, theme, transparent=transparent):
        for shape in shapes:
            writer.write(shape)
    canvas.showPage()
    canvas.save()
    # reportlab's own date is one of no meaning. Blanks in its place leave everything where the file says it is.
    return _DATE.sub(lambda found: b" " * len(found[0]), written.getvalue())


def _canvas_with_font() -> Any:
    """reportlab's Canvas, which has no types, with Roboto made known to reportlab once in a process."""
    try:
        from reportlab.pdfbase import pdfmetrics, ttfonts
        from reportlab.pdfgen import canvas
    except ImportError:
        raise missing_picture_package("pdf", "reportlab") from None
    fonts: Any = pdfmetrics
    new_font: Any = ttfonts.TTFont
    known = fonts.getRegisteredFontNames()
    for weight in ("Regular", "Medium"):
        if _FONT + weight not in known:
            file = roboto_folder("a pdf") / f"Roboto-{weight}.ttf"
            # Without asciiReadable, only letters that are drawn are in the file.
            fonts.registerFont(new_font(_FONT + weight, str(file), asciiReadable=0))
    return canvas.Canvas


class _Writer:
    """Writes shapes on a canvas whose y runs downward."""

    def __init__(self, canvas: Any, theme: Theme) -> None:
        self.canvas, self.theme = canvas, theme
        self.colors, self.widths = colors_of(theme), line_widths(theme)

    def write(self, shape: Area | Bar | Sign | Letters | Wiring) -> None:
        match shape:
            case Area():
                self._area(shape)
            case Bar():
                self._bar(shape)
            case Sign():
                self._sign(shape)
            case Letters():
                self._letters(shape)
            case Wiring():
                self._wires(shape)

    def _fill(self, color: str) -> None:
        self.canvas.setFillColor(self.colors[color])

    def _stroke(self, color: str, width: float) -> None:
        self.canvas.setStrokeColor(self.colors[color])
        self.canvas.setLineWidth(width)

    def _draw(self, path: Any, *, fill: str = "", line: str = "", width: float = 0.0) -> None:
        if fill:
            self._fill(fill)
        if line:
            self._stroke(line, width)
        self.canvas.drawPath(path, stroke=int(bool(line)), fill=int(bool(fill)))

    def _area(self, area: Area) -> None:
        path, r = self.canvas.beginPath(), area.radius
        left, top, right, bottom = area.x, area.y, area.x + area.width, area.y + area.height
        path.moveTo(left + r, top)
        for before, corner, behind in (
            ((right - r, top), (right, top), (right, top + r)),
            ((right, bottom - r), (right, bottom), (right - r, bottom)),
            ((left + r, bottom), (left, bottom), (left, bottom - r)),
            ((left, top + r), (left, top), (left + r, top)),
        ):
            path.lineTo(*before)
            _turn(path, before, corner, behind)
        path.close()
        self._draw(path, fill=area.fill, line=area.line, width=self.widths[area.of])

    def _bar(self, bar: Bar) -> None:
        path, r = self.canvas.beginPath(), bar.radius
        left, top, right, bottom = bar.x, bar.y, bar.x + bar.width, bar.y + bar.height
        path.moveTo(right, top)
        path.lineTo(right, bottom)
        path.lineTo(left + r, bottom)
        _turn(path, (left + r, bottom), (left, bottom), (left, bottom - r))
        path.lineTo(left, top + r)
        _turn(path, (left, top + r), (left, top), (left + r, top))
        path.close()
        self._draw(path, fill=bar.fill)

    def _sign(self, sign: Sign) -> None:
        path = self.canvas.beginPath()
        for start, stop in sign.lines:
            path.moveTo(*start)
            path.lineTo(*stop)
        self._draw(path, line="joint", width=SIGN)

    def _wires(self, wiring: Wiring) -> None:
        path = self.canvas.beginPath()
        for line in wiring.lines:
            path.moveTo(*line.start)
            path.lineTo(*line.stop)
        for arc in wiring.arcs:
            path.moveTo(*arc.start)
            _turn(path, *arc)
        self._draw(path, line="wire", width=self.theme.wire_width)
        heads = self.canvas.beginPath()
        for tip, one, other in wiring.arrows:
            heads.moveTo(*tip)
            heads.lineTo(*one)
            heads.lineTo(*other)
            heads.close()
        self._draw(heads, fill="wire")

    def _letters(self, letters: Letters) -> None:
        word = letters.word
        kind = TYPES[word.kind]
        self.canvas.setFont(_FONT + kind.weight, kind.size)
        if letters.halo:
            self._stroke(letters.halo, HALO)
            self.canvas.setLineJoin(1)
            # What reads the text of the page reads nothing here, or it would read the word twice.
            self.canvas.addLiteral("/Span <</ActualText ()>> BDC")
            self.canvas.drawString(word.left, word.y, word.text, mode=1)
            self.canvas.addLiteral("EMC")
            self.canvas.setLineJoin(0)
        self._fill(letters.ink)
        self.canvas.drawString(word.left, word.y, word.text, mode=0)


def _turn(path: Any, start: Point, corner: Point, stop: Point) -> None:
    """A quarter of a circle around a corner."""
    first = tuple(at + _ROUND * (to - at) for at, to in zip(start, corner, strict=True))
    second = tuple(at + _ROUND * (to - at) for at, to in zip(stop, corner, strict=True))
    path.curveTo(*first, *second, *stop)
