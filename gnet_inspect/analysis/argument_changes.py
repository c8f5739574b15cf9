"""What makes two layers or two uses of a block differ, argument by argument."""

from collections.abc import Iterable
from typing import NamedTuple

from gnet_inspect.graph import Group
from gnet_inspect.graph.nodes import Template
from gnet_inspect.ops import Op

# Stands for the value of an argument that one of the two does not have.
MISSING = object()
_NO_TEMPLATE = Template({}, {})


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
            return f"{word} {self.name} {self._show(value)}"
        return f"{self.name} {self._show(self.old)} -> {self._show(self.new)}"

    def _show(self, value: object) -> str:
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


class Templates:
    """Knows of two templates which defaults differ: it is worked out once for all blocks that were made of them."""

    def __init__(self) -> None:
        # By the ids of the two, which are kept with it.
        self._found: dict[tuple[int, int], tuple[Template, Template, tuple[str, ...]]] = {}

    def changed(self, old: Template, new: Template) -> tuple[str, ...]:
        key = id(old), id(new)
        if key not in self._found:
            names = (name for name, value in old.defaults.items() if new.defaults.get(name, MISSING) != value)
            self._found[key] = old, new, tuple(names)
        return self._found[key][2]


def changes_of_group(old: Group, new: Group, templates: Templates) -> list[ArgumentChange]:
    """The arguments in which two uses of a block differ; a default of a parameter only one template has is none."""
    before, after = ({argument.name: argument.value for argument in group.arguments} for group in (old, new))
    old_template, new_template = old.template or _NO_TEMPLATE, new.template or _NO_TEMPLATE
    changes = []
    names = [*before, *after, *templates.changed(old_template, new_template)]
    for name in _names(names, old_template, new_template):
        old_value = before.get(name, old_template.defaults.get(name, MISSING))
        new_value = after.get(name, new_template.defaults.get(name, MISSING))
        silent = name not in before and name not in after
        if old_value != new_value and not (MISSING in (old_value, new_value) and silent):
            changes.append(ArgumentChange(name, old_value, new_value, of_block=True))
    return changes


def _names(names: Iterable[str], old: Template, new: Template) -> list[str]:
    """Each of the names once, in the order of the template before, then of that after."""
    last = len(old.places)
    return sorted(set(names), key=lambda name: (old.places.get(name, last), new.places.get(name, -1)))


def explains(given: Iterable[ArgumentChange], change: ArgumentChange) -> bool:
    """Whether the arguments given to a block account for a change inside it: both its values are among theirs."""
    olds, news = set(), set()
    for argument in given:
        olds |= _elements(argument.old)
        news |= _elements(argument.new)
    return str(change.old) in olds and str(change.new) in news


def _elements(value: object) -> set[str]:
    return {str(value), *(map(str, value) if isinstance(value, tuple) else ())}
