"""Random numbers that are functions of integers, without a generator's state.

A state would have to be kept in each worker and restored in each resume; what is a function of the seed, the epoch and
an image's number is the same wherever and whenever it is asked for. The mixing is SplitMix64's finalizer (Steele, Lea
and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), over each number in turn.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# The odd constants of SplitMix64: 2^64 over the golden ratio, and its two multipliers, each with what it is shifted by.
_STEP = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_WORD = 2**64 - 1


def mix(*numbers: int) -> int:
    """A key of 63 bits from integers, of which each counts modulo 2^64, and in its place.

    >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0), mix(0) == mix(0, 0)
    (True, False, False)
    """
    return _key(*numbers) >> 1


def uniforms(seed: int, epoch: int, indices: Tensor, count: int) -> Tensor:
    """`count` numbers for each of the images `indices` (int64, B): float64, B x count, evenly from [0, 1).

    The number at (i, j) is `mix(seed, epoch, indices[i], j)` in its upper 53 bits, whatever else is asked for beside
    it.
    """
    start = torch.tensor(_signed(_key(seed, epoch, length=4)))
    keys = _absorb(_absorb(start, indices[:, None]), torch.arange(count)[None, :])
    return _shifted(keys, 11).to(torch.float64) * 2.0**-53


def order(seed: int, epoch: int, size: int) -> Tensor:
    """A permutation of `size` images (int64): they are sorted by the keys `mix(seed, epoch, index)`.

    For one seed and epoch these differ, because each step of the mixing is a bijection.
    """
    start = torch.tensor(_signed(_key(seed, epoch, length=3)))
    return torch.argsort(_absorb(start, torch.arange(size)))


def seed_everything(key: int) -> None:
    """Have the global generators begin at a key: torch's, on every device, Python's and, where it is imported,
    numpy's."""
    torch.manual_seed(key)
    _seed_others(key)


def _seed_others(key: int) -> None:
    random.seed(key)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(key % 2**32)


@contextmanager
def drawing_of(key: int) -> Iterator[None]:
    """Let strangers' code draw: the global generators begin at a key, and are afterwards as they were.

    They are torch's (on the CPU), Python's and, where it is imported, numpy's.
    """
    numpy = sys.modules.get("numpy")
    own = torch.default_generator.get_state(), random.getstate(), numpy and numpy.random.get_state()
    try:
        torch.default_generator.manual_seed(key)
        _seed_others(key)
        yield
    finally:
        torch.default_generator.set_state(own[0])
        random.setstate(own[1])
        if numpy is not None:
            numpy.random.set_state(own[2])


def _key(*numbers: int, length: int | None = None) -> int:
    """64 bits from integers, of which there may be more to come until there are `length`."""
    key = len(numbers) if length is None else length
    for number in numbers:
        key = _scramble((key * _STEP + number + _STEP) & _WORD)
    return key


def _scramble(key: int) -> int:
    for shift, factor in _ROUNDS:
        key = ((key ^ (key >> shift)) * factor) & _WORD
    return key ^ (key >> _LAST_SHIFT)


def _absorb(keys: Tensor, numbers: Tensor) -> Tensor:
    """One step of `_key` for every number of a tensor: int64 wraps around in torch as unsigned words do."""
    keys = keys * _signed(_STEP) + numbers + _signed(_STEP)
    for shift, factor in _ROUNDS:
        keys = (keys ^ _shifted(keys, shift)) * _signed(factor)
    return keys ^ _shifted(keys, _LAST_SHIFT)


def _shifted(keys: Tensor, bits: int) -> Tensor:
    """Shifted to the right with zeros: torch's own shift repeats the sign."""
    shifted: Tensor = (keys >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _signed(word: int) -> int:
    """The int64 of the same 64 bits."""
    return word - 2**64 if word >= 2**63 else word
