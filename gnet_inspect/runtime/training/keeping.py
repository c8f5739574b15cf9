"""Several files written as one: after a kill at any moment all of them are the old ones, or all are the new ones.

New files are written beside the old ones. A list of them, put into place by one rename, is the moment from which the
new ones count; then each takes the place of its old one, and the list goes. Whoever finds a list finishes that first;
whoever finds new files without a list removes them.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from gnet_inspect.errors import UsageError

# What writes a file at a path.
Writer = Callable[[Path], object]
# Names that nobody else gives a file: whatever has them is finished or removed.
LIST, NEW = "gnet-inspect-pending.json", ".gnet-inspect-new"


def write_together(folder: Path, writers: Mapping[str, Writer]) -> None:
    """Write files of a folder, by their names, all or none of them. Raises OSError where they cannot be written; the
    old ones are as they were then."""
    finish_writing(folder)
    try:
        for name, write in writers.items():
            write(folder / (name + NEW))
            _flush(folder / (name + NEW))
        listed = folder / (LIST + NEW)
        listed.write_text(json.dumps(list(writers)), encoding="utf-8")
        _flush(listed)
    except BaseException:
        for name in (*writers, LIST):
            (folder / (name + NEW)).unlink(missing_ok=True)
        raise
    os.replace(listed, folder / LIST)
    finish_writing(folder)


def finish_writing(folder: Path) -> None:
    """Finish what a kill interrupted, or take it back."""
    listed = folder / LIST
    if listed.exists():
        for name in _read_list(listed):
            new = folder / (name + NEW)
            if new.exists():
                os.replace(new, folder / name)
        listed.unlink()
    for left in folder.glob(f"*{NEW}"):
        left.unlink()


def _read_list(listed: Path) -> list[str]:
    """The names of a list, which lie in its folder."""
    try:
        names = json.loads(listed.read_text(encoding="utf-8"))
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise UsageError(f"{listed}: expected a list of files that train writes, got something else. (remove it)")
    return names


def _flush(path: Path) -> None:
    """Have the system write a file out: a rename that reaches the disk before the content would name an empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
