"""Measure on the GPU at hand, keep the record, and write docs/measurements.md: `python -m benchmarks.gpu [--full]`."""

import sys
from datetime import UTC, datetime
from time import perf_counter

from benchmarks.gpu.document import MEASUREMENTS, refreshed, told
from benchmarks.gpu.record import GpuRecord, read_records, write_record
from benchmarks.gpu.schedule import FULL, QUICK, run_all, run_apart

NEEDS = "It needs an NVIDIA GPU, its driver, and a build of torch for CUDA (pip install torch)"


def why_not() -> str:
    """What is missing to measure here, in one sentence; "" where nothing is."""
    try:
        import torch
    except ModuleNotFoundError:
        return f"torch is not installed. {NEEDS}"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA. {NEEDS}"
    if not torch.cuda.is_available():
        return f"torch sees no CUDA device. {NEEDS}"
    return ""


def main(arguments: list[str]) -> int:
    """0 where everything was measured and lies within its limits, 1 where not, 3 where there is no GPU."""
    command, plan = ("make gpu-full", FULL) if "--full" in arguments else ("make gpu", QUICK)
    missing = why_not()
    if missing:
        print(f"error: {command} measures on a GPU, and here {missing}", file=sys.stderr)
        return 3
    from gnet_inspect.runtime.latency.device import describe_device

    rows, absent = run_all(plan, run_apart, perf_counter, lambda text: print(text, file=sys.stderr, flush=True))
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    record = GpuRecord(command, date, describe_device("cuda:0", 1), tuple(rows), tuple(absent))
    print(told(record))
    if not rows:
        print("error: nothing was measured, and nothing is written", file=sys.stderr)
        return 1
    kept_at = write_record(record)
    MEASUREMENTS.write_text(refreshed(MEASUREMENTS.read_text(encoding="utf-8"), read_records()), encoding="utf-8")
    print(f"written: {kept_at.name}, docs/{MEASUREMENTS.name}", file=sys.stderr)
    return 0 if record.kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
