"""A run from its recipe to its result: begun, gone on with, and told of."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from msgspec.structs import replace
from torch import nn

from gnet_inspect.errors import UsageError
from gnet_inspect.graph.freezing import nothing_met, parts_with
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.training import Memory, Recipe, TrainedRun
from gnet_inspect.runtime.latency.device import PeakMemory, describe_device
from gnet_inspect.runtime.latency.session import explain_out_of_memory
from gnet_inspect.runtime.training.data.batches import Source, Views
from gnet_inspect.runtime.training.data.sets import DataSet
from gnet_inspect.runtime.training.folder import RunFolder
from gnet_inspect.runtime.training.initial import initialize
from gnet_inspect.runtime.training.loop import Place, Training, Watch
from gnet_inspect.runtime.training.losses import check_scores
from gnet_inspect.runtime.training.memory import check_fits
from gnet_inspect.runtime.training.networks import HEAD_WEIGHT, Trainee, check_batch_norm
from gnet_inspect.runtime.training.parallel import check_batch
from gnet_inspect.runtime.weights import load_weights


class Job(NamedTuple):
    """What is trained on what, how and where."""

    recipe: Recipe
    trainee: Trainee
    data: DataSet
    place: Place


class Ready(NamedTuple):
    """A training that can run, with what was predicted of its memory, and what is to be said before."""

    training: Training
    job: Job
    memory: Memory | None
    # What the process held before there was a network.
    before: int
    notes: tuple[str, ...]


def views_of(recipe: Recipe) -> Views:
    """How images of the data become inputs of the network."""
    return Views(
        size=(recipe.input[1], recipe.input[2]),
        channels=recipe.input[0],
        augment=recipe.augment,
        mean=recipe.mean,
        deviation=recipe.deviation,
        crop=recipe.crop,
        seed=recipe.seed,
    )


def begin(job: Job, folder: RunFolder | None = None, watch: Watch = Watch()) -> Ready:  # noqa: B008  # a constant
    """A new run before its first step, its folder laid out. Raises UsageError for what does not fit together and for a
    folder that is taken, MissingError for what does not fit into memory."""
    ready = _ready(job, folder, watch, begins=True)
    if folder is not None and job.place.team.leads:
        folder.begin(ready.job.recipe, job.trainee.spec or None, environment_of(job.place))
        folder.log("begin", **environment_of(job.place))
    return ready


def resume(job: Job, folder: RunFolder, watch: Watch = Watch()) -> Ready:  # noqa: B008  # a constant
    """A run where its last state left it, in a folder that was put in order."""
    team, state = job.place.team, folder.load()
    ready = _ready(job, folder, watch, begins=state is None)
    if state is not None:
        ready.training.restore(state, *folder.load_tensors())
    if team.leads:
        folder.restore_epochs(ready.training.epochs)
        folder.log("resume", step=ready.training.position.step, **environment_of(job.place))
    if state is None:
        return ready._replace(notes=(*ready.notes, "no state was kept yet: it begins anew"))
    return ready._replace(notes=(*ready.notes, *_changes(state, job.place)))


def _changes(state: Mapping[str, Any], place: Place) -> list[str]:
    """What is not as it was, and changes last digits."""
    was = {"threads": place.threads, "processes": place.team.size, "torch": str(torch.__version__)}
    return [
        f"it was begun with {name} {state[name]}, and goes on with {now}: sums are added in another order, and results "
        "are equal within rounding, no longer to the bit"
        for name, now in was.items()
        if state.get(name) not in (None, now)
    ]


def _ready(job: Job, folder: RunFolder | None, watch: Watch, *, begins: bool) -> Ready:
    recipe, trainee, data, place = job
    check_batch(recipe.batch, place.team)
    if data.train is None:
        raise UsageError(f"--data: expected images to train on, got {data.name} with none")
    memory = _predict(job)
    views = views_of(recipe)
    train, val = Source(data.train, views, training=True), Source(data.val, views, training=False)
    before = held_bytes(place.device)
    torch.manual_seed(recipe.seed)
    module = trainee.build()
    initialize(module, recipe.init, recipe.seed, recipe.classes)
    if trainee.heads is None:
        freeze_module(module, recipe.freeze)
        recipe = recipe if recipe.heads else replace(recipe, heads=_heads_of(module, recipe, trainee))
    notes = list(_load(module, recipe)) if begins else []
    module = module.to(place.device)
    if recipe.channels_last:
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it alone
    training = Training(recipe, module, train, val, place, folder, watch)
    return Ready(training, job._replace(recipe=recipe), memory, before, tuple(notes))


def _predict(job: Job) -> Memory | None:
    """The memory of a step, where the network's graph is known; a batch that does not fit is refused."""
    team = job.place.team
    if job.trainee.graph is None:
        return None
    # A module in Python is traced for it.
    graph = cache(job.trainee.graph)
    rows = job.recipe.batch // team.size
    if team.size == 1:
        check_batch_norm(graph(rows))
    return check_fits(graph, job.recipe, rows, job.place.device)


def _heads_of(module: nn.Module, recipe: Recipe, trainee: Trainee) -> dict[str, float]:
    """The heads of a module that only a run shows, each with the weight that is given or the paper's; and a check that
    all gives scores."""
    probe = copy.deepcopy(module).train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = check_scores(probe(torch.zeros(2, *recipe.input)), 2, recipe.classes)
    weight = HEAD_WEIGHT if trainee.head_weight is None else trainee.head_weight
    return dict.fromkeys(found, weight)


def _load(module: nn.Module, recipe: Recipe) -> list[str]:
    """Begin from a file's weights, where there is one."""
    if recipe.init_from is None:
        return []
    leave: Any = "heads" if recipe.leave == ("heads",) else recipe.leave
    try:
        loaded = load_weights(module, recipe.init_from, leave=leave)
    except UsageError as error:
        error.say_of("--init-from")
        raise
    left = f", {len(loaded.left)} left" if loaded.left else ""
    return [f"begins from {recipe.init_from}: {len(loaded.loaded)} tensors loaded{left}", *loaded.notes]


def freeze_module(module: nn.Module, parts: Sequence[str]) -> None:
    """Freeze the parameters of parts of a module, as `graph.freezing.freeze` does those of a Graph."""
    met: set[str] = set()
    for name, parameter in module.named_parameters():
        found = parts_with(name, parts)
        if found:
            parameter.requires_grad_(False)
            met.update(found)
    for part in parts:
        if part not in met:
            raise nothing_met(part, (name for name, _ in module.named_parameters()))


def held_bytes(device: str) -> int:
    """What the process holds already; on a GPU nothing, where a peak is of the allocator alone."""
    if device.startswith("cuda"):
        return 0
    import psutil

    return int(psutil.Process().memory_info().rss)


class Timing(NamedTuple):
    """What running took."""

    seconds: float
    measured_bytes: int | None


def run_training(ready: Ready) -> Timing:
    """Run to the end, and say what that took. Raises as `Training.run` does, and MissingError where memory ends.

    On a CPU what was measured is by how much the whole process grew, of which a share may have been there to be used
    again; on a GPU what torch's allocator held.
    """
    training, device = ready.training, ready.training.place.device
    peak, started = PeakMemory(device), perf_counter()
    with explain_out_of_memory(f"a step at batch {training.recipe.batch}", device, "--amp bf16"):
        training.run()
    most = peak.read()
    return Timing(perf_counter() - started, None if most is None else max(most - ready.before, 0))


def result_of(ready: Ready, folder: Path | None, timing: Timing | None) -> TrainedRun:
    """What a run has come to."""
    recipe, trainee, data, place = ready.job
    training = ready.training
    parameters = list(training.module.parameters())
    memory = ready.memory
    if memory is not None and timing is not None:
        memory = Memory(memory.batch, memory.predicted_bytes, timing.measured_bytes)
    return TrainedRun(
        schema_version=SCHEMA_VERSION,
        folder="" if folder is None else str(folder),
        recipe=recipe,
        title=trainee.title,
        params=sum(parameter.numel() for parameter in parameters),
        trainable_params=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        train_images=len(data.train or ()),
        val_images=len(data.val),
        epochs=tuple(training.epochs),
        best=training.best,
        device=place.device,
        threads=place.threads,
        devices=place.team.size,
        memory=memory,
        seconds=None if timing is None else timing.seconds,
        finished=len(training.epochs) == recipe.epochs,
        notes=(*trainee.notes, *ready.notes),
    )


def environment_of(place: Place) -> dict[str, Any]:
    """What a run runs on."""
    return {**describe_device(place.device, place.threads), "workers": place.workers, "processes": place.team.size}
