"""A checkpoint's file -> its tensors, by what the file holds; nothing in it is ever run.

Files of torch.save are read, not mapped into memory: torch maps a record of a zip archive without looking at its length
or at whether it is compressed, and then hands out other bytes of the file as weights.
"""

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnet_inspect.errors import MissingError, UsageError, brief, quoted, show, some_of
from gnet_inspect.runtime.module import free_memory
from gnet_inspect.units import byte_count

INSTALL_SAFETENSORS = "pip install safetensors"

# The first torch whose restricted reader runs no code of a file: it was broken twice (CVE-2025-32434, CVE-2026-24747).
SAFE_TORCH = (2, 10)

# Entries under which training loops keep the state dict of the model.
ENTRIES = ("state_dict", "model", "model_state_dict")

# The names under which DataParallel and torch.compile hold the network they wrap.
WRAPPERS = ("module", "_orig_mod")

# The endings that promise a format. Under any other (.bin, .tar, none) the content decides alone.
_ENDINGS = {".pth": "torch", ".pt": "torch", ".ckpt": "torch", ".safetensors": "safetensors"}
_HEAD = 512
_LARGEST_HEADER = 100_000_000  # safetensors' own bound
_CHUNK = 1 << 20

_NO_WEIGHTS = "weights are files that torch.save or safetensors wrote"


class Checkpoint(NamedTuple):
    """A state dict as it was saved. Where its names were changed, `origins` has for each the one in the file.

    `versions` are torch's notes on it, by module as the file calls it; safetensors keeps none.
    """

    format: str
    tensors: dict[str, Tensor]
    versions: dict[Any, Any]
    notes: tuple[str, ...]
    origins: Mapping[str, str] = {}


def read_checkpoint(name: str | os.PathLike[str]) -> Checkpoint:
    """The tensors of a file, on the CPU.

    Raises UsageError where the file is not a checkpoint, is damaged, or could only be read by running its code, and
    MissingError where safetensors is not installed or the memory does not suffice.
    """
    path = Path(name)
    if path.is_dir():
        raise _refused(path, "a folder", "give the file in it that holds the weights")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    except FileNotFoundError:
        # A Path has one slash where the URL it was made of had two.
        if re.match(r"[a-z][a-z0-9+.-]+:/", os.fspath(name), re.IGNORECASE):
            raise _refused(name, "a URL", "files are read from disk: download it, and give its path") from None
        raise _refused(path, "no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise _refused(path, f"a file that cannot be read: {brief(str(error))}") from None
    kind = _format(path, head)
    promised = _ENDINGS.get(path.suffix.lower(), kind)
    if promised != kind:
        hint = "rename it, or ask whoever made it: its ending says what may read it"
        raise _refused(path, f"a {kind} file with the ending {path.suffix} of {promised} files", hint)
    if kind == "safetensors":
        _check_memory(path, size)
        return Checkpoint(kind, _safetensors(path), {}, ())
    _check_reader(path)
    if head.startswith(b"PK"):
        _check_archive(path)
    else:
        _check_memory(path, size)
    return _state_dict(path, _unpickled(path))


def _check_reader(path: Path) -> None:
    version = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if version is not None and (int(version[1]), int(version[2])) < SAFE_TORCH:
        wanted = ".".join(map(str, SAFE_TORCH))
        raise MissingError(
            f"{path} is a file of torch.save, which torch {torch.__version__} cannot read safely: it may run code."
            f" Install a later one with: pip install 'torch>={wanted}' (safetensors files load with this one too)"
        )


def _check_memory(path: Path, needed: int) -> None:
    free = free_memory(torch.device("cpu"))
    if free is not None and needed > free:
        raise MissingError(f"{path} takes {byte_count(needed)} of memory to read, where {byte_count(free)} are free")


def _refused(path: str | os.PathLike[str], got: str, hint: str = "") -> UsageError:
    return UsageError(f"{path}: expected a checkpoint, got {got}" + (f". ({hint})" if hint else ""))


def _damaged(path: Path, error: Exception) -> UsageError:
    hint = "download or copy it again, and compare its size or hash with the source's"
    return _refused(path, f"a truncated or damaged file: {brief(str(error) or type(error).__name__, 160)}", hint)


# --- which format ---


def _format(path: Path, head: bytes) -> str:
    """ "torch" or "safetensors", by the file's first bytes. Raises UsageError that says what it is instead."""
    # A header's length in eight bytes, then the header, which is JSON.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LARGEST_HEADER:
        return "safetensors"
    # A zip archive, or a pickle as torch wrote before 1.6.
    if head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        return "torch"
    raise _refused(path, *_instead(head))


def _instead(head: bytes) -> tuple[str, str]:
    """What a file is that is no checkpoint, and what to do."""
    if not head:
        return "an empty file", "download or copy it again"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, which only stands for the file", "`git lfs pull` fetches the file itself"
    if head.lstrip().startswith(b"<"):
        return "a web page", "the download was answered by an error or a login page; read it in a browser"
    if head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        return "a gzip or tar archive", "unpack it first"
    try:
        # The end may have cut a character in two.
        text = head.decode("utf-8") if len(head) < _HEAD else head[:-3].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        text = "\0"
    line = (text.split("\n") or [""])[0].strip()
    if "\0" not in text and line.isprintable():
        return f"a text file that begins with {show(line)}", _NO_WEIGHTS
    return f"a file of another kind, which begins with the bytes {head[:8].hex(' ')}", _NO_WEIGHTS


# --- safetensors ---


def _safetensors(path: Path) -> dict[str, Tensor]:
    if find_spec("safetensors") is None:
        raise MissingError(f"{path} needs safetensors, which is not installed. Install it with: {INSTALL_SAFETENSORS}")
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except Exception as error:
        # safetensors' own error for a bad header, KeyError for a dtype it does not know: all say the same to a user.
        raise _damaged(path, error) from None


# --- torch ---


def _check_archive(path: Path) -> None:
    """Refuse a zip archive of something else, too large or damaged.

    Sizes come first: a small file may say of itself that it unpacks to any number of bytes. No record gives more than
    it says. torch compares no checksums, so that damage would become weights.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if any(name.endswith("/constants.pkl") for name in names):
                hint = "save its state dict: torch.save(torch.jit.load(path).state_dict(), ...)"
                raise _refused(path, "a TorchScript archive, which holds a program", hint)
            if not any(name.endswith("/data.pkl") for name in names):
                raise _refused(path, "a zip archive of something else", "unpack it; " + _NO_WEIGHTS)
            _check_memory(path, sum(member.file_size for member in members))
            for member in members:
                # 0 is what torch writes where it was told to compute none.
                if member.CRC:
                    with archive.open(member) as record:
                        while record.read(_CHUNK):
                            pass
    except (UsageError, MissingError):
        raise
    except Exception as error:  # BadZipFile, and what odd bytes in a header lead zipfile and zlib to
        raise _damaged(path, error) from None


def _unpickled(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            # torch deprecates its own old storages as it reads them.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL (\w[\w.]*\w)", str(error))
        if code is None:
            raise _refused(path, "a damaged file, or a pickle that torch.save did not write", _NO_WEIGHTS) from None
        raise _refused(
            path,
            f"Python objects besides tensors ({quoted(code[1])}), which only running its code would make: refused",
            "a whole module or a training state was pickled; whoever trusts the file can load it once with "
            "weights_only=False and save the weights alone: torch.save(model.state_dict(), PATH), or safetensors",
        ) from None
    except Exception as error:
        # Damaged pickles end in nearly every kind of error: EOFError, IndexError, UnicodeDecodeError, RuntimeError, ...
        raise _damaged(path, error) from None


def _state_dict(path: Path, saved: object) -> Checkpoint:
    """What was saved -> tensors by name, out of the entry a training loop put them in."""
    notes: tuple[str, ...] = ()
    if not isinstance(saved, dict):
        raise _refused(path, f"a {type(saved).__name__}", "a checkpoint is a mapping from names to tensors")
    found = [name for name in ENTRIES if isinstance(saved.get(name), dict)]
    if len(found) > 1:
        hint = "save the one that is meant alone"
        raise _refused(path, f"a file with {' and '.join(map(quoted, found))}, each a state dict", hint)
    if found:
        others = [str(name) for name in saved if name != found[0]]
        notes = (
            f"read the entry {quoted(found[0])}" + (f"; not read: {some_of(map(quoted, others))}" if others else ""),
        )
        saved = saved[found[0]]
        assert isinstance(saved, dict)
    odd = {key: item for key, item in saved.items() if not (isinstance(key, str) and isinstance(item, Tensor))}
    if odd:
        raise _refused(path, *_no_state_dict(odd))
    versions = getattr(saved, "_metadata", None)
    return Checkpoint("torch", dict(saved), versions if isinstance(versions, dict) else {}, notes)


def _no_state_dict(odd: dict[Any, Any]) -> tuple[str, str]:
    """What a mapping holds that is not only tensors, and what to do."""
    shown = some_of([f"{quoted(str(key))} (a {type(item).__name__})" for key, item in odd.items()], 3)
    inner = [quoted(str(key)) for key, item in odd.items() if isinstance(item, dict)]
    entries = " or ".join(map(quoted, ENTRIES))
    hint = f"the weights may be in {some_of(inner, 3)}: save that alone" if inner else f"or have them under {entries}"
    return f"a mapping with more than tensors: {shown}", hint
