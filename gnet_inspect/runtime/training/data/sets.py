"""Data sets by what a command names them, and from Python: two splits, the classes, and what images look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gnet_inspect.errors import INSTALL_TRAIN, MissingError, UsageError, did_you_mean, printable, show
from gnet_inspect.runtime.training.data.fitting import check_channels
from gnet_inspect.runtime.training.data.folders import read_folders
from gnet_inspect.runtime.training.data.given import DatasetSplit, split_of
from gnet_inspect.runtime.training.data.idx import has_split, read_split
from gnet_inspect.runtime.training.data.splits import HeldSplit, Split

# Han Xiao, Kashif Rasul and Roland Vollgraf, "Fashion-MNIST" (arXiv:1708.07747), table 2; the spelling is its
# repository's.
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
DIGITS = "digits"
# What stands before the folder of IDX files, and the names of their classes, None where these are their numbers.
IDX_SETS: dict[str, tuple[str, ...] | None] = {"mnist": None, "fashion-mnist": FASHION}
# The share of the shorter side that evaluation looks at: all of images that were made for a size, 224 of 256 of others.
WHOLE, MIDDLE = 1.0, 0.875
# Every so many of the digits is for evaluation.
_EVERY = 5
# Each value of a digit counts the dark ones of 4 x 4 pixels.
_DIGIT_LEVELS = 16


class DataSet(NamedTuple):
    """Labelled images to learn from and others to evaluate with.

    `size` is H x W where that is the same of all images that were looked at. `crop` is the share of the shorter side of
    an image that evaluation looks at.
    """

    name: str
    train: Split | None
    val: Split
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int] | None
    crop: float


def open_data(text: str, *, need_train: bool = True) -> DataSet:
    """The data set that a command names: digits, mnist:DIR, fashion-mnist:DIR, or a folder of images.

    Where `need_train` is False, the images to learn from may be missing, and a folder with a folder for each class is
    itself what is evaluated. Raises UsageError for what is none of these or is broken, MissingError where a package is
    missing.
    """
    kind, colon, rest = text.partition(":")
    if text == DIGITS:
        return _digits()
    try:
        if kind in IDX_SETS and colon and rest:
            return _idx_set(text, kind, Path(rest).expanduser(), need_train=need_train)
        folder = Path(text).expanduser()
        if text and folder.is_dir():
            found = read_folders(folder, need_train=need_train)
            return DataSet(text, *found, MIDDLE)
    except (OSError, RuntimeError) as error:
        # A name that is too long or forbidden, and a home that nobody has.
        raise UsageError(f"{printable(text)}: expected a folder that can be read, got: {error}") from None
    raise _unknown(text, kind)


def _unknown(text: str, kind: str) -> UsageError:
    names = (DIGITS, *IDX_SETS)
    offer = did_you_mean(kind, names) if kind not in IDX_SETS else f"{kind}:DIR, with the folder of its files"
    lines = (
        f"{DIGITS}: 1,797 digits of 8 x 8, which scikit-learn brings",
        *(f"{name}:DIR: a folder with {name}'s four IDX files, gzipped or not" for name in IDX_SETS),
        "DIR: a folder with train/ and val/, each with a folder of images for each class",
    )
    return UsageError(
        f"expected data, got {show(text)}, which is no folder either. {f'({offer})' if offer else ''}".rstrip(), lines
    )


def _digits() -> DataSet:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingError(
            f"the data set {DIGITS} needs scikit-learn, which is not installed. Install it with: {INSTALL_TRAIN}"
        ) from None
    bunch = load_digits()
    images = (torch.from_numpy(bunch.images).to(torch.float32) / _DIGIT_LEVELS)[:, None]
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    tests = torch.arange(len(labels)) % _EVERY == 0
    train, val = (HeldSplit(images[rows], labels[rows], _DIGIT_LEVELS) for rows in (~tests, tests))
    return DataSet(DIGITS, train, val, tuple(map(str, range(10))), 1, (8, 8), WHOLE)


def _idx_set(text: str, kind: str, folder: Path, *, need_train: bool) -> DataSet:
    if not folder.is_dir():
        raise UsageError(
            f"{printable(text)}: expected a folder with {kind}'s files, got {show(str(folder))}, which is none"
        )
    train = read_split(folder, "train") if need_train or has_split(folder, "train") else None
    val = read_split(folder, "val")
    splits = [split for split in (train, val) if split is not None]
    highest = max(int(split.labels.max()) for split in splits)
    # Others than MNIST are published in its form, with more classes.
    classes = IDX_SETS[kind] or tuple(map(str, range(max(highest + 1, 10))))
    if highest >= len(classes):
        raise UsageError(
            f"{printable(text)}: expected labels from 0 to {len(classes) - 1}, got {highest}. (mnist:DIR takes any)"
        )
    return DataSet(text, train, val, classes, 1, _common_size(splits), WHOLE)


def given_data(train: Any, val: Any, classes: Sequence[str] | None = None) -> DataSet:
    """A data set of what a program has: each split a pair (images, labels) or a Dataset of (image, class).

    Parameters
    ----------
    train, val
        Images as a tensor or an array, N x C x H x W or N x H x W, of uint8 or of floats from 0 to 1, with as many
        integer labels; or any object with a length and items (image, class), images as tensors C x H x W or Pillow's.
        `train` may be None where nothing is learned.
    classes
        Their names. By default those that the Dataset has (`classes`), or else the numbers from 0.
    """
    splits = {name: split_of(given, name) for name, given in (("train", train), ("val", val)) if given is not None}
    if "val" not in splits:
        raise UsageError("val: expected images to evaluate with, got None")
    known = list(splits.values())
    channels = (splits.get("train") or splits["val"]).channels
    check_channels(splits["val"].channels, channels)
    size = _common_size(known)
    return DataSet(
        "given in Python",
        splits.get("train"),
        splits["val"],
        _class_names(known, classes, train if train is not None else val),
        channels,
        size,
        WHOLE if size or all(isinstance(split, HeldSplit) for split in known) else MIDDLE,
    )


def _class_names(splits: Sequence[Split], classes: Sequence[str] | None, given: Any) -> tuple[str, ...]:
    count = max(int(split.labels.max()) for split in splits) + 1
    if classes is None:
        own = getattr(given, "classes", None)
        if not isinstance(own, list | tuple) or len(own) < count or not all(isinstance(name, str) for name in own):
            return tuple(map(str, range(count)))
        classes = own
    names = tuple(classes)
    if isinstance(classes, str) or len(names) < count or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"classes: expected the names of {count} classes, as the labels go to {count - 1}, got {show(classes)}"
        )
    return names


def _common_size(splits: Sequence[Split]) -> tuple[int, int] | None:
    sizes = {_size_of(split) for split in splits}
    return sizes.pop() if len(sizes) == 1 else None


def _size_of(split: Split) -> tuple[int, int] | None:
    if isinstance(split, DatasetSplit):
        return split.size
    assert isinstance(split, HeldSplit)
    return split.images.shape[-2], split.images.shape[-1]
