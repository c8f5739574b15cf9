"""A network as a person writes one: sequences of named steps, blocks with parameters, branches, stages.

A Graph becomes a Program once; a spec and a torch module in Python are two spellings of it. Nothing here knows either.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from gnet_inspect.graph import Value


class Term(NamedTuple):
    """What an argument is inside a block: a parameter, or an element of one, or that times or divided by a number."""

    name: str
    element: int | None = None
    # "*", "//" or "+", and the number behind it.
    operator: str = ""
    number: int = 0


class Layer:
    """A layer by its kind, which in a block may be a parameter, with all its arguments; `node` is its name in the
    graph, `family` what its kind is of."""

    __slots__ = ("arguments", "family", "kind", "node")

    def __init__(self, kind: "str | Term", arguments: dict[str, Any], node: str, family: str) -> None:
        self.kind, self.arguments, self.node, self.family = kind, arguments, node, family


class Join:
    """Where branches meet: concat, add, mul or matmul. A branch is a sequence, or the name of a value."""

    __slots__ = ("arguments", "branches", "kind", "node")

    def __init__(self, kind: str, arguments: dict[str, Any], branches: "list[Sequence | str]", node: str) -> None:
        self.kind, self.arguments, self.branches, self.node = kind, arguments, branches, node


class Share:
    """A layer or block that runs again, by its name in the same sequence."""

    __slots__ = ("name", "node")

    def __init__(self, name: str, node: str) -> None:
        self.name, self.node = name, node


class Scope:
    """A module with modules inside: of its own class, or a list. `values` are, by the names of its parameters, what
    it reads beside what comes before it."""

    __slots__ = ("body", "kind", "path", "values")

    def __init__(self, path: str, kind: str, body: "Sequence", values: dict[str, str]) -> None:
        self.path, self.kind, self.body, self.values = path, kind, body, values

    @property
    def is_list(self) -> bool:
        """Whether its members are numbered."""
        return is_list(self.body)


def is_list(sequence: "Sequence") -> bool:
    """Whether steps are numbered, one after the other."""
    names = [step.name for step in sequence]
    if not names or not names[0].isdigit():
        return False
    first = int(names[0])
    return names == [str(number) for number in range(first, first + len(names))]


class Use:
    """A block, with an argument for each of its parameters."""

    __slots__ = ("arguments", "block", "path")

    def __init__(self, block: "Block", arguments: dict[str, Any], path: str) -> None:
        self.block, self.arguments, self.path = block, arguments, path


class Step:
    """One line of a sequence. `reads` are the names of the values it reads, None where that is the one before it;
    `when` is the flag of a block without which it is not there."""

    __slots__ = ("body", "name", "reads", "spelt", "when")

    def __init__(self, name: str, body: "Body", reads: tuple[str, ...] | None = None, when: str = "") -> None:
        self.name, self.body, self.reads, self.when = name, body, reads, when
        # Its text, once somebody has spelt it: a step lies in as many pieces of text as it is deep.
        self.spelt: str | None = None


Body: TypeAlias = Layer | Join | Share | Scope | Use
Sequence: TypeAlias = list[Step]


class Parameter(NamedTuple):
    """A parameter of a block: its name, and its default, which is REQUIRED where each use says it."""

    name: str
    default: Any


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


class Block:
    """A sequence with parameters, under a name; `kind` is the class of its scopes, where they have one, `values` are
    those of its parameters that are values which come in beside the one before it."""

    __slots__ = ("body", "kind", "name", "parameters", "uses", "values")

    def __init__(
        self,
        name: str,
        parameters: list[Parameter],
        body: Sequence,
        uses: int,
        kind: str = "",
        values: tuple[str, ...] = (),
    ) -> None:
        self.name, self.parameters, self.body, self.uses = name, parameters, body, uses
        self.kind, self.values = kind, values

    @property
    def is_list(self) -> bool:
        """Whether its members are numbered."""
        return is_list(self.body)


class Stage(NamedTuple):
    """A run of the outermost steps, under a name for people."""

    name: str
    steps: Sequence


class Head(NamedTuple):
    """An auxiliary classifier: what it reads, its weight in the loss, where it is known, and its layers."""

    name: str
    reads: str
    weight: float | None
    steps: Sequence


class Program(NamedTuple):
    """A whole network. `outputs` are the names of what it returns, by theirs, where that is not the last value alone;
    `renamed` are the paths of layers that could not keep theirs, with those they have now."""

    name: str
    inputs: tuple[Value, ...]
    outputs: dict[str, str]
    parameters: dict[str, Any]
    # Inner ones first.
    blocks: list[Block]
    stages: list[Stage]
    heads: list[Head]
    renamed: dict[str, str]


def branches_in(step: Step) -> list[Sequence]:
    """The branches of a join that are sequences of their own; none of any other step."""
    body = step.body
    return [branch for branch in body.branches if not isinstance(branch, str)] if isinstance(body, Join) else []


def steps_of(sequence: Sequence) -> Iterator[Step]:
    """All steps of a sequence and of its branches, those of inner scopes left out."""
    for step in sequence:
        for branch in branches_in(step):
            yield from steps_of(branch)
        yield step


def all_steps_of(sequence: Sequence) -> Iterator[Step]:
    """The same with those of the scopes inside, each behind its scope's own step."""
    for step in steps_of(sequence):
        yield step
        if isinstance(step.body, Scope):
            yield from all_steps_of(step.body.body)


def names_read(step: Step) -> Iterator[str]:
    """The names of the values that a step reads by them, those inside of a scope or a branch left out."""
    yield from step.reads or ()
    body = step.body
    if isinstance(body, Join):
        yield from (branch for branch in body.branches if isinstance(branch, str))
    elif isinstance(body, Scope):
        yield from body.values.values()
    elif isinstance(body, Use):
        yield from (str(body.arguments[name]) for name in body.block.values)
