"""Pictures of an evaluation: each count in its cell, each image with its caption, in colours that can be told apart."""

import re
import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnet_inspect.errors import MissingError, UsageError
from gnet_inspect.records.training import Mistaken
from gnet_inspect.views.drawing import evaluation as drawing
from gnet_inspect.views.drawing.evaluation import (
    DARKEST,
    MOST_CLASSES,
    MOST_IMAGES,
    RIGHT,
    THEME,
    WRONG,
    draw_confusion,
    draw_worst,
    evaluation_picture,
)
from gnet_inspect.views.drawing.png import svg_to_png
from tests.drawing import contrast
from tests.runs import evaluation, matrix

SVG = "{http://www.w3.org/2000/svg}"
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# What is seen by who lacks red or green cones: Viénot, Brettel and Mollon (1999), on linear RGB.
DICHROMATS = {
    "protanope": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deuteranope": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
}


def png_of(width: int, height: int, level: int = 128, more: bytes = b"") -> bytes:
    """A grey image, with a chunk that nobody reads."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress((b"\0" + bytes([level]) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"teXt", more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def mistaken(number: int, label: str = "eight", predicted: str = "one") -> Mistaken:
    return Mistaken(number, "", label, predicted, 0.0213, 0.9512, 3.849)


def texts(svg: str) -> list[str]:
    """All lines of text, in their order."""
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def tooltips(svg: str) -> list[str]:
    """What is said of each thing, but for the picture itself."""
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}title")][1:]


def cells_of(svg: str) -> list[str]:
    """The colours of the matrix's cells."""
    groups = [group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.find(f"{SVG}title") is not None]
    return [rect.attrib["fill"] for group in groups for rect in group.findall(f"{SVG}rect")]


# --- the matrix ---


def test_each_count_stands_in_its_cell() -> None:
    """Row by row, none twice, and said in words as well."""
    found = evaluation(matrix(10), DIGITS)
    svg = draw_confusion(found)
    counts = [(label, taken, n) for label, row in enumerate(found.confusion) for taken, n in enumerate(row) if n]
    assert tooltips(svg) == [
        f"{n} of 10 images of {DIGITS[label]} {'recognised' if label == taken else f'taken for {DIGITS[taken]}'}"
        for label, taken, n in counts
    ]
    numbers = [text for text in texts(svg) if text.isdecimal()]
    assert numbers[10:] == [str(n) for _, _, n in counts]
    for name in DIGITS:
        assert texts(svg).count(name) == 2


def test_recall_stands_beside_each_class() -> None:
    """Where it has images."""
    svg = draw_confusion(evaluation([[3, 1], [0, 0]], ["a", "b"]))
    assert [text for text in texts(svg) if re.fullmatch(r"\d\.\d{3}", text)] == ["0.750"]


def test_what_is_right_is_blue_and_what_is_wrong_orange() -> None:
    """Darker with the share of the class's images."""
    svg = draw_confusion(evaluation([[100, 0, 0], [10, 50, 40], [1, 3, 96]], ["a", "b", "c"]))
    assert cells_of(svg) == [RIGHT[5], WRONG[2], RIGHT[4], WRONG[4], WRONG[1], WRONG[1], RIGHT[5]]


def test_a_hundred_classes_have_names_that_can_be_read() -> None:
    """At a size of letters that is printed, no name cut, nothing wider than the picture."""
    names = [f"class {number}" for number in range(100)]
    svg = draw_confusion(evaluation(matrix(100), names))
    sizes = {float(size) for size in re.findall(r'font-size="([0-9.]+)"', svg)}
    assert min(sizes) >= 7
    assert {*names} <= {*texts(svg)}
    assert len(svg) < 200_000


def test_of_more_classes_those_with_most_mistaken_images_are_drawn() -> None:
    """And it is said that others are not."""
    rows = [[0] * 300 for _ in range(300)]
    for place in range(300):
        rows[place][place] = 10
        rows[place][(place + 1) % 300] = place % 3
    svg = draw_confusion(evaluation(rows, [f"n{place}" for place in range(300)]))
    assert f"the {MOST_CLASSES} classes of which most images are mistaken; 200 others are not drawn" in texts(svg)
    drawn = {text for text in texts(svg) if re.fullmatch(r"n\d+", text)}
    assert drawn == {f"n{place}" for place in range(300) if place % 3 == 2}


def test_long_names_are_cut_and_harm_nobody() -> None:
    """Markup is text, control characters are escapes; a png writes letters that the font lacks as escapes."""
    names = ["<script>alert(1)</script>", "a\x1b[31mb", "x" * 500, "\u05d0\u05d1"]
    found = evaluation(matrix(4), names)
    svg = draw_confusion(found)
    assert "<script" not in svg
    assert "\\x1b" in "".join(texts(svg))
    assert max(map(len, texts(svg))) < 140
    assert "\u05d0\u05d1" in texts(svg)
    assert "\\u05d0\\u05d1" in texts(draw_confusion(found, in_roboto=True))


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 10**6), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
@settings(max_examples=30)
def test_any_matrix_is_drawn(rows: list[list[int]]) -> None:
    """As a picture that is well-formed, with a cell for each pair that has images, within its edges."""
    rows[0][0] = max(rows[0][0], 1)
    svg = draw_confusion(evaluation(rows, [f"c{place}" for place in range(len(rows))]))
    root = ElementTree.fromstring(svg)
    assert len(cells_of(svg)) == sum(bool(found) for row in rows for found in row)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    assert 400 < width < 1200
    assert 100 < height < 1200


# --- colours ---


def test_letters_are_read_on_every_cell() -> None:
    """By WCAG's AA."""
    for color in {*RIGHT, *WRONG}:
        assert contrast(THEME.page if color == DARKEST else THEME.ink, color) >= 4.5, color


def test_steps_are_told_apart() -> None:
    """Each is darker than the one before it."""
    for colors in (RIGHT, WRONG):
        for lighter, darker in pairwise(colors):
            assert contrast("#000000", lighter) > 1.05 * contrast("#000000", darker)


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_the_colour_blind_tell_right_from_wrong(eyes: str) -> None:
    """By hue: what is blue to them has more blue than red, what is orange has less, in every step."""
    for right, wrong in zip(RIGHT[1:], WRONG[1:], strict=True):
        blue, orange = seen_by(eyes, right), seen_by(eyes, wrong)
        assert blue[2] - blue[0] > 0.02
        assert orange[0] - orange[2] > 0.1


def seen_by(eyes: str, color: str) -> list[float]:
    """A colour in linear RGB, as it is seen."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return [sum(weight * part for weight, part in zip(row, linear, strict=True)) for row in DICHROMATS[eyes]]


# --- the images ---


def test_each_image_has_its_caption() -> None:
    """What it is, what it was taken for and how surely; its number or file is told beside."""
    worst = (mistaken(17), Mistaken(3, "val/a/b.png", "two", "two", 0.51, 0.51, 0.67))
    svg = draw_worst(evaluation(matrix(10), DIGITS, worst), [png_of(8, 8), png_of(300, 200)])
    assert texts(svg)[-4:] == ["eight", "taken for one (0.95)", "two", "recognised (0.51)"]
    assert tooltips(svg) == ["image 17, loss 3.849", "val/a/b.png, loss 0.67"]


def test_pixels_are_squares_where_they_are_enlarged() -> None:
    """And the sides of an image are as they were."""
    worst = (mistaken(1), mistaken(2), mistaken(3))
    svg = draw_worst(evaluation(matrix(10), DIGITS, worst), [png_of(8, 8), png_of(416, 208), png_of(26, 104)])
    small, large, high = ElementTree.fromstring(svg).iter(f"{SVG}image")
    assert small.attrib["style"] == high.attrib.get("style", small.attrib["style"]) == "image-rendering:pixelated"
    assert "style" not in large.attrib
    assert [(each.attrib["width"], each.attrib["height"]) for each in (small, large, high)] == [
        ("104", "104"),
        ("104", "52"),
        ("26", "104"),
    ]


def test_a_sheet_has_a_bounded_number_of_images() -> None:
    """The worst ones; a very large file is a frame with its size."""
    worst = tuple(mistaken(number) for number in range(50))
    images = [png_of(8, 8)] * 49 + [png_of(8, 8)]
    assert draw_worst(evaluation(matrix(10), DIGITS, worst), images).count("<image ") == MOST_IMAGES
    heavy = png_of(4000, 3000, more=bytes(drawing.MOST_IMAGE_BYTES))
    svg = draw_worst(evaluation(matrix(10), DIGITS, worst[:1]), [heavy])
    assert "<image " not in svg
    assert "4,000 × 3,000" in texts(svg)


def test_a_long_name_has_a_line_of_its_own() -> None:
    """So that the probability is not lost."""
    worst = (mistaken(1, "a long name of a class", "another long name of a class"),)
    svg = draw_worst(evaluation(matrix(10), DIGITS, worst), [png_of(8, 8)])
    label, said, probability = texts(svg)[-3:]
    assert label.startswith("a long name")
    assert said.startswith("taken for another long")
    assert said.endswith("…")
    assert probability == "(0.95)"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "expected an image for each of 1, got 0"),
        ([b"GIF89a"], "expected images as PNG, got 6 bytes of something else"),
        ([png_of(1, 1)[:20]], "expected images as PNG, got 20 bytes"),
        ([png_of(0, 4)], "expected images as PNG, got one without pixels"),
    ],
)
def test_what_is_no_image_is_refused(images: list[bytes], message: str) -> None:
    """Rather than drawn as an empty place."""
    with pytest.raises(UsageError, match=message):
        draw_worst(evaluation(matrix(10), DIGITS, (mistaken(1),)), images)


# --- both ---


def test_one_picture_has_both() -> None:
    """The matrix above the images; alone where there are none. Twice the same bytes."""
    found = evaluation(matrix(10), DIGITS, (mistaken(17),))
    svg = evaluation_picture(found, [png_of(8, 8)])
    assert svg == evaluation_picture(found, [png_of(8, 8)])
    assert svg.count("<image ") == 1
    assert texts(svg).index(drawing.SHEET) > texts(svg).index("taken for")
    alone = evaluation(matrix(10), DIGITS)
    assert evaluation_picture(alone, []) == draw_confusion(alone)


def pixels_of(png: bytes, places: Sequence[tuple[float, float]]) -> list[tuple[int, int, int]]:
    """The colours at places of a picture, in points."""
    image = pytest.importorskip("PIL.Image")
    from io import BytesIO

    shown = image.open(BytesIO(png)).convert("RGB")
    return [shown.getpixel((round(2 * x), round(2 * y))) for x, y in places]


def test_a_png_shows_the_image_pixel_by_pixel() -> None:
    """Of two pixels each half has its own colour up to the edge between them."""
    pytest.importorskip("resvg_py")
    two = png_of(2, 1)
    rows = zlib.compress(b"\0\x00\xff")
    at = two.index(b"IDAT") - 4
    two = two[:at] + struct.pack(">I", len(rows)) + b"IDAT" + rows + struct.pack(">I", zlib.crc32(b"IDAT" + rows))
    two += struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    svg = draw_worst(evaluation(matrix(10), DIGITS, (mistaken(1),)), [two])
    (image,) = ElementTree.fromstring(svg).iter(f"{SVG}image")
    left, top = float(image.attrib["x"]), float(image.attrib["y"])
    (group,) = re.findall(r'<g transform="translate\(20 ([0-9.]+)\)">', svg)
    (inner,) = re.findall(r'<g transform="translate\(0 ([0-9.]+)\)">', svg)
    y = float(group) + float(inner) + top + 26
    places = [(20 + left + x, y) for x in (2, 50, 54, 102)]
    assert pixels_of(svg_to_png(svg), places) == [(0, 0, 0), (0, 0, 0), (255, 255, 255), (255, 255, 255)]


def test_a_png_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so."""
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(MissingError, match="a png needs resvg"):
        svg_to_png(draw_confusion(evaluation(matrix(3), ["a", "b", "c"])))
