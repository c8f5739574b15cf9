"""The one way in which a file of the user's is read: never more of it than a bound, whatever it is.

A device, a pipe or a file that grows has no size to ask for first; what is read is counted instead.
"""

from pathlib import Path
from typing import BinaryIO


class TooLargeError(Exception):
    """More bytes than may be read; the message is what was expected and what came."""


def read_bounded(source: Path | BinaryIO, most: int) -> bytes:
    """All bytes of a file or of an open stream. Raises OSError, and TooLargeError where there are more than `most`.

    >>> from io import BytesIO
    >>> read_bounded(BytesIO(b"abc"), 3)
    b'abc'
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_bounded(file, most)
    text = source.read(most + 1)
    if len(text) > most:
        raise TooLargeError(f"expected at most {most:,} bytes, got more")
    return text
