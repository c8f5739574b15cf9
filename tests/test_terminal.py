"""What a terminal shows: colours on both grounds, bars, columns that find no room, and tables longer than it."""

import io
import json
import re
import subprocess
import sys
from itertools import pairwise
from threading import Event
from typing import Any

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from rich.console import Console

from gnet_inspect.analysis.comparison import Comparison, compare_models
from gnet_inspect.analysis.difference import Change
from gnet_inspect.cli import options, output, progress
from gnet_inspect.cli.models import takes_long
from gnet_inspect.errors import SpecError
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.grid import BAR_CELLS, HEAT_STEPS, STYLES, Column, Grid, Line, Span, draw_text, heat
from gnet_inspect.views.tables import difference
from gnet_inspect.views.tables.difference import difference_grid
from gnet_inspect.views.text import bar, bar_share, width
from tests.clocks import FakeClock
from tests.conftest import Run
from tests.drawing import contrast
from tests.strategies import specs, to_yaml
from tests.terminals import on_a_terminal

# --- colours ---

# The first 16 of xterm's 256 colours, as it comes; the others are a cube of six steps an axis, and 24 greys.
XTERM = [0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD, 0x00CDCD, 0xE5E5E5]
XTERM += [0x7F7F7F, 0xFF0000, 0x00FF00, 0xFFFF00, 0x5C5CFF, 0xFF00FF, 0x00FFFF, 0xFFFFFF]
STEPS = (0, 95, 135, 175, 215, 255)
GROUNDS = ("#ffffff", "#000000")


def xterm(number: int) -> str:
    """A colour of xterm's, as #rrggbb."""
    if number < 16:
        return f"#{XTERM[number]:06x}"
    if number >= 232:
        return f"#{(8 + 10 * (number - 232)) * 0x010101:06x}"
    red, rest = divmod(number - 16, 36)
    return "#" + "".join(f"{STEPS[step]:02x}" for step in (red, *divmod(rest, 6)))


def inks(text: str) -> set[int]:
    """The colours that escape sequences ask for; the default is none. One of the first eight may be shown bright."""
    found = set()
    for sequence in re.findall(r"\x1b\[([0-9;]*)m", text):
        codes = [int(code or 0) for code in sequence.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 38:
                assert codes.pop(0) == 5
                found.add(codes.pop(0))
            elif 30 <= code <= 37 or 90 <= code <= 97:
                found |= {code % 10, code % 10 + 8} if code < 90 else {code % 10 + 8}
            else:
                assert code in (0, 1), f"neither bold nor a colour: {code}"
    return found


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("system", ["standard", "256", "truecolor"])
def test_colours_are_read_on_both_grounds(system: str, ground: str) -> None:
    """At least 3:1 on a white and on a black terminal, or the terminal's own colour; nothing is faint."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=system, highlight=False)  # type: ignore[arg-type]
    styles = [*STYLES, *(f"bold {style}" for style in STYLES)]
    output.print_colored([(style, (Span(0, len(style), style),)) for style in styles], console)
    assert set(STYLES) == set(output.COLORS) == set(output.FEW_COLORS)
    found = inks(stream.getvalue())
    assert len(found) >= (1 if system == "standard" else 5)
    for number in found:
        assert contrast(xterm(number), ground) >= 3, number


def test_this_test_can_fail() -> None:
    """Green and yellow of the first 16 vanish on white, blue on black."""
    assert [contrast(xterm(number), "#ffffff") < 3 for number in (2, 3, 6, 1)] == [True, True, True, False]
    assert contrast(xterm(4), "#000000") < 3
    assert (xterm(28), xterm(243)) == ("#008700", "#767676")


# --- bars ---


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_bar_says_its_share_and_its_colour_says_its_length(part: int, whole: int) -> None:
    """To an eighth of a cell; what is not nothing is seen."""
    part = min(part, whole)
    drawn = bar(part, whole, BAR_CELLS)
    assert bool(drawn) == bool(part)
    assert abs(bar_share(drawn, BAR_CELLS) - part / whole) <= 1 / 8 / BAR_CELLS
    assert width(drawn) <= BAR_CELLS
    if part:
        assert heat(bar_share(drawn, BAR_CELLS)) in STYLES


def test_the_steps_of_heat() -> None:
    """From each step on the next style."""
    assert [heat(share) for share in (0, *HEAT_STEPS, 1)] == ["heat0", "heat1", "heat2", "heat3", "heat3"]


@pytest.mark.parametrize(
    "command", [["summary", "googlenet"], ["roofline", "googlenet", "--on", "h200"], ["compare", "vgg16"]]
)
def test_bars_stand_behind_their_shares(command: list[str], run: Run) -> None:
    """Each as long as the share in front of it, whatever is drawn between tables and columns."""
    cells = 20 if command[0] == "compare" else BAR_CELLS
    found = re.findall(r"(<?[0-9.]+)(?: %)?  ([█▏▎▍▌▋▊▉]+)", run(*command).out)
    assert len(found) > 8
    for share, drawn in found:
        assert abs(100 * bar_share(drawn, cells) - float(share.strip("<"))) <= 100 / 16 / cells + 0.1 or len(drawn) == 1
    for style in ("json", "csv", *(["markdown", "latex"] if command[0] != "compare" else [])):
        assert "▏" not in run(*command, "--format", style).out


# --- columns ---


@pytest.mark.parametrize(
    "command", [["summary", "googlenet"], ["flops", "googlenet"], ["list"], ["compare", "googlenet", "vgg16"]]
)
def test_what_a_narrow_terminal_hides_is_named(command: list[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that --columns and CSV have; a pipe and a terminal that is wide enough hide nothing."""
    assert "hidden:" not in run(*command).out
    for size in (40, 60, 80, 100, 300):
        monkeypatch.setenv("COLUMNS", str(size))
        text = run(*command).out
        assert max(map(len, text.splitlines())) <= size
        monkeypatch.delenv("COLUMNS")
        hidden = re.findall(r"hidden: (.*?) \(", re.sub(r"\n  ", " ", text))
        assert bool(hidden) == (size < 300)
        for name in hidden[0].split(", ") if hidden else ():
            if command[0] != "compare":
                assert run(*command, "--columns", name).code == 0
                assert "--columns" in text


@pytest.mark.parametrize(("command", "key"), [(["flops", "googlenet"], "kind"), (["list", "--family", "vgg"], "model")])
def test_columns_are_chosen(command: list[str], key: str, run: Run) -> None:
    """In their order, in every format that has columns; the total is among its rows, and JSON has all."""
    whole = run(*command, "--format", "csv").out.splitlines()
    chosen = run(*command, "--format", "csv", "--columns", f"macs,{key}").out.splitlines()
    places = [whole[0].split(",").index(name) for name in ("macs", key)]
    assert [line.split(",")[0] for line in chosen] == [line.split(",")[places[0]] for line in whole]
    assert chosen[0] == f"macs,{key}"
    assert run(*command, "--columns", key, "--format", "json").out == run(*command, "--format", "json").out
    table = run(*command, "--columns", f"{key},macs").out.splitlines()
    (head,) = (line for line in table if line.startswith(key))
    assert head.split() == [key, "MACs"]
    if command[0] == "flops":
        assert any(re.fullmatch(r"total +1,582,671,872", line) for line in table)
    for wrong, mend in (("mac", "did you mean `macs`?"), ("MACs", "did you mean `macs`?"), ("weights", "known: ")):
        refused = run(*command, "--columns", wrong)
        assert (refused.code, refused.out) == (2, "")
        assert f"--columns: expected a column, got '{wrong}'. ({mend}" in refused.err


# --- long tables ---


@pytest.mark.skipif(sys.platform != "linux", reason="reads a Linux pseudo-terminal")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["summary", "googlenet"], "28 rows, which do not fit here: --depth stage, --top 10 or `| less -S`\n"),
        (
            ["summary", "googlenet", "--depth", "layer", "--top", "30"],
            "32 rows, which do not fit here: --depth block or `| less -S`\n",
        ),
        (["compare", "vgg16", "vgg19"], ""),
        (
            ["list", "--filter", "*[0-9]*"],
            " rows, which do not fit here: --family NAME, --where CONDITION or `| less -S`\n",
        ),
    ],
)
def test_a_table_higher_than_the_terminal_says_what_shortens_it(command: list[str], said: str) -> None:
    """On standard error, behind it, in flags that the command has and that are not given."""
    out, err = on_a_terminal(command, COLUMNS="200", LINES="25")
    assert err.endswith(said)
    assert err.count("\n") == bool(said)
    assert "do not fit" not in out
    assert on_a_terminal(command, COLUMNS="200", LINES="500")[1] == ""


def test_a_pipe_is_as_high_as_it_takes(run: Run) -> None:
    """Nothing is said there."""
    assert run("summary", "googlenet", "--depth", "layer").err == ""


def test_hints_name_flags_that_the_command_has(run: Run) -> None:
    """Of a command with --depth and --top."""
    for command in ("summary", "roofline"):
        text = run(command, "--help").out
        for hint in options.shorter("block", None):
            assert hint.split()[0] in text
    assert "--family" in run("list", "--help").out


# --- widths ---

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40) | st.text("ab _.漢", max_size=90)
KINDS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"number": True}, {"keep": 3}, {"number": True, "keep": 2}, {"wraps": True}, {"wraps": True, "keep": 1}]
)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any table: texts of strangers, numbers, columns of every kind."""
    columns = [
        Column(f"c{index}", draw(st.text("abc", max_size=9)), **draw(KINDS)) for index in range(draw(st.integers(1, 6)))
    ]
    cells = [st.integers(0, 10**9).map(str) if column.number else NAMES for column in columns]
    lines = draw(st.lists(st.tuples(*cells).map(Line), max_size=5))
    said = st.lists(NAMES, max_size=2).map(tuple)
    return Grid(tuple(columns), tuple(lines), draw(said), draw(said))


@given(grids(), st.integers(20, 200))
@example(Grid(tuple(Column(name, name, number=True) for name in "abc"), (Line(("1" * 9,) * 3),)), 24)
@example(Grid((Column("a", "", keep=3), Column("b", "", keep=3)), (Line(("", "0" * 30)),)), 20)
def test_no_line_is_wider_than_the_terminal(grid: Grid, cells: int) -> None:
    """Of whatever, in cells: what is wide takes two. Styles lie within their lines."""
    for text, spans in draw_text(grid, cells):
        for line in text.split("\n"):
            assert width(line) <= cells
        assert all(0 <= start <= end <= len(text) for start, end, _ in spans)
    assert len(draw_text(grid)) <= len(grid.lines) * 9 + 20


CHANGES = st.lists(st.text("abcde.->", min_size=1, max_size=30), max_size=30).map(" ".join)


@given(
    st.lists(st.tuples(CHANGES, CHANGES, st.integers(-(10**9), 10**9)), min_size=1, max_size=4), st.integers(40, 200)
)
def test_no_text_of_a_difference_is_lost(rows: list[tuple[str, str, int]], cells: int) -> None:
    """What is in a column that wraps stands there whole, broken only where its lines end."""
    lines = tuple(Line(("~", name, what, f"{delta:,}")) for name, what, delta in rows)
    number = max(len("MACs"), *(len(line.cells[3]) for line in lines))
    columns = [column for column in difference.COLUMNS if column.exact in ("status", "name", "what", "macs_delta")]
    for bound in (cells, None):
        (head, _), (rule, _), *drawn = draw_text(Grid(tuple(columns), lines), bound)
        ends = [head.index("part"), head.index("what"), len(rule) - number]
        texts: list[list[str]] = []
        for text, _ in drawn:
            texts += [["", ""]] if text.startswith("~") else []
            for column, (start, end) in enumerate(pairwise(ends)):
                texts[-1][column] += text[start:end]
        for (name, what, delta), found in zip(rows, texts, strict=True):
            assert ["".join(text.split()) for text in found] == ["".join(text.split()) for text in (name, what)]
            assert any(text.endswith(f"{delta:,}") for text, _ in drawn)


# --- differences ---


def compared(before: str, after: str) -> Comparison:
    """Two models, and how they differ."""
    return compare_models([(load_spec(name), build_graph(load_spec(name))) for name in (before, after)], diff=True)


def check_rows(comparison: Comparison) -> None:
    """Rows are the parts that differ, each once; they add up to the difference, rows of layers to the row above them;
    every change is said."""
    changes = comparison.diff or ()
    first, second = (model.totals for model in comparison.models[:2])
    shown = [change for change in changes if change.status in difference.SIGNS]
    for inside in (False, True):
        groups = difference._grouped(changes, inside=inside)
        told = [change for row, *_ in groups for change in row.changes]
        assert sorted(map(id, told)) == sorted(map(id, shown))
        assert sum(difference._sum_params(row.changes) for row, *_ in groups) == second.params - first.params
        assert sum(difference._sum_macs(row.changes) for row, *_ in groups) == second.macs - first.macs
        for row, *layers in groups:
            assert inside or not layers
            if layers:
                assert difference._sum_params(row.changes) == sum(
                    difference._sum_params(part.changes) for part in layers
                )
                assert difference._sum_macs(row.changes) == sum(difference._sum_macs(part.changes) for part in layers)
    for depth in difference.DEPTHS:
        said = [line.cells[2] for line in difference_grid(comparison, depth).lines]
        for change in shown:
            assert any(text.endswith(difference._words(change)) for text in said)
    block = [
        (line.cells[0], line.cells[2].partition(": ")[2] or line.cells[2]) for line in difference_grid(comparison).lines
    ]
    assert len(set(block)) == len(block)


@pytest.mark.parametrize(("before", "after"), [*pairwise(("googlenet", "googlenet_torchvision", "vgg11", "resnet18"))])
def test_the_rows_of_a_difference_add_up(before: str, after: str) -> None:
    """At both depths."""
    check_rows(compared(before, after))


@settings(derandomize=True, database=None, max_examples=40, deadline=None)
@given(st.data())
def test_rows_of_drawn_differences_add_up(data: st.DataObject) -> None:
    """Of any two networks."""
    try:
        drawn = [parse_spec(to_yaml(data.draw(specs(faults=False)))) for _ in range(2)]
        check_rows(compare_models([(spec, build_graph(spec)) for spec in drawn], diff=True))
    except SpecError:
        reject()


def test_equal_changes_are_said_once(run: Run) -> None:
    """With the parts they were made to, wherever these are; JSON has each by itself."""
    text = run("compare", "googlenet", "googlenet_torchvision", "--diff", "--format", "markdown").out
    (row,) = (line for line in text.splitlines() if "9 blocks: bias true" in line)
    assert "inception3a, inception3b, inception4a to inception4e, inception5a, inception5b" in row
    assert row.endswith("| -373.97 | -84.30 |")
    assert text.count("bias true") == 2
    found = json.loads(run("compare", "googlenet", "googlenet_torchvision", "--diff", "--format", "json").out)
    assert sum(change["name"].startswith("inception") for change in found["diff"]) == 9


def change(name: str, what: str = "w", status: str = "changed", kind: str = "unit", was: str | None = None) -> Change:
    """A change of some part."""
    return Change(status, "s", name, was, kind, (what,), 0, 1, 0, 2, None, None)


def test_parts_of_one_change_are_named() -> None:
    """Of three and more behind each other the first and the last; of many names the first; new names with the old."""
    same = change("same", "", "same")
    for changes, names, what in (
        ([change("a"), change("b")], "a, b", "2 blocks: w"),
        ([change("a"), change("b"), change("c")], "a to c", "3 blocks: w"),
        ([change("a"), same, change("b"), change("c")], "a, b, c", "3 blocks: w"),
        ([change("a", kind="Conv2d"), change("b")], "a, b", "2 parts: w"),
        ([change("a", kind="Conv2d"), change("b", kind="ReLU")], "a, b", "2 layers: w"),
        ([change("a", kind="head"), change("b", kind="head")], "a, b", "2 heads: w"),
        ([change("a", was="x"), change("b", was="y"), change("c", was="z")], "a to c (was x to z)", "3 blocks: w"),
        ([change("a"), change("b", was="y"), change("c")], "a, b (was y), c", "3 blocks: w"),
        ([item for name in "abcdefgh" for item in (change(name), same)], "a, b, c, d, e, f and 2 more", "8 blocks: w"),
    ):
        ((row,),) = difference._grouped(changes, inside=False)
        line = difference._line(row, ("", 1), ("", 1), inside=False)
        assert line.cells[1:3] == (names, what)
        assert line.cells[4:] == (f"+{len(row.changes)}", f"+{2 * len(row.changes)}")


def test_every_model_of_the_catalogue_fits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the table of layers, on a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "50")
    for model in sorted(catalogue())[::9]:
        spec = load_spec(model)
        comparison = compare_models(
            [(spec, build_graph(spec)), (load_spec("nin"), build_graph(load_spec("nin")))], diff=True
        )
        for depth in difference.DEPTHS:
            for text, _ in draw_text(difference_grid(comparison, depth), 50):
                assert all(width(line) <= 50 for line in text.split("\n"))


# --- what lasts ---


class Waits:
    """What the thread of a bar waits by: it says at once whether the work ended meanwhile, and keeps for how long."""

    def __init__(self, *, ended: bool) -> None:
        self.ended, self.asked = ended, list[float]()

    def __call__(self, _: Event, seconds: float) -> bool:
        self.asked.append(seconds)
        return self.ended


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def drawn_by(bar: progress.Bar) -> str:
    """What a bar shows now, in plain letters."""
    stream = io.StringIO()
    Console(file=stream, width=80).print(bar.render())
    return stream.getvalue().strip()


def test_quick_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar comes after two seconds; work that ends before leaves a terminal as it was."""
    stream, waits = Terminal(), Waits(ended=True)
    monkeypatch.setattr(sys, "stderr", stream)
    bar = progress.Bar(progress.Elapsed(FakeClock()), waits)
    bar._thread.join()
    bar.tell(0, "reading")
    bar.close()
    assert (stream.getvalue(), waits.asked) == ("", [progress.DELAY])


def test_long_work_shows_a_bar_and_takes_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done and for how long; the standard streams stay what they are, and the cursor is given back."""
    stream, clock = Terminal(), FakeClock()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    bar = progress.Bar(progress.Elapsed(clock), Waits(ended=False))
    bar.tell(0, "reading \x1b[31m")
    bar._thread.join()
    assert sys.stderr is stream
    clock.sleep(12)
    assert drawn_by(bar) == "reading \\x1b[31m 12 s"
    bar.close()
    text = stream.getvalue()
    assert "reading \\x1b[31m" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_a_bar_ends_with_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that fails; a terminal that is quick enough sees none of it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    bars: list[progress.Bar] = []

    def stopped() -> None:
        with progress.show_work() as tell:
            bars.append(tell.__self__)  # type: ignore[attr-defined]  # a method of the bar's
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    bars[0]._thread.join()
    assert stream.getvalue() == ""


def test_parts_that_are_done_say_how_long_the_others_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time each took; before one is done nothing is made up."""
    clock = FakeClock()
    left = progress.PartsLeft(100, clock)
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = progress.Bar(left, Waits(ended=True))
    bar.tell(20, "drawing a")
    clock.sleep(10)
    assert (left.seconds(), left.share(), left.text()) == (None, None, "10 s")
    assert drawn_by(bar) == "drawing a 10 s"
    bar.tell(30, "drawing b")
    assert (left.seconds(), left.share(), left.text()) == (40.0, 0.2, "about 40 s left")
    assert re.fullmatch(r"drawing b [━╸╺-]+ +about 40 s left", drawn_by(bar))
    clock.sleep(5)
    assert left.seconds() == 35.0
    clock.sleep(100)
    assert (left.seconds(), left.text()) == (0.0, "")
    bar.tell(50, "drawing c")
    assert left.seconds() == pytest.approx(115)


def test_lines_are_for_what_lasts(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal and lines are asked for: once for each thing, with an estimate where there is one."""
    clock = FakeClock()
    for lines in (False, True):
        with progress.show_work(4, clock, lines=lines) as tell:
            for amount, text in ((0, "reading"), (1, "a"), (1, "b"), (0, "b"), (0, ""), (1, "c")):
                tell(amount, text)
                clock.sleep(10 * amount)
        said = ["reading", "a", "b", "c (about 20 s left)"]
        assert capsys.readouterr().err.splitlines() == (said if lines else [])


def test_a_bar_is_seen_on_both_grounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its colours are those of tables."""
    clock = FakeClock()
    left = progress.PartsLeft(4, clock)
    left.advance(2)
    clock.sleep(60)
    left.advance(1)
    monkeypatch.setattr(sys, "stderr", Terminal())
    stream = io.StringIO()
    bar = progress.Bar(left, Waits(ended=True))
    Console(file=stream, force_terminal=True, color_system="256", width=80).print(bar.render())
    found = inks(stream.getvalue())
    assert len(found) == 2
    assert all(contrast(xterm(number), ground) >= 3 for number in found for ground in GROUNDS)


def test_what_is_no_spec_may_take_long() -> None:
    """A spec is read in milliseconds, and imports nothing to tell of it."""
    assert [takes_long(name) for name in ("googlenet", "a.yaml", "-", "a.onnx", "a.pt2", "timm:resnet50")] == [
        *(False, False, False),
        *(True, True, True),
    ]
    code = (
        "import sys; from gnet_inspect.cli import main; sys.argv[1:] = ['summary', 'lenet5']\n"
        "try: main()\nexcept SystemExit: print('gnet_inspect.cli.progress' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
