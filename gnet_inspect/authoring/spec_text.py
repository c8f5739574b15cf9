"""Program -> the text of a spec, as a person would write it: short things on one line, repeats as one."""

import json
import re
from collections.abc import Callable
from typing import Any

from gnet_inspect.authoring.program import (
    REQUIRED,
    Block,
    Join,
    Layer,
    Program,
    Scope,
    Sequence,
    Share,
    Step,
    Term,
    Use,
    is_list,
)
from gnet_inspect.authoring.words import shortest
from gnet_inspect.ops import MERGES, VOCABULARY, Op

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_$][\w$./*-]*( (//|\*) [\w$.]+)?\Z")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "nan", "inf"}


def spec_text(program: Program, comment: str = "") -> str:
    """The spec of a program; `comment` are lines that stand above it."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines.append(f"name: {_scalar(program.name)}")
    if len(program.inputs) == 1 and program.inputs[0].dtype == "float" and program.inputs[0].name == "input":
        lines.append(f"input: {_value(list(program.inputs[0].shape[1:]))}")
    else:
        lines.append(f"inputs: {_inputs(program)}")
    if program.outputs:
        lines.append(f"outputs: {_mapping(program.outputs)}")
    if program.parameters:
        lines.append(f"params: {_mapping(program.parameters)}")
    if program.blocks:
        lines += ["", "blocks:"]
        for block in program.blocks:
            lines += _block(block)
    lines += ["", "stages:"]
    for stage in program.stages:
        lines += _key(_scalar(stage.name), _Body(stage.steps, is_list=False), 2)
    if program.heads:
        lines += ["", "heads:"]
    for head in program.heads:
        lines += [f"  {_name(head.name)}:", f"    from: {_name(head.reads)}"]
        if head.weight is not None:
            lines.append(f"    weight: {_value(head.weight)}")
        lines += _key("layers", _Body(head.steps, is_list=is_list(head.steps)), 4)
    return "\n".join(lines) + "\n"


def _inputs(program: Program) -> str:
    found = {}
    for value in program.inputs:
        shape = list(value.shape[1:])
        found[value.name] = shape if value.dtype == "float" else {"shape": shape, "dtype": value.dtype}
    return _mapping(found)


def _block(block: Block) -> list[str]:
    lines = [f"  {block.name}:"]
    required = [item.name for item in block.parameters]
    if required:
        lines.append(f"    params: [{', '.join(required)}]")
    defaults = {item.name: item.default for item in block.parameters if item.default is not REQUIRED}
    if defaults:
        lines.append(f"    defaults: {_mapping(defaults)}")
    return [*lines, *_key("layers", _Body(block.body, is_list=block.is_list), 4)]


# --- bodies ---


class _Body:
    """A sequence that is to be written: as a list, or by names."""

    def __init__(self, steps: Sequence, *, is_list: bool) -> None:
        self.steps, self.is_list = steps, is_list


def _key(name: str, value: "str | _Body | _Branches", indent: int) -> list[str]:
    """`name: value`, on one line where it fits."""
    before = f"{' ' * indent}{name}:"
    flow = value if isinstance(value, str) else value_flow(value)
    if len(before) + len(flow) + 1 <= WIDTH and not _is_long(value):
        return [f"{before} {flow}"]
    return [before, *_lines(value, indent + 2)]


def _is_long(value: object) -> bool:
    """Whether something is written line by line although it fits: more than two steps, of which some are no plain
    word."""
    if isinstance(value, _Body):
        flow = value_flow(value)
        return (len(value.steps) > 2 and (len(flow) > 70 or flow.count("{") > 3)) or len(flow) > WIDTH - 20
    return isinstance(value, _Branches) and len(value_flow(value)) > 60


class _Branches:
    """The branches of a join."""

    def __init__(self, join: Join) -> None:
        self.join = join
        self.arguments = _given(join.arguments, MERGES[join.kind])

    def parts(self) -> list["str | _Body"]:
        return [
            _name(branch) if isinstance(branch, str) else _Body(branch, is_list=False) if branch else "{}"
            for branch in self.join.branches
        ]


def value_flow(value: "str | _Body | _Branches") -> str:
    """Something on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, _Branches):
        branches = "[" + ", ".join(value_flow(part) for part in value.parts()) + "]"
        if not value.arguments:
            return f"{{{value.join.kind}: {branches}}}"
        return f"{{{value.join.kind}: {_with(value.arguments, branches)}}}"
    if value.is_list:
        return "[" + ", ".join(_repeated(value.steps, _step_flow)) + "]"
    return "{" + ", ".join(f"{_name(step.name)}: {_step_flow(step)}" for step in value.steps) + "}"


def _with(arguments: dict[str, Any], branches: str) -> str:
    return (
        "{"
        + ", ".join([*(f"{name}: {_value(item)}" for name, item in arguments.items()), f"branches: {branches}"])
        + "}"
    )


def _step_flow(step: Step) -> str:
    """What stands behind a step's name, on one line."""
    if step.spelt is None:
        step.spelt = _spelt(step)
    return step.spelt


def _spelt(step: Step) -> str:
    body = step.body
    beside = _beside(step)
    if isinstance(body, Scope):
        text = value_flow(_Body(body.body, is_list=True))
    elif isinstance(body, Join):
        text = value_flow(_Branches(body))
    else:
        text = _call(body)
    if not beside:
        return text
    if not text.startswith("{"):
        text = f"{{{text}: {{}}}}" if not text.startswith("$") else text
    return text[:-1] + "".join(f", {part}" for part in beside) + "}"


def _beside(step: Step) -> list[str]:
    found = []
    if step.reads:
        names = [_name(name) for name in step.reads]
        found.append(f"from: {names[0] if len(names) == 1 else '[' + ', '.join(names) + ']'}")
    if step.when:
        found.append(f"when: ${step.when}")
    return found


def _call(body: Layer | Share | Use) -> str:
    if isinstance(body, Share):
        return f"{{share: {_name(body.name)}}}"
    if isinstance(body, Use):
        defaults = {item.name: item.default for item in body.block.parameters}
        given = {name: value for name, value in body.arguments.items() if defaults.get(name, REQUIRED) != value}
        order = [item.name for item in body.block.parameters if item.name in given]
        given = {name: given[name] for name in order}
        return f"{{{body.block.name}: {_mapping(given)}}}" if given else body.block.name
    if isinstance(body.kind, Term):
        return _value(body.kind)
    given = _given(body.arguments, VOCABULARY[body.kind])
    return f"{{{body.kind}: {_mapping(given)}}}" if given else body.kind


def _given(arguments: dict[str, Any], op: type[Op]) -> dict[str, Any]:
    """The arguments that are no defaults."""
    defaults = {name: shortest(item.kind, item.default) for name, item in op.parameters().items()}
    return {name: value for name, value in arguments.items() if isinstance(value, Term) or value != defaults.get(name)}


# --- lines ---


def _lines(value: "str | _Body | _Branches", indent: int) -> list[str]:
    if isinstance(value, str):
        return [" " * indent + value]
    if isinstance(value, _Branches):
        return _join_lines(value, indent)
    if value.is_list:
        found = []
        for text in _repeated(value.steps, lambda step: "\n".join(_item(step, indent))):
            found += text.split("\n") if text.startswith(" ") else _long_item(text, indent)
        return found
    return [line for step in value.steps for line in _named_step(step, indent)]


def _named_step(step: Step, indent: int) -> list[str]:
    name = _name(step.name)
    if isinstance(step.body, Join):
        return _key(name, _Branches(step.body), indent)
    if isinstance(step.body, Scope) and not step.when and not step.reads:
        return _key(name, _Body(step.body.body, is_list=True), indent)
    flow = _step_flow(step)
    if len(flow) + indent + len(name) + 2 <= WIDTH or not isinstance(step.body, Layer):
        return [f"{' ' * indent}{name}: {flow}"]
    return (
        [f"{' ' * indent}{name}:", f"{' ' * (indent + 2)}{flow[1:-1]}"]
        if not _beside(step)
        else [f"{' ' * indent}{name}: {flow}"]
    )


def _item(step: Step, indent: int) -> list[str]:
    """A member of a list."""
    if isinstance(step.body, Scope) and not step.when and not step.reads:
        body = _Body(step.body.body, is_list=True)
        if len(value_flow(body)) + indent + 2 > WIDTH or _is_long(body):
            inner = _lines(body, indent + 2)
            return [f"{' ' * indent}- {inner[0].lstrip()}", *inner[1:]]
    return _long_item(_step_flow(step), indent)


def _long_item(flow: str, indent: int) -> list[str]:
    """A member of a list; of one that is too long for a line, what is in it on the next one."""
    line = f"{' ' * indent}- {flow}"
    key, colon, inside = flow[1:-1].partition(": ")
    if len(line) <= WIDTH or not colon or not inside.startswith("{") or not _is_one(inside):
        return [line]
    return [f"{' ' * indent}- {key}:", f"{' ' * (indent + 4)}{inside}"]


def _is_one(flow: str) -> bool:
    """Whether a piece is one mapping from its first to its last character."""
    depth = 0
    for place, sign in enumerate(flow):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return place == len(flow) - 1
    return False


def _join_lines(value: _Branches, indent: int) -> list[str]:
    lines = [f"{' ' * indent}{value.join.kind}:"]
    if value.arguments:
        lines += [f"{' ' * (indent + 2)}{name}: {_value(item)}" for name, item in value.arguments.items()]
        lines.append(f"{' ' * (indent + 2)}branches:")
        indent += 2
    for part in value.parts():
        flow = value_flow(part)
        if isinstance(part, str):
            lines.append(f"{' ' * (indent + 2)}- {flow}")
        elif len(part.steps) == 1 and len(flow) + indent + 4 <= WIDTH:
            lines.append(f"{' ' * (indent + 2)}- {flow[1:-1]}")
        else:
            inner = _lines(part, indent + 4)
            lines += [f"{' ' * (indent + 2)}- {inner[0].lstrip()}", *inner[1:]]
    return lines


def _repeated(steps: Sequence, written: Callable[[Step], str]) -> list[str]:
    """The members of a list, equal neighbours as one repeat."""
    found: list[str] = []
    place = 0
    while place < len(steps):
        flow = _step_flow(steps[place])
        end = place
        while end < len(steps) and _step_flow(steps[end]) == flow:
            end += 1
        times = end - place
        if times > 1 and (times > 2 or "{" in flow):
            found.append(f"{{repeat: {{times: {times}, layer: {flow}}}}}")
        else:
            found += [written(step) for step in steps[place:end]]
        place = end
    return found


# --- scalars ---


def _mapping(values: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_value(value)}" for name, value in values.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, Term):
        name = f"${value.name}" if value.element is None else f"${value.name}.{value.element}"
        return f"{name} {value.operator} {value.number}" if value.operator else name
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    return _name(str(value))


def _name(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text)
