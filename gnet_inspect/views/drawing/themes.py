"""How pictures look: colours, lines and letters for a screen, for a printed page and for a dark screen.

What a box is, is never said by colour alone: its kind is written in it, and joints have a shape of their own. The
accents are Okabe and Ito's, or as far apart; tests compute the contrasts.
"""

from collections.abc import Iterable

from msgspec import Struct

from gnet_inspect.views.drawing.diagram import Box

# What a box is in a picture, and the families of the layers that are it. Joints (concat, add, mul) have none.
CLASSES = {
    "convolution": ("convolution",),
    "pooling": ("pooling",),
    "linear": ("linear", "embedding"),
    "attention": ("attention", "matrix product", "recurrent"),
    "normalisation": ("normalisation",),
    "upsampling": ("resampling",),
    "other": (),
    "block": (),
}
JOINT = "joint"
_OF_FAMILY = {family: name for name, families in CLASSES.items() for family in families} | {"merge": JOINT}


# The colours of letters, by type.
INKS = {
    "title": "ink",
    "subtitle": "mute",
    "legend": "ink2",
    "name": "ink",
    "pill": "ink",
    "kind": "ink2",
    "number": "mute",
    "shape": "mute",
}
# In points: the bar of a card, the line of a word's halo, and that of a sign.
BAR, HALO, SIGN = 4.0, 3.0, 1.4
# How far a sign's arms reach from its middle.
ARMS = {"+": 4.6, "×": 3.6}


def class_of(box: Box) -> str:
    """What a box is: one of CLASSES, or a joint."""
    if box.role != "layer":
        return "block"
    return JOINT if box.sign else _OF_FAMILY.get(box.kind, "other")


def legend_of(boxes: Iterable[Box]) -> list[tuple[str, str]]:
    """The classes that are there, with what they are called: by the families that are there, too. Joints have none."""
    found: dict[str, dict[str, None]] = {}
    for box in boxes:
        name = class_of(box)
        said = box.kind if CLASSES.get(name) else "other layer" if name == "other" else box.role
        found.setdefault(name, {})[said] = None
    return [(name, ", ".join(found[name])) for name in CLASSES if name in found]


class Paint(Struct, frozen=True):
    """The colours of a card: of its bar and line, and of what it is filled with."""

    accent: str
    tint: str


class Theme(Struct, frozen=True):
    """A look. Widths are in points; `strength` is how much of the accent a card's line has, from 0 to 1."""

    page: str
    frame: str
    frame_line: str
    ink: str
    ink2: str
    mute: str
    wire: str
    wire_width: float
    radius: float
    line_width: float
    strength: float
    joint: str
    paints: dict[str, Paint]
    # Of nothing, and of five steps up to the most.
    heat: tuple[str, ...]
    # Whether a picture has a title and a legend unless one says so.
    explained: bool = True


_LIGHT = {
    "convolution": Paint("#0072b2", "#e6f1f8"),
    "pooling": Paint("#00805c", "#e3f3ee"),
    "linear": Paint("#a34f83", "#f7eaf2"),
    "attention": Paint("#5e4fa2", "#eeecf7"),
    "normalisation": Paint("#b47a00", "#fbf1da"),
    "upsampling": Paint("#d55e00", "#fdeee2"),
    "other": Paint("#6e7781", "#ffffff"),
    "block": Paint("#3d444d", "#eef1f4"),
}
_DARK = {
    "convolution": Paint("#56b4e9", "#12293a"),
    "pooling": Paint("#3fc79a", "#0f2d25"),
    "linear": Paint("#e09cc4", "#33202c"),
    "attention": Paint("#b3a7f0", "#262140"),
    "normalisation": Paint("#e6b84d", "#33290f"),
    "upsampling": Paint("#ff9a5c", "#3a2110"),
    "other": Paint("#9198a1", "#151b23"),
    "block": Paint("#9198a1", "#1c232c"),
}
_HEAT = ("#ffffff", "#fff3e0", "#fddcab", "#fbbc74", "#f2954a", "#e27a35")
_HEAT_DARK = ("#151b23", "#2c2418", "#49331a", "#6d431b", "#8a4a16", "#a85414")

THEMES = {
    "screen": Theme(
        page="#ffffff",
        frame="#f6f8fa",
        frame_line="#d1d9e0",
        ink="#1f2328",
        ink2="#3d444d",
        mute="#59636e",
        wire="#6e7781",
        wire_width=1.2,
        radius=5.0,
        line_width=1.0,
        strength=0.55,
        joint="#57606a",
        paints=_LIGHT,
        heat=_HEAT,
    ),
    "paper": Theme(
        page="#ffffff",
        frame="none",
        frame_line="#999999",
        ink="#000000",
        ink2="#000000",
        mute="#4d4d4d",
        wire="#333333",
        wire_width=0.8,
        radius=2.5,
        line_width=0.7,
        strength=1.0,
        joint="#333333",
        paints=_LIGHT | {"other": Paint("#333333", "#ffffff"), "block": Paint("#333333", "#f2f2f2")},
        heat=_HEAT,
        explained=False,
    ),
    "dark": Theme(
        page="#0d1117",
        frame="#151b23",
        frame_line="#3d444d",
        ink="#f0f6fc",
        ink2="#d1d7e0",
        mute="#9198a1",
        wire="#7d8590",
        wire_width=1.2,
        radius=5.0,
        line_width=1.0,
        strength=0.55,
        joint="#9198a1",
        paints=_DARK,
        heat=_HEAT_DARK,
    ),
}


def mixed(color: str, ground: str, strength: float) -> str:
    """A colour laid over another one: 1 is the colour, 0 what lies under it.

    >>> mixed("#0072b2", "#ffffff", 0.55)
    '#73b1d5'
    """
    parts = (
        round(strength * int(color[place : place + 2], 16) + (1 - strength) * int(ground[place : place + 2], 16))
        for place in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)
