"""What what is written of a network is held to: the same inputs, the same bits."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gnet_inspect.errors import CannotWriteError
from gnet_inspect.graph import Graph
from gnet_inspect.units import dimensions

SEED = 0
_DTYPES = {"int64": torch.int64, "bool": torch.bool}


def drawn_inputs(graph: Graph) -> list[Tensor]:
    """A tensor for each input of a graph, the same each time."""
    generator = torch.Generator().manual_seed(SEED)
    return [drawn_input(value.shape, _DTYPES.get(value.dtype), generator) for value in graph.inputs]


def drawn_input(shape: Sequence[int], dtype: torch.dtype | None, generator: torch.Generator) -> Tensor:
    """Numbers at random, indices that any table has, a mask of ones."""
    if dtype is None or dtype.is_floating_point:
        return torch.randn(tuple(shape), generator=generator).to(dtype or torch.get_default_dtype())
    if dtype == torch.bool:
        return torch.ones(tuple(shape), dtype=dtype)
    return torch.randint(0, 2, tuple(shape), generator=generator)


def compare_outputs(expected: Sequence[Tensor], found: Sequence[Tensor]) -> None:
    """Raise CannotWriteError where what was written gives outputs that differ in any bit."""
    if len(expected) != len(found):
        raise CannotWriteError(f"what was written gives {len(found)} outputs, where the network gives {len(expected)}")
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        if one.shape != other.shape:
            sizes = f"{dimensions(other.shape)}, not {dimensions(one.shape)}"
            raise CannotWriteError(f"what was written gives another output {number}: {sizes}")
        if not torch.equal(one.nan_to_num(), other.nan_to_num()):
            apart = (one.double() - other.double()).abs().max().item()
            raise CannotWriteError(f"what was written gives another output {number}: apart by up to {apart:.3g}")


@contextlib.contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """The user's module in eval mode for a while."""
    modes = {id(part): part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part in module.modules():
            part.training = modes[id(part)]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, because sums over several may come in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
