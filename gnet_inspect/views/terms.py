"""The words of tables, records and pages: one source of `gnet-inspect glossary`, docs/glossary.md and what pages say.

A test holds it to every column of every table and to the names of every total.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from gnet_inspect.errors import UsageError, quoted, show
from gnet_inspect.spelling import near_names, plain_name


class Term(Struct, frozen=True):
    """A word: what it is called in full, its unit ("" where it has none), and what it means, in short first.

    `names` are the columns of CSV and keys of JSON that hold it; one that holds it in the tables of one command alone
    has that in front ("taps.stride"). `headings` stand above its columns, or are other words for it. `where` are the
    commands in which it is met.
    """

    key: str
    title: str
    unit: str
    text: str
    names: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """The text with its unit, as it stands beside a column or figure."""
        return f"{self.text} Unit: {self.unit}." if self.unit else self.text

    @property
    def short(self) -> str:
        """The first sentence, without its full stop."""
        return self.text.partition(". ")[0].removesuffix(".")


def _term(key: str, title: str, unit: str, text: str, *, names: str = "", headings: str = "", where: str = "") -> Term:
    """A term whose lists are written as words, headings with commas between them."""
    heads = tuple(filter(None, headings.split(", ")))
    return Term(key, title, unit, text, tuple(names.split()), heads, tuple(where.split()))


# The groups are in the order in which a reader meets them, and so are the words of a group.
GROUPS: dict[str, tuple[Term, ...]] = {
    "Counts": (
        _term(
            "params",
            "Parameters",
            "count",
            "Scalars that can be trained: weights, biases and the affine pair of normalisations. Running statistics "
            "are buffers, and not among them. Of a training graph they include those of the heads.",
            names="params params_delta",
            headings="params, parameters",
            where="check compare diagram explain list report summary sweep taps",
        ),
        _term(
            "macs",
            "MACs",
            "count, of the whole batch",
            "Multiply-accumulates of convolutions, linear layers and matrix products, also inside attention and "
            "recurrent layers. Biases, activations, normalisations and pools count none, as in papers. Many tools "
            'and papers print MACs and call them FLOPs ("1.5 GFLOPs" of GoogLeNet are MACs); "mult-adds" are MACs '
            "too.",
            names="macs macs_delta",
            headings="MACs, mult-adds, multiply-accumulates, multiply-adds",
            where="check compare diagram explain flops list report summary sweep taps",
        ),
        _term(
            "flops",
            "FLOPs",
            "count, of the whole batch",
            "Floating-point operations: 2 x MACs, and nothing else. FLOP/s are another thing: operations a second, "
            "of a device.",
            names="flops",
            headings="FLOPs, GFLOPs",
            where="list report roofline summary",
        ),
        _term(
            "share",
            "Share (%)",
            "percent",
            "What part of its column's total a row is; the column is the one on its left, of roofline that of least "
            "times.",
            names="params_percent macs_percent share",
            headings="%, percent",
            where="explain latency roofline summary",
        ),
        _term(
            "buffers",
            "Buffers",
            "count",
            "Scalars that are kept with a network and not trained: BatchNorm's running mean and variance and its "
            "counter.",
            names="buffers",
            headings="buffers",
            where="summary",
        ),
        _term(
            "trainable_params",
            "Trainable and frozen parameters",
            "count",
            "Those parameters that training changes, and those that --freeze names. Together they are the parameters.",
            names="trainable_params frozen_params",
            headings="trainable, frozen",
            where="compare summary train",
        ),
        _term(
            "unreached_params",
            "Unreached parameters",
            "count",
            "Parameters of layers that this mode or path leaves out, beside those counted: of auxiliary heads in "
            "eval mode, of what --until cuts off. Counted and unreached together are what torch counts of the "
            "module.",
            names="unreached_params",
            headings="unreached",
            where="compare summary",
        ),
        _term(
            "backward",
            "Backward pass",
            "count, of the whole batch",
            "What is multiplied for gradients in a training step, beside the forward pass, by the convention of MACs"
            " and of FLOPs.",
            names="backward_macs backward_flops",
            headings="backward",
            where="flops summary",
        ),
        _term(
            "depth",
            "Depth",
            "layers",
            'Convolutions and linear layers on the longest path to the output, as papers count ("22 layers deep").',
            names="depth",
            headings="depth",
            where="compare list report summary sweep",
        ),
        _term(
            "intensity",
            "Arithmetic intensity (FLOP/B)",
            "FLOPs per byte",
            "FLOPs for each byte that is moved: parameters, inputs and output, each once. Little of it makes memory "
            "the limit, much of it arithmetic.",
            names="intensity layers_intensity",
            headings="FLOP/B, FLOPs per byte",
            where="report roofline summary",
        ),
        _term(
            "count",
            "Number of layers",
            "layers",
            "How many layers are of this kind.",
            names="flops.count",
            headings="layers",
            where="flops",
        ),
        _term(
            "coverage",
            "Coverage",
            "layers",
            'How many of the layers could be counted. Where one could not, totals say "at least", and no share is '
            "told.",
            names="nodes counted",
            headings="coverage",
            where="flops report roofline summary",
        ),
    ),
    "How sure a number is": (
        _term(
            "status",
            "Status",
            "",
            "How a number is to be read: exact, bound, all or unknown. Of a field, a peak, saved activations, the "
            "backward pass.",
            names="receptive_field_status peak_activation_status backward_status saved_status field_after_status",
            headings="field is",
            where="compare explain flops summary taps",
        ),
        _term(
            "exact",
            "Exact",
            "",
            "The number itself, to the last digit, by the convention that is told. It is what torch has: tests "
            "compare it.",
            where="compare flops summary taps verify",
        ),
        _term(
            "bound",
            "Bound",
            "",
            'A number from one side, because a layer does not say all: a peak is "at least" so much, a field "<=" so'
            " much.",
            headings="at least, <=",
            where="compare explain flops summary taps",
        ),
        _term(
            "unknown",
            "Unknown (?)",
            "",
            "What nobody can count is not guessed, and is no zero: a question mark in tables, null in JSON. Those "
            'layers are named below the table, and totals are "at least" so many.',
            names="unknown",
            headings="?",
            where="compare explain flops report summary taps",
        ),
        _term(
            "all",
            "All, whole image",
            "",
            "The status of a field behind a layer that reads every position, as a linear layer over a flattened map:"
            " an output sees all that the network can see.",
            headings="whole image",
            where="compare summary taps",
        ),
    ),
    "Memory": (
        _term(
            "activations",
            "Activations",
            "bytes",
            "The outputs of all layers in the dtype of the table, added up. They are not all held at once: see peak.",
            names="activation_bytes",
            headings="activations",
            where="check compare diagram explain list report summary sweep",
        ),
        _term(
            "bytes",
            "Bytes",
            "bytes",
            "The size of the layer's output in the dtype of the page.",
            headings="bytes",
            where="report",
        ),
        _term(
            "param_bytes",
            "Bytes of the parameters",
            "bytes",
            "What the parameters take in the dtype of the table: 4 bytes for each in fp32.",
            names="param_bytes",
            headings="param bytes",
            where="compare list summary",
        ),
        _term(
            "weights",
            "Weights",
            "bytes",
            "What parameters and buffers take: all that a checkpoint holds.",
            names="weights_bytes weight_bytes",
            headings="weights",
            where="roofline summary",
        ),
        _term(
            "held",
            "Held",
            "bytes",
            "What torch's eager forward pass holds while the layer runs: its inputs and output, what it makes on the"
            " way, and what is still to be read. Weights and the network's own input are apart.",
            headings="held",
            where="report",
        ),
        _term(
            "peak",
            "Peak of activations",
            "bytes",
            "The most that torch's eager forward pass holds at once, weights and the network's own input apart. A "
            'layer that does not say what it holds makes it a least ("at least").',
            names="peak_activation_bytes",
            where="compare list report roofline summary sweep",
        ),
        _term(
            "peak_node",
            "Layer of the peak",
            "",
            "The layer at which the peak is reached, the first if there are several.",
            names="peak_node",
            where="summary",
        ),
        _term(
            "least",
            "Least peak",
            "bytes",
            "The peak if each tensor were freed right after the last layer that reads it, in the same order of layers.",
            names="least_peak_activation_bytes",
            headings="least peak",
            where="compare list report summary sweep",
        ),
        _term(
            "training",
            "Training memory",
            "bytes",
            "What a training step keeps: weights, gradients, the optimizer's state and saved activations, added up. "
            "It is no measured peak.",
            names="total_bytes summary.part summary.bytes summary.saved.bytes",
            headings="kept, memory",
            where="summary",
        ),
        _term(
            "gradients",
            "Gradients",
            "bytes",
            "One number for each parameter that is trained.",
            names="gradient_bytes",
            headings="gradients",
            where="summary",
        ),
        _term(
            "optimizer",
            "State of the optimizer",
            "bytes",
            "What it keeps between steps: sgd nothing, momentum one copy of the trained parameters, adam two.",
            names="optimizer optimizer_bytes",
            headings="optimizer, state",
            where="summary",
        ),
        _term(
            "saved",
            "Saved activations",
            "bytes",
            "What autograd keeps of the forward pass until the backward pass needs it, each storage once.",
            names="saved_bytes saved",
            headings="saved activations",
            where="summary",
        ),
        _term(
            "needed",
            "Needed memory",
            "bytes",
            "Weights, the network's input and the peak of activations, and whether the device's memory holds them.",
            names="needed_bytes fits",
            where="roofline",
        ),
    ),
    "Receptive fields": (
        _term(
            "field",
            "Receptive field",
            "pixels of the input, height x width",
            'What one output element sees of the input. "<=" stands before a size that is never too small, "all" is '
            'the whole input, "?" is not known. That of a network is of its last layer before height and width '
            "vanish.",
            names="receptive_field",
            headings="field",
            where="compare explain list report summary sweep taps",
        ),
        _term(
            "clipped",
            "Field inside the input",
            "pixels of the input, height x width",
            "How much of the image the output sees that sees most of it: a field reaches into the padding.",
            names="receptive_field_clipped",
            where="compare summary",
        ),
        _term(
            "offset",
            "Offset",
            "pixels of the input",
            "Where the field of output (0, 0) begins: 0 is the input's first pixel, and it is below 0 in the padding.",
            names="offset",
            headings="offset",
            where="summary",
        ),
        _term(
            "jump",
            "Jump",
            "pixels of the input",
            "How far the fields of two neighbours lie apart: the product of the strides so far.",
            names="jump",
            headings="jump",
            where="explain summary taps",
        ),
        _term(
            "tap",
            "Tap",
            "",
            "The last value at one resolution, which a detector or a segmenter takes from a backbone; --until TAP "
            "cuts there. Its parameters and MACs are those of the network up to it.",
            names="taps.name",
            headings="tap",
            where="taps",
        ),
        _term(
            "resolution_stride",
            "Stride of a tap",
            "times",
            "The input's size over the tap's own, along each axis; \"?\" where that is no whole number.",
            names="taps.stride",
            headings="stride",
            where="taps",
        ),
    ),
    "Parts of a network": (
        _term(
            "model",
            "Model",
            "",
            "A network of the catalogue by its name, with its title, or what MODEL names: a spec, a file, a module "
            "in Python.",
            names="model title",
            headings="model, title",
            where="check compare evaluate latency list roofline train validate",
        ),
        _term(
            "family",
            "Family",
            "",
            "Models that grew out of one paper, and what followed it.",
            names="family",
            headings="family",
            where="compare list",
        ),
        _term(
            "year",
            "Year",
            "",
            "The year in which the paper, or the code it is known by, came out.",
            names="year",
            headings="year",
            where="compare list",
        ),
        _term("number", "#", "", "The layer's place in the order in which layers run.", headings="#", where="report"),
        _term(
            "layer",
            "Layer",
            "",
            "One call of one operation; its name is that which a state dict has. A layer that is called twice is two"
            ' rows ("fc", "fc@1"), and its weights count once.',
            names="name roofline.name",
            headings="layer",
            where="explain latency report roofline summary",
        ),
        _term(
            "type",
            "Type",
            "",
            'The class of the layer, as torch.nn has it where it does, with what tells it from others ("MaxPool2d '
            "3x3/2\": kernel 3x3, stride 2); of a block its template's name and arguments.",
            names="kind explain.type",
            headings="type, kind",
            where="check compare explain flops latency report roofline summary",
        ),
        _term(
            "stage",
            "Stage",
            "",
            "The outermost part of a network: a stem, a run of blocks at one resolution, a classifier.",
            names="stage",
            headings="stage",
            where="compare report roofline summary taps",
        ),
        _term(
            "block",
            "Block",
            "",
            "A template of layers that is used more than once with other sizes, such as inception: a part of a stage.",
            names="block",
            headings="block",
            where="diagram roofline summary",
        ),
        _term(
            "branch",
            "Branch",
            "",
            "One of several ways beside one another, from where values part (a fork) to where they meet (a concat or"
            " a sum).",
            where="diagram explain summary",
        ),
        _term(
            "head",
            "Head, auxiliary classifier",
            "",
            "A classifier of its own beside the network's, on which a part of the loss is taken while it is trained "
            "(GoogLeNet's aux1 and aux2). Eval mode leaves heads out.",
            headings="auxiliary",
            where="diagram flops summary",
        ),
        _term(
            "skip",
            "Skip, residual",
            "",
            "A way around layers: their input is added to their output (ResNet) or put beside it (U-Net).",
            headings="residual, shortcut",
            where="diagram",
        ),
        _term(
            "inception",
            "Inception block",
            "",
            "Four branches on one input, put side by side by channels: a 1x1 convolution, a 3x3, a 5x5, and a pool. "
            "Its arguments are c1 to c4. googlenet has the block of Figure 2(b) of the paper, with 1x1 reductions; "
            "googlenet_naive has none, as Figure 2(a), and keeps the 1x1 behind the pool.",
            headings="googlenet, googlenet_naive, naive",
            where="compare diagram list summary",
        ),
        _term(
            "reduction",
            "1x1 reduction",
            "",
            "A 1x1 convolution that makes few channels before a 3x3 or 5x5 one, which then costs less. `compare "
            "googlenet googlenet_naive` shows what they save: without them GoogLeNet takes 3.6 times the parameters "
            "and 2.8 times the MACs.",
            headings="bottleneck, 1x1",
            where="compare diagram explain list summary",
        ),
        _term(
            "c1",
            "c1, c2, c3, c4",
            "channels",
            "What the four branches of an inception block make: c1 the 1x1; c2 = [reduction, 3x3]; c3 = [reduction, "
            '5x5]; c4 the 1x1 behind the pool. In tables they are "inception 64, 96-128, 16-32, 32", and --set '
            "'inception3a.c2=[96,256]' edits one.",
            headings="c2, c3, c4",
            where="compare diagram summary",
        ),
        _term(
            "inputs",
            "Inputs of a layer",
            "",
            "The layers whose output it reads, by name.",
            names="inputs",
            headings="inputs",
            where="summary",
        ),
        _term(
            "input",
            "Input",
            "elements along each axis",
            "The shape of what is read, the batch first: N x C x H x W for images. Of a layer, its inputs' shapes.",
            names="input input_shapes",
            headings="input",
            where="compare latency list roofline summary train",
        ),
        _term(
            "output",
            "Output",
            "elements along each axis",
            "The shape of what the layer makes, the batch first.",
            names="output_shape output_shapes output_before output_after compare.output",
            headings="output",
            where="compare explain report summary taps",
        ),
        _term(
            "kernel",
            "Kernel",
            "positions along each axis",
            "The size of the window of a convolution or a pool.",
            headings="kernel",
            where="report",
        ),
        _term(
            "stride",
            "Stride",
            "positions along each axis",
            "How far the window moves from one output to the next.",
            headings="stride",
            where="report",
        ),
        _term(
            "channels",
            "Channels",
            "channels, or features of a linear layer",
            "How many the layer reads and how many it makes, of convolutions, linear layers and pools; of a tap how "
            "many it has.",
            names="channels",
            headings="channels",
            where="report taps",
        ),
        _term(
            "mode",
            "Mode",
            "",
            "eval is the network as it answers, train as it is trained: with its auxiliary heads, Dropout, and what "
            "autograd keeps.",
            names="mode",
            headings="mode",
            where="compare flops latency report summary",
        ),
        _term(
            "dtype",
            "Dtype",
            "",
            "What one number is held in: fp32 (4 bytes), fp16 and bf16 (2), fp64 (8), int8 (1). Counts do not depend"
            " on it.",
            names="dtype",
            headings="dtype",
            where="compare latency report roofline summary",
        ),
        _term(
            "batch",
            "Batch",
            "images",
            "How many inputs go through at once: the first of the numbers of a shape. MACs and activations grow with"
            " it.",
            names="batch",
            headings="batch",
            where="latency summary train",
        ),
        _term(
            "fold",
            "Folded",
            "",
            "Of a diagram: an activation, a normalisation or a Dropout is drawn in the box of the layer that it "
            "follows. Of `latency --optimize` and of ONNX files: a BatchNorm is multiplied into the weights of the "
            "convolution before it.",
            where="diagram latency summary",
        ),
        _term(
            "times",
            "Drawn once (×3)",
            "blocks",
            "Equal blocks that follow each other are drawn once, with their number; their figures are those of all.",
            headings="×",
            where="diagram",
        ),
    ),
    "Explanations": (
        _term(
            "explained",
            "Explained part",
            "",
            "What PART names, or one of the parts right below it; its role is branch, block, list or layer.",
            names="explain.part role",
            headings="part",
            where="explain",
        ),
        _term(
            "quantity",
            "What is worked out",
            "",
            "A number of a layer: its parameters, its MACs, or the axes of its output, with a mark behind their "
            "letters (H' is the height of what goes out); of axes only those that are more than handed on.",
            names="quantity",
            headings="of",
            where="explain",
        ),
        _term(
            "formula",
            "Formula",
            "",
            "How a number is worked out, with letters and with numbers in their place: C channels, H and W height "
            "and width, F features, L positions, N images (not written where it is one), k kernel, s stride, p padding "
            "on each side, d dilation; floor and ceil round down and up. It is read off the arithmetic by which layers "
            "are counted, and written as short as it goes. Empty where a layer has its number by other means.",
            names="formula numbers value",
            headings="formula, with numbers, value",
            where="explain",
        ),
        _term(
            "field_before",
            "Field before and after",
            "pixels of the input, height x width",
            "The receptive field of what a part reads, and of what it makes. A window of k elements that are a jump "
            "apart adds (k - 1) x jump.",
            names="field_before field_after",
            headings="field before, field after",
            where="explain",
        ),
        _term(
            "built_as",
            "Ways of saving",
            "",
            "What layers are built as: a 1x1 reduction, a bottleneck (1x1 to few channels, a window, 1x1 to many), a "
            "depthwise separable convolution (each channel by itself, then a 1x1), a factorised one (7x1 and 1x7). "
            "Beside them stand the plainer layers that would be there: without the reduction; one window between the "
            "channels outside; one convolution of all channels; a 7x7.",
            names="explain.layers way explain.what instead",
            headings="layers, built as, which is, instead of, depthwise separable, factorised, bottleneck",
            where="explain",
        ),
        _term(
            "instead",
            "MACs and parameters instead",
            "count",
            "What the plainer layers would take, counted as any others; x is how many times as many that is.",
            names="macs_instead params_instead macs_times params_times",
            headings="MACs instead, params instead, x MACs, x params",
            where="explain",
        ),
    ),
    "Comparison": (
        _term(
            "pareto",
            "Pareto mark",
            "",
            "Whether a model is one of the best by the objectives of --minimize and --maximize: no other one of the "
            'table is as good in all of them and better in some. "?" where one of them is not known of it: such a '
            "model does not compete.",
            names="pareto",
            headings="Pareto, dominated",
            where="compare list",
        ),
        _term(
            "baseline",
            "Baseline",
            "",
            "The first of the models that are compared: ratios are times its numbers.",
            where="compare",
        ),
        _term(
            "ratio",
            "Ratio (x)",
            "times the baseline's",
            "The number over the baseline's. Nothing stands there where one of the two is not known.",
            names="params_ratio macs_ratio activation_bytes_ratio peak_activation_bytes_ratio",
            headings="x",
            where="compare",
        ),
        _term(
            "bar",
            "Bars",
            "",
            "What part of a model's parameters or MACs lies in a stage: a whole model is 20 cells long.",
            names="params_bar macs_bar",
            where="compare",
        ),
        _term(
            "change",
            "Change",
            "",
            'Of --diff, what became of a part: "+" added, "-" removed, "~" changed, ">" moved, "." affected, the '
            "same but with other numbers because of what comes before it.",
            names="compare.status compare.what",
            headings="+, -, ~, >, ., what, affected",
            where="compare",
        ),
        _term(
            "part",
            "Part",
            "",
            "A block, or a layer outside of blocks, that stands in both networks or in one; and its name and stage "
            "before, where they were others.",
            names="compare.name check.name was stage_was",
            headings="part",
            where="check compare",
        ),
        _term(
            "delta",
            "Before, after, difference",
            "count",
            "What a part counts in the first network and in the second; the table has the difference, and its rows "
            "add up to that of the totals.",
            names="params_before params_after params_delta macs_before macs_after macs_delta",
            headings="difference, before, after",
            where="compare",
        ),
    ),
    "Budgets": (
        _term(
            "limit",
            "Limit",
            "that of what is limited, or percent",
            "What a total of a model is held to by its budget: an amount, or for change and latency by how much it may "
            "be more than it was at --base. Of --update, what was written in the config, and what is.",
            names="check.limit check.bound check.before check.after",
            headings="limit, expected, budget, from, to",
            where="check",
        ),
        _term(
            "limit_status",
            "Status of a limit",
            "",
            "Whether it is kept: kept, broken, unknown or not judged. Unknown is what nobody can tell, because a total "
            "is a bound or a measured time scatters: that is no pass. Not judged is what is about a model's past, where"
            " there is none. An error is a model that cannot be read.",
            names="check.status",
            headings="status, kept, broken, not judged",
            where="check",
        ),
        _term(
            "limited",
            "What is now",
            "that of what is limited",
            "The total that is limited, as the model has it.",
            names="check.value",
            headings="now",
            where="check",
        ),
        _term(
            "growth",
            "Growth",
            "percent",
            "By how much a total is more than it was at --base: 100 x (now / then - 1).",
            names="check.growth",
            headings="growth",
            where="check",
        ),
        _term(
            "limit_note",
            "Note of a limit",
            "",
            "Why nobody knows whether a limit is kept, why it is not judged or was left alone, and how far measured "
            "times scatter.",
            names="check.note",
            headings="note",
            where="check",
        ),
    ),
    "Other tools": (
        _term(
            "torch",
            "torch's FlopCounterMode",
            "count",
            "2 for each multiply-accumulate of convolutions and matrix products; nothing else.",
            names="torch",
            headings="torch",
            where="flops",
        ),
        _term(
            "fvcore",
            "fvcore",
            "count",
            "FlopCountAnalysis: 1 for each multiply-accumulate, which it calls a FLOP, and normalisations and "
            "adaptive pools.",
            names="fvcore",
            headings="fvcore",
            where="flops",
        ),
        _term(
            "torchinfo",
            "torchinfo",
            "count",
            "total_mult_adds: 1 for each multiply-accumulate, biases, and parameters of normalisations.",
            names="torchinfo",
            headings="torchinfo",
            where="flops",
        ),
        _term(
            "ptflops_pytorch",
            "ptflops, backend pytorch",
            "count",
            "1 for each multiply-accumulate, biases, normalisations, activations and pools, some of them twice.",
            names="ptflops_pytorch",
            headings="ptflops pytorch",
            where="flops",
        ),
        _term(
            "ptflops_aten",
            "ptflops, backend aten",
            "count",
            "1 for each multiply-accumulate, and biases.",
            names="ptflops_aten",
            headings="ptflops aten",
            where="flops",
        ),
        _term(
            "thop",
            "thop",
            "count",
            "1 for each multiply-accumulate, normalisations, averages and upsampling.",
            names="thop",
            headings="thop",
            where="flops",
        ),
    ),
    "Published figures": (
        _term(
            "top1",
            "Top-1 error",
            "percent",
            "The share of images whose first guess is wrong, as the source publishes it for one model and one crop.",
            names="top1_error",
            headings="top-1 err %",
            where="compare list report",
        ),
        _term(
            "top5",
            "Top-5 error",
            "percent",
            "The share of images whose class is not among the first five guesses, as the source publishes it for one"
            " model and one crop.",
            names="top5_error",
            headings="top-5 err %",
            where="compare list report",
        ),
        _term(
            "source",
            "Source",
            "",
            "Where a figure is published: a paper's table, a library's weights, a data sheet.",
            names="source",
            headings="source of the errors, source",
            where="compare list roofline",
        ),
        _term(
            "edits",
            "Edits",
            "",
            "The arguments in which a network of a design space differs from the spec, by path, as --set takes them.",
            names="edits",
            headings="edits",
            where="sweep",
        ),
        _term(
            "distance",
            "Distance",
            "choices",
            "How far a network of a design space is from the spec: 0 where an argument has the spec's own value, up to "
            "1 where it has the one that is farthest from it, added up over all that vary. Of equal answers the "
            "nearest is taken.",
            names="distance",
            headings="distance",
            where="sweep",
        ),
        _term(
            "latency_s",
            "Latency",
            "seconds",
            "The median time of a run, measured: of networks of a design space that --measure times in turns with the "
            "spec itself, on one device.",
            names="latency_s",
            headings="latency",
            where="sweep",
        ),
        _term(
            "gap",
            "Gap",
            "percent",
            "By how much of its own number a network of the front may be beaten by one that is as good otherwise, at "
            "most: what the proof of a space leaves open that is too large to be gone through.",
            names="gap",
            headings="gap",
            where="sweep",
        ),
        _term(
            "claim",
            "What is checked",
            "",
            "A number of the network, and against whom: torch's module, another tool, or a paper's table.",
            names="verify.what verify.against network",
            headings="what, against",
            where="verify",
        ),
        _term(
            "compared",
            "Compared",
            "",
            "How many values were compared; of a published figure, the figure as it is printed.",
            names="compared",
            headings="compared",
            where="verify",
        ),
        _term(
            "exact_figure",
            "Exact figure",
            "",
            "What the published figure is of this network, counted.",
            names="verify.exact",
            headings="exact",
            where="verify",
        ),
        _term(
            "deviation",
            "Deviation",
            "percent",
            "How far the published figure is from the exact one: 100 x (published / exact - 1).",
            names="deviation",
            headings="deviation",
            where="verify",
        ),
        _term(
            "verdict",
            "Verdict",
            "",
            "What a comparison came to. equal or differs; of a published figure agrees (within half of its last "
            "digit), close (within 5 %), variant (right for another network), erratum (wrong, and known to be) or "
            "disagrees; not run where something lacks.",
            names="verdict",
            headings="verdict, agrees, close, variant, erratum, disagrees, not run",
            where="verify",
        ),
        _term(
            "note",
            "Note",
            "",
            "What explains a row: why a figure is an erratum, why a step was not taken.",
            names="note",
            where="latency verify",
        ),
    ),
    "Time": (
        _term(
            "median",
            "Median latency",
            "seconds for a whole batch",
            "The middle one of the measured times of single runs, after warming up. Of a layer, that of its time "
            "inside the real forward pass.",
            names="median_s",
            headings="median, latency",
            where="latency report",
        ),
        _term(
            "spread",
            "Spread",
            "seconds",
            "How far single runs lie apart. A tenth of the runs took less than p10, a tenth more than p90; half of "
            "them lie within the IQR. Where p90 is more than 1.25 x p10 the machine is called noisy.",
            names="p10_s p90_s iqr_s",
            headings="p10, p90, IQR, spread, noisy",
            where="latency report",
        ),
        _term(
            "rate",
            "Images per second",
            "images per second",
            "The batch over the median time.",
            names="images_per_s",
            headings="images/s",
            where="latency report",
        ),
        _term(
            "process",
            "Peak memory, measured",
            "bytes",
            "On CUDA the most that torch's allocator had handed out, elsewhere the most that the whole process held.",
            names="peak_memory_bytes",
            headings="peak memory",
            where="latency report",
        ),
        _term(
            "estimated",
            "Estimated memory",
            "bytes",
            "What the tensors take by their shapes: weights, one input and the peak of activations.",
            names="estimated_memory_bytes",
            headings="estimated",
            where="latency",
        ),
        _term(
            "time",
            "Time",
            "microseconds",
            "The median time of the layer inside the real forward pass.",
            where="report",
        ),
        _term(
            "variant",
            "Variant",
            "",
            "How the module runs: eager, layer by layer as torch does it, or compiled, or made faster by a step.",
            names="variant",
            headings="variant, eager",
            where="latency",
        ),
        _term(
            "runs",
            "Runs",
            "",
            "How many single runs were timed, and the median of each round.",
            names="runs times_s",
            where="latency",
        ),
        _term(
            "hooks",
            "Timing of layers",
            "seconds",
            "By what layers were timed (hooks, a GPU's kernels, events), and what a run took meanwhile and untouched"
            " beside it.",
            names="layers_by whole_with_hooks_s whole_beside_s",
            where="latency",
        ),
        _term(
            "busy",
            "Busy time of a GPU",
            "seconds",
            "What the kernels of a run take by themselves, and the run as a CUDA graph. Far less than the median: "
            "the device waits for the program (launch-bound).",
            names="gpu_busy_s cuda_graph_s",
            headings="launch-bound",
            where="latency",
        ),
        _term(
            "waited",
            "Waited for a processor",
            "share, from 0 to 1",
            "How much of the time threads were ready and had no processor, because others had them.",
            names="waited_share",
            where="latency",
        ),
        _term(
            "compile",
            "Time to compile",
            "seconds",
            "What torch.compile took before the first run; it is in no other time.",
            names="compile_s",
            where="latency",
        ),
        _term(
            "step",
            "Step of --optimize",
            "",
            "One change that keeps the output, tried on top of those kept before, and whether it is kept.",
            names="step kept",
            headings="step, kept",
            where="latency",
        ),
        _term(
            "gain",
            "Times faster",
            "times",
            "How many times as fast a step makes the network: than what was best before it, and than eager (in all)."
            " Both are timed in turns; the spread is the least and the most over the rounds.",
            names="gain gain_in_all before_s eager_s latency.spread",
            headings="x faster, in all, best before, eager, spread",
            where="latency",
        ),
        _term(
            "output_error",
            "Difference of the output",
            "",
            "The largest difference to the eager fp32 module's output, over the largest of that output.",
            names="output_error",
            headings="output differs by",
            where="latency",
        ),
    ),
    "Roofline": (
        _term(
            "roofline",
            "Roofline, least time",
            "seconds",
            "No run is faster than its FLOPs at the device's peak, nor than the bytes it has to move at the "
            "bandwidth of its memory: the larger of the two times is the least.",
            names="roofline_s",
            headings="least time, roofline",
            where="latency report roofline",
        ),
        _term(
            "reached",
            "Share of the roofline",
            "percent",
            "The least time over the measured one. Above 100 % a peak is higher than is said, or a cache held what "
            "was read.",
            names="roofline_share",
            headings="% of roofline",
            where="latency report",
        ),
        _term(
            "moved",
            "Moved bytes",
            "bytes",
            "Weights, inputs and output of each layer, each once; of the network (least_bytes) its weights, input "
            "and outputs alone.",
            names="roofline.bytes least_bytes",
            headings="moved",
            where="roofline",
        ),
        _term(
            "compute",
            "Time of arithmetic",
            "seconds",
            "The FLOPs over the device's peak.",
            names="compute_s",
            headings="compute",
            where="roofline",
        ),
        _term(
            "memory",
            "Time of memory",
            "seconds",
            "The moved bytes over the device's bandwidth.",
            names="memory_s least_memory_s",
            headings="memory",
            where="roofline",
        ),
        _term(
            "bound_by",
            "Bound by",
            "",
            "Which of the two times is the larger: compute or memory; none of a view, which does nothing. Of a stage"
            " and of a network, with the share of its least time.",
            names="roofline.bound latency.bound memory_bound_share memory_bound_s",
            headings="bound",
            where="latency roofline",
        ),
        _term(
            "layers_s",
            "Sum of the layers' least times",
            "seconds",
            "The least time if every tensor goes through memory once for each layer. Fused layers and caches can "
            "save some of that, down to the network's own.",
            names="layers_s",
            headings="layers' time",
            where="roofline sweep",
        ),
        _term(
            "ridge",
            "Ridge",
            "FLOPs per byte",
            "The peak over the bandwidth: with more FLOPs for each byte arithmetic is the limit, with fewer memory.",
            names="ridge_intensity",
            headings="ridge",
            where="roofline",
        ),
        _term(
            "device",
            "Device",
            "",
            "A processor by its name, with the source of its figures: a data sheet, or a measurement (calibrate).",
            names="roofline.name device",
            headings="device",
            where="latency roofline",
        ),
        _term(
            "peak_flops",
            "Peak of a device",
            "TFLOP/s, of int8 TOP/s",
            "The most operations a second that it does in a dtype, dense, without sparsity.",
            names="peak_flops_per_s fp32 tf32 fp16 bf16 fp64 int8",
            headings="TFLOP/s",
            where="roofline",
        ),
        _term(
            "bandwidth",
            "Bandwidth",
            "bytes per second",
            "The most bytes a second between the device and its memory.",
            names="bandwidth_bytes_per_s",
            headings="GB/s",
            where="roofline",
        ),
        _term(
            "device_memory",
            "Memory of a device",
            "bytes",
            "How much it holds.",
            names="memory_bytes",
            headings="memory",
            where="roofline",
        ),
    ),
    "Training": (
        _term(
            "run",
            "Run",
            "",
            "One training of a network, from its recipe to its weights, in a folder that every command takes for a "
            "MODEL.",
            names="run recipe folder",
            headings="run",
            where="compare evaluate report train",
        ),
        _term(
            "epoch",
            "Epoch",
            "epochs",
            "Once through all images to learn from. A table has how many are done and how many there are to be.",
            names="epoch epochs of_epochs train.finished",
            headings="epoch, epochs",
            where="compare report train",
        ),
        _term(
            "optimizer_step",
            "Step of training",
            "steps",
            "One change of the weights, by the gradients of one batch.",
            names="train.step",
            headings="step",
            where="train",
        ),
        _term(
            "lr",
            "Learning rate",
            "",
            "What an optimizer multiplies its step by: that of the recipe, which warm-up and schedule change; in a "
            "table of epochs that of the last step.",
            names="lr schedule schedule_options warmup",
            headings="lr, schedule",
            where="report train",
        ),
        _term(
            "loss",
            "Loss",
            "nats",
            "The mean cross entropy of images. In training the auxiliary heads' losses are added, each times its "
            "weight, and labels may be smoothed; validation has the network without heads.",
            names="train_loss val_loss evaluate.loss",
            headings="loss, train loss, val loss",
            where="compare evaluate report train",
        ),
        _term(
            "accuracy",
            "Accuracy",
            "share, from 0 to 1",
            "The part of the images whose label the network finds most probable, of those that it did not learn from; "
            "top-5 where it is among the five most probable. Accuracies on two sets of data are no two of a kind.",
            names="accuracy val_accuracy top5_accuracy",
            headings="accuracy, val accuracy, top-5 accuracy",
            where="compare evaluate report train",
        ),
        _term(
            "best_epoch",
            "Best epoch",
            "",
            "The first of those with the highest accuracy; its weights are kept beside the last ones.",
            names="best best_epoch weights",
            headings="best epoch, best",
            where="compare evaluate report train",
        ),
        _term(
            "data",
            "Data set",
            "",
            "The labelled images: those to learn from (train), and those to validate by (val), of which a run chooses "
            "its best epoch; their classes and their names.",
            names="data split train_images val_images classes class_names",
            headings="data, data set, images",
            where="compare evaluate report train",
        ),
        _term(
            "optimizer_recipe",
            "Recipe",
            "",
            "All that decides what a run comes to: the same recipe gives the same weights on the same machine. "
            "Optimizer and schedule are torch's, by their names and arguments; all that is random comes from the seed.",
            names="train.optimizer optimizer_options init init_from leave seed weight_decay clip label_smoothing ema "
            "freeze augment mean deviation crop amp channels_last train.compile edits left_edits arguments",
            headings="optimizer, seed, recipe",
            where="report train",
        ),
        _term(
            "head_losses",
            "Losses of heads",
            "",
            "What each auxiliary head's loss is multiplied by before it is added to that of the network. The paper's "
            "is 0.3.",
            names="heads",
            headings="heads' losses x",
            where="report train",
        ),
        _term(
            "step_memory",
            "Memory of a training step",
            "bytes",
            "What a step was predicted to keep, by the rules of summary --optimizer, and what was measured: on a GPU "
            "what torch's allocator held at most, on a CPU by how much the whole process grew.",
            names="predicted_bytes measured_bytes",
            where="train",
        ),
        _term(
            "recall",
            "Recall and precision",
            "share, from 0 to 1",
            "Of a class's images the part that is recognised, and of what is called so the part that is right. Nothing "
            "stands there where there are no such images.",
            names="recall precision",
            headings="recall, precision",
            where="evaluate",
        ),
        _term(
            "confusion",
            "Confusion",
            "images",
            "How many images of a class are taken for which other one: a row is what they are, a column what the "
            "network takes them for.",
            names="confusion taken_for taken_for_images taken_for_percent predicted",
            headings="most often taken for, taken for, images, % of the class",
            where="evaluate",
        ),
        _term(
            "class",
            "Class",
            "",
            "What an image shows, by the name that its data set has for it. An image's label is the class that it is "
            "of.",
            names="evaluate.class evaluate.name evaluate.images label",
            headings="class, label, images",
            where="evaluate",
        ),
        _term(
            "image",
            "Image",
            "",
            "Its number in the split, from 0, and its file where it has one.",
            names="evaluate.index evaluate.file worst",
            headings="image, file",
            where="evaluate",
        ),
        _term(
            "probability",
            "Probability (p)",
            "from 0 to 1",
            "What the network says of a class, by the softmax of its scores.",
            names="label_probability predicted_probability",
            headings="p, probability",
            where="evaluate",
        ),
    ),
    "Machine and files": (
        _term(
            "machine",
            "What is there",
            "",
            "A program or package, the version that was found, what it is for, and how to get it.",
            names="doctor.name found purpose remedy",
            headings="what, found, what for, how to get it",
            where="doctor",
        ),
        _term(
            "file",
            "File",
            "",
            "What was read, whether it is right, and what it is.",
            names="file ok facts",
            headings="ok, what it is",
            where="validate",
        ),
        _term(
            "tensors",
            "Tensors of a checkpoint",
            "tensors",
            "What became of those of a file (load_weights in Python): loaded, left out, missing, and which.",
            names="load_weights.what load_weights.count load_weights.names",
            headings="tensors, number, which",
            where="load_weights",
        ),
    ),
}
TERMS = {term.key: term for group in GROUPS.values() for term in group}
# The words of a report's page, which explains them at its end.
PAGE = {key: term for key, term in TERMS.items() if "report" in term.where}


def terms_of(name: str, command: str) -> list[Term]:
    """The terms of a column or key in the tables and records of a command; none where nothing says what it is."""
    own = [term for term in TERMS.values() if f"{command}.{name}" in term.names]
    return own or [term for term in TERMS.values() if name in term.names]


_UNIT = re.compile(r"(?<=\S) \([^()]*\)\Z")


def find_terms(word: str) -> list[Term]:
    """What a word may mean: the terms that are called so, or have a column or a heading that is; else those of whose
    titles it is a part. Raises UsageError where there are none, with the words that it may have been meant to be.

    >>> [term.key for term in find_terms("stride")], [term.key for term in find_terms("Peak_Activation_Bytes")]
    (['resolution_stride', 'stride'], ['peak'])
    >>> find_terms("params (K)") == find_terms("params")
    True
    """
    # Without the unit that a heading has: "params (K)".
    wanted = _plain(_UNIT.sub("", word))
    found = [term for term in TERMS.values() if wanted in map(_plain, _spellings(term))]
    if not found and len(wanted) > 1:
        found = [term for term in TERMS.values() if wanted in map(_plain, _words(term))]
    if not found:
        near = near_names(word, {name for term in TERMS.values() for name in _spellings(term)})
        meant = dict.fromkeys(term.key for term in TERMS.values() if not set(near).isdisjoint(_spellings(term)))
        offer = f"did you mean {' or '.join(map(quoted, meant))}?" if meant else "there is none like it."
        raise UsageError(
            f"expected a word of the glossary, got {show(word)}: {offer} (`gnet-inspect glossary` shows all)"
        )
    return found


def _spellings(term: Term) -> Iterator[str]:
    """All that a term is called."""
    yield term.key
    yield term.title
    yield from term.headings
    for name in term.names:
        yield name.rpartition(".")[2]


def _words(term: Term) -> Iterable[str]:
    return term.title.replace(",", " ").split()


def _plain(word: str) -> str:
    """A word however it is written, one or several of it; one of signs alone as it is."""
    plain = plain_name(word)
    return plain.removesuffix("s") if len(plain) > 3 else plain or word.strip()
