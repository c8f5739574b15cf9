"""IDX files, the format of MNIST and of what is published like it: a header, then bytes in row-major order.

http://yann.lecun.com/exdb/mnist (archived) says it: two zeros, the type (8: unsigned bytes), the number of axes, each
axis as a big-endian 32-bit integer, and the data. Files may be gzipped, whatever they are called.
"""

import gzip
import zlib
from collections.abc import Iterator
from itertools import product
from math import prod
from pathlib import Path
from struct import unpack
from typing import BinaryIO

import torch
from torch import Tensor

from gnet_inspect.errors import UsageError, printable
from gnet_inspect.runtime.training.data.splits import HeldSplit

# The most bytes of a file's data, unpacked: 45 times MNIST's images.
MOST_BYTES = 2_000_000_000
_PIECE = 2**24
_BYTES_TYPE = 8
_GZIP = b"\x1f\x8b"
# What the files of a split are called before what they hold, and below which folders torchvision leaves them.
_PREFIXES = {"train": "train", "val": "t10k"}
_WITHIN = ("raw", "MNIST/raw", "FashionMNIST/raw", "MNIST", "FashionMNIST")


def read_split(folder: Path, split: str) -> HeldSplit:
    """The images and labels of "train" or "val" below a folder. Raises UsageError for a file that is missing or
    wrong."""
    images_file, labels_file = _find(folder, split, "images", 3), _find(folder, split, "labels", 1)
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels):
        raise UsageError(
            f"{printable(str(labels_file))}: expected a label for each of the {len(images):,} images of "
            f"{printable(str(images_file))}, got {len(labels):,}"
        )
    return HeldSplit(images[:, None], labels.to(torch.int64), 255)


def has_split(folder: Path, split: str) -> bool:
    """Whether any file of a split is there."""
    kinds = (("images", 3), ("labels", 1))
    return any(path.is_file() for what, axes in kinds for path in _candidates(folder, split, what, axes))


def _find(folder: Path, split: str, what: str, axes: int) -> Path:
    for path in _candidates(folder, split, what, axes):
        if path.is_file():
            return path
    name = f"{_PREFIXES[split]}-{what}-idx{axes}-ubyte"
    raise UsageError(
        f"{printable(str(folder))}: expected the file {name}, also as {name.replace('-idx', '.idx')}, each also with "
        f".gz, there or in {', '.join(_WITHIN)}; got none. (nothing is downloaded: put the files there)"
    )


def _candidates(folder: Path, split: str, what: str, axes: int) -> Iterator[Path]:
    for within, mark, ending in product(("", *_WITHIN), "-.", ("", ".gz")):
        yield folder / within / f"{_PREFIXES[split]}-{what}{mark}idx{axes}-ubyte{ending}"


def read_idx(path: Path, axes: int) -> Tensor:
    """The bytes of an IDX file with so many axes, uint8. Raises UsageError where it is none, too short or too long."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                return _read(file, axes)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read(unpacked, axes)
    except UsageError as error:
        error.say_of(printable(str(path)))
        raise
    except EOFError:
        raise UsageError(f"{printable(str(path))}: expected a whole gzip file, got a truncated one") from None
    except (OSError, zlib.error) as error:
        raise UsageError(f"{printable(str(path))}: expected a file that can be read, got: {error}") from None


def _read(file: "BinaryIO | gzip.GzipFile", axes: int) -> Tensor:
    header = _read_bytes(file, 4 + 4 * axes)
    kind = tuple(header[:4])
    if kind != (0, 0, _BYTES_TYPE, axes):
        raise UsageError(
            f"expected an IDX file of unsigned bytes with {axes} axes (it begins with 0, 0, {_BYTES_TYPE}, {axes}), "
            f"got one that begins with {', '.join(map(str, kind))}"
        )
    shape = unpack(f">{axes}I", header[4:])
    size = prod(shape)
    if not 0 < size <= MOST_BYTES:
        raise UsageError(f"expected 1 to {MOST_BYTES:,} bytes of data, got axes of {' x '.join(map(str, shape))}")
    data = _read_bytes(file, size)
    if file.read(1):
        raise UsageError(f"expected the {size:,} bytes of {' x '.join(map(str, shape))} behind the header, got more")
    return torch.frombuffer(data, dtype=torch.uint8).view(shape)


def _read_bytes(file: "BinaryIO | gzip.GzipFile", size: int) -> bytearray:
    """So many bytes, in pieces: a header that claims more than there is takes no memory for it."""
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(_PIECE, size - len(data)))
        if not piece:
            raise UsageError(f"expected {size:,} bytes where it ends after {len(data):,}. (it is truncated)")
        data += piece
    return data
