"""Graph -> torch.nn.Module: real torch layers under the node names, run by small plans.

A plan is plain data (tuples), so modules pickle, deep-copy, compile and export like any other.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnet_inspect.analysis.overwriting import overwriting
from gnet_inspect.errors import MissingError, UsageError, expect, some_of
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.graph.scopes import Scopes
from gnet_inspect.runtime.layers import build_layer
from gnet_inspect.runtime.plan import Plan, network_plan, scope_plan
from gnet_inspect.units import byte_count, dimensions


class Interface(NamedTuple):
    """The names of a network's inputs, of its outputs where the spec names them, and of its heads."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    heads: tuple[str, ...]


class Outputs(NamedTuple):
    """What a module with heads returns in training mode: logits (N, classes), or a dict of the spec's outputs, and each
    head's logits by its name."""

    logits: Any
    heads: dict[str, Tensor]

    def __repr__(self) -> str:
        logits = self.logits if isinstance(self.logits, dict) else {"logits": self.logits}
        shapes = (f"{name} {dimensions(value.shape)}" for name, value in (logits | self.heads).items())
        return f"<Outputs {some_of(shapes)}>"


class Members(nn.Module):
    """A scope of names whose members are run by the scope around it."""


class Block(nn.Module):
    """A block or list: the value that it works on, and what else it reads from outside, in; one tensor out."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def forward(self, *values: Tensor) -> Tensor:
        return _run(self, self._plan, list(values))[0]


class Network(nn.Module):
    """A whole network of one input: images (N, C, H, W) in, logits out, or a dict of the outputs that its spec names.

    That of a training graph returns `Outputs` in training mode, and in eval mode does not run its heads.
    """

    def __init__(self, plan: Plan, training_plan: Plan | None, interface: Interface) -> None:
        super().__init__()
        self._plan, self._training_plan, self._interface = plan, training_plan, interface

    @property
    def _heads(self) -> tuple[str, ...]:
        """Every head of the spec, also those an eval graph leaves out: a checkpoint may hold their weights."""
        return self._interface.heads

    def forward(self, x: Tensor) -> Any:
        return self._returned([x])

    def _returned(self, given: list[Tensor]) -> Any:
        if self._training_plan is None or not self.training:
            return self._named(_run(self, self._plan, given))
        found = _run(self, self._training_plan, given)
        main = len(found) - len(self._heads)
        return Outputs(self._named(found[:main]), dict(zip(self._heads, found[main:], strict=True)))

    def _named(self, found: list[Tensor]) -> Any:
        names = self._interface.outputs
        return dict(zip(names, found, strict=True)) if names else found[0]


class NetworkOfInputs(Network):
    """A whole network of several inputs, given in their order or by name."""

    def forward(self, *values: Tensor, **named: Tensor) -> Any:
        names = self._interface.inputs
        missing = [name for name in names[len(values) :] if name not in named]
        if missing or len(values) > len(names) or not set(named) <= set(names[len(values) :]):
            raise TypeError(f"expected each of the inputs {', '.join(names)} once")
        return self._returned([*values, *(named[name] for name in names[len(values) :])])


def _run(module: nn.Module, plan: Plan, given: list[Tensor]) -> list[Tensor]:
    values: list[Tensor | None] = [*given, *[None] * (plan.slots - plan.inputs)]
    given.clear()  # the plan decides when they die
    for step in plan.steps:
        child: Any = module
        for name in step.path:
            child = getattr(child, name)
        # A learned tensor is read, all else is called.
        made = child(*[values[slot] for slot in step.inputs]) if callable(child) else child
        if len(step.outputs) == 1:
            values[step.outputs[0]] = made
        else:
            for slot, value in zip(step.outputs, made, strict=True):
                values[slot] = value
        del made
        for slot in step.drop:
            values[slot] = None
    return [values[slot] for slot in plan.outputs]  # type: ignore[misc]  # outputs are never dropped


def build_module(
    graph: Graph, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> nn.Module:
    """The torch module of a graph: layers under the node names, initialised as torch initialises them.

    Every block and list is a module of its own (`net.inception3a(x)` works, hooks on it fire). The module of an eval
    graph returns logits (N, classes); that of a train graph returns `Outputs` in training mode, and logits in eval
    mode. Parts of the graph that were frozen (`freeze`) take no gradient. Build on the device "meta" for shapes without
    memory.

    Raises MissingError where the weights would not fit into the memory that is free, with the bytes they take, and
    UsageError for a graph with layers outside the vocabulary.
    """
    expect(graph, Graph, "a Graph (build_graph gives one)")
    unknown = sorted({node.op.kind for node in graph.nodes if not node.op.module})
    if unknown:
        raise UsageError(f"expected layers of the vocabulary, got {', '.join(unknown)}: they cannot be built")
    functions = next((node.name for node in graph.nodes if not node.module), None)
    if functions is not None:
        raise UsageError(
            f"expected a graph whose layers are modules, got one of {graph.model} with the function `{functions}`, "
            "which only its own code runs. (its module is there already)"
        )
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
            if not node.is_repeated:
                layer = build_layer(node.op, node.input_shapes, node.name in in_place)
                if node.is_frozen:
                    layer.requires_grad_(False)
                _add(network, node.module, layer)
        _order_state_dicts(network, graph, made)
    return network if dtype is None else network.to(dtype)


def _empty_network(graph: Graph, scopes: Scopes) -> Network:
    heads = tuple(head.name for head in graph.heads)
    main = [output.name for output in graph.outputs if output.weight is None]
    interface = Interface(
        tuple(value.name for value in graph.inputs),
        tuple(main) if graph.names_outputs else (),
        heads or graph.left_heads,
    )
    training_plan = network_plan(scopes, heads=True) if heads else None
    kind = Network if len(graph.inputs) == 1 else NetworkOfInputs
    return kind(network_plan(scopes, heads=False), training_plan, interface)


def _add(network: nn.Module, path: str, child: nn.Module | nn.Parameter) -> None:
    parent, _, name = path.rpartition(".")
    home = network.get_submodule(parent)
    if isinstance(child, nn.Parameter):
        home.register_parameter(name, child)
    else:
        home.add_module(name, child)


def _order_state_dicts(network: nn.Module, graph: Graph, scopes: set[str]) -> None:
    """Give the layers of blocks that say so another order than the one they run in: what is kept of a network in the
    order of its parameters, as an optimizer's state is, fits only then."""
    for entry in Outline(graph).entries:
        names = entry.part.template.state_dict if entry.part and entry.part.template else ()
        path = entry.name.partition("@")[0]
        if not names or path not in scopes:
            continue
        block = network.get_submodule(path)
        for held in (block._modules, block._parameters):
            there = iter([name for name in names if name in held])
            order = [next(there) if name in names else name for name in held]
            items = [(name, held[name]) for name in order]
            held.clear()
            held.update(items)  # type: ignore[arg-type]  # each of its own kind


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
