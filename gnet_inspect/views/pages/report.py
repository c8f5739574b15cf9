"""Report -> one HTML page that needs nothing else: no network, no other file."""

import base64
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect import __version__
from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.reporting import Report, ReportedModel
from gnet_inspect.analysis.summary import Summary, Totals
from gnet_inspect.errors import UsageError, missing_report_package, printable, some_of
from gnet_inspect.graph.outline import DEPTHS
from gnet_inspect.search.result import Sweep
from gnet_inspect.units import byte_count, count
from gnet_inspect.views.charts.front import aims, page_chart
from gnet_inspect.views.charts.report import (
    MEASURES,
    RAMP,
    icicle_chart,
    legend_sizes,
    memory_chart,
    not_drawn,
    size_chart,
    sizes,
)
from gnet_inspect.views.charts.vega import vega_library
from gnet_inspect.views.drawing.diagram import Drawing, Options, drawing_of, too_large
from gnet_inspect.views.fonts import roboto_folder
from gnet_inspect.views.pages.figure import figure_style, legend, page_figure
from gnet_inspect.views.pages.glance import lede, measured, model_names, noted, panels
from gnet_inspect.views.pages.html import draw_html
from gnet_inspect.views.pages.layers import columns, rows
from gnet_inspect.views.pages.measured import layer_seconds, measurement_section, name_of, timed
from gnet_inspect.views.pages.page import json_text, policy_of, script_text
from gnet_inspect.views.pages.training import training_charts, training_section
from gnet_inspect.views.tables.comparison import comparison_grids
from gnet_inspect.views.tables.sweep import sweep_grid
from gnet_inspect.views.tables.verification import verification_grid
from gnet_inspect.views.terms import PAGE
from gnet_inspect.views.text import at_least, coverage_line, field_text, headline, inputs_text, line_of

# A browser takes seconds to lay out more rows.
MOST_LAYERS = 10_000
# Characters of the diagrams in which one block is opened, of one model: a page is to be sent.
MOST_OPENED = 2_000_000
# Networks of a design space's front that its table shows.
MOST_POINTS = 20
# The font's file for each range of weights: browsers smear the letters of a weight that they lack.
FONTS = {"400": "Regular", "500 700": "Medium"}
# The page's own scripts, in the order in which they run.
SCRIPTS = ("words.js", "charts.js", "table.js", "report.js", "card.js", "terms.js")


class Level(Struct, frozen=True):
    """A model's diagram opened to one depth, or why it is not drawn; with one block opened, the numbers of that one's
    layers (`opens`)."""

    depth: str
    svg: str
    legend: tuple[tuple[str, str], ...]
    note: str = ""
    opens: str = ""


def draw_report(
    report: Report, progress: Callable[[float, str], None] = lambda *_: None, sweeps: Sequence[Sweep] = ()
) -> str:
    """The page, with design spaces below the models. `progress` is told of each model that begins: of how many layers
    it is, and what is done with it.

    Raises MissingError where what draws it is not installed, UsageError for more than a page can hold.
    """
    try:
        import jinja2  # noqa: F401  # before anything is computed
    except ImportError as error:
        raise missing_report_package("a report", error.name) from None
    layers = sum(len(model.graph.nodes) for model in report.models)
    if layers > MOST_LAYERS:
        raise UsageError(f"expected models of at most {MOST_LAYERS:,} layers together for one page, got {layers:,}")
    library = vega_library("a report")
    environment = _environment()
    sources = (environment.loader.get_source(environment, name)[0] for name in SCRIPTS)
    scripts = [script_text(text) for text in (library, *sources)]
    models = []
    for model in report.models:
        progress(len(model.graph.nodes), f"drawing {model.label}")
        models.append(_model(model))
    found = sizes(report)
    (overview,) = comparison_grids(report.comparison, bars=False)
    page: str = environment.get_template("report.html").render(
        title=some_of(map(line_of, model_names(report)), 3),
        about=_about(report),
        fonts={weight: _font(name) for weight, name in FONTS.items()},
        version=__version__,
        scripts=scripts,
        policy=policy_of(scripts),
        data=json_text(_data(report, sweeps)),
        lede=lede(report),
        panels=panels(report),
        measured=measured(report),
        noted=noted(report),
        overview=draw_html(replace(overview, above=(), below=())),
        notes=[printable(note) for note in (*overview.above, *overview.below)],
        missing=not_drawn(report),
        training=training_section(report),
        sizes=found,
        legend=legend_sizes(found),
        ramp=RAMP,
        models=models,
        sweeps=[_sweep(result) for result in sweeps],
        figure_style=figure_style(),
        measures=MEASURES,
        terms=PAGE,
    )
    return page


@cache
def _environment() -> Any:
    """The page's templates, compiled once for all pages."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("gnet_inspect.views.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _about(report: Report) -> str:
    """What all figures of the page are for."""
    inputs = {inputs_text(model.summary.input, model.summary.inputs) for model in report.models}
    whose = inputs.pop() if len(inputs) == 1 else "each model at its own input"
    return f"{whose}, {report.comparison.dtype}, {report.comparison.mode} mode"


def _sweep(result: Sweep) -> dict[str, Any]:
    """What the template says of a design space."""
    grid = sweep_grid(result, MOST_POINTS)
    return {
        "title": line_of(f"{result.title}: {aims(result)}"),
        "about": [printable(text) for text in grid.above[1:]],
        "table": draw_html(replace(grid, above=())),
    }


def _data(report: Report, sweeps: Sequence[Sweep]) -> dict[str, Any]:
    """What the page's script reads."""
    charts: dict[str, Any] = {"size": size_chart(report), **training_charts(report)}
    charts.update((f"front-{index}", page_chart(result)) for index, result in enumerate(sweeps))
    for index, model in enumerate(report.models):
        charts[f"icicle-{index}"] = icicle_chart(model)
        charts[f"memory-{index}"] = memory_chart(model)
    return {
        "charts": charts,
        "models": [
            {
                "params": [layer.params for layer in model.summary.layers],
                "macs": [layer.macs for layer in model.summary.layers],
                "memory": [layer.activation_bytes for layer in model.summary.layers],
                "time": layer_seconds(model),
            }
            for model in report.models
        ],
    }


def _model(model: ReportedModel) -> dict[str, Any]:
    """What the template says of one model."""
    summary, totals = model.summary, model.summary.totals
    least = at_least(summary.coverage)
    status = totals.receptive_field_status
    field = field_text(totals.receptive_field, None if status == "all" else status) or "none"
    levels = _levels(model)
    drawn = [level.depth for level in levels if not level.note]
    seconds = layer_seconds(model)
    return {
        "label": line_of(model.label),
        "headline": line_of(headline(summary.title, summary.model, summary.overrides)),
        "about": f"{inputs_text(summary.input, summary.inputs)}, {summary.dtype}, {summary.mode} mode",
        "facts": [
            (
                "params",
                "parameters",
                least + count(totals.params),
                f"{totals.params:,}, {byte_count(totals.param_bytes)}",
            ),
            ("macs", "MACs", least + count(totals.macs), f"{totals.macs:,}"),
            (
                "activations",
                "activations",
                byte_count(totals.activation_bytes),
                f"{totals.activation_bytes:,} bytes, all outputs",
            ),
            ("peak", "peak of activations", byte_count(totals.peak_activation_bytes), _peak_words(totals)),
            ("depth", "depth", str(totals.depth), "convolutions and linear layers on the longest path"),
            ("field", "receptive field", field, _field_words(summary)),
        ],
        "coverage": coverage_line(summary.coverage).removeprefix("coverage").strip(),
        "peak": f"{byte_count(totals.peak_activation_bytes)} {_peak_words(totals)}",
        "levels": [level for level in levels if not level.opens],
        "openings": [level for level in levels if level.opens],
        # Blocks, or how far it can be drawn.
        "opened": next((depth for depth in ("block", "stage", "layer") if depth in drawn), None),
        "columns": columns(bool(seconds)),
        "layers": rows(model, seconds),
        "layer_count": f"{len(summary.layers):,} layer{'s' * (len(summary.layers) != 1)}",
        "timed": name_of(timed(model)),
        "audit": draw_html(verification_grid(model.audit, model.graph)) if model.audit.published else "",
        "measurements": [measurement_section(found, model) for found in model.measurements],
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
    """The diagrams of a model: at each depth, and behind that of blocks the same with one of them opened, for each."""
    places = {layer.name: index for index, layer in enumerate(model.summary.layers)}
    label = f"diagram of {line_of(model.label)}"
    levels: list[Level] = []
    drawn: dict[Drawing, str] = {}
    for depth in DEPTHS:
        drawing = drawing_of(model.graph, model.summary, Options(depth, collapse=True))
        if bound := too_large(drawing):
            levels.append(Level(depth, "", (), f"a diagram can show {bound}"))
            continue
        # A network without blocks looks the same at two depths.
        if drawing not in drawn:
            drawn[drawing] = page_figure(drawing, places, label)
        levels.append(Level(depth, drawn[drawing], tuple(legend(drawing))))
        if depth == "block":
            levels += _opened_levels(model, drawing, places, label)
    return levels


def _opened_levels(model: ReportedModel, closed: Drawing, places: dict[str, int], label: str) -> list[Level]:
    """The diagram of blocks with one of them opened, for each that holds more than its box says, as far as a page can
    hold them."""
    levels: list[Level] = []
    size = 0
    for box in closed.boxes():
        if box.role != "block" or len(box.layers) < 2:
            continue
        drawing = drawing_of(model.graph, model.summary, Options("block", collapse=True, opened=box.name))
        if len(drawing.boxes()) == len(closed.boxes()) or too_large(drawing):
            continue
        svg = page_figure(drawing, places, label)
        size += len(svg)
        if size > MOST_OPENED:
            break
        opens = " ".join(str(places[name]) for name in box.layers)
        levels.append(Level("block", svg, tuple(legend(drawing)), opens=opens))
    return levels


def _font(name: str) -> str:
    """Roboto, with which the layout of diagrams is measured, for those who do not have it: base64."""
    return base64.b64encode((roboto_folder() / f"Roboto-{name}.ttf").read_bytes()).decode()
