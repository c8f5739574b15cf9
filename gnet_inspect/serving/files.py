"""The files of an editor: the one it was given, and what is saved under other names beside it. No others.

What was changed by somebody else since it was read is not overwritten unasked.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.errors import UsageError, show
from gnet_inspect.language.catalogue import ENDINGS
from gnet_inspect.language.document import MAX_BYTES, decoded

_MARK = b"\xef\xbb\xbf"
_BREAKS = re.compile("\r\n|\r")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. \-]{0,120}")


class ChangedError(UsageError):
    """A file that is not what it was when it was read, or a name that is taken: asked for again, it is overwritten."""


class Opened(Struct):
    """What is edited in one tab: its `path` (None for a built-in model or what came by standard input, which cannot be
    saved), the folder for other names, and the digest of the file as it was last read or written here ("" for one that
    is not there yet). `write` writes a file whole or not at all.

    A browser knows one way to end a line: the text has that, and is written with the file's own `line_end`, behind the
    file's own mark of UTF-8 where it has one (`is_marked`)."""

    name: str
    text: str
    path: Path | None
    folder: Path
    write: Callable[[Path, bytes], None]
    digest: str = ""
    line_end: str = "\n"
    is_marked: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it is a file that nobody has written yet."""
        return self.path is not None and not self.digest

    def again(self) -> "Opened":
        """The same for another tab, as the file is now. Raises UsageError where it cannot be read."""
        if self.path is None or not self.path.exists():
            return replace(self)
        return self.holding(_content(self.path), self.name)

    def holding(self, content: bytes, file: str) -> "Opened":
        """The same with what a file holds, which errors call `file`. Raises SpecError for what is no text."""
        text = decoded(content, file)
        return replace(
            self,
            text=_BREAKS.sub("\n", text),
            digest=digest_of(content),
            line_end="\r\n" if "\r\n" in text else "\n",
            is_marked=content.startswith(_MARK),
        )

    def save(self, text: str, *, overwrite: bool = False) -> None:
        """Write the file whole or not at all. Raises UsageError; ChangedError where somebody else wrote it."""
        if self.path is None:
            raise UsageError(f"{self.name} is no file: expected a name to save it under")
        if not overwrite and (now := _digest_of(self.path)) and now != self.digest:
            what = "was changed" if self.digest else "was written"
            raise ChangedError(f"{self.path.name} {what} by another program or tab since it was read")
        self._write(self.path, text)

    def save_as(self, name: str, text: str, *, overwrite: bool = False) -> str:
        """Write a file of this name beside it, and edit that from here on; its name. Raises as `save` does."""
        path = self.target(name)
        if path == self.path:
            self.save(text, overwrite=overwrite)
            return path.name
        if path.exists() and not overwrite:
            raise ChangedError(f"{path.name} is there already")
        self._write(path, text)
        self.path, self.name = path, path.name
        return path.name

    def target(self, name: str) -> Path:
        """The path of a name in the folder. Raises UsageError for one that is none, or leads out of it."""
        full = name if name.endswith(ENDINGS) else f"{name}{ENDINGS[0]}"
        if not _NAME.fullmatch(full):
            raise UsageError(
                f"expected the name of a file in {self.folder}, of letters, digits, spaces, '.', '-' and '_', "
                f"got {show(name)}"
            )
        path = self.folder / full
        # A link may lead elsewhere.
        if path.is_symlink() or path.resolve().parent != self.folder.resolve():
            raise UsageError(f"expected a file in {self.folder}, got {show(full)}, which is a link to another place")
        if path.exists() and not path.is_file():
            raise UsageError(f"expected a file, got {show(full)}, which is none")
        return path

    def _write(self, path: Path, text: str) -> None:
        try:
            content = (_MARK if self.is_marked else b"") + text.replace("\n", self.line_end).encode()
        except UnicodeEncodeError:
            raise UsageError("expected Unicode text, got half a character") from None
        if len(content) > MAX_BYTES:
            raise UsageError(f"expected a text of at most {MAX_BYTES:,} bytes, got {len(content):,}")
        self.write(path, content)
        self.digest = digest_of(content)


def digest_of(content: bytes) -> str:
    """What tells one content of a file from another."""
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str:
    """ "" where there is no file any more."""
    return digest_of(_content(path)) if path.exists() else ""


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
