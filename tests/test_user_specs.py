"""Networks of none of the catalogue's kinds, written by the documentation alone: tests/specs."""

from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

from gnet_inspect.analysis.receptive import receptive_fields
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.graph import Graph
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.language.document import read_document
from gnet_inspect.language.schema import json_schema
from gnet_inspect.sources.spec import build_graph
from tests.test_flops import check_totals

FOLDER = Path(__file__).parent / "specs"
SPECS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
# What is built of a spec beside itself: where the decoder interpolates, every layer of it is another one.
INTERPOLATING = {"transposed": False, "bilinear": True}
VARIANTS = [*((name, {}) for name in SPECS), ("unet", INTERPOLATING)]
# At their own inputs these would take the tools minutes.
SMALLER = {"unet": (3, 48, 80), "densenet121": (3, 64, 96), "mobilenet_v2": (3, 96, 64), "squeezenet1_1": (3, 64, 80)}
TORCHVISIONS = [name for name in SPECS if name != "unet"]


def graph_of(name: str, edits: dict[str, Any], batch: int = 2) -> Graph:
    """A spec's graph at a size that is soon run."""
    spec = load_spec(FOLDER / f"{name}.yaml")
    return build_graph(spec, (batch, *SMALLER.get(name, spec.input)), overrides=edits)


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_is_short_and_fits_the_schema(name: str) -> None:
    """Below 120 lines, and what an editor accepts."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.count("\n") < 120
    errors = jsonschema.Draft7Validator(json_schema()).iter_errors(read_document(text, name).plain())
    assert [error.message for error in errors] == []


@pytest.mark.parametrize(("name", "edits"), VARIANTS)
def test_every_spec_is_verified_against_torch_and_the_peers(name: str, edits: dict[str, Any]) -> None:
    """Shapes, parameters, MACs and totals, as for the catalogue."""
    for package in ("torch", "fvcore", "torchinfo"):
        pytest.importorskip(package)
    from gnet_inspect.runtime.verify import run_checks

    assert [check for check in run_checks(graph_of(name, edits)) if not check.ok] == []


@pytest.mark.parametrize(("name", "edits"), VARIANTS)
def test_every_spec_is_counted_as_the_tools_count_it(name: str, edits: dict[str, Any]) -> None:
    """Every tool's number to the digit."""
    check_totals(graph_of(name, edits))


@pytest.mark.parametrize(
    ("name", "params", "macs", "depth"),
    [
        ("squeezenet1_1", 1_235_496, 349_151_936, 18),
        ("densenet121", 7_978_856, 2_834_161_664, 121),
        ("mobilenet_v2", 3_504_872, 300_774_272, 53),
        ("unet", 31_031_810, 48_171_581_440, 23),
    ],
)
def test_known_totals(name: str, params: int, macs: int, depth: int) -> None:
    """At their own inputs; torchvision's metadata say 0.349, 2.834 and 0.301 G."""
    totals = summarize(build_graph(load_spec(FOLDER / f"{name}.yaml"))).totals
    assert (totals.params, totals.macs, totals.depth) == (params, macs, depth)


def test_a_dense_block_grows_by_its_growth() -> None:
    """Each layer hands on its input and 32 channels more; a transition halves them."""
    shapes = {node.name: node.output_shape[1] for node in graph_of("densenet121", {}).nodes}
    grown = [shapes[f"features.denseblock2.denselayer{number}.grown"] for number in range(1, 13)]
    assert grown == [128 + 32 * number for number in range(1, 13)]
    halves = [shapes[f"features.transition{number}.conv"] for number in (1, 2, 3)]
    assert (halves, shapes["features.norm5"]) == ([128, 256, 512], 1024)


@pytest.mark.torchvision
@pytest.mark.parametrize("name", TORCHVISIONS)
def test_torchvisions_state_dict_loads_and_outputs_are_equal_to_the_bit(torchvision: ModuleType, name: str) -> None:
    """The same names in the same order, and the same output on random weights, statistics and input."""
    torch = pytest.importorskip("torch")
    from gnet_inspect.runtime.module import build_module

    options = {"weights_backbone": None} if name.startswith("deeplab") else {}
    theirs = torchvision.models.get_model(name, weights=None, **options).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in (item for item in theirs.buffers() if item.dim()):
        tensor.uniform_(0.5, 1.5, generator=generator)
    graph = graph_of(name, {})
    ours = build_module(graph).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(graph.input_shape, generator=generator)
    with torch.no_grad():
        expected = theirs(images)
        assert torch.equal(ours(images), expected["out"] if isinstance(expected, dict) else expected)


@pytest.mark.parametrize("edits", [{}, INTERPOLATING], ids=["transposed", "bilinear"])
def test_the_unet_is_the_one_that_is_written_by_hand(edits: dict[str, Any]) -> None:
    """Its own layers, called as a U-Net is written in torch, give the same to the bit."""
    torch = pytest.importorskip("torch")
    from gnet_inspect.runtime.module import build_module

    graph = graph_of("unet", {**edits, "widths": [4, 6, 8, 10, 12]})
    net: Any = build_module(graph).eval()
    images = torch.randn(graph.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = images
        skips = []
        for level in (1, 2, 3, 4):
            x = net.get_submodule(f"encode{level}")(x)
            skips.append(x)
            x = torch.nn.functional.max_pool2d(x, 2)
        x = net.bottom(x)
        for level in (4, 3, 2, 1):
            x = net.get_submodule(f"up{level}")(x)
            x = net.get_submodule(f"decode{level}")(torch.cat([skips.pop(), x], 1))
        assert torch.equal(net(images), net.logits(x))


@pytest.mark.parametrize(("edits", "size"), [({}, 204), (INTERPOLATING, 236)], ids=["transposed", "bilinear"])
def test_the_receptive_field_of_a_unet_is_what_the_gradient_reaches(edits: dict[str, Any], size: int) -> None:
    """Of all outputs of a tile the widest, through pools that average and weights above 0, where nothing is lost."""
    torch = pytest.importorskip("torch")
    from gnet_inspect.runtime.module import build_module

    text = (FOLDER / "unet.yaml").read_text(encoding="utf-8").replace("MaxPool2d", "AvgPool2d")
    spec = parse_spec(text.replace("align_corners: true", "align_corners: false"))
    graph = build_graph(spec, (1, 3, 512, 16), overrides={**edits, "widths": [1, 1, 1, 1, 1]})
    field = receptive_fields(graph)[graph.output]
    assert field is not None
    net = build_module(graph, dtype=torch.float64)
    for parameter in net.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    x = torch.zeros(graph.input_shape, dtype=torch.float64, requires_grad=True)
    logits = net(x)
    widest = 0
    for row in range(256, 272):
        (seen,) = torch.autograd.grad(logits[0, 0, row, 8], x, retain_graph=True)
        rows = torch.nonzero(seen.sum((0, 1, 3))).flatten()
        widest = max(widest, int(rows[-1] - rows[0]) + 1)
    assert (widest, field.size) == (size, (size, size))
    assert field.jump == (1, 1)
