"""What layers refuse: over many arguments, ranks and sizes what torch refuses, and nothing else."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from gnet_inspect.errors import ShapeError
from gnet_inspect.ops import Op, Shape
from tests.facts import make, quiet
from tests.kinds_a import KINDS_A

CHANNELS = 4
WINDOWED = [f"{kind}{n}d" for kind in ("Conv", "ConvTranspose", "MaxPool", "AvgPool") for n in (1, 2, 3)]


def _by_rule(op: Op, shape: Shape) -> Shape | None:
    """The output's shape, or None where the op refuses."""
    try:
        return op.output_shape((shape,))
    except ShapeError:
        return None


def _by_torch(op: Op, shape: Shape, *, fitting: Shape | None = None, training: bool = False) -> Shape | None:
    """The same by the module, made for a shape that fits."""
    from gnet_inspect.runtime.layers import build_layer

    try:
        layer = build_layer(op, (fitting or shape,), False).train(training)  # type: ignore[union-attr]  # no Parameter
        with quiet(), torch.no_grad():
            made = tuple(layer(torch.zeros(shape)).shape)
    except (RuntimeError, ValueError, IndexError):
        return None
    return made if 0 not in made else None  # torch makes nothing of nothing, which is a mistake in a network


def _arguments(kind: str) -> Iterator[dict[str, Any]]:
    """Arguments of a layer with windows, the same along all axes."""
    convolves = kind.startswith("Conv")
    for kernel, stride, padding, dilation in product((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2)):
        given: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding}
        if convolves:
            given |= {"out_channels": CHANNELS, "dilation": dilation}
        if kind.startswith("AvgPool"):
            if dilation == 1:
                yield from (given, given | {"ceil_mode": True})
        elif kind.startswith("MaxPool"):
            yield from (given | {"dilation": dilation}, given | {"dilation": dilation, "ceil_mode": True})
        elif kind.startswith("ConvT"):
            yield from (given | {"output_padding": extra} for extra in (0, 1, 2))
        else:
            yield given
    for kernel, stride in product((2, 3), (1, 2)):
        if kind.startswith("Conv") and not kind.startswith("ConvT"):
            words = {"out_channels": CHANNELS, "kernel_size": kernel, "stride": stride}
            yield from (words | {"padding": word} for word in ("same", "valid"))


def _arguments_of_two_sides(kind: str) -> Iterator[dict[str, Any]]:
    """The same with paddings that torch's classes do not know, each less than what the kernel covers."""
    axes = int(kind[-2])
    more: tuple[dict[str, Any], ...]
    more = ({"out_channels": CHANNELS},) if kind.startswith("Conv") else ({"ceil_mode": False}, {"ceil_mode": True})
    for kernel, stride, given in product((1, 2, 3), (1, 2, 3), more):
        yield given | {"kernel_size": kernel, "stride": stride, "padding": "same_tf"}
        for before, after in product(range(kernel), repeat=2):
            yield given | {"kernel_size": kernel, "stride": stride, "padding": [before, after] * axes}


@pytest.mark.parametrize("kind", WINDOWED)
def test_layers_with_windows_refuse_what_torch_refuses(kind: str) -> None:
    """At sizes around the kernel's; and where both take it, both make the same shape."""
    axes = int(kind[-2])
    verdicts = set()
    given = [*_arguments(kind), *(_arguments_of_two_sides(kind) if "Transpose" not in kind else ())]
    for arguments in given:
        op = make(kind, arguments)
        for size in (1, 2, 3, 4, 6) if axes == 1 else (1, 3):
            shape = (2, CHANNELS, *[size] * axes)
            by_rule, by_torch = _by_rule(op, shape), _by_torch(op, shape)
            assert by_rule == by_torch, (arguments, shape)
            verdicts.add(by_rule is None)
    assert verdicts == {True, False}


@pytest.mark.parametrize("kind", KINDS_A)
def test_layers_refuse_the_ranks_that_torch_refuses(kind: str) -> None:
    """From one axis to six; without a batch (N, C, ...) is another rank, which torch takes for some layers."""
    for arguments, (fitting, *_) in KINDS_A[kind]:
        op = make(kind, arguments)
        for rank in range(2, 7):
            if kind[-1:] == "d" and kind[-2] in "123" and rank == len(fitting) - 1 and "BatchNorm" not in kind:
                assert _by_rule(op, fitting[:rank]) is None  # torch would take the batch for channels
                continue
            if kind in ("LayerNorm", "RMSNorm") and rank == arguments.get("axes", 1):
                assert _by_rule(op, fitting[:rank]) is None  # torch would normalise over the batch
                continue
            if kind in ("AdaptiveAvgPool2d", "AdaptiveAvgPool3d") and rank > len(fitting):
                assert _by_rule(op, (*fitting, 3)) is None  # torch takes the mean of any last axes
                continue
            shape = (*fitting, 3, 3, 3, 3)[:rank]
            if kind in ("LayerNorm", "RMSNorm", "Linear"):
                fitting_here: Shape | None = None  # its last axes are inferred, whatever they are
            else:
                fitting_here = fitting
            assert _by_rule(op, shape) == _by_torch(op, shape, fitting=fitting_here), (arguments, shape)


@pytest.mark.parametrize(
    ("kind", "arguments", "shapes"),
    [
        *(
            (f"BatchNorm{n}d", {"track_running_stats": flag}, [(b, 4, *[s] * n) for b in (1, 2) for s in (1, 2)])
            for n in (1, 2, 3)
            for flag in (True, False)
        ),
        ("BatchNorm1d", {}, [(1, 4), (2, 4)]),
        *(
            (f"InstanceNorm{n}d", {"track_running_stats": flag}, [(b, 4, *[s] * n) for b in (1, 2) for s in (1, 2)])
            for n in (1, 2, 3)
            for flag in (True, False)
        ),
        ("GroupNorm", {"num_groups": 4}, [(1, 4), (2, 4), (1, 4, 1), (1, 4, 2), (2, 4, 1, 1), (1, 8, 1)]),
        ("GroupNorm", {"num_groups": 1}, [(1, 1), (1, 2), (1, 1, 1, 1), (1, 1, 2)]),
        ("LayerNorm", {}, [(1, 1), (1, 1, 1), (2, 1)]),
    ],
)
def test_statistics_of_a_single_value_are_refused_as_torch_refuses_them(
    kind: str, arguments: dict[str, Any], shapes: list[Shape]
) -> None:
    """In eval mode, and in training, where torch works statistics out that it is otherwise given."""
    op = make(kind, arguments)
    for shape in shapes:
        assert (_by_rule(op, shape) is None) == (_by_torch(op, shape) is None), shape
        refused = _by_rule(op, shape) is None or op.refuses_training((shape,))
        assert refused == (_by_torch(op, shape, training=True) is None), shape


@pytest.mark.parametrize(
    ("kind", "arguments", "shape", "message"),
    [
        ("Conv1d", {"out_channels": 6, "kernel_size": 3}, (2, 4, 5, 6), r"Conv1d expects an input N x C x L, got"),
        ("Conv3d", {"out_channels": 6, "kernel_size": 3}, (2, 4, 5, 6), r"expects an input N x C x D x H x W, got"),
        ("Conv3d", {"out_channels": 6, "kernel_size": 3, "groups": 4}, (2, 4, 5, 6, 7), r"groups 4.*got 4 and 6"),
        (
            "Conv1d",
            {"out_channels": 6, "kernel_size": 3, "padding": "same", "stride": 2},
            (2, 4, 9),
            r"stride 1, got 2",
        ),
        ("Conv1d", {"out_channels": 6, "kernel_size": 5, "padding": [1, 0]}, (2, 4, 3), r"padded input's 4 \(3 \+ 1\)"),
        ("MaxPool1d", {"kernel_size": 3, "padding": 2}, (2, 4, 9), r"padding of at most half its kernel 3, got 2"),
        ("MaxPool1d", {"kernel_size": 3, "padding": [0, 3]}, (2, 4, 9), r"padding below the 3 that.*covers, got 0, 3"),
        ("AvgPool3d", {"kernel_size": 4}, (2, 4, 9, 3, 9), r"no window along height: the input's 3 \+ 0"),
        ("GroupNorm", {"num_groups": 3}, (2, 4, 9), r"C divisible by its 3 groups"),
        ("GroupNorm", {"num_groups": 4}, (1, 4), r"GroupNorm expects more than one value per group, got 1x4"),
        ("InstanceNorm2d", {}, (2, 4, 1, 1), r"more than one value per channel, got 2x4x1x1"),
        ("LayerNorm", {"axes": 3}, (2, 4, 9), r"last 3 axes expects an input with more"),
        ("RMSNorm", {"axes": 3}, (2, 4, 9), r"last 3 axes expects an input with more"),
        ("PReLU", {"num_parameters": 3}, (2, 4, 9), r"PReLU with 3 parameters expects as many channels"),
        ("AdaptiveMaxPool3d", {"output_size": 1}, (2, 4, 9), r"N x C x D x H x W, got 2x4x9"),
        (
            "ConvTranspose1d",
            {"out_channels": 6, "kernel_size": 2, "output_padding": 1},
            (2, 4, 9),
            r"got 1 along length",
        ),
    ],
)
def test_refusals_say_what_was_expected(kind: str, arguments: dict[str, Any], shape: Shape, message: str) -> None:
    """With the numbers."""
    with pytest.raises(ShapeError, match=message):
        make(kind, arguments).output_shape((shape,))
