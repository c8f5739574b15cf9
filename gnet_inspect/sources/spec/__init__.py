"""Spec + input shapes -> Graph."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gnet_inspect.errors import SpecError, UsageError, expect, show
from gnet_inspect.graph import Graph, Value
from gnet_inspect.language import Spec
from gnet_inspect.language.document import Value as Written
from gnet_inspect.language.model import Layer
from gnet_inspect.language.parse import MAX_INPUT
from gnet_inspect.ops import Shape
from gnet_inspect.sources.spec.expand import Expander
from gnet_inspect.sources.spec.overrides import Edits, override_values
from gnet_inspect.units import dimensions

# One shape, or for several inputs one for each, in their order or by name.
InputShapes = Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]

MODES = ("eval", "train")
# Of images as cameras and files have them: grey, colours, colours with transparency.
_IMAGE_CHANNELS = (1, 3, 4)


def build_graph(
    spec: Spec,
    input_shape: InputShapes | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    mode: str = "eval",
    resize: bool = False,
) -> Graph:
    """The network of a spec at one input shape.

    Parameters
    ----------
    spec
        What `load_spec` returned.
    input_shape
        (N, C, H, W), or another shape with the batch first; for several inputs one for each, in their order, or a
        mapping from their names. By default the spec's own with a batch of 1.
    overrides
        Edits by path: a model parameter (`classes`), a block's argument (`inception4a.c2`, or one element of it,
        `inception4a.c2.0`), a plain layer's (`maxpool4.kernel_size`), one copy of a repeat (`layer3.4.mid`).
    mode
        "eval", or "train" for the network with its auxiliary heads.
    resize
        Accept an input at which a layer's weights change shape. Without it such an input is an error, because torch
        would refuse the weights too.

    Raises SpecError or UsageError; no spec makes it raise anything else.
    """
    return expand_spec(spec, input_shape, overrides=overrides, mode=mode, resize=resize, keeps_calls=False).graph


class Expanded(Struct, frozen=True):
    """A network, and by its path each layer, block and list of the spec that was called for it; with its heads where
    the mode has them."""

    graph: Graph
    calls: Mapping[str, Layer]


def expand_spec(
    spec: Spec,
    input_shape: InputShapes | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    mode: str = "eval",
    resize: bool = False,
    keeps_calls: bool = True,
) -> Expanded:
    """The network of a spec, as `build_graph` makes it, and what of the spec each part of it is."""
    expect(spec, Spec, "a Spec (load_spec gives one)")
    if mode not in MODES:
        raise UsageError(f'expected the mode "eval" or "train", got {mode!r}')
    own = tuple(Value(given.name, (1, *given.shape), given.dtype) for given in spec.inputs)
    inputs = own if input_shape is None else _inputs(spec, input_shape)
    values = override_values(overrides)
    _check_channels(own[0].shape, inputs[0].shape, resize)
    expansion = Expander(spec, inputs, Edits(spec, values), mode, keeps_calls)
    graph = _expand(expansion)
    if not resize and any(given.shape[1:] != mine.shape[1:] for given, mine in zip(inputs, own, strict=True)):
        reference = _own_graph(spec, own, values, mode)
        _check_same_weights(graph, reference, expansion)
    calls = {path: made.layer for path, made in expansion.made.items()} if keeps_calls else {}
    return Expanded(_with_overrides(graph, values), calls)


def _check_channels(own: Shape, shape: Shape, resize: bool) -> None:
    """Raise UsageError for an image whose channels stand last."""
    if len(shape) == len(own) == 4 and shape[1] != own[1] == shape[3] and not resize:
        raise UsageError(
            f"expected an input N x C x H x W with {own[1]} channels, got {dimensions(shape)}, which has them last. "
            f"(write {dimensions(channels_first(shape))})"
        )


def channels_first(shape: Shape) -> Shape:
    """N x H x W x C as N x C x H x W, or H x W x C as C x H x W."""
    return (*shape[:-3], shape[-1], *shape[-3:-1])


def _expand(expansion: Expander) -> Graph:
    """The graph. An image whose channels stand last fails in some pool far from its cause: the error says so."""
    try:
        return expansion.graph()
    except SpecError as error:
        shape = expansion.inputs[0].shape
        last = shape[-1]
        if len(shape) != 4 or last not in _IMAGE_CHANNELS or min(shape[1:3]) <= max(_IMAGE_CHANNELS):
            raise
        mend = f"an input is channels, height, width: is {dimensions(shape[1:])} meant to be "
        mend += f"{dimensions(channels_first(shape)[1:])}?"
        hint = f"{error.hint}; {mend}" if error.hint else mend
        raise SpecError(error.fact, file=error.file, line=error.line, path=error.path, hint=hint) from None


def _own_graph(spec: Spec, own: tuple[Value, ...], values: dict[str, Written], mode: str) -> Graph:
    try:
        return Expander(spec, own, Edits(spec, values), mode).graph()
    except SpecError as error:
        shown = ", ".join(dimensions(value.shape) for value in own)
        fact = f"at the model's own input {shown}: {error.fact}"
        raise SpecError(fact, file=error.file, line=error.line, path=error.path, hint=error.hint) from None


def _inputs(spec: Spec, given: InputShapes) -> tuple[Value, ...]:
    """The inputs at other sizes: one shape, or for several inputs a shape for each, in their order or by name."""
    shapes: list[object]
    names = [item.name for item in spec.inputs]
    if isinstance(given, Mapping):
        strangers = [name for name in given if name not in names]
        if strangers:
            raise UsageError(f"expected an input of {', '.join(names)}, got {show(strangers[0])}")
        shapes = [given.get(item.name, (1, *item.shape)) for item in spec.inputs]
    elif isinstance(given, tuple | list) and given and all(isinstance(item, tuple | list) for item in given):
        shapes = list(given)
    else:
        shapes = [given]
    if len(shapes) != len(names):
        raise UsageError(f"expected a shape for each of the inputs {', '.join(names)}, got {len(shapes)}")
    return tuple(
        Value(item.name, _checked(shape, len(item.shape) + 1), item.dtype)
        for item, shape in zip(spec.inputs, shapes, strict=True)
    )


def _checked(shape: object, rank: int) -> Shape:
    words = {4: "N x C x H x W", 2: "N x F"}.get(rank, f"of {rank} sizes, the batch first,")
    expect(shape, (tuple, list), f"an input shape {words}")
    assert isinstance(shape, tuple | list)
    if len(shape) != rank or not all(type(size) is int and 1 <= size <= MAX_INPUT for size in shape):
        raise UsageError(
            f"expected an input shape {words} of positive integers up to {MAX_INPUT:,}, got {show(list(shape))}"
        )
    return tuple(shape)


def _check_same_weights(graph: Graph, reference: Graph, expansion: Expander) -> None:
    """The network is the spec at its own input: elsewhere each layer must have the weights it has there."""
    if len(graph.nodes) != len(reference.nodes):
        return
    for node, own in zip(graph.nodes, reference.nodes, strict=True):
        if (node.params, node.buffers) != (own.params, own.buffers):
            # The batch is none of its weights: only the channels or features are compared.
            (_, had, *_), (_, gets, *_) = own.input_shapes[0], node.input_shapes[0]
            what = "features" if len(node.input_shapes[0]) == 2 else "channels"
            own_input, at = dimensions(reference.input_shape[1:]), dimensions(graph.input_shape[1:])
            fact = (
                f"layer `{node.name}` ({node.op.describe()}) expected {had:,} {what}, as at the model's own input "
                f"{own_input}, got {gets:,} at {at}: its weights would change shape, and torch would refuse them"
            )
            raise expansion.error_at(node.name, fact, "--resize accepts the new network")


def _with_overrides(graph: Graph, values: Mapping[str, Written]) -> Graph:
    if not values:
        return graph
    from msgspec.structs import replace

    edits = edit_texts(values)
    return replace(graph, overrides=edits)


def edit_texts(values: Mapping[str, Written]) -> tuple[str, ...]:
    """Edits by path as --set takes them."""
    return tuple(f"{path}={show_value(value.plain())}" for path, value in values.items())


def show_value(value: object) -> str:
    """A plain value on one line, as --set takes it."""
    if isinstance(value, list):
        return "[" + ",".join(show_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show_value(item)}" for key, item in value.items()) + "}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
