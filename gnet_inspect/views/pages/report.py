"""Report -> one HTML page that needs nothing else: no network, no other file."""

import base64
from typing import Any

from msgspec import Struct

from gnet_inspect import __version__
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.reporting import Report, ReportedMeasurement, ReportedModel
from gnet_inspect.analysis.summary import LayerSummary, Summary, Totals
from gnet_inspect.errors import UsageError, missing_report_package, printable, some_of
from gnet_inspect.graph.outline import DEPTHS
from gnet_inspect.units import byte_count, count, dimensions
from gnet_inspect.views.charts.report import (
    MEASURES,
    icicle_chart,
    layer_times_chart,
    memory_chart,
    not_drawn,
    size_chart,
)
from gnet_inspect.views.charts.vega import vega_library
from gnet_inspect.views.drawing.diagram import Drawing, Options, drawing_of, too_large
from gnet_inspect.views.fonts import roboto_folder
from gnet_inspect.views.pages.figure import class_colors, legend, page_figure
from gnet_inspect.views.pages.html import draw_html
from gnet_inspect.views.pages.page import json_text, policy_of, script_text
from gnet_inspect.views.tables.comparison import comparison_grids
from gnet_inspect.views.tables.verification import verification_grid
from gnet_inspect.views.text import clip, coverage_line, field_text, headline, inputs_text

# A browser takes seconds to lay out more rows.
MOST_LAYERS = 10_000
MOST_TEXT = 160


class Level(Struct, frozen=True):
    """A model's diagram opened to one depth, or why it is not drawn."""

    depth: str
    svg: str
    legend: tuple[tuple[str, str], ...]
    note: str = ""


def draw_report(report: Report) -> str:
    """The page. Raises MissingError where what draws it is not installed, UsageError for more than a page can hold."""
    try:
        import jinja2
    except ImportError as error:
        raise missing_report_package("a report", error.name) from None
    layers = sum(len(model.graph.nodes) for model in report.models)
    if layers > MOST_LAYERS:
        raise UsageError(f"expected models of at most {MOST_LAYERS:,} layers together for one page, got {layers:,}")
    library = vega_library("a report")
    templates = jinja2.PackageLoader("gnet_inspect.views.pages", "templates")
    environment = jinja2.Environment(
        loader=templates,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    source, _, _ = templates.get_source(environment, "report.js")
    scripts = [script_text(text) for text in (library, source)]
    return environment.get_template("report.html").render(
        title=some_of((_line(model.summary.title) for model in report.models), 3),
        font=_font(),
        version=__version__,
        scripts=scripts,
        policy=policy_of(scripts),
        data=json_text(_data(report)),
        overview="".join(map(draw_html, comparison_grids(report.comparison, bars=False))),
        missing=not_drawn(report),
        models=[_model(model) for model in report.models],
        colors=class_colors(),
        measures=MEASURES,
    )


def _data(report: Report) -> dict[str, Any]:
    """What the page's script reads."""
    charts: dict[str, Any] = {"size": size_chart(report)}
    for index, model in enumerate(report.models):
        charts[f"icicle-{index}"] = icicle_chart(model)
        charts[f"memory-{index}"] = memory_chart(model)
        for number, measurement in enumerate(model.measurements):
            if measurement.measured.layers:
                charts[f"times-{index}-{number}"] = layer_times_chart(measurement)
    return {
        "charts": charts,
        "models": [
            {
                "params": [layer.params for layer in model.summary.layers],
                "macs": [layer.macs or 0 for layer in model.summary.layers],
                "memory": [layer.activation_bytes for layer in model.summary.layers],
                "time": _seconds(model),
            }
            for model in report.models
        ],
    }


def _seconds(model: ReportedModel) -> list[float | None]:
    """Measured seconds of each layer, where they were measured."""
    timed = _timed(model)
    seconds = {layer.name: layer.median_s for layer in timed.measured.layers} if timed else {}
    return [seconds.get(layer.name) for layer in model.summary.layers] if seconds else []


def _timed(model: ReportedModel) -> ReportedMeasurement | None:
    """The measurement whose layers stand in the table: one of the same batch and dtype, if there is."""
    timed = [found for found in model.measurements if found.measured.layers]
    return min(timed, key=lambda found: _differs(found, model) != "", default=None)


def _differs(found: ReportedMeasurement, model: ReportedModel) -> str:
    """In what a measurement is not of what the report shows."""
    summary, measured = model.summary, found.measured
    pairs = (
        ("batch", measured.batch, summary.input[0]),
        ("dtype", measured.dtype or None, summary.dtype),
        ("input", measured.input or None, summary.input),
        ("mode", measured.mode, summary.mode),
    )
    return ", ".join(name for name, theirs, ours in pairs if theirs is not None and theirs != ours)


def _name_of(found: ReportedMeasurement | None) -> str:
    """What was measured, in a few words; "" for nothing."""
    if found is None:
        return ""
    measured = found.measured
    parts = [f"batch {measured.batch}" if measured.batch else "", measured.dtype, measured.variant]
    parts += [measured.mode] if measured.mode == "train" else []
    return _line(", ".join(filter(None, parts))) or "measured"


def _model(model: ReportedModel) -> dict[str, Any]:
    """What the template says of one model."""
    summary, totals = model.summary, model.summary.totals
    status = totals.receptive_field_status
    field = field_text(totals.receptive_field, None if status == "all" else status) or "none"
    levels = _levels(model)
    drawn = [level.depth for level in levels if not level.note]
    return {
        "label": _line(model.label),
        "headline": _line(headline(summary.title, summary.model, summary.overrides)),
        "about": f"{inputs_text(summary.input, summary.inputs)}, {summary.dtype}, {summary.mode} mode",
        "facts": [
            ("parameters", count(totals.params), f"{totals.params:,}, {byte_count(totals.param_bytes)}"),
            ("MACs", count(totals.macs), f"{totals.macs:,}"),
            ("activations", byte_count(totals.activation_bytes), f"{totals.activation_bytes:,} bytes, all outputs"),
            ("peak of activations", byte_count(totals.peak_activation_bytes), _peak_words(totals)),
            ("depth", str(totals.depth), "convolutions and linear layers on the longest path"),
            ("receptive field", field, _field_words(summary)),
        ],
        "coverage": coverage_line(summary.coverage),
        "levels": levels,
        # Blocks, or how far it can be drawn.
        "opened": next((depth for depth in ("block", "stage", "layer") if depth in drawn), None),
        "layers": _rows(model),
        "layer_count": f"{len(summary.layers):,} layer{'s' * (len(summary.layers) != 1)}",
        "timed": _name_of(_timed(model)),
        "audit": draw_html(verification_grid(model.audit, model.graph)) if model.audit.published else "",
        "measurements": [_measurement(found, model) for found in model.measurements],
    }


def _field_words(summary: Summary) -> str:
    """Of what the field is: of the output where that is a map, else of the last one."""
    status = summary.totals.receptive_field_status
    if status == "unknown":
        return "a layer before the output does not say what of its input it sees"
    if len(summary.layers[-1].output_shape) == 4:
        return "of the output"
    then = "; the output sees the whole image" if status == "all" else ""
    return f"of the last map before the spatial axes vanish{then}"


def _peak_words(totals: Totals) -> str:
    """Where the peak is, and the other one beside it."""
    bound = "" if totals.peak_activation_status == EXACT else ", a lower bound"
    return f"at {totals.peak_node}{bound}; least {byte_count(totals.least_peak_activation_bytes)}"


def _levels(model: ReportedModel) -> list[Level]:
    places = {layer.name: index for index, layer in enumerate(model.summary.layers)}
    label = f"diagram of {_line(model.label)}"
    levels: list[Level] = []
    drawn: dict[Drawing, str] = {}
    for depth in DEPTHS:
        drawing = drawing_of(model.graph, model.summary, Options(depth))
        if bound := too_large(drawing):
            levels.append(Level(depth, "", (), f"a diagram can show {bound}"))
            continue
        # A network without blocks looks the same at two depths, and a large one takes Graphviz seconds.
        if drawing not in drawn:
            drawn[drawing] = page_figure(drawing, places, label)
        levels.append(Level(depth, drawn[drawing], tuple(legend(drawing))))
    return levels


def _rows(model: ReportedModel) -> list[dict[str, str]]:
    seconds = _seconds(model) or [None] * len(model.summary.layers)
    return [
        _row(layer, held, taken)
        for layer, held, taken in zip(model.summary.layers, model.live_bytes, seconds, strict=True)
    ]


def _row(layer: LayerSummary, held: int, seconds: float | None) -> dict[str, str]:
    field = field_text(layer.receptive_field, layer.receptive_field_status)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "stage": _line(layer.stage),
        "output": dimensions(layer.output_shape),
        "params": f"{layer.params:,}",
        "macs": "?" if layer.macs is None else f"{layer.macs:,}",
        "memory": f"{layer.activation_bytes:,}",
        "held": f"{held:,}",
        "field": field,
        "intensity": "?" if layer.intensity is None else f"{layer.intensity:,.2f}",
        "time": "" if seconds is None else f"{seconds * 1e6:,.1f}",
    }


def _measurement(found: ReportedMeasurement, model: ReportedModel) -> dict[str, Any]:
    """One measurement in words: what ran, how fast, on what and how it was measured."""
    measured = found.measured
    bounds = [layer.roofline_s for layer in measured.layers if layer.roofline_s is not None]
    number = "" if len(bounds) == len(measured.layers) else f" ({len(bounds)} of {len(measured.layers)} layers)"
    above = sum(layer.above_roof for layer in measured.layers)
    spread = [f"p10 {_ms(measured.p10_s)}"] if measured.p10_s is not None else []
    spread += [f"p90 {_ms(measured.p90_s)}"] if measured.p90_s is not None else []
    spread += [f"IQR {_ms(measured.iqr_s)}"] if measured.iqr_s is not None else []
    said = [
        ("median", _ms(measured.median_s)),
        ("spread", ", ".join(spread)),
        ("images per second", f"{measured.images_per_s:,.1f}" if measured.images_per_s is not None else ""),
        ("peak memory", byte_count(measured.peak_memory_bytes) if measured.peak_memory_bytes is not None else ""),
        ("least time of its layers (roofline)", f"{_ms(sum(bounds))}{number}" if bounds else ""),
        ("layers above the roof", f"{above}, which took less than their least time" if above else ""),
    ]
    differs = _differs(found, model)
    return {
        "title": _name_of(found),
        "warning": f"Measured at another {differs} than the figures of this page are for." if differs else "",
        "facts": [(name, _line(text)) for name, text in said if text],
        "device": _pairs(found.record.device),
        "protocol": _pairs(found.record.protocol),
        "layers": bool(measured.layers),
        "bounded": bool(bounds),
    }


def _font() -> str:
    """Roboto, with which the layout of diagrams is measured, for those who do not have it: base64."""
    font = roboto_folder()
    return base64.b64encode((font / "Roboto-Regular.ttf").read_bytes()).decode()


def _line(text: str) -> str:
    """Free text as a line of the page."""
    return clip(printable(text), MOST_TEXT)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.3f} ms"


def _pairs(record: dict[str, Any]) -> str:
    return "; ".join(f"{_line(str(name))}: {_line(_plain(value))}" for name, value in record.items())


def _plain(value: Any) -> str:
    return ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)
