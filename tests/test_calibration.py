"""Measured ceilings: what `calibrate` writes and refuses, and what is said of layers above a roof."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gnet_inspect.analysis.devices import load_device
from gnet_inspect.records.timing import (
    LayerTiming,
    Measurement,
    TimingRecord,
)
from gnet_inspect.views.tables.latency import latency_grids
from tests.conftest import Run

torch = pytest.importorskip("torch")


from gnet_inspect.runtime.latency import (  # noqa: E402  # needs torch
    calibration,
)
from tests.clocks import FakeCandidate, FakeClock  # noqa: E402
from tests.timing import FAST  # noqa: E402


def small(monkeypatch: pytest.MonkeyPatch, waited: float | None = 0.0, slower: float = 1.0) -> None:
    """Makes calibrating quick, on a machine that is as quiet as is said: every second run takes `slower` times as long.

    A copy or sum moves 1 GB/s, a product computes 1 GFLOP/s.
    """
    monkeypatch.setitem(calibration.SIDES, "cpu", (64, 128))
    monkeypatch.setitem(calibration.DTYPES, "cpu", ("fp32", "bf16"))
    monkeypatch.setitem(calibration.COPIED_BYTES, "cpu", 2**20)
    monkeypatch.setattr("gnet_inspect.runtime.latency.waiting.waited_share", lambda _: waited)

    def ceiling(self: Any, work: int, run: Any, note: str, parts: int = 1) -> calibration.Ceiling:
        run()
        clock = FakeClock()
        fake = FakeCandidate(clock, lambda number: work / 1e9 * (1 if number % 3 == 0 else slower))
        taker = calibration._Taker("cpu", 1, self.seconds, clock)
        return original(taker, work, fake.run, note, parts)

    original = calibration._Taker.ceiling
    monkeypatch.setattr(calibration._Taker, "ceiling", ceiling)


def test_calibrating_writes_a_device_that_can_be_used(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ceilings with their spread; `roofline` and `latency` read them."""
    small(monkeypatch, waited=0.02, slower=1.1)
    path = tmp_path / "here.yaml"
    assert run("calibrate", "--device", "cpu", "--min-time", "0.1", "-o", str(path)).code == 0
    device = load_device(str(path))
    assert device.kind == "measured"
    assert device.peak_flops_per_s == pytest.approx({"fp32": 1e9, "bf16": 1e9}, rel=1e-3)
    assert device.bandwidth_bytes_per_s == pytest.approx(1e9, rel=1e-3)
    assert device.spread == pytest.approx(dict.fromkeys(("bandwidth_bytes_per_s", "fp32", "bf16"), 1.1), rel=1e-3)
    assert "threads waited for a processor in 2.0 % of the time" in device.source
    result = run("latency", "lenet5", "--on", str(path), "--layers", "--format", "json", *FAST)
    (found,) = json.loads(result.out)["results"]
    assert found["roofline_s"] > 0
    assert all(layer["roofline_s"] is not None for layer in found["layers"])
    assert {layer["bound"] for layer in found["layers"]} == {"compute", "memory", "none"}
    assert "% of roofline" in run("latency", "lenet5", "--on", str(path), "--layers", *FAST).out
    said = run("roofline", "lenet5", "--on", str(path)).out
    assert "measured peaks" in said
    assert "the middle one took 1.10 x as long" in said
    refused = run("latency", "lenet5", "--on", str(path), "--dtype", "fp16", *FAST)
    assert (refused.code, refused.out) == (2, "")
    assert "expected a dtype that" in refused.err


@pytest.mark.parametrize(
    ("waited", "slower", "message"),
    [
        (0.75, 1.0, "its threads waited for a processor in 75 % of the time"),
        (0.0, 1.4, "took 1.40 x the best one"),
        (None, 1.4, "the middle run of a large "),
    ],
)
def test_a_busy_machine_is_not_calibrated(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waited: float | None, slower: float, message: str
) -> None:
    """Refused after the first thing that shows it, and nothing is written; --any-noise writes it, with what it is."""
    small(monkeypatch, waited, slower)
    path = tmp_path / "here.yaml"
    arguments = ("calibrate", "--device", "cpu", "--min-time", "0.1", "-o", str(path))
    refused = run(*arguments)
    assert (refused.code, refused.out, path.exists()) == (3, "", False)
    assert message in refused.err
    assert "--any-noise" in refused.err
    assert "multiplying" not in refused.err
    assert run(*arguments, "--any-noise").code == 0
    assert load_device(str(path)).spread["fp32"] == pytest.approx(slower, rel=1e-3)


@pytest.mark.parametrize(("waited", "spread"), [(None, 1.0), (0.1, 1.25), (0.0, 1.0)])
def test_a_quiet_machine_is_calibrated(waited: float | None, spread: float) -> None:
    """Up to the limits, and where the system tells nothing of waiting."""
    calibration.check_quiet({"fp32": calibration.Ceiling(1e9, "a product", spread)}, waited)


def test_calibrating_really_measures(run: Run) -> None:
    """On this machine, however busy it is: every figure is there, and none is absurd."""
    import yaml

    arguments = ("calibrate", "--device", "cpu", "--min-time", "0.02", "--any-noise")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(calibration.SIDES, "cpu", (256,))
        patch.setitem(calibration.DTYPES, "cpu", ("fp32",))
        patch.setitem(calibration.COPIED_BYTES, "cpu", 2**24)
        found = yaml.safe_load(run(*arguments).out)
    assert 0 < found["peak_flops_per_s"]["fp32"] < 1e16
    assert 0 < found["bandwidth_bytes_per_s"] < 1e14
    assert set(found["spread"]) == {"fp32", "bandwidth_bytes_per_s"}
    assert all(spread >= 1 for spread in found["spread"].values())


def test_layers_above_the_roof_are_told() -> None:
    """By what bounds them, for the two have other reasons; and the whole network, which nothing excuses."""
    timings = (
        LayerTiming("conv1", 1e-3, "Conv2d", 1.54e-3, "compute"),
        LayerTiming("conv2", 1e-3, "Conv2d", 1.2e-3, "compute"),
        LayerTiming("relu", 1e-3, "ReLU", 2e-3, "memory"),
        LayerTiming("fc", 1e-3, "Linear", 1e-3, "compute"),
        LayerTiming("flatten", 1e-6, "Flatten", 0.0, "none"),
        LayerTiming("old", 1e-3, "Conv2d"),
    )
    result = Measurement("a", 1, "fp32", "eager", 5e-3, layers=timings, roofline_s=6e-3)
    (table,) = latency_grids(TimingRecord((result,)), [], "block")
    said = [line for line in table.below if line.startswith("above the roof")]
    assert [layer.above_roof for layer in timings] == [True, True, True, False, False, False]
    assert len(said) == 3
    assert "2 layers of a at batch 1 bound by compute" in said[0]
    assert "conv1 most (154 % of roofline)" in said[0]
    assert "1 layer of a at batch 1 bound by memory" in said[1]
    assert "less than the least time of 6.00 ms" in said[2]
    below = msgspec.structs.replace(result, roofline_s=4e-3, layers=timings[3:])
    assert not any("above the roof" in line for line in latency_grids(TimingRecord((below,)), [], "block")[0].below)


def test_calibrating_answers_mistakes(run: Run) -> None:
    """In one line."""
    for arguments, message in (
        (("--min-time", "0"), "--min-time: expected seconds above 0"),
        (("--threads", "0"), "--threads: expected a positive integer"),
        (("--device", "tpu"), "--device: expected auto, cpu"),
    ):
        result = run("calibrate", *arguments)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
