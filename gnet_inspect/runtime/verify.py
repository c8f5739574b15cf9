"""The static numbers against the real module, layer by layer, and against what other tools print of it.

Shapes and parameters are compared on the meta device, where they cost no memory; fvcore traces real tensors.
The module is this function's own copy: nothing of the user's is touched.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.memory import activation_peak
from gnet_inspect.analysis.verification import CHECKS, Check, compare
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Graph
from gnet_inspect.ops import WEIGHTED
from gnet_inspect.runtime.module import build_module, check_memory

# (name, ours, theirs)
Pairs = list[tuple[str, object, object]]


def run_checks(graph: Graph, progress: Callable[[str], None] = lambda _: None) -> list[Check]:
    """All checks that the installed packages allow; the others are listed with `ok` None and the reason."""
    checks = []
    for (what, against), (needs, pairs_of) in zip(CHECKS, _RUNNERS, strict=True):
        if find_spec(needs) is None:
            checks.append(Check(what, against, None, 0, note=f"{needs} is not installed"))
            continue
        progress(f"{what} against {against}")
        try:
            checks.append(compare(what, against, pairs_of(graph)))
        except MissingError as error:
            checks.append(Check(what, against, None, 0, note=str(error)))
        except Exception as error:
            # torch refusing our module is an answer; a peer that fails on it says nothing of our numbers.
            note = f"{needs} failed: {type(error).__name__}: {error}"
            checks.append(Check(what, against, False if needs == "torch" else None, 0, note=note))
    return checks


def _meta_module(graph: Graph) -> tuple[nn.Module, Tensor]:
    return prepared(build_module(graph, device="meta"), graph.mode), torch.empty(graph.input_shape, device="meta")


def prepared(module: nn.Module, mode: str) -> nn.Module:
    """A module in the graph's mode. In training BatchNorm keeps its statistics: it refuses one value per channel."""
    module.train(mode == "train")
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    return module


def _shapes(graph: Graph) -> Pairs:
    module, x = _meta_module(graph)
    seen: dict[str, tuple[object, object]] = {}
    handles = []
    for node in graph.nodes:

        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = node.name) -> None:
            seen[name] = tuple(tuple(item.shape) for item in inputs), tuple(output.shape)

        handles.append(module.get_submodule(node.name).register_forward_hook(hook))
    try:
        module(x)
    finally:
        for handle in handles:
            handle.remove()
    pairs: Pairs = [(node.name, (node.input_shapes, node.output_shape), seen.get(node.name)) for node in graph.nodes]
    # The order too: the plan must run the nodes as the graph lists them.
    pairs.append(("order of execution", [node.name for node in graph.nodes], list(seen)))
    return pairs


def _parameters(graph: Graph) -> Pairs:
    module, _ = _meta_module(graph)
    pairs: Pairs = []
    for node in graph.nodes:
        layer = module.get_submodule(node.name)
        pairs.append((f"{node.name} params", node.params, sum(item.numel() for item in layer.parameters())))
        pairs.append((f"{node.name} buffers", node.buffers, sum(item.numel() for item in layer.buffers())))
    pairs.append(
        ("total params", sum(node.params for node in graph.nodes), sum(item.numel() for item in module.parameters()))
    )
    return pairs


def _flop_counter(graph: Graph) -> Pairs:
    from torch.utils.flop_counter import FlopCounterMode

    module, x = _meta_module(graph)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(x)
    name = type(module).__name__
    by_module = {key: sum(counts.values()) for key, counts in counter.get_flop_counts().items()}
    pairs: Pairs = [(node.name, 2 * node.macs, by_module.get(f"{name}.{node.name}", 0)) for node in graph.nodes]
    pairs.append(("total", 2 * sum(node.macs for node in graph.nodes), counter.get_total_flops()))
    return pairs


class _Tuple(nn.Module):
    """A network whose outputs are a plain tuple, which tracers take, and whose mode is already set: torchinfo would put
    BatchNorm into training, where it refuses one value per channel."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> "_Tuple":  # noqa: ARG002  # nn.Module's own signature
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        output = self.network(x)
        return (output,) if isinstance(output, Tensor) else (output.logits, *output.heads.values())


def _fvcore(graph: Graph) -> Pairs:
    elements = prod(graph.input_shape) + sum(node.params + node.buffers for node in graph.nodes)
    needed = 4 * elements + activation_peak(graph, 4).bytes
    check_memory(f"tracing {graph.variant} for fvcore", needed, torch.device("cpu"))
    module = _Tuple(prepared(build_module(graph, device="cpu"), graph.mode))
    with warnings.catch_warnings():
        # fvcore scripts and traces with torch.jit, which torch 2.13 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        counts = _fvcore_counts(module, torch.zeros(graph.input_shape))
    pairs: Pairs = []
    for node in graph.nodes:
        found = counts.get(f"network.{node.name}", {})
        if isinstance(node.op, WEIGHTED):
            pairs.append((node.name, node.macs, int(found.get("conv", 0) + found.get("linear", 0))))
    total = counts[""]
    pairs.append(("total", sum(node.macs for node in graph.nodes), int(total.get("conv", 0) + total.get("linear", 0))))
    return pairs


def _convolution_mode(inputs: list[Any], outputs: list[Any]) -> "Counter[str]":
    """aten::_convolution_mode(input, weight, bias, stride, padding, dilation, groups), by fvcore's own formula."""
    from fvcore.nn.jit_handles import conv_flop_count, get_shape

    count: Any = conv_flop_count
    return Counter({"conv": count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0]))})


def _fvcore_counts(module: nn.Module, x: Tensor) -> dict[str, Any]:
    from fvcore.nn.flop_count import FlopCountAnalysis

    analysis = FlopCountAnalysis(module, x)
    # A padding of "same" or "valid" is an op of its own, which fvcore does not know.
    analysis.set_op_handle("aten::_convolution_mode", _convolution_mode)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.no_grad():
        counts: dict[str, Any] = analysis.by_module_and_operator()
    return counts


def _torchinfo(graph: Graph) -> Pairs:
    """torchinfo's total by torchinfo's own convention."""
    import torchinfo

    module, x = _meta_module(graph)
    stats = torchinfo.summary(
        _Tuple(module), input_data=x, verbose=0, device=torch.device("meta"), cache_forward_pass=False
    )
    return [
        ("params", sum(node.params for node in graph.nodes), stats.total_params),
        ("mult-adds", count_flops(graph).totals.torchinfo, stats.total_mult_adds),
    ]


# In the order of CHECKS: the package each one needs, and what gathers its pairs.
_RUNNERS: tuple[tuple[str, Callable[[Graph], Pairs]], ...] = (
    ("torch", _shapes),
    ("torch", _parameters),
    ("torch", _flop_counter),
    ("fvcore", _fvcore),
    ("torchinfo", _torchinfo),
)
