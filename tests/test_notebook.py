"""What notebooks show."""

import re
from html import unescape
from xml.etree import ElementTree

import pytest

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", catalogue())
def test_a_summary_shows_its_table(model: str, mode: str) -> None:
    """Well-formed HTML, a row for each stage and block, whose shares of each stage add up."""
    graph = build_graph(load_spec(model), mode=mode)
    html = summarize(graph)._repr_html_()
    tree = ElementTree.fromstring(f"<div>{html.replace('&nbsp;', ' ')}</div>")
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")][1:]
    assert [row[0] for row in rows if not row[0].startswith(" ")] == [stage.name for stage in graph.stages]
    totals = summarize(graph).totals
    assert f"{totals.params:,}" in unescape(html)
    stages = [row for row in rows if not row[0].startswith(" ")]
    assert abs(sum(float(row[4].replace("<", "")) for row in stages) - 100) < 0.1 * len(stages) + 0.1


def test_a_graph_shows_its_diagram() -> None:
    """As an svg with its blocks."""
    pytest.importorskip("pygraphviz")
    svg = build_graph(load_spec("googlenet"))._repr_svg_()
    assert svg is not None
    assert "inception3a: inception 64, 96-128, 16-32, 32" in unescape(svg)


def test_a_graph_without_graphviz_shows_nothing_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, upon which a notebook shows its text."""
    monkeypatch.setattr("gnet_inspect.views.drawing.picture.find_spec", lambda _: None)
    monkeypatch.setattr("gnet_inspect.views.drawing.picture.shutil.which", lambda _: None)
    assert build_graph(load_spec("lenet5"))._repr_svg_() is None


def test_text_from_strangers_is_text() -> None:
    """Tags and marks of direction in names of stages."""
    text = 'name: "<script>x</script>"\ninput: [3, 8, 8]\nstages: {"<img src=x>\\u202e": {a: ReLU}}\n'
    html = summarize(build_graph(parse_spec(text)))._repr_html_()
    assert not re.search(r"<(script|img)", html)
    assert "&lt;img src=x&gt;\\u202e" in html
