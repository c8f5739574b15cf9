"""There and back: what is written of a network, in any form, is that network, up to names."""

import io
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402

from gnet_inspect import build_graph, build_module, load_spec, parse_spec, trace  # noqa: E402
from gnet_inspect.analysis.gradients import needed_nodes  # noqa: E402
from gnet_inspect.errors import GnetError, UsageError  # noqa: E402
from gnet_inspect.graph import Graph  # noqa: E402
from gnet_inspect.runtime.exporting import export_source, made_of  # noqa: E402
from gnet_inspect.runtime.importing import import_graph  # noqa: E402
from gnet_inspect.sources.pt2 import read_pt2  # noqa: E402
from tests.programs import program_of  # noqa: E402
from tests.strategies import specs  # noqa: E402


def weighing(graph: Graph) -> Counter[Any]:
    """The layers that weigh or work, in any order."""
    return Counter((node.params, node.macs, node.output_shape) for node in graph.nodes if node.params or node.macs)


def outputs(graph: Graph) -> list[tuple[int, ...]]:
    return [graph.shapes()[output.value] for output in graph.outputs]


def test_drawn_specs_through_programs_of_torch() -> None:
    """Spec -> module -> .pt2 -> Graph: parameters, multiply-accumulates and shapes."""
    counted: Counter[str] = Counter()

    # Not made smaller: an example takes torch a second.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)

    @settings(max_examples=12, phases=phases, suppress_health_check=list(HealthCheck))
    @given(specs(faults=False))
    def check(document: Any) -> None:
        try:
            graph = build_graph(parse_spec(yaml.safe_dump(document, sort_keys=False)))
            module = build_module(graph).eval()
        except GnetError:
            return
        given_inputs = tuple(
            torch.zeros(value.shape, dtype=torch.int64 if value.dtype == "int64" else None) for value in graph.inputs
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                archive = program_of(module, given_inputs)
            except Exception:
                # torch cannot export it.
                counted["not exported"] += 1
                return
        found = read_pt2(archive, "drawn.pt2")
        counted["read"] += 1
        assert sum(node.params for node in found.nodes) + sum(item.params for item in found.unreached) == sum(
            parameter.numel() for parameter in module.parameters()
        )
        # Of what no output needs torch exports some: what it takes for a write, or for chance.
        needed = needed_nodes(graph)
        least = sum(node.macs or 0 for node in graph.nodes if node.name in needed)
        macs, most = (sum(node.macs or 0 for node in one.nodes) for one in (found, graph))
        assert least <= macs <= most, document
        assert outputs(found) == outputs(graph)

    with torch.random.fork_rng(devices=[]):
        check()
    assert counted["read"] > counted["not exported"]


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "resnet18", "mobilenet_v2", "unet", "shufflenet_v2_x1_0"])
def test_the_catalogue_through_source(name: str) -> None:
    """Spec -> .py -> module -> spec: the same layers, and the same names of those with weights."""
    graph = build_graph(load_spec(name))
    source = export_source(graph, None, name, has_weights=False).content
    assert isinstance(source, str)
    traced = trace(made_of(source), graph.input_shape)
    again = build_graph(parse_spec(import_graph(traced, name, name).text))
    for found in (traced, again):
        assert weighing(found) == weighing(graph)
        assert outputs(found) == outputs(graph)
        assert {node.name for node in graph.nodes if node.params} <= {node.name for node in found.nodes}


@pytest.mark.parametrize("name", ["lenet5", "squeezenet1_1", "resnet18"])
def test_the_catalogue_through_programs_of_torch(name: str) -> None:
    graph = build_graph(load_spec(name))
    archive = program_of(build_module(graph).eval(), (torch.zeros(graph.input_shape),))
    found = read_pt2(archive, f"{name}.pt2")
    assert weighing(found) == weighing(graph)
    assert outputs(found) == outputs(graph)
    names = {node.name for node in graph.nodes if node.params}
    assert names <= {node.name for node in found.nodes}


@pytest.mark.parametrize("name", ["lenet5", "squeezenet1_1"])
def test_the_catalogue_through_onnx(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from gnet_inspect.sources.onnx import open_onnx

    graph = build_graph(load_spec(name))
    module = build_module(graph).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            # An exporter leaves out biases of zero.
            parameter.normal_()
    path = tmp_path / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, (torch.zeros(graph.input_shape),), dynamo=True, verbose=False)
    assert program is not None
    buffer = io.BytesIO()
    program.save(buffer)
    path.write_bytes(buffer.getvalue())
    found = open_onnx(path, path.name).graph({}, None)
    assert weighing(found) == weighing(graph)
    assert outputs(found) == outputs(graph)


def test_a_file_says_what_it_is() -> None:
    with pytest.raises((UsageError, GnetError), match="expected"):
        read_pt2(b"PK", "nothing.pt2")
