"""What torch's profiler saw of a GPU: https://docs.pytorch.org/docs/stable/profiler.html."""

import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity

from gnet_inspect.runtime.latency.candidate import synchronize


def profiled_events(run: Callable[[], object], device: str, runs: int) -> list[Any]:
    """torch's FunctionEvents of so many runs, of the host and of the GPU."""
    # Before CUDA 12.6 CUPTI must not be torn down while a CUDA graph lives, see torch.profiler's own workaround.
    os.environ.update(TEARDOWN_CUPTI="0", DISABLE_CUPTI_LAZY_REINIT="1")
    with warnings.catch_warnings():
        # torch 2.11 says so of a profile that is used once, too, though one cycle loses no events; 2.13 does not.
        warnings.filterwarnings("ignore", "Warning: Profiler clears events at the end of each cycle", UserWarning)
        with torch.profiler.profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profile:
            for _ in range(runs):
                run()
            synchronize(device)
    return list(profile.events() or ())


def busy_seconds(events: Iterable[Any]) -> float:
    """How long the kernels took, without the gaps in between.

    Only what ran on the GPU counts, and of that not the marks that spans leave there ("user annotations"), which hold
    kernels and gaps. Times of the profiler are in microseconds.
    """
    return (
        sum(
            float(event.time_range.elapsed_us())
            for event in events
            if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
        )
        / 1e6
    )
