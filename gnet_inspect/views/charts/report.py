"""Report -> charts in the languages of Vega and Vega-Lite. A value such as "@ink" is a colour of the page's theme.

The page's script puts the colours in and has Vega draw: every chart follows the theme and the width it has.
"""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10, pi, sqrt
from typing import Any

from msgspec import Struct

from gnet_inspect.analysis.comparison import ComparedModel
from gnet_inspect.analysis.listing import ListedModel, PublishedAccuracy, best_accuracy
from gnet_inspect.analysis.reporting import Report, ReportedModel
from gnet_inspect.analysis.summary import LayerSummary
from gnet_inspect.errors import printable
from gnet_inspect.graph.outline import Outline
from gnet_inspect.units import byte_count, count, dimensions
from gnet_inspect.views.text import clip

Chart = dict[str, Any]

VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
VEGA = "https://vega.github.io/schema/vega/v6.json"
# What an icicle's widths may stand for, and how a page calls it.
MEASURES = {"params": "parameters", "macs": "MACs", "activation_bytes": "activation memory"}
MOST_TEXT = 80
ROW = 24
# The areas of the smallest and the largest bubble, in square pixels.
AREAS = (60, 900)
# Of a size chart: one in so many models of the catalogue is left out at either end of an axis, and the room around what
# is shown, as a factor.
CUT, ROOM = 30, 1.6
# Between these colours a chart mixes others, which it cannot with those of the page: from good to bad, and none of them
# grey, which is the catalogue's.
RAMP = ("#2c7fb8", "#fecc5c", "#d9480f")
# How an axis or a legend writes a number of bytes.
BYTES = "datum.value ? format(datum.value, '~s') + 'B' : '0'"


def size_chart(report: Report) -> Chart:
    """Parameters against MACs on two logarithmic axes, the catalogue around the reported models.

    The area of a bubble is the peak of activation memory, its colour the published top-5 error. Labels stand where Vega
    finds room for them, at the width that the chart has.
    """
    found = sizes(report)
    domains = {axis: _domain(found.shown, found.others, axis) for axis in ("macs", "params")}
    axes = ((scale, name, title) for scale, name, title in (("x", "macs", "MACs"), ("y", "params", "parameters")))
    return {
        "$schema": VEGA,
        "description": "Parameters against MACs of each model.",
        "padding": 4,
        "autosize": {"type": "fit", "contains": "padding", "resize": True},
        "signals": [
            {
                "name": "width",
                "init": "max(200, containerSize()[0])",
                "on": [{"events": "window:resize", "update": "max(200, containerSize()[0])"}],
            },
            {"name": "height", "update": "max(280, min(440, width * 0.7))"},
        ],
        "data": [{"name": "shown", "values": found.shown}, {"name": "others", "values": found.others}],
        "scales": [
            {"name": "x", "type": "log", "domain": domains["macs"], "range": "width", "nice": False},
            {"name": "y", "type": "log", "domain": domains["params"], "range": "height", "nice": False},
            {"name": "area", "domain": [0, found.most], "range": list(AREAS)},
            {"name": "error", "domain": found.error_domain, "range": list(RAMP), "interpolate": "rgb", "clamp": True},
        ],
        "axes": [
            {
                "scale": scale,
                "orient": "bottom" if scale == "x" else "left",
                "title": title,
                "values": _marks(domains[name]),
                "format": "~s",
                "grid": True,
                "domain": False,
                "ticks": False,
                "labelPadding": 6,
                "labelOverlap": "greedy",
                "labelFlush": True,
            }
            for scale, name, title in axes
        ],
        "marks": [
            _bubbles("others", {"fill": {"value": "@faint"}, "fillOpacity": {"value": 0.35}}),
            _bubbles(
                "shown",
                {
                    "fill": [
                        {"test": "datum.top5_error === null", "value": "@paper"},
                        {"scale": "error", "field": "top5_error"},
                    ],
                    "stroke": {"value": "@ink"},
                    "strokeWidth": {"value": 1.5},
                },
            ),
            {
                "type": "text",
                "from": {"data": "bubbles-shown"},
                "interactive": False,
                "encode": {
                    "enter": {
                        "text": {"field": "datum.label"},
                        "fontSize": {"value": 12},
                        "fontWeight": {"value": 600},
                        "fill": {"value": "@ink"},
                        # A rim, which the page draws behind the letters: they can be read on bubbles, too.
                        "stroke": {"value": "@paper"},
                        "strokeWidth": {"value": 3},
                    }
                },
                "transform": [
                    {
                        "type": "label",
                        "size": {"signal": "[width, height]"},
                        "anchor": [
                            "right",
                            "left",
                            "top",
                            "bottom",
                            "top-right",
                            "top-left",
                            "bottom-right",
                            "bottom-left",
                        ],
                        "offset": [4, 4, 4, 4, 2, 2, 2, 2],
                    }
                ],
            },
        ],
    }


class Sizes(Struct, frozen=True):
    """The models of a size chart: the reported ones, those of the catalogue around them, and how many of these lie
    outside; the largest peak of memory; the least and the largest published error."""

    shown: list[Chart]
    others: list[Chart]
    outside: int
    most: int
    errors: tuple[float, float]

    @property
    def error_domain(self) -> list[float]:
        """The least error, the middle between both, and the largest: one for each colour."""
        least, largest = self.errors
        return [least, (least + largest) / 2, largest]


def sizes(report: Report) -> Sizes:
    """What a size chart shows: of the catalogue what lies no further from the reported models than most of it, since
    one small network far away would leave half of the chart empty."""
    reported = [_size(model, model.label, model.published) for model in report.comparison.models]
    # A model of the catalogue that is reported as it is stands there once.
    same = {(model.model, model.totals) for model in report.comparison.models}
    every = [
        _size(model, model.title, model.published)
        for model in report.catalogue.models
        if (model.model, model.totals) not in same
    ]
    shown, every = ([point for point in points if point["params"] and point["macs"]] for points in (reported, every))
    edges = {name: _edges(shown, every, name) for name in ("macs", "params")}
    others = [
        point for point in every if all(edges[name][0] <= point[name] <= edges[name][1] for name in ("macs", "params"))
    ]
    errors = [point["top5_error"] for point in (*shown, *others) if point["top5_error"] is not None] or [0.0, 1.0]
    peaks = [point["peak"] for point in (*shown, *others)]
    return Sizes(shown, others, len(every) - len(others), max(peaks, default=1), (min(errors), max(errors)))


def _edges(shown: Sequence[Chart], others: Sequence[Chart], name: str) -> tuple[float, float]:
    """The least and the largest amount of the reported models, and of the catalogue without its ends."""
    amounts = sorted(point[name] for point in others)
    cut = len(amounts) // CUT
    kept = [*amounts[cut : len(amounts) - cut], *(point[name] for point in shown)]
    return min(kept, default=1), max(kept, default=10)


def _domain(shown: Sequence[Chart], others: Sequence[Chart], name: str) -> list[float]:
    """An axis around all points, with some room."""
    amounts = [point[name] for point in (*shown, *others)] or [1, 10]
    return [min(amounts) / ROOM, max(amounts) * ROOM]


def _marks(domain: Sequence[float]) -> list[float]:
    """1, 2 and 5 of each power of ten within a domain."""
    low, high = domain
    marks = (step * 10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1) for step in (1, 2, 5))
    return [mark for mark in marks if low <= mark <= high]


def _bubbles(data: str, paint: Chart) -> Chart:
    """The points of a set of models, the smaller ones in front."""
    tooltip = "{title: datum.name, parameters: datum.params_text, MACs: datum.macs_text, "
    tooltip += "'peak of activations': datum.peak_text, 'published error': datum.error_text}"
    return {
        "type": "symbol",
        "name": f"bubbles-{data}",
        "from": {"data": data},
        "sort": {"field": "datum.peak", "order": "descending"},
        "encode": {
            "update": {
                "x": {"scale": "x", "field": "macs"},
                "y": {"scale": "y", "field": "params"},
                "size": {"scale": "area", "field": "peak"},
                "tooltip": {"signal": tooltip},
                **paint,
            }
        },
    }


def legend_sizes(found: Sizes) -> list[tuple[float, str]]:
    """(diameter in pixels, bytes) of a large, a middle and a small bubble."""
    values = sorted({int(float(f"{found.most / part:.0e}")) for part in (1, 4, 16)})
    return [
        (round(2 * sqrt((AREAS[0] + (AREAS[1] - AREAS[0]) * value / found.most) / pi), 1), byte_count(value))
        for value in values
    ]


def _line(text: str) -> str:
    """Free text as one short line."""
    return clip(printable(text), MOST_TEXT)


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
        sums = {measure: sum(getattr(layer, measure) or 0 for layer in layers) for measure in MEASURES}
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


def not_drawn(report: Report) -> list[str]:
    """The models that a chart with logarithmic axes cannot show."""
    return [
        f"{model.label} ({count(model.totals.params)} parameters, {count(model.totals.macs)} MACs)"
        for model in report.comparison.models
        if not model.totals.params or not model.totals.macs
    ]
