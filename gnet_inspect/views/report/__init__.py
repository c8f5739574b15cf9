"""Report -> one HTML page that needs nothing else: no network, no other file."""

import base64
import hashlib
import json
from typing import Any

from msgspec import Struct

from gnet_inspect import __version__
from gnet_inspect.analysis.reporting import Report, ReportedMeasurement, ReportedModel
from gnet_inspect.analysis.summary import LayerSummary
from gnet_inspect.errors import INSTALL_REPORT, MissingError, UsageError, printable
from gnet_inspect.units import byte_count, count, dimensions
from gnet_inspect.views.comparison import comparison_grids
from gnet_inspect.views.diagram import DEPTHS, MOST_BOXES, Options, drawing_of
from gnet_inspect.views.html import draw_html
from gnet_inspect.views.report.charts import (
    MEASURES,
    icicle_chart,
    layer_times_chart,
    memory_chart,
    not_drawn,
    size_chart,
)
from gnet_inspect.views.report.figure import class_colors, legend, page_figure
from gnet_inspect.views.summary import CONVENTION
from gnet_inspect.views.text import clip, coverage_line, headline
from gnet_inspect.views.verification import verification_grid

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
        import vl_convert
    except ImportError as error:
        raise MissingError(
            f"a report needs {error.name}, which is not installed. Install it with: {INSTALL_REPORT}"
        ) from None
    layers = sum(len(model.graph.nodes) for model in report.models)
    if layers > MOST_LAYERS:
        raise UsageError(f"expected models of at most {MOST_LAYERS:,} layers together for one page, got {layers:,}")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gnet_inspect.views.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    library = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub demands what has a default
    source, _, _ = jinja2.PackageLoader("gnet_inspect.views.report", "templates").get_source(environment, "report.js")
    scripts = [_script(text) for text in (library, source)]
    return environment.get_template("report.html").render(
        report=report,
        title=", ".join(_line(model.summary.title) for model in report.models),
        version=__version__,
        scripts=scripts,
        policy=_policy(scripts),
        data=_data(report),
        overview="".join(map(draw_html, comparison_grids(report.comparison, bars=False))),
        missing=not_drawn(report),
        models=[_model(model) for model in report.models],
        colors=class_colors(),
        measures=MEASURES,
        convention=CONVENTION,
    )


def _script(text: str) -> str:
    """A script as it may stand between its tags."""
    return text.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _policy(scripts: list[str]) -> str:
    """Only the page's own scripts run, and nothing is loaded from anywhere."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(report: Report) -> str:
    """What the page's script reads. It stands in a script element: no "<" may end that."""
    charts: dict[str, Any] = {"size": size_chart(report)}
    for index, model in enumerate(report.models):
        charts[f"icicle-{index}"] = icicle_chart(model)
        charts[f"memory-{index}"] = memory_chart(model)
        for number, measurement in enumerate(model.measurements):
            if measurement.measured.layers:
                charts[f"times-{index}-{number}"] = layer_times_chart(measurement)
    data = {
        "charts": charts,
        "models": [
            {
                "params": [layer.params for layer in model.summary.layers],
                "macs": [layer.macs for layer in model.summary.layers],
                "memory": [layer.activation_bytes for layer in model.summary.layers],
                "time": _seconds(model),
            }
            for model in report.models
        ],
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _seconds(model: ReportedModel) -> list[float | None]:
    """Measured seconds of each layer, where they were measured."""
    timed = _timed(model)
    seconds = {layer.name: layer.median_s for layer in timed.measured.layers} if timed else {}
    return [seconds.get(layer.name) for layer in model.summary.layers] if seconds else []


def _timed(model: ReportedModel) -> ReportedMeasurement | None:
    return next((found for found in model.measurements if found.measured.layers), None)


def _model(model: ReportedModel) -> dict[str, Any]:
    """What the template says of one model."""
    summary, totals = model.summary, model.summary.totals
    field = "x".join(f"{size:g}" for size in totals.receptive_field or ()) or "none"
    levels = _levels(model)
    drawn = [level.depth for level in levels if not level.note]
    return {
        "label": _line(model.label),
        "headline": _line(headline(summary.title, summary.model, summary.overrides)),
        "about": f"input {dimensions(summary.input)}, {summary.dtype}, {summary.mode} mode",
        "facts": [
            ("parameters", count(totals.params), f"{totals.params:,}, {byte_count(totals.param_bytes)}"),
            ("MACs", count(totals.macs), f"{totals.macs:,}"),
            ("activations", byte_count(totals.activation_bytes), f"{totals.activation_bytes:,} bytes, all outputs"),
            ("peak of activations", byte_count(totals.peak_activation_bytes), f"at {totals.peak_node}"),
            ("depth", str(totals.depth), "convolutions and linear layers on the longest path"),
            ("receptive field", field, "of the last map before the spatial axes vanish"),
        ],
        "coverage": coverage_line(summary.coverage),
        "levels": levels,
        # Blocks, or how far it can be drawn.
        "opened": next((depth for depth in ("block", "stage", "layer") if depth in drawn), None),
        "layers": [_row(layer, seconds) for layer, seconds in _rows(model)],
        "timed": _timed(model) is not None,
        "audit": draw_html(verification_grid(model.audit, model.graph)) if model.audit.published else "",
        "measurements": [_measurement(found) for found in model.measurements],
    }


def _levels(model: ReportedModel) -> list[Level]:
    places = {layer.name: index for index, layer in enumerate(model.summary.layers)}
    levels = []
    for depth in DEPTHS:
        drawing = drawing_of(model.graph, model.summary, Options(depth))
        boxes = len(drawing.boxes())
        if boxes > MOST_BOXES:
            levels.append(Level(depth, "", (), f"{boxes:,} boxes are more than a diagram can show"))
            continue
        label = f"diagram of {_line(model.label)} at depth {depth}"
        levels.append(Level(depth, page_figure(drawing, places, label), tuple(legend(drawing))))
    return levels


def _rows(model: ReportedModel) -> list[tuple[LayerSummary, float | None]]:
    seconds = _seconds(model) or [None] * len(model.summary.layers)
    return list(zip(model.summary.layers, seconds, strict=True))


def _row(layer: LayerSummary, seconds: float | None) -> dict[str, str]:
    field = "x".join(f"{size:g}" for size in layer.receptive_field or ())
    return {
        "name": layer.name,
        "kind": layer.kind,
        "stage": _line(layer.stage),
        "output": dimensions(layer.output_shape),
        "params": f"{layer.params:,}",
        "macs": f"{layer.macs:,}",
        "memory": f"{layer.activation_bytes:,}",
        "field": field,
        "intensity": f"{layer.intensity:,.2f}",
        "time": "" if seconds is None else f"{seconds * 1e6:,.1f}",
    }


def _measurement(found: ReportedMeasurement) -> dict[str, Any]:
    """One measurement in words: what ran, how fast, on what and how it was measured."""
    measured = found.measured
    least = sum(layer.roofline_s or 0 for layer in measured.layers)
    said = [
        ("batch", str(measured.batch or "")),
        ("dtype", measured.dtype),
        ("variant", measured.variant),
        ("median", _ms(measured.median_s)),
        ("p10 to p90", f"{_ms(measured.p10_s)} to {_ms(measured.p90_s)}" if measured.p90_s is not None else ""),
        ("images per second", f"{measured.images_per_s:,.1f}" if measured.images_per_s is not None else ""),
        ("peak memory", byte_count(measured.peak_memory_bytes) if measured.peak_memory_bytes is not None else ""),
        ("least time its layers could take (roofline)", _ms(least) if least else ""),
    ]
    return {
        "facts": [(name, printable(text)) for name, text in said if text],
        "device": _pairs(found.record.device),
        "protocol": _pairs(found.record.protocol),
        "layers": bool(measured.layers),
    }


def _line(text: str) -> str:
    """Free text as a line of the page."""
    return clip(printable(text), MOST_TEXT)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.3f} ms"


def _pairs(record: dict[str, Any]) -> str:
    return ", ".join(f"{printable(str(name))} {printable(str(value))}" for name, value in record.items())
