"""The rows of a report's table of layers: one column for each thing that is known of a layer."""

from collections.abc import Sequence

from msgspec import Struct

from gnet_inspect.analysis.reporting import ReportedModel
from gnet_inspect.analysis.summary import LayerSummary
from gnet_inspect.graph import Node
from gnet_inspect.units import dimensions
from gnet_inspect.views.text import field_text, line_of

TO = "\N{RIGHTWARDS ARROW}"


class Column(Struct, frozen=True):
    """A column: the word of the glossary that it shows, its title, and whether it holds numbers."""

    key: str
    title: str
    number: bool = False


class Row(Struct, frozen=True):
    """What a row is made of. `seconds` are measured ones."""

    place: int
    node: Node
    layer: LayerSummary
    held: int
    seconds: float | None


COLUMNS = (
    Column("number", "#", number=True),
    Column("layer", "layer"),
    Column("type", "type"),
    Column("kernel", "kernel"),
    Column("stride", "stride"),
    Column("channels", "channels"),
    Column("output", "output"),
    Column("params", "params", number=True),
    Column("macs", "MACs", number=True),
    Column("time", "time, us", number=True),
    Column("bytes", "bytes", number=True),
    Column("held", "held", number=True),
    Column("intensity", "FLOP/B", number=True),
    Column("field", "field", number=True),
    Column("stage", "stage"),
)


def columns(timed: bool) -> list[Column]:
    """The columns of a table; one of times where there are any."""
    return [column for column in COLUMNS if timed or column.key != "time"]


def rows(model: ReportedModel, seconds: Sequence[float | None]) -> list[list[str]]:
    """The texts of each layer, in the order of `columns`."""
    summary, shown = model.summary, columns(bool(seconds))
    taken = seconds or [None] * len(summary.layers)
    found = []
    for place, each in enumerate(zip(model.graph.nodes, summary.layers, model.live_bytes, taken, strict=True), 1):
        texts = _texts(Row(place, *each))
        found.append([texts[column.key] for column in shown])
    return found


def channels_text(node: Node) -> str:
    """What goes in and what comes out, in channels."""
    counts = node.op.channel_counts(node.input_shapes, node.output_shapes)
    return f"{counts[0]} {TO} {counts[1]}" if counts else ""


def _texts(row: Row) -> dict[str, str]:
    layer, window = row.layer, row.node.op.sliding_window
    return {
        "number": str(row.place),
        "layer": layer.name,
        "type": layer.kind,
        "kernel": dimensions(window.size) if window else "",
        "stride": _steps(window.stride) if window else "",
        "channels": channels_text(row.node),
        "output": dimensions(layer.output_shape),
        "params": f"{layer.params:,}",
        "macs": "?" if layer.macs is None else f"{layer.macs:,}",
        "time": "" if row.seconds is None else f"{row.seconds * 1e6:,.1f}",
        "bytes": f"{layer.activation_bytes:,}",
        "held": f"{row.held:,}",
        "intensity": "?" if layer.intensity is None else f"{layer.intensity:,.2f}",
        "field": field_text(layer.receptive_field, layer.receptive_field_status),
        "stage": line_of(layer.stage),
    }


def _steps(stride: tuple[int, ...]) -> str:
    """One number where it is the same along all axes."""
    return str(stride[0]) if len(set(stride)) == 1 else dimensions(stride)
