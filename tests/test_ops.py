"""The layers' rules against closed forms, and against the numbers the papers and torch's pages give."""

import pytest

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops import VOCABULARY, Add, Concat, Op, Opaque, Shape, Shapes, Window
from gnet_inspect.ops.spatial import pooled


def make(kind: str, **arguments: object) -> Op:
    """A layer from plain arguments, as a spec would give them."""
    kinds = VOCABULARY[kind].parameters()
    return VOCABULARY[kind](**{name: kinds[name].kind.read(value) for name, value in arguments.items()})


def params(op: Op, inputs: Shapes) -> int:
    """The elements that it learns."""
    return sum(weight.elements for weight in op.weights(inputs) if weight.trained)


def buffers(op: Op, inputs: Shapes) -> int:
    """The elements that it holds and does not learn."""
    return sum(weight.elements for weight in op.weights(inputs) if not weight.trained)


@pytest.mark.parametrize(
    ("kind", "arguments", "shape", "expected"),
    [
        (
            "Conv2d",
            {"out_channels": 64, "kernel_size": 7, "stride": 2, "padding": 3},
            (1, 3, 224, 224),
            (1, 64, 112, 112),
        ),
        ("Conv2d", {"out_channels": 8, "kernel_size": [1, 7], "padding": [0, 3]}, (2, 3, 17, 17), (2, 8, 17, 17)),
        ("Conv2d", {"out_channels": 8, "kernel_size": 3, "dilation": 2}, (1, 3, 9, 9), (1, 8, 5, 5)),
        ("Conv2d", {"out_channels": 8, "kernel_size": 4, "padding": "same"}, (1, 3, 9, 7), (1, 8, 9, 7)),
        ("Conv2d", {"out_channels": 8, "kernel_size": 4, "padding": "valid"}, (1, 3, 9, 7), (1, 8, 6, 4)),
        ("ConvTranspose2d", {"out_channels": 64, "kernel_size": 2, "stride": 2}, (1, 128, 28, 28), (1, 64, 56, 56)),
        ("ConvTranspose2d", {"out_channels": 512, "kernel_size": 4}, (1, 100, 1, 1), (1, 512, 4, 4)),
        (
            "ConvTranspose2d",
            {"out_channels": 8, "kernel_size": [3, 5], "stride": [2, 1], "padding": [1, 2], "output_padding": [1, 0]},
            (2, 4, 7, 9),
            (2, 8, 14, 9),
        ),
        # An output_padding below the dilation will do.
        (
            "ConvTranspose2d",
            {"out_channels": 2, "kernel_size": 3, "dilation": 3, "output_padding": 2},
            (1, 2, 4, 4),
            (1, 2, 12, 12),
        ),
        ("Upsample", {"scale_factor": 2}, (1, 8, 7, 9), (1, 8, 14, 18)),
        ("Upsample", {"scale_factor": [1.5, 0.3]}, (1, 2, 5, 7), (1, 2, 7, 2)),
        ("Upsample", {"size": [28, 30], "mode": "bilinear", "align_corners": True}, (1, 8, 7, 9), (1, 8, 28, 30)),
        ("MaxPool2d", {"kernel_size": 3, "stride": 2}, (1, 64, 112, 112), (1, 64, 55, 55)),
        ("MaxPool2d", {"kernel_size": 3, "stride": 2, "ceil_mode": True}, (1, 64, 112, 112), (1, 64, 56, 56)),
        ("MaxPool2d", {"kernel_size": 2}, (1, 4, 7, 7), (1, 4, 3, 3)),
        ("MaxPool2d", {"kernel_size": 3, "stride": 1, "dilation": 2}, (1, 4, 7, 7), (1, 4, 3, 3)),
        ("AvgPool2d", {"kernel_size": 5, "stride": 3}, (1, 512, 14, 14), (1, 512, 4, 4)),
        ("AdaptiveAvgPool2d", {"output_size": 1}, (1, 4, 7, 9), (1, 4, 1, 1)),
        ("AdaptiveAvgPool2d", {"output_size": [None, 3]}, (1, 4, 7, 9), (1, 4, 7, 3)),
        ("Linear", {"out_features": 10}, (4, 120), (4, 10)),
        ("Flatten", {}, (2, 3, 4, 5), (2, 60)),
        ("Flatten", {"start_dim": 2, "end_dim": 2}, (2, 3, 4, 5), (2, 3, 4, 5)),
        ("Softmax", {}, (2, 10), (2, 10)),
        ("ChannelAffine", {"scale": [1, 2, 3], "shift": [0, 0, 0.5]}, (1, 3, 4, 4), (1, 3, 4, 4)),
    ],
)
def test_output_shapes(kind: str, arguments: dict[str, object], shape: Shape, expected: Shape) -> None:
    """The shape rules on known cases."""
    assert make(kind, **arguments).output_shape((shape,)) == expected


def test_the_last_ceil_window_must_start_inside_the_input_or_its_left_padding() -> None:
    """torch drops a window that would start in the right padding (torch.nn.MaxPool2d, note on ceil_mode)."""
    # Windows of 2 over 1 + 5 + 1 positions start at 0, 2, 4 and 6; position 6 is the right padding.
    assert pooled(5, kernel=2, stride=2, padding=1, dilation=1, ceil_mode=True) == 3
    assert pooled(6, kernel=2, stride=2, padding=1, dilation=1, ceil_mode=True) == 4


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_counts_are_the_closed_form(groups: int, bias: bool) -> None:
    """params = out * in / groups * kernel area (+ out), MACs = output elements * in / groups * kernel area."""
    batch, channels, out, kernel = 3, 8, 12, (5, 3)
    conv = make("Conv2d", out_channels=out, kernel_size=list(kernel), padding=[2, 1], groups=groups, bias=bias)
    shapes = ((batch, channels, 10, 14),)
    output = conv.output_shape(shapes)
    area = kernel[0] * kernel[1]
    assert output == (batch, out, 10, 14)
    assert params(conv, shapes) == out * channels // groups * area + (out if bias else 0)
    assert conv.macs(shapes, (output,)) == batch * out * 10 * 14 * channels // groups * area


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolution_counts_are_the_closed_form(groups: int, bias: bool) -> None:
    """params = in * out / groups * kernel area (+ out), MACs = input elements * out / groups * kernel area."""
    conv = make("ConvTranspose2d", out_channels=12, kernel_size=[4, 3], stride=[2, 3], groups=groups, bias=bias)
    shapes = ((3, 8, 10, 14),)
    output = conv.output_shape(shapes)
    assert output == (3, 12, 22, 42)
    assert params(conv, shapes) == 8 * 12 // groups * 12 + (12 if bias else 0)
    assert conv.macs(shapes, (output,)) == 3 * 8 * 10 * 14 * 12 // groups * 12


@pytest.mark.parametrize(
    ("arguments", "size", "window"),
    [
        # Nearest by 2 sees one; bilinear lies between two, by 3 right on every third; bicubic between four.
        ({"scale_factor": 2}, 8, (2, 1, 2)),
        ({"scale_factor": 2, "mode": "nearest-exact"}, 8, (2, 1, 2)),
        ({"scale_factor": 2, "mode": "bilinear"}, 8, (4, 1, 2)),
        ({"scale_factor": 3, "mode": "bilinear"}, 8, (5, 1, 3)),
        ({"scale_factor": 2, "mode": "bicubic"}, 8, (8, 1, 2)),
        # With its corners on the input's it steps by (8 - 1) / (16 - 1).
        ({"scale_factor": 2, "mode": "bilinear", "align_corners": True}, 8, (29, 7, 15)),
        ({"size": 1, "mode": "bilinear", "align_corners": True}, 8, (1, 0, 1)),
        ({"size": 8, "mode": "bicubic"}, 8, (1, 1, 1)),
        ({"size": 12}, 8, (3, 2, 3)),
        # 7 of 5: by the factor that is given, or by what it comes to.
        ({"scale_factor": 1.5}, 5, (3, 2, 3)),
        ({"scale_factor": 1.5, "recompute_scale_factor": True}, 5, (7, 5, 7)),
    ],
)
def test_windows_of_upsampling(arguments: dict[str, object], size: int, window: tuple[int, int, int]) -> None:
    """(reach, step, parts), as one writes them down from the place of each output; images see themselves."""
    sight = make("Upsample", **arguments).sight(((1, 1, size, size),))
    assert sight is not None
    assert [look.of for look in sight] == [(0,), (1,), (2,), (3,)]
    assert [look.window and look.window[:3] for look in sight] == [(1, 1, 1), (1, 1, 1), window, window]


def test_linear_counts_are_the_closed_form() -> None:
    """params = in * out + out, MACs = batch * in * out."""
    linear = make("Linear", out_features=10)
    assert (params(linear, ((4, 120),)), linear.macs(((4, 120),), ((4, 10),))) == (1210, 4800)


def test_batch_norm_counts_its_affine_pair_and_its_statistics_apart() -> None:
    """2 C parameters; 2 C + 1 buffers: mean, variance and the step counter."""
    shapes = ((1, 64, 8, 8),)
    assert (params(make("BatchNorm2d"), shapes), buffers(make("BatchNorm2d"), shapes)) == (128, 129)
    plain = make("BatchNorm2d", affine=False, track_running_stats=False)
    assert (params(plain, shapes), buffers(plain, shapes)) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "arguments", "shape", "message"),
    [
        (
            "Conv2d",
            {"out_channels": 8, "kernel_size": 9},
            (1, 3, 6, 6),
            r"kernel 9x9 covers 9 along height.*padded input's 6",
        ),
        ("Conv2d", {"out_channels": 8, "kernel_size": 1, "groups": 2}, (1, 3, 6, 6), r"groups 2 expects.*got 3 and 8"),
        (
            "Conv2d",
            {"out_channels": 8, "kernel_size": 3, "padding": "same", "stride": 2},
            (1, 3, 6, 6),
            r"expects stride 1",
        ),
        ("Conv2d", {"out_channels": 8, "kernel_size": 3}, (1, 3), r"expects an input N x C x H x W, got 1x3"),
        (
            "MaxPool2d",
            {"kernel_size": 3, "padding": 2},
            (1, 3, 6, 6),
            r"padding of at most half its kernel 3x3, got 2x2",
        ),
        (
            "MaxPool2d",
            {"kernel_size": 9},
            (1, 3, 6, 6),
            r"no window along height: the input's 6 \+ 0 of padding is too small",
        ),
        (
            "ConvTranspose2d",
            {"out_channels": 8, "kernel_size": 2, "stride": 2, "output_padding": 2},
            (1, 3, 6, 6),
            r"output_padding smaller than its stride or its dilation, got 2 along height with stride 2 and dilation 1",
        ),
        (
            "ConvTranspose2d",
            {"out_channels": 8, "kernel_size": 3, "padding": [0, 2]},
            (1, 3, 6, 2),
            r"3x3 leaves nothing along width: its padding takes 4 off the 4 it makes of the input's 2",
        ),
        ("ConvTranspose2d", {"out_channels": 9, "kernel_size": 1, "groups": 3}, (1, 4, 6, 6), r"groups 3.*got 4 and 9"),
        ("ConvTranspose2d", {"out_channels": 8, "kernel_size": 3}, (1, 3), r"expects an input N x C x H x W, got 1x3"),
        ("Upsample", {}, (1, 3, 6, 6), r"one of size, scale_factor and like, got none of them"),
        (
            "Upsample",
            {"size": 3, "scale_factor": 2},
            (1, 3, 6, 6),
            r"one of size, scale_factor and like, got size and scale_factor",
        ),
        ("Upsample", {"size": 3, "align_corners": False}, (1, 3, 6, 6), r'"bilinear" or "bicubic" only, got "nearest"'),
        ("Upsample", {"size": 3, "recompute_scale_factor": True}, (1, 3, 6, 6), r"scale_factor only, got it with size"),
        ("Upsample", {"scale_factor": [0.1, 2]}, (1, 3, 6, 6), r"by 0.1x2 leaves nothing of 1x3x6x6: it gives 0x12"),
        ("Upsample", {"scale_factor": 2}, (1, 3), r"expects an input N x C x H x W, got 1x3"),
        ("Flatten", {"start_dim": 5}, (1, 3, 6, 6), r"dims from -4 to 3"),
        ("Softmax", {"dim": 2}, (1, 3), r"dim from -2 to 1 for 1x3, got 2"),
        ("ChannelAffine", {"scale": [1], "shift": [1, 2]}, (1, 2, 4, 4), r"each of 2 channels, got 1 and 2"),
    ],
)
def test_broken_rules_give_their_numbers(kind: str, arguments: dict[str, object], shape: Shape, message: str) -> None:
    """What cannot be is refused with the rule and the numbers that break it."""
    with pytest.raises(ShapeError, match=message):
        make(kind, **arguments).output_shape((shape,))


def test_merging() -> None:
    """concat adds channels, add stretches a size of 1; both name the shapes they refuse."""
    assert Concat().output_shape(((1, 64, 8, 8), (1, 32, 8, 8))) == (1, 96, 8, 8)
    assert Concat().output_shape(((2, 5), (2, 7))) == (2, 12)
    assert Add().output_shape(((1, 4, 8, 8), (1, 4, 8, 8))) == (1, 4, 8, 8)
    assert Add().output_shape(((1, 4, 8, 8), (1, 4, 1, 1))) == (1, 4, 8, 8)
    with pytest.raises(ShapeError, match=r"agree in all but the channels, got 1x64x8x8, 1x32x7x8"):
        Concat().output_shape(((1, 64, 8, 8), (1, 32, 7, 8)))
    with pytest.raises(ShapeError, match=r"sizes of 1 to repeat, got 1x4x8x8, 1x3x8x8"):
        Add().output_shape(((1, 4, 8, 8), (1, 3, 8, 8)))


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("out_channels", 0, "a positive integer"),
        ("out_channels", True, "a positive integer"),
        ("out_channels", 2**31, "a positive integer"),
        ("kernel_size", [3], r"a positive integer or a pair \[height, width\] of positive integers"),
        ("kernel_size", 3.0, "a positive integer or a pair"),
        ("padding", -1, "a non-negative integer, a pair"),
        ("padding", "full", '"same", "valid" or "same_tf"'),
        ("bias", 1, "true or false"),
    ],
)
def test_arguments_are_refused_in_words(kind: str, value: object, words: str) -> None:
    """Each kind of argument says what it takes."""
    with pytest.raises(ValueError, match=words):
        VOCABULARY["Conv2d"].parameters()[kind].kind.read(value)


# Kinds that stand for what torch does by functions or not at all, and arguments that torch's classes have not.
OWN_KINDS = {
    *("ChannelAffine", "LayerNorm2d", "Pad", "Parameter", "Permute", "Reshape", "Roll", "Slice", "Unsqueeze"),
    *("ScaledDotProductAttention", "ShiftedWindowAttention", "StochasticDepth"),
}
OWN_ARGUMENTS = {("LayerNorm", "axes"), ("RMSNorm", "axes"), ("Upsample", "like")}
# Its None is deprecated by torch itself.
OWN_DEFAULTS = {("Softmax", "dim")}


@pytest.mark.parametrize("kind", [kind for kind in VOCABULARY if kind not in OWN_KINDS])
def test_defaults_are_torchs(kind: str) -> None:
    """Every argument has torch's name and default."""
    torch = pytest.importorskip("torch")
    from inspect import Parameter, signature

    # LSTM and GRU hand their arguments on to the class above them.
    cls = torch.nn.RNNBase if kind in ("LSTM", "GRU") else getattr(torch.nn, kind)
    theirs = signature(cls).parameters
    for name, parameter in VOCABULARY[kind].parameters().items():
        if (kind, name) in OWN_ARGUMENTS:
            assert name not in theirs
            continue
        assert name in theirs
        if parameter.required:
            assert theirs[name].default is Parameter.empty
        elif (kind, name) not in OWN_DEFAULTS:
            default = theirs[name].default
            expected = parameter.kind.read(default) if isinstance(parameter.default, tuple) else default
            assert parameter.default == expected


def test_layers_describe_themselves() -> None:
    """As tables print them."""
    assert make("ConvTranspose2d", out_channels=8, kernel_size=2, stride=2).describe() == "ConvTranspose2d 2x2/2, 8"
    grouped = make("ConvTranspose2d", out_channels=8, kernel_size=[1, 3], groups=4)
    assert grouped.describe() == "ConvTranspose2d 1x3, 8, groups 4"
    assert make("Upsample", scale_factor=2).describe() == "Upsample x2, nearest"
    assert make("Upsample", scale_factor=[2, 1.5], mode="bicubic").describe() == "Upsample x2x1.5, bicubic"
    assert make("Upsample", size=[28, 30], mode="bilinear").describe() == "Upsample to 28x30, bilinear"
    assert make("LeakyReLU", negative_slope=0.2).describe() == "LeakyReLU 0.2"


def test_an_opaque_layer_is_known_not_to_be_counted() -> None:
    """A layer outside the vocabulary says so of itself."""
    layer, shapes = Opaque("Strange", (1, 4, 8, 8)), ((1, 4, 8, 8),)
    assert (layer.kind, layer.outputs(shapes), layer.macs(shapes, shapes)) == ("Strange", shapes, None)


@pytest.mark.parametrize(
    ("kind", "arguments", "shape", "window", "channels"),
    [
        ("Conv2d", {"out_channels": 8, "kernel_size": 3, "stride": 2}, (1, 4, 9, 9), Window((3, 3), (2, 2)), (4, 8)),
        ("ConvTranspose2d", {"out_channels": 2, "kernel_size": 2}, (1, 4, 9, 9), Window((2, 2), (1, 1)), (4, 2)),
        ("Conv1d", {"out_channels": 8, "kernel_size": 5}, (1, 4, 9), Window((5,), (1,)), (4, 8)),
        # A pool without a stride moves by its size.
        ("MaxPool2d", {"kernel_size": 2}, (1, 4, 8, 8), Window((2, 2), (2, 2)), (4, 4)),
        ("AdaptiveAvgPool2d", {"output_size": 1}, (1, 4, 8, 8), None, (4, 4)),
        ("Linear", {"out_features": 5}, (1, 7, 3), None, (3, 5)),
        ("ReLU", {}, (1, 4, 8, 8), None, None),
    ],
)
def test_windows_and_channels_are_told(
    kind: str, arguments: dict[str, object], shape: Shape, window: Window | None, channels: tuple[int, int] | None
) -> None:
    """Of what has any; of the others nothing is."""
    op = make(kind, **arguments)
    assert op.sliding_window == window
    assert op.channel_counts((shape,), op.outputs((shape,))) == channels
