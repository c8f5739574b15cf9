"""A training run as a table: its epochs, what it was trained by, and what it came to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gnet_inspect.records.runs import Run
from gnet_inspect.records.training import (
    BARE_FILE,
    BEST_FILE,
    LAST_FILE,
    METRICS_FILE,
    Epoch,
    Recipe,
    TrainedRun,
)
from gnet_inspect.units import byte_count, dimensions
from gnet_inspect.views.grid import Column, Grid, Line, picked
from gnet_inspect.views.text import headline

COLUMNS = (
    Column("epoch", "epoch", number=True),
    Column("step", "step", number=True, keep=1),
    Column("lr", "lr", number=True, keep=2),
    Column("train_loss", "train loss", number=True, keep=4),
    Column("val_loss", "val loss", number=True, keep=3),
    Column("val_accuracy", "val accuracy", number=True),
)
BEST = Column("best", "", keep=5)
# Of longer trainings every second epoch is shown, or every third, and so on.
MOST_EPOCHS = 40


def run_grids(run: TrainedRun) -> list[Grid]:
    """The epochs, the best of them marked, with the model, its data and the recipe above, the weights and the memory
    below. Of a long training some epochs are shown, the best and the last among them."""
    every = -(-len(run.epochs) // MOST_EPOCHS)
    lines = [_line(epoch, run.best) for epoch in _some_epochs(run.epochs, run.best, every)]
    below = (*_sampled(every), *_outcome(run), *_weights(run), *_memory_lines(run), *_where(run), *run.notes)
    return [Grid((*COLUMNS, BEST), tuple(lines), tuple(_above(run)), below, ("--format csv",))]


def run_rows(run: TrainedRun) -> Grid:
    """Each epoch as metrics.csv has it, for CSV."""
    lines = (Line((), tuple(getattr(epoch, column.exact) for column in COLUMNS)) for epoch in run.epochs)
    return Grid(COLUMNS, tuple(lines))


def recipe_words(recipe: Recipe) -> list[str]:
    """By what a network is trained, in a few words for each thing; what does nothing is not said."""
    schedule = f"{recipe.schedule} schedule{_options(recipe.schedule_options)}"
    said = (
        (True, f"{recipe.optimizer}{_options(recipe.optimizer_options)}"),
        (True, f"lr {recipe.lr:g}"),
        (True, schedule),
        (recipe.warmup, f"warm-up of {_number(recipe.warmup, 'epoch')}"),
        (recipe.weight_decay, f"weight decay {recipe.weight_decay:g}"),
        (recipe.clip is not None, f"gradients clipped at {recipe.clip or 0:g}"),
        (recipe.label_smoothing, f"label smoothing {recipe.label_smoothing:g}"),
        (recipe.ema is not None, f"averaged weights (EMA {recipe.ema or 0:g})"),
        (True, f"batch {recipe.batch:,}"),
        (True, _number(recipe.epochs, "epoch")),
        (recipe.heads, f"losses of heads x {heads_text(recipe.heads)}"),
        (recipe.augment, f"augmented by {', '.join(recipe.augment)}"),
        (recipe.init_from is not None, f"weights from {recipe.init_from}{_but(recipe.leave)}, else {recipe.init}"),
        (recipe.init_from is None, f"init {recipe.init}"),
        (recipe.freeze, f"frozen {', '.join(recipe.freeze)}"),
        (True, f"seed {recipe.seed}"),
        (recipe.amp is not None, f"mixed precision ({recipe.amp})"),
        (recipe.channels_last, "channels last"),
        (recipe.compile is not None, f"compiled ({recipe.compile})"),
    )
    return [words for is_said, words in said if is_said]


def heads_text(heads: Mapping[str, float]) -> str:
    """The weights of the heads' losses.

    >>> heads_text({"aux1": 0.3, "aux2": 0.3}), heads_text({"a": 0.3, "b": 0.1})
    ('0.3 (aux1, aux2)', '0.3 (a), 0.1 (b)')
    """
    names: dict[float, list[str]] = {}
    for name, weight in heads.items():
        names.setdefault(weight, []).append(name)
    return ", ".join(f"{weight:g} ({', '.join(found)})" for weight, found in names.items())


def loss_text(loss: float) -> str:
    """A loss with four decimals, while it has so few digits that these say something.

    >>> loss_text(2.302585), loss_text(123456.0), loss_text(float("nan"))
    ('2.3026', '1.235e+05', 'nan')
    """
    return f"{loss:.4f}" if abs(loss) < 1000 else f"{loss:.4g}"


def span_text(seconds: float) -> str:
    """How long a training lasted, as one says it.

    >>> span_text(12.34), span_text(754), span_text(9000)
    ('12.3 s', '12 min 34 s', '2 h 30 min')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60} min"


def _above(run: TrainedRun) -> Iterator[str]:
    recipe = run.recipe
    yield headline(run.title, recipe.model, (*recipe.edits, *recipe.arguments))
    yield (
        f"{recipe.data}: {run.train_images:,} images to learn from, {run.val_images:,} to validate by, "
        f"{recipe.classes:,} classes"
    )
    trained = "" if run.trainable_params == run.params else f", {run.trainable_params:,} of them trained"
    yield f"input {dimensions(recipe.input)}, {run.params:,} parameters{trained}"
    yield ", ".join(recipe_words(recipe))


def _some_epochs(epochs: Sequence[Epoch], best: Epoch | None, every: int) -> list[Epoch]:
    """Every so manyth epoch, the best and the last."""
    last = len(epochs) - 1
    return [epoch for index, epoch in enumerate(epochs) if (index + 1) % every == 0 or index == last or epoch == best]


def _line(epoch: Epoch, best: Epoch | None) -> Line:
    is_best = epoch == best
    cells = (
        str(epoch.epoch),
        f"{epoch.step:,}",
        f"{epoch.lr:.4g}",
        loss_text(epoch.train_loss),
        loss_text(epoch.val_loss),
        f"{epoch.val_accuracy:.4f}",
        "best" if is_best else "",
    )
    return Line(cells, style="bold" if is_best else "")


def _sampled(every: int) -> list[str]:
    shown = {2: "second", 3: "third"}.get(every, f"{every}th")
    return [f"every {shown} epoch, the best and the last; {METRICS_FILE} has all"] if every > 1 else []


def _outcome(run: TrainedRun) -> Iterator[str]:
    """What it has come to, and whether it goes on."""
    if run.best is not None:
        loss = loss_text(run.best.val_loss)
        yield f"best: accuracy {run.best.val_accuracy:.4f}, loss {loss} after epoch {run.best.epoch}"
    if not run.finished:
        done = run.epochs[-1].epoch if run.epochs else 0
        more = f"; train --resume {run.folder} goes on" if run.folder else ""
        yield f"not finished: {done} of {_number(run.recipe.epochs, 'epoch')}{more}"


def _weights(run: TrainedRun) -> Iterator[str]:
    """Where they are; a run in Python may have no folder."""
    if run.best is None or not run.folder:
        return
    folder = run.folder.rstrip("/")
    bare = f", without heads {folder}/{BARE_FILE}" if run.recipe.heads else ""
    yield f"weights: the best {folder}/{BEST_FILE}{bare}, the last {folder}/{LAST_FILE}"


def _memory_lines(run: TrainedRun) -> Iterator[str]:
    """What a step was to keep, and what was measured: of a GPU by torch, of a CPU's process from outside."""
    memory = run.memory
    if memory is None:
        return
    predicted = f"memory of a step of {_number(memory.batch, 'image')}: predicted {byte_count(memory.predicted_bytes)}"
    if memory.measured_bytes is None:
        yield f"{predicted}; nobody measures it on this device"
    elif run.device.startswith("cpu"):
        yield f"{predicted}; the whole process grew by {byte_count(memory.measured_bytes)}"
    else:
        ratio = f" ({memory.measured_bytes / memory.predicted_bytes:.2f} x)" if memory.predicted_bytes else ""
        yield f"{predicted}, measured {byte_count(memory.measured_bytes)}{ratio}"


def _where(run: TrainedRun) -> Iterator[str]:
    device = f"{run.devices} x {run.device.partition(':')[0]}" if run.devices > 1 else run.device
    took = "" if run.seconds is None else f", for {span_text(run.seconds)}"
    yield f"trained on {device}, {_number(run.threads, 'thread')}{took}"


def _number(number: int | float, what: str) -> str:
    """So many of a thing.

    >>> _number(1, "epoch"), _number(2.5, "epoch"), _number(1437, "image")
    ('1 epoch', '2.5 epochs', '1,437 images')
    """
    many = "" if number == 1 else "s"
    return f"{number:,g} {what}{many}" if isinstance(number, float) else f"{number:,} {what}{many}"


def _options(options: Mapping[str, Any]) -> str:
    """Further arguments of an optimizer or a schedule."""
    return f" ({', '.join(f'{name} {_value(value)}' for name, value in options.items())})" if options else ""


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _but(left: Iterable[str]) -> str:
    names = ", ".join(left)
    return f" but for {names}" if names else ""


# --- several runs beside each other ---

RUNS = (
    Column("model", "model"),
    Column("data", "data"),
    Column("epochs", "epochs", number=True),
    Column("best_epoch", "best epoch", number=True, keep=4),
    Column("val_accuracy", "accuracy", number=True),
    Column("val_loss", "val loss", number=True, keep=5),
    Column("optimizer", "optimizer", keep=3),
    Column("lr", "lr", number=True, keep=3),
    Column("schedule", "schedule", keep=2),
    Column("batch", "batch", number=True, keep=2),
    Column("heads", "heads' losses x", keep=1),
    Column("seed", "seed", number=True, keep=1),
)


def runs_grid(runs: Sequence[tuple[str, Run]]) -> Grid:
    """A row for each run, by what its model is called: what it came to, and by what it was trained."""
    lines = [Line(_run_texts(name, run), style="" if run.finished else "yellow") for name, run in runs]
    grid = Grid(RUNS, tuple(lines), below=tuple(f"{name}: {', '.join(recipe_words(run.recipe))}" for name, run in runs))
    heads = any(run.recipe.heads for _, run in runs)
    return picked(grid, [column.exact for column in RUNS if column.exact != "heads" or heads])


def _run_texts(name: str, run: Run) -> tuple[str, ...]:
    recipe, best = run.recipe, run.best
    going = "" if run.finished else ", not finished"
    return (
        name,
        run.recipe.data,
        f"{run.done:,} of {recipe.epochs:,}{going}",
        *(("", "", "") if best is None else (str(best.epoch), f"{best.val_accuracy:.4f}", loss_text(best.val_loss))),
        recipe.optimizer,
        f"{recipe.lr:g}",
        recipe.schedule,
        f"{recipe.batch:,}",
        heads_text(recipe.heads),
        str(recipe.seed),
    )
