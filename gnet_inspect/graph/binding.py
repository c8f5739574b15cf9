"""Arguments and the places they are used at: a call of a class becomes an Op, a call of a block an Environment.

Each call is bound once for each environment it depends on; edits are applied on the way.
"""

from typing import Any

from msgspec import Struct

from gnet_inspect.errors import SpecError, UsageError, show
from gnet_inspect.graph.nodes import BlockArgument
from gnet_inspect.graph.overrides import LABEL, Edits
from gnet_inspect.ops import VOCABULARY, Add, Concat, Op
from gnet_inspect.ops.arguments import LAYER, Kind
from gnet_inspect.spec.model import Argument, Call, Hole, Layer, Parallel, Reference, Spec


class Environment(Struct, eq=False):
    """The values of the parameters visible at a place."""

    values: dict[str, Any]
    outer: "Environment | None" = None
    # A block's arguments, for display.
    arguments: tuple[BlockArgument, ...] = ()
    # What was asked for here, where that is watched: an edit of what nobody asks for changes nothing.
    read: set[Reference] | None = None

    def find(self, reference: Reference) -> Any:
        owner = self if reference.name in self.values or self.outer is None else self.outer
        if owner.read is not None:
            owner.read.add(reference)
        value = owner.values[reference.name]
        return value if reference.element is None else value[reference.element]

    def has_read(self, reference: Reference) -> bool:
        """Whether a parameter, or an element of it, was asked for; what was asked for whole was so in each element."""
        read = self.read or set()
        if reference.element is None:
            return any(item.name == reference.name for item in read)
        return not read.isdisjoint({reference, Reference(reference.name)})


class Closure(Struct, eq=False):
    """A layer given as an argument, with the environment it was written in."""

    layer: Layer
    environment: Environment


class Binder:
    """The bindings of one expansion."""

    def __init__(self, spec: Spec, edits: Edits) -> None:
        self.spec, self.edits = spec, edits
        self.bound: dict[tuple[int, int], Any] = {}
        self.adds: dict[float, Add] = {}
        # Each edit of a parameter: its path, where the parameter is, and which it is.
        self.edited: list[tuple[str, Environment, Reference]] = []
        self.concat = Concat()
        # Keys above are ids of layers and environments: these keep every such object alive.
        self.kept: list[object] = []

    def model(self) -> Environment:
        """The model's parameters; a layer among them is expanded where all of them are known."""
        model = Environment({}, read=set() if self.edits else None)
        kinds = {name: parameter.kind for name, parameter in self.spec.params.items()}
        edits = self.edits.at("", "the model", kinds) if self.edits else {}
        values = model.values
        for name, parameter in self.spec.params.items():
            assert parameter.default is not None
            values[name] = self.value(parameter.default, parameter.kind, model)
            if name in edits:
                edited = self.edits.apply(edits[name], parameter.kind, values[name])
                if edited is not None:
                    values[name] = self.value(edited, parameter.kind, model)
                self._watch(model, name, edits[name])
        return model

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
        """The Op of a concat or an add."""
        if layer.name == "concat":
            return self.concat
        kind = Add.parameters()["scale"].kind
        scale = 1.0 if layer.scale is None else self.value(layer.scale, kind, environment)
        if self.edits:
            edited = self.edits.apply(self.edits.at(path, "add", {"scale": kind}).get("scale", []), kind, scale)
            scale = scale if edited is None else self.value(edited, kind, environment)
        return self.adds.setdefault(kind.read(scale), Add(kind.read(scale)))

    def bind(self, layer: Call, path: str, environment: Environment) -> Any:
        """The Op of a class, or the Environment of a block: once for each call and environment, unless edited."""
        if self.edits:
            kinds = self._kinds(layer)
            edits = self.edits.at(path, layer.name, kinds)
            if edits:
                return self._kept(self._bound(layer, environment, edits))
        # What depends on no parameter is bound once for all places.
        key = id(layer), id(environment) if layer.open else 0
        if key not in self.bound:
            self.bound[key] = self._kept(self._bound(layer, environment, {}))
        return self.bound[key]

    def _kinds(self, layer: Call) -> dict[str, Kind]:
        if layer.is_block:
            return {name: parameter.kind for name, parameter in self.spec.blocks[layer.name].parameters.items()}
        return {name: parameter.kind for name, parameter in VOCABULARY[layer.name].parameters().items()}

    def _bound(self, layer: Call, environment: Environment, edits: dict[str, Any]) -> Op | Environment:
        model = environment.outer or environment
        values: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        if layer.is_block:
            for name, parameter in self.spec.blocks[layer.name].parameters.items():
                if parameter.default is not None and name not in layer.arguments:
                    values[name] = self.value(parameter.default, parameter.kind, model)
        else:
            defaults = {name: parameter.default for name, parameter in VOCABULARY[layer.name].parameters().items()}
        kinds = self._kinds(layer)
        for name, argument in layer.arguments.items():
            values[name] = self.value(argument, kinds[name], environment)
        for name, found in edits.items():
            edited = self.edits.apply(found, kinds[name], values.get(name, defaults.get(name)))
            if edited is not None:
                values[name] = self.value(edited, kinds[name], environment)
        if layer.is_block:
            made = self._block_environment(layer.name, values, model)
            for name, found in edits.items():
                made.read = set()
                self._watch(made, name, found)
            return made
        return VOCABULARY[layer.name](**{name: kinds[name].read(value) for name, value in values.items()})

    def _block_environment(self, name: str, values: dict[str, Any], outer: Environment) -> Environment:
        arguments = []
        # Comparing a default with what stands in its place uses nothing.
        model = Environment(outer.values) if outer.read is not None else outer
        for key, parameter in self.spec.blocks[name].parameters.items():
            default = parameter.default
            unchanged = default is not None and _same(values[key], self.value(default, parameter.kind, model))
            arguments.append(BlockArgument(key, _shown(values[key]), default is None, unchanged))
        return Environment(values, outer, tuple(arguments))

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
            return Closure(layer, environment)
        data = _resolved(argument.data, environment)
        try:
            kind.read(data)
        except ValueError as error:
            file = self.spec.file if argument.line is not None else LABEL
            fact = f"expected {error}, got {show(data)}"
            raise SpecError(fact, file=file, line=argument.line, path=argument.path) from None
        return data


def _resolved(data: Any, environment: Environment) -> Any:
    if isinstance(data, Reference):
        return environment.find(data)
    if isinstance(data, tuple):
        return tuple(_resolved(item, environment) for item in data)
    return data


def _same(value: Any, other: Any) -> bool:
    """Whether two arguments are equal; layers are where they are the same place of the spec."""
    if isinstance(value, Closure) and isinstance(other, Closure):
        return value.layer is other.layer
    return bool(value == other)


def _shown(value: Any) -> Any:
    """A block's argument as plain data: a layer by its name."""
    if isinstance(value, Closure):
        layer = value.layer
        return layer.name if isinstance(layer, Call | Parallel) else "layers"
    return value
