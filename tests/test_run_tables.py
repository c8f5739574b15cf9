"""Tables of a training run and of an evaluation: as recorded, and true to the numbers they are made of."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from gnet_inspect.records.runs import epochs_text
from gnet_inspect.records.training import Epoch, Memory, Mistaken
from gnet_inspect.views.grid import Grid, draw_csv, draw_latex, draw_markdown, draw_text
from gnet_inspect.views.tables.evaluation import evaluation_grids, evaluation_rows
from gnet_inspect.views.tables.run import MOST_EPOCHS, recipe_words, run_grids, run_rows
from tests.runs import EPOCHS, evaluation, matrix, recipe, trained

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORST = (
    Mistaken(17, "", "eight", "one", 0.0213, 0.9512, 3.849),
    Mistaken(203, "", "five", "six", 0.25, 0.5, 1.3863),
)
SURE = Mistaken(1, "val/class 1/a.png", "class 1", "class 2", 0.0, 1.0, 12_345.678)
MANY = tuple(
    Epoch(number, 12 * number, 0.1 / number, 2 / number, 2.5 / number, number / 130) for number in range(1, 121)
)
WHOLE = recipe(
    edits=("conv.out_channels=8",),
    warmup=2.5,
    clip=1.0,
    label_smoothing=0.1,
    ema=0.999,
    heads={"aux1": 0.3, "aux2": 0.3},
    augment=("crop", "flip"),
    init_from="w.pth",
    leave=("fc",),
    freeze=("conv",),
    schedule_options={"T_max": 10, "steps": [1, 2.5]},
    optimizer_options={"momentum": 0.9, "nesterov": True},
    amp="bf16",
    channels_last=True,
    compile="default",
)
SHOWN: dict[str, Callable[[], list[Grid]]] = {
    "train": lambda: run_grids(trained()),
    "train_whole": lambda: run_grids(
        trained(
            recipe=WHOLE,
            trainable_params=1_450,
            memory=Memory(64, 1_250_000, 1_500_000),
            devices=2,
            device="cuda:0",
            seconds=9_000.0,
            finished=True,
            notes=("a note",),
        )
    ),
    "train_none": lambda: run_grids(trained((), memory=Memory(64, 1_250_000), seconds=None, device="mps", folder="")),
    "train_many": lambda: run_grids(trained(MANY, recipe=recipe(epochs=120), finished=True)),
    "evaluate": lambda: evaluation_grids(evaluation(matrix(10), DIGITS, WORST)),
    "evaluate_numbered": lambda: evaluation_grids(evaluation(matrix(4), ["airplane", "automobile", "bird", "cat"])),
    "evaluate_many": lambda: evaluation_grids(
        evaluation(matrix(60), [f"class {n}" for n in range(60)], (*WORST, SURE))
    ),
}


def text_of(grids: list[Grid], cells: int | None = None) -> str:
    """As a terminal shows them."""
    return "\n\n".join("\n".join(text for text, _ in draw_text(grid, cells)) for grid in grids) + "\n"


@pytest.mark.parametrize("name", SHOWN)
def test_tables_are_as_recorded(name: str, golden: Callable[[str, str], None]) -> None:
    """Each whole, and in 60 columns none of their lines is wider."""
    grids = SHOWN[name]()
    golden(f"{name}.txt", text_of(grids))
    assert max(map(len, text_of(grids, 60).splitlines())) <= 60


@pytest.mark.parametrize("name", SHOWN)
def test_every_format_has_them(name: str) -> None:
    """Markdown and LaTeX have a row for each line."""
    for grid in SHOWN[name]():
        assert draw_markdown(grid).count("\n|") == len(grid.lines) + 2 - (not grid.above)
        assert draw_latex(grid).isascii()


def test_a_result_is_printed_as_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `print`, and in a notebook's cell."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert str(trained()) + "\n" == text_of(run_grids(trained()))
    found = evaluation(matrix(10), DIGITS)
    assert str(found) + "\n" == text_of(evaluation_grids(found))
    assert "<table" in found._repr_html_()
    assert "<table" in trained()._repr_html_()


def test_csv_of_a_run_is_its_metrics() -> None:
    """To the letter."""
    assert draw_csv(run_rows(trained())) == epochs_text(EPOCHS)


def test_csv_of_an_evaluation_has_a_line_for_each_class(golden: Callable[[str, str], None]) -> None:
    """However many there are, with exact shares."""
    rows = list(csv.DictReader(io.StringIO(draw_csv(evaluation_rows(evaluation(matrix(60), [*map(str, range(60))]))))))
    assert len(rows) == 60
    assert float(rows[1]["recall"]) == 0.7
    assert rows[0]["taken_for"] == rows[0]["taken_for_images"] == ""
    golden("evaluate.csv", draw_csv(evaluation_rows(evaluation(matrix(10), DIGITS))))


def test_one_epoch_is_the_best() -> None:
    """The first of those with the highest accuracy, as the record says."""
    (grid,) = run_grids(trained())
    assert [line.cells[-1] for line in grid.lines] == ["", "", "best", ""]


@pytest.mark.parametrize("number", [1, MOST_EPOCHS, MOST_EPOCHS + 1, 1000])
def test_a_long_training_is_told_in_short(number: int) -> None:
    """The best epoch and the last are always among those that are shown."""
    epochs = tuple(Epoch(each, each, 0.1, 1.0, 1.0, float(each == 7 % number + 1) / 2) for each in range(1, number + 1))
    (grid,) = run_grids(trained(epochs))
    shown = [line.cells[0] for line in grid.lines]
    assert {str(7 % number + 1), str(number)} <= {*shown}
    assert len(shown) <= MOST_EPOCHS + 2
    assert (len(shown) == number) == (number <= MOST_EPOCHS)


def test_rows_of_an_evaluation_add_up() -> None:
    """Images of all classes, and what the matrix has of each."""
    found = evaluation(matrix(10), DIGITS)
    by_class, confusion = evaluation_grids(found)
    *rows, total = by_class.lines
    assert sum(int(line.cells[1]) for line in rows) == int(total.cells[1]) == found.images
    for line, row in zip(confusion.lines, found.confusion, strict=True):
        assert sum(int(cell or 0) for cell in line.cells[1:]) == sum(row)


def test_what_a_class_is_most_often_taken_for() -> None:
    """Never itself; the first of several; nothing where all were recognised, or where there are no images."""
    found = evaluation([[5, 2, 2], [0, 3, 0], [0, 0, 0]], ["a", "b", "c"])
    rows = [line.exact for line in evaluation_rows(found).lines]
    assert rows == [
        ("a", 9, 5 / 9, 1.0, "b", 2),
        ("b", 3, 1.0, 3 / 5, None, None),
        ("c", 0, None, 0.0, None, None),
    ]


def test_a_class_without_images_is_not_the_worst() -> None:
    """Of many classes those of the least recall are shown, the worst first."""
    rows = matrix(50)
    rows[49] = [0] * 50
    rows[3][3], rows[3][4] = 0, 10
    by_class, *_ = evaluation_grids(evaluation(rows, [f"c{number}" for number in range(50)]))
    assert by_class.lines[0].cells[:3] == ("c3", "10", "0.0000")
    assert "c49" not in {line.cells[0] for line in by_class.lines}


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"lr": 1e-5}, "lr 1e-05"),
        ({"warmup": 1.0}, "warm-up of 1 epoch"),
        ({"epochs": 1}, "1 epoch"),
        ({"clip": 0.0}, "gradients clipped at 0"),
        ({"heads": {"aux1": 0.3, "aux2": 0.1}}, "losses of heads x 0.3 (aux1), 0.1 (aux2)"),
        ({"optimizer_options": {"fused": None, "a": False}}, "SGD (fused null, a false)"),
        ({"init_from": "w.pth"}, "weights from w.pth, else he"),
    ],
)
def test_a_recipe_in_words(others: dict[str, Any], words: str) -> None:
    """Each thing that decides what a run comes to."""
    assert words in recipe_words(recipe(**others))
