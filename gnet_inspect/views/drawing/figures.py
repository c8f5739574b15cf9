"""Drawing -> picture, by our own placement: svg, png, pdf or TikZ, the same bytes for the same drawing."""

from collections.abc import Mapping

from msgspec import Struct

from gnet_inspect.views.drawing.captions import Captions
from gnet_inspect.views.drawing.diagram import Drawing
from gnet_inspect.views.drawing.heading import with_heading
from gnet_inspect.views.drawing.placed import TYPES, Placed
from gnet_inspect.views.drawing.placing import Arrangement, is_compact, place_drawing
from gnet_inspect.views.drawing.themes import THEMES

FORMS = ("svg", "png", "pdf", "tex")
# In points: what is free around a picture of a screen, and around one that is set into a page.
MARGIN, PAPER_MARGIN = 20.0, 2.0


class Look(Struct, frozen=True):
    """How a picture looks.

    `color` is what the colours say, with measured `seconds` by layer for "time". `cards` are "full", "compact" or ""
    for what suits the number of boxes. `columns` and `aspect` (width to height) are 0 for what suits the direction.
    `title` is None where the style says whether there is one, "" for none. `width` is how wide the picture is to be in
    points, 0 for as it comes.
    """

    direction: str = "TB"
    color: str = "kind"
    seconds: Mapping[str, float] = {}
    style: str = "screen"
    cards: str = ""
    columns: int = 0
    aspect: float = 0.0
    title: str | None = None
    legend: bool | None = None
    shapes: bool = True
    transparent: bool = False
    width: float = 0.0

    @property
    def is_titled(self) -> bool:
        return self.title != "" if self.title is not None else THEMES[self.style].explained

    @property
    def has_legend(self) -> bool:
        return self.legend if self.legend is not None else THEMES[self.style].explained

    @property
    def is_transparent(self) -> bool:
        return self.transparent or self.style == "paper"


def place_figure(drawing: Drawing, look: Look, *, in_roboto: bool = False) -> Placed:
    """Everything of a picture in its place. With `in_roboto`, letters that the font lacks are written as escapes."""
    captions = Captions(drawing, look.color, look.seconds, compact=is_compact(drawing, look.cards), in_roboto=in_roboto)
    arrangement = Arrangement(look.direction, look.shapes, look.columns, look.aspect)
    placed = place_drawing(drawing, captions, arrangement)
    margin = PAPER_MARGIN if look.style == "paper" and not look.is_titled else MARGIN
    title = (look.title or "") if look.is_titled else None
    return with_heading(placed, drawing, captions, title=title, legend=look.has_legend, margin=margin)


def draw_figure(drawing: Drawing, look: Look, form: str) -> bytes:
    """The picture in one of FORMS. Raises MissingError where what draws a png or pdf is not installed."""
    return write_figure(place_figure(drawing, look, in_roboto=form != "svg"), drawing, look, form)


def write_figure(placed: Placed, drawing: Drawing, look: Look, form: str) -> bytes:
    """The same of what is placed."""
    theme, transparent = THEMES[look.style], look.is_transparent
    scale = scale_of(placed, look)
    if form == "svg":
        from gnet_inspect.views.drawing.svg import draw_svg

        return draw_svg(placed, drawing, theme, transparent=transparent, scale=scale).encode()
    if form == "png":
        from gnet_inspect.views.drawing.png import draw_png

        return draw_png(placed, drawing, theme, transparent=transparent, scale=scale)
    if form == "pdf":
        from gnet_inspect.views.drawing.pdf import draw_pdf

        return draw_pdf(placed, drawing, theme, transparent=transparent, scale=scale)
    from gnet_inspect.views.drawing.tikz import draw_tikz

    return draw_tikz(placed, drawing, theme, transparent=transparent, scale=scale).encode()


def scale_of(placed: Placed, look: Look) -> float:
    """How much larger or smaller than it comes a picture is drawn."""
    return look.width / placed.width if look.width else 1.0


def smallest_letters(placed: Placed, look: Look) -> float:
    """The size in points of the smallest letters of a picture."""
    sizes = [TYPES[word.kind].size for word in placed.all_words()]
    return min(sizes, default=TYPES["shape"].size) * scale_of(placed, look)
