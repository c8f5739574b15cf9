"""A network as a spec, proved before anybody gets it: the module that is built of the text loads the network's weights
strictly and gives its outputs bit by bit; without weights, its graph has the same layers and numbers in the same order.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from msgspec import Struct
from torch import Tensor, nn

from gnet_inspect.authoring.idioms import in_words
from gnet_inspect.authoring.program import Program
from gnet_inspect.authoring.spec_text import spec_text
from gnet_inspect.authoring.writing import write_program
from gnet_inspect.errors import CannotWriteError, GnetError, printable, quoted, some_of
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.cutting import value_of
from gnet_inspect.language.parse import parse_spec
from gnet_inspect.ops import Shape
from gnet_inspect.runtime.latency.own import own_module
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.proving import compare_outputs, drawn_input, drawn_inputs, in_eval_mode, one_thread
from gnet_inspect.runtime.references import Traced
from gnet_inspect.runtime.tracing.twin import unwrapped
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import dimensions


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
    left = _left(graph)
    proof = "the same layers, shapes, parameters and multiply-accumulates; there were no weights to load"
    text = _text(program, source, [*_told_left(left), *graph.notes], proof)
    _check_graph(in_words(graph), _built_graph(text, program, graph.mode))
    return Imported(text, _renamed_weights(graph, program.renamed), left, proof)


def import_module(graph: Graph, traced: Traced | None, name: str, source: str) -> Imported:
    """A network whose module is there, as a spec: the user's own where it was traced, else the one that is built."""
    program = write_program(graph, name)
    left = _left(graph)
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
    _load(built, module, program.renamed, graph, left)
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


def _left(graph: Graph) -> tuple[str, ...]:
    """The outermost modules of which nothing runs."""
    run = {node.name.partition(".")[0] for node in graph.nodes} | {
        node.module.partition(".")[0] for node in graph.nodes
    }
    homes = dict.fromkeys(item.name.partition(".")[0] for item in graph.unreached)
    return tuple(dict.fromkeys([*(home for home in homes if home not in run), *graph.left_heads]))


def _renamed_weights(graph: Graph, renamed: Mapping[str, str]) -> dict[str, str]:
    held = {node.name for node in graph.nodes if node.params or node.buffers}
    return {old: new for old, new in renamed.items() if old in held}


# --- the proof ---


def _check_graph(given: Graph, written: Graph) -> None:
    """Raise CannotWriteError where two graphs do not have the same layers."""
    pairs = [Counter(map(_numbers, graph.nodes)) for graph in (given, written)]
    only = [one - other for one, other in (pairs, pairs[::-1])]
    if only[0] or only[1]:
        texts = [", ".join(map(_told, list(found)[:2])) or "nothing" for found in only]
        raise CannotWriteError(f"what was written is another network: it has {texts[1]} in the place of {texts[0]}")
    shapes = [[graph.shapes()[output.value] for output in graph.outputs] for graph in (given, written)]
    if shapes[0] != shapes[1]:
        raise CannotWriteError(f"what was written is another network: it gives {shapes[1]}, not {shapes[0]}")


def _numbers(node: Node) -> tuple[str, int, int | None, Shape]:
    return node.op.kind, node.params, node.macs, node.output_shape


def _told(numbers: tuple[str, int, int | None, Shape]) -> str:
    kind, params, _, shape = numbers
    return f"a {kind} of {params:,} parameters that gives {dimensions(shape)}"


def _load(built: nn.Module, own: nn.Module, renamed: Mapping[str, str], graph: Graph, left: Sequence[str]) -> None:
    """Load the network's weights into what was built, every one of them but those of parts that do not run."""
    state = {_new_name(key, renamed): tensor for key, tensor in own.state_dict().items() if isinstance(tensor, Tensor)}
    names = built.state_dict()
    unread = {item.name for item in graph.unreached}
    extra = [
        key
        for key in state
        if key not in names and key.partition(".")[0] not in left and key.rpartition(".")[0] not in unread
    ]
    lacking = [key for key in names if key not in state]
    if extra or lacking:
        faults = [f"{quoted(key)} has no place" for key in extra] + [f"{quoted(key)} is not there" for key in lacking]
        raise CannotWriteError(f"the weights of {graph.model} do not fit what was written of it: {some_of(faults)}")
    try:
        built.load_state_dict({key: state[key] for key in names})
    except RuntimeError as error:
        raise CannotWriteError(f"the weights of {graph.model} do not fit what was written of it: {error}") from error


def _new_name(key: str, renamed: Mapping[str, str]) -> str:
    """A key of the state dict under the new name of its layer."""
    home = key
    while home:
        if home in renamed:
            return renamed[home] + key.removeprefix(home)
        home = home.rpartition(".")[0]
    return key


def _compare(called: Callable[..., Any], own: nn.Module, built: nn.Module, given: Sequence[Tensor]) -> None:
    """Raise CannotWriteError where two modules give outputs that differ in any bit."""
    with in_eval_mode(own), one_thread(), torch.no_grad():
        expected, got = _tensors(called(*given)), _tensors(built(*given))
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
