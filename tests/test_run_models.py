"""The folder of a run as a MODEL: its network in every command, and what it came to in `compare` and `report`."""

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.analysis.comparison import compare_models
from gnet_inspect.analysis.reporting import Report, make_report
from gnet_inspect.language import load_spec
from gnet_inspect.records.runs import read_run
from gnet_inspect.records.training import CONFIG_FILE, METRICS_FILE, SPEC_FILE, Epoch
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.charts.training import (
    COLORS,
    FEW_EPOCHS,
    MOST_POINTS,
    Curve,
    accuracy_chart,
    drawn_epochs,
    loss_chart,
    rate_chart,
)
from tests.conftest import Run
from tests.drawing import contrast
from tests.runs import EPOCHS, write_run

LAST = Epoch(5, 60, 0.0, 0.5, 0.75, 0.9625)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run: runs a (not finished) and b (wider), c on other data and without an epoch."""
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/a"))
    write_run(Path("runs/b"), (*EPOCHS, LAST), channels=8, seed=1, heads={"aux": 0.3})
    write_run(Path("runs/c"), (), data="/data/flowers", spec="other", title="Other")
    return tmp_path


def compared(run: Run, *arguments: str) -> list[dict[str, Any]]:
    """The models of `compare --format json`."""
    result = run("compare", *arguments, "--format", "json")
    assert (result.code, result.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.out)["models"]
    return found


# --- its network ---


@pytest.mark.parametrize(
    "command",
    [
        ["summary"],
        ["flops"],
        ["taps"],
        ["explain"],
        ["diagram"],
        ["roofline", "--on", "t4"],
        ["validate"],
        ["show"],
        ["verify", "--published"],
    ],
    ids=" ".join,
)
def test_a_run_is_its_spec(command: list[str], folder: Path, run: Run) -> None:
    """In each command that takes specs, as if its spec had been given."""
    name, *flags = command
    part = ["conv"] if name == "explain" else []
    result, own = (run(name, model, *part, *flags) for model in ("runs/a", f"runs/a/{SPEC_FILE}"))
    assert (result.code, result.err) == (own.code, own.err) == (0, "")
    assert result.out.replace("runs/a\n", f"runs/a/{SPEC_FILE}\n") == own.out


def test_a_run_is_at_the_input_that_it_was_trained_at(folder: Path, run: Run) -> None:
    """With a batch of any size; edits that its spec has not are made."""
    config = Path("runs/a", CONFIG_FILE)
    text = config.read_text()
    config.write_text(
        text.replace("input: [1, 8, 8]", "input: [3, 16, 16]").replace(
            "left_edits: []", "left_edits: [conv.out_channels=6]"
        )
    )
    found = json.loads(run("summary", "runs/a", "--batch", "5", "--format", "json").out)
    assert found["input"] == [5, 3, 16, 16]
    assert found["layers"][0]["output_shape"] == [5, 6, 14, 14]
    refused = run("show", "runs/a")
    assert (refused.code, refused.out) == (2, "")
    assert "expected a run whose spec is all of its network, got 'runs/a', with conv.out_channels=6" in refused.err


def test_a_run_may_be_edited(folder: Path, run: Run) -> None:
    """What was trained is another network than that."""
    plain, edited = compared(run, "runs/a", "--set", "conv.out_channels=8")
    assert plain["run"]["accuracy"] == 0.9375
    assert "run" not in edited
    assert edited["totals"]["params"] == 2 * plain["totals"]["params"] - 10
    assert ["run" in model for model in compared(run, "runs/a", "lenet5", "--input", "1x1x32x32", "--resize")] == [
        True,
        False,
    ]


def test_a_run_of_a_module_in_python_is_refused(folder: Path, run: Run) -> None:
    """With what it is of."""
    write_run(Path("runs/d"), spec=None, model="./mine.py:Net")
    for command in ("summary", "compare", "show"):
        result = run(command, "runs/d")
        assert (result.code, result.out) == (2, "")
        assert "expected a run of a spec, got 'runs/d', whose network is './mine.py:Net'. (give that)" in result.err


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (CONFIG_FILE, "lr: fast\n", "runs/a/config.yaml:1: `lr`: expected a number"),
        (METRICS_FILE, "epoch,loss\n", "runs/a/metrics.csv:1: expected the columns epoch,step"),
        (SPEC_FILE, "name: 7\n", "runs/a/spec.yaml:1: "),
    ],
)
def test_a_damaged_run_is_told_by_its_file(file: str, text: str, message: str, folder: Path, run: Run) -> None:
    """And its line."""
    path = Path("runs/a", file)
    if file == CONFIG_FILE:
        kept = [line for line in path.read_text().splitlines() if not line.startswith("lr:")]
        text += "\n".join(kept)
    path.write_text(text)
    result = run("summary", "runs/a")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_built_in_name_is_not_a_folder(folder: Path, run: Run) -> None:
    """Whatever lies there is given by a path."""
    write_run(Path("lenet5"))
    assert json.loads(run("summary", "lenet5", "--format", "json").out)["model"] == "lenet5"
    assert json.loads(run("summary", "./lenet5", "--format", "json").out)["model"] == "small"


# --- compare ---


def test_a_comparison_of_runs_is_as_recorded(folder: Path, run: Run, golden: Callable[[str, str], None]) -> None:
    """Accuracies with their data, what is not finished below."""
    golden("compare_runs.txt", run("compare", "runs/a", "runs/b", "lenet5", "--no-bars").out)
    golden("compare_runs.csv", run("compare", "runs/a", "runs/b", "runs/c", "lenet5", "--format", "csv").out)


def test_json_has_what_training_came_to(folder: Path, run: Run) -> None:
    """Of a run alone; what is published of the network is of another training."""
    a, c, other = compared(run, "runs/a", "runs/c", "lenet5")
    assert a["run"] == {
        "data": "digits",
        "epochs": 4,
        "of_epochs": 5,
        "best_epoch": 3,
        "accuracy": 0.9375,
        "val_loss": 0.875,
    }
    assert c["run"] == {
        "data": "/data/flowers",
        "epochs": 0,
        "of_epochs": 5,
        "best_epoch": None,
        "accuracy": None,
        "val_loss": None,
    }
    assert "run" not in other


def test_a_comparison_without_runs_has_no_accuracy(run: Run) -> None:
    """No column, no key."""
    assert "accuracy" not in run("compare", "lenet5", "alexnet").out
    assert "run" not in compared(run, "lenet5", "alexnet")[0]
    assert not run("compare", "lenet5", "alexnet", "--format", "csv").out.splitlines()[0].count("epochs")


def test_published_errors_are_not_those_of_a_run(run: Run, folder: Path) -> None:
    """Even of a spec that has them."""
    Path("runs/a", SPEC_FILE).write_text(run("show", "alexnet").out)
    Path("runs/a", CONFIG_FILE).write_text(
        Path("runs/a", CONFIG_FILE).read_text().replace("input: [1, 8, 8]", "input: [3, 224, 224]")
    )
    own, published = compared(run, "runs/a", "alexnet")
    assert own["published"] == []
    assert published["published"]
    assert [model["label"] for model in (own, published)] == ["alexnet (runs/a)", "alexnet (built-in)"]


def test_models_are_ordered_by_accuracy(folder: Path, run: Run) -> None:
    """The largest first, those without one last."""
    rows = csv.DictReader(
        io.StringIO(run("compare", "lenet5", "runs/a", "runs/b", "--sort", "accuracy", "--format", "csv").out)
    )
    assert [(row["model"], row["accuracy"]) for row in rows] == [
        ("small (runs/b)", "0.9625"),
        ("small (runs/a)", "0.9375"),
        ("lenet5", ""),
    ]
    found = compared(run, "lenet5", "runs/a", "runs/b", "--maximize", "accuracy", "--minimize", "params")
    assert [model["pareto"] for model in found] == [None, True, True]
    found = compared(run, "runs/a", "runs/b", "--maximize", "accuracy,params")
    assert [model["pareto"] for model in found] == [False, True]


@pytest.mark.parametrize("flag", ["--sort", "--maximize", "--minimize"])
def test_accuracies_of_several_kinds_order_nothing(flag: str, folder: Path, run: Run) -> None:
    """Nor do none."""
    result = run("compare", "runs/a", "runs/c", flag, "accuracy")
    assert (result.code, result.out) == (2, "")
    assert f"{flag} accuracy: expected runs on the same data, got 'digits', '/data/flowers'" in result.err
    result = run("compare", "lenet5", "vgg16", flag, "accuracy")
    assert (result.code, result.out) == (2, "")
    assert f"{flag} accuracy: expected a run among the models, got none" in result.err


def test_python_compares_runs(folder: Path) -> None:
    """As the command does."""
    run = read_run(Path("runs/a"))
    spec = load_spec(f"runs/a/{SPEC_FILE}")
    found = compare_models([(spec, build_graph(spec))] * 2, runs=[run, None])
    assert found.models[0].run.accuracy == 0.9375  # type: ignore[union-attr]  # it is a run
    assert "0.9375 on digits" in str(found)


# --- report ---


def curves(*epochs: tuple[Epoch, ...], path: Path) -> list[Curve]:
    """Runs of so many epochs."""
    folders = [Path(write_run(path / str(number), lines)) for number, lines in enumerate(epochs)]
    return [Curve(f"run {number}", read_run(folder)) for number, folder in enumerate(folders)]


def report_of(*folders: str) -> Report:
    """The report of runs."""
    specs = [load_spec(f"{folder}/{SPEC_FILE}") for folder in folders]
    variants = [(spec, build_graph(spec)) for spec in specs]
    return make_report(variants, "fp32", folders, runs=[read_run(Path(folder)) for folder in folders])


def test_charts_have_every_epoch(tmp_path: Path) -> None:
    """Losses of both kinds, accuracy and rate, each by its run."""
    found = curves(EPOCHS, (*EPOCHS, LAST), path=tmp_path)
    for chart, values in (
        (accuracy_chart(found), [epoch.val_accuracy for epoch in (*EPOCHS, *EPOCHS, LAST)]),
        (rate_chart(found), [epoch.lr for epoch in (*EPOCHS, *EPOCHS, LAST)]),
    ):
        rows = chart["data"]["values"]
        assert [row["value"] for row in rows] == values
        assert [row["place"] for row in rows] == ["0"] * 4 + ["1"] * 5
    rows = loss_chart(found)["data"]["values"]
    assert [(row["split"], row["value"]) for row in rows[:2]] == [("validation", 2.0), ("training", 2.25)]
    assert [row["epoch"] for row in rows if row["best"]] == [3, 5]


def test_a_run_that_diverged_is_drawn_as_far_as_it_is_a_number(tmp_path: Path) -> None:
    """What a page reads is JSON, which has no nan."""
    lost = (Epoch(1, 9, 0.1, 2.0, 2.0, 0.5), Epoch(2, 18, 0.1, math.nan, math.inf, 0.1))
    chart = loss_chart(curves(lost, path=tmp_path))
    json.dumps(chart, allow_nan=False)
    rows = chart["data"]["values"]
    assert [(row["value"], row["amount"]) for row in rows[2:]] == [(None, "inf"), (None, "nan")]


def test_a_long_training_has_a_bounded_number_of_points(tmp_path: Path) -> None:
    """The best and the last epoch among them; dots only while there are few."""
    many = tuple(Epoch(n, n, 0.1, 1.0, 1.0, 0.5 + 0.1 * (n == 1_234)) for n in range(1, 5_001))
    (curve,) = curves(many, path=tmp_path)
    drawn = drawn_epochs(curve.run)
    assert len(drawn) <= MOST_POINTS + 2
    assert {1_234, 5_000} <= {epoch.epoch for epoch in drawn}
    assert '"test": "false"' in json.dumps(accuracy_chart([curve]))
    assert '"test": "false"' not in json.dumps(accuracy_chart(curves(many[:FEW_EPOCHS], path=tmp_path / "few")))


def test_every_run_has_a_colour_of_its_own() -> None:
    """As many as are drawn, each seen on its ground, in both themes."""
    from gnet_inspect.views.pages import report

    css = (Path(report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    colors = re.findall(r"--run(\d): light-dark\((#\w{6}), (#\w{6})\)", css)
    assert [int(place) for place, *_ in colors] == [*range(COLORS)]
    (grounds,) = re.findall(r"--paper: light-dark\((#\w{6}), (#\w{6})\)", css)
    for shade, ground in enumerate(grounds, 1):
        assert len({color[shade] for color in colors}) == COLORS
        assert min(contrast(color[shade], ground) for color in colors) >= 4.5


def test_a_page_shows_training(folder: Path) -> None:
    """A section with its place in the contents, its words in the glossary, and a row for each run."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_report import Page

    text = draw_report(report_of("runs/a", "runs/b"))
    page = Page(text)
    assert ("a", {"href": "#training"}) in page.elements
    rows = [row for row in page.rows if row and row[0].startswith("small (runs/") and "digits" in row]
    assert [row[2:6] for row in rows] == [
        ["4 of 5, not finished", "3", "0.9375", "0.8750"],
        ["5 of 5", "5", "0.9625", "0.7500"],
    ]
    assert rows[1][-2:] == ["0.3 (aux)", "1"]
    assert "small (runs/a) is not finished: 4 of 5 epochs." in text
    charts = [attributes["data-chart"] for _, attributes in page.elements if "data-chart" in attributes]
    assert {"training-accuracy", "training-loss", "training-rate"} <= {*charts}
    for word in ("accuracy", "loss", "epoch", "lr"):
        assert ("a", {"class": "word", "href": f"#term-{word}"}) in [
            (tag, {key: value for key, value in attributes.items() if key != "title"})
            for tag, attributes in page.elements
        ]
        assert any(attributes.get("id") == f"term-{word}" for _, attributes in page.elements)


def test_a_page_of_no_run_has_no_training() -> None:
    """No section, no link, no figure."""
    from gnet_inspect.views.pages.report import draw_report

    spec = load_spec("lenet5")
    text = draw_report(make_report([(spec, build_graph(spec))], "fp32", ["lenet5"]))
    assert 'id="training"' not in text
    assert "#training" not in text
    assert "Accuracy after training" not in text


def test_a_run_without_an_epoch_has_a_row_and_no_chart(folder: Path) -> None:
    """And is said to be not finished."""
    from gnet_inspect.views.pages.report import draw_report

    text = draw_report(report_of("runs/c"))
    assert "other is not finished: 0 of 5 epochs." in text
    assert "training-loss" not in text
    assert "none yet" in text


def test_accuracies_on_several_data_have_no_bars(folder: Path) -> None:
    """On one they have."""
    from gnet_inspect.views.pages.glance import panels

    def parts(*folders: str) -> list[float | None]:
        found = {panel.title: panel for panel in panels(report_of(*folders))}
        return [figure.part for figure in found["Accuracy after training"].figures]

    assert parts("runs/a", "runs/b") == [0.9375 / 0.9625, 1.0]
    write_run(Path("runs/d"), data="/data/flowers")
    assert parts("runs/a", "runs/d") == [None, None]


def test_what_a_stranger_wrote_harms_no_page(folder: Path) -> None:
    """The names of data, optimizers and heads are text."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_report import Page

    evil = "</script><script>alert(1)</script>"
    write_run(Path("runs/e"), data=evil, optimizer=evil, schedule=evil, heads={evil: 0.3}, augment=(evil,))
    text = draw_report(report_of("runs/e", "runs/a"))
    Page(text)
    assert "<script>alert" not in text
    assert "report" in text


def test_more_runs_than_colours_are_in_the_table_alone(folder: Path) -> None:
    """And that is said."""
    from gnet_inspect.views.pages.report import draw_report
    from gnet_inspect.views.pages.training import curves_of

    names = [write_run(Path(f"runs/many{number}"), spec=f"net{number}") for number in range(COLORS + 2)]
    report = report_of(*names)
    assert len(curves_of(report)) == COLORS
    assert "2 more runs are in the table alone." in draw_report(report)


def test_an_editor_writes_no_run_over(folder: Path) -> None:
    """It begins as a text without a file, as a built-in model does."""
    from gnet_inspect.cli.serve import _open

    opened = _open("runs/a")
    assert (opened.path, opened.folder) == (None, Path.cwd())
    assert opened.text == Path("runs/a", SPEC_FILE).read_text()
