"""Which parts are measured of which cases, each in a process of its own, within a budget of time.

A process of its own gives each part the GPU's whole memory and fresh settings, and what takes too long (torch's
max-autotune compiles for minutes) can be ended without losing the rest.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import msgspec

from benchmarks.gpu.record import Missing, Row

ROOT = Path(__file__).parent.parent.parent
# In the order of what must not be left out where time is up.
QUICK_PARTS = ("outputs", "medians", "layers", "training", "optimize")
# torch's max-autotune tries some twenty kernels for each of GoogLeNet's 50 shapes. 20 of these took an H100 149 s, and
# no run has come further: all are estimated at seven to eight minutes.
PARTS = (*QUICK_PARTS, "autotune")
# Of the device alone, behind what is quick of the first case.
DEVICE_PART, ITS_PLACE = "ceilings", 4


class Case(NamedTuple):
    """One network at one batch and dtype."""

    model: str
    batch: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.model} at batch {self.batch} in {self.dtype}"


class Task(NamedTuple):
    """One part of one case."""

    part: str
    case: Case


class Plan(NamedTuple):
    """What a command measures: so many parts of each case, in so many seconds in all, and for each part at most."""

    cases: tuple[Case, ...]
    parts: tuple[str, ...]
    seconds: float
    each: float


# The middle batch alone; eight minutes are for this, and for the tests that need a GPU.
QUICK = Plan((Case("googlenet_torchvision", 16, "bf16"),), QUICK_PARTS, 390, 240)
FULL = Plan(
    tuple(
        Case(model, batch, dtype)
        for model in ("googlenet_torchvision", "resnet50")
        for batch in (1, 16, 128)
        for dtype in ("fp16", "bf16")
    ),
    PARTS,
    6 * 3600,
    1200,
)

# Runs a task in at most so many seconds: its rows, or why there are none.
Runner = Callable[[Task, float], list[Row] | str]


def tasks_of(plan: Plan) -> list[Task]:
    """In order; the device's own part once."""
    tasks = [Task(part, case) for case in plan.cases for part in plan.parts]
    return [*tasks[:ITS_PLACE], Task(DEVICE_PART, plan.cases[0]), *tasks[ITS_PLACE:]]


def run_all(
    plan: Plan, run: Runner, clock: Callable[[], float], tell: Callable[[str], None]
) -> tuple[list[Row], list[Missing]]:
    """All rows, and what is missing: a part that failed or took too long costs only itself."""
    rows: list[Row] = []
    missing: list[Missing] = []
    end = clock() + plan.seconds
    for task in tasks_of(plan):
        left = min(end - clock(), plan.each)
        tell(f"{task.part} of {task.case}, {max(end - clock(), 0):.0f} s left")
        found = run(task, left) if left > 0 else "the time was up"
        if isinstance(found, str):
            missing.append(Missing(str(task.case), task.part, found))
        else:
            rows += found
    return [*rows, *beside_autotune(rows)], missing


# What rows are called that are read again.
GRAPH, WHOLE = "eager / CUDA graph", "sum of the layers' kernels / the whole"
OPTIMIZED, AUTOTUNED = (
    "latency --optimize, times as fast as eager",
    "torch.compile(max-autotune), times as fast as eager",
)
BESIDE = "latency --optimize / torch.compile(max-autotune), gains over eager"


def beside_autotune(rows: Sequence[Row]) -> list[Row]:
    """The gain of --optimize over that of max-autotune, of each case where both were measured."""
    gains = {(row.case, row.what): row.ratio for row in rows}
    return [
        Row(case, BESIDE, gain, gains[case, AUTOTUNED])
        for (case, what), gain in gains.items()
        if what == OPTIMIZED and (case, AUTOTUNED) in gains
    ]


def run_apart(task: Task, seconds: float) -> list[Row] | str:
    """A task in a process of its own, ended when its time is up."""
    command = [sys.executable, "-m", "benchmarks.gpu.parts", task.part, json.dumps(task.case)]
    # Files, and a session of its own: torch's compiler has workers, which would hold a pipe open and live on.
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, cwd=ROOT, start_new_session=True)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"it took more than {seconds:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        errors.seek(0)
        if code:
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            return f"it failed ({code}): {last[0][:200]}"
        return read_rows(output.read().decode(errors="replace"))


def read_rows(output: str) -> list[Row] | str:
    """The rows in the last line of what a part printed."""
    lines = output.strip().splitlines()
    try:
        return msgspec.json.decode(lines[-1], type=list[Row], strict=False)
    except (IndexError, msgspec.DecodeError) as error:
        return f"expected rows as the last line of its output, got none ({type(error).__name__})"
