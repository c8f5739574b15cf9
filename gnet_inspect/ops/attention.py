"""Attention: scaled dot products by themselves, with their projections, and in windows."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, ClassVar

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops.arguments import Flag, Integer, Number, Sizes
from gnet_inspect.ops.base import (
    Call,
    Family,
    Look,
    Op,
    Shape,
    Shapes,
    Sight,
    Terms,
    Weight,
    counted_as_macs,
    terms,
    unseen,
    up_to,
)
from gnet_inspect.ops.merging import broadcast
from gnet_inspect.ops.spatial import Size
from gnet_inspect.units import dimensions

ATTENTION = Family("attention")

# The tools that see no attention: torchinfo multiplies the weights of modules by positions, ptflops's pytorch backend
# and thop have hooks on classes, and patches of functions that it does not call.
_BLIND = ("torchinfo", "ptflops_pytorch", "thop")


def _gradients_of_products(scores: int, weighted: int, wanted: tuple[bool, ...]) -> int:
    """What the backward pass multiplies for the products of an attention, of which the forward pass takes `scores` for
    queries by keys and `weighted` for weights by values; `wanted` says which of query, key and value have a gradient.
    As torch differentiates the products one by one: a kernel that does all of them makes the scores once more."""
    query, key, value = wanted
    return scores * (query + key) + weighted * ((query or key) + value)


class ScaledDotProductAttention(Op, frozen=True):
    """torch.nn.functional.scaled_dot_product_attention of query (..., L, E), key (..., S, E) and value (..., S, V).

    MACs: every query times every key, and every weight times every value: B L S (E + V).
    """

    family: ClassVar[Family] = ATTENTION
    arity: ClassVar[tuple[int, int]] = (3, 3)
    module: ClassVar[str] = "gnet_inspect.runtime.attention.ScaledDotProductAttention"
    reorders: ClassVar[bool] = True

    is_causal: Annotated[bool, Flag()] = False

    def output_shape(self, inputs: Shapes) -> Shape:
        query, key, value = inputs
        fits = min(map(len, inputs)) >= 3 and query[-1] == key[-1] and key[-2] == value[-2]
        if not fits:
            raise ShapeError(
                "ScaledDotProductAttention expects a query ... x L x E, a key ... x S x E and a value ... x S x V, "
                f"got {', '.join(map(dimensions, inputs))}"
            )
        before = broadcast(self.kind, tuple(shape[:-2] for shape in inputs))
        return *before, query[-2], value[-1]

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        query, key, value = inputs
        return prod(outputs[0][:-2]) * query[-2] * key[-2] * (query[-1] + value[-1])

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        query, key, value = inputs
        pairs = prod(outputs[0][:-2]) * query[-2] * key[-2]
        return _gradients_of_products(pairs * query[-1], pairs * value[-1], wanted)

    def sight(self, inputs: Shapes) -> Sight:
        return self.sights(inputs)[0]

    def sights(self, inputs: Shapes) -> tuple[Sight, ...]:
        rank, positions = len(self.output_shape(inputs)), inputs[1][-2]
        before = tuple(Look((axis,)) for axis in range(rank - 2))
        # Of the query its own position, of key and value all of them, or those that are not behind its own.
        own, others = Look((rank - 2,)), Look((rank - 2,), up_to(positions) if self.is_causal else None)
        mixed = Look((rank - 1,), None)
        return ((*before, own, mixed), (*before, others, mixed), (*before, others, Look((rank - 1,))))

    def differences(self, call: Call) -> Mapping[str, Terms]:
        not_seen = unseen(call, "the one function of the attention is not seen")
        return counted_as_macs(call) | dict.fromkeys(_BLIND, not_seen) | {"fvcore": not_seen}


class MultiheadAttention(Op, frozen=True):
    """torch.nn.MultiheadAttention with batch_first on (N, L, E), which attends to itself where it has one input (query
    = key = value); of three they are query, key and value. It gives the output alone (need_weights=False); embed_dim,
    kdim and vdim are inferred.

    MACs: the projections of query, key, value and output, and B L S 2 E for the products.
    """

    shorthand: ClassVar[str] = "attention"
    family: ClassVar[Family] = ATTENTION
    arity: ClassVar[tuple[int, int]] = (1, 3)
    depth: ClassVar[int] = 2
    module: ClassVar[str] = "gnet_inspect.runtime.attention.SelfAttention"
    reorders: ClassVar[bool] = True

    num_heads: Annotated[int, Integer(1)]
    dropout: Annotated[float, Number(0, 1)] = 0.0
    bias: Annotated[bool, Flag()] = True

    def _three(self, inputs: Shapes) -> tuple[Shape, Shape, Shape]:
        query, key, value = inputs if len(inputs) == 3 else (inputs[0],) * 3
        return query, key, value

    def output_shape(self, inputs: Shapes) -> Shape:
        if len(inputs) == 2:
            raise ShapeError("MultiheadAttention expects one input, or query, key and value, got two")
        query, key, value = self._three(inputs)
        fits = {len(query), len(key), len(value)} == {3} and query[0] == key[0] == value[0] and key[1] == value[1]
        if not fits:
            raise ShapeError(f"MultiheadAttention expects inputs N x L x E, got {', '.join(map(dimensions, inputs))}")
        if query[2] % self.num_heads:
            raise ShapeError(
                f"MultiheadAttention expects features divisible by its {self.num_heads} heads, got {query[2]}"
            )
        return query

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        query, key, value = self._three(inputs)
        features = query[2]
        if features == key[2] == value[2]:
            projections: tuple[Weight, ...] = (Weight("in_proj_weight", (3 * features, features)),)
        else:
            sizes = {"q": features, "k": key[2], "v": value[2]}
            projections = tuple(Weight(f"{name}_proj_weight", (features, size)) for name, size in sizes.items())
        biases = (Weight("in_proj_bias", (3 * features,)),) if self.bias else ()
        out = Weight("out_proj.weight", (features, features))
        return (*projections, *biases, out, *((Weight("out_proj.bias", (features,)),) if self.bias else ()))

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        (batch, length, features), key, value = self._three(inputs)
        projected = 2 * length * features + key[1] * key[2] + value[1] * value[2]
        return batch * features * (projected + 2 * length * key[1])

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        three = self._three(inputs)
        batch, length, features = three[0]
        passed = wanted if len(wanted) == 3 else (wanted[0],) * 3
        projected = [prod(shape) * features for shape in three]
        read = sum(macs * (trained + passes) for macs, passes in zip(projected, passed, strict=True))
        # What is projected by weights that are trained has a gradient, whatever passes to the input.
        made = tuple(trained or passes for passes in passed)
        product = batch * length * three[1][1] * features
        return read + _gradients_of_products(product, product, made) + projected[0] * (trained + any(made))

    def sight(self, inputs: Shapes) -> Sight:
        return self.sights(inputs)[0]

    def sights(self, inputs: Shapes) -> tuple[Sight, ...]:
        own, all_others = (Look((0,)), Look((1,)), Look((2,), None)), (Look((0,)), Look((1,), None), Look((2,), None))
        return (own, all_others, all_others) if len(inputs) == 3 else (all_others,)

    def differences(self, call: Call) -> Mapping[str, Terms]:
        query, key, _ = self._three(call.input_shapes)
        known = {"torch": counted_as_macs(call)["torch"]}
        known |= dict.fromkeys(_BLIND, unseen(call, "attention of torch.nn is not seen"))
        if not self._may_be_fused(call.input_shapes):
            products = 2 * prod(query) * key[1]
            known["fvcore"] = terms("the one function of the attention is not seen", -products)
        known["ptflops_aten"] = terms("biases", self._biases_of_operators(call.input_shapes))
        return known

    def tools_by_code(self, *, is_function: bool) -> tuple[str, ...]:
        # Hooks on torch's own module; and one operator may do all of it.
        return "ptflops_pytorch", "ptflops_aten", "thop", "fvcore"

    def _biases_of_operators(self, inputs: Shapes) -> int:
        """The biases that torch's linear operator has. With the positions first, several images lie in an order in
        which it leaves them to another one; the output's are always its own."""
        if not self.bias:
            return 0
        three = self._three(inputs)
        features = three[0][2]
        read = sum(prod(shape[:2]) for shape in three if min(shape[:2]) == 1)
        return features * (read + prod(three[0][:2]))

    def tools_by_order(self, call: Call) -> tuple[str, ...]:
        return ("ptflops_aten",) if self.bias else ()

    def _may_be_fused(self, inputs: Shapes) -> bool:
        """Whether one operator may do all of it at inference, which fvcore does not know: torch's condition for that is
        one tensor for query, key and value, biases, and an even number of heads."""
        same = len(set(inputs)) == 1
        return same and self.bias and self.num_heads % 2 == 0

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        query, key, value = self._three(inputs)
        return {"embed_dim": query[2], "kdim": key[2], "vdim": value[2]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        return f"MultiheadAttention, {self.num_heads} heads"


class ShiftedWindowAttention(Op, frozen=True):
    """Attention within windows of (N, H, W, C), shifted by `shift` where a window does not cover the input (Liu et al.,
    Swin Transformer, 2021), with torchvision's weights and its rule of padding: behind, up to a multiple of the window.

    MACs by window: the projections of every padded position, and for each two positions of a window 2 C.
    """

    shorthand: ClassVar[str] = "window attention"
    family: ClassVar[Family] = ATTENTION
    depth: ClassVar[int] = 2
    module: ClassVar[str] = "gnet_inspect.runtime.attention.ShiftedWindowAttention"
    puts_in_order: ClassVar[bool] = True

    heads: Annotated[int, Integer(1)]
    window: Annotated[Size, Sizes(Integer(1))]
    shift: Annotated[Size, Sizes(Integer(0))] = (0, 0)
    qkv_bias: Annotated[bool, Flag()] = True
    proj_bias: Annotated[bool, Flag()] = True
    attention_dropout: Annotated[float, Number(0, 1)] = 0.0
    dropout: Annotated[float, Number(0, 1)] = 0.0

    def axis_names(self, rank: int) -> tuple[str, ...]:
        return ("N", "H", "W", "C")

    def output_shape(self, inputs: Shapes) -> Shape:
        shape = inputs[0]
        if len(shape) != 4 or shape[3] % self.heads:
            raise ShapeError(
                f"ShiftedWindowAttention expects an input N x H x W x C with C divisible by its {self.heads} heads, "
                f"got {dimensions(shape)}"
            )
        return shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        channels, positions = inputs[0][3], prod(self.window)
        table = prod(2 * size - 1 for size in self.window)
        return (
            Weight("relative_position_bias_table", (table, self.heads)),
            Weight("relative_position_index", (positions * positions,), trained=False, indices=True),
            Weight("qkv.weight", (3 * channels, channels)),
            *((Weight("qkv.bias", (3 * channels,)),) if self.qkv_bias else ()),
            Weight("proj.weight", (channels, channels)),
            *((Weight("proj.bias", (channels,)),) if self.proj_bias else ()),
        )

    def macs(self, inputs: Shapes, outputs: Shapes) -> int:
        batch, height, width, channels = inputs[0]
        padded = prod(self._padded(height, width))
        return batch * padded * (4 * channels * channels + 2 * prod(self.window) * channels)

    def backward_macs(self, inputs: Shapes, outputs: Shapes, trained: bool, wanted: tuple[bool, ...]) -> int:
        batch, height, width, channels = inputs[0]
        rows, passes = batch * prod(self._padded(height, width)), trained or wanted[0]
        product = rows * prod(self.window) * channels
        # Query, key and value are made by one layer, and a fourth makes the output.
        projections = rows * channels * channels * (3 * (trained + wanted[0]) + trained + passes)
        return projections + _gradients_of_products(product, product, (passes,) * 3)

    def sight(self, inputs: Shapes) -> Sight:
        return None

    def differences(self, call: Call) -> Mapping[str, Terms]:
        batch, height, width, channels = call.input_shapes[0]
        padded = batch * prod(self._padded(height, width))
        products = 2 * padded * prod(self.window) * channels
        # Of the functions it calls ptflops has patched the products and the softmax, not the linear ones.
        patched = products + padded * self.heads * prod(self.window)
        why = "functions that ShiftedWindowAttention calls"
        not_seen = unseen(call, "functions are not seen")
        known = {
            "torch": counted_as_macs(call)["torch"],
            "fvcore": (),
            "torchinfo": not_seen,
            "ptflops_pytorch": unseen(call, why) + terms(why, patched, patched=True),
            "thop": not_seen,
        }
        biases = padded * channels * (3 * self.qkv_bias + self.proj_bias)
        return known | {"ptflops_aten": terms("biases", biases)}

    def tools_by_order(self, call: Call) -> tuple[str, ...]:
        # Windows that lie side by side are copied one behind the other.
        copied = self.window[0] > 1 and call.input_shapes[0][2] > self.window[1]
        return ("ptflops_aten",) if self.qkv_bias and not copied else ()

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        """The sizes padded up to multiples of the window."""
        rows, columns = self.window
        return -(-height // rows) * rows, -(-width // columns) * columns

    def torch_arguments(self, inputs: Shapes) -> dict[str, Any]:
        return {"channels": inputs[0][3]} | super().torch_arguments(inputs)

    def describe(self) -> str:
        shifted = f", shift {self.shift[0]}" if any(self.shift) else ""
        return f"ShiftedWindowAttention {self.window[0]}x{self.window[1]}, {self.heads} heads{shifted}"
