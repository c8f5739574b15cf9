"""What makes two layers or two uses of a block differ, argument by argument."""

from collections.abc import Iterable
from typing import NamedTuple

from gnet_inspect.graph import Group
from gnet_inspect.ops import Op

# Stands for the value of an argument that one of the two does not have.
MISSING = object()


class ArgumentChange(NamedTuple):
    """An argument with its values before and after; MISSING where the template has no such parameter."""

    name: str
    old: object
    new: object
    # Arguments of a block print as its title does ("96-128"), those of a layer as tables do ("1x7").
    of_block: bool = False

    @property
    def text(self) -> str:
        """ "kernel_size 1x7 -> 3", "c2 96-128 -> 96-96"."""
        if self.old is MISSING or self.new is MISSING:
            value, word = (self.new, "with") if self.old is MISSING else (self.old, "without")
            return f"{word} {self.name} {self._shown(value)}"
        return f"{self.name} {self._shown(self.old)} -> {self._shown(self.new)}"

    def _shown(self, value: object) -> str:
        if isinstance(value, tuple) and self.of_block:
            return "-".join(map(_plain, value))
        if isinstance(value, tuple) and len(value) == 2:
            return _plain(value[0]) if value[0] == value[1] else "x".join(map(_plain, value))
        if isinstance(value, tuple):
            return f"[{', '.join(map(_plain, value))}]"
        return _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def changes_of_op(old: Op, new: Op) -> list[ArgumentChange]:
    """The arguments in which two layers of one kind differ."""
    return [
        ArgumentChange(name, getattr(old, name), getattr(new, name))
        for name in old.__struct_fields__
        if getattr(old, name) != getattr(new, name)
    ]


def changes_of_group(old: Group, new: Group) -> list[ArgumentChange]:
    """The arguments in which two uses of a block differ; a default of a parameter only one template has is none."""
    before, after = ({argument.name: argument for argument in group.arguments} for group in (old, new))
    changes = []
    for name in dict.fromkeys([*before, *after]):
        old_value, new_value = (side[name].value if name in side else MISSING for side in (before, after))
        silent = all(name not in side or side[name].is_default for side in (before, after))
        if old_value != new_value and not (MISSING in (old_value, new_value) and silent):
            changes.append(ArgumentChange(name, old_value, new_value, of_block=True))
    return changes


def explains(given: Iterable[ArgumentChange], change: ArgumentChange) -> bool:
    """Whether the arguments given to a block account for a change inside it: both its values are among theirs."""
    olds, news = set(), set()
    for argument in given:
        olds |= _elements(argument.old)
        news |= _elements(argument.new)
    return str(change.old) in olds and str(change.new) in news


def _elements(value: object) -> set[str]:
    return {str(value), *(map(str, value) if isinstance(value, tuple) else ())}
