"""Files of a git repository as they were: read by git itself, which is asked for nothing but objects.

No shell is between; what a user or a repository calls a revision or a file is never an option; nothing is checked out.
"""

import os
import subprocess
from pathlib import Path

from gnet_inspect.errors import MissingError, UsageError, brief, show

_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
# No configuration of a repository runs a program of its own.
_HARMLESS = ("-c", "core.fsmonitor=false")


class Revision:
    """A commit of the repository around a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises MissingError where there is no git, UsageError where there is no repository, or no such commit."""
        if not name or name.startswith("-") or not name.isprintable():
            raise UsageError(f"expected a revision of git, as main or HEAD~1, got {show(name)}")
        self.name = name
        self._folder = folder
        self._top = Path(self._said("rev-parse", "--show-toplevel", what="a git repository"))
        found = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found.returncode:
            raise UsageError(
                f"expected a revision of {show(str(self._top))}, got {show(name)}, which git does not know. (a clone "
                "of depth 1 has no other commits: git fetch, or fetch-depth: 2 for HEAD^)"
            )
        self.commit = found.stdout.decode().strip()
        self._renamed: dict[str, str] | None = None

    def read(self, path: Path, most: int) -> tuple[bytes, str] | None:
        """(the bytes of a file, the path that it had) in that commit; None where it was not there, by another name
        neither. Raises UsageError for more bytes than `most`."""
        inside = self._inside(path)
        if inside is None:
            return None
        for name in filter(None, (inside, self._was(inside))):
            size = self._run("cat-file", "-s", f"{self.commit}:{name}")
            if size.returncode == 0:
                if int(size.stdout) > most:
                    raise UsageError(f"{self.name}:{name}: expected at most {most:,} bytes, got {int(size.stdout):,}")
                found = self._run("cat-file", "blob", f"{self.commit}:{name}")
                return (found.stdout, name) if found.returncode == 0 else None
        return None

    def _inside(self, path: Path) -> str | None:
        """A path as git has it; None for one outside the repository. A link is itself, not what it leads to."""
        full = Path(os.path.realpath(path.parent)) / path.name
        top = Path(os.path.realpath(self._top))
        return full.relative_to(top).as_posix() if full.is_relative_to(top) else None

    def _was(self, inside: str) -> str:
        """What a file was called, that has another name now; "" where it is new."""
        if self._renamed is None:
            said = self._run(
                *("diff", "-M", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--diff-filter=R"),
                *("--name-status", "-z", self.commit, "--"),
                at=self._top,
            )
            # The letter with how alike they are, what it was, what it is.
            words = os.fsdecode(said.stdout).split("\0")
            self._renamed = dict(zip(words[2::3], words[1::3], strict=False))
        return self._renamed.get(inside, "")

    def _said(self, *arguments: str, what: str) -> str:
        done = self._run(*arguments)
        if done.returncode:
            said = brief(done.stderr.decode(errors="replace").removeprefix("fatal: "))
            raise UsageError(f"expected {what} around {show(str(self._folder))}: git says {said}")
        return os.fsdecode(done.stdout).rstrip("\n")

    def _run(self, *arguments: str, at: Path | None = None) -> "subprocess.CompletedProcess[bytes]":
        try:
            return subprocess.run(
                ["git", "-C", str(at or self._folder), *_HARMLESS, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=os.environ | _QUIET,
                check=False,
            )
        except OSError as error:
            raise MissingError(
                f"a revision is read by git, which cannot be run: {error.strerror}. Install it with: apt install git"
            ) from None
