"""The errors a user can meet, and the exit code each one ends the command with.

Inner code states the fact (what was expected, what came); the frame that knows the file, the line and
the path adds them once. The command line is the only place that turns one of these into an exit code.
"""

import re
from collections.abc import Iterable
from os.path import commonprefix

# How many of many names a sentence lists, and how much it shows of one.
SHOWN = 6
_LISTED = 24
_LONGEST = 100
# The longest word of a message that stands whole: paths of files do.
LONGEST_WORD = 300
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD},}}")


class GnetError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code = 2


class UsageError(GnetError):
    """A flag, a name or an argument that does not fit. What there is to choose from stands below it, in `lines`."""

    def __init__(self, message: str = "", lines: Iterable[str] = ()) -> None:
        self.message, self.lines = message, tuple(lines)
        super().__init__("\n".join((message, *self.lines)))

    def say_of(self, what: str) -> None:
        """Put before the message what it is of: the frame that knows it does."""
        self.message = f"{what}: {self.message}"
        self.args = ("\n".join((self.message, *self.lines)),)


class SpecError(GnetError):
    """A spec that cannot be read: where it is wrong, what was expected, what came, how to mend it.

    `message` reads ``FILE:LINE: `path`: fact (hint)``; the parts are kept for programs. `column` is there, from 1,
    where the text itself is no YAML; elsewhere the path says more.
    """

    def __init__(
        self,
        fact: str,
        *,
        file: str | None = None,
        line: int | None = None,
        path: str = "",
        hint: str = "",
        column: int | None = None,
    ) -> None:
        self.fact, self.file, self.line, self.path, self.hint, self.column = fact, file, line, path, hint, column
        super().__init__(self._render())

    def _render(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        where = ": ".join(part for part in (place, f"`{self.path}`" if self.path else "") if part)
        text = f"{where}: {self.fact}" if where else self.fact
        return f"{text}. ({self.hint})" if self.hint else text


class ShapeError(GnetError):
    """A layer that cannot take its input: the rule it breaks, with the numbers."""


class MissingError(GnetError):
    """The environment lacks something; the message holds the command that installs it."""

    exit_code = 3


class CannotWriteError(GnetError):
    """A network that the words there are cannot say, or whose written form is not proved: where, and why."""

    exit_code = 1


# What modules and verification need; the extra `torch` is the same list.
INSTALL_TORCH = "pip install torch torchinfo fvcore psutil safetensors"
# What ONNX files need.
INSTALL_ONNX = "pip install onnx"
# What data sets to train on need; the extra `train` has the packages that are not the extra `torch`'s.
INSTALL_TRAIN = "pip install torch safetensors scikit-learn Pillow"
# What reports need; the extra `report` is the same list.
INSTALL_REPORT = "pip install Jinja2 vl-convert-python"
# What the live editor needs; the extra `serve` is the same list.
INSTALL_SERVE = "pip install starlette uvicorn websockets"
# What pictures need, where a package is missing that is installed with this one.
INSTALL_GRAPHVIZ = "pip install pygraphviz font-roboto"
# What writes a png and a pdf; the extra `pictures` is the same list.
INSTALL_PICTURES = "pip install resvg_py reportlab"


def missing_picture_package(form: str, package: str) -> MissingError:
    """The error for a picture (its `form`) without the package that writes it."""
    return MissingError(
        f"a {form} needs {package}, which is not installed. Install it with: {INSTALL_PICTURES} "
        "(an svg needs nothing; --engine graphviz draws all of them)"
    )


def missing_report_package(what: str, package: str | None) -> MissingError:
    """The error for a page or plot (`what`) without a package that draws it."""
    return MissingError(f"{what} needs {package}, which is not installed. Install it with: {INSTALL_REPORT}")


def expect(value: object, kind: type | tuple[type, ...], words: str) -> None:
    """Raise UsageError unless a value from Python is of the kind a function takes."""
    if not isinstance(value, kind):
        raise UsageError(f"expected {words}, got a {type(value).__name__}")


def nearest(word: str, known: Iterable[object]) -> str:
    """ "did you mean `x`?" where the word is a misspelling of known names, or the list of them where it is not."""
    names = sorted({str(name) for name in known})
    offer = did_you_mean(word, names)
    if offer or not names:
        return offer
    if len(names) > _LISTED:
        # What begins alike is what stands beside it.
        names.sort(key=lambda name: -len(commonprefix([name, word])))  # noqa: RUF071  # of letters, not of folders
    return f"known: {', '.join(map(quoted, names[:_LISTED]))}" + (", ..." if len(names) > _LISTED else "")


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """ "did you mean `x`?" where the word is a misspelling of known names; nothing where it is not."""
    from gnet_inspect.spelling import near_names

    close = near_names(word, map(str, known))
    return "did you mean " + " or ".join(map(quoted, close)) + "?" if close else ""


def show(value: object, limit: int = 60) -> str:
    """A value from a document as an error quotes it: short, on one line, YAML-like."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, list | tuple):
        items = ("null" if item is None else show(item, limit) for item in value[:8])
        text = "[" + ", ".join(items) + (", ...]" if len(value) > 8 else "]")
    elif isinstance(value, dict):
        text = f"a mapping with {', '.join(map(str, list(value)[:4]))}" if value else "an empty mapping"
    else:
        text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str) -> str:
    """Text of a stranger on one line: control, bidirectional-override and other invisible characters become escapes.

    >>> printable("a\\x1b[31mb\\nc")
    'a\\\\x1b[31mb\\\\nc'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shorten(text: str) -> str:
    """A message whose long words, and which itself where it is long, lack their middle: both ends say what it is of.

    A path may be long, and so may a list of names; what is longer than these bounds was typed to be long.

    >>> shorten("--input: got " + "9" * 5000)[-20:], len(shorten("a " * 5000))
    ('99999999999999999999', 1103)
    """
    if len(text) > LONGEST_WORD:
        text = _LONG_WORD.sub(lambda word: _cut_middle(word[0], 160, 60), text)
    return _cut_middle(text, 800, 300)


def _cut_middle(text: str, start: int, end: int) -> str:
    return text if len(text) <= start + end + 3 else f"{text[:start]}...{text[-end:]}"


def brief(text: str, limit: int = _LONGEST) -> str:
    """What another library says, in one short line.

    >>> brief("a\\n b"), brief("abcd", 3)
    ('a b', 'abc...')
    """
    return _cut(" ".join(text.split()), limit)


def quoted(name: str) -> str:
    """A name as a sentence quotes it: in backticks, printable and short.

    >>> quoted("conv.weight"), quoted("a\\x1b")
    ('`conv.weight`', '`a\\\\x1b`')
    """
    return f"`{_cut(name, _LONGEST)}`"


def _cut(text: str, limit: int) -> str:
    # Cut before as well: no more of a long text is escaped than is shown.
    shown = printable(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[:limit]}..."


def some_of(texts: Iterable[str], shown: int = SHOWN) -> str:
    """The first of many texts, and how many more there are.

    >>> some_of(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    texts = list(texts)
    more = f" and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more
