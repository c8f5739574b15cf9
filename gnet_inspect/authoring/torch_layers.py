"""How layers are spelt in torch: as modules with their arguments, or as functions in the middle of a forward."""

import re
from collections.abc import Callable
from keyword import kwlist
from typing import Any, NamedTuple

from gnet_inspect.authoring.layout import Code, Piece, call, flat, named
from gnet_inspect.authoring.program import Layer, Term
from gnet_inspect.authoring.words import SIZES
from gnet_inspect.errors import CannotWriteError
from gnet_inspect.ops import VOCABULARY


class Expression(NamedTuple):
    """An expression in a forward: `is_tensor` where a type checker knows it to be one, `binds` how loosely its operator
    does (0: none), `depth` how many calls stand in each other."""

    code: Code
    is_tensor: bool = True
    binds: int = 0
    depth: int = 0

    def __str__(self) -> str:
        return flat(self.code)

    def operand(self) -> str:
        """In brackets, where something is to be done to it."""
        return f"({self})" if self.binds else str(self)


class Spelt:
    """An argument as it is written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def literal(value: Any) -> str:
    """A value as Python spells it; a parameter of the block by its name."""
    if isinstance(value, Spelt):
        return value.text
    if isinstance(value, Term):
        # What a class keeps of its parameters is read of it.
        text = (value.name if value.name.startswith("self.") else variable(value.name)) + (
            "" if value.element is None else f"[{value.element}]"
        )
        return f"{text} {value.operator} {value.number}" if value.operator else text
    if isinstance(value, tuple | list):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value)


RESERVED = {*kwlist, "self", "torch", "nn", "F", "Tensor"}


def variable(name: str) -> str:
    """A name that a variable may have."""
    name = re.sub(r"\W", "_", name)
    if name in RESERVED:
        return f"{name}_"
    return name if name.isidentifier() else f"v{name}"


# --- modules ---

# Defaults of torch that are not those of a spec.
_ALWAYS = {("Softmax", "dim")}
# Arguments that everybody gives by their place.
_PLACED = {("Dropout", "p"), ("Dropout2d", "p")}
# What torch is told beside.
_BESIDE = {"LSTM": ["batch_first=True"], "GRU": ["batch_first=True"], "MultiheadAttention": ["batch_first=True"]}
_WINDOWED = ("Conv1d", "Conv2d", "Conv3d", *(f"{pool}Pool{axes}d" for pool in ("Max", "Avg") for axes in (1, 2, 3)))


def module_of(layer: Layer) -> Code:
    """The module of a layer, made."""
    kind = layer.kind
    if isinstance(kind, Term):
        return f"{literal(kind)}()"
    check(layer)
    given = dict(layer.arguments)
    if kind == "MultiheadAttention":
        given = {name: given[name] for name in ("embed_dim", "num_heads", "dropout", "bias", "kdim", "vdim")}
        for name in ("kdim", "vdim"):
            if given[name] == given["embed_dim"]:
                del given[name]
    if given.get("stride") == given.get("kernel_size") and "Pool" in kind:
        given.pop("stride", None)
    home = "" if kind in HELPERS else "nn."
    parameters = VOCABULARY[kind].parameters()
    arguments: list[Code] = []
    for name, value in given.items():
        parameter = parameters.get(name)
        is_required = parameter is None or parameter.required
        if (is_required and name not in ("kdim", "vdim")) or (kind, name) in _PLACED:
            if not is_required and value == parameter.default:  # type: ignore[union-attr]  # it is there
                continue
            arguments.append(literal(value))
        elif (kind, name) in _ALWAYS or not _is_default(value, parameter.default if parameter else None):
            arguments.append(named(name, literal(value)))
    return call(f"{home}{kind}", *arguments, *_BESIDE.get(kind, []))


def _is_default(value: Any, default: Any) -> bool:
    if isinstance(default, tuple) and default and not isinstance(value, tuple | Term):
        return all(item == value for item in default)
    return not isinstance(value, Term) and type(value) is type(default) and bool(value == default)


def _is_tuple(value: Any) -> bool:
    # A term is one, too.
    return isinstance(value, tuple | list) and not isinstance(value, Term)


def is_ours(kind: str) -> bool:
    """Whether torch.nn has no class that does it."""
    module: Any = VOCABULARY[kind].module
    return isinstance(module, str) and module.startswith("gnet_inspect.") and kind not in OF_TORCH


def check(layer: Layer) -> None:
    """Raise CannotWriteError for what torch has no word for."""
    kind = layer.kind
    if isinstance(kind, Term):
        return
    padding: Any = layer.arguments.get("padding")
    axes = int(kind[-2]) if kind in _WINDOWED else 0
    if axes and (padding == "same_tf" or (_is_tuple(padding) and len(padding) == 2 * axes)):
        raise CannotWriteError(f"`{layer.node}` is a {kind} with a padding that torch.nn has no word for")
    if is_ours(kind) and kind not in HELPERS and kind not in FUNCTIONS:
        raise CannotWriteError(f"`{layer.node}` is a {kind}, for which torch.nn has no class")


# What is a class of ours by name, and written as torch's.
OF_TORCH = ("MultiheadAttention", "LSTM", "GRU", "Parameter", "LocalResponseNorm")

# --- functions ---


def _arguments(layer: Layer, *left: str, place: int = 0) -> list[Code]:
    """The arguments of a function behind its input: those that are no default, by name but for the first `place`."""
    parameters = VOCABULARY[str(layer.kind)].parameters()
    found: list[Code] = []
    for index, (name, value) in enumerate(layer.arguments.items()):
        if name in left:
            continue
        if index < place:
            found.append(literal(value))
        elif not _is_default(value, parameters[name].default):
            found.append(named(name, literal(value)))
    return found


def _simple(
    function: str, place: int = 0, *, is_tensor: bool = True
) -> Callable[[Layer, list[Expression]], Expression]:
    def made(layer: Layer, inputs: list[Expression]) -> Expression:
        arguments = _arguments(layer, place=place)
        return Expression(call(function, inputs[0].code, *arguments), is_tensor, depth=inputs[0].depth + 1)

    return made


def _pool(layer: Layer, inputs: list[Expression]) -> Expression:
    kind = str(layer.kind)
    function = "F." + "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind).lstrip("_")
    arguments = dict(layer.arguments)
    if arguments.get("stride") == arguments.get("kernel_size"):
        arguments.pop("stride", None)
    plain = Layer(layer.kind, arguments, layer.node, layer.family)
    code = call(function, inputs[0].code, *_arguments(plain, place=1))
    return Expression(code, "Max" not in kind, depth=inputs[0].depth + 1)


def _method(layer: Layer, inputs: list[Expression]) -> Expression:
    values = layer.arguments
    x = inputs[0].operand()
    kind = str(layer.kind)
    if kind == "Permute":
        text = f"{x}.permute{literal(values['dims'])}"
    elif kind == "Unsqueeze":
        text = f"{x}.unsqueeze({literal(values['dim'])})"
    else:
        text = f"{x}.unflatten({literal(values['dim'])}, {literal(values['unflattened_size'])})"
    return Expression(text, inputs[0].is_tensor, depth=inputs[0].depth + 1)


def _reshape(layer: Layer, inputs: list[Expression]) -> Expression:
    shape = layer.arguments["shape"]
    x = inputs[0].operand()
    sizes = literal(shape)[1:-1].rstrip(",")
    if _is_tuple(shape):
        sizes = ", ".join(f"{x}.shape[{axis}]" if size == 0 else literal(size) for axis, size in enumerate(shape))
    return Expression(f"{x}.reshape({sizes})", inputs[0].is_tensor, depth=inputs[0].depth + 1)


def _slice(layer: Layer, inputs: list[Expression]) -> Expression:
    values = layer.arguments
    start, stop, step = (values[name] for name in ("start", "stop", "step"))
    bounds = ["" if start == 0 else literal(start), "" if stop is None else literal(stop)]
    # A formatter sets what is no plain word apart.
    space = "" if all(re.fullmatch(r"-?\w*", bound) for bound in bounds) else " "
    text = f"{bounds[0]}{space}:{space}{bounds[1]}".strip()
    if step != 1:
        between = f"{space}{bounds[1]}{space}" if bounds[1] else ""
        text = f"{bounds[0]}{space}:{between}:{space}{literal(step)}".strip()
    dim = values["dim"]
    before = [":"] * dim if dim >= 0 else ["..."]
    behind = [":"] * (-dim - 1) if dim < 0 else []
    return Expression(
        f"{inputs[0].operand()}[{', '.join([*before, text, *behind])}]", inputs[0].is_tensor, depth=inputs[0].depth
    )


def _upsample(layer: Layer, inputs: list[Expression]) -> Expression:
    if len(inputs) == 1:
        return _simple("F.interpolate")(layer, inputs)
    arguments = [
        named(name, literal(value)) for name, value in layer.arguments.items() if value not in (None, "nearest")
    ]
    return Expression(
        call("F.interpolate", inputs[0].code, f"size={inputs[1].operand()}.shape[2:]", *arguments),
        depth=inputs[0].depth + 1,
    )


def _dropout(layer: Layer, inputs: list[Expression]) -> Expression:
    if layer.arguments["p"] == 0 and not isinstance(layer.arguments["p"], Term):
        return inputs[0]
    arguments = [literal(layer.arguments["p"]), "self.training", *_arguments(layer, "p")]
    return Expression(call("F.dropout", inputs[0].code, *arguments), depth=inputs[0].depth + 1)


def _attend(layer: Layer, inputs: list[Expression]) -> Expression:
    return Expression(
        call("F.scaled_dot_product_attention", *(item.code for item in inputs), *_arguments(layer)),
        depth=max(item.depth for item in inputs) + 1,
    )


def _identity(layer: Layer, inputs: list[Expression]) -> Expression:  # noqa: ARG001  # as all are called
    return inputs[0]


def _softmax(layer: Layer, inputs: list[Expression]) -> Expression:
    return Expression(
        call("F.softmax", inputs[0].code, f"dim={literal(layer.arguments['dim'])}"), depth=inputs[0].depth + 1
    )


def _roll(layer: Layer, inputs: list[Expression]) -> Expression:
    arguments = [literal(layer.arguments["shifts"]), literal(layer.arguments["dims"])]
    return Expression(call("torch.roll", inputs[0].code, *arguments), depth=inputs[0].depth + 1)


def _zero_pad(layer: Layer, inputs: list[Expression]) -> Expression:
    return Expression(call("F.pad", inputs[0].code, literal(layer.arguments["padding"])), depth=inputs[0].depth + 1)


def _pad(layer: Layer, inputs: list[Expression]) -> Expression:
    """Some axes behind, up to a multiple."""
    values = layer.arguments
    if any(isinstance(values[name], Term) for name in ("dims", "rank")):
        raise CannotWriteError(f"`{layer.node}` pads other axes in other uses of its block")
    x = inputs[0].operand()
    axes = {dim % values["rank"] for dim in values["dims"]}
    sides = []
    # The last axis first, with what comes before and behind it.
    for axis in reversed(range(min(axes), values["rank"])):
        sides += ["0", f"-{x}.shape[{axis}] % {literal(values['multiple'])}" if axis in axes else "0"]
    more = [] if values["mode"] == "constant" else [named("mode", literal(values["mode"]))]
    more += [] if values["value"] == 0 or more else [named("value", literal(values["value"]))]
    return Expression(call("F.pad", inputs[0].code, f"({', '.join(sides)})", *more), depth=inputs[0].depth + 1)


def _flatten(layer: Layer, inputs: list[Expression]) -> Expression:
    start, end = layer.arguments["start_dim"], layer.arguments["end_dim"]
    arguments = [literal(start), *([] if end == -1 else [literal(end)])]
    return Expression(call("torch.flatten", inputs[0].code, *arguments), depth=inputs[0].depth + 1)


def _normed(layer: Layer, inputs: list[Expression]) -> Expression:
    return Expression(
        call("F.local_response_norm", inputs[0].code, *_arguments(layer, place=1)), depth=inputs[0].depth + 1
    )


FUNCTIONS: dict[str, Callable[[Layer, list[Expression]], Expression]] = {
    **{
        kind: _simple(f"F.{function}")
        for kind, function in (
            *(("ReLU", "relu"), ("ReLU6", "relu6"), ("SiLU", "silu"), ("ELU", "elu"), ("LeakyReLU", "leaky_relu")),
            *(("Hardswish", "hardswish"), ("Hardsigmoid", "hardsigmoid"), ("Mish", "mish"), ("Softplus", "softplus")),
            ("GELU", "gelu"),
        )
    },
    "Sigmoid": _simple("torch.sigmoid"),
    "Tanh": _simple("torch.tanh"),
    "Softmax": _softmax,
    "Dropout": _dropout,
    "Identity": _identity,
    "Flatten": _flatten,
    **dict.fromkeys(("Permute", "Unsqueeze", "Unflatten"), _method),
    "Reshape": _reshape,
    "Slice": _slice,
    "Roll": _roll,
    "ZeroPad2d": _zero_pad,
    "Pad": _pad,
    "Upsample": _upsample,
    "ChannelShuffle": _simple("torch.channel_shuffle", 1),
    "PixelShuffle": _simple("F.pixel_shuffle", 1),
    "PixelUnshuffle": _simple("F.pixel_unshuffle", 1),
    "ScaledDotProductAttention": _attend,
    "LocalResponseNorm": _normed,
    **{f"{how}{what}Pool{axes}d": _pool for how in ("", "Adaptive") for what in ("Max", "Avg") for axes in (1, 2, 3)},
}


# --- joins ---


def joined(kind: str, arguments: dict[str, Any], branches: list[Expression]) -> Expression:
    """Where branches meet."""
    depth = max(branch.depth for branch in branches)
    # Of what a module gives a type checker knows nothing.
    are_tensors = all(branch.is_tensor for branch in branches)
    if kind == "concat":
        listed = Piece("[", tuple(branch.code for branch in branches), "]")
        return Expression(call("torch.cat", listed, literal(arguments["dim"])), depth=depth + 1)
    if kind == "matmul":
        return Expression(f"{branches[0].operand()} @ {branches[1].operand()}", are_tensors, 1, depth)
    if kind == "mul":
        return Expression(" * ".join(branch.operand() for branch in branches), are_tensors, 1, depth)
    scale = arguments["scale"]
    if scale == 1:
        return Expression(" + ".join(_term(branch) for branch in branches), are_tensors, 2, depth)
    first, *others = branches
    text = " + ".join([_term(first), *(f"{other.operand()} * {literal(scale)}" for other in others)])
    return Expression(text, are_tensors, 2, depth)


def _term(branch: Expression) -> str:
    return str(branch) if branch.binds <= 1 else branch.operand()


# --- learned tensors, and classes that torch lacks ---


def learned_tensor(layer: Layer) -> Code:
    """A parameter of the module."""
    sizes = [literal(layer.arguments[name]) for name in SIZES if name in layer.arguments]
    init = layer.arguments["init"]
    if init in ("zeros", "ones"):
        return call("nn.Parameter", call(f"torch.{init}", *sizes))
    if init == "normal":
        return call("nn.Parameter", f"{flat(call('torch.randn', *sizes))} * 0.02")
    return call(
        "nn.Parameter", call("torch.full", Piece("(", tuple(sizes), ",)" if len(sizes) == 1 else ")"), literal(init))
    )


HELPERS: dict[str, str] = {
    "Permute": '''class Permute(nn.Module):
    """torch.permute as a module."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, self.dims)
''',
    "StochasticDepth": '''class StochasticDepth(nn.Module):
    """Zeroes whole rows, or the whole batch, with the probability p in training, and scales the others up."""

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        size = [x.shape[0] if self.mode == "row" else 1] + [1] * (x.dim() - 1)
        return x * x.new_empty(size).bernoulli_(1 - self.p).div_(max(1 - self.p, 1e-12))
''',
    "ChannelAffine": '''class ChannelAffine(nn.Module):
    """x * scale + shift, one pair for each channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: tuple[float, ...], shift: tuple[float, ...]) -> None:
        super().__init__()
        for name, values in (("scale", scale), ("shift", shift)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift
''',
    "ShiftedWindowAttention": '''class ShiftedWindowAttention(nn.Module):
    """Attention within windows of N x H x W x C that may be shifted (Liu et al., Swin Transformer, 2021)."""

    relative_position_index: Tensor

    def __init__(
        self,
        channels: int,
        heads: int,
        window: tuple[int, int],
        shift: tuple[int, int] = (0, 0),
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.attention_dropout, self.dropout = attention_dropout, dropout
        rows, columns = window
        table = torch.zeros((2 * rows - 1) * (2 * columns - 1), heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        places = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).flatten(1)
        apart = places[:, :, None] - places[:, None, :]
        index = ((apart[0] + rows - 1) * (2 * columns - 1) + apart[1] + columns - 1).flatten()
        self.register_buffer("relative_position_index", index)
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels, bias=proj_bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        rows, columns = self.window
        x = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        sizes = x.shape[1], x.shape[2]
        # A window that covers the input is not shifted.
        shift = [0 if window >= size else by for by, window, size in zip(self.shift, self.window, sizes)]
        x = torch.roll(x, (-shift[0], -shift[1]), (1, 2)) if any(shift) else x
        down, across = sizes[0] // rows, sizes[1] // columns
        x = x.view(batch, down, rows, across, columns, channels).permute(0, 1, 3, 2, 4, 5)
        x = self.attend(x.reshape(-1, rows * columns, channels), self.mask(x, sizes, shift) if any(shift) else None)
        x = x.view(batch, down, across, rows, columns, channels).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, *sizes, channels)
        x = torch.roll(x, (shift[0], shift[1]), (1, 2)) if any(shift) else x
        return x[:, :height, :width, :].contiguous()

    def attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        windows, positions, channels = x.shape
        qkv = F.linear(x, self.qkv.weight, self.qkv.bias)
        qkv = qkv.reshape(windows, positions, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv[0] * (channels // self.heads) ** -0.5, qkv[1], qkv[2]
        bias = self.relative_position_bias_table[self.relative_position_index].view(positions, positions, -1)
        scores = query.matmul(key.transpose(-2, -1)) + bias.permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            number = mask.shape[0]
            scores = scores.view(windows // number, number, self.heads, positions, positions)
            scores = (scores + mask.unsqueeze(1).unsqueeze(0)).view(-1, self.heads, positions, positions)
        weights = F.dropout(F.softmax(scores, dim=-1), self.attention_dropout, self.training)
        x = weights.matmul(value).transpose(1, 2).reshape(windows, positions, channels)
        return F.dropout(F.linear(x, self.proj.weight, self.proj.bias), self.dropout, self.training)

    def mask(self, x: Tensor, sizes: tuple[int, int], shift: list[int]) -> Tensor:
        """-100 where two positions of a shifted window come from opposite borders."""
        regions, count = x.new_zeros(sizes), 0
        stripes = [(slice(0, -w), slice(-w, -s), slice(-s, None)) for w, s in zip(self.window, shift)]
        for rows in stripes[0]:
            for columns in stripes[1]:
                regions[rows, columns] = count
                count += 1
        down, across = sizes[0] // self.window[0], sizes[1] // self.window[1]
        regions = regions.view(down, self.window[0], across, self.window[1]).permute(0, 2, 1, 3)
        regions = regions.reshape(down * across, self.window[0] * self.window[1])
        apart = regions.unsqueeze(1) - regions.unsqueeze(2)
        return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)
''',
    "LayerNorm2d": '''class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of N x C x H x W."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
''',
}
