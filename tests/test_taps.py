"""Taps: what a detector can take from a backbone, beside what timm says of the same networks."""

import json
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from gnet_inspect import build_graph, cut, load_spec, parse_spec, summarize
from gnet_inspect.analysis.taps import Tap, find_taps
from gnet_inspect.graph import Graph
from gnet_inspect.language import catalogue
from tests.conftest import Run

# By timm's name, ours. timm leaves out what stands behind the last block of these: a convolution to more channels.
TIMM = {
    "resnet50": "resnet50",
    "vgg16": "vgg16",
    "inception_v3": "inception_v3",
    "densenet121": "densenet121",
    "swin_tiny_patch4_window7_224": "swin_t",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv2_100": "mobilenet_v2",
    "efficientnet_b0": "efficientnet_b0",
}
WIDENED = {"mobilenetv2_100", "efficientnet_b0"}


def taps_of(name: str) -> tuple[Tap, ...]:
    """Those of a model of the catalogue."""
    return find_taps(build_graph(load_spec(name))).taps


def check_cuts(graph: Graph) -> None:
    """A cut at the name of each tap ends there, and costs what the tap says."""
    for tap in find_taps(graph).taps:
        backbone = cut(graph, tap.name)
        totals = summarize(backbone).totals
        assert (totals.params, totals.macs) == (tap.params, tap.macs), tap.name
        assert backbone.shapes()[backbone.output] == tap.output_shape, tap.name


def test_every_tap_of_the_catalogue_is_a_cut() -> None:
    """Each model with an image for an input has some, each coarser than the one before, but U-Net's way back."""
    for name in catalogue():
        graph = build_graph(load_spec(name))
        check_cuts(graph)
        sizes = [max(tap.output_shape[2:]) for tap in find_taps(graph).taps if name not in ("unet", "swin_t")]
        assert sizes == sorted(sizes, reverse=True), name
        assert find_taps(graph).taps


@pytest.mark.torchvision
@pytest.mark.parametrize("theirs", TIMM)
def test_taps_are_those_of_timm(torchvision: ModuleType, theirs: str) -> None:
    """By channels and reduction, timm's names for what a feature pyramid reads (timm imports torchvision)."""
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        info = timm.create_model(theirs, features_only=True, pretrained=False).feature_info
    own = [(tap.channels, tap.stride[0] or (tap.jump or (0,))[0]) for tap in taps_of(TIMM[theirs])]
    end = -1 if theirs in WIDENED else None
    assert own[:end] == list(zip(info.channels(), info.reduction(), strict=True))[:end]
    if theirs in WIDENED:
        assert own[-1] == (1280, 32)


def test_names_are_those_of_modules() -> None:
    """So that who knows the module finds them there."""
    assert [tap.name for tap in taps_of("resnet50")] == ["relu", "layer1", "layer2", "layer3", "layer4"]
    assert [tap.name for tap in taps_of("mobilenet_v2")] == [f"features.{place}" for place in (1, 3, 6, 13, 18)]


def test_encoders_with_skip_connections_have_taps_too() -> None:
    """On the way down and on the way back; branches beside one another have none."""
    assert [tap.name for tap in taps_of("unet")][:6] == [*(f"encode{place}" for place in range(1, 6)), "decode4"]
    text = (Path(__file__).parent / "specs" / "deeplabv3_resnet50.yaml").read_text(encoding="utf-8")
    graph = build_graph(parse_spec(text))
    check_cuts(graph)
    assert [tap.stride[0] for tap in find_taps(graph).taps][:3] == [2, 4, 8]


def test_what_has_no_height_and_width_has_no_taps(run: Run, tmp_path: Path) -> None:
    """Rows of numbers, tokens."""
    path = tmp_path / "rows.yaml"
    path.write_text("{name: rows, input: [5], stages: {a: {fc: {Linear: {out_features: 3}}}}}")
    result = run("taps", str(path))
    assert (result.code, "no taps: nothing of this network has a height" in result.out) == (0, True)


def test_the_command_says_the_same_in_every_format(run: Run) -> None:
    """Of the network at an input, and cut."""
    taps = json.loads(run("taps", "resnet18", "--input", "1x3x512x256", "--format", "json").out)["taps"]
    assert [tap["stride"] for tap in taps] == [[2, 2], [4, 4], [8, 8], [16, 16], [32, 32]]
    assert taps[-1]["output_shape"] == [1, 512, 16, 8]
    rows = run("taps", "resnet18", "--format", "csv").out.splitlines()
    assert rows[5].startswith("layer4,conv5_x,1x512x7x7,512,32,32,")
    assert "| layer4 | conv5\\_x | 1x512x7x7 | 512 | 32 |" in run("taps", "resnet18", "--format", "markdown").out
    assert "layer3" not in run("taps", "resnet18", "--until", "layer2").out


def test_large_networks_are_answered_at_once() -> None:
    """Ten thousand blocks right in a stage, each of which could be beside others."""
    layers = ", ".join(f"b{index}: {{block: {{}}}}" for index in range(10_000))
    text = "{name: m, input: [3, 8, 8], blocks: {block: {layers: {a: ReLU, b: ReLU}}}, stages: {a: {"
    taps = find_taps(build_graph(parse_spec(f"{text}{layers}}}}}}}"))).taps
    assert [(tap.name, tap.stride) for tap in taps] == [("b9999", (1, 1))]
