"""What users of other tools type first works, or is answered with the right words."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from gnet_inspect.cli.app import COMMANDS, make_app
from gnet_inspect.cli.synonyms import (
    AMBIGUOUS_COMMANDS,
    HINTS,
    OTHER_COMMANDS,
    OTHER_FLAGS,
    OTHER_VALUES,
    read_command,
    read_flags,
)
from gnet_inspect.errors import UsageError
from gnet_inspect.language import catalogue
from tests.conftest import Run

PAGE = (Path(__file__).parent.parent / "docs" / "other-tools.md").read_text(encoding="utf-8")


def read(line: str) -> str:
    """A line behind `gnet-inspect` in the command line's own words."""
    words, _ = read_command(shlex.split(line))
    return shlex.join(read_flags(words, get_command(make_app(words))))


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        # Flags by other names, with their values in any form.
        ("summary googlenet --input-size 1x3x64x64", "summary googlenet --input 1x3x64x64"),
        ("summary googlenet --input_size=1x3x64x64", "summary googlenet --input 1x3x64x64"),
        ("summary googlenet --input-size 3 64 64", "summary googlenet --input 3x64x64"),
        ("summary --shape '(1, 3, 64, 64)' googlenet", "summary --input '(1, 3, 64, 64)' googlenet"),
        ("summary googlenet -b 8", "summary googlenet --batch 8"),
        ("summary googlenet -b8", "summary googlenet --batch 8"),
        ("summary googlenet -bs 8", "summary googlenet --batch 8"),
        ("summary -m googlenet --batch_size 8", "summary googlenet --batch 8"),
        ("summary --arch=googlenet", "summary googlenet"),
        ("diagram googlenet --no_legend", "diagram googlenet --no-legend"),
        ("init -o a.yaml", "init a.yaml"),
        ("summary googlenet -batch 8 -depth=1", "summary googlenet --batch 8 --depth stage"),
        # torchinfo's depth.
        ("summary googlenet --depth 1", "summary googlenet --depth stage"),
        ("summary googlenet -d 2", "summary googlenet --depth block"),
        ("summary googlenet --max-depth=3", "summary googlenet --depth layer"),
        ("summary googlenet --depth 7", "summary googlenet --depth layer"),
        # Choices as flags, choices by other names.
        ("summary googlenet --json", "summary googlenet --format json"),
        ("summary googlenet --md", "summary googlenet --format markdown"),
        ("summary googlenet --half --train", "summary googlenet --dtype fp16 --mode train"),
        ("summary googlenet --dtype torch.BFloat16", "summary googlenet --dtype bf16"),
        ("summary googlenet --mode=training", "summary googlenet --mode train"),
        ("diagram googlenet --svg", "diagram googlenet --format svg"),
        ("roofline googlenet --html --on a100", "roofline googlenet --format html --on a100"),
        # One letter is what the command has.
        ("calibrate -d gpu", "calibrate --device cuda"),
        ("latency googlenet -d cuda:1", "latency googlenet --device cuda:1"),
        ("latency googlenet -d kind", "latency googlenet --depth kind"),
        ("latency googlenet --gpu", "latency googlenet --device cuda"),
        ("roofline googlenet --device h200", "roofline googlenet --on h200"),
        ("roofline googlenet -d h200 -d 1", "roofline googlenet --on h200 --depth stage"),
        # What may stand without its value.
        ("latency --compile googlenet", "latency --compile=default googlenet"),
        ("latency --torchcompile max-autotune googlenet", "latency --compile max-autotune googlenet"),
        # A command's own flags and values stay what they are.
        ("latency googlenet --save a.json", "latency googlenet --save a.json"),
        ("diagram googlenet --title --json -o a.svg", "diagram googlenet --title --json -o a.svg"),
        ("diagram googlenet --title=--json -oa.svg", "diagram googlenet --title=--json -o a.svg"),
        ("summary --filter -d googlenet", "summary --filter -d googlenet"),
        ("summary -- --json", "summary -- --json"),
        ("summary googlenet --dtype fp7 --nothing", "summary googlenet --dtype fp7 --nothing"),
        ("compare a b --diff --depth 1", "compare a b --diff --depth 1"),
        ("summary googlenet --input", "summary googlenet --input"),
        # Commands by other names, and none.
        ("plot vgg16 --rankdir lr", "diagram vgg16 --direction LR"),
        ("diff a b --json", "compare --diff a b --format json"),
        ("bench googlenet --runs 3", "latency googlenet --repeat 3"),
        ("layers vgg16", "summary --depth layer vgg16"),
        ("show_model vgg16", "show vgg16"),
        ("googlenet -d 1", "summary googlenet --depth stage"),
        ("a.onnx", "summary a.onnx"),
        ("torchvision:resnet18", "summary torchvision:resnet18"),
        ("-", "summary -"),
        ("help", "--help"),
        ("help plot", "diagram --help"),
        ("-V", "--version"),
        ("version", "--version"),
    ],
)
def test_other_words_are_ours(line: str, meant: str) -> None:
    """To the letter; what is written in one word with its flag may come apart."""
    assert read(line).replace("=", " ").split() == meant.replace("=", " ").split()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("summary vgg16 --device cuda", "--device: shapes and counts need no device; `gnet-inspect latency`"),
        ("summary vgg16 --device cuda --json", "has its limits. (gnet-inspect summary vgg16 --json)"),
        ("flops vgg16 --gpu", "has its limits. (gnet-inspect flops vgg16)"),
        ("summary vgg16 -v", "-v: `--depth layer` shows every layer. (gnet-inspect summary vgg16 --depth layer)"),
        ("flops vgg16 -v", "(gnet-inspect flops vgg16)"),
        ("summary --num_classes 10 vgg16", "--num_classes: `--set` edits a spec; of a MODEL in Python it is `--arg "),
        ("summary --num-classes=10 vgg16", "num_classes=10`. (gnet-inspect summary vgg16 --set classes=10)"),
        ("summary vgg16 --weights a.pth", "a checkpoint. (gnet-inspect summary vgg16)"),
        ("summary vgg16 --weights", "a checkpoint. (gnet-inspect summary vgg16)"),
        ("profile vgg16", "`gnet-inspect flops vgg16` counts, `gnet-inspect latency vgg16` measures"),
        ("save a.yaml -o b.pt2", "`gnet-inspect trace a.yaml -o b.pt2` writes a graph's file, `gnet-inspect export"),
        ("convert a.yaml", "`gnet-inspect import a.yaml -o net.yaml` writes a spec"),
        ("sumary vgg16 --json", "got 'sumary'. (did you mean `gnet-inspect summary vgg16 --json`?)"),
        ("googlnet", "(did you mean `gnet-inspect summary googlenet`?)"),
        ("help sumary", "(did you mean `gnet-inspect summary sumary`?)"),
        ("visualyze vgg16", "(did you mean `gnet-inspect diagram vgg16`?)"),
        ("qqq", "`gnet-inspect --help` lists the commands, `gnet-inspect list` the models"),
        ("--json summary vgg16", "--json: expected flags behind the command. (gnet-inspect summary vgg16 --json)"),
        ("diagram vgg16 vgg11", "expected one MODEL, got 'vgg16', 'vgg11'. (`gnet-inspect diagram vgg16` and so on"),
        ("export vgg16 -o a.py vgg11", "got 'vgg16', 'vgg11'. (`gnet-inspect export vgg16 -o a.py` and so on: each is"),
        ("schema vgg16", "schema: expected no MODEL, got 'vgg16'. (`gnet-inspect schema`)"),
        ("list vgg16", "list: expected no MODEL, got 'vgg16'. (`gnet-inspect list --filter"),
    ],
)
def test_the_right_words_are_named(line: str, message: str) -> None:
    """Where a word is not taken for one of ours."""
    with pytest.raises(UsageError) as error:
        read(line)
    assert message in str(error.value)


def test_what_is_run_in_the_place_of_what_was_typed_is_said(run: Run) -> None:
    """On standard error alone; the result is the other command's."""
    told, plain = run("lenet5", "--depth", "1"), run("summary", "lenet5", "--depth", "stage")
    assert told == plain._replace(err="running gnet-inspect summary lenet5 --depth 1\n")
    assert plain.err == ""
    assert run("help", "list") == run("list", "--help")


def test_a_file_is_a_model_whatever_it_is_called(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there, and one that would be; a folder and a name that no file can have are none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("name: mine\ninput: [3, 8, 8]\nstages: {s: {a: ReLU}}\n")
    (tmp_path / "folder").mkdir()
    assert run("mine").out.startswith("mine\n")
    assert "which does not exist. (gnet-inspect init a.yaml" in run("a.yaml").err
    for word in ("folder", "x" * 300, "a\x00b"):
        assert "expected a command or a MODEL" in run(word).err


def test_flags_by_other_names_are_not_in_the_help(run: Run) -> None:
    """It has one name for each thing."""
    out = run("summary", "--help").out
    assert "--input " in out
    others = {word for words in OTHER_FLAGS.values() for word in words.split()} - {"--output", "-o"}
    assert not [word for word in others if f"{word} " in out]


def test_no_word_hides_one_of_ours() -> None:
    """A flag that every command has keeps its meaning, and each of ours that is meant is somewhere."""
    program: Any = get_command(make_app([]))
    flags = {name for command in program.commands.values() for option in command.params for name in option.opts}
    assert {ours.split()[0] for ours in OTHER_FLAGS} - {"MODEL", "FILE", "--version"} <= flags
    assert {ours.split()[0] for ours in OTHER_COMMANDS} - {"--version"} <= set(COMMANDS)
    others = [word for words in OTHER_COMMANDS.values() for word in words.split()]
    assert len(set(others)) == len(others)
    assert not {*others, *AMBIGUOUS_COMMANDS, "help"} & {*COMMANDS, *catalogue()}
    for name, values in OTHER_VALUES.items():
        everywhere = {
            word.partition("[")[0]
            for command in program.commands.values()
            for option in command.params
            if name in option.opts
            for word in (option.metavar or "").split("|")
        }
        assert set(values.values()) <= everywhere, name


# --- docs/other-tools.md ---


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's table."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


def words(cell: str) -> str:
    """What a cell quotes, as the tables of the code have it."""
    return " ".join(re.findall(r"`([^`]+)`", cell))


def test_every_word_is_documented() -> None:
    """The page's tables are the code's."""
    ambiguous = {" ".join(name for name, *_ in ways): word for word, ways in AMBIGUOUS_COMMANDS.items()}
    assert {words(ours): words(theirs) for theirs, ours in rows("Commands")} == OTHER_COMMANDS | ambiguous
    assert {words(ours): words(theirs) for theirs, ours in rows("Flags")} == OTHER_FLAGS
    assert {word for theirs, _ in rows("No flag") for word in words(theirs).split()} == set(HINTS)
    told = {words(flag): dict(re.findall(r"`(\S+)` is `(\S+)`", cell)) for flag, cell in rows("Values")}
    depth = {name: value for name, value in OTHER_VALUES["--depth"].items() if name in ("1", "2", "3", "all")}
    assert told == OTHER_VALUES | {"--depth": depth}


@pytest.mark.parametrize("row", rows("By tool"), ids=lambda row: row[1][:40])
def test_what_other_tools_do_is_done(row: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row's commands run."""
    monkeypatch.chdir(tmp_path)
    commands = [text for text in re.findall(r"`([^`]+)`", row[2]) if text.startswith("gnet-inspect ")]
    assert commands
    for command in commands:
        hurry = ["--min-time", "0.01"] if " bench" in command else []
        if hurry:
            pytest.importorskip("torch")
        result = run(*shlex.split(command)[1:], *hurry)
        assert result.code == 0, result.err
