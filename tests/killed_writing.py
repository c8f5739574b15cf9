"""Files that are written together, by processes that are killed at a moment:

    python -m tests.killed_writing FOLDER

writes three old files, and new ones in their place, in a process that is killed (SIGKILL) at its first call of a
function, at its second, and so on, until it comes to its end. After each what is left is put in order, and looked at.
Prints how many calls there are, and whether both old and new files were met.
"""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gnet_inspect.runtime.training.keeping import finish_writing, write_together
from tests.killing import in_child, killer

NAMES = ("a.bin", "b.bin", "c.bin")


def write(text: str, path: Path) -> None:
    """A file of a text."""
    path.write_text(text)


def writers(text: str) -> dict[str, Callable[[Path], None]]:
    """Three files of a text."""
    return {name: partial(write, text) for name in NAMES}


def write_new(folder: Path, call: int) -> None:
    """Write the new files, unless it is killed at a call of a function before."""
    sys.setprofile(killer(call))
    write_together(folder, writers("new"))


def main(folder: Path) -> None:
    """Every moment, once."""
    met, call = set(), 0
    while True:
        call += 1
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_together(folder, writers("old"))
        killed = in_child(partial(write_new, folder, call))
        finish_writing(folder)
        found = {path.name: path.read_text() for path in folder.iterdir()}
        assert set(found) == set(NAMES), (call, found)
        assert len(set(found.values())) == 1, (call, found)
        met |= set(found.values())
        if not killed:
            break
    assert "torch" not in sys.modules
    print(call, *sorted(met))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
