"""Placed -> svg: text that can be searched, tooltips with the exact figures, and the font that it was measured with."""

from html import escape

from gnet_inspect.views.drawing.diagram import Box, Drawing
from gnet_inspect.views.drawing.lettering import font_face
from gnet_inspect.views.drawing.parts import STACKED
from gnet_inspect.views.drawing.placed import TYPES, Border, Card, Placed, Point, Route, Swatch, Word
from gnet_inspect.views.drawing.themes import JOINT, Theme, class_of, mixed
from gnet_inspect.views.drawing.wiring import Arc, wiring_of

# What stands in where a viewer shows no font of an svg: as wide, or narrower.
FALLBACK = "Roboto,Arial,Helvetica,sans-serif"
# The name under which the svg carries its font: a system's Roboto may be another version.
FAMILY = "GnetRoboto"
STYLE = ' style="max-width:100%;height:auto"'
BAR = 4.0
# How far behind its start a word's halo reaches, as the width of its line.
HALO = 3.0


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
    return _Writer(placed, drawing, theme, transparent=transparent, embed=embed).write(scale)


def number(value: float) -> str:
    """A coordinate, as short as its hundredths allow."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else str(int(value))


class _Writer:
    """Writes one picture in the colours of a theme."""

    def __init__(self, placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool, embed: bool) -> None:
        self.placed, self.drawing, self.theme = placed, drawing, theme
        self.transparent, self.embed = transparent, embed
        self.boxes = {box.key: box for box in drawing.boxes()}
        self.frames = {frame.key: frame for frame in drawing.frames()}
        self.said = {(wire.tail, wire.head): wire.tooltip for wire in drawing.wires}
        self.inks = {
            "title": theme.ink,
            "subtitle": theme.mute,
            "legend": theme.ink2,
            "name": theme.ink,
            "pill": theme.ink,
            "kind": theme.ink2,
            "number": theme.mute,
            "shape": theme.mute,
        }

    def write(self, scale: float) -> str:
        width, height = number(self.placed.width), number(self.placed.height)
        size = f'width="{width}" height="{height}"'
        if scale != 1:
            size = f'width="{number(self.placed.width * scale)}pt" height="{number(self.placed.height * scale)}pt"'
        family = f"{FAMILY},{FALLBACK}" if self.embed else FALLBACK
        title = escape(f"{self.drawing.title} - {self.drawing.subtitle}")
        # As wide as there is room, in a page or a notebook's cell; what is no browser does not know of that.
        style = STYLE if self.embed else ""
        head = f'xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" font-family="{family}"'
        parts = [f'<svg {head} role="img"{style}>', f"<title>{title}</title>"]
        if self.embed:
            text = "".join(word.text for word in self.placed.all_words())
            parts.append(f"<style>{font_face(text, FAMILY)}</style>")
        if not self.transparent:
            parts.append(f'<rect width="{width}" height="{height}" fill="{self.theme.page}"/>')
        parts += [self._border(border) for border in self.placed.borders]
        parts.append(self._wires())
        parts.append('<g fill="none" stroke="#000" stroke-opacity="0" stroke-width="8">')
        parts += [self._reach(route) for route in self.placed.routes]
        parts.append("</g>")
        parts += [self._card(card) for card in self.placed.cards]
        parts += [self._word(word, halo=True) for word in self.placed.labels]
        parts += [self._swatch(swatch) for swatch in self.placed.swatches]
        parts += [self._word(word) for word in self.placed.words]
        return "\n".join([*filter(None, parts), "</svg>", ""])

    # --- what is drawn ---

    def _word(self, word: Word, *, ink: str = "", halo: bool = False) -> str:
        kind = TYPES[word.kind]
        weight = ' font-weight="500"' if kind.weight == "Medium" else ""
        anchor = f' text-anchor="{word.anchor}"' if word.anchor != "start" else ""
        around = ""
        if halo:
            ground = self._ground(word)
            if ground:
                around = f' paint-order="stroke" stroke="{ground}" stroke-width="{number(HALO)}"'
        return (
            f'<text x="{number(word.x)}" y="{number(word.y)}" font-size="{number(kind.size)}"{weight}{anchor} '
            f'fill="{ink or self.inks[word.kind]}"{around}>{escape(word.text)}</text>'
        )

    def _ground(self, word: Word) -> str:
        """What a word beside a wire stands on: the fill of the innermost frame around it, or the page."""
        ground = "" if self.transparent else self.theme.page
        for border in self.placed.borders:
            inside = border.x <= word.x <= border.x + border.width and border.y <= word.y <= border.y + border.height
            if inside and self.theme.frame != "none":
                ground = self.theme.frame
        return ground

    def _border(self, border: Border) -> str:
        theme = self.theme
        drawn = "".join(
            f'<rect x="{number(border.x + shift)}" y="{number(border.y + shift)}" width="{number(border.width)}" '
            f'height="{number(border.height)}" rx="{number(theme.radius + 2)}" fill="{self._under(theme.frame)}" '
            f'stroke="{theme.frame_line}" stroke-width="{number(theme.line_width)}"/>'
            for shift in _shifts(border.times)
        )
        words = "".join(self._word(word) for word in border.words)
        tooltip = escape(self.frames[border.key].tooltip)
        return f'<g id="frame-{border.key}"><title>{tooltip}</title>{drawn}{words}</g>'

    def _under(self, fill: str) -> str:
        """A fill behind which nothing shines through, where copies lie behind each other."""
        return fill if fill != "none" or self.transparent else self.theme.page

    def _wires(self) -> str:
        wiring = wiring_of(self.placed.routes)
        lines = "".join(f"M{_pair(line.start)}L{_pair(line.stop)}" for line in wiring.lines)
        arcs = "".join(map(_arc, wiring.arcs))
        heads = "".join(f"M{_pair(tip)}L{_pair(one)}L{_pair(other)}z" for tip, one, other in wiring.arrows)
        width = number(self.theme.wire_width)
        return (
            f'<path class="wires" fill="none" stroke="{self.theme.wire}" stroke-width="{width}" d="{lines}{arcs}"/>'
            f'<path class="arrows" fill="{self.theme.wire}" d="{heads}"/>'
        )

    def _reach(self, route: Route) -> str:
        """What one points at to see which tensor a wire is."""
        said = escape(self.said.get((route.tail, route.head), ""))
        d = "L".join(map(_pair, route.points))
        return f'<path d="M{d}"><title>{said}</title></path>'

    def _card(self, card: Card) -> str:
        box = self.boxes.get(card.key)
        if box is None:
            return f'<g id="pill-{escape(_slug(card.key))}">{self._pill(card)}{self._words(card)}</g>'
        if card.form == "pill":
            drawn = self._pill(card) + self._words(card)
        else:
            drawn = self._circle(card) if card.form == "circle" else self._box(card, box)
        return f'<g id="box-{card.key}"><title>{escape(box.tooltip)}</title>{drawn}</g>'

    def _words(self, card: Card, ink: str = "") -> str:
        return "".join(self._word(word, ink=ink) for word in card.words)

    def _pill(self, card: Card) -> str:
        return (
            f'<rect x="{number(card.x)}" y="{number(card.y)}" width="{number(card.width)}" '
            f'height="{number(card.height)}" rx="{number(card.height / 2)}" fill="{self.theme.page}" '
            f'stroke="{self.theme.joint}" stroke-width="{number(self.theme.wire_width)}"/>'
        )

    def _circle(self, card: Card) -> str:
        x, y, radius = card.x + card.width / 2, card.y + card.height / 2, card.width / 2
        width = number(self.theme.wire_width)
        arm = 4.6 if card.sign == "+" else 3.6
        if card.sign == "+":
            sign = f"M{number(x - arm)} {number(y)}h{number(2 * arm)}M{number(x)} {number(y - arm)}v{number(2 * arm)}"
        else:
            sign = (
                f"M{number(x - arm)} {number(y - arm)}l{number(2 * arm)} {number(2 * arm)}"
                f"M{number(x + arm)} {number(y - arm)}l{number(-2 * arm)} {number(2 * arm)}"
            )
        return (
            f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" fill="{self.theme.page}" '
            f'stroke="{self.theme.joint}" stroke-width="{width}"/>'
            f'<path d="{sign}" stroke="{self.theme.joint}" stroke-width="1.4"/>'
        )

    def _box(self, card: Card, box: Box) -> str:
        theme = self.theme
        fill, line, accent = self._paint(class_of(box), card.step)
        frames = "".join(
            f'<rect x="{number(card.x + shift)}" y="{number(card.y + shift)}" width="{number(card.width)}" '
            f'height="{number(card.height)}" rx="{number(theme.radius)}" fill="{fill}" stroke="{line}" '
            f'stroke-width="{number(theme.line_width)}"/>'
            for shift in _shifts(card.times)
        )
        bar = _bar(card.x, card.y, card.height, theme.radius, BAR, accent) if accent else ""
        # On a warm ground all letters are ink, because grey ones would not be legible.
        ink = theme.ink if card.step is not None and card.step >= 2 else ""
        return frames + bar + self._words(card, ink)

    def _paint(self, name: str, step: int | None) -> tuple[str, str, str]:
        """The fill, the line and the bar of a card; a heat has no bar."""
        if step is not None:
            return self.theme.heat[step], self.theme.mute, ""
        paint = self.theme.paints[name if name != JOINT else "other"]
        return paint.tint, mixed(paint.accent, self.theme.page, self.theme.strength), paint.accent

    def _swatch(self, swatch: Swatch) -> str:
        fill, line, accent = self._paint(swatch.of, swatch.step)
        radius = 0.0 if swatch.step is not None else 2.5
        rect = (
            f'<rect x="{number(swatch.x)}" y="{number(swatch.y)}" width="{number(swatch.width)}" '
            f'height="{number(swatch.height)}" rx="{number(radius)}" fill="{fill}" stroke="{line}" stroke-width="0.8"/>'
        )
        return rect + (_bar(swatch.x, swatch.y, swatch.height, radius, BAR, accent) if accent else "")


def _bar(x: float, y: float, height: float, radius: float, width: float, accent: str) -> str:
    """The bar at the left of a card, round where the card is."""
    r, h = number(radius), number(height - 2 * radius)
    return (
        f'<path d="M{number(x + width)} {number(y)}v{number(height)}h{number(min(radius - width, 0))}'
        f"H{number(x + radius)}A{r} {r} 0 0 1 {number(x)} {number(y + height - radius)}v-{h}"
        f'A{r} {r} 0 0 1 {number(x + radius)} {number(y)}z" fill="{accent}"/>'
    )


def _arc(arc: Arc) -> str:
    radius = number(arc.radius)
    return f"M{_pair(arc.start)}A{radius} {radius} 0 0 {int(arc.turns_right)} {_pair(arc.stop)}"


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _shifts(times: int) -> list[float]:
    """How far copies lie behind what stands for them, the hindmost first."""
    return [2 * STACKED, STACKED, 0.0] if times > 1 else [0.0]


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)
