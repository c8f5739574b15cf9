"""The public names, and the names a spec may not use."""

import inspect
from collections.abc import Callable

import pytest

import gnet_inspect
from gnet_inspect.language.names import MODULE_ATTRIBUTES, OWN_WORDS, name_fault

NAMES = {
    "AxisWindow",
    "Coverage",
    "Family",
    "FlopCounts",
    "GnetError",
    "Graph",
    "LayerSummary",
    "LoadedWeights",
    "Look",
    "MissingError",
    "Node",
    "Op",
    "Outputs",
    "Saved",
    "Spec",
    "SpecError",
    "StageSummary",
    "Summary",
    "Temporaries",
    "Term",
    "Totals",
    "Traffic",
    "TrainingMemory",
    "UsageError",
    "Weight",
    "build_graph",
    "build_module",
    "fit",
    "Fitted",
    "catalogue",
    "Comparison",
    "compare_models",
    "count_flops",
    "cut",
    "freeze",
    "load_spec",
    "load_weights",
    "optimize",
    "optimized_module",
    "parse_spec",
    "register",
    "summarize",
    "trace",
    "TraceError",
    "training_memory",
}


def test_the_public_names_are_these() -> None:
    """`__all__` and `dir` say the same."""
    assert set(gnet_inspect.__all__) == NAMES
    assert set(dir(gnet_inspect)) == NAMES | {"__version__"}


def test_every_public_name_is_there_and_documented() -> None:
    """Each resolves, and has a docstring of its own."""
    pytest.importorskip("torch")
    for name in NAMES:
        assert inspect.getdoc(getattr(gnet_inspect, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Like any module's."""
    with pytest.raises(AttributeError, match="module 'gnet_inspect' has no attribute 'nothing'"):
        gnet_inspect.nothing  # noqa: B018  # the access is the test


def test_reserved_names_are_those_of_the_installed_torch() -> None:
    """The list is written out because the static path imports no torch: this keeps it true."""
    torch = pytest.importorskip("torch")
    attributes = {name for name in dir(torch.nn.Module()) if not name.startswith("__")}
    assert attributes <= MODULE_ATTRIBUTES


def test_reserved_names_are_those_our_own_modules_keep() -> None:
    """No layer's name hides what a block or network needs."""
    pytest.importorskip("torch")
    from gnet_inspect.language import load_spec
    from gnet_inspect.runtime.module import build_module
    from gnet_inspect.sources.spec import build_graph

    net = build_module(build_graph(load_spec("googlenet"), mode="train"), device="meta")
    for module in (net, net.inception3a):
        assert {name for name in vars(module) if not name.startswith("__")} <= MODULE_ATTRIBUTES | OWN_WORDS


@pytest.mark.parametrize("name", ["conv1", "0", "1x1", "Mixed_5b", "a" * 64, "_x"])
def test_names_that_may_be_used(name: str) -> None:
    """Letters, digits and underscores."""
    assert name_fault(name, "layer") is None


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "a.b", "a b", "é", "type", "half", "train", "forward", "__init__", "input", "a\n"]
)
def test_names_that_may_not(name: str) -> None:
    """What torch, Python or we need, and what is no name."""
    assert name_fault(name, "layer") is not None


def test_wrong_types_are_answered_in_words() -> None:
    """From Python too a mistake is a sentence, not an attribute that is missing."""
    spec = gnet_inspect.load_spec("googlenet")
    graph = gnet_inspect.build_graph(spec)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: gnet_inspect.load_spec(5), "expected a built-in model's name or a path, got a int"),  # type: ignore[arg-type]
        (lambda: gnet_inspect.parse_spec({}), "expected the text of a spec, got a dict"),  # type: ignore[arg-type]
        (lambda: gnet_inspect.build_graph("googlenet"), r"expected a Spec \(load_spec gives one\), got a str"),  # type: ignore[arg-type]
        (lambda: gnet_inspect.build_graph(spec, 5), "expected an input shape"),  # type: ignore[arg-type]
        (lambda: gnet_inspect.build_graph(spec, overrides=["a=1"]), "expected overrides as a mapping"),  # type: ignore[arg-type]
        (lambda: gnet_inspect.build_graph(spec, overrides={5: 1}), "expected the path of an override"),  # type: ignore[dict-item]
        (lambda: gnet_inspect.summarize(spec), r"expected a Graph .* or a torch module, got a Spec"),
        (lambda: gnet_inspect.count_flops(spec), r"expected a Graph .* or a torch module, got a Spec"),
        (lambda: gnet_inspect.optimize(spec), r"expected a Graph \(build_graph gives one\), got a Spec"),  # type: ignore[arg-type]
        (lambda: gnet_inspect.summarize(graph, []), "expected no inputs beside a Graph"),
        (lambda: gnet_inspect.summarize(graph, dtype=5), "expected a dtype's name, got a int"),  # type: ignore[arg-type]
    ]
    for call, message in calls:
        with pytest.raises(gnet_inspect.UsageError, match=message):
            call()
