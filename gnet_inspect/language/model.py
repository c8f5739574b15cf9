"""A spec as plain frozen data: what the YAML says, checked, with nothing expanded yet.

Layers form a small tree of seven shapes (Call, Nested, Parallel, Repeat, Hole, Shared and the Sequences they stand in);
every one knows the line and the path it came from, because errors found later must point there.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from gnet_inspect.display import Brief, network_words
from gnet_inspect.errors import some_of
from gnet_inspect.language.arithmetic import Reference
from gnet_inspect.language.document import Value
from gnet_inspect.ops import Shape
from gnet_inspect.ops.arguments import LAYER, Kind


class Name(Struct, frozen=True):
    """The value that a layer or block gave, by its name or path where it is written: "encode4", "features.3", "lstm:1"
    for a second output, and where the spec says so."""

    text: str
    line: int | None = None
    path: str = ""


# What a layer reads, or a branch is, in place of what comes before it: a name, or a parameter that holds one.
Source = Name | Reference


class Argument(Struct, frozen=True):
    """A value given to a layer: plain data, data with References or arithmetic in it, or (where the kind says so) a
    Layer or the Name of a value."""

    data: Any
    line: int | None
    path: str
    # False where `data` holds no Reference and was checked when the spec was read.
    open: bool = False


class Call(Struct, frozen=True):
    """One layer: a class of the vocabulary, or a block, with its arguments."""

    name: str
    arguments: Mapping[str, Argument]
    is_block: bool
    line: int | None
    path: str
    when: Reference | None = None
    # Whether any argument depends on the parameters visible where the call stands.
    open: bool = False
    # What it reads, where that is not what comes before it.
    sources: tuple[Source, ...] = ()
    # The arguments that are values.
    values: tuple[str, ...] = ()


class Nested(Struct, frozen=True):
    """A list used as a layer: a scope whose members are numbered."""

    sequence: "Sequence"
    line: int | None
    path: str
    when: Reference | None = None


class Parallel(Struct, frozen=True):
    """`concat`, `add`, `mul` or `matmul`: branches that start from the same input, or values by their names."""

    name: str
    branches: tuple["Sequence | Source", ...]
    arguments: Mapping[str, Argument]
    line: int | None
    path: str
    when: Reference | None = None
    sources: tuple[Source, ...] = ()


class Shared(Struct, frozen=True):
    """`share`: another call of the layer or block of that name."""

    target: Name
    line: int | None
    path: str
    when: Reference | None = None
    sources: tuple[Source, ...] = ()


class Repeat(Struct, frozen=True):
    """N layers in a list."""

    times: Argument
    layer: "Layer"
    line: int | None
    path: str
    when: Reference | None = None


class Hole(Struct, frozen=True):
    """`$parameter` where a layer stands."""

    reference: Reference
    line: int | None
    path: str
    when: Reference | None = None


Layer = Call | Nested | Parallel | Repeat | Hole | Shared


class Sequence(Struct, frozen=True):
    """Layers in order; the name is None for members of a list, which number themselves."""

    entries: tuple[tuple[str | None, Layer], ...]
    line: int | None
    path: str


class BlockParameter(Struct, frozen=True):
    """A parameter of a block or of the model: what its uses demand of it, and its default."""

    name: str
    kind: Kind
    default: Argument | None = None


class Block(Struct, frozen=True):
    """A named template. `state_dict` are layers of it in the order of the state dict, where they run in another one."""

    name: str
    parameters: Mapping[str, BlockParameter]
    body: Sequence
    line: int | None
    state_dict: tuple[str, ...] = ()


def takes_layers(params: Mapping[str, BlockParameter], blocks: Mapping[str, Block]) -> bool:
    """Whether a parameter of the model or of these blocks holds a layer: there an edit may put any block in."""
    holders = (params, *(block.parameters for block in blocks.values()))
    return any(parameter.kind == LAYER for parameters in holders for parameter in parameters.values())


class Stage(Struct, frozen=True):
    """A group of layers for display; it adds no scope to their names."""

    name: str
    body: Sequence


class Head(Struct, frozen=True):
    """An auxiliary classifier: present in training only, run right after the node or block `source`."""

    name: str
    source: str
    weight: float
    body: Sequence
    line: int | None
    path: str


class Figure(Struct, frozen=True):
    """A published number as it is printed ("2.7K"), its value, and the half-width of what rounds to it."""

    printed: str
    value: float
    rounding: float


class Said(Struct, frozen=True):
    """What a spec says of a published figure that does not agree: `erratum`, why it is wrong, or `variant`, which other
    network it is right for. `note` says anything else."""

    erratum: str = ""
    variant: str = ""
    note: str = ""


class Row(Struct, frozen=True):
    """One row of a published table: the nodes it covers and what is printed of them. `output` is the shape that the
    last of them gives, without the batch."""

    nodes: tuple[str, ...]
    figures: Mapping[str, Figure]
    output: tuple[int, ...] = ()
    said: Said = Said()
    line: int | None = None
    path: str = ""


class Claim(Struct, frozen=True):
    """A published comparison. As a ratio, `of` has `value` times the `quantity` of `to`: each of the two is a model of
    the catalogue by its name, or a small network that the claim itself writes out. As a difference, `value` is the
    `quantity`, an error or accuracy, of the source `of` minus that of the source `to`."""

    quantity: str
    of: "str | Spec"
    to: "str | Spec"
    value: Figure
    difference: bool = False
    said: Said = Said()
    line: int | None = None
    path: str = ""


class Published(Struct, frozen=True):
    """What one source says of the model. `units` are those of its units that it names itself.

    Its figures are those of the spec's own network, unless it names another one: by `overrides`, edits as --set takes
    them, in the mode "train", which has the heads, or at the input (channels, height, width).
    """

    source: str
    units: Mapping[str, int] = {}
    params_are: str = "parameters"
    macs_are: str = "multiply-accumulates"
    overrides: Mapping[str, Value] = {}
    mode: str = "eval"
    input: Shape | None = None
    rows: tuple[Row, ...] = ()
    totals: Row | None = None
    claims: tuple[Claim, ...] = ()
    accuracy: Mapping[str, Any] | None = None
    note: str = ""
    line: int | None = None
    path: str = ""


class Given(Struct, frozen=True):
    """An input of the network: its name, its shape without the batch, and its dtype ("float" or "int64")."""

    name: str
    shape: Shape
    dtype: str = "float"


class OutputName(Struct, frozen=True):
    """Which value an output of the network is, and where the spec says so."""

    source: Name
    line: int | None
    path: str


class Spec(Brief, Struct, frozen=True):
    """A model as its YAML file describes it. `inputs` are what it is given, without the batch; `outputs` are the values
    it returns by their names, none where it returns what its last layer gives.

    `unused_blocks` are those that the network does not contain, which is no mistake by itself; `idle_params` the
    parameters that only these blocks use, each with them.
    """

    name: str
    inputs: tuple[Given, ...]
    stages: tuple[Stage, ...]
    title: str = ""
    year: int | None = None
    family: str = ""
    notes: str = ""
    paper: Mapping[str, str] = {}
    params: Mapping[str, BlockParameter] = {}
    blocks: Mapping[str, Block] = {}
    heads: tuple[Head, ...] = ()
    published: tuple[Published, ...] = ()
    file: str = ""
    unused_blocks: tuple[str, ...] = ()
    idle_params: Mapping[str, Collection[str]] = {}
    outputs: Mapping[str, OutputName] = {}
    # Whether any layer is called again by `share`.
    shares: bool = False

    def _brief(self) -> str:
        parts = f"{len(self.stages)} stages, {len(self.blocks)} blocks, {len(self.heads)} heads"
        return f"{network_words(self.name, (), self.input)}: {self.title or self.file}, {parts}"

    @property
    def input(self) -> Shape:
        """The shape of its first input: (channels, height, width) of a network for images."""
        return self.inputs[0].shape

    def warnings(self, every: bool = False) -> list[str]:
        """What is no mistake and may be an oversight: a sentence for each block that nothing uses, with the parameters
        of the model that only such blocks use.

        A block that an edit may put in, because a parameter holds a layer, is told only where `every` asks for it.
        """
        used = {name: block for name, block in self.blocks.items() if name not in self.unused_blocks}
        spare = takes_layers(self.params, used)
        if spare and not every:
            return []
        hint = "an edit may put it in where a parameter holds a layer" if spare else "use it, or remove it"
        found = []
        for name in self.unused_blocks:
            idle = [param for param, users in self.idle_params.items() if name in users]
            also = f", nor what only such blocks use: {some_of(f'`{param}`' for param in idle)}" if idle else ""
            place = f"{self.file}:{self.blocks[name].line}: `blocks.{name}`"
            found.append(f"{place}: warning: nothing uses this block{also}. ({hint})")
        return found
