"""What a file shows that no number of its graph says: that its batch norms are folded, and in how many bits its weights
are held."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from gnet_inspect.graph.recording import Weight
from gnet_inspect.sources.onnx.calls import Reading
from gnet_inspect.sources.onnx.form import Call
from gnet_inspect.sources.onnx.tree import Place
from gnet_inspect.sources.onnx.values import BITS
from gnet_inspect.units import byte_count

# What torch's older exporter calls weights that it worked out, as it does where it folds a batch norm.
_WORKED_OUT = "onnx::Conv_"
_NORM, _CONVOLUTIONS = "BatchNorm", ("Conv", "ConvTranspose")
# What multiplies by weights.
_LAYERS = ("convolution", "linear")


def folded_norms(readings: Sequence[tuple[Call, Reading]], places: Mapping[int, Place]) -> Iterable[str]:
    """That batch norms are folded, where the file shows it: torch's exporter says of a convolution that holds one that
    it is that."""
    kinds = Counter(call.kind for call, _ in readings)
    layers = [places[call.index].layer for call, _ in readings if call.kind in (*_CONVOLUTIONS, "Gemm", "MatMul")]
    folded = sum(layer is not None and layer.kind.startswith(_NORM) for layer in layers)
    if folded:
        norms = "1 batch norm is" if folded == 1 else f"{folded:,} batch norms are"
        yield f"{norms} folded into the layers before by the exporter: their parameters are not there to be counted"
        return
    convolutions = [reading for call, reading in readings if call.kind in _CONVOLUTIONS]
    made = sum(
        bool(reading.slots) and reading.slots[0].weight.startswith(_WORKED_OUT) and len(reading.slots) > 1
        for reading in convolutions
    )
    if made and not kinds["BatchNormalization"]:
        yield (
            f"{made:,} of {len(convolutions):,} convolutions have weights that the exporter worked out, as it does "
            "where it folds batch norms: the parameters of these are not there to be counted"
        )


def bits_of_weights(readings: Sequence[tuple[Call, Reading]], weights: Iterable[tuple[Weight, int]]) -> Iterable[str]:
    """In how many bits weights are held, where that is not 32. `weights` are what was read, with its type in the
    file."""
    layers = [reading for _, reading in readings if reading.op.family.name in _LAYERS and reading.slots]
    found = Counter(BITS[reading.slots[0].stored] for reading in layers)
    held = [(prod(weight.shape), BITS[kind]) for weight, kind in weights if not weight.is_buffer]
    if set(found) <= {32} or not held:
        return
    bits = ", ".join(f"{count:,} of {len(layers):,} in {width} bits" for width, count in sorted(found.items()))
    stored, full = sum(-(-count * width // 8) for count, width in held), sum(4 * count for count, _ in held)
    yield (
        f"weights of convolutions and linear layers: {bits}; all parameters take {byte_count(stored)} in the file, "
        f"{byte_count(full)} in fp32"
    )
