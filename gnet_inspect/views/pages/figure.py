"""A Drawing -> the svg of a page: classes for colours, and the layers of each box as data.

Colours are the page's, so that they follow its theme and its choice of what they say.
"""

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame
from gnet_inspect.views.drawing.figures import Look, place_figure
from gnet_inspect.views.drawing.placed import Border, Placed, Word
from gnet_inspect.views.drawing.svg import ThemePainter, draw_parts, number
from gnet_inspect.views.drawing.themes import CLASSES, THEMES, legend_of

# In points: how far above its base line a header's first word can be clicked.
HEADER = 17
# What a page draws around a figure itself.
LOOK = Look(title="", legend=False)


def page_figure(drawing: Drawing, places: dict[str, int], label: str, look: Look = LOOK) -> str:
    """The svg element of a drawing. `places` numbers the layers by name; `label` is what screen readers say of it."""
    return draw_page_figure(place_figure(drawing, look), drawing, places, label)


def draw_page_figure(placed: Placed, drawing: Drawing, places: dict[str, int], label: str) -> str:
    """The same of what is placed."""
    parts = draw_parts(placed, drawing, _ClassPainter(places))
    width, height = number(placed.width), number(placed.height)
    # Not "img": the boxes inside are buttons.
    head = f'viewBox="0 0 {width} {height}" preserveAspectRatio="xMidYMin" role="group" aria-label="{escape(label)}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {head}>', *parts, "</svg>"])


def figure_style() -> str:
    """The style sheet of figures in a page: their colours as variables, on a light and on a dark one, and the rules.

    What a page has of its own for `.box.chosen` stands before it: what is pointed at wins.
    """
    lines = [f"  --{name}: light-dark({light}, {dark});" for name, (light, dark) in theme_colors().items()]
    rules = [":root {", *lines, "}"]
    for name, (tint, dark_tint, accent, dark_accent) in class_colors().items():
        fill, bar = f"light-dark({tint}, {dark_tint})", f"light-dark({accent}, {dark_accent})"
        rules.append(f".{name} {{ --fill: {fill}; --bar: {bar}; }}")
    return "\n".join([*rules, (files(__package__) / "templates" / "figure.css").read_text(encoding="utf-8")])


def class_colors() -> dict[str, tuple[str, str, str, str]]:
    """Of each class of boxes by the name of its CSS class: its tint on a light and on a dark page, and its accent."""
    light, dark = THEMES["screen"].paints, THEMES["dark"].paints
    return {_slug(name): (light[name].tint, dark[name].tint, light[name].accent, dark[name].accent) for name in CLASSES}


def theme_colors() -> dict[str, tuple[str, str]]:
    """The other colours of figures by name, on a light and on a dark page."""
    light, dark = THEMES["screen"], THEMES["dark"]
    names = ("page", "frame", "frame_line", "ink", "ink2", "mute", "wire", "joint")
    found = {name.replace("_", "-"): (getattr(light, name), getattr(dark, name)) for name in names}
    return found | {f"heat{step}": (light.heat[step], dark.heat[step]) for step in range(len(light.heat))}


def legend(drawing: Drawing) -> list[tuple[str, str]]:
    """(CSS class, name) of each class of boxes that is drawn."""
    return [(_slug(name), said) for name, said in legend_of(drawing.boxes())]


class _ClassPainter(ThemePainter):
    """Gives elements classes; boxes and headers are buttons, which know their layers."""

    def __init__(self, places: dict[str, int]) -> None:
        self.places = places

    def box(self, box: Box, name: str, step: int | None) -> str:
        return f'class="box {_slug(name)}" {self._button(box.layers, box.tooltip)}'

    def frame(self, frame: Frame) -> str:
        return 'class="frame"'

    def header(self, frame: Frame) -> str:
        return f'class="header" {self._button(tuple(_layers(frame)), frame.tooltip)}'

    def reach(self, border: Border) -> str:
        top = min(word.y for word in border.words) - HEADER
        place = f'x="{number(border.x)}" y="{number(top)}" width="{number(border.width)}" height="{HEADER + 7}"'
        return f'<rect {place} fill="none" pointer-events="all"/>'

    def _button(self, layers: tuple[str, ...], tooltip: str) -> str:
        numbers = " ".join(str(self.places[name]) for name in layers)
        # One of them takes part in the order of tab stops, the arrow keys reach the others.
        label = escape(tooltip.partition("\n")[0])
        return f'data-layers="{numbers}" role="button" tabindex="-1" aria-label="{label}"'

    def word(self, word: Word, step: int | None = None) -> str:
        return f'class="{word.kind}"'

    def halo(self, word: Word) -> str:
        return ""

    def border(self) -> str:
        return 'rx="7"'

    def card(self, name: str, step: int | None) -> str:
        return 'class="face"'

    def bar(self, name: str) -> str:
        return 'class="bar"'

    def joint(self) -> str:
        return 'class="joint"'

    def sign(self) -> str:
        return 'class="sign"'

    def wires(self) -> str:
        return 'class="wires"'

    def arrows(self) -> str:
        return 'class="arrows"'

    @property
    def radius(self) -> float:
        return THEMES["screen"].radius


def _layers(member: Box | Frame) -> Iterator[str]:
    if isinstance(member, Box):
        yield from member.layers
        return
    for inner in member.members:
        yield from _layers(inner)


def _slug(name: str) -> str:
    return f"class-{name}"
