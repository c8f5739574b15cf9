"""Sweep -> a plot in the language of Vega-Lite: the networks of the front by two of its objectives, the spec itself
among them, and the distribution of the space below."""

from pathlib import Path
from typing import Any

from msgspec import Struct

from gnet_inspect.errors import UsageError
from gnet_inspect.search.result import LATENCY, Found, Sweep
from gnet_inspect.units import byte_count, count, duration
from gnet_inspect.views.charts.roofline import FAINT, FONT, FONT_SIZE, INK, LINE, PALETTE, VEGA_LITE
from gnet_inspect.views.charts.vega import draw_chart
from gnet_inspect.views.tables.sweep import BASE, edits_text, search_words
from gnet_inspect.views.text import line_of

Chart = dict[str, Any]
WIDTH, HEIGHT, EDF_HEIGHT = 720, 420, 110
ENDINGS = {".svg": "svg", ".png": "png"}
TITLES = {
    "params": "parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "param_bytes": "bytes of parameters",
    "activation_bytes": "bytes of activations",
    "peak_activation_bytes": "peak of activations (bytes)",
    "least_peak_activation_bytes": "least peak of activations (bytes)",
    "receptive_field": "receptive field (pixels)",
    "depth": "depth (layers)",
    "layers_s": "sum of the layers' least times (s)",
    "buffers": "buffers",
    "latency_s": "measured latency (s)",
}


class Colors(Struct, frozen=True):
    """Of the front, and of the spec itself."""

    front: str = PALETTE[0]
    base: str = PALETTE[1]


PAPER = Colors()


def front_form(path: Path) -> str:
    """The form of a plot by its file's ending. Raises UsageError."""
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"--plot: expected a file that ends in {' or '.join(ENDINGS)}, got {str(path)!r}")
    return form


def draw_front(result: Sweep, form: str) -> str | bytes:
    """The plot as "svg" or "png". Raises MissingError where vl-convert is not installed."""
    return draw_chart(front_chart(result), form, "a plot")


def plot_axes(result: Sweep) -> tuple[str, str]:
    """The totals along x and y: the first two objectives, or what goes with one."""
    names = [objective.name for objective in result.objectives]
    names += [name for name in ("macs", "params") if name not in names]
    return names[0], names[1]


def front_chart(result: Sweep) -> Chart:
    """Points of the front, each with its edits, and below them how many networks of the space are below each number."""
    x, y = plot_axes(result)
    charts: list[Chart] = [_points(result, x, y)]
    spread = [name for name in dict.fromkeys((x, y)) if name in result.ranges and result.ranges[name].quantiles]
    if spread:
        charts.append({"hconcat": [_distribution(result, name, len(spread)) for name in spread], "spacing": 60})
    return {
        "$schema": VEGA_LITE,
        "background": "white",
        "padding": 16,
        "title": {
            "text": f"{result.title}: {aims(result)}",
            "subtitle": [search_words(result)],
            "anchor": "start",
            "fontSize": 16,
            "subtitleFontSize": 12,
            "subtitleColor": FAINT,
            "color": INK,
            "offset": 14,
        },
        "vconcat": charts,
        "spacing": 28,
        "config": {
            "font": FONT,
            "axis": {
                "labelFontSize": FONT_SIZE,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "titleColor": INK,
                "labelColor": FAINT,
                "gridColor": LINE,
                "domainColor": LINE,
                "tickColor": LINE,
            },
            "view": {"stroke": None},
        },
    }


def aims(result: Sweep) -> str:
    """What was wanted, in words."""
    words = [f"{'most' if each.maximize else 'least'} {each.name}" for each in result.objectives]
    return " against ".join(words) or "networks near the spec"


def page_chart(result: Sweep) -> Chart:
    """The points of the front in the colours of a page, as wide as their place there."""
    colors = Colors("@accent", "@warm")
    return {
        "$schema": VEGA_LITE,
        "description": f"The networks of a design space of {line_of(result.title)} that no other one beats.",
        **_points(result, *plot_axes(result), colors),
        "width": "container",
        "height": 300,
    }


def _points(result: Sweep, x: str, y: str, colors: Colors = PAPER) -> Chart:
    front = [_values(found, x, y, edits_text(found, result)) for found in result.front]
    base = [_values(result.base, x, y, BASE)]
    values = [each for each in front if each["x"] is not None and each["y"] is not None]
    tooltip = [
        {"field": "edits", "title": "edits"},
        {"field": "x text", "title": TITLES[x]},
        {"field": "y text", "title": TITLES[y]},
    ]
    encoding = {"x": _axis("x", x), "y": _axis("y", y), "tooltip": tooltip}
    line: Chart = {
        "data": {"values": values},
        "mark": {
            "type": "line",
            "interpolate": "step-after",
            "color": colors.front,
            "opacity": 0.35,
            "strokeWidth": 1.5,
        },
        "encoding": {key: encoding[key] for key in ("x", "y")},
    }
    dots: Chart = {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "color": colors.front, "size": 46, "opacity": 0.9},
        "encoding": encoding,
    }
    own: Chart = {
        "data": {"values": [each for each in base if each["x"] is not None and each["y"] is not None]},
        "mark": {"type": "point", "shape": "diamond", "filled": True, "color": colors.base, "size": 130},
        "encoding": encoding,
    }
    name: Chart = {
        "data": own["data"],
        "mark": {"type": "text", "align": "left", "dx": 10, "dy": 1, "fontSize": 12, "color": colors.base},
        "encoding": {**{key: encoding[key] for key in ("x", "y")}, "text": {"field": "edits"}},
    }
    layers = [line, dots, own, name] if len(values) > 1 else [dots, own, name]
    return {"width": WIDTH, "height": HEIGHT, "layer": [layer for layer in layers if layer["data"]["values"]]}


def _values(found: Found, x: str, y: str, edits: str) -> dict[str, Any]:
    one, other = found.value(x), found.value(y)
    return {"x": one, "y": other, "x text": _text(x, one), "y text": _text(y, other), "edits": edits}


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "?"
    if name in ("layers_s", LATENCY):
        return duration(value)
    return byte_count(round(value)) if name.endswith("_bytes") else count(round(value))


def _axis(field: str, name: str) -> Chart:
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"zero": False, "nice": True},
        "axis": {"format": ".3~s", "title": TITLES[name], "tickCount": 8},
    }


def _distribution(result: Sweep, name: str, number: int) -> Chart:
    """Which part of the networks that were counted are at most so large."""
    quantiles = result.ranges[name].quantiles
    values = [{"x": value, "part": percent / 100} for percent, value in enumerate(quantiles)]
    base = result.base.value(name)
    layers: list[Chart] = [
        {
            "data": {"values": values},
            "mark": {"type": "line", "interpolate": "step-after", "color": PALETTE[2], "strokeWidth": 1.8},
            "encoding": {
                "x": {**_axis("x", name), "axis": {"format": ".3~s", "title": TITLES[name], "tickCount": 5}},
                "y": {
                    "field": "part",
                    "type": "quantitative",
                    "axis": {"format": ".0%", "title": "of the networks", "values": [0, 0.25, 0.5, 0.75, 1]},
                },
            },
        }
    ]
    if base is not None:
        layers.append(
            {
                "data": {"values": [{"x": base}]},
                "mark": {"type": "rule", "color": PALETTE[1], "strokeDash": [4, 3]},
                "encoding": {"x": {"field": "x", "type": "quantitative"}},
            }
        )
    width = WIDTH if number == 1 else (WIDTH - 60 - 46) / 2
    return {"width": width, "height": EDF_HEIGHT, "layer": layers}
