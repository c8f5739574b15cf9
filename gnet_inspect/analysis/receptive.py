"""Receptive field and jump, through branches.

For a window of kernel k and stride s: field_out = field_in + (k - 1) * jump_in, jump_out = jump_in * s; where branches
meet, the largest of them. Unclipped: it may reach beyond the input, into its padding. (Araujo et al., "Computing
Receptive Fields of Convolutional Neural Networks", Distill 2019, section "Recurrence relation".)
"""

from collections.abc import Iterable

from msgspec import Struct

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import INPUT, Graph
from gnet_inspect.ops.base import POINT
from gnet_inspect.units import LARGEST_EXACT


class Field(Struct, frozen=True):
    """Of one output element, along (height, width), in elements of the network's input.

    Whole numbers, but for an adaptive pool whose input is no multiple of its output: its stride is then a mean.
    """

    size: tuple[float, float]
    jump: tuple[float, float]


START = Field((1, 1), (1, 1))


def receptive_fields(graph: Graph) -> dict[str, Field | None]:
    """Each node's field by name; None once the spatial axes are gone."""
    fields: dict[str, Field | None] = {INPUT: START}
    for node in graph.nodes:
        if len(node.output_shape) != 4:
            fields[node.name] = None
            continue
        inputs = node.inputs
        before = fields[inputs[0]] if len(inputs) == 1 else _largest(fields[name] for name in inputs)
        window = node.op.window(node.input_shapes)
        field = before if window is POINT or before is None else _through(before, window)
        if field is not None and max(*field.size, *field.jump) > LARGEST_EXACT:
            raise UsageError(
                f"layer `{node.name}`: expected a receptive field that can be counted exactly, got one above 2^53"
            )
        fields[node.name] = field
    return fields


def model_field(graph: Graph, fields: dict[str, Field | None]) -> Field | None:
    """The field of the last node before the spatial axes vanish, the largest over all ways to the output."""
    last: dict[str, Field | None] = {INPUT: START}
    for node in graph.nodes:
        last[node.name] = fields[node.name] or _largest(last[name] for name in node.inputs)
    return last[graph.output]


def _largest(fields: Iterable[Field | None]) -> Field | None:
    known = [field for field in fields if field is not None]
    if len(known) < 2:
        return known[0] if known else None
    return Field(
        (max(field.size[0] for field in known), max(field.size[1] for field in known)),
        (max(field.jump[0] for field in known), max(field.jump[1] for field in known)),
    )


def _through(before: Field, window: tuple[tuple[int, float], tuple[int, float]]) -> Field:
    (rows, down), (columns, across) = window
    (height, width), (jump_height, jump_width) = before.size, before.jump
    return Field(
        (height + (rows - 1) * jump_height, width + (columns - 1) * jump_width),
        (jump_height * down, jump_width * across),
    )
