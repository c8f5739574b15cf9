"""Roofline -> a plot in the language of Vega-Lite: layers under the device's roofs, on two logarithmic axes."""

from collections import Counter
from collections.abc import Mapping
from math import atan2, ceil, degrees, floor, hypot, log10, pi, sqrt
from textwrap import wrap
from typing import Any

from msgspec import Struct

from gnet_inspect.analysis.roofline import LayerBound, Roofline
from gnet_inspect.errors import UsageError, printable
from gnet_inspect.graph import Graph, Node
from gnet_inspect.ops.spatial import sized
from gnet_inspect.units import byte_count, count, duration, percent
from gnet_inspect.views.charts.placing import Box, Label, Point, line_boxes, place_labels, text_width
from gnet_inspect.views.tables.roofline import operations, rate, source_line
from gnet_inspect.views.text import clip, headline, inputs_text

Chart = dict[str, Any]

VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"
WIDTH, HEIGHT = 860, 480
PLOT = Box(0, 0, WIDTH, HEIGHT)
FONT, FONT_SIZE, ROOF_SIZE = "Roboto, Arial, Helvetica, sans-serif", 11, 12
# Where the roofs' names are tried: how far above the slope and which part of it, and how far before the peak's line.
SLOPE_PLACES = [
    (lift, part / 20) for lift in (12, 24, 36) for part in sorted(range(2, 19), key=lambda part: abs(10 - part))
]
LEVEL_GAPS = range(12, 120, 6)
INK, FAINT, LINE, ROOF = "#1b1f24", "#5b6673", "#d9dee3", "#39424c"
# Okabe and Ito's colours, which the colour-blind can tell apart, without black and yellow; grey for the rest.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1")
OTHER, OTHER_COLOR = "other", "#8a949e"
# The area of the largest dot, in square pixels.
LARGEST = 1100
LABELLED, MOST_LABEL, MOST_LINE, LINES = 8, 44, 150, 6
# Drawing more takes minutes.
MOST_DOTS = 10_000
# The marks of an axis of few decades; one of many has powers of ten alone.
MARKS, FEW_DECADES = (1, 2, 5), 4


class Dot(Struct, frozen=True):
    """A layer in the plot: FLOPs per byte against FLOP/s, and the seconds its area stands for."""

    layer: LayerBound
    node: Node
    kind: str
    seconds: float

    @property
    def rate(self) -> float:
        return self.layer.flops / self.seconds


class Scale(Struct, frozen=True):
    """A logarithmic axis: what its ends stand for, and where they are in pixels."""

    low: float
    high: float
    start: float
    end: float

    def pixel(self, value: float) -> float:
        part = log10(value / self.low) / log10(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def value(self, pixel: float) -> float:
        part = (pixel - self.start) / (self.end - self.start)
        return float(self.low * (self.high / self.low) ** part)

    def marks(self) -> list[float]:
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        steps = MARKS if log10(self.high / self.low) < FEW_DECADES else MARKS[:1]
        marks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        return [mark for mark in marks if self.low <= mark <= self.high]


def roofline_chart(found: Roofline, graph: Graph, measured: Mapping[str, float]) -> Chart:
    """The plot in the language of Vega-Lite; it holds everything that it shows.

    Raises UsageError for more layers than a plot can show.
    """
    dots = _dots(found, graph, measured)
    if len(dots) > MOST_DOTS:
        raise UsageError(f"expected a plot of at most {MOST_DOTS:,} layers with FLOPs, got {len(dots):,}")
    x, y = _scales(found, dots)
    circles = list(dict.fromkeys(_box(dot, x, y, dots) for dot in dots))
    roofs = _Roofs(found, x, y, circles)
    labels = place_labels(_points(dots, x, y), [*roofs.boxes(), *circles], PLOT, FONT_SIZE)
    layers = [*roofs.layers(), _dot_layer(dots), *_label_layers(labels, x, y)]
    reached = "measured" if measured else "attainable"
    return {
        "$schema": VEGA_LITE,
        "description": f"Roofline of {_line(found.model)} on {_line(found.device.title)}.",
        "title": {"text": plot_title(found), "subtitle": _subtitle(found, dots, measured)},
        "width": WIDTH,
        "height": HEIGHT,
        "background": "#ffffff",
        "padding": 12,
        "config": _config(),
        "encoding": {
            "x": _axis("x", x, f"{operations(found.dtype)}s per byte moved"),
            "y": _axis("y", y, f"{reached} {operations(found.dtype)}/s"),
        },
        # Vega warns of layers without data.
        "layer": [layer for layer in layers if layer["data"]["values"]],
    }


# --- what is drawn ---


def _dots(found: Roofline, graph: Graph, measured: Mapping[str, float]) -> list[Dot]:
    """The layers that compute (and were measured), the longest first."""
    dots = []
    for layer, node in zip(found.layers, graph.nodes, strict=True):
        seconds = measured.get(layer.name, 0.0) if measured else layer.roofline_s
        if layer.flops and seconds > 0:
            dots.append(Dot(layer, node, _kind(node), seconds))
    dots.sort(key=lambda dot: -dot.seconds)
    times = dict.fromkeys((dot.kind for dot in dots), 0.0)
    for dot in dots:
        times[dot.kind] += dot.seconds
    shown = sorted(times, key=lambda kind: -times[kind])[: len(PALETTE)]
    return [dot if dot.kind in shown else Dot(dot.layer, dot.node, OTHER, dot.seconds) for dot in dots]


def _kind(node: Node) -> str:
    """What a dot's colour stands for: the layer's class, and of a convolution its kernel."""
    window = node.op.sliding_window
    grouped = " grouped" if getattr(node.op, "groups", 1) > 1 else ""
    return f"{node.op.kind} {sized(window.size)}{grouped}" if window else node.op.kind


def _scales(found: Roofline, dots: list[Dot]) -> tuple[Scale, Scale]:
    """Both axes around the dots and the corner of the roofs, with some room."""
    ridge, peak = found.totals.ridge_intensity, found.totals.peak_flops_per_s
    across = [ridge, *(dot.layer.intensity for dot in dots)]
    up = [peak, *(dot.rate for dot in dots)]
    x = Scale(min(*across, ridge / 12) / 1.8, max(*across, ridge * 4) * 1.8, 0, WIDTH)
    return x, Scale(min(*up, peak / 12) / 2.5, max(up) * 2.5, HEIGHT, 0)


def _radius(dot: Dot, dots: list[Dot]) -> float:
    return sqrt(LARGEST * dot.seconds / dots[0].seconds / pi)


def _box(dot: Dot, x: Scale, y: Scale, dots: list[Dot]) -> Box:
    return Point(x.pixel(dot.layer.intensity), y.pixel(dot.rate), max(_radius(dot, dots), 2), "").box


def _points(dots: list[Dot], x: Scale, y: Scale) -> list[Point]:
    """What is labelled: the longest layers, those on one spot once."""
    spots: dict[tuple[int, int], list[Dot]] = {}
    for dot in dots:
        spots.setdefault((round(x.pixel(dot.layer.intensity) / 3), round(y.pixel(dot.rate) / 3)), []).append(dot)
    longest = sorted(spots.values(), key=lambda found: -sum(dot.seconds for dot in found))[:LABELLED]
    points = []
    for found in longest:
        first = found[0]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        text = clip(printable(first.layer.name), MOST_LABEL) + more
        place = x.pixel(first.layer.intensity), y.pixel(first.rate)
        points.append(Point(*place, _radius(first, dots), text))
    return points


class _Roofs:
    """The two ceilings: memory's slope, its name above it where no dot is, and the peak, its name before it."""

    def __init__(self, found: Roofline, x: Scale, y: Scale, dots: list[Box]) -> None:
        bandwidth, peak = found.device.bandwidth_bytes_per_s, found.totals.peak_flops_per_s
        start = max(x.low, y.low / bandwidth)
        self.corners = [(start, bandwidth * start), (found.totals.ridge_intensity, peak), (x.high, peak)]
        self.first, self.corner, self.last = ((x.pixel(across), y.pixel(up)) for across, up in self.corners)
        self.slope = f"{byte_count(round(bandwidth))}/s"
        self.level = f"{rate(peak, found.dtype)} in {found.dtype}"
        self.gap = next((gap for gap in LEVEL_GAPS if _free([self._level_box(gap)], dots)), LEVEL_GAPS[0])
        taken = [*dots, self._level_box(self.gap)]
        places = (place for place in SLOPE_PLACES if _free(self._slope_boxes(*place), taken))
        self.lift, self.part = next(places, SLOPE_PLACES[0])
        self.x, self.y = x, y

    def boxes(self) -> list[Box]:
        """What labels keep away from: both lines, and their names."""
        lines = [*line_boxes(self.first, self.corner, 2), *line_boxes(self.corner, self.last, 2)]
        return [*lines, *self._slope_boxes(self.lift, self.part), self._level_box(self.gap)]

    def layers(self) -> list[Chart]:
        text = {"type": "text", "baseline": "bottom", "fontSize": ROOF_SIZE, "color": ROOF, "tooltip": None}
        encoding = {"text": {"field": "text", "type": "nominal"}}
        slope = {**self._value(self._slope_point(self.part)), "text": self.slope}
        level = {**self._value(self.corner), "text": self.level}
        angle = degrees(atan2(self.corner[1] - self.first[1], self.corner[0] - self.first[0]))
        return [
            {
                "data": {"values": [{"x": across, "y": up} for across, up in self.corners]},
                "mark": {"type": "line", "color": ROOF, "strokeWidth": 2, "tooltip": None},
            },
            {
                "data": {"values": [slope]},
                "mark": {**text, "angle": angle % 360, "dy": 7 - self.lift},
                "encoding": encoding,
            },
            {
                "data": {"values": [level]},
                "mark": {**text, "align": "right", "baseline": "middle", "dx": -self.gap},
                "encoding": encoding,
            },
        ]

    def _value(self, pixel: tuple[float, float]) -> Chart:
        return {"x": self.x.value(pixel[0]), "y": self.y.value(pixel[1])}

    def _slope_point(self, part: float) -> tuple[float, float]:
        (left, low), (right, high) = self.first, self.corner
        return left + part * (right - left), low + part * (high - low)

    def _slope_boxes(self, lift: float, part: float) -> list[Box]:
        """The slope's name: along the slope, its middle so far above it."""
        (left, low), (right, high) = self.first, self.corner
        length = hypot(right - left, high - low)
        across, down = (right - left) / length, (high - low) / length
        x, y = self._slope_point(part)
        x, y = x + lift * down, y - lift * across
        half = text_width(self.slope, ROOF_SIZE) / 2
        return line_boxes((x - half * across, y - half * down), (x + half * across, y + half * down), 8)

    def _level_box(self, gap: float) -> Box:
        right, height = self.corner
        return Box(right - gap - text_width(self.level, ROOF_SIZE), height - 9, right - gap, height + 9)


def _free(boxes: list[Box], taken: list[Box]) -> bool:
    return not any(box.meets(other) for box in boxes for other in taken)


def _dot_layer(dots: list[Dot]) -> Chart:
    kinds = list(dict.fromkeys(dot.kind for dot in dots))
    colors = [*PALETTE, OTHER_COLOR]
    order = [*(kind for kind in kinds if kind != OTHER), *(kind for kind in kinds if kind == OTHER)]
    palette = [OTHER_COLOR if kind == OTHER else colors[place] for place, kind in enumerate(order)]
    most = dots[0].seconds if dots else 1.0
    return {
        "data": {"values": list(map(_values, dots))},
        "mark": {"type": "circle", "opacity": 0.72, "stroke": INK, "strokeWidth": 0.6},
        "encoding": {
            "size": {
                "field": "seconds",
                "type": "quantitative",
                "title": "area: time",
                "scale": {"domain": [0, most], "range": [0, LARGEST], "zero": True},
                "legend": {
                    "values": [float(f"{most / part:.0e}") for part in (1, 4, 16)],
                    "labelExpr": "format(datum.value, '.1~s') + 's'",
                },
            },
            "color": {
                "field": "kind",
                "type": "nominal",
                "title": "kind of layer",
                "scale": {"domain": order, "range": palette},
                "legend": {"symbolType": "circle", "symbolSize": 110},
            },
            "tooltip": [
                {"field": field, "type": "nominal", "title": title}
                for field, title in (
                    ("layer", "layer"),
                    ("type", "type"),
                    ("flops", "FLOPs"),
                    ("moved", "moved"),
                    ("intensity", "FLOP/B"),
                    ("least", "least time"),
                    ("took", "time"),
                    ("reached", "FLOP/s"),
                )
            ],
        },
    }


def _values(dot: Dot) -> Chart:
    layer = dot.layer
    share = percent(layer.roofline_s, dot.seconds)
    return {
        "x": layer.intensity,
        "y": dot.rate,
        "seconds": dot.seconds,
        "kind": dot.kind,
        "layer": _line(layer.name),
        "type": _line(dot.node.describe()),
        "flops": f"{layer.flops:,}",
        "moved": byte_count(layer.bytes),
        "intensity": f"{layer.intensity:,.2f}",
        "least": f"{duration(layer.roofline_s)}, bound by {layer.bound}",
        "took": duration(dot.seconds),
        "reached": f"{count(round(dot.rate))} ({share} % of the roof)",
    }


def _label_layers(labels: list[Label], x: Scale, y: Scale) -> list[Chart]:
    """The names of dots, and lines that lead to them."""
    lines = [
        {
            "x": x.value(label.point.x),
            "y": y.value(label.point.y),
            "x2": x.value(label.x),
            "y2": y.value(label.y),
            "side": label.side,
            "text": label.point.text,
        }
        for label in labels
    ]
    text = {"type": "text", "baseline": "middle", "fontSize": FONT_SIZE, "color": INK, "tooltip": None}
    return [
        {
            "data": {"values": lines},
            "mark": {"type": "rule", "color": FAINT, "strokeWidth": 0.8, "tooltip": None},
            "encoding": {"x2": {"field": "x2"}, "y2": {"field": "y2"}},
        },
        *(
            {
                "data": {
                    "values": [{**line, "x": line["x2"], "y": line["y2"]} for line in lines if line["side"] == side]
                },
                "mark": {**text, "align": side, "dx": dx},
                "encoding": {"text": {"field": "text", "type": "nominal"}},
            }
            for side, dx in (("left", 2), ("right", -2))
        ),
    ]


def _axis(field: str, scale: Scale, title: str) -> Chart:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "domain": [scale.low, scale.high], "nice": False},
        "axis": {"values": scale.marks(), "format": "~s"},
    }


def _config() -> Chart:
    words = {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal"}
    return {
        "font": FONT,
        "view": {"stroke": LINE},
        "axis": {
            **words,
            "gridColor": LINE,
            "domainColor": LINE,
            "tickColor": LINE,
            "labelFontSize": 11,
            "titleFontSize": 12,
        },
        "legend": {**words, "labelFontSize": 11, "titleFontSize": 12, "labelLimit": 200},
        "title": {
            "anchor": "start",
            "fontSize": 16,
            "color": INK,
            "subtitleColor": FAINT,
            "subtitleFontSize": 12,
            "subtitlePadding": 4,
            "subtitleLineHeight": 16,
            "offset": 12,
        },
        "text": {"font": FONT},
    }


# --- what is said ---


def plot_title(found: Roofline) -> str:
    """What the plot is of, in one line."""
    return _line(f"{headline(found.title, found.model, found.overrides)} on {found.device.title}")


def _subtitle(found: Roofline, dots: list[Dot], measured: Mapping[str, float]) -> list[str]:
    said = [
        f"{inputs_text(found.input, found.inputs)}, {found.dtype}, {found.mode} mode; "
        + ("each dot a layer as it was measured" if measured else "each dot a layer at the least time it could take"),
        source_line(found),
        *_left_out(found, dots, measured),
    ]
    lines = [line for text in said for line in wrap(printable(text), MOST_LINE) or [""]]
    return lines[:LINES]


def _left_out(found: Roofline, dots: list[Dot], measured: Mapping[str, float]) -> list[str]:
    """The layers that a logarithmic axis has no place for, and those that were not measured."""
    idle = [layer for layer in found.layers if not layer.flops]
    kinds = Counter(layer.kind for layer in idle).most_common(4)
    named = ", ".join(f"{number} {kind}" for kind, number in kinds) + (", ..." if len(kinds) > 3 else "")
    notes = []
    if idle:
        whole = sum(measured.values()) if measured else found.totals.layers_s
        part = sum(measured.get(layer.name, 0) if measured else layer.roofline_s for layer in idle)
        notes.append(
            f"{len(idle)} of {len(found.layers)} layers have no FLOPs and no place here ({named}): "
            f"{percent(part, whole)} % of the layers' time"
        )
    above = [dot for dot in dots if measured and dot.seconds < dot.layer.roofline_s]
    if above:
        most = max(above, key=lambda dot: dot.layer.roofline_s / dot.seconds)
        notes.append(
            f"{len(above)} of the dots stand above the roof, {clip(printable(most.layer.name), MOST_LABEL)} most "
            f"({percent(most.layer.roofline_s, most.seconds)} %): a peak is too low, or a cache held what it read"
        )
    unmeasured = len(found.layers) - len(idle) - len(dots)
    return [*notes, f"{unmeasured} layers were not measured"] if unmeasured else notes


def _line(text: str) -> str:
    """Free text as one short line."""
    return clip(printable(text), MOST_LINE - 30)
