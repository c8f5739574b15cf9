"""Runs' folders for tests, written as `train` writes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.records.runs import best_epoch, epochs_text, recipe_text
from gnet_inspect.records.training import (
    CONFIG_FILE,
    METRICS_FILE,
    SPEC_FILE,
    Confusion,
    Epoch,
    Evaluation,
    Memory,
    Mistaken,
    Recipe,
    TrainedRun,
)

# A network of two layers, at the size of handwritten digits.
SPEC = """name: {name}
title: {title}
input: [1, 8, 8]
stages:
  features:
    conv: {{Conv2d: {{out_channels: {channels}, kernel_size: 3}}}}
    relu: ReLU
  classifier:
    flatten: Flatten
    fc: {{Linear: {{out_features: 10}}}}
"""
EPOCHS = (
    Epoch(1, 12, 0.1, 2.25, 2.0, 0.25),
    Epoch(2, 24, 0.075, 1.5, 1.25, 0.75),
    Epoch(3, 36, 0.05, 1.0, 0.875, 0.9375),
    Epoch(4, 48, 0.025, 0.75, 0.9, 0.9375),
)


def recipe(**others: Any) -> Recipe:
    """A recipe of five epochs on digits."""
    said: dict[str, Any] = {
        "model": "small",
        "data": "digits",
        "input": (1, 8, 8),
        "classes": 10,
        "epochs": 5,
        "batch": 128,
        "optimizer": "SGD",
        "lr": 0.1,
        "schedule": "CosineAnnealingLR",
        "init": "he",
        "seed": 0,
        "optimizer_options": {"momentum": 0.9},
        "weight_decay": 1e-4,
    }
    return Recipe(**{**said, **others})


def write_run(
    folder: Path,
    lines: tuple[Epoch, ...] = EPOCHS,
    *,
    spec: str | None = "small",
    title: str = "Small",
    channels: int = 4,
    **others: Any,
) -> str:
    """Write a run's folder, without weights, and give its path."""
    folder.mkdir(parents=True)
    (folder / CONFIG_FILE).write_text(recipe_text(recipe(**others)), encoding="utf-8")
    (folder / METRICS_FILE).write_text(epochs_text(lines), encoding="utf-8")
    if spec is not None:
        text = SPEC.format(name=spec, title=title, channels=channels)
        (folder / SPEC_FILE).write_text(text, encoding="utf-8")
    return str(folder)


def trained(epochs: tuple[Epoch, ...] = EPOCHS, **others: Any) -> TrainedRun:
    """What `train` tells of such a run, with others of its facts."""
    said: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "folder": "runs/small",
        "recipe": recipe(),
        "title": "Small",
        "params": 1_490,
        "trainable_params": 1_490,
        "train_images": 1_437,
        "val_images": 360,
        "epochs": epochs,
        "best": best_epoch(epochs),
        "device": "cpu",
        "threads": 2,
        "memory": Memory(128, 1_250_000, 1_500_000),
        "seconds": 12.5,
        "finished": False,
    }
    return TrainedRun(**{**said, **others})


def evaluation(matrix: Sequence[Sequence[int]], names: Sequence[str], worst: tuple[Mistaken, ...] = ()) -> Evaluation:
    """What `evaluate` tells of images that were taken for classes so: rows are labels. The loss is made up."""
    images = sum(map(sum, matrix))
    right = [row[place] for place, row in enumerate(matrix)]
    called = [sum(row[place] for row in matrix) for place in range(len(matrix))]
    classes = tuple(
        Confusion(name, sum(row), right[place] / sum(row) if sum(row) else None, _over(right[place], called[place]))
        for place, (name, row) in enumerate(zip(names, matrix, strict=True))
    )
    return Evaluation(
        schema_version=SCHEMA_VERSION,
        run="runs/small",
        title="Small",
        data="digits",
        split="val",
        weights="best.safetensors",
        images=images,
        loss=0.0625,
        accuracy=sum(right) / images,
        top5_accuracy=1.0 if len(names) > 5 else None,
        classes=classes,
        confusion=tuple(map(tuple, matrix)),
        worst=worst,
    )


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def matrix(classes: int, images: int = 10) -> list[list[int]]:
    """Of each class most images are recognised, and some taken for the next classes: of the last none is missed."""
    rows = [[0] * classes for _ in range(classes)]
    for label in range(classes):
        missed = (label * 7) % 4 if label + 2 < classes else 0
        rows[label][label] = images - missed
        if missed:
            rows[label][label + 1] = missed - missed // 3
            rows[label][label + 2] += missed // 3
    return rows
