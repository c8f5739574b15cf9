"""The three standard streams as they may come: closed, full, or without a reader."""

import os
import sys


def open_streams() -> None:
    """Put the null device where a standard descriptor is closed, and where nobody listens to standard error.

    Otherwise the next file that is opened would get that number, and what native code says on standard error would be
    written into it. sys.stdin and sys.stdout stay None where they were closed, because reading a spec from there, or
    printing a result, is then an error.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken: this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115  # for good


def finish_streams() -> None:
    """Flush both outputs here: what the interpreter cannot flush at its end becomes an exit code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            # It was reported when it was written; what is left in the buffer has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
