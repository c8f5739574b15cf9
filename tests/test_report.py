"""The HTML page: what it holds, and that it says so without anything else."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.reporting import Report, ReportedModel, make_report
from gnet_inspect.language import catalogue, load_spec
from gnet_inspect.ops import Opaque
from gnet_inspect.records.timing import LayerTiming, Measurement, TimingRecord
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.charts.report import MEASURES, icicle_chart, memory_chart, size_chart, sizes
from gnet_inspect.views.drawing.themes import THEMES
from gnet_inspect.views.pages.figure import class_colors, theme_colors
from gnet_inspect.views.pages.glance import lede, measured, model_names, noted, panels
from gnet_inspect.views.pages.layers import COLUMNS
from gnet_inspect.views.pages.measured import slow_layers
from gnet_inspect.views.pages.report import SCRIPTS
from gnet_inspect.views.terms import PAGE
from tests.conftest import Run
from tests.specs import HEADER

for package in ("jinja2", "vl_convert", "pygraphviz"):
    pytest.importorskip(package)


def report_of(*models: str, records: tuple[TimingRecord, ...] = (), **options: Any) -> Report:
    """The report of built-in models."""
    specs = [load_spec(model) for model in models]
    return make_report([(spec, build_graph(spec, **options)) for spec in specs], "fp32", models, records)


def timed(model: ReportedModel) -> TimingRecord:
    """A record of a model whose layers took as many microseconds as their place, and could have taken half of that."""
    layers = tuple(
        LayerTiming(layer.name, place * 1e-6, layer.kind, place * 5e-7)
        for place, layer in enumerate(model.summary.layers, 1)
    )
    measured = Measurement(
        model.summary.model,
        1,
        "fp32",
        "eager",
        0.002,
        0.0019,
        0.0022,
        1e-4,
        500.0,
        10**6,
        layers,
        input=model.summary.input,
        roofline_s=0.0005,
    )
    return TimingRecord((measured,), device={"name": "a <device>"}, protocol={"warmup": 3})


class Page(HTMLParser):
    """What the tests ask of a page: its elements with their attributes and the tables' cells; every one is closed."""

    VOID = ("meta", "link", "input", "br", "hr", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open[-3:]) and self.rows:
            self.rows[-1][-1] += data


def layer_rows(page: Page) -> list[dict[str, str]]:
    """The rows of the tables of layers, each by the heads of its columns."""
    found: list[dict[str, str]] = []
    head: list[str] = []
    for row in page.rows:
        if row[:2] == ["#", "layer"]:
            head = row
        elif head and len(row) == len(head) and row[0].isdigit():
            found.append(dict(zip(head, row, strict=True)))
    return found


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of three models, as the command writes it."""
    from gnet_inspect.views.pages.report import draw_report

    return draw_report(report_of("googlenet", "vgg16", "alexnet"))


# --- the page ---


def test_the_page_is_whole_and_small(three: str) -> None:
    """Well-formed, no id twice, nothing loaded from anywhere, and at most 6 MB for three models."""
    page = Page(three)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action", "srcset")
    ]
    assert links
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(r"@import|url\((?!data:)", three.partition("</style>")[0])
    assert len(three.encode()) < 6_000_000
    used = {value for _, attributes in page.elements for value in attributes.get("aria-labelledby", "").split()}
    assert used <= set(ids)


def test_the_policy_names_the_scripts(three: str) -> None:
    """Only the page's own scripts run, by their digests; nothing is fetched."""
    import base64
    import hashlib

    (policy,) = (attributes["content"] for tag, attributes in Page(three).elements if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>", three, re.DOTALL)
    assert len(scripts) == 1 + len(SCRIPTS)
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_same_models_give_the_same_page(run: Run, tmp_path: Path, three: str) -> None:
    """To the byte, and the command writes what the function gives; a page is nothing for standard output's terminal."""
    path = tmp_path / "a.html"
    result = run("report", "googlenet", "vgg16", "alexnet", "-o", str(path))
    assert (result.code, result.out, result.err) == (0, "", "")
    assert path.read_text(encoding="utf-8") == three
    assert run("report", "lenet5").out.startswith("<!DOCTYPE html>")


def test_the_overview_has_the_figures(three: str) -> None:
    """The comparison's table, and one model alone without ratios."""
    text = unescape(three)
    for expected in ("138.36 M", "vgg16: 19.8 x the parameters, 9.8 x the MACs", "Table 1", "erratum"):
        assert expected in text
    from gnet_inspect.views.pages.report import draw_report

    alone = Page(draw_report(report_of("lenet5")))
    assert [
        "model",
        "input",
        "params",
        "MACs",
        "activations",
        "peak",
        "least peak",
        "depth",
        "field",
        "top-1 err %",
        "top-5 err %",
    ] in (alone.rows)


def test_the_field_is_told_to_be_of_what_it_is(run: Run, tmp_path: Path) -> None:
    """Of a map that comes out, of the last one before numbers do, and of nothing that is known."""
    path = tmp_path / "page.html"
    assert run("report", "unet", "vgg11", "swin_t", "-o", str(path)).code == 0
    page = path.read_text(encoding="utf-8")
    for words in (
        "of the output<",
        "of the last map before the spatial axes vanish; the output sees the whole image<",
        "a layer before the output does not say what of its input it sees<",
    ):
        assert page.count(words) == 1


@pytest.mark.parametrize("model", catalogue())
def test_every_layer_has_its_row_and_its_boxes(model: str) -> None:
    """The table has the layers in their order with their exact figures; the boxes of each depth share them out."""
    from gnet_inspect.views.pages.report import draw_report

    report = report_of(model, mode="train")
    page = Page(draw_report(report))
    layers = report.models[0].summary.layers
    rows = layer_rows(page)
    assert [row["layer"] for row in rows] == [layer.name for layer in layers]
    for row, layer, node in zip(rows, layers, report.models[0].graph.nodes, strict=True):
        figures = [int(row[name].replace(",", "")) for name in ("params", "MACs", "bytes")]
        assert figures == [layer.params, layer.macs, layer.activation_bytes]
        window, channels = node.op.sliding_window, node.op.channel_counts(node.input_shapes, node.output_shapes)
        assert row["kernel"] == ("x".join(map(str, window.size)) if window else "")
        assert bool(row["stride"]) == bool(window)
        assert row["channels"] == (f"{channels[0]} \N{RIGHTWARDS ARROW} {channels[1]}" if channels else "")
    assert [int(row["held"].replace(",", "")) for row in rows] == list(report.models[0].live_bytes)
    boxes = [attributes for _, attributes in page.elements if attributes.get("class", "").startswith("box ")]
    held = [int(place) for box in boxes for place in box["data-layers"].split()]
    # Once at each of three depths, and once for each block that can be opened in place.
    opened = sum(attributes.get("class") == "opening" for _, attributes in page.elements)
    assert sorted(held) == sorted((3 + opened) * list(range(len(layers))))
    assert all(box["role"] == "button" and box["aria-label"] for box in boxes)


@pytest.mark.parametrize("model", catalogue())
def test_charts_add_up(model: str) -> None:
    """The parts of an icicle sum to the part above; the timeline's peak is the summary's."""
    (reported,) = report_of(model).models
    rows = icicle_chart(reported)["data"][0]["values"]
    totals = reported.summary.totals
    children: dict[int, list[dict[str, Any]]] = {}
    for row in rows[1:]:
        children.setdefault(row["parent"], []).append(row)
    for measure in MEASURES:
        assert rows[0][measure] == getattr(totals, measure)
        for row in rows:
            assert row["id"] not in children or row[measure] == sum(part[measure] for part in children[row["id"]])
    assert [row["path"] for row in rows if row.get("leaf")] == [layer.name for layer in reported.summary.layers]
    values = memory_chart(reported)["data"]["values"]
    assert max(value["bytes"] for value in values) == totals.peak_activation_bytes
    assert [value["layer"] for value in values if value["peak"]] == [totals.peak_node]


def test_the_size_chart_shows_the_models_and_the_others() -> None:
    """Reported models with their errors, the catalogue around them but for its ends, all of it within the axes."""
    report = report_of("googlenet", "vgg16")
    found, chart = sizes(report), size_chart(report)
    assert {point["name"] for point in found.shown} == {"googlenet", "vgg16"}
    assert len(found.others) + found.outside == len(catalogue()) - 2
    assert 0 < found.outside < 10
    assert [point["top5_error"] for point in found.shown] == [11.1, 9.618]
    (x, y), *_ = [[scale["domain"] for scale in chart["scales"][:2]]]
    for point in (*found.shown, *found.others):
        assert x[0] < point["macs"] < x[1]
        assert y[0] < point["params"] < y[1]
    small = sizes(report_of("lenet5"))
    assert small.shown[0]["name"] == "lenet5"
    assert small.errors[0] < small.errors[1]


def test_diagrams_have_the_colours_of_pictures() -> None:
    """Those of a screen on a light page, of a dark screen on a dark one; tests of pictures compute their contrasts."""
    light, dark = THEMES["screen"], THEMES["dark"]
    for name, (tint, dark_tint, accent, dark_accent) in class_colors().items():
        kind = name.removeprefix("class-")
        assert (tint, accent) == (light.paints[kind].tint, light.paints[kind].accent)
        assert (dark_tint, dark_accent) == (dark.paints[kind].tint, dark.paints[kind].accent)
    assert theme_colors()["ink"] == (light.ink, dark.ink)
    assert [theme_colors()[f"heat{step}"] for step in range(6)] == list(zip(light.heat, dark.heat, strict=True))


# --- measured times ---


def test_measured_times_stand_beside_the_layers(run: Run, tmp_path: Path) -> None:
    """What `latency` saved is in the table, in the colours and in a section of its own, its text escaped."""
    import msgspec

    record = timed(report_of("lenet5").models[0])
    path = tmp_path / "latency.json"
    path.write_bytes(msgspec.json.encode(record))
    result = run("report", "lenet5", "nin", "--latency", str(path))
    assert result.code == 0
    page = Page(result.out)
    row = next(row for row in layer_rows(page) if row["layer"] == "c3")
    expected = next(layer.median_s for layer in record.results[0].layers if layer.name == "c3")
    assert row["time, us"] == f"{1e6 * expected:,.1f}"
    assert "name: a &lt;device&gt;" in result.out
    assert "2.000 ms" in result.out
    assert result.out.count('value="time">time (batch 1, fp32, eager)') == 1
    slow = slow_layers(record.results[0])
    assert [layer.part for layer in slow] == sorted((layer.part for layer in slow), reverse=True)
    assert all(layer.least_part == pytest.approx(layer.part / 2) for layer in slow)
    assert slow[0].part == 1


def test_measured_figures_stand_in_the_overview() -> None:
    """Median, images per second and the share of the roofline, of the models that were measured; else nothing."""
    assert measured(report_of("lenet5", "nin")).panels == ()
    record = timed(report_of("lenet5").models[0])
    shown = measured(report_of("lenet5", "nin", records=(record,)))
    found = {panel.term: panel.figures for panel in shown.panels}
    assert {term: [(figure.name, figure.text) for figure in figures] for term, figures in found.items()} == {
        "median": [("LeNet-5", "2.00 ms")],
        "rate": [("LeNet-5", "500.0")],
        "reached": [("LeNet-5", "25 %")],
    }
    assert shown.about == "batch 1, fp32, eager, a <device>"
    # Without a roofline there is no share of it; a share above it says so.
    bare = replace(record, results=(replace(record.results[0], roofline_s=None),))
    assert [panel.term for panel in measured(report_of("lenet5", records=(bare,))).panels] == ["median", "rate"]
    above = replace(record, results=(replace(record.results[0], roofline_s=0.004),))
    (figure,) = measured(report_of("lenet5", records=(above,))).panels[-1].figures
    assert (figure.text, figure.detail.startswith("above it")) == ("200 %", True)
    # Measured at another batch: it is told.
    other = replace(record, results=(replace(record.results[0], batch=8),))
    assert measured(report_of("lenet5", records=(other,))).about.endswith("another batch")
    # What is not the same of all is said of each.
    two = replace(record, results=(*record.results, replace(record.results[0], model="nin", dtype="bf16")))
    apart = measured(report_of("lenet5", "nin", records=(two,)))
    assert apart.about == ""
    assert ["bf16" in figure.detail for figure in apart.panels[0].figures] == [False, True]


# --- the first screen ---


def test_the_first_screen_has_the_figures() -> None:
    """Each model's, and its part of the largest; one model alone has no bars."""
    found = {panel.term: panel.figures for panel in panels(report_of("googlenet", "vgg16", "alexnet"))}
    assert list(found) == ["params", "macs", "peak", "top5", "depth", "field"]
    assert [figure.text for figure in found["params"]] == ["7.00 M", "138.36 M", "61.10 M"]
    assert [figure.name for figure in found["macs"]] == ["GoogLeNet", "VGG-16", "AlexNet"]
    assert found["macs"][0].part == pytest.approx(1_582_671_872 / 15_470_264_320)
    assert all(max(figure.part or 0 for figure in figures) == 1 for term, figures in found.items() if term != "field")
    # The whole image, seen by a linear layer, and an extent in pixels are no two of a kind.
    assert [(figure.text, figure.part) for figure in found["field"]] == [
        ("907x907 px", None),
        ("whole image", None),
        ("whole image", None),
    ]
    assert found["field"][1].detail.startswith("212x212 px before")
    alone = panels(report_of("unet"))
    assert [panel.term for panel in alone] == ["params", "macs", "peak", "depth", "field"]
    assert all(figure.part is None for panel in alone for figure in panel.figures)


def counted_in_part() -> Report:
    """LeNet-5 beside a network of which one layer cannot be counted."""
    known = build_graph(load_spec("alexnet"))
    odd = replace(known.nodes[1], op=Opaque("Odd", known.nodes[1].output_shape), macs=None)
    graph = replace(known, model="odd", title="odd", nodes=(known.nodes[0], odd, *known.nodes[2:]))
    lenet = load_spec("lenet5")
    return make_report([(lenet, build_graph(lenet)), (None, graph)], "fp32", ["lenet5", "odd"])


def test_what_is_a_least_is_told_as_one() -> None:
    """Of a network that is counted in part: its figures, the sentences about it, and its section of the page."""
    from gnet_inspect.views.pages.report import draw_report

    report = counted_in_part()
    found = {panel.term: panel.figures for panel in panels(report)}
    for term in ("params", "macs", "peak"):
        assert found[term][1].text.startswith("\N{GREATER-THAN OR EQUAL TO} ")
        assert not found[term][0].text.startswith("\N{GREATER-THAN OR EQUAL TO} ")
    assert lede(report)[0].startswith("odd has at least ")
    assert [each.name for each in noted(report)] == ["LeNet-5"]
    page = draw_report(report)
    assert "<dd>at least 714.19 M<small>" in page
    assert "21 of 22 nodes counted; nobody can count features.1" in page


def test_models_are_called_by_what_tells_them_apart() -> None:
    """By their titles; by their labels where these are one, or where something was edited."""
    assert model_names(report_of("googlenet", "vgg16")) == ["GoogLeNet", "VGG-16"]
    assert model_names(report_of("googlenet", "googlenet_torchvision")) == ["googlenet", "googlenet_torchvision"]


def test_every_word_of_the_page_is_in_its_glossary(three: str) -> None:
    """Links, descriptions and columns lead there, and each says in sentences what it is."""
    page = Page(three)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {f"term-{key}" for key in PAGE} | {f"about-{key}" for key in PAGE} <= ids
    assert {column.key for column in COLUMNS} <= set(PAGE)
    links = [attributes["href"][1:] for _, attributes in page.elements if attributes.get("href", "").startswith("#")]
    described = [name for _, attributes in page.elements for name in attributes.get("aria-describedby", "").split()]
    assert set(links) | set(described) <= ids
    for term in PAGE.values():
        assert term.text[-1] in ".)"
        assert term.meaning.startswith(term.text)


# --- records that do not fit ---


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"results": [{"model": "vgg16"}]}, "expected a result of `lenet5` in"),
        ({"results": []}, "got nothing"),
        ({"results": [{"model": "lenet5", "layers": [{"name": "x", "median_s": 1}]}]}, "times `x`, which `lenet5`"),
        ({"result": []}, "missing required field `results`"),
        ({"results": [{"model": "lenet5", "median_s": -1}]}, "Expected `float` >= 0"),
        ({"results": [{"model": "lenet5", "batch": 0}]}, "Expected `int` >= 1"),
        ({"results": [{"model": "lenet5"}], "schema_version": 99}, "expected a record of version 2, got version 99"),
        ({"results": [{"model": "lenet5", "layers": 2 * [{"name": "c1", "median_s": 1}]}]}, "got `c1` twice"),
        ([], "expected a file that `latency --save` wrote"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(run: Run, tmp_path: Path, record: object, message: str) -> None:
    """With what was expected; nothing is written."""
    path, page = tmp_path / "latency.json", tmp_path / "a.html"
    path.write_text(json.dumps(record), encoding="utf-8")
    result = run("report", "lenet5", "--latency", str(path), "-o", str(page))
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert not page.exists()


# --- a PDF ---


def browser(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The only browser on PATH: a script that is called as Chromium is."""
    path = folder / "bin" / "chromium"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))


WRITES = """
import sys, pathlib, urllib.request
(printed,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--print-to-pdf=")]
page = urllib.request.urlopen(sys.argv[-1]).read()
assert page.startswith(b"<!DOCTYPE html>"), page[:20]
pathlib.Path(printed).write_bytes(b"%PDF-1.7 " + " ".join(sys.argv[1:]).encode())
"""


def test_a_browser_prints_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a window, with a profile of its own that goes with it, and with no way to any host."""
    browser(tmp_path, monkeypatch, WRITES)
    path = tmp_path / "r.PDF"
    result = run("report", "lenet5", "-o", str(path))
    assert (result.code, result.out, result.err) == (0, "", "")
    words = path.read_text()
    for flag in ("--headless", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"):
        assert flag in words
    (profile,) = re.findall(r"--user-data-dir=(\S+)", words)
    assert not Path(profile).parent.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bin", "r.PDF"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('no display, no fun')", "printed no PDF: no display, no fun"),
        ("pass", "printed no PDF: it ended with 0"),
        (WRITES.replace("%PDF", "%PNG"), "printed no PDF"),
        (None, "could not be started"),
    ],
)
def test_a_browser_that_prints_nothing_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, message: str
) -> None:
    """With its own complaint and with what to do instead; no file is written, and one that was there stays."""
    browser(tmp_path, monkeypatch, script or "")
    if script is None:
        (tmp_path / "bin" / "chromium").write_text("#!/no/such/interpreter\n")
    path = tmp_path / "r.pdf"
    path.write_text("mine")
    result = run("report", "lenet5", "-o", str(path))
    assert (result.code, result.out) == (3, "")
    assert message in result.err
    assert "print it from a browser" in result.err
    assert path.read_text() == "mine"


def test_a_browser_that_never_ends_is_ended(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that it started, however long that would go on."""
    marks = tmp_path / "marks"
    sleep = "import time; time.sleep(10 ** 6)"
    browser(
        tmp_path,
        monkeypatch,
        f"import os, subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {sleep!r}])\n"
        f"open({str(marks)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}.')\n{sleep}",
    )
    monkeypatch.setattr(subprocess.Popen, "wait", waiting_for(marks, subprocess.Popen.wait))
    result = run("report", "lenet5", "-o", str(tmp_path / "r.pdf"))
    assert (result.code, result.out) == (3, "")
    assert "it had not ended after 300 s" in result.err
    for number in marks.read_text().rstrip(".").split():
        # It was killed; on a busy machine that takes a while. A process that goes on keeps this from ending.
        while lives(number):
            os.sched_yield()


def lives(number: str) -> bool:
    """Whether a process still runs."""
    try:
        state = Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def waiting_for(marks: Path, wait: Callable[..., int]) -> Callable[..., int]:
    """A wait in which a browser's time runs out as soon as it has written down what it started, on a machine of any
    speed."""

    def bounded(process: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        if timeout is None or Path(str(process.args[0])).name != "chromium":  # type: ignore[index]  # a list
            return wait(process, timeout)
        while not (marks.exists() and marks.read_text().endswith(".")):
            assert process.poll() is None
        raise subprocess.TimeoutExpired("chromium", timeout)

    return bounded


def test_without_a_browser_there_is_no_pdf(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is computed: what was looked for, and what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gnet_inspect.cli.options.read_variants", None)
    result = run("report", "lenet5", "-o", str(tmp_path / "r.pdf"))
    assert (result.code, result.out) == (3, "")
    assert "needs Chromium, Chrome or Edge, and none of chromium" in result.err
    assert "(-o report.html) and print it from a browser" in result.err
    assert list(tmp_path.iterdir()) == []


# --- what it refuses, and what it draws less of ---


def test_mistakes_are_answered(run: Run, tmp_path: Path) -> None:
    """Two specs on standard input, an edit of several models, a file that is not there."""
    for arguments, message in (
        (("-", "-"), "expected one spec on standard input"),
        (("googlenet", "vgg16", "--set", "classes=10"), "--set: expected one model to edit, got 2 models"),
        (("googlenet", "--latency", str(tmp_path / "none.json")), "cannot read"),
        (("googlenet", "--mode", "eva"), "--mode: expected eval, train"),
        (("googlnet",), "did you mean `googlenet`"),
    ):
        result = run("report", *arguments)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
    edited = run("report", "googlenet", "--set", "classes=10")
    assert "googlenet classes=10" in edited.out


@pytest.mark.parametrize("package", ["jinja2", "vl_convert"])
def test_what_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, package, None)
    result = run("report", "lenet5")
    assert (result.code, result.out) == (3, "")
    assert f"needs {package}" in result.err
    assert "pip install Jinja2 vl-convert-python" in result.err


def test_a_depth_too_large_to_draw_is_left_out(run: Run, write_spec: Callable[[str], str]) -> None:
    """Its place says why; what can be drawn is. More layers than a page can hold are refused."""
    text = HEADER + "stages: {s: {f: [{repeat: {times: %d, layer: {MaxPool2d: {kernel_size: 1}}}}]}}"
    result = run("report", write_spec(text % 2_001))
    assert result.code == 0
    assert result.out.count("a diagram can show at most 2,000 boxes, got 2,001") == 2
    page = Page(result.out)
    opened = [attributes for tag, attributes in page.elements if attributes.get("name") == "level-0"]
    assert [("checked" in box, "disabled" in box) for box in opened] == [(True, False), (False, True), (False, True)]
    refused = run("report", write_spec(text % 10_001))
    assert (refused.code, refused.out) == (2, "")
    assert "expected models of at most 10,000 layers together for one page, got 10,001" in refused.err


def test_a_design_space_is_shown(run: Run, tmp_path: Path) -> None:
    """The front of what a sweep wrote: a chart that has every network, and a table; beside the models."""
    found, page = tmp_path / "space.json", tmp_path / "page.html"
    question = ["--vary", "c3.out_channels=8:24:4", "--vary", "f6.out_features=40:120:20"]
    written = run("sweep", "lenet5", *question, "--minimize", "macs", "--maximize", "params", "--format", "json")
    assert written.code == 0, written.err
    found.write_text(written.out)
    assert run("report", "lenet5", "--sweep", str(found), "-o", str(page)).code == 0
    text = page.read_text()
    front = json.loads(written.out)["front"]
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[0])
    dots = data["charts"]["front-0"]["layer"][1]["data"]["values"]
    assert [(dot["x"], dot["y"]) for dot in dots] == [(each["macs"], each["params"]) for each in front]
    assert 'href="#space-0"' in text
    assert "least macs against most params" in text
    assert "the spec itself" in text


@pytest.mark.parametrize("content", ["{}", "[", '{"schema_version": 2, "front": 3}'])
def test_what_is_no_sweep_is_refused(content: str, run: Run, tmp_path: Path) -> None:
    """Before anything is drawn: the file, and what was expected."""
    path = tmp_path / "other.json"
    path.write_text(content)
    result = run("report", "lenet5", "--sweep", str(path), "-o", str(tmp_path / "page.html"))
    assert result.code == 2
    assert "expected what `sweep --format json` wrote" in result.err
    assert not (tmp_path / "page.html").exists()
