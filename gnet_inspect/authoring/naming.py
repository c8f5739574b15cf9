"""What blocks and their parameters are called: as a person would, from the names there are."""

import re
from typing import NamedTuple

from gnet_inspect.authoring.program import Join, Layer, Scope, Sequence, steps_of
from gnet_inspect.ops import VOCABULARY
from gnet_inspect.spelling import free_name

# What an argument is called where it is a parameter.
SHORT = {
    "out_channels": "out",
    "out_features": "out",
    "num_features": "in_channels",
    "num_channels": "in_channels",
    "normalized_shape": "width",
    "embed_dim": "width",
    "channels": "width",
    "size0": "width",
    "kernel_size": "kernel",
    "num_heads": "heads",
    "negative_slope": "slope",
    "layer": "act",
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# A step of no meaning of its own: numbered, or called after its layer.
_PLAIN = re.compile(r"\d+|(conv|bn|norm|relu|act|fc|linear|pool|lin|block|layer|layers)[_\d]*")


# What joins are called, of which no argument is called after.
_JOINS = ("cat", "sum", "scaled", "joined", "product", "output", "add", "mul", "concat", "matmul")


class Named(NamedTuple):
    """What a parameter is for: the steps that its argument lies below, the layer's kind, and the argument; `is_base`:
    others are multiples of it; `is_inner`: what the block gives has the width of what comes in; `is_told`: layers are
    told that one, too."""

    path: tuple[str, ...]
    kind: str
    key: str
    is_base: bool = False
    is_inner: bool = False
    is_told: bool = False


def block_name(steps: list[str], scope: Scope, body: Sequence, taken: set[str]) -> str:
    """A block's name: its class's in small letters; of a list what is in it, or what all its uses are called. One more
    of the same class is called after the join at its end too, or by a number."""
    name = _plain_name(steps, scope)
    if name in taken and isinstance(body[-1].body, Join):
        name = f"{name}_{body[-1].name}"
    return free_name(name, taken)


def _plain_name(steps: list[str], scope: Scope) -> str:
    if scope.kind:
        name = "_".join(_CAMEL.sub(" ", re.sub(r"\W", "", scope.kind)).lower().split()).strip("_") or "block"
        return name if not name[0].isdigit() else f"block_{name}"
    body = scope.body
    families = [step.body.family for step in body if isinstance(step.body, Layer)]
    if len(set(steps)) == 1 and not (steps[0].isdigit() or (len(steps) > 1 and _PLAIN.fullmatch(steps[0]))):
        return steps[0].replace("-", "_")
    common = re.sub(r"[\d_-]+\Z", "", common_beginning(steps))
    if len(common) > 2 and not _PLAIN.fullmatch(common):
        return common.replace("-", "_")
    if len(families) == len(body) <= 3 and families[0] == "convolution" and len(families) > 1:
        return "conv" if families[-1] == "activation" else f"conv_{families[-1][:4]}"
    return "layers"


def common_beginning(names: list[str]) -> str:
    """What all names begin with."""
    found = names[0] if names else ""
    for name in names[1:]:
        while not name.startswith(found):
            found = found[:-1]
    return found


def name_parameters(columns: list[Named]) -> list[str]:
    """A name for each, all different."""
    wanted = [_wanted(column) for column in columns]
    found: list[str] = []
    for place, (name, column) in enumerate(zip(wanted, columns, strict=True)):
        told_apart = name
        if wanted.count(name) > 1 and column.kind != "when":
            is_last = name not in wanted[place + 1 :]
            told_apart = _with_step(name, column, is_last=is_last, count=wanted.count(name))
        found.append(free_name(re.sub(r"\W", "_", told_apart), found))
    return found


def _wanted(column: Named) -> str:
    """What a parameter is called where it is the only one of its sort."""
    if column.kind == "when":
        return _flag(column)
    if column.is_base:
        return "width"
    if column.kind not in VOCABULARY and column.key in ("mid", "width") and not column.is_told:
        # Of a block in a numbered place its name tells more.
        return column.kind.partition("_")[0]
    name = SHORT.get(column.key, column.key)
    return "mid" if name == "out" and column.is_inner else name


def _flag(column: Named) -> str:
    step = column.path[-1]
    return step if not step.isdigit() else f"with_{'_'.join(column.path)}"


def _with_step(name: str, column: Named, *, is_last: bool, count: int) -> str:
    """A parameter's name, told apart from others of the same argument by its step."""
    step = next((step for step in reversed(column.path) if not _PLAIN.fullmatch(step)), "")
    if name == "out":
        if is_last:
            return "out"
        if step and step not in _JOINS:
            return step
        return "mid" if count == 2 else "width"
    plain = step or next((step for step in reversed(column.path) if not step.isdigit()), "")
    return f"{plain}_{name}" if plain and not is_last else name


def name_widths(paths: list[tuple[str, ...]], body: Sequence) -> list[tuple[str, int | None]] | None:
    """Names for the widths of a block of several branches: c1, c2, ... by branch, and where in it; None where there are
    no such branches."""
    join = next((step for step in steps_of(body) if isinstance(step.body, Join) and len(step.body.branches) > 2), None)
    if join is None or len(paths) < 2:
        return None
    branches: list[int] = []
    for path in paths:
        if len(path) < 2 or path[0] != join.name or not path[1].isdigit():
            return None
        branches.append(int(path[1]))
    found: list[tuple[str, int | None]] = []
    for place, branch in enumerate(branches):
        several = branches.count(branch) > 1
        found.append((f"c{branch + 1}", branches[:place].count(branch) if several else None))
    return found
