"""Colours by amount: every amount has a step, and lies between the edges that the legend names."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gnet_inspect
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import duration
from gnet_inspect.views.drawing.diagram import Options, drawing_of
from gnet_inspect.views.drawing.dot import STEPS, Style, draw_dot
from gnet_inspect.views.drawing.heat import heat_edges, heat_step
from tests.conftest import Run

SCRIPTS = Path(gnet_inspect.__file__).parent / "views/pages/templates"
# 5 * v / v is more than 5 by rounding for each of these.
ROUNDED_UP = (0.007637982415147165, 0.000866, 0.007788, 0.001607, 0.001732)
AMOUNTS = st.floats(0, 3.2e7, allow_subnormal=True) | st.integers(0, 2**53)
PROFILE = settings(derandomize=True, database=None, deadline=None)


def check_step(step: int, amount: float, edges: list[float]) -> None:
    """Nothing has step 0, and everything else the first step whose edge it does not pass."""
    assert 0 <= step <= 5
    assert (step == 0) == (amount == 0)
    if step:
        assert amount <= edges[step - 1]
        assert step == 1 or edges[step - 2] < amount


@PROFILE
@given(st.lists(AMOUNTS, min_size=1, max_size=8))
@example([ROUNDED_UP[0]])
@example([5e-324])
def test_every_amount_has_its_step(amounts: list[float]) -> None:
    """The most itself, too, whichever float it is."""
    edges = heat_edges(max(amounts))
    assert len(edges) == 5
    assert edges == sorted(edges)
    assert edges[-1] == max(amounts)
    for amount in amounts:
        check_step(heat_step(amount, edges), amount, edges)


@PROFILE
@given(st.floats(1e-9, 3.2e7))
@example(ROUNDED_UP[0])
def test_the_most_has_the_last_colour(most: float) -> None:
    """Also where 5 * most / most is more than 5 by rounding."""
    assert heat_step(most, heat_edges(most)) == 5


GRAPH = build_graph(load_spec("lenet5"))
DRAWING = drawing_of(GRAPH, summarize(GRAPH), Options(depth="layer"))


@settings(PROFILE, max_examples=60)
@given(st.lists(st.floats(0, 3.2e7), min_size=len(GRAPH.nodes), max_size=len(GRAPH.nodes)))
def test_any_times_are_drawn(times: list[float]) -> None:
    """A diagram is coloured whatever was measured, and the longest box is darkest."""
    seconds = dict(zip((node.name for node in GRAPH.nodes), times, strict=True))
    dot = draw_dot(DRAWING, Style(color="time", seconds=seconds))
    if max(times) > 1e-9:
        assert f'fillcolor="{STEPS[-1]}"' in dot


@pytest.mark.parametrize("most", ROUNDED_UP)
def test_a_record_of_honest_times_is_drawn(run: Run, tmp_path: Path, most: float) -> None:
    """Whose largest is one of those that round up."""
    path = tmp_path / "latency.json"
    layers = [{"name": "c1", "median_s": most}, {"name": "c3", "median_s": most / 3}]
    path.write_text(json.dumps({"results": [{"model": "lenet5", "layers": layers}]}))
    result = run("diagram", "lenet5", "--color", "time", "--depth", "layer", "--latency", str(path))
    assert result.code == 0
    assert f'fillcolor="{STEPS[-1]}"' in result.out
    assert f"up to {duration(most)}" in result.out


# --- the page's script ---


def in_script(expression: str, argument: Any) -> Any:
    """What an expression of the page's own functions gives for a value called `given`, by a node that is at hand."""
    node = shutil.which("node") or _playwrights_node()
    if node is None:
        pytest.skip("no node is installed, nor Playwright's")
    source = "".join((SCRIPTS / name).read_text(encoding="utf-8") for name in ("words.js", "report.js"))
    functions = re.findall(r"^function (?:heatEdges|heatStep|said|scaled)\(.*?^}", source, re.MULTILINE | re.DOTALL)
    constants = re.findall(r"^const (?:HEAT_STEPS|UNITS) = .*$", source, re.MULTILINE)
    assert (len(functions), len(constants)) == (4, 2)
    program = "\n".join([*constants, *functions, f"const given = {json.dumps(argument)};"])
    program += f"\nconsole.log(JSON.stringify({expression}));"
    done = subprocess.run([node, "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _playwrights_node() -> str | None:
    try:
        from playwright._impl._driver import compute_driver_executable

        return compute_driver_executable()[0]
    except Exception:  # it is not installed, or came without one
        return None


def test_the_pages_script_has_the_same_steps() -> None:
    """To the last bit: both languages compute in doubles, and both look among the edges."""
    random = Random(0)
    groups = [[10 ** random.uniform(-12, 9) for _ in range(random.randint(1, 6))] for _ in range(5_000)]
    groups += [*([most] for most in ROUNDED_UP), [0.0], [5e-324], [0.0, 1.0]]
    found = in_script(
        "given.map((amounts) => { const edges = heatEdges(Math.max(...amounts));"
        " return [edges, amounts.map((amount) => heatStep(amount, edges))]; })",
        groups,
    )
    for amounts, (edges, steps) in zip(groups, found, strict=True):
        assert edges == heat_edges(max(amounts))
        assert steps == [heat_step(amount, edges) for amount in amounts]


def test_the_pages_script_says_amounts_as_tables_do() -> None:
    """What rounds up to the next unit belongs to it."""
    times = [0, 2e-5, 3.4e-9, 0.00125, 0.9999999, 1.5, 999.999e-6, 4e-13]
    assert in_script('given.map((value) => said(value, "time"))', times) == list(map(duration, times))
    assert in_script('given.map((value) => said(value, "memory"))', [999_999, 12, 6_422_528]) == [
        *("1.00 MB", "12 B", "6.42 MB"),
    ]
