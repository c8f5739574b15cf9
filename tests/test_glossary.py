"""The glossary: every column and every total has a word, and every word is found by what it is called."""

import ast
import csv
import importlib
import io
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gnet_inspect
from gnet_inspect.analysis.alternatives import Alternative
from gnet_inspect.analysis.comparison import ModelRun
from gnet_inspect.analysis.conventions import FlopTotals
from gnet_inspect.analysis.explanation import PartExplanation, Working
from gnet_inspect.analysis.listing import list_catalogue
from gnet_inspect.analysis.roofline import RooflineTotals
from gnet_inspect.analysis.summary import Coverage, LayerSummary, Totals, TrainingMemory
from gnet_inspect.analysis.taps import Tap
from gnet_inspect.cli.app import COMMANDS
from gnet_inspect.records.timing import LayerTiming, Measurement
from gnet_inspect.records.training import Confusion, Epoch, Evaluation, Memory, Mistaken, Recipe, TrainedRun
from gnet_inspect.views import tables
from gnet_inspect.views.grid import Column
from gnet_inspect.views.pages import layers
from gnet_inspect.views.terms import PAGE, TERMS, find_terms, terms_of
from tests.conftest import Run

PACKAGE = Path(gnet_inspect.__file__).parent
# Whose columns a file of views/tables has, where that is not called as the file is.
OWNERS = {
    "comparison": "compare",
    "difference": "compare",
    "evaluation": "evaluate",
    "listing": "list",
    "run": "train",
    "training": "summary",
    "verification": "verify",
    "weights": "load_weights",
}
# The glossary's own tables show it, and need no words for that.
UNTOLD = {"glossary"}


def columns_in(value: object) -> Iterator[Column]:
    """Those that a constant holds."""
    if isinstance(value, Column):
        # What is drawn in text alone is the bar of the share in front of it.
        if not value.text_only:
            yield value
    elif isinstance(value, dict | tuple | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from columns_in(item)


def constants() -> Iterator[tuple[str, str, str]]:
    """(command, name, heading) of every column that a module of tables has as a constant."""
    for module in pkgutil.iter_modules(tables.__path__):
        owner = OWNERS.get(module.name, module.name)
        for value in vars(importlib.import_module(f"{tables.__name__}.{module.name}")).values():
            for column in columns_in(value):
                yield owner, column.exact, column.title


def literals() -> Iterator[tuple[str, str, str]]:
    """(command, name, heading) of every column that a file of tables or of a command makes, in functions too."""
    for path in [*(PACKAGE / "views" / "tables").glob("*.py"), *(PACKAGE / "cli").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Column":
                words = [argument.value if isinstance(argument, ast.Constant) else "" for argument in node.args[:2]]
                if words[0]:
                    yield OWNERS.get(path.stem, path.stem), str(words[0]), str(words[1])


SHOWN = sorted({*constants(), *literals()})


def test_every_column_has_a_word_that_says_where_it_is_met() -> None:
    """Of every table, by the name that CSV has."""
    assert len(SHOWN) > 130
    for command, name, _ in SHOWN:
        if command not in UNTOLD:
            found = terms_of(name, command)
            assert found, f"{command}: no word of the glossary for the column {name!r}"
            assert any(command in term.where for term in found), f"{command}: {name!r} is not said to be met there"


def test_every_heading_is_found() -> None:
    """As it stands above a column, and means that column."""
    for command, name, heading in SHOWN:
        if heading and command not in UNTOLD:
            assert {*find_terms(heading)} & {*terms_of(name, command)}, f"{command}: {heading!r} over {name!r}"
    for column in layers.COLUMNS:
        assert column.key in PAGE
        assert PAGE[column.key] in find_terms(column.title.partition(", ")[0]), column.title


@pytest.mark.parametrize(
    "arguments",
    [
        ["summary", "googlenet_torchvision", "--mode", "train", "--optimizer", "adam"],
        ["summary", "googlenet", "--depth", "layer"],
        ["compare", "googlenet", "vgg16"],
        ["compare", "vgg16", "vgg16_bn", "--diff"],
        ["flops", "googlenet"],
        ["taps", "googlenet"],
        ["explain", "googlenet", "inception4a"],
        ["roofline", "googlenet", "--on", "t4"],
        ["list"],
        ["verify", "googlenet", "--published"],
        ["validate", "googlenet"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_what_commands_print_is_in_it(arguments: list[str], run: Run) -> None:
    """The heads of CSV and of tables, units taken off."""
    result = run(*arguments, "--format", "markdown")
    assert result.code == 0, result.err
    for head in re.findall(r"^\| (.*) \|\n\|[ :|-]+\|$", result.out, re.MULTILINE):
        for heading in filter(None, map(str.strip, head.split(" | "))):
            assert find_terms(re.sub(r" \([^)]*\)$", "", heading)), heading
    rows = run(*arguments, "--format", "csv").out
    for name in next(csv.reader(io.StringIO(rows))):
        assert terms_of(name, arguments[0]), name


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (Totals, "summary"),
        (Totals, "compare"),
        (LayerSummary, "summary"),
        (Coverage, "summary"),
        (TrainingMemory, "summary"),
        (FlopTotals, "flops"),
        (Tap, "taps"),
        (PartExplanation, "explain"),
        (Working, "explain"),
        (Alternative, "explain"),
        (RooflineTotals, "roofline"),
        (Measurement, "latency"),
        (LayerTiming, "latency"),
        (ModelRun, "compare"),
        (Recipe, "train"),
        (Epoch, "train"),
        (Memory, "train"),
        (Confusion, "evaluate"),
        (Mistaken, "evaluate"),
    ],
)
def test_every_key_of_a_total_has_a_word(record: type, command: str) -> None:
    """And of layers, taps and measurements; a list of records is none."""
    for name in record.__struct_fields__:  # type: ignore[attr-defined]  # a Struct's
        assert terms_of(name, command) or name == "layers", f"{command}: {name}"


def test_a_word_says_what_it_is() -> None:
    """In sentences; where it is met are commands; its names are columns or keys that there are."""
    records = (
        Totals,
        LayerSummary,
        Coverage,
        TrainingMemory,
        PartExplanation,
        RooflineTotals,
        Measurement,
        LayerTiming,
        ModelRun,
        Recipe,
        Epoch,
        Memory,
        TrainedRun,
        Evaluation,
        Confusion,
    )
    known = {name for _, name, _ in SHOWN} | {name for record in records for name in record.__struct_fields__}
    # What tables have where a device or its peaks are listed, and parts of training memory.
    known |= {"ridge_intensity", "peak_flops_per_s", "memory_bound_s", "fp32", "tf32", "fp16", "bf16", "fp64", "int8"}
    known |= {"device", "bytes"}
    for term in TERMS.values():
        assert term.text[0].isupper() or term.text[0].isdigit() or term.text.split()[0] in ("eval", "total_mult_adds:")
        assert term.text.endswith(".")
        assert term.where, term.key
        assert list(term.where) == sorted(set(term.where)) or "load_weights" in term.where, term.key
        assert {*term.where} <= {*COMMANDS, "load_weights"}, term.key
        for name in term.names:
            assert name.rpartition(".")[2] in known, f"{term.key}: {name}"
            assert name.partition(".")[0] in term.where or "." not in name, f"{term.key}: {name}"


def test_what_a_word_costs_is_counted() -> None:
    """How much 1x1 reductions save."""
    kept = {model.model: model.totals for model in list_catalogue().models}
    naive, reduced = kept["googlenet_naive"], kept["googlenet"]
    assert f"{naive.params / reduced.params:.1f} times the parameters" in TERMS["reduction"].text
    assert f"{naive.macs / reduced.macs:.1f} times the MACs" in TERMS["reduction"].text


def test_links_of_the_glossarys_page_lead_to_words() -> None:
    """Those of its own introduction, and of other pages."""
    docs = PACKAGE.parent / "docs"
    pages = [PACKAGE.parent / "README.md", *docs.glob("*.md")]
    own = re.findall(r"\(#(\w+)\)", (docs / "glossary.md").read_text(encoding="utf-8"))
    linked = [key for page in pages for key in re.findall(r"glossary\.md#(\w+)\)", page.read_text(encoding="utf-8"))]
    assert len(own) > 5
    assert {*own, *linked} <= {*TERMS}


# --- the command ---


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("peak", "peak"),
        ("peak_activation_bytes", "peak"),
        ("FLOP/B", "intensity"),
        ("?", "unknown"),
        ("<=", "bound"),
        ("~", "change"),
        ("%", "share"),
        ("Receptive Field", "field"),
        ("reduction", "reduction"),
        ("MAC", "macs"),
        ("c3", "c1"),
        ("naive", "inception"),
    ],
)
def test_a_word_is_told_in_full(word: str, key: str, run: Run) -> None:
    """By a column, a heading, a sign, a part of its title, however it is written."""
    result = run("glossary", word)
    term = TERMS[key]
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[:2] == [term.title, term.text]
    told = json.loads(run("glossary", word, "--format", "json").out)["terms"]
    assert told[0]["key"] == key
    assert list(told[0]) == ["key", "title", "unit", "text", "group", "names", "headings", "where"]


def test_a_word_in_full_fits_60_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of any is cut off."""
    monkeypatch.setenv("COLUMNS", "60")
    for key in TERMS:
        lines = run("glossary", key).out.splitlines()
        assert max(map(len, lines)) <= 60
        assert not any(line.endswith("...") for line in lines), key


def test_a_word_of_several_meanings_has_them_all(run: Run) -> None:
    """The stride of a tap and of a window; of one command, that command's."""
    assert [term.key for term in find_terms("stride")] == ["resolution_stride", "stride"]
    assert run("glossary", "stride", "--of", "taps").out.startswith(TERMS["resolution_stride"].title)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["peek"], "got 'peek': did you mean `peak`?"),
        (["recptive_field"], "did you mean `field`?"),
        (["zebra"], "got 'zebra': there is none like it. (`gnet-inspect glossary` shows all)"),
        ([""], "expected a word of the glossary, got ''"),
        (["--of", "tap"], "--of: expected "),
        (["peak", "--of", "taps"], "--of: expected a word of taps, got 'peak', which is met in compare, list"),
    ],
)
def test_what_is_no_word_is_answered(arguments: list[str], message: str, run: Run) -> None:
    """With the words it may have been meant to be, each by its own name."""
    result = run("glossary", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_every_format_has_every_word(run: Run) -> None:
    """One row, record or heading for each."""
    assert [term["key"] for term in json.loads(run("glossary", "--format", "json").out)["terms"]] == list(TERMS)
    assert [row["key"] for row in csv.DictReader(io.StringIO(run("glossary", "--format", "csv").out))] == list(TERMS)
    assert re.findall(r"^### (\w+)$", run("glossary", "--format", "markdown").out, re.MULTILINE) == list(TERMS)
    assert re.findall(r"^  (\w+) ", run("glossary").out, re.MULTILINE) == list(TERMS)


def test_columns_lead_to_it(run: Run) -> None:
    """The help of each command that shows a table of networks, and that of all commands."""
    assert "gnet-inspect glossary" in " ".join(run("--help").out.split())
    for command in (
        *("summary", "list", "compare", "explain", "flops", "taps", "roofline", "latency", "verify", "check", "sweep"),
    ):
        assert f"gnet-inspect glossary --of {command}" in " ".join(run(command, "--help").out.split())
