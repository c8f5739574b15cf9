"""The words a network is written in: what its layers are called, what is said of them, what may be left out.

A spec leaves out what follows from the shapes, and has words of its own that no layer may be called; torch's classes
are told every width, and take any name.
"""

import re
from typing import Any, Protocol

from gnet_inspect.authoring.program import Body, Layer, Use
from gnet_inspect.graph import Node
from gnet_inspect.language.names import name_fault
from gnet_inspect.ops import VOCABULARY
from gnet_inspect.ops.arguments import Kind


class Words(Protocol):
    """What is asked of the words."""

    # Whether layers are told the widths of what comes in.
    tells_widths: bool

    def name(self, name: str) -> str:
        """A name that a layer may have, as near to its own as can be."""

    def arguments(self, node: Node) -> dict[str, Any]:
        """All arguments of a layer, defaults too, by name."""

    def may_lack(self, body: Body) -> bool:
        """Whether a step may be there in some uses of a block, and not in others."""


def shortest(kind: Kind, value: Any) -> Any:
    """One number where it stands for as many equal ones as there are axes, else a list."""
    if not isinstance(value, tuple):
        return value
    if value and all(item == value[0] for item in value):
        try:
            if kind.read(value[0]) == value:
                return value[0]
        except ValueError:
            pass
    return list(value)


# What functions are called in a spec whose names are words of the language.
_CALLED = {"add": "sum", "mul": "scaled", "concat": "joined", "matmul": "product", "share": "shared"}


class SpecWords:
    """Those of a spec."""

    tells_widths = False

    def name(self, name: str) -> str:
        if name in _CALLED:
            return _CALLED[name]
        if name_fault(name, "layer") is None and name not in VOCABULARY:
            return name
        return re.sub(r"[^A-Za-z0-9_]", "_", name)[:63].lstrip("_") + "_"

    def arguments(self, node: Node) -> dict[str, Any]:
        parameters = node.op.parameters().items()
        return {name: shortest(parameter.kind, getattr(node.op, name)) for name, parameter in parameters}

    def may_lack(self, body: Body) -> bool:  # noqa: ARG002  # of any
        return True


# Of a learned tensor each size by itself, so that it may follow from a width.
SIZES = tuple(f"size{axis}" for axis in range(8))
# What torch takes as one number for all axes.
_PER_AXIS = ("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size", "size", "scale_factor")


class TorchWords:
    """Those of a module in Python: torch's arguments, each width among them."""

    tells_widths = True
    # What torch has as modules, that may be there or not.
    _modules = ("activation", "dropout", "pooling", "normalisation", "convolution", "linear")

    def name(self, name: str) -> str:
        return name

    def arguments(self, node: Node) -> dict[str, Any]:
        if node.op.kind == "Parameter":
            return dict(zip(SIZES, node.output_shape, strict=False)) | {"init": getattr(node.op, "init", "zeros")}
        given = node.op.torch_arguments(node.input_shapes)
        if node.op.kind in _PADS:
            return _pad(node, given)
        found: dict[str, Any] = {name: _one(value) if name in _PER_AXIS else value for name, value in given.items()}
        shape: Any = found.get("normalized_shape")
        if isinstance(shape, tuple) and len(shape) == 1:
            found["normalized_shape"] = shape[0]
        if found.get("stride", 0) is None:
            found["stride"] = found["kernel_size"]
        return found

    def may_lack(self, body: Body) -> bool:
        """What is a module: a function in the middle of a forward would need a flag of its own there."""
        return isinstance(body, Use) or (isinstance(body, Layer) and body.family in self._modules)


# What pads, by itself.
_PADS = ("Pad", "ZeroPad2d")


def _pad(node: Node, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a pad: all four sides, or how many axes there are."""
    if node.op.kind == "Pad":
        return given | {"rank": len(node.input_shapes[0])}
    sides = given["padding"]
    return {"padding": sides if isinstance(sides, tuple) else (sides,) * 4}


def _one(value: Any) -> Any:
    """One number in the place of as many equal ones as there are axes."""
    if isinstance(value, tuple) and value and all(item == value[0] for item in value):
        return value[0]
    return value


SPEC = SpecWords()
TORCH = TorchWords()
