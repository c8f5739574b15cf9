"""Every model of the catalogue, by being in it."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gnet_inspect.analysis.audit import audit
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.graph import Graph, build_graph
from gnet_inspect.spec import catalogue, load_spec
from gnet_inspect.spec.catalogue import specs_folder
from tests.conftest import TORCHVISION, torchvision_model

ORACLE = Path(__file__).parent / "oracle"
MODELS = catalogue()


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("model", MODELS)
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


def test_totals(golden: Callable[[str, str], None]) -> None:
    """Every model's totals in both modes, in tests/golden/totals.json."""
    totals = {}
    for model in MODELS:
        for mode in ("eval", "train"):
            summary = summarize(build_graph(load_spec(model), mode=mode))
            totals[f"{model} {mode}"] = {
                name: getattr(summary.totals, name)
                for name in (
                    "params",
                    "buffers",
                    "macs",
                    "activation_bytes",
                    "peak_activation_bytes",
                    "receptive_field",
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
    ],
)
def test_known_totals(model: str, mode: str, shape: tuple[int, ...], params: int, macs: int) -> None:
    """The figures everyone can look up: Caffe's prototxt, torchvision's metadata, d2l's notebook."""
    totals = summarize(build_graph(load_spec(model), shape, mode=mode)).totals
    assert (totals.params, totals.macs) == (params, macs)


@pytest.mark.parametrize(
    ("size", "outputs"),
    [
        (96, [(64, 24, 24), (192, 12, 12), (480, 6, 6), (832, 3, 3), (1024, 1, 1), (10,)]),
        (224, [(64, 56, 56), (192, 28, 28), (480, 14, 14), (832, 7, 7), (1024, 1, 1), (10,)]),
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


@pytest.mark.torchvision
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("shape", [(1, 3, 224, 224), (1, 3, 320, 256), (8, 3, 97, 131), (3, 3, 63, 200)])
@pytest.mark.parametrize("model", sorted(TORCHVISION))
def test_every_leaf_equals_torchvisions_module(
    torchvision: ModuleType, model: str, shape: tuple[int, ...], mode: str
) -> None:
    """The same at other sizes and batches, against the live module on the meta device."""
    import torch

    from gnet_inspect.runtime.verify import prepared

    with torch.device("meta"):
        theirs = torchvision_model(torchvision, model, heads=mode == "train")
    calls: list[list[Any]] = []
    for name, layer in theirs.named_modules():
        if not list(layer.children()):

            def hook(layer: Any, inputs: Any, output: Any, name: str = name) -> None:
                params = sum(parameter.numel() for parameter in layer.parameters())
                calls.append([name, type(layer).__name__, list(inputs[0].shape), list(output.shape), params])

            layer.register_forward_hook(hook)
    prepared(theirs, mode)(torch.empty(shape, device="meta"))
    graph = build_graph(load_spec(model), shape, mode=mode)
    assert [leaf[:5] for leaf in leaves(graph, {call[0] for call in calls})] == calls
