"""What is true of one layer, by torch itself: run alone, watched, and asked what its outputs see."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnet_inspect.graph import Graph, Output, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.ops import VOCABULARY, Op, Shapes
from gnet_inspect.runtime.layers import build_layer
from tests.watching import StorageWatch


def make(kind: str, arguments: dict[str, Any]) -> Op:
    """A layer from plain arguments, as a spec would give them."""
    kinds = VOCABULARY[kind].parameters()
    return VOCABULARY[kind](**{name: kinds[name].kind.read(value) for name, value in arguments.items()})


def graph_of_calls(op: Op, inputs: Shapes, *, calls: int = 1, mode: str = "eval") -> Graph:
    """A network that is this one layer, called so often one after the other."""
    names = tuple(f"x{index}" if index else "x" for index in range(len(inputs)))
    maker = GraphMaker([Value(name, shape) for name, shape in zip(names, inputs, strict=True)])
    last = maker.call(maker.name_of_call("layer"), op, names)
    for _ in range(1, calls):
        last = maker.call(maker.name_of_call("layer"), op, (last,), module="layer")
    return maker.graph(model="one", title="One layer", mode=mode, outputs=[Output("layer", last)], parts=())


def built(op: Op, inputs: Shapes, *, in_place: bool = False, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Its module in eval mode, with weights that differ from each other and from what torch starts with."""
    layer = build_layer(op, inputs, in_place)
    assert isinstance(layer, nn.Module)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*layer.parameters(), *layer.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return layer.to(dtype).eval()


def values(inputs: Shapes, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Inputs drawn alike each time."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in inputs]


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's word that an even kernel with the padding "same" copies the input."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'", UserWarning)
        yield


class Kept(NamedTuple):
    """What autograd packed of one call: whether its first input and its output are among it, and the bytes of what else
    is, weights and buffers apart."""

    input: bool
    output: bool
    bytes: int


def kept(op: Op, inputs: Shapes, *, in_place: bool, dtype: torch.dtype = torch.float32) -> Kept:
    """What torch's autograd keeps of a layer in training."""
    layer = built(op, inputs, in_place=in_place, dtype=dtype).train()
    own = {item.untyped_storage()._cdata for item in (*layer.parameters(), *layer.buffers())}
    given = [value.requires_grad_().clone() for value in values(inputs, dtype)]
    packed: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.nbytes() and storage._cdata not in own:
            packed[storage._cdata] = tensor
        return tensor

    with quiet(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        made = layer(*given)
    first, output = given[0].untyped_storage()._cdata, made.untyped_storage()._cdata
    more = sum(tensor.untyped_storage().nbytes() for key, tensor in packed.items() if key not in (first, output))
    return Kept(first in packed, output in packed, more)


def made_inside(op: Op, inputs: Shapes, *, training: bool, dtype: torch.dtype = torch.float32) -> int:
    """The bytes that stand beside a layer's inputs and its output when it is at its fullest; in training with what
    autograd keeps."""
    layer = built(op, inputs, dtype=dtype).train(training)
    given = values(inputs, dtype)
    if training:
        given = [value.requires_grad_() for value in given]
    watch = StorageWatch([*given, *layer.parameters(), *layer.buffers()])
    with quiet(), torch.set_grad_enabled(training), watch:
        made = layer(*given)
    storages = {value.untyped_storage()._cdata for value in given}
    own = 0 if made.untyped_storage()._cdata in storages else made.untyped_storage().nbytes()
    return watch.peak - own


def shares(op: Op, inputs: Shapes, *, training: bool) -> int | None:
    """The input whose memory the output lies in."""
    layer = built(op, inputs).train(training)
    given = values(inputs)
    with quiet(), torch.no_grad():
        made = layer(*given)
    found = [index for index, value in enumerate(given) if _address(value) == _address(made)]
    return found[0] if found else None


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def reached(op: Op, inputs: Shapes) -> Tensor:
    """Whether an output depends on an element of the first sample of the first input, as a tensor of booleans with the
    input's axes (the batch is 1) and then the output's: an element that is no number makes none of whatever is computed
    from it."""
    # In double precision torch multiplies plainly: its faster ways mix neighbours that they need not.
    layer = built(op, inputs, dtype=torch.float64)
    first, *others = values(inputs, torch.float64)
    rows = []
    with quiet(), torch.no_grad():
        for index in range(prod(inputs[0][1:])):
            lit = first.clone()
            lit.view(-1)[index] = float("nan")
            rows.append(layer(lit, *others).isnan())
    return torch.stack(rows).reshape(1, *inputs[0][1:], *rows[0].shape)


def seen_by_rule(op: Op, inputs: Shapes) -> list[Tensor]:
    """What the op says of that, for each axis of the output: (positions of the input's axis, positions of the
    output's). Of layers whose output's axes are the input's."""
    (shape,), sight = op.outputs(inputs), op.sight(inputs)
    assert sight is not None
    found = []
    for axis, (look, size) in enumerate(zip(sight, shape, strict=True)):
        assert look.of == (axis,)
        places = torch.arange(inputs[0][axis])[:, None]
        window = look.window
        if window is None:
            found.append(torch.ones((inputs[0][axis], size), dtype=torch.bool))
            continue
        starts = window.start + torch.arange(size)[None] * window.step
        found.append((places * window.parts >= starts) & (places * window.parts < starts + window.reach))
    return found


def operations(op: Op, inputs: Shapes) -> int:
    """FlopCounterMode's total."""
    from torch.utils.flop_counter import FlopCounterMode

    layer = built(op, inputs).to("meta")
    with quiet(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(*(torch.empty(shape, device="meta") for shape in inputs))
    return int(counter.get_total_flops())
