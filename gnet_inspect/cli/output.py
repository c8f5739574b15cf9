"""Where a result goes: standard output or a file, whole or not at all; talk goes to standard error."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gnet_inspect.cli import signals
from gnet_inspect.errors import UsageError, printable, shorten
from gnet_inspect.views.grid import Drawn, Grid, draw_csv, draw_latex, draw_markdown, draw_text
from gnet_inspect.views.text import ASCII_BARS, terminal_width

if TYPE_CHECKING:
    from rich.console import Console

# How much is written before it is looked whether a signal came.
_PORTION = 1 << 20

# The styles of lines, in colours that are read on a white and on a black ground: of the 256 that no terminal's theme
# changes, those halfway between both. Of the first 16 a theme may make anything, and green, yellow, blue and cyan are
# nearly as light or as dark as one of the grounds: a terminal that has no others shows red and bold alone.
COLORS = {
    "bold": "bold",
    "dim": "color(243)",
    "red": "color(160)",
    "green": "color(28)",
    "yellow": "color(130)",
    "heat0": "color(243)",
    "heat1": "color(32)",
    "heat2": "color(136)",
    "heat3": "color(160)",
}
FEW_COLORS = dict.fromkeys(COLORS, "") | {"bold": "bold", "red": "red", "heat3": "red"}
FORMATS = ("table", "json", "csv", "markdown", "latex")


def emit(content: str | bytes, output: Path | None) -> None:
    """Write a result to a file (whole or not at all) or to standard output, a picture not to a terminal."""
    if output is not None and str(output) != "-":
        write_whole(output, content)
    elif isinstance(content, str):
        _to_stdout(content)
    else:
        out = standard_output()
        if out.isatty():
            raise UsageError("a picture or a page is nothing for a terminal: expected -o FILE or a pipe")
        out.buffer.write(content)
        sys.stdout.flush()


def emit_result(
    result: object,
    style: str,
    output: Path | None,
    grid: Callable[[], Grid | list[Grid]],
    rows: Callable[[], Grid] | None = None,
    shorter: Sequence[str] = (),
) -> None:
    """A result in the format that was asked for: the record as JSON, its tables, or (`rows`) what CSV has instead.

    `shorter` are the flags that make its tables shorter, for who has a terminal that is not as high.
    """
    if style == "json":
        from gnet_inspect.views.json import draw_json

        emit(draw_json(result), output)
    elif style == "csv":
        (table,) = tables_of((rows or grid)())
        emit(draw_csv(table), output)
    elif style in _DRAWINGS:
        emit("\n".join(map(_DRAWINGS[style], tables_of(grid()))), output)
    elif output is not None and str(output) != "-":
        emit(_plain(_draw(tables_of(grid()), None)), output)
    else:
        tables = tables_of(grid())
        _print_styled(_draw(tables, terminal_width()))
        _say_if_long(sum(len(table.lines) for table in tables), shorter)


_DRAWINGS = {"markdown": draw_markdown, "latex": draw_latex}


def _say_if_long(rows: int, shorter: Sequence[str]) -> None:
    """Tell who looks at a terminal that is not as high as a table what is as long as it."""
    if sys.stdout is not None and sys.stdout.isatty() and rows > shutil.get_terminal_size().lines:
        ways = f"{', '.join(shorter)} or " if shorter else ""
        say(f"{rows:,} rows, which do not fit here: {ways}`| less -S`")


def tables_of(grid: Grid | list[Grid]) -> list[Grid]:
    """One table or several, as several."""
    return grid if isinstance(grid, list) else [grid]


def _draw(tables: list[Grid], cells: int | None) -> list[Drawn]:
    """The tables one below the other."""
    lines: list[Drawn] = []
    for table in tables:
        lines += [("", ())] if lines else []
        lines += draw_text(table, cells)
    return lines


def say(text: str) -> None:
    """Talk: progress, warnings and errors, on standard error, one line each, however long what the user typed is."""
    try:
        print(shorten(printable(text)), file=sys.stderr, flush=True)
    except OSError:
        return  # nobody listens there; the exit code still says how it went


def say_usage(error: Any) -> int:
    """Say what typer says of a command line it cannot read; the exit code that goes with it.

    typer's own words hold what the user typed as it came: its control characters would act on the terminal.
    """
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        # The text of --help, in which nothing was typed by anybody.
        print(error.format_message(), file=sys.stderr)
        return int(error.exit_code)
    if context is not None:
        for line in context.get_usage().splitlines():
            say(line)
        say(f"Try '{context.command_path} {context.help_option_names[0]}' for help.")
        say("")
    say(f"Error: {error.format_message()}")
    return int(error.exit_code)


def _plain(lines: list[Drawn]) -> str:
    return "".join(f"{text}\n" for text, _ in lines)


def _print_styled(lines: list[Drawn]) -> None:
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        _to_stdout(_plain(lines))
        return
    from rich.console import Console

    print_colored(lines, Console(highlight=False, soft_wrap=True))


def print_colored(lines: list[Drawn], console: "Console") -> None:
    """Print drawn lines in the colours that a terminal has."""
    from rich.text import Text

    colors = COLORS if console.color_system in ("256", "truecolor") else FEW_COLORS
    for text, spans in lines:
        colored = Text(_encodable(text))
        for start, end, style in spans:
            # What a terminal cannot write is longer there.
            shown = " ".join(filter(None, map(colors.__getitem__, style.split())))
            colored.stylize(shown, len(_encodable(text[:start])), len(_encodable(text[:end])))
        console.print(colored)


def _to_stdout(text: str) -> None:
    out = standard_output()
    out.write(_encodable(text))
    out.flush()


def standard_output() -> TextIO:
    """Where results go. Raises UsageError where it is closed."""
    if sys.stdout is None:
        raise UsageError("standard output is closed. (write to a file with -o FILE)")
    return sys.stdout


def _encodable(text: str) -> str:
    """A terminal of another encoding than UTF-8 still gets every character it has, and escapes for the rest."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII_BARS).encode(encoding, "backslashreplace").decode(encoding)
    return text


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside it first, then moved into place. Raises UsageError."""
    try:
        kind = _mode(path)
        if kind is not None and stat.S_ISDIR(kind):
            raise UsageError(f"expected a file, got the folder {str(path)!r}")
        if kind is None or stat.S_ISREG(kind):
            _replace(path.resolve(), _bytes(content))
        else:
            path.write_bytes(_bytes(content))  # a device or a pipe has nothing to lose
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


def _mode(path: Path) -> int | None:
    """What a path leads to; None for nothing. A loop of links is an OSError here, where `exists` says no."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def _replace(path: Path, content: bytes) -> None:
    import tempfile  # not every command writes a file, and this import takes as long as a spec

    mode = _mode(path)
    # A signal waits until the file beside has either become the result or gone.
    with signals.Held():
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                for start in range(0, len(content), _PORTION):
                    file.write(content[start : start + _PORTION])
                    signals.check()
            os.chmod(name, 0o666 & ~_umask() if mode is None else stat.S_IMODE(mode))
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
