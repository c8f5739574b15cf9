"""What `make gpu` does around the GPU: its plan, its budget, its record and the document, without one."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import document, record, schedule
from benchmarks.gpu.record import GpuRecord, Missing, Row
from benchmarks.gpu.schedule import (
    AUTOTUNED,
    BESIDE,
    FULL,
    GRAPH,
    OPTIMIZED,
    QUICK,
    WHOLE,
    Case,
    Plan,
    Task,
    run_all,
    tasks_of,
)
from tests.clocks import FakeClock

torch = pytest.importorskip("torch")

from benchmarks.gpu import parts  # noqa: E402  # needs torch where it measures

CASE = Case("lenet5", 4, "bf16")
GOOD = Row(str(CASE), "sum of the layers' kernels / all kernels of a run", 0.98e-3, 1e-3, "s", 0.95, 1.05)
BAD = Row(str(CASE), "training memory by the rules / max_memory_allocated, sgd", 8e8, 1e9, "B", 0.9, 1.1)
FREE = Row("NVIDIA H100 SXM 80GB", "bandwidth, calibrated / data sheet", 3.01e12, 3.35e12, "B/s")
DEVICE = {"name": "NVIDIA H100 80GB HBM3", "torch": "2.13.0", "cuda": "13.0", "driver": "580.1"}


def test_a_row_is_kept_within_its_limits() -> None:
    """Where it has some; the ratio is ours over the peer's."""
    assert GOOD.ratio == pytest.approx(0.98)
    assert (GOOD.kept, BAD.kept, FREE.kept) == (True, False, True)
    assert not msgspec.structs.replace(GOOD, ours=1.06e-3).kept
    whole = GpuRecord("make gpu", "2026-01-01", DEVICE, (GOOD, FREE))
    assert whole.kept
    assert not msgspec.structs.replace(whole, rows=(GOOD, BAD)).kept
    assert not msgspec.structs.replace(whole, missing=(Missing(str(CASE), "layers", "it failed"),)).kept


# --- the plan ---


def test_the_plans_are_what_was_promised() -> None:
    """One network at the middle batch within eight minutes; all batches and dtypes; every part, the device's once.

    The quick one has no time for torch's autotuning.
    """
    assert [case.batch for case in QUICK.cases] == [16]
    assert QUICK.seconds < 480
    assert {(case.batch, case.dtype) for case in FULL.cases} == {(b, d) for b in (1, 16, 128) for d in ("fp16", "bf16")}
    for plan, left_out, last in ((QUICK, {"autotune"}, []), (FULL, set(), ["autotune"])):
        tasks = tasks_of(plan)
        assert {task.part for task in tasks} == set(parts.MEASURED) - left_out
        assert len(set(tasks)) == len(tasks) == len(plan.parts) * len(plan.cases) + 1
        # What can take minutes comes last of the first case.
        assert [task.part for task in tasks[4 : len(plan.parts) + 1]] == ["ceilings", "optimize", *last]


def run_plan(plan: Plan, seconds: dict[str, float], failing: str = "") -> tuple[Any, Any, list[Task], float]:
    """A plan run on a clock: each part takes so many seconds, and is ended when its time is up."""
    clock, began = FakeClock(), []

    def run(task: Task, left: float) -> list[Row] | str:
        began.append(task)
        needed = seconds.get(task.part, 1.0)
        clock.sleep(min(needed, left))
        if needed > left:
            return f"it took more than {left:.0f} s"
        return "it failed (1): broken" if task.part == failing else [Row(str(task.case), task.part, 1, 1)]

    rows, missing = run_all(plan, run, clock, lambda _: None)
    return rows, missing, began, clock.now


def test_a_part_that_takes_too_long_costs_only_itself() -> None:
    """It is ended by its own limit, what comes behind it is measured, and the whole ends in its time."""
    rows, missing, _, taken = run_plan(QUICK, {"optimize": 1e6})
    assert [one.part for one in missing] == ["optimize"]
    assert missing[0].why == "it took more than 240 s"
    assert {row.what for row in rows} == {"outputs", "medians", "layers", "training", "ceilings"}
    assert taken <= QUICK.seconds
    _, missing, began, taken = run_plan(QUICK, {"training": 1e6, "ceilings": 1e6})
    assert [(one.part, one.why) for one in missing][-1] == ("optimize", "the time was up")
    assert taken == QUICK.seconds
    assert "optimize" not in {task.part for task in began}


def test_a_part_that_needs_minutes_has_them_in_the_long_plan() -> None:
    """Autotuning was estimated at seven to eight minutes for GoogLeNet at batch 16, on an H100."""
    rows, missing, _, taken = run_plan(FULL, {"autotune": 480.0})
    assert not missing
    assert [row.what for row in rows].count("autotune") == len(FULL.cases)
    assert taken < FULL.seconds


def test_a_part_that_fails_costs_only_itself() -> None:
    """And says why."""
    rows, missing, *_ = run_plan(QUICK, {}, failing="layers")
    assert missing == [Missing(str(QUICK.cases[0]), "layers", "it failed (1): broken")]
    assert len(rows) == len(QUICK.parts)


def test_gains_stand_beside_each_other() -> None:
    """Of each case that has both: how many times as fast as eager, over the same of max-autotune."""
    rows = [
        Row("a", OPTIMIZED, 6e-3, 2e-3, "s"),
        Row("a", AUTOTUNED, 5e-3, 2e-3, "s"),
        Row("b", OPTIMIZED, 6e-3, 2e-3, "s"),
    ]
    (found,) = schedule.beside_autotune(rows)
    assert (found.case, found.what) == ("a", BESIDE)
    assert (found.ours, found.peer, found.ratio) == pytest.approx((3.0, 2.5, 1.2))


def test_rows_are_read_from_the_last_line() -> None:
    """What torch prints above them is nothing; no rows are a reason."""
    printed = f"AUTOTUNE mm(1x2)\n{msgspec.json.encode([GOOD, BAD]).decode()}\n"
    assert schedule.read_rows(printed) == [GOOD, BAD]
    for output in ("", "nothing\n", "[{}]\n"):
        assert str(schedule.read_rows(output)).startswith("expected rows as the last line")


def test_a_part_runs_in_a_process_of_its_own() -> None:
    """One that fails says its last line, one that has no time is ended."""
    assert schedule.run_apart(Task("nonsense", CASE), 1e6) == "it failed (1): KeyError: 'nonsense'"
    assert schedule.run_apart(Task("nonsense", CASE), 0.0) == "it took more than 0 s"


# --- the parts, as far as a CPU goes ---


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts measure on the CPU, in no time."""
    from gnet_inspect.runtime.latency import Protocol, improving
    from gnet_inspect.runtime.latency.candidate import Candidate

    steps = improving.steps_of
    monkeypatch.setattr(parts, "DEVICE", "cpu")
    monkeypatch.setattr(parts, "_protocol", lambda _: Protocol(0.02, 2, 1))
    monkeypatch.setattr(Candidate, "_capture", lambda _: None)
    monkeypatch.setattr(improving, "steps_of", lambda setting: [one for one in steps(setting) if one.name != "compile"])


@pytest.mark.usefixtures("on_cpu")
def test_outputs_are_compared_with_the_cpus() -> None:
    """In fp32, in tf32 and in the dtype; in fp32 the CPU differs from itself by nothing."""
    rows = parts.outputs(CASE)
    assert [row.what.split()[2] for row in rows] == ["fp32", "tf32", "bf16"]
    assert rows[0].ours == 0
    assert 0 < rows[2].ours < rows[2].peer
    assert all(row.kept for row in rows)


@pytest.mark.usefixtures("on_cpu")
def test_medians_stand_beside_do_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which gives milliseconds, and is asked for its median."""
    asked = []

    def do_bench(run: Any, **options: Any) -> float:
        run()
        asked.append(options["return_mode"])
        return 2.0

    testing = ModuleType("triton.testing")
    monkeypatch.setattr(testing, "do_bench", do_bench, raising=False)
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    monkeypatch.setitem(sys.modules, "triton.testing", testing)
    beside, graph = parts.medians(CASE)
    assert asked == ["median"] * 3
    assert (beside.peer, beside.unit, beside.least, beside.most) == (2e-3, "s", 0.9, 1.1)
    assert beside.ours == graph.ours > 0
    assert "CUDA graph" in graph.what


@pytest.mark.usefixtures("on_cpu")
def test_layers_without_kernels_are_no_figure() -> None:
    """Hooks or events between layers are not what the table is of."""
    with pytest.raises(RuntimeError, match="the profiler saw no kernels"):
        parts.layers(CASE)


@pytest.mark.usefixtures("on_cpu")
def test_training_and_optimizing_give_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rules beside what was held; the best step beside eager in the same rounds."""
    monkeypatch.setattr("gnet_inspect.runtime.latency.improving.LEAST_GAIN", -1.0)
    rows = parts.training(CASE)
    assert [row.what.rpartition(" ")[2] for row in rows] == ["sgd", "adam"]
    assert rows[0].ours < rows[1].ours
    assert all((row.unit, row.least, row.most) == ("B", 0.9, 1.1) for row in rows)
    (best,) = parts.optimize(Case("lenet5", 1, "fp32"))
    assert (best.what, best.unit, best.least) == (OPTIMIZED, "s", 1)
    monkeypatch.setattr("gnet_inspect.runtime.latency.improving.LEAST_GAIN", 1e9)
    with pytest.raises(RuntimeError, match="no step was kept"):
        parts.optimize(Case("lenet5", 1, "fp32"))


@pytest.mark.parametrize(
    ("name", "sheet"),
    [
        *(("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA H100 PCIe", None), ("NVIDIA H100 NVL", None)),
        *(("NVIDIA H200", "h200"), ("NVIDIA H200 NVL", None), ("NVIDIA A100-SXM4-80GB", "a100")),
        *(("NVIDIA A100-SXM4-40GB", None), ("NVIDIA A100 80GB PCIe", None), ("Tesla T4", "t4"), ("NVIDIA L4", "l4")),
        *(("NVIDIA L40S", None), ("NVIDIA GeForce RTX 4090", "rtx4090"), ("NVIDIA GeForce RTX 4090 D", None)),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
    ],
)
def test_a_data_sheet_is_of_the_same_board(name: str, sheet: str | None) -> None:
    """Not of another of its family, which has other peaks."""
    found = parts.datasheet_of(name)
    assert (None if found is None else found.name) == sheet


def test_calibrated_ceilings_stand_beside_the_data_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that both have; a board without a sheet is told."""
    calibrated = {"bandwidth_bytes_per_s": 3e12, "peak_flops_per_s": {"bf16": 7e14, "fp99": 1.0}}
    monkeypatch.setattr("gnet_inspect.runtime.latency.calibration.calibrate", lambda *_: calibrated)
    properties = SimpleNamespace(name="NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    rows = parts.ceilings(CASE)
    assert [(row.unit, round(row.ratio, 3)) for row in rows] == [("B/s", 0.896), ("FLOP/s", 0.707)]
    properties.name = "NVIDIA X1"
    with pytest.raises(RuntimeError, match="no data sheet of NVIDIA X1"):
        parts.ceilings(CASE)


# --- the document ---


def test_the_document_says_what_the_records_say() -> None:
    """`make gpu` writes both; without a record it says that nothing was measured.

    What is written by hand below says of which run it is, so that it is read again after another.
    """
    text = document.MEASUREMENTS.read_text(encoding="utf-8")
    kept = record.read_records()
    assert document.refreshed(text, kept) == text
    assert ("No figures are kept" in text) == (not kept)
    _, below = text.split(document.END)
    assert all(one.date in below for one in kept)


def test_a_section_has_every_row_and_what_is_missing() -> None:
    """Command, device and date above; figures in their units, limits, and what did not keep them."""
    missing = (Missing(str(CASE), "autotune", "it took more than 240 s"),)
    first = GpuRecord("make gpu", "2026-01-01", DEVICE, (GOOD, BAD, FREE), missing)
    text = document.section([first, msgspec.structs.replace(first, command="make gpu-full", rows=(GOOD,), missing=())])
    for expected in (
        *("`make gpu`, NVIDIA H100 80GB HBM3, torch 2.13.0, CUDA 13.0, driver 580.1, 2026-01-01", "`make gpu-full`"),
        *("980.00 us", "1.00 ms", "0.980", "at least 0.95, at most 1.05", "800.00 MB", "3.01 TB/s"),
        *(
            "0.800  at least 0.9, at most 1.1  NOT KEPT",
            "not measured: autotune of lenet5 at batch 4 in bf16: it took",
        ),
    ):
        assert expected in text
    assert text.isascii()
    with pytest.raises(ValueError, match="expected <!-- gpu"):
        document.refreshed("no marks", [])


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    """The longest name and the longest figures stand apart from what is beside them; a case is one group."""
    fast = Row(
        "NVIDIA H100 SXM 80GB", "peak in tf32, calibrated / data sheet", 399.23e12, 494.5e12, "FLOP/s", most=1.05
    )
    beside = Row(str(CASE), BESIDE, 3.0, 2.5)
    text = document.told(GpuRecord("make gpu-full", "2026-01-01", DEVICE, (GOOD, fast, beside)))
    assert [re.split(" {2,}", line.strip()) for line in text.splitlines() if not line.startswith("-")] == [
        ["what", "ours", "peer", "ratio", "allowed"],
        [str(CASE)],
        [GOOD.what, "980.00 us", "1.00 ms", "0.980", "at least 0.95, at most 1.05"],
        [BESIDE, "3", "2.5", "1.200"],
        [fast.case],
        [fast.what, "399.23 TFLOP/s", "494.50 TFLOP/s", "0.807", "at most 1.05"],
    ]


def test_times_as_fast_as_eager_are_marked_where_eager_waits() -> None:
    """With what its kernels take of all its runs; not where they fill it, nor where no kernels were seen."""
    whole, gain = Row("a", WHOLE, 2e-3, 5e-3, "s"), Row("a", OPTIMIZED, 7e-3, 1e-3, "s")
    busy = Row("b", WHOLE, 4e-3, 5e-3, "s"), Row("b", AUTOTUNED, 5e-3, 1e-3, "s")
    kept = GpuRecord("make gpu-full", "2026-01-01", DEVICE, (Row("a", GRAPH, 4e-3, 2e-3, "s"), whole, gain, *busy))
    text = " ".join(document.told(kept).split())
    assert f" {OPTIMIZED} * 7.00 ms " in text
    assert text.endswith(
        " * a: not how much faster kernels are, because eager is launch-bound: its kernels take 2.00 ms, its "
        "runs 4.00 ms to 7.00 ms"
    )
    assert text.count("*") == 2
    for others in ((gain,), (whole,)):
        assert "*" not in document.told(msgspec.structs.replace(kept, rows=others))


def test_the_command_writes_both_and_exits_by_what_it_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0, 1 where a limit is broken or something is missing, and nothing is written where nothing was measured."""
    page, kept = tmp_path / "measurements.md", tmp_path / "gpu.json"
    page.write_text(f"# Above\n{document.BEGIN}\n{document.END}\nbelow\n", encoding="utf-8")
    monkeypatch.setattr(command, "MEASUREMENTS", page)
    monkeypatch.setattr(record, "RECORDS", {"make gpu": kept})
    monkeypatch.setattr(command, "why_not", lambda: "")
    monkeypatch.setattr("gnet_inspect.runtime.latency.device.describe_device", lambda *_: DEVICE)
    for rows, code in (([], 1), ([GOOD], 0), ([GOOD, BAD], 1)):
        monkeypatch.setattr(command, "run_all", lambda *_, rows=rows: (rows, []))
        assert command.main([]) == code
        assert kept.exists() == bool(rows)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Above\n")
    assert text.endswith("below\n")
    assert "NOT KEPT" in text
    assert msgspec.json.decode(kept.read_bytes(), type=GpuRecord, strict=False).rows == (GOOD, BAD)
    assert "training memory by the rules" in capsys.readouterr().out


def test_without_a_gpu_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and nothing is written or run."""
    monkeypatch.setattr(command, "run_all", lambda *_: pytest.fail("it measured"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments, name in (([], "make gpu"), (["--full"], "make gpu-full")):
        assert command.main(arguments) == 3
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"error: {name} measures on a GPU, and here torch ")
        assert "NVIDIA GPU, its driver" in said.err
        assert len(said.err.splitlines()) == 1
