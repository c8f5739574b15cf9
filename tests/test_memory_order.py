"""What a layer makes, keeps and hands on where its inputs lie in another order than their sizes say, or with gaps."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor, nn

from gnet_inspect.ops import Shapes
from tests.facts import quiet
from tests.kinds import KINDS
from tests.single import layer_of, op_of, outputs_of, values_for
from tests.watching import StorageWatch

# Of these nobody says what they make or keep at all, wherever their inputs lie.
UNSAID = {"MultiheadAttention", "ShiftedWindowAttention", "GRU"}


def with_gaps(value: Tensor) -> Tensor:
    """The same numbers, every other element of a tensor twice as long."""
    longer = torch.zeros(*value.shape[:-1], 2 * value.shape[-1], dtype=value.dtype)
    longer[..., ::2] = value
    return longer[..., ::2]


def reversed_order(value: Tensor) -> Tensor:
    """The same numbers, the axes behind the batch stored last to first."""
    axes = [0, *range(value.dim() - 1, 0, -1)]
    return value.permute(axes).contiguous().permute(axes)


def memory_of(layer: nn.Module, given: list[Tensor], training: bool) -> tuple[Any, ...]:
    """Which inputs autograd keeps, whether the output, the bytes of what else; the most bytes beside them, and whether
    the output lies in an input."""
    layer.train(training)
    if training:
        given = [value.detach().requires_grad_() if value.is_floating_point() else value for value in given]
    weights = {item.untyped_storage()._cdata for item in (*layer.parameters(), *layer.buffers())}
    packed: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            packed[storage._cdata] = storage.nbytes()
        return tensor

    places = [value.untyped_storage()._cdata for value in given]
    watch = StorageWatch([*given, *layer.parameters(), *layer.buffers()])
    with (
        quiet(),
        torch.set_grad_enabled(training),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        watch,
    ):
        made = outputs_of(layer, given)[0].untyped_storage()
    more = sum(size for place, size in packed.items() if place not in (*places, made._cdata))
    shared = made._cdata in places
    beside = watch.peak - (0 if shared else made.nbytes())
    return *(place in packed for place in places), made._cdata in packed, more, beside, shared


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_says_whether_torch_copies_what_lies_otherwise(kind: str) -> None:
    """Who says that it does not is found not to, and who may is found to."""
    differs = False
    for arguments, inputs in KINDS[kind]:
        differs |= _differs(kind, arguments, inputs)
    assert op_of(kind, KINDS[kind][0][0]).may_copy == (differs or kind in UNSAID)


def _differs(kind: str, arguments: dict[str, Any], inputs: Shapes) -> bool:
    layer = layer_of(op_of(kind, arguments), inputs)
    if not isinstance(layer, nn.Module):
        return False
    given = values_for(kind, inputs)
    for training in (False, True):
        plain = memory_of(layer, given, training)
        for laid in (with_gaps, reversed_order):
            if memory_of(layer, [laid(value) for value in given], training) != plain:
                return True
    return False
