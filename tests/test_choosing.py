"""Choosing among what exists: conditions, objectives and their marks in `list` and `compare`."""

import csv
import io
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gnet_inspect.analysis.choosing import MAXIMIZE, MINIMIZE, Objective, best_first, pareto_marks
from gnet_inspect.analysis.comparison import compare_models, known_of, mark_compared
from gnet_inspect.analysis.listing import NUMBERS, TEXTS, known_values, list_catalogue
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.budgets.conditions import MAX_DEPTH, MAX_LENGTH
from gnet_inspect.budgets.limits import SHORT, judge, parse_limit
from gnet_inspect.language import load_spec
from gnet_inspect.ops.opaque import Opaque
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.tables.listing import SORTS
from tests.conftest import Run

Row = Mapping[str, float | str | None]
values = st.none() | st.integers(-3, 3).map(float)
rows = st.lists(st.fixed_dictionaries({"a": values, "b": values, "c": values}), max_size=12)
objectives = st.lists(
    st.builds(Objective, st.sampled_from("abc"), st.sampled_from([MINIMIZE, MAXIMIZE])),
    min_size=1,
    max_size=3,
    unique_by=lambda objective: objective.name,
)


def listed(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("list", "--format", "json", *arguments)
    assert result.code == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


@given(rows, objectives)
def test_marks_are_those_of_the_definition(networks: list[Row], wanted: list[Objective]) -> None:
    """One is dominated where another is as good in all objectives and better in one, of those of which all is known."""

    def costs(network: Row) -> list[float]:
        found = []
        for objective in wanted:
            value = network[objective.name]
            assert isinstance(value, float)
            found.append(value if objective.goal == MINIMIZE else -value)
        return found

    competing = [network for network in networks if all(network[each.name] is not None for each in wanted)]
    expected: list[bool | None] = []
    for network in networks:
        if network not in competing:
            expected.append(None)
            continue
        mine = costs(network)
        others = map(costs, competing)
        expected.append(not any(all(map(float.__le__, one, mine)) and one != mine for one in others))
    assert list(pareto_marks(networks, wanted)) == expected
    order = [networks[place][wanted[0].name] for place in best_first(networks, wanted[0])]
    known = [value for value in order if isinstance(value, float)]
    assert known == sorted(known, reverse=wanted[0].goal == MAXIMIZE)
    assert order == [*known, *[None] * (len(order) - len(known))]


def test_text_does_not_compete() -> None:
    """An objective is of numbers."""
    assert pareto_marks([{"family": "vgg"}], [Objective("family", MINIMIZE)]) == (None,)


def test_what_is_known_of_a_model_is_what_limits_are_held_to() -> None:
    """By the same names, with the same values; every one has a name that may be sorted by."""
    model = next(model for model in list_catalogue().models if model.model == "googlenet")
    known = known_values(model)
    assert {*known} == {*TEXTS, *NUMBERS} == {*SORTS}
    summary = summarize(build_graph(load_spec("googlenet")))
    for name in ("params", "macs", "peak_activation_bytes", "receptive_field", "depth", "param_bytes"):
        assert judge(parse_limit(name, "<= 1"), summary).value == known[name] != 0, name


def test_a_total_that_is_a_least_is_not_known() -> None:
    """Where nobody can count a layer its model does not compete by counts, and by what is known it does."""
    spec = load_spec("lenet5")
    known = build_graph(spec)
    foreign = replace(known.nodes[1], op=Opaque("Odd", known.nodes[1].output_shape), macs=None)
    partly = replace(known, nodes=(known.nodes[0], foreign, *known.nodes[2:]))
    compared = compare_models([(spec, known), (spec, partly)])
    whole, part = (known_of(model) for model in compared.models)
    assert [name for name, value in part.items() if value is None and whole[name] is not None] == [
        *("params", "macs", "flops", "param_bytes", "peak_activation_bytes", "receptive_field")
    ]
    marked = mark_compared(compared, [Objective("macs", MINIMIZE)])
    assert [model.pareto for model in marked.models] == [True, None]


def test_list_where(run: Run) -> None:
    """Those of which it holds, in every format; those of which it is not decided are named."""
    whole = {model["model"]: model for model in listed(run)["models"]}
    found = listed(run, "--where", "macs < 1G and top1_error < 30 and family != 'mobilenet'")
    assert found["where"] == "macs < 1G and top1_error < 30 and family != 'mobilenet'"
    expected = set()
    for name, model in whole.items():
        errors = known_values(next(each for each in list_catalogue().models if each.model == name))
        error = errors["top1_error"]
        if model["totals"]["macs"] < 1e9 and model["family"] != "mobilenet" and error is not None and float(error) < 30:
            expected.add(name)
    assert {model["model"] for model in found["models"]} == expected != set()
    assert "googlenet_d2l" in found["undecided"]
    assert "vgg16" not in found["undecided"]
    out = run("list", "--where", "macs < 1G and top1_error < 30").out
    assert "\nnot listed, because something of them is not known: googlenet_d2l, lenet5\n" in out
    # What a condition asks for is shown.
    assert "  peak" in run("list", "--where", "peak < 5 MB").out.splitlines()[0]
    head, *_ = csv.reader(io.StringIO(run("list", "--where", "field > 900", "--format", "csv").out))
    assert head[-1] == "receptive_field"
    said = run("list", "--where", "top1_error < 20", "--format", "csv")
    assert said.err.startswith("list: not listed, because something of them is not known: ")
    nothing = run("list", "--where", "macs < 1")
    assert (nothing.code, nothing.err) == (
        0,
        "list: no model is of these families, matches the filter and meets the condition\n",
    )
    mixed = run("list", "--where", "family < 3")
    assert (mixed.code, mixed.err.startswith("error: --where: expected numbers or text on both")) == (2, True)


def test_list_by_objectives(run: Run) -> None:
    """Sorted by the first, marked by all; who has no published error does not compete, and that is said."""
    found = listed(run, "--minimize", "top1_error,macs", "--maximize", "year")
    assert found["objectives"] == [
        {"name": "top1_error", "goal": "minimize"},
        {"name": "macs", "goal": "minimize"},
        {"name": "year", "goal": "maximize"},
    ]
    marks = {model["model"]: model["pareto"] for model in found["models"]}
    assert set(marks.values()) == {True, False, None}
    assert marks["lenet5"] is None
    known = {model.model: known_values(model) for model in list_catalogue().models}
    errors = [known[name]["top1_error"] for name in marks if marks[name] is not None]
    assert errors == sorted(errors, key=lambda error: float(error or 0))
    assert [marks[name] for name in marks][len(errors) :] == [None] * (len(marks) - len(errors))
    # Nothing has a smaller error than the first.
    assert marks[next(iter(marks))]
    out = run("list", "--minimize", "top1_error,macs", "--maximize", "year").out
    assert f"{list(marks.values()).count(True)} of {len(marks)}; ? where something of that is not known" in out
    # One objective has one best, or several that are equal; an order of one's own stays.
    one = listed(run, "--maximize", "macs", "--sort", "model")
    assert [model["model"] for model in one["models"]] == sorted(known)
    best = max(known, key=lambda name: known[name]["macs"] or 0)
    assert [model["model"] for model in one["models"] if model["pareto"]] == [best]
    lines = csv.DictReader(io.StringIO(run("list", "--minimize", "peak", "--format", "csv").out))
    assert {line["pareto"] for line in lines} == {"true", "false", ""}
    assert "pareto" not in json.dumps(listed(run))


def test_list_at_another_input(run: Run) -> None:
    """Totals as `summary` has them there; who cannot take it is named, with the reason in JSON."""
    found = listed(run, "--input", "3x192x192", "--family", "inception,lenet,nin")
    totals = {model["model"]: model["totals"] for model in found["models"]}
    summary = json.loads(run("summary", "googlenet", "--input", "3x192x192", "--format", "json").out)
    assert totals["googlenet"] == summary["totals"]
    unfit = {each["model"]: each["reason"] for each in found["unfit"]}
    assert set(unfit) == {"googlenet_d2l", "lenet5", "nin"}
    assert "1 channels" in unfit["lenet5"]
    assert {each["input"][-1] for each in found["models"]} == {192}
    out = run("list", "--input", "3x192x192", "--family", "inception,lenet").out
    assert "\nnot listed, because they cannot take the input (--format json says why): googlenet_d2l, lenet5\n" in out
    assert "at the input that is shown" in out
    assert "at each model's own input; depth" not in out
    assert all("unfit" not in listed(run, *flags) for flags in ([], ["--family", "lenet"]))
    for text, said in (("3x8x8", "no model that was asked for can take the input"), ("3xa", "expected")):
        refused = run("list", "--family", "vgg", "--input", text)
        assert (refused.code, said in refused.err) == (2, True), refused.err


def commands_of(page: str) -> list[list[str]]:
    """Those that a page of the docs shows."""
    text = (Path(__file__).parent.parent / "docs" / page).read_text(encoding="utf-8")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("gnet-inspect ")]


@pytest.mark.parametrize("command", commands_of("choosing.md"), ids=" ".join)
def test_commands_of_the_page_run(command: list[str], run: Run) -> None:
    """As they stand there."""
    result = run(*command)
    assert (result.code, result.err) == (0, "")
    assert len(result.out.splitlines()) > 5


def test_every_name_stands_on_the_page() -> None:
    """Those that conditions take."""
    text = (Path(__file__).parent.parent / "docs" / "choosing.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("| `macs`, "))
    assert {*SORTS, *SHORT} <= {*re.findall(r"\w+", row)}
    assert f"{MAX_LENGTH:,} characters and be nested {MAX_DEPTH} deep" in text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["list", "--minimize", "mac"], "--minimize: expected a name of a number, got 'mac'. (did you mean `macs`?)"),
        (["list", "--maximize", "family"], "--maximize: expected a name of a number, got 'family'"),
        (["list", "--minimize", ","], "--minimize: expected names, as year,params, got ','"),
        (["list", "--minimize", "macs", "--maximize", "macs"], "--maximize: expected each name once, got 'macs' twice"),
        (["list", "--columns", "pareto"], "--columns: expected a column, got 'pareto'"),
        (["list", "--where", "macs <"], "--where: expected a name, a number or quoted text, got the end"),
        (["compare", "alexnet", "vgg16", "--sort", "mac"], "--sort: expected a column, got 'mac'"),
        (["compare", "alexnet", "vgg16", "--diff", "--sort", "macs"], "--sort orders models, and --diff has the parts"),
        (["compare", "alexnet", "vgg16", "--diff", "--maximize", "macs"], "--maximize orders models"),
    ],
)
def test_what_cannot_be_chosen_by_is_refused(command: list[str], said: str, run: Run) -> None:
    """With what can be."""
    result = run(*command)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_compare_in_the_order_of_a_column(run: Run) -> None:
    """The ratios stay those to the first that is given."""
    names = ["googlenet", "alexnet", "vgg16", "resnet18", "lenet5"]

    def rows_of(*flags: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(run("compare", *names, *flags, "--format", "csv").out)))

    plain = {row["model"]: row for row in rows_of()}
    assert list(plain) == names
    for column, order in (
        ("macs", ["vgg16", "resnet18", "googlenet", "alexnet", "lenet5"]),
        ("top1_error", ["vgg16", "resnet18", "googlenet", "alexnet", "lenet5"]),
        ("receptive_field", ["googlenet", "resnet18", "vgg16", "alexnet", "lenet5"]),
        ("model", sorted(names)),
    ):
        found = rows_of("--sort", column)
        assert [row["model"] for row in found] == order, column
        assert all(row == plain[row["model"]] for row in found)
        out = run("compare", *names, "--sort", column).out
        assert out.startswith("compared with googlenet\n")
        # The bars below are in the same order.
        assert [line.split()[0] for line in out.splitlines() if line.startswith(tuple(names))][-5:] == order
    marked = json.loads(run("compare", *names, "--minimize", "macs,top1_error", "--format", "json").out)
    assert [model["model"] for model in marked["models"]] == names
    assert [model["pareto"] for model in marked["models"]] == [True, True, True, True, None]
    assert marked["objectives"] == [{"name": "macs", "goal": "minimize"}, {"name": "top1_error", "goal": "minimize"}]
    found = rows_of("--minimize", "macs,params")
    assert [(row["model"], row["pareto"]) for row in found] == [
        ("lenet5", "true"),
        *((name, "false") for name in ("alexnet", "googlenet", "resnet18", "vgg16")),
    ]
