"""The grammar of layers: Values of a document -> the small tree of spec.model.

Blocks are read on first use, so that a call knows what the block's parameters hold (a layer, a pair, a flag) from the
way the block uses them; what a parameter must be is inferred, never declared.
"""

import re
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from gnet_inspect.errors import nearest, quoted, show, some_of
from gnet_inspect.language.arithmetic import Operand, Reference, Rounded, parse_arithmetic, references
from gnet_inspect.language.document import Value
from gnet_inspect.language.model import (
    Argument,
    Block,
    BlockParameter,
    Call,
    Hole,
    Layer,
    Name,
    Nested,
    Parallel,
    Repeat,
    Sequence,
    Shared,
    Source,
)
from gnet_inspect.language.names import FIRST_CLASSES, NAME_WORD, VALUE_WORD
from gnet_inspect.language.reader import Reader
from gnet_inspect.ops import MERGES, VOCABULARY
from gnet_inspect.ops.arguments import (
    LAYER,
    VALUE,
    AnyValue,
    Elements,
    Every,
    Flag,
    Integer,
    Kind,
    Number,
    is_value,
    together,
)

# Layers inside blocks inside branches ...: deep enough for any network, shallow enough for Python's stack.
MAX_LAYER_DEPTH = 48
MAX_REPEAT = 1_000_000
# What one layer reads.
MAX_SOURCES = 64

_VERBS = {"concat": "join", "add": "add", "mul": "multiply", "matmul": "multiply"}

# What no block is called: the place of layers outside of all blocks.
NETWORK = ""

# What the uses of a parameter may demand of one value: so often is each of its numbers checked.
MAX_DEMANDS = 128

_REFERENCE = re.compile(rf"\$({NAME_WORD})(?:\.([0-9]{{1,4}}))?\Z")
_VALUE_NAME = re.compile(rf"{VALUE_WORD}\Z")
_ROUND = "round"


class Scope:
    """The parameters visible at a place, and what their uses there demand of them."""

    def __init__(self, names: list[str], outer: "Scope | None" = None, hint: str = "") -> None:
        self.names = names
        self.outer = outer
        # Whether layers may be named here: what is written elsewhere than where it runs has no layers before it.
        self.sees_layers = True
        # What to say of a parameter that is not visible here.
        self.hint = hint
        self.wholes: dict[str, list[Kind]] = {name: [] for name in names}
        self.elements: dict[str, dict[int, list[Kind]]] = {name: {} for name in names}
        # The blocks in which each one is used; NETWORK stands for the stages and heads.
        self.users: dict[str, set[str]] = {name: set() for name in names}

    def owner(self, name: str) -> "Scope | None":
        if name in self.wholes:
            return self
        return self.outer.owner(name) if self.outer else None

    def visible(self) -> list[str]:
        return [*self.names, *(self.outer.visible() if self.outer else [])]


class LayerReader(Reader):
    """Reads layers, sequences and blocks; `blocks` holds those read so far."""

    def __init__(self, file: str, definitions: Mapping[str, Value], model: Scope) -> None:
        super().__init__(file)
        self.definitions = definitions
        self.model = model
        self.blocks: dict[str, Block] = {}
        # Which blocks each block calls; under NETWORK those that the stages, heads and the model's parameters do.
        self.calls: dict[str, set[str]] = {}
        self._reading: list[str] = []
        # By the name of a block: its parameters' kinds, those without a default, and what its text calls them.
        self._signatures: dict[str, tuple[dict[str, Kind], list[str]]] = {}
        self._declared: dict[str, frozenset[str] | None] = {}
        # By the id of a kind, which is kept with it: how many kinds it is made of.
        self._sizes: dict[int, tuple[Kind, int]] = {}
        self._depth = 0
        # How many were read so far.
        self.repeats = self.shares = 0

    # --- sequences and layers ---

    def sequence(self, value: Value, scope: Scope, words: str) -> Sequence:
        """A mapping from names to layers, or a list of layers."""
        entries: list[tuple[str | None, Layer]] = []
        if isinstance(value.data, dict):
            for name, item in value.data.items():
                self._entry_name(item, name)
                self._check_not_a_call(item, name)
                entries.append((name, self.layer(item, scope)))
        elif isinstance(value.data, list):
            entries = [(None, self.layer(item, scope, listed=True)) for item in value.data]
        else:
            raise self.expected(value, words)
        return Sequence(tuple(entries), value.line, value.path)

    def _entry_name(self, item: Value, name: str) -> None:
        if self._is_layer_word(item, name):
            raise self.error(item, f"expected a name for the layer, got `{name}`", _unnamed(name))
        self.name(item, name, "layer")

    def _is_layer_word(self, item: Value, name: str) -> bool:
        """Whether a key that should be a name is a layer's own word: some always are, others over what such a layer
        takes. Over anything else they are names (timm has a layer `repeat`)."""
        if name in FIRST_CLASSES or name in ("concat", "add"):
            return True
        keys = item.data.keys() if isinstance(item.data, dict) else set()
        if name == "repeat":
            return bool(keys & {"times", "layer"})
        if name in MERGES:
            return isinstance(item.data, list) or "branches" in keys
        if name == "share":
            return isinstance(item.data, str) and item.data not in VOCABULARY and item.data not in self.definitions
        return name in VOCABULARY and (item.data is None or bool(keys & VOCABULARY[name].parameters().keys()))

    def _check_not_a_call(self, item: Value, name: str) -> None:
        """A block's name over its own parameters is a call that lacks its name."""
        if name not in self.definitions or not isinstance(item.data, dict) or not item.data:
            return
        if name not in self._declared:
            self._declared[name] = _declared_parameters(self.definitions[name])
        known = self._declared[name]
        if (
            known is not None
            and item.data.keys() <= known
            and not any(key in VOCABULARY or key in self.definitions for key in item.data)
        ):
            fact = f"expected a name over a layer, got the block `{name}` over its arguments"
            raise self.error(item, fact, _unnamed(name))

    def layer(self, value: Value, scope: Scope, listed: bool = False) -> Layer:
        self._depth += 1
        if self._depth > MAX_LAYER_DEPTH:
            raise self.error(value, f"expected layers nested at most {MAX_LAYER_DEPTH} deep, blocks included")
        try:
            return self._layer(value, scope, listed)
        finally:
            self._depth -= 1

    def _layer(self, value: Value, scope: Scope, listed: bool) -> Layer:
        if isinstance(value.data, list):
            return Nested(self.sequence(value, scope, "a list of layers"), value.line, value.path)
        if isinstance(value.data, str):
            if value.data.startswith("$"):
                return Hole(self._reference(value, LAYER, scope), value.line, value.path)
            return self._call(value, value.data, Value({}, value.line, value.path), None, scope)
        words = "a layer: a class name, or one class or block name over its arguments"
        entries = dict(self.mapping(value, words))
        when_value = entries.pop("when", None)
        when = self._flag(when_value, scope) if when_value else None
        # A block may be called `from`.
        from_value = entries.pop("from", None) if len(entries) > 1 else None
        sources = self._sources(from_value, scope) if from_value else ()
        if len(entries) != 1:
            got = ", ".join(f"`{key}`" for key in list(entries)[:6]) or "no key"
            hint = (
                "a sequence of named layers stands in a block, a stage or a branch; here write a list"
                if entries
                else ""
            )
            raise self.error(value, f"expected {words}, got {got}", hint)
        ((name, arguments),) = entries.items()
        if name == "repeat" and sources:
            raise self.error(value, "expected `from` beside a layer, got it beside a repeat", "write it in the layer")
        if name == "repeat":
            return self._repeat(arguments, when, scope, listed)
        if name == "share" and name not in self.definitions:
            self.shares += 1
            return Shared(self.value_name(arguments, scope), value.line, value.path, when, sources)
        if name in MERGES and name not in self.definitions:
            self._check_sources(value, name, sources)
            return self._parallel(arguments, name, when, sources, scope)
        return self._call(value, name, arguments, when, scope, sources)

    def _sources(self, value: Value, scope: Scope) -> tuple[Source, ...]:
        """What a layer reads: `from: name`, or `from: [a, b]`."""
        items = value.data if isinstance(value.data, list) else [value]
        if not items or len(items) > MAX_SOURCES:
            raise self.expected(value, f"a layer's name, or a list of 1 to {MAX_SOURCES} of them")
        return tuple(self._source(item, scope) for item in items)

    def _source(self, value: Value, scope: Scope) -> Source:
        if isinstance(value.data, str) and value.data.startswith("$"):
            return self._reference(value, VALUE, scope)
        return self.value_name(value, scope)

    def value_name(self, value: Value, scope: Scope) -> Name:
        """The name or path of a layer."""
        if not isinstance(value.data, str) or not _VALUE_NAME.match(value.data):
            raise self.expected(value, "the name of a layer or block before this one, or its path (`features.3`)")
        if not scope.sees_layers:
            fact = f"expected no layer's name in a layer that a parameter holds, got `{value.data}`"
            raise self.error(value, fact, "give the value as a parameter of its own")
        return Name(value.data, value.line, value.path)

    def _repeat(self, value: Value, when: Reference | None, scope: Scope, listed: bool) -> Repeat:
        if not listed:
            raise self.error(
                value, "expected `repeat` as a member of a list, got it elsewhere", "write `[{repeat: ...}]`"
            )
        entries = self.fields(value, "a repeat {times: N, layer: ...}", ["times", "layer"], [])
        times = self.argument(entries["times"], Integer(0), scope)
        if isinstance(times.data, int) and times.data > MAX_REPEAT:
            raise self.error(entries["times"], f"expected at most {MAX_REPEAT:,} times, got {times.data:,}")
        self.repeats += 1
        return Repeat(times, self.layer(entries["layer"], scope, listed=True), value.line, value.path, when)

    def _parallel(
        self, value: Value, name: str, when: Reference | None, sources: tuple[Source, ...], scope: Scope
    ) -> Parallel:
        branches, arguments = value, {}
        parameters = MERGES[name].parameters()
        if isinstance(value.data, dict):
            if value.data.keys().isdisjoint((*parameters, "branches")):
                raise self.expected(value, "a list of branches")
            keys = ", ".join([*(f"{key}: ..." for key in parameters), "branches: [...]"])
            words = f"{'an' if name[0] in 'aeiou' else 'a'} {name} {{{keys}}}"
            entries = self.fields(value, words, ["branches"], parameters)
            branches = entries.pop("branches")
            arguments = {key: self.argument(item, parameters[key].kind, scope) for key, item in entries.items()}
        read = self.items(branches, "a list of branches", lambda item: self._branch(item, scope), least=1)
        least, most = MERGES[name].arity
        if len(read) < least:
            raise self.error(
                branches,
                f"expected at least {'two' if least == 2 else least} branches to {_VERBS[name]}, got one",
                "an empty branch, {}, is the identity",
            )
        if len(read) > most:
            raise self.error(branches, f"expected two branches to {_VERBS[name]}, got {len(read)}")
        return Parallel(name, read, arguments, value.line, value.path, when, sources)

    def _branch(self, value: Value, scope: Scope) -> Sequence | Source:
        if value.data is None:
            return Sequence((), value.line, value.path)
        if isinstance(value.data, str):
            if value.data in VOCABULARY or value.data in self.definitions:
                words = "a branch: named layers, a list of layers, or the name of one before"
                fact = f"expected {words}, got the class or block `{value.data}`"
                raise self.error(value, fact, f"write [{value.data}]")
            return self._source(value, scope)
        return self.sequence(
            value, scope, "a branch: a mapping from names to layers, a list of layers, or the name of one before"
        )

    def _call(
        self,
        value: Value,
        name: str,
        arguments: Value,
        when: Reference | None,
        scope: Scope,
        sources: tuple[Source, ...] = (),
    ) -> Call:
        line, path = value.line, value.path
        if name in self.definitions:
            self.calls.setdefault(self._place(), set()).add(name)
            kinds, required = self._signature(name, value)
        elif name in VOCABULARY:
            kinds = {key: parameter.kind for key, parameter in VOCABULARY[name].parameters().items()}
            required = [key for key, parameter in VOCABULARY[name].parameters().items() if parameter.required]
        else:
            from gnet_inspect.language.torch_names import layer_hint

            hint = layer_hint(name, self.definitions, VOCABULARY)
            raise self.error(value, f"expected a layer class or a block, got {show(name)}", hint)
        given = {} if arguments.data is None else self.mapping(arguments, f"the arguments of {name}, a mapping")
        read: dict[str, Argument] = {}
        for key, item in given.items():
            if key not in kinds:
                from gnet_inspect.language.torch_names import argument_hint

                hint = argument_hint(name, key, kinds, is_block=name in self.definitions)
                raise self.error(item, f"expected an argument of {name}, got `{key}`", hint)
            read[key] = self.argument(item, kinds[key], scope)
        missing = [key for key in required if key not in read]
        if missing:
            listed = some_of(map(quoted, missing), 24)
            got = f"only {some_of(map(quoted, read), 24)}" if read else "no arguments"
            raise self.error(value, f"expected {name} with {listed}, got {got}")
        is_open = any(argument.open for argument in read.values())
        values = tuple(key for key in read if is_value(kinds[key]))
        self._check_sources(value, name, sources)
        return Call(name, read, name in self.definitions, line, path, when, is_open, sources, values)

    def _check_sources(self, value: Value, name: str, sources: tuple[Source, ...]) -> None:
        """How many values a layer reads: a block one, other values are its parameters; a class as many as it says."""
        least, most = (1, 1) if name in self.definitions or name in MERGES else VOCABULARY[name].arity
        given = len(sources) or 1
        if least <= given <= most or (most == 0 and not sources):
            return
        hint = "give them by `from: [a, b]`" if given < least else ""
        if name in self.definitions:
            hint = "give the others as parameters"
        elif name in MERGES:
            hint = "what its branches start from is one value; others are branches by their names"
        number = str(least) if least == most else f"{least} to {most}"
        inputs = "input" if number == "1" else "inputs"
        raise self.error(value, f"expected {name} with {number} {inputs}, got {given}", hint)

    # --- blocks ---

    def _signature(self, name: str, user: Value) -> tuple[dict[str, Kind], list[str]]:
        """The kinds of a block's parameters, and which of them have no default: once for all calls of it."""
        if name not in self._signatures:
            parameters = self.block(name, user).parameters
            kinds = {key: parameter.kind for key, parameter in parameters.items()}
            self._signatures[name] = kinds, [key for key in kinds if parameters[key].default is None]
        return self._signatures[name]

    def block(self, name: str, user: Value) -> Block:
        """The block of that name, read on its first use."""
        if name in self._reading:
            circle = " -> ".join([*self._reading[self._reading.index(name) :], name])
            raise self.error(user, f"expected blocks that do not contain themselves, got {circle}")
        if name not in self.blocks:
            self._reading.append(name)
            self.blocks[name] = self._read_block(name, self.definitions[name])
            self._reading.pop()
        return self.blocks[name]

    def _read_block(self, name: str, value: Value) -> Block:
        self.name(value, name, "block")
        if name in FIRST_CLASSES:
            raise self.error(
                value, f"expected a block name of its own, got `{name}`, a layer class", "rename the block"
            )
        entries = self.fields(value, "a block", ["layers"], ["params", "defaults", "state_dict"])
        names: dict[str, None] = {}
        if "params" in entries and entries["params"].data is not None:
            for item in self.items(entries["params"], "a list of parameter names", lambda item: item):
                text = self.text(item, "a parameter name")
                self.name(item, text, "parameter")
                if text in names:
                    raise self.error(item, f"expected each parameter once, got `{text}` again")
                names[text] = None
        scope = Scope(list(names), self.model)
        body = self.sequence(
            entries["layers"], scope, "the layers of a block: a mapping from names to layers, or a list"
        )
        defaults = entries.get("defaults")
        given = {} if defaults is None or defaults.data is None else self.mapping(defaults, "defaults, a mapping")
        for key, item in given.items():
            if key not in names:
                raise self.error(
                    item, f"expected the default of a parameter of `{name}`, got `{key}`", nearest(key, names)
                )
        parameters = {}
        own_names = {f"${name}" for name in names}
        outside = Scope([], hint="a default cannot use the block's own parameters")
        for key in names:
            kind = self.demanded(value, scope, key, f"parameter `{key}` of block `{name}`")
            if not scope.wholes[key] and not scope.elements[key]:
                raise self.error(value, f"expected every parameter of a block to be used, got `{key}`, used nowhere")
            own = key in given and not own_names.isdisjoint(_references(given[key].plain()))
            if key in given and is_value(kind):
                fact = f"expected no default of `{key}`, which holds the value of a layer, got one"
                raise self.error(given[key], fact, "whoever calls the block names a layer")
            default = self.argument(given[key], kind, outside if own else self.model) if key in given else None
            parameters[key] = BlockParameter(key, kind, default)
        order = self._state_dict(entries["state_dict"], name, body) if "state_dict" in entries else ()
        return Block(name, parameters, body, value.line, order)

    def _state_dict(self, value: Value, block: str, body: Sequence) -> tuple[str, ...]:
        """The layers of a block that its state dict has in another order than the one they run in."""
        known = dict.fromkeys(_names(body))
        words = "a list of two or more layers of the block, in the order of the state dict"
        order = self.items(value, words, lambda item: self.text(item, "a layer's name"), least=2)
        seen: set[str] = set()
        for item, name in zip(value.data, order, strict=True):
            if name not in known:
                raise self.error(
                    item, f"expected a layer of the block `{block}`, got {show(name)}", nearest(name, known)
                )
            if name in seen:
                raise self.error(item, f"expected each layer once, got `{name}` again")
            seen.add(name)
        return order

    def used_blocks(self) -> set[str]:
        """The blocks that the network is made of, as far as everything was read."""
        used: set[str] = set()
        waiting = [NETWORK]
        while waiting:
            found = self.calls.get(waiting.pop(), set()) - used
            used |= found
            waiting.extend(found)
        return used

    def _place(self) -> str:
        """The block that is being read, or NETWORK."""
        return self._reading[-1] if self._reading else NETWORK

    def demanded(self, value: Value, scope: Scope, name: str, what: str) -> Kind:
        """What the uses of a parameter say it holds."""
        wholes, elements = scope.wholes[name], scope.elements[name]
        kinds = [kind for kind in wholes if not isinstance(kind, AnyValue)]
        if elements:
            unused = [index for index in range(max(elements) + 1) if index not in elements]
            if unused:
                hint = f"`${name}.{max(elements)}` is used, so the list is at least {max(elements) + 1} long"
                raise self.error(
                    value, f"expected every element of {what} to be used, got `${name}.{unused[0]}` unused", hint
                )
            kinds.append(Elements(tuple(together(elements[index]) for index in range(len(elements)))))
        if VALUE in kinds and any(kind != VALUE for kind in kinds):
            fact = f"expected one use of {what}, got it both as what a layer gave and as something else"
            raise self.error(value, fact, "take two parameters, one for each use")
        if LAYER in kinds and any(kind != LAYER for kind in kinds):
            raise self.error(value, f"expected one use of {what}, got it both as a layer and as a value")
        kind = together(kinds)
        if self._size(kind) > MAX_DEMANDS and not _is_plain(kind):
            raise self.error(value, f"expected uses of {what} that demand at most {MAX_DEMANDS} things of it, got more")
        return kind

    def _size(self, kind: Kind) -> int:
        """How many kinds a kind is made of; beyond the bound it only says that it is."""
        if not isinstance(kind, Elements | Every):
            return 1
        if id(kind) not in self._sizes:
            self._sizes[id(kind)] = kind, min(sum(map(self._size, kind.kinds)), 2 * MAX_DEMANDS)
        return self._sizes[id(kind)][1]

    # --- arguments and references ---

    def argument(self, value: Value, kind: Kind, scope: Scope) -> Argument:
        """A value for a parameter of that kind; a plain one is checked at once."""
        if kind == LAYER:
            return Argument(self._layer_argument(value, scope), value.line, value.path, open=True)
        if is_value(kind):
            return Argument(self._source(value, scope), value.line, value.path, open=True)
        data, is_open = self._data(value, kind, scope)
        if not is_open:
            self.kind(value, kind)
        return Argument(data, value.line, value.path, is_open)

    def _layer_argument(self, value: Value, scope: Scope) -> Layer:
        """A layer that a parameter will hold: it runs elsewhere, where the layers before it have other names."""
        before, scope.sees_layers = scope.sees_layers, False
        try:
            return self.layer(value, scope)
        finally:
            scope.sees_layers = before

    def _data(self, value: Value, kind: Kind, scope: Scope) -> tuple[object, bool]:
        if isinstance(value.data, str) and "$" in value.data:
            if _REFERENCE.match(value.data):
                return self._reference(value, kind, scope), True
            return self._expression(value, scope), True
        if isinstance(value.data, list):
            each = kind.element() or AnyValue()
            kinds = kind.kinds if isinstance(kind, Elements) else ()
            if kinds and len(kinds) != len(value.data):
                raise self.expected(value, kind.words)
            read = [self._data(item, kinds[i] if kinds else each, scope) for i, item in enumerate(value.data)]
            return tuple(item for item, _ in read), any(is_open for _, is_open in read)
        if isinstance(value.data, dict):
            if value.data.keys() == {_ROUND}:
                return self._rounded(value, scope), True
            raise self.expected(value, kind.words)
        return value.data, False

    def _rounded(self, value: Value, scope: Scope) -> Operand:
        """`{round: [$out * $width, 8]}`."""
        parts = value.data[_ROUND]
        if not isinstance(parts.data, list) or len(parts.data) != 2:
            raise self.expected(parts, "a number and what to round it to a multiple of: [$out * $width, 8]")
        number, divisor = (self._expression(item, scope) for item in parts.data)
        return Rounded(number, divisor)

    def _expression(self, value: Value, scope: Scope) -> Operand:
        """Arithmetic on parameters, each of which it demands to be a number."""
        try:
            operand = parse_arithmetic(value.text or str(value.data))
        except ValueError as error:
            hint = "an expression has numbers, $parameters and + - * / // % ( )"
            raise self.error(value, f"expected {error} in {show(value.data)}", hint) from None
        for reference in references(operand):
            self._reference(replace(value, data=str(reference)), Number(), scope)
        return operand

    def _flag(self, value: Value, scope: Scope) -> Reference:
        if not (isinstance(value.data, str) and value.data.startswith("$")):
            raise self.expected(value, "a flag's name, `$flag`, for `when`", "declare the flag under params")
        return self._reference(value, Flag(), scope)

    def _reference(self, value: Value, kind: Kind, scope: Scope) -> Reference:
        match = _REFERENCE.match(value.data)
        if not match:
            raise self.expected(value, "`$name` or `$name.0`", "arithmetic stands in arguments only")
        name, element = match[1], match[2]
        owner = scope.owner(name)
        if owner is None:
            hint = scope.hint or nearest(name, scope.visible()) or "declare it under params"
            if "-" in name and name.partition("-")[0] in scope.visible():
                hint = "a minus needs spaces around it"
            raise self.error(value, f"expected a parameter, got `${name}`", hint)
        owner.users[name].add(self._place())
        if element is None:
            owner.wholes[name].append(kind)
            return Reference(name)
        if kind in (LAYER, VALUE):
            what = "a layer" if kind == LAYER else "what a layer gave"
            raise self.error(value, f"expected a parameter that holds {what}, got the element `{value.data}`")
        owner.elements[name].setdefault(int(element), []).append(kind)
        return Reference(name, int(element))


def _names(body: Sequence) -> Iterator[str]:
    """What a block calls its layers, those in branches too: they add no scope."""
    for name, layer in body.entries:
        if name is not None:
            yield name
        for branch in layer.branches if isinstance(layer, Parallel) else ():
            if isinstance(branch, Sequence):
                yield from _names(branch)


def _is_plain(kind: Kind) -> bool:
    """Whether nothing is checked twice: one demand, or a list of which each element has one."""
    parts = kind.kinds if isinstance(kind, Elements) else (kind,)
    return not any(isinstance(part, Elements | Every) for part in parts)


def _declared_parameters(block: Value) -> frozenset[str] | None:
    """What the text of a block calls its parameters; None where it has none."""
    params = block.data.get("params") if isinstance(block.data, dict) else None
    if params is None or not isinstance(params.data, list):
        return None
    return frozenset(parameter.data for parameter in params.data if isinstance(parameter.data, str))


def _unnamed(name: str) -> str:
    """How to mend a call that stands where a name should."""
    return f"in a mapping the keys are names: write `some_name: {{{name}: ...}}`, or a list"


def _references(data: object) -> set[str]:
    """The `$name`s in a plain value."""
    if isinstance(data, str):
        return {data.partition(".")[0]} if data.startswith("$") else set()
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return {name for item in items for name in _references(item)}
