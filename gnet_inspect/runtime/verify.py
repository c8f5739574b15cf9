"""The static numbers against the real module, layer by layer, and against what other tools print of it.

Shapes and parameters are compared on the meta device, where they cost no memory; fvcore traces real tensors.
The module is this function's own copy: nothing of the user's is touched.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Graph, Node
from gnet_inspect.records.verification import CHECKS, Check, compare
from gnet_inspect.runtime.module import build_module, check_memory

# (name, ours, theirs)
Pairs = list[tuple[str, object, object]]


def run_checks(graph: Graph, progress: Callable[[str], None] = lambda _: None) -> list[Check]:
    """All checks that the installed packages allow; the others are listed with `ok` None and the reason."""
    checks = []
    # Of several checks: kept until all are made, and no longer.
    watched = cache(lambda: _watch(graph))
    for (what, against), (needs, pairs_of) in zip(CHECKS, _RUNNERS, strict=True):
        if find_spec(needs) is None:
            checks.append(Check(what, against, None, 0, note=f"{needs} is not installed"))
            continue
        progress(f"{what} against {against}")
        try:
            checks.append(compare(what, against, pairs_of(graph, watched)))
        except MissingError as error:
            checks.append(Check(what, against, None, 0, note=str(error)))
        except Exception as error:
            # torch refusing our module is an answer; a peer that fails on it says nothing of our numbers.
            note = f"{needs} failed: {type(error).__name__}: {error}"
            checks.append(Check(what, against, False if needs == "torch" else None, 0, note=note))
    return checks


def _meta_module(graph: Graph) -> tuple[nn.Module, list[Tensor]]:
    return prepared(build_module(graph, device="meta"), graph.mode), example_inputs(graph, "meta")


def example_inputs(graph: Graph, device: str) -> list[Tensor]:
    """A tensor of zeros for each input of a graph: of torch's default dtype, or of int64 where it holds indices."""
    kinds = {"int64": torch.int64}
    return [torch.zeros(value.shape, dtype=kinds.get(value.dtype), device=device) for value in graph.inputs]


def prepared(module: nn.Module, mode: str) -> nn.Module:
    """A module in the graph's mode. In training BatchNorm keeps its statistics: it refuses one value per channel."""
    module.train(mode == "train")
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
    return module


class _Watched(NamedTuple):
    """A module, what its layers read and gave in a forward pass by the names of their nodes, and what torch counted."""

    module: nn.Module
    seen: dict[str, tuple[object, object]]
    counter: Any


Watched = Callable[[], _Watched]


def _watch(graph: Graph) -> _Watched:
    from torch.utils.flop_counter import FlopCounterMode

    module, given = _meta_module(graph)
    # A layer is called once for each of its nodes, in their order.
    calls: dict[str, list[str]] = {}
    for node in graph.nodes:
        calls.setdefault(node.module, []).append(node.name)
    seen: dict[str, tuple[object, object]] = {}
    handles = []
    for path, names in calls.items():
        layer = _held(module, path)
        if isinstance(layer, nn.Parameter):
            # A learned tensor is read, not called.
            seen[path] = (), (tuple(layer.shape),)
            continue

        handles.append(layer.register_forward_hook(_recording(iter(names), seen)))
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            module(*given)
    finally:
        for handle in handles:
            handle.remove()
    return _Watched(module, seen, counter)


def _shapes(graph: Graph, watched: Watched) -> Pairs:
    seen = watched().seen
    pairs: Pairs = [(node.name, (node.input_shapes, node.output_shapes), seen.get(node.name)) for node in graph.nodes]
    # The order too: the plan must run the nodes as the graph lists them.
    called = [node.name for node in graph.nodes if node.inputs]
    pairs.append(("order of execution", called, [name for name, (inputs, _) in seen.items() if inputs]))
    return pairs


def _recording(names: Iterator[str], seen: dict[str, tuple[object, object]]) -> Callable[..., None]:
    """A hook that keeps the shapes of what a layer reads and gives, call by call, under the names of its nodes."""

    def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        made = output if isinstance(output, tuple) else (output,)
        seen[next(names)] = tuple(tuple(item.shape) for item in inputs), tuple(tuple(item.shape) for item in made)

    return hook


def _held(module: nn.Module, path: str) -> nn.Module | nn.Parameter:
    """What a network has at the path of a node: a layer, or a learned tensor."""
    parent, _, name = path.rpartition(".")
    held: nn.Module | nn.Parameter = getattr(module.get_submodule(parent), name)
    return held


def _parameters(graph: Graph, watched: Watched) -> Pairs:
    module = watched().module
    pairs: Pairs = []
    for node in graph.nodes:
        if node.is_repeated:
            continue
        layer = _held(module, node.module)
        held = [layer] if isinstance(layer, nn.Parameter) else list(layer.parameters())
        buffers = [] if isinstance(layer, nn.Parameter) else list(layer.buffers())
        pairs.append((f"{node.name} params", node.params, sum(item.numel() for item in held)))
        pairs.append((f"{node.name} buffers", node.buffers, sum(item.numel() for item in buffers)))
    pairs.append(
        ("total params", sum(node.params for node in graph.nodes), sum(item.numel() for item in module.parameters()))
    )
    return pairs


def _flop_counter(graph: Graph, watched: Watched) -> Pairs:
    module, _, counter = watched()
    name = type(module).__name__
    by_module = {key: sum(counts.values()) for key, counts in counter.get_flop_counts().items()}
    # A module that is called twice has the sum of both calls.
    ours: Counter[str] = Counter()
    for node in graph.nodes:
        ours[node.module] += 2 * (node.macs or 0)
    pairs: Pairs = [(path, macs, by_module.get(f"{name}.{path}", 0)) for path, macs in ours.items()]
    pairs.append(("total", ours.total(), counter.get_total_flops()))
    return pairs


class _Tuple(nn.Module):
    """A network whose outputs are a plain tuple, which tracers take, and whose mode is already set: torchinfo would put
    BatchNorm into training, where it refuses one value per channel."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> "_Tuple":  # noqa: ARG002  # nn.Module's own signature
        return self

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        output = self.network(*given)
        heads = () if isinstance(output, Tensor | dict) else output.heads.values()
        main = output if isinstance(output, Tensor | dict) else output.logits
        return (*(main.values() if isinstance(main, dict) else (main,)), *heads)


def _fvcore(graph: Graph, _: Watched) -> Pairs:
    elements = sum(prod(value.shape) for value in graph.inputs) + sum(
        node.params + node.buffers for node in graph.nodes
    )
    needed = 4 * elements + activation_peak(graph, 4).bytes
    check_memory(f"tracing {graph.variant} for fvcore", needed, torch.device("cpu"))
    module = _Tuple(_without_values(prepared(build_module(graph, device="meta"), graph.mode)))
    with warnings.catch_warnings():
        # fvcore scripts and traces with torch.jit, which torch 2.13 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        counts = _fvcore_counts(module, tuple(example_inputs(graph, "cpu")))
    # A module that is called twice has the sum of both calls.
    calls: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.macs:
            calls.setdefault(node.module, []).append(node)
    pairs, total = Pairs(), 0
    for path, nodes in calls.items():
        known = [node.op.differences(node).get("fvcore") for node in nodes]
        terms = [term.amount for found in known for term in found or ()]
        # Of what fvcore is not known to count it says nothing.
        if None not in known:
            macs, found = sum(node.macs or 0 for node in nodes), _products(counts.get(f"network.{path}", {}))
            # What it does not know by itself it may have been told of above.
            expected = macs if found == macs else macs + sum(terms)
            total += expected
            pairs.append((path, expected, found))
    if len(pairs) == len(calls):
        pairs.append(("total", total, _products(counts[""])))
    return pairs


def _without_values(module: nn.Module) -> nn.Module:
    """A module of the device meta on the CPU, zeros for weights: drawing them takes longer, and no count needs them."""
    module = module.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    return module


# fvcore's operators that multiply and add up.
_PRODUCTS = ("conv", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum")


def _products(counts: Mapping[str, float]) -> int:
    return int(sum(counts.get(name, 0) for name in _PRODUCTS))


def _convolution_mode(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """aten::_convolution_mode(input, weight, bias, stride, padding, dilation, groups), by fvcore's own formula."""
    from fvcore.nn.jit_handles import conv_flop_count, get_shape

    count: Any = conv_flop_count
    return Counter({"conv": count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0]))})


def _fvcore_counts(module: nn.Module, given: tuple[Tensor, ...]) -> dict[str, Any]:
    from fvcore.nn.flop_count import FlopCountAnalysis

    analysis = FlopCountAnalysis(module, given)
    # A padding of "same" or "valid" is an op of its own, which fvcore does not know.
    analysis.set_op_handle("aten::_convolution_mode", _convolution_mode)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.no_grad():
        counts: dict[str, Any] = analysis.by_module_and_operator()
    return counts


def _torchinfo(graph: Graph, _: Watched) -> Pairs:
    """torchinfo's total by torchinfo's own convention."""
    import torchinfo

    module, given = _meta_module(graph)
    stats = torchinfo.summary(
        _Tuple(module), input_data=given, verbose=0, device=torch.device("meta"), cache_forward_pass=False
    )
    pairs: Pairs = [("params", sum(node.params for node in graph.nodes), stats.total_params)]
    printed = count_flops(graph).totals.torchinfo
    if printed is not None:
        pairs.append(("mult-adds", printed, stats.total_mult_adds))
    return pairs


# In the order of CHECKS: the package each one needs, and what gathers its pairs.
_RUNNERS: tuple[tuple[str, Callable[[Graph, Watched], Pairs]], ...] = (
    ("torch", _shapes),
    ("torch", _parameters),
    ("torch", _flop_counter),
    ("fvcore", _fvcore),
    ("torchinfo", _torchinfo),
)
