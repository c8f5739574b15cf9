"""What `sweep` measures, on which device, and who does."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

if TYPE_CHECKING:
    from gnet_inspect.graph import Graph
    from gnet_inspect.search.cluster import Cluster
    from gnet_inspect.search.measuring import Meter, Times

MEASURES = ("latency",)
# Those that are counted and run alike.
DTYPES = ("fp32", "fp16", "bf16")
Tell = Callable[[float, str], None]


class Talk(NamedTuple):
    """Who is told of proposals."""

    say: Any
    tell: Any


class Measuring(NamedTuple):
    """What the flags say of it: of which networks (those of a front, so many `points` of it, or so many that are
    proposed), where, and for how long."""

    measure: str | None
    propose: int | None
    device: str
    threads: int | None
    min_time: float
    points: int

    def check(self, objectives: Sequence[str], dtype: str, *, here: bool) -> None:
        """Refuse what cannot be measured, `here` or on a cluster, and what needs measuring where nothing is."""
        from gnet_inspect.search.result import LATENCY

        if self.measure == "accuracy":
            raise UsageError(
                "--measure: expected latency, got accuracy, which takes training: sweep does not train yet"
            )
        if self.measure is not None:
            options.one_of("--measure", self.measure, MEASURES)
        elif LATENCY in objectives:
            raise UsageError(
                f"{LATENCY}: expected --measure latency, which measures it. (layers_s is a time that is only counted)"
            )
        options.positive("--propose", self.propose)
        if self.propose is not None and (self.measure is None or LATENCY not in objectives):
            raise UsageError(
                f"--propose: expected --measure latency and {LATENCY} among the objectives, because what needs no "
                "measuring is counted in full"
            )
        options.check_threads(self.threads)
        options.check_min_time(self.min_time)
        if self.measure is None:
            return
        options.one_of("--dtype", dtype, DTYPES)
        if here:
            from gnet_inspect.cli.latency import need_torch

            need_torch("sweep --measure")
            from gnet_inspect.runtime.latency.setting import pick_device

            pick_device(self.device)

    def progress(self) -> AbstractContextManager[Tell]:
        """Tells of the timing, which is planned in seconds."""
        from gnet_inspect.cli.progress import show_progress

        # Those that are shown, and the spec itself.
        return show_progress((self.points + 1 + (self.propose or 0)) * self.min_time, lines=False)

    def meter(self, dtype: str, mode: str, cluster: "Cluster | None", tell: Tell) -> "Meter":
        """Who measures: this process, or the workers of a cluster that declare devices."""
        from gnet_inspect.search.measuring import Here, There

        measure = partial(
            time_in_turns,
            device=self.device,
            dtype=dtype,
            mode=mode,
            threads=self.threads,
            min_time=self.min_time,
        )
        return Here(partial(measure, tell=tell)) if cluster is None else There(cluster, measure)


def time_in_turns(
    graphs: "Sequence[Graph]",
    *,
    device: str,
    dtype: str,
    mode: str,
    threads: int | None,
    min_time: float,
    tell: Tell | None = None,
) -> "Times":
    """The median seconds of each network, by the protocol of `latency`: all of them in turns, on one device."""
    import torch

    from gnet_inspect.runtime.latency import Job, Protocol, time_networks
    from gnet_inspect.runtime.latency.setting import Setting, pick_device
    from gnet_inspect.search.measuring import Times

    setting = Setting(pick_device(device), dtype, mode=mode, threads=threads or torch.get_num_threads())
    record = time_networks([Job(graph, setting) for graph in graphs], Protocol(min_time), tell or _tell_nobody)
    assert len(record.results) == len(graphs)
    name = str(record.device.get("name") or "")
    seconds = [result.median_s or 0.0 for result in record.results]
    return Times(seconds, f"{setting.device} ({name})", sum(result.noisy for result in record.results))


def _tell_nobody(_: float, __: str) -> None:
    """Where nobody looks."""
