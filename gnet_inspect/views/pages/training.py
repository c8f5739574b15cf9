"""What training came to, as a report shows it: the curves of all runs together, and a table of them."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.analysis.reporting import Report
from gnet_inspect.views.charts.report import Chart
from gnet_inspect.views.charts.training import (
    COLORS,
    MOST_POINTS,
    Curve,
    accuracy_chart,
    loss_chart,
    rate_chart,
)
from gnet_inspect.views.pages.html import draw_html
from gnet_inspect.views.tables.run import runs_grid
from gnet_inspect.views.text import line_of

MOST_NAME = 60


class Key(Struct, frozen=True):
    """A line of the legend: the colour of a run, and its name."""

    color: str
    name: str


def curves_of(report: Report) -> list[Curve]:
    """The runs that are drawn: those that have an epoch, as many as there are colours."""
    found = [Curve(line_of(model.label, MOST_NAME), model.run) for model in report.models if model.run is not None]
    return [curve for curve in found if curve.run.epochs][:COLORS]


def training_charts(report: Report) -> dict[str, Chart]:
    """The charts by their names on the page; none where there is nothing to draw."""
    curves = curves_of(report)
    if not curves:
        return {}
    drawn = (("loss", loss_chart), ("accuracy", accuracy_chart), ("rate", rate_chart))
    return {f"training-{name}": draw(curves) for name, draw in drawn}


def training_section(report: Report) -> dict[str, Any] | None:
    """What the template says of runs; None where no model is one."""
    runs = [(line_of(model.label, MOST_NAME), model.run) for model in report.models if model.run is not None]
    if not runs:
        return None
    curves = curves_of(report)
    grid = runs_grid(runs)
    several = len({run.recipe.data for _, run in runs}) > 1
    return {
        "legend": [
            Key(f"run{place}", f"{curve.name} on {line_of(curve.run.data)}" if several else curve.name)
            for place, curve in enumerate(curves)
        ],
        "table": draw_html(replace(grid, above=(), below=())),
        "notes": list(grid.below),
        "unfinished": [
            f"{name} is not finished: {run.done:,} of {run.recipe.epochs:,} epochs."
            for name, run in runs
            if not run.finished
        ],
        "left": sum(bool(run.epochs) for _, run in runs) - len(curves),
        "thinned": any(len(curve.run.epochs) > MOST_POINTS for curve in curves),
    }
