"""How what is no Graph becomes one, by a room above that of whoever needs it: the package says here which does it.

It stands below all rooms and imports nothing, because importing the package does.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# By the full name of a class, what makes a Graph of its values and of what they are called with: "module:function",
# which is imported when one comes.
CONVERTERS: dict[str, str] = {}


def converted(value: object, inputs: object) -> "Any":
    """The Graph of a value that has one; the value itself where nothing makes one of it."""
    for kind in type(value).__mro__:
        found = CONVERTERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if found is not None:
            from importlib import import_module

            module, _, function = found.partition(":")
            return getattr(import_module(module), function)(value, inputs)
    return value
