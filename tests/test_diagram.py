"""Diagrams: what is drawn, and the pictures themselves."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.cli.diagram import ENGINES
from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.graph import Graph, node_of
from gnet_inspect.graph.outline import DEPTHS
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame, Options, drawing_of, too_large
from gnet_inspect.views.drawing.dot import (
    CLASSES,
    FONT_SIZE,
    INK,
    STEPS,
    Style,
    class_of,
    draw_dot,
    wires_by_headers,
)
from gnet_inspect.views.drawing.heat import COLORS
from gnet_inspect.views.drawing.lettering import LETTERS
from gnet_inspect.views.drawing.picture import FONTS, PICTURES, draw_picture
from tests.conftest import Run
from tests.drawing import HOSTILE, contrast
from tests.specs import HEADER
from tests.strategies import specs, to_yaml

# A page's printable size in points, with margins of 5 mm.
A4, A3 = (567, 813), (813, 1162)
SHOWN = ("googlenet", "inception_v3", "resnet50", "vgg16")


def drawn(model: str, **options: Any) -> tuple[Graph, Drawing]:
    """A built-in model's graph and diagram."""
    graph = build_graph(load_spec(model))
    return graph, drawing_of(graph, summarize(graph), Options(**options))


def picture(dot: str, style: str) -> bytes:
    """A DOT text drawn, where there is a Graphviz."""
    pytest.importorskip("pygraphviz")
    return draw_picture(dot, style)


def layout(model: str, **options: Any) -> dict[str, Any]:
    """Graphviz's own record of a diagram's layout."""
    found: dict[str, Any] = json.loads(picture(draw_dot(drawn(model, **options)[1], Style()), "json"))
    return found


# --- what is drawn ---


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("model", catalogue())
def test_every_layer_is_in_one_box(model: str, depth: str) -> None:
    """Boxes share out the layers of the network, and their figures add up to its totals."""
    graph, drawing = drawn(model, depth=depth)
    boxes = drawing.boxes()
    names = [name for box in boxes for name in box.layers]
    assert sorted(names) == sorted(node.name for node in graph.nodes)
    for what in ("params", "macs"):
        assert sum(getattr(box, what) for box in boxes) == sum(getattr(node, what) for node in graph.nodes)
    check_wires(graph, drawing)


def check_wires(graph: Graph, drawing: Drawing) -> None:
    """Every tensor between two boxes has its wire, and no wire is without one; Graphviz leads them through headers."""
    box_of = {name: box.key for box in drawing.boxes() for name in box.layers}
    given = {value.name for value in graph.inputs}
    read = {
        (box_of.get(node_of(name), name if name in given else "input"), box_of[node.name])
        for node in graph.nodes
        for name in node.inputs
    }
    wires = {(wire.tail, wire.head) for wire in drawing.wires}
    outputs = {"output"} if not graph.names_outputs else {f"output {output.name}" for output in graph.outputs}
    assert outputs <= {head for _, head in wires}
    assert {(tail, head) for tail, head in read if tail != head} == {
        (tail, head) for tail, head in wires if not head.startswith("output")
    }
    check_hops(drawing)


def check_hops(drawing: Drawing) -> None:
    """Every wire has a way through headers only."""
    headers = {frame.key for frame in drawing.frames()}
    after: dict[str, set[str]] = {}
    for wire in wires_by_headers(drawing):
        after.setdefault(wire.tail, set()).add(wire.head)
    for wire in drawing.wires:
        reached, reach = set(), {wire.tail}
        while reach:
            reached |= reach
            reach = {end for key in reach for end in after.get(key, ()) if end in headers or end == wire.head} - reached
        assert wire.head in reached, (wire.tail, wire.head)


@settings(derandomize=True, database=None, max_examples=80, deadline=None)
@given(st.data())
def test_any_network_is_drawn(data: st.DataObject) -> None:
    """Drawn specs at every depth, collapsed or not: boxes share out the layers, and the DOT is well-formed text."""
    try:
        graph = build_graph(
            parse_spec(to_yaml(data.draw(specs(faults=False)))), mode=data.draw(st.sampled_from(["eval", "train"]))
        )
    except SpecError:
        reject()
    summary = summarize(graph)
    for depth in DEPTHS:
        drawing = drawing_of(graph, summary, Options(depth))
        assert sorted(name for box in drawing.boxes() for name in box.layers) == sorted(
            node.name for node in graph.nodes
        )
        check_wires(graph, drawing)
        collapsed = drawing_of(graph, summary, Options(depth, collapse=True))
        assert len(collapsed.boxes()) <= len(drawing.boxes())
        assert draw_dot(collapsed, Style()).count("{") == draw_dot(collapsed, Style()).count("}")


def words(box: Box) -> str:
    """What a box says in the words of tables."""
    return f"{box.title}: {box.words}"


def test_normalisation_activation_and_dropout_fold_into_what_they_follow() -> None:
    """In one box with the layer before them, in their order; what others read too stays a box of its own."""
    _, drawing = drawn("resnet18", depth="layer")
    said = list(map(words, drawing.boxes()))
    assert said[0] == "conv1: Conv2d 7x7/2, 64 + BN + ReLU"
    assert "sum: add + ReLU" in said
    assert "classifier.0: Linear 4096 + ReLU + Dropout" in map(words, drawn("vgg16", depth="layer")[1].boxes())
    text = "stages: {s: {a: {Conv2d: {out_channels: 2, kernel_size: 1}}, j: {add: [{}, {r: ReLU}]}}}"
    graph = build_graph(parse_spec(HEADER + text))
    boxes = drawing_of(graph, summarize(graph), Options("layer")).boxes()
    assert list(map(words, boxes)) == ["a: Conv2d 1x1, 2", "r: ReLU", "j: add"]


def test_an_opened_block_has_its_arguments_and_its_branches_inside() -> None:
    """The (c1, c2, c3, c4) of the paper, four branches that read the input, and shapes on the wires."""
    _, drawing = drawn("googlenet", only="inception3a")
    (frame,) = drawing.frames()
    assert (frame.title, frame.words) == ("inception3a", "inception 64, 96-128, 16-32, 32")
    assert frame.figures == ("163.70 K params", "128.05 M MACs")
    assert [box.title for box in drawing.boxes()] == [
        *("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.0", "branch4.1", "output")
    ]
    entering = [wire for wire in drawing.wires if wire.tail == "input"]
    assert [wire.label for wire in entering] == ["192x28x28"] * 4
    assert [wire.label for wire in drawing.wires if wire.head == "output"] == ["256x28x28"]
    hops = wires_by_headers(drawing)
    assert [(wire.tail, wire.label) for wire in hops if wire.head == frame.key] == [("input", "192x28x28")]
    assert sum(wire.tail == frame.key for wire in hops) == 4


def test_only_a_part_that_is_there() -> None:
    """The nearest name answers another."""
    with pytest.raises(UsageError, match=r"--only: expected a block, stage or head, got 'inception3c'. .*inception3b"):
        drawn("googlenet", only="inception3c")


def test_equal_blocks_behind_each_other_are_drawn_once_on_demand() -> None:
    """With their number and their sums, whether opened or not; the first, which differs, stays apart."""
    for depth in ("block", "layer"):
        _, drawing = drawn("resnet50", depth=depth, collapse=True)
        members: list[Frame | Box] = [*drawing.frames(), *drawing.boxes()]
        (run,) = [member for member in members if member.title == "layer3.1 to layer3.5"]
        assert (run.words, run.times) == ("bottleneck 256, 1024", 5)
        assert run.figures == ("1.12 M params", "218.37 M MACs")
        # What is drawn once stands for all of its copies.
        graph = build_graph(load_spec("resnet50"))
        names = [name for box in drawing.boxes() for name in box.layers]
        assert sorted(names) == sorted(node.name for node in graph.nodes)
        assert sum(box.macs for box in drawing.boxes()) == sum(node.macs or 0 for node in graph.nodes)
        heads = {frame.key for frame in drawing.frames()} | {box.key for box in drawing.boxes()} | {"output"}
        assert {wire.head for wire in drawing.wires} <= heads
        order = {key: index for index, key in enumerate(["input", *_order(drawing.members), "output"])}
        assert all(order[wire.tail] < order[wire.head] for wire in drawing.wires)


def _order(members: "tuple[Frame | Box, ...]") -> list[str]:
    """Keys in the order in which things are drawn."""
    found = []
    for member in members:
        found.append(member.key)
        if isinstance(member, Frame):
            found += _order(member.members)
    return found


def test_one_block_is_opened_among_closed_ones() -> None:
    """With its layers in a frame; all others stay boxes, and copies of it stay behind it."""
    _, drawing = drawn("googlenet", opened="inception4b")
    assert {frame.title for frame in drawing.frames() if frame.role == "block"} == {"inception4b"}
    assert "Conv2d 1x1, 160 + ReLU" in {box.words for box in drawing.boxes()}
    closed = drawn("googlenet")[1]
    assert len(drawing.boxes()) == len(closed.boxes()) - 1 + 8
    _, drawing = drawn("resnet50", opened="layer3.1", collapse=True)
    (frame,) = [frame for frame in drawing.frames() if frame.role == "block"]
    assert (frame.title, frame.times) == ("layer3.1 to layer3.5", 5)


def test_heads_are_drawn_in_training_mode() -> None:
    """Each a frame of its own, with an output of its own."""
    graph = build_graph(load_spec("googlenet"), mode="train")
    drawing = drawing_of(graph, summarize(graph), Options())
    assert {"aux1", "aux2"} <= {frame.title for frame in drawing.frames()}
    assert {"output", "output aux1", "output aux2"} <= {wire.head for wire in drawing.wires}


def test_a_box_is_what_the_graph_says_whatever_it_is_called() -> None:
    """Blocks named like torch's classes, stages, heads and operations are blocks; stages are stages."""
    names = ("Bottleneck", "bottleneck", "stage", "head", "slice", "block", "layer", "GroupNorm", "AdaptiveMaxPool2d")
    blocks = "".join(f"  {name}: {{layers: {{a: ReLU, b: {{MaxPool2d: {{kernel_size: 1}}}}}}}}\n" for name in names)
    calls = "".join(f"    x{index}: {name}\n" for index, name in enumerate(names))
    text = HEADER + f"blocks:\n{blocks}stages:\n  Conv2d:\n{calls}    act: Tanh\n"
    graph = build_graph(parse_spec(text))
    boxes = drawing_of(graph, summarize(graph), Options()).boxes()
    assert [(box.role, box.kind) for box in boxes[:-1]] == [("block", name) for name in names]
    assert [class_of(box) for box in boxes] == ["block"] * len(names) + ["other layer"]
    (stage,) = drawing_of(graph, summarize(graph), Options("stage")).boxes()
    assert (stage.role, stage.kind, class_of(stage)) == ("stage", "", "stage")
    train = build_graph(load_spec("googlenet"), mode="train")
    found = drawing_of(train, summarize(train), Options("stage")).boxes()
    assert {box.role for box in found} == {"stage", "head"}
    assert {class_of(box) for box in found} == {"stage"}


def test_a_layers_colour_is_its_classes() -> None:
    """Every class of the vocabulary has the colour of its family, and a concat and an add have theirs."""
    _, drawing = drawn("inception_resnet_v2", depth="layer")
    found = {box.words.split()[0].rstrip(","): class_of(box) for box in drawing.boxes() if box.role == "layer"}
    assert found["Conv2d"] == "convolution"
    assert found["Linear"] == "linear"
    assert found["concat"] == found["add"] == "concat, add, mul"


# --- the DOT text and the pictures ---


def test_what_skips_lead_to_stands_one_below_the_other() -> None:
    """A U-Net's decoders each read what enters their stage, but only branches that read nothing else stand abreast."""
    _, drawing = drawn("unet")
    assert "rank=same" not in draw_dot(drawing, Style())
    _, drawing = drawn("googlenet", depth="layer")
    assert draw_dot(drawing, Style()).count("rank=same") == 9


def test_the_same_spec_gives_the_same_bytes() -> None:
    """DOT and every picture, a PDF too, which else holds the time: all say that of one moment, the first of 1970."""
    texts = [draw_dot(drawn("googlenet", depth="layer")[1], Style()) for _ in range(2)]
    assert texts[0] == texts[1]
    for style in PICTURES:
        first = picture(texts[0], style)
        assert picture(texts[0], style) == first
        assert re.findall(rb"CreationDate \(D:(\d*)", first) == [b"19700101000000"] * (style == "pdf")
        assert not re.search(rb"20[2-9]\d-[01]\d-[0-3]\d", first)


@pytest.mark.parametrize(("depth", "page"), [("block", A4), ("layer", A3)])
def test_googlenet_is_legible_on_one_page(depth: str, page: tuple[int, int]) -> None:
    """At block depth on A4, at layer depth on A3, text of at least 6 points when it is printed."""
    svg = picture(draw_dot(drawn("googlenet", depth=depth)[1], Style()), "svg").decode()
    match = re.search(r'<svg width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert match
    scale = min(page[0] / float(match[1]), page[1] / float(match[2]))
    sizes = {float(size) for size in re.findall(r'font-size="([\d.]+)"', svg)}
    assert sizes == {FONT_SIZE}
    assert min(sizes) * min(scale, 1) >= 6


Rectangle = tuple[float, float, float, float]


def rectangles(record: dict[str, Any]) -> dict[str, Rectangle]:
    """(left, bottom, right, top) of every node, in points."""
    found = {}
    for item in record["objects"]:
        if "pos" in item:
            x, y = map(float, item["pos"].split(","))
            width, height = 72 * float(item["width"]), 72 * float(item["height"])
            found[item["name"]] = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return found


def labels(record: dict[str, Any]) -> list[Rectangle]:
    """The rectangles of the wires' labels."""
    found = []
    for edge in record.get("edges", ()):
        if edge.get("label", "").strip() and "lp" in edge:
            x, y = map(float, edge["lp"].split(","))
            width = max(float(item["width"]) for item in edge["_ldraw_"] if item["op"] == "T")
            found.append((x - width / 2, y - FONT_SIZE / 2, x + width / 2, y + FONT_SIZE / 2))
    return found


def overlap(one: Rectangle, other: Rectangle) -> bool:
    """By more than a hair."""
    slack = 0.5
    return (
        one[0] < other[2] - slack
        and other[0] < one[2] - slack
        and one[1] < other[3] - slack
        and other[1] < one[3] - slack
    )


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("model", SHOWN)
def test_nothing_overlaps_and_no_text_is_cut(model: str, depth: str) -> None:
    """Boxes, labels of wires, and the text in its box, as Graphviz laid them out."""
    record = layout(model, depth=depth)
    boxes = rectangles(record)
    written = labels(record)
    assert not [pair for pair in combinations(boxes.values(), 2) if overlap(*pair)]
    assert not [pair for pair in combinations(written, 2) if overlap(*pair)]
    assert not [(label, box) for label in written for box in boxes.values() if overlap(label, box)]
    for item in record["objects"]:
        if item["name"] in boxes:
            left, _, right, _ = boxes[item["name"]]
            assert all(text["width"] <= right - left + 0.5 for text in item.get("_ldraw_", ()) if text["op"] == "T")


def test_an_svg_has_its_text_as_text_and_the_exact_figures_as_tooltips() -> None:
    """What one searches for is found, and what one points at is told to the digit."""
    svg = unescape(picture(draw_dot(drawn("googlenet")[1], Style()), "svg").decode())
    assert ">inception3a: inception 64, 96-128, 16-32, 32</text>" in svg
    assert "163,696 params, 128,049,152 MACs" in svg
    assert 'id="box-' in svg


@pytest.mark.parametrize("color", [color for color in COLORS if color not in ("kind", "time")])
def test_colours_are_shares_of_the_most(color: str) -> None:
    """The largest box is as dark as it gets, boxes without anything are white, and the legend has the bounds."""
    dot = draw_dot(drawn("vgg16")[1], Style(color=color))
    assert f'fillcolor="{STEPS[-1]}"' in dot
    assert all(fill in dot for fill in STEPS)


def test_every_colour_leaves_its_text_legible() -> None:
    """A contrast of at least 4.5 to the ink, WCAG's AA."""
    for fill in (*STEPS, *(fill for fill, _ in CLASSES.values())):
        assert contrast(fill, INK) >= 4.5, fill


@pytest.mark.parametrize(
    ("style", "engine"), [("dot", ""), *((style, engine) for engine in ENGINES for style in ("svg", "png", "pdf"))]
)
def test_text_from_strangers_is_drawn_as_text(
    style: str, engine: str, run: Run, write_spec: Callable[..., str], tmp_path: Path
) -> None:
    """Quotes, tags, record fields, Graphviz's escapes, line ends, marks of direction and ten thousand characters."""
    if engine:
        pytest.importorskip({"own": "resvg_py", "graphviz": "pygraphviz"}[engine])
    path = write_spec(HOSTILE % ("x" * 10_000))
    flags = () if style == "dot" else ("--engine", engine, "--depth", "stage")
    result = run("diagram", path, "-o", str(tmp_path / f"a.{style}"), *flags)
    assert (result.code, result.out, result.err) == (0, "", "")
    if style == "svg":
        svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
        assert "<script" not in svg
        assert "\u202e" not in svg
        shown = unescape("\n".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))).replace("\N{NO-BREAK SPACE}", " ")
        assert "<b>stage</b>|{x}\\l \\n new" in shown
        assert "<TABLE> \\G &amp;" in shown
        if engine == "graphviz":
            assert 'a"><script>alert(1)</script>{|}<b>\\N\\G\\n' in shown
        import xml.etree.ElementTree as ET  # the library's own short name

        ET.fromstring(svg)


def test_a_png_has_no_empty_boxes_for_letters() -> None:
    """Every letter that counts as Roboto's is drawn unlike a letter no font has; others are written as escapes."""
    pytest.importorskip("pygraphviz")
    image = pytest.importorskip("PIL.ImageFont")
    import font_roboto

    font = image.truetype(str(Path(font_roboto.__file__).parent / "files" / "Roboto-Regular.ttf"), 40)

    def ink(character: str) -> bytes:
        return bytes(font.getmask(character))

    missing = ink("\U0010fffd")
    letters = [chr(code) for first, last in LETTERS for code in range(first, last + 1) if chr(code).isprintable()]
    assert len(letters) > 700
    assert not [letter for letter in letters if not letter.isspace() and ink(letter) == missing]
    graph = build_graph(parse_spec(HEADER.replace("test", '"\\u05e9 \\u00e9"') + "stages: {s: {a: ReLU}}"))
    dot = draw_dot(drawing_of(graph, summarize(graph), Options()), Style(in_roboto=True))
    assert "<td" in dot
    assert "\\\\u05e9 é" in dot


def test_a_container_without_fonts_draws_the_same_letters(tmp_path: Path) -> None:
    """The picture of a text is the same file where the system has no font at all."""
    pytest.importorskip("pygraphviz")
    code = (
        "import sys; from gnet_inspect.views.drawing import picture;"
        "picture.FONTS = sys.argv[1];"
        "text = 'digraph { a [fontname=Roboto label=\"The quick brown fox 0123 x\"] }';"
        "sys.stdout.buffer.write(picture.draw_picture(text, 'png'))"
    )
    without = tmp_path / "fonts.conf"
    without.write_text(FONTS.read_text().replace("<dir>/usr/share/fonts</dir>", ""))
    assert without.read_text() != FONTS.read_text()
    bare, usual = (
        subprocess.run(
            [sys.executable, "-c", code, str(configuration)],
            capture_output=True,
            check=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        for configuration in (without, FONTS)
    )
    assert bare.stdout == usual.stdout
    assert bare.stderr == usual.stderr == b""


# --- the command ---


def test_the_format_follows_the_ending_or_the_flag(run: Run, tmp_path: Path) -> None:
    """dot on standard output by default; a picture has its own first bytes, whatever places it."""
    pytest.importorskip("pygraphviz")
    pytest.importorskip("resvg_py")
    assert run("diagram", "lenet5").out.startswith("digraph")
    assert run("diagram", "lenet5", "--format", "svg").out.startswith("<svg")
    assert run("diagram", "lenet5", "--format", "svg", "--engine", "graphviz").out.startswith("<?xml")
    magic = {".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF", ".tex": b"%", ".dot": b"digraph"}
    for ending, first in magic.items():
        path = tmp_path / f"lenet5{ending}"
        assert run("diagram", "lenet5", "-o", str(path)).code == 0
        assert path.read_bytes().startswith(first)
    assert run("diagram", "lenet5", "--format", "png", "-o", str(tmp_path / "any.thing")).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "lenet5.gif"], "-o: expected a file that ends in .svg, .png, .pdf, .tex, .dot, got 'lenet5.gif'"),
        (["--format", "gif"], "--format: expected svg, png, pdf, tex, dot, got 'gif'"),
        (["--depth", "blocks"], "--depth: expected stage, block, layer, got 'blocks'"),
        (["--direction", "RL"], "--direction: expected TB, LR, got 'RL'"),
        (["--color", "red"], "--color: expected kind, params, macs, memory, time, got 'red'"),
        (["--color", "time"], "--color time needs measured times"),
        (["--style", "ink"], "--style: expected screen, paper, dark, got 'ink'"),
        (["--cards", "large"], "--cards: expected full, compact, got 'large'"),
        (["--engine", "neato"], "--engine: expected own, graphviz, got 'neato'"),
        (["--columns", "0"], "--columns: expected a number from 1 to 100, got 0"),
        (["--aspect", "wide"], "--aspect: expected width to height, as 16:9 or 1.78, got 'wide'"),
        (["--aspect", "1:0"], "--aspect: expected width to height, as 16:9 or 1.78, got '1:0'"),
        (["--width", "1"], "--width: expected from 20 to 20,000 points, got 1"),
        (["--title", "a", "--no-title"], "--title and --no-title: give one of them"),
        (["--style", "paper"], "--style: dot is Graphviz's own, which does not know it. (say --format svg"),
        (["--no-title"], "--no-title: dot is Graphviz's own"),
        (
            ["--engine", "graphviz", "--format", "svg", "--columns", "2"],
            "--columns: --engine graphviz does not know it",
        ),
        (["--engine", "graphviz", "--format", "tex"], "--engine graphviz writes svg, png, pdf and dot"),
        (["--only", "nothing"], "--only: expected a block, stage or head, got 'nothing'"),
    ],
)
def test_refusals_say_what_was_expected(run: Run, arguments: list[str], message: str) -> None:
    """On standard error, with exit code 2."""
    result = run("diagram", "lenet5", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_times_are_read_from_a_saved_measurement(run: Run, tmp_path: Path) -> None:
    """Of the model that is drawn; a file of something else is refused."""
    path = tmp_path / "latency.json"
    layers = [{"name": "c1", "median_s": 2e-5}, {"name": "c3", "median_s": 1e-5}]
    path.write_text(json.dumps({"results": [{"model": "nin", "layers": []}, {"model": "lenet5", "layers": layers}]}))
    dot = run("diagram", "lenet5", "--color", "time", "--latency", str(path)).out
    assert "up to 20.00 us" in dot
    assert f'fillcolor="{STEPS[-1]}"' in dot
    for record, message in (
        ({"results": [{"model": "nin", "layers": layers}]}, "expected a result of `lenet5` in"),
        ({"results": [{"model": "lenet5", "layers": [{"name": "x", "median_s": 1}]}]}, "times `x`, which `lenet5`"),
        ([], "expected a file that `latency --save` wrote"),
    ):
        path.write_text(json.dumps(record))
        result = run("diagram", "lenet5", "--color", "time", "--latency", str(path))
        assert result.code == 2
        assert message in result.err


def test_without_graphviz_the_dot_still_comes_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture exits 3 with what to install."""
    import importlib.util

    real = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        return None if name == "pygraphviz" else real(name, *rest)

    monkeypatch.setattr("gnet_inspect.views.drawing.picture.find_spec", find_spec)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert run("diagram", "lenet5").code == 0
    assert run("diagram", "lenet5", "--format", "svg").code == 0
    result = run("diagram", "lenet5", "--format", "svg", "--engine", "graphviz")
    assert result.code == 3
    assert "pip install pygraphviz" in result.err


def test_the_programs_own_dot_stands_in_for_pygraphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It gets the text and the arguments; this one writes them back."""
    monkeypatch.setattr(
        "gnet_inspect.views.drawing.picture.find_spec", lambda name: None if name == "pygraphviz" else _SPEC
    )
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\nprintf "%s " "$@"; cat\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert draw_picture("digraph { a }", "png") == b"-Tpng -Gdpi=150 digraph { a }"


class _SPEC:
    """Where the font would be."""

    submodule_search_locations = ("nowhere",)


def test_a_picture_that_would_take_minutes_is_refused(run: Run, write_spec: Callable[[str], str]) -> None:
    """With what to do instead; the DOT of it comes out."""
    path = write_spec(HEADER + "stages: {s: {f: [{repeat: {times: 2001, layer: {MaxPool2d: {kernel_size: 1}}}}]}}")
    for engine, most in (("own", "2,000"), ("graphviz", "1,000")):
        result = run("diagram", path, "--depth", "layer", "--format", "svg", "--engine", engine)
        assert (result.code, result.out) == (2, "")
        assert f"expected a picture of at most {most} boxes, got 2,001" in result.err
    assert run("diagram", path).out.count("MaxPool2d") >= 2_001
    assert run("diagram", path, "--depth", "stage", "--format", "svg").code == 0


def test_dot_is_bounded_too(run: Run, write_spec: Callable[[str], str]) -> None:
    """Nobody could lay out more."""
    path = write_spec(HEADER + "stages: {s: {f: [{repeat: {times: 20001, layer: {MaxPool2d: {kernel_size: 1}}}}]}}")
    result = run("diagram", path)
    assert (result.code, result.out) == (2, "")
    assert "at most 20,000 boxes, got 20,001" in result.err
    assert "(draw less with --depth, --only or --collapse)" in result.err


def test_a_picture_of_many_wires_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wire to and from each of five branches, and that of the output."""
    branches = ", ".join(f"{{a{index}: {{MaxPool2d: {{kernel_size: 1}}}}}}" for index in range(5))
    graph = build_graph(parse_spec(HEADER + f"stages: {{s: {{c: {{concat: [{branches}]}}}}}}"))
    drawing = drawing_of(graph, summarize(graph), Options("layer"))
    monkeypatch.setattr("gnet_inspect.views.drawing.diagram.MOST_WIRES", 11)
    assert too_large(drawing) == ""
    monkeypatch.setattr("gnet_inspect.views.drawing.diagram.MOST_WIRES", 10)
    assert too_large(drawing) == "at most 10 wires, got 11"


def test_the_largest_model_is_drawn(run: Run, tmp_path: Path) -> None:
    """At layer depth, every box of it; the benchmarks say in what time."""
    path = tmp_path / "a.svg"
    assert run("diagram", "inception_resnet_v2", "--depth", "layer", "--no-collapse", "-o", str(path)).code == 0
    boxes = drawn("inception_resnet_v2", depth="layer")[1].boxes()
    assert path.read_text(encoding="utf-8").count('id="box') >= len(boxes) > 200
