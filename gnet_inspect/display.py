"""How a value is shown by a room above its own, which it cannot import: the package says here who shows what.

It imports nothing before something is shown, because importing the package imports it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# By the name of a class, what makes the tables of its values, or its picture: "module:function", which is imported when
# one is shown.
TABLES: dict[str, str] = {}
PICTURES: dict[str, str] = {}
# What draws tables, as "text" and as "html".
DRAWERS: dict[str, str] = {}

# How many characters a value has at most where it is shown on one line.
LONGEST = 160


class Brief:
    """A value that Python shows as one short line: its class, and what `_brief` says of it."""

    __slots__ = ()

    def _brief(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        from gnet_inspect.errors import brief

        return f"<{brief(f'{type(self).__name__} {self._brief()}', LONGEST - 5)}>"


class Shown(Brief):
    """A result that is printed as its tables, and that shows them as the last line of a notebook's cell."""

    __slots__ = ()

    def __str__(self) -> str:
        return self._draw("text")

    def _repr_html_(self) -> str:
        return self._draw("html")

    def _draw(self, way: str) -> str:
        drawn: str = _named(DRAWERS[way])(*_named(TABLES[type(self).__name__])(self))
        return drawn


def picture_of(value: object) -> "Any":
    """A value as a notebook's cell draws it."""
    return _named(PICTURES[type(value).__name__])(value)


def network_words(model: str, overrides: "Sequence[str]", shape: "Sequence[int]", mode: str = "eval") -> str:
    """Which network something is of, in a few words.

    >>> network_words("googlenet", ["classes=10"], (1, 3, 224, 224), "train")
    'googlenet classes=10 1x3x224x224 train'
    """
    return " ".join([model, *overrides, "x".join(map(str, shape)), *([mode] if mode != "eval" else [])])


def _named(place: str) -> "Any":
    from importlib import import_module

    module, _, function = place.partition(":")
    return getattr(import_module(module), function)
