"""How runs and layers are timed: the protocol, a GPU's events and kernels, waiting threads, and the time left."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gnet_inspect.cli.progress import TimeLeft, show_progress
from gnet_inspect.records.timing import (
    LayerTiming,
    Measurement,
    TimingRecord,
    measurement_times,
)
from gnet_inspect.views.tables.latency import latency_grids

torch = pytest.importorskip("torch")

from torch.autograd import DeviceType  # type: ignore[attr-defined]  # noqa: E402
from torch.profiler import ProfilerActivity  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from gnet_inspect.runtime.latency import (  # noqa: E402  # needs torch
    Job,
    Protocol,
    improve_networks,
    improving,
    layers,
    time_networks,
)
from gnet_inspect.runtime.latency import protocol as protocols  # noqa: E402
from gnet_inspect.runtime.latency import result as results  # noqa: E402
from gnet_inspect.runtime.latency.candidate import Candidate  # noqa: E402
from gnet_inspect.runtime.latency.layers import SPAN, kernel_seconds, time_layers  # noqa: E402
from gnet_inspect.runtime.latency.profiling import busy_seconds, profiled_events  # noqa: E402
from gnet_inspect.runtime.latency.protocol import Interrupted, measure, warm_up  # noqa: E402
from gnet_inspect.runtime.latency.setting import Setting  # noqa: E402
from gnet_inspect.runtime.latency.waiting import ProcessorTime, processor_time  # noqa: E402
from tests.clocks import FakeCandidate, FakeClock, FakeEvent  # noqa: E402
from tests.timing import QUICK, lenet, silent  # noqa: E402

ALL_STEPS = improving.steps_of


# --- the protocol ---


def test_candidates_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round times each once, there and back, after all are warm."""
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    clock, diary = FakeClock(), list[str]()
    fakes = [FakeCandidate(clock, 0.001, "a", diary), FakeCandidate(clock, 0.002, "b", diary)]
    timed = measure(fakes, Protocol(0.05, 2, 1, clock), silent)  # type: ignore[arg-type]
    assert [len(one.rounds) for one in timed] == [5, 5]
    turns = [name for name, before in zip(diary, ["", *diary[:-1]], strict=True) if name != before]
    assert turns == ["a", "b", "a", "b", "a", "b"]  # a b, b a, a b, b a, a b
    for one, seconds in zip(timed, (0.001, 0.002), strict=True):
        assert [median(taken) for taken in one.rounds] == pytest.approx([seconds] * 5)


def test_enough_runs_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """More rounds where five do not have the runs that were asked for."""
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    clock = FakeClock()
    (timed,) = measure([FakeCandidate(clock, 0.02)], Protocol(0.02, 20, 0, clock), silent)  # type: ignore[list-item]
    assert sum(timed.runs) >= 20
    assert len(timed.rounds) > 5


def test_rounds_last_as_long_as_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the least time each, by the clock."""
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    clock = FakeClock()
    (timed,) = measure([FakeCandidate(clock, 0.01)], Protocol(2.0, 1, 0, clock), silent)  # type: ignore[list-item]
    assert len(timed.rounds) == 5
    assert 200 <= sum(timed.runs) <= 210


@pytest.mark.parametrize(("asked", "made"), [(1, 8), (12, 12)])
def test_warming_up_ends_when_runs_no_longer_get_faster(asked: int, made: int) -> None:
    """At least as often as was asked for, and twice the window."""
    clock = FakeClock()
    assert warm_up(FakeCandidate(clock), Protocol(warmup=asked, clock=clock)) == made  # type: ignore[arg-type]


def test_warming_up_goes_on_while_runs_get_faster() -> None:
    """Each run a fifth shorter than the one before, up to the twentieth: the windows behind that are at rest."""
    clock = FakeClock()
    fake = FakeCandidate(clock, lambda run: 0.05 * 0.8 ** min(run, 20))
    runs = warm_up(fake, Protocol(warmup=1, clock=clock))  # type: ignore[arg-type]
    assert 20 < runs <= 28


def test_warming_up_ends_at_last() -> None:
    """Of a network whose runs get faster for ever, after twenty seconds."""
    clock = FakeClock()
    fake = FakeCandidate(clock, lambda run: 3 * 0.9**run)
    assert warm_up(fake, Protocol(clock=clock)) == fake.runs  # type: ignore[arg-type]
    assert 20 <= clock.now < 23


def test_an_interrupt_keeps_whole_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each candidate as many, so that they can be compared."""
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    monkeypatch.setattr(protocols, "_time_on_host", lambda fake, *_: (fake.run() or [0.001], 1))
    clock, diary = FakeClock(), list[str]()
    fakes = [FakeCandidate(clock, 0, "a", diary), FakeCandidate(clock, 0, "b", diary, stop_after=2)]
    with pytest.raises(Interrupted) as stopped:
        measure(fakes, QUICK, silent)  # type: ignore[arg-type]
    assert diary == ["a", "b", "b", "a", "a", "b"]
    for one in stopped.value.timed:
        assert (len(one.rounds), len(one.runs), len(one.waited)) == (2, 2, 2)


def test_the_median_is_that_of_torchs_own_timer() -> None:
    """On the same runs by the same clock; `make bench` compares them on the clock of the machine."""
    from torch.utils.benchmark import Timer

    def seconds(run: int) -> float:
        return 0.01 + 0.001 * (run % 7)

    clocks = FakeClock(), FakeClock()
    ours, theirs = (FakeCandidate(clock, seconds) for clock in clocks)
    (timed,) = measure([ours], Protocol(5.0, 5, 1, clocks[0]), silent)  # type: ignore[list-item]
    timer = Timer("run()", globals={"run": theirs.run}, num_threads=1, timer=clocks[1])
    found = measurement_times(timed.rounds)["median_s"]
    assert found == pytest.approx(timer.blocked_autorange(min_run_time=5.0).median, rel=0.01)
    assert found == pytest.approx(0.013)


def test_a_gpu_is_timed_by_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair around each run, the first run untimed; milliseconds become seconds, and the round ends in time."""
    clock = FakeClock()
    monkeypatch.setattr(protocols, "_event", lambda: FakeEvent(clock))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    fake = FakeCandidate(clock, 0.004, device="cuda:0")
    times = protocols.event_seconds(fake.run, "cuda:0", 5)
    assert times == pytest.approx([0.004] * 5)
    assert fake.runs == 6
    (timed,) = measure([fake], Protocol(2.0, 10, 3, clock), silent)  # type: ignore[list-item]
    assert measurement_times(timed.rounds)["median_s"] == pytest.approx(0.004)
    assert 1.9 < 0.004 * sum(timed.runs) < 2.1


def kernel_event(name: str, *kernels: tuple[str, float], children: Any = ()) -> Any:
    """An event of the profiler: its own kernels with their microseconds, and the events inside it."""
    launched = [SimpleNamespace(name=kernel, duration=duration) for kernel, duration in kernels]
    return SimpleNamespace(name=name, kernels=launched, cpu_children=list(children), device_type=DeviceType.CPU)


def test_a_layers_time_is_that_of_its_kernels() -> None:
    """All inside its span, however deep; not the span's own mark on the GPU, which holds gaps, nor other layers'."""
    inner = kernel_event("aten::cudnn_convolution", ("implicit_gemm", 30.0), ("Memset (Device)", 2.0))
    conv = kernel_event("aten::conv2d", children=[inner])
    bias = kernel_event("aten::add_", ("elementwise", 8.0))
    span = kernel_event(f"{SPAN}a.conv", (f"{SPAN}a.conv", 500.0), children=[conv, bias])
    slower = kernel_event(f"{SPAN}a.conv", children=[kernel_event("aten::conv2d", ("implicit_gemm", 60.0))])
    slowest = kernel_event(f"{SPAN}a.conv", children=[kernel_event("aten::conv2d", ("implicit_gemm", 90.0))])
    view = kernel_event(f"{SPAN}flatten", children=[kernel_event("aten::view")])
    mark = kernel_event(f"{SPAN}a.conv")
    mark.device_type = DeviceType.CUDA
    others = [
        mark,
        mark,
        kernel_event("aten::conv2d", ("implicit_gemm", 7e6)),
        kernel_event(f"{SPAN}stranger", ("k", 1.0)),
    ]
    found = kernel_seconds([span, slower, slowest, view, *others], ["a.conv", "flatten", "never"])
    assert found == pytest.approx({"a.conv": 60e-6, "flatten": 0.0, "never": 0.0})


def test_spans_lie_around_the_layers_in_torchs_own_record() -> None:
    """On the CPU the profiler has no kernels, but the same spans: one for each layer and run, its operation inside."""
    candidate = Candidate(lenet(), Setting())
    with (
        layers._hooks(candidate, layers._Spans()),
        torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profile,
    ):
        for _ in range(3):
            candidate.run()
    spans = [event for event in profile.events() if event.name.startswith(SPAN)]
    names = [event.name.removeprefix(SPAN) for event in spans]
    assert names == 3 * [node.name for node in candidate.graph.nodes]
    for event, name in zip(spans, names, strict=True):
        kind = next(node.op.kind for node in candidate.graph.nodes if node.name == name)
        operation = {"Conv2d": "aten::conv2d", "Linear": "aten::linear", "Tanh": "aten::tanh"}.get(kind)
        inside = [child.name for child in event.cpu_children]
        assert operation is None or operation in inside
        assert all(hasattr(event, attribute) for attribute in ("kernels", "time_range", "is_user_annotation"))
    assert not any(module._forward_hooks for module in candidate.module.modules())


def test_a_gpu_is_busy_while_its_kernels_run() -> None:
    """Events of the GPU alone, without the marks that spans leave there."""

    def event(device: Any, microseconds: float, mark: bool = False) -> Any:
        time_range = SimpleNamespace(elapsed_us=lambda: microseconds)
        return SimpleNamespace(device_type=device, time_range=time_range, is_user_annotation=mark)

    cuda, cpu = DeviceType.CUDA, DeviceType.CPU
    assert busy_seconds([event(cuda, 5.0), event(cuda, 7.0), event(cuda, 900.0, True), event(cpu, 80.0)]) == 12e-6


# What torch 2.11 says on an H100, as it says it.
CLEARED = (
    "Warning: Profiler clears events at the end of each cycle.Only events from the current cycle will be reported."
    "To keep events across cycles, set acc_events=True."
)
ADVICE = (
    "TensorFloat32 tensor cores for float32 matrix multiplication available but not enabled. "
    "Consider setting `torch.set_float32_matmul_precision('high')` for better performance."
)


@contextmanager
def heard() -> Iterator[list[str]]:
    """The warnings that reach whoever calls."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True, action="always") as found:
        yield texts
    texts += [str(one.message) for one in found]


@pytest.mark.parametrize(("text", "reaching"), [(CLEARED, []), ("something else", ["something else"])])
def test_profiling_once_is_silent_on_cycles(monkeypatch: pytest.MonkeyPatch, text: str, reaching: list[str]) -> None:
    """Of one cycle nothing is lost; what else it warns of is heard."""

    @contextmanager
    def profile(**_: Any) -> Iterator[Any]:
        warnings.warn(text, stacklevel=2)
        yield SimpleNamespace(events=lambda: ["event"])

    monkeypatch.setattr(torch.profiler, "profile", profile)
    runs: list[int] = []
    with heard() as texts:
        assert profiled_events(lambda: runs.append(1), "cpu", 3) == ["event"]
    assert len(runs) == 3
    assert texts == reaching


@pytest.mark.parametrize(("text", "reaching"), [(ADVICE, []), ("something else", ["something else"])])
def test_compiling_takes_no_advice_on_precision(
    monkeypatch: pytest.MonkeyPatch, text: str, reaching: list[str]
) -> None:
    """The setting says how fp32 is multiplied; what else the compiler warns of is heard."""

    def compiled(module: Any, **_: Any) -> Any:
        def run(*given: Any) -> Any:
            warnings.warn(text, stacklevel=2)
            return module(*given)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    with heard() as texts:
        candidate = Candidate(lenet(), Setting(compiled="default"))
    assert candidate.compile_s is not None
    assert texts == reaching


@pytest.mark.parametrize("seen", [True, False])
def test_layers_on_a_gpu_are_timed_by_kernels_or_it_is_said(monkeypatch: pytest.MonkeyPatch, seen: bool) -> None:
    """Where the profiler may not look at the GPU there are events between layers, and the table says so."""
    clock = FakeClock()
    candidate = Candidate(lenet(), Setting())
    candidate.setting = Setting("cuda:0")
    names = [node.name for node in candidate.graph.nodes]
    spans = [kernel_event(SPAN + name, children=[kernel_event("aten::x", ("k", 10.0))]) for name in names]
    monkeypatch.setattr(layers, "profiled_events", lambda *_: spans if seen else [])
    monkeypatch.setattr(layers, "event_seconds", lambda *_: [0.25])
    monkeypatch.setattr(layers, "synchronize", lambda _: None)
    monkeypatch.setattr(layers._CudaClock, "_now", staticmethod(lambda: recorded(clock)))
    found = time_layers(candidate, 0.0, clock)
    assert found.by == ("kernels" if seen else "events")
    assert list(found.seconds) == names
    assert found.seconds[names[0]] == pytest.approx(10e-6 if seen else 1e-3)
    timings = tuple(LayerTiming(name, seconds) for name, seconds in found.seconds.items())
    result = Measurement("a", 1, "fp32", "eager", 0.25, layers=timings, layers_by=found.by, whole_beside_s=found.plain)
    below = "\n".join(latency_grids(TimingRecord((result,)), [], "block")[0].below)
    assert ("sum of the layers' kernels" in below) == seen
    assert ("what waits for the program is in it" in below) != seen


def recorded(clock: FakeClock) -> FakeEvent:
    """An event a millisecond after the one before."""
    clock.sleep(0.001)
    event = FakeEvent(clock)
    event.record()
    return event


# --- a GPU's memory ---


class FakeAllocator:
    """torch's on a GPU, in bytes: what is held, the most of it, and a workspace for each thread that has multiplied."""

    WORKSPACE = 2**25

    def __init__(self) -> None:
        self.held = self.most = 1000
        self.threads: set[str] = set()

    def multiply(self, *threads: str) -> None:
        self.held += self.WORKSPACE * len(set(threads) - self.threads)
        self.threads |= set(threads)
        self.most = max(self.most, self.held)

    def forget_most(self) -> None:
        self.most = self.held


def test_a_networks_memory_does_not_depend_on_what_ran_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first network of a process is not charged with the workspaces that all products after it use, too."""
    allocator = FakeAllocator()

    class Training:
        inputs = ((),)

        def __init__(self, *_: Any, **__: Any) -> None:
            allocator.held += 400

        def run(self) -> None:
            allocator.multiply("forward", "autograd")

    monkeypatch.setattr(results, "Candidate", Training)
    monkeypatch.setattr(results, "_make_workspaces", lambda _: allocator.multiply("forward", "autograd"))
    for function in ("release", "synchronize"):
        monkeypatch.setattr(results, function, lambda _: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: allocator.held)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: allocator.most)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: allocator.forget_most())
    job = Job(lenet(), Setting("cuda:0", mode="train"))
    peaks = [results.build_candidate(job)[1] for _ in range(2)]
    assert peaks == [400, 400]


@pytest.mark.parametrize(("mode", "products"), [("eval", ["addmm"]), ("train", ["addmm", "mm"])])
def test_workspaces_are_made_by_products_in_the_dtype(mode: str, products: list[str]) -> None:
    """Forward, and in training backward, as the network's own."""
    found: list[tuple[str, Any]] = []

    class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = function.overloadpacket.__name__
            if name in ("addmm", "mm"):
                found.append((name, args[0].dtype))
            return function(*args, **(kwargs or {}))

    with Products():  # type: ignore[no-untyped-call]
        results._make_workspaces(Setting(dtype="bf16", mode=mode))
    assert found == [(name, torch.bfloat16) for name in products]


# --- threads that wait ---


def stat(folder: Path, *lines: str) -> Path:
    """A folder such as /proc/self/task."""
    for number, line in enumerate(lines):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "schedstat").write_text(line)
    return folder


def test_waiting_threads_are_counted(tmp_path: Path) -> None:
    """Nanoseconds of all threads; the share is of the time since then."""
    before = processor_time(stat(tmp_path / "a", "1000000000 0 5\n", "2000000000 500000000 6\n"))
    assert before == ProcessorTime(3.0, 0.5)
    after = ProcessorTime(4.0, 3.5)
    assert after.share_since(before) == 0.75
    assert after.share_since(after) is None
    assert after.share_since(None) is None
    assert processor_time(tmp_path / "none") is None
    assert processor_time(stat(tmp_path / "b", "nothing\n")) is None
    (tmp_path / "c" / "1").mkdir(parents=True)
    assert processor_time(tmp_path / "c") is None


def test_a_machine_that_is_busy_all_the_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although all runs take as long as each other."""
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    monkeypatch.setattr("gnet_inspect.runtime.latency.waiting.waited_share", lambda _: 0.4)
    record = time_networks([Job(lenet(), Setting())], QUICK, silent)
    assert record.results[0].waited_share == 0.4
    even = msgspec.structs.replace(record.results[0], p10_s=1.0, p90_s=1.0)
    assert even.noisy
    (table,) = latency_grids(TimingRecord((even,)), [], "block")
    assert any("noisy: threads waited for a processor in 40 % of the time of lenet5" in line for line in table.below)
    assert not msgspec.structs.replace(even, waited_share=0.05).noisy
    assert not msgspec.structs.replace(even, waited_share=None).noisy


# --- the time left ---


def test_the_time_left_follows_how_fast_it_goes() -> None:
    """What was planned, then corrected by what the done part took; never negative."""
    clock = FakeClock()
    left = TimeLeft(100.0, clock)
    assert (left.seconds(), left.text()) == (100.0, "about 2 min left")
    left.advance(10)
    clock.sleep(30)  # warming up and compiling took twenty seconds that nobody planned
    assert left.seconds() == pytest.approx(270)
    left.advance(60)
    clock.sleep(40)
    assert (left.seconds(), left.text()) == (30.0, "about 30 s left")
    left.advance(1000)
    assert (left.seconds(), left.text()) == (0.0, "")


def test_time_is_told_with_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    """Each thing once; what says nothing advances the plan alone."""
    clock = FakeClock()
    with show_progress(40.0, clock) as tell:
        for seconds, text in ((0.0, "building"), (10.0, "timing a"), (10.0, "timing a"), (10.0, ""), (0.0, "timing b")):
            tell(seconds, text)
            clock.sleep(seconds)
    assert capsys.readouterr().err.splitlines() == [
        "building (about 40 s left)",
        "timing a (about 40 s left)",
        "timing b (about 10 s left)",
    ]


def test_steps_use_up_what_was_planned_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they are timed, have nothing to do or are not possible: at the end nothing is left."""
    planned = improving.planned_seconds(Setting(), QUICK)
    assert planned == pytest.approx(QUICK.min_time * (1 + 3 * 6))
    monkeypatch.setattr(protocols, "warm_up", lambda *_: 0)
    monkeypatch.setattr(protocols, "_time_on_host", lambda *_: ([0.001], 1))
    steps = [improving.Step("fail", None, {"device": "none"}), *ALL_STEPS(Setting())[:-1]]
    monkeypatch.setattr(improving, "steps_of", lambda _: steps)
    spent: list[float] = []
    improve_networks([Job(lenet(), Setting())], QUICK, lambda seconds, _: spent.append(seconds))
    assert sum(spent) == pytest.approx(improving.planned_seconds(Setting(), QUICK))
