"""NAME.pt2 -> the bytes of the JSON in it. It is an archive of a stranger's: nothing else of it is unpacked."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gnet_inspect.errors import SpecError, UsageError, brief, quoted, show, some_of
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.sources.bounds import MAX_BYTES
from gnet_inspect.sources.pt2.form import MAX_DIRECTORY

MEMBER, _TABLE = "models/model.json", "data/weights/model_weights_config.json"
_PART = 1_000_000
# Of the older form.
_OLD = "serialized_exported_program.json"
_DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError),
)


class _Bounded(io.RawIOBase):
    """A file that hands out at most so much at once: a directory of an archive is read at once, whatever its size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_DIRECTORY:
            # The file's own end bounds what is asked for without a number.
            return read_bounded(self._file, MAX_DIRECTORY)
        return self._file.read(size)


class Texts(NamedTuple):
    """The JSON of a program, and of the table of its weights, where there is one."""

    program: bytes
    weights: bytes


def texts_in(source: Path | bytes, file: str) -> Texts:
    """What is read of an archive. Raises SpecError where that is not there, and UsageError where the file cannot be
    read."""
    try:
        if isinstance(source, bytes):
            return _unpacked(io.BytesIO(source), file)
        with source.open("rb") as opened:
            return _unpacked(opened, file)
    except TooLargeError as error:
        raise SpecError(f"a directory of the archive: {error}", file=file) from None
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"expected a program of torch.export, got {show(file)}, which does not exist") from None
    except _DAMAGED as error:
        fact = f"expected a program of torch.export, got a damaged archive: {brief(str(error))}"
        raise SpecError(fact, file=file) from None
    except OSError as error:
        raise UsageError(f"cannot read {show(file)}: {error.strerror or error}") from None


def _unpacked(opened: BinaryIO, file: str) -> Texts:
    if not opened.seekable():
        raise SpecError("expected a program of torch.export, got a stream, of which nothing is read twice", file=file)
    if opened.read(4) != b"PK\x03\x04":
        raise SpecError("expected a program of torch.export, which is a zip archive, got something else", file=file)
    with zipfile.ZipFile(_Bounded(opened)) as archive:
        program = _member(archive, file)
        table = program.filename.removesuffix(MEMBER) + _TABLE
        # Of two of one name the last is what the name stands for.
        weights = _text(archive, archive.getinfo(table), file) if table in archive.NameToInfo else b""
        return Texts(_text(archive, program, file), weights)


def _text(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: str) -> bytes:
    _check_member(info, file)
    found: list[bytes] = []
    with archive.open(info) as packed:
        while part := packed.read(_PART):
            found.append(part)
            if len(found) * _PART > MAX_BYTES + _PART:
                raise SpecError(
                    f"expected at most {MAX_BYTES:,} bytes of JSON, got more", file=file, path=info.filename
                )
    return b"".join(found)


def _member(archive: zipfile.ZipFile, file: str) -> zipfile.ZipInfo:
    """The one program of an archive, at its root or in its one folder."""
    members = archive.infolist()
    found = [info for info in members if info.filename.partition("/")[2] == MEMBER or info.filename == MEMBER]
    if len(found) > 1:
        names = some_of([quoted(info.filename) for info in found])
        raise SpecError(f"expected one program, `models/model.json`, got {len(found)}: {names}", file=file)
    if found:
        return found[0]
    if any(info.filename.rpartition("/")[2] == _OLD for info in members):
        hint = "load it with the torch that wrote it, and save it with a newer one"
        raise SpecError(
            "expected a program as newer versions of torch save it, got one of an earlier form", file=file, hint=hint
        )
    programs = [
        info.filename for info in members if "/models/" in f"/{info.filename}" and info.filename.endswith(".json")
    ]
    got = f"got {some_of(map(quoted, programs))}" if programs else "got an archive without one"
    raise SpecError(f"expected a program of torch.export, `models/model.json`, {got}", file=file)


def _check_member(info: zipfile.ZipInfo, file: str) -> None:
    if info.flag_bits & 1:
        raise SpecError("expected a file that is not encrypted, got one that is", file=file, path=info.filename)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # The others unpack a block of any size at once.
        fact = f"expected a file that is stored or deflated, got method {info.compress_type}"
        raise SpecError(fact, file=file, path=info.filename)
    if info.file_size > MAX_BYTES:
        fact = f"expected at most {MAX_BYTES:,} bytes of JSON, got {info.file_size:,}"
        raise SpecError(fact, file=file, path=info.filename)
