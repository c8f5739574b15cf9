"""How a value is shown by a room above its own, which it cannot import: the package says here who shows what.

It stands below all rooms and imports nothing, because importing the package does.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# By the name of a class, what shows its values: "module:function", which is imported when one is shown.
FORMATTERS: dict[str, str] = {}


class Shown:
    """A result that shows its table as the last line of a notebook's cell."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        table: str = shown(self)
        return table


def shown(value: object) -> "Any":
    """A value as a notebook's cell shows it."""
    from importlib import import_module

    module, _, function = FORMATTERS[type(value).__name__].partition(":")
    return getattr(import_module(module), function)(value)
