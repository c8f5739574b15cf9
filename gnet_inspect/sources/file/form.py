"""The form of a graph's file: its records, whose field names are the keys of the JSON.

What is a default is not written. A key that is not known is refused, because nobody can say what was meant by it.
"""

from typing import Any, Literal

from msgspec import Raw, Struct

from gnet_inspect.graph import Output, Run, Unreached
from gnet_inspect.ops import Shape, Weight

ENDING = ".graph.json"
GRAPH_SCHEMA = 1


class WrittenValue(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An input of the network."""

    name: str
    shape: Shape
    dtype: Literal["float", "int64", "bool"] = "float"


class WrittenNode(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call of a layer. `op` is its class by name, under "kind", with its arguments; `module` is where its weights
    lie, its own name unless said."""

    name: str
    op: Raw
    inputs: tuple[str, ...] = ()
    module: str | None = None
    sources: tuple[str, ...] = ()
    is_frozen: bool = False
    held: tuple[Weight, ...] | None = None


class WrittenArgument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An argument of a block."""

    name: str
    value: Any
    required: bool = False


class WrittenTemplate(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all blocks of one name share; a part names it by its place among the templates."""

    places: dict[str, int] = {}
    defaults: dict[str, Any] = {}
    state_dict: tuple[str, ...] = ()


class WrittenPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part; its children are parts and the places of nodes."""

    role: Literal["stage", "head", "block", "list", "branch"]
    name: str
    children: tuple["WrittenPart | int", ...]
    kind: str = ""
    arguments: tuple[WrittenArgument, ...] = ()
    text: str = ""
    template: int | None = None


class WrittenGraph(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file."""

    graph_schema: int
    model: str
    inputs: tuple[WrittenValue, ...]
    outputs: tuple[Output, ...]
    nodes: tuple[WrittenNode, ...]
    parts: tuple[WrittenPart, ...]
    templates: tuple[WrittenTemplate, ...] = ()
    title: str = ""
    mode: Literal["eval", "train"] = "eval"
    names_outputs: bool = False
    overrides: tuple[str, ...] = ()
    left_heads: tuple[str, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    run: Run | None = None
    notes: tuple[str, ...] = ()
