"""FILE.graph.json -> Graph. The file is a stranger's: every name, place and number in it is checked.

Nodes are called again, one after the other, as the file's order has them: shapes, weights and totals are those that the
ops say. The tree of parts says where each of them lies, and holds each exactly once.
"""

import re
from inspect import get_annotations
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from gnet_inspect.errors import ShapeError, SpecError, UsageError, nearest, quoted, show
from gnet_inspect.graph import BlockArgument, Graph, Group, Run, Template, Value, node_of
from gnet_inspect.graph.maker import CountError, GraphMaker
from gnet_inspect.ops import KINDS, TOOLS, Op, Weight
from gnet_inspect.ops.arguments import is_value
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.sources.bounds import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NAME,
    MAX_NODES,
    MAX_SIZE,
    Tally,
)
from gnet_inspect.sources.file.form import GRAPH_SCHEMA, WrittenArgument, WrittenGraph, WrittenNode, WrittenPart

# What values may hold.
DTYPES = ("float", "int64", "bool")
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")
_EXPECTED = re.compile(r"Expected (.*), got (.*)\Z", re.DOTALL)


class _Version(msgspec.Struct):
    """What is read first: a later form may have anything else."""

    graph_schema: int


def read_graph_file(source: Path | bytes, name: str = "") -> Graph:
    """The graph in a file that `write_graph` wrote, or in its bytes; `name` is what errors call it.

    Needs no torch. Its origin is "file", its shapes and numbers follow from its layers anew. Raises SpecError where
    something in it does not fit, and UsageError where it cannot be read; no file makes it raise anything else.
    """
    file = name or (str(source) if isinstance(source, Path) else "<graph>")
    if isinstance(source, Path):
        source = _bytes_of(source, file)
    elif len(source) > MAX_BYTES:
        raise SpecError(f"expected at most {MAX_BYTES:,} bytes, got more", file=file)
    return _Reader(_decoded(source, file), file).graph()


def _bytes_of(path: Path, file: str) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES)
    except TooLargeError as error:
        raise SpecError(str(error), file=file) from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"expected a graph's file, got {show(file)}, which does not exist") from None
    except OSError as error:
        raise UsageError(f"cannot read {show(file)}: {error.strerror}") from None


# --- from bytes to records ---


def _decoded(text: bytes, file: str) -> WrittenGraph:
    try:
        version = msgspec.json.decode(text, type=_Version).graph_schema
        if version != GRAPH_SCHEMA:
            hint = "a newer gnet-inspect wrote it" if version > GRAPH_SCHEMA else ""
            fact = f"expected a graph's file of version {GRAPH_SCHEMA}, got version {show(version)}"
            raise SpecError(fact, file=file, path="graph_schema", hint=hint)
        return msgspec.json.decode(text, type=WrittenGraph)
    except msgspec.ValidationError as error:
        raise _misfit(text, error, file) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"expected a graph's file, which is JSON, got something else: {error}", file=file) from None
    except RecursionError:
        raise SpecError("expected a graph's file, got lists in lists without end", file=file) from None


def _misfit(text: bytes, error: msgspec.ValidationError, file: str) -> SpecError:
    """What is of the wrong type, and where: which item of a list it is, msgspec tells of values alone."""
    try:
        document = msgspec.json.decode(text)
        nodes = document.get("nodes") if isinstance(document, dict) else None
        for node in nodes if isinstance(nodes, list) else ():
            if isinstance(node, dict) and "op" in node:
                # An op is read where it is made.
                node["op"] = msgspec.Raw(b"{}")
        msgspec.convert(document, WrittenGraph)
    except msgspec.ValidationError as found:
        error = found
    except RecursionError:
        return SpecError("expected a graph's file, got lists in lists without end", file=file)
    return _worded(str(error), file, "")


def _worded(message: str, file: str, path: str) -> SpecError:
    """msgspec's sentence in ours, about what lies at a path or inside of it."""
    at = _AT.search(message)
    inner = re.sub(r"\[(\w+|\.\.\.)\]", r".\1", at["path"]).strip(".") if at else ""
    fact = message[: at.start()] if at else message
    found = _EXPECTED.match(fact)
    fact = f"expected {found[1]}, got {found[2]}" if found else f"{fact[:1].lower()}{fact[1:]}"
    return SpecError(fact.replace("`", ""), file=file, path=".".join(part for part in (path, inner) if part))


# --- from records to a graph ---


class _Reader:
    """One file being read."""

    def __init__(self, written: WrittenGraph, file: str) -> None:
        self.written, self.file = written, file
        # By the place of each node: the stage or head and the outermost block that it lies in.
        self._homes: list[tuple[str, str | None] | None] = [None] * len(written.nodes)
        # By its text, an op: equal ones are one, whose numbers are worked out once.
        self._ops: dict[bytes, Op] = {}
        self._paths: set[str] = set()
        self._tally = Tally()

    def graph(self) -> Graph:
        written = self.written
        if not written.nodes or not written.inputs or not written.outputs or not written.parts:
            missing = next(name for name in ("inputs", "nodes", "outputs", "parts") if not getattr(written, name))
            self._refuse(missing, "expected at least one, got none")
        if len(written.nodes) > MAX_NODES:
            self._refuse("nodes", f"expected at most {MAX_NODES:,}, got {len(written.nodes):,}")
        self._name("model", written.model, colon=True)
        maker = GraphMaker(self._inputs())
        templates = self._templates()
        parts = [self._part(part, f"parts.{index}", 1, templates) for index, part in enumerate(written.parts)]
        if None in self._homes:
            self._refuse("parts", f"expected each node once, got nodes.{self._homes.index(None)} nowhere")
        for index, node in enumerate(written.nodes):
            self._call(maker, node, index)
        self._check_outputs(maker)
        return maker.graph(
            model=written.model,
            title=written.title or written.model,
            mode=written.mode,
            outputs=written.outputs,
            parts=parts,
            origin="file",
            names_outputs=written.names_outputs,
            overrides=written.overrides,
            left_heads=written.left_heads,
            unreached=written.unreached,
            run=written.run,
            notes=written.notes,
        )

    def _inputs(self) -> list[Value]:
        found: dict[str, Value] = {}
        for index, value in enumerate(self.written.inputs):
            path = f"inputs.{index}"
            self._name(f"{path}.name", value.name)
            if not value.shape or not all(0 < size <= MAX_SIZE for size in value.shape):
                self._refuse(f"{path}.shape", f"expected positive integers, got {show(value.shape)}")
            if value.name in found:
                self._refuse(f"{path}.name", f"expected a name of its own, got {quoted(value.name)} twice")
            found[value.name] = Value(value.name, value.shape, value.dtype)
        return list(found.values())

    # --- nodes ---

    def _call(self, maker: GraphMaker, node: WrittenNode, index: int) -> None:
        path, home = f"nodes.{index}", self._homes[index]
        self._name(f"{path}.name", node.name)
        self._place_name(path, node)
        if node.name in maker.shapes:
            self._refuse(f"{path}.name", f"expected a name of its own, got {quoted(node.name)} twice")
        if node.module and node.module not in self._paths and node.module != node.name:
            fact = f"expected the name of this node or of one before it, got {quoted(node.module)}"
            self._refuse(f"{path}.module", fact)
        self._paths.add(node.name)
        for place, value in enumerate(node.inputs):
            if value not in maker.shapes:
                fact = f"expected a value that is there before it is read, got {quoted(value)}"
                self._refuse(f"{path}.inputs.{place}", fact, nearest(value, maker.shapes))
        if node.held is not None:
            self._check_weights(f"{path}.held", node.held)
        op = self._ops.get(bytes(node.op))
        if op is None:
            op = self._ops[bytes(node.op)] = self._op(node, f"{path}.op")
        self._check_arity(op, node, path)
        assert home is not None  # every node has a place in the tree
        maker.stage, maker.block = home
        try:
            maker.call(
                node.name,
                op,
                node.inputs,
                module=node.module,
                sources=node.sources,
                is_frozen=node.is_frozen,
                held=node.held,
            )
        except (ShapeError, CountError) as error:
            self._refuse(path, f"layer {quoted(node.name)}: {error}")
        made = maker.nodes[-1]
        if not all(size > 0 for shape in made.output_shapes for size in shape):
            self._refuse(path, f"expected outputs of positive sizes, got {show(made.output_shapes)}")
        if made.macs is not None and made.macs < 0:
            self._refuse(path, f"expected 0 multiply-accumulates or more, got {made.macs:,}")

    def _op(self, node: WrittenNode, path: str) -> Op:
        try:
            fields = msgspec.json.decode(node.op, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            self._refuse(path, "expected a mapping with the kind of a layer and its arguments, got something else")
        kind = fields.pop("kind", None)
        cls = KINDS.get(kind) if isinstance(kind, str) else None
        if cls is None:
            self._refuse(f"{path}.kind", f"expected the class of a layer, got {show(kind)}", nearest(str(kind), KINDS))
        arguments = {name: self._argument(cls, name, value, f"{path}.{name}") for name, value in fields.items()}
        try:
            op = cls(**arguments)
        except TypeError:
            missing = [name for name in cls.__struct_fields__ if name not in arguments and name in _required(cls)]
            self._refuse(path, f"expected {cls.__name__} with {', '.join(missing)}, got it without")
        if op.gives not in ("", *DTYPES):
            self._refuse(path, f"expected outputs of {', '.join(DTYPES)}, got {show(op.gives)}")
        return op

    def _argument(self, cls: type[Op], name: str, value: Any, path: str) -> Any:
        """An argument, as the class's own kind of it reads it, or else as its annotation says."""
        if name not in cls.__struct_fields__:
            self._refuse(path, f"expected an argument of {cls.__name__}", nearest(name, cls.__struct_fields__))
        parameter = cls.parameters().get(name)
        try:
            if parameter is not None:
                return parameter.kind.read(value)
            found = msgspec.convert(value, _annotation(cls, name))
        except msgspec.ValidationError as error:
            raise _worded(str(error), self.file, path) from None
        except (ValueError, OverflowError):
            words = parameter.kind.words if parameter else "another value"
            self._refuse(path, f"expected {words}, got {show(value)}")
        if isinstance(found, tuple) and found and isinstance(found[0], Weight):
            self._check_weights(path, found)
        return found

    def _check_weights(self, path: str, weights: tuple[Weight, ...]) -> None:
        for index, weight in enumerate(weights):
            if not all(0 <= size <= MAX_SIZE for size in weight.shape):
                self._refuse(f"{path}.{index}.shape", f"expected sizes of 0 or more, got {show(weight.shape)}")

    def _check_arity(self, op: Op, node: WrittenNode, path: str) -> None:
        """As many inputs as a class takes, and one more for each argument that is a layer's value."""
        more = sum(is_value(item.kind) and bool(getattr(op, name)) for name, item in type(op).parameters().items())
        least, most = op.arity[0] + more, op.arity[1] + more
        if not least <= len(node.inputs) <= most:
            number = str(least) if least == most else f"{least} to {most}" if most < MAX_NODES else f"{least} or more"
            self._refuse(f"{path}.inputs", f"expected {number} of {op.kind}, got {len(node.inputs)}")

    def _check_outputs(self, maker: GraphMaker) -> None:
        seen: set[str] = set()
        # A network may hand on what it is given.
        made = {node.name for node in maker.nodes} | {value.name for value in self.written.inputs}
        for index, output in enumerate(self.written.outputs):
            path = f"outputs.{index}"
            if output.name in seen:
                self._refuse(f"{path}.name", f"expected a name of its own, got {quoted(output.name)} twice")
            seen.add(output.name)
            if output.value not in maker.shapes or node_of(output.value) not in made:
                fact = f"expected a value that a node gives or an input, got {quoted(output.value)}"
                self._refuse(f"{path}.value", fact, nearest(output.value, made))
        for index, layer in enumerate(self.written.unreached):
            if layer.params < 0:
                self._refuse(f"unreached.{index}.params", f"expected 0 or more, got {layer.params}")

        if self.written.run is not None:
            self._check_run(self.written.run, maker)

    def _check_run(self, run: Run, maker: GraphMaker) -> None:
        for tool in run.uncounted:
            if tool not in TOOLS:
                self._refuse("run.uncounted", f"expected tools of flops, got {quoted(tool)}", nearest(tool, TOOLS))
        for name, last in run.until.items():
            if name not in maker.shapes or not 0 <= last <= len(self.written.nodes):
                self._refuse("run.until", f"expected values with the place of a node, got {quoted(name)}: {show(last)}")
        for name, owner in run.shares.items():
            if name not in maker.shapes or owner not in maker.shapes or owner in run.shares:
                fact = f"expected values with those whose memory they lie in, got {quoted(name)}: {quoted(owner)}"
                self._refuse("run.shares", fact)

    # --- names ---

    def _name(self, path: str, name: str, *, colon: bool = False) -> None:
        """Check a name. Of values a colon parts those of one layer; that of a module in Python has one."""
        if not 0 < len(name) <= MAX_NAME or name.count(".") >= MAX_DEPTH or (":" in name and not colon):
            fact = f"expected a name of 1 to {MAX_NAME:,} characters in at most {MAX_DEPTH} steps"
            self._refuse(path, f"{fact}{'' if colon else ', without a colon'}, got {quoted(name)}")
        self._count(path, len(name))

    def _place_name(self, path: str, node: WrittenNode) -> None:
        """What tables and records say of a layer, they say of what lies around it."""
        self._tally.places += node.name.count(".")
        self._count(path, sum(map(len, (*node.inputs, *node.sources))))

    def _count(self, path: str, characters: int) -> None:
        fact = self._tally.add(characters)
        if fact:
            self._refuse(path, fact)

    # --- parts ---

    def _templates(self) -> list[Template]:
        return [
            Template(
                item.places,
                {name: self._plain(value, f"templates.{index}.{name}") for name, value in item.defaults.items()},
                item.state_dict,
            )
            for index, item in enumerate(self.written.templates)
        ]

    def _part(
        self,
        part: WrittenPart,
        path: str,
        depth: int,
        templates: list[Template],
        home: tuple[str, str | None] = ("", None),
    ) -> Group:
        self._check_part(part, path, depth, len(templates))
        if depth == 1:
            home = part.name, None
        elif part.role == "block" and home[1] is None:
            home = home[0], part.name
        children: list[Group | int] = []
        for index, child in enumerate(part.children):
            if isinstance(child, int):
                self._put(child, f"{path}.children.{index}", home, depth)
                children.append(child)
            else:
                children.append(self._part(child, f"{path}.children.{index}", depth + 1, templates, home))
        arguments = tuple(self._shown(item, f"{path}.arguments.{item.name}") for item in part.arguments)
        template = None if part.template is None else templates[part.template]
        return Group(part.role, part.name, tuple(children), part.kind, arguments, part.text, template)

    def _check_part(self, part: WrittenPart, path: str, depth: int, templates: int) -> None:
        if depth > MAX_DEPTH:
            self._refuse("parts", f"expected parts nested at most {MAX_DEPTH} deep, got more")
        if (part.role in ("stage", "head")) != (depth == 1):
            where = "a stage or head" if depth == 1 else "a block, list or branch"
            self._refuse(f"{path}.role", f"expected {where}, got {part.role}")
        if not part.children:
            self._refuse(f"{path}.children", "expected at least one, got none")
        if part.template is not None and not 0 <= part.template < templates:
            self._refuse(f"{path}.template", f"expected one of {templates} templates, got {part.template}")
        self._count(path, len(part.name) + len(part.text) + len(part.kind))

    def _put(self, place: int, path: str, home: tuple[str, str | None], depth: int) -> None:
        """A node's place in the tree."""
        if not 0 <= place < len(self._homes):
            self._refuse(path, f"expected a node of 0 to {len(self._homes) - 1:,}, got {place}")
        if self._homes[place] is not None:
            self._refuse(path, f"expected each node once, got nodes.{place} again")
        self._homes[place] = home
        self._tally.places += depth
        self._count(path, len(home[0]) + len(home[1] or ""))

    def _shown(self, argument: WrittenArgument, path: str) -> BlockArgument:
        return BlockArgument(argument.name, self._plain(argument.value, path), argument.required)

    def _plain(self, value: Any, path: str, depth: int = 1) -> Any:
        """A value as a block's argument holds it: lists are tuples."""
        if isinstance(value, list) and depth <= MAX_DEPTH:
            return tuple(self._plain(item, path, depth + 1) for item in value)
        if isinstance(value, list | dict):
            self._refuse(path, f"expected a number, a word, a flag, or a list of some, got {show(value)}")
        return value

    def _refuse(self, path: str, fact: str, hint: str = "") -> NoReturn:
        raise SpecError(fact, file=self.file, path=path, hint=hint)


def _required(cls: type[Op]) -> set[str]:
    """The arguments that must be given."""
    defaults = dict(zip(reversed(cls.__struct_fields__), reversed(cls.__struct_defaults__), strict=False))
    return {name for name in cls.__struct_fields__ if defaults.get(name, msgspec.NODEFAULT) is msgspec.NODEFAULT}


def _annotation(cls: type[Op], name: str) -> Any:
    """What a class says of a field of its own, or of one of a class that it is made of."""
    return next(found[name] for base in cls.__mro__ if name in (found := get_annotations(base)))
