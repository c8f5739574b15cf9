"""`roofline`: its bounds in closed form, devices and their files, the table, and the plot."""

import csv
import io
import json
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.devices import ELEMENT_BYTES, Device, known_devices, load_device, parse_device
from gnet_inspect.analysis.roofline import LayerBound, Roofline, roofline
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import DEPTHS
from gnet_inspect.language import catalogue, load_spec
from gnet_inspect.ops import Opaque
from gnet_inspect.records.timing import LayerTiming, Measurement, TimingRecord
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.charts.placing import Box, Point, place_labels
from gnet_inspect.views.charts.roofline import HEIGHT, WIDTH, _dots, _points, _scales, roofline_chart
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.json import draw_json
from gnet_inspect.views.tables.roofline import Selection, Totals, roofline_grid, totals_grid
from tests.conftest import Run
from tests.drawing import HOSTILE
from tests.specs import graph_of

MODELS = catalogue()
# Figures that are easy to divide by: a FLOP takes a picosecond, a byte ten.
SIMPLE = Device("simple", "Simple", "measured", "made up", dict.fromkeys(ELEMENT_BYTES, 1e12), 1e11, 10**9)
OWN = """
title: Mine
kind: measured
source: a run of mine
peak_flops_per_s: {fp32: 2e12, bf16: 8e12}
bandwidth_bytes_per_s: 1e11
memory_bytes: 16e9
notes: {bf16: a product of 8192x8192}
"""


def bounds_of(graph: Graph, dtype: str = "fp32", device: Device = SIMPLE) -> dict[str, LayerBound]:
    """The layers of a graph by name."""
    return {layer.name: layer for layer in roofline(graph, device, dtype).layers}


# --- in closed form ---


@pytest.mark.parametrize(("dtype", "width"), ELEMENT_BYTES.items())
def test_a_convolution(dtype: str, width: int) -> None:
    """3x3, 3 to 8 channels, 32x32 to 30x30, two images: weights with biases, input and output, each once."""
    conv = bounds_of(
        graph_of("stages: {s: {a: {Conv2d: {out_channels: 8, kernel_size: 3}}}}", input_shape=(2, 3, 32, 32)), dtype
    )["a"]
    flops = 2 * 2 * 8 * 30 * 30 * 27
    moved = width * (8 * 27 + 8 + 2 * 3 * 32 * 32 + 2 * 8 * 30 * 30)
    assert (conv.flops, conv.bytes) == (flops, moved)
    assert conv.intensity == flops / moved
    assert (conv.compute_s, conv.memory_s) == pytest.approx((flops * 1e-12, moved * 1e-11))
    assert conv.roofline_s == max(conv.compute_s, conv.memory_s)
    assert conv.bound == ("compute" if flops > 10 * moved else "memory")


def test_both_bounds_are_met() -> None:
    """The same convolution is bound by memory in 8 bytes and by arithmetic in 1."""
    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 32, kernel_size: 3}}}}")
    assert [bounds_of(graph, dtype)["a"].bound for dtype in ("fp64", "int8")] == ["memory", "compute"]


def test_a_linear_layer_and_a_view_before_it() -> None:
    """The matrix is read whole; what Flatten passes on was written by the layer before it."""
    layers = bounds_of(graph_of("stages: {s: {a: ReLU, b: Flatten, c: Dropout, d: {Linear: {out_features: 10}}}}"))
    linear = layers["d"]
    assert (linear.flops, linear.bytes) == (2 * 3072 * 10, 4 * (3072 * 10 + 10 + 3072 + 10))
    assert linear.bound == "memory"
    for view in (layers["b"], layers["c"]):
        assert (view.flops, view.bytes, view.intensity, view.roofline_s, view.bound) == (0, 0, 0, 0, "none")
    assert layers["a"].bytes == 4 * 2 * 3072


def test_dropout_moves_its_tensor_in_training() -> None:
    """As it does in the peak of activations."""
    graph = graph_of("stages: {s: {a: Dropout}}", mode="train")
    assert bounds_of(graph)["a"].bytes == 4 * 2 * 3072


def test_a_concat_and_an_addition() -> None:
    """Every tensor once: one that is added to itself is read once."""
    text = "stages: {s: {join: {concat: [{}, {x: {Conv2d: {out_channels: 2, kernel_size: 1}}}]}}}"
    concat = bounds_of(graph_of(text))["join"]
    assert (concat.flops, concat.bytes) == (0, 4 * 1024 * (3 + 2 + 5))
    assert concat.bound == "memory"
    assert concat.roofline_s == pytest.approx(40960 * 1e-11)
    twice = bounds_of(graph_of("stages: {s: {join: {add: [{}, {}]}}}"))["join"]
    assert twice.bytes == 4 * 2 * 3072


@pytest.mark.parametrize(
    ("arguments", "read"), [("", 4 * 3), ("affine: false", 2 * 3), ("track_running_stats: false", 2 * 3)]
)
def test_batchnorm_reads_its_statistics(arguments: str, read: int) -> None:
    """Scale, shift, mean and variance of each channel, and not the counter of its steps."""
    norm = bounds_of(graph_of(f"stages: {{s: {{a: {{BatchNorm2d: {{{arguments}}}}}}}}}"))["a"]
    assert norm.bytes == 4 * (read + 2 * 3072)


def test_the_networks_own_bound() -> None:
    """All weights, the input and the output once, whatever lies between."""
    graph = graph_of(
        "stages: {s: {a: {Conv2d: {out_channels: 8, kernel_size: 3}}, b: ReLU, "
        "c: {AdaptiveAvgPool2d: {output_size: 1}}}}"
    )
    totals = roofline(graph, SIMPLE).totals
    least = 4 * (224 + 3072 + 8)
    assert (totals.least_bytes, totals.weight_bytes) == (least, 4 * 224)
    assert totals.flops == 2 * 8 * 27 * 900
    assert totals.roofline_s == totals.compute_s == pytest.approx(totals.flops * 1e-12)
    assert totals.bound == "compute"
    assert totals.least_memory_s == pytest.approx(least * 1e-11)
    assert totals.intensity == totals.flops / least
    assert totals.layers_s > totals.roofline_s


def test_a_network_of_views_takes_nothing() -> None:
    """Neither its input nor its output, which is the input, is touched."""
    found = roofline(graph_of("stages: {s: {a: Identity, b: Flatten}}"), SIMPLE)
    totals = found.totals
    assert (totals.least_bytes, totals.roofline_s, totals.layers_s, totals.bound) == (0, 0, 0, "none")
    assert totals.memory_bound_share == totals.intensity == totals.layers_intensity == 0


def test_heads_are_outputs() -> None:
    """A training graph writes their logits, too."""
    spec = load_spec("googlenet")
    evaluated, trained = (roofline(build_graph(spec, mode=mode), SIMPLE).totals for mode in ("eval", "train"))
    assert trained.least_bytes - evaluated.least_bytes == 4 * (13_378_280 - 6_998_552 + 2 * 1000)


@pytest.mark.parametrize("model", MODELS)
def test_what_holds_for_every_model(model: str) -> None:
    """Every layer is there with the summary's numbers; sums add up; no bound exceeds what it bounds."""
    graph = build_graph(load_spec(model))
    found, summary = roofline(graph, load_device("h200"), "bf16"), summarize(graph, "bf16")
    totals, layers = found.totals, found.layers
    assert [layer.name for layer in layers] == [layer.name for layer in summary.layers]
    assert [layer.flops for layer in layers] == [layer.flops for layer in summary.layers]
    assert totals.peak_activation_bytes == summary.totals.peak_activation_bytes
    for part in (layers, found.stages):
        assert sum(item.flops for item in part) == totals.flops == summary.totals.flops
        assert sum(item.bytes for item in part) == totals.bytes
        assert sum(item.roofline_s for item in part) == pytest.approx(totals.layers_s)
        assert sum(item.memory_s for item in part) == pytest.approx(totals.memory_s)
    assert totals.roofline_s == max(totals.compute_s, totals.least_memory_s)
    assert 0 < totals.roofline_s <= totals.layers_s
    assert totals.least_bytes < totals.bytes
    bound_by_memory = sum(layer.roofline_s for layer in layers if layer.bound == "memory")
    assert totals.memory_bound_share == pytest.approx(bound_by_memory / totals.layers_s)
    for layer in layers:
        assert layer.roofline_s == max(layer.compute_s, layer.memory_s)
        assert (layer.bound == "compute") == (layer.intensity >= totals.ridge_intensity)
        assert (layer.bound == "none") == (layer.bytes == 0)


def test_intensities_are_the_summarys_where_both_count_the_same() -> None:
    """The summary has no buffers and no views; nothing else differs."""
    graph = build_graph(load_spec("googlenet"))
    found, summary = roofline(graph, SIMPLE), summarize(graph)
    assert [layer.intensity for layer in found.layers] == [layer.intensity for layer in summary.layers]


def test_more_than_the_memory_holds() -> None:
    """Weights, the input and the peak of activations against it."""
    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 8, kernel_size: 3}}}}")
    needed = 4 * (224 + 3072 + 7200)
    for size in (needed, needed - 1):
        found = roofline(graph, replace(SIMPLE, memory_bytes=size))
        assert (found.totals.needed_bytes, found.totals.fits) == (needed, size == needed)
        below = roofline_grid(found, graph, Selection()).below
        assert any("DO NOT FIT" in note for note in below) == (size < needed)


def test_a_larger_batch_spreads_the_weights() -> None:
    """Time for one image falls, and never below the bound of arithmetic."""
    spec, device = load_spec("vgg16"), load_device("h200")
    times = [
        roofline(build_graph(spec, (batch, *spec.input)), device, "bf16").totals.layers_s / batch
        for batch in (1, 4, 16, 64)
    ]
    assert all(later < earlier for earlier, later in pairwise(times))


def test_what_nobody_can_count_is_unknown() -> None:
    """It is named in the coverage, and its row says so."""
    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 4, kernel_size: 3}}, b: ReLU}}")
    strange = replace(graph.nodes[1], op=Opaque("Odd", graph.nodes[1].output_shape), macs=None)
    graph = replace(graph, nodes=(graph.nodes[0], strange))
    found = roofline(graph, SIMPLE)
    assert (found.layers[1].bound, found.coverage.unknown) == ("unknown", ("b",))
    (line,) = (text for text, _ in draw_text(roofline_grid(found, graph, Selection("layer"))) if " Odd " in text)
    assert line.split()[2] == "?"
    assert line.endswith("?")


# --- devices ---


@pytest.mark.parametrize("name", known_devices())
def test_every_device_is_sane(name: str) -> None:
    """A narrower dtype is never slower, the ridge is peak by bandwidth, and figures say where they are from."""
    device = load_device(name)
    assert (device.name, device.kind) == (name, "datasheet")
    assert device.source
    assert device.title
    peaks = device.peak_flops_per_s
    for order in (("fp64", "fp32", "tf32", "bf16", "int8"), ("fp32", "fp16", "int8")):
        found = [peaks[dtype] for dtype in order if dtype in peaks]
        assert found == sorted(found)
    assert all(1e8 < peak < 1e16 for peak in peaks.values())
    assert 1e8 < device.bandwidth_bytes_per_s < 1e13
    assert 1e6 <= device.memory_bytes <= 4e12
    assert set(peaks) <= set(device.notes), "each peak says what it is of"
    graph = build_graph(load_spec("lenet5"))
    for dtype, peak in peaks.items():
        assert roofline(graph, device, dtype).totals.ridge_intensity == peak / device.bandwidth_bytes_per_s


@pytest.mark.parametrize(
    ("name", "dtype", "formula"),
    [
        ("h200", "bf16", 1979e12 / 2),
        ("h200", "int8", 3958e12 / 2),
        ("h100", "tf32", 989e12 / 2),
        ("l4", "fp16", 242e12 / 2),
        ("xeon8480", "fp64", 56 * 3.8e9 * 32),
        ("xeon8480", "fp32", 56 * 3.8e9 * 64),
        ("xeon8480", "fp16", 56 * 3.8e9 * 128),
        ("xeon8480", "bf16", 56 * 3.8e9 * 1024),
        ("xeon8480", "int8", 56 * 3.8e9 * 2048),
        ("rtx4090", "fp64", pytest.approx(82.6e12 / 64, rel=1e-3)),
        ("jetson_orin_nano", "fp32", 1024 * 625e6 * 2),
        ("jetson_orin_nano", "fp16", 20e12 / 2),
        ("jetson_orin_nano", "int8", 40e12 / 2),
        ("raspberry_pi5", "fp64", 4 * 2.4e9 * 8),
        ("raspberry_pi5", "fp32", 4 * 2.4e9 * 16),
        ("raspberry_pi5", "fp16", 4 * 2.4e9 * 32),
        ("raspberry_pi5", "int8", 4 * 2.4e9 * 64),
        ("stm32h743", "fp32", 480e6 * 2),
        ("stm32h743", "int8", 480e6 * 4),
    ],
)
def test_derived_peaks_are_what_their_notes_derive(name: str, dtype: str, formula: float) -> None:
    """Halves of figures with sparsity, and cores x clock x FLOP per cycle."""
    assert load_device(name).peak_flops_per_s[dtype] == formula


def test_derived_bandwidths() -> None:
    """Width of the bus by its rate."""
    assert load_device("t4").bandwidth_bytes_per_s == 256 * 10e9 / 8
    assert load_device("xeon8480").bandwidth_bytes_per_s == 8 * 4800e6 * 8
    assert load_device("raspberry_pi5").bandwidth_bytes_per_s == 4267e6 * 4
    assert load_device("coral_usb").bandwidth_bytes_per_s == 5e9 * 8 / 10 / 8
    assert load_device("stm32h743").bandwidth_bytes_per_s == 480e6 * 8
    assert load_device("stm32h743").memory_bytes == 1060 * 1024


def test_a_device_of_ones_own(run: Run, write_spec: Callable[..., str]) -> None:
    """A file with the same keys; the output says that its figures were measured."""
    path = write_spec(OWN)
    device = load_device(path)
    assert (device.name, device.kind, device.memory_bytes) == ("mine", "measured", 16 * 10**9)
    assert device.peak_flops_per_s == {"fp32": 2e12, "bf16": 8e12}
    out = run("roofline", "googlenet", "--on", path, "--dtype", "bf16").out
    assert "measured peaks: a run of mine; bf16: a product of 8192x8192" in out
    assert "8.00 TFLOP/s in bf16, 100.00 GB/s, 16.00 GB; ridge at 80.0 FLOP/B" in out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: a run of mine\n", "", "mine.yaml:2: expected a device with the key `source`, got none"),
        (
            "kind: measured",
            "kind: guessed",
            'mine.yaml:3: `kind`: expected one of "datasheet", "measured", got \'guessed\'',
        ),
        (
            "memory_bytes: 16e9",
            "memory: 16e9",
            "mine.yaml:7: `memory`: expected a key of a device, got `memory`. (did you",
        ),
        ("1e11", "-1", "mine.yaml:6: `bandwidth_bytes_per_s`: expected a number from 1000 to 1e+24, got -1"),
        ("1e11", "fast", "mine.yaml:6: `bandwidth_bytes_per_s`: expected a number from 1000 to 1e+24, got 'fast'"),
        ("fp32: 2e12", "fp23: 2e12", "mine.yaml:5: `peak_flops_per_s.fp23`: expected a key of FLOP/s by dtype"),
        ("fp32: 2e12", "fp32: 0", "mine.yaml:5: `peak_flops_per_s.fp32`: expected a number from 1000 to 1e+24, got 0"),
        ("{fp32: 2e12, bf16: 8e12}", "{}", "mine.yaml:5: `peak_flops_per_s`: expected FLOP/s by dtype (fp32, tf32, "),
        (
            "{bf16: a product of 8192x8192}",
            "{bf61: a}",
            "mine.yaml:8: `notes.bf61`: expected a key of notes on figures",
        ),
        ("title: Mine", "title: 7", "mine.yaml:2: `title`: expected a title, got 7. (quote it)"),
        ("kind: measured", "kind: [", "mine.yaml:"),
    ],
)
def test_mistakes_in_a_file_say_where(old: str, new: str, message: str) -> None:
    """File, line and path, what was expected and what came."""
    assert old in OWN
    with pytest.raises(SpecError) as error:
        parse_device(OWN.replace(old, new), "mine.yaml")
    assert str(error.value).startswith(message)


def test_an_empty_file_is_no_device() -> None:
    """And is not called a spec."""
    with pytest.raises(SpecError, match=r"^mine.yaml:1: expected a device, got an empty document$"):
        parse_device("# nothing\n", "mine.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected --on with a device (a100, coral_usb, h100, h200, "),
        (("--on", "h20"), "expected a built-in device or a device file, got 'h20': known: `a100`, `coral_usb`, "),
        (("--on", "tpu"), "expected a built-in device or a device file, got 'tpu': known: `a100`, `coral_usb`, "),
        (("--on", "no.yaml"), "expected a device file, got 'no.yaml', which does not exist"),
        (("--on", "."), "expected a built-in device or a device file, got the folder '.'"),
        (
            ("--on", "t4", "--dtype", "bf16"),
            "expected a dtype that NVIDIA T4 has a peak for (fp32, fp16, int8), got 'bf16'",
        ),
        (("--on", "h200", "--dtype", "fp8"), "--dtype: expected fp32, tf32, fp16, "),
        (("--on", "h200", "--depth", "node"), "--depth: expected stage, block, layer, got 'node'"),
        (("--on", "h200", "--sort", "time"), "--sort: expected a column, got 'time'"),
        (
            ("--on", "h200", "--sort", "least time"),
            "--sort: expected a column, got 'least time'. (did you mean `roofline_s`?)",
        ),
        (("--on", "h200", "--top", "0"), "--top: expected a positive integer, got 0"),
        (
            ("--on", "h200", "--format", "pdf"),
            "--format: expected table, json, csv, markdown, latex, svg, png, html, got 'pdf'",
        ),
        (
            ("--on", "h200", "--latency", "x"),
            "--latency goes into a plot: expected --format svg, png, html, got 'table'",
        ),
    ],
)
def test_mistakes_on_the_command_line(arguments: tuple[str, ...], message: str, run: Run) -> None:
    """One line, and exit code 2."""
    result = run("roofline", "googlenet", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {message}")


def test_wrong_arguments_of_the_function() -> None:
    """Nothing but UsageError."""
    graph = build_graph(load_spec("lenet5"))
    for arguments in ((graph, "h200"), (load_spec("lenet5"), SIMPLE), (graph, SIMPLE, 4), (graph, SIMPLE, "fp8")):
        with pytest.raises(UsageError, match="expected"):
            roofline(*arguments)
    with pytest.raises(UsageError, match="expected a device's name"):
        load_device(7)  # type: ignore[arg-type]  # which is the point


def test_the_devices_are_listed(run: Run) -> None:
    """All of them with their peaks; a blank where a peak has no source."""
    result = run("roofline", "--devices")
    rows = {
        line.split()[0]: line for line in result.out.splitlines() if line.split() and line.split()[0] in known_devices()
    }
    assert (result.code, list(rows)) == (0, known_devices())
    for name, line in rows.items():
        for peak in load_device(name).peak_flops_per_s.values():
            assert f" {peak / 1e12:,.2f} " in line or (name == "stm32h743" and f" {peak / 1e12:.2g} " in line)


def test_the_devices_are_listed_in_every_format(run: Run, tmp_path: Path) -> None:
    """As records in JSON, as exact figures in CSV, wherever the flag stands; a plot of them there is not."""
    found = json.loads(run("roofline", "--format", "json", "--devices").out)
    assert [device["name"] for device in found["devices"]] == known_devices()
    by_name = {device["name"]: device for device in found["devices"]}
    for row in csv.DictReader(io.StringIO(run("roofline", "--devices", "--format", "csv").out)):
        device = by_name[row["name"]]
        peaks = {name: float(row[name]) for name in ELEMENT_BYTES if row[name]}
        assert peaks == device["peak_flops_per_s"]
        assert float(row["bandwidth_bytes_per_s"]) == device["bandwidth_bytes_per_s"]
        assert (float(row["memory_bytes"]), row["source"]) == (device["memory_bytes"], device["source"])
    assert run("roofline", "--devices", "--format", "markdown").out.startswith("| device | title |")
    assert r"\toprule" in run("roofline", "--devices", "--format", "latex").out
    path = tmp_path / "devices.csv"
    assert run("roofline", "--devices", "--format", "csv", "-o", str(path)).code == 0
    assert path.read_text(encoding="utf-8").startswith("name,title,")
    refused = run("roofline", "--devices", "--format", "svg")
    assert (refused.code, refused.err.startswith("error: --format: expected table, json")) == (2, True)
    nothing = run("roofline", "--on", "h200")
    assert (nothing.code, nothing.err.startswith("error: expected MODEL, as `roofline googlenet")) == (2, True)


def test_totals_of_models_on_devices(run: Run, tmp_path: Path) -> None:
    """One table: a row for each model, a column for each device in its own unit, a mark on what does not fit."""
    models, devices = ("googlenet", "lenet5"), ("h200", "coral_usb", "stm32h743")
    command = ("roofline", *models, "--on", ",".join(devices), "--dtype", "int8")
    results = json.loads(run(*command, "--format", "json").out)["results"]
    assert json.loads(run(*command, "--totals", "--format", "json").out)["results"] == results
    found = {(one["model"], one["device"]["name"]): one["totals"] for one in results}
    rows = list(csv.DictReader(io.StringIO(run(*command, "--totals", "--format", "csv").out)))
    assert [(row["model"], row["device"]) for row in rows] == [(model, name) for model in models for name in devices]
    for row in rows:
        totals = found[row["model"], row["device"]]
        assert [float(row[name]) for name in ("roofline_s", "layers_s", "needed_bytes")] == [
            totals[name] for name in ("roofline_s", "layers_s", "needed_bytes")
        ]
        assert (row["bound"], row["fits"]) == (totals["bound"], str(totals["fits"]).lower())
    out = run(*command, "--totals").out
    above, _, head, _, *lines = out.splitlines()
    assert above == "the least time of each network on each device, from cold caches, in int8 and eval mode"
    assert head.split() == ["model", "input", "h200", "(ns)", "coral_usb", "(ms)", "stm32h743", "(ms)"]
    for model, line in zip(models, lines, strict=False):
        scales = {"h200": 1e9, "coral_usb": 1e3, "stm32h743": 1e3}
        assert line.split()[2:] == [
            f"{found[model, name]['roofline_s'] * scales[name]:,.2f}{'' if found[model, name]['fits'] else '*'}"
            for name in devices
        ]
    assert lines[3] == "* weights, input and activations at the peak do not fit into the device's memory"
    # A narrow terminal has whole columns, those of the first devices.
    grid = totals_grid(
        Totals(
            models,
            devices,
            [roofline(build_graph(load_spec(m)), load_device(d), "int8") for m in models for d in devices],
        )
    )
    narrow = [text for text, _ in draw_text(grid, 48)]
    assert any(line.startswith("hidden: input, stm32h743 (to see them: --format") for line in narrow)
    assert any(line.startswith("googlenet ") and line.endswith("14.30*") for line in narrow)
    # Each device has its column, and each model its row, even where two are called alike.
    paths = [tmp_path / folder / "mine.yaml" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(OWN, encoding="utf-8")
    first, second = map(str, paths)
    same = run("roofline", "lenet5", "lenet5", "--on", f"{first},{second}", "--totals", "--format", "csv").out
    assert [row["device"] for row in csv.DictReader(io.StringIO(same))] == [first, second] * 2
    whole = run(*command, "--depth", "stage").out
    assert whole.startswith(out.rstrip("\n"))
    edited = run("roofline", "lenet5", "--on", "h200", "--set", "classes=3", "--totals").out
    assert "lenet5 classes=3 " in edited
    refused = run("roofline", "lenet5", "--on", "h200", "--totals", "--format", "svg")
    assert (refused.code, refused.err.startswith("error: --totals is a table: expected --format table")) == (2, True)


def test_a_device_that_computes_in_one_dtype_says_so(run: Run) -> None:
    """No peak is made up for the others."""
    result = run("roofline", "lenet5", "--on", "coral_usb")
    assert (result.code, result.out) == (2, "")
    assert "has a peak for (int8), got 'fp32'" in result.err


# --- the table ---


@pytest.mark.parametrize(("model", "depth"), [*product(("googlenet", "vgg16", "resnet18", "inception_v4"), DEPTHS)])
def test_rows_sum_to_the_row_above_them(model: str, depth: str) -> None:
    """At every depth, in every column that can be summed."""
    graph = build_graph(load_spec(model))
    grid = roofline_grid(roofline(graph, load_device("a100"), "bf16"), graph, Selection(depth))
    for column in (2, 3, 5, 6, 7):
        values = [float(line.cells[column].replace(",", "")) for line in grid.lines]
        levels = [(len(line.cells[0]) - len(line.cells[0].lstrip())) // 2 for line in grid.lines]
        levels[-1] = -1
        for place, level in enumerate(levels):
            children = []
            behind = levels[place + 1 :] if level >= 0 else levels[:-1]
            start = place + 1 if level >= 0 else 0
            for offset, inner in enumerate(behind):
                if inner <= level:
                    break
                if inner == level + 1:
                    children.append(values[start + offset])
            if children:
                assert values[place] == pytest.approx(sum(children), abs=0.006 * (len(children) + 1))


def test_sorted_and_cut(run: Run) -> None:
    """The slowest first, and the rest as one row: the total stays."""
    whole = run("roofline", "googlenet", "--on", "h200", "--depth", "layer", "--format", "csv").out
    cut = run("roofline", "googlenet", "--on", "h200", "--depth", "layer", "--sort", "roofline_s", "--top", "3")
    slowest = sorted(csv.DictReader(io.StringIO(whole)), key=lambda row: -float(row["roofline_s"]))[:3]
    lines = cut.out.splitlines()
    rule = next(index for index, line in enumerate(lines) if line.startswith("---"))
    assert [line.split()[0] for line in lines[rule + 1 : rule + 4]] == [row["name"] for row in slowest]
    assert lines[rule + 4].startswith("(139 others)")


@pytest.mark.parametrize(("depth", "top"), [("stage", 2), ("block", 1), ("layer", 7)])
def test_what_is_left_out_is_a_row(depth: str, top: int) -> None:
    """The rows add up to the total, whatever was selected."""
    found, graph = found_of()
    *rows, total = roofline_grid(found, graph, Selection(depth, "roofline_s", top)).lines
    assert len(rows) == top + 1
    for column in (2, 3, 5, 6, 7):
        values = [float(row.cells[column].replace(",", "")) for row in rows]
        assert sum(values) == pytest.approx(float(total.cells[column].replace(",", "")), abs=0.006 * (top + 2))


def test_a_row_says_what_bounds_the_larger_part_of_its_time() -> None:
    """Of a layer in one word, of several with the share, of a view nothing."""
    found, graph = found_of()
    said = {line.cells[0].strip(): line.cells[-1] for line in roofline_grid(found, graph, Selection("layer")).lines}
    for stage, bounds in ((stage.name, stage) for stage in found.stages):
        share = bounds.memory_bound_s / bounds.roofline_s
        assert said[stage].startswith("memory" if share > 0.5 else "compute")
        if 0 < share < 1:
            assert float(said[stage].split()[1]) == pytest.approx(100 * max(share, 1 - share), abs=0.05)
    assert (said["maxpool1"], said["flatten"]) == ("memory", "")
    assert said["total"] == f"memory {100 * found.totals.memory_bound_share:.1f} %"


@pytest.mark.parametrize("column", ["name", "kind", "flops", "bytes", "intensity", "memory_s", "share", "bound"])
def test_every_column_sorts(column: str, run: Run) -> None:
    """Numbers from the largest, words from the first."""
    assert run("roofline", "lenet5", "--on", "h200", "--sort", column).code == 0


@pytest.mark.parametrize("depth", DEPTHS)
def test_csv_adds_up(depth: str, run: Run) -> None:
    """Exact seconds and bytes, without subtotals."""
    out = run("roofline", "googlenet", "--on", "t4", "--depth", depth, "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(out)))
    totals = roofline(build_graph(load_spec("googlenet")), load_device("t4")).totals
    assert sum(int(row["flops"]) for row in rows) == totals.flops
    assert sum(int(row["bytes"]) for row in rows) == totals.bytes
    assert sum(float(row["roofline_s"]) for row in rows) == pytest.approx(totals.layers_s)
    assert {row["bound"] for row in rows} <= {"compute", "memory", "none"}


def test_json_has_the_promised_keys(run: Run) -> None:
    """Keys are only ever added, and everything that the function found is there."""
    arguments = ("--on", "h200", "--dtype", "bf16", "--batch", "2", "--format", "json")
    result = json.loads(run("roofline", "googlenet", *arguments, "--set", "classes=10").out)
    keys = {"schema_version", "model", "title", "mode", "input", "dtype", "device", "totals", "stages", "layers"}
    assert set(result) == keys | {"coverage", "overrides"}
    assert (result["input"], result["dtype"], result["device"]["name"]) == ([2, 3, 224, 224], "bf16", "h200")
    assert set(result["device"]) == set(Device.__struct_fields__)
    assert {"roofline_s", "layers_s", "bound", "ridge_intensity", "fits", "weight_bytes"} <= set(result["totals"])
    assert set(result["layers"][0]) == {
        *("name", "kind", "stage", "block", "flops", "bytes", "intensity"),
        *("compute_s", "memory_s", "roofline_s", "bound"),
    }
    assert len(result["layers"]) == 142
    graph = build_graph(load_spec("googlenet"), (2, 3, 224, 224), overrides={"classes": 10})
    assert result == json.loads(draw_json(roofline(graph, load_device("h200"), "bf16")))


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("model", ["googlenet", "vgg16", "inception_resnet_v2"])
def test_the_table_fits(model: str, width: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least time and the name stay, and no line is longer than the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("roofline", model, "--on", "h200", "--dtype", "bf16").out.splitlines()
    assert max(map(len, lines)) <= width
    (head,) = (line for line in lines if line.startswith("layer "))
    assert "least" in head


# --- the plot ---


def found_of(model: str = "googlenet", device: str = "h200", dtype: str = "bf16") -> tuple[Roofline, Graph]:
    """The roofline of a built-in model at batch 64, and its graph."""
    spec = load_spec(model)
    graph = build_graph(spec, (64, *spec.input))
    return roofline(graph, load_device(device), dtype), graph


def record_of(found: Roofline) -> TimingRecord:
    """A measurement of twice the least times."""
    layers = tuple(LayerTiming(layer.name, 2 * layer.roofline_s + 1e-9, layer.kind) for layer in found.layers)
    return TimingRecord((Measurement(found.model, found.input[0], found.dtype, layers=layers),))


class Elements(HTMLParser):
    """A page's elements, all of which are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("form", "start"), [("svg", b"<svg"), ("png", b"\x89PNG\r\n"), ("html", b"<!DOCTYPE html>")])
def test_a_plot_is_a_file_of_its_kind(form: str, start: bytes, run: Run, tmp_path: Path) -> None:
    """By the ending or by --format, and the same bytes every time."""
    pytest.importorskip("vl_convert")
    first, second = tmp_path / f"first.{form}", tmp_path / "second"
    command = ("roofline", "lenet5", "--on", "t4")
    assert run(*command, "-o", str(first)).code == 0
    assert run(*command, "--format", form, "-o", str(second)).code == 0
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_dots_stand_on_the_roof() -> None:
    """Every layer with FLOPs at its intensity, as high as the lower roof."""
    found, graph = found_of()
    chart = roofline_chart(found, graph, {})
    (dots,) = (layer["data"]["values"] for layer in chart["layer"] if layer["mark"]["type"] == "circle")
    layers = {layer.name: layer for layer in found.layers}
    assert {dot["layer"] for dot in dots} == {layer.name for layer in found.layers if layer.flops}
    for dot in dots:
        layer = layers[dot["layer"]]
        slope = found.device.bandwidth_bytes_per_s * layer.intensity
        assert dot["x"] == layer.intensity
        assert dot["y"] == pytest.approx(min(slope, found.totals.peak_flops_per_s))
        assert dot["seconds"] == layer.roofline_s
    assert "84 of 142 layers have no FLOPs" in " ".join(chart["title"]["subtitle"])


def test_measured_dots_lie_under_the_roof(run: Run, tmp_path: Path) -> None:
    """At half of it where layers took twice their least time; those that were not measured are counted."""
    pytest.importorskip("vl_convert")
    found, graph = found_of()
    record = record_of(found)
    times = {layer.name: layer.median_s for layer in record.results[0].layers}
    dots = _dots(found, graph, times)
    assert all(dot.rate == pytest.approx(dot.layer.flops / times[dot.layer.name]) for dot in dots)
    assert all(dot.rate < 0.5001 * dot.layer.flops / dot.layer.roofline_s for dot in dots)
    (tmp_path / "timing.json").write_text(draw_json(record))
    command = ("roofline", "googlenet", "--on", "h200", "--dtype", "bf16", "--latency", str(tmp_path / "timing.json"))
    assert run(*command, "--batch", "64", "-o", str(tmp_path / "a.svg")).code == 0
    assert "as it was measured" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    wrong = run(*command, "--batch", "8", "-o", str(tmp_path / "b.svg"))
    assert wrong.code == 2
    assert "expected layers measured at batch 8 in bf16" in wrong.err
    assert "got batch 64 in bf16" in wrong.err
    assert "above the roof" not in " ".join(roofline_chart(found, graph, times)["title"]["subtitle"])
    fast = times | {"conv1.conv": next(layer.roofline_s for layer in found.layers if layer.name == "conv1.conv") / 1.54}
    said = " ".join(roofline_chart(found, graph, fast)["title"]["subtitle"])
    assert "1 of the dots stand above the roof, conv1.conv most (154.0 %)" in said
    times.pop("conv1.conv")
    assert "1 layers were not measured" in " ".join(roofline_chart(found, graph, times)["title"]["subtitle"])


def test_a_network_without_flops_has_roofs_alone(run: Run, write_spec: Callable[..., str], tmp_path: Path) -> None:
    """And a note on where its layers are."""
    pytest.importorskip("vl_convert")
    path = write_spec("name: still\ninput: [3, 8, 8]\nstages: {s: {a: ReLU}}\n")
    assert run("roofline", path, "--on", "h200", "-o", str(tmp_path / "a.svg")).code == 0
    assert "1 of 1 layers have no FLOPs" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "device", "dtype"),
    [*product(("googlenet", "vgg16", "inception_v3", "resnet152", "lenet5"), ("h200", "t4", "xeon8480"), ("fp16",))],
)
def test_labels_cover_nothing(model: str, device: str, dtype: str) -> None:
    """Neither a dot nor each other, and all lie inside the plot; the longest layer has one."""
    found, graph = found_of(model, device, dtype)
    dots = _dots(found, graph, {})
    x, y = _scales(found, dots)
    points = _points(dots, x, y)
    plot = Box(0, 0, WIDTH, HEIGHT)
    circles = [point.box for point in points]
    labels = place_labels(points, circles, plot, 11)
    boxes = []
    for label in labels:
        width = 5 * len(label.point.text)
        left = label.x if label.side == "left" else label.x - width
        boxes.append(Box(left, label.y - 5, left + width, label.y + 5))
    assert len(boxes) >= min(4, len(points))
    for place, box in enumerate(boxes):
        assert box.inside(plot)
        assert not any(box.meets(other) for other in (*circles, *boxes[:place]))
    chart = roofline_chart(found, graph, {})
    names = [
        value["text"] for layer in chart["layer"] if layer["mark"].get("align") for value in layer["data"]["values"]
    ]
    assert any(points[0].text == name for name in names)


def test_a_plot_of_more_layers_than_can_be_seen_is_refused(run: Run, write_spec: Callable[..., str]) -> None:
    """Before it is drawn."""
    layer = "{Conv2d: {out_channels: 1, kernel_size: 1}}"
    path = write_spec(f"name: many\ninput: [1, 2, 2]\nstages: {{s: [{{repeat: {{times: 10001, layer: {layer}}}}}]}}\n")
    result = run("roofline", path, "--on", "h200", "--format", "svg")
    assert result.code == 2
    assert "expected a plot of at most 10,000 layers with FLOPs, got 10,001" in result.err


def test_a_label_without_room_is_left_out() -> None:
    """Rather than drawn over something."""
    point = Point(50, 50, 5, "a name that is much too long for a plot as small as this")
    assert place_labels([point], [], Box(0, 0, 100, 100), 11) == []


def test_a_page_runs_its_own_scripts_alone(run: Run, write_spec: Callable[..., str], tmp_path: Path) -> None:
    """Whatever a spec is called; nothing is loaded from anywhere."""
    pytest.importorskip("vl_convert")
    path = tmp_path / "page.html"
    assert run("roofline", write_spec(HOSTILE), "--on", "h200", "-o", str(path)).code == 0
    text = path.read_text(encoding="utf-8")
    elements = Elements(text).seen
    assert [attributes.get("type") for tag, attributes in elements if tag == "script"] == [
        "application/json",
        None,
        None,
    ]
    assert not [tag for tag, attributes in elements if "src" in attributes or tag in ("img", "b")]
    (policy,) = (attributes["content"] for _, attributes in elements if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "<script>alert(1)" not in text


@pytest.mark.parametrize("form", ["svg", "html"])
def test_without_what_draws_it(form: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it, and exit code 3; the table needs nothing."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = run("roofline", "lenet5", "--on", "t4", "-o", str(tmp_path / f"a.{form}"))
    assert (result.code, list(tmp_path.iterdir())) == (3, [])
    assert "a plot needs vl_convert, which is not installed. Install it with: pip install" in result.err
    assert run("roofline", "lenet5", "--on", "t4").code == 0
