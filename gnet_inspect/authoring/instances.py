"""All places where a program's blocks are used, with what each is given: a block in a block is in as many as that."""

from typing import Any, NamedTuple

from gnet_inspect.authoring.program import Program, Scope, Sequence, Term, Use, branches_in


class Instance(NamedTuple):
    """One use of a block: its path, and the values of its parameters."""

    path: str
    given: dict[str, Any]


def instances_of(program: Program) -> dict[str, list[Instance]]:
    """The instances of each block, by its name."""
    found: dict[str, list[Instance]] = {block.name: [] for block in program.blocks}
    for stage in program.stages:
        _gather(stage.steps, "", dict(program.parameters), found)
    return found


def _gather(sequence: Sequence, prefix: str, given: dict[str, Any], found: dict[str, list[Instance]]) -> None:
    for step in sequence:
        body = step.body
        path = f"{prefix}{step.name}"
        if step.when and not given.get(step.when, True):
            continue
        for branch in branches_in(step):
            _gather(branch, prefix, given, found)
        if isinstance(body, Scope):
            _gather(body.body, f"{path}.", given, found)
        elif isinstance(body, Use):
            values = {name: evaluated(value, given) for name, value in body.arguments.items()}
            found[body.block.name].append(Instance(path, values))
            _gather(body.block.body, f"{path}.", values, found)


def evaluated(value: Any, given: dict[str, Any]) -> Any:
    """The value of an argument where a block's parameters have theirs."""
    if not isinstance(value, Term):
        return value
    found = given[value.name]
    if value.element is not None:
        found = found[value.element]
    if value.operator == "*":
        return found * value.number
    if value.operator == "//":
        return found // value.number
    return found + value.number if value.operator == "+" else found
