"""Whether measured times can be trusted, and what optimizing a network brings: on the CPU of this machine."""

from typing import TYPE_CHECKING

from benchmarks.measure import Ratio, milliseconds

if TYPE_CHECKING:
    from gnet_inspect.runtime.latency import Job

BATCHES = (1, 16)


def measure() -> list[Ratio]:
    """The median beside torch's own timer, layers beside the whole, the whole beside its bound and optimized."""
    # Imported here: a parent that holds torch would lend its size to every command measured before.
    import torch

    from gnet_inspect import build_graph, load_spec
    from gnet_inspect.runtime.latency import Job, Protocol, improve_networks
    from gnet_inspect.runtime.latency.setting import Setting

    setting = Setting(threads=torch.get_num_threads())
    spec = load_spec("googlenet_torchvision")
    jobs = [Job(build_graph(spec, (batch, *spec.input)), setting) for batch in BATCHES]
    ratios = [_beside_torch(jobs[0]), *_layers_and_bound(jobs[0])]
    for job, batch in zip(jobs, BATCHES, strict=True):
        record = improve_networks([job], Protocol(3.0, 5, 2), _silent)
        best = [result for result in record.results if result.kept][-1]
        assert best.gain_in_all is not None
        assert best.median_s is not None
        ratios.append(
            Ratio(
                f"eager fp32 / latency --optimize at batch {batch}",
                milliseconds(best.median_s),
                milliseconds(best.median_s * best.gain_in_all.median),
                best.gain_in_all.median,
                "at least",
                1.3,
            )
        )
    return ratios


def _beside_torch(job: "Job") -> Ratio:
    """In turns, five times, and the median of the ratios: this machine is not alone."""
    from statistics import median

    from torch.utils.benchmark import Timer

    from gnet_inspect.records.timing import measurement_times
    from gnet_inspect.runtime.latency.candidate import Candidate
    from gnet_inspect.runtime.latency.protocol import Protocol
    from gnet_inspect.runtime.latency.protocol import measure as time_in_turns

    candidate = Candidate(job.graph, job.setting)
    timer = Timer("run()", globals={"run": candidate.run}, num_threads=job.setting.threads)
    ours, theirs = [], []
    for _ in range(5):
        (timed,) = time_in_turns([candidate], Protocol(2.0, 5, 1), _silent)
        ours.append(measurement_times(timed.rounds)["median_s"])
        theirs.append(timer.blocked_autorange(min_run_time=2.0).median)
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return _either_way("latency's median / torch.utils.benchmark's", median(ours), median(theirs), ratio, 1.05)


def _layers_and_bound(job: "Job") -> list[Ratio]:
    from gnet_inspect.analysis.devices import parse_device
    from gnet_inspect.analysis.roofline import roofline
    from gnet_inspect.runtime.latency import Protocol, time_networks
    from gnet_inspect.runtime.latency.calibration import calibrate, calibration_yaml

    (result,) = time_networks([job], Protocol(5.0, 5, 2), _silent, layers=True).results
    assert result.median_s is not None
    assert result.whole_beside_s is not None
    total = sum(layer.median_s for layer in result.layers)
    text = calibration_yaml(calibrate("cpu", job.setting.threads, 1.0, _silent))
    bound = roofline(job.graph, parse_device(text.encode(), "here.yaml"), "fp32").totals.roofline_s
    return [
        _either_way(
            "sum of the layers' times / the whole",
            total,
            result.whole_beside_s,
            total / result.whole_beside_s,
            1.15,
        ),
        Ratio(
            "the network's roofline here / its measured time",
            milliseconds(bound),
            milliseconds(result.median_s),
            bound / result.median_s,
            "at most",
            1,
        ),
    ]


def _either_way(what: str, ours: float, theirs: float, ratio: float, limit: float) -> Ratio:
    """A ratio that may be neither too large nor too small."""
    return Ratio(what, milliseconds(ours), milliseconds(theirs), max(ratio, 1 / ratio), "at most", limit)


def _silent(_: float, __: str) -> None:
    """No progress."""
