"""Scopes of one class -> a block with parameters: what differs between them is what each use says.

Scopes that have the same steps, or whose steps are there in some and not in others (`when`), are one block. For each
argument the values over all uses are a column: where they are all the same it is written in the block; a column that
another parameter gives (equal, a multiple, a part) is that; any other is a parameter.
"""

from collections.abc import Callable, Iterator
from typing import Any

from gnet_inspect.authoring.naming import Named, block_name, name_parameters, name_widths
from gnet_inspect.authoring.program import (
    REQUIRED,
    Block,
    Join,
    Layer,
    Parameter,
    Scope,
    Sequence,
    Share,
    Step,
    Term,
    Use,
    all_steps_of,
    names_read,
    steps_of,
)
from gnet_inspect.authoring.words import SIZES, SPEC, Words
from gnet_inspect.ops import VOCABULARY

# A list that stands in no more places is written where it stands.
FEW_PLACES = 2
# So many flags a block may have: more is another block.
MOST_FLAGS = 3


class _Absent:
    """The value of an argument whose layer a use does not have."""


ABSENT: Any = _Absent()


class _UnlikeError(Exception):
    """Scopes that are no uses of one block."""


class Column:
    """An argument of a block's body over all its uses: `path` are the steps it lies below, `kind` its layer's."""

    __slots__ = ("key", "kind", "path", "values")

    def __init__(self, path: tuple[str, ...], kind: str, key: str, values: list[Any]) -> None:
        self.path, self.kind, self.key, self.values = path, kind, key, values

    def is_constant(self) -> bool:
        """Whether it is the same in all uses that have it."""
        there = self.present()
        return all(value == there[0] for value in there)

    def present(self) -> list[Any]:
        """The values of the uses that have it."""
        return [value for value in self.values if value is not ABSENT]


def find_blocks(sequences: list[Sequence], words: Words = SPEC) -> list[Block]:
    """The blocks of a network, inner ones first; its scopes become uses of them, and lists that stay are left.

    `sequences` are its outermost one, and those of its heads.
    """
    finder = _Finder(words)
    groups: dict[str, list[tuple[Step, Scope]]] = {}
    for root in sequences:
        # A branch that is a name could be either.
        finder.names.update(name for step in all_steps_of(root) for name in names_read(step))
        for key, found in finder.groups(root).items():
            groups.setdefault(key, []).extend(found)
    blocks: list[Block] = []
    for key in _inner_first(groups):
        blocks += finder.blocks_of(groups[key])
    return blocks


class _Finder:
    """One network whose scopes are being recognised."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.names: set[str] = set(VOCABULARY)

    def groups(self, root: Sequence) -> dict[str, list[tuple[Step, Scope]]]:
        """All scopes below the root, by what may make them uses of one block."""
        found: dict[str, list[tuple[Step, Scope]]] = {}
        for step, scope, depth in _scopes(root, 0):
            if scope.is_list and not (scope.kind or scope.values or step.reads or depth):
                # A list of the network itself is cut into stages.
                continue
            found.setdefault(_key(scope), []).append((step, scope))
        return found

    def blocks_of(self, scopes: list[tuple[Step, Scope]]) -> list[Block]:
        """Make uses of scopes that are alike."""
        kinds: list[list[tuple[Step, Scope]]] = []
        exact: dict[str, list[tuple[Step, Scope]]] = {}
        for pair in scopes:
            exact.setdefault(_skeleton(pair[1]), []).append(pair)
        for alike in exact.values():
            for others in kinds:
                try:
                    _merged([*(scope for _, scope in others), alike[0][1]], self.words)
                except _UnlikeError:
                    continue
                others.extend(alike)
                break
            else:
                kinds.append(list(alike))
        return [self._block(alike) for alike in kinds if not _stays_list(alike)]

    def _block(self, alike: list[tuple[Step, Scope]]) -> Block:
        # In the order in which they run, so that uses are told apart as people meet them.
        scopes = [scope for _, scope in alike]
        body, columns = _merged(scopes, self.words)
        name = block_name([step.name for step, _ in alike], scopes[0], body, self.names)
        self.names.add(name)
        parameters, arguments = _Parameters(columns, len(scopes), body, self.words).found()
        given = [Parameter(value, REQUIRED) for value in scopes[0].values]
        block = Block(name, [*parameters, *given], body, len(scopes), scopes[0].kind, tuple(scopes[0].values))
        for (step, scope), values in zip(alike, arguments, strict=True):
            step.body = Use(block, values | scope.values, scope.path)
        return block


def _key(scope: Scope) -> str:
    return scope.kind or _skeleton(scope)


def _inner_first(groups: dict[str, list[tuple[Step, Scope]]]) -> list[str]:
    """Keys in an order in which each comes behind those of the scopes inside of its own."""
    order: dict[str, None] = {}
    seen: set[str] = set()

    def visit(key: str) -> None:
        if key in seen:
            return
        seen.add(key)
        for _, scope in groups[key]:
            for key_of_inner in dict.fromkeys(_key(inner) for inner in _right_below(scope.body)):
                if key_of_inner in groups:
                    visit(key_of_inner)
        order[key] = None

    # Keys of lists are the words they have now: they are asked before anything becomes a use.
    for key in groups:
        visit(key)
    return list(order)


def _scopes(sequence: Sequence, depth: int) -> Iterator[tuple[Step, Scope, int]]:
    """All scopes below a sequence, outer ones first, each with its step and how many others it lies in."""
    for step in steps_of(sequence):
        if isinstance(step.body, Scope):
            yield step, step.body, depth
            yield from _scopes(step.body.body, depth + 1)


def _right_below(sequence: Sequence) -> Iterator[Scope]:
    """The scopes of a sequence, those inside of them left out."""
    for step in steps_of(sequence):
        if isinstance(step.body, Scope):
            yield step.body


def _stays_list(alike: list[tuple[Step, Scope]]) -> bool:
    """Whether scopes are lists that are written where they stand: few, or of more than plain layers."""
    scope = alike[0][1]
    if not scope.is_list or scope.values or any(step.reads for step, _ in alike):
        return False
    if scope.body[0].name != "0":
        return True
    if scope.kind:
        return len(alike) == 1
    layers = [step.body for step in scope.body if isinstance(step.body, Layer)]
    return len(alike) <= FEW_PLACES or len(layers) < len(scope.body)


# --- what is alike ---


def _word(body: object) -> str:
    """What a step must be to be alike, its arguments left out."""
    if isinstance(body, Layer):
        return "activation" if _is_plain_activation(body) else str(body.kind)
    if isinstance(body, Join):
        branches = ", ".join(branch if isinstance(branch, str) else _words(branch) for branch in body.branches)
        return f"{body.kind}({branches})"
    if isinstance(body, Share):
        return f"share {body.name}"
    if isinstance(body, Use):
        return f"use {body.block.name}"
    assert isinstance(body, Scope)
    return f"{body.kind}{{{_words(body.body)}}}{sorted(body.values)}"


def _words(sequence: Sequence) -> str:
    return "; ".join(f"{step.name} {step.reads or ''} {_word(step.body)}" for step in sequence)


def _skeleton(scope: Scope) -> str:
    return _words(scope.body) + str(sorted(scope.values))


def _is_plain_activation(layer: Layer) -> bool:
    """Whether it is an activation as it is by default, in whose place another may stand."""
    op = VOCABULARY.get(str(layer.kind))
    if op is None or layer.family != "activation":
        return False
    defaults = {name: parameter.default for name, parameter in op.parameters().items()}
    return all(_is_default(name, value, defaults[name]) for name, value in layer.arguments.items())


def _is_default(name: str, value: Any, default: Any) -> bool:
    # Where it may overwrite its input is no matter of what it computes.
    return name == "inplace" or value == default


def _merged(scopes: list[Scope], words: Words) -> tuple[Sequence, list[Column]]:
    """(the steps of the block that all are uses of, whose arguments are columns; the columns)"""
    if len({tuple(scope.values) for scope in scopes}) > 1:
        raise _UnlikeError
    merger = _Merger(words)
    body = merger.sequences([scope.body for scope in scopes], ())
    return body, merger.columns


class _Merger:
    """Bodies of one class being laid over each other; None stands for one that a use does not have."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.columns: list[Column] = []
        self.flags: dict[tuple[bool, ...], None] = {}

    def sequences(self, given: list[Sequence | None], path: tuple[str, ...]) -> Sequence:
        there = [sequence for sequence in given if sequence is not None]
        names = _union([[step.name for step in sequence] for sequence in there])
        by_name = [None if sequence is None else {step.name: step for step in sequence} for sequence in given]
        steps = []
        for position, name in enumerate(names):
            found = [None if known is None else known.get(name) for known in by_name]
            lacking = [known is not None and name not in known for known in by_name]
            if any(lacking) and name.isdigit():
                later = names[position:]
                if any(known is not None and name not in known and any(n in known for n in later) for known in by_name):
                    raise _UnlikeError
            steps.append(self._step(name, found, path, is_optional=any(lacking)))
        return steps

    def _step(self, name: str, found: list[Step | None], path: tuple[str, ...], *, is_optional: bool) -> Step:
        there = [step for step in found if step is not None]
        if len({step.reads for step in there}) > 1 or len({step.when for step in there}) > 1:
            raise _UnlikeError
        bodies = [None if step is None else step.body for step in found]
        step = Step(name, self._body(bodies, (*path, name)), there[0].reads)
        if is_optional:
            if isinstance(step.body, Join | Scope) or not self.words.may_lack(step.body):
                # Without a join its branches would have no place; of a list nothing says whether it is there.
                raise _UnlikeError
            presence = tuple(step is not None for step in found)
            self.flags.setdefault(presence)
            # Steps that stand in each other's place make another block.
            instead = tuple(not there for there in presence)
            if len(self.flags) > MOST_FLAGS or instead in self.flags:
                raise _UnlikeError
            column = Column((*path, name), "when", "when", list(presence))
            self.columns.append(column)
            step.when = column  # type: ignore[assignment]  # until it has its name
        return step

    def _body(self, bodies: list[Any], path: tuple[str, ...]) -> Any:
        there = [body for body in bodies if body is not None]
        first = there[0]
        if any(type(body) is not type(first) for body in there):
            raise _UnlikeError
        if isinstance(first, Layer):
            return self._layer(bodies, there, path)
        if isinstance(first, Join):
            return self._join(bodies, there, path)
        if isinstance(first, Use):
            if len({id(body.block) for body in there}) > 1:
                raise _UnlikeError
            return Use(first.block, self._arguments(bodies, first.block.name, path), first.path)
        if isinstance(first, Scope):
            if len({(body.kind, tuple(body.values.items())) for body in there}) > 1:
                raise _UnlikeError
            inner = [None if body is None else body.body for body in bodies]
            return Scope(first.path, first.kind, self.sequences(inner, path), first.values)
        if len({body.name for body in there}) > 1:
            raise _UnlikeError
        return Share(first.name, first.node)

    def _layer(self, bodies: list[Any], there: list[Layer], path: tuple[str, ...]) -> Layer:
        kinds = [body.kind for body in there]
        if len(set(kinds)) == 1:
            return Layer(kinds[0], self._arguments(bodies, str(kinds[0]), path), there[0].node, there[0].family)
        if not all(_is_plain_activation(body) for body in there):
            raise _UnlikeError
        column = Column(path, "layer", "layer", [ABSENT if body is None else body.kind for body in bodies])
        self.columns.append(column)
        return Layer(column, {}, there[0].node, there[0].family)  # type: ignore[arg-type]  # until it has its name

    def _join(self, bodies: list[Any], there: list[Join], path: tuple[str, ...]) -> Join:
        first = there[0]
        if len({(body.kind, len(body.branches)) for body in there}) > 1:
            raise _UnlikeError
        branches: list[Sequence | str] = []
        for number in range(len(first.branches)):
            given = [None if body is None else body.branches[number] for body in bodies]
            texts = {branch for branch in given if isinstance(branch, str)}
            if texts:
                if len(texts) > 1 or any(branch is not None and not isinstance(branch, str) for branch in given):
                    raise _UnlikeError
                branches.append(texts.pop())
            else:
                branches.append(self.sequences(given, (*path, str(number))))
        return Join(first.kind, self._arguments(bodies, first.kind, path), branches, first.node)

    def _arguments(self, bodies: list[Any], kind: str, path: tuple[str, ...]) -> dict[str, Any]:
        names = dict.fromkeys(name for body in bodies if body is not None for name in body.arguments)
        found = {}
        for name in names:
            values = [ABSENT if body is None else body.arguments.get(name, ABSENT) for body in bodies]
            column = Column(path, kind, name, values)
            self.columns.append(column)
            found[name] = column
        return found


def _union(lists: list[list[str]]) -> list[str]:
    """One order of all names that has each list in its own order. Raises _UnlikeError where there is none."""
    found = lists[0]
    for names in lists[1:]:
        if names == found:
            continue
        places = {name: place for place, name in enumerate(found)}
        merged: list[str] = []
        done = 0
        for name in names:
            place = places.get(name)
            if place is None:
                merged.append(name)
            elif place < done:
                raise _UnlikeError
            else:
                merged += found[done : place + 1]
                done = place + 1
        found = [*merged, *found[done:]]
    return found


# --- parameters ---

# What arguments may be of one another: their widths, what they look at, how they pad.
OUTPUTS = ("out_channels", "out_features")
# The widths of what comes in, which torch is told.
INPUTS = ("in_channels", "in_features", "num_features", "num_channels", "normalized_shape", "input_size", "embed_dim")
SHAPES = (*SIZES, "start", "stop", "kdim", "vdim", "channels")
WIDTHS = (*OUTPUTS, *INPUTS, *SHAPES, "num_embeddings", "embedding_dim", "groups", "num_groups", "hidden_size")
_FACTORS = (2, 3, 4, 6, 8)


class _Parameters:
    """The columns of a block, and what of them each use must say."""

    def __init__(self, columns: list[Column], uses: int, body: Sequence, words: Words = SPEC) -> None:
        self.columns, self.uses, self.body, self.words = columns, uses, body, words
        self.needed: list[Column] = []
        # By the identity of a column, what stands in its place: a column that is needed, with what is done to it.
        self.terms: dict[int, tuple[Column, str, int]] = {}
        self.constants: dict[int, Any] = {}

    def found(self) -> tuple[list[Parameter], list[dict[str, Any]]]:
        """(the parameters, those that have no default first; what each use gives for them)"""
        first = [column for column in self.columns if self._is_width(column) or column.kind in ("when", "layer")]
        # Small widths first, because the others are multiples of them.
        for column in sorted(first, key=_size):
            self._settle(column)
        for column in self.columns:
            if id(column) not in self.terms and id(column) not in self.constants:
                self._settle(column)
        order = {id(column): place for place, column in enumerate(self.columns)}
        self.needed.sort(key=lambda column: order[id(column)])
        bases = {id(known) for known, operator, _ in self.terms.values() if operator == "*"}
        gives_back = self._gives_back_input()
        named = name_parameters(
            [
                Named(column.path, column.kind, column.key, id(column) in bases, gives_back, self.words.tells_widths)
                for column in self.needed
            ]
        )
        widths = [column for column in self.needed if self._is_width(column) and column.key not in INPUTS]
        gathered = name_widths([column.path for column in widths], self.body)
        places: dict[int, tuple[str, int | None]] = {}
        for number, column in enumerate(self.needed):
            places[id(column)] = named[number], None
        if gathered is not None:
            places.update((id(column), place) for column, place in zip(widths, gathered, strict=True))
        _fill(self.body, lambda column: self._written(column, places))
        return self._parameters(places)

    def _is_width(self, column: Column) -> bool:
        """Whether it is a width of a layer, or a large number that a block is given."""
        return column.key in (*OUTPUTS, *INPUTS) or (
            column.kind not in VOCABULARY and all(isinstance(value, int) and value > 7 for value in column.present())
        )

    def _gives_back_input(self) -> bool:
        """Whether the last width is that of what comes in."""
        widths = [column for column in self.columns if column.key in (*OUTPUTS, "out")]
        term = self.terms.get(id(widths[-1])) if widths else None
        return term is not None and term[0].key in INPUTS

    def _settle(self, column: Column) -> None:
        if column.is_constant():
            self.constants[id(column)] = column.present()[0]
            return
        if column.key == "inplace":
            # Where it may overwrite its input is no matter of what it computes.
            self.constants[id(column)] = False
            return
        for known in self.needed:
            if _sort(column) == _sort(known) and _agree(column, known, lambda value: value):
                _complete(known, column)
                self.terms[id(column)] = known, "", 0
                return
        for known in self.needed:
            found = _relation(column, known)
            if found is not None:
                self.terms[id(column)] = known, *found
                return
        self.needed.append(column)
        self.terms[id(column)] = column, "", 0

    def _written(self, column: Column, places: dict[int, tuple[str, int | None]]) -> Any:
        if id(column) in self.constants:
            return self.constants[id(column)]
        known, operator, number = self.terms[id(column)]
        name, index = places[id(known)]
        return Term(name, index, operator, number)

    def _parameters(self, places: dict[int, tuple[str, int | None]]) -> tuple[list[Parameter], list[dict[str, Any]]]:
        given: list[dict[str, Any]] = [{} for _ in range(self.uses)]
        columns: dict[str, list[Column]] = {}
        for column in self.needed:
            columns.setdefault(places[id(column)][0], []).append(column)
        found = []
        for name, parts in columns.items():
            if len(parts) > 1 or places[id(parts[0])][1] is not None:
                for use in range(self.uses):
                    given[use][name] = [_value(part, use) for part in parts]
                found.append(Parameter(name, REQUIRED))
                continue
            for use in range(self.uses):
                given[use][name] = _value(parts[0], use)
            found.append(Parameter(name, self._default(parts[0])))
        return sorted(found, key=lambda parameter: parameter.default is not REQUIRED), given

    def _default(self, column: Column) -> Any:
        """The value of at least half of the uses, of what is no width."""
        if self._is_width(column) or self.uses < 2:
            return REQUIRED
        if column.kind == "when":
            return False
        values = column.present()
        best = max(values, key=lambda value: sum(value == other for other in values))
        return best if 2 * sum(value == best for value in values) >= len(values) else REQUIRED


def _size(column: Column) -> int:
    values = column.present()
    return sum(values) if all(isinstance(value, int) for value in values) else 0


def _value(column: Column, use: int) -> Any:
    """What a use gives; of one that has no such layer, what others give most."""
    value = column.values[use]
    if value is not ABSENT:
        return value
    values = column.present()
    return max(values, key=lambda item: sum(item == other for other in values))


def _sort(column: Column) -> str:
    """What an argument means: equal numbers of one sort are no coincidence."""
    if column.kind in ("when", "layer"):
        return column.kind
    if column.key in WIDTHS:
        return "width"
    if column.kind not in VOCABULARY and column.key not in ("kernel", "stride", "padding"):
        values = column.present()
        if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return "width"
    return {"kernel_size": "kernel"}.get(column.key, column.key)


def _agree(column: Column, known: Column, change: Any) -> bool:
    pairs = [
        (value, other)
        for value, other in zip(column.values, known.values, strict=True)
        if value is not ABSENT and other is not ABSENT
    ]
    return bool(pairs) and all(value == change(other) for value, other in pairs)


def _complete(known: Column, column: Column) -> None:
    """Give a column the values of an equal one where it has none."""
    known.values = [
        other if value is ABSENT else value for value, other in zip(known.values, column.values, strict=True)
    ]


def _relation(column: Column, known: Column) -> tuple[str, int] | None:
    """How a column follows from another one: as half of a kernel's size, or as a multiple or a part of a width."""
    numbers = [value for one in (column, known) for value in one.present()]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in numbers):
        return None
    if any(value is ABSENT and other is not ABSENT for value, other in zip(known.values, column.values, strict=True)):
        return None
    if column.key == "padding" and _sort(known) == "kernel":
        return ("//", 2) if _agree(column, known, lambda value: value // 2) else None
    if _sort(column) != "width" or _sort(known) != "width":
        return None
    for factor in _FACTORS:
        if _agree(column, known, lambda value, factor=factor: value * factor):
            return "*", factor
        if _agree(column, known, lambda value, factor=factor: value / factor):
            return "//", factor
    if column.key in INPUTS and known.key in INPUTS:
        more = _distance(column, known)
        if more > 0 and _agree(column, known, lambda value: value + more):
            return "+", more
    return None


def _distance(column: Column, known: Column) -> int:
    """By how much one is more than another one, in the first use that has both."""
    pairs = zip(column.values, known.values, strict=True)
    found = (value - other for value, other in pairs if value is not ABSENT and other is not ABSENT)
    return int(next(found, 0))


def _fill(sequence: Sequence, written: Callable[[Column], Any]) -> None:
    """Put what is written in the place of columns."""
    for step in all_steps_of(sequence):
        if isinstance(step.when, Column):
            step.when = written(step.when).name
        body = step.body
        if isinstance(body, Layer | Join | Use):
            body.arguments = {
                name: written(value) if isinstance(value, Column) else value for name, value in body.arguments.items()
            }
        if isinstance(body, Layer) and isinstance(body.kind, Column):
            body.kind = written(body.kind)
