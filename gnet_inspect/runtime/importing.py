"""A network as a spec, proved before anybody gets it: the module that is built of the text loads the network's weights
strictly and gives its outputs bit by bit; without weights, its graph has the same layers with the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from msgspec import Struct
from torch import Tensor, nn

from gnet_inspect.authoring.program import Program
from gnet_inspect.authoring.spec_text import spec_text
from gnet_inspect.authoring.writing import write_program
from gnet_inspect.errors import CannotWriteError, GnetError, printable
from gnet_inspect.graph import Graph
from gnet_inspect.graph.cutting import value_of
from gnet_inspect.language.parse import parse_spec
from gnet_inspect.ops import Shape
from gnet_inspect.runtime.latency.own import own_module
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.proving import (
    compare_layers,
    compare_outputs,
    drawn_input,
    drawn_inputs,
    in_eval_mode,
    left_parts,
    load_weights_of,
    one_thread,
)
from gnet_inspect.runtime.references import Traced
from gnet_inspect.runtime.tracing.twin import unwrapped
from gnet_inspect.sources.spec import build_graph


class Imported(Struct, frozen=True):
    """A spec's text; the paths of layers with weights that have another name in it, by their old ones; the parts that
    the mode leaves out; and what was proved, in words."""

    text: str
    renamed: Mapping[str, str]
    left: tuple[str, ...]
    proof: str


def import_graph(graph: Graph, name: str, source: str) -> Imported:
    """A network of which there is a graph alone, as a spec.

    `name` is what the spec is called, `source` what the text says it was written from. Raises CannotWriteError where it
    cannot be expressed, with the node and the reason.
    """
    program = write_program(graph, name)
    left = left_parts(graph)
    proof = "the same layers, shapes, parameters and multiply-accumulates; there were no weights to load"
    text = _text(program, source, [*_told_left(left), *graph.notes], proof)
    compare_layers(graph, _built_graph(text, program, graph.mode))
    return Imported(text, _renamed_weights(graph, program.renamed), left, proof)


def import_module(graph: Graph, traced: Traced | None, name: str, source: str) -> Imported:
    """A network whose module is there, as a spec: the user's own where it was traced, else the one that is built."""
    program = write_program(graph, name)
    left = left_parts(graph)
    proof = "the state dict loads strictly, and the outputs are equal bit by bit"
    text = _text(program, source, [*_told_left(left), *graph.notes], proof)
    written = _built_graph(text, program, graph.mode)
    if traced is None:
        module: nn.Module = build_module(graph).eval()
        called, given = module, drawn_inputs(graph)
    else:
        own = own_module(traced)
        module, called = unwrapped(own.module.network), own.module
        given = list(own.given) if own.given else drawn_inputs(graph)
    built = build_module(written).eval()
    load_weights_of(module, built, graph, program.renamed)
    _compare(called, module, built, given)
    for head in program.heads:
        _compare_heads(module.get_submodule(head.name), built.get_submodule(head.name), _shape_of(written, head.reads))
    return Imported(text, _renamed_weights(graph, program.renamed), left, proof)


def _text(program: Program, source: str, notes: Sequence[str], proof: str) -> str:
    lines = [f"Written by gnet-inspect from {printable(source)}.", f"Proved: {proof}."]
    return spec_text(program, "\n".join([*lines, *map(printable, notes)]))


def _told_left(left: Sequence[str]) -> list[str]:
    told = f"Left out, because nothing that the network returns in eval mode reads them: {', '.join(left)}."
    return [told] if left else []


def _built_graph(text: str, program: Program, mode: str) -> Graph:
    """The graph of a program's text at the inputs that it was written for."""
    try:
        spec = parse_spec(text, "the spec that was written")
        return build_graph(spec, {value.name: value.shape for value in program.inputs}, mode=mode)
    except GnetError as error:
        raise CannotWriteError(f"what was written of {program.name} is no spec: {error}") from error


def _renamed_weights(graph: Graph, renamed: Mapping[str, str]) -> dict[str, str]:
    held = {node.name for node in graph.nodes if node.params or node.buffers}
    return {old: new for old, new in renamed.items() if old in held}


# --- the proof ---


def _compare(called: Callable[..., Any], own: nn.Module, built: nn.Module, given: Sequence[Tensor]) -> None:
    """Raise CannotWriteError where two modules give outputs that differ in any bit."""
    with in_eval_mode(own), one_thread(), torch.no_grad():
        # Each has inputs of its own, because a forward may write to them.
        expected, got = (_tensors(network(*[tensor.clone() for tensor in given])) for network in (called, built))
    compare_outputs(expected, got)


def _compare_heads(own: nn.Module, built: nn.Module, shape: Shape) -> None:
    """The same of an auxiliary classifier, which does not run where the whole network is compared."""
    drawn = drawn_input(shape, None, torch.Generator().manual_seed(0))
    with in_eval_mode(built):
        _compare(own, own, built, [drawn])


def _shape_of(graph: Graph, layer: str) -> Shape:
    return graph.shapes()[value_of(graph, layer)]


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return list(output.values()) if isinstance(output, dict) else list(output)
