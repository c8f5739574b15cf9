"""What a run on a GPU left: rows of figures beside their peers, kept as JSON; plain data, read without a GPU."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

FOLDER = Path(__file__).parent
# One record for each command; the longer one does not take the shorter one's place.
RECORDS = {"make gpu": FOLDER / "gpu.json", "make gpu-full": FOLDER / "gpu-full.json"}


class Row(Struct, frozen=True):
    """A figure beside its peer. `ratio` is ours over the peer's; it has to lie within `least` and `most` where those
    are known. `unit` is "s", "B", "B/s", "FLOP/s" or "" (a plain number).
    """

    case: str
    what: str
    ours: float
    peer: float
    unit: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def kept(self) -> bool:
        return (self.least is None or self.ratio >= self.least) and (self.most is None or self.ratio <= self.most)


class Missing(Struct, frozen=True):
    """What was to be measured and was not, and why."""

    case: str
    part: str
    why: str


class GpuRecord(Struct, frozen=True):
    """All of one run, and on what."""

    command: str
    date: str
    device: dict[str, Any]
    rows: tuple[Row, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether all that the command had planned was measured, and lies within its limits."""
        return not self.missing and all(row.kept for row in self.rows)


def read_records() -> list[GpuRecord]:
    """Those that were kept, the shorter command's first."""
    return [
        msgspec.json.decode(path.read_bytes(), type=GpuRecord, strict=False)
        for path in RECORDS.values()
        if path.exists()
    ]


def write_record(record: GpuRecord) -> Path:
    """Keep a record in the place of its command's last one."""
    path = RECORDS[record.command]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return path
