"""Placed -> svg: text that can be searched, tooltips with the exact figures, and the font that it was measured with."""

from html import escape

from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame
from gnet_inspect.views.drawing.lettering import font_face
from gnet_inspect.views.drawing.painting import (
    SWATCH_RADIUS,
    card_colors,
    colors_of,
    frame_fill,
    ground_of,
    ink_of,
)
from gnet_inspect.views.drawing.parts import shifts_of
from gnet_inspect.views.drawing.placed import TYPES, Border, Card, Placed, Point, Route, Swatch, Word
from gnet_inspect.views.drawing.themes import ARMS, BAR, HALO, JOINT, SIGN, Theme, class_of
from gnet_inspect.views.drawing.wiring import Arc, wiring_of

# What stands in where a viewer shows no font of an svg: as wide, or narrower.
FALLBACK = "Roboto,Arial,Helvetica,sans-serif"
# The name under which the svg carries its font: a system's Roboto may be another version.
FAMILY = "GnetRoboto"
# As wide as there is room, in a page or a notebook's cell; what is no browser does not know of that.
_STYLE = ' style="max-width:100%;height:auto"'


def draw_svg(
    placed: Placed,
    drawing: Drawing,
    theme: Theme,
    *,
    transparent: bool = False,
    embed: bool = True,
    scale: float = 1.0,
) -> str:
    """The svg: the same for the same picture, to the byte. Without `embed` it asks the system for Roboto. A `scale`
    other than 1 makes it so much larger, in points of print."""
    painter = ThemePainter(theme, placed, transparent=transparent)
    width, height = number(placed.width), number(placed.height)
    size = f'width="{width}" height="{height}"'
    if scale != 1:
        size = f'width="{number(placed.width * scale)}pt" height="{number(placed.height * scale)}pt"'
    family = f"{FAMILY},{FALLBACK}" if embed else FALLBACK
    head = f'xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" font-family="{family}"'
    title = escape(f"{drawing.title} - {drawing.subtitle}")
    parts = [f'<svg {head} role="img"{_STYLE if embed else ""}>', f"<title>{title}</title>"]
    if embed:
        text = "".join(word.text for word in placed.all_words())
        parts.append(f"<style>{font_face(text, FAMILY)}</style>")
    if not transparent:
        parts.append(f'<rect width="{width}" height="{height}" fill="{theme.page}"/>')
    parts += draw_parts(placed, drawing, painter)
    return "\n".join([*parts, "</svg>", ""])


def draw_parts(placed: Placed, drawing: Drawing, painter: "ThemePainter") -> list[str]:
    """Everything of a picture as elements of an svg, in the order in which they lie over each other."""
    return _Writer(placed, drawing, painter).write()


def number(value: float) -> str:
    """A coordinate, as short as its hundredths allow."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))


class ThemePainter:
    """The attributes that give elements the colours of a theme; a page has a painter of its own, of classes."""

    def __init__(self, theme: Theme, placed: Placed, *, transparent: bool) -> None:
        self.theme, self.placed, self.transparent = theme, placed, transparent
        self.colors = colors_of(theme)

    def box(self, box: Box, name: str, step: int | None) -> str:
        """Of the group of a box that is of a class."""
        return f'id="box-{box.key}"'

    def frame(self, frame: Frame) -> str:
        return f'id="frame-{frame.key}"'

    def header(self, frame: Frame) -> str:
        return 'class="header"'

    def reach(self, border: Border) -> str:
        """What one points at for a header beside its words; nothing in a picture that cannot be clicked."""
        return ""

    def word(self, word: Word, step: int | None = None) -> str:
        kind = TYPES[word.kind]
        ink = self.colors[ink_of(word, step)]
        weight = ' font-weight="500"' if kind.weight == "Medium" else ""
        return f'font-size="{number(kind.size)}"{weight} fill="{ink}"'

    def halo(self, word: Word) -> str:
        ground = ground_of(word, self.placed, self.theme, transparent=self.transparent)
        return f' paint-order="stroke" stroke="{self.colors[ground]}" stroke-width="{number(HALO)}"' if ground else ""

    def border(self) -> str:
        fill = frame_fill(self.theme, transparent=self.transparent)
        filled = self.colors[fill] if fill else "none"
        return f'rx="{number(self.theme.radius + 2)}" fill="{filled}" {self._line("frameline")}'

    def card(self, name: str, step: int | None) -> str:
        fill, line = card_colors(name, step)
        return f'fill="{self.colors[fill]}" {self._line(line)}'

    def _line(self, color: str) -> str:
        return f'stroke="{self.colors[color]}" stroke-width="{number(self.theme.line_width)}"'

    def bar(self, name: str) -> str:
        return f'fill="{self.colors[name]}"'

    def joint(self) -> str:
        width = number(self.theme.wire_width)
        return f'fill="{self.theme.page}" stroke="{self.theme.joint}" stroke-width="{width}"'

    def sign(self) -> str:
        return f'stroke="{self.theme.joint}" stroke-width="{number(SIGN)}"'

    def wires(self) -> str:
        return f'class="wires" fill="none" stroke="{self.theme.wire}" stroke-width="{number(self.theme.wire_width)}"'

    def arrows(self) -> str:
        return f'class="arrows" fill="{self.theme.wire}"'

    @property
    def radius(self) -> float:
        return self.theme.radius


class _Writer:
    """Writes one picture."""

    def __init__(self, placed: Placed, drawing: Drawing, painter: ThemePainter) -> None:
        self.placed, self.painter = placed, painter
        self.boxes = {box.key: box for box in drawing.boxes()}
        self.frames = {frame.key: frame for frame in drawing.frames()}
        self.said = {(wire.tail, wire.head): wire.tooltip for wire in drawing.wires}

    def write(self) -> list[str]:
        parts = [self._border(border) for border in self.placed.borders]
        parts.append(self._wires())
        parts.append('<g fill="none" stroke="#000" stroke-opacity="0" stroke-width="8">')
        parts += [self._reach(route) for route in self.placed.routes]
        parts.append("</g>")
        # Above the wires that pass them.
        parts += [self._header(border) for border in self.placed.borders]
        parts += [self._card(card) for card in self.placed.cards]
        parts += [self._word(word, halo=True) for word in self.placed.labels]
        parts += [self._swatch(swatch) for swatch in self.placed.swatches]
        parts += [self._word(word) for word in self.placed.words]
        return parts

    def _word(self, word: Word, *, step: int | None = None, halo: bool = False) -> str:
        anchor = f' text-anchor="{word.anchor}"' if word.anchor != "start" else ""
        around = self.painter.halo(word) if halo else ""
        place = f'x="{number(word.x)}" y="{number(word.y)}"{anchor}'
        return f"<text {place} {self.painter.word(word, step)}{around}>{escape(word.text)}</text>"

    def _border(self, border: Border) -> str:
        frame = self.frames[border.key]
        drawn = "".join(
            f"<rect {_rectangle(border, shift)} {self.painter.border()}/>" for shift in shifts_of(border.times)
        )
        return f"<g {self.painter.frame(frame)}><title>{escape(frame.tooltip)}</title>{drawn}</g>"

    def _header(self, border: Border) -> str:
        frame = self.frames[border.key]
        words = "".join(self._word(word) for word in border.words)
        said = f"<title>{escape(frame.tooltip)}</title>"
        return f"<g {self.painter.header(frame)}>{said}{self.painter.reach(border)}{words}</g>"

    def _wires(self) -> str:
        wiring = wiring_of(self.placed.routes)
        lines = "".join(f"M{_pair(line.start)}L{_pair(line.stop)}" for line in wiring.lines)
        arcs = "".join(map(_arc, wiring.arcs))
        heads = "".join(f"M{_pair(tip)}L{_pair(one)}L{_pair(other)}z" for tip, one, other in wiring.arrows)
        return f'<path {self.painter.wires()} d="{lines}{arcs}"/><path {self.painter.arrows()} d="{heads}"/>'

    def _reach(self, route: Route) -> str:
        """What one points at to see which tensor a wire is."""
        said = escape(self.said.get((route.tail, route.head), ""))
        d = "L".join(map(_pair, route.points))
        return f'<path d="M{d}"><title>{said}</title></path>'

    def _card(self, card: Card) -> str:
        box = self.boxes.get(card.key)
        words = "".join(self._word(word, step=card.step) for word in card.words)
        if box is None:
            return f'<g class="pill">{self._pill(card)}{words}</g>'
        name = class_of(box)
        if card.form == "card":
            drawn = self._box(card, name)
        else:
            drawn = self._pill(card) if card.form == "pill" else self._circle(card)
        return f"<g {self.painter.box(box, name, card.step)}><title>{escape(box.tooltip)}</title>{drawn}{words}</g>"

    def _pill(self, card: Card) -> str:
        return f'<rect {_rectangle(card)} rx="{number(card.height / 2)}" {self.painter.joint()}/>'

    def _circle(self, card: Card) -> str:
        x, y = number(card.x + card.width / 2), number(card.y + card.height / 2)
        return (
            f'<circle cx="{x}" cy="{y}" r="{number(card.width / 2)}" {self.painter.joint()}/>'
            f'<path d="{_sign(card)}" {self.painter.sign()}/>'
        )

    def _box(self, card: Card, name: str) -> str:
        radius = number(self.painter.radius)
        paint = self.painter.card(name if name != JOINT else "other", card.step)
        drawn = "".join(f'<rect {_rectangle(card, shift)} rx="{radius}" {paint}/>' for shift in shifts_of(card.times))
        if card.step is not None:
            return drawn
        return drawn + self._bar(card, name, self.painter.radius)

    def _bar(self, thing: Card | Swatch, name: str, radius: float) -> str:
        """The bar at the left of a card, round where the card is."""
        r, upright = number(radius), number(thing.height - 2 * radius)
        d = (
            f"M{number(thing.x + BAR)} {number(thing.y)}v{number(thing.height)}"
            f"h{number(min(radius - BAR, 0))}H{number(thing.x + radius)}"
            f"A{r} {r} 0 0 1 {number(thing.x)} {number(thing.y + thing.height - radius)}v-{upright}"
            f"A{r} {r} 0 0 1 {number(thing.x + radius)} {number(thing.y)}z"
        )
        return f'<path d="{d}" {self.painter.bar(name)}/>'

    def _swatch(self, swatch: Swatch) -> str:
        radius = 0.0 if swatch.step is not None else SWATCH_RADIUS
        rect = f'<rect {_rectangle(swatch)} rx="{number(radius)}" {self.painter.card(swatch.of, swatch.step)}/>'
        return rect if swatch.step is not None else rect + self._bar(swatch, swatch.of, radius)


def _sign(card: Card) -> str:
    """The path of a sign in its circle."""
    x, y, arm = card.x + card.width / 2, card.y + card.height / 2, ARMS[card.sign]
    both = number(2 * arm)
    if card.sign == "+":
        return f"M{number(x - arm)} {number(y)}h{both}M{number(x)} {number(y - arm)}v{both}"
    return f"M{number(x - arm)} {number(y - arm)}l{both} {both}M{number(x + arm)} {number(y - arm)}l-{both} {both}"


def _rectangle(thing: Card | Border | Swatch, shift: float = 0.0) -> str:
    place = f'x="{number(thing.x + shift)}" y="{number(thing.y + shift)}"'
    return f'{place} width="{number(thing.width)}" height="{number(thing.height)}"'


def _arc(arc: Arc) -> str:
    radius = number(arc.radius)
    return f"M{_pair(arc.start)}A{radius} {radius} 0 0 {int(arc.turns_right)} {_pair(arc.stop)}"


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"
