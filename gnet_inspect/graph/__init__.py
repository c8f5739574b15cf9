"""Spec + input shape -> Graph."""

from collections.abc import Mapping

from gnet_inspect.errors import SpecError, UsageError, expect, show
from gnet_inspect.graph.expand import Expander
from gnet_inspect.graph.nodes import INPUT as INPUT
from gnet_inspect.graph.nodes import BlockArgument as BlockArgument
from gnet_inspect.graph.nodes import Graph as Graph
from gnet_inspect.graph.nodes import Group as Group
from gnet_inspect.graph.nodes import HeadOutput as HeadOutput
from gnet_inspect.graph.nodes import Node as Node
from gnet_inspect.graph.overrides import Edits, override_values
from gnet_inspect.ops import Shape
from gnet_inspect.spec import Spec
from gnet_inspect.spec.document import Value
from gnet_inspect.spec.parse import MAX_INPUT
from gnet_inspect.units import dimensions

MODES = ("eval", "train")
# Of images as cameras and files have them: grey, colours, colours with transparency.
_IMAGE_CHANNELS = (1, 3, 4)


def build_graph(
    spec: Spec,
    input_shape: tuple[int, ...] | None = None,
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
        (N, C, H, W); by default the spec's own input with a batch of 1.
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
    expect(spec, Spec, "a Spec (load_spec gives one)")
    if mode not in MODES:
        raise UsageError(f'expected the mode "eval" or "train", got {mode!r}')
    own = (1, *spec.input)
    shape = own if input_shape is None else _checked(input_shape)
    values = override_values(overrides)
    if shape[1] != own[1] == shape[3] and not resize:
        raise UsageError(
            f"expected an input N x C x H x W with {own[1]} channels, got {dimensions(shape)}, which has them last. "
            f"(write {dimensions(channels_first(shape))})"
        )
    expansion = Expander(spec, shape, Edits(spec, values), mode)
    graph = _expand(expansion)
    if shape[1:] != own[1:] and not resize:
        reference = _own_graph(spec, own, values, mode)
        _check_same_weights(graph, reference, expansion)
    return _with_overrides(graph, values)


def channels_first(shape: Shape) -> Shape:
    """N x H x W x C as N x C x H x W, or H x W x C as C x H x W."""
    return (*shape[:-3], shape[-1], *shape[-3:-1])


def _expand(expansion: Expander) -> Graph:
    """The graph. An image whose channels stand last fails in some pool far from its cause: the error says so."""
    try:
        return expansion.graph()
    except SpecError as error:
        _, rows, columns, last = shape = expansion.input_shape
        if last not in _IMAGE_CHANNELS or min(rows, columns) <= max(_IMAGE_CHANNELS):
            raise
        mend = f"an input is channels, height, width: is {dimensions(shape[1:])} meant to be "
        mend += f"{dimensions(channels_first(shape)[1:])}?"
        hint = f"{error.hint}; {mend}" if error.hint else mend
        raise SpecError(error.fact, file=error.file, line=error.line, path=error.path, hint=hint) from None


def _own_graph(spec: Spec, own: Shape, values: dict[str, Value], mode: str) -> Graph:
    try:
        return Expander(spec, own, Edits(spec, values), mode).graph()
    except SpecError as error:
        fact = f"at the model's own input {dimensions(own)}: {error.fact}"
        raise SpecError(fact, file=error.file, line=error.line, path=error.path, hint=error.hint) from None


def _checked(shape: tuple[int, ...]) -> Shape:
    expect(shape, (tuple, list), "an input shape (N, C, H, W)")
    if len(shape) != 4 or not all(type(size) is int and 1 <= size <= MAX_INPUT for size in shape):
        raise UsageError(
            f"expected an input shape N x C x H x W of positive integers up to {MAX_INPUT:,}, got {show(list(shape))}"
        )
    return tuple(shape)


def _check_same_weights(graph: Graph, reference: Graph, expansion: Expander) -> None:
    """The network is the spec at its own input: elsewhere each layer must have the weights it has there."""
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


def _with_overrides(graph: Graph, values: Mapping[str, Value]) -> Graph:
    if not values:
        return graph
    from msgspec.structs import replace

    edits = tuple(f"{path}={show_value(value.plain())}" for path, value in values.items())
    return replace(graph, overrides=edits)


def show_value(value: object) -> str:
    """A plain value on one line, as --set takes it."""
    if isinstance(value, list):
        return "[" + ",".join(show_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show_value(item)}" for key, item in value.items()) + "}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
