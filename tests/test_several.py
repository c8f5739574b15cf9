"""Several models, and several devices, of one command."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run

COMMANDS = {
    "summary": ["--depth", "layer"],
    "flops": [],
    "taps": [],
    "roofline": ["--on", "h200"],
    "verify": ["--published"],
}
MODELS = ("lenet5", "alexnet")


def rows(text: str) -> list[list[str]]:
    """The rows of CSV, its head first."""
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize("command", COMMANDS)
def test_several_are_as_one_is(command: str, run: Run) -> None:
    """Tables below each other, a list of what JSON has of one, rows of CSV with the model's name in front."""
    flags = COMMANDS[command]
    for style, between in (("table", "\n"), ("markdown", "\n")):
        ones = [run(command, model, *flags, "--format", style).out for model in MODELS]
        # The totals beside each other stand before them.
        beside = [run(command, *MODELS, *flags, "--totals", "--format", style).out] if command == "roofline" else []
        assert run(command, *MODELS, *flags, "--format", style).out == between.join([*beside, *ones])
    found = json.loads(run(command, *MODELS, *flags, "--format", "json").out)
    parsed = [json.loads(run(command, model, *flags, "--format", "json").out) for model in MODELS]
    assert found == {"schema_version": parsed[0]["schema_version"], "results": parsed}
    head, *lines = rows(run(command, *MODELS, *flags, "--format", "csv").out)
    devices = ["h200"] if command == "roofline" else []
    expected = []
    for model in MODELS:
        own, *more = rows(run(command, model, *flags, "--format", "csv").out)
        assert head == ["model", *(["device"] if devices else []), *own]
        expected += [[model, *devices, *line] for line in more]
    assert lines == expected
    assert lines


def test_several_devices_are_beside_several_models(run: Run) -> None:
    """Each model on each device, in the order of both."""
    result = run("roofline", *MODELS, "--on", "h200,a100", "--format", "json")
    found = [(one["model"], one["device"]["name"]) for one in json.loads(result.out)["results"]]
    assert found == [(model, name) for model in MODELS for name in ("h200", "a100")]
    _, *lines = rows(run("roofline", *MODELS, "--on", "h200,a100", "--depth", "stage", "--format", "csv").out)
    assert list(dict.fromkeys((line[0], line[1]) for line in lines)) == [
        (model, device) for model in MODELS for device in ("h200", "a100")
    ]


def test_times_of_several_devices_are_below_each_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own record; here a processor stands for all of them."""
    pytest.importorskip("torch")
    from gnet_inspect.runtime.latency import setting

    monkeypatch.setattr(setting, "pick_device", lambda name: "cpu")
    line = ["latency", "lenet5", "--min-time", "0.01", "--repeat", "1", "--warmup", "0"]
    assert len(json.loads(run(*line, "--device", "cpu,cuda:1", "--format", "json").out)["results"]) == 2
    head, *lines = rows(run(*line, "--device", "cpu,cuda:1", "--format", "csv").out)
    own, _ = rows(run(*line, "--device", "cpu", "--format", "csv").out)
    assert head == ["device", *own]
    assert [found[:2] for found in lines] == [["cpu", "lenet5"]] * 2
    assert run(*line, "--device", "cpu,cuda:1").out.count("images/s") == 2
    for flag in ("--save", "--against"):
        result = run(*line, "--device", "cpu,cuda:1", flag, "kept.json")
        assert result.code == 2


def test_a_device_that_is_not_there_is_named_before_anything_is_timed(run: Run) -> None:
    """Beside one that is."""
    pytest.importorskip("torch")
    result = run("latency", "lenet5", "--device", "cpu,cuda:77")
    assert (result.code, result.out) == (3, "")
    assert "--device cuda:77: torch sees" in result.err


def test_a_device_file_may_have_a_comma_in_its_name(run: Run, tmp_path: Path) -> None:
    """It is one file."""
    from importlib.resources import files

    path = tmp_path / "mine,yours.yaml"
    path.write_text((files("gnet_inspect.analysis.devices") / "h200.yaml").read_text())
    assert "on NVIDIA H200 SXM" in run("roofline", "lenet5", "--on", str(path)).out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["summary", "lenet5", "googlnet"], "got 'googlnet': did you mean `googlenet`?"),
        (["summary", "lenet5", "googlenet", "--until", "stem"], "'lenet5': --until: expected the name of a layer"),
        (["flops", "lenet5", "vgg16", "--input", "1x1x32x32"], "vgg16.yaml:"),
        (["flops", "lenet5", "vgg16", "--input", "3x32x32"], "'lenet5': --input 3x32x32 is"),
        (["taps", "-", "-"], "expected one spec on standard input, got `-` twice"),
        (["summary", "lenet5", "vgg16", "--set", "classes=5"], "--set: expected one model to edit, got 2 models"),
        (["roofline", "lenet5", "vgg16", "--on", "h200", "--format", "svg"], "a plot is of one model on one device"),
        (
            ["roofline", "lenet5", "--on", "h200,l4", "--format", "svg"],
            "got 1 and 2. (run it for each, or leave svg out",
        ),
        (["roofline", "lenet5", "--on", "h200,nope"], "got 'nope'"),
        (["roofline", "lenet5", "--on", ","], "expected --on with a device"),
    ],
)
def test_errors_say_which_one_they_are_of(line: list[str], message: str, run: Run) -> None:
    """Nothing is printed of the others."""
    result = run(*line)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("(2, 3, 64, 32)", "2x3x64x32"),
        ("[3,64,32]", "1x3x64x32"),
        ("2 3 64 32", "2x3x64x32"),
        ("3*64*32", "1x3x64x32"),
        ("3×64×32", "1x3x64x32"),
        ("64x32", "1x3x64x32"),
        ("64", "1x3x64x64"),
    ],
)
def test_a_shape_is_written_in_many_ways(text: str, shape: str, run: Run) -> None:
    """As Python writes it, with another sign between, and an image by its height and width or its side."""
    assert f"input {shape} " in run("flops", "squeezenet1_1", "--input", text).out


def test_validation_goes_on_behind_what_is_wrong(run: Run, write_spec: Callable[..., str]) -> None:
    """A row for each; exit 2, and the error as it is of one."""
    good = write_spec("name: good\ninput: [3, 8, 8]\nstages: {s: {a: ReLU}}\n", "good.yaml")
    bad = write_spec("name: bad\ninput: [3, 8, 8]\nstages: {s: {a: ReLuu}}\n", "bad.yaml")
    result = run("validate", bad, good, "nosuch", "--format", "json")
    one = run("validate", bad)
    assert (result.code, one.code, one.out) == (2, 2, "")
    assert result.err.startswith(one.err)
    assert "error: expected a built-in model or a spec file, got 'nosuch'" in result.err
    found = json.loads(result.out)["results"]
    assert [(row["file"], row["model"], row["ok"]) for row in found] == [
        (bad, None, False),
        (good, "good", True),
        ("nosuch", None, False),
    ]
    assert one.err == f"{found[0]['error']}\n"
    assert json.loads(run("validate", good, "--format", "json").out) == found[1]
    _, *lines = rows(run("validate", good, bad, "--format", "csv").out)
    assert [line[:3] for line in lines] == [[good, "good", "yes"], [bad, "", "no"]]
    assert run("validate", good, "lenet5").code == 0


def test_one_no_is_the_answer(run: Run, write_spec: Callable[[str], str]) -> None:
    """A figure that disagrees in one model of several; both are shown."""
    text = "name: x\ninput: [3, 8, 8]\nstages: {s: {a: {Conv2d: {out_channels: 4, kernel_size: 1}}}}\n"
    wrong = write_spec(text + "published:\n  - {source: here, totals: {params: 900}}\n")
    result = run("verify", "lenet5", wrong, "--published")
    assert result.code == 1
    assert "LeNet-5" in result.out
    assert "disagrees" in result.out
    assert run("verify", "lenet5", "googlenet", "--published").code == 0
