"""Evaluation -> svg: the confusion matrix as a heat map, and the images of the greatest loss as a contact sheet.

What is right is blue and what is wrong orange, which the colour-blind tell apart; what is right is the diagonal, too.
Pictures are for a light ground and hold no date: the same evaluation gives the same bytes.
"""

import struct
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from gnet_inspect.errors import UsageError, printable
from gnet_inspect.records.training import Evaluation, Mistaken
from gnet_inspect.views.drawing.heat import STEPS, heat_edges, heat_step
from gnet_inspect.views.drawing.lettering import fit_text, font_face, in_letters, text_width
from gnet_inspect.views.drawing.svg import FALLBACK, FAMILY, number
from gnet_inspect.views.drawing.themes import THEMES

THEME = THEMES["screen"]
# Of nothing, and of five steps up to all of a class.
RIGHT = ("#ffffff", "#e3f0f9", "#b9d8ee", "#82b8de", "#4a93c8", "#1b66a0")
WRONG = ("#ffffff", "#fde4c8", "#fbc98f", "#f5a65a", "#ea8535", "#dc6e22")
# On the darkest of these letters are white.
DARKEST = RIGHT[-1]
# More classes are no longer told apart: of more those are drawn of which most images are mistaken.
MOST_CLASSES = 100
# More images are no contact sheet.
MOST_IMAGES = 36
# A larger image is a frame with its size: a picture is to be sent.
MOST_IMAGE_BYTES = 1_000_000
# In points: the side of a cell between these, so that many classes take this side together; the letters of names and
# counts; how long a name may be; what stands between parts.
SMALLEST, LARGEST, WHOLE = 9.0, 46.0, 900.0
LETTERS, LEAST_LETTERS, COUNTS = 11.0, 7.5, 10.0
LONGEST_NAME, GAP, MARGIN = 110.0, 8.0, 20.0
TITLE, SUBTITLE, LINE = 18.0, 10.5, 16.0
THUMB, THUMB_GAP = 104.0, 14.0
SMALL, SMALL_LINE = 9.0, 13.0
COLUMNS = 6
SHEET = "the images of the greatest loss, the worst first: what each is, and what it was taken for (how surely)"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Panel(NamedTuple):
    """A part of a picture, from its own upper left corner: its elements, and its size in points."""

    parts: list[str]
    width: float
    height: float


def draw_confusion(evaluation: Evaluation, *, in_roboto: bool = False) -> str:
    """The confusion matrix as an svg: rows are labels, columns what the network took images for. With `in_roboto`,
    letters that the font lacks are written as escapes, because a png would show empty boxes."""
    pen = _Pen(in_roboto)
    return _picture(evaluation, [_matrix(evaluation, pen)], pen)


def draw_worst(evaluation: Evaluation, images: Sequence[bytes], *, in_roboto: bool = False) -> str:
    """The images of the greatest loss as an svg, the worst first: `images` are those of `evaluation.worst` as PNG.
    Raises UsageError where they are not."""
    pen = _Pen(in_roboto)
    return _picture(evaluation, [_sheet(evaluation, images, pen, 0.0)], pen)


def evaluation_picture(evaluation: Evaluation, images: Sequence[bytes], *, in_roboto: bool = False) -> str:
    """Both in one svg, the images below the matrix; the matrix alone where there are no images."""
    pen = _Pen(in_roboto)
    matrix = _matrix(evaluation, pen)
    panels = [matrix, _sheet(evaluation, images, pen, matrix.width)] if evaluation.worst else [matrix]
    return _picture(evaluation, panels, pen)


class _Pen:
    """Writes texts as elements, and keeps their letters, whose font the picture carries."""

    def __init__(self, in_roboto: bool) -> None:
        self._in_roboto = in_roboto
        self.letters: set[str] = set()

    def said(self, text: str) -> str:
        """A stranger's text as it can be written."""
        shown = printable(text)
        return in_letters(shown) if self._in_roboto else shown

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        ink: str = THEME.ink,
        anchor: str = "start",
        upright: bool = False,
        bold: bool = False,
    ) -> str:
        """A line of text; `upright` runs from below to above its place."""
        self.letters.update(text)
        place = f'transform="translate({number(x)} {number(y)})rotate(-90)"' if upright else _at(x, y)
        end = f' text-anchor="{anchor}"' if anchor != "start" else ""
        weight = ' font-weight="500"' if bold else ""
        return f'<text {place}{end} font-size="{number(size)}"{weight} fill="{ink}">{escape(text)}</text>'


def _picture(evaluation: Evaluation, panels: Sequence[Panel], pen: _Pen) -> str:
    """The panels below each other, under a title."""
    said = _heading(evaluation)
    width = max(*(panel.width for panel in panels), 420.0)
    title, *lines = (
        fit_text(pen.said(text), width, TITLE if place == 0 else SUBTITLE) for place, text in enumerate(said)
    )
    y = MARGIN + TITLE
    parts = [pen.text(MARGIN, y, title, TITLE, bold=True)]
    for line in lines:
        y += LINE
        parts.append(pen.text(MARGIN, y, line, SUBTITLE, ink=THEME.mute))
    y += LINE
    for panel in panels:
        parts += [f'<g transform="translate({number(MARGIN)} {number(y)})">', *panel.parts, "</g>"]
        y += panel.height + LINE
    size = f'width="{number(width + 2 * MARGIN)}" height="{number(y + MARGIN - LINE)}"'
    box = f'viewBox="0 0 {number(width + 2 * MARGIN)} {number(y + MARGIN - LINE)}"'
    fitting = 'role="img" style="max-width:100%;height:auto"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} font-family="{FAMILY},{FALLBACK}" {fitting}>',
        f"<title>{escape(printable(said[0]))}</title>",
        f"<style>{font_face(''.join(sorted(pen.letters)), FAMILY)}</style>",
        f'<rect width="100%" height="100%" fill="{THEME.page}"/>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _heading(evaluation: Evaluation) -> tuple[str, str]:
    right = sum(row[place] for place, row in enumerate(evaluation.confusion))
    top5 = "" if evaluation.top5_accuracy is None else f", top-5 {evaluation.top5_accuracy:.4f}"
    found = f"accuracy {evaluation.accuracy:.4f} ({right:,} of {evaluation.images:,} images){top5}"
    return (
        f"{evaluation.title} on {evaluation.data}, {evaluation.split}",
        f"{found}, loss {evaluation.loss:.4g}, weights {evaluation.weights}",
    )


# --- the matrix ---


class _Grid(NamedTuple):
    """Where cells stand: the classes that are drawn, the side of a cell, the letters of names, and how much room the
    names of rows and of columns take."""

    classes: list[int]
    side: float
    letters: float
    left: float
    top: float
    # Whether the names of columns stand upright, because they are wider than a cell.
    upright: bool


def _matrix(evaluation: Evaluation, pen: _Pen) -> Panel:
    names = [pen.said(found.name) for found in evaluation.classes]
    grid = _grid_of(evaluation, names)
    span = grid.side * len(grid.classes)
    parts, least, y = _key(evaluation, grid, pen)
    parts.append(f'<g transform="translate({number(grid.left)} {number(y + grid.top)})">')
    parts += _cells(evaluation, grid, pen)
    parts += _ruled(grid, span)
    parts += _names(names, grid, pen)
    parts += _recalls(evaluation, grid, pen, span)
    parts.append("</g>")
    width = grid.left + span + GAP + text_width("1.000", grid.letters)
    return Panel(parts, max(width, least), y + grid.top + span)


def _grid_of(evaluation: Evaluation, names: Sequence[str]) -> _Grid:
    classes = list(range(len(names)))
    if len(classes) > MOST_CLASSES:
        mistaken = [sum(row) - row[place] for place, row in enumerate(evaluation.confusion)]
        classes = sorted(sorted(classes, key=lambda place: -mistaken[place])[:MOST_CLASSES])
    side = min(max(WHOLE / max(len(classes), 1), SMALLEST), LARGEST)
    letters = min(max(side - 2, LEAST_LETTERS), LETTERS)
    widest = min(max((text_width(names[place], letters) for place in classes), default=0.0), LONGEST_NAME)
    upright = widest > side - 4
    title = LETTERS + GAP
    return _Grid(classes, side, letters, title + widest + GAP, title + (widest if upright else letters) + GAP, upright)


def _key(evaluation: Evaluation, grid: _Grid, pen: _Pen) -> tuple[list[str], float, float]:
    """What the colours mean, and what is left out; how wide and how high that is."""
    parts, x, y = [], 0.0, 14.0
    edges = heat_edges(100.0)
    for colors, said in ((RIGHT, "recognised"), (WRONG, "taken for another class")):
        for step in range(1, STEPS + 1):
            parts.append(_rect(x, 0.0, 26.0, 12.0, colors[step], THEME.frame_line))
            parts.append(pen.text(x + 13, 22.0, f"{edges[step - 1]:g}", 8.5, ink=THEME.mute, anchor="middle"))
            x += 26.0
        parts.append(pen.text(x + 6, 10.0, said, SUBTITLE, ink=THEME.ink2))
        x += 6 + text_width(said, SUBTITLE) + 18
    y = 22.0 + LINE
    note = "colours: % of a class's images, up to the number below; at the right the share that was recognised"
    parts.append(pen.text(0.0, y, note, SMALL, ink=THEME.mute))
    left = len(evaluation.classes) - len(grid.classes)
    if left:
        y += LINE - 3
        note = f"the {len(grid.classes)} classes of which most images are mistaken; {left:,} others are not drawn"
        parts.append(pen.text(0.0, y, note, SMALL, ink=THEME.mute))
    return parts, x, y + LINE


def _ruled(grid: _Grid, span: float) -> list[str]:
    """Thin lines between the cells."""
    places = [number(grid.side * line) for line in range(len(grid.classes) + 1)]
    end = number(span)
    lines = "".join(f"M{place} 0V{end}M0 {place}H{end}" for place in places)
    return [f'<path d="{lines}" stroke="{THEME.frame_line}" stroke-width="{number(min(grid.side / 40, 0.7))}"/>']


def _cells(evaluation: Evaluation, grid: _Grid, pen: _Pen) -> Iterator[str]:
    """A cell for each pair of classes of which there are images; what it counts stands in it where there is room."""
    edges = heat_edges(1.0)
    for row, label in enumerate(grid.classes):
        images = evaluation.classes[label].images
        for column, taken in enumerate(grid.classes):
            found = evaluation.confusion[label][taken]
            if not found:
                continue
            color = (RIGHT if label == taken else WRONG)[heat_step(min(found / max(images, 1), 1.0), edges)]
            x, y = column * grid.side, row * grid.side
            yield f"<g><title>{escape(_cell_words(evaluation, label, taken))}</title>"
            yield _rect(x, y, grid.side, grid.side, color)
            text = f"{found:,}"
            size = min(COUNTS, grid.side - 3)
            if size >= LEAST_LETTERS and text_width(text, size) <= grid.side - 3:
                ink = THEME.page if color == DARKEST else THEME.ink
                place = (x + grid.side / 2, y + grid.side / 2 + 0.35 * size)
                yield pen.text(*place, text, size, ink=ink, anchor="middle")
            yield "</g>"


def _cell_words(evaluation: Evaluation, label: int, taken: int) -> str:
    found, whole = evaluation.confusion[label][taken], evaluation.classes[label].images
    name, other = (printable(evaluation.classes[place].name) for place in (label, taken))
    of = f"{found:,} of {whole:,} images of {name}"
    return f"{of} recognised" if label == taken else f"{of} taken for {other}"


def _names(names: Sequence[str], grid: _Grid, pen: _Pen) -> Iterator[str]:
    """Of rows and columns, and what these are."""
    span = grid.side * len(grid.classes)
    for line, place in enumerate(grid.classes):
        middle = (line + 0.5) * grid.side
        name = fit_text(names[place], LONGEST_NAME, grid.letters)
        yield pen.text(-GAP, middle + 0.35 * grid.letters, name, grid.letters, anchor="end")
        if grid.upright:
            yield pen.text(middle + 0.35 * grid.letters, -GAP, name, grid.letters, upright=True)
        else:
            yield pen.text(middle, -GAP, name, grid.letters, anchor="middle")
    yield pen.text(span / 2, LETTERS - grid.top, "taken for", LETTERS, ink=THEME.mute, anchor="middle")
    yield pen.text(LETTERS - grid.left, span / 2, "label", LETTERS, ink=THEME.mute, anchor="middle", upright=True)


def _recalls(evaluation: Evaluation, grid: _Grid, pen: _Pen, span: float) -> Iterator[str]:
    for line, place in enumerate(grid.classes):
        recall = evaluation.classes[place].recall
        if recall is not None:
            y = (line + 0.5) * grid.side + 0.35 * grid.letters
            yield pen.text(span + GAP, y, f"{recall:.3f}", grid.letters, ink=THEME.ink2)


# --- the images ---


def _sheet(evaluation: Evaluation, images: Sequence[bytes], pen: _Pen, room: float) -> Panel:
    """The images in rows, as many beside each other as there is room for."""
    if len(images) != len(evaluation.worst):
        raise UsageError(f"expected an image for each of {len(evaluation.worst)}, got {len(images)}")
    shown = list(zip(evaluation.worst, images, strict=True))[:MOST_IMAGES]
    columns = max(int((room + THUMB_GAP) / (THUMB + THUMB_GAP)), min(COLUMNS, len(shown)))
    captions = [_caption(mistaken, pen) for mistaken, _ in shown]
    # Where one takes two lines, all have the room.
    size = THUMB + LINE + SMALL_LINE * max(map(len, captions), default=0)
    parts = [pen.text(0.0, LETTERS, SHEET, SUBTITLE, ink=THEME.ink2)]
    top = LETTERS + GAP
    for place, ((mistaken, image), caption) in enumerate(zip(shown, captions, strict=True)):
        x, y = place % columns * (THUMB + THUMB_GAP), top + place // columns * (size + THUMB_GAP)
        parts += [f'<g transform="translate({number(x)} {number(y)})">', *_thumb(mistaken, image, caption, pen), "</g>"]
    rows = -(-len(shown) // columns)
    width = max(columns * (THUMB + THUMB_GAP) - THUMB_GAP, text_width(SHEET, SUBTITLE))
    return Panel(parts, width, top + rows * (size + THUMB_GAP) - THUMB_GAP)


def _caption(mistaken: Mistaken, pen: _Pen) -> list[str]:
    """What an image was taken for, with the network's probability, in a line or two."""
    right = mistaken.predicted == mistaken.label
    said = "recognised" if right else f"taken for {pen.said(mistaken.predicted)}"
    probability = f"({mistaken.predicted_probability:.2f})"
    if text_width(f"{said} {probability}", SMALL) <= THUMB:
        return [f"{said} {probability}"]
    return [fit_text(said, THUMB, SMALL), probability]


def _thumb(mistaken: Mistaken, image: bytes, caption: Sequence[str], pen: _Pen) -> Iterator[str]:
    """An image, as large as its place lets it be, and below it what it is and what it was taken for."""
    width, height = _size_of(image)
    name = mistaken.file or f"image {mistaken.index}"
    yield f"<title>{escape(printable(name))}, loss {mistaken.loss:.4g}</title>"
    yield _rect(0.0, 0.0, THUMB, THUMB, THEME.frame)
    if len(image) > MOST_IMAGE_BYTES:
        yield pen.text(THUMB / 2, THUMB / 2, f"{width:,} × {height:,}", SMALL, ink=THEME.mute, anchor="middle")
    else:
        yield _image(image, width, height)
    label = fit_text(pen.said(mistaken.label), THUMB, LETTERS, "Medium")
    yield pen.text(0.0, THUMB + SMALL_LINE, label, LETTERS, bold=True)
    for line, text in enumerate(caption, 2):
        yield pen.text(0.0, THUMB + line * SMALL_LINE, text, SMALL, ink=THEME.ink2)


def _image(image: bytes, width: int, height: int) -> str:
    """The image in the middle of its place. Pixels that are enlarged stay squares; an image that is made smaller is
    smoothed."""
    scale = THUMB / max(width, height)
    drawn = (width * scale, height * scale)
    x, y = ((THUMB - side) / 2 for side in drawn)
    crisp = ' style="image-rendering:pixelated"' if scale > 1 else ""
    place = f'x="{number(x)}" y="{number(y)}" width="{number(drawn[0])}" height="{number(drawn[1])}"'
    return f'<image {place}{crisp} href="data:image/png;base64,{b64encode(image).decode()}"/>'


def _size_of(image: bytes) -> tuple[int, int]:
    """(width, height) in pixels of a PNG. Raises UsageError for what is none."""
    if image[:8] != _SIGNATURE or len(image) < 24:
        raise UsageError(f"expected images as PNG, got {len(image):,} bytes of something else")
    width, height = struct.unpack(">II", image[16:24])
    if not width or not height:
        raise UsageError("expected images as PNG, got one without pixels")
    return width, height


def _rect(x: float, y: float, width: float, height: float, fill: str, line: str = "") -> str:
    stroke = f' stroke="{line}" stroke-width="0.5"' if line else ""
    return f'<rect {_at(x, y)} width="{number(width)}" height="{number(height)}" fill="{fill}"{stroke}/>'


def _at(x: float, y: float) -> str:
    return f'x="{number(x)}" y="{number(y)}"'
