"""Placed -> png, by resvg from the svg: exact to the edge, with its size in print written into it."""

import re
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
_SIZE = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')
_INCHES_PER_METRE = 39.37007874015748


def draw_png(placed: Placed, drawing: Drawing, theme: Theme, *, transparent: bool = False, scale: float = 1.0) -> bytes:
    """The png. Raises MissingError where resvg or the font is not installed."""
    zoom = ZOOM if scale == 1 else scale * PRINTED
    zoom = _bounded(zoom, placed.width, placed.height)
    drawn = _rasterized(draw_svg(placed, drawing, theme, transparent=transparent, embed=False), zoom)
    # A screen's points are 96 to an inch, those of print 72.
    return _with_density(drawn, zoom * 96 if scale == 1 else zoom / scale * 72)


def svg_to_png(text: str) -> bytes:
    """The png of an svg of ours, which says its size in points. Raises MissingError likewise."""
    size = _SIZE.search(text)
    assert size is not None
    zoom = _bounded(ZOOM, float(size[1]), float(size[2]))
    return _with_density(_rasterized(text, zoom), zoom * 96)


def _bounded(zoom: float, width: float, height: float) -> float:
    """A zoom at which a picture of so many points has no more pixels than a viewer opens."""
    return min(zoom, sqrt(MOST_PIXELS / (width * height)))


def _rasterized(text: str, zoom: float) -> bytes:
    try:
        import resvg_py
    except ImportError:
        raise missing_picture_package("png", "resvg") from None
    fonts = [str(roboto_folder("a png"))]
    return bytes(resvg_py.svg_to_bytes(svg_string=text, zoom=zoom, font_dirs=fonts, skip_system_fonts=True))


def _with_density(png: bytes, dots_per_inch: float) -> bytes:
    """The same with a chunk (pHYs) that says how large it is, behind the first one, which counts its pixels."""
    metre = round(dots_per_inch * _INCHES_PER_METRE)
    content = b"pHYs" + struct.pack(">IIB", metre, metre, 1)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    head = 8 + 4 + 4 + 13 + 4
    return png[:head] + chunk + png[head:]
