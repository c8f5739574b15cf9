"""Standard streams that are closed, full or unread, signals at any moment, limits on memory, and words that are typed
to break the line: each command answers with its exit code and a sentence."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.cli.app import COMMANDS
from gnet_inspect.errors import MissingError, shorten
from gnet_inspect.views.native import call_native
from tests.conftest import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="closes descriptors and limits as Linux does")

COMMAND = [sys.executable, "-m", "gnet_inspect"]
# One line for each command, those that measure with what they refuse.
LINES = {
    "summary": ["lenet5"],
    "compare": ["lenet5", "alexnet"],
    "explain": ["lenet5", "c1"],
    "flops": ["lenet5"],
    "taps": ["lenet5"],
    "diagram": ["lenet5"],
    "report": ["lenet5"],
    # Served, it would not end.
    "serve": ["lenet5", "--port", "-1"],
    "sweep": ["lenet5", "--vary", "c1.out_channels=4,8", "--minimize", "macs"],
    "roofline": ["lenet5", "--on", "h200"],
    "check": ["lenet5", "--max", "params=7M"],
    "list": [],
    "trace": ["lenet5"],
    "import": ["lenet5", "-o", "lenet5.json"],
    "export": ["lenet5", "-o", "lenet5.json"],
    "init": ["-"],
    "show": ["lenet5"],
    "validate": ["lenet5"],
    "schema": [],
    "verify": ["lenet5", "--published"],
    "train": ["lenet5", "--lr", "-1"],
    "evaluate": ["nowhere"],
    "latency": ["lenet5", "--min-time", "-1"],
    "calibrate": ["--min-time", "nan"],
    "doctor": [],
    "glossary": [],
}
REFUSED = ("serve", "import", "export", "train", "evaluate", "latency", "calibrate")
# What is tried in every way: a command that prints tables, one that prints a picture, one a text, and one that refuses.
# The others come to the same functions for what they print, and are tried in one way for each stream.
EVERY_WAY = ("summary", "diagram", "schema", "latency")
FULL = "No space left on device"
CLOSED = "standard output is closed"


def redirected(arguments: list[str], redirection: str = "", **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A command with its streams as a shell redirects them."""
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *arguments]
    return subprocess.run(shell, capture_output=True, check=False, **options)


def unread(arguments: list[str], stream: str) -> tuple[int, bytes]:
    """(exit code, the other output) of a command whose output ("stdout", "stderr") is a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
    done = subprocess.run([*COMMAND, *arguments], check=False, **streams)
    os.close(writing)
    return done.returncode, done.stdout or done.stderr or b""


def test_every_command_has_a_line_here() -> None:
    """A new command is tried like the others."""
    assert list(LINES) == list(COMMANDS)


@pytest.mark.parametrize("command", LINES)
def test_a_command_whose_streams_are_closed_full_or_unread(command: str) -> None:
    """What nobody listens to changes nothing; a result that went nowhere is an error, but for a closed pipe."""
    line = [command, *LINES[command]]
    whole = command in EVERY_WAY
    usual = redirected(line)
    assert usual.returncode == (2 if command in REFUSED else 0)
    for redirection in ("<&- 2>&-", "2>/dev/full")[: 2 if whole else 1]:
        done = redirected(line, redirection)
        assert (done.returncode, done.stdout) == (usual.returncode, usual.stdout), redirection
    if whole:
        assert unread(line, "stderr") == (usual.returncode, usual.stdout)
    code, said = unread(line, "stdout")
    assert (code, said) == (usual.returncode, usual.stderr)
    for redirection, words in ((">/dev/full", FULL), ("<&- >&-", CLOSED))[: 2 if whole else 1]:
        done = redirected(line, redirection)
        assert (done.returncode, done.stdout) == (2, b"")
        assert (words in done.stderr.decode()) == (command not in REFUSED)
        # Behind what it says in any case.
        assert done.stderr.count(b"\n") == usual.stderr.count(b"\n") + (command not in REFUSED)
    if whole:
        assert redirected(line, ">&- 2>&-").returncode == 2


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_goes_the_same_ways(flag: str) -> None:
    """typer's own prints: silent, and done, where they reached nobody."""
    assert unread([flag], "stdout") == (0, b"")
    for redirection, words in ((">&-", CLOSED), (">/dev/full", FULL)):
        done = redirected([flag], redirection)
        assert (done.returncode, words in done.stderr.decode()) == (2, True)


@pytest.mark.parametrize("name", ["d.svg", "d.png", "r.html", "p.svg", "s.json"])
def test_a_file_is_the_same_where_all_streams_are_closed(name: str, tmp_path: Path) -> None:
    """A descriptor that is closed would be the number of the next file: what is said there would be written into it."""
    for package in ("pygraphviz", "vl_convert", "jinja2"):
        pytest.importorskip(package)
    line = {
        "d.svg": ["diagram", "lenet5"],
        "d.png": ["diagram", "lenet5"],
        "r.html": ["report", "lenet5"],
        "p.svg": ["roofline", "lenet5", "--on", "h200"],
        "s.json": ["summary", "lenet5", "--format", "json"],
    }[name]
    usual, closed = tmp_path / "usual", tmp_path / "closed"
    for folder, redirection in ((usual, ""), (closed, "<&- >&- 2>&-")):
        folder.mkdir()
        assert redirected([*line, "-o", str(folder / name)], redirection).returncode == 0
    assert (closed / name).read_bytes() == (usual / name).read_bytes()


def test_an_error_is_never_printed_into_the_result() -> None:
    """Where standard error is closed, the exit code says it alone."""
    done = redirected(["summary", "nosuch"], "2>&-")
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_spec_on_a_closed_or_unreadable_standard_input(tmp_path: Path) -> None:
    """`-` needs something to read."""
    for redirection, words in (("<&-", "standard input, which is closed"), (f"0>{tmp_path}/x", "cannot read standard")):
        done = redirected(["summary", "-"], redirection)
        assert (done.returncode, done.stdout) == (2, b"")
        assert words in done.stderr.decode()
        assert b"defect" not in done.stderr


def test_a_loop_of_links_is_no_place_for_a_file(run: Run, tmp_path: Path) -> None:
    """Nor a spec, a record or a device."""
    loop = tmp_path / "loop"
    loop.symlink_to(tmp_path / "back")
    (tmp_path / "back").symlink_to(loop)
    words = "Too many levels of symbolic links"
    for line in (
        ["summary", "lenet5", "-o", str(loop)],
        ["summary", "lenet5", "-o", str(loop / "x")],
        ["summary", str(loop)],
        ["report", "lenet5", "--latency", str(loop)],
        ["roofline", "lenet5", "--on", str(loop)],
        ["latency", "lenet5", "--against", str(loop)],
    ):
        result = run(*line)
        assert (result.code, result.out, words in result.err) == (2, "", True), line
    assert loop.is_symlink()


@pytest.mark.parametrize("style", ["json", "table", "csv", "markdown"])
def test_a_model_whose_name_is_no_text(style: str, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are escaped in every format."""
    folder = os.fsencode(tmp_path)
    path = os.path.join(folder, b"\xff.yaml")
    Path(os.fsdecode(path)).write_text("name: x\ninput: [3, 8, 8]\nstages: {s: {a: ReLU}}\n")
    for command in ("summary", "compare", "validate", "flops", "roofline", "verify"):
        more = {"roofline": ["--on", "h200"], "verify": ["--published"]}.get(command, [])
        line = [os.fsencode(word) for word in [*COMMAND, command, "--format", style, *more]]
        done = subprocess.run([*line, path], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), command
        done.stdout.decode()


# --- what is typed ---

# A right-to-left override, an escape that colours, a bell, a line that looks like another.
HOSTILE = "\u202e\u2066\x1b[31m\a\nError: a line of its own"


@pytest.mark.parametrize(
    "line",
    [
        ["summary", HOSTILE],
        [HOSTILE],
        ["summary", "lenet5", f"--{HOSTILE}"],
        ["summary", "lenet5", HOSTILE],
        ["summary", "lenet5", "--batch", HOSTILE],
        ["summary", "lenet5", "--input", HOSTILE],
        ["summary", "lenet5", "--format", HOSTILE],
        ["summary", "lenet5", "--filter", HOSTILE],
        ["summary", "lenet5", "--columns", HOSTILE],
        ["summary", "lenet5", "--set", HOSTILE],
        ["summary", "lenet5", "--set", f"{HOSTILE}=1"],
        ["summary", "lenet5", "--set", f"classes={HOSTILE}"],
        ["summary", "lenet5", "-o", f"/nowhere/{HOSTILE}"],
        ["report", "lenet5", "--latency", HOSTILE],
        ["roofline", "lenet5", "--on", HOSTILE],
        ["diagram", "lenet5", "--only", HOSTILE],
        ["diagram", "lenet5", "-o", HOSTILE],
        ["list", "--family", HOSTILE],
        ["latency", "lenet5", "--min-time", HOSTILE],
    ],
)
def test_what_is_typed_is_echoed_without_acting(run: Run, line: list[str]) -> None:
    """Control characters and direction marks as escapes, in typer's sentences too, and on the one line of the error."""
    result = run(*line)
    assert result.out == "" or "--filter" in line
    assert all(text.isprintable() for text in result.err.split("\n"))
    assert not [text for text in result.err.splitlines() if text.startswith("Error: a line of its own")]


@pytest.mark.parametrize("word", ["9" * 100_000, "x" * 100_000, "a b " * 25_000, "a," * 50_000])
@pytest.mark.parametrize(
    "flag", ["--batch", "--input", "--format", "--columns", "--set", "--top", "--nothing", "-o", ""]
)
def test_what_is_typed_is_echoed_short(run: Run, flag: str, word: str) -> None:
    """Its start and its end."""
    result = run("summary", "lenet5", *([flag] if flag else []), word)
    assert result.code == 2
    assert max(map(len, result.err.splitlines())) < 1_200


def test_a_message_of_a_usual_length_stands_whole() -> None:
    """Paths are long words."""
    text = (
        f"/a/{'b' * 200}/c.yaml:12: `stages.x`: expected a number, got 'y'. (known: {', '.join(map(str, range(90)))})"
    )
    assert shorten(text) == text


def test_completion_without_what_it_completes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable alone, or another word in it."""
    for asked, words in (
        ("complete_bash", "not the words to complete"),
        ("complete_\u202e", "expected complete_bash, complete_zsh"),
        ("x", "expected complete_bash, complete_zsh"),
    ):
        monkeypatch.setenv("_GNET_INSPECT_COMPLETE", asked)
        result = run("summary", "lenet5")
        assert (result.code, result.out) == (2, "")
        assert words in result.err
        assert "\u202e" not in result.err
    monkeypatch.setenv("_GNET_INSPECT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "gnet-inspect summary lene")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().out == "lenet5\n"


# --- signals ---

SIGNALS = {"SIGINT": (130, "interrupted\n"), "SIGTERM": (143, "terminated\n"), "SIGHUP": (129, "hung up\n")}


def stopped(hook: str, name: str, *line: str, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that sends itself a signal where `hook` calls stop(): no clock says when."""
    code = f"import os, signal, sys\nstop = lambda: os.kill(os.getpid(), signal.{name})\n{hook}\n"
    code += "from gnet_inspect.cli import main\nmain()\n"

    def answer() -> None:
        # In either case, because whoever runs these tests may ignore the signal, as nohup does.
        signal.signal(getattr(signal, name), signal.SIG_IGN if ignored else signal.SIG_DFL)

    # As a module, because how Python ends after a KeyboardInterrupt differs from a script to a module.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "stopping.py").write_text(code)
        path = os.pathsep.join([folder, *sys.path])
        return subprocess.run(
            [sys.executable, "-m", "stopping", *line],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=answer,
            env=os.environ | {"PYTHONPATH": path},
        )


def at_import(module: str) -> str:
    """A hook that stops where a module is about to be imported, in executed text, as many modules have it."""
    return (
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == {module!r}: sys.meta_path.remove(self); exec('stop()')\n"
        "sys.meta_path.insert(0, Finder())"
    )


def wrapped(function: str, *, after: bool) -> str:
    """A hook that stops before or after a function does its work."""
    module = function.rpartition(".")[0]
    calls = "made = real(*a, **k); stop(); return made" if after else "stop(); return real(*a, **k)"
    body = calls.replace("; ", "\n    ")
    return f"import {module}\nreal = {function}\ndef again(*a, **k):\n    {body}\n{function} = again"


def test_little_is_imported_before_signals_are_answered() -> None:
    """Python answers a signal with a traceback until then."""
    code = "import sys; before = {*sys.modules}; import gnet_inspect.cli; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = {
        "gnet_inspect",
        "gnet_inspect.conversion",
        "gnet_inspect.display",
        "gnet_inspect.cli",
        "gnet_inspect.cli.signals",
        "gnet_inspect.cli.streams",
    }
    assert {*done.stdout.split()} - own <= {"gc", "_signal"}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize(
    "module",
    ["typer", "typer.core", "gnet_inspect.cli.app", "gnet_inspect.cli.options", "gnet_inspect.cli.summary", "msgspec",
     "gnet_inspect.graph", "gnet_inspect.analysis.summary", "gnet_inspect.views.grid", "gnet_inspect.views.json"],
)  # fmt: skip
def test_a_signal_while_modules_are_read(name: str, module: str) -> None:
    """One word, the shell's exit code, and nothing else."""
    done = stopped(at_import(module), name, "summary", "lenet5", "--format", "json")
    assert (done.returncode, done.stdout, done.stderr) == (SIGNALS[name][0], "", SIGNALS[name][1])


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize(
    ("function", "after"),
    [("tempfile.mkstemp", True), ("os.fdopen", True), ("os.chmod", False), ("os.chmod", True), ("os.replace", False),
     ("os.replace", True), ("os.unlink", False)],
)  # fmt: skip
def test_a_signal_while_a_file_is_written(name: str, function: str, after: bool, tmp_path: Path) -> None:
    """The old file or the new one, and nothing beside it: also where a second one comes while scraps are removed."""
    path = tmp_path / "out.json"
    path.write_text("old")
    hook = wrapped(function, after=after)
    if function == "os.unlink":
        hook += "\n" + wrapped("os.fdopen", after=True).replace("real", "first").replace("again", "opened")
    done = stopped(hook, name, "summary", "lenet5", "--format", "json", "-o", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (SIGNALS[name][0], "", SIGNALS[name][1])
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]
    text = path.read_text()
    assert text == "old" or json.loads(text)["model"] == "lenet5"


def test_a_picture_needs_no_folder_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be left in TMPDIR, however the process ends."""
    pytest.importorskip("pygraphviz")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary folder")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    assert run("diagram", "lenet5", "--format", "svg").code == 0


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_while_a_child_draws(name: str, tmp_path: Path) -> None:
    """It is answered at once, and the child ends with it."""
    pytest.importorskip("vl_convert")
    hook = wrapped("subprocess.Popen.communicate", after=False).replace("import subprocess.Popen", "import subprocess")
    done = stopped(hook, name, "roofline", "lenet5", "--on", "h200", "-o", str(tmp_path / "a.svg"))
    assert (done.returncode, done.stderr) == (SIGNALS[name][0], SIGNALS[name][1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_at_the_end(name: str) -> None:
    """After the result is out Python takes down its modules: no traceback comes from there either."""
    done = stopped("import atexit\natexit.register(stop)", name, "list")
    assert (done.returncode, done.stderr) == SIGNALS[name]
    assert "googlenet" in done.stdout


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_that_the_caller_ignores_stays_ignored(name: str) -> None:
    """nohup, and what a shell starts in the background."""
    done = stopped(at_import("yaml"), name, "summary", "lenet5", ignored=True)
    assert (done.returncode, done.stderr) == (0, "")


# --- limits ---


def limited(arguments: list[str], size: int, kind: int = resource.RLIMIT_AS) -> subprocess.CompletedProcess[str]:
    """A command under a limit in bytes, as `ulimit -v` sets it."""

    def limit() -> None:
        resource.setrlimit(kind, (size, size))

    command = [*COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)


@pytest.mark.parametrize("size", [2 * 10**9, 32 * 10**9])
@pytest.mark.parametrize("line", [["report", "lenet5"], ["roofline", "lenet5", "--on", "h200"]])
def test_charts_under_a_limit_of_addresses(line: list[str], size: int, tmp_path: Path) -> None:
    """V8 aborts with a page of stack: here it is a sentence that names the limit."""
    for package in ("vl_convert", "jinja2"):
        pytest.importorskip(package)
    done = limited([*line, "-o", str(tmp_path / ("a.html" if line[0] == "report" else "a.svg"))], size)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert (
        "needs vl-convert (V8 reserves more than 64 GB of addresses), which ended without a result under the limit of "
        f"{size / 1e9:.2f} GB of address space (ulimit -v)" in done.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_a_picture_under_a_limit_is_the_same_picture(tmp_path: Path) -> None:
    """Graphviz needs little; where it has less, it is a sentence too."""
    pytest.importorskip("pygraphviz")
    usual, under = tmp_path / "usual.png", tmp_path / "under.png"
    assert redirected(["diagram", "lenet5", "-o", str(usual)]).returncode == 0
    assert limited(["diagram", "lenet5", "-o", str(under)], 4 * 10**9).returncode == 0
    assert under.read_bytes() == usual.read_bytes()
    under.unlink()
    for size in (60, 80, 100, 120, 160, 250):
        done = limited(["diagram", "lenet5", "-o", str(under)], size * 10**6)
        assert done.returncode in (0, 3), done.stderr
        assert under.exists() == (done.returncode == 0)
        assert "defect" not in done.stderr
        assert done.stderr.count("\n") <= 1


def die(_: str) -> bytes:
    """What a native library does that cannot go on."""
    os.abort()


def fail(_: str) -> bytes:
    """A mistake of ours."""
    raise ValueError("a mistake")


def test_a_child_that_dies_is_told_from_a_mistake() -> None:
    """The one is for who runs it, the other a defect."""
    with pytest.raises(MissingError, match=r"a chart needs libnative, which ended without a result: .*SIGABRT"):
        call_native(f"{__name__}:die", "", what="a chart", library="libnative")
    with pytest.raises(RuntimeError, match="libnative: ValueError: a mistake"):
        call_native(f"{__name__}:fail", "", what="a chart", library="libnative")


# --- numbers ---


@pytest.mark.parametrize("seconds", [0, 5e-324, 3.2e7])
def test_times_of_any_size_are_drawn(seconds: float, run: Run, tmp_path: Path) -> None:
    """A time too short for any clock is none."""
    pytest.importorskip("vl_convert")
    names = [layer["name"] for layer in json.loads(run("summary", "lenet5", "--format", "json").out)["layers"]]
    layers = [{"name": name, "median_s": seconds, "roofline_s": seconds} for name in names]
    result = {"model": "lenet5", "median_s": seconds, "p10_s": seconds, "p90_s": seconds, "times_s": [seconds]}
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"results": [{**result, "layers": layers}]}))
    plot, page = str(tmp_path / "a.svg"), str(tmp_path / "a.html")
    for line in (["roofline", "lenet5", "--on", "h200", "-o", plot], ["report", "lenet5", "-o", page]):
        ended = run(*line, "--latency", str(record))
        assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("name", ["images_per_s", "peak_memory_bytes", "estimated_memory_bytes", "batch"])
def test_a_figure_of_a_record_that_nothing_can_have(name: str, run: Run, tmp_path: Path) -> None:
    """It is refused where it stands."""
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"results": [{"model": "lenet5", name: -1}]}))
    assert f"$.results[0].{name}" in run("report", "lenet5", "--latency", str(record)).err
    record.write_text(json.dumps({"results": [{"model": "lenet5", name: 10**30}]}))
    if name != "batch":
        assert f"$.results[0].{name}" in run("report", "lenet5", "--latency", str(record)).err


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1", "1e300"])
@pytest.mark.parametrize("command", [["latency", "lenet5"], ["calibrate"]])
def test_a_time_to_measure_for_has_an_end(command: list[str], value: str, run: Run) -> None:
    """Before anything is imported or timed."""
    result = run(*command, f"--min-time={value}")
    assert (result.code, "--min-time: expected seconds above 0 and up to 86,400" in result.err) == (2, True)
    many = run(*command, "--threads", "2147483647")
    assert (many.code, "--threads: expected at most 1,024, got 2147483647" in many.err) == (2, True)
