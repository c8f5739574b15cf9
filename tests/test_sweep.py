"""`gnet-inspect sweep`: its answers, the language of --vary, and the files that it writes and goes on with."""

import csv
import json
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

from gnet_inspect.errors import UsageError
from gnet_inspect.language import parse_spec
from gnet_inspect.search import counting, sweeping
from gnet_inspect.search.counting import Batch, Counter
from gnet_inspect.search.result import size_text
from tests.conftest import Run
from tests.sweeping import space_of
from tests.work import at_most_calls

SPEC = """\
name: chain
input: [3, 32, 32]
params: {wide: 1.0}
stages:
  all:
    a: {Conv2d: {out_channels: 16, kernel_size: 3, stride: 2}}
    b: {Conv2d: {out_channels: {round: [$wide * 16, 8]}, kernel_size: [3, 3], stride: 2}}
    c: {Conv2d: {out_channels: 8, kernel_size: 1}}
"""
VARY = ("--vary", "a.out_channels=1:20", "--vary", "c.out_channels=1:20", "--vary", "b.kernel_size=3,[1,3],[16,16]")
AIMS = ("--minimize", "macs", "--maximize", "params")
# Networks of VARY whose last kernel is larger than its input: 15 x 15.
COUNTED, INVALID = 1200, 400


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "chain.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return str(path)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "BATCH", 100)


def rows_of(path: Path, table: str = "candidates") -> list[Any]:
    with sqlite3.connect(path) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


# --- what it prints ---


def test_json_says_what_was_searched(run: Run, spec: str) -> None:
    result = run("sweep", spec, *VARY, *AIMS, "--where", "params < 3000", "--format", "json")
    assert result.code == 0
    told = json.loads(result.out)
    assert (told["size"], told["counted"], told["invalid"]) == (COUNTED, COUNTED, INVALID)
    assert (told["method"], told["exact"], told["gap"]) == ("enumerated", True, 0.0)
    values = [(found["macs"], -found["params"]) for found in told["front"]]
    assert values == sorted(values)
    assert all(found["params"] < 3000 for found in told["front"])
    assert list(told["front"][0]["edits"]) == ["a.out_channels", "c.out_channels", "b.kernel_size"]


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
def test_each_form_is_the_same_each_time(run: Run, spec: str, form: str) -> None:
    lines = ("sweep", spec, *VARY, *AIMS, "--sample", "300", "--seed", "7", "--format", form)
    one, two = run(*lines), run(*lines)
    assert one.code == 0
    assert one.out == two.out
    assert "networks" not in one.out.splitlines()[0]


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_a_terminal_s_width_is_kept(run: Run, spec: str, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    result = run("sweep", spec, *VARY, *AIMS, "--points", "4")
    assert "the spec itself" in result.out
    assert result.code == 0


def test_no_network_that_meets_it_ends_in_one(run: Run, spec: str) -> None:
    result = run("sweep", spec, *VARY, *AIMS, "--where", "params < 3")
    assert result.code == 1
    assert "`params < 3` cannot be met: the least is" in result.err
    assert "no network meets `params < 3`" in result.out


def test_numpy_is_asked_for(run: Run, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = run("sweep", spec, *VARY)
    assert result.code == 3
    assert "pip install 'gnet-inspect[search]'" in result.err


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_plot_of_the_front(run: Run, spec: str, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("vl_convert", reason="vl-convert is not installed")
    path = tmp_path / f"front.{ending}"
    assert run("sweep", spec, *VARY, *AIMS, "--plot", str(path)).code == 0
    data = path.read_bytes()
    assert data.startswith(b"<svg" if ending == "svg" else b"\x89PNG")
    if ending == "svg":
        assert b"the spec itself" in data


# --- the language of --vary, and wrong flags ---


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--vary", "a.out_channels=1:1000000000"), "expected at most 1,000 values, got those of '1:1000000000'"),
        (("--vary", "a.out_channels=5:1"), "expected START:STOP:STEP that goes from start to stop"),
        (("--vary", "a.out_channels=1:5:0"), "expected START:STOP:STEP that goes from start to stop"),
        (("--vary", "a.out_channels="), "expected PATH=VALUES, got 'a.out_channels='"),
        (("--vary", "=3"), "expected PATH=VALUES, got '=3'"),
        (("--vary", "nothing.here=1"), "`nothing` does not exist. (known: `a`, `b`, `c`, `wide`)"),
        (
            ("--vary", "z*.out_channels=1,2"),
            "a glob that meets arguments, got 'z*.out_channels'. (nothing is there",
        ),
        (("--vary", "a.out_channels=1,,2"), "expected a value between commas, got '1,,2'"),
        (("--vary", "a.out_channels=[1,2"), "expected lists that are closed, got '[1,2'"),
        (("--vary", "a.out_channels=1,1"), "expected values that differ, got 1 twice"),
        (("--vary", "input=0"), "or an image's height and width, got '0'"),
        (("--vary", f"a.out_channels={'9' * 23}"), "--vary: `a.out_channels`: expected a number of at most 19 digits"),
        (("--vary", "a.out_channels=x,y"), "`a.out_channels`: expected a positive integer, got 'x'"),
        (("--vary", "a.out_channels=1", "--vary", "a.*=2"), "expected each path once, got `a.out_channels` again"),
        (("--vary", "b.kernel_size=3", "--vary", "b.kernel_size.0=1"), "got both: `b.kernel_size.0` and what it is in"),
        ((), "expected something to vary, as --vary inception3a.c1=32:96:16, got nothing"),
        ((*VARY, "--tie", "a.out_channels"), "--tie: expected A=B"),
        ((*VARY, "--tie", "b.stride=a.stride"), "--tie: expected a path that --vary has first, got `b.stride`"),
        ((*VARY, "--tie", "a.out_channels=b.kernel_size"), "with the same values, got different ones"),
        ((*VARY, "--minimize", "parms"), "--minimize: expected totals, got 'parms'. (did you mean `params`"),
        ((*VARY, "--minimize", "macs", "--maximize", "macs"), "expected each total once, got 'macs' again"),
        ((*VARY, "--minimize", "layers_s"), "layers_s: expected --on DEVICE"),
        ((*VARY, "--gap", "200%"), "--gap: expected a part from 0 % to 100 %, as 1%, got '200%'"),
        ((*VARY, "--sample", "0"), "--sample"),
        ((*VARY, "--workers", "0"), "--workers"),
        ((*VARY, "--plot", "front.pdf"), "--plot: expected a file that ends in .svg or .png, got 'front.pdf'"),
        ((*VARY, "--resume"), "--resume: expected -o FILE"),
        ((*VARY, "--where", "parms < 3"), "parms"),
    ],
)
def test_wrong_flags_are_refused_in_a_line(run: Run, spec: str, flags: tuple[str, ...], words: str) -> None:
    result = run("sweep", spec, *flags)
    assert (result.code, result.out) == (2, "")
    assert words in result.err.splitlines()[-1], result.err


def test_values_as_people_write_them() -> None:
    parsed = parse_spec(SPEC, "chain.yaml")
    space = space_of(
        parsed,
        [
            "*.out_channels=8:16:4",
            "b.kernel_size=[1, 3], [3,1] ,3",
            "a.padding='same',\"valid\",1",
            "input=32,16x20,3x8x8",
            "wide=0.5,1",
        ],
        ["a.out_channels=c.out_channels"],
    )
    found = {choice.paths: choice.values for choice in space.choices}
    assert found[("a.out_channels", "c.out_channels")] == (8, 12, 16)
    assert found[("b.out_channels",)] == (8, 12, 16)
    assert found[("b.kernel_size",)] == ([1, 3], [3, 1], 3)
    assert found[("a.padding",)] == ("same", "valid", 1)
    assert found[("input",)] == ((3, 32, 32), (3, 16, 20), (3, 8, 8))
    assert found[("wide",)] == (0.5, 1)
    assert space_of(parsed, ["a.out_channels=9:1:-4"]).choices[0].values == (9, 5, 1)


def test_hostile_flags_take_little_work() -> None:
    parsed = parse_spec(SPEC, "chain.yaml")
    for text in ("1:1000000000", "-1000000000:1000000000", ",".join(map(str, range(100_000)))):
        with at_most_calls(2_000_000), pytest.raises(UsageError):
            space_of(parsed, [f"a.out_channels={text}"])
    with at_most_calls(1_000_000), pytest.raises(UsageError):
        space_of(parsed, ["*" * 10_000 + "x.out_channels=1,2"])


def test_the_size_of_a_huge_space_is_said() -> None:
    assert size_text(1000**1300) == "1.00e3900"
    layers = "".join(f"    c{at}: {{Conv2d: {{out_channels: 8, kernel_size: 1}}}}\n" for at in range(1_400))
    parsed = parse_spec(f"name: long\ninput: [3, 4, 4]\nstages:\n  all:\n{layers}", "long.yaml")
    with pytest.raises(UsageError, match="expected a space of fewer than 10\\^4,000 networks"):
        space_of(parsed, ["c*.out_channels=1:1000"])


def test_a_field_that_nobody_can_tell_is_nothing_in_a_row(run: Run, tmp_path: Path) -> None:
    text = """\
name: mixed
input: [3, 8, 8]
params: {turned: false}
stages:
  all:
    a: {Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
    b: {Reshape: {shape: [0, 8, 4, 8]}, when: $turned}
    c: {Conv2d: {out_channels: 4, kernel_size: 3}}
"""
    (tmp_path / "mixed.yaml").write_text(text, encoding="utf-8")
    for ending in ("db", "parquet"):
        line = (str(tmp_path / "mixed.yaml"), "--vary", "turned=true,false", "--maximize", "receptive_field")
        assert run("sweep", *line, "-o", str(tmp_path / f"rows.{ending}")).code == 0
    with sqlite3.connect(tmp_path / "rows.db") as db:
        assert db.execute("SELECT turned, receptive_field FROM candidates").fetchall() == [("true", None), ("false", 5)]


# --- its files ---


def test_csv_and_parquet_have_the_rows_of_the_database(run: Run, spec: str, tmp_path: Path) -> None:
    for ending in ("db", "csv", "parquet"):
        if ending == "parquet":
            pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        path = tmp_path / f"rows.{ending}"
        assert run("sweep", spec, *VARY, *AIMS, "-o", str(path)).code == 0
        rows = rows_of(tmp_path / "rows.db")
        assert [row[0] for row in rows] == list(range(1, COUNTED - INVALID + 1))
        if ending == "csv":
            with path.open(newline="", encoding="utf-8") as file:
                header, *lines = csv.reader(file)
            assert header[:4] == ["id", "a.out_channels", "c.out_channels", "b.kernel_size"]
            assert lines == [[str(value) for value in row] for row in rows]
        if ending == "parquet":
            from pyarrow import parquet

            columns = parquet.read_table(path).to_pydict()  # type: ignore[no-untyped-call]
            # A kernel of [1, 3] is text, and so is one of 3 beside it.
            assert list(zip(*columns.values(), strict=True)) == [(*row[:3], str(row[3]), *row[4:]) for row in rows]
        assert not list(tmp_path.glob("*.part*"))


@pytest.mark.usefixtures("small_batches")
def test_what_is_interrupted_goes_on(run: Run, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, path = tmp_path / "whole.db", tmp_path / "rows.db"
    usual = run("sweep", spec, *VARY, *AIMS, "-o", str(whole))
    work = Counter.run

    def interrupted(self: Counter, index: int) -> Batch:
        if index == 3:
            raise KeyboardInterrupt
        return work(self, index)

    monkeypatch.setattr(Counter, "run", interrupted)
    result = run("sweep", spec, *VARY, *AIMS, "-o", str(path))
    assert result.code == 130
    assert "--resume goes on" in result.err
    assert "300 of 1,200 networks were counted" in result.out
    assert len(rows_of(path)) == 200
    monkeypatch.setattr(Counter, "run", work)
    assert run("sweep", spec, *VARY, *AIMS, "-o", str(path)).code == 2
    other = run("sweep", spec, *VARY, "--minimize", "macs", "-o", str(path), "--resume")
    assert other.code == 2
    assert "is of another sweep: objectives is another one" in other.err
    again = run("sweep", spec, *VARY, *AIMS, "-o", str(path), "--resume")
    assert (again.code, again.out) == (0, usual.out)
    for table in ("candidates", "sweep", "progress"):
        assert rows_of(path, table) == rows_of(whole, table)
    # A sweep that is done is only told again.
    assert run("sweep", spec, *VARY, *AIMS, "-o", str(path), "--resume").out == usual.out


def test_several_workers_make_the_same_rows(run: Run, spec: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    printed = run("sweep", spec, *VARY, *AIMS, "-o", str(one)).out
    assert run("sweep", spec, *VARY, *AIMS, "-o", str(two), "--workers", "2").out == printed
    for table in ("candidates", "sweep", "progress"):
        assert rows_of(one, table) == rows_of(two, table)


def test_a_file_of_something_else_is_left_as_it_is(run: Run, spec: str, tmp_path: Path) -> None:
    text, database = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("hello", encoding="utf-8")
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE t(x)")
    for path in (text, database):
        before = path.read_bytes()
        for more in ((), ("--resume",)):
            result = run("sweep", spec, *VARY, *AIMS, "-o", str(path), *more)
            assert (result.code, result.out) == (2, "")
            assert path.read_bytes() == before
    assert run("sweep", spec, *VARY, *AIMS, "-o", str(tmp_path / "none" / "x.db")).code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_full_disk_is_said_and_survived(run: Run, spec: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    line = [sys.executable, "-m", "gnet_inspect", "sweep", spec, *VARY, *AIMS, "-o", str(path)]
    limit = 40 * 1024
    done = subprocess.run(
        line,
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write" in done.stderr.splitlines()[-1]
    assert "--resume goes on with it" in done.stderr
    assert run("sweep", spec, *VARY, *AIMS, "-o", str(path), "--resume").code == 0
    assert len(rows_of(path)) == COUNTED - INVALID


@pytest.mark.skipif(sys.platform != "linux", reason="forks and kills as Linux does")
def test_killed_at_any_moment_it_goes_on_with_the_same_rows(tmp_path: Path) -> None:
    """SIGKILL at 20 drawn calls of functions, some of them again while it goes on."""
    line = [sys.executable, "-m", "tests.killed", str(tmp_path), "5", "20"]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    ends = [json.loads(text.partition(" ")[2]) for text in done.stdout.splitlines()]
    assert sum(-9 in each for each in ends) > 15
    for table in ("candidates", "sweep", "progress"):
        rows = rows_of(tmp_path / "whole.db", table)
        assert rows
        for number in range(20):
            assert rows_of(tmp_path / f"{number}.db", table) == rows, (number, ends[number])


def test_a_proof_stores_its_front(run: Run, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MOST_ENUMERATED", 10)
    path = tmp_path / "front.db"
    result = run("sweep", spec, *VARY, *AIMS, "-o", str(path), "--format", "json")
    told = json.loads(result.out)
    assert told["method"] == "proved"
    names = ("macs", "params")
    with sqlite3.connect(path) as db:
        stored = db.execute(f"SELECT {', '.join(names)} FROM candidates ORDER BY id").fetchall()
    assert stored == [tuple(found[name] for name in names) for found in told["front"]]
