"""The truth about memory: every tensor's storage that torch makes in a forward pass, watched until it is freed."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gnet_inspect.graph import Graph
from gnet_inspect.runtime.module import build_module

TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}


def announce(module: nn.Module, graph: Graph, enter: Callable[[str], None]) -> None:
    """Call `enter` with the name of each node before it runs, of a layer's later calls too; a learned tensor is read,
    and nothing of it runs."""
    calls: dict[str, list[str]] = {}
    for node in graph.nodes:
        if not node.op.hands_out_weight:
            calls.setdefault(node.module or node.name, []).append(node.name)
    for path, names in calls.items():
        module.get_submodule(path).register_forward_pre_hook(partial(_enter_next, enter, iter(names)))


def _enter_next(enter: Callable[[str], None], left: Iterator[str], _: nn.Module, __: Any) -> None:
    enter(next(left))


def zeros(graph: Graph, dtype: torch.dtype, device: str) -> list[Tensor]:
    """The network's inputs."""
    return [
        torch.zeros(value.shape, dtype=torch.int64 if value.dtype == "int64" else dtype, device=device)
        for value in graph.inputs
    ]


class StorageWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """While it is on, notes the storage of whatever an operator returns, and sums those alive when it has returned: its
    inputs and its outputs are alive then. `apart` are tensors whose storages do not count."""

    def __init__(self, apart: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor for its parts
        self._apart = {tensor.untyped_storage()._cdata for tensor in apart}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.running, self.layer, self.peak = "input", "input", 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage())
        # A weak reference keeps a storage's address from being used again, not its bytes.
        self._alive = {key: pair for key, pair in self._alive.items() if not _is_freed(pair[0])}
        held = sum(size for _, size in self._alive.values())
        if held > self.peak:
            self.peak, self.layer = held, self.running
        return output

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._apart:
            self._alive.setdefault(storage._cdata, (_reference(storage), storage.nbytes()))


def _reference(storage: torch.UntypedStorage) -> StorageWeakRef:
    return StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # torch has no types for it


def _is_freed(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]  # torch has no types for it


def watched_peak(graph: Graph, dtype: str = "fp32", device: str = "cpu") -> tuple[int, str]:
    """(the most bytes alive at once in a forward pass of the built module, the layer that ran then), by torch.

    Weights and the input are apart. An eval graph runs without autograd, a training graph with it.
    """
    # Weights without values take no time: only storages are looked at. BatchNorm divides by its counter.
    module = build_module(graph, device="meta", dtype=TORCH_DTYPES[dtype]).to_empty(device=device)
    for item in module.buffers():
        nn.init.zeros_(item)
    module.train(graph.mode == "train")
    given = zeros(graph, TORCH_DTYPES[dtype], device)
    watch = StorageWatch([*given, *module.parameters(), *module.buffers()])

    def enter(name: str) -> None:
        watch.running = name

    announce(module, graph, enter)
    with warnings.catch_warnings(), torch.set_grad_enabled(graph.mode == "train"), watch:
        warnings.filterwarnings("ignore", "Using padding='same'", UserWarning)
        module(*given)
    return watch.peak, watch.layer
