"""What `train` and `evaluate` produce, as a run's folder holds it. The fields are the JSON contract.

A run's folder has config.yaml (a `Recipe`), spec.yaml (the network as it is trained, where it is a spec), metrics.csv
(an `Epoch` a line), environment.json, log.jsonl (what depends on the clock), last.safetensors and best.safetensors, and
the rest of the state. Reading it needs no torch.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from gnet_inspect.display import Shown

# The columns of metrics.csv, in their order; nothing in it depends on the clock.
METRICS = ("epoch", "step", "lr", "train_loss", "val_loss", "val_accuracy")
# The files of a run's folder.
SPEC_FILE, CONFIG_FILE, METRICS_FILE = "spec.yaml", "config.yaml", "metrics.csv"
ENVIRONMENT_FILE, LOG_FILE = "environment.json", "log.jsonl"
LAST_FILE, BEST_FILE, BARE_FILE = "last.safetensors", "best.safetensors", "best_without_heads.safetensors"
STATE_FILE, TENSORS_FILE = "state.json", "state.safetensors"

# What is usual where nothing is said: docs/training.md says by which runs. GoogLeNet learns with these, with BatchNorm
# and without.
DATA, EPOCHS, BATCH, SEED = "digits", 10, 32, 0
OPTIMIZER, RATE, WEIGHT_DECAY, CLIP = "AdamW", 0.001, 1e-4, 1.0
SCHEDULE, WARMUP_SHARE, CONSTANT = "CosineAnnealingLR", 0.05, "constant"
# Of a spec, and of a module in Python, whose weights may have been learned.
INIT, OWN_INIT = "he", "own"

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Recipe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides what a run comes to, but for the number of threads: config.yaml.

    `input` is C x H x W. `optimizer` and `schedule` are torch's names, their further arguments beside them; lengths of
    a schedule and of the warm-up are in epochs. `heads` are the weights of the auxiliary heads' losses. `data` is as it
    was given, `mean` and `deviation` are of each channel of images from 0 to 1. `edits` are those that were asked for,
    `left_edits` the ones among them that spec.yaml has not, because the language cannot say what comes of them.
    """

    model: str
    data: str
    input: tuple[int, ...]
    classes: Count
    epochs: Count
    batch: Count
    optimizer: str
    lr: float
    schedule: str
    init: str
    seed: int
    class_names: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    left_edits: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    optimizer_options: dict[str, Any] = {}
    schedule_options: dict[str, Any] = {}
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    label_smoothing: float = 0.0
    ema: float | None = None
    heads: dict[str, float] = {}
    init_from: str | None = None
    leave: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    augment: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    # The share of an image's shorter side that evaluation looks at, in the middle.
    crop: Share = 1.0
    amp: str | None = None
    channels_last: bool = False
    compile: str | None = None


class Epoch(Struct, frozen=True):
    """A line of metrics.csv: after so many epochs and steps, the rate of the last of these, the mean loss over the
    epoch's steps (heads with it), and loss and accuracy (from 0 to 1) of the network without heads on the images that
    it did not learn from."""

    epoch: int
    step: int
    lr: float
    train_loss: float
    val_loss: float
    val_accuracy: float


class Memory(Struct, frozen=True):
    """What a step was predicted to keep, by the rules of `training_memory`, and what was measured; None where nobody
    measures it there. `batch` is that of one device."""

    batch: int
    predicted_bytes: int
    measured_bytes: int | None = None


class TrainedRun(Shown, Struct, frozen=True):
    """What a run came to, or has come to so far: what `train --format json` prints. `best` is the first of the epochs
    with the highest accuracy; accuracies are from 0 to 1."""

    schema_version: int
    folder: str
    recipe: Recipe
    title: str
    params: int
    trainable_params: int
    train_images: int
    val_images: int
    epochs: tuple[Epoch, ...]
    best: Epoch | None
    device: str
    threads: int
    devices: int = 1
    memory: Memory | None = None
    seconds: float | None = None
    finished: bool = True
    notes: tuple[str, ...] = ()

    def _brief(self) -> str:
        best = (
            f"best accuracy {self.best.val_accuracy:.4f} after epoch {self.best.epoch}" if self.best else "no epoch yet"
        )
        return f"{self.title} on {self.recipe.data}, {len(self.epochs)} of {self.recipe.epochs} epochs, {best}"


class Confusion(Struct, frozen=True):
    """One class: its images, the share of these that was recognised (recall), and the share of what was called so that
    was right (precision), None where nothing was."""

    name: str
    images: int
    recall: float | None
    precision: float | None


class Mistaken(Struct, frozen=True):
    """An image of a great loss: its number in the split, its file where it has one, what it is and what it was taken
    for, with the network's probability of each."""

    index: int
    file: str
    label: str
    predicted: str
    label_probability: float
    predicted_probability: float
    loss: float


class Evaluation(Shown, Struct, frozen=True):
    """What `evaluate --format json` prints: `confusion[i][j]` are the images of class i that were taken for class j, in
    the order of `classes`; `worst` those of the greatest loss, the worst first."""

    schema_version: int
    run: str
    title: str
    data: str
    split: str
    weights: str
    images: int
    loss: float
    accuracy: float
    top5_accuracy: float | None
    classes: tuple[Confusion, ...]
    confusion: tuple[tuple[int, ...], ...]
    worst: tuple[Mistaken, ...] = ()

    def _brief(self) -> str:
        return f"{self.title} on {self.data}: {self.accuracy:.4f} of {self.images:,} images right"
