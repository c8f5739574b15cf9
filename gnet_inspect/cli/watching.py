"""Following a file: what is printed of it is printed again whenever it changes, until a signal ends that."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gnet_inspect.errors import SpecError, UsageError, show
from gnet_inspect.graph import Graph

# In seconds: what an editor writes is shown before a hand is back on the keys.
PAUSE = 0.2
# Clears a terminal, and what it has scrolled past.
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def check_watched(models: list[str], style: str, output: Path | None) -> Path:
    """The one file that can be followed. Raises UsageError for what cannot."""
    from gnet_inspect.language.catalogue import ENDINGS, catalogue

    if style != "table" or output is not None:
        raise UsageError("--watch: expected a table on standard output, got another format or a file. (leave that out)")
    if len(models) != 1:
        raise UsageError(f"--watch: expected one spec, got {len(models)}. (a terminal for each shows several)")
    (model,) = models
    if model in catalogue() or model == "-" or not model.endswith(ENDINGS):
        raise UsageError(
            f"--watch: expected the path of a spec, which somebody edits, got {show(model)}. "
            "(gnet-inspect show MODEL > mine.yaml makes one of a built-in model)"
        )
    path = Path(model)
    if not path.exists():
        raise UsageError(
            f"--watch: expected a file, got {show(model)}, which is not there. (gnet-inspect init {model})"
        )
    return path


def watch(path: Path, read: Callable[[], Graph], show_graph: Callable[[Graph], None]) -> None:
    """Show a network again whenever its file changes, with what that changed since the start; without an end.

    A text that is no network says why on standard error: the last table stays above that.
    """
    from gnet_inspect.analysis.summary import summarize
    from gnet_inspect.cli.output import emit, say
    from gnet_inspect.editing.changes import changes_between, measure_changes
    from gnet_inspect.views.tables.changes import change_lines

    start: Graph | None = None
    for _ in versions(path):
        try:
            graph = read()
        except (SpecError, UsageError) as error:
            say(str(error))
            continue
        if start is not None:
            emit(_CLEAR if sys.stdout is not None and sys.stdout.isatty() else "\n", None)
        show_graph(graph)
        if start is None:
            start = graph
            continue
        measures = measure_changes(summarize(start), summarize(graph))
        lines = change_lines(measures, changes_between(start, graph))
        emit("\n" + "".join(f"{line}\n" for line in lines or ["as at the start"]), None)


def versions(path: Path, sleep: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
    """The content of a file now, and again each time that it is another one; without an end.

    A file that is not there is one that an editor is replacing. Raises UsageError where it cannot be read.
    """
    seen: tuple[int, int, int] | None = None
    content: bytes | None = None
    while True:
        mark = _mark(path)
        if mark is not None and mark != seen:
            # Looked at before it is read: what is written meanwhile is read again.
            seen = mark
            new = _content(path)
            # Many programs empty a file before they write it.
            if new and new != content:
                content = new
                yield new
        sleep(PAUSE)


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"--watch: cannot read {str(path)!r}: {error.strerror}") from None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _content(path: Path) -> bytes | None:
    from gnet_inspect.language.document import MAX_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"--watch: cannot read {str(path)!r}: {error.strerror}") from None
