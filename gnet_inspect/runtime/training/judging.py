"""A trained network on labelled images: accuracy, which classes it takes for which, and its worst mistakes."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gnet_inspect.errors import INSTALL_TRAIN, MissingError, UsageError, quoted, some_of
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.training import Confusion, Evaluation, Mistaken
from gnet_inspect.runtime.training.data.sets import DataSet
from gnet_inspect.runtime.training.data.splits import Split
from gnet_inspect.runtime.training.evaluating import TOP, Told

# The longest side of an image in a picture.
THUMBNAIL = 256


class About(NamedTuple):
    """What was evaluated on what, in words."""

    run: str
    title: str
    data: str
    split: str
    weights: str


def check_classes(data: DataSet, names: Sequence[str]) -> None:
    """Raise UsageError for data of other classes than a network was trained on, or in another order."""
    if data.classes == tuple(names):
        return
    if len(data.classes) != len(names):
        raise UsageError(
            f"expected the {len(names)} classes of the run ({some_of(names)}), got {len(data.classes)} "
            f"({some_of(data.classes)})"
        )
    was, odd = next(pair for pair in zip(names, data.classes, strict=True) if pair[0] != pair[1])
    raise UsageError(f"expected the classes of the run in their order, got {quoted(odd)} in the place of {quoted(was)}")


def judge(told: Told, split: Split, classes: Sequence[str], about: About, worst: int) -> Evaluation:
    """What a network said of every image of a split, counted: the images of a class are a row of the confusion matrix.

    Sums of losses are in double precision; of images of one loss the first comes first among the worst.
    """
    number, predicted = len(classes), told.predicted
    matrix = torch.bincount(told.labels * number + predicted, minlength=number**2).reshape(number, number)
    right = matrix.diagonal()
    return Evaluation(
        schema_version=SCHEMA_VERSION,
        run=about.run,
        title=about.title,
        data=about.data,
        split=about.split,
        weights=about.weights,
        images=len(told.labels),
        loss=float(told.losses.double().mean()),
        accuracy=int(right.sum()) / len(told.labels),
        top5_accuracy=_top(told) if number > TOP else None,
        classes=tuple(
            Confusion(name, images, _share(hit, images), _share(hit, called))
            for name, hit, images, called in zip(
                classes, right.tolist(), matrix.sum(1).tolist(), matrix.sum(0).tolist(), strict=True
            )
        ),
        confusion=tuple(map(tuple, matrix.tolist())),
        worst=tuple(_mistaken(told, split, classes, index) for index in worst_of(told, worst)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _top(told: Told) -> float:
    """The share of images whose class is among the five of the highest scores."""
    best = told.probabilities.topk(TOP).indices
    return int((best == told.labels[:, None]).any(1).sum()) / len(told.labels)


def worst_of(told: Told, most: int) -> list[int]:
    """The numbers of the images that were mistaken, those of the greatest loss first."""
    order: Tensor = told.losses.sort(descending=True, stable=True).indices
    wrong = told.predicted != told.labels
    return [index for index in order.tolist() if wrong[index]][:most]


def _mistaken(told: Told, split: Split, classes: Sequence[str], index: int) -> Mistaken:
    label, predicted = int(told.labels[index]), int(told.predicted[index])
    return Mistaken(
        index=index,
        file=split.file(index),
        label=classes[label],
        predicted=classes[predicted],
        label_probability=float(told.probabilities[index, label]),
        predicted_probability=float(told.probabilities[index, predicted]),
        loss=float(told.losses[index]),
    )


def png_of(image: Tensor) -> bytes:
    """An image, C x H x W from 0 to 1, as the bytes of a PNG of at most 256 pixels a side."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingError(
            f"a picture of images needs Pillow, which is not installed. Install it with: {INSTALL_TRAIN}"
        ) from None
    pixels = (image * 255).round().clamp(0, 255).to(torch.uint8)
    mode = "L" if pixels.shape[0] == 1 else "RGB"
    rows = pixels[0] if mode == "L" else pixels.permute(1, 2, 0).contiguous()
    picture = Image.frombytes(mode, (image.shape[2], image.shape[1]), bytes(rows.flatten().tolist()))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "png")
    return stream.getvalue()
