"""Placed -> shapes that lie over each other, in colours by name: what a pdf and TikZ are written from."""

from collections.abc import Iterator
from typing import NamedTuple

from gnet_inspect.views.drawing.diagram import Drawing
from gnet_inspect.views.drawing.parts import shifts_of
from gnet_inspect.views.drawing.placed import Border, Card, Placed, Point, Swatch, Word
from gnet_inspect.views.drawing.themes import ARMS, BAR, INKS, JOINT, Theme, class_of, mixed
from gnet_inspect.views.drawing.wiring import Wiring, wiring_of

# How round the card in a legend is.
SWATCH_RADIUS = 2.5


class Area(NamedTuple):
    """A rectangle with round corners: the ground ("page"), a "frame", a "card" or what joins ("joint").

    A circle is one that is as wide as high and as round as can be. A fill or line of "" is none.
    """

    of: str
    x: float
    y: float
    width: float
    height: float
    radius: float
    fill: str
    line: str

    @property
    def is_circle(self) -> bool:
        return self.width == self.height == 2 * self.radius


class Bar(NamedTuple):
    """The bar at the left of a card, round where the card is."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    fill: str


class Sign(NamedTuple):
    """The lines of a sign in its circle."""

    lines: tuple[tuple[Point, Point], ...]


class Letters(NamedTuple):
    """A line of text, and the colour of its halo, "" for none."""

    word: Word
    ink: str
    halo: str = ""


Shape = Area | Bar | Sign | Letters | Wiring


def colors_of(theme: Theme) -> dict[str, str]:
    """The colours of a theme as #rrggbb, by the names that shapes have them under."""
    found = {
        "page": theme.page,
        "frame": theme.frame,
        "frameline": theme.frame_line,
        "ink": theme.ink,
        "ink2": theme.ink2,
        "mute": theme.mute,
        "wire": theme.wire,
        "joint": theme.joint,
    }
    for name, paint in theme.paints.items():
        found[name] = paint.accent
        found[f"{name}tint"] = paint.tint
        found[f"{name}line"] = mixed(paint.accent, theme.page, theme.strength)
    return found | {f"heat{step}": color for step, color in enumerate(theme.heat)}


def ink_of(word: Word, step: int | None = None) -> str:
    """The colour of a word, in a card of a heat by its step: on a warm ground all letters are ink, because grey ones
    would not be legible."""
    return "ink" if step is not None and step >= 2 else INKS[word.kind]


def card_colors(name: str, step: int | None) -> tuple[str, str]:
    """What a card of a class, or of a step of heat, is filled with, and its line."""
    return (f"{name}tint", f"{name}line") if step is None else (f"heat{step}", "mute")


def ground_of(word: Word, placed: Placed, theme: Theme, *, transparent: bool) -> str:
    """What a word beside a wire stands on: the fill of the innermost frame around it, the page, or "" for nothing."""
    ground = "" if transparent else "page"
    if theme.frame != "none":
        for border in placed.borders:
            if border.x <= word.x <= border.x + border.width and border.y <= word.y <= border.y + border.height:
                ground = "frame"
    return ground


def frame_fill(theme: Theme, *, transparent: bool) -> str:
    """What frames are filled with, "" for nothing: through a copy nothing shines."""
    return "frame" if theme.frame != "none" else "" if transparent else "page"


def line_widths(theme: Theme) -> dict[str, float]:
    """How wide the line of an area is, by what it is of."""
    return {"page": 0.0, "frame": theme.line_width, "card": theme.line_width, "joint": theme.wire_width}


def paint(placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool) -> Iterator[tuple[str, list[Shape]]]:
    """All of a picture, the undermost first: what it is of in a few words, and its shapes."""
    return _Painter(placed, drawing, theme, transparent=transparent).paint()


class _Painter:
    """Paints one picture."""

    def __init__(self, placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool) -> None:
        self.placed, self.theme, self.transparent = placed, theme, transparent
        self.boxes = {box.key: box for box in drawing.boxes()}
        self.frames = {frame.key: frame for frame in drawing.frames()}

    def paint(self) -> Iterator[tuple[str, list[Shape]]]:
        placed = self.placed
        if not self.transparent:
            yield "ground", [Area("page", 0.0, 0.0, placed.width, placed.height, 0.0, "page", "")]
        for border in placed.borders:
            yield f"frame {self.frames[border.key].name}", self._border(border)
        if placed.routes:
            yield "wires", [wiring_of(placed.routes)]
        for card in placed.cards:
            yield self.boxes[card.key].name if card.key in self.boxes else "pill", self._card(card)
        if placed.labels:
            yield (
                "shapes beside wires",
                [
                    Letters(word, INKS[word.kind], ground_of(word, placed, self.theme, transparent=self.transparent))
                    for word in placed.labels
                ],
            )
        heading: list[Shape] = []
        for swatch in placed.swatches:
            heading += self._swatch(swatch)
        if placed.words:
            yield "heading", [*heading, *(Letters(word, INKS[word.kind]) for word in placed.words)]

    def _border(self, border: Border) -> list[Shape]:
        fill = frame_fill(self.theme, transparent=self.transparent)
        x, y, width, height = border.x, border.y, border.width, border.height
        return [
            *(
                Area("frame", x + shift, y + shift, width, height, self.theme.radius + 2, fill, "frameline")
                for shift in shifts_of(border.times)
            ),
            *(Letters(word, INKS[word.kind]) for word in border.words),
        ]

    def _card(self, card: Card) -> list[Shape]:
        words = (Letters(word, ink_of(word, card.step)) for word in card.words)
        if card.form == "card":
            return [*self._box(card), *words]
        joint = Area("joint", card.x, card.y, card.width, card.height, card.height / 2, "page", "joint")
        return [joint, *words] if card.form == "pill" else [joint, _sign(card), *words]

    def _box(self, card: Card) -> list[Shape]:
        name = class_of(self.boxes[card.key])
        return self._filled(card, "other" if name == JOINT else name, self.theme.radius, shifts_of(card.times))

    def _swatch(self, swatch: Swatch) -> list[Shape]:
        return self._filled(swatch, swatch.of, SWATCH_RADIUS if swatch.step is None else 0.0, [0.0])

    def _filled(self, thing: Card | Swatch, name: str, radius: float, shifts: list[float]) -> list[Shape]:
        """What says by its colour what it is, or how much it has."""
        fill, line = card_colors(name, thing.step)
        x, y, width, height = thing.x, thing.y, thing.width, thing.height
        areas = [Area("card", x + shift, y + shift, width, height, radius, fill, line) for shift in shifts]
        return [*areas, Bar(x, y, BAR, height, radius, name)] if thing.step is None else [*areas]


def _sign(card: Card) -> Sign:
    x, y, arm = card.x + card.width / 2, card.y + card.height / 2, ARMS[card.sign]
    if card.sign == "+":
        return Sign((((x - arm, y), (x + arm, y)), ((x, y - arm), (x, y + arm))))
    return Sign((((x - arm, y - arm), (x + arm, y + arm)), ((x + arm, y - arm), (x - arm, y + arm))))
