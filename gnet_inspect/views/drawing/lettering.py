"""The letters of pictures: Roboto, as wide as it is, and as bytes that an svg carries, prebuilt: no picture waits.

The files come from the package font-roboto; a test makes them anew and compares.
"""

from base64 import b64encode
from functools import cache
from pathlib import Path

import msgspec

FONTS = Path(__file__).parent / "fonts"
# As Roboto calls them; in CSS they are 400 and 500.
WEIGHTS = ("Regular", "Medium")

# What Roboto has of Unicode: Latin, Greek and Cyrillic, and the punctuation and signs of text.
LETTERS = (
    (0x20, 0x7E),
    (0xA0, 0x24F),
    (0x391, 0x3A1),
    (0x3A3, 0x3CE),
    (0x400, 0x52F),
    (0x2010, 0x2026),
    (0x2265, 0x2265),
)
# What a picture carries is the first of these that has all of its letters: that of texts in English with the signs of
# pictures, that of texts in Latin letters, all that there is.
_SIGNS = ((0x2013, 0x2013), (0x2026, 0x2026), (0x2265, 0x2265))
SUBSETS = {
    "plain": ((0x20, 0x7E), (0xB7, 0xB7), (0xD7, 0xD7), *_SIGNS),
    "latin": ((0x20, 0x7E), (0xA0, 0x24F), *_SIGNS),
    "all": LETTERS,
}
# As wide as a letter that Roboto lacks is taken to be, in em: no sign of a text font is wider.
_UNKNOWN = 1.0


class _Advances(msgspec.Struct):
    units: int
    Regular: dict[str, int]
    Medium: dict[str, int]


@cache
def _advances() -> dict[str, dict[str, float]]:
    """By weight, how wide each letter is in em."""
    found = msgspec.json.decode((FONTS / "advances.json").read_bytes(), type=_Advances)
    return {
        weight: {chr(int(code)): advance / found.units for code, advance in getattr(found, weight).items()}
        for weight in WEIGHTS
    }


def text_width(text: str, size: float, weight: str = "Regular") -> float:
    """How wide a text is in points, at a size in points. Kerning is left out: it makes text narrower."""
    advances = _advances()[weight]
    return size * sum([advances.get(letter, _UNKNOWN) for letter in text])


def fit_text(text: str, width: float, size: float, weight: str = "Regular") -> str:
    """A text that is at most so many points wide; what is cut off is marked with an ellipsis.

    >>> fit_text("inception3a", 30, 10), fit_text("inception3a", 300, 10)
    ('ince…', 'inception3a')
    """
    if text_width(text, size, weight) <= width:
        return text
    advances, most = _advances()[weight], width / size - _advances()[weight]["…"]
    kept, so_far = 0, 0.0
    for letter in text:
        so_far += advances.get(letter, _UNKNOWN)
        if so_far > most:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def in_letters(text: str) -> str:
    """A text in Roboto's letters; others as their escapes, because a png or pdf would show empty boxes.

    >>> in_letters("été, \\u05d0")
    'été, \\\\u05d0'
    """
    if text.isascii():
        return text
    known = _advances()["Regular"]
    return "".join(letter if letter in known else letter.encode("unicode_escape").decode("ascii") for letter in text)


def font_face(text: str, family: str) -> str:
    """The style sheet that gives an svg the font of its text, in the smallest subset that has its letters."""
    codes = set(map(ord, set(text)))
    called = next((name for name, ranges in SUBSETS.items() if all(_is_in(code, ranges) for code in codes)), "all")
    return "".join(
        f"@font-face{{font-family:{family};font-weight:{number};"
        f"src:url(data:font/woff2;base64,{_font(called, weight)})}}"
        for weight, number in zip(WEIGHTS, (400, 500), strict=True)
    )


def _is_in(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


@cache
def _font(called: str, weight: str) -> str:
    return b64encode((FONTS / f"{called}-{weight}.woff2").read_bytes()).decode()
