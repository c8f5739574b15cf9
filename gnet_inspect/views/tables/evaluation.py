"""An evaluation as tables: accuracy by class, what is taken for what, and the images of the greatest loss."""

from collections.abc import Iterator

from gnet_inspect.records.training import Confusion, Evaluation
from gnet_inspect.units import percent
from gnet_inspect.views.grid import Column, Grid, Line, picked
from gnet_inspect.views.tables.run import loss_text
from gnet_inspect.views.text import headline, width

COLUMNS = (
    Column("class", "class"),
    Column("images", "images", number=True, keep=3),
    Column("recall", "recall", number=True),
    Column("precision", "precision", number=True, keep=4),
    Column("taken_for", "most often taken for", keep=2),
    Column("taken_for_images", "images", number=True, keep=1),
)
CONFUSIONS = (
    Column("class", "class"),
    Column("taken_for", "taken for"),
    Column("taken_for_images", "images", number=True),
    Column("taken_for_percent", "% of the class", number=True, keep=1),
)
WORST = (
    Column("index", "image", number=True),
    Column("file", "file", keep=1),
    Column("label", "label"),
    Column("label_probability", "p", number=True, keep=2),
    Column("predicted", "taken for"),
    Column("predicted_probability", "p", number=True, keep=3),
    Column("loss", "loss", number=True, keep=4),
)
LABEL = "label"
# So many classes and confusions are told: of more the classes of the least recall.
MOST_CLASSES = 40
MOST_CONFUSIONS = 20
# A matrix of more classes is wider than a screen.
WIDEST_MATRIX = 20
# Names as short as these stand above the columns of a matrix; others are numbered.
SHORT_NAME = 6
MEANINGS = (
    "recall: the share of a class's images that were recognised",
    "precision: the share of what was called so that was right",
)

PROBABILITY = "p: the network's probability of the label, and of what it took the image for"


def evaluation_grids(evaluation: Evaluation) -> list[Grid]:
    """By class; what is taken for what, as a matrix where that is not too wide; the images of the greatest loss."""
    classes = len(evaluation.classes)
    found = [_by_class(evaluation)]
    if classes <= WIDEST_MATRIX:
        found.append(_matrix(evaluation))
    elif any(_confusions(evaluation)):
        found.append(_most_frequent(evaluation))
    return [*found, _worst(evaluation)] if evaluation.worst else found


def evaluation_rows(evaluation: Evaluation) -> Grid:
    """One row for each class, for CSV."""
    lines = [
        Line((), (each.name, each.images, each.recall, each.precision, *_taken_for(evaluation, place)))
        for place, each in enumerate(evaluation.classes)
    ]
    return Grid(COLUMNS, tuple(lines))


def accuracy_words(evaluation: Evaluation) -> str:
    """The numbers of the whole."""
    right = sum(row[place] for place, row in enumerate(evaluation.confusion))
    top5 = "" if evaluation.top5_accuracy is None else f", top-5 accuracy {evaluation.top5_accuracy:.4f}"
    return (
        f"accuracy {evaluation.accuracy:.4f} ({right:,} of {evaluation.images:,} images){top5}, "
        f"loss {loss_text(evaluation.loss)}"
    )


def _by_class(evaluation: Evaluation) -> Grid:
    places = range(len(evaluation.classes))
    if len(evaluation.classes) > MOST_CLASSES:
        places = sorted(places, key=lambda place: _rank(evaluation.classes[place]))[:MOST_CLASSES]  # type: ignore[assignment]  # places
    lines = [_class_line(evaluation, place) for place in places]
    left = len(evaluation.classes) - len(lines)
    if left:
        lines.append(Line((f"({left:,} others, of no less recall)", "", "", "", "", "")))
    whole = ("all", f"{evaluation.images:,}", f"{evaluation.accuracy:.4f}", "", "", "")
    lines.append(Line(whole, style="bold", rule_above=True))
    above = (
        headline(evaluation.title, evaluation.run, ()),
        f"{evaluation.images:,} {evaluation.split} images of {evaluation.data}, weights {evaluation.weights}",
        accuracy_words(evaluation),
    )
    return Grid(COLUMNS, tuple(lines), above, MEANINGS, ("--format csv",))


def _rank(found: Confusion) -> float:
    """Small for a class that needs to be looked at; one without images is the last."""
    return 2.0 if found.recall is None else found.recall


def _class_line(evaluation: Evaluation, place: int) -> Line:
    found = evaluation.classes[place]
    name, images = _taken_for(evaluation, place)
    cells = (
        found.name,
        f"{found.images:,}",
        _share(found.recall),
        _share(found.precision),
        name or "",
        f"{images:,}" if images else "",
    )
    return Line(cells)


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.4f}"


def _taken_for(evaluation: Evaluation, place: int) -> tuple[str | None, int | None]:
    """What the images of a class are taken for most often, the first of several, and how many of them; None where all
    were recognised."""
    row = [0 if other == place else images for other, images in enumerate(evaluation.confusion[place])]
    most = max(row, default=0)
    return (evaluation.classes[row.index(most)].name, most) if most else (None, None)


def _matrix(evaluation: Evaluation) -> Grid:
    """Rows are labels, columns what they were taken for; nothing stands where there is none."""
    names = [found.name for found in evaluation.classes]
    numbered = max(map(width, names), default=0) > SHORT_NAME
    heads = [str(place) if numbered else name for place, name in enumerate(names)]
    # What a narrow terminal has no room for goes from the right.
    columns = [Column(head, head, number=True, keep=len(heads) - place) for place, head in enumerate(heads)]
    lines = []
    for place, row in enumerate(evaluation.confusion):
        name = f"{place} {names[place]}" if numbered else names[place]
        lines.append(Line((name, *(f"{images:,}" if images else "" for images in row))))
    above = ("what was taken for what: rows are labels, columns what the network took them for",)
    return Grid((Column(LABEL, "label"), *columns), tuple(lines), above, (), ("--format json",))


def _confusions(evaluation: Evaluation) -> Iterator[tuple[int, int, int]]:
    """(images, label, taken for) of each pair of classes of which there are some."""
    for label, row in enumerate(evaluation.confusion):
        for taken, images in enumerate(row):
            if images and taken != label:
                yield images, label, taken


def _most_frequent(evaluation: Evaluation) -> Grid:
    found = sorted(_confusions(evaluation), key=lambda each: (-each[0], each[1:]))
    lines = []
    for images, label, taken in found[:MOST_CONFUSIONS]:
        name, of = evaluation.classes[label].name, evaluation.classes[label].images
        lines.append(Line((name, evaluation.classes[taken].name, f"{images:,}", percent(images, of))))
    left = len(found) - len(lines)
    below = (f"{left:,} more pairs, of no more images; --format json has all",) if left else ()
    return Grid(CONFUSIONS, tuple(lines), ("what was most often taken for what",), below)


def _worst(evaluation: Evaluation) -> Grid:
    lines = [
        Line(
            (
                f"{each.index:,}",
                each.file,
                each.label,
                f"{each.label_probability:.4f}",
                each.predicted,
                f"{each.predicted_probability:.4f}",
                loss_text(each.loss),
            )
        )
        for each in evaluation.worst
    ]
    shown = [column for column in WORST if column.exact != "file" or any(each.file for each in evaluation.worst)]
    grid = Grid(WORST, tuple(lines), ("the images of the greatest loss",), (PROBABILITY,), ("--format json",))
    return picked(grid, [column.exact for column in shown])
