"""Report -> charts in the languages of Vega and Vega-Lite. A value such as "@ink" is a colour of the page's theme.

The page's script puts the colours in and has Vega draw: every chart follows the theme and the width it has.
"""

from collections.abc import Iterator, Sequence
from math import log10
from typing import Any

from gnet_inspect.analysis.comparison import ComparedModel
from gnet_inspect.analysis.listing import ListedModel, PublishedAccuracy, best_accuracy
from gnet_inspect.analysis.reporting import Report, ReportedMeasurement, ReportedModel
from gnet_inspect.analysis.summary import LayerSummary
from gnet_inspect.errors import printable
from gnet_inspect.graph.outline import Outline
from gnet_inspect.units import byte_count, count, dimensions
from gnet_inspect.views.charts.labels import AREAS, Bubble, label_places
from gnet_inspect.views.text import clip

Chart = dict[str, Any]

VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
VEGA = "https://vega.github.io/schema/vega/v6.json"
# What an icicle's widths may stand for, and how a page calls it.
MEASURES = {"params": "parameters", "macs": "MACs", "activation_bytes": "activation memory"}
MOST_TEXT = 80
SLOWEST = 20
ROW = 24
# Between these colours a chart mixes others, which it cannot with those of the page.
LOW, HIGH = "#6baed6", "#d9480f"
# How an axis or a legend writes a number of bytes.
BYTES = "datum.value ? format(datum.value, '~s') + 'B' : '0'"


def size_chart(report: Report) -> Chart:
    """Parameters against MACs on two logarithmic axes, the catalogue around the reported models.

    The area of a bubble is the peak of activation memory, its colour the published top-5 error.
    """
    reported = [_size(model, model.label, model.published) for model in report.comparison.models]
    # A model of the catalogue that is reported as it is stands there once.
    same = {(model.model, model.totals) for model in report.comparison.models}
    others = [
        _size(model, model.title, model.published)
        for model in report.catalogue.models
        if (model.model, model.totals) not in same
    ]
    shown = [point for point in reported if point["params"] and point["macs"]]
    others = [point for point in others if point["params"] and point["macs"]]
    for point, place in zip(shown, label_places(list(map(_bubble, shown)), list(map(_bubble, others))), strict=True):
        point["place"] = place
    axes = {
        axis: {
            "field": field,
            "type": "quantitative",
            "title": title,
            "scale": {"type": "log", "padding": 24},
            # Grid lines at powers of ten alone.
            "axis": {"format": "~s", "values": [10**power for power in range(19)]},
        }
        for axis, field, title in (("x", "macs", "MACs"), ("y", "params", "parameters"))
    }
    tooltip = [
        {"field": field, "type": "nominal", "title": title}
        for field, title in (
            ("name", "model"),
            ("params_text", "parameters"),
            ("macs_text", "MACs"),
            ("peak_text", "peak of activations"),
            ("error_text", "published error"),
        )
    ]
    size = {
        "field": "peak",
        "type": "quantitative",
        "title": "peak of activations",
        "scale": {"range": list(AREAS), "zero": True},
        "legend": {"labelExpr": BYTES, "values": _legend_values(max(point["peak"] for point in (*shown, *others)))},
    }
    error = {
        "field": "top5_error",
        "type": "quantitative",
        "title": "top-5 error, %",
        "scale": {"range": [LOW, HIGH], "interpolate": "rgb"},
    }
    label = {"type": "text", "fontSize": 12, "fontWeight": 600, "color": "@ink"}
    bubble = {"type": "circle", "opacity": 0.9, "stroke": "@ink", "strokeWidth": 1.5}
    layers: list[Chart] = [
        {
            "data": {"values": others},
            "mark": {"type": "circle", "color": "@faint", "opacity": 0.35},
            "encoding": {"size": size, "tooltip": tooltip},
        },
        {
            "data": {"values": [point for point in shown if point["top5_error"] is not None]},
            "mark": bubble,
            "encoding": {"size": size, "color": error, "tooltip": tooltip},
        },
        {
            "data": {"values": [point for point in shown if point["top5_error"] is None]},
            "mark": {**bubble, "fill": "@paper"},
            "encoding": {"size": size, "tooltip": tooltip},
        },
        *(
            {
                "data": {"values": [point for point in shown if point["place"] == place]},
                "mark": {**label, "align": place[0], "dx": place[1], "dy": place[2]},
                "encoding": {"text": {"field": "label", "type": "nominal"}},
            }
            for place in sorted({point["place"] for point in shown})
        ),
    ]
    return {
        "$schema": VEGA_LITE,
        "description": "Parameters against MACs of each model.",
        "width": "container",
        "height": 380,
        "encoding": axes,
        # Vega warns of layers without data.
        "layer": [layer for layer in layers if layer["data"]["values"]],
    }


def _line(text: str) -> str:
    """Free text as one short line."""
    return clip(printable(text), MOST_TEXT)


def _bubble(point: Chart) -> Bubble:
    return Bubble(log10(point["macs"]), log10(point["params"]), point["peak"], point["label"])


def _legend_values(most: int) -> list[int]:
    """A large, a middle and a small number of bytes, each with one digit that is not zero."""
    return sorted({int(float(f"{most / part:.0e}")) for part in (1, 4, 16)})


def _size(model: ComparedModel | ListedModel, name: str, published: tuple[PublishedAccuracy, ...]) -> dict[str, Any]:
    best, totals = best_accuracy(published), model.totals
    top5 = best.top5_error if best else None
    label = _line(name)
    said = "none" if best is None else f"{_error_text(best)} ({_line(best.source)})"
    return {
        "name": label,
        "label": label if top5 is None else f"{label}, {top5:.2f} %",
        "params": totals.params,
        "macs": totals.macs,
        "peak": totals.peak_activation_bytes,
        "top5_error": top5,
        "params_text": f"{totals.params:,}",
        "macs_text": f"{totals.macs:,}",
        "peak_text": byte_count(totals.peak_activation_bytes),
        "error_text": said,
    }


def _error_text(best: PublishedAccuracy) -> str:
    errors = ((best.top1_error, "top-1"), (best.top5_error, "top-5"))
    return ", ".join(f"{which} {error:.2f} %" for error, which in errors if error is not None)


def icicle_chart(model: ReportedModel) -> Chart:
    """Where a model's parameters, MACs and activation memory sit: the network above, its layers below, as wide as
    their share. A click on a part gives it the whole width, one on the network takes it back.
    """
    rows = list(_tree(model))
    depth = max(row["level"] for row in rows) + 1
    totals = model.summary.totals
    wholes = {name: getattr(totals, name) for name in MEASURES}
    room = "(min(scale('x', datum.x1), width) - max(scale('x', datum.x0), 0))"
    focus = [
        {"events": "@cell:click", "update": "datum.x1 > datum.x0 ? [datum.x0, datum.x1] : [0, 1]"},
        {"events": {"signal": "measure"}, "update": "[0, 1]"},
    ]
    share = "' (' + format(whole[measure] ? datum[measure] / whole[measure] : 0, '.1%') + ')'"
    return {
        "$schema": VEGA,
        "description": f"Shares of {_line(model.label)}: parameters, MACs or memory, from stages down to layers.",
        "height": depth * ROW,
        "autosize": {"type": "fit", "contains": "padding", "resize": True},
        "signals": [
            {"name": "measure", "value": "params"},
            {"name": "whole", "value": wholes},
            {"name": "focus", "value": [0, 1], "on": focus},
            {
                "name": "width",
                "init": "max(200, containerSize()[0])",
                "on": [{"events": "window:resize", "update": "max(200, containerSize()[0])"}],
            },
        ],
        "data": [
            {
                "name": "tree",
                "values": rows,
                "transform": [
                    {"type": "formula", "as": "amount", "expr": "datum.leaf ? datum[measure] : 0"},
                    {"type": "stratify", "key": "id", "parentKey": "parent"},
                    {"type": "partition", "field": "amount", "size": [1, depth], "padding": 0},
                ],
            },
            # Beyond some pixels' share nothing can be seen, let alone clicked.
            {
                "name": "seen",
                "source": "tree",
                "transform": [
                    {
                        "type": "filter",
                        "expr": "(min(datum.x1, focus[1]) - max(datum.x0, focus[0])) * width"
                        " > 0.4 * (focus[1] - focus[0])",
                    }
                ],
            },
        ],
        "scales": [{"name": "x", "domain": {"signal": "focus"}, "range": "width", "zero": False}],
        "marks": [
            {
                "type": "group",
                "clip": True,
                "encode": {"update": {"width": {"signal": "width"}, "height": {"value": depth * ROW}}},
                "marks": [
                    {
                        "name": "cell",
                        "type": "rect",
                        "from": {"data": "seen"},
                        "encode": {
                            "update": {
                                "x": {"signal": "max(scale('x', datum.x0), 0)"},
                                "x2": {"signal": "min(scale('x', datum.x1), width)"},
                                "y": {"field": "y0", "mult": ROW},
                                "y2": {"field": "y1", "mult": ROW},
                                "fill": {"signal": "datum.fill"},
                                "stroke": {"value": "@paper"},
                                "strokeWidth": {"signal": f"{room} > 3 ? 1 : 0"},
                                "cursor": {"value": "pointer"},
                                "tooltip": {
                                    "signal": "{title: datum.path, 'it is': datum.said, "
                                    f"share: format(datum[measure], ',') + {share}}}"
                                },
                                "description": {"signal": "datum.path"},
                            },
                            "hover": {"stroke": {"value": "@ink"}},
                        },
                    },
                    {
                        "type": "text",
                        "from": {"data": "seen"},
                        "interactive": False,
                        "encode": {
                            "update": {
                                "x": {"signal": "max(scale('x', datum.x0), 0) + 4"},
                                "y": {"signal": f"(datum.y0 + 0.5) * {ROW}"},
                                "baseline": {"value": "middle"},
                                "fill": {"value": "@ink"},
                                "fontSize": {"value": 11},
                                "text": {"signal": f"{room} > 34 ? datum.name : ''"},
                                "limit": {"signal": f"{room} - 6"},
                            }
                        },
                    },
                ],
            }
        ],
    }


FILLS = {"stage": "@stage", "head": "@stage", "block": "@block", "branch": "@branch", "list": "@branch"}


def _tree(model: ReportedModel) -> Iterator[Chart]:
    """The network, its stages, blocks, branches and layers, each with the sums over its layers."""

    def row(place: Chart, name: str, path: str, said: str, fill: str, layers: Sequence[LayerSummary]) -> Chart:
        sums = {measure: sum(getattr(layer, measure) for layer in layers) for measure in MEASURES}
        return place | {"name": name, "path": path, "said": said, "fill": fill} | sums

    label = _line(model.label)
    yield row({"id": 1, "level": 0}, label, label, "the network", "@paper2", model.summary.layers)
    # By the place of an entry, what the paths below it begin with.
    scopes: dict[int, str] = {}
    for entry in Outline(model.graph).entries:
        above, scope = (entry.parent.position + 2, scopes[entry.parent.position]) if entry.parent else (1, "")
        scopes[entry.position] = f"{entry.name}." if entry.role in ("block", "list") else scope
        place = {"id": entry.position + 2, "level": entry.depth + 1, "parent": above}
        layers = entry.of(model.summary.layers)
        if entry.part is None:
            said = f"{layers[0].kind}, output {dimensions(layers[0].output_shape)}"
            yield row(place, entry.name.removeprefix(scope), entry.name, said, "@layer", layers) | {"leaf": True}
            continue
        path = _line(entry.name)
        name = path if entry.role == "branch" else path.removeprefix(scope)
        said = entry.describe() if entry.role == "block" else entry.role
        yield row(place, name, path, said, "@branch" if entry.is_branch else FILLS[entry.role], layers)


def memory_chart(model: ReportedModel) -> Chart:
    """The bytes held while each layer runs, in execution order; the peak stands out."""
    totals = model.summary.totals
    values = [
        {
            "from": index + 0.5,
            "to": index + 1.5,
            "bytes": live,
            "bytes_text": f"{live:,} ({byte_count(live)})",
            "layer": layer.name,
            "stage": _line(layer.stage),
            "said": f"{layer.kind}, output {dimensions(layer.output_shape)}",
            "peak": layer.name == totals.peak_node,
        }
        for index, (layer, live) in enumerate(zip(model.summary.layers, model.live_bytes, strict=True))
    ]
    tooltip = [
        {"field": field, "type": "nominal", "title": title}
        for field, title in (("layer", "layer"), ("said", "it is"), ("stage", "stage"), ("bytes_text", "held"))
    ]
    return {
        "$schema": VEGA_LITE,
        "description": f"Activation memory of {_line(model.label)} over the run: the peak is "
        f"{byte_count(totals.peak_activation_bytes)} at {totals.peak_node}.",
        "width": "container",
        "height": 150,
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "from",
                "type": "quantitative",
                "title": "layers in execution order",
                "scale": {"domain": [0.5, len(values) + 0.5], "nice": False},
                "axis": {"grid": False, "tickMinStep": 1, "format": "d"},
            },
            "x2": {"field": "to"},
            "y": {
                "field": "bytes",
                "type": "quantitative",
                "title": "bytes held",
                "axis": {"labelExpr": BYTES, "tickCount": 4},
            },
            "y2": {"datum": 0},
            "tooltip": tooltip,
        },
        "layer": [
            {"mark": {"type": "rect", "stroke": None, "color": "@accent"}},
            # However many layers there are, the one at the peak is seen.
            {
                "transform": [{"filter": "datum.peak"}],
                "mark": {"type": "rect", "color": "@warm", "stroke": "@warm", "strokeWidth": 2},
            },
        ],
    }


def layer_times_chart(measurement: ReportedMeasurement) -> Chart:
    """The slowest layers of a measurement, and by a tick the least time that the device could take for each."""
    slowest = sorted(measurement.measured.layers, key=lambda layer: -layer.median_s)[:SLOWEST]
    values = [
        {
            "layer": _line(layer.name),
            "kind": printable(layer.kind),
            "us": layer.median_s * 1e6,
            "least": None if layer.roofline_s is None else layer.roofline_s * 1e6,
            "measured": f"{layer.median_s * 1e6:,.1f} us",
            "roofline": "unknown" if layer.roofline_s is None else f"{layer.roofline_s * 1e6:,.1f} us",
        }
        for layer in slowest
    ]
    tooltip = [{"field": field, "type": "nominal"} for field in ("layer", "kind", "measured", "roofline")]
    tick = {
        "transform": [{"filter": "isValid(datum.least)"}],
        "mark": {"type": "tick", "color": "@warm", "thickness": 3, "opacity": 1},
        "encoding": {"x": {"field": "least", "type": "quantitative"}},
    }
    rows = {"field": "layer", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    return {
        "$schema": VEGA_LITE,
        "description": f"The slowest layers of {_line(measurement.measured.model)}, and the least time for each.",
        "width": "container",
        "height": 18 * len(values),
        "data": {"values": values},
        "encoding": {"y": rows, "tooltip": tooltip},
        "layer": [
            {
                "mark": {"type": "bar", "color": "@accent"},
                "encoding": {"x": {"field": "us", "type": "quantitative", "title": "microseconds"}},
            },
            *([tick] if any(value["least"] is not None for value in values) else []),
        ],
    }


def not_drawn(report: Report) -> list[str]:
    """The models that a chart with logarithmic axes cannot show."""
    return [
        f"{model.label} ({count(model.totals.params)} parameters, {count(model.totals.macs)} MACs)"
        for model in report.comparison.models
        if not model.totals.params or not model.totals.macs
    ]
