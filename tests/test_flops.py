"""`flops`: every tool's number to the digit, by running the tool on the built module."""

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from gnet_inspect.analysis.conventions import CONVENTIONS, count_flops
from gnet_inspect.analysis.memory import may_lie_otherwise
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.ops import TOOLS, VOCABULARY, Opaque
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.grid import draw_csv, draw_text
from gnet_inspect.views.tables.flops import flops_grid, flops_rows
from tests.conftest import GOLDEN, TWINS, Run, twin
from tests.specs import HEADER, RELATIVES, graph_of, model_graph

ROOT = Path(__file__).parent.parent
DRAWN = 60
MODELS = catalogue()
# What their kinds of layers say on purpose that they do not know of a tool.
UNKNOWN = {
    *(("convnext_tiny", "ptflops_aten"), ("vit_b_16", "ptflops_aten"), ("swin_t", "ptflops_aten")),
    ("vit_b_16", "fvcore"),
}
# For the relatives of others the tools of the device meta that verification (tests/test_catalogue.py) does not run are
# enough. It runs torch's own, fvcore and torchinfo on every model.
FEW_TOOLS = ("ptflops_aten", "thop")
# U-Net multiplies 150 G times: a tool that does so with real tensors does it at the smallest input that fits.
SMALLEST = {"unet": (188, 188)}
WITH_HEADS = [model for model in MODELS if load_spec(model).heads]


def totals_of(graph: Graph) -> dict[str, int | None]:
    """Our total for each tool, None where it is not known."""
    totals = asdict(count_flops(graph).totals)
    return {tool: totals[tool] for tool in TOOLS}


def check_totals(graph: Graph, unknown: Collection[str] = ()) -> None:
    """Every tool prints our number, but those that we say are unknown."""
    pytest.importorskip("torch")
    from gnet_inspect.runtime.verify import example_inputs
    from tests.peers import RUNNERS, built, ready

    totals = totals_of(graph)
    assert {tool for tool, total in totals.items() if total is None} == set(unknown)
    for tool, total in totals.items():
        if total is not None:
            package, run, device = RUNNERS[tool]
            with ready(package):
                assert run(built(graph)(device), *example_inputs(graph, device)) == total, tool


# --- the catalogue ---


@pytest.mark.parametrize(
    ("model", "mode", "tool"),
    [
        (model, mode, tool)
        for model in MODELS
        for mode in ("eval", "train")[: 2 if model in WITH_HEADS else 1]
        for tool in (FEW_TOOLS if model in RELATIVES else TOOLS)
    ],
)
def test_every_model_is_counted_as_the_tool_counts_it(model: str, mode: str, tool: str) -> None:
    """The tool itself, run on the built module; heads in training mode."""
    pytest.importorskip("torch")
    from tests.peers import RUNNERS, built, printed

    graph = model_graph(model, mode)
    if model in SMALLEST and RUNNERS[tool][2] == "cpu":
        graph = build_graph(load_spec(model), (1, graph.input_shape[1], *SMALLEST[model]), mode=mode)
    total = totals_of(graph)[tool]
    assert (total is None) == ((model, tool) in UNKNOWN)
    if total is not None:
        assert total == printed(tool, built(graph), graph.input_shape)


@pytest.mark.parametrize("model", [model for model in MODELS if model not in WITH_HEADS])
def test_training_changes_nothing_where_there_are_no_heads(model: str) -> None:
    """So the runs in eval mode prove both."""
    assert totals_of(model_graph(model, "train")) == totals_of(model_graph(model))


@pytest.mark.parametrize(
    ("model", "mode", "shape"),
    [
        ("googlenet", "eval", (3, 3, 97, 131)),
        ("googlenet", "train", (2, 3, 224, 224)),
        ("googlenet_torchvision", "eval", (2, 3, 320, 256)),
        ("googlenet_torchvision", "train", (2, 3, 63, 200)),
        ("googlenet_d2l", "eval", (5, 1, 224, 224)),
    ],
)
def test_batches_and_sizes(model: str, mode: str, shape: tuple[int, ...]) -> None:
    """Batches include every image, and windows that do not divide their input are rounded as thop rounds them."""
    check_totals(build_graph(load_spec(model), shape, mode=mode))


# --- the vocabulary ---

CONV = "Conv2d: {out_channels: 6, kernel_size: 3%s}"
POOL = "{kernel_size: 3, stride: 2, padding: 1, ceil_mode: true}"
INPLACE = ("ReLU", "ReLU6", "LeakyReLU", "SiLU", "Dropout")
LAYERS = (
    *(CONV % text for text in ("", ", bias: false", ", stride: [2, 1], padding: [0, 1], dilation: 2", ", groups: 3")),
    *(CONV % text for text in (", padding: same", ", padding: valid, bias: false", ", padding: same, dilation: 2")),
    "Conv2d: {out_channels: 6, kernel_size: 4, padding: same}",
    *(f"BatchNorm2d: {{affine: {a}, track_running_stats: {t}}}" for a in ("true", "false") for t in ("true", "false")),
    *(
        f"ConvTranspose2d: {{out_channels: 6, kernel_size: 3{text}}}"
        for text in ("", ", bias: false", ", stride: [2, 3], padding: [0, 1], output_padding: [1, 0]", ", groups: 3")
    ),
    "ConvTranspose2d: {out_channels: 3, kernel_size: [2, 4], stride: 2, dilation: 2, groups: 3, bias: false}",
    # Smaller than its input: a tool that counts by outputs counts less.
    "ConvTranspose2d: {out_channels: 6, kernel_size: 2, padding: 5}",
    *(f"Upsample: {{{size}}}" for size in ("scale_factor: 2", "scale_factor: [2.5, 1.5]", "size: 40", "size: [7, 50]")),
    *(f"Upsample: {{scale_factor: 2, mode: {mode}}}" for mode in ("nearest-exact", "bilinear", "bicubic")),
    "Upsample: {scale_factor: 0.5, mode: bilinear, align_corners: true, recompute_scale_factor: true}",
    "LocalResponseNorm: {size: 5}",
    "LocalResponseNorm: {size: 4, alpha: 2, beta: 1, k: 0.5}",
    *(f"{kind}: {{inplace: {value}}}" for kind in INPLACE for value in ("true", "false")),
    *("Sigmoid: {}", "Tanh: {}", "GELU: {}", "GELU: {approximate: tanh}", "Identity: {}", "Flatten: {}"),
    *(f"Softmax: {{dim: {dim}}}" for dim in (0, 1, 2, -1)),
    *("MaxPool2d: {kernel_size: 2}", f"MaxPool2d: {POOL}", "MaxPool2d: {kernel_size: [3, 2], dilation: 2}"),
    *("AvgPool2d: {kernel_size: 2}", f"AvgPool2d: {POOL}"),
    "AvgPool2d: {kernel_size: 3, padding: 1, count_include_pad: false, divisor_override: 2}",
    *(f"AdaptiveAvgPool2d: {{output_size: {size}}}" for size in ("1", "5", "[7, 3]", "[null, 4]", "40")),
    "AdaptiveAvgPool2d: {output_size: [null, null]}",
    # ((32 / 7)**2 + 1) * 294 is 6437.999... in double precision: thop counts 6437.
    "AdaptiveAvgPool2d: {output_size: 7}",
    "ChannelAffine: {scale: [1, 2, 3], shift: [0, 0, 1]}",
    *("concat: [{}, {x: {Conv2d: {out_channels: 2, kernel_size: 1}}}]", "concat: [{}]"),
    *("add: [{}, {x: Tanh}, {y: Tanh}]", "add: {scale: 0.17, branches: [{}, {x: Tanh}]}"),
    *("[Flatten, {Linear: {out_features: 7}}]", "[Flatten, {Linear: {out_features: 7, bias: false}}, Softmax, GELU]"),
)


def around(layer: str) -> str:
    """A network whose second layer it is; the first one gives it a tensor that it may overwrite."""
    one = layer if layer.startswith("[") else f"{{{layer}}}"
    return f"stages: {{s: {{first: {{Conv2d: {{out_channels: 3, kernel_size: 1}}}}, layer: {one}}}}}"


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_is_counted_as_the_tools_count_it(layer: str) -> None:
    """Each class of the vocabulary with its arguments, between other layers, two images of 32x32."""
    check_totals(build_graph(parse_spec(HEADER + around(layer)), (2, 3, 32, 32)))


def test_the_layers_above_are_the_whole_vocabulary() -> None:
    """A new class needs a case: here, or among the kinds whose every example the tools are run on."""
    pytest.importorskip("torch")
    from tests.kinds import KINDS

    here = {kind for kind in VOCABULARY if any(re.search(rf"\b{kind}\b", layer) for layer in LAYERS)}
    assert set(VOCABULARY) - here - set(KINDS) == set()


# --- drawn networks ---


def unknown_tools(graph: Graph) -> set[str]:
    """The tools of which some layer that they run says nothing."""
    heads, disordered = graph.head_prefixes, may_lie_otherwise(graph)
    needed = {output.value.partition(":")[0] for output in graph.outputs}
    for node in reversed(graph.nodes):
        needed.update(name.partition(":")[0] for name in node.inputs if node.name in needed)
    found: set[str] = set()
    for node in graph.nodes:
        missing = TOOLS if node.macs is None else set(TOOLS) - node.op.differences(node).keys()
        if not disordered.isdisjoint(node.inputs):
            missing = {*missing, *node.op.tools_by_order(node)}
        in_head = bool(heads) and node.name.startswith(heads)
        # fvcore traces what the outputs need.
        skipping = {tool.key for tool in CONVENTIONS if in_head and not tool.runs_heads}
        found |= set(missing) - skipping - ({"fvcore"} if node.name not in needed else set())
    return found


def test_any_network_is_counted_as_the_tools_count_it() -> None:
    """Drawn specs of the whole language, in both modes, with and without a batch."""
    pytest.importorskip("torch")
    from hypothesis import given
    from hypothesis import strategies as st

    from tests.strategies import Document, specs, to_yaml
    from tests.test_properties import examples

    @examples(DRAWN)
    @given(specs(faults=False), st.sampled_from(("eval", "train")), st.sampled_from((1, 1, 3)))
    def check(document: Document, mode: str, batch: int) -> None:
        try:
            spec = parse_spec(to_yaml(document))
            graph = build_graph(spec, [(batch, *given.shape) for given in spec.inputs], mode=mode)
        except GnetError:
            return
        check_totals(graph, unknown_tools(graph))

    check()


def test_a_trace_leaves_out_what_no_output_needs() -> None:
    """fvcore alone counts less, and says why."""
    layer = "{Conv2d: {out_channels: 4, kernel_size: 1}}"
    graph = graph_of(f"outputs: {{out: a}}\nstages: {{s: {{a: {layer}, b: {layer}}}}}")
    check_totals(graph)
    counts = count_flops(graph)
    unread = graph.nodes[1].macs
    assert counts.totals.fvcore == counts.totals.macs - (unread or 0)
    (why,) = (item for item in counts.differences if item.tool == "fvcore")
    assert why.why.startswith("layers that no output needs")


# --- what is said beside the numbers ---


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", MODELS)
def test_kinds_and_explanations_add_up(model: str, mode: str) -> None:
    """Every column sums to its total, and every total is MACs and its differences."""
    counts = count_flops(model_graph(model, mode))
    totals = asdict(counts.totals)
    for name, total in totals.items():
        numbers = [getattr(kind, name) for kind in counts.kinds]
        # One kind that is not known leaves the total unknown, too.
        assert total == (None if None in numbers else sum(numbers))
    for tool in TOOLS:
        if (model, tool) in UNKNOWN:
            assert totals[tool] is None
            assert not [item for item in counts.differences if item.tool == tool]
            continue
        assert totals["macs"] + sum(item.amount for item in counts.differences if item.tool == tool) == totals[tool]


def noted(graph: Graph, start: str) -> int:
    """The number at the end of the note that starts so."""
    (note,) = (note for note in count_flops(graph).notes if note.startswith(start))
    return int(note.rpartition(" ")[2].replace(",", ""))


@pytest.mark.parametrize("model", ["googlenet", "googlenet_torchvision"])
def test_the_note_on_batches_is_what_ptflops_prints_of_a_tensor(model: str) -> None:
    """An average over the batch of one half of what it counts."""
    torch = pytest.importorskip("torch")

    from tests.peers import built, ready, run_ptflops

    spec = load_spec(model)
    graph = build_graph(spec, (3, *spec.input), mode="train")
    x = torch.zeros(graph.input_shape)
    with ready("ptflops"):
        found = run_ptflops(built(graph)("cpu"), [x], "pytorch", lambda _: x)
    assert found == noted(graph, "ptflops:")
    assert not count_flops(build_graph(spec)).notes


def test_the_note_on_training_is_what_fvcore_prints_of_plain_training() -> None:
    """Statistics that are worked out count three more for each element."""
    torch = pytest.importorskip("torch")

    from tests.peers import built, ready, run_fvcore

    graph = model_graph("googlenet_torchvision", "train")
    with ready("fvcore"):
        found = run_fvcore(built(graph)("cpu").train(), torch.zeros(graph.input_shape))
    assert found == noted(graph, "BatchNorm with its statistics fixed")


def test_the_note_on_training_where_torch_refuses_it() -> None:
    """BatchNorm has no statistics of a single value."""
    torch = pytest.importorskip("torch")
    from tests.peers import built

    graph = graph_of("stages: {s: {a: {AdaptiveAvgPool2d: {output_size: 1}}, b: BatchNorm2d}}", mode="train")
    (note,) = count_flops(graph).notes
    assert note.endswith("torch refuses for the single value per channel of b")
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        built(graph)("cpu").train()(torch.zeros(graph.input_shape))


def test_on_the_device_meta_ptflops_counts_linear_layers_twice() -> None:
    """Why its column is what it prints on a CPU."""
    torch = pytest.importorskip("torch")

    from tests.peers import built, ready, run_ptflops

    graph = model_graph("googlenet_torchvision")
    linear = sum(node.macs or 0 for node in graph.nodes if node.op.kind == "Linear")
    assert linear
    with ready("ptflops"):
        found = run_ptflops(built(graph)("meta"), [torch.zeros(graph.input_shape, device="meta")], "pytorch")
    counted = totals_of(graph)["ptflops_pytorch"]
    assert counted is not None
    assert found == counted + linear


def test_the_versions_are_those_that_are_tested() -> None:
    """A tool that is upgraded may count otherwise."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    names = {"ptflops_pytorch": "ptflops", "ptflops_aten": "ptflops"}
    for tool in CONVENTIONS:
        assert tool.version == pinned[names.get(tool.key, tool.key)]


# --- the command ---


def test_what_nobody_can_count_is_unknown() -> None:
    """None in its row and a question mark in the table, named in the coverage, beside the known ones of its kind."""
    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 4, kernel_size: 3}}, b: ReLU, c: ReLU}}")
    whole = count_flops(graph)
    strange = replace(graph.nodes[1], op=Opaque("ReLU", graph.nodes[1].output_shape), macs=None)
    counts = count_flops(replace(graph, nodes=(graph.nodes[0], strange, graph.nodes[2])))
    unknown = next(kind for kind in counts.kinds if kind.macs is None)
    assert set(asdict(unknown).values()) == {"ReLU", 1, None}
    assert [kind.count for kind in counts.kinds if kind.kind == "ReLU"] == [1, 1]
    assert (counts.coverage.counted, counts.coverage.unknown) == (2, ("b",))
    assert counts.totals.macs == whole.totals.macs
    assert counts.totals.count == 3
    # What a tool prints of the whole is not known once it is not of a part, and no difference explains it.
    assert {getattr(counts.totals, tool) for tool in TOOLS} == {None}
    assert counts.differences == ()
    rest = [kind for kind in counts.kinds if kind.macs is not None]
    assert {kind.kind: kind.count for kind in rest} == {"Conv2d": 1, "ReLU": 1}
    assert all(None not in asdict(kind).values() for kind in rest)
    lines = [text for text, _ in draw_text(flops_grid(counts))]
    assert any(line.split() == ["ReLU", "1", *"???????"] for line in lines)
    assert lines[-1].endswith("2 of 3 nodes counted; nobody can count b")
    assert draw_csv(flops_rows(counts)).splitlines()[2:] == ["ReLU,1,,,,,,,", "ReLU,1,0,0,0,0,7200,0,0"]


def test_json_has_the_promised_keys(run: Run) -> None:
    """Keys are only ever added."""
    edited = run("flops", "googlenet", "--set", "inception4a.c2=[96,256]", "--batch", "2", "--format", "json")
    result = json.loads(edited.out)
    numbers = {"count", "macs", "torch", "fvcore", "torchinfo", "ptflops_pytorch", "ptflops_aten", "thop"}
    assert {"schema_version", "model", "input", "kinds", "totals", "mode", "coverage"} <= set(result)
    assert (result["model"], result["input"]) == ("googlenet", [2, 3, 224, 224])
    assert result["overrides"] == ["inception4a.c2=[96,256]"]
    assert set(result["totals"]) == numbers
    assert all(set(kind) == numbers | {"kind"} for kind in result["kinds"])
    assert "overrides" not in json.loads(run("flops", "googlenet", "--format", "json").out)


@pytest.mark.parametrize("model", MODELS)
def test_the_table_fits(model: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All columns at 140, the most telling ones at 80, and no line longer than the terminal."""
    # Numbers of 100 G and more are two characters longer than the columns' names.
    wide = 150 if model == "unet" else 140
    for width, columns in ((wide, list(TOOLS)), (80, ["fvcore", "torchinfo"])):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = run("flops", model).out.splitlines()
        assert max(map(len, lines)) <= width
        (head,) = (line for line in lines if line.startswith("kind "))
        assert [tool for tool in columns if tool.replace("_", " ") not in head] == []


@pytest.mark.parametrize(("flag", "value"), [("--mode", "both"), ("--format", "xml")])
def test_words_that_are_no_options_are_refused(flag: str, value: str, run: Run) -> None:
    """As by every command."""
    result = run("flops", "googlenet", flag, value)
    assert result.code == 2
    assert f"{flag}: expected" in result.err


# --- other libraries' own modules, and the tables of the documentation ---

RECORDED = GOLDEN / "flops_libraries.json"
OWN = ("alexnet", "vgg16", "googlenet_torchvision", "inception_v3", "inception_v4", "resnet50")
OWN_MODELS = [model for model in OWN if model in TWINS]
SHOWN = (
    *("alexnet_original", "nin", "vgg16", "googlenet", "googlenet_torchvision", "googlenet_d2l", "bn_inception"),
    *("inception_v3", "inception_v4", "inception_resnet_v2", "resnet50"),
)


@pytest.mark.torchvision
def test_the_libraries_own_modules(torchvision: ModuleType, golden: Callable[[str, str], None]) -> None:
    """What the tools print of them, in tests/golden/flops_libraries.json."""
    import torch

    from tests.peers import on, printed

    found: dict[str, dict[str, int]] = {}
    for model in OWN_MODELS:

        def make(device: str, model: str = model) -> Any:
            with torch.device("meta"):
                return on(device, twin(torchvision, model).eval())

        found[model] = {tool: printed(tool, make, (1, *load_spec(model).input)) for tool in TOOLS}
    golden(RECORDED.name, json.dumps(found, indent=1) + "\n")


def test_the_tools_numbers_of_torchvisions_googlenet() -> None:
    """Those that everyone gets who runs them."""
    assert json.loads(RECORDED.read_text())["googlenet_torchvision"] == {
        "torch": 2_996_752_384,
        "fvcore": 1_504_878_688,
        "torchinfo": 1_498_391_752,
        "ptflops_pytorch": 1_513_907_448,
        "ptflops_aten": 1_498_377_192,
        "thop": 1_511_332_032,
    }


def totals_table() -> str:
    """Markdown: what each tool prints of some models of the catalogue."""
    rows = []
    for model in SHOWN:
        if model in MODELS:
            totals = count_flops(model_graph(model)).totals
            rows.append([f"`{model}`", *(f"{getattr(totals, key):,}" for key in ("macs", *TOOLS))])
    return markdown_table(["model", "MACs", *(tool.name for tool in CONVENTIONS)], rows)


def libraries_table() -> str:
    """Markdown: what each tool prints of other libraries' own modules, and how much more it prints of ours."""
    rows = []
    for model, theirs in json.loads(RECORDED.read_text()).items():
        ours = totals_of(model_graph(model))
        more = {tool: f" ({ours[tool] - theirs[tool]:+,})" if ours[tool] != theirs[tool] else "" for tool in TOOLS}
        rows.append([f"`{model}`", *(f"{theirs[tool]:,}{more[tool]}" for tool in TOOLS)])
    return markdown_table(["model", *(tool.name for tool in CONVENTIONS)], rows)


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """A table whose columns but the first hold numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


@pytest.mark.parametrize("table", [totals_table, libraries_table])
def test_the_tables_of_the_documentation(table: Callable[[], str], request: pytest.FixtureRequest) -> None:
    """They are made here, between comments that name them; `--overwrite` writes them anew."""
    path = ROOT / "docs" / "counting.md"
    text = path.read_text(encoding="utf-8")
    quoted = re.compile(rf"(<!-- {table.__name__} -->\n).*?(<!-- end -->\n)", re.DOTALL)
    made = quoted.sub(lambda match: f"{match[1]}{table()}{match[2]}", text)
    assert quoted.search(text)
    if request.config.getoption("--overwrite"):
        path.write_text(made, encoding="utf-8")
    assert made == path.read_text(encoding="utf-8"), "`make goldens` writes the tables anew"
