"""Data sets of labelled images: digits, IDX files and folders that the tests write, and what a program gives."""

import gzip
import os
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("numpy", reason="numpy is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

import numpy as np  # after the skips
import torch  # the same
from hypothesis import given, settings  # the same
from hypothesis import strategies as st  # the same
from PIL import Image, features  # the same
from torch import Tensor  # the same
from torch.utils.data import Dataset, Subset, TensorDataset  # the same

from gnet_inspect.errors import MissingError, UsageError  # the same
from gnet_inspect.runtime.training.data import folders, idx, pictures  # the same
from gnet_inspect.runtime.training.data.batches import Source, Views, evaluation_batches  # the same
from gnet_inspect.runtime.training.data.sets import FASHION, DataSet, given_data, open_data  # the same
from gnet_inspect.runtime.training.data.splits import HeldSplit  # the same

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=200)
GREY = Views((4, 4), 1, (), (0.0,), (1.0,), 1.0, 0)


def refused(work: Callable[[], object]) -> str:
    """The message of the error that it is."""
    with pytest.raises(UsageError) as raised:
        work()
    return str(raised.value)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What may be refused, if by the name of the file."""
    try:
        yield
    except UsageError as error:
        if not str(error).startswith(f"{path}: expected"):
            raise


def pixels_of(image: Image.Image) -> Tensor:
    """What numpy reads: C x H x W, from 0 to 1."""
    values = torch.tensor(np.asarray(image).tolist(), dtype=torch.float32) / 255
    return values.permute(2, 0, 1) if values.dim() == 3 else values[None]


# --- digits ---


def test_digits() -> None:
    """Every fifth image from the first on is for evaluation: against scikit-learn's arrays."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    data, bunch = open_data("digits"), datasets.load_digits()
    assert data[3:] == (tuple("0123456789"), 1, (8, 8), 1.0)
    assert data.train is not None
    assert (data.name, len(data.train), len(data.val)) == ("digits", 1437, 360)
    train, val = ([index for index in range(1797) if (index % 5 == 0) == held_out] for held_out in (False, True))
    for split, rows in ((data.train, train), (data.val, val)):
        images = torch.stack([split.image(index) for index in range(len(split))])
        assert torch.equal(images[:, 0].double() * 16, torch.from_numpy(bunch.images[rows]))
        assert split.labels.tolist() == bunch.target[rows].tolist()
        assert split.file(0) == ""


def test_digits_need_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What installs it is said."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        MissingError, match=r"digits needs scikit-learn, .*pip install torch safetensors scikit-learn Pillow"
    ):
        open_data("digits")


# --- names ---


@pytest.mark.parametrize(
    ("text", "offer"),
    [
        ("digit", "(did you mean `digits`?)"),
        ("mnits:here", "(did you mean `mnist`?)"),
        ("fashion_mnist:here", "(did you mean `fashion-mnist`?)"),
        ("mnist", "(mnist:DIR, with the folder of its files)"),
        ("mnist:", "(mnist:DIR, with the folder of its files)"),
        ("cifar", ""),
        ("", ""),
    ],
)
def test_data_that_nobody_knows(text: str, offer: str) -> None:
    """All that there is, and what it may have been meant to be."""
    with pytest.raises(UsageError) as raised:
        open_data(text)
    assert raised.value.message == f"expected data, got {text!r}, which is no folder either. {offer}".rstrip()
    assert [line.partition(":")[0] for line in raised.value.lines] == ["digits", "mnist", "fashion-mnist", "DIR"]


@pytest.mark.parametrize(
    "text", ["a" * 5_000, "mnist:" + "a" * 5_000, "\0", "mnist:\0", "~nobody-has-this-name/x", "a\x1bb"]
)
def test_names_that_no_file_has(text: str) -> None:
    """Are refused as others are."""
    assert "\x1b" not in refused(lambda: open_data(text))


# --- IDX files ---


def idx_bytes(values: Any, kind: int = 8) -> bytes:
    array = np.asarray(values, dtype=np.uint8)
    return bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(
    folder: Path, train: int = 6, val: int = 4, *, dot: bool = False, packed: bool = False, highest: int = 9
) -> dict[str, Any]:
    """MNIST's four files, of images of 5 x 4."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for prefix, count in (("train", train), ("t10k", val)):
        labels = np.arange(count) % (highest + 1)
        labels[0] = highest
        arrays |= {
            f"{prefix}-images-idx3-ubyte": generator.integers(0, 256, (count, 5, 4)),
            f"{prefix}-labels-idx1-ubyte": labels,
        }
    for name, array in arrays.items():
        path = folder / (name.replace("-idx", ".idx") if dot else name)
        content = idx_bytes(array)
        if packed:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
        else:
            path.write_bytes(content)
    return arrays


@pytest.mark.parametrize("within", ["", "raw", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_idx_files(tmp_path: Path, within: str, packed: bool, dot: bool) -> None:
    """By each of their names, in each of their places, gzipped or not."""
    arrays = write_idx(tmp_path / within, dot=dot, packed=packed)
    data = open_data(f"mnist:{tmp_path}")
    assert data.train is not None
    assert (data.name, data.classes, *data[4:]) == (f"mnist:{tmp_path}", tuple("0123456789"), 1, (5, 4), 1.0)
    for prefix, split in (("train", data.train), ("t10k", data.val)):
        images = torch.stack([split.image(index) for index in range(len(split))])
        expected = torch.from_numpy(arrays[f"{prefix}-images-idx3-ubyte"]).float()[:, None] / 255
        assert torch.equal(images, expected)
        assert split.labels.tolist() == arrays[f"{prefix}-labels-idx1-ubyte"].tolist()
        assert split.labels.dtype == torch.int64


def test_fashion_mnist(tmp_path: Path) -> None:
    """Its classes have names, and no others are known."""
    write_idx(tmp_path)
    assert open_data(f"fashion-mnist:{tmp_path}").classes == FASHION
    assert (FASHION[0], FASHION[9], len(FASHION)) == ("T-shirt/top", "Ankle boot", 10)
    write_idx(tmp_path, highest=11)
    assert "expected labels from 0 to 9, got 11. (mnist:DIR takes any)" in refused(
        lambda: open_data(f"fashion-mnist:{tmp_path}")
    )


def test_more_classes_than_mnist_has(tmp_path: Path) -> None:
    """EMNIST is published in the same form; with fewer there are ten all the same."""
    write_idx(tmp_path, highest=46)
    assert open_data(f"mnist:{tmp_path}").classes == tuple(map(str, range(47)))
    write_idx(tmp_path, highest=3)
    assert len(open_data(f"mnist:{tmp_path}").classes) == 10


def test_idx_files_that_are_not_there(tmp_path: Path) -> None:
    """What was looked for is said; to evaluate, those to learn from may be missing, but not one of them alone."""
    text = f"mnist:{tmp_path}"
    message = refused(lambda: open_data(text))
    assert "expected the file train-images-idx3-ubyte, also as train-images.idx3-ubyte" in message
    assert "nothing is downloaded" in message
    assert "expected a folder with mnist's files" in refused(lambda: open_data(f"{text}/none"))
    write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    assert "expected the file train-images" in refused(lambda: open_data(text))
    assert "expected the file train-images" in refused(lambda: open_data(text, need_train=False))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert open_data(text, need_train=False).train is None
    assert len(open_data(text, need_train=False).val) == 4
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert "expected the file t10k-labels-idx1-ubyte" in refused(lambda: open_data(text, need_train=False))


WHOLE = idx_bytes(np.zeros((6, 5, 4)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected 16 bytes where it ends after 0"),
        (WHOLE[:10], "expected 16 bytes where it ends after 10"),
        (WHOLE[:-1], "expected 120 bytes where it ends after 119. (it is truncated)"),
        (WHOLE + b"x", "expected the 120 bytes of 6 x 5 x 4 behind the header, got more"),
        (idx_bytes(np.zeros((6, 5, 4)), kind=13), "(it begins with 0, 0, 8, 3), got one that begins with 0, 0, 13, 3"),
        (idx_bytes(np.zeros((2, 3, 4, 5))), "got one that begins with 0, 0, 8, 4"),
        (idx_bytes(np.zeros((6, 0, 4))), "expected 1 to 2,000,000,000 bytes of data, got axes of 6 x 0 x 4"),
        (b"\0\0\x08\3" + b"\xff" * 12, "got axes of 4294967295 x 4294967295 x 4294967295"),
        (idx_bytes(np.zeros((7, 5, 4))), "expected a label for each of the 7 images"),
        (gzip.compress(WHOLE)[:-12], "expected a whole gzip file, got a truncated one"),
        (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "expected a file that can be read, got: CRC check failed"),
        (b"\x1f\x8bxxxxxxxxxxxxxxxx", "expected a file that can be read, got: Unknown compression method"),
        (b"\x89PNG\r\n\x1a\n0123456789", "got one that begins with 137, 80, 78, 71"),
    ],
)
def test_broken_idx_files(tmp_path: Path, content: bytes, words: str) -> None:
    """Each is told by its name, and how it is not as it should be."""
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    message = refused(lambda: open_data(f"mnist:{tmp_path}"))
    assert words in message
    assert str(path) in message


@PROFILE
@given(seed=st.integers(0, 10**9), packed=st.booleans())
def test_idx_files_with_random_damage(tmp_path_factory: pytest.TempPathFactory, seed: int, packed: bool) -> None:
    """Are read, or refused by their name; nothing else comes of them."""
    dice = random.Random(seed)
    content = bytearray(gzip.compress(WHOLE) if packed else WHOLE)
    for _ in range(dice.randint(1, 3)):
        content[dice.randrange(len(content))] = dice.randrange(256)
    del content[dice.randint(1, len(content)) :]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    with named(path):
        assert idx.read_idx(path, 3).numel() <= 120


def test_idx_files_take_no_more_memory_than_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what a header claims without having it, nor what a small gzip file unpacks to."""
    claims = tmp_path / "claims"
    claims.write_bytes(b"\0\0\x08\3" + struct.pack(">3I", 19_000, 300, 300) + b"x")
    bomb = tmp_path / "bomb"
    bomb.write_bytes(gzip.compress(WHOLE + bytes(300_000_000)))
    assert bomb.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        assert "where it ends after 1" in refused(lambda: idx.read_idx(claims, 3))
        assert "behind the header, got more" in refused(lambda: idx.read_idx(bomb, 3))
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    monkeypatch.setattr(idx, "MOST_BYTES", 119)
    write_idx(tmp_path)
    assert "expected 1 to 119 bytes of data" in refused(lambda: idx.read_idx(tmp_path / "train-images-idx3-ubyte", 3))


def test_an_idx_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A folder of its name is no file."""
    (tmp_path / "f").mkdir()
    assert "expected a file that can be read, got: " in refused(lambda: idx.read_idx(tmp_path / "f", 3))


# --- folders of images ---


def picture(size: tuple[int, int] = (6, 4), mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Noise of H x W."""
    channels = len(mode)
    values = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)
    return Image.fromarray(values.squeeze(2) if channels == 1 else values)


def put(root: Path, name: str, image: Image.Image | None = None, **options: Any) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(path, **options)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, of which the val split has both."""
    for name in ("train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png"):
        put(tmp_path, name)
    return tmp_path


def test_folders(tmp_path: Path) -> None:
    """Classes are the sorted names of train's folders, images sorted by their paths, also in folders within; what is
    hidden or no image is none."""
    for name in (
        "train/b/2.png",
        "train/b/10.JPG",
        "train/b/sub/deep/0.bmp",
        "train/a/x.tif",
        "val/b/1.webp",
        "val/a/1.Png",
    ):
        if name.endswith("webp") and not features.check("webp"):
            name = "val/b/1.ppm"  # noqa: PLW2901  # the same image in another format
        put(tmp_path, name)
    for name in ("train/b/.hidden.png", "train/.git/x.png", "train/b/notes.txt", "train/README.md", "val/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    data = open_data(str(tmp_path))
    assert data.train is not None
    assert (data.name, data.classes, *data[4:]) == (str(tmp_path), ("a", "b"), 3, (6, 4), 0.875)
    found = [os.path.relpath(data.train.file(index), tmp_path) for index in range(len(data.train))]
    assert found == ["train/a/x.tif", "train/b/10.JPG", "train/b/2.png", "train/b/sub/deep/0.bmp"]
    assert data.train.labels.tolist() == [0, 1, 1, 1]
    assert data.val.labels.tolist() == [0, 1]
    expected = pixels_of(picture())
    assert torch.equal(data.train.image(2), expected)
    assert torch.equal(data.train.image(3), expected)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_names_of_the_split_that_is_not_learned(root: Path, name: str) -> None:
    """Each of four; where there are several, the first of these."""
    (root / "val").rename(root / name)
    assert len(open_data(str(root)).val) == 2
    put(root, "zzz/cat/1.png")
    (root / "zzz").rename(root / ("test" if name != "test" else "val"))
    assert len(open_data(str(root)).val) == (2 if name != "test" else 1)


def test_folders_laid_out_in_another_way(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is expected is said."""
    layout = "expected train/ and val/ (or valid/, validation/, test/), each with a folder for each class, got "
    text = str(root)
    direct = str(root / "train")
    assert refused(lambda: open_data(direct)) == f"{direct}: {layout}no train/"
    (root / "val").rename(root / "other")
    assert refused(lambda: open_data(text)) == f"{text}: {layout}train/ alone"
    assert refused(lambda: open_data(text, need_train=False)) == f"{text}: {layout}train/ alone"
    (root / "other").rename(root / "val")
    (root / "train").rename(root / "other")
    assert refused(lambda: open_data(text)) == f"{text}: {layout}no train/"
    flat = tmp_path_factory.mktemp("flat")
    put(flat, "1.png")
    assert "expected a folder of images for each class, got none" in refused(
        lambda: open_data(str(flat), need_train=False)
    )


def test_folders_to_evaluate(root: Path) -> None:
    """Train's classes where there are any, else the split's own; a folder of classes is itself the split."""
    (root / "val" / "cat" / "1.png").unlink()
    (root / "val" / "cat").rmdir()
    data = open_data(str(root), need_train=False)
    assert (data.classes, data.val.labels.tolist()) == (("cat", "dog"), [1])
    assert data.train is not None
    direct = open_data(str(root / "train"), need_train=False)
    assert (direct.train, len(direct.val), direct.classes) == (None, 3, ("cat", "dog"))
    (root / "train").rename(root / "other")
    alone = open_data(str(root), need_train=False)
    assert (alone.train, len(alone.val), alone.classes) == (None, 1, ("dog",))


def test_classes_that_do_not_fit(root: Path) -> None:
    """One that only val has, and one without images."""
    (root / "val" / "dog").rename(root / "val" / "dogs")
    assert "val/dogs: expected a class that train/ has, got `dogs`. (did you mean `dog`?)" in refused(
        lambda: open_data(str(root))
    )
    (root / "val" / "dogs").rename(root / "val" / "zebra")
    assert "(known: `cat`, `dog`)" in refused(lambda: open_data(str(root)))
    (root / "val" / "zebra").rename(root / "val" / "dog")
    (root / "train" / "empty").mkdir()
    assert "train/empty: expected images (.bmp, .jpeg, " in (message := refused(lambda: open_data(str(root))))
    assert message.endswith("got an empty folder")
    (root / "train" / "empty" / "a.gif").write_bytes(b"GIF89a")
    assert refused(lambda: open_data(str(root))).endswith("got none among its 1 files")


def test_folders_have_bounds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of files, and links that lead around are followed once."""
    (root / "train" / "cat" / "loop").symlink_to(root / "train" / "cat")
    elsewhere = put(root, "elsewhere/3.png").parent
    (root / "train" / "dog" / "linked").symlink_to(elsewhere)
    data = open_data(str(root))
    assert data.train is not None
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    monkeypatch.setattr(folders, "MOST_FILES", 3)
    assert "expected at most 3 files, got more" in refused(lambda: open_data(str(root)))


def test_channels_and_size_are_looked_up_in_so_many_headers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey where all that is looked at is grey; a size where all have it. The same files are always looked at."""
    assert open_data(str(root)).channels == 3
    for path in root.rglob("*.png"):
        picture(mode="L").save(path)
    assert open_data(str(root))[4:6] == (1, (6, 4))
    put(root, "train/cat/2.png", picture((5, 5)))
    assert open_data(str(root))[4:6] == (3, None)
    monkeypatch.setattr(folders, "LOOKED_AT", 2)
    # Of cat/1, cat/2 and dog/1 the first two.
    assert open_data(str(root))[4:6] == (3, None)
    monkeypatch.setattr(folders, "LOOKED_AT", 1)
    data = open_data(str(root))
    assert data[4:6] == (1, (6, 4))
    assert data.train is not None
    # One of colours, met later, is made grey.
    assert data.train.image(1).shape == (1, 5, 5)


def shown(path: Path, channels: int = 3) -> Tensor:
    return pictures.read_image(path, channels)


def test_modes_of_images(tmp_path: Path) -> None:
    """Palettes, CMYK, one bit, grey with alpha, 16 bits: each by its own arithmetic."""
    rgb = pixels_of(picture())
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert shown(put(tmp_path, "p.png", palette))[:, 0].T.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert torch.equal(shown(put(tmp_path, "rgb.ppm")), rgb)
    cmyk = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    assert shown(put(tmp_path, "c.tiff", cmyk))[:, 0, 0].tolist() == [1, 0, 0]
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    assert shown(put(tmp_path, "1.png", bits), 1).tolist() == [[[0, 1]]]
    grey = picture(mode="L")
    assert torch.equal(shown(put(tmp_path, "l.png", grey), 1), pixels_of(grey))
    assert torch.equal(shown(tmp_path / "l.png", 3), shown(tmp_path / "l.png", 1).expand(3, -1, -1))
    deep = Image.fromarray(np.array([[0, 257, 65535, 4660]], dtype=np.uint16))
    expected = torch.tensor([[[0, 257, 65535, 4660]]]) / 65535
    for name in ("16.png", "16.tif", "16.pgm"):
        path = put(tmp_path, name, deep)
        assert torch.equal(shown(path, 1), expected), name
        assert pictures.read_header(path).is_grey


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_what_is_transparent_lies_over_white(tmp_path: Path, mode: str) -> None:
    """Colours below it, which nobody sees, do not come out; half of black is the middle grey."""
    if mode in ("RGBA", "LA"):
        image = Image.new(mode, (2, 1), (0,) * len(mode))
        image.putpixel((1, 0), (*(0,) * (len(mode) - 1), 128))
        options = {}
    else:
        image = Image.new(mode, (2, 1), 0)
        if mode == "P":
            image.putpalette([9, 9, 9, 0, 0, 0])
        image.putpixel((1, 0), (127, 127, 127) if mode == "RGB" else 1 if mode == "P" else 127)
        options = {"transparency": (0, 0, 0) if mode == "RGB" else bytes((0, 128)) if mode == "P" else 0}
    path = put(tmp_path, "a.png", image, **options)
    found = shown(path)
    assert found[:, 0, 0].tolist() == [1, 1, 1]
    assert found[:, 0, 1].tolist() == pytest.approx([127 / 255] * 3, abs=1e-6)
    assert pictures.read_header(path).is_grey == (mode in ("L", "LA"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_images_stand_upright(tmp_path: Path, orientation: int, name: str) -> None:
    """By hand, as EXIF 2.32 has it (4.6.4 A): where the first row and the first column of what is stored belong."""
    stored = Image.new("RGB", (48, 32), "white")
    # A black block in the corner of what is stored, twice as long as it is wide.
    stored.paste((0, 0, 0), (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = put(tmp_path, name, stored, exif=exif, **({"quality": 100} if name == "a.jpg" else {}))
    image = shown(path)[0]
    vertical, horizontal = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("top", "left"),
        6: ("top", "right"),
        7: ("bottom", "right"),
        8: ("bottom", "left"),
    }[orientation]
    size, block = ((32, 48), (8, 16)) if orientation < 5 else ((48, 32), (16, 8))
    expected = torch.ones(size)
    rows = slice(0, block[0]) if vertical == "top" else slice(size[0] - block[0], None)
    columns = slice(0, block[1]) if horizontal == "left" else slice(size[1] - block[1], None)
    expected[rows, columns] = 0
    assert image.shape == size
    assert torch.equal(image.round(), expected)
    assert pictures.read_header(path).size == size


def test_exif_that_is_broken_says_nothing(tmp_path: Path) -> None:
    """The pixels are whole."""
    path = put(tmp_path, "a.jpg", picture(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert shown(path).shape == (3, 6, 4)
    assert pictures.read_header(path).size == (6, 4)


def test_broken_images_are_told_by_their_files(root: Path) -> None:
    """Truncated, empty, another format by its name, 32 bits; when they are met, and not before."""
    whole = put(root, "whole.png", picture((64, 64))).read_bytes()
    text = root / "train" / "dog" / "1.png"
    cases = {
        whole[: len(whole) // 2]: "expected an image that can be read, got a broken one: ",
        b"": "expected an image (PNG, JPEG, BMP, WEBP, PPM, TIFF), got none",
        b"GIF89a" + bytes(20): "got none",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "got none",
        whole[:60] + b"\0\0\0\0" + whole[64:]: "got a broken one: ",
    }
    for content, words in cases.items():
        text.write_bytes(content)
        message = refused(lambda: shown(text))
        assert message.startswith(f"{text}: expected")
        assert words in message
    text.write_bytes(whole[:-30])
    data = open_data(str(root))
    assert data.train is not None
    assert str(text) in refused(lambda: data.train and data.train.image(2))
    text.unlink()
    wide = Image.fromarray(np.zeros((2, 2), dtype=np.float32))
    wide.save(text.with_suffix(".tif"))
    assert "expected 8 or 16 bits a value, got 32 (Pillow's mode F)" in refused(lambda: shown(text.with_suffix(".tif")))


def test_a_broken_image_of_an_evaluation(root: Path) -> None:
    """The error is the same from a worker."""
    broken = root / "val" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    source = Source(open_data(str(root)).val, GREY._replace(crop=0.875), training=False)
    here = refused(lambda: list(evaluation_batches(source, batch=1)))
    assert refused(lambda: list(evaluation_batches(source, batch=1, workers=1))) == here
    assert here.startswith(f"{broken}: expected an image that can be read, got a broken one")


@PROFILE
@given(seed=st.integers(0, 10**9), form=st.sampled_from(("png", "jpg", "bmp", "ppm", "tif")))
def test_images_with_random_damage(tmp_path_factory: pytest.TempPathFactory, seed: int, form: str) -> None:
    """Are read, or refused by their name; nothing else comes of them, no warning either."""
    dice = random.Random(seed)
    path = tmp_path_factory.getbasetemp() / f"damaged.{form}"
    picture((16, 16)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 4)):
        content[dice.randrange(len(content))] = dice.randrange(256)
    del content[dice.randint(len(content) // 2, len(content)) :]
    path.write_bytes(content)
    with named(path):
        assert shown(path).shape[0] == 3


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the header says, before a pixel is unpacked: beyond Pillow's first bound, beyond its second, and where a
    program has lifted both."""
    import zlib

    def png(width: int, height: int) -> Path:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        path = tmp_path / "bomb.png"
        content = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(content))
        return path

    words = f"{tmp_path / 'bomb.png'}: expected at most 89,478,485 pixels, got more"
    assert refused(lambda: shown(png(9_500, 9_500))) == words
    assert refused(lambda: shown(png(20_000, 20_000))) == words
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    path = png(20_000, 20_000)
    tracemalloc.start()
    try:
        assert "expected at most 89,478,485 pixels, got 20,000 x 20,000" in refused(lambda: shown(path))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert "expected at most" in refused(lambda: pictures.read_header(path))


def test_images_need_pillow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What installs it is said."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        MissingError, match=r"reading images needs Pillow, .*pip install torch safetensors scikit-learn Pillow"
    ):
        open_data(str(root))


# --- from Python ---


def pair(count: int = 6, *shape: int, dtype: torch.dtype = torch.uint8) -> tuple[Tensor, Tensor]:
    values = torch.arange(count * int(np.prod(shape))).reshape(count, *shape) % 256
    images = values.to(torch.uint8) if dtype == torch.uint8 else values.to(dtype) / 256
    return images, torch.arange(count) % 3


def first_image(data: DataSet) -> Tensor:
    assert data.train is not None
    return data.train.image(1)


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 5, 4), (5, 4)])
@pytest.mark.parametrize("form", ["tensor", "array", "backwards", "floats", "halves", "TensorDataset"])
def test_given_images(shape: tuple[int, ...], form: str) -> None:
    """Tensors and arrays, N x C x H x W or N x H x W, bytes or floats: by their values."""
    dtype = {"floats": torch.float64, "halves": torch.bfloat16}.get(form, torch.uint8)
    images, labels = pair(6, *shape, dtype=dtype)
    expected = (images.float() / (255 if dtype == torch.uint8 else 1))[1]
    given: Any = (images, labels)
    if form == "array":
        given = images.numpy(), labels.numpy().astype(np.int16)
        given[0].setflags(write=False)
    elif form == "backwards":
        given = images.flip(0).numpy()[::-1], labels.tolist()
    elif form == "TensorDataset":
        given = TensorDataset(images, labels)
    data = given_data(given, given)
    assert data.classes == ("0", "1", "2")
    assert (data.channels, data.size, data.crop) == (3 if shape[0] == 3 and len(shape) == 3 else 1, (5, 4), 1.0)
    assert torch.equal(first_image(data), expected if len(shape) == 3 else expected[None])
    assert isinstance(data.val, HeldSplit)
    assert data.val.labels.tolist() == labels.tolist()


class Items(Dataset[Any]):
    """A Dataset of whatever it is given."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items, self.read = items, list[int]()
        self.__dict__ |= attributes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return self.items[index]


def test_given_datasets() -> None:
    """Of tensors and of Pillow's images, whose classes are numbers of any kind; grey ones become RGB beside others."""
    items = [
        (torch.zeros(1, 5, 4), 0),
        (picture((5, 4)), torch.tensor(2)),
        (picture((5, 4), "L"), np.int64(1)),
        (np.full((5, 4), 255, dtype=np.uint8), 0),
    ]
    data = given_data(Items(items), Items(items, classes=["a", "b", "c"]), ["x", "y", "z"])
    assert data.train is not None
    assert (data.channels, data.size, data.crop, data.classes) == (3, (5, 4), 1.0, ("x", "y", "z"))
    assert data.train.labels.tolist() == [0, 2, 1, 0]
    assert torch.equal(data.train.image(3), torch.ones(3, 5, 4))
    expected = pixels_of(picture((5, 4)))
    assert torch.equal(data.train.image(1), expected)


def test_labels_of_datasets() -> None:
    """Those that torchvision's keep are taken, through subsets too; of others each image is read once."""
    items = [(torch.zeros(1, 2, 2), label % 2) for label in range(200)]
    kept = Items(items, targets=[label % 2 for label in range(200)], classes=["even", "odd"])
    data = given_data(None, Subset(kept, list(range(10, 110))))
    assert len(kept.read) == 64
    assert data.val.labels.tolist() == [0, 1] * 50
    assert given_data(None, kept).classes == ("even", "odd")
    changed = Items(items, targets=[5] * 200, target_transform=lambda label: label)
    assert given_data(None, changed).val.labels.tolist() == [0, 1] * 100
    lying = Items(items, targets=[1] * 200)
    assert refused(lambda: given_data(None, lying).val.image(0)) == (
        "image 0: expected the label 1, which it had before, got 0"
    )


def test_sizes_of_datasets() -> None:
    """Where they differ, evaluation looks at the middle."""
    items = [(torch.zeros(3, 5, 4 + number), 0) for number in range(3)]
    data = given_data(Items(items), Items(items))
    assert (data.size, data.crop) == (None, 0.875)
    views = Views((4, 4), 3, (), (0.0,) * 3, (1.0,) * 3, data.crop, 0)
    (batch,) = evaluation_batches(Source(data.val, views, training=False), batch=3)
    assert batch[0].shape == (3, 3, 4, 4)


def test_datasets_that_draw_leave_the_generators_alone() -> None:
    """When they are looked at, too."""

    class Random(Items):
        def __getitem__(self, index: int) -> Any:
            return torch.rand(3, 4, 4), 0

    before = torch.get_rng_state()
    given_data(Random([0] * 5), Random([0] * 5))
    assert torch.equal(torch.get_rng_state(), before)


IMAGES, LABELS = pair(6, 3, 5, 4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (IMAGES, "train: expected a pair (images, labels) or a Dataset with a length, got a Tensor"),
        (7, "train: expected a pair (images, labels) or a Dataset with a length, got a int"),
        ((IMAGES, LABELS, LABELS), "or a Dataset with a length, got a tuple"),
        ((IMAGES[0, 0], LABELS), "expected images of N x C x H x W or N x H x W, got 5 x 4"),
        ((IMAGES[:0], LABELS[:0]), "got 0 x 3 x 5 x 4"),
        ((IMAGES, LABELS[:5]), "expected an integer label for each of 6 images, got 5 of int64"),
        ((IMAGES, LABELS.float()), "got 6 of float32"),
        ((IMAGES, LABELS - 1), "expected labels from 0, got -1"),
        ((IMAGES.long(), LABELS), "expected images of uint8 or of floats from 0 to 1, got int64"),
        ((IMAGES.float(), LABELS), "expected floats from 0 to 1, got 0 to 255. (give bytes as uint8"),
        ((IMAGES.float() * float("nan"), LABELS), "expected floats from 0 to 1, got nan to nan"),
        ((IMAGES / 255 - 0.1, LABELS), "expected floats from 0 to 1, got -0.1 to"),
        ((torch.zeros(2, 32, 32, 3), LABELS[:2]), "got 2 x 32 x 32 x 3, whose channels come last"),
        (("a", LABELS), "expected images as a tensor or an array, got a str"),
        ((np.array(["a"]), LABELS), "expected images as a tensor of numbers, got: "),
        ((IMAGES, ["a"] * 6), "expected labels as a tensor of numbers, got: "),
        (Items([]), "expected images, got a Dataset of length 0"),
        (Items([(IMAGES[0], 0.5)]), "image 0: expected a pair (image, class as an integer), got"),
        (Items([IMAGES[0]]), "image 0: expected a pair (image, class as an integer), got"),
        (Items([("a.png", 0)]), "expected an image as a tensor or an array, got a str"),
        (Items([(IMAGES[0, 0, 0], 0)]), "expected an image of C x H x W, got 4"),
        (Items([(IMAGES[0], -3)]), "expected labels from 0, got -3"),
    ],
)
def test_given_data_that_do_not_fit(given: Any, words: str) -> None:
    """Whose they are comes first."""
    message = refused(lambda: given_data(given, (IMAGES, LABELS)))
    assert message.startswith("train: ")
    assert words in message


def test_splits_that_do_not_fit_together() -> None:
    """Channels, classes, and no split at all."""
    five = pair(6, 5, 4, 4)
    assert "expected images of 3 channels, got 5" in refused(lambda: given_data((IMAGES, LABELS), five))
    words = "classes: expected the names of 3 classes, as the labels go to 2, got "
    assert words + "['a', 'b']" in refused(lambda: given_data(None, (IMAGES, LABELS), ["a", "b"]))
    assert words + "'abc'" in refused(lambda: given_data(None, (IMAGES, LABELS), "abc"))
    assert "val: expected images to evaluate with, got None" in refused(lambda: given_data((IMAGES, LABELS), None))


def test_a_dataset_whose_images_change_their_channels() -> None:
    """Beyond those that were looked at: told with the number of the image."""
    items = [(torch.zeros(3, 4, 4), 0)] * 200
    items[1] = (torch.zeros(2, 4, 4), 0)
    data = given_data(None, Items(items))
    assert refused(lambda: data.val.image(1)).startswith("image 1: expected images of 3 channels, got 2")
