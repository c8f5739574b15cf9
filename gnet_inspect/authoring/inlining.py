"""A program with lists that stand in one place alone written where they stand, rather than as blocks of their own."""

from collections import Counter
from typing import Any

from gnet_inspect.authoring.instances import evaluated
from gnet_inspect.authoring.program import (
    Block,
    Layer,
    Program,
    Scope,
    Sequence,
    Step,
    Term,
    Use,
    all_steps_of,
    steps_of,
)


class _NotInlineError(Exception):
    """A block whose arguments cannot be put into its body."""


def inlined(program: Program) -> Program:
    """A program whose numbered lists of plain layers are blocks only where several places use them."""
    _tell_classes(program)
    counted: Counter[str] = Counter()
    bodies = [*(block.body for block in program.blocks), *(stage.steps for stage in program.stages)]
    for body in bodies:
        counted.update(use.block.name for use in _uses(body))
    gone = {block.name for block in program.blocks if counted[block.name] == 1 and _is_list(block)}
    for body in bodies:
        gone -= _put(body, gone)
    return program._replace(blocks=[block for block in program.blocks if block.name not in gone])


def _tell_classes(program: Program) -> None:
    """Where a parameter of the whole network is read inside a block: its value, for a class knows its own alone."""
    for block in program.blocks:
        own = {item.name for item in block.parameters}
        given = {name: value for name, value in program.parameters.items() if name not in own}
        for step in steps_of(block.body):
            body = step.body
            if isinstance(body, Layer):
                body.arguments.update(
                    (name, evaluated(value, given))
                    for name, value in body.arguments.items()
                    if isinstance(value, Term) and value.name in given
                )


def _uses(sequence: Sequence) -> list[Use]:
    return [step.body for step in all_steps_of(sequence) if isinstance(step.body, Use)]


def _is_list(block: Block) -> bool:
    plain = all(isinstance(step.body, Layer) and not step.when and not step.reads for step in block.body)
    return not block.kind and block.is_list and plain and not block.values


def _put(sequence: Sequence, names: set[str]) -> set[str]:
    """Put blocks where they are used; the names of those that cannot be."""
    left: set[str] = set()
    for step in steps_of(sequence):
        body = step.body
        if isinstance(body, Scope):
            left |= _put(body.body, names)
        elif isinstance(body, Use) and body.block.name in names:
            try:
                if step.when:
                    raise _NotInlineError
                steps = [_filled(inner, body.arguments) for inner in body.block.body]
            except _NotInlineError:
                left.add(body.block.name)
                continue
            step.body = Scope(body.path, "", steps, {})
    return left


def _filled(step: Step, given: dict[str, Any]) -> Step:
    layer = step.body
    assert isinstance(layer, Layer)
    arguments = {name: _value(value, given) for name, value in layer.arguments.items()}
    return Step(step.name, Layer(_value(layer.kind, given), arguments, layer.node, layer.family))


def _value(value: Any, given: dict[str, Any]) -> Any:
    if not isinstance(value, Term):
        return value
    found = given[value.name]
    if value.element is not None:
        if isinstance(found, Term):
            raise _NotInlineError
        found = found[value.element]
    if not value.operator:
        return found
    if not isinstance(found, Term):
        return evaluated(value._replace(element=None), {value.name: found})
    if found.operator:
        raise _NotInlineError
    return found._replace(operator=value.operator, number=value.number)
