"""There and back: what is written of a network, in any form, is that network, up to names."""

import io
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402

from gnet_inspect import build_graph, build_module, load_spec, parse_spec, trace  # noqa: E402
from gnet_inspect.analysis.gradients import needed_nodes  # noqa: E402
from gnet_inspect.errors import CannotWriteError, GnetError, UsageError  # noqa: E402
from gnet_inspect.graph import Graph  # noqa: E402
from gnet_inspect.runtime.exporting import export_source, made_of  # noqa: E402
from gnet_inspect.runtime.importing import import_graph  # noqa: E402
from gnet_inspect.sources.onnx import read_onnx  # noqa: E402
from gnet_inspect.sources.pt2 import read_pt2  # noqa: E402
from tests.programs import program_of  # noqa: E402
from tests.strategies import specs  # noqa: E402

HEALTH = list(HealthCheck)


def weighing(graph: Graph) -> Counter[Any]:
    """The layers that weigh or work, in any order."""
    return Counter((node.params, node.macs, node.output_shape) for node in graph.nodes if node.params or node.macs)


def outputs(graph: Graph) -> list[tuple[int, ...]]:
    return [graph.shapes()[output.value] for output in graph.outputs]


def inputs_of(graph: Graph) -> tuple[Any, ...]:
    return tuple(
        torch.zeros(value.shape, dtype=torch.int64 if value.dtype == "int64" else None) for value in graph.inputs
    )


def check_work(graph: Graph, found: Graph) -> None:
    """Of what no output needs torch exports some: what it takes for a write, or for chance."""
    needed = needed_nodes(graph)
    least = sum(node.macs or 0 for node in graph.nodes if node.name in needed)
    macs, most = (sum(node.macs or 0 for node in one.nodes) for one in (found, graph))
    assert least <= macs <= most
    assert outputs(found) == outputs(graph)


def onnx_of(module: Any, inputs: tuple[Any, ...]) -> bytes:
    """What torch's exporter writes of a module."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
        assert program is not None
        program.save(buffer)
    return buffer.getvalue()


def each_drawn(examples: int, check: Callable[[Graph, Any], str]) -> Counter[str]:
    """Drawn specs with their modules, the same ones each time; how many of them came to which end."""
    counted: Counter[str] = Counter()

    # Not made smaller: an example takes torch a second.
    phases = (Phase.explicit, Phase.generate)

    @settings(max_examples=examples, phases=phases, derandomize=True, database=None, suppress_health_check=HEALTH)
    @given(specs(faults=False))
    def tried(document: Any) -> None:
        try:
            graph = build_graph(parse_spec(yaml.safe_dump(document, sort_keys=False)))
            module = build_module(graph).eval()
        except GnetError:
            return
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                # An exporter leaves out what is zero.
                tensor.uniform_(0.5, 1.5)
        counted[check(graph, module)] += 1

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # torch has words for some of what is drawn.
        warnings.simplefilter("ignore")
        tried()
    return counted


def test_drawn_specs_through_programs_of_torch() -> None:
    """Spec -> module -> .pt2 -> Graph: parameters, multiply-accumulates and shapes."""

    def check(graph: Graph, module: Any) -> str:
        try:
            archive = program_of(module, inputs_of(graph))
        except Exception:
            return "not exported"
        found = read_pt2(archive, "drawn.pt2")
        assert sum(node.params for node in found.nodes) + sum(item.params for item in found.unreached) == sum(
            parameter.numel() for parameter in module.parameters()
        )
        check_work(graph, found)
        return "read"

    counted = each_drawn(12, check)
    assert counted["read"] > counted["not exported"]


def test_drawn_specs_through_onnx() -> None:
    """Spec -> module -> .onnx -> Graph: multiply-accumulates and shapes; and parameters, where there is no norm, which
    an exporter folds, or gives weights that it has not."""
    pytest.importorskip("onnxscript")
    whole = []

    def check(graph: Graph, module: Any) -> str:
        try:
            content = onnx_of(module, inputs_of(graph))
        except Exception:
            return "not exported"
        found = read_onnx(content)
        check_work(graph, found)
        needed = needed_nodes(graph)
        norms = any(node.buffers or node.op.family.name == "normalisation" for node in graph.nodes)
        if not norms and all(node.name in needed for node in graph.nodes):
            whole.append(found)
            assert sum(node.params for node in found.nodes) == sum(node.params for node in graph.nodes)
        return "read"

    counted = each_drawn(8, check)
    assert counted["read"] > counted["not exported"]
    assert whole


def test_drawn_specs_through_source() -> None:
    """Spec -> .py -> module -> spec: the same layers with weights or work."""

    def check(graph: Graph, _: Any) -> str:
        try:
            source = export_source(graph, None, "drawn", has_weights=False).content
            assert isinstance(source, str)
            shapes = tuple(tensor.to("meta") for tensor in inputs_of(graph))
            again = build_graph(parse_spec(import_graph(trace(made_of(source), *shapes), "drawn", "drawn").text))
        except CannotWriteError:
            return "refused"
        assert weighing(again) == weighing(graph)
        assert outputs(again) == outputs(graph)
        return "written"

    counted = each_drawn(40, check)
    assert counted["written"]


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
def test_the_catalogue_through_onnx(name: str) -> None:
    pytest.importorskip("onnxscript")
    graph = build_graph(load_spec(name))
    module = build_module(graph).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            # An exporter leaves out biases of zero.
            parameter.normal_()
    found = read_onnx(onnx_of(module, inputs_of(graph)))
    assert weighing(found) == weighing(graph)
    assert outputs(found) == outputs(graph)


def test_a_file_says_what_it_is() -> None:
    with pytest.raises((UsageError, GnetError), match="expected"):
        read_pt2(b"PK", "nothing.pt2")
