"""Records -> the GPU's section of docs/measurements.md, which is written by `make gpu` and by nobody else."""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from benchmarks.gpu.record import GpuRecord, Row
from benchmarks.gpu.schedule import AUTOTUNED, GRAPH, OPTIMIZED, WHOLE
from gnet_inspect.records.timing import LAUNCH_BOUND
from gnet_inspect.units import byte_count, count
from gnet_inspect.views.grid import Column, Grid, Line, draw_text
from gnet_inspect.views.tables.latency import seconds_text

MEASUREMENTS = Path(__file__).parent.parent.parent / "docs" / "measurements.md"
BEGIN, END = "<!-- gpu: written by make gpu -->", "<!-- gpu: end -->"
NONE = """
No figures are kept. `make gpu` measures wherever an NVIDIA GPU is at hand and writes this section: medians beside
triton's do_bench, layers' kernels beside the whole, the gain of a CUDA graph and of `--optimize`, training memory
beside `max_memory_allocated`, calibrated peaks beside the data sheet, and outputs against the CPU's. `make gpu-full`
does so for more networks, batches and dtypes, and measures `--optimize` beside `torch.compile(mode="max-autotune")`.
"""
COLUMNS = (
    Column("what", "what", whole=True),
    *(Column(name, name, number=True) for name in ("ours", "peer", "ratio")),
    Column("allowed", "allowed", whole=True),
)
# Sentences below a table break there; its rows do not.
PROSE = 120
# Rows that are times as fast as eager, and what marks them where that is no speed of kernels.
GAINS, MARK = frozenset({OPTIMIZED, AUTOTUNED}), "*"


def section(records: Sequence[GpuRecord]) -> str:
    """The text between the two marks; what it says where nothing was measured."""
    return "".join(map(_section_of, records)) or NONE


def refreshed(text: str, records: Sequence[GpuRecord]) -> str:
    """The document with that section anew. Raises ValueError where it lacks the marks."""
    whole = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not whole.search(text):
        raise ValueError(f"expected {BEGIN} and {END} in the document, got neither or one")
    return whole.sub(lambda _: f"{BEGIN}\n{section(records)}\n{END}", text)


def told(record: GpuRecord) -> str:
    """A record's rows as a table, case by case; below it what must not be read into them, and what is missing."""
    lines: list[Line] = []
    notes: list[str] = []
    for case in dict.fromkeys(row.case for row in record.rows):
        rows = [row for row in record.rows if row.case == case]
        waiting = _waiting(rows)
        if waiting:
            notes.append(f"{MARK} {case}: {waiting}")
        lines.append(Line((case, "", "", "", ""), rule_above=bool(lines)))
        lines += [Line(_cells(row, MARK if waiting and row.what in GAINS else "")) for row in rows]
    notes += [f"not measured: {one.part} of {one.case}: {one.why}" for one in record.missing]
    # Without a bound on its width, to which rows would be cut.
    below = [line for note in notes for line in wrap(note, PROSE, subsequent_indent="  ", break_on_hyphens=False)]
    return "\n".join(text for text, _ in draw_text(Grid(COLUMNS, tuple(lines), below=tuple(below))))


def _section_of(record: GpuRecord) -> str:
    device = record.device
    about = [str(device.get("name", "a GPU")), f"torch {device.get('torch', '?')}", f"CUDA {device.get('cuda', '?')}"]
    about += [f"driver {device['driver']}"] if "driver" in device else []
    return f"\n`{record.command}`, {', '.join(about)}, {record.date}\n\n```text\n{told(record)}\n```\n"


def _waiting(rows: Sequence[Row]) -> str:
    """What a case's times over eager are not, where eager is launch-bound; "" where it is not, or nobody knows."""
    found = {row.what: row for row in rows}
    whole = found.get(WHOLE)
    if whole is None or whole.ratio >= LAUNCH_BOUND or not found.keys() & GAINS:
        return ""
    runs = [whole.peer, *(found[what].ours for what in (GRAPH, *GAINS) if what in found)]
    return (
        f"not how much faster kernels are, because eager is launch-bound: its kernels take {seconds_text(whole.ours)}, "
        f"its runs {seconds_text(min(runs))} to {seconds_text(max(runs))}"
    )


def _cells(row: Row, mark: str) -> tuple[str, ...]:
    what = f"  {row.what} {mark}".rstrip()
    return what, _said(row.ours, row.unit), _said(row.peer, row.unit), f"{row.ratio:.3f}", _allowed(row)


def _allowed(row: Row) -> str:
    limits = [f"at least {row.least:g}"] if row.least is not None else []
    limits += [f"at most {row.most:g}"] if row.most is not None else []
    return ", ".join(limits) + ("" if row.kept else "  NOT KEPT")


def _said(value: float, unit: str) -> str:
    if unit == "s":
        return seconds_text(value)
    if unit in ("B", "B/s"):
        return byte_count(round(value)) + unit.removeprefix("B")
    return f"{count(round(value))}{unit}" if unit else f"{value:.3g}"
