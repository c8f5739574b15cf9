"""Every model of the catalogue, by being in it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gnet_inspect.analysis.audit import audit
from gnet_inspect.analysis.listing import KEPT, keep_catalogue, list_catalogue
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.language.catalogue import specs_folder
from gnet_inspect.ops.convolution import Conv2d, ConvTranspose2d, Linear
from gnet_inspect.sources.spec import build_graph
from tests.conftest import TWINS, twin

ORACLE = Path(__file__).parent / "oracle"
MODELS = catalogue()
# Without heads both modes are one network.
VARIANTS = [(model, mode) for model in MODELS for mode in ("eval", "train")[: 2 if load_spec(model).heads else 1]]


@pytest.mark.parametrize(("model", "mode"), VARIANTS)
def test_every_model_is_verified_against_torch_and_the_peers(model: str, mode: str) -> None:
    """Shapes by forward hooks, parameters, MACs by fvcore and torch's counter, totals by torchinfo; batch 2."""
    for package in ("torch", "fvcore", "torchinfo"):
        pytest.importorskip(package)
    from gnet_inspect.runtime.verify import run_checks

    spec = load_spec(model)
    checks = run_checks(build_graph(spec, (2, *spec.input), mode=mode))
    assert [check for check in checks if not check.ok] == []


@pytest.mark.parametrize("model", MODELS)
def test_every_model_names_itself_and_its_sources(model: str) -> None:
    """The file's name is the model's, and nothing published disagrees with the spec."""
    spec = load_spec(model)
    assert spec.name == model
    assert spec.title
    assert spec.year
    assert spec.family
    assert not [row for row in audit(spec) if row.verdict == "disagrees"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_short_enough_to_read(model: str) -> None:
    """At most 120 lines, its published figures apart."""
    text = (specs_folder() / f"{model}.yaml").read_text()
    assert text.partition("\npublished:")[0].count("\n") <= 120


def test_the_kept_totals_of_the_catalogue_are_what_is_computed(request: pytest.FixtureRequest) -> None:
    """specs/catalogue.json, record by record and byte by byte; `make goldens` writes it anew."""
    path, text = specs_folder() / KEPT, keep_catalogue()
    if request.config.getoption("--overwrite"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} is stale; `make goldens` writes it anew"


def test_an_edited_spec_is_listed_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The digest guards what is kept: an edit, a new spec and a file of another version are all computed."""
    for name in ("lenet5.yaml", "nin.yaml", KEPT):
        (tmp_path / name).write_bytes((specs_folder() / name).read_bytes())
    for module in ("gnet_inspect.language.catalogue", "gnet_inspect.analysis.listing"):
        monkeypatch.setattr(import_module(module), "specs_folder", lambda: tmp_path)
    before = {model.model: model for model in list_catalogue().models}
    text = (tmp_path / "lenet5.yaml").read_text()
    (tmp_path / "lenet5.yaml").write_text(text.replace("{classes: 10}", "{classes: 11}"))
    (tmp_path / "new.yaml").write_text(
        "name: new\ninput: [1, 8, 8]\nstages: {s: {a: {Conv2d: {out_channels: 2, kernel_size: 1}}}}"
    )
    after = {model.model: model for model in list_catalogue().models}
    assert after["lenet5"].totals.params == before["lenet5"].totals.params + 85
    assert after["nin"] == before["nin"]
    assert after["new"].totals.params == 4
    (tmp_path / KEPT).write_text('{"nin": {"digest": "0"}}')
    assert list_catalogue().models == tuple(after.values())


def test_totals(golden: Callable[[str, str], None]) -> None:
    """Every model's totals in both modes, in tests/golden/totals.json."""
    totals = {}
    for model, mode in VARIANTS:
        summary = summarize(build_graph(load_spec(model), mode=mode))
        totals[f"{model} {mode}"] = {
            name: getattr(summary.totals, name)
            for name in (
                *("params", "buffers", "macs", "activation_bytes"),
                *("peak_activation_bytes", "least_peak_activation_bytes", "receptive_field"),
            )
        }
    golden("totals.json", json.dumps(totals, indent=1) + "\n")


@pytest.mark.parametrize(
    ("model", "mode", "shape", "params", "macs"),
    [
        ("googlenet", "eval", (1, 3, 224, 224), 6_998_552, 1_582_671_872),
        ("googlenet", "train", (1, 3, 224, 224), 13_378_280, 1_582_671_872 + 4_169_728 + 4_202_496),
        ("googlenet_torchvision", "eval", (1, 3, 224, 224), 6_624_904, 1_498_376_192),
        ("googlenet_torchvision", "train", (1, 3, 224, 224), 13_004_888, 1_506_748_416),
        ("googlenet_d2l", "eval", (1, 1, 96, 96), 5_977_530, 276_066_304),
        ("googlenet_d2l", "eval", (1, 1, 224, 224), 5_977_530, 1_502_982_144),
        ("googlenet_naive", "eval", (1, 3, 224, 224), 25_305_944, 4_426_547_200),
        ("alexnet", "eval", (1, 3, 224, 224), 61_100_840, 714_188_480),
        ("alexnet_original", "eval", (1, 3, 227, 227), 60_965_224, 724_406_816),
        ("nin", "eval", (1, 3, 224, 224), 7_595_176, 1_100_188_800),
        ("lenet5", "eval", (1, 1, 32, 32), 61_706, 416_520),
        ("vgg11", "eval", (1, 3, 224, 224), 132_863_336, 7_609_090_048),
        ("vgg13", "eval", (1, 3, 224, 224), 133_047_848, 11_308_466_176),
        ("vgg16", "eval", (1, 3, 224, 224), 138_357_544, 15_470_264_320),
        ("vgg19", "eval", (1, 3, 224, 224), 143_667_240, 19_632_062_464),
        ("bn_inception", "eval", (1, 3, 224, 224), 11_285_224, 2_032_600_064),
        ("inception_v3", "eval", (1, 3, 299, 299), 23_834_568, 5_713_216_096),
        ("inception_v3", "train", (1, 3, 299, 299), 27_161_264, 5_718_899_296),
        ("inception_v3", "eval", (1, 3, 224, 224), 23_834_568, 2_837_921_120),
        ("inception_v4", "eval", (1, 3, 299, 299), 42_679_816, 12_253_974_624),
        ("inception_resnet_v2", "eval", (1, 3, 299, 299), 55_843_464, 13_155_794_016),
        ("resnet18", "eval", (1, 3, 224, 224), 11_689_512, 1_814_073_344),
        ("resnet34", "eval", (1, 3, 224, 224), 21_797_672, 3_663_761_408),
        ("resnet50", "eval", (1, 3, 224, 224), 25_557_032, 4_089_184_256),
        ("resnet101", "eval", (1, 3, 224, 224), 44_549_160, 7_801_405_440),
        ("resnet152", "eval", (1, 3, 224, 224), 60_192_808, 11_513_626_624),
        ("mobilenet_v2", "eval", (1, 3, 224, 224), 3_504_872, 300_774_272),
        ("mobilenet_v3_large", "eval", (1, 3, 224, 224), 5_483_032, 216_589_760),
        ("mobilenet_v3_small", "eval", (1, 3, 224, 224), 2_542_856, 56_510_400),
        ("efficientnet_b0", "eval", (1, 3, 224, 224), 5_288_548, 385_814_752),
        ("mnasnet1_0", "eval", (1, 3, 224, 224), 4_383_312, 314_415_872),
        ("regnet_y_400mf", "eval", (1, 3, 224, 224), 4_344_144, 401_842_848),
        ("convnext_tiny", "eval", (1, 3, 224, 224), 28_589_128, 4_455_531_264),
        ("vit_b_16", "eval", (1, 3, 224, 224), 86_567_656, 17_563_828_224),
        ("swin_t", "eval", (1, 3, 224, 224), 28_288_354, 4_490_566_656),
        ("squeezenet1_0", "eval", (1, 3, 224, 224), 1_248_424, 818_924_576),
        ("squeezenet1_1", "eval", (1, 3, 224, 224), 1_235_496, 349_151_936),
        ("densenet121", "eval", (1, 3, 224, 224), 7_978_856, 2_834_161_664),
        ("shufflenet_v2_x1_0", "eval", (1, 3, 224, 224), 2_278_604, 144_907_992),
        ("resnext50_32x4d", "eval", (1, 3, 224, 224), 25_028_904, 4_230_479_872),
        ("wide_resnet50_2", "eval", (1, 3, 224, 224), 68_883_240, 11_398_021_120),
        ("xception", "eval", (1, 3, 299, 299), 22_855_952, 8_357_403_496),
    ],
)
def test_known_totals(model: str, mode: str, shape: tuple[int, ...], params: int, macs: int) -> None:
    """The figures everyone can look up: Caffe's prototxts, torchvision's and timm's metadata, d2l's notebook."""
    totals = summarize(build_graph(load_spec(model), shape, mode=mode)).totals
    assert (totals.params, totals.macs) == (params, macs)


@pytest.mark.parametrize(
    ("model", "weights", "macs"),
    [
        ("bn_inception", 11_264_192, 2_032_600_064),
        ("se_bn_inception", 11_903_552, 2_033_239_424),
        ("unet", 31_023_808, 150_428_424_448),
        ("inception_v4", 42_615_648, 12_253_974_624),
        ("inception_resnet_v1", 22_709_088, 6_206_361_696),
        ("inception_resnet_v2_paper", 32_375_904, 9_257_953_632),
    ],
)
def test_networks_of_figures_hold_the_weights_their_papers_draw(model: str, weights: int, macs: int) -> None:
    """Weights of convolutions and linear layers, biases apart: kernel area x channels, added up from the figures."""
    nodes = [
        node for node in build_graph(load_spec(model)).nodes if isinstance(node.op, Conv2d | ConvTranspose2d | Linear)
    ]
    assert sum(node.params - node.output_shape[1] * node.op.bias for node in nodes) == weights  # type: ignore[attr-defined]  # both have it
    assert sum(node.macs for node in nodes if node.macs is not None) == macs
    assert all(node.macs is not None for node in nodes)


@pytest.mark.parametrize(
    ("model", "others"),
    [
        ("inception_resnet_v1", ["inception_v3"]),
        ("inception_resnet_v2_paper", ["inception_v4", "inception_resnet_v2"]),
    ],
)
def test_costs_that_notes_compare_are_the_models(model: str, others: list[str]) -> None:
    """In the words of the note: G of each, to two decimals."""
    for name in (model, *others):
        cost = summarize(build_graph(load_spec(name))).totals.macs
        assert f"{cost / 1e9:.2f} G" in load_spec(model).notes


def test_googlenet_without_reductions_and_projections_is_what_its_note_says() -> None:
    """97.5 M and 12.6 G once the pools pass the whole input on; and what the nine blocks' reductions save."""
    text = (specs_folder() / "googlenet_naive.yaml").read_text()
    text = text.replace(", {conv: {out: $c4}}]", "]").replace("[c1, c2, c3, c4]", "[c1, c2, c3]")
    naive = summarize(build_graph(parse_spec(re.sub(r", c4: +\d+", "", text)))).totals
    assert (naive.params, naive.macs) == (97_526_008, 12_568_061_056)
    notes = load_spec("googlenet_naive").notes
    assert "97.5 M parameters, 12.6 G" in notes
    kept, reduced = (summarize(build_graph(load_spec(name))).totals for name in ("googlenet_naive", "googlenet"))
    assert (kept.params - reduced.params, kept.macs - reduced.macs) == (18_307_392, 2_843_875_328)
    assert "18.3 M parameters and 2.84 G" in notes


@pytest.mark.parametrize(
    ("size", "outputs"),
    [
        (96, [(64, 24, 24), (192, 12, 12), (480, 6, 6), (832, 3, 3), (1024,), (10,)]),
        (224, [(64, 56, 56), (192, 28, 28), (480, 14, 14), (832, 7, 7), (1024,), (10,)]),
    ],
)
def test_d2l_stage_outputs(size: int, outputs: list[tuple[int, ...]]) -> None:
    """What the book's notebook prints, stage by stage."""
    stages = summarize(build_graph(load_spec("googlenet_d2l"), (1, 1, size, size))).stages
    assert [stage.output_shape[1:] for stage in stages] == outputs


def test_floor_mode_pools_lose_nine_and_a_half_percent_of_the_macs_at_equal_params() -> None:
    """Why a check of parameters alone is none."""
    pools = {f"maxpool{index}.ceil_mode": False for index in (1, 2, 3, 4)}
    summary = summarize(build_graph(load_spec("googlenet"), overrides=pools))
    assert (summary.totals.params, summary.totals.macs) == (6_998_552, 1_431_556_352)


def leaves(graph: Graph, names: Collection[str]) -> list[list[Any]]:
    """Our nodes of those names, as a trace records modules; what a library computes by functions has none."""
    return [
        [node.name, node.op.kind, list(node.input_shapes[0]), list(node.output_shape), node.params, node.macs]
        for node in graph.nodes
        if node.name in names
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in ORACLE.glob("*.json")))
def test_every_leaf_equals_the_recorded_trace(name: str) -> None:
    """Name, class, shapes, parameters, MACs and order, as traced on torchvision's own modules."""
    record = json.loads((ORACLE / f"{name}.json").read_text())
    model = name.partition("_eval")[0].partition("_train")[0]
    graph = build_graph(load_spec(model), tuple(record["input"]), mode=record["mode"])
    assert leaves(graph, {layer[0] for layer in record["layers"]}) == record["layers"]
    totals = summarize(graph).totals
    assert {key: getattr(totals, key) for key in record["totals"]} == record["totals"]


# timm lists a block's projection before the layers that it runs first; ours runs in the order of the state dict.
REORDERED = ("xception",)
# One layer with us: of the layers inside, attention reads the weights alone.
WHOLE = ("MultiheadAttention", "ShiftedWindowAttention")


def calls_of(module: Any, x: Any) -> list[list[Any]]:
    """Every call of a leaf of another library's module. What is called more than once has a name of its own with us:
    `relu` there is `relu1`, `relu2`, ... here; timm's BatchNormAct2d is its BatchNorm2d."""
    import torch

    found: list[list[Any]] = []
    handles = []
    fused = [name for name, layer in module.named_modules() if type(layer).__name__ == "BatchNormAct2d"]
    for name, layer in module.named_modules():
        whole = type(layer).__name__ in WHOLE or not list(layer.children())
        if name in fused or (whole and name.rpartition(".")[0] not in fused):

            def hook(layer: Any, inputs: Any, output: Any, name: str = name) -> None:
                params = sum(parameter.numel() for parameter in layer.parameters())
                kind = type(layer).__name__.removesuffix("Act2d")
                kind += "2d" if name in fused else ""
                made = output[0] if isinstance(output, tuple) else output
                found.append([name, kind, list(inputs[0].shape), list(made.shape), params])

            handles.append(layer.register_forward_hook(hook))
    try:
        with torch.no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    return named_apart(found)


def named_apart(found: list[list[Any]]) -> list[list[Any]]:
    """The calls, those of a layer that is called more than once with a number behind its name."""
    times = Counter(call[0] for call in found)
    seen: Counter[str] = Counter()
    for call in found:
        seen[call[0]] += 1
        if times[call[0]] > 1:
            call[0] += str(seen[call[0]])
    return found


@lru_cache(maxsize=1)
def theirs_on_meta(torchvision: ModuleType, model: str, mode: str) -> Any:
    """The other library's module, made once for all shapes: its weights have no values, and a forward pass leaves
    nothing behind."""
    import torch

    from gnet_inspect.runtime.verify import prepared

    with torch.device("meta"):
        return prepared(twin(torchvision, model, heads=mode == "train").to("meta"), mode)


@pytest.mark.torchvision
@pytest.mark.parametrize(
    "shape", [(2, 3, 299, 299), (1, 3, 224, 224), (1, 3, 320, 256), (8, 3, 97, 131), (3, 3, 63, 200)]
)
@pytest.mark.parametrize(("model", "mode"), [each for each in VARIANTS if each[0] in TWINS])
def test_every_leaf_equals_the_other_librarys_module(
    torchvision: ModuleType, model: str, shape: tuple[int, ...], mode: str
) -> None:
    """The same at other sizes and batches, against the live module on the meta device."""
    import torch

    theirs = theirs_on_meta(torchvision, model, mode)
    x = torch.empty(shape, device="meta")
    try:
        graph = build_graph(load_spec(model), shape, mode=mode)
    except GnetError:
        with pytest.raises((RuntimeError, AssertionError)):  # what we refuse, they refuse
            theirs(x)
        return
    calls = calls_of(theirs, x)
    # What the library computes by functions (concatenation, most pools of Inception v3) has no module there.
    ours = [leaf[:5] for leaf in leaves(graph, {call[0] for call in calls})]
    assert ours == calls if model not in REORDERED else sorted(ours) == sorted(calls)
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    assert summarize(graph).totals.params == parameters
