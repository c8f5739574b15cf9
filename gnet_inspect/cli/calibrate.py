"""`gnet-inspect calibrate`: this machine's two ceilings, for `roofline --on FILE`."""

from typing import Annotated

import typer

from gnet_inspect.cli import options


def calibrate(
    device: options.Device = "auto",
    threads: options.Threads = None,
    min_time: Annotated[
        float, typer.Option("--min-time", metavar="SECONDS", help="For each thing that is measured.")
    ] = 2.0,
    any_noise: Annotated[
        bool, typer.Option("--any-noise", help="Write what was measured on a machine that is busy, too.")
    ] = False,
    output: options.Output = None,
) -> None:
    """Measure this machine's peaks: memory, and matrix products.

    A large copy and a large sum say how fast memory is, square matrix products in each dtype how fast it multiplies.
    The result is the YAML that `roofline --on FILE` and `latency --on FILE` read. On a busy machine there is nothing to
    measure: where runs differ too much, or threads wait for a processor, nothing is written.

    Example: gnet-inspect calibrate -o here.yaml
    """
    from gnet_inspect.cli.latency import need_torch
    from gnet_inspect.cli.output import emit
    from gnet_inspect.cli.progress import show_progress

    options.check_ending(output, "yaml")
    options.check_threads(threads)
    options.check_min_time(min_time)
    need_torch("calibrate")
    import torch

    from gnet_inspect.runtime.latency.calibration import DTYPES, calibration_yaml
    from gnet_inspect.runtime.latency.calibration import calibrate as measure
    from gnet_inspect.runtime.latency.setting import pick_device

    picked = pick_device(device)
    expected = min_time * (2 + len(DTYPES[picked.partition(":")[0]]))
    with show_progress(expected) as progress:
        record = measure(picked, threads or torch.get_num_threads(), min_time, progress, any_noise=any_noise)
    emit(calibration_yaml(record), output)
