"""What tests of diagrams and of pages share: a spec that means harm, and the contrast of two colours."""

HOSTILE = """
name: "a\\"><script>alert(1)</script>{|}<b>\\\\N\\\\G\\\\n"
title: "\\u05e9\\u05dc\\u05d5\\u05dd \\u202e evil \\U0001F600 <TABLE> \\\\G &amp; \\u00e9 \\u00df"
input: [3, 8, 8]
stages:
  "<b>stage</b>|{x}\\\\l \\n new": {a: {Conv2d: {out_channels: 2, kernel_size: 3}}}
  ? "%s"
  : {b: Tanh}
"""


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (#rrggbb) as WCAG 2 defines it, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
