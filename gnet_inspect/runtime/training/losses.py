"""The loss of a classifier with auxiliary heads: the scores' cross entropy, and each head's by its weight."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from gnet_inspect.errors import UsageError
from gnet_inspect.runtime.module import Outputs
from gnet_inspect.units import dimensions


def split_outputs(output: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """(the scores N x classes, each head's by its name) of what a module returns.

    A module of `build_module` returns `Outputs` in training; others return scores, or a tuple whose first is the scores
    and whose others are the heads', by the names of a named tuple (torchvision's GoogLeNetOutputs) or their numbers;
    None among them is a head that is switched off. Raises UsageError for anything else.
    """
    if isinstance(output, Tensor):
        return output, {}
    if isinstance(output, Outputs) and isinstance(output.logits, Tensor):
        return output.logits, output.heads
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        rest = dict(_named(output)[1:])
        if all(head is None or isinstance(head, Tensor) for head in rest.values()):
            return output[0], {name: head for name, head in rest.items() if head is not None}
    got = f"a dict of {', '.join(map(str, output))}" if isinstance(output, Mapping) else f"a {type(output).__name__}"
    raise UsageError(f"expected a network that gives scores N x classes, with or without heads, got {got}")


def _named(output: Any) -> list[tuple[str, Any]]:
    names: Iterator[str] = iter(getattr(output, "_fields", map(str, range(len(output)))))
    return list(zip(names, output, strict=True))


def check_scores(output: Any, batch: int, classes: int) -> dict[str, Tensor]:
    """The heads of what a module returned for a batch. Raises UsageError unless all are scores batch x classes."""
    scores, heads = split_outputs(output)
    for name, value in {"its output": scores, **heads}.items():
        if tuple(value.shape) != (batch, classes):
            raise UsageError(
                f"expected scores {batch} x {classes} classes of {name}, got {dimensions(value.shape)}. "
                "(where a spec says its classes otherwise than by the parameter `classes`, --set changes them)"
            )
    return heads


def training_loss(output: Any, labels: Tensor, heads: Mapping[str, float], smoothing: float) -> Tensor:
    """The mean loss over a batch: the scores' cross entropy, and each head's times its weight (the paper's is 0.3,
    section 5 of arXiv:1409.4842), all with the same label smoothing."""
    scores, found = split_outputs(output)
    loss = cross_entropy(scores.float(), labels, label_smoothing=smoothing)
    for name, value in found.items():
        loss = loss + heads[name] * cross_entropy(value.float(), labels, label_smoothing=smoothing)
    return loss
