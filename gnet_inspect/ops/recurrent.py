"""Recurrent layers over (N, L, F), and the table of embeddings."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Flag, Integer, Number, Optional
from gnet_inspect.ops.base import (
    COUNTED_BY_NONE,
    Call,
    Family,
    Look,
    OneOperator,
    Op,
    Saved,
    Shape,
    Shapes,
    Sight,
    Terms,
    Traffic,
    Weight,
    counted_as_macs,
    terms,
    unseen,
    up_to,
)
from gnet_inspect.units import dimensions

# Each has tensors of its own, and a name for each of them.
MOST_LAYERS = 1_000


class _Recurrent(Op, frozen=True):
    """What LSTM and GRU share, batch_first: (N, L, F) -> (N, L, H), and the state behind the last step as further
    outputs. input_size is inferred.

    MACs: at each step every weight once for each image, in each direction.
    """

    family: ClassVar[Family] = Family("recurrent")
    gates: ClassVar[int]
    # It works with the steps first.
    reorders: ClassVar[bool] = True

    hidden_size: Annotated[int, Integer(1)]
    num_layers: Annotated[int, Integer(1)] = 1
    bias: Annotated[bool, Flag()] = True
    dropout: Annotated[float, Number(0, 1)] = 0.0
    bidirectional: Annotated[bool, Flag()] = False

    @property
    def module(self) -> str:  # type: ignore[override]  # named after the class
        return f"gnet_inspect.runtime.recurrent.{self.kind}"

    @property
    def directions(self) -> int:
        """1, or 2."""
        return 1 + self.bidirectional

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) != 3:
            raise ShapeError(f"{self.kind} expects an input N x L x F, got {dimensions(shape)}")
        if self.num_layers > MOST_LAYERS:
            raise ShapeError(f"{self.kind} expects at most {MOST_LAYERS:,} layers, got {self.num_layers:,}")
        return *shape[:2], self.directions * self.hidden_size

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        found = []
        wide = self.gates * self.hidden_size
        for layer in range(self.num_layers):
            read = inputs[0][2] if layer == 0 else self.directions * self.hidden_size
            for direction in ("", "_reverse")[: self.directions]:
                end = f"_l{layer}{direction}"
                found += [Weight(f"weight_ih{end}", (wide, read)), Weight(f"weight_hh{end}", (wide, self.hidden_size))]
                if self.bias:
                    found += [Weight(f"bias_ih{end}", (wide,)), Weight(f"bias_hh{end}", (wide,))]
        return tuple(found)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        matrices = sum(weight.elements for weight in self.weights(inputs) if len(weight.shape) == 2)
        return inputs[0][0] * inputs[0][1] * matrices

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        if not (trained or wanted[0]):
            return 0
        (batch, steps, _), wide = inputs[0], self.directions * self.gates * self.hidden_size
        # To the first state of each layer and direction, which is zeros, no gradient passes.
        states = self.num_layers * wide * self.hidden_size * batch * (steps - 1)
        between = (self.num_layers - 1) * wide * self.directions * self.hidden_size * batch * steps
        read = prod(inputs[0]) * wide
        return self.macs(inputs, outputs) * trained + states + between + read * wanted[0]

    def sight(self, inputs: Shapes) -> Sight:
        # A step sees itself and those before it, and in two directions all.
        steps = None if self.bidirectional else up_to(inputs[0][1])
        return (Look((0,)), Look((1,), steps), Look((2,), None))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        steps = prod(call.input_shapes[0][:2])
        held = self.weights(call.input_shapes)
        biases = terms("biases", steps * sum(weight.elements for weight in held if len(weight.shape) == 1))
        not_seen = unseen(call, "recurrent layers are not seen")
        return counted_as_macs(call) | {
            "fvcore": not_seen,
            "torchinfo": biases,
            "ptflops_pytorch": not_seen,
            "ptflops_aten": biases,
            "thop": not_seen,
        }

    def tools_by_code(self, *, is_function: bool) -> tuple[str, ...]:
        # ptflops and thop have hooks on torch's own module; fvcore and the operators of a trace see one that is fused.
        return "ptflops_pytorch", "ptflops_aten", "thop"

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"input_size": inputs[0][2]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        return f"{self.kind} {self.hidden_size}" + (f", {self.num_layers} layers" if self.num_layers > 1 else "")


class LSTM(_Recurrent, frozen=True):
    """torch.nn.LSTM, batch_first; its second and third outputs are the last hidden and cell state."""

    gates: ClassVar[int] = 4

    def outputs(self, inputs: Shapes) -> Shapes:
        state = (self.num_layers * self.directions, inputs[0][0], self.hidden_size)
        return self.output_shape(inputs), state, state


class GRU(_Recurrent, frozen=True):
    """torch.nn.GRU, batch_first; its second output is the last hidden state."""

    gates: ClassVar[int] = 3

    def outputs(self, inputs: Shapes) -> Shapes:
        return self.output_shape(inputs), (self.num_layers * self.directions, inputs[0][0], self.hidden_size)


class Embedding(OneOperator, frozen=True):
    """torch.nn.Embedding: int64 (N, L) -> (N, L, embedding_dim), rows of its table."""

    family: ClassVar[Family] = Family("embedding")
    reads: ClassVar[str] = "int64"
    module: ClassVar[str] = "torch.nn.Embedding"
    keeps_output: ClassVar[bool] = False
    puts_in_order: ClassVar[bool] = True

    num_embeddings: Annotated[int, Integer(1)]
    embedding_dim: Annotated[int, Integer(1)]
    padding_idx: Annotated[int | None, Optional(Integer(None))] = None

    def output_shape(self, inputs: Shapes) -> Shape:
        rows = self.num_embeddings
        if self.padding_idx is not None and not -rows <= self.padding_idx < rows:
            raise ShapeError(f"Embedding expects padding_idx from {-rows} to {rows - 1}, got {self.padding_idx}")
        return *inputs[0], self.embedding_dim

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("weight", (self.num_embeddings, self.embedding_dim)),)

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        return 0

    def saved(self, inputs: Shapes, outputs: Shapes, in_place: bool) -> Saved:
        return Saved(input=True)

    def traffic(self, inputs: Shapes, outputs: Shapes) -> Traffic:
        # Rows of the table are read, not the table.
        rows = prod(outputs[0])
        return Traffic(rows, prod(inputs[0]), rows)

    def sight(self, inputs: Shapes) -> Sight:
        return (*(Look((axis,)) for axis in range(len(inputs[0]))), Look(()))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        # torchinfo multiplies the table by the images, as it does any weights that are no window.
        table = self.num_embeddings * self.embedding_dim
        why = "the table of an embedding, once for each image"
        return dict(COUNTED_BY_NONE) | {"torchinfo": terms(why, table * call.output_shapes[0][0])}

    def describe(self) -> str:
        return f"Embedding {self.num_embeddings}x{self.embedding_dim}"
