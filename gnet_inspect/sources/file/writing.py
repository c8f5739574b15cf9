"""Graph -> the bytes of FILE.graph.json: a line for each node and each part, so that two files can be compared."""

from typing import Any

import msgspec
from msgspec import Raw

from gnet_inspect.errors import UsageError, expect
from gnet_inspect.graph import BlockArgument, Graph, Group, Node, Template
from gnet_inspect.ops import KINDS, Op
from gnet_inspect.sources.file.form import (
    GRAPH_SCHEMA,
    WrittenArgument,
    WrittenGraph,
    WrittenNode,
    WrittenPart,
    WrittenTemplate,
    WrittenValue,
)


def write_graph(graph: Graph) -> bytes:
    """The file of a graph, which `read_graph_file` reads. Raises UsageError for a layer of a class that is not known.

    >>> from gnet_inspect import build_graph, load_spec
    >>> write_graph(build_graph(load_spec("lenet5"))).splitlines()[1:3]
    [b'"graph_schema": 1,', b'"model": "lenet5",']
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    return _Writer(graph).file()


class _Writer:
    """One graph being written. Ops and templates are told apart by what they are, and each is worked out once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._ops: dict[int, Raw] = {}
        self._templates: list[Template] = []
        self._places: dict[int, int] = {}

    def file(self) -> bytes:
        graph = self.graph
        parts = tuple(map(self._part, graph.parts))
        written = WrittenGraph(
            graph_schema=GRAPH_SCHEMA,
            model=graph.model,
            inputs=tuple(WrittenValue(*value) for value in map(msgspec.structs.astuple, graph.inputs)),
            outputs=graph.outputs,
            nodes=tuple(map(self._node, graph.nodes)),
            parts=parts,
            templates=tuple(
                WrittenTemplate(dict(item.places), dict(item.defaults), item.state_dict) for item in self._templates
            ),
            title="" if graph.title == graph.model else graph.title,
            mode=graph.mode,  # type: ignore[arg-type]  # a graph has no other modes
            names_outputs=graph.names_outputs,
            overrides=graph.overrides,
            left_heads=graph.left_heads,
            unreached=graph.unreached,
            run=graph.run,
            notes=graph.notes,
        )
        return _in_lines(written)

    def _node(self, node: Node) -> WrittenNode:
        return WrittenNode(
            node.name,
            self._op(node),
            node.inputs,
            None if node.module == node.name else node.module,
            node.sources,
            node.is_frozen,
            node.held,
        )

    def _op(self, node: Node) -> Raw:
        op = node.op
        # The graph keeps its ops alive, so that an id stays what it is.
        found = self._ops.get(id(op))
        if found is None:
            if KINDS.get(type(op).__name__) is not type(op):
                raise UsageError(
                    f"expected layers whose classes are known, got `{node.name}` of {type(op).__name__}. "
                    "(gnet_inspect.register takes a class in)"
                )
            found = self._ops[id(op)] = Raw(msgspec.json.encode({"kind": type(op).__name__} | _arguments(op)))
        return found

    def _part(self, part: Group) -> WrittenPart:
        return WrittenPart(
            part.role,  # type: ignore[arg-type]  # a part has no other roles
            part.name,
            tuple(self._part(child) if isinstance(child, Group) else child for child in part.children),
            part.kind,
            tuple(map(_argument, part.arguments)),
            part.text,
            self._template(part.template),
        )

    def _template(self, template: Template | None) -> int | None:
        if template is None:
            return None
        place = self._places.get(id(template))
        if place is None:
            place = self._places[id(template)] = len(self._templates)
            self._templates.append(template)
        return place


def _argument(argument: BlockArgument) -> WrittenArgument:
    return WrittenArgument(argument.name, argument.value, argument.required)


def _arguments(op: Op) -> dict[str, Any]:
    """The fields of an op that are no defaults."""
    cls = type(op)
    first = len(cls.__struct_fields__) - len(cls.__struct_defaults__)
    found = {}
    for index, name in enumerate(cls.__struct_fields__):
        value = getattr(op, name)
        if index < first or value != cls.__struct_defaults__[index - first]:
            found[name] = value
    return found


def _in_lines(written: WrittenGraph) -> bytes:
    """JSON with a line for each key, and for each item of the lists that grow with the network."""
    lines = []
    for name, default in zip(written.__struct_fields__, _defaults(), strict=True):
        value = getattr(written, name)
        if value == default:
            continue
        text = msgspec.json.encode(value)
        if name in ("inputs", "outputs", "nodes", "parts", "templates", "unreached"):
            text = b"[\n" + b",\n".join(map(msgspec.json.encode, value)) + b"\n]"
        lines.append(b'"' + name.encode() + b'": ' + text)
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def _defaults() -> tuple[Any, ...]:
    """The default of each field of the file, NODEFAULT where it must be there."""
    fields, defaults = WrittenGraph.__struct_fields__, WrittenGraph.__struct_defaults__
    return (msgspec.NODEFAULT,) * (len(fields) - len(defaults)) + defaults
