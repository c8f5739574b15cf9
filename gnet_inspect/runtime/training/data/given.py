"""Images that a program has: arrays and tensors of them, and Datasets of torch."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from gnet_inspect.errors import UsageError, show
from gnet_inspect.runtime.training.data.fitting import as_channels
from gnet_inspect.runtime.training.data.keyed import drawing_of
from gnet_inspect.runtime.training.data.pictures import to_tensor
from gnet_inspect.runtime.training.data.splits import HeldSplit, Split

# Of how many images of a Dataset the channels and sizes are looked at.
LOOKED_AT = 64
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class DatasetSplit(Split):
    """A Dataset of (image, class): images are tensors as in `image_of`, or Pillow's. They are read when asked for."""

    draws = True

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        with drawing_of(0):
            self.labels = _labels_of(dataset)
            count = min(len(self.labels), LOOKED_AT)
            looked = [image_of(self._item(number * len(self.labels) // count)[0]) for number in range(count)]
        self.channels = max(image.shape[0] for image in looked)
        sizes = {(image.shape[1], image.shape[2]) for image in looked}
        self.size = sizes.pop() if len(sizes) == 1 else None

    def image(self, index: int) -> Tensor:
        """Image `index`, float32, C x H x W. Raises UsageError for one of other channels, values or another label."""
        image, label = self._item(index)
        if label != int(self.labels[index]):
            raise UsageError(
                f"image {index}: expected the label {int(self.labels[index])}, which it had before, got {label}"
            )
        try:
            return as_channels(image_of(image), self.channels)
        except UsageError as error:
            error.say_of(f"image {index}")
            raise

    def _item(self, index: int) -> tuple[Any, int]:
        return _pair(self.dataset[index], index)


def split_of(given: Any, name: str) -> HeldSplit | DatasetSplit:
    """A pair (images, labels) or a Dataset as a split. Raises UsageError, beginning with `name`, for anything else."""
    try:
        if isinstance(given, TensorDataset) and len(given.tensors) == 2:
            given = given.tensors
        if isinstance(given, tuple | list) and len(given) == 2:
            return _held(*given)
        if hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, tuple | list | Tensor):
            return DatasetSplit(given)
        raise UsageError(f"expected a pair (images, labels) or a Dataset with a length, got a {type(given).__name__}")
    except UsageError as error:
        error.say_of(name)
        raise


def image_of(image: Any) -> Tensor:
    """An image as float32, C x H x W from 0 to 1: uint8 is divided by 255, H x W has one channel, Pillow's are
    converted."""
    if type(image).__module__.partition(".")[0] == "PIL":
        return to_tensor(image)
    tensor = _tensor(image, "an image")
    if tensor.dim() == 2:
        tensor = tensor[None]
    if tensor.dim() != 3 or not tensor.numel():
        raise UsageError(f"expected an image of C x H x W, got {_shape(tensor)}")
    _check_layout(tensor)
    tensor, levels = _values(tensor)
    return tensor.to(torch.float32) / levels if levels else tensor


def _held(images: Any, labels: Any) -> HeldSplit:
    pixels, numbers = _tensor(images, "images"), _tensor(labels, "labels")
    if pixels.dim() == 3:
        pixels = pixels[:, None]
    if pixels.dim() != 4 or not pixels.numel():
        raise UsageError(f"expected images of N x C x H x W or N x H x W, got {_shape(pixels)}")
    _check_layout(pixels)
    if numbers.shape != pixels.shape[:1] or numbers.dtype not in _INTEGERS:
        raise UsageError(
            f"expected an integer label for each of {len(pixels):,} images, got {_shape(numbers)} of {_dtype(numbers)}"
        )
    values, levels = _values(pixels)
    return HeldSplit(values, _checked(numbers.to(torch.int64)), levels)


def _values(pixels: Tensor) -> tuple[Tensor, int | None]:
    """(bytes as they are, or float32 from 0 to 1; the levels of the former)."""
    if pixels.dtype == torch.uint8:
        return pixels, 255
    if pixels.dtype not in _FLOATS:
        raise UsageError(f"expected images of uint8 or of floats from 0 to 1, got {_dtype(pixels)}")
    low, high = (float(value) for value in pixels.aminmax())
    if not (low >= 0 and high <= 1):
        raise UsageError(
            f"expected floats from 0 to 1, got {low:g} to {high:g}. (give bytes as uint8, and leave normalizing to "
            "mean and deviation)"
        )
    return pixels.to(torch.float32), None


def _check_layout(images: Tensor) -> None:
    """Images whose last axis is the channels would be taken for narrow ones with many."""
    if images.shape[-1] in (1, 3) and images.shape[-3] > 4:
        raise UsageError(
            f"expected C x H x W, got {_shape(images)}, whose channels come last. (images.transpose, .permute)"
        )


def _tensor(given: Any, what: str) -> Tensor:
    """A tensor on the CPU, of a tensor, of numpy's array or, for labels, of a list."""
    if isinstance(given, Tensor):
        return given.detach().cpu()
    numpy = sys.modules.get("numpy")
    try:
        if numpy is not None and isinstance(given, numpy.ndarray):
            # A copy: arrays may be backwards, or not to be written, of which torch warns.
            return torch.from_numpy(given.copy())
        if isinstance(given, list | tuple) and what == "labels":
            return torch.tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"expected {what} as a tensor of numbers, got: {error}") from None
    raise UsageError(f"expected {what} as a tensor or an array, got a {type(given).__name__}")


def _labels_of(dataset: Any) -> Tensor:
    """The label of each image: what torchvision's datasets keep of them, or else every image is read once."""
    if not len(dataset):
        raise UsageError("expected images, got a Dataset of length 0")
    known = _kept_labels(dataset)
    if known is None:
        known = [_pair(dataset[index], index)[1] for index in range(len(dataset))]
    return _checked(torch.as_tensor(known, dtype=torch.int64))


def _kept_labels(dataset: Any) -> Sequence[int] | Tensor | None:
    """The `targets` of a dataset that does not change them when it is read; None where it has none."""
    if isinstance(dataset, Subset):
        of = _kept_labels(dataset.dataset)
        return None if of is None else [int(of[index]) for index in dataset.indices]
    targets = getattr(dataset, "targets", None)
    changed = getattr(dataset, "target_transform", None) is not None
    if targets is None or changed or len(targets) != len(dataset):
        return None
    labels = torch.as_tensor(targets)
    return labels if labels.dim() == 1 and labels.dtype in _INTEGERS else None


def _pair(item: Any, index: int) -> tuple[Any, int]:
    if isinstance(item, tuple | list) and len(item) == 2:
        label = item[1]
        if isinstance(label, Tensor) and label.numel() == 1:
            label = label.item()
        if hasattr(label, "__index__") and not isinstance(label, bool):
            return item[0], int(label)
    raise UsageError(f"image {index}: expected a pair (image, class as an integer), got {show(type(item).__name__)}")


def _checked(labels: Tensor) -> Tensor:
    if int(labels.min()) < 0:
        raise UsageError(f"expected labels from 0, got {int(labels.min())}")
    return labels


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
