"""Training runs -> charts in the language of Vega-Lite: losses, accuracy and learning rate by epoch, a colour a run."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from msgspec import Struct

from gnet_inspect.records.runs import Run
from gnet_inspect.records.training import Epoch
from gnet_inspect.views.charts.report import VEGA_LITE, Chart
from gnet_inspect.views.tables.run import loss_text

# A page has so many colours of runs, "@run0" and so on; more lines than these nobody tells apart.
COLORS = 8
# More points than pixels show nothing more.
MOST_POINTS = 600
# While there are so few epochs each of them is a dot.
FEW_EPOCHS = 40
TRAINING, VALIDATION = "training", "validation"
HEIGHT, SMALL = 260, 90
TOOLTIP = (("run", "run"), ("epoch", "epoch"), ("said", "it is"), ("amount", "value"))


class Curve(Struct, frozen=True):
    """A run and what it is called."""

    name: str
    run: Run


def loss_chart(curves: Sequence[Curve]) -> Chart:
    """The losses, those of training dashed; the best epoch of each run stands out."""
    rows = [row for index, curve in enumerate(curves) for row in _losses(index, curve)]
    scale = {"domain": [VALIDATION, TRAINING], "range": [[1, 0], [4, 3]]}
    dash = {"field": "split", "type": "nominal", "legend": None, "scale": scale}
    return _chart(curves, "Loss by epoch.", "loss", rows, HEIGHT, {"strokeDash": dash, "detail": {"field": "split"}})


def accuracy_chart(curves: Sequence[Curve]) -> Chart:
    """The accuracy on the images that a run validates by, from 0 to 1."""
    rows = [
        _row(index, curve, epoch, epoch.val_accuracy, f"{epoch.val_accuracy:.4f}", VALIDATION)
        for index, curve in enumerate(curves)
        for epoch in drawn_epochs(curve.run)
    ]
    return _chart(curves, "Accuracy by epoch.", "accuracy", rows, HEIGHT)


def rate_chart(curves: Sequence[Curve]) -> Chart:
    """The learning rate of each epoch's last step."""
    rows = [
        _row(index, curve, epoch, epoch.lr, f"{epoch.lr:.4g}", "learning rate") | {"best": False}
        for index, curve in enumerate(curves)
        for epoch in drawn_epochs(curve.run)
    ]
    return _chart(curves, "Learning rate by epoch.", "learning rate", rows, SMALL)


def drawn_epochs(run: Run) -> list[Epoch]:
    """All epochs; of very many every second or third and so on, the best and the last."""
    every = -(-len(run.epochs) // MOST_POINTS)
    last = len(run.epochs) - 1
    return [epoch for place, epoch in enumerate(run.epochs) if place % every == 0 or place == last or epoch == run.best]


def _losses(index: int, curve: Curve) -> list[Chart]:
    rows = []
    for epoch in drawn_epochs(curve.run):
        rows.append(_row(index, curve, epoch, epoch.val_loss, loss_text(epoch.val_loss), VALIDATION))
        training = _row(index, curve, epoch, epoch.train_loss, loss_text(epoch.train_loss), TRAINING)
        rows.append(training | {"best": False})
    return rows


def _row(index: int, curve: Curve, epoch: Epoch, value: float, text: str, split: str) -> Chart:
    return {
        "place": str(index),
        "run": curve.name,
        "epoch": epoch.epoch,
        # What is no number breaks the line.
        "value": value if isfinite(value) else None,
        "amount": text,
        "split": split,
        "said": f"{split}, the best epoch" if epoch == curve.run.best else split,
        "best": epoch == curve.run.best,
    }


def _chart(
    curves: Sequence[Curve], description: str, title: str, rows: list[Chart], height: int, line: Chart | None = None
) -> Chart:
    places = [str(index) for index in range(len(curves))]
    color = {
        "field": "place",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": places, "range": [f"@run{index}" for index in range(len(curves))]},
    }
    epochs = [row["epoch"] for row in rows]
    few = max((len(curve.run.epochs) for curve in curves), default=0) <= FEW_EPOCHS
    seen = f"datum.split === '{VALIDATION}'" if few else "false"
    tooltip = [{"field": field, "type": "nominal", "title": said} for field, said in TOOLTIP]
    x: dict[str, Any] = {
        "field": "epoch",
        "type": "quantitative",
        "title": "epoch",
        "scale": {"domain": [min(epochs, default=0), max(epochs, default=1)], "nice": False},
        "axis": {"grid": False, "tickMinStep": 1, "format": "d"},
    }
    if few:
        # Between two epochs Vega sets ticks at halves, and "d" writes them as the next epoch.
        x["axis"]["values"] = sorted(set(epochs))
    y: dict[str, Any] = {
        "field": "value",
        "type": "quantitative",
        "title": title,
        "scale": {"zero": title != "accuracy"},
        "axis": {"tickCount": 2 if height == SMALL else 5, "format": "~g"},
    }
    layers: list[Chart] = [
        {"mark": {"type": "line", "strokeWidth": 2, "clip": True}, "encoding": line or {}},
        # Dots on a dashed line would fill its gaps; what is not seen is met under the pointer all the same.
        {
            "mark": {"type": "point", "filled": True, "size": 24 if few else 120},
            "encoding": {"opacity": {"condition": {"test": seen, "value": 1}, "value": 0}},
        },
    ]
    if any(row["best"] for row in rows):
        dot = {"type": "point", "filled": True, "size": 90, "stroke": "@paper", "strokeWidth": 1.5}
        layers.append({"transform": [{"filter": "datum.best"}], "mark": dot})
    return {
        "$schema": VEGA_LITE,
        "description": description,
        "width": "container",
        "height": height,
        "data": {"values": rows},
        "encoding": {"x": x, "y": y, "color": color, "tooltip": tooltip},
        "layer": layers,
    }
