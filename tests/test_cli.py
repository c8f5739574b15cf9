"""The commands as a user meets them: contracts of JSON, exit codes, errors, files, pipes and narrow terminals."""

import csv
import io
import json
import math
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.terminals import COMMAND, on_a_terminal

SUMMARY_KEYS = [
    *("schema_version", "model", "title", "mode", "dtype", "input", "totals", "coverage", "stages", "layers"),
    "unreached",
]
TOTAL_KEYS = {
    "params",
    "trainable_params",
    "frozen_params",
    "unreached_params",
    "buffers",
    "macs",
    "flops",
    "param_bytes",
    "activation_bytes",
    "peak_activation_bytes",
    "peak_node",
    "peak_activation_status",
    "least_peak_activation_bytes",
    "receptive_field",
}
LAYER_KEYS = [
    "name",
    "kind",
    "stage",
    "block",
    "inputs",
    "input_shapes",
    "output_shape",
    "params",
    "buffers",
    "macs",
    "flops",
    "activation_bytes",
    "receptive_field",
    "receptive_field_status",
    "offset",
    "jump",
    "intensity",
    "output_shapes",
    "backward_macs",
    "backward_flops",
]


def numbers(text: str) -> list[float]:
    """The numbers of a table's line, thousands ungrouped."""
    return [float(word.replace(",", "")) for word in text.split() if re.fullmatch(r"[\d,]+(\.\d+)?", word)]


# --- summary ---


def test_summary_json_is_the_contract(run: Run) -> None:
    """Keys, in order; leaf nodes in execution order whatever the depth; integers as they are."""
    result = run("summary", "googlenet", "--format", "json", "--depth", "stage")
    summary = json.loads(result.out)
    assert list(summary) == SUMMARY_KEYS
    assert set(summary["totals"]) >= TOTAL_KEYS
    assert set(summary["coverage"]) == {"nodes", "counted", "unknown"}
    assert [set(stage) for stage in summary["stages"]] == [
        {"name", "output_shape", "params", "macs", "activation_bytes"}
    ] * 5
    assert all(list(layer) == LAYER_KEYS for layer in summary["layers"])
    assert summary["input"] == [1, 3, 224, 224]
    assert (summary["totals"]["params"], summary["totals"]["macs"]) == (6_998_552, 1_582_671_872)
    first, second = summary["layers"][:2]
    assert (first["inputs"], second["inputs"], first["block"], first["kind"]) == (
        ["input"],
        ["conv1.conv"],
        "conv1",
        "Conv2d",
    )
    assert summary["layers"][-1]["receptive_field"] is None
    assert result.err == ""


@pytest.mark.parametrize("depth", ["stage", "block", "layer"])
def test_rows_sum_to_their_parents_and_columns_to_their_total(run: Run, depth: str) -> None:
    """In the drawn text: each stage is the sum of the rows under it, and the total of the stages."""
    columns = "name,params,macs,flops,activation_bytes"
    lines = run("summary", "googlenet", "--mode", "train", "--depth", depth, "--columns", columns).out.splitlines()
    rule = [index for index, line in enumerate(lines) if line.startswith("---")]
    body, total = lines[rule[0] + 1 : rule[1]], numbers(lines[rule[1] + 1])
    sums: dict[int, list[float]] = {}
    for line in reversed(body):
        level = (len(line) - len(line.lstrip())) // 2
        values = numbers(line)[-4:]
        below = sums.pop(level + 1, None)
        if below is not None:
            # Two decimals each: the sum of many roundings.
            assert below == pytest.approx(values, abs=0.005 * len(body) + 0.01)
        sums[level] = [a + b for a, b in zip(sums.get(level, [0.0] * 4), values, strict=True)]
    assert sums == {0: pytest.approx(total, abs=0.1)}


@pytest.mark.parametrize("depth", ["stage", "block", "layer"])
@pytest.mark.parametrize("more", [(), ("--sort", "macs"), ("--columns", "activation_bytes,flops,macs,buffers,params")])
def test_csv_columns_sum_to_the_totals_exactly(run: Run, depth: str, more: tuple[str, ...]) -> None:
    """No subtotal, no total: the rows of one depth, in any order."""
    out = run("summary", "googlenet", "--format", "csv", "--depth", depth, *more).out
    rows = list(csv.DictReader(io.StringIO(out)))
    totals = json.loads(run("summary", "googlenet", "--format", "json").out)["totals"]
    for name in ("params", "buffers", "macs", "flops", "activation_bytes"):
        assert sum(int(row[name]) for row in rows) == totals[name]


def test_sorting_filtering_and_the_top(run: Run) -> None:
    """Largest first; the rest in a row of its own."""
    out = run("summary", "googlenet", "--depth", "layer", "--sort", "macs", "--top", "2", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["name"] for row in rows] == ["conv3.conv", "inception3b.branch2.1.conv"]
    drawn = run("summary", "googlenet", "--depth", "layer", "--sort", "macs", "--top", "2").out
    assert "(140 others)" in drawn
    nothing = run("summary", "googlenet", "--filter", "nothing")
    assert (nothing.code, nothing.err) == (0, "--filter: nothing matches 'nothing'\n")
    kinds = run("summary", "googlenet", "--depth", "layer", "--filter", "LocalResponseNorm", "--format", "csv").out
    assert [row["name"] for row in csv.DictReader(io.StringIO(kinds))] == ["norm1", "norm2"]
    names = run("summary", "googlenet", "--sort", "name", "--format", "csv", "--columns", "name").out.split()
    assert names[1:] == sorted(names[1:])


def test_a_blocks_intensity_is_its_flops_over_all_its_bytes(run: Run) -> None:
    """Layers without MACs move bytes too."""
    arguments = ("summary", "googlenet", "--format", "csv", "--filter", "inception3a*")
    (block,) = csv.DictReader(io.StringIO(run(*arguments).out))
    layers = json.loads(run("summary", "googlenet", "--format", "json").out)["layers"]
    elements = 0
    for layer in (layer for layer in layers if layer["block"] == "inception3a"):
        elements += layer["params"] + sum(math.prod(shape) for shape in [layer["output_shape"], *layer["input_shapes"]])
    assert float(block["intensity"]) == pytest.approx(2 * 128_049_152 / (4 * elements))


def test_markdown_is_a_table(run: Run) -> None:
    """A pipe table with as many cells in every row."""
    lines = [
        line for line in run("summary", "googlenet", "--format", "markdown").out.splitlines() if line.startswith("|")
    ]
    assert len({line.count("|") for line in lines}) == 1
    assert lines[1].startswith("| --- | --- |")
    assert any("**total**" in line and "**100.0**" in line for line in lines)


def test_edits_inputs_and_dtypes_reach_the_result(run: Run) -> None:
    """The model's name in the result says what was edited."""
    result = run(
        "summary",
        "googlenet",
        "--set",
        "classes=10",
        "--set",
        "inception4a.c2=[96,256]",
        "--batch",
        "4",
        "--dtype",
        "fp16",
        "--format",
        "json",
    )
    summary = json.loads(result.out)
    assert (summary["model"], summary["overrides"]) == ("googlenet", ["classes=10", "inception4a.c2=[96,256]"])
    assert (summary["input"], summary["dtype"]) == ([4, 3, 224, 224], "fp16")
    assert summary["layers"][-1]["output_shape"] == [4, 10]
    assert json.loads(run("summary", "googlenet", "--input", "3x64x64", "--format", "json").out)["input"] == [
        1,
        3,
        64,
        64,
    ]


def test_a_spec_may_come_on_standard_input(run: Run) -> None:
    """`-` is a spec on standard input; errors call it <stdin>."""
    shown = run("show", "googlenet_d2l").out
    result = run("summary", "-", "--format", "json", stdin=shown.encode())
    assert json.loads(result.out)["totals"]["params"] == 5_977_530
    bad = run("summary", "-", stdin=b"name: x\n")
    assert (bad.code, bad.err) == (2, "<stdin>:1: expected a spec with the key `input`, got none\n")


def test_the_header_states_the_contract(run: Run) -> None:
    """Model and variant, input, batch, dtype, mode, convention; and the coverage at the end."""
    out = run("summary", "googlenet", "--set", "classes=10", "--batch", "2", "--dtype", "bf16", "--mode", "train").out
    assert out.startswith(
        "GoogLeNet (Inception v1) - googlenet classes=10\ninput 2x3x224x224 (batch 2), bf16, train mode\nMACs: "
    )
    assert "biases not counted; 1 MAC = 2 FLOPs" in out
    assert "158 of 158 nodes counted" in out


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_narrow_terminals_drop_columns_and_never_wrap_rows(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """No line is longer than the terminal, and each row keeps one line."""
    monkeypatch.setenv("COLUMNS", str(width))
    for depth in ("block", "layer"):
        lines = run("summary", "googlenet", "--depth", depth).out.splitlines()
        assert max(map(len, lines)) <= width
        rows = [line for line in lines if line.startswith("  inception3a")]
        assert len(rows) == 1
    narrow = run("summary", "googlenet").out
    assert "MACs" in narrow
    assert "params" in narrow


# --- the other commands ---


def test_list_json_is_the_contract(run: Run) -> None:
    """Each model with its totals and what is published of it."""
    listing = json.loads(run("list", "--format", "json").out)
    assert list(listing) == ["schema_version", "models"]
    assert {model["model"] for model in listing["models"]} >= {"googlenet", "googlenet_torchvision", "googlenet_d2l"}
    for model in listing["models"]:
        assert {"model", "input", "totals", "published", "stages"} <= set(model)
    googlenet = next(model for model in listing["models"] if model["model"] == "googlenet")
    assert googlenet["totals"]["params"] == 6_998_552
    assert googlenet["published"][0]["top5_error"] == 10.07


def test_show_prints_the_spec_itself(run: Run, write_spec: Callable[[str], str]) -> None:
    """The start of a variant of one's own: what is shown is a spec again."""
    text = run("show", "googlenet").out
    assert text.startswith("# GoogLeNet as the paper describes it")
    assert run("validate", write_spec(text)).code == 0
    again = run("summary", write_spec(text), "--format", "json").out
    assert json.loads(again)["totals"] == json.loads(run("summary", "googlenet", "--format", "json").out)["totals"]


def test_a_block_that_nothing_uses_is_a_warning_beside_the_result(run: Run, write_spec: Callable[..., str]) -> None:
    """On standard error, whatever the command; the result holds nothing of it."""
    text = (
        "name: x\ninput: [3, 8, 8]\n%sblocks: {b: {layers: {a: ReLU}}, c: {layers: {a: Tanh}}}\nstages: {s: {a: %s}}\n"
    )
    path = write_spec(text % ("", "c"))
    clean = write_spec(
        "name: x\ninput: [3, 8, 8]\nblocks: {c: {layers: {a: Tanh}}}\nstages: {s: {a: c}}\n", "clean.yaml"
    )
    warning = f"{path}:3: `blocks.b`: warning: nothing uses this block. (use it, or remove it)\n"
    for command in (["validate"], ["summary"], ["summary", "--format", "json"], ["diagram", "--format", "dot"]):
        result, expected = run(*command, path), run(*command, clean)
        assert (result.code, result.err, expected.err) == (0, warning, "")
        assert result.out.replace("mine", "clean") == expected.out
    # What an edit may put in is told where a spec is checked.
    spare = write_spec(text % ("params: {k: c}\n", "$k"))
    assert run("summary", spare, "--set", "k=b").err == ""
    assert "an edit may put it in where a parameter holds a layer" in run("validate", spare).err


def test_a_parameter_that_nothing_uses_is_a_mistake(run: Run, write_spec: Callable[[str], str]) -> None:
    """It would head a table that it does not change."""
    path = write_spec("name: x\ninput: [3, 8, 8]\nparams: {classes: 10}\nstages: {s: {a: ReLU}}\n")
    for command in (["validate", path], ["summary", path, "--set", "classes=7"]):
        result = run(*command)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"{path}:3: `params.classes`: expected every parameter of the model to be used")


def test_validate_checks_shapes_heads_and_published_nodes(run: Run, write_spec: Callable[[str], str]) -> None:
    """A good file says what it is; a bad one exits 2 and says where."""
    good = run("validate", "googlenet")
    assert good.code == 0
    assert "142 layers, 7.00 M params, 1.58 G MACs, aux1, aux2" in good.out
    assert json.loads(run("validate", "googlenet", "--format", "json").out)["ok"] is True
    path = write_spec("name: x\ninput: [3, 8, 8]\nstages:\n  s:\n    a: ReLU\nheads:\n  h: {from: b, layers: [ReLU]}\n")
    bad = run("validate", path)
    assert (bad.code, bad.out) == (2, "")
    assert (
        bad.err
        == f"{path}:7: `heads.h.from`: expected a head after a layer or block of the network, got `b`. (known: `a`)\n"
    )


def test_verify_prints_what_it_compared(run: Run) -> None:
    """Each check with its number of values; JSON as the contract has it; progress on standard error."""
    for package in ("torch", "fvcore", "torchinfo"):
        pytest.importorskip(package)
    result = run("verify", "googlenet", "--format", "json")
    found = json.loads(result.out)
    assert result.code == 0
    assert list(found) == ["schema_version", "model", "ok", "checks", "published", "sources"]
    assert found["ok"] is True
    assert [set(check) >= {"what", "against", "ok", "compared", "differences"} for check in found["checks"]] == [
        True
    ] * 5
    figure = {"source", "row", "what", "published", "exact", "deviation", "verdict", "note"}
    assert figure | {"overrides", "mode", "input"} == set(found["published"][0])
    assert "output shapes against forward hooks" in result.err
    table = run("verify", "googlenet_d2l", "--input", "1x1x64x64").out
    assert "values compared, 0 differ" in table


def test_verify_without_torch_prints_the_audit_and_exits_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs torch is marked "not run", with the command that installs it."""
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    result = run("verify", "googlenet")
    assert result.code == 3
    assert result.out.count("not run") >= 5
    assert "params of conv1" in result.out
    assert "pip install torch torchinfo fvcore psutil safetensors" in result.err


def test_doctor_says_what_is_there_and_how_to_get_the_rest(run: Run) -> None:
    """Every format; a missing part has a remedy."""
    parts = json.loads(run("doctor", "--format", "json").out)["parts"]
    assert {"python", "torch", "CUDA device", "pygraphviz", "dot"} <= {part["name"] for part in parts}
    assert all(part["found"] or part["remedy"] for part in parts)
    assert "PyYAML" in run("doctor").out


def test_version_and_help(run: Run) -> None:
    """Every command's help has an example."""
    assert re.fullmatch(r"gnet-inspect \d+\.\d+\.\d+\n", run("--version").out)
    out = run("--help").out
    for command in ("list", "show", "validate", "schema", "summary", "compare", "flops", "diagram", "verify", "doctor"):
        assert re.search(rf"^  {command} ", out, re.MULTILINE)
        assert "Example: gnet-inspect" in run(command, "--help").out


def test_only_the_command_that_is_called_is_put_in() -> None:
    """All of them for help and for a misspelt one, which is answered with the nearest."""
    from gnet_inspect.cli.app import COMMANDS, make_app

    for arguments, registered in (
        (["summary", "list"], ["summary"]),
        (["--version"], list(COMMANDS)),
        ([], list(COMMANDS)),
        (["sumary"], list(COMMANDS)),
    ):
        assert [command.name for command in make_app(arguments).registered_commands] == registered


# --- errors of flags ---

# The messages are quoted whole, one case a line.
# ruff: noqa: E501


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["summary", "googlnet"], "expected a built-in model or a spec file, got 'googlnet': did you mean `googlenet`"),
        (["summary", "no/such.yaml"], "expected a spec file, got 'no/such.yaml', which does not exist"),
        (["summary", "."], "expected a built-in model or a spec file, got the folder '.'"),
        (["summary", ""], "expected a built-in model or a spec file, got"),
        (["summary", "googlenet", "--input", "1x2x3x4x5"], "--input: expected NxCxHxW, CxHxW or HxW of positive integers, got '1x2x3x4x5'. (for example 1x3x224x224)"),
        (["summary", "googlenet", "--input", "1x3x-4x4"], "--input: expected NxCxHxW"),
        (["summary", "nosuch.yaml"], "expected a spec file, got 'nosuch.yaml', which does not exist. (gnet-inspect init nosuch.yaml writes a first one)"),
        (["summary", "googlenet", "--input", "1x3x0x4"], "--input: expected NxCxHxW"),
        (["summary", "googlenet", "--input", "1x3x9999999x4"], "expected an input shape"),
        (["summary", "googlenet", "--input", "2x3x64x64", "--batch", "4"], "has a batch of 2, --batch says 4"),
        (["summary", "googlenet", "--batch", "0"], "--batch: expected a positive integer, got 0"),
        (["summary", "googlenet", "--input", "1x3x1x1"], "layer `maxpool1` cannot take its input from conv1.relu (1x64x1x1)"),
        (["summary", "googlenet", "--input", "1x4x64x64"], "googlenet.yaml:19: `blocks.conv.layers.conv`: layer `conv1.conv` (Conv2d 7x7/2, 64) expected 3 channels, as at the model's own input 3x224x224, got 4 at 4x64x64"),
        (["summary", "googlenet", "--optimizer", "adam"], "--optimizer: expected --mode train, for only training keeps gradients. (add --mode train)"),
        (["summary", "googlenet", "--mode", "train", "--optimizer", "adamw"], "--optimizer: expected sgd, momentum, adam, got 'adamw'. (did you mean `adam`?)"),
        (["summary", "googlenet", "--mode", "train", "--optimizer", "sgd", "--dtype", "int8"], "--dtype: expected fp32, fp16, bf16, fp64, got 'int8'"),
        (["summary", "googlenet", "--depth", "blocks"], "--depth: expected stage, block, layer, got 'blocks'. (did you mean `block`?"),
        (["summary", "googlenet", "--mode", "both"], "--mode: expected eval, train, got 'both'"),
        (["summary", "googlenet", "--dtype", "float8"], "--dtype: expected fp32, fp16, bf16, fp64, int8, got 'float8'"),
        (["summary", "googlenet", "--format", "yaml"], "--format: expected table, json, csv, markdown, latex, got 'yaml'"),
        (["summary", "googlenet", "--columns", "name,parms"], "expected a column, got 'parms'. (did you mean `params`"),
        (["summary", "googlenet", "--sort", "mac"], "expected a column, got 'mac'. (did you mean `macs`"),
        (["summary", "googlenet", "--columns", "layer"], "--columns: expected a column, got 'layer'. (did you mean `name`?)"),
        (["summary", "googlenet", "--input", "1x224x224"], "--input 1x224x224 is 1 channels of 224x224, expected 3 channels"),
        (["summary", "googlenet", "--set", "aux1.conv.out=3"], "heads are there in training mode only: --mode train"),
        (["summary", "x" * 300], "cannot read 'xxxxx"),
        (["summary", "googlenet", "--format", "json", "--sort", "foo"], "--sort: expected a column, got 'foo'"),
        (["summary", "googlenet", "--top", "0"], "--top: expected a positive integer, got 0"),
        (["summary", "googlenet", "--set", "x"], "--set: expected PATH=VALUE, got 'x'"),
        (["summary", "googlenet", "--inptu", "1"], "No such option: --inptu"),
        (["summary"], "Missing argument"),
        (["sumary", "googlenet"], "expected a command or a MODEL, got 'sumary'. (did you mean `gnet-inspect summary googlenet`?)"),
        (["summary", "googlenet", "-o", "/no/such/folder/x"], "cannot write '/no/such/folder/x': No such file or directory"),
        (["summary", "googlenet", "-o", "."], "expected a file, got the folder '.'"),
    ],
)  # fmt: skip
def test_wrong_flags_exit_2_and_say_what_is_wrong(run: Run, arguments: list[str], message: str) -> None:
    """Nothing on standard output, one clear sentence on standard error."""
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_debug_shows_the_traceback() -> None:
    """Wherever it stands on the line."""
    for command in (["--debug", "summary", "nosuch"], ["summary", "nosuch", "--debug"]):
        done = subprocess.run([*COMMAND, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" in done.stderr
        assert "UsageError" in done.stderr


# --- files, pipes and terminals ---


def test_output_files_are_written_whole_or_not_at_all(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure leaves the old file as it was, and no scraps beside it."""
    path = tmp_path / "out.json"
    assert run("summary", "googlenet", "--format", "json", "-o", str(path)).out == ""
    assert json.loads(path.read_text())["model"] == "googlenet"
    before = path.read_text()
    assert run("summary", "googlenet", "--input", "1x3x1x1", "--format", "json", "-o", str(path)).code == 2

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    result = run("summary", "googlenet", "--format", "json", "-o", str(path))
    assert (result.code, "No space left on device" in result.err) == (2, True)
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]


def test_an_output_file_keeps_its_mode_and_a_link_its_target(run: Run, tmp_path: Path) -> None:
    """Replacing a file's content changes nothing else of it."""
    target = tmp_path / "target"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    assert run("list", "-o", str(link)).code == 0
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert "googlenet" in target.read_text()


def test_a_table_in_a_file_has_all_its_columns(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal's width is no business of a file's."""
    monkeypatch.setenv("COLUMNS", "40")
    path = tmp_path / "out.txt"
    run("summary", "googlenet", "-o", str(path))
    assert "activations (kB)" in path.read_text()


def test_a_closed_pipe_ends_quietly() -> None:
    """`| head -1` is no error."""
    done = subprocess.run(
        f"{sys.executable} -m gnet_inspect summary googlenet --depth layer --format json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_an_error() -> None:
    """A result that could not be written is not passed over."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads a Linux pseudo-terminal")
def test_colour_is_for_terminals_only_and_not_with_no_color(run: Run) -> None:
    """The same text with and without; a terminal's width counts."""
    coloured = on_a_terminal(["summary", "googlenet", "--depth", "stage"], COLUMNS="120")[0]
    plain = on_a_terminal(["summary", "googlenet", "--depth", "stage"], COLUMNS="120", NO_COLOR="1")[0]
    assert "\x1b[1m" in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b" not in run("summary", "googlenet").out


def test_hostile_names_are_drawn_as_text(run: Run, write_spec: Callable[[str], str]) -> None:
    """Escapes, formulas, pipes and markup in free text do nothing anywhere."""
    text = (
        'name: "=cmd()|x"\ntitle: "\\e[31mred\\n<b>|*"\ninput: [3, 8, 8]\n'
        'stages:\n  "=1+1": {a: ReLU}\n  "\\e]0;title\\a\\u202e": {b: ReLU}\n'
    )
    path = write_spec(text)
    for style in ("table", "markdown", "csv"):
        result = run("summary", path, "--format", style, "--columns", "name,stage,params", "--sort", "name")
        assert result.code == 0
        assert "\x1b" not in result.out
        assert "\u202e" not in result.out
    rows = list(csv.reader(io.StringIO(run("summary", path, "--depth", "stage", "--format", "csv").out)))
    assert rows[1][0] == "'=1+1"
    assert "\\<b\\>\\|\\*" in run("summary", path, "--format", "markdown").out
    unknown = run("validate", write_spec('"\\e[31m": 1\n'))
    assert "\x1b" not in unknown.err


def test_a_terminal_that_cannot_write_a_character_gets_its_escape() -> None:
    """ASCII terminals print everything."""
    text = "name: x\ntitle: Netz für Bilder\ninput: [3, 8, 8]\nstages: {s: {a: ReLU}}\n"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*COMMAND, "summary", "-"], input=text.encode(), capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"Netz f\\xfcr Bilder")


def test_an_interrupt_exits_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no crash."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gnet_inspect.analysis.summary.summarize", interrupt)
    result = run("summary", "googlenet")
    assert result.code == 130


def test_a_hundred_thousand_layers_are_summarised() -> None:
    """In one table row for each, whole, and in the time and memory that suit it (the benchmark measures them)."""
    spec = "name: x\ninput: [3, 8, 8]\nstages: {s: {x: [{repeat: {times: 100000, layer: ReLU}}]}}\n"
    done = subprocess.run([*COMMAND, "summary", "-"], input=spec.encode(), capture_output=True, check=True)
    assert done.stdout.count(b"\n") > 100_000
    assert b"100,000 of 100,000 nodes counted" in done.stdout


# --- a file's ending, and results that are nothing for a terminal ---


@pytest.mark.parametrize("name", ["r.HTM.png", "r", "r.html.gz", "r.json"])
def test_a_report_in_a_file_that_is_no_page_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before anything is computed, with the name to write instead; nothing is written."""
    monkeypatch.setattr("gnet_inspect.cli.options.read_variants", None)
    result = run("report", "lenet5", "-o", str(tmp_path / name))
    assert (result.code, result.out) == (2, "")
    page = (tmp_path / name).with_suffix(".html")
    assert f"expected a file that ends in .html, .htm or .pdf, got {str(tmp_path / name)!r}" in result.err
    assert f"(a report is a page: write -o {page})" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "name", "mend"),
    [
        (["summary", "lenet5"], "s.json", "say --format json, or give another ending"),
        (["summary", "lenet5", "--format", "json"], "s.CSV", "say --format csv, or give another ending"),
        (["compare", "lenet5", "nin"], "c.md", "say --format markdown, or give another ending"),
        (["list"], "l.pdf", "give another ending"),
        (["flops", "lenet5"], "f.yml", "give another ending"),
        (["validate", "lenet5"], "v.json", "say --format json"),
        (["doctor"], "d.json", "say --format json"),
        (["verify", "lenet5", "--published"], "v.csv", "say --format csv"),
        (["latency", "lenet5"], "l.json", "say --format json"),
        (["calibrate"], "here.json", "give another ending"),
        (["show", "lenet5"], "s.json", "give another ending"),
        (["schema"], "s.yaml", "give another ending"),
        (["roofline", "lenet5", "--on", "t4"], "r.json", "say --format json"),
        (["roofline", "lenet5", "--on", "t4", "--format", "png"], "r.svg", "say --format svg"),
        (["diagram", "lenet5", "--format", "svg"], "d.png", "say --format png"),
    ],
)
def test_a_files_ending_promises_nothing_else(
    run: Run, tmp_path: Path, command: list[str], name: str, mend: str
) -> None:
    """A table in a .json, or a png in an .svg, is refused with the flag that mends it."""
    result = run(*command, "-o", str(tmp_path / name))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: -o: expected a file of another ending for ")
    assert mend in result.err
    assert list(tmp_path.iterdir()) == []


def test_an_ending_that_says_nothing_or_the_same_is_taken(run: Run, tmp_path: Path) -> None:
    """As is a device, whatever it is called."""
    for name, style in (
        ("a", "json"),
        ("a.txt", "csv"),
        ("a.md", "markdown"),
        ("a.b.json", "json"),
        ("a.log", "table"),
    ):
        assert run("list", "--family", "lenet", "--format", style, "-o", str(tmp_path / name)).code == 0
    assert run("report", "lenet5", "-o", os.devnull).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads a Linux pseudo-terminal")
@pytest.mark.parametrize("command", ["report", "diagram"])
def test_a_page_is_not_poured_onto_a_terminal(command: str) -> None:
    """A terminal gets nothing of it, a pipe the whole."""
    assert on_a_terminal([command, "lenet5"])[0] == ""
    piped = subprocess.run([*COMMAND, command, "lenet5"], capture_output=True, text=True, check=True).stdout
    assert piped.rstrip().endswith({"report": "</html>", "diagram": "}"}[command])


@pytest.mark.skipif(sys.platform != "linux", reason="reads a Linux pseudo-terminal")
@pytest.mark.parametrize(
    ("command", "example"),
    [
        (["report", "lenet5"], "gnet-inspect report lenet5 -o report.html"),
        (["diagram", "lenet5", "--format", "dot"], "gnet-inspect diagram lenet5 -o lenet5.svg"),
    ],
)
def test_a_terminal_is_told_how_to_write_a_file(command: list[str], example: str) -> None:
    """Exit code 2, before anything is drawn."""
    parent, child = pty.openpty()
    done = subprocess.run([*COMMAND, *command], stdout=child, stderr=subprocess.PIPE, text=True, check=False)
    os.close(child)
    os.close(parent)
    assert done.returncode == 2
    assert done.stderr == f"error: expected a file or a pipe for the result, got a terminal. ({example})\n"
