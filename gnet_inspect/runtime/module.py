"""Graph -> torch.nn.Module: real torch layers under the node names, run by small plans.

A plan is plain data (tuples), so modules pickle, deep-copy, compile and export like any other.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gnet_inspect.analysis.overwriting import overwriting
from gnet_inspect.errors import MissingError, UsageError, expect
from gnet_inspect.graph import Graph
from gnet_inspect.graph.scopes import Scopes
from gnet_inspect.runtime.layers import build_layer
from gnet_inspect.runtime.plan import Plan, network_plan, scope_plan
from gnet_inspect.units import byte_count


class Outputs(NamedTuple):
    """What a module with heads returns in training mode: logits (N, classes), and each head's by its name."""

    logits: Tensor
    heads: dict[str, Tensor]


class Members(nn.Module):
    """A scope of names whose members are run by the scope around it."""


class Block(nn.Module):
    """A block or list: one tensor in, one out."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def forward(self, x: Tensor) -> Tensor:
        return _run(self, self._plan, x)[0]


class Network(nn.Module):
    """A whole network of an eval graph: images (N, C, H, W) in, logits out, in either mode."""

    def __init__(self, plan: Plan, heads: tuple[str, ...]) -> None:
        super().__init__()
        self._plan = plan
        # Every head of the spec, also those an eval graph leaves out: a checkpoint may hold their weights.
        self._heads = heads

    def forward(self, x: Tensor) -> Tensor | Outputs:
        return _run(self, self._plan, x)[0]


class NetworkWithHeads(Network):
    """A whole network of a training graph: `Outputs` in training mode; in eval mode logits, its heads not run."""

    def __init__(self, plan: Plan, training_plan: Plan, heads: tuple[str, ...]) -> None:
        super().__init__(plan, heads)
        self._training_plan = training_plan

    def forward(self, x: Tensor) -> Tensor | Outputs:
        if not self.training:
            return super().forward(x)
        logits, *heads = _run(self, self._training_plan, x)
        return Outputs(logits, dict(zip(self._heads, heads, strict=True)))


def _run(module: nn.Module, plan: Plan, x: Tensor) -> list[Tensor]:
    values: list[Tensor | None] = [x, *[None] * (plan.slots - 1)]
    del x  # the plan decides when it dies
    for step in plan.steps:
        child = module
        for name in step.path:
            child = getattr(child, name)
        values[step.output] = child(*[values[slot] for slot in step.inputs])
        for slot in step.drop:
            values[slot] = None
    return [values[slot] for slot in plan.outputs]  # type: ignore[misc]  # outputs are never dropped


def build_module(
    graph: Graph, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> nn.Module:
    """The torch module of a graph: layers under the node names, initialised as torch initialises them.

    Every block and list is a module of its own (`net.inception3a(x)` works, hooks on it fire). The module of an eval
    graph returns logits (N, classes); that of a train graph returns `Outputs` in training mode, and logits in eval
    mode. Build on the device "meta" for shapes without memory.

    Raises MissingError where the weights would not fit into the memory that is free, with the bytes they take, and
    UsageError for a graph with layers outside the vocabulary.
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    unknown = sorted({node.op.kind for node in graph.nodes if not node.op.counted})
    if unknown:
        raise UsageError(f"expected layers of the vocabulary, got {', '.join(unknown)}: they cannot be built")
    target = torch.device(device) if device is not None else torch.get_default_device()
    if target.type == "cuda" and not torch.cuda.is_available():
        raise MissingError(
            f"expected a GPU for the device {target}, got none that torch can use: build on the cpu or meta"
        )
    # Layers are made in torch's default dtype and converted one by one.
    width = max(torch.empty((), dtype=kind, device="meta").element_size() for kind in (dtype, None))
    check_memory(graph.variant, sum(node.params + node.buffers for node in graph.nodes) * width, target)
    scopes = Scopes(graph)
    in_place = overwriting(graph)
    with target:
        network = _empty_network(graph, scopes)
        made: set[str] = set()
        for node in graph.nodes:
            # A scope comes right before its first layer, so that the state dict is in execution order.
            for path in node.scopes():
                if path not in made:
                    made.add(path)
                    plan = scope_plan(scopes, path)
                    _add(network, path, Members() if plan is None else Block(plan))
            _add(network, node.name, build_layer(node.op, node.input_shapes, node.name in in_place))
    return network if dtype is None else network.to(dtype)


def _empty_network(graph: Graph, scopes: Scopes) -> Network:
    plan = network_plan(scopes, heads=False)
    if not graph.heads:
        return Network(plan, graph.left_heads)
    return NetworkWithHeads(plan, network_plan(scopes, heads=True), tuple(head.name for head in graph.heads))


def _add(network: nn.Module, path: str, child: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    network.get_submodule(parent).add_module(name, child)


def check_memory(what: str, needed: int, device: torch.device) -> None:
    """Raise MissingError where `needed` bytes are not free on a device; "meta" takes none."""
    free = free_memory(device)
    if free is not None and needed > free:
        raise MissingError(
            f"{what} takes {needed:,} bytes ({byte_count(needed)}) on {device}, "
            f"where {free:,} ({byte_count(free)}) are free. "
            "Build it on the device meta, in a smaller dtype, or on a machine with more memory"
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes free on a device; None where that is unknown or does not matter."""
    if device.type == "cuda":
        # What torch's allocator holds and does not use is free too.
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device.type != "cpu" or find_spec("psutil") is None:
        return None
    import psutil

    return min(int(psutil.virtual_memory().available), _container_limit())


def _container_limit() -> int:
    """What a Linux control group still allows, where one does."""
    try:
        folder = Path("/sys/fs/cgroup")
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):  # no such file; or "max", which is no limit
        return sys.maxsize
