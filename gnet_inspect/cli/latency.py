"""`gnet-inspect latency`: measured time and memory of built networks."""

import gc
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options, signals
from gnet_inspect.cli.synonyms import OPTIONAL_VALUES
from gnet_inspect.errors import INSTALL_TORCH, MissingError, UsageError

if TYPE_CHECKING:
    from gnet_inspect.cli.models import Variant
    from gnet_inspect.records.timing import TimingRecord
    from gnet_inspect.runtime.latency import Bounds, Job, Protocol
    from gnet_inspect.runtime.latency.setting import Setting

LAYER_DEPTHS = ("stage", "block", "branch", "layer", "kind")


def latency(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Built-in names or paths of specs. Several are timed in turns, and compared with the first.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="auto|cpu|cuda[:N]|mps",
            help="auto is a GPU where there is one; several, as cpu,cuda, are measured one after the other.",
        ),
    ] = "auto",
    batch: Annotated[
        str | None,
        typer.Option("--batch", metavar="N,N,...", help="Batch sizes: 1,8,64. Default: 1.", show_default=False),
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", metavar="fp32|tf32|fp16|bf16", help="What is computed in.")] = "fp32",
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Channels last in memory (NHWC).")] = False,
    compiled: Annotated[
        str | None,
        typer.Option(
            "--compile", metavar="MODE", help="torch.compile in a mode: default, max-autotune, ...", show_default=False
        ),
    ] = None,
    cuda_graph: Annotated[bool, typer.Option("--cuda-graph", help="Replay a CUDA graph.")] = False,
    threads: options.Threads = None,
    mode: Annotated[
        str, typer.Option("--mode", metavar="eval|train", help="train times a whole step, with the heads.")
    ] = "eval",
    optimizer: Annotated[
        str, typer.Option("--optimizer", metavar="sgd|momentum|adam", help="Of a training step.")
    ] = "sgd",
    layers: Annotated[bool, typer.Option("--layers", help="Each layer's time inside the whole network, too.")] = False,
    depth: Annotated[
        str, typer.Option("--depth", metavar="stage|block|branch|layer|kind", help="How --layers are grouped.")
    ] = "block",
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="At least so many runs of each.")] = 10,
    warmup: Annotated[int, typer.Option("--warmup", metavar="N", help="At least so many runs before.")] = 3,
    min_time: Annotated[float, typer.Option("--min-time", metavar="SECONDS", help="At least so long for each.")] = 2.0,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="DEVICE",
            help="The device's ceilings, for the least time of each layer: a name `roofline` knows, or a file that "
            "`calibrate` wrote.",
            show_default=False,
        ),
    ] = None,
    optimize: Annotated[
        bool,
        typer.Option(
            "--optimize",
            help="Make each network faster step by step, keeping its output: batch norm folded, convolutions merged, "
            "concat in place, channels last, bf16, torch.compile, a CUDA graph.",
        ),
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep the record, as JSON.", show_default=False)
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Compare with a record that was kept.", show_default=False),
    ] = None,
    any_device: Annotated[
        bool, typer.Option("--any-device", help="Let --against compare measurements of different devices.")
    ] = False,
    inputs: options.Input = None,
    edits: options.Set = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    frozen: options.Freeze = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Measured time and memory: whole networks, in turns, and layer by layer.

    The modules have random weights and images. Progress is told on standard error.

    What its columns mean: gnet-inspect glossary --of latency

    Example: gnet-inspect latency googlenet alexnet --batch 1,8 --layers
    """
    from gnet_inspect.cli.models import need_runnable
    from gnet_inspect.cli.output import emit, say
    from gnet_inspect.cli.several import Result, emit_results
    from gnet_inspect.records.timing import Stopped, read_record
    from gnet_inspect.views.json import draw_json
    from gnet_inspect.views.tables.latency import latency_grids, latency_rows

    options.table_format(style, output)
    options.one_of("--depth", depth, LAYER_DEPTHS)
    options.positive("--repeat", repeat)
    options.check_threads(threads)
    options.check_min_time(min_time)
    if warmup < 0:
        raise UsageError(f"--warmup: expected 0 or more, got {warmup}")
    _check_layers(mode, compiled, layers=layers, optimize=optimize, cuda_graph=cuda_graph)
    need_runnable(models, "latency", frozen)
    kept = read_record(against, "--against") if against is not None else None
    need_torch("latency")
    options.one_edited(models, edits)
    if frozen and mode != "train":
        raise UsageError("--freeze: expected --mode train, because at inference nothing is trained")
    flags = options.Flags(inputs, None, mode, edits, resize, frozen, None, arguments, function)
    variants = options.read_variants(models, flags, _batches(batch))
    graphs = [variant.graph for variant in variants]
    settings = [
        _setting(name, dtype, channels_last, compiled, cuda_graph, threads, mode, optimizer)
        for name in dict.fromkeys(options.split_words(device) or (device,))
    ]
    # Told before anything is timed: a dtype without a peak, a record of another device, no place to save.
    bounds = _bounds(on, dtype)
    if bounds is not None:
        bounds(graphs[0])
    for flag, given in (("--save", save), ("--against", against)):
        if given is not None and len(settings) > 1:
            raise UsageError(f"{flag}: a record is of one device, got {len(settings)}. (run it for each)")
    if kept is not None:
        _check_device(settings[0], kept, str(against), any_device)
    _check_folder(save)
    records: list[TimingRecord] = []
    interrupted = False
    try:
        for setting in settings:
            amounts = (min_time, repeat, warmup)
            records.append(_measure(variants, setting, amounts, bounds, layers=layers, optimize=optimize))
    except Stopped as stopped:
        records += [stopped.record] if stopped.record.results else []
        # While it builds or warms up there is nothing to show yet.
        if not records:
            raise
        interrupted = True
    emit_results(
        [
            Result(
                record,
                partial(latency_grids, record, graphs, depth, kept),
                partial(latency_rows, record),
                {"device": setting.device},
            )
            for record, setting in zip(records, settings, strict=False)
        ],
        style,
        output,
    )
    if interrupted:
        say("interrupted: what is above was measured before" + (", nothing is saved" if save else ""))
        raise typer.Exit(130)
    if save is not None:
        emit(draw_json(records[0]), save)


def _check_layers(mode: str, compiled: str | None, *, layers: bool, optimize: bool, cuda_graph: bool) -> None:
    """Refuse flags that exclude each other."""
    if layers and (mode == "train" or compiled is not None or cuda_graph):
        raise UsageError(
            "--layers times the layers of an eager inference: expected no --mode train, --compile, --cuda-graph"
        )
    if optimize and (layers or mode == "train"):
        raise UsageError(
            "--optimize makes inference faster: expected no --mode train, and --layers in a run of its own"
        )


def _check_folder(save: Path | None) -> None:
    if save is not None and not Path(os.path.realpath(save)).parent.is_dir():
        raise UsageError(f"--save: expected a file in a folder that exists, got {str(save)!r}")


def _check_device(setting: "Setting", kept: "TimingRecord", file: str, any_device: bool) -> None:
    from gnet_inspect.records.timing import TimingRecord
    from gnet_inspect.runtime.latency.device import describe_device
    from gnet_inspect.views.tables.latency import check_devices

    here = TimingRecord((), device=describe_device(setting.device, setting.threads))
    check_devices(here, kept, file, any_device)


def need_torch(command: str) -> None:
    """Raise MissingError without torch; with it, collect garbage again."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingError(f"{command} needs torch, which is not installed. Install it with: {INSTALL_TORCH}")
    signals.check()
    gc.enable()


def _batches(text: str | None) -> list[int | None]:
    """The batch sizes of --batch; None is the default."""
    if text is None:
        return [None]
    words = options.split_words(text)
    if not words or not all(word.isdecimal() and 0 < int(word) < 10**9 for word in words):
        raise UsageError(f"--batch: expected positive integers such as 1,8,64, got {text!r}")
    return [int(word) for word in dict.fromkeys(words)]


def _setting(
    device: str,
    dtype: str,
    channels_last: bool,
    compiled: str | None,
    cuda_graph: bool,
    threads: int | None,
    mode: str,
    optimizer: str,
) -> "Setting":
    import torch

    from gnet_inspect.analysis.training import OPTIMIZERS
    from gnet_inspect.runtime.latency.setting import DTYPES, Setting, pick_device

    options.one_of("--dtype", dtype, tuple(DTYPES))
    options.one_of("--optimizer", optimizer, tuple(OPTIMIZERS))
    if compiled is not None:
        options.one_of("--compile", compiled, OPTIONAL_VALUES["--compile"])
    return Setting(
        pick_device(device),
        dtype,
        channels_last,
        compiled,
        cuda_graph,
        mode,
        optimizer,
        threads or torch.get_num_threads(),
    )


def _bounds(on: str | None, dtype: str) -> "Bounds | None":
    """The least times on a device whose ceilings are known."""
    if on is None:
        return None
    from gnet_inspect.analysis.devices import load_device
    from gnet_inspect.analysis.roofline import roofline

    device = load_device(on)

    return lambda graph: roofline(graph, device, dtype)


def _planned(jobs: "list[Job]", protocol: "Protocol", *, layers: bool, optimize: bool) -> float:
    """The seconds that the timing itself takes at least; building, warming up and compiling come on top."""
    from gnet_inspect.runtime.latency import planned_seconds

    if optimize:
        return sum(planned_seconds(job.setting, protocol) for job in jobs)
    return len(jobs) * protocol.min_time * (2 if layers else 1)


def _measure(
    variants: "list[Variant]",
    setting: "Setting",
    amounts: tuple[float, int, int],
    bounds: "Bounds | None",
    *,
    layers: bool,
    optimize: bool,
) -> "TimingRecord":
    from gnet_inspect.cli.progress import show_progress
    from gnet_inspect.runtime.latency import Job, Protocol, improve_networks, time_networks

    min_time, repeat, warmup = amounts
    protocol = Protocol(min_time, repeat, warmup)
    jobs = [Job(variant.graph, setting, variant.traced) for variant in variants]
    with show_progress(_planned(jobs, protocol, layers=layers, optimize=optimize)) as progress:
        if optimize:
            return improve_networks(jobs, protocol, progress, bounds=bounds)
        return time_networks(jobs, protocol, progress, layers=layers, bounds=bounds)
