"""Arguments and the places they are used at: a call of a class becomes an Op, a call of a block an Environment.

Each call is bound once for each environment it depends on, and calls of a block with equal arguments share one
environment: blocks that call blocks that call blocks bind as often as there are different arguments. A default is
worked out when it is first asked for. Edits are applied on the way.
"""

from collections.abc import Callable, Hashable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from msgspec import Struct

from gnet_inspect.errors import SpecError, UsageError, show
from gnet_inspect.graph.nodes import BlockArgument, Template, describe_block
from gnet_inspect.language.arithmetic import MAX_LENGTH, Binary, Reference, Rounded, evaluate, show_operand
from gnet_inspect.language.model import Argument, Block, BlockParameter, Call, Hole, Layer, Parallel, Spec
from gnet_inspect.ops import MERGES, VOCABULARY, Op
from gnet_inspect.ops.arguments import LAYER, Kind
from gnet_inspect.sources.spec.overrides import LABEL, Edits

# An argument, and one element of it or the whole.
Part = tuple[str, int | None]
_NOTHING: frozenset[str] = frozenset()


class Trail:
    """Follows edits to what is made of their values: the edits behind every value that is asked for are gathered by
    whoever collects them."""

    def __init__(self) -> None:
        # The edits that decide which layers there are, and how they are joined: what is asked for outside of an op.
        self.structure: set[str] = set()
        # By the ids of ops, which the binder keeps alive.
        self.by_op: dict[int, frozenset[str]] = {}
        # What may be edited: by the path of every argument, and of every element of it, its value.
        self.arguments: dict[str, Any] = {}
        self._collecting: list[set[str]] = [self.structure]

    def note(self, edits: frozenset[str]) -> None:
        self._collecting[-1] |= edits

    def take_down(self, path: str, value: Any) -> None:
        """An argument that an edit could change."""
        if not isinstance(value, Closure | str | None):
            self.arguments[path] = value
            for element, item in enumerate(value if isinstance(value, tuple) else ()):
                self.arguments[f"{path}.{element}"] = item

    def collect(self, make: Callable[[], Any]) -> tuple[Any, frozenset[str]]:
        """What is made, and the edits behind what was asked for meanwhile."""
        self._collecting.append(set())
        try:
            made = make()
        finally:
            found = frozenset(self._collecting.pop())
        return made, found


class Environment(Struct, eq=False):
    """The values of the parameters visible at a place."""

    values: dict[str, Any]
    outer: "Environment | None" = None
    # Of a block, for display: the arguments that are no defaults, all of them in words, and its template.
    shown: tuple[tuple[BlockArgument, ...], str, Template] | tuple[()] = ()
    # The block's defaults, shared by all calls of it.
    defaults: "Defaults | None" = None
    # What was asked for here, where that is watched: an edit of what nobody asks for changes nothing.
    read: set[Reference] | None = None
    # The edits behind each value, where edits are followed.
    trail: Trail | None = None
    edits: dict[Part, frozenset[str]] = {}

    def find(self, reference: Reference) -> Any:
        name = reference.name
        if name in self.values or self.outer is None:
            value = self._watched(reference)
        elif self.defaults is not None and name in self.defaults.parameters:
            value = self.defaults[name]
            if self.trail is not None:
                self.trail.note(self.defaults.edits.get(name, _NOTHING))
        else:
            value = self.outer._watched(reference)
        return value if reference.element is None else value[reference.element]

    def _watched(self, reference: Reference) -> Any:
        if self.read is not None:
            self.read.add(reference)
        if self.trail is not None:
            self.trail.note(self._behind(reference))
        return self.values[reference.name]

    def _behind(self, reference: Reference) -> frozenset[str]:
        """The edits behind a parameter, or an element of it."""
        name, element = reference.name, reference.element
        found = self.edits.get((name, None), _NOTHING)
        for (other, place), edits in self.edits.items():
            if other == name and place is not None and element in (None, place):
                found |= edits
        return found

    def has_read(self, reference: Reference) -> bool:
        """Whether a parameter, or an element of it, was asked for; what was asked for whole was so in each element."""
        read = self.read or set()
        if reference.element is None:
            return any(item.name == reference.name for item in read)
        return not read.isdisjoint({reference, Reference(reference.name)})


class Defaults(dict[str, Any]):
    """The defaults of a block's parameters by name, each worked out when it is first asked for."""

    def __init__(self, block: Block, value: Callable[[BlockParameter], Any]) -> None:
        super().__init__()
        self.parameters, self.state_dict, self._value = block.parameters, block.state_dict, value
        self.places = {name: place for place, name in enumerate(self.parameters)}
        self.kinds = {name: parameter.kind for name, parameter in self.parameters.items()}
        self.template: Template | None = None
        # The edits behind each, where edits are followed.
        self.trail: Trail | None = None
        self.edits: dict[str, frozenset[str]] = {}

    def __missing__(self, name: str) -> Any:
        if self.trail is None:
            value = self[name] = self._value(self.parameters[name])
        else:
            value, self.edits[name] = self.trail.collect(lambda: self._value(self.parameters[name]))
            self[name] = value
        return value


class Closure(Struct, eq=False):
    """A layer given as an argument, with the environment it was written in."""

    layer: Layer
    environment: Environment


class Binder:
    """The bindings of one expansion."""

    def __init__(
        self, spec: Spec, edits: Edits, charge: Callable[[Layer, int], None], trail: Trail | None = None
    ) -> None:
        # `charge` counts the work that a layer makes, and refuses too much of it; with a trail edits are followed.
        self.spec, self.edits, self.charge, self.trail = spec, edits, charge, trail
        self.bound: dict[tuple[int, int], Any] = {}
        self.environments: dict[Hashable, Environment] = {}
        self.closures: dict[tuple[int, int], Closure] = {}
        self.defaults: dict[str, Defaults] = {}
        self.kinds: dict[str, Mapping[str, Kind]] = {}
        # The model's parameters.
        self.outermost = Environment({}, trail=trail, edits={})
        self.merges: dict[Op, Op] = {}
        # Each edit of a parameter: its path, where the parameter is, and which it is.
        self.edited: list[tuple[str, Environment, Reference]] = []
        # Keys above are ids of layers and environments: these keep every such object alive.
        self.kept: list[object] = []

    def model(self) -> Environment:
        """The model's parameters; a layer among them is expanded where all of them are known."""
        model = self.outermost
        model.read = set() if self.edits else None
        kinds = {name: parameter.kind for name, parameter in self.spec.params.items()}
        edits = self.edits.at("", "the model", kinds) if self.edits else {}
        values = model.values
        for name, parameter in self.spec.params.items():
            assert parameter.default is not None
            values[name] = self._followed(name, parameter.default, parameter.kind, model, model.edits)
            if name in edits:
                edited = self.edits.apply(edits[name], parameter.kind, values[name])
                if edited is not None:
                    values[name] = self.value(edited, parameter.kind, model)
                self._watch(model, name, edits[name])
                self._mark(model.edits, name, edits[name])
            if self.trail is not None:
                self.trail.take_down(name, values[name])
        return model

    def _followed(
        self, name: str, argument: Argument, kind: Kind, environment: Environment, behind: dict[Part, frozenset[str]]
    ) -> Any:
        """An argument's value; where edits are followed, `behind` learns of those behind each element of it."""
        if self.trail is None:
            return self.value(argument, kind, environment)
        value, found = self.trail.collect(lambda: self.value(argument, kind, environment))
        data = argument.data
        if isinstance(data, tuple) and isinstance(value, tuple) and len(data) == len(value):
            for element, item in enumerate(data):
                _, found = self.trail.collect(partial(_resolved, item, environment))
                behind[name, element] = found
        elif isinstance(data, Reference) and data.element is None and isinstance(value, tuple):
            # Handed on as it is, element by element.
            for element in range(len(value)):
                asked = Reference(data.name, element)
                _, behind[name, element] = self.trail.collect(partial(environment.find, asked))
        else:
            behind[name, None] = found
        return value

    @staticmethod
    def _mark(behind: dict[Part, frozenset[str]], name: str, edits: list[tuple[int | None, str, Any]]) -> None:
        """An edit takes the place of what was there, which is worked out, and may be refused, all the same."""
        for element, path, _ in sorted(edits, key=lambda edit: edit[0] is not None):
            there = [part for part in behind if part[0] == name and element in (None, part[1])]
            behind[name, element] = frozenset({path}).union(*(behind.pop(part) for part in there))

    def check_edits_matter(self, mode: str) -> None:
        """Raise UsageError for an edit of a parameter that no layer of the network asked for."""
        for path, environment, reference in self.edited:
            if not environment.has_read(reference):
                hint = "a `when` or an unused block leaves out what uses it, or a call gives another value in its place"
                if self.spec.heads and mode == "eval":
                    hint += "; heads are there in training mode only: --mode train"
                fact = (
                    f"{LABEL}: `{path}`: expected a parameter that the network uses, got one that no layer of it does"
                )
                raise UsageError(f"{fact}. ({hint})")

    def _watch(self, environment: Environment, name: str, edits: list[tuple[int | None, str, Any]]) -> None:
        for element, path, _ in edits:
            self.edited.append((path, environment, Reference(name, element)))

    def is_there(self, layer: Layer, environment: Environment) -> bool:
        """Whether no `when` takes a layer away."""
        if isinstance(layer, Hole):
            closure: Closure = environment.find(layer.reference)
            return self.is_there(closure.layer, closure.environment)
        return layer.when is None or bool(environment.find(layer.when))

    def merge(self, layer: Parallel, path: str, environment: Environment) -> Op:
        """The Op of a concat, an add, a mul or a matmul: one for all places where it is the same."""
        if self.trail is not None:
            op: Op
            op, found = self.trail.collect(partial(self._merge, layer, path, environment))
            self.trail.by_op[id(op)] = found | self._paths(path, layer.name, op)
            self.kept.append(op)
            return op
        op = self._merge(layer, path, environment)
        return self.merges.setdefault(op, op)

    def _merge(self, layer: Parallel, path: str, environment: Environment) -> Op:
        cls = MERGES[layer.name]
        kinds = {name: parameter.kind for name, parameter in cls.parameters().items()}
        values = {name: self.value(argument, kinds[name], environment) for name, argument in layer.arguments.items()}
        if self.edits and kinds:
            for name, found in self.edits.at(path, layer.name, kinds).items():
                edited = self.edits.apply(found, kinds[name], values.get(name, cls.parameters()[name].default))
                if edited is not None:
                    values[name] = self.value(edited, kinds[name], environment)
        return cls(**{name: kinds[name].read(value) for name, value in values.items()})

    def _paths(self, path: str, name: str, op: Op) -> frozenset[str]:
        """The edits of a layer's own arguments."""
        edits = self.edits.at(path, name, {name: each.kind for name, each in type(op).parameters().items()})
        return frozenset(edit for found in edits.values() for _, edit, _ in found)

    def bind(self, layer: Call, path: str, environment: Environment, given: Mapping[str, str] | None = None) -> Any:
        """The Op of a class, or the Environment of a block: once for each call and environment, unless it is edited or
        `given` values, which are others at each place."""
        edits = self.edits.at(path, layer.name, self._kinds(layer)) if self.edits else {}
        if edits or given or self.trail is not None:
            return self._kept(self._bound(layer, environment, edits, given or {}, path))
        # What depends on no parameter is bound once for all places.
        key = id(layer), id(environment) if layer.open else 0
        if key not in self.bound:
            self.bound[key] = self._kept(self._bound(layer, environment, {}, {}))
        return self.bound[key]

    def _kinds(self, layer: Call) -> Mapping[str, Kind]:
        if layer.is_block:
            return self._defaults(layer.name).kinds
        if layer.name not in self.kinds:
            self.kinds[layer.name] = {
                name: parameter.kind for name, parameter in VOCABULARY[layer.name].parameters().items()
            }
        return self.kinds[layer.name]

    def _defaults(self, block: str) -> Defaults:
        if block not in self.defaults:
            self.defaults[block] = Defaults(self.spec.blocks[block], self._default)
            self.defaults[block].trail = self.trail
        return self.defaults[block]

    def _default(self, parameter: BlockParameter) -> Any:
        assert parameter.default is not None
        return self.value(parameter.default, parameter.kind, self.outermost)

    def _bound(
        self, layer: Call, environment: Environment, edits: dict[str, Any], given: Mapping[str, str], path: str = ""
    ) -> Op | Environment:
        kinds = self._kinds(layer)
        behind: dict[Part, frozenset[str]] = {}
        values = {
            name: given[name] if name in given else self._followed(name, argument, kinds[name], environment, behind)
            for name, argument in layer.arguments.items()
        }
        self.charge(layer, sum(map(_length, values.values())))
        for name, found in edits.items():
            edited = self.edits.apply(found, kinds[name], self._current(layer, name, values))
            if edited is not None:
                values[name] = self.value(edited, kinds[name], environment)
            if self.trail is not None:
                self._mark(behind, name, found)
        if self.trail is not None:
            for name in kinds:
                if name not in given:
                    current, _ = self.trail.collect(partial(self._current, layer, name, values))
                    self.trail.take_down(f"{path}.{name}", current)
        if not layer.is_block:
            op = VOCABULARY[layer.name](**{name: kinds[name].read(value) for name, value in values.items()})
            if self.trail is not None:
                self.trail.by_op[id(op)] = _NOTHING.union(*behind.values())
            return op
        if edits:
            made = self._block_environment(layer.name, values, behind)
            for name, found in edits.items():
                made.read = set()
                self._watch(made, name, found)
            return made
        # What is plain is the same where it is equal, what is not where it is the same object; where edits are
        # followed, what they reach is not the same as what they do not.
        key = layer.name, *((name, _identity(value)) for name, value in values.items()), frozenset(behind.items())
        if key not in self.environments:
            self.environments[key] = self._kept(self._block_environment(layer.name, values, behind))
        return self.environments[key]

    def _current(self, layer: Call, name: str, values: dict[str, Any]) -> Any:
        """An argument's value as the spec has it."""
        if name in values:
            return values[name]
        if layer.is_block:
            return self._defaults(layer.name)[name]
        return VOCABULARY[layer.name].parameters()[name].default

    def _block_environment(self, name: str, values: dict[str, Any], behind: dict[Part, frozenset[str]]) -> Environment:
        defaults = self._defaults(name)
        arguments = []
        for key in sorted(values, key=defaults.places.__getitem__):
            required = defaults.parameters[key].default is None
            if required or not _same(values[key], self._default_beside(defaults, key)):
                arguments.append(BlockArgument(key, _show(values[key]), required))
        found = tuple(arguments)
        return Environment(
            values,
            self.outermost,
            (found, describe_block(name, found), self._template(defaults)),
            defaults,
            trail=self.trail,
            edits=behind,
        )

    def _default_beside(self, defaults: Defaults, name: str) -> Any:
        """A default to compare with what stands in its place, which is no use of what it refers to."""
        if self.outermost.read is None:
            return defaults[name]
        parameter = defaults.parameters[name]
        assert parameter.default is not None
        return self.value(parameter.default, parameter.kind, Environment(self.outermost.values))

    def _template(self, defaults: Defaults) -> Template:
        if defaults.template is None:
            # To show a default is no use of what it refers to, so these are worked out beside those of the calls.
            model = Environment(self.outermost.values)
            shown = {
                name: _show(self.value(parameter.default, parameter.kind, model))
                for name, parameter in defaults.parameters.items()
                if parameter.default is not None
            }
            defaults.template = Template(defaults.places, shown, defaults.state_dict)
        return defaults.template

    def _kept(self, value: Any) -> Any:
        self.kept.append(value)
        return value

    def value(self, argument: Argument, kind: Kind, environment: Environment) -> Any:
        """An argument with its references replaced. What was open when the spec was read is checked here."""
        if not argument.open:
            return argument.data
        if kind == LAYER:
            layer = argument.data
            if isinstance(layer, Hole):
                return environment.find(layer.reference)
            key = id(layer), id(environment)
            if key not in self.closures:
                self.closures[key] = Closure(layer, self._kept(environment))
            return self.closures[key]
        data = argument.data
        try:
            data = _resolved(data, environment)
            kind.read(data)
        except ValueError as error:
            file = self.spec.file if argument.line is not None else LABEL
            got = "" if data is argument.data else f", got {show(data)}"
            hint = ""
            if isinstance(argument.data, Binary | Rounded):
                joined = f"{got} from" if got else " in" if ", got " in str(error) else ", got"
                got = f"{joined} {show_operand(argument.data)[:MAX_LENGTH]}"
                if isinstance(data, float):
                    hint = "`//` divides to a whole number, {round: [..., 8]} rounds to one"
            fact = f"expected {error}{got}"
            raise SpecError(fact, file=file, line=argument.line, path=argument.path, hint=hint) from None
        return data


def _length(value: Any) -> int:
    """How many values are checked and compared where this one is given."""
    return len(value) if isinstance(value, tuple) else 1


def _identity(value: Any) -> Hashable:
    if isinstance(value, tuple):
        return tuple(id(item) if isinstance(item, tuple) else _identity(item) for item in value)
    return (type(value), value) if isinstance(value, int | float | str | None) else id(value)


def _resolved(data: Any, environment: Environment) -> Any:
    if isinstance(data, Reference):
        return environment.find(data)
    if isinstance(data, Binary | Rounded | Fraction):
        return evaluate(data, environment.find)
    if isinstance(data, tuple):
        return tuple(_resolved(item, environment) for item in data)
    return data


def _same(value: Any, other: Any) -> bool:
    """Whether two arguments are equal; layers are where they are the same place of the spec."""
    if isinstance(value, Closure) and isinstance(other, Closure):
        return value.layer is other.layer
    return bool(value == other)


def _show(value: Any) -> Any:
    """A block's argument as plain data: a layer by its name."""
    if isinstance(value, Closure):
        layer = value.layer
        return layer.name if isinstance(layer, Call | Parallel) else "layers"
    return value
