"""A roofline's plot as svg, png or an HTML page."""

from collections.abc import Mapping
from html import escape
from typing import Any

from gnet_inspect.analysis.roofline import Roofline
from gnet_inspect.graph import Graph
from gnet_inspect.views.charts.roofline import plot_title, roofline_chart
from gnet_inspect.views.charts.vega import draw_chart, vega_library
from gnet_inspect.views.pages.html import draw_html
from gnet_inspect.views.pages.page import json_text, policy_of, script_text
from gnet_inspect.views.tables.roofline import Selection, roofline_grid

_SCRIPT = """"use strict";
const chart = JSON.parse(document.getElementById("chart-data").textContent);
vegaEmbed("#chart", chart, { actions: false, ast: true, renderer: "svg" })
  .then(() => document.documentElement.setAttribute("data-drawn", ""));
"""
_STYLE = """body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: #ffffff; color: #1b1f24;
  font: 15px/1.5 Roboto, system-ui, Arial, Helvetica, sans-serif; }
h1 { font-size: 1.4rem; }
svg { max-width: 100%; height: auto; }
.grid { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .1rem .6rem; border-bottom: 1px solid #d9dee3; }
"""


def draw_plot(found: Roofline, graph: Graph, form: str, measured: Mapping[str, float]) -> str | bytes:
    """The plot as "svg", "png" or "html". With `measured` seconds by layer the dots are where layers were measured.

    Raises MissingError where what draws it is not installed.
    """
    chart = roofline_chart(found, graph, measured)
    if form == "html":
        return _page(found, graph, chart)
    return draw_chart(chart, form, "a plot")


def _page(found: Roofline, graph: Graph, chart: dict[str, Any]) -> str:
    """One page with the plot and the table of blocks; it needs nothing else."""
    scripts = [script_text(text) for text in (vega_library("a plot"), _SCRIPT)]
    library, own = (f"<script>{text}</script>" for text in scripts)
    title = escape(plot_title(found))
    table = draw_html(roofline_grid(found, graph, Selection()))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy_of(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - gnet-inspect</title>
<link rel="icon" href="data:,">
<style>
{_STYLE}</style>
</head>
<body>
<h1>Roofline: {title}</h1>
<div id="chart"></div>
<noscript><p>The plot needs JavaScript; the table has its figures without it.</p></noscript>
<div class="grid">{table}</div>
<script type="application/json" id="chart-data">{json_text(chart)}</script>
{library}
{own}
</body>
</html>
"""
