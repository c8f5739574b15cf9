"""The errors a user can meet, and the exit code each one ends the command with.

Inner code states the fact (what was expected, what came); the frame that knows the file, the line and
the path adds them once. The command line is the only place that turns one of these into an exit code.
"""


class GnetError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code = 2


class UsageError(GnetError):
    """A flag, a name or an argument that does not fit."""


class SpecError(GnetError):
    """A spec that cannot be read: where it is wrong, what was expected, what came, how to mend it.

    `message` reads ``FILE:LINE: `path`: fact (hint)``; the parts are kept for programs.
    """

    def __init__(
        self,
        fact: str,
        *,
        file: str | None = None,
        line: int | None = None,
        path: str = "",
        hint: str = "",
    ) -> None:
        self.fact, self.file, self.line, self.path, self.hint = fact, file, line, path, hint
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


# What modules and verification need; the extra `torch` is the same list.
INSTALL_TORCH = "pip install torch torchinfo fvcore psutil safetensors"


def expect(value: object, kind: type | tuple[type, ...], words: str) -> None:
    """Raise UsageError unless a value from Python is of the kind a function takes."""
    if not isinstance(value, kind):
        raise UsageError(f"expected {words}, got a {type(value).__name__}")


def nearest(word: str, known: object) -> str:
    """ "did you mean `x`?" for the nearest of the known names, or the list of them when none is near."""
    from collections.abc import Iterable
    from difflib import get_close_matches

    assert isinstance(known, Iterable)
    names = sorted({str(name) for name in known})
    close = [name for name in names if name.lower() == word.lower()] or get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"`{name}`" for name in close) + "?"
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:24])
    return f"known: {shown}" + (", ..." if len(names) > 24 else "")


def show(value: object, limit: int = 60) -> str:
    """A value from a document as an error quotes it: short, on one line, YAML-like."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(show(item, limit) for item in value[:8]) + (", ...]" if len(value) > 8 else "]")
    elif isinstance(value, dict):
        text = f"a mapping with {', '.join(map(str, list(value)[:4]))}" if value else "an empty mapping"
    else:
        text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
