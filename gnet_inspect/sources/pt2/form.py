"""The form of a program in a .pt2 file, as far as it is read, and its bounds: torch/_export/serde/schema.py, major 8.

What is not read is not checked: a later minor version may say more.
"""

from typing import Any

from msgspec import Raw, Struct

ENDING = ".pt2"
SCHEMA = 8

# Of a directory of the archive: some 90 bytes for each tensor.
MAX_DIRECTORY = 8_000_000
# Of JSON's commas and brackets together: each value takes memory, however short its text. A real file has one for each
# 18 bytes.
MAX_VALUES = 4_000_000
# Of the steps from what reads weights back to these, all readers together.
MAX_STEPS = 2_000_000

# By torch's number of a dtype what a tensor of it holds, in the graph's words; any other holds numbers.
HELD = {4: "int64", 5: "int64", 12: "bool"}
DTYPES = dict(
    enumerate(
        (
            *("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
            *("complex32", "complex64", "complex128", "bool", "bfloat16"),
        ),
        start=1,
    )
)


class Named(Struct, frozen=True):
    """A tensor, by its name."""

    name: str


class Hint(Struct, frozen=True):
    """The number that a symbolic size had where the program was exported."""

    as_int: int | None = None


class Expression(Struct, frozen=True):
    """A symbolic size; its text is code, which is not even kept."""

    hint: Hint | None = None


class Size(Struct, frozen=True):
    """A size, or a symbolic one."""

    as_int: int | None = None
    as_expr: Expression | None = None


class Tensor(Struct, frozen=True):
    """What is known of a tensor."""

    dtype: int
    sizes: list[Size]
    requires_grad: bool = False


class Input(Struct, frozen=True):
    """An argument by its name. `arg` has one key, which says its type."""

    name: str
    arg: dict[str, Any]


class Metadata(Struct, frozen=True):
    """Where a node comes from: "key,path,class" of each module around it, outermost first, with ";" between them."""

    nn_module_stack: str = ""


class Node(Struct, frozen=True):
    """A call of an operator."""

    target: str
    inputs: list[Input]
    outputs: list[dict[str, Any]]
    metadata: Metadata = Metadata()


class Operators(Struct, frozen=True):
    """The calls, in order, with what is known of the values between them."""

    nodes: list[Node]
    tensor_values: dict[str, Tensor]
    sym_int_values: dict[str, Size] = {}


class UserInput(Struct, frozen=True):
    """An argument of the network."""

    arg: dict[str, Any]


class Parameter(Struct, frozen=True):
    """A parameter under its path in the state dict."""

    arg: Named
    parameter_name: str


class Buffer(Struct, frozen=True):
    """A buffer under its path."""

    arg: Named
    buffer_name: str
    persistent: bool = True


class Constant(Struct, frozen=True):
    """A tensor that is no weight: it was written in the code."""

    arg: Named


class Given(Struct, frozen=True):
    """What the program is given: one of these."""

    user_input: UserInput | None = None
    parameter: Parameter | None = None
    buffer: Buffer | None = None
    tensor_constant: Constant | None = None
    constant_input: dict[str, Any] | None = None
    custom_obj: dict[str, Any] | None = None
    token: dict[str, Any] | None = None


class UserOutput(Struct, frozen=True):
    """A value that the network returns."""

    arg: dict[str, Any]


class Returned(Struct, frozen=True):
    """What the program returns; all but the network's own outputs is said of its training, or of what it writes to."""

    user_output: UserOutput | None = None
    loss_output: Constant | None = None


class Signature(Struct, frozen=True):
    """What the program is given and returns, in order."""

    input_specs: list[Given]
    output_specs: list[Returned]


class CallSignature(Struct, frozen=True):
    """How a module is called: structures, as JSON in a text."""

    in_spec: str = ""
    out_spec: str = ""
    forward_arg_names: list[str] | None = None


class Called(Struct, frozen=True):
    """A module by its path, the root with its signature."""

    fqn: str
    signature: CallSignature | None = None


class Module(Struct, frozen=True):
    """The network."""

    graph: Operators
    signature: Signature
    module_call_graph: list[Called] = []


class Payload(Struct, frozen=True):
    """Where a weight lies, and as what: weights of one place and kind are one. How it would be loaded is not read."""

    path_name: str
    tensor_meta: Raw = Raw(b"null")


class Payloads(Struct, frozen=True):
    """The table of weights, by their paths in the state dict."""

    config: dict[str, Payload]


class Version(Struct, frozen=True):
    """Of the schema."""

    major: int
    minor: int = 0


class Head(Struct, frozen=True):
    """What is read first: a program of another version may have anything else."""

    schema_version: Version


class Program(Struct, frozen=True):
    """The whole file."""

    graph_module: Module


class Tree(Struct, frozen=True):
    """A structure of arguments or results: its class, what its children are called, and these."""

    type: str | None = None
    context: str | None = None
    children_spec: "list[Tree]" = []
