"""A run's folder: what is in it, written so that a kill at any moment leaves a state to go on from."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gnet_inspect.errors import UsageError, brief
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.records.runs import epoch_line, epochs_text, recipe_text
from gnet_inspect.records.training import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    LAST_FILE,
    LOG_FILE,
    METRICS_FILE,
    SPEC_FILE,
    STATE_FILE,
    TENSORS_FILE,
    Epoch,
    Recipe,
)
from gnet_inspect.runtime.training.keeping import Writer, finish_writing, write_together

# A line for each epoch, and a few numbers for each group of parameters.
MAX_STATE_BYTES = 64_000_000


class RunFolder:
    """A folder that a run writes. All writing raises UsageError where the disk refuses, and loses nothing of before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, recipe: Recipe, spec: str | None, environment: Mapping[str, Any]) -> None:
        """Lay it out for a new run. Raises UsageError for a folder that holds something else."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"-o: expected a folder for the run, got the file {str(self.path)!r}")
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            finish_writing(self.path)
            there = sorted(item.name for item in self.path.iterdir())
            if there:
                raise UsageError(self._taken(there[0]))
            files = {
                ENVIRONMENT_FILE: _text(json.dumps(environment, indent=2) + "\n"),
                METRICS_FILE: _text(epochs_text([])),
                CONFIG_FILE: _text(recipe_text(recipe)),
            }
            write_together(self.path, ({} if spec is None else {SPEC_FILE: _text(spec)}) | files)

    def _taken(self, file: str) -> str:
        if self.holds_run():
            return (
                f"-o: {str(self.path)!r} holds a run already. (--resume goes on with it; a new one has its own folder)"
            )
        return f"-o: expected a new folder or an empty one, got {str(self.path)!r}, which holds {file}"

    def holds_run(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / CONFIG_FILE).is_file()

    def settle(self) -> None:
        """Finish what a kill interrupted, or take it back. Of several processes one does."""
        if self.path.is_dir():
            with self._writing():
                finish_writing(self.path)

    def save(
        self,
        state: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        tensors: Mapping[str, Tensor],
        best: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        """Keep a state, whole or not at all: `state` as plain data, `weights` as last.safetensors, the rest of it as
        `tensors`; with it the files of the best weights, where these are new."""
        found = {LAST_FILE: weights, TENSORS_FILE: tensors, **best}
        writers: dict[str, Writer] = {name: partial(_write_tensors, kept) for name, kept in found.items()}
        with self._writing():
            write_together(self.path, writers | {STATE_FILE: _text(json.dumps(state) + "\n")})

    def load(self) -> dict[str, Any] | None:
        """The plain part of the last state; None where none was kept yet."""
        path = self.path / STATE_FILE
        if not path.exists():
            return None
        try:
            state = json.loads(read_bounded(path, MAX_STATE_BYTES))
        except (ValueError, TooLargeError) as error:
            raise UsageError(f"{path}: expected the state of a run, got a damaged file: {brief(str(error))}") from None
        except OSError as error:
            raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
        if not isinstance(state, dict):
            raise UsageError(f"{path}: expected the state of a run, got something else")
        return state

    def threads(self) -> int | None:
        """The number of threads that its last state was reached with."""
        found = (self.load() or {}).get("threads")
        return found if isinstance(found, int) and found > 0 else None

    def load_tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(the last weights, the other tensors of the state)."""
        return _read_tensors(self.path / LAST_FILE), _read_tensors(self.path / TENSORS_FILE)

    def append_epoch(self, epoch: Epoch) -> None:
        """Add a line to metrics.csv."""
        self._append(METRICS_FILE, epoch_line(epoch))

    def restore_epochs(self, epochs: Iterable[Epoch]) -> None:
        """Have metrics.csv hold just these lines: a kill may have come before the last was added, or in it."""
        text = epochs_text(list(epochs))
        path = self.path / METRICS_FILE
        with self._writing():
            if not path.exists() or path.read_bytes() != text.encode():
                write_together(self.path, {METRICS_FILE: _text(text)})

    def log(self, event: str, **facts: Any) -> None:
        """Add a line to log.jsonl, with the time of day."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        self._append(LOG_FILE, json.dumps(line) + "\n")

    def _append(self, name: str, text: str) -> None:
        # Not os.write, which on a full disk may write a part and say nothing.
        with self._writing(), (self.path / name).open("a", encoding="utf-8", newline="") as file:
            file.write(text)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns what a disk refuses into one sentence."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            reason, full = brief(str(error), 200), True
            if isinstance(error, OSError):
                reason, full = error.strerror or reason, error.errno in (errno.ENOSPC, errno.EDQUOT)
            kept = "its last state is as it was" if (self.path / STATE_FILE).exists() else "nothing was kept yet"
            raise UsageError(
                f"cannot write the run {str(self.path)!r}: {reason}; {kept}. ({'make room' if full else 'mend that'}, "
                f"then: gnet-inspect train --resume {self.path})"
            ) from None


def _text(text: str) -> Writer:
    return lambda path: path.write_bytes(text.encode())


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file(dict(tensors), path, metadata={"format": "pt"})
    # It makes files that nobody else may read; these are as any other file of the user's.
    path.chmod(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except Exception as error:
        raise UsageError(
            f"{path}: expected tensors of a run's state, got a file that cannot be read: {brief(str(error), 200)}"
        ) from None
