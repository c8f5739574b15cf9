"""One image file -> pixels, by Pillow: upright, in 8 or 16 bits, grey or RGB. What cannot be read is told by its
file."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gnet_inspect.errors import INSTALL_TRAIN, MissingError, UsageError, brief, printable
from gnet_inspect.runtime.training.data.fitting import as_channels

if TYPE_CHECKING:
    from PIL.Image import Image

# Endings of image files, and the readers of Pillow's that may be tried on them: none of these runs another program.
ENDINGS = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"))
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "TIFF")
# The most pixels of an image, as many as Pillow reads without a warning: about a gigabyte of float32 in RGB.
MOST_PIXELS = 89_478_485
_GREY = ("1", "L", "LA", "La")
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow's readers up to 12 give 16-bit grey of these in 32-bit integers.
_DEEP_FORMATS = ("PNG", "PPM")
# The tag of EXIF that says how an image is turned, and from which value on its sides are exchanged.
_ORIENTATION, _ON_ITS_SIDE = 0x0112, 5


class Header(NamedTuple):
    """What an image file says before its pixels: whether it is grey, and its size (H, W) when it stands upright."""

    is_grey: bool
    size: tuple[int, int]


def read_header(path: Path) -> Header:
    """Look at an image file without its pixels. Raises UsageError for what is no image of these formats."""
    with _opened(path) as image:
        width, height = image.size
        # Pillow has turned a TIFF's size already.
        is_turned = image.format != "TIFF" and _orientation(image) >= _ON_ITS_SIDE
        return Header(_is_grey(image), (width, height) if is_turned else (height, width))


def read_image(path: Path, channels: int) -> Tensor:
    """The pixels of an image file, float32, C x H x W from 0 to 1. Raises UsageError where it is broken or too
    large."""
    with _opened(path) as image:
        return as_channels(to_tensor(image), channels)


def to_tensor(image: "Image") -> Tensor:
    """An image of Pillow's, float32, C x H x W from 0 to 1: 1 channel where its mode is grey, else RGB.

    It is turned upright as its EXIF says; what is transparent lies over white. Raises UsageError for 32-bit modes,
    which do not say what white is.
    """
    image = _upright(image)
    if image.mode in _DEEP or (image.mode == "I" and image.format in _DEEP_FORMATS):
        return _deep_pixels(image)
    if image.mode in ("I", "F"):
        raise UsageError(f"expected 8 or 16 bits a value, got 32 (Pillow's mode {image.mode}). (convert it to 8 bits)")
    mode = "L" if _is_grey(image) else "RGB"
    if image.has_transparency_data:
        image = _over_white(image)
    image = image.convert(mode)
    pixels = _bytes_of(image).view(image.height, image.width, len(mode))
    return pixels.permute(2, 0, 1).contiguous().to(torch.float32) / 255


def _upright(image: "Image") -> "Image":
    from PIL.Image import Transpose

    # A TIFF is turned when it is loaded.
    image.load()
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    # By this the readers of 32-bit grey are told apart.
    turned.format = image.format
    return turned


def _orientation(image: "Image") -> int:
    """How an image is turned, as its EXIF says; 1, which is upright, where that says nothing that can be read."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # What a camera or an editor wrote beside the pixels may be broken, and the pixels whole: viewers show them.
        return 1
    return found if isinstance(found, int) else 1


def _over_white(image: "Image") -> "Image":
    from PIL import Image as Images

    over = image.convert("RGBA")
    return Images.alpha_composite(Images.new("RGBA", over.size, "white"), over)


def _deep_pixels(image: "Image") -> Tensor:
    """Grey of 16 bits, by way of 32, because torch has no arithmetic of unsigned 16."""
    wide = image.convert("I")
    values = _bytes_of(wide).view(torch.int32).view(1, wide.height, wide.width)
    return values.clamp(0, 65535).to(torch.float32) / 65535


def _bytes_of(image: "Image") -> Tensor:
    # A bytearray, because torch warns of memory that may not be written.
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)


def _is_grey(image: "Image") -> bool:
    return image.mode in _GREY or image.mode in _DEEP or image.mode == "I"


@contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    """An image file while it is read: whatever its reader meets is an error that names the file."""
    try:
        from PIL import Image as Images
        from PIL import UnidentifiedImageError
    except ImportError:
        raise MissingError(
            f"reading images needs Pillow, which is not installed. Install it with: {INSTALL_TRAIN}"
        ) from None
    try:
        with warnings.catch_warnings():
            # Odd metadata does no harm; too many pixels do.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Images.DecompressionBombWarning)
            with path.open("rb") as file, Images.open(file, formats=_FORMATS) as image:
                _check_size(image.size)
                yield image
    except UsageError as error:
        error.say_of(printable(str(path)))
        raise
    except (Images.DecompressionBombWarning, Images.DecompressionBombError):
        raise UsageError(f"{printable(str(path))}: expected at most {MOST_PIXELS:,} pixels, got more") from None
    except UnidentifiedImageError:
        raise UsageError(f"{printable(str(path))}: expected an image ({', '.join(_FORMATS)}), got none") from None
    except Exception as error:
        # Each format's reader has errors of its own: OSError where it is truncated, SyntaxError, struct.error, ...
        what = brief(str(error)) or type(error).__name__
        raise UsageError(
            f"{printable(str(path))}: expected an image that can be read, got a broken one: {what}"
        ) from None


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise UsageError(f"expected at most {MOST_PIXELS:,} pixels, got {size[0]:,} x {size[1]:,}")
