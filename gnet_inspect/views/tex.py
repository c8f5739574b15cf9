"""Text in TeX: plain ASCII, which compiles in its oldest encoding whatever a stranger wrote."""

import unicodedata

# What TeX reads as something else, or its oldest fonts show as something else.
_ESCAPES = {
    "\\": r"{\textbackslash}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "^": r"{\textasciicircum}",
    "~": r"{\textasciitilde}",
    "<": r"{\textless}",
    ">": r"{\textgreater}",
    "|": r"{\textbar}",
    '"': r"{\textquotedblright}",
    "`": r"\`{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{HORIZONTAL ELLIPSIS}": r"{\dots}",
    "\N{LEFT SINGLE QUOTATION MARK}": r"{\textquoteleft}",
    "\N{RIGHT SINGLE QUOTATION MARK}": r"{\textquoteright}",
    "\N{LEFT DOUBLE QUOTATION MARK}": r"{\textquotedblleft}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": r"{\textquotedblright}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{DIVISION SIGN}": r"$\div$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{NOT SIGN}": r"$\neg$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{SUPERSCRIPT ONE}": "$^1$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{SUPERSCRIPT THREE}": "$^3$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{NOT EQUAL TO}": r"$\neq$",
    "\N{MINUS SIGN}": "$-$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{LEFTWARDS ARROW}": r"$\leftarrow$",
    "\N{INFINITY}": r"$\infty$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{SECTION SIGN}": r"{\S}",
    "\N{LATIN SMALL LETTER SHARP S}": r"{\ss}",
    "\N{LATIN SMALL LETTER AE}": r"{\ae}",
    "\N{LATIN CAPITAL LETTER AE}": r"{\AE}",
    "\N{LATIN SMALL LIGATURE OE}": r"{\oe}",
    "\N{LATIN CAPITAL LIGATURE OE}": r"{\OE}",
    "\N{LATIN SMALL LETTER O WITH STROKE}": r"{\o}",
    "\N{LATIN CAPITAL LETTER O WITH STROKE}": r"{\O}",
    "\N{LATIN SMALL LETTER L WITH STROKE}": r"{\l}",
    "\N{LATIN CAPITAL LETTER L WITH STROKE}": r"{\L}",
    "\N{LATIN SMALL LETTER DOTLESS I}": r"{\i}",
}
# The accents of every encoding of TeX's, by the mark that Unicode composes letters with.
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING DOT BELOW}": "d",
}
# Letters that have a name in mathematics.
_GREEK = {
    unicodedata.lookup(f"GREEK {size} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}"): name
    for size, names in (
        ("SMALL", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon"),
        ("SMALL", "phi chi psi omega"),
        ("CAPITAL", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"),
    )
    for name in names.split()
}
# Where these marks stand, a letter keeps its dot.
_BELOW = "\N{COMBINING CEDILLA}\N{COMBINING DOT BELOW}"
# What becomes another letter where two of it stand side by side.
_LIGATURES = "-',"


def in_tex(text: str) -> str:
    r"""Text as TeX shows it, in ASCII; a letter that TeX's oldest encoding lacks is its escape.

    >>> print(in_tex("conv_1: 3×3 & 50 % -- \u00e9"))
    conv\_1: 3$\times$3 \& 50 \% -{}- \'{e}
    """
    found: list[str] = []
    before = ""
    for letter in text:
        if letter == " " == before:
            found.append("\\ ")
        elif letter in _LIGATURES and letter == before:
            found.append("{}" + letter)
        else:
            found.append(letter_in_tex(letter) or _escaped(letter))
        before = letter
    return "".join(found)


def letter_in_tex(letter: str) -> str:
    """A letter in TeX, "" where it has none."""
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isascii() and letter.isprintable():
        return letter
    if letter in _GREEK:
        return f"$\\{_GREEK[letter]}$"
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        # An accent stands on the letter without its dot.
        dotless = f"\\{base}" if base in "ij" and marks[0] not in _BELOW else base
        return f"\\{_ACCENTS[marks[0]]}{{{dotless}}}"
    return ""


def _escaped(letter: str) -> str:
    return _ESCAPES["\\"] + letter.encode("unicode_escape").decode("ascii").removeprefix("\\")
