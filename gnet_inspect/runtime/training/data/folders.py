"""Folders of images: train/ and val/ with a folder for each class."""

import os
from collections.abc import Iterator, Sequence
from os import DirEntry
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gnet_inspect.errors import UsageError, did_you_mean, printable, quoted, some_of
from gnet_inspect.runtime.training.data.pictures import ENDINGS, read_header, read_image
from gnet_inspect.runtime.training.data.splits import Split

TRAIN = "train"
# What the split that is not learned from may be called; the first that is there is it.
VALS = ("val", "valid", "validation", "test")
# The most files that are listed, and of how many the headers are looked at.
MOST_FILES = 5_000_000
LOOKED_AT = 1_000


class FolderSplit(Split):
    """Image files below a folder, read when they are asked for. `channels` is 1 where all that was looked at is
    grey."""

    def __init__(self, folder: Path, names: Sequence[str], labels: Tensor, channels: int) -> None:
        self.folder, self.names, self.labels, self.channels = folder, names, labels, channels
        # 16-bit images have more levels than bytes: nothing is said of them.
        self.levels = None

    def image(self, index: int) -> Tensor:
        """Image `index`, float32, C x H x W. Raises UsageError, with the file, where it is broken."""
        return read_image(self.folder / self.names[index], self.channels)

    def file(self, index: int) -> str:
        """The path of image `index`."""
        return str(self.folder / self.names[index])


class Folders(NamedTuple):
    """What an image folder holds."""

    train: FolderSplit | None
    val: FolderSplit
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int] | None


def read_folders(root: Path, *, need_train: bool) -> Folders:
    """List an image folder. Raises UsageError for one that is laid out in another way, or has a class without
    images."""
    train = root / TRAIN if (root / TRAIN).is_dir() else None
    val = next((root / name for name in VALS if (root / name).is_dir()), None)
    if need_train and train is None:
        raise _not_laid_out(root, f"got no {TRAIN}/")
    if val is None:
        if train is not None or need_train:
            raise _not_laid_out(root, f"got {TRAIN}/ alone")
        val = root
    classes = _classes_of(train or val)
    train_names = None if train is None else _names(train, classes, classes)
    val_names = _names(val, classes if train is None else _classes_of(val), classes)
    looked = val if train is None else train, (val_names if train_names is None else train_names)[0]
    channels, size = _look(*looked)
    return Folders(
        None if train is None or train_names is None else FolderSplit(train, *train_names, channels),
        FolderSplit(val, *val_names, channels),
        classes,
        channels,
        size,
    )


def _not_laid_out(root: Path, got: str) -> UsageError:
    return UsageError(
        f"{printable(str(root))}: expected {TRAIN}/ and {VALS[0]}/ (or {', '.join(f'{name}/' for name in VALS[1:])}), "
        f"each with a folder for each class, {got}"
    )


def _classes_of(folder: Path) -> tuple[str, ...]:
    classes = sorted(entry.name for entry in _entries(folder) if entry.is_dir())
    if not classes:
        raise UsageError(f"{printable(str(folder))}: expected a folder of images for each class, got none")
    return tuple(classes)


def _names(folder: Path, present: Sequence[str], classes: Sequence[str]) -> tuple[list[str], Tensor]:
    """(the paths of a split's images below its folder, class by class and sorted; their labels)."""
    number = {name: label for label, name in enumerate(classes)}
    names: list[str] = []
    labels: list[int] = []
    for name in present:
        if name not in number:
            raise UsageError(
                f"{printable(str(folder / name))}: expected a class that {TRAIN}/ has, got {quoted(name)}. "
                f"({did_you_mean(name, classes) or 'known: ' + some_of(map(quoted, classes))})"
            )
        found = _images_of(folder, name, MOST_FILES - len(names))
        names += found
        labels += [number[name]] * len(found)
    return names, torch.tensor(labels, dtype=torch.int64)


def _images_of(folder: Path, name: str, most: int) -> list[str]:
    """The image files of a class, also in folders within. Raises UsageError where there are none, or more than
    `most`."""
    images, others = [], 0
    for path in _walk(folder / name, set()):
        if os.path.splitext(path)[1].lower() in ENDINGS:
            images.append(os.path.relpath(path, folder))
        else:
            others += 1
        if len(images) + others > most:
            raise UsageError(f"{printable(str(folder))}: expected at most {MOST_FILES:,} files, got more")
    if not images:
        got = f"none among its {others:,} files" if others else "an empty folder"
        raise UsageError(f"{printable(str(folder / name))}: expected images ({', '.join(sorted(ENDINGS))}), got {got}")
    return sorted(images)


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Files below a folder. One that a link leads to a second time is not entered again."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(here):
            if entry.is_dir():
                waiting.append(Path(entry.path))
            elif entry.is_file():
                yield entry.path


def _entries(folder: Path) -> Iterator[DirEntry[str]]:
    """What a folder has that is not hidden."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(
            f"{printable(str(folder))}: expected a folder that can be read, got: {error.strerror}"
        ) from None


def _look(folder: Path, names: Sequence[str]) -> tuple[int, tuple[int, int] | None]:
    """(the channels, the size where it is one) of images, by the headers of at most so many of them, evenly spaced."""
    count = min(len(names), LOOKED_AT)
    headers = [read_header(folder / names[number * len(names) // count]) for number in range(count)]
    sizes = {header.size for header in headers}
    return 1 if all(header.is_grey for header in headers) else 3, sizes.pop() if len(sizes) == 1 else None
