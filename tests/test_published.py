"""Published figures of other networks, of shapes, sizes and differences: each judged on what its source is about."""

from collections.abc import Callable
from typing import Any

import pytest

from gnet_inspect.analysis.audit import MOST_NETWORKS, audit, audited_sources
from gnet_inspect.analysis.conventions import CONVENTIONS, count_flops, counted_by
from gnet_inspect.errors import SpecError
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.language.published import MACS_ARE, MODES
from gnet_inspect.ops import TOOLS
from gnet_inspect.records.verification import AuditRow
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run
from tests.specs import HEADER

CONV = "{Conv2d: {out_channels: 4, kernel_size: 3}}"
HEADS = "heads: {h: {from: a, layers: {f: Flatten, l: {Linear: {out_features: 2}}}}}\n"
SMALL = f"params: {{flag: false}}\nstages: {{s: {{a: {CONV}, b: {{ReLU: , when: $flag}}}}}}\n{HEADS}"


def rows_of(text: str) -> list[AuditRow]:
    """The audit of a small spec with one published entry."""
    return list(audit(parse_spec(f"{HEADER}{SMALL}published: [{{source: s, {text}}}]\n")))


def judged(model: str) -> dict[tuple[str, str, str], tuple[str, Any]]:
    """Verdict and exact figure of every published figure, by source, row and quantity."""
    return {(row.source, row.row, row.what): (row.verdict, row.exact) for row in audit(load_spec(model))}


# --- figures of another network ---


def test_figures_of_another_network_agree_where_it_is_named() -> None:
    """ResNets with the stride on the first 1x1, as in the paper; Inception v3 with its head."""
    paper = "arXiv:1512.03385, Table 1"
    # 3.858 G is printed 3.8: near, and not right.
    assert judged("resnet50")[paper, "total", "macs"] == ("close", 3_857_973_248)
    assert judged("resnet101")[paper, "total", "macs"] == ("agrees", 7_570_194_432)
    assert judged("resnet152")[paper, "total", "macs"] == ("agrees", 11_282_415_616)
    meta = "torchvision 0.28.0, Inception_V3_Weights.IMAGENET1K_V1.meta"
    assert judged("inception_v3")[f"{meta}, num_params", "total", "params"] == ("agrees", 27_161_264)
    assert judged("inception_v3")[meta, "total", "macs"] == ("agrees", 5_713_216_096)
    prototxt = "BVLC/caffe, models/bvlc_googlenet, train_val.prototxt"
    assert judged("googlenet")[prototxt, "total", "params"] == ("agrees", 13_378_280)


def test_what_is_right_for_another_network_is_no_erratum() -> None:
    """LeNet's 60,000 parameters are right in 1998; none of these is wrong."""
    found = judged("lenet5")
    section = "Proceedings of the IEEE 86(11), section II.A"
    assert found[section, "total", "params"] == ("variant", 61_706)
    assert found["Proceedings of the IEEE 86(11), section II.B", "c3", "params"] == ("variant", 2416)
    assert judged("googlenet")["arXiv:1409.4842v1, section 1", "total", "macs"][0] == "variant"


@pytest.mark.parametrize(
    ("text", "verdict", "exact"),
    [
        ("totals: {params: 112}", "agrees", 112),
        # 4 x 30 x 30 inputs and a bias, twice.
        ("mode: train, totals: {params: 7314}", "agrees", 112 + 2 * 3601),
        ("with: {a.out_channels: 5}, totals: {params: 140}", "agrees", 140),
        ("with: {a.out_channels: 5}, totals: {params: 112, variant: four channels}", "variant", 140),
        ("input: [3, 5, 5], rows: [{nodes: [a], output: [4, 3, 3]}]", "agrees", (4, 3, 3)),
        ("input: [1, 5, 5], totals: {params: 40}", "agrees", 40),
        ("rows: [{nodes: [a], output: [4, 30, 30]}]", "agrees", (4, 30, 30)),
        ("rows: [{nodes: [a], output: [4, 30, 31]}]", "disagrees", (4, 30, 30)),
        ("rows: [{nodes: [a], output: [4, 30, 31], erratum: known}]", "erratum", (4, 30, 30)),
        ("rows: [{nodes: [a], output: [4, 30, 31], note: no excuse}]", "disagrees", (4, 30, 30)),
        ("rows: [{nodes: [h], output: [2]}]", "agrees", (2,)),
        ("with: {flag: true}, rows: [{nodes: [b], output: [4, 30, 30]}]", "agrees", (4, 30, 30)),
    ],
)
def test_an_entry_names_its_network(text: str, verdict: str, exact: object) -> None:
    """By edits, by the mode with heads, by an input; shapes are judged exactly."""
    (row,) = rows_of(text)
    assert (row.verdict, row.exact) == (verdict, exact)


def test_records_say_of_which_network_a_figure_is() -> None:
    """In JSON by its edits, mode and input."""
    (row,) = rows_of("with: {a.out_channels: 5}, mode: train, input: [3, 9, 9], totals: {macs: 1}")
    assert (row.overrides, row.mode, row.input) == (("a.out_channels=5",), "train", (1, 3, 9, 9))
    sources = {item.source: item.overrides for item in audited_sources(load_spec("resnet101"))}
    assert sources["arXiv:1512.03385, Table 1"][:2] == ("layer2.0.conv1.stride=2", "layer2.0.conv2.stride=1")


def test_the_table_says_of_which_network_a_figure_is(run: Run) -> None:
    """Beside the figure in short, and below in full; in CSV in a column."""
    text = run("verify", "resnet50", "--published").out
    assert "macs of total (edited)" in text
    assert "arXiv:1512.03385, Table 1: with layer2.0.conv1.stride=2 layer2.0.conv2.stride=1" in text
    assert "params of total (with heads)" in run("verify", "inception_v3", "--published").out
    csv = run("verify", "lenet5", "--published", "--format", "csv").out
    assert "6x28x28,6x28x28,,agrees,,with c1.padding=2; at 1x1x28x28" in csv


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "with: {nothing: 1}",
            r"`published.0.with.nothing`: expected a parameter of the model or the path .* `nothing`",
        ),
        ("with: {a.kernel: 1}", r"`published.0.with.a.kernel`: expected an argument of `a` \(Conv2d\), got `kernel`"),
        ("with: {a.kernel_size: x}", r"`published.0.with.a.kernel_size`: expected .* positive integers?, got 'x'"),
        ("with: {a.kernel_size.7: 1}", r"`published.0.with.a.kernel_size.7`: expected an element from 0 to 1, got 7"),
        ("with: {a.kernel_size: 99}", r"`stages.s.a`: in the network of `published.0`: .*covers 99 along height"),
        ("with: {}", r"`published.0.with`: expected at least one edit, got none"),
        ("with: [a]", r"`published.0.with`: expected edits \{"),
        ("mode: training", r"`published.0.mode`: expected \"eval\" or \"train\", got 'training'"),
        ("input: [3, 5]", r"`published.0.input`: expected an input \[channels, height, width\]"),
        ("macs_are: mine", r"`published.0.macs_are`: expected .*\"fvcore\".*, got 'mine'"),
        ("rows: [{nodes: [a], output: [4, 30]}]", r"`published.0.rows.0.output`: expected an output \[channels"),
        ("rows: [{nodes: [a], output: [4, 0, 30]}]", r"`published.0.rows.0.output.1`: expected"),
        ("rows: [{nodes: [a], min_input: 3}]", r"`published.0.rows.0.min_input`: expected a key of a published row"),
        ("totals: {output: [4, 30, 30]}", r"`published.0.totals.output`: expected a key of a published row"),
        ("totals: {params: 1, erratum: x, variant: y}", r"`published.0.totals`: expected an `erratum` .*, got both"),
        ("totals: {params: -1}", r"`published.0.totals.params`: expected a figure such as 2.7K"),
        ("totals: {params: 1MB}", r"`published.0.totals.params`: .* one of the letters K, M, G, B, got '1MB'"),
        ("totals: {state_dict_bytes: 1K}", r"`published.0.totals.state_dict_bytes`: .*2.7kB, .*units kB, MB, GB, KiB"),
        ("units: {ABCD: 3}", r"`published.0.units.ABCD`: expected one to three letters"),
        (
            "claims: [{of: s, to: s, value: 1}]",
            r"`published.0.claims.0`: expected a claim with `ratio` or `difference`",
        ),
        (
            "claims: [{difference: top5_error, of: s, to: t, value: 1}]",
            r"`published.0.claims.0.of`: expected one source of this spec with a top5_error, got 0 named `s`",
        ),
    ],
)
def test_entries_are_read_as_strictly_as_the_rest(text: str, message: str) -> None:
    """Edits as --set's, with file, line and path."""
    with pytest.raises(SpecError, match=rf"spec:\d: {message}"):
        rows_of(text)


def test_validate_and_verify_refuse_an_edit_that_meets_nothing(run: Run, write_spec: Callable[[str], str]) -> None:
    """At the line where it stands, by either command."""
    path = write_spec(f"{HEADER}{SMALL}published:\n  - source: s\n    with:\n      flag: true\n      a.strides: 2\n")
    for command in (["validate", path], ["verify", path, "--published"]):
        result = run(*command)
        assert result.code == 2
        assert f"{path}:10: `published.0.with.a.strides`: expected an argument of `a` (Conv2d), got" in result.err
        assert "did you mean `stride`?" in result.err


def test_other_networks_are_bounded() -> None:
    """Each is built: so many of them, however large the file may be."""
    entries = [f"{{source: s, with: {{a.out_channels: {n + 1}}}, totals: {{depth: 1}}}}" for n in range(MOST_NETWORKS)]
    assert len(audit(parse_spec(f"{HEADER}{SMALL}published: [{', '.join(entries)}]\n"))) == MOST_NETWORKS
    entries.append("{source: s, with: {a.out_channels: 99}, totals: {depth: 1}}")
    with pytest.raises(SpecError, match=rf"`published.{MOST_NETWORKS}`: expected published figures of at most 32"):
        audit(parse_spec(f"{HEADER}{SMALL}published: [{', '.join(entries)}]\n"))
    # The same network however often is one.
    same = ", ".join(["{source: s, with: {a.out_channels: 5}, totals: {depth: 1}}"] * (MOST_NETWORKS + 1))
    assert {row.verdict for row in audit(parse_spec(f"{HEADER}{SMALL}published: [{same}]\n"))} == {"agrees"}


# --- Dive into Deep Learning ---


def test_both_editions_of_d2l() -> None:
    """The first has no ReLU on the convolutions of b2, the second has; nothing else differs, and no number."""
    spec = load_spec("googlenet_d2l")
    first, second = (build_graph(spec, overrides={"relu_in_b2": flag}) for flag in (False, True))
    assert [node.name for node in second.nodes if node.name not in {node.name for node in first.nodes}] == [
        "relu2",
        "relu3",
    ]
    counts = [(sum(n.params for n in graph.nodes), sum(n.macs or 0 for n in graph.nodes)) for graph in (first, second)]
    assert counts == [(5_977_530, 276_066_304)] * 2
    assert "first edition" in spec.paper["title"]


def test_the_books_traces_are_judged(run: Run) -> None:
    """Stage by stage, of five networks."""
    result = run("verify", "googlenet_d2l", "--published")
    assert "published figures: 6 agrees" in result.out
    for model, number in (("googlenet_d2l", 6), ("resnet18", 6), ("lenet5", 8), ("nin", 10), ("alexnet_original", 12)):
        rows = [row for row in audit(load_spec(model)) if row.source.startswith("Dive into Deep Learning")]
        assert (len(rows), {row.verdict for row in rows}) == (number, {"agrees"})


# --- accuracies ---


def test_accuracies_say_of_which_images_they_are() -> None:
    """All evaluations of the paper leave out blacklisted images, but the ensemble's on the test set."""
    found = {item.source: item.accuracy for item in load_spec("inception_v3").published if item.accuracy}
    datasets = {source: figures["dataset"] for source, figures in found.items() if source.startswith("arXiv:1512")}
    test = "arXiv:1512.00567, Table 5, test"
    assert found[test] == {"dataset": "ImageNet test set", "top5_error": 3.58, "models": 4, "crops": 144}
    assert len(datasets) == 5
    assert {value for key, value in datasets.items() if key != test} == {"ImageNet without blacklisted images"}


def test_differences_between_accuracies_are_audited() -> None:
    """Table 3 of the GoogLeNet paper prints -3.45 for 6.67 - 10.07."""
    rows = [row for row in audit(load_spec("googlenet")) if row.what == "top5_error difference"]
    assert [(row.published, row.verdict, row.exact) for row in rows] == [
        ("-0.92", "agrees", -0.92),
        ("-2.18", "agrees", -2.18),
        ("-1.98", "agrees", -1.98),
        ("-2.45", "agrees", -2.45),
        ("-3.45", "erratum", -3.4),
    ]


# --- other quantities ---


def test_quantities_are_those_that_others_computed() -> None:
    """Each from arithmetic that is not ours: of the papers' layers, of BatchNorm folded by hand, of convnet-burden's
    rules (MiB)."""
    omz = "openvinotoolkit/open_model_zoo, models/public/index.md, "
    burden = "albanie/convnet-burden, README, "
    assert judged("googlenet")["arXiv:1409.4842v1, section 5", "total", "depth_with_pools"] == ("agrees", 27)
    assert judged("alexnet_original")["NIPS 2012, abstract, neurons", "total", "neurons"][1] == 659_272
    assert judged("inception_v3")[omz + "googlenet-v3", "total", "params"] == ("agrees", 23_817_352)
    assert judged("inception_v4")[omz + "googlenet-v4-tf", "total", "params"] == ("agrees", 42_648_232)
    assert judged("bn_inception")[omz + "googlenet-v2", "total", "params"] == ("agrees", 11_185_032)
    for model, row, features in (
        ("googlenet", "googlenet", 26.17),
        ("resnet18", "resnet18", 23.17),
        ("resnet34", "resnet34", 35.13),
        ("resnet50", "resnet-50", 103.18),
        ("resnet101", "resnet-101", 155.24),
        ("resnet152", "resnet-152", 219.55),
        ("vgg19", "vgg-vd-19", 63.2),
    ):
        exact = judged(model)[burden + row, "total", "feature_bytes"][1]
        assert round(exact / 2**20, 2) == features


@pytest.mark.parametrize("model", ["googlenet_torchvision", "inception_v3"])
@pytest.mark.parametrize("mode", MODES)
def test_a_state_dict_has_the_bytes_that_torch_saves(model: str, mode: str) -> None:
    """Parameters, statistics and step counters; constants of ChannelAffine are not saved."""
    pytest.importorskip("torch")
    import torch

    from gnet_inspect.analysis.quantities import Counted, exact_count
    from gnet_inspect.language.model import Published
    from gnet_inspect.runtime.module import build_module

    graph = build_graph(load_spec(model), overrides={"transform_input": True}, mode=mode)
    with torch.device("meta"):
        module = build_module(graph)
    saved = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    assert exact_count("state_dict_bytes", Counted(Published("s"), graph, graph.nodes, whole=True)) == saved


def test_multiply_accumulates_may_be_a_tools() -> None:
    """The words are the tools' keys, and what they count is what `flops` prints, heads included."""
    assert list(MACS_ARE) == ["multiply-accumulates", *TOOLS]
    graph = build_graph(load_spec("googlenet_torchvision"), mode="train")
    totals = count_flops(graph).totals
    for convention in CONVENTIONS:
        assert counted_by(convention.key, graph, graph.nodes) == getattr(totals, convention.key)
    timm = "timm 1.0.31, benchmark-infer-amp-nchw-pt291-cu128-4090.csv"
    assert judged("inception_v4")[timm, "total", "macs"] == ("agrees", 12_284_251_296)


@pytest.mark.parametrize("model", [name for name in catalogue() if "min_input" in str(load_spec(name).published)])
def test_smallest_inputs_are_those_that_torchvision_prints(model: str) -> None:
    """15 for its GoogLeNet, 75 for Inception v3, 63 for AlexNet, 32 for VGG, 1 for ResNet."""
    rows = [row for row in audit(load_spec(model)) if row.what == "min_input"]
    assert [row.verdict for row in rows] == ["agrees"]


def test_the_smallest_input_is_searched_from_below() -> None:
    """A network that takes even sizes only has no smallest one by halving; where the search ends, it says so."""
    halves = "{add: [{}, {p: {AvgPool2d: {kernel_size: 2}}, u: {Upsample: {scale_factor: 2}}}]}"
    text = f"{HEADER}stages: {{s: {{c: {{Conv2d: {{out_channels: 3, kernel_size: 6}}}}, a: {halves}}}}}\n"
    text += "published: [{source: s, totals: {min_input: 7}}]\n"
    spec = parse_spec(text.replace("input: [3, 32, 32]", "input: [3, 33, 33]"))
    assert [(row.verdict, row.exact) for row in audit(spec)] == [("agrees", 7)]
    far = "stages: {s: {a: {Conv2d: {out_channels: 1, kernel_size: 600}}}}\n"
    far += "published: [{source: s, totals: {min_input: 600}}]\n"
    (row,) = audit(parse_spec(HEADER.replace("[3, 32, 32]", "[3, 700, 700]") + far))
    assert (row.verdict, row.exact) == ("not run", None)
    assert "the search is bounded" in row.note
