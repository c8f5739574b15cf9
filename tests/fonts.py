"""Makes the font that pictures carry: Roboto's letters as prebuilt subsets, and how wide each is.

`python -m tests.fonts` writes them anew from the package font-roboto; it needs fonttools and brotli, which nothing else
does, and a picture that is drawn needs neither.
"""

import io
from pathlib import Path
from typing import Any

import msgspec

from gnet_inspect.views.drawing.lettering import FONTS, LETTERS, SUBSETS, WEIGHTS
from gnet_inspect.views.fonts import roboto_folder


def build_fonts() -> dict[str, bytes]:
    """The files by name: the subsets of each weight, as woff2, and the advances of all letters, as JSON."""
    from fontTools import subset as untyped
    from fontTools.ttLib import TTFont

    subset: Any = untyped  # which has no types
    found: dict[str, bytes] = {}
    advances: dict[str, Any] = {}
    for weight in WEIGHTS:
        path = roboto_folder("the font of pictures") / f"Roboto-{weight}.ttf"
        opened: Any = TTFont(path)
        with opened as font:
            names, metrics = font.getBestCmap(), font["hmtx"]
            advances["units"] = font["head"].unitsPerEm
            advances[weight] = {
                str(code): metrics[names[code]][0]
                for first, last in LETTERS
                for code in range(first, last + 1)
                if code in names
            }
        for called, ranges in SUBSETS.items():
            options = subset.Options(
                flavor="woff2", layout_features=["kern"], hinting=False, name_IDs=[], notdef_outline=True
            )
            with subset.load_font(str(path), options) as font:
                cutter = subset.Subsetter(options)
                cutter.populate(unicodes=[code for first, last in ranges for code in range(first, last + 1)])
                cutter.subset(font)
                # A subset is the same file whenever it is made.
                font["head"].modified = font["head"].created
                written = io.BytesIO()
                subset.save_font(font, written, options)
                found[f"{called}-{weight}.woff2"] = written.getvalue()
    found["advances.json"] = msgspec.json.encode(advances)
    return found


if __name__ == "__main__":
    FONTS.mkdir(exist_ok=True)
    for name, content in build_fonts().items():
        Path(FONTS, name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")
