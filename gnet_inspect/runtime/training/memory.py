"""The memory of a training step before it is taken: predicted by the rules, and refused where it is not there."""

from bisect import bisect_left
from collections.abc import Callable

import torch

from gnet_inspect.analysis.training import training_memory
from gnet_inspect.errors import MissingError
from gnet_inspect.graph import Graph
from gnet_inspect.records.training import Memory, Recipe
from gnet_inspect.runtime.module import free_memory
from gnet_inspect.runtime.training.optimizing import OPTIMIZERS
from gnet_inspect.units import byte_count


def predicted_bytes(graph: Graph, recipe: Recipe) -> int:
    """What a step keeps: weights, gradients, the optimizer's state and what autograd saves, by `training_memory`.

    The master weights, gradients and states of mixed precision are of fp32; what is saved, and the copy of the weights
    that autocast keeps for a step, are of half of that. Averaged weights are one more copy.
    """
    whole = training_memory(graph, "sgd", "fp32")
    state = whole.gradient_bytes * OPTIMIZERS[recipe.optimizer](recipe.optimizer_options)
    average = whole.weights_bytes if recipe.ema is not None else 0
    fixed = whole.weights_bytes + whole.gradient_bytes + state + average
    if recipe.amp is None:
        return fixed + whole.saved_bytes
    half = training_memory(graph, "sgd", recipe.amp)
    return fixed + half.weights_bytes + half.saved_bytes


def check_fits(make: Callable[[int], Graph], recipe: Recipe, batch: int, device: str) -> Memory:
    """What is predicted for a batch of one device. Raises MissingError where so much is not free, with the largest
    batch for which it is. `make` gives the graph of a training step at a batch."""
    needed = predicted_bytes(make(batch), recipe)
    free = free_memory(torch.device(device))
    if free is None or needed <= free:
        return Memory(batch, needed)
    fitting = _largest_batch(lambda size: predicted_bytes(make(size), recipe) <= free, batch)
    mend = f"take --batch {fitting}" if fitting else "not even a batch of 1 fits: --amp bf16, or another device"
    raise MissingError(
        f"--batch: a step of {make(1).variant} at batch {batch} keeps {needed:,} bytes ({byte_count(needed)}) on "
        f"{device}, where {free:,} ({byte_count(free)}) are free. ({mend})"
    )


def _largest_batch(fits: Callable[[int], bool], refused: int) -> int:
    """The largest batch below one that does not fit, 0 for none; what a step keeps grows with its batch."""
    return bisect_left(range(1, refused), True, key=lambda size: not fits(size))
