"""`gnet-inspect evaluate`: how well a trained network tells classes apart, and what it mistakes."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show

if TYPE_CHECKING:
    from gnet_inspect.records.training import Evaluation

WEIGHTS = ("best", "last")
SPLITS = ("val", "train")
MOST_WORST = 36
PICTURES = (".svg", ".png")


class _Asking(NamedTuple):
    """How a network is asked: where, so many images at a time, and so many of the worst."""

    device: str
    batch: int | None
    threads: int | None
    workers: int
    worst: int


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run that `train` wrote.", show_default=False)
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="digits|mnist:DIR|fashion-mnist:DIR|DIR",
            help="Other images of the same classes. Default: the run's own.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="val|train", help="Which of its images: train are those it learned from.")
    ] = "val",
    weights: Annotated[
        str,
        typer.Option(
            "--weights", metavar="best|last|FILE", help="Those of the best epoch, of the last state, or of a file."
        ),
    ] = "best",
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE.svg|FILE.png",
            help="Draw the confusion matrix and the worst images.",
            show_default=False,
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option("--worst", metavar="N", help=f"So many of the worst images, at most {MOST_WORST}.")
    ] = 12,
    batch: Annotated[
        int | None, typer.Option("--batch", metavar="N", help="Images at a time. Default: as it was trained.")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes that read images.")] = 0,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Accuracy, a confusion matrix, and the worst images of a run.

    The network is the one that is deployed: auxiliary heads do not run.

    What its columns mean: gnet-inspect glossary --of evaluate

    Example: gnet-inspect evaluate run --picture mistakes.png
    """
    from gnet_inspect.cli.latency import need_torch
    from gnet_inspect.cli.output import emit, emit_result
    from gnet_inspect.cli.progress import show_work

    options.table_format(style, output)
    options.one_of("--split", split, SPLITS)
    options.positive("--batch", batch)
    options.check_threads(threads)
    if not 0 <= worst <= MOST_WORST:
        raise UsageError(f"--worst: expected 0 to {MOST_WORST}, got {worst}")
    options.check_workers(workers)
    if picture is not None and picture.suffix.lower() not in PICTURES:
        raise UsageError(f"--picture: expected a file that ends in {' or '.join(PICTURES)}, got {str(picture)!r}")
    file = _weights_file(run, weights)
    need_torch("evaluate")
    with show_work() as tell:
        tell(0, f"evaluating {run}")
        result, images = _evaluate(run, data, split, file, _Asking(device, batch, threads, workers, worst))
        drawn = None if picture is None else _draw(result, images, picture)
    from gnet_inspect.views.tables.evaluation import evaluation_grids, evaluation_rows

    emit_result(result, style, output, partial(evaluation_grids, result), partial(evaluation_rows, result))
    if drawn is not None:
        emit(drawn, picture)


def _weights_file(run: Path, weights: str) -> Path:
    """The file of the weights that are asked for. Raises UsageError where there is none."""
    from gnet_inspect.records.runs import is_run
    from gnet_inspect.records.training import BEST_FILE, LAST_FILE

    if not is_run(run):
        raise UsageError(f"expected the folder of a run that `train` wrote, got {show(str(run))}")
    if weights not in WEIGHTS:
        return Path(weights)
    path = run / (BEST_FILE if weights == "best" else LAST_FILE)
    if not path.is_file():
        raise UsageError(f"{run}: expected {path.name}, which is there after the first epoch. (train --resume {run})")
    return path


def _evaluate(run: Path, data: str | None, split: str, file: Path, how: _Asking) -> "tuple[Evaluation, list[bytes]]":
    """What came out, and the worst images as PNG."""
    import torch

    from gnet_inspect.cli.recipes import run_trainee
    from gnet_inspect.records.runs import read_recipe
    from gnet_inspect.runtime.latency.setting import pick_device
    from gnet_inspect.runtime.training.data.batches import Source, evaluation_batches
    from gnet_inspect.runtime.training.data.sets import open_data
    from gnet_inspect.runtime.training.evaluating import Placing, ask
    from gnet_inspect.runtime.training.judging import About, check_classes, judge, png_of
    from gnet_inspect.runtime.training.runs import views_of
    from gnet_inspect.runtime.weights import load_weights

    recipe = read_recipe(run)
    with options.naming("--data"):
        given = open_data(data or recipe.data, need_train=split == "train")
        check_classes(given, recipe.class_names)
    images = given.val if split == "val" else given.train
    assert images is not None
    if how.threads is not None:
        torch.set_num_threads(how.threads)
    trainee = run_trainee(recipe, run)
    module = trainee.build()
    load_weights(module, file)
    placing = Placing(pick_device(how.device), recipe.amp, recipe.channels_last)
    source = Source(images, views_of(recipe), training=False)
    batches = evaluation_batches(source, batch=how.batch or recipe.batch, workers=how.workers)
    told = ask(module.to(placing.device), batches, placing)
    about = About(str(run), trainee.title, data or recipe.data, split, file.name)
    result = judge(told, images, given.classes, about, how.worst)
    return result, [png_of(images.image(item.index)) for item in result.worst]


def _draw(result: "Evaluation", images: list[bytes], picture: Path) -> str | bytes:
    """The confusion matrix and the worst images as a picture."""
    from gnet_inspect.views.drawing.evaluation import evaluation_picture
    from gnet_inspect.views.drawing.png import svg_to_png

    is_png = picture.suffix.lower() == ".png"
    svg = evaluation_picture(result, images, in_roboto=is_png)
    return svg_to_png(svg) if is_png else svg
