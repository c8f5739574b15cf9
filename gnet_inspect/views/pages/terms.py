"""What the words of a report mean: a glossary at its end, and what each column and figure is told to be."""

from msgspec import Struct


class Term(Struct, frozen=True):
    """A word of the page, its unit ("" where it has none), and what it means."""

    key: str
    name: str
    unit: str
    text: str

    @property
    def title(self) -> str:
        """The meaning with its unit, as it stands beside a column or figure."""
        return f"{self.text} Unit: {self.unit}." if self.unit else self.text


_TERMS = (
    Term(
        "params",
        "Parameters (params)",
        "count",
        "Scalars that can be trained: weights, biases and the affine pair of normalisations. Running statistics are "
        "buffers, and not among them.",
    ),
    Term(
        "macs",
        "MACs",
        "count, of the whole batch",
        "Multiply-accumulates of convolutions, linear layers and matrix products, also inside attention and recurrent "
        "layers. Biases, activations, normalisations and pools count none.",
    ),
    Term("flops", "FLOPs", "count", "Floating-point operations: 2 x MACs, and nothing else."),
    Term(
        "activations",
        "Activations",
        "bytes",
        "The outputs of all layers in the dtype of the page, added up. They are not all held at once.",
    ),
    Term("output", "Output", "elements along each axis", "The shape of what the layer makes, the batch first."),
    Term("bytes", "Bytes", "bytes", "The size of the layer's output in the dtype of the page."),
    Term(
        "held",
        "Held",
        "bytes",
        "What torch's eager forward pass holds while the layer runs: its inputs and output, what it makes on the way, "
        "and what is still to be read. Weights and the network's own input are apart.",
    ),
    Term(
        "peak",
        "Peak of activations",
        "bytes",
        "The most that torch's eager forward pass holds at once, weights and the network's own input apart. A layer "
        'that does not say what it holds makes it a least ("at least").',
    ),
    Term(
        "least",
        "Least peak",
        "bytes",
        "The peak if each tensor were freed right after the last layer that reads it, in the same order of layers.",
    ),
    Term(
        "depth",
        "Depth",
        "layers",
        'Convolutions and linear layers on the longest path to the output, as papers count ("22 layers deep").',
    ),
    Term(
        "field",
        "Receptive field",
        "pixels of the input, height x width",
        'What one output element sees of the input. "<=" stands before a size that is never too small, "all" is the '
        'whole input, "?" is not known.',
    ),
    Term(
        "intensity",
        "Arithmetic intensity (FLOP/B)",
        "FLOPs per byte",
        "FLOPs for each byte that is moved: parameters, inputs and output, each once. Little of it makes memory the "
        "limit, much of it arithmetic.",
    ),
    Term("number", "#", "", "The layer's place in the order in which layers run."),
    Term("layer", "Layer", "", "The name of the layer, as a state dict has it."),
    Term("type", "Type", "", "The class of the layer, as torch.nn has it where it does."),
    Term("kernel", "Kernel", "positions along each axis", "The size of the window of a convolution or a pool."),
    Term("stride", "Stride", "positions along each axis", "How far the window moves from one output to the next."),
    Term(
        "channels",
        "Channels",
        "channels, or features of a linear layer",
        "How many the layer reads and how many it makes, of convolutions, linear layers and pools.",
    ),
    Term("stage", "Stage", "", "The part of the network that the layer lies in."),
    Term(
        "top1",
        "Top-1 error",
        "percent",
        "The share of images whose first guess is wrong, as the source publishes it for one model and one crop.",
    ),
    Term(
        "top5",
        "Top-5 error",
        "percent",
        "The share of images whose class is not among the first five guesses, as the source publishes it for one model "
        "and one crop.",
    ),
    Term(
        "median",
        "Median latency",
        "seconds for a whole batch",
        "The middle one of the measured times of single runs, after warming up.",
    ),
    Term(
        "spread",
        "Spread",
        "seconds",
        "A tenth of the runs took less than p10, a tenth more than p90; half of them lie within the IQR.",
    ),
    Term("rate", "Images per second", "images per second", "The batch over the median time."),
    Term(
        "process",
        "Peak memory, measured",
        "bytes",
        "On CUDA the most that torch's allocator had handed out, elsewhere the most that the whole process held.",
    ),
    Term(
        "roofline",
        "Roofline, least time",
        "seconds",
        "No run is faster than its FLOPs at the device's peak, nor than the bytes it has to move at the bandwidth of "
        "its memory: the larger of the two times is the least.",
    ),
    Term(
        "reached",
        "Share of the roofline",
        "percent",
        "The least time over the measured one. Above 100 % a peak is higher than is said, or a cache held what was "
        "read.",
    ),
    Term("time", "Time", "microseconds", "The median time of the layer inside the real forward pass."),
    Term(
        "coverage",
        "Coverage",
        "layers",
        'How many of the layers could be counted. Where one could not, totals say "at least", and no share is told.',
    ),
)
TERMS = {term.key: term for term in _TERMS}
