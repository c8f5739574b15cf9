"""An ONNX file as a network: read by the package onnx, and by no other that would bring torch.

The file is a stranger's, and none of its weights is read: what it says is which operators run on which values. Shapes
follow from ONNX's own rules of its operators, numbers from the vocabulary's ops.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gnet_inspect.errors import INSTALL_ONNX, MissingError, UsageError, quoted, show
from gnet_inspect.graph import Graph
from gnet_inspect.graph import Value as Input
from gnet_inspect.ops import Shape
from gnet_inspect.sources.onnx.binding import bind
from gnet_inspect.sources.onnx.form import ENDING as ENDING

if TYPE_CHECKING:
    from gnet_inspect.sources.onnx.form import Model


class OnnxFile:
    """A file that was read once: its inputs, and the network at sizes of these."""

    def __init__(self, model: "Model", name: str) -> None:
        self.model, self.name = model, name

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Its inputs; a size that is free stands as 1."""
        from gnet_inspect.sources.onnx.values import dtype_of_kind

        return tuple(
            Input(
                given.name,
                tuple(size if isinstance(size, int) else 1 for size in given.shape or ()),
                dtype_of_kind(given.kind),
            )
            for given in self.model.inputs
        )

    def graph(self, shapes: Mapping[str, Shape] | None = None, batch: int | None = None) -> Graph:
        """The network at the shapes of its inputs that are asked for, by name, and at a batch."""
        from gnet_inspect.sources.onnx.reading import graph_of

        about = f"{show(self.model.file)}, an ONNX file"
        bound = bind(self.model.inputs, shapes or {}, batch, about)
        first = self.model.inputs[0].name
        if not bound[first]:
            raise UsageError(f"expected a first input with a batch, got {quoted(first)}, a single number, for {about}")
        return graph_of(self.model, bound, self.name)


def open_onnx(source: Path | bytes, name: str = "") -> OnnxFile:
    """Read an ONNX file, or its bytes; `name` is what errors call it.

    Raises SpecError where something in it does not fit, UsageError where it cannot be read, and MissingError without
    the package onnx; no file makes it raise anything else.
    """
    if find_spec("onnx") is None:
        raise MissingError(
            f"an ONNX file needs the package onnx, which is not installed. Install it with: {INSTALL_ONNX}"
        )
    from gnet_inspect.sources.onnx.model import read_model

    file = name or (str(source) if isinstance(source, Path) else "<onnx>")
    model = read_model(source, file)
    return OnnxFile(model, model.title)


def read_onnx(
    source: Path | bytes, shapes: Mapping[str, Shape] | None = None, batch: int | None = None, name: str = ""
) -> Graph:
    """The graph of an ONNX file at the shapes of its inputs, of which those that it fixes need not be said."""
    return open_onnx(source, name).graph(shapes, batch)
