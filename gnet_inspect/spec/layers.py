"""The grammar of layers: Values of a document -> the small tree of spec.model.

Blocks are read on first use, so that a call knows what the block's parameters hold (a layer, a pair, a flag) from the
way the block uses them; what a parameter must be is inferred, never declared.
"""

import re
from collections.abc import Mapping

from gnet_inspect.errors import nearest, show
from gnet_inspect.ops import VOCABULARY, Add
from gnet_inspect.ops.arguments import LAYER, AnyValue, Elements, Flag, Integer, Kind, together
from gnet_inspect.spec.document import Value
from gnet_inspect.spec.model import (
    Argument,
    Block,
    BlockParameter,
    Call,
    Hole,
    Layer,
    Nested,
    Parallel,
    Reference,
    Repeat,
    Sequence,
)
from gnet_inspect.spec.reader import Reader

# Layers inside blocks inside branches ...: deep enough for any network, shallow enough for Python's stack.
MAX_LAYER_DEPTH = 48
MAX_REPEAT = 1_000_000

INFERRED = ("in_channels", "in_features", "num_features")
# Arguments of torch's layers that change no shape or count here, or make results no network of layers has.
TORCH_ONLY = ("padding_mode", "device", "dtype", "return_indices")

# What no block is called: the place of layers outside of all blocks.
NETWORK = ""

_REFERENCE = re.compile(r"\$([A-Za-z0-9_]{1,64})(?:\.([0-9]{1,4}))?\Z")


class Scope:
    """The parameters visible at a place, and what their uses there demand of them."""

    def __init__(self, names: list[str], outer: "Scope | None" = None, hint: str = "") -> None:
        self.names = names
        self.outer = outer
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
        self._depth = 0
        # How many were read so far.
        self.repeats = 0

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
        # As a layer `repeat` stands over times and layer; over anything else it can only be a name (timm has such).
        named = name == "repeat" and not (isinstance(item.data, dict) and item.data.keys() & {"times", "layer"})
        if name in VOCABULARY or (name in ("concat", "add", "repeat") and not named):
            raise self.error(item, f"expected a name for the layer, got `{name}`", _unnamed(name))
        self.name(item, name, "layer")

    def _check_not_a_call(self, item: Value, name: str) -> None:
        """A block's name over its own parameters is a call that lacks its name."""
        block = self.definitions.get(name)
        params = block.data.get("params") if block is not None and isinstance(block.data, dict) else None
        if params is None or not isinstance(params.data, list) or not isinstance(item.data, dict) or not item.data:
            return
        known = {parameter.data for parameter in params.data if isinstance(parameter.data, str)}
        if set(item.data) <= known and not any(key in VOCABULARY or key in self.definitions for key in item.data):
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
        if len(entries) != 1:
            got = ", ".join(f"`{key}`" for key in list(entries)[:6]) or "no key"
            hint = (
                "a sequence of named layers stands in a block, a stage or a branch; here write a list"
                if entries
                else ""
            )
            raise self.error(value, f"expected {words}, got {got}", hint)
        ((name, arguments),) = entries.items()
        if name == "repeat":
            return self._repeat(arguments, when, scope, listed)
        if name in ("concat", "add"):
            return self._parallel(arguments, name, when, scope)
        return self._call(value, name, arguments, when, scope)

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

    def _parallel(self, value: Value, name: str, when: Reference | None, scope: Scope) -> Parallel:
        branches, scale = value, None
        if name == "add" and isinstance(value.data, dict):
            entries = self.fields(value, "an add {scale: ..., branches: [...]}", ["branches"], ["scale"])
            branches = entries["branches"]
            if "scale" in entries:
                scale = self.argument(entries["scale"], Add.parameters()["scale"].kind, scope)
        read = self.items(branches, "a list of branches", lambda item: self._branch(item, scope), least=1)
        if name == "add" and len(read) < 2:
            raise self.error(
                branches, "expected at least two branches to add, got one", "an empty branch, {}, is the identity"
            )
        return Parallel(name, read, scale, value.line, value.path, when)

    def _branch(self, value: Value, scope: Scope) -> Sequence:
        if value.data is None:
            return Sequence((), value.line, value.path)
        return self.sequence(value, scope, "a branch: a mapping from names to layers, or a list of layers")

    def _call(self, value: Value, name: str, arguments: Value, when: Reference | None, scope: Scope) -> Call:
        line, path = value.line, value.path
        if name in self.definitions:
            block = self.block(name, value)
            self.calls.setdefault(self._place(), set()).add(name)
            kinds = {key: parameter.kind for key, parameter in block.parameters.items()}
            required = [key for key, parameter in block.parameters.items() if parameter.default is None]
        elif name in VOCABULARY:
            kinds = {key: parameter.kind for key, parameter in VOCABULARY[name].parameters().items()}
            required = [key for key, parameter in VOCABULARY[name].parameters().items() if parameter.required]
        else:
            known = [*self.definitions, *VOCABULARY, "concat", "add", "repeat"]
            raise self.error(value, f"expected a layer class or a block, got {show(name)}", nearest(name, known))
        given = {} if arguments.data is None else self.mapping(arguments, f"the arguments of {name}, a mapping")
        read: dict[str, Argument] = {}
        for key, item in given.items():
            if key not in kinds:
                hint = f"{name} takes no arguments" if not kinds else nearest(key, kinds)
                if key in INFERRED:
                    hint = "the input's size is inferred; leave it out"
                elif key in TORCH_ONLY:
                    hint = f"torch has `{key}`, specs do not"
                elif key == "<<":
                    hint = "merge keys are YAML 1.1; an alias stands for a whole value"
                raise self.error(item, f"expected an argument of {name}, got `{key}`", hint)
            read[key] = self.argument(item, kinds[key], scope)
        missing = [key for key in required if key not in read]
        if missing:
            listed = ", ".join(f"`{key}`" for key in missing)
            got = "only " + ", ".join(f"`{key}`" for key in read) if read else "no arguments"
            raise self.error(value, f"expected {name} with {listed}, got {got}")
        is_open = any(argument.open for argument in read.values())
        return Call(name, read, name in self.definitions, line, path, when, is_open)

    # --- blocks ---

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
        if name in VOCABULARY:
            raise self.error(
                value, f"expected a block name of its own, got `{name}`, a layer class", "rename the block"
            )
        entries = self.fields(value, "a block", ["layers"], ["params", "defaults"])
        names: list[str] = []
        if "params" in entries and entries["params"].data is not None:
            for item in self.items(entries["params"], "a list of parameter names", lambda item: item):
                text = self.text(item, "a parameter name")
                self.name(item, text, "parameter")
                if text in names:
                    raise self.error(item, f"expected each parameter once, got `{text}` again")
                names.append(text)
        scope = Scope(names, self.model)
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
            default = self.argument(given[key], kind, outside if own else self.model) if key in given else None
            parameters[key] = BlockParameter(key, kind, default)
        return Block(name, parameters, body, value.line)

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
        if LAYER in kinds and any(kind != LAYER for kind in kinds):
            raise self.error(value, f"expected one use of {what}, got it both as a layer and as a value")
        return together(kinds)

    # --- arguments and references ---

    def argument(self, value: Value, kind: Kind, scope: Scope) -> Argument:
        """A value for a parameter of that kind; a plain one is checked at once."""
        if kind == LAYER:
            return Argument(self.layer(value, scope), value.line, value.path, open=True)
        data, is_open = self._data(value, kind, scope)
        if not is_open:
            self.kind(value, kind)
        return Argument(data, value.line, value.path, is_open)

    def _data(self, value: Value, kind: Kind, scope: Scope) -> tuple[object, bool]:
        if isinstance(value.data, str) and value.data.startswith("$"):
            return self._reference(value, kind, scope), True
        if isinstance(value.data, list):
            each = kind.element() or AnyValue()
            kinds = kind.kinds if isinstance(kind, Elements) else ()
            if kinds and len(kinds) != len(value.data):
                raise self.expected(value, kind.words)
            read = [self._data(item, kinds[i] if kinds else each, scope) for i, item in enumerate(value.data)]
            return tuple(item for item, _ in read), any(is_open for _, is_open in read)
        if isinstance(value.data, dict):
            raise self.expected(value, kind.words)
        return value.data, False

    def _flag(self, value: Value, scope: Scope) -> Reference:
        if not (isinstance(value.data, str) and value.data.startswith("$")):
            raise self.expected(value, "a flag's name, `$flag`, for `when`", "declare the flag under params")
        return self._reference(value, Flag(), scope)

    def _reference(self, value: Value, kind: Kind, scope: Scope) -> Reference:
        match = _REFERENCE.match(value.data)
        if not match:
            raise self.expected(value, "`$name` or `$name.0`", "only whole values are replaced")
        name, element = match[1], match[2]
        owner = scope.owner(name)
        if owner is None:
            hint = scope.hint or nearest(name, scope.visible()) or "declare it under params"
            raise self.error(value, f"expected a parameter, got `${name}`", hint)
        owner.users[name].add(self._place())
        if element is None:
            owner.wholes[name].append(kind)
            return Reference(name)
        if kind == LAYER:
            raise self.error(value, f"expected a parameter that holds a layer, got the element `{value.data}`")
        owner.elements[name].setdefault(int(element), []).append(kind)
        return Reference(name, int(element))


def _unnamed(name: str) -> str:
    """How to mend a call that stands where a name should."""
    return f"in a mapping the keys are names: write `some_name: {{{name}: ...}}`, or a list"


def _references(data: object) -> set[str]:
    """The `$name`s in a plain value."""
    if isinstance(data, str):
        return {data.partition(".")[0]} if data.startswith("$") else set()
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return {name for item in items for name in _references(item)}
