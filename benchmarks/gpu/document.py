"""Records -> the GPU's section of docs/measurements.md, which is written by `make gpu` and by nobody else."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.gpu.record import GpuRecord, Row
from gnet_inspect.units import byte_count, count
from gnet_inspect.views.tables.latency import seconds_text

MEASUREMENTS = Path(__file__).parent.parent.parent / "docs" / "measurements.md"
BEGIN, END = "<!-- gpu: written by make gpu -->", "<!-- gpu: end -->"
NONE = """
No figures: no GPU was at hand when this was written. What runs on one (events, cuDNN's autotuning, CUDA graphs, tf32,
the profiler's kernels, the allocator's peaks) was written against torch's documentation and source; its arithmetic is
tested with made-up events and clocks, and none of it has been run. `make gpu` measures it wherever an NVIDIA GPU is at
hand and writes this section: medians beside triton's do_bench, layers' kernels beside the whole, the gain of a CUDA
graph and of `--optimize`, training memory beside `max_memory_allocated`, calibrated peaks beside the data sheet, and
outputs against the CPU's. `make gpu-full` does so for more networks, batches and dtypes, and measures `--optimize`
beside `torch.compile(mode="max-autotune")`.
"""
WIDTHS = (60, 14, 14, 8)


def section(records: Sequence[GpuRecord]) -> str:
    """The text between the two marks; what it says where nothing was measured."""
    return "".join(map(_told, records)) or NONE


def refreshed(text: str, records: Sequence[GpuRecord]) -> str:
    """The document with that section anew. Raises ValueError where it lacks the marks."""
    whole = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not whole.search(text):
        raise ValueError(f"expected {BEGIN} and {END} in the document, got neither or one")
    return whole.sub(lambda _: f"{BEGIN}\n{section(records)}\n{END}", text)


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as lines of text, case by case."""
    lines = [_line(("what", "ours", "peer", "ratio"), "allowed")]
    for case, members in groupby(rows, lambda row: row.case):
        lines.append(case)
        lines += [
            _line(
                (f"  {row.what}", _said(row.ours, row.unit), _said(row.peer, row.unit), f"{row.ratio:.3f}"),
                _allowed(row),
            )
            for row in members
        ]
    return lines


def _told(record: GpuRecord) -> str:
    device = record.device
    about = [str(device.get("name", "a GPU")), f"torch {device.get('torch', '?')}", f"CUDA {device.get('cuda', '?')}"]
    about += [f"driver {device['driver']}"] if "driver" in device else []
    missing = [f"not measured: {one.part} of {one.case}: {one.why}" for one in record.missing]
    text = "\n".join([*table(record.rows), *missing])
    return f"\n`{record.command}`, {', '.join(about)}, {record.date}\n\n```text\n{text}\n```\n"


def _line(cells: Sequence[str], end: str) -> str:
    first, *numbers = cells
    aligned = "".join(f"{cell:>{width}}" for cell, width in zip(numbers, WIDTHS[1:], strict=True))
    return f"{first:<{WIDTHS[0]}}{aligned}   {end}".rstrip()


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
