"""A recipe of what is given, with what is usual for the rest."""

from collections.abc import Mapping
from typing import Any

from gnet_inspect.errors import UsageError
from gnet_inspect.records.training import (
    BATCH,
    CLIP,
    CONSTANT,
    EPOCHS,
    INIT,
    OPTIMIZER,
    OWN_INIT,
    RATE,
    SCHEDULE,
    SEED,
    WARMUP_SHARE,
    WEIGHT_DECAY,
    Recipe,
)
from gnet_inspect.runtime.training.data.batches import measure_channels
from gnet_inspect.runtime.training.data.sets import DataSet
from gnet_inspect.runtime.training.networks import Trainee


def make_recipe(model: str, trainee: Trainee, data: DataSet, given: Mapping[str, Any]) -> Recipe:
    """The recipe of a new run; `given` are its fields that were said, already read. Raises UsageError where they do not
    fit together."""
    epochs, schedule = given.get("epochs", EPOCHS), given.get("schedule", SCHEDULE)
    usual: dict[str, Any] = {
        "epochs": epochs,
        "batch": BATCH,
        "lr": RATE,
        "optimizer": OPTIMIZER,
        "schedule": schedule,
        "warmup": 0.0 if schedule == CONSTANT else epochs * WARMUP_SHARE,
        "weight_decay": WEIGHT_DECAY,
        "clip": CLIP,
        "init": INIT if trainee.is_spec else OWN_INIT,
        "seed": SEED,
    }
    found = usual | dict(given)
    recipe = Recipe(
        model=model,
        data=data.name,
        input=trainee.input,
        classes=len(data.classes),
        class_names=data.classes,
        left_edits=trainee.edits,
        heads=dict(trainee.heads or {}),
        crop=data.crop,
        **as_kept(found | _statistics(found, trainee.input[0], data), trainee.input[0]),
    )
    if recipe.warmup > recipe.epochs:
        raise UsageError(f"--warmup: expected at most the {recipe.epochs} epochs of the run, got {recipe.warmup:g}")
    return recipe


def _statistics(given: Mapping[str, Any], channels: int, data: DataSet) -> dict[str, tuple[float, ...]]:
    """Mean and deviation of the network's channels: as given, else as the images have them."""
    found: dict[str, Any] = {"mean": given.get("mean"), "deviation": given.get("deviation")}
    if None in found.values():
        measured = dict(zip(found, measure_channels(data.train or data.val, channels), strict=True))
        found = {name: measured[name] if value is None else value for name, value in found.items()}
    for name, value in found.items():
        if len(value) not in (1, channels):
            raise UsageError(f"--{name}: expected {channels} numbers, one for each channel, got {len(value)}")
    return found


def as_kept(given: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """Fields that were said, as a recipe keeps them: clipping at 0 is none, and of channels each has its number."""
    kept = dict(given)
    if "clip" in kept:
        kept["clip"] = kept["clip"] or None
    for name in ("mean", "deviation"):
        if len(kept.get(name) or ()) == 1:
            kept[name] = tuple(kept[name]) * channels
    return kept
