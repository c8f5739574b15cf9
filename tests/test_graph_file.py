"""A graph's file: what is written is read again, and what somebody else wrote is read or refused, in words."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gnet_inspect import build_graph, freeze, load_spec, optimize, parse_spec, summarize
from gnet_inspect.errors import GnetError, SpecError, UsageError
from gnet_inspect.graph import Graph, Value
from gnet_inspect.graph.maker import GraphMaker
from gnet_inspect.graph.nodes import Output
from gnet_inspect.language import catalogue
from gnet_inspect.ops import KINDS, Op, Opaque, Weight
from gnet_inspect.sources.bounds import MAX_DEPTH
from gnet_inspect.sources.file import read_graph_file, write_graph
from tests.conftest import Run
from tests.strategies import specs, to_yaml


def read_again(graph: Graph) -> Graph:
    """What comes back, but for where it came from."""
    back = read_graph_file(write_graph(graph))
    assert back.origin == "file"
    return replace(back, origin=graph.origin)


def variants(name: str) -> Iterator[Graph]:
    """A model in both modes, with frozen weights, and made faster."""
    spec = load_spec(name)
    graph = build_graph(spec)
    yield from (graph, build_graph(spec, mode="train"), freeze(graph, ["*"]), optimize(graph))


def test_every_model_of_the_catalogue_comes_back_equal() -> None:
    """Its ops too, which must stay what dictionaries are looked up by."""
    for name in catalogue():
        for graph in variants(name):
            back = read_again(graph)
            assert back == graph, name
            assert [hash(node.op) for node in back.nodes] == [hash(node.op) for node in graph.nodes]


def test_a_network_that_hands_on_its_input_comes_back_equal() -> None:
    """An output is what a node gives, or what the network is given."""
    stages = "{s: {a: {add: [{}, {b: []}]}, c: ReLU}}"
    graph = build_graph(parse_spec(f"name: n\ninput: [3, 8, 8]\noutputs: {{o: b, p: c}}\nstages: {stages}\n"))
    assert read_again(graph) == graph


@settings(max_examples=15)
@given(specs())
def test_every_spec_comes_back_equal(document: dict[str, Any]) -> None:
    """Learned tensors, shared layers, several inputs and outputs, tokens: whatever a spec can say."""
    try:
        graph = build_graph(parse_spec(to_yaml(document)), overrides=None)
    except GnetError:
        return
    assert read_again(graph) == graph


def odd_graph() -> Graph:
    """What no spec says: a layer nobody knows, weights that are held elsewhere, a layer that is called again."""
    maker = GraphMaker([Value("x", (2, 3))])
    maker.open("stage", "all")
    maker.open("block", "body", "Odd")
    opaque = Opaque("Strange", (2, 5), (Weight("w", (5, 3)), Weight("steps", (), trained=False, counter=True)))
    maker.call("body.odd", opaque, ("x",))
    linear = KINDS["Linear"](out_features=5)
    maker.call("body.fc", linear, ("body.odd",), held=(Weight("v", (5, 5)),), is_frozen=True)
    maker.call("body.fc@1", linear, ("body.fc",), module="body.fc")
    maker.add(maker.close())
    maker.call("relu", KINDS["ReLU"](), ("body.fc@1",), module="")
    part = maker.close()
    assert part is not None
    return maker.graph(model="odd", title="Odd", mode="eval", outputs=[Output("y", "relu")], parts=[part])


def test_what_no_spec_says_comes_back_equal() -> None:
    """And its numbers follow from its layers."""
    graph = odd_graph()
    assert read_again(graph) == graph
    assert [node.params for node in graph.nodes] == [15, 25, 0, 0]


def test_a_class_that_is_not_known_is_not_written() -> None:
    """Nobody could read it."""

    class Alien(Op, frozen=True):
        """Of nobody."""

    maker = GraphMaker([Value("x", (2, 3))])
    maker.call("a", Alien(), ("x",))
    graph = maker.graph(model="m", title="m", mode="eval", outputs=[Output("output", "a")], parts=())
    with pytest.raises(UsageError, match="`a` of Alien"):
        write_graph(graph)


def edited(**changes: Any) -> bytes:
    """The odd graph's file with other things at places of it: nodes__1__op__kind="Conv2d"."""
    document = json.loads(write_graph(odd_graph()))
    for place, value in changes.items():
        *steps, last = (int(step) if step.isdecimal() else step for step in place.split("__"))
        target = document
        for step in steps:
            target = target[step]
        target[last] = value
    return json.dumps(document).encode()


def nested(depth: int) -> dict[str, Any]:
    """Lists in lists."""
    part: dict[str, Any] = {"role": "list", "name": "a", "children": [3]}
    for _ in range(depth):
        part = {"role": "list", "name": "a", "children": [part]}
    return part


BODY = [{"role": "block", "name": "body", "kind": "Odd", "children": [0, 1, 2]}, 3]
WRONG: dict[str, dict[str, Any]] = {
    "graph_schema: expected a graph's file of version 1, got version 2. (a newer": {"graph_schema": 2},
    "nodes.3.op.kind: expected the class of a layer, got 'Relu'. (did you mean `ReLU`?)": {
        "nodes__3__op__kind": "Relu"
    },
    "nodes.1.op.out_features: expected a positive integer, got '5'": {"nodes__1__op__out_features": "5"},
    "nodes.1.op.width: expected an argument of Linear": {"nodes__1__op__width": 5},
    "nodes.1.op: expected Linear with out_features, got it without": {"nodes__1__op": {"kind": "Linear"}},
    "nodes.0.op.shape.1: expected int, got str": {"nodes__0__op__shape": [2, "5"]},
    "nodes.0.op.held.0.shape: expected sizes of 0 or more": {"nodes__0__op__held": [{"name": "w", "shape": [-3]}]},
    "nodes.0: expected outputs of positive sizes": {"nodes__0__op__shape": [2, -5]},
    "nodes.0: layer `body.odd`: expected a network that can be counted exactly": {"nodes__0__op__shape": [2**60]},
    "nodes.1.inputs: expected array, got str": {"nodes__1__inputs": "x"},
    "nodes.1.inputs: expected 1 of Linear, got 2": {"nodes__1__inputs": ["x", "x"]},
    "nodes.1.inputs.0: expected a value that is there before it is read, got `relu`": {"nodes__1__inputs": ["relu"]},
    "nodes.1: layer `body.fc`: Conv2d": {"nodes__1__op": {"kind": "Conv2d", "out_channels": 2, "kernel_size": 3}},
    "nodes.3.name: expected a name of its own, got `body.fc` twice": {"nodes__3__name": "body.fc"},
    "nodes.2.module: expected the name of this node or of one before it, got `relu`": {"nodes__2__module": "relu"},
    "nodes.3.name: expected a name of 1 to 1,000 characters": {"nodes__3__name": "a:b"},
    "nodes.3: object contains unknown field params": {"nodes__3__params": 5},
    "outputs.0.value: expected a value that a node gives or an input, got `y`": {"outputs__0__value": "y"},
    "parts: expected each node once, got nodes.3 nowhere": {"parts__0__children": BODY[:1]},
    "parts.0.children.2: expected each node once, got nodes.3 again": {"parts__0__children": [*BODY, 3]},
    "parts.0.children.1: expected a node of 0 to 3, got 4": {"parts__0__children": [BODY[0], 4]},
    "parts.0.role: expected a stage or head, got list": {"parts__0__role": "list"},
    "parts.0.role: invalid enum value 'floor'": {"parts__0__role": "floor"},
    "parts.0.template: expected one of 0 templates, got 0": {"parts__0__template": 0},
    f"parts: expected parts nested at most {MAX_DEPTH} deep": {"parts__0__children": [BODY[0], nested(MAX_DEPTH)]},
    "inputs.0.shape: expected positive integers": {"inputs__0__shape": [0, 3]},
    "unreached.0.params: expected 0 or more": {"unreached": [{"name": "a", "params": -1}]},
    "nodes: expected at least one, got none": {"nodes": []},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_does_not_fit_is_told_with_its_place(said: str) -> None:
    """The file, the place in it, what was expected and what came."""
    with pytest.raises(SpecError) as error:
        read_graph_file(edited(**WRONG[said]), "net.graph.json")
    path, _, fact = said.partition(": ")
    assert str(error.value).startswith(f"net.graph.json: `{path}`: {fact}")


ODD_OPS: dict[str, dict[str, Any]] = {
    "slice expects an input with channels, got 2": {"kind": "Channels", "start": 0, "stop": 1},
    "LSTM expects at most 1,000 layers, got 2,147,483,647": {"kind": "LSTM", "hidden_size": 2, "num_layers": 2**31 - 1},
    "einsum expects a term for each of 2 factors, got 1": {
        "kind": "Einsum",
        "equation": "ij",
        "shape": [2],
        "factors": [[2, 3], [3, 2]],
    },
    "einsum expects a letter for each axis of a factor, got 'ijk'": {
        "kind": "Einsum",
        "equation": "ij,ijk",
        "shape": [2],
        "factors": [[2, 3], [3, 2]],
    },
    "expected outputs of float, int64, bool, got 'zeros'": {
        "kind": "Reduction",
        "function": "sum",
        "dims": [0],
        "dtype": "zeros",
    },
    "expected 0 multiply-accumulates or more, got -6": {
        "kind": "MatrixProduct",
        "function": "mv",
        "inner": -3,
        "shape": [2],
    },
    "x expects an output, got none": {"kind": "Function", "function": "x", "shapes": []},
}


@pytest.mark.parametrize("said", ODD_OPS)
def test_what_no_run_could_have_made_is_told(said: str) -> None:
    """Of layers that say their shapes themselves, and of those whose arguments no tensor fits."""
    shape = {"Channels": [2], "LSTM": [1, 4, 6]}.get(ODD_OPS[said]["kind"], [2, 3])
    document = {
        "graph_schema": 1,
        "model": "m",
        "inputs": [{"name": "x", "shape": shape}],
        "outputs": [{"name": "y", "value": "a"}],
        "nodes": [{"name": "a", "op": ODD_OPS[said], "inputs": ["x"]}],
        "parts": [{"role": "stage", "name": "s", "children": [0]}],
    }
    with pytest.raises(SpecError) as error:
        read_graph_file(json.dumps(document).encode())
    assert said in str(error.value)


def test_values_of_other_ranks_are_not_joined() -> None:
    """Where what is left of their shapes without the axis is the same."""
    layers = "{p: {Parameter: {shape: [3]}}, c: {concat: [a, p]}, d: {Linear: {out_features: 2}}}"
    spec = parse_spec(f"{{name: m, inputs: {{a: [7], b: [4]}}, stages: {{s: {layers}}}}}")
    with pytest.raises(SpecError, match="concat expects branches that agree in all but the channels"):
        build_graph(spec)


def test_what_is_no_graph_is_told(tmp_path: Path) -> None:
    """Nothing, another JSON, text, lists without end; a folder and no file at all."""
    for text in (b"", b"{}", b"[]", b"stages: {}", b"\xff\xfe", b'{"graph_schema": 1}', b"[" * 10**6):
        with pytest.raises(SpecError, match="<graph>: "):
            read_graph_file(text)
    for path in (tmp_path, tmp_path / "none.graph.json", tmp_path / "a" / "b", Path("a\0b")):
        with pytest.raises(UsageError, match=r"expected a graph's file|cannot read"):
            read_graph_file(path)


JUNK: tuple[Any, ...] = (
    None,
    -1,
    0,
    1,
    2**31,
    2**70,
    1e308,
    0.5,
    True,
    "",
    "x",
    "body.fc",
    "a\x1b[0m",
    [],
    {},
    [[]],
    {"kind": "Concat"},
)


def mutate(document: Any, chance: random.Random) -> None:
    """Put something else into a place of a document, or a copy of another part of it."""
    places: list[tuple[Any, Any]] = []
    queue = [document]
    while queue:
        value = queue.pop()
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        places += [(value, key) for key in keys]
        queue += [value[key] for key in keys if isinstance(value[key], dict | list)]
    container, key = chance.choice(places)
    what = chance.randrange(4)
    if what == 0:
        other, name = chance.choice(places)
        container[key] = json.loads(json.dumps(other[name]))
    elif what == 1:
        del container[key]
    elif what == 2 and isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[key] = chance.choice(JUNK)


def test_no_file_ends_in_anything_but_a_graph_or_a_sentence() -> None:
    """A graph that is read can be summed up, too."""
    chance = random.Random(5)
    texts = [write_graph(graph) for graph in (odd_graph(), *variants("lenet5"), *variants("googlenet_torchvision"))]
    read = 0
    for _ in range(400):
        document = json.loads(chance.choice(texts))
        for _ in range(chance.choice((1, 1, 2, 4))):
            mutate(document, chance)
        try:
            graph = read_graph_file(json.dumps(document).encode())
        except GnetError:
            continue
        summarize(graph)
        assert read_again(graph) == replace(graph, origin="file")
        read += 1
    assert 20 < read < 380


# --- on the command line ---


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The file of lenet5."""
    path = tmp_path / "net.graph.json"
    path.write_bytes(write_graph(build_graph(load_spec("lenet5"))))
    return str(path)


@pytest.mark.parametrize("command", ["summary", "flops", "diagram", "roofline --on h200"])
def test_a_file_is_answered_as_its_spec_is(run: Run, file: str, command: str) -> None:
    """The same text, to the letter; its own input may be said."""
    words = command.split()
    result = run(*words, file)
    assert result == run(*words, "lenet5")
    assert result.code == 0
    assert run(*words, file, "--input", "1x32x32", "--batch", "1") == result


def test_a_file_is_compared_with_a_spec(run: Run, file: str, tmp_path: Path) -> None:
    """It has no year and nothing published, and a report has no audit of it."""
    assert "the two networks are the same" in run("compare", "lenet5", file, "--diff").out
    first, second = json.loads(run("compare", "lenet5", file, "--format", "json").out)["models"]
    assert (first["totals"], first["stages"]) == (second["totals"], second["stages"])
    assert (second["year"], second["family"], second["published"]) == (None, "", [])
    assert run("report", file, "lenet5", "-o", str(tmp_path / "r.html")).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("summary FILE --set classes=3", "--set: expected a built-in name or a spec, got "),
        ("compare FILE --set classes=3", "--set: expected a built-in name or a spec, got "),
        ("summary FILE --resize", "--resize: expected a built-in name or a spec, got "),
        ("summary FILE --batch 2", "--batch: expected 1x1x32x32, its own input, for "),
        ("flops FILE --input 1x28x28", "--input: expected 1x1x32x32, its own input, for "),
        ("flops FILE --mode train", "--mode train: expected a graph of that mode, got "),
        ("verify FILE", "verify: expected a built-in name or a spec, whose module torch builds, got "),
        ("latency lenet5 FILE", "latency: expected a built-in name or a spec, whose module torch builds, got "),
        ("show FILE", "show: expected a built-in name or a spec, which has a text, got "),
        ("validate FILE", "validate: expected a built-in name or a spec, "),
        ("summary none.graph.json", "expected a graph's file, got 'none.graph.json', which does not exist"),
    ],
)
def test_what_a_file_cannot_do_is_told(run: Run, file: str, arguments: str, said: str) -> None:
    """Exit code 2, and what it is."""
    result = run(*(file if word == "FILE" else word for word in arguments.split()))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {said}")
