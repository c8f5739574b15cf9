"""Spec + input shapes -> Graph: blocks expanded, names given, every shape inferred.

Calls are bound once for each environment; what a layer counts, `graph.maker` works out once for each op and its input
shapes: a repeat of ten thousand equal blocks costs ten thousand names and nodes, and little else.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from itertools import repeat

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import ShapeError, SpecError, nearest
from gnet_inspect.graph.maker import CountError, GraphMaker
from gnet_inspect.graph.nodes import Graph, Group, Output, Unreached, Value, node_of
from gnet_inspect.language.layers import MAX_LAYER_DEPTH
from gnet_inspect.language.model import (
    Call,
    Head,
    Hole,
    Layer,
    Name,
    Nested,
    Parallel,
    Repeat,
    Sequence,
    Shared,
    Source,
    Spec,
)
from gnet_inspect.ops import MERGES, VOCABULARY, Op
from gnet_inspect.ops.arguments import Integer
from gnet_inspect.sources.spec.binding import Binder, Closure, Environment, Trail
from gnet_inspect.sources.spec.overrides import LABEL, Edits
from gnet_inspect.units import dimensions

MAX_NODES = 100_000
# Members of repeats that leave nothing behind still take time, and so do arguments: they are bounded too.
MAX_STEPS = 500_000
# What tables and records say of a layer, they say of the blocks and lists around it: each layer counts once for each.
MAX_PLACES = 1_000_000
# Of the names of all layers, blocks and lists, and of those that each layer reads: each record of a layer has them.
MAX_CHARACTERS = 20_000_000
TIMES = Integer(0)


class Made(Struct):
    """A layer as it was called, so that `share` can call it again, and an editor finds where it is written."""

    layer: Layer
    environment: Environment


class Expander:
    """One expansion of a spec; `graph()` is its result."""

    def __init__(
        self,
        spec: Spec,
        inputs: Several[Value],
        edits: Edits,
        mode: str,
        keeps_calls: bool = False,
        trail: Trail | None = None,
    ) -> None:
        self.spec, self.inputs, self.edits, self.mode = spec, tuple(inputs), edits, mode
        # Whether `made` is to have every call, where only `share` would ask for one.
        self.keeps_calls = keeps_calls or spec.shares
        self.binder = Binder(spec, edits, self._charge, trail)
        self.maker = GraphMaker(inputs)
        self.head_sources = {head.source for head in spec.heads}
        self.head_names = {head.name for head in spec.heads}
        self.taken: dict[str, tuple[int | None, str]] = {}
        self.list_counts: dict[str, int] = {}
        # Lists of the stages themselves, which may come again; one that a parameter holds may not.
        self.continued: set[str] = set()
        self.waiting: dict[str, list[Head]] = {}
        self.heads: dict[str, Output] = {}
        self.head_groups: list[Group] = []
        self.left: list[Unreached] = []
        # What expands the heads that the mode leaves out, with the model's parameters as it knows them.
        self.aside: tuple[Expander, Environment] | None = None
        # By the path of every layer, block and list so far the value that it gave, and what it is; those that may not
        # be named where one is (in a sibling branch, in a head) are hidden.
        self.values: dict[str, str] = {value.name: value.name for value in inputs}
        self.made: dict[str, Made] = {}
        # By the ids of a `share` and what it calls, the call that it is: bindings are kept by the ids of calls.
        self.recalled: dict[tuple[int, int], Call | Parallel] = {}
        self.named: list[str] = []
        self.hidden: set[str] = set()
        # The paths of the layers whose `when` is false.
        self.left_out: set[str] = set()
        # The path of the block in which one is: names are looked up there.
        self.home = ""
        # Whether one is in what is called again: its paths are there already.
        self.again = False
        # And what they meant before.
        self.replaced: list[tuple[str, str]] = []
        self.depth = self.steps = self.places = self.characters = 0

    # --- the network ---

    def graph(self) -> Graph:
        """Expand the whole spec. Raises SpecError, and UsageError for edits that met nothing."""
        try:
            return self._graph()
        except SpecError as error:
            if not self.edits.unused or error.path in self.edits.unused:
                raise
            # The edit that was to mend it may have been misspelt.
            unmet = ", ".join(f"`{path}`" for path in self.edits.unused)
            hint = f"{error.hint}; " if error.hint else ""
            hint += f"up to here nothing had the edited path {unmet}"
            raise SpecError(error.fact, file=error.file, line=error.line, path=error.path, hint=hint) from None

    def _graph(self) -> Graph:
        model = self.binder.model()
        for head in self.spec.heads:
            self.waiting.setdefault(head.source, []).append(head)
        value = self.inputs[0].name
        parts: list[Group] = []
        for stage in self.spec.stages:
            self.maker.open("stage", stage.name)
            value = self._top(stage.body, value, model)
            parts += [part for part in (self.maker.close(), *self.head_groups) if part]
            self.head_groups.clear()
        self.edits.check_all_used()
        self.binder.check_edits_matter(self.mode)
        if self.mode == "train":
            self._check_heads()
        spec = self.spec
        if not self.maker.nodes or (value in self.maker.given and not spec.outputs):
            line = spec.stages[0].body.line
            raise SpecError("expected a network with layers, got none", file=spec.file, line=line, path="stages")
        return self.maker.graph(
            model=spec.name,
            title=spec.title or spec.name,
            mode=self.mode,
            outputs=[*self._outputs(value), *(self.heads[head.name] for head in spec.heads if head.name in self.heads)],
            parts=parts,
            names_outputs=bool(spec.outputs),
            left_heads=tuple(head.name for head in spec.heads if head.name not in self.heads),
            unreached=tuple(self.left),
        )

    def _outputs(self, last: str) -> list[Output]:
        """What the network returns: the outputs of the spec, or the value of its last layer."""
        if not self.spec.outputs:
            return [Output("output", last)]
        found = []
        for name, output in self.spec.outputs.items():
            found.append(Output(name, self._known(output.source)))
        return found

    def _top(self, body: Sequence, value: str, environment: Environment) -> str:
        """The layers of a stage. A list that comes again goes on numbering; so does a stage that is a list."""
        if body.entries and body.entries[0][0] is None:
            value, self.list_counts[""] = self._members(body, "", value, environment, self.list_counts.get("", 0))
            return value
        for name, layer in body.entries:
            assert name is not None
            if not self.binder.is_there(layer, environment):
                self.left_out.add(name)
                continue
            if isinstance(layer, Nested) and name in self.continued:
                if name in self.head_sources:
                    raise self._error(
                        layer, f"expected a head after a layer, got it after `{name}`, which goes on here"
                    )
            else:
                self._claim(name, layer)
            if isinstance(layer, Nested):
                self.continued.add(name)
                value = self._list(layer, name, value, environment, self.list_counts.get(name, 0))
                self._remember(name, value, layer, environment)
            else:
                value = self._passed(layer, name, "", value, environment)
            value = self._attach_heads(name, value, environment)
        return value

    # --- sequences ---

    def _sequence(self, body: Sequence, scope: str, value: str, environment: Environment) -> str:
        if body.entries and body.entries[0][0] is None:
            return self._members(body, scope, value, environment, 0)[0]
        for name, layer in body.entries:
            path = f"{scope}.{name}" if scope else str(name)
            if self.binder.is_there(layer, environment):
                value = self._named(layer, path, scope, value, environment)
            else:
                self._step(layer)
                self.left_out.add(path)
        return value

    def _members(
        self, body: Sequence, scope: str, value: str, environment: Environment, number: int
    ) -> tuple[str, int]:
        for _, layer in body.entries:
            for member in self._repeated(layer, environment):
                path = f"{scope}.{number}" if scope else str(number)
                value = self._named(member, path, scope, value, environment)
                number += 1
        return value, number

    def _repeated(self, layer: Layer, environment: Environment) -> Iterator[Layer]:
        """The members of a list that a layer stands for: itself, none, or a repeat's."""
        if not self.binder.is_there(layer, environment):
            self._step(layer)
            return
        if not isinstance(layer, Repeat):
            yield layer
            return
        # A repeat of no times costs as much as an absent layer.
        self._step(layer)
        if isinstance(layer.layer, Repeat):
            for _ in range(self.binder.value(layer.times, TIMES, environment)):
                self._step(layer)
                yield from self._repeated(layer.layer, environment)
        elif self.binder.is_there(layer.layer, environment):
            yield from repeat(layer.layer, self.binder.value(layer.times, TIMES, environment))

    def _named(self, layer: Layer, path: str, scope: str, value: str, environment: Environment) -> str:
        self._claim(path, layer)
        value = self._passed(layer, path, scope, value, environment)
        return self._attach_heads(path, value, environment) if self.waiting else value

    def _passed(self, layer: Layer, path: str, scope: str, value: str, environment: Environment) -> str:
        """What stands behind a layer: what it gave; behind a learned tensor, which reads nothing, what was there."""
        given = self._layer(layer, path, scope, value, environment)
        self._remember(path, given, layer, environment)
        # Few layers read nothing.
        nodes = self.maker.nodes
        return value if nodes and not nodes[-1].inputs and self._is_aside(layer, environment) else given

    def _is_aside(self, layer: Layer, environment: Environment) -> bool:
        """Whether a layer reads nothing: it is used by its name alone."""
        if isinstance(layer, Hole):
            closure: Closure = environment.find(layer.reference)
            return self._is_aside(closure.layer, closure.environment)
        return isinstance(layer, Call) and not layer.is_block and VOCABULARY[layer.name].arity[1] == 0

    # --- layers ---

    def _layer(self, layer: Layer, path: str, scope: str, value: str, environment: Environment) -> str:
        self._step(layer)
        if isinstance(layer, Call) and not layer.is_block:
            return self._call(layer, path, value, environment)
        self.depth += 1
        if self.depth > MAX_LAYER_DEPTH:
            raise self._error(layer, f"expected layers nested at most {MAX_LAYER_DEPTH} deep, blocks included")
        if isinstance(layer, Call):
            value = self._block(layer, path, value, environment)
        elif isinstance(layer, Nested):
            value = self._list(layer, path, value, environment, 0)
        elif isinstance(layer, Parallel):
            value = self._parallel(layer, path, scope, value, environment)
        elif isinstance(layer, Shared):
            value = self._shared(layer, value, environment)
        else:
            assert isinstance(layer, Hole), "a repeat is a member of a list"
            value = self._hole(layer, path, scope, value, environment)
        self.depth -= 1
        return value

    def _call(self, layer: Call, path: str, value: str, environment: Environment) -> str:
        given = self._given(layer, environment)
        op: Op = self.binder.bind(layer, path, environment, given)
        if op.arity[1] == 0:
            return self._place(op, path, (), layer)
        return self._place(op, path, (*self._read(layer, value, environment), *given.values()), layer)

    def _hole(self, layer: Hole, path: str, scope: str, value: str, environment: Environment) -> str:
        closure: Closure = environment.find(layer.reference)
        return self._layer(closure.layer, path, scope, value, closure.environment)

    def _list(self, layer: Nested, path: str, value: str, environment: Environment, number: int) -> str:
        self.maker.open("list", path)
        value, self.list_counts[path] = self._members(layer.sequence, path, value, environment, number)
        self.maker.add(self.maker.close())
        return value

    def _parallel(self, layer: Parallel, path: str, scope: str, value: str, environment: Environment) -> str:
        # Branches cost a value each, layers or not.
        self._charge(layer, len(layer.branches))
        if layer.sources:
            value = self._read(layer, value, environment)[0]
        ends, start = [], len(self.named)
        for index, branch in enumerate(layer.branches):
            if not isinstance(branch, Sequence):
                ends.append(self._resolve(branch, environment))
                continue
            first = len(self.named)
            self.maker.open("branch", _branch_label(branch, index))
            ends.append(self._sequence(branch, scope, value, environment))
            self.maker.add(self.maker.close())
            # Branches run side by side: none reads from inside another.
            self.hidden.update(self.named[first:])
        self.hidden.difference_update(self.named[start:])
        return self._place(self.binder.merge(layer, path, environment), path, tuple(ends), layer)

    def _block(self, layer: Call, path: str, value: str, environment: Environment) -> str:
        given = self._given(layer, environment)
        inner: Environment = self.binder.bind(layer, path, environment, given)
        if layer.sources:
            value = self._read(layer, value, environment)[0]
        outer, self.home = self.home, path
        self.maker.open("block", self._called(path), layer.name, inner.shown)
        value = self._sequence(self.spec.blocks[layer.name].body, path, value, inner)
        self.maker.add(self.maker.close())
        self.home = outer
        return value

    def _shared(self, layer: Shared, value: str, environment: Environment) -> str:
        """Another call of a layer or block: its weights are where they are, its operations come again."""
        target = layer.target.text
        path = f"{self.home}.{target}" if self.home else target
        made = self.made.get(path)
        if made is None or path in self.hidden:
            raise self._unknown(layer.target, [name for name in self._visible() if name not in self.maker.given])
        called = made.layer
        if isinstance(called, Shared):
            hint = f"write {{share: {called.target.text}}}"
            fact = f"expected the layer or block that is shared, got `{target}`, another call of it"
            raise self._named_wrong(layer.target, fact, hint)
        if isinstance(called, Call | Parallel):
            called = self._again(layer, called)
        elif layer.sources:
            self._check_sources(layer, f"`{target}`", (1, 1))
            value = self._read(layer, value, environment)[0]
        outer, self.again = self.again, True
        first, replaced, self.replaced = len(self.named), self.replaced, []
        value = self._layer(called, path, path.rpartition(".")[0], value, made.environment)
        # Outside of it the names inside mean what they meant: the first call's values.
        self.values.update(reversed(self.replaced))
        del self.named[first:]
        self.again, self.replaced = outer, replaced
        return value

    def _again(self, layer: Shared, called: Call | Parallel) -> Call | Parallel:
        """A call as it was written, but at another place and of what is read there. Its arguments stay."""
        key = id(layer), id(called)
        if key not in self.recalled:
            is_class = isinstance(called, Call) and not called.is_block
            self._check_sources(layer, called.name, VOCABULARY[called.name].arity if is_class else (1, 1))
            self.recalled[key] = replace(called, sources=layer.sources, line=layer.line, path=layer.path)
        return self.recalled[key]

    def _check_sources(self, layer: Shared, name: str, arity: tuple[int, int]) -> None:
        """Raise SpecError for a call that does not read as many values as it must: what is called may stand below."""
        (least, most), given = arity, len(layer.sources) or 1
        if not least <= given <= most and (most or layer.sources):
            number = str(least) if least == most else f"{least} to {most}"
            hint = "give them by `from: [a, b]`" if given < least else ""
            fact = f"expected {name} with {number} {'input' if number == '1' else 'inputs'}, got {given}"
            raise self._error(layer, fact, hint)

    # --- names ---

    def _read(self, layer: Call | Parallel | Shared, value: str, environment: Environment) -> tuple[str, ...]:
        """The values that a layer reads: what comes before it, or what its `from` says."""
        if not layer.sources:
            return (value,)
        return tuple(self._resolve(source, environment) for source in layer.sources)

    def _given(self, layer: Call, environment: Environment) -> dict[str, str]:
        """The arguments of a call that are values."""
        if not layer.values:
            return {}
        return {name: self._resolve(layer.arguments[name].data, environment) for name in layer.values}

    def _resolve(self, source: Source, environment: Environment) -> str:
        """The value that a name means here, or that a parameter holds."""
        if not isinstance(source, Name):
            found: str = environment.find(source)
            return found
        return self._known(source)

    def _known(self, source: Name) -> str:
        """The value that a name means here. Raises SpecError where it means none."""
        value = self._find(source)
        if value is None:
            raise self._unknown(source)
        if value not in self.maker.shapes:
            name = source.text.partition(":")[0]
            fact = f"expected an output that `{name}` has, got `{source.text}`"
            raise self._named_wrong(source, fact, f"it gives {self._outputs_of(node_of(value))}")
        return value

    def _outputs_of(self, node: str) -> str:
        """How many values a layer gives, and the name of the last."""
        number = 1
        while f"{node}:{number}" in self.maker.shapes:
            number += 1
        return "one value" if number == 1 else f"{number} values, the last of which is `:{number - 1}`"

    def _find(self, source: Name) -> str | None:
        """The value of a layer, block or list of the same scope, or of an input of the network."""
        name, _, output = source.text.partition(":")
        path = f"{self.home}.{name}" if self.home else name
        if path in self.hidden or path not in self.values:
            return None
        value = self.values[path]
        return f"{value}:{output}" if output and output != "0" else value

    def _visible(self) -> list[str]:
        """The names that may be used here."""
        prefix = f"{self.home}." if self.home else ""
        return [path[len(prefix) :] for path in self.values if path.startswith(prefix) and path not in self.hidden]

    def _unknown(self, source: Name, known: Several[str] | None = None) -> SpecError:
        name, _, _ = source.text.partition(":")
        path = f"{self.home}.{name}" if self.home else name
        hint = nearest(name, self._visible() if known is None else known)
        if path in self.left_out:
            hint = f"`{name}` is left out here, because its `when` is false"
        elif path in self.hidden or (not self.home and path.partition(".")[0] in self.head_names):
            hint = "branches run side by side, and heads beside the network: nothing reads from inside another one"
        elif self.home in self.head_names:
            hint = "a head sees its own layers alone, and starts from what `from` names"
        elif self.home and hint:
            hint = f"a block sees its own layers and its parameters alone; {hint}"
        elif self.home:
            hint = "a block sees its own layers and its parameters alone: give the value as a parameter"
        fact = f"expected the name of a layer or block before this one, got `{source.text}`"
        return self._named_wrong(source, fact, hint)

    def _named_wrong(self, source: Name, fact: str, hint: str) -> SpecError:
        return SpecError(fact, file=self.spec.file, line=source.line, path=source.path, hint=hint)

    def _remember(self, path: str, value: str, layer: Layer, environment: Environment) -> None:
        if self.again and path in self.values:
            self.replaced.append((path, self.values[path]))
        self.values[path] = value
        self.named.append(path)
        if self.keeps_calls:
            self.made[path] = Made(layer, environment)

    # --- nodes, names, groups and heads ---

    def _called(self, path: str) -> str:
        """The name of a call of the layer at a path: with "@1" behind it for the second one."""
        return self.maker.name_of_call(path) if self.spec.shares else path

    def _place(self, op: Op, path: str, sources: tuple[str, ...], layer: Layer) -> str:
        maker = self.maker
        if len(maker.nodes) >= MAX_NODES:
            raise self._error(layer, f"expected a network of at most {MAX_NODES:,} layers, got more")
        self.places += self.depth
        self.characters += sum(map(len, sources)) + len(maker.stage) + len(maker.block or "")
        if self.places > MAX_PLACES:
            raise self._error(
                layer,
                f"expected layers that lie in at most {MAX_PLACES:,} blocks, lists and branches together, got more",
                "a layer in three of them counts three times; nest less, or repeat less",
            )
        try:
            return maker.call(self._called(path), op, sources, module=path)
        except ShapeError as error:
            read = ", ".join(f"{source} ({dimensions(maker.shapes[source])})" for source in sources[:8])
            read += ", ..." if len(sources) > 8 else ""
            raise self._error(layer, f"layer `{path}` cannot take its input from {read}: {error}") from None
        except CountError as error:
            raise self._error(layer, str(error)) from None

    def _claim(self, path: str, layer: Layer) -> None:
        if self.again:
            return
        if path in self.maker.given:
            raise self._error(layer, f"expected a name of its own for the layer, got `{path}`, an input's")
        other = self.taken.get(path)
        if other is not None:
            what = "branches" if any(f".{word}." in layer.path for word in MERGES) else "stages"
            mend = "rename one of the two"
            if path.rpartition(".")[2].isdecimal():
                mend = "give each list a name: `- branch1: [...]`"
            raise self._error(
                layer,
                f"expected names that differ, got `{path}` twice: here and on line {other[0]} (`{other[1]}`)",
                f"{what} add no scope to the names inside them; {mend}",
            )
        self.taken[path] = layer.line, layer.path
        self.characters += len(path)
        if self.characters > MAX_CHARACTERS:
            raise self._error(
                layer, f"expected names of at most {MAX_CHARACTERS:,} characters in all layers together, got more"
            )

    def _step(self, layer: Layer) -> None:
        self._charge(layer, 1)

    def _charge(self, layer: Layer, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise self._error(layer, f"expected a network that expands in at most {MAX_STEPS:,} steps, got more")

    def _attach_heads(self, path: str, value: str, environment: Environment) -> str:
        for head in self.waiting.pop(path, ()):
            if self.mode == "train":
                self._head(head, value, environment.outer or environment)
            else:
                self._leave(head, value)
        return value

    def _head(self, head: Head, value: str, model: Environment) -> None:
        if head.name in self.taken:
            line, path = self.taken[head.name]
            raise SpecError(
                f"expected a name of its own for the head, got `{head.name}`, also on line {line} (`{path}`)",
                file=self.spec.file,
                line=head.line,
                path=head.path,
            )
        self.taken[head.name] = head.line, head.path
        outer, self.home = self.home, head.name
        first = len(self.named)
        self.maker.open("head", head.name)
        end = self._sequence(head.body, head.name, value, model)
        group = self.maker.close()
        self.home = outer
        self.hidden.update(self.named[first:])
        if group is None:
            raise SpecError(
                "expected a head with layers, got none", file=self.spec.file, line=head.line, path=head.path
            )
        self.head_groups.append(group)
        self.heads[head.name] = Output(head.name, end, head.weight)

    def _leave(self, head: Head, value: str) -> None:
        """Count what a head that the mode leaves out holds, by an expansion of its own, which nothing else sees."""
        name = self.inputs[0].name
        if self.aside is None:
            # One for all heads: to begin one costs as much as there are heads and edits.
            expander = Expander(self.spec, self.inputs, Edits(self.spec, self.edits.given), "train")
            self.aside = expander, expander.binder.model()
        alone, model = self.aside
        alone.maker = GraphMaker([Value(name, self.maker.shapes[value])])
        alone.home, alone.depth = head.name, 0
        try:
            alone._sequence(head.body, head.name, name, model)
        except SpecError:
            # What is wrong in a head is told where heads are there: in training mode, and by `validate`.
            return
        self.left += [Unreached(node.name, node.params) for node in alone.maker.nodes if node.params]

    def _check_heads(self) -> None:
        for source, heads in self.waiting.items():
            heads_names = {head.name for head in self.spec.heads}
            outside = [name for name in self.taken if name.partition(".")[0] not in heads_names]
            raise SpecError(
                f"expected a head after a layer or block of the network, got `{source}`",
                file=self.spec.file,
                line=heads[0].line,
                path=heads[0].path,
                hint=nearest(source, outside),
            )

    def error_at(self, name: str, fact: str, hint: str = "") -> SpecError:
        """An error about a node, at the place of the spec it came from."""
        line, path = self.taken[name]
        return SpecError(fact, file=self.spec.file, line=line, path=path, hint=hint)

    def _error(self, layer: Layer, fact: str, hint: str = "") -> SpecError:
        file = self.spec.file if layer.line is not None else LABEL
        return SpecError(fact, file=file, line=layer.line, path=layer.path, hint=hint)


def _branch_label(branch: Sequence, index: int) -> str:
    names = [name for name, _ in branch.entries if name is not None]
    return names[0] if len(names) == 1 else f"branch {index + 1}"
