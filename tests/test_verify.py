"""Verification: equal on every model of the catalogue, and able to fail."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.audit import audit, audited_sources, verdict_of
from gnet_inspect.errors import SpecError
from gnet_inspect.graph import Graph, Node
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.language.model import Figure, Said
from tests.conftest import Run
from tests.specs import HEADER, graph_of

SMALL = "stages: {s: {a: {Conv2d: {out_channels: 4, kernel_size: 3}}, b: BatchNorm2d, c: ReLU}}"


def falsified(change: Callable[[Node], Node]) -> Graph:
    """A small graph whose first node is not what the module says."""
    graph = graph_of(SMALL)
    return replace(graph, nodes=(change(graph.nodes[0]), *graph.nodes[1:]))


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        # The biases torchinfo adds follow the shape.
        (lambda node: replace(node, output_shapes=((1, 4, 31, 30),)), {"output shapes", "totals"}),
        (lambda node: replace(node, params=node.params + 1), {"parameters and buffers", "totals"}),
        (lambda node: replace(node, buffers=1), {"parameters and buffers"}),
        (lambda node: replace(node, macs=node.macs + 1), {"multiply-accumulates", "totals"}),
    ],
)
def test_each_check_can_fail(change: Callable[[Node], Node], failing: set[str]) -> None:
    """A wrong number in the graph is found, by name, with both values."""
    pytest.importorskip("torchinfo")
    from gnet_inspect.runtime.verify import run_checks

    checks = run_checks(falsified(change))
    assert {check.what for check in checks if not check.ok} == failing
    differing = next(check for check in checks if not check.ok)
    assert differing.differences[0].name.startswith("a")
    assert differing.differences[0].expected != differing.differences[0].got


def test_a_check_that_compares_nothing_has_failed() -> None:
    """An empty comparison proves nothing."""
    from gnet_inspect.records.verification import compare

    assert compare("nothing", "nobody", []).ok is False


@pytest.mark.parametrize(
    ("exact", "said", "verdict"),
    [
        (114_688, Said(), "agrees"),
        (114_688 + 513, Said(), "close"),
        (114_688 * 1.2, Said(), "disagrees"),
        (114_688 * 1.2, Said(erratum="known"), "erratum"),
        (114_688 * 1.2, Said(variant="of the other paper"), "variant"),
        (114_688 * 1.2, Said(note="a note explains nothing away"), "disagrees"),
        (114_688, Said(erratum="of the other column"), "agrees"),
        (114_688, Said(variant="of the other column"), "agrees"),
    ],
)
def test_the_five_verdicts(exact: float, said: Said, verdict: str) -> None:
    """Within the printed rounding, within 5 %, explained as wrong or as another network's, or not."""
    assert verdict_of(Figure("112K", 112 * 1024, 512), exact, said) == verdict


def test_googlenets_table_1_is_judged_row_by_row() -> None:
    """K is 1024 and weights are meant; 4c and 5a hold errata; the ops column agrees nearly everywhere."""
    rows = {(row.row, row.what): row for row in audit(load_spec("googlenet"))}
    assert rows["conv2, conv3", "params"].exact == 114_688
    assert rows["conv2, conv3", "params"].deviation == 0
    assert rows["conv1", "params"].verdict == "variant"
    assert rows["conv1", "output"].verdict == "agrees"
    assert rows["inception4c", "params"].verdict == "erratum"
    assert rows["inception4c", "macs"].verdict == "agrees"
    assert rows["inception5a", "macs"].verdict == "erratum"
    assert rows["total", "depth"].verdict == "agrees"
    assert "disagrees" not in {row.verdict for row in rows.values()}
    table = [row for row in rows.values() if row.source.endswith("Table 1")]
    assert {row.row for row in table if row.verdict == "erratum"} == {"inception4c", "inception5a"}
    assert {row.row for row in table if row.verdict == "variant"} == {"conv1"}


def test_a_figure_that_disagrees_makes_verify_exit_1(run: Run, write_spec: Callable[[str], str]) -> None:
    """Only `disagrees` is a no; the figures need no torch."""
    text = HEADER + SMALL + "\npublished: [{source: a paper, rows: [{nodes: [a], params: %s}]}]\n"
    wrong = run("verify", write_spec(text % 200), "--published")
    assert wrong.code == 1
    assert "disagrees" in wrong.out
    assert run("verify", write_spec(text % 112), "--published").code == 0


def test_claims_about_networks_that_they_write_out() -> None:
    """Two 3x3 against one 5x5 at as many channels: 18 / 25, whatever stands in the rest of the spec."""
    conv = "{Conv2d: {out_channels: 8, kernel_size: %s, padding: %s, bias: false}}"
    two = f"{{name: two 3x3, input: [8, 9, 9], layers: [{conv % (3, 1)}, {conv % (3, 1)}]}}"
    one = f"{{name: one 5x5, input: [8, 9, 9], layers: {{only: {conv % (5, 2)}}}}}"
    text = "stages: {s: {a: ReLU}}\npublished: [{source: s, claims: [{ratio: %s, of: %s, to: %s, value: 0.72}]}]"
    for ratio in ("params", "macs"):
        (row,) = audit(parse_spec(HEADER + text % (ratio, two, one)))
        assert (row.row, row.verdict, row.exact) == ("two 3x3 / one 5x5", "agrees", 0.72)
    (against,) = audit(parse_spec(HEADER + text % ("params", two, "lenet5")))
    assert against.exact == 2 * 9 * 64 / 61_706


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("{name: x, layers: [ReLU]}", "with the key `input`"),
        ("{name: x, input: [8, x], layers: [ReLU]}", "an input of positive integers"),
        ("{name: x, input: [8, 9, 9], layers: [{Conv2d: {kernel_size: 3}}]}", "`out_channels`"),
        ("{name: x, input: [8, 9, 9], layers: [{block: {out: 3}}]}", "got 'block'"),
        ("{name: x, input: [8, 9, 9], layers: [{Softmax: {dim: $classes}}]}", "a network in a claim has no parameters"),
        ("[ReLU]", "a model's name, or a network"),
        ("{name: x, input: [8, 9, 9], layers: [{repeat: {times: 9, layer: ReLU}}]}", "one by one, got a `repeat`"),
    ],
)
def test_a_network_of_a_claim_is_read_as_strictly_as_any(side: str, message: str) -> None:
    """With file, line and path."""
    text = "params: {classes: 3}\nstages: {s: {a: ReLU}}\n"
    text += "published: [{source: s, claims: [{ratio: macs, of: %s, to: test, value: 1}]}]"
    with pytest.raises(SpecError, match=rf"spec:5: `published.0.claims.0.of.*{message}"):
        parse_spec(HEADER + text % side)


def test_validate_builds_the_networks_of_claims(run: Run, write_spec: Callable[[str], str]) -> None:
    """A network that cannot be is found there, not at the audit."""
    conv = "{Conv2d: {out_channels: 3, kernel_size: 5}}"
    text = "stages: {s: {a: ReLU}}\npublished: [{source: s, claims: [{ratio: macs, of: %s, to: test, value: 1}]}]"
    path = write_spec(HEADER + text % f"{{name: x, input: [3, 2, 2], layers: [{conv}]}}")
    for command in (["validate", path], ["verify", path, "--published"]):
        result = run(*command)
        assert result.code == 2
        assert "covers 5 along height" in result.err


def test_the_claims_that_are_often_repeated() -> None:
    """AlexNet twelve times GoogLeNet, VGG three times AlexNet, 28 % for two 3x3: two are wrong, and say by how much."""
    found = {
        (row.row, row.what): (row.verdict, round(row.exact, 2) if isinstance(row.exact, float) else None)
        for model in ("googlenet", "alexnet", "vgg16", "inception_v3")
        for row in audit(load_spec(model))
        if "ratio" in row.what
    }
    assert found == {
        ("alexnet_original / googlenet", "params ratio"): ("erratum", 8.71),
        ("alexnet / googlenet", "params ratio"): ("erratum", 8.73),
        ("vgg16 / alexnet_original", "params ratio"): ("erratum", 2.27),
        ("inception_v3 / googlenet", "macs ratio"): ("variant", 3.61),
        ("two 3x3 / one 5x5", "params ratio"): ("agrees", 0.72),
        ("two 3x3 / one 5x5", "macs ratio"): ("agrees", 0.72),
    }


def test_how_a_source_is_to_be_read_is_said(run: Run) -> None:
    """The K of 1024 of Table 1, and that it counts weights."""
    source = audited_sources(load_spec("googlenet"))[0]
    assert (source.units, source.params_are) == ({"K": 1024, "M": 1_000_000}, "weights")
    assert (
        "arXiv:1409.4842v1, Table 1: K is 1,024; M is 1,000,000; parameters are weights"
        in run("verify", "googlenet", "--published").out
    )


def test_claims_between_models_of_the_catalogue() -> None:
    """A ratio is judged by the digits it is printed with."""
    claim = "published: [{source: s, claims: [{ratio: params, of: googlenet, to: googlenet_d2l, value: %s}]}]\n"
    for value, verdict in (("1.17", "agrees"), ("1.2", "agrees"), ("1.18", "close"), ("2.0", "disagrees")):
        spec = parse_spec(HEADER + SMALL + "\n" + claim % value)
        (row,) = audit(spec)
        assert isinstance(row.exact, float)
        assert (row.verdict, round(row.exact, 3)) == (verdict, 1.171)


def test_a_figure_of_what_is_exactly_nothing() -> None:
    """0 is no base for a percentage: such a figure agrees or it does not."""
    none = "stages: {s: {a: ReLU}}\npublished: [{source: s, rows: [{nodes: [a], params: 5K}], totals: {macs: 0}}]\n"
    rows = audit(parse_spec(HEADER + none))
    assert [(row.verdict, row.deviation) for row in rows] == [("disagrees", None), ("agrees", None)]
    claim = none.replace("totals: {macs: 0}", "claims: [{ratio: params, of: googlenet, to: test, value: 12}]")
    assert audit(parse_spec(HEADER + claim))[-1].note == "test has no params"


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_paddings_in_words_are_counted_by_fvcore_too(padding: str) -> None:
    """torch has an operator of its own for them, which fvcore does not know."""
    pytest.importorskip("fvcore")
    from gnet_inspect.runtime.verify import run_checks

    graph = graph_of(f"stages: {{s: {{a: {{Conv2d: {{out_channels: 2, kernel_size: 3, padding: {padding}}}}}}}}}")
    assert [check for check in run_checks(graph) if not check.ok] == []


def test_a_check_that_does_not_fit_into_memory_is_not_run(run: Run) -> None:
    """The others are, and the audit: exit 3, with the bytes."""
    pytest.importorskip("fvcore")
    result = run("verify", "googlenet", "--batch", "100000")
    assert result.code == 3
    assert result.out.count("equal") == 4
    assert "tracing googlenet for fvcore takes" in result.err


def test_rows_are_judged_in_execution_order_and_each_layer_once() -> None:
    """The order of `nodes` decides nothing, and naming a layer twice is a mistake."""
    conv = "{Conv2d: {out_channels: 4, kernel_size: 3}}"
    text = f"stages: {{s: {{a: {conv}, b: {conv}}}}}\n"
    text += "published: [{source: s, rows: [{nodes: [%s], depth: 2}]}]\n"
    for nodes in ("a, b", "b, a"):
        assert [row.verdict for row in audit(parse_spec(HEADER + text % nodes))] == ["agrees"]
    with pytest.raises(SpecError, match=r"spec:4: `published.0.rows.0.nodes`: expected each layer once .* `a` again"):
        audit(parse_spec(HEADER + text % "a, a"))


def test_figures_keep_the_digits_they_are_written_with() -> None:
    """1.50 is printed to the hundredth, quoted or not."""
    text = (
        SMALL
        + "\npublished: [{source: s, totals: {macs: %s}, claims: [{ratio: macs, of: test, to: test, value: %s}]}]\n"
    )
    figures = parse_spec(HEADER + text % ("1.50", "9.80")).published[0]
    assert figures.totals is not None
    assert (figures.totals.figures["macs"].printed, figures.totals.figures["macs"].rounding) == ("1.50", 0.005)
    assert (figures.claims[0].value.printed, round(figures.claims[0].value.rounding, 9)) == ("9.80", 0.005)


def test_rows_may_name_the_layers_of_heads(run: Run, write_spec: Callable[[str], str]) -> None:
    """What `validate` takes, `verify` judges."""
    head = "{from: a, layers: {f: Flatten, l: {Linear: {out_features: 1}}}}"
    text = f"{HEADER}stages: {{s: {{a: ReLU, f: Flatten}}}}\nheads: {{h: {head}}}\n"
    path = write_spec(text + "published: [{source: s, rows: [{nodes: [h], params: 3073}]}]\n")
    assert run("validate", path).code == 0
    assert run("verify", path, "--published").code == 0


def test_torch_refusing_the_module_is_a_difference_a_peer_failing_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first says that we are wrong, the second says nothing."""
    pytest.importorskip("fvcore")
    from gnet_inspect.runtime import verify

    def fail(_: Graph, __: verify.Watched) -> verify.Pairs:
        raise ValueError("no such thing")

    failing = (("torch", fail), ("torch", verify._parameters), ("torch", fail), ("fvcore", fail), ("torchinfo", fail))
    monkeypatch.setattr(verify, "_RUNNERS", failing)
    checks = verify.run_checks(graph_of(SMALL))
    assert [check.ok for check in checks] == [False, True, False, None, None]
    assert checks[3].note == "fvcore failed: ValueError: no such thing"
