"""`gnet-inspect train`: a network learns from labelled images, heads and all."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options, signals
from gnet_inspect.errors import UsageError, show
from gnet_inspect.records.training import (
    BATCH,
    CLIP,
    CONSTANT,
    DATA,
    EPOCHS,
    INIT,
    OPTIMIZER,
    OWN_INIT,
    RATE,
    SCHEDULE,
    SEED,
    WEIGHT_DECAY,
)

if TYPE_CHECKING:
    from gnet_inspect.cli.recipes import Asked
    from gnet_inspect.records.training import Epoch
    from gnet_inspect.runtime.training.folder import RunFolder
    from gnet_inspect.runtime.training.loop import Place, Watch
    from gnet_inspect.runtime.training.runs import Job, Ready

INTERRUPTED = 130


def train(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A built-in name (see `gnet-inspect list`), the path of a YAML spec, or a module in Python: "
            "torchvision:NAME, timm:NAME, ./file.py:NAME; with --resume the folder of a run.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="digits|mnist:DIR|fashion-mnist:DIR|DIR",
            help="Labelled images: scikit-learn's digits, files of MNIST or Fashion-MNIST, or a folder with train/ and "
            f"val/ that have a folder for each class. Default: {DATA}.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="RUN", help="The folder of the run.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run was stopped: train --resume RUN.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help=f"Default: {EPOCHS}.", show_default=False)
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            metavar="N",
            help=f"Images a step, on all devices together. Default: {BATCH}.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--lr", metavar="RATE", help=f"The learning rate. Default: {RATE}.", show_default=False),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="NAME",
            help="By torch's name: SGD, Adam, AdamW, ...; with arguments 'SGD: {momentum: 0.9}'. Default: "
            f"{OPTIMIZER}.",
            show_default=False,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="NAME",
            help="By torch's name: CosineAnnealingLR, StepLR, OneCycleLR, ..., or constant; with arguments 'StepLR: "
            "{step_size: 8, gamma: 0.96}', lengths in epochs. Default: "
            f"{SCHEDULE}.",
            show_default=False,
        ),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            "--warmup",
            metavar="EPOCHS",
            help=f"The rate grows from 0 for so long. Default: a twentieth of all, and none for {CONSTANT}.",
            show_default=False,
        ),
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            metavar="D",
            help=f"Of weights, not of norms and biases. Default: {WEIGHT_DECAY}.",
            show_default=False,
        ),
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(
            "--clip",
            metavar="NORM",
            help=f"The largest norm of all gradients together, 0 for any. Default: {CLIP:g}.",
            show_default=False,
        ),
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option("--label-smoothing", metavar="S", help="From 0 to 1. Default: 0.", show_default=False),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            "--ema",
            metavar="DECAY",
            help="Evaluate and keep an exponential moving average of the weights, as 0.999.",
            show_default=False,
        ),
    ] = None,
    head_weight: Annotated[
        float | None,
        typer.Option(
            "--head-weight",
            metavar="W",
            help="What each auxiliary head's loss counts; 0 leaves heads out. Default: what the spec says.",
            show_default=False,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="he|xavier|paper|torch|own",
            help=f"How weights begin. Default: {INIT}; of a module in Python {OWN_INIT}, as it is made.",
            show_default=False,
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from", metavar="FILE", help="Begin from weights: .pth, .pt or .safetensors.", show_default=False
        ),
    ] = None,
    leave: Annotated[
        str | None,
        typer.Option(
            "--leave",
            metavar="A,B,...",
            help="Parts that --init-from leaves alone: heads, fc, ...",
            show_default=False,
        ),
    ] = None,
    frozen: options.Freeze = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            metavar="A,B,...",
            help="flip, crop, patch, color; paper is GoogLeNet's: patch, flip and color. Default: none.",
            show_default=False,
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            "--mean",
            metavar="M,...",
            help="Of each channel, from 0 to 1. Default: that of the images.",
            show_default=False,
        ),
    ] = None,
    deviation: Annotated[
        str | None,
        typer.Option("--deviation", metavar="S,...", help="Of each channel, likewise.", show_default=False),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SIZE",
            help="96 or 3x96x96. Default: the spec's own; images are resized.",
            show_default=False,
        ),
    ] = None,
    resize: Annotated[
        bool | None,
        typer.Option(
            "--resize/--no-resize",
            help="Whether the network takes as many channels as the images have (the default), or images get "
            "as many as it takes.",
            show_default=False,
        ),
    ] = None,
    edits: options.Set = None,
    arguments: options.Arguments = None,
    amp: Annotated[
        str | None,
        typer.Option("--amp", metavar="fp16|bf16", help="Mixed precision.", show_default=False),
    ] = None,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Channels last in memory (NHWC).")] = False,
    compiled: Annotated[
        str | None, typer.Option("--compile", metavar="MODE", help="torch.compile in a mode.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help=f"Of all that is random. Default: {SEED}.", show_default=False),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Processes that read images; the result is the same.")
    ] = 0,
    save_every: Annotated[
        int, typer.Option("--save-every", metavar="STEPS", help="How often a state is kept, beside each epoch's end.")
    ] = 500,
    style: options.Format = "table",
) -> None:
    """Train a network on labelled images, into a folder to go on from.

    The loss is the cross entropy of the scores and, by its weight, of each auxiliary head; heads are no part of what is
    evaluated. Killed anywhere and resumed, a run comes to the same weights and the same metrics.csv, on a CPU to the
    bit. Several devices: torchrun --nproc-per-node N -m gnet_inspect train ...

    What its columns mean: gnet-inspect glossary --of train

    Example: gnet-inspect train googlenet --data digits --input 64 -o run
    """
    from gnet_inspect.cli.latency import need_torch
    from gnet_inspect.cli.recipes import Asked

    options.table_format(style, None)
    options.positive("--save-every", save_every)
    options.check_threads(threads)
    options.check_workers(workers)
    asked = Asked(
        model=model,
        data=data,
        size=inputs,
        resize=resize,
        head_weight=head_weight,
        edits=tuple(edits or ()),
        arguments=tuple(arguments or ()),
        numbers={
            "epochs": epochs,
            "batch": batch,
            "lr": rate,
            "warmup": warmup,
            "weight_decay": decay,
            "clip": clip,
            "label_smoothing": smoothing,
            "ema": ema,
            "seed": seed,
        },
        words={
            "optimizer": optimizer,
            "schedule": schedule,
            "init": init,
            "init_from": None if init_from is None else str(init_from),
            "leave": leave,
            "freeze": tuple(frozen) if frozen else None,
            "augment": augment,
            "mean": mean,
            "deviation": deviation,
            "amp": amp,
            "channels_last": channels_last or None,
            "compile": compiled,
        },
    )
    asked.check()
    folder, goes_on = _folder_of(model, output, resume=resume)
    need_torch("train")
    _train(asked, folder, _place(device, threads, workers, save_every), goes_on=goes_on, style=style)


def _folder_of(model: str | None, output: Path | None, *, resume: bool) -> tuple[Path, bool]:
    """(the run's folder, whether a run goes on there)."""
    from gnet_inspect.records.runs import is_run
    from gnet_inspect.runtime.training.keeping import LIST

    if not resume:
        if output is None:
            raise UsageError(
                "-o: expected the folder of the run, got none. (gnet-inspect train MODEL --data digits -o run)"
            )
        if model is None:
            raise UsageError("expected a MODEL to train, got none. (gnet-inspect list shows the built-in ones)")
        return output, False
    folder = output if output is not None else None if model is None else Path(model)
    if folder is None:
        raise UsageError("--resume: expected the folder of a run, got none. (gnet-inspect train --resume RUN)")
    # A list alone is a run that a kill met while its folder was laid out.
    if is_run(folder) or (folder / LIST).is_file():
        return folder, True
    if output is None or model is None:
        raise UsageError(f"--resume: expected the folder of a run, got {show(str(folder))}, which holds none")
    # The same line begins a run and goes on with it: what restarts jobs need not know which.
    return folder, False


def _place(device: str, threads: int | None, workers: int, save_every: int) -> "Place":
    """Where it runs: of several processes each has the GPU of its number."""
    import torch

    from gnet_inspect.runtime.latency.setting import pick_device
    from gnet_inspect.runtime.training.loop import Place
    from gnet_inspect.runtime.training.parallel import team_of_environment

    team = team_of_environment()
    picked = pick_device(device)
    if team.size > 1 and picked.startswith("cuda"):
        picked = pick_device(f"cuda:{team.local}")
        torch.cuda.set_device(picked)
    return Place(picked, threads or 0, workers, save_every, team)


class Talk:
    """What is said of a run while it lasts, on standard error; nothing by processes that do not lead."""

    def __init__(self, tell: Callable[[float, str], None], *, leads: bool) -> None:
        self._tell, self._leads = tell, leads

    def say(self, text: str) -> None:
        """A line."""
        if self._leads:
            from gnet_inspect.cli.output import say

            say(text)

    def watch(self) -> "Watch":
        """Who is told of steps and epochs, and asked whether to stop."""
        from gnet_inspect.runtime.training.loop import Watch

        return Watch(self._tell, self._say_epoch, signals.came)

    def _say_epoch(self, epoch: "Epoch") -> None:
        self.say(
            f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, validation loss {epoch.val_loss:.4f}, accuracy "
            f"{epoch.val_accuracy:.4f}"
        )


def _tell_nobody(_: float, __: str) -> None:
    """Of a process that does not lead."""


def _train(asked: "Asked", path: Path, place: "Place", *, goes_on: bool, style: str) -> None:
    """Train, tell of it, and show what came of it."""
    from gnet_inspect.cli.output import emit_result, say
    from gnet_inspect.cli.progress import show_work
    from gnet_inspect.runtime.training.loop import StoppedError
    from gnet_inspect.runtime.training.parallel import joined
    from gnet_inspect.runtime.training.runs import result_of, run_training
    from gnet_inspect.views.tables.run import run_grids, run_rows

    alone, leads = place.team.size == 1, place.team.leads
    timing, stopped = None, False
    with joined(place.team, place.device):
        job, folder = _job(asked, path, place, goes_on=goes_on)
        with show_work(float(_steps(job))) if leads else nullcontext(_tell_nobody) as tell:
            talk = Talk(tell, leads=leads)
            tell(0, f"preparing {job.recipe.data}")
            ready = _ready(job, folder, talk, goes_on=goes_on)
            try:
                # Between two steps it is asked whether a signal came: weights that are half updated are no state.
                with signals.Held() if alone else nullcontext():
                    timing = run_training(ready)
            except StoppedError:
                stopped = True
    if leads:
        result = result_of(ready, path, timing)
        emit_result(result, style, None, partial(run_grids, result), partial(run_rows, result))
    if stopped:
        step = ready.training.position.step
        say(f"interrupted: the state of step {step:,} is kept. (gnet-inspect train --resume {quote(str(path))})")
        raise typer.Exit(INTERRUPTED)


def _job(asked: "Asked", path: Path, place: "Place", *, goes_on: bool) -> "tuple[Job, RunFolder]":
    """What is trained, and its folder; the number of threads is that of the run's beginning unless another is given."""
    import torch

    from gnet_inspect.cli.recipes import begin_recipe, resume_recipe
    from gnet_inspect.runtime.training.folder import RunFolder
    from gnet_inspect.runtime.training.parallel import first_by_one
    from gnet_inspect.runtime.training.runs import Job

    folder = RunFolder(path)
    if goes_on:
        # What a kill left half written is put in order by one process, before any of them reads.
        first_by_one(place.team, folder.settle)
    begun = resume_recipe(asked, path) if goes_on else begin_recipe(asked)
    threads = place.threads or (folder.threads() if goes_on else None) or torch.get_num_threads()
    torch.set_num_threads(threads)
    return Job(*begun, place._replace(threads=threads)), folder


def _steps(job: "Job") -> int:
    """The steps of the whole run."""
    from gnet_inspect.runtime.training.data.batches import batches_per_epoch

    assert job.data.train is not None
    return job.recipe.epochs * batches_per_epoch(len(job.data.train), job.recipe.batch)


def _ready(job: "Job", folder: "RunFolder", talk: Talk, *, goes_on: bool) -> "Ready":
    """The run before its next step, with its folder laid out, and what is to be known of it said."""
    from gnet_inspect.runtime.training.runs import begin, resume

    ready = resume(job, folder, talk.watch()) if goes_on else begin(job, folder, talk.watch())
    for note in (*job.trainee.notes, *ready.notes):
        talk.say(note)
    if ready.memory is not None:
        from gnet_inspect.units import byte_count

        talk.say(f"a step keeps {byte_count(ready.memory.predicted_bytes)} at batch {ready.memory.batch}, by the rules")
    position = ready.training.position
    if position.step:
        talk.watch().tell(float(position.step), f"going on at step {position.step:,}")
        talk.say(f"going on at step {position.step:,} of {_steps(job):,}")
    return ready
