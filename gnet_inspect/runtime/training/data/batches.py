"""Batches: which images, as a network takes them, read in this process or in others.

What a batch holds depends on the seed, the epoch and its number alone, so that it is the same to the bit wherever it is
made.
"""

import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gnet_inspect.errors import GnetError, MissingError, UsageError
from gnet_inspect.runtime.training.data.augment import NUMBERS, PATCH_NUMBERS, augment, parts_of, take_patch
from gnet_inspect.runtime.training.data.fitting import as_channels, check_channels, fit, normalize
from gnet_inspect.runtime.training.data.keyed import drawing_of, mix, order, uniforms
from gnet_inspect.runtime.training.data.measuring import measure_channels
from gnet_inspect.runtime.training.data.splits import HeldSplit, Split

# The most memory that images are kept prepared in, and how much of it is prepared at once.
PREPARED_BYTES = 512_000_000
_CHUNK_BYTES = 32_000_000

Batch = tuple[Tensor, Tensor]
__all__ = [
    "Batch",
    "Source",
    "Views",
    "batches_per_epoch",
    "evaluation_batches",
    "measure_channels",
    "training_batches",
]


class Views(NamedTuple):
    """How images become inputs of a network: its size (H, W) and channels, what is done at random, the mean and the
    deviation of each channel (of values from 0 to 1), the share of the shorter side that is looked at, and the seed."""

    size: tuple[int, int]
    channels: int
    augment: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    crop: float
    seed: int


class Source:
    """A split as a network takes it: `fetch` gives any of its images.

    Images in memory of which nothing is random before they have the network's size are prepared once, where that takes
    at most 512 MB; the bits are those of each image prepared by itself.
    """

    def __init__(self, split: Split, views: Views, training: bool) -> None:
        """Only where it is `training`, images are augmented. Raises UsageError where channels do not fit."""
        check_channels(split.channels, views.channels)
        for name, values in (("mean", views.mean), ("deviation", views.deviation)):
            if len(values) != views.channels:
                raise UsageError(f"{name}: expected a number for each of {views.channels} channels, got {len(values)}")
        self.split, self.views, self.training = split, views, training
        self._parts = parts_of(views.augment) if training else frozenset()
        self._prepared = self._prepare()

    def __len__(self) -> int:
        return len(self.split)

    @property
    def is_prepared(self) -> bool:
        """Whether images only have to be looked up, but for what is random about them."""
        return self._prepared is not None

    def fetch(self, epoch: int, indices: Tensor) -> Batch:
        """The images `indices` (int64, B) as an epoch sees them: (float32, B x C x H x W; their labels, int64, B).

        Raises UsageError where one cannot be read.
        """
        labels = self.split.labels.index_select(0, indices)
        if not self._parts:
            if self._prepared is not None:
                return self._prepared.index_select(0, indices), labels
            return self._finish(self._fitted(epoch, indices)), labels
        draws = uniforms(self.views.seed, epoch, indices, NUMBERS)
        if "patch" in self._parts:
            patches = zip(self._images(epoch, indices), draws[:, None, PATCH_NUMBERS], strict=True)
            images = torch.cat([take_patch(image, numbers, self.views.size) for image, numbers in patches])
        elif self._prepared is not None:
            images = self._prepared.index_select(0, indices)
        else:
            images = self._fitted(epoch, indices)
        return self._finish(augment(images, draws, self._parts)), labels

    def _prepare(self) -> Tensor | None:
        """All images in the network's size, and finished where nothing is random; None where they cannot be."""
        split, (height, width) = self.split, self.views.size
        if not isinstance(split, HeldSplit) or "patch" in self._parts:
            return None
        channels = split.channels if self._parts else self.views.channels
        if 4 * len(split) * channels * height * width > PREPARED_BYTES:
            return None
        prepared = torch.empty(len(split), channels, height, width)
        # Before and after resizing, and twice while channels are counted on.
        most = 4 * max(split.images[0].numel(), split.channels * height * width, channels * height * width)
        for indices in torch.split(torch.arange(len(split)), max(_CHUNK_BYTES // most, 1)):
            images = self._fitted(0, indices)
            prepared[indices[0] : indices[-1] + 1] = images if self._parts else self._finish(images)
        return prepared

    def _fitted(self, epoch: int, indices: Tensor) -> Tensor:
        """Images in the network's size, with their own channels, from 0 to 1."""
        size, crop = self.views.size, self.views.crop
        if isinstance(self.split, HeldSplit):
            return fit(self.split.images_at(indices), size, crop)
        return torch.cat([fit(image, size, crop) for image in self._images(epoch, indices)])

    def _images(self, epoch: int, indices: Tensor) -> Iterator[Tensor]:
        """Each image by itself, 1 x C x h x w, in its own size."""
        for index in indices.tolist():
            key = mix(self.views.seed, epoch, index)
            with drawing_of(key) if self.split.draws else nullcontext():
                image = self.split.image(index)
            yield image[None]

    def _finish(self, images: Tensor) -> Tensor:
        return normalize(as_channels(images, self.views.channels), self.views.mean, self.views.deviation)


# --- which images ---


def batches_per_epoch(size: int, batch: int) -> int:
    """The whole batches of so many images. Raises UsageError where there is none."""
    if not 1 <= batch <= size:
        raise UsageError(f"--batch: expected 1 to {size:,} images, as many as there are to learn from, got {batch:,}")
    return size // batch


def training_batches(
    source: Source,
    *,
    epoch: int,
    batch: int,
    start_batch: int = 0,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    pin: bool = False,
) -> Generator[Batch]:
    """The batches of an epoch from `start_batch` on, each image at most once, in an order of its own; what does not
    fill the last batch is left out. Of each, `rank` has its part of `ranks`: put together in their order, the parts are
    the batch.

    `workers` processes read ahead where there is something to read; they end when the iterator is closed. `pin` puts
    what a GPU will copy into pinned memory. Raises UsageError where there is no whole batch and, with the file, where
    an image is broken; MissingError where a process ended.
    """
    count = batches_per_epoch(len(source), batch)
    if not 0 <= start_batch <= count:
        raise UsageError(f"start_batch: expected 0 to {count:,}, got {start_batch:,}")
    shuffled = order(source.views.seed, epoch, len(source))
    begin, end = rank * batch // ranks, (rank + 1) * batch // ranks
    rows = [shuffled[number * batch + begin : number * batch + end] for number in range(start_batch, count)]
    return _fetched(_Fetches(source, epoch, rows), workers, pin)


def evaluation_batches(
    source: Source, *, batch: int, rank: int = 0, ranks: int = 1, workers: int = 0, pin: bool = False
) -> Generator[Batch]:
    """All images in their order, in batches of which the last may be shorter; of `ranks` each has every so many-th
    batch.

    `workers`, `pin` and errors are those of `training_batches`.
    """
    if batch < 1:
        raise UsageError(f"--batch: expected at least 1 image, got {batch}")
    rows = torch.split(torch.arange(len(source)), batch)[rank::ranks]
    return _fetched(_Fetches(source, 0, rows), workers, pin)


# --- in which process ---


class _Failure(NamedTuple):
    """An error that a worker hands over as a value: what DataLoader raises anew has a traceback for its message."""

    error: GnetError


class _Fetches(Dataset[Batch | _Failure]):
    """The batches of one iteration, by their numbers."""

    def __init__(self, source: Source, epoch: int, rows: Sequence[Tensor]) -> None:
        self.source, self.epoch, self.rows = source, epoch, rows

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, number: int) -> Batch:
        return self.source.fetch(self.epoch, self.rows[number])

    def __getitem__(self, number: int) -> Batch | _Failure:
        try:
            return self.fetch(number)
        except GnetError as error:
            return _Failure(error)


def _fetched(fetches: _Fetches, workers: int, pin: bool) -> Generator[Batch]:
    pin = pin and torch.cuda.is_available()
    # What lies ready is looked up sooner than it is sent from one process to another.
    if workers and len(fetches) and not fetches.source.is_prepared:
        return _fetched_by_workers(fetches, workers, pin)
    return _fetched_here(fetches, pin)


def _fetched_here(fetches: _Fetches, pin: bool) -> Generator[Batch]:
    for number in range(len(fetches)):
        images, labels = fetches.fetch(number)
        yield (images.pin_memory(), labels.pin_memory()) if pin else (images, labels)


def _fetched_by_workers(fetches: _Fetches, workers: int, pin: bool) -> Generator[Batch]:
    loader = DataLoader(
        fetches,
        batch_size=None,
        sampler=range(len(fetches)),
        num_workers=min(workers, len(fetches)),
        collate_fn=_as_it_is,
        pin_memory=pin,
        worker_init_fn=_begin_worker,
        # Of its own: DataLoader would draw a seed for its workers from the global one.
        generator=torch.Generator(),
    )
    with warnings.catch_warnings():
        # More workers than cores are the user's to ask for.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        batches = iter(loader)
    try:
        for _ in range(len(fetches)):
            found = _next(batches)
            if isinstance(found, _Failure):
                raise found.error
            yield found
    finally:
        # They would end with the last reference, which an error's traceback may hold.
        end: Callable[[], None] = getattr(batches, "_shutdown_workers", _nothing)
        end()


def _next(batches: "Iterator[Batch | _Failure]") -> Batch | _Failure:
    try:
        found = next(batches)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise MissingError(
            f"a process that reads images has ended: {str(error).splitlines()[0]} (--workers 0 reads in the one that "
            "trains; a container may need more shared memory, --shm-size)"
        ) from error
    return found if isinstance(found, _Failure) else (found[0], found[1])


def _nothing() -> None:
    """Where torch has no such method any more, workers end with the last reference."""


def _as_it_is(found: Any) -> Any:
    return found


def _begin_worker(_: int) -> None:
    # What a terminal or a scheduler sends to a group of processes is for the one that trains, which may have a step to
    # finish and then ends its workers.
    if sys.platform != "win32":
        os.setpgid(0, 0)
