"""FILE.db#17: a network that a sweep kept, as a MODEL of any command."""

import json
import sqlite3
from pathlib import Path

import pytest

from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run

FEW = (
    "--vary",
    "c1.out_channels=4:8:2",
    "--vary",
    "f6.out_features=40,84",
    "--vary",
    "input=32,36",
    "--set",
    "classes=7",
)
# More choices than a row has columns for.
BLOCKS = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
VARIED = {"bn1.momentum": "0.1,0.2", "bn2.momentum": "0.1,0.2", "conv1.bias": "false,true", "conv2.bias": "false,true"}
MANY = [
    part
    for block in BLOCKS
    for argument, values in VARIED.items()
    for part in ("--vary", f"{block}.{argument}={values}")
]


@pytest.fixture
def rows(run: Run, tmp_path: Path) -> Path:
    """All networks of a small space."""
    path = tmp_path / "rows.db"
    assert run("sweep", "lenet5", *FEW, "--minimize", "macs", "-o", str(path)).code == 0
    return path


def totals(run: Run, *arguments: str) -> dict[str, int]:
    """A summary's totals."""
    result = run("summary", *arguments, "--format", "json")
    assert result.code == 0, result.err
    found: dict[str, int] = json.loads(result.out)["totals"]
    return found


def test_every_row_is_the_network_that_was_counted(rows: Path, run: Run) -> None:
    """With its edits, those that all have, and the size of its input."""
    with sqlite3.connect(rows) as db:
        found = db.execute("SELECT * FROM candidates").fetchall()
    assert len(found) == 12
    for number, channels, features, shape, macs, params in found:
        own = totals(run, f"{rows}#{number}")
        assert (own["macs"], own["params"]) == (macs, params)
        side = shape.split("x")[-1]
        edits = [f"c1.out_channels={channels}", f"f6.out_features={features}", "classes=7"]
        flags = [part for edit in edits for part in ("--set", edit)]
        assert own == totals(run, "lenet5", "--input", f"1x1x{side}x{side}", "--resize", *flags)


def test_a_row_takes_further_flags(rows: Path, run: Run) -> None:
    """Edits on top of its own, a batch, another input."""
    first = totals(run, f"{rows}#1")
    assert totals(run, f"{rows}#1", "--batch", "3")["macs"] == 3 * first["macs"]
    edited = totals(run, f"{rows}#1", "--set", "classes=10")
    assert edited["params"] > first["params"]
    larger = totals(run, f"{rows}#1", "--input", "1x1x40x40", "--resize")
    assert larger["macs"] > first["macs"]
    assert run("compare", "lenet5", f"{rows}#2").code == 0
    assert "<svg" in run("diagram", f"{rows}#2", "--format", "svg").out


def test_a_row_is_written_as_a_spec(rows: Path, run: Run, tmp_path: Path) -> None:
    """Its own, which says what it was made of, and has its totals without any flag."""
    path = tmp_path / "variant.yaml"
    assert run("show", f"{rows}#5", "-o", str(path)).code == 0
    assert path.read_text().startswith("# lenet5 with c1.out_channels=")
    written = build_graph(load_spec(str(path)))
    own = totals(run, f"{rows}#5")
    assert sum(node.macs or 0 for node in written.nodes) == own["macs"]
    assert sum(node.params for node in written.nodes) == own["params"]
    assert run("validate", str(path)).code == 0


def test_rows_of_many_choices(run: Run, tmp_path: Path) -> None:
    """Of which a row has the places of the values alone."""
    path = tmp_path / "many.db"
    sampled = run("sweep", "resnet18", *MANY, "--sample", "20", "--seed", "3", "--minimize", "params", "-o", str(path))
    assert sampled.code == 0, sampled.err
    with sqlite3.connect(path) as db:
        found = db.execute("SELECT id, params FROM candidates").fetchall()
    assert len({params for _, params in found}) > 1
    for number, params in found[:5]:
        assert totals(run, f"{path}#{number}")["params"] == params


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{rows}#0", "expected a row from 1 to 12, got 0"),
        ("{rows}#13", "expected a row from 1 to 12, got 13"),
        ("{folder}/none.db#1", "which is not there"),
        ("{folder}/other.db#1", "expected the file of a sweep"),
        ("{folder}/text.db#1", "expected the file of a sweep"),
    ],
)
def test_what_is_no_row_is_refused(model: str, said: str, rows: Path, run: Run, tmp_path: Path) -> None:
    """With what there is."""
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE something (id INTEGER)")
    (tmp_path / "text.db").write_text("no database")
    result = run("summary", model.format(rows=rows, folder=tmp_path))
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err
