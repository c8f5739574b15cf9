"""Several processes that train one network, each on its rows of every batch, so that it comes to what one would.

What one process computes over a whole batch is computed over all rows here, too: BatchNorm's statistics, and which
elements dropout drops, are those of the batch and not of a process's rows.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from gnet_inspect.errors import UsageError
from gnet_inspect.runtime.layers import StochasticDepth


class Team(NamedTuple):
    """The processes of a run, and which of them this is."""

    rank: int = 0
    size: int = 1
    # The number of this process on its machine: of its GPU.
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """This process's rows of a batch."""
        return slice(self.rank * batch // self.size, (self.rank + 1) * batch // self.size)


def team_of_environment() -> Team:
    """What torchrun says in the environment; one alone elsewhere."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Team()
    rank, size, local = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    return Team(rank, size, local)


@contextmanager
def joined(team: Team, device: str) -> Iterator[None]:
    """While this is entered the processes of a team can talk: by nccl where each has a GPU, else by gloo."""
    if team.size == 1:
        yield
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def check_batch(batch: int, team: Team) -> None:
    """Refuse a batch that does not fall into equal parts: a mean over parts would not be the batch's."""
    if batch % team.size:
        lower = batch - batch % team.size
        near = f"{lower} or {lower + team.size}" if lower else str(team.size)
        raise UsageError(f"--batch: expected a multiple of {team.size} processes, got {batch}. (take {near})")


def first_by_one(team: Team, work: Callable[[], object]) -> None:
    """Have the process that leads do something, while the others wait for it."""
    if team.leads:
        work()
    if team.size > 1:
        dist.barrier()


def sum_over(team: Team, values: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if team.size > 1:
        dist.all_reduce(values)
    return values


def share_layers(module: nn.Module, team: Team) -> nn.Module:
    """The module with layers that see the whole batch in the place of those that would see a process's rows."""
    if team.size == 1:
        return module
    on_gpu = any(parameter.is_cuda for parameter in module.parameters())
    if on_gpu:
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and not on_gpu:
            layer.forward = partial(_normalize, layer, team)  # type: ignore[method-assign]
        elif isinstance(layer, nn.Dropout):
            layer.forward = partial(_drop, layer, team)  # type: ignore[method-assign]
        elif isinstance(layer, StochasticDepth):
            layer.forward = partial(_drop_rows, layer, team)  # type: ignore[method-assign]
    return module


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, through which gradients pass: each process's is the sum of all."""

    @staticmethod
    def forward(_: FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: FunctionCtx, *gradients: Any) -> Tensor:
        total: Tensor = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _normalize(layer: nn.modules.batchnorm._BatchNorm, team: Team, x: Tensor) -> Tensor:
    """BatchNorm over the rows of all processes, of which each has as many. torch's own for this is for GPUs alone."""
    if not layer.training and layer.running_mean is not None:
        return type(layer).forward(layer, x)
    axes = [0, *range(2, x.dim())]
    shape = [1, -1] + [1] * (x.dim() - 2)
    mean = _summed(x.mean(axes)) / team.size
    apart = x - mean.view(shape)
    variance = _summed((apart * apart).mean(axes)) / team.size
    if layer.training and layer.running_mean is not None and layer.running_var is not None:
        number = x.numel() // x.shape[1] * team.size
        _track(layer, mean.detach(), variance.detach() * number / max(number - 1, 1))
    scaled = apart * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.weight is not None:
        scaled = scaled * layer.weight.view(shape) + layer.bias.view(shape)
    return scaled


def _summed(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def _track(layer: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, share)
    layer.running_var.lerp_(variance, share)


def _drop(layer: nn.Dropout, team: Team, x: Tensor) -> Tensor:
    """Dropout by the mask of the whole batch, of which every process draws all and takes its rows."""
    if not layer.training or layer.p == 0:
        return x
    return x * _mask(x, [x.shape[0] * team.size, *x.shape[1:]], layer.p)[team.rows(x.shape[0] * team.size)]


def _drop_rows(layer: StochasticDepth, team: Team, x: Tensor) -> Tensor:
    if not layer.training or layer.p == 0:
        return x
    rows = x.shape[0] * team.size if layer.mode == "row" else 1
    mask = _mask(x, [rows] + [1] * (x.dim() - 1), layer.p)
    return x * (mask[team.rows(rows)] if layer.mode == "row" else mask)


def _mask(x: Tensor, shape: list[int], p: float) -> Tensor:
    """Drawn as torch draws it on a CPU, so that one process and several drop the same elements there."""
    noise = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - p)
    return noise.div_(1 - p) if p < 1 else noise
