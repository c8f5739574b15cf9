"""Where a result goes: standard output or a file, whole or not at all; talk goes to standard error."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from gnet_inspect.errors import UsageError, printable
from gnet_inspect.views.grid import Grid, draw_csv, draw_markdown, draw_text
from gnet_inspect.views.text import ASCII_BARS

FORMATS = ("table", "json", "csv", "markdown")


def emit(content: str | bytes, output: Path | None) -> None:
    """Write a result to a file (whole or not at all) or to standard output, a picture not to a terminal."""
    if output is not None and str(output) != "-":
        write_whole(output, content)
    elif isinstance(content, str):
        _to_stdout(content)
    else:
        if sys.stdout is None or sys.stdout.isatty():
            raise UsageError("a picture or a page is nothing for a terminal: expected -o FILE or a pipe")
        sys.stdout.buffer.write(content)
        sys.stdout.flush()


def emit_result(
    result: object,
    style: str,
    output: Path | None,
    grid: Callable[[], Grid | list[Grid]],
    rows: Callable[[], Grid] | None = None,
) -> None:
    """A result in the format that was asked for: the record as JSON, its tables, or (`rows`) what CSV has instead."""
    if style == "json":
        from gnet_inspect.views.json import draw_json

        emit(draw_json(result), output)
    elif style == "csv":
        (table,) = _tables((rows or grid)())
        emit(draw_csv(table), output)
    elif style == "markdown":
        emit("\n".join(map(draw_markdown, _tables(grid()))), output)
    elif output is not None and str(output) != "-":
        emit(_plain(_drawn(grid(), None)), output)
    else:
        _print_styled(_drawn(grid(), terminal_width()))


def _tables(grid: Grid | list[Grid]) -> list[Grid]:
    return grid if isinstance(grid, list) else [grid]


def _drawn(grid: Grid | list[Grid], cells: int | None) -> list[tuple[str, str]]:
    """The tables one below the other."""
    lines: list[tuple[str, str]] = []
    for table in _tables(grid):
        lines += [("", "")] if lines else []
        lines += draw_text(table, cells)
    return lines


def say(text: str) -> None:
    """Talk: progress, warnings and errors, on standard error, one line each."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        return  # nobody listens there; the exit code still says how it went


def terminal_width() -> int | None:
    """The width to keep to; None where nothing bounds it: a pipe has no width, unless COLUMNS asks for one."""
    if (sys.stdout is not None and sys.stdout.isatty()) or os.environ.get("COLUMNS", "").isdecimal():
        return max(shutil.get_terminal_size().columns, 20)
    return None


def _plain(lines: list[tuple[str, str]]) -> str:
    return "".join(f"{text}\n" for text, _ in lines)


def _print_styled(lines: list[tuple[str, str]]) -> None:
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        _to_stdout(_plain(lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for text, style in lines:
        console.print(Text(_encodable(text), style=style))


def _to_stdout(text: str) -> None:
    if sys.stdout is None:
        raise UsageError("standard output is closed. (write to a file with -o FILE)")
    sys.stdout.write(_encodable(text))
    sys.stdout.flush()


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
        if path.exists() and not path.is_file():
            if path.is_dir():
                raise UsageError(f"-o: expected a file, got the folder {str(path)!r}")
            path.write_bytes(_bytes(content))  # a device or a pipe has nothing to lose
            return
        _replace(path.resolve(), _bytes(content))
    except OSError as error:
        raise UsageError(f"-o: cannot write {str(path)!r}: {error.strerror}") from None


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def _replace(path: Path, content: bytes) -> None:
    import tempfile  # not every command writes a file, and this import takes as long as a spec

    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
