"""A Drawing -> the svg of a page: Graphviz's layout, with classes for colours and the layers of each box as data.

Colours are the page's, so that they follow its theme and its choice of what they say.
"""

import colorsys
from collections.abc import Iterator
from xml.etree import ElementTree

from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame
from gnet_inspect.views.drawing.dot import CLASSES, Style, class_of, draw_dot
from gnet_inspect.views.drawing.picture import draw_picture

SVG = "{http://www.w3.org/2000/svg}"
# What Graphviz writes on every shape, and the page's style sheet says instead.
PAINT = ("fill", "stroke", "font-family", "font-size", "id")


def page_figure(drawing: Drawing, places: dict[str, int], label: str) -> str:
    """The svg element of a drawing. `places` numbers the layers by name; `label` is what screen readers say of it."""
    ElementTree.register_namespace("", SVG.strip("{}"))
    root = ElementTree.fromstring(draw_picture(draw_dot(drawing, Style(bare=True)), "svg"))
    described = _Described(drawing, places)
    for part in list(root.iter(f"{SVG}g")):
        _unwrap(part)
        described.mark(part)
    for element in root.iter():
        element.tail = None
        for name in PAINT:
            element.attrib.pop(name, None)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    # Not "img": the boxes inside are buttons.
    root.set("role", "group")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def class_colors() -> dict[str, tuple[str, str]]:
    """The fill of each class of boxes by the name of its CSS class, on a light and on a dark page."""
    return {_slug(name): (fill, dark(fill)) for name, (fill, _) in CLASSES.items()}


def legend(drawing: Drawing) -> list[tuple[str, str]]:
    """(CSS class, name) of each class of boxes that is drawn."""
    present = {class_of(box) for box in drawing.boxes()}
    return [(_slug(name), name) for name in CLASSES if name in present]


def dark(fill: str) -> str:
    """The same hue for a dark page, dark enough for light letters.

    >>> dark("#ffffff"), dark("#cfe3f7")
    ('#333333', '#234567')
    """
    red, green, blue = (int(fill[place : place + 2], 16) / 255 for place in (1, 3, 5))
    hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
    mixed = colorsys.hls_to_rgb(hue, 0.27 if saturation else 0.2, min(saturation, 0.49))
    return "#" + "".join(f"{round(255 * part):02x}" for part in mixed)


class _Described:
    """Gives the groups of Graphviz's svg their class, tooltip and layers, by the keys it wrote into their titles."""

    def __init__(self, drawing: Drawing, places: dict[str, int]) -> None:
        self.places = places
        members: list[Box | Frame] = [*drawing.boxes(), *drawing.frames()]
        self.members = {member.key: member for member in members}
        self.tooltips = {key: member.tooltip for key, member in self.members.items()}
        self.tooltips |= {f"cluster_{frame.key}": frame.tooltip for frame in drawing.frames()}
        self.tooltips |= {f"{wire.tail}->{wire.head}": wire.tooltip for wire in drawing.wires}

    def mark(self, part: ElementTree.Element) -> None:
        title = part.find(f"{SVG}title")
        if title is None:
            for background in part.findall(f"{SVG}polygon"):
                part.remove(background)
            return
        key = title.text or ""
        part.set("class", {"cluster": "frame", "edge": "wire"}.get(part.get("class", ""), "pill"))
        if key in self.members:
            self._make_button(part, self.members[key])
        if key in self.tooltips:
            title.text = self.tooltips[key]
        else:
            part.remove(title)

    def _make_button(self, part: ElementTree.Element, member: Box | Frame) -> None:
        part.set("class", f"box {_slug(class_of(member))}" if isinstance(member, Box) else "header")
        part.set("data-layers", " ".join(str(self.places[name]) for name in _layers(member)))
        part.set("role", "button")
        # One of them takes part in the order of tab stops, the arrow keys reach the others.
        part.set("tabindex", "-1")
        part.set("aria-label", member.tooltip.partition("\n")[0])


def _layers(member: Box | Frame) -> Iterator[str]:
    if isinstance(member, Box):
        yield from member.layers
        return
    for inner in member.members:
        yield from _layers(inner)


def _slug(name: str) -> str:
    return "class-" + name.replace(" ", "-")


def _unwrap(part: ElementTree.Element) -> None:
    """Graphviz puts what has a tooltip into a link inside a group of its own: take it out of both."""
    for inner in part.findall(f"{SVG}g"):
        link = inner.find(f"{SVG}a")
        if link is not None:
            place = list(part).index(inner)
            part[place : place + 1] = list(link)
