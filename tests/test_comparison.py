"""Models side by side, and the list of all."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.comparison import Comparison, compare_models
from gnet_inspect.analysis.listing import PublishedAccuracy, best_accuracy, list_catalogue
from gnet_inspect.errors import UsageError
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.ops import Opaque
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.tables.comparison import comparison_grids, comparison_rows
from gnet_inspect.views.tables.difference import difference_grid
from gnet_inspect.views.text import bar
from tests.conftest import Run
from tests.specs import HEADER


def compared(*models: str, **options: Any) -> Comparison:
    """Built-in models at their own inputs."""
    specs = [load_spec(model) for model in models]
    return compare_models([(spec, build_graph(spec)) for spec in specs], **options)


def test_ratios_are_to_the_baseline() -> None:
    """VGG-16 has 19.8 x the parameters and 9.8 x the MACs of GoogLeNet, whose own ratios are 1."""
    comparison = compared("googlenet", "vgg16")
    first, second = comparison.models
    assert comparison.baseline == "googlenet"
    assert {getattr(first.ratios, name) for name in first.ratios.__struct_fields__} == {1.0}
    assert second.ratios.params == 138_357_544 / 6_998_552
    assert second.ratios.macs == 15_470_264_320 / 1_582_671_872
    assert second.ratios.depth == 16 / 22


def test_a_ratio_to_nothing_is_none() -> None:
    """A baseline without weights has no ratio of parameters."""
    spec = parse_spec(HEADER + "stages: {s: {a: ReLU}}")
    other = load_spec("lenet5")
    ratios = compare_models([(spec, build_graph(spec)), (other, build_graph(other))]).models[1].ratios
    assert (ratios.params, ratios.macs, ratios.depth) == (None, None, None)
    assert ratios.activation_bytes


def test_one_model_alone_is_compared_with_googlenet(run: Run) -> None:
    """And JSON has the keys of the contract."""
    found = json.loads(run("compare", "vgg16", "--format", "json").out)
    assert list(found)[:2] == ["schema_version", "baseline"]
    assert [model["model"] for model in found["models"]] == ["googlenet", "vgg16"]
    for model in found["models"]:
        assert {"model", "input", "totals", "ratios", "published", "stages"} <= set(model)
        for what in ("params", "macs"):
            assert sum(stage[what] for stage in model["stages"]) == model["totals"][what]
    assert "diff" not in found


def test_models_are_at_their_own_inputs_or_all_at_one(run: Run) -> None:
    """What is said above and below tells which."""
    own = run("compare", "googlenet", "inception_v3").out
    assert "each model at its own input" in own
    assert "inputs differ, and MACs and memory grow with them" in own
    one = run("compare", "googlenet", "inception_v3", "--input", "2x3x299x299").out
    assert "input 2x3x299x299" in one
    assert "inputs differ" not in one
    refused = run("compare", "lenet5", "googlenet", "--input", "1x3x224x224")
    assert refused.code == 2
    assert "lenet5.yaml" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["googlenet"], "expected another model to compare googlenet with"),
        (["vgg16", "nin", "--set", "classes=10"], "--set: expected one model to compare with itself, edited, got 2"),
        (["vgg16", "nin", "alexnet", "--diff"], "expected two models for a diff, got 3"),
        (["vgg16", "--depth", "stage", "--diff"], "--depth: expected block, layer, got 'stage'"),
        (["vgg16", "--depth", "layer"], "there is no --diff"),
        (["-", "-"], "expected one spec on standard input, got `-` twice"),
        (["vgg"], "expected a built-in model or a spec file, got 'vgg'"),
    ],
)
def test_refusals_say_what_was_expected(run: Run, arguments: list[str], message: str) -> None:
    """On standard error, with exit code 2."""
    result = run("compare", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_fewer_than_two_models_are_refused() -> None:
    """From Python, too."""
    with pytest.raises(UsageError, match="expected two models to compare, got 1"):
        compared("googlenet")


def test_models_of_one_name_are_told_apart(
    run: Run, write_spec: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A spec and its copy by what they were called by, one given twice by numbers; `model` stays the plain name."""
    monkeypatch.chdir(tmp_path)
    write_spec(run("show", "lenet5").out, "lenet5.yaml")
    for models, labels in (
        (("lenet5", "lenet5.yaml"), ["lenet5 (built-in)", "lenet5 (lenet5.yaml)"]),
        (("lenet5", "lenet5"), ["lenet5 (built-in) #1", "lenet5 (built-in) #2"]),
        (("lenet5", "nin"), ["lenet5", "nin"]),
    ):
        found = json.loads(run("compare", *models, "--format", "json").out)
        assert [model["label"] for model in found["models"]] == labels
        assert found["baseline"] == found["models"][0]["model"] == "lenet5"


def test_graphs_of_both_modes_are_refused() -> None:
    """Their heads would be compared with nothing."""
    spec = load_spec("googlenet")
    with pytest.raises(UsageError, match="expected graphs of one mode"):
        compare_models([(spec, build_graph(spec, mode=mode)) for mode in ("eval", "train")])


def test_mode_dtype_and_batch_reach_the_numbers(run: Run) -> None:
    """Heads are there in training mode only, bytes are those of the dtype, MACs those of the batch."""

    def totals(*arguments: str) -> list[dict[str, Any]]:
        found = json.loads(run("compare", "googlenet", "inception_v3", "--format", "json", *arguments).out)
        return [model["totals"] for model in found["models"]]

    plain, train = totals(), totals("--mode", "train")
    assert [model["params"] for model in train] == [13_378_280, 27_161_264]
    assert totals("--dtype", "fp16")[0]["activation_bytes"] * 2 == plain[0]["activation_bytes"]
    assert totals("--batch", "3")[1]["macs"] == 3 * plain[1]["macs"]
    edited = json.loads(
        run("compare", "googlenet", "--set", "classes=10", "--mode", "train", "--diff", "--format", "json").out
    )
    assert [change["name"] for change in edited["diff"] if change["status"] == "changed"] == [
        "aux1.fc2",
        "aux2.fc2",
        "fc",
    ]


def test_what_nobody_can_count_has_no_ratio_and_is_named() -> None:
    """A layer outside the vocabulary: question marks, no ratio of parameters, MACs or the peak, its name below."""
    spec = load_spec("lenet5")
    known = build_graph(spec)
    foreign = replace(known.nodes[1], op=Opaque("Odd", known.nodes[1].output_shape), macs=None)
    strange = replace(known, nodes=(known.nodes[0], foreign, *known.nodes[2:]))
    comparison = compare_models([(spec, known), (spec, strange)], diff=True)
    ratios = comparison.models[1].ratios
    assert (ratios.params, ratios.macs, ratios.peak_activation_bytes) == (None, None, None)
    for grid in (*comparison_grids(comparison), difference_grid(comparison)):
        text = "\n".join(line for line, _ in draw_text(grid))
        assert "?" in text or "nobody can count tanh1" in text
    assert "nobody can count tanh1" in "\n".join(difference_grid(comparison).below)


def test_edits_are_compared_with_the_model_as_it_is(run: Run) -> None:
    """`--set` makes the second model; what is published of the first is not said of it."""
    found = json.loads(run("compare", "googlenet", "--set", "classes=10", "--format", "json").out)
    assert [model["label"] for model in found["models"]] == ["googlenet", "googlenet classes=10"]
    assert [model["overrides"] for model in found["models"]] == [[], ["classes=10"]]
    assert found["models"][0]["published"]
    assert not found["models"][1]["published"]


def test_a_bar_is_a_share_to_an_eighth_of_a_cell() -> None:
    """Nothing for nothing, the least for the least, all for all."""
    assert [bar(part, 100, 2) for part in (0, 0, 1, 50, 75, 100)] == ["", "", "▏", "█", "█▌", "██"]


def test_a_terminal_without_blocks_gets_bars_in_ascii(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With colours, too."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run("compare", "alexnet").code == 0
    stream.seek(0)
    assert "96.0 %  ####" in re.sub(r"\x1b\[[0-9;]*m", "", stream.read())


def test_an_encoding_without_blocks_gets_them_in_ascii(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar is one character a cell there, never an escape."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    run("compare", "alexnet")
    stream.seek(0)
    text = stream.read()
    assert "classifier   96.0 %  ####" in text
    assert "\\u" not in text


# --- the list ---


def accuracy(
    top1: float | None, top5: float | None, models: int = 1, crops: int | None = 1, dataset: str = "ImageNet"
) -> Any:
    """A published accuracy of some source."""
    return PublishedAccuracy("s", dataset, top1, top5, models, crops)


def test_the_errors_shown_are_of_one_model_on_one_crop() -> None:
    """Both errors before one, all of ImageNet before a part of it, then the lowest; ensembles and crops never."""
    whole, lower = accuracy(30, 11), accuracy(29, 10)
    never = [accuracy(1, 1, models=7), accuracy(1, 1, crops=10), accuracy(1, 1, crops=None)]
    assert best_accuracy([*never, whole, lower]) == lower
    assert best_accuracy([accuracy(None, 1), whole]) == whole
    assert best_accuracy([accuracy(20, 2, dataset="a part"), whole]) == whole
    assert best_accuracy([*never, accuracy(40, None)]) == accuracy(40, None)
    assert best_accuracy(never) is None


def test_the_errors_shown_are_of_the_listed_network() -> None:
    """Not of a wider one or of a larger input, which JSON names: MACs and parameters stand beside them."""
    wider = PublishedAccuracy("s", "ImageNet", 1, 1, 1, 1, ("width=1.4",))
    larger = PublishedAccuracy("s", "ImageNet", 1, 1, 1, 1, (), (1, 3, 384, 384))
    assert best_accuracy([wider, larger]) is None
    listed = {model.model: model for model in list_catalogue().models}
    accuracies = {name: best_accuracy(model.published) for name, model in listed.items()}
    sources = {name: accuracy.source for name, accuracy in accuracies.items() if accuracy}
    assert "MNASNet1_0" in sources["mnasnet1_0"]
    assert sources["mobilenet_v2"].endswith("README.md, mobilenet_v2_1.0_224")
    others = [item for item in listed["vit_b_16"].published if item.overrides]
    assert [(item.overrides, item.input) for item in others] == [(("tokens=577",), (1, 3, 384, 384))]
    assert all(not item.input for item in listed["googlenet"].published)


def test_errors_of_other_images_are_marked(run: Run) -> None:
    """In the table, with what the mark means, and in CSV in the source."""
    out = run("list", "--filter", "inception_resnet_v1").out
    assert "21.30*" in out
    assert "* ImageNet without blacklisted images" in out
    assert "*" not in run("list", "--filter", "vgg16").out
    assert (
        "(ImageNet without blacklisted images)" in run("list", "--filter", "inception_resnet_v1", "--format", "csv").out
    )


def test_the_list_is_sorted_and_filtered(run: Run) -> None:
    """By family, by a glob over names and titles, by any column; small errors and large networks come first."""

    def models(*arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run("list", "--format", "json", *arguments).out)["models"]
        return found

    assert [model["model"] for model in models("--sort", "model")] == catalogue()
    assert {model["model"] for model in models()} == {*catalogue()}
    assert {model["family"] for model in models("--family", "vgg,nin")} == {"vgg", "nin"}
    assert [model["model"] for model in models("--filter", "*_bn", "--sort", "depth")] == [
        "vgg19_bn",
        "vgg16_bn",
        "vgg13_bn",
        "vgg11_bn",
    ]
    params = [model["totals"]["params"] for model in models("--sort", "params")]
    assert params == sorted(params, reverse=True)
    rows = csv.DictReader(io.StringIO(run("list", "--format", "csv", "--sort", "top5_error").out))
    errors = [float(row["top5_error"]) if row["top5_error"] else inf for row in rows]
    # Those of which none is published come last.
    assert errors == sorted(errors)
    assert errors[0] < 10 < errors[-1] == inf
    # As it comes: families in their order, each by its years, and a network's variants beside it.
    listed = [(model["family"], model["year"], model["model"]) for model in models()]
    assert listed == sorted(listed)
    names = [name for _, _, name in listed]
    assert names.index("googlenet_naive") - names.index("googlenet") < 3
    nothing = run("list", "--filter", "zz*")
    assert (nothing.code, nothing.err.strip()) == (0, "list: no model is of these families and matches the filter")
    assert run("list", "--family", "vg").code == 2
    assert run("list", "--sort", "size").code == 2


def test_fields_are_compared_like_with_like() -> None:
    """GoogLeNet's 907 pixels hold its global pool; VGG's Linear sees the whole image, which 212 pixels are not."""
    specs = [load_spec(name) for name in ("googlenet", "vgg16")]
    comparison = compare_models([(spec, build_graph(spec)) for spec in specs])
    totals = [model.totals for model in comparison.models]
    assert [total.receptive_field for total in totals] == [(907, 907), (212, 212)]
    assert [total.receptive_field_status for total in totals] == ["exact", "all"]
    grid = comparison_grids(comparison)[0]
    fields = [index for index, column in enumerate(grid.columns) if column.exact == "receptive_field"]
    assert [line.cells[fields[0]] for line in grid.lines] == ["907x907", "whole image"]
    assert (
        "field: of one output, a global pool included; before a layer over all positions it is 212x212 in vgg16"
        in grid.below
    )
    rows = comparison_rows(comparison)
    assert [line.exact[-1] for line in rows.lines] == ["exact", "all"]
