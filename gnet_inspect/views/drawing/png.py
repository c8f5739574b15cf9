"""Placed -> png, by resvg from the svg: exact to the edge, with its size in print written into it."""

import struct
import zlib
from math import sqrt

from gnet_inspect.errors import missing_picture_package
from gnet_inspect.views.drawing.diagram import Drawing
from gnet_inspect.views.drawing.placed import Placed
from gnet_inspect.views.drawing.svg import draw_svg
from gnet_inspect.views.drawing.themes import Theme
from gnet_inspect.views.fonts import roboto_folder

# Dots for each point of a picture: twice what a screen has, so that a printed one is sharp. Of a picture to a width in
# print, as many as a printer wants.
ZOOM, PRINTED = 2.0, 300 / 72
# What a viewer still opens, and memory holds several times.
MOST_PIXELS = 120_000_000
_INCHES_PER_METRE = 39.37007874015748


def draw_png(placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool = False, scale: float = 1.0) -> bytes:
    """The png. Raises MissingError where resvg or the font is not installed."""
    try:
        import resvg_py
    except ImportError:
        raise missing_picture_package("png", "resvg") from None
    zoom = ZOOM if scale == 1 else scale * PRINTED
    zoom = min(zoom, sqrt(MOST_PIXELS / (placed.width * placed.height)))
    text = draw_svg(placed, drawing, theme, transparent=transparent, embed=False)
    drawn = bytes(
        resvg_py.svg_to_bytes(
            svg_string=text, zoom=zoom, font_dirs=[str(roboto_folder("a png"))], skip_system_fonts=True
        )
    )
    # A screen's points are 96 to an inch, those of print 72.
    return _with_density(drawn, zoom * 96 if scale == 1 else zoom / scale * 72)


def _with_density(png: bytes, dots_per_inch: float) -> bytes:
    """The same with a chunk (pHYs) that says how large it is, behind the first one, which counts its pixels."""
    metre = round(dots_per_inch * _INCHES_PER_METRE)
    content = b"pHYs" + struct.pack(">IIB", metre, metre, 1)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    head = 8 + 4 + 4 + 13 + 4
    return png[:head] + chunk + png[head:]
