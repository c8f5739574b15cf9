"""What stands above a picture: its title, what it is of, and what its colours mean, of which only what is there."""

import re

from msgspec.structs import replace

from gnet_inspect.views.drawing.captions import Captions
from gnet_inspect.views.drawing.diagram import Drawing
from gnet_inspect.views.drawing.heat import SHARES
from gnet_inspect.views.drawing.lettering import text_width
from gnet_inspect.views.drawing.placed import TYPES, Placed, Swatch, Word, shifted
from gnet_inspect.views.drawing.themes import legend_of

# In points: how wide a picture's heading is where the picture is narrower, and what stands between its lines.
LEAST_WIDTH = 360.0
TITLE_LINE, SUBTITLE_LINE, LEGEND_LINE, BELOW = 22.0, 19.0, 22.0, 14.0
SWATCH_WIDTH, SWATCH_HEIGHT, STEP_WIDTH = 14.0, 11.0, 34.0


def with_heading(
    placed: Placed, drawing: Drawing, captions: Captions, *, title: str | None, legend: bool, margin: float
) -> Placed:
    """A picture with its title (None for no title) and its legend above it, and a margin around it."""
    width = max(placed.width, LEAST_WIDTH if title is not None or legend else 0.0)
    words: list[Word] = []
    swatches: list[Swatch] = []
    y = 0.0
    if title is not None:
        y += TITLE_LINE
        words.append(Word(0.0, y - 6, captions.text(title or drawing.title, "title", width), "title"))
        for line in _lines(re.sub(r"(?<=\d)x(?=\d)", "×", drawing.subtitle), captions, width):
            y += SUBTITLE_LINE - 3 if words[-1].kind == "subtitle" else SUBTITLE_LINE
            words.append(Word(0.0, y - 6, line, "subtitle"))
    if legend:
        y = _put_legend(drawing, captions, width, y, words, swatches)
    if y:
        y += BELOW
    moved = shifted(placed, margin + max(0.0, (width - placed.width) / 2), margin + y)
    return replace(
        moved,
        width=width + 2 * margin,
        height=placed.height + y + 2 * margin,
        words=tuple(replace(word, x=word.x + margin, y=word.y + margin) for word in words),
        swatches=tuple(replace(swatch, x=swatch.x + margin, y=swatch.y + margin) for swatch in swatches),
    )


def _lines(text: str, captions: Captions, width: float) -> list[str]:
    """A sentence in lines of at most a width, three at most."""
    words = captions.text(text, "subtitle", 3 * width).split(" ")
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < 3 and text_width(longer, TYPES["subtitle"].size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [captions.text(line, "subtitle", width) for line in lines]


def _put_legend(
    drawing: Drawing, captions: Captions, width: float, y: float, words: list[Word], swatches: list[Swatch]
) -> float:
    """The legend below a height; gives where it ends."""
    if captions.color != "kind":
        return _put_heat(drawing, captions, y, words, swatches)
    found = legend_of(drawing.boxes())
    if not found:
        return y
    x, y = 0.0, y + LEGEND_LINE
    for name, said in found:
        taken = SWATCH_WIDTH + 6 + text_width(said, TYPES["legend"].size)
        if x and x + taken > width:
            x, y = 0.0, y + LEGEND_LINE - 4
        swatches.append(Swatch(x, y - SWATCH_HEIGHT - 4, SWATCH_WIDTH, SWATCH_HEIGHT, name))
        words.append(Word(x + SWATCH_WIDTH + 6, y - 6, said, "legend"))
        x += taken + 18
    return _put_unsaid(captions, width, x, y, words)


def _put_unsaid(captions: Captions, width: float, x: float, y: float, words: list[Word]) -> float:
    """What compact cards do not repeat."""
    if not captions.unsaid:
        return y
    said = captions.text(f"not repeated: {', '.join(captions.unsaid)}", "legend", width)
    if x and x + text_width(said, TYPES["legend"].size) > width:
        x, y = 0.0, y + LEGEND_LINE - 4
    words.append(Word(x, y - 6, said, "legend"))
    return y


def _put_heat(drawing: Drawing, captions: Captions, y: float, words: list[Word], swatches: list[Swatch]) -> float:
    """Five steps, each with what it ends at."""
    y += LEGEND_LINE
    edges = captions.legend_edges()
    for step, edge in enumerate(edges, 1):
        x = (step - 1) * STEP_WIDTH
        swatches.append(Swatch(x, y - SWATCH_HEIGHT - 4, STEP_WIDTH, SWATCH_HEIGHT, "", step))
        words.append(Word(x + STEP_WIDTH, y + 6, edge.removesuffix(" %"), "shape", "middle"))
    said = f"% of {SHARES[captions.color]}{' shown' if captions.is_part else ''}, up to the number below"
    if any(box.times > 1 for box in drawing.boxes()) or any(frame.times > 1 for frame in drawing.frames()):
        said += "; of all copies together"
    words.append(Word(5 * STEP_WIDTH + 14, y - 6, said, "legend"))
    return y + 10
