"""What is random about images, what is done to them, and batches: the same to the bit wherever they are made."""

import contextlib
import gc
import multiprocessing
import pickle
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import sqrt
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("numpy", reason="numpy is not installed")

import numpy as np  # after the skips
import torch  # the same
from hypothesis import given, settings  # the same
from hypothesis import strategies as st  # the same
from torch import Tensor  # the same

from gnet_inspect.errors import MissingError, UsageError  # the same
from gnet_inspect.runtime.training.data import batches, fitting  # the same
from gnet_inspect.runtime.training.data.augment import (  # the same
    AUGMENTATIONS,
    NUMBERS,
    Patch,
    augment,
    check_augmentations,
    color,
    crop,
    flip,
    parts_of,
    patch_at,
    take_patch,
)
from gnet_inspect.runtime.training.data.batches import (  # the same
    Source,
    Views,
    batches_per_epoch,
    evaluation_batches,
    measure_channels,
    training_batches,
)
from gnet_inspect.runtime.training.data.fitting import as_channels, fit, grey, normalize, resize  # the same
from gnet_inspect.runtime.training.data.keyed import drawing_of, mix, order, uniforms  # the same
from gnet_inspect.runtime.training.data.splits import HeldSplit, Split  # the same

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=50)
# Just below 1: the greatest of the numbers that are drawn.
LAST = 1 - 2.0**-53
WORDS = st.integers(-(2**63), 2**64 - 1)


def pictures(count: int, channels: int = 3, size: tuple[int, int] = (9, 12), seed: int = 0) -> Tensor:
    """Images of noise, float32 from 0 to 1."""
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(seed))


def bytes_of(count: int, channels: int = 3, size: tuple[int, int] = (9, 12)) -> Tensor:
    return (pictures(count, channels, size) * 255.99).to(torch.uint8)


class Loose(Split):
    """Images that are not in memory, as those of a folder: each of another size."""

    def __init__(self, count: int, channels: int = 3, broken: frozenset[int] = frozenset()) -> None:
        self.labels, self.channels, self._broken = torch.arange(count), channels, broken

    def image(self, index: int) -> Tensor:
        if index in self._broken:
            raise UsageError(f"image{index}.png: expected an image that can be read", ["a line below"])
        return pictures(1, self.channels, (8 + index % 5, 11 + index % 3), seed=index)[0]


def views(**changes: Any) -> Views:
    usual: dict[str, Any] = {
        "size": (8, 8),
        "channels": 3,
        "augment": (),
        "mean": (0.5, 0.25, 0.125),
        "deviation": (0.5, 2.0, 1.0),
        "crop": 1.0,
        "seed": 5,
    }
    return Views(**(usual | changes))


def equal(first: Any, second: Any) -> bool:
    """Whether two runs of batches are the same to the bit."""
    first, second = list(first), list(second)
    return len(first) == len(second) and all(
        torch.equal(x, z) and torch.equal(y, w) for (x, y), (z, w) in zip(first, second, strict=True)
    )


# --- numbers that are functions of integers ---


def test_mixing_is_splitmix64() -> None:
    """Its outputs for the seed 1234567 are published (https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64)."""
    from gnet_inspect.runtime.training.data.keyed import _STEP, _scramble

    state, outputs = 1234567, []
    for _ in range(5):
        state = (state + _STEP) % 2**64
        outputs.append(_scramble(state))
    assert outputs == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@PROFILE
@given(numbers=st.lists(WORDS, min_size=1, max_size=5), others=st.lists(WORDS, min_size=1, max_size=5))
def test_keys_have_63_bits_and_differ(numbers: list[int], others: list[int]) -> None:
    """As seeds of torch, too; two lists share a key with a probability of 2^-63."""
    key = mix(*numbers)
    assert 0 <= key < 2**63
    torch.Generator().manual_seed(key)
    words, other_words = ([number % 2**64 for number in each] for each in (numbers, others))
    assert (key == mix(*others)) == (words == other_words)


@PROFILE
@given(
    seed=WORDS,
    epoch=st.integers(0, 10_000),
    indices=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
    count=st.integers(1, 12),
)
def test_uniform_numbers_are_those_of_the_keys(seed: int, epoch: int, indices: list[int], count: int) -> None:
    """Tensors wrap around as Python's words do, so that what is beside an image in a batch says nothing."""
    found = uniforms(seed, epoch, torch.tensor(indices), count)
    assert found.dtype == torch.float64
    expected = [[(mix(seed, epoch, index, place) >> 10) / 2**53 for place in range(count)] for index in indices]
    assert found.tolist() == expected


def test_uniform_numbers_are_uniform() -> None:
    """Moments within five deviations of theirs, every tenth as often as any, places and neighbours uncorrelated, and no
    two rows equal."""
    found = uniforms(0, 0, torch.arange(20_000), 11)
    count = found.numel()
    assert 0 <= float(found.min()) < 1e-4
    assert 1 - 1e-4 < float(found.max()) < 1
    assert abs(float(found.mean()) - 1 / 2) < 5 / sqrt(12 * count)
    assert abs(float(found.var()) - 1 / 12) < 5 / sqrt(180 * count)
    tenths = torch.bincount((found.flatten() * 10).long(), minlength=10)
    # Chi squared with 9 degrees of freedom is above 40 once in 130,000 times.
    assert float(((tenths - count / 10) ** 2 / (count / 10)).sum()) < 40
    between = torch.corrcoef(found.T) - torch.eye(11, dtype=torch.float64)
    assert float(between.abs().max()) < 5 / sqrt(len(found))
    assert abs(float(torch.corrcoef(torch.stack([found[1:, 0], found[:-1, 0]]))[0, 1])) < 5 / sqrt(len(found))
    assert len(torch.unique(found, dim=0)) == len(found)
    assert len(torch.unique(found)) == count
    for other in (uniforms(1, 0, torch.arange(100), 11), uniforms(0, 1, torch.arange(100), 11)):
        assert not torch.isin(other, found).any()


@PROFILE
@given(seed=WORDS, epoch=st.integers(0, 10**6), size=st.integers(1, 3000))
def test_orders_are_permutations(seed: int, epoch: int, size: int) -> None:
    """Each image once, in the order of its keys."""
    found = order(seed, epoch, size)
    assert found.dtype == torch.int64
    assert torch.equal(found.sort().values, torch.arange(size))
    words = [mix(seed, epoch, index) for index in found.tolist()]
    # The lower bit of 64 is not in the key; the upper one is a sign in torch.
    signed = [word - 2**63 if word >= 2**62 else word for word in words]
    assert all(first <= second for first, second in pairwise(signed))


def test_orders_differ_from_epoch_to_epoch_and_are_even() -> None:
    """Which image comes first is each about as often."""
    assert not torch.equal(order(0, 0, 100), order(0, 1, 100))
    assert not torch.equal(order(0, 0, 100), order(1, 0, 100))
    firsts = torch.bincount(torch.tensor([int(order(0, epoch, 10)[0]) for epoch in range(5_000)]), minlength=10)
    assert float(((firsts - 500.0) ** 2 / 500).sum()) < 40


def test_strangers_draw_from_the_key() -> None:
    """All three global generators, which afterwards are as they were, after an error too."""

    def draw() -> tuple[float, float, float]:
        return float(torch.rand(())), random.random(), float(np.random.rand())

    before = global_state()
    with drawing_of(mix(1, 2)):
        first = draw()
    with contextlib.suppress(ZeroDivisionError), drawing_of(mix(1, 2)):
        assert draw() == first
        raise ZeroDivisionError
    with drawing_of(mix(1, 3)):
        assert all(value != other for value, other in zip(draw(), first, strict=True))
    assert global_state() == before


def global_state() -> tuple[object, ...]:
    numpy: Any = np.random.get_state()
    return torch.get_rng_state().tolist(), random.getstate(), numpy[1].tolist(), numpy[2:]


# --- augmentations ---


def numbers_of(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_flip_is_its_own_inverse() -> None:
    """Below a half, and nothing from there on."""
    images = pictures(3)
    draws = numbers_of((0.0,), (0.5 - 2.0**-53,), (0.5,))
    once = flip(images, draws)
    assert torch.equal(flip(once, draws), images)
    assert torch.equal(once[:2], images[:2].flip(-1))
    assert torch.equal(once[2], images[2])


@pytest.mark.parametrize(("size", "border"), [((32, 32), (4, 4)), ((8, 24), (1, 3)), ((5, 3), (1, 1))])
def test_crop_takes_a_window_of_the_padded_image(size: tuple[int, int], border: tuple[int, int]) -> None:
    """At the extreme draws its corners, in the middle the image itself."""
    image = pictures(1, size=size)
    padded = torch.zeros(1, 3, size[0] + 2 * border[0], size[1] + 2 * border[1])
    padded[..., border[0] : -border[0], border[1] : -border[1]] = image
    first, last, middle = crop(image.expand(3, -1, -1, -1), numbers_of((0.0, 0.0), (LAST, LAST), (0.5, 0.5)))
    assert torch.equal(first, padded[0, :, : size[0], : size[1]])
    assert torch.equal(last, padded[0, :, -size[0] :, -size[1] :])
    assert torch.equal(middle, image[0])


@pytest.mark.parametrize(
    ("size", "draws", "expected"),
    [
        # All of a square: of the ratios only 1 fits, whatever is drawn of it.
        *(((30, 30), (LAST, ratio, 0.9, 0.9), Patch(0, 0, 30, 30)) for ratio in (0.0, 0.5, LAST)),
        # All of 3 x 4 and of 4 x 3, the extreme ratios.
        ((30, 40), (LAST, 0.5, 0.0, 0.0), Patch(0, 0, 30, 40)),
        ((40, 30), (LAST, 0.5, 0.0, 0.0), Patch(0, 0, 40, 30)),
        # 8 % of 100 x 100 is 800: sqrt(800 * 4 / 3) = 32.66 and sqrt(800 * 3 / 4) = 24.49.
        ((100, 100), (0.0, 0.0, 0.0, 0.0), Patch(0, 0, 33, 24)),
        ((100, 100), (0.0, LAST, LAST, LAST), Patch(76, 67, 24, 33)),
        # In the middle of the logarithms the ratio is 1.
        ((100, 100), (0.0, 0.5, 0.0, LAST), Patch(0, 72, 28, 28)),
        # An oblong image has no patch of its whole area: the largest of 4/3 or 3/4.
        ((30, 100), (LAST, 0.3, 0.0, 0.0), Patch(0, 0, 30, 40)),
        ((100, 30), (LAST, 0.3, 0.0, LAST), Patch(0, 0, 40, 30)),
        ((1, 1), (0.0, 0.0, LAST, LAST), Patch(0, 0, 1, 1)),
    ],
)
def test_patches_at_extreme_draws(
    size: tuple[int, int], draws: tuple[float, float, float, float], expected: Patch
) -> None:
    """By hand."""
    assert patch_at(*size, draws) == expected


@PROFILE
@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    draws=st.tuples(*[st.floats(0, LAST)] * 4),
)
def test_patches_keep_the_papers_bounds(size: tuple[int, int], draws: tuple[float, float, float, float]) -> None:
    """Inside the image, of 8 to 100 % of its area and a ratio from 3/4 to 4/3, but for whole pixels."""
    top, left, height, width = patch_at(*size, draws)
    assert 0 <= top <= size[0] - height
    assert 0 <= left <= size[1] - width
    assert min(height, width) >= 1
    assert (width - 0.5) / (height + 0.5) <= 4 / 3
    assert (width + 0.5) / (height - 0.5) >= 3 / 4
    if 3 / 4 <= size[1] / size[0] <= 4 / 3:
        assert (height + 0.5) * (width + 0.5) >= 0.08 * size[0] * size[1]


def test_areas_of_patches_are_even() -> None:
    """The share is even between 8 and 100 %, as the paper has it, also where not every ratio fits."""
    draws = uniforms(0, 0, torch.arange(4_000), 4).tolist()
    patches = [patch_at(600, 600, (area, ratio, down, right)) for area, ratio, down, right in draws]
    shares = torch.tensor([patch.height * patch.width / 600**2 for patch in patches], dtype=torch.float64).sort().values
    expected = torch.linspace(0.08, 1.0, len(shares), dtype=torch.float64)
    # Kolmogorov's bound for one in a million.
    assert float((shares - expected).abs().max()) / 0.92 < 2.7 / sqrt(len(shares))


def test_a_patch_of_everything_is_the_image() -> None:
    """Resized where the network has another size."""
    images = pictures(2, size=(16, 16))
    whole = numbers_of(*[(LAST, 0.7, 0.2, 0.4)] * 2)
    assert torch.equal(take_patch(images, whole, (16, 16)), images)
    assert torch.equal(take_patch(images, whole, (7, 5)), resize(images, (7, 5)))
    first = take_patch(images, numbers_of(*[(0.0, 0.5, 0.0, 0.0)] * 2), (5, 5))
    # 8 % of 256 pixels are 4.5 x 4.5, so 5 x 5 or 4 x 4: the corner of the image.
    height = patch_at(16, 16, (0.0, 0.5, 0.0, 0.0)).height
    assert torch.equal(first, resize(images[..., :height, :height].contiguous(), (5, 5)))


def test_color_at_extreme_draws() -> None:
    """Brightness first, then contrast, then saturation; a half of each changes nothing."""
    images = pictures(1)
    same = color(images, numbers_of((0.5, 0.5, 0.5, 0.0)))
    torch.testing.assert_close(same, images, rtol=0, atol=1e-6)
    dark = color(images, numbers_of((0.0, 0.5, 0.5, 0.0)))
    torch.testing.assert_close(dark, images * 0.6, rtol=0, atol=1e-6)
    bright = color(images, numbers_of((LAST, 0.5, 0.5, 0.0)))
    torch.testing.assert_close(bright, (images * 1.4).clamp(0, 1), rtol=0, atol=1e-6)
    flat = color(images, numbers_of((0.5, 0.0, 0.5, 0.0)))
    torch.testing.assert_close(flat, images * 0.6 + grey(images).mean() * 0.4, rtol=0, atol=1e-6)
    pale = color(images, numbers_of((0.5, 0.5, 0.0, 0.0)))
    torch.testing.assert_close(pale, images * 0.6 + grey(images) * 0.4, rtol=0, atol=1e-6)


def test_color_has_six_orders() -> None:
    """They differ where values are cut off, and none is left out."""
    images = pictures(1)
    found = [color(images, numbers_of((LAST, LAST, LAST, (number + 0.5) / 6))) for number in range(6)]
    assert len(torch.unique(torch.cat(found), dim=0)) == 6
    assert all(float(image.min()) >= 0 and float(image.max()) <= 1 for image in found)


def test_grey_images_have_no_saturation() -> None:
    """Nor do other channels than RGB; their mean is that of all channels."""
    images = pictures(1, channels=1)
    colored = color(images, numbers_of((0.5, 0.5, 0.0, 0.0)))
    torch.testing.assert_close(colored, images, rtol=0, atol=1e-6)
    five = pictures(1, channels=5)
    torch.testing.assert_close(color(five, numbers_of((0.5, 0.5, LAST, 0.0))), five, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["flip", "crop", "color", "paper"])
def test_images_beside_an_image_change_nothing(name: str) -> None:
    """Each of a batch is as it is alone, to the bit."""
    images, draws = pictures(7), uniforms(0, 0, torch.arange(7), NUMBERS)
    parts = parts_of([name])
    together = augment(images, draws, parts)
    alone = [augment(images[row : row + 1], draws[row : row + 1], parts) for row in range(7)]
    assert torch.equal(together, torch.cat(alone))
    assert not torch.equal(together, images)


def test_another_augmentation_takes_no_numbers_away() -> None:
    """Flipped is flipped, whether the image was cropped before or not."""
    images, draws = pictures(20), uniforms(0, 0, torch.arange(20), NUMBERS)
    flipped = augment(images, draws, parts_of(["flip"]))
    cropped = augment(images, draws, parts_of(["crop"]))
    both = augment(images, draws, parts_of(["flip", "crop"]))
    assert torch.equal(both, flip(cropped, draws[:, 6:7]))
    assert torch.equal(flipped, flip(images, draws[:, 6:7]))


def test_names_of_augmentations() -> None:
    """Each once; a misspelt one is answered."""
    assert check_augmentations(["crop", "flip", "crop"]) == ("crop", "flip")
    assert check_augmentations([]) == ()
    assert parts_of(["paper"]) == {"patch", "flip", "color"} == parts_of(["patch", "flip", "color", "paper"])
    assert set(AUGMENTATIONS) == {"flip", "crop", "patch", "color", "paper"}
    with pytest.raises(
        UsageError, match=r"--augment: expected names of augmentations, got 'flap'\. \(did you mean `flip`"
    ):
        check_augmentations(["flap"])
    with pytest.raises(UsageError, match="known: `color`, `crop`, `flip`, `paper`, `patch`"):
        check_augmentations(["mosaic"])


# --- images in the size of the network ---


def test_fitting_by_closed_form() -> None:
    """The own size is untouched, half of it the mean of windows (antialiased), a constant stays one."""
    images = pictures(2, size=(12, 12))
    assert fit(images, (12, 12), 1.0) is images
    constant = torch.full((1, 3, 17, 31), 0.25)
    torch.testing.assert_close(fit(constant, (8, 8), 0.875), torch.full((1, 3, 8, 8), 0.25))
    # A ramp stays one: pixel centres are where they were. At the rim there is less to average.
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    halved = resize(ramp, (32, 32))[0, 0, 0]
    torch.testing.assert_close(halved[1:-1], torch.arange(0.5, 64, 2)[1:-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("given_size", "size", "share", "box"),
    [
        # 256 of 256 pixels, of which 224 in the middle.
        ((256, 256), (224, 224), 0.875, (16, 16)),
        ((256, 340), (224, 224), 0.875, (16, 58)),
        ((340, 256), (224, 224), 0.875, (58, 16)),
        # Not square: the height is the side that is shorter beside the size.
        ((64, 100), (32, 16), 0.5, (16, 42)),
    ],
)
def test_the_middle_of_an_image(
    given_size: tuple[int, int], size: tuple[int, int], share: float, box: tuple[int, int]
) -> None:
    """Where the scale is 1, pixels are what they were."""
    image = pictures(1, size=given_size)
    found = fit(image, size, share)
    assert torch.equal(found, image[..., box[0] : box[0] + size[0], box[1] : box[1] + size[1]])


@PROFILE
@given(
    given_size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    channels=st.integers(1, 4),
    count=st.integers(1, 9),
    share=st.sampled_from((1.0, 0.875, 0.3)),
    threads=st.sampled_from((1, 2)),
)
def test_several_images_are_fitted_as_each_alone(
    given_size: tuple[int, int], size: tuple[int, int], channels: int, count: int, share: float, threads: int
) -> None:
    """To the bit, in any number of threads."""
    images = pictures(count, channels, given_size)
    with threads_of(threads):
        together = fit(images, size, share)
    assert together.shape == (count, channels, *size)
    assert torch.equal(together, torch.cat([fit(images[row : row + 1], size, share) for row in range(count)]))


class threads_of:  # noqa: N801  # used as a word
    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(self._count)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)


def test_channels() -> None:
    """The weights of ITU-R 601 for grey; grey is repeated; others have to be equal."""
    primaries = torch.eye(3)[:, :, None, None]
    assert as_channels(primaries, 1).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    assert float(as_channels(torch.ones(3, 1, 1), 1)) == pytest.approx(1)
    one = pictures(2, channels=1)
    assert torch.equal(as_channels(one, 3), one.expand(-1, 3, -1, -1))
    assert as_channels(one, 1) is one
    with pytest.raises(UsageError, match="expected images of 4 channels, got 3"):
        as_channels(pictures(1), 4)
    with pytest.raises(UsageError, match="expected images of 1 channels, got 2"):
        Source(HeldSplit(pictures(4, channels=2), torch.arange(4)), views(channels=1, mean=(0.0,)), training=True)


def test_normalizing() -> None:
    """Less the mean, over the deviation."""
    images = torch.ones(2, 2, 1, 1)
    assert normalize(images, (0.5, 1.0), (0.25, 2.0))[0].flatten().tolist() == [2.0, 0.0]


# --- mean and deviation ---


def reference(images: Tensor) -> tuple[list[float], list[float]]:
    """By numpy, of N x C x H x W."""
    pixels = images.permute(1, 0, 2, 3).flatten(1).double().numpy()
    return pixels.mean(axis=1).tolist(), pixels.std(axis=1).tolist()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("given_channels", [1, 3])
def test_channels_are_measured_exactly(given_channels: int, channels: int) -> None:
    """Of bytes, of floats, and of images that are not in memory: against numpy."""
    values, labels = bytes_of(50, given_channels), torch.arange(50)
    splits = [HeldSplit(values, labels, 255), HeldSplit(values.float() / 255, labels)]
    mean, deviation = reference(as_channels(values.float() / 255, channels))
    for split in splits:
        found = measure_channels(split, channels)
        # A float32 is within 3e-8 of the byte's share of 255.
        assert found[0] == pytest.approx(mean, abs=3e-8)
        assert found[1] == pytest.approx(deviation, abs=3e-8)
    assert measure_channels(splits[0], given_channels)[0] == pytest.approx(
        reference(values.double() / 255)[0], abs=1e-15
    )


def test_known_moments() -> None:
    """Half of the pixels black and half white; and channels of one value, which have no deviation to divide by."""
    halves = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    halves[1] = 255
    assert measure_channels(HeldSplit(halves, torch.arange(2), 255), 3) == ((0.5,) * 3, (0.5,) * 3)
    tenth = torch.full((7, 1, 5, 5), 0.1)
    mean, deviation = measure_channels(HeldSplit(tenth, torch.arange(7)), 1)
    assert mean == pytest.approx([float(torch.tensor(0.1))])
    assert deviation == (1.0,)
    grey_bytes = torch.full((7, 1, 5, 5), 77, dtype=torch.uint8)
    assert measure_channels(HeldSplit(grey_bytes, torch.arange(7), 255), 1) == ((77 / 255,), (1.0,))


def test_other_images_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 images 4: every 25th; pixels count alike, whatever image they are of."""
    split, read = Loose(100), list[int]()
    own = split.image

    def image(index: int) -> Tensor:
        read.append(index)
        return own(index)

    monkeypatch.setattr(split, "image", image)
    mean, deviation = measure_channels(split, 3, most=4)
    assert read == [0, 25, 50, 75]
    pixels = torch.cat([own(index).flatten(1) for index in read], dim=1).double()
    assert mean == pytest.approx(pixels.mean(1).tolist(), abs=1e-12)
    assert deviation == pytest.approx(pixels.std(1, unbiased=False).tolist(), abs=1e-12)


def test_measuring_does_not_depend_on_threads() -> None:
    """To the bit: a recipe holds what was measured. Sums of two threads are other ones for some of these images."""
    splits = [HeldSplit(pictures(1, 1, (400, 420 + seed), seed), torch.zeros(1).long()) for seed in range(12)]
    with threads_of(1):
        alone = [measure_channels(split, 1) for split in splits]
    with threads_of(2):
        assert [measure_channels(split, 1) for split in splits] == alone


# --- sources ---


KINDS: dict[str, Callable[[], Split]] = {
    "prepared": lambda: HeldSplit(bytes_of(23), torch.arange(23) % 4, 255),
    "loose": lambda: Loose(23),
    "grey": lambda: HeldSplit(bytes_of(23, channels=1), torch.arange(23) % 4, 255),
}
AUGMENTED = ((), ("flip",), ("crop", "flip"), ("color",), ("patch",), ("paper", "crop"))


def alone(source: Source, split: Split, epoch: int, index: int) -> Tensor:
    """An image of a source as the docstrings say it is made, step by step."""
    size, image = source.views.size, split.image(index)[None]
    parts = parts_of(source.views.augment) if source.training else frozenset()
    draws = uniforms(source.views.seed, epoch, torch.tensor([index]), NUMBERS)
    image = take_patch(image, draws[:, :4], size) if "patch" in parts else fit(image, size, source.views.crop)
    image = augment(image, draws, parts)
    return normalize(as_channels(image, source.views.channels), source.views.mean, source.views.deviation)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", AUGMENTED, ids="+".join)
@pytest.mark.parametrize("training", [True, False])
def test_fetched_images_are_those_made_one_by_one(kind: str, names: tuple[str, ...], training: bool) -> None:
    """To the bit, whatever is prepared before, in any order and more than once."""
    split = KINDS[kind]()
    source = Source(split, views(augment=names), training)
    indices = torch.tensor([22, 0, 7, 7, 13])
    x, y = source.fetch(3, indices)
    assert (x.dtype, x.shape, y.dtype) == (torch.float32, (5, 3, 8, 8), torch.int64)
    assert torch.equal(x, torch.stack([alone(source, split, 3, index) for index in indices.tolist()]))
    assert torch.equal(y, split.labels[indices])


@pytest.mark.parametrize("names", AUGMENTED, ids="+".join)
def test_what_is_too_large_to_be_prepared_comes_out_the_same(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images in memory are prepared in chunks, up to a bound; beyond it they are made when they are fetched."""
    source = Source(KINDS["prepared"](), views(augment=names), training=True)
    assert source.is_prepared == ("patch" not in parts_of(names))
    monkeypatch.setattr(batches, "_CHUNK_BYTES", 5_000)
    chunks = Source(KINDS["prepared"](), views(augment=names), training=True)
    monkeypatch.setattr(batches, "PREPARED_BYTES", 23 * 3 * 64 * 4 - 1)
    unprepared = Source(KINDS["prepared"](), views(augment=names), training=True)
    assert not unprepared.is_prepared
    everything = torch.arange(23)
    expected = source.fetch(1, everything)
    assert equal([chunks.fetch(1, everything), unprepared.fetch(1, everything)], [expected, expected])


def test_an_epoch_of_prepared_images_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once prepared, no image is read, resized or normalized again."""
    source = Source(KINDS["prepared"](), views(), training=True)
    for module, name in ((batches, "fit"), (batches, "normalize"), (fitting, "interpolate")):
        monkeypatch.delattr(module, name)
    assert len(list(training_batches(source, epoch=0, batch=4))) == 5
    assert len(list(evaluation_batches(source, batch=4))) == 6


def test_epochs_augment_anew() -> None:
    """An image is another one in the next epoch, and the same one in the same."""
    source = Source(Loose(5), views(augment=("paper",)), training=True)
    everything = torch.arange(5)
    assert equal([source.fetch(0, everything)], [source.fetch(0, everything)])
    assert not torch.equal(source.fetch(0, everything)[0], source.fetch(1, everything)[0])
    other = Source(Loose(5), views(augment=("paper",), seed=6), training=True)
    assert not torch.equal(source.fetch(0, everything)[0], other.fetch(0, everything)[0])


def test_views_that_do_not_fit() -> None:
    """A mean for each channel."""
    with pytest.raises(UsageError, match="deviation: expected a number for each of 3 channels, got 1"):
        Source(Loose(3), views(deviation=(1.0,)), training=True)


# --- batches ---


def test_batches_are_the_order_cut() -> None:
    """Whole ones, each image at most once; what does not fill one is left out."""
    source = Source(KINDS["prepared"](), views(), training=True)
    found = list(training_batches(source, epoch=2, batch=5))
    assert len(found) == batches_per_epoch(23, 5) == 4
    shuffled = order(5, 2, 23)
    for number, (x, y) in enumerate(found):
        rows = shuffled[5 * number : 5 * number + 5]
        assert equal([(x, y)], [source.fetch(2, rows)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [(), ("flip", "crop"), ("paper",)], ids="+".join)
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(kind: str, names: tuple[str, ...], workers: int) -> None:
    """Batches are equal to the bit; so is the tail of an epoch that is begun in its middle."""
    source = Source(KINDS[kind](), views(augment=names), training=True)
    whole = list(training_batches(source, epoch=1, batch=4))
    assert equal(training_batches(source, epoch=1, batch=4, workers=workers), whole)
    assert equal(training_batches(source, epoch=1, batch=4, start_batch=3, workers=workers), whole[3:])
    assert equal(training_batches(source, epoch=1, batch=4, start_batch=5, workers=workers), [])
    evaluated = list(evaluation_batches(source, batch=4))
    assert [len(y) for _, y in evaluated] == [4, 4, 4, 4, 4, 3]
    assert equal(evaluation_batches(source, batch=4, workers=workers), evaluated)
    assert multiprocessing.active_children() == []


@PROFILE
@given(batch=st.integers(1, 23), ranks=st.integers(1, 5), start=st.integers(0, 23))
def test_ranks_share_batches(batch: int, ranks: int, start: int) -> None:
    """The rows of all, put together, are the batch; batches of an evaluation are dealt out."""
    source = Source(HeldSplit(torch.arange(23.0).view(23, 1, 1, 1) / 23, torch.arange(23)), GREY, training=True)
    start = min(start, batches_per_epoch(23, batch))
    whole = list(training_batches(source, epoch=0, batch=batch, start_batch=start))
    shares = [
        list(training_batches(source, epoch=0, batch=batch, start_batch=start, rank=rank, ranks=ranks))
        for rank in range(ranks)
    ]
    together = [tuple(torch.cat(parts) for parts in zip(*rows, strict=True)) for rows in zip(*shares, strict=True)]
    assert equal(together, whole)
    dealt = [list(evaluation_batches(source, batch=batch, rank=rank, ranks=ranks)) for rank in range(ranks)]
    evaluated = list(evaluation_batches(source, batch=batch))
    assert torch.equal(torch.cat([y for _, y in evaluated]), torch.arange(23))
    for rank in range(ranks):
        assert equal(dealt[rank], evaluated[rank::ranks])


GREY = Views((1, 1), 1, (), (0.0,), (1.0,), 1.0, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_drawn_from_the_global_generators(workers: int) -> None:
    """Of torch, numpy and Python, in training and in evaluation."""
    source = Source(Loose(12), views(augment=("paper", "crop")), training=True)
    before = global_state()
    measure_channels(source.split, 3)
    assert len(list(training_batches(source, epoch=0, batch=3, workers=workers))) == 4
    assert len(list(evaluation_batches(source, batch=3, workers=workers))) == 4
    assert global_state() == before


def test_batches_that_there_are_not() -> None:
    """At once, not when the first is asked for."""
    source = Source(Loose(7), views(), training=True)
    with pytest.raises(UsageError, match="--batch: expected 1 to 7 images, as many as there are to learn from, got 8"):
        training_batches(source, epoch=0, batch=8)
    with pytest.raises(UsageError, match="expected 1 to 7 images"):
        training_batches(source, epoch=0, batch=0)
    with pytest.raises(UsageError, match="start_batch: expected 0 to 2, got 3"):
        training_batches(source, epoch=0, batch=3, start_batch=3)
    with pytest.raises(UsageError, match="--batch: expected at least 1 image, got 0"):
        evaluation_batches(source, batch=0)


# --- workers ---


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_broken_image_is_the_same_error_in_any_process(workers: int) -> None:
    """Not a RuntimeError with a traceback in its text; the batches before it come, and the workers end."""
    source = Source(Loose(12, broken=frozenset((7,))), views(), training=False)
    batches_of = evaluation_batches(source, batch=3, workers=workers)
    assert [y.tolist() for _, y in (next(batches_of), next(batches_of))] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UsageError) as raised:
        next(batches_of)
    assert str(raised.value) == "image7.png: expected an image that can be read\na line below"
    assert raised.value.lines == ("a line below",)
    assert multiprocessing.active_children() == []


def test_errors_of_workers_keep_their_parts() -> None:
    """They are sent as pickles."""
    error = UsageError("a", ["b"])
    error.say_of("c")
    sent = pickle.loads(pickle.dumps(error))
    assert (str(sent), sent.message, sent.lines) == ("c: a\nb", "c: a", ("b",))


@pytest.mark.parametrize("how", ["close", "forget"])
def test_workers_end_with_the_iterator(how: str) -> None:
    """In the middle of an epoch, too."""
    source = Source(Loose(40), views(augment=("paper",)), training=True)
    batches_of: Iterator[Any] = training_batches(source, epoch=0, batch=4, workers=2)
    next(batches_of)
    assert len(multiprocessing.active_children()) == 2
    if how == "close":
        batches_of.close()  # type: ignore[attr-defined]  # it is a generator
    else:
        del batches_of
        gc.collect()
    assert multiprocessing.active_children() == []


class Faulty(Loose):
    """Images of a program that has a fault."""

    def image(self, index: int) -> Tensor:
        if index == 5:
            raise ValueError("a fault")
        return super().image(index)


def test_workers_end_with_any_error() -> None:
    """While its traceback, which has that of the worker in it, is still held."""
    with pytest.raises(ValueError, match="a fault"):
        list(evaluation_batches(Source(Faulty(12), views(), training=False), batch=1, workers=2))
    assert multiprocessing.active_children() == []


def test_no_workers_where_there_is_nothing_to_read() -> None:
    """Prepared images are looked up here; nor are there more workers than batches."""
    prepared = training_batches(Source(KINDS["prepared"](), views(), training=True), epoch=0, batch=4, workers=2)
    next(prepared)
    assert multiprocessing.active_children() == []
    few = training_batches(Source(Loose(5), views(), training=True), epoch=0, batch=4, workers=8)
    next(few)
    assert len(multiprocessing.active_children()) == 1
    few.close()


class Ending(Loose):
    """A process that reads image 5 ends at once, as one that is killed for its memory."""

    def image(self, index: int) -> Tensor:
        if index == 5:
            import os

            os._exit(1)
        return super().image(index)


def test_a_worker_that_ends_is_told() -> None:
    """With what to do about it."""
    source = Source(Ending(12), views(), training=False)
    with pytest.raises(MissingError, match=r"a process that reads images has ended: DataLoader worker .*--workers 0"):
        list(evaluation_batches(source, batch=3, workers=1))


class Drawing(Loose):
    """Images as a Dataset's transforms make them, from the global generators."""

    draws = True

    def image(self, index: int) -> Tensor:
        return torch.full((3, 4, 4), (float(torch.rand(())) + random.random() + float(np.random.rand())) / 3)


def test_what_strangers_draw_is_a_function_of_seed_epoch_and_image() -> None:
    """In any process, and from any batch on."""
    source = Source(Drawing(12), views(augment=("flip",)), training=True)
    whole = list(training_batches(source, epoch=0, batch=3))
    torch.manual_seed(99)
    before = global_state()
    assert equal(training_batches(source, epoch=0, batch=3, workers=2), whole)
    assert equal(training_batches(source, epoch=0, batch=3, start_batch=2), whole[2:])
    assert not torch.equal(source.fetch(1, torch.arange(3))[0], source.fetch(0, torch.arange(3))[0])
    assert global_state() == before


def test_workers_hear_no_signal_to_the_group() -> None:
    """They have a group of their own, so that who trains may finish its step when it is asked to stop."""
    import os

    class Group(Loose):
        def image(self, index: int) -> Tensor:
            self.labels = torch.tensor([os.getpgid(0)])
            raise UsageError(f"group {os.getpgid(0)}")

    with pytest.raises(UsageError, match="group") as raised:
        list(evaluation_batches(Source(Group(2), views(), training=False), batch=1, workers=1))
    assert str(raised.value) != f"group {os.getpgid(0)}"
