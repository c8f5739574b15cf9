"""Following a file: what is printed of it is printed again whenever it changes, until a signal ends that."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gnet_inspect.errors import UsageError

# In seconds: what an editor writes is shown before a hand is back on the keys.
PAUSE = 0.2


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
            if new is not None and new != content:
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
