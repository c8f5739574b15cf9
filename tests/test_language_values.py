"""The words for networks that are no chain: values by their names, sharing, arithmetic, several inputs and outputs.

Each right use is compared with a graph that is written out by hand; each mistake is answered with its file, line and
path, and with how to mend it where that can be said.
"""

import pytest

from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.language import parse_spec
from gnet_inspect.language.arithmetic import evaluate, parse_arithmetic
from gnet_inspect.ops.convolution import Conv2d
from gnet_inspect.sources.spec import build_graph
from tests.specs import HEADER

# One spec a line, as short as shows it.
# ruff: noqa: E501


def graph(text: str, **options: object) -> Graph:
    """The graph of a whole spec."""
    return build_graph(parse_spec(text, "m.yaml"), **options)  # type: ignore[arg-type]  # the test's own options


def calls(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each node with what it reads."""
    return [(node.name, node.inputs) for node in graph(text).nodes]


def shapes(text: str) -> dict[str, tuple[int, ...]]:
    """What each node gives, without the batch."""
    return {node.name: node.output_shape[1:] for node in graph(text).nodes}


# --- names ---


def test_a_branch_may_be_the_name_of_a_layer_before() -> None:
    """In each of the words that join, alone and among layers."""
    text = HEADER + (
        "stages: {s: {a: ReLU, b: Tanh, c: {concat: [a, {}, {d: Sigmoid}]}, e: {add: [a, b, input]}, f: {mul: [e, a]}}}"
    )
    assert calls(text) == [
        ("a", ("input",)),
        ("b", ("a",)),
        ("d", ("b",)),
        ("c", ("a", "b", "d")),
        ("e", ("a", "b", "input")),
        ("f", ("e", "a")),
    ]
    assert shapes(text)["c"] == (9, 32, 32)


def test_a_name_may_be_a_path_into_a_list_a_block_or_a_join() -> None:
    """What a block gave by the block's name, what one of its layers gave by the path; a branch's layer behind it."""
    text = (
        HEADER
        + "blocks: {b: {layers: {x: ReLU, y: [Tanh, ReLU]}}}\n"
        + "stages: {s: {f: [ReLU, b], j: {concat: [{l: ReLU}, {r: Tanh}]}, c: {concat: [f.0, f.1.x, f.1.y.0, f.1, f, l, j]}}}"
    )
    assert calls(text)[-1] == ("c", ("f.0", "f.1.x", "f.1.y.0", "f.1.y.1", "f.1.y.1", "l", "j"))


def test_a_block_sees_its_own_layers_under_their_own_names() -> None:
    """The same name means another value in each block, and in each place of it."""
    text = (
        HEADER
        + "blocks: {b: {layers: {a: ReLU, n: Tanh, c: {add: [a, {}]}}}}\nstages: {s: {a: Sigmoid, p: b, q: b, z: {mul: [a, p]}}}"
    )
    found = dict(calls(text))
    assert found["p.c"] == ("p.a", "p.n")
    assert found["q.c"] == ("q.a", "q.n")
    assert found["z"] == ("a", "p.c")


def test_from_says_what_a_layer_reads() -> None:
    """A layer, a block, a list of several for a class that takes several, and the start of a join's branches."""
    text = (
        HEADER
        + "blocks: {b: {layers: [Tanh]}}\n"
        + "stages: {s: {a: ReLU, f: {Flatten: {start_dim: 2}}, q: {b: , from: a}, r: {ReLU: , from: input},"
        + " t: {ScaledDotProductAttention: , from: [f, f, f]}, u: {add: [{}, {v: ReLU}], from: a}}}"
    )
    assert calls(text) == [
        ("a", ("input",)),
        ("f", ("a",)),
        ("q.0", ("a",)),
        ("r", ("input",)),
        ("t", ("f", "f", "f")),
        ("v", ("a",)),
        ("u", ("a", "v")),
    ]
    assert shapes(text)["t"] == (3, 1024)


def test_a_second_output_is_read_by_its_number() -> None:
    """An LSTM gives its sequence and two states."""
    text = "name: t\ninput: [5, 8]\nstages: {s: {l: {LSTM: {hidden_size: 4}}, h: {Tanh: , from: 'l:1'}, c: {ReLU: , from: 'l:2'}}}"
    assert calls(text) == [("l", ("input",)), ("h", ("l:1",)), ("c", ("l:2",))]
    nodes = graph(text).nodes
    assert nodes[0].output_shapes == ((1, 5, 4), (1, 1, 4), (1, 1, 4))
    assert nodes[1].output_shape == (1, 1, 4)


def test_a_value_goes_into_a_block_as_a_parameter() -> None:
    """Its kind follows from its use: as a branch, in `from`, in `like`, or handed on to another block."""
    text = (
        HEADER
        + "blocks:\n  inner: {params: [v], layers: {m: {mul: [{}, $v]}, r: {ReLU: , from: $v}}}\n"
        + "  outer: {params: [skip], layers: {i: {inner: {v: $skip}}, u: {Upsample: {like: $skip}}}}\n"
        + "stages: {s: {a: ReLU, p: Tanh, o: {outer: {skip: a}}, o2: {outer: {skip: o.i}}}}"
    )
    assert calls(text)[2:] == [
        ("o.i.m", ("p", "a")),
        ("o.i.r", ("a",)),
        ("o.u", ("o.i.r", "a")),
        ("o2.i.m", ("o.u", "o.i.r")),
        ("o2.i.r", ("o.i.r",)),
        ("o2.u", ("o2.i.r", "o.i.r")),
    ]


def test_a_join_takes_the_dimension_to_join_along_and_matmul_multiplies() -> None:
    """Of any rank; sizes of one are repeated by add and mul."""
    text = (
        "name: t\ninput: [6, 8]\nstages: {s: {a: ReLU, t: {Permute: {dims: [0, 2, 1]}}, m: {matmul: [a, t]},"
        " c: {concat: {dim: -1, branches: [m, a]}}, p: {Slice: {dim: 2, stop: 1}}, g: {mul: [c, p]}}}"
    )
    assert shapes(text) == {"a": (6, 8), "t": (8, 6), "m": (6, 6), "c": (6, 14), "p": (6, 1), "g": (6, 14)}
    assert graph(text).nodes[2].macs == 6 * 8 * 6


def test_a_learned_tensor_reads_nothing_and_is_passed_by() -> None:
    """It has its path as its key, and what stands behind it reads what stood before it."""
    text = (
        "name: t\ninput: [6, 8]\nstages: {s: {a: ReLU, p: {Parameter: {shape: [1, 6, 8]}}, b: Tanh, c: {add: [{}, p]}}}"
    )
    assert calls(text) == [("a", ("input",)), ("p", ()), ("b", ("a",)), ("c", ("b", "p"))]
    assert [node.params for node in graph(text).nodes] == [0, 48, 0, 0]


def test_upsample_follows_another_value_at_every_input() -> None:
    """The sizes of 7 pixels halved and rounded up are not found again by a factor of two."""
    text = (
        "name: t\ninput: [3, 7, 9]\nstages: {s: {a: ReLU, p: {MaxPool2d: {kernel_size: 2, ceil_mode: true}},"
        " u: {Upsample: {like: a}}, c: {concat: [a, {}]}}}"
    )
    assert shapes(text)["u"] == (3, 7, 9)
    assert graph(text, input_shape=(2, 3, 12, 5)).nodes[2].output_shape == (2, 3, 12, 5)


# --- sharing ---


def test_a_layer_called_again_counts_its_weights_once() -> None:
    """And its operations each time; each call reads what stands before it, or what its own `from` says."""
    text = (
        HEADER
        + "stages: {s: {a: ReLU, c: {Conv2d: {out_channels: 3, kernel_size: 1}, from: input}, d: {share: c}, e: {share: c, from: a}}}"
    )
    found = graph(text)
    assert [(node.name, node.inputs, node.params, node.macs) for node in found.nodes[1:]] == [
        ("c", ("input",), 12, 9 * 1024),
        ("c@1", ("c",), 0, 9 * 1024),
        ("c@2", ("a",), 0, 9 * 1024),
    ]
    assert [node.module for node in found.nodes[1:]] == ["c"] * 3


def test_a_block_called_again_is_its_layers_called_again() -> None:
    """In a block, too, where the names are its own; `share` twice of one block in two places."""
    text = (
        HEADER
        + "blocks:\n  pair: {layers: {c: {Conv2d: {out_channels: 3, kernel_size: 1}}, r: ReLU}}\n"
        + "  twice: {layers: {p: pair, again: {share: p}}}\n"
        + "stages: {s: {x: twice, y: twice, z: {share: x}}}"
    )
    found = graph(text)
    assert [node.name for node in found.nodes[:4]] == ["x.p.c", "x.p.r", "x.p.c@1", "x.p.r@1"]
    assert [node.name for node in found.nodes[8:]] == ["x.p.c@2", "x.p.r@2", "x.p.c@3", "x.p.r@3"]
    assert sum(node.params for node in found.nodes) == 2 * 12
    assert sum(node.macs or 0 for node in found.nodes) == 6 * 9 * 1024


def test_many_calls_of_one_layer_are_each_what_is_written() -> None:
    """Every call in turn reads its own value: none is taken for another one."""
    text = HEADER + "stages: {s: {a: ReLU, b: Tanh, c: {Conv2d: {out_channels: 3, kernel_size: 1}},"
    text += ", ".join(f"d{index}: {{share: c, from: {'ab'[index % 2]}}}" for index in range(50)) + "}}"
    found = graph(text).nodes[3:]
    assert [node.inputs for node in found] == [("ab"[index % 2],) for index in range(50)]
    assert {node.op for node in found} == {graph(text).nodes[2].op}


# --- inputs and outputs ---


def test_several_inputs_are_values_of_their_names() -> None:
    """The first is what the first layer reads; shapes are given in order or by name."""
    text = (
        "name: t\ninputs: {image: [3, 8, 8], mask: [1, 8, 8], words: {shape: [5], dtype: int64}}\noutputs: {y: g, z: e}\n"
        "stages: {s: {a: ReLU, g: {mul: [{}, mask]}, e: {Embedding: {num_embeddings: 10, embedding_dim: 4}, from: words}}}"
    )
    found = graph(text)
    assert [(value.name, value.shape, value.dtype) for value in found.inputs] == [
        ("image", (1, 3, 8, 8), "float"),
        ("mask", (1, 1, 8, 8), "float"),
        ("words", (1, 5), "int64"),
    ]
    assert [node.inputs for node in found.nodes] == [("image",), ("a", "mask"), ("words",)]
    assert [(output.name, output.value) for output in found.outputs] == [("y", "g"), ("z", "e")]
    by_name = graph(text, input_shape={"mask": (2, 1, 4, 4), "image": (2, 3, 4, 4), "words": (2, 7)})
    in_order = graph(text, input_shape=((2, 3, 4, 4), (2, 1, 4, 4), (2, 7)))
    assert by_name == in_order
    assert by_name.nodes[2].output_shape == (2, 7, 4)


def test_an_output_may_be_a_path_or_a_second_value() -> None:
    """Of a block's layer, or of a layer that gives several."""
    text = "name: t\ninput: [5, 8]\nblocks: {b: {layers: {l: {LSTM: {hidden_size: 4}}}}}\n"
    text += "outputs: {all: x, state: 'x.l:1', first: a}\nstages: {s: {a: ReLU, x: b}}"
    assert [(output.name, output.value) for output in graph(text).outputs] == [
        ("all", "x.l"),
        ("state", "x.l:1"),
        ("first", "a"),
    ]


# --- arithmetic ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a + 1", 8),
        ("$a - 1", 6),
        ("$a - 1 - 2", 4),
        ("$a * 2 + 1", 15),
        ("1 + $a * 2", 15),
        ("($a + 1) * 2", 16),
        ("$a // 2", 3),
        ("$a / 2", 3.5),
        ("$a / 7", 1),
        ("$a % 4", 3),
        ("8 / 2 / 2 + $a * 0", 2),
        ("$tenth * 30", 3),
        ("$tenth * 3", 0.3),
        ("$in-side * 2", 10),
        ("$list.1 * $a", 21),
    ],
)
def test_arithmetic_is_exact(text: str, value: float) -> None:
    """As on paper: a tenth is a tenth, and what is whole is an integer."""
    values = {"$a": 7, "$tenth": 0.1, "$in-side": 5, "$list.1": 3}
    found = evaluate(parse_arithmetic(text), lambda reference: values[str(reference)])
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("width", "channels"), [("0.75", 24), ("0.35", 16), ("1.4", 48), ("0.1", 8), ("1.0", 32), ("0.36", 16)]
)
def test_widths_are_rounded_as_in_mobilenet(width: str, channels: int) -> None:
    """torchvision's _make_divisible(32 x width, 8), by hand: 24, 11.2 -> 16 (8 is more than a tenth less), 44.8 -> 48."""
    text = f"params: {{w: {width}}}\nstages: {{s: {{a: {{Conv2d: {{out_channels: {{round: [32 * $w, 8]}}, kernel_size: 1}}}}}}}}"
    assert shapes(HEADER + text)["a"][0] == channels


def test_arithmetic_stands_in_arguments_of_layers_blocks_and_repeats() -> None:
    """Also in one element of a list; an edit of the parameter changes all of them."""
    text = (
        HEADER
        + "params: {w: 4, k: 3}\nblocks: {b: {params: [c], layers: {x: {Conv2d: {out_channels: $c // 2, kernel_size: [$k, 1],"
        + " padding: [$k // 2, 0]}}}}}\nstages: {s: {a: {b: {c: $w * 4}}, r: [{repeat: {times: $k - 1, layer: ReLU}}]}}"
    )
    assert shapes(text) == {"a.x": (8, 32, 32), "r.0": (8, 32, 32), "r.1": (8, 32, 32)}
    edited = graph(text, overrides={"w": 3, "k": 5})
    assert [node.output_shape[1] for node in edited.nodes] == [6] * 5
    assert edited.nodes[0].op == Conv2d(6, (5, 1), padding=(2, 0))


# --- mistakes ---

GATE = "blocks:\n  gate: {params: [skip], layers: {a: {mul: [{}, $skip]}}}\n"
NOT_BEFORE = "expected the name of a layer or block before this one, got "
CONV = "params: {w: 3, z: 0, f: true}\nstages: {s: {x: {ReLU: , when: $f}, y: {Conv2d: {out_channels: $w, kernel_size: 1}, when: $f}, a: {Conv2d: {out_channels: @, kernel_size: 1, padding: $z}}}}"
HEAD = "\nheads: {h: {from: a, layers: {x: ReLU}}}"

MISTAKES = {
    # names
    "unknown": ("stages: {s: {a: ReLU, b: {add: [aa, {}]}}}", 3, "stages.s.b.add.0", f"{NOT_BEFORE}`aa`. (known: `a`"),
    "misspelt": (
        "stages: {s: {encode: ReLU, b: {add: [{}, encod]}}}",
        *(3, "stages.s.b.add.1", f"{NOT_BEFORE}`encod`. (did you mean `encode`?)"),
    ),
    "later": ("stages: {s: {a: {add: [b, {}]}, b: ReLU}}", 3, "stages.s.a.add.0", f"{NOT_BEFORE}`b`"),
    "itself": ("stages: {s: {a: ReLU, b: {add: [b, {}]}}}", 3, "stages.s.b.add.0", f"{NOT_BEFORE}`b`"),
    "from itself": ("stages: {s: {a: ReLU, b: {ReLU: , from: b}}}", 3, "stages.s.b.from", f"{NOT_BEFORE}`b`"),
    "sibling": (
        "stages:\n  s:\n    a:\n      concat:\n        - {l: ReLU, m: ReLU}\n        - r:\n            add:\n              - {}\n              - l",
        *(11, "stages.s.a.concat.1.r.add.1", f"{NOT_BEFORE}`l`. (branches run side by side"),
    ),
    "head": ("stages: {s: {a: ReLU, c: {add: [h.x, {}]}}}" + HEAD, 3, "stages.s.c.add.0", "`h.x`. (branches run side"),
    "head's name": ("stages: {s: {a: ReLU, c: {add: [h, {}]}}}" + HEAD, 3, "stages.s.c.add.0", "heads beside the net"),
    "from a head": (
        "stages: {s: {a: ReLU}}\nheads: {h: {from: a, layers: {x: {add: [a, {}]}}}}",
        *(
            4,
            "heads.h.layers.x.add.0",
            f"{NOT_BEFORE}`a`. (a head sees its own layers alone, and starts from what `from`",
        ),
    ),
    "inside a block": (
        "blocks: {b: {layers: {x: ReLU}}}\nstages: {s: {a: b, c: {add: [x, {}]}}}",
        *(4, "stages.s.c.add.0", f"{NOT_BEFORE}`x`. (known: `a`, `a.x`"),
    ),
    "outside a block": (
        "blocks: {b: {layers: {x: {add: [a, {}]}}}}\nstages: {s: {a: ReLU, c: b}}",
        *(
            3,
            "blocks.b.layers.x.add.0",
            f"{NOT_BEFORE}`a`. (a block sees its own layers and its parameters alone: give",
        ),
    ),
    "left out": (
        "params: {f: false}\nstages: {s: {a: ReLU, b: {ReLU: , when: $f}, c: {add: [b, {}]}}}",
        *(4, "stages.s.c.add.0", f"{NOT_BEFORE}`b`"),
    ),
    "no path": (
        "stages: {s: {a: ReLU, b: {add: [a..x, {}]}}}",
        3,
        "stages.s.b.add.0",
        "or its path (`features.3`), got",
    ),
    "no member": (
        "stages: {s: {f: [ReLU], b: {add: [f.5, {}]}}}",
        3,
        "stages.s.b.add.0",
        f"{NOT_BEFORE}`f.5`. (known: `f`",
    ),
    "a class": (
        "stages: {s: {a: {add: [ReLU, {}]}}}",
        3,
        "stages.s.a.add.0",
        "got the class or block `ReLU`. (write [ReLU])",
    ),
    "no second output": (
        "stages: {s: {c: ReLU, a: {add: ['c:1', {}]}}}",
        *(3, "stages.s.a.add.0", "expected an output that `c` has, got `c:1`. (it gives one value)"),
    ),
    "an input's name": (
        "stages: {s: {input: ReLU}}",
        *(3, "stages.s.input", "expected a name that is free for the layer, got the reserved word `input`"),
    ),
    # from
    "too few": (
        "stages: {s: {q: ReLU, a: {ScaledDotProductAttention: , from: [q, q]}}}",
        *(3, "stages.s.a", "expected ScaledDotProductAttention with 3 inputs, got 2. (give them by `from: [a, b]`)"),
    ),
    "too many": (
        "stages: {s: {q: ReLU, a: {ReLU: , from: [q, q]}}}",
        3,
        "stages.s.a",
        "expected ReLU with 1 input, got 2",
    ),
    "too many for a block": (
        "blocks: {b: {layers: {x: ReLU}}}\nstages: {s: {q: ReLU, a: {b: , from: [q, q]}}}",
        *(4, "stages.s.a", "expected b with 1 input, got 2. (give the others as parameters)"),
    ),
    "too many for a join": (
        "stages: {s: {q: ReLU, a: {concat: [{}, {}], from: [q, q]}}}",
        *(3, "stages.s.a", "expected concat with 1 input, got 2. (what its branches start from is one value"),
    ),
    "from nothing": (
        "stages: {s: {q: ReLU, a: {ReLU: , from: []}}}",
        3,
        "stages.s.a.from",
        "a list of 1 to 64 of them, got []",
    ),
    "from a number": ("stages: {s: {q: ReLU, a: {ReLU: , from: 3}}}", 3, "stages.s.a.from", "(`features.3`), got 3"),
    "from at a repeat": (
        "stages: {s: {q: ReLU, a: [{repeat: {times: 2, layer: ReLU}, from: q}]}}",
        *(3, "stages.s.a.0", "expected `from` beside a layer, got it beside a repeat. (write it in the layer)"),
    ),
    "from at a learned tensor": (
        "stages: {s: {q: ReLU, p: {Parameter: {shape: [3]}, from: q}}}",
        *(3, "stages.s.p", "expected Parameter with 0 inputs, got 1"),
    ),
    # parameters that hold values
    "a value and a number": (
        "blocks:\n  g: {params: [v], layers: {a: {mul: [{}, $v]}, b: {Conv2d: {out_channels: $v, kernel_size: 1}}}}\nstages: {s: {a: ReLU, b: {g: {v: a}}}}",
        *(4, "blocks.g", "both as what a layer gave and as something else. (take two parameters, one for each use)"),
    ),
    "a value in arithmetic": (
        "blocks:\n  g: {params: [v], layers: {a: {mul: [{}, $v]}, b: {Linear: {out_features: $v * 2}}}}\nstages: {s: {a: ReLU, b: {g: {v: a}}}}",
        *(
            4,
            "blocks.g",
            "expected one use of parameter `v` of block `g`, got it both as what a layer gave and as somethin",
        ),
    ),
    "a value and a layer": (
        "blocks:\n  g: {params: [v], layers: {a: {mul: [{}, $v]}, b: $v}}\nstages: {s: {a: ReLU, b: {g: {v: a}}}}",
        *(4, "blocks.g", "both as what a layer gave and as something else. (take two parameters, one for each use)"),
    ),
    "an element of a value": (
        "blocks:\n  g: {params: [v], layers: {a: {mul: [{}, $v.0]}}}\nstages: {s: {a: ReLU, b: {g: {v: a}}}}",
        *(4, "blocks.g.layers.a.mul.1", "expected a parameter that holds what a layer gave, got the element `$v.0`"),
    ),
    "a number for a value": (
        GATE + "stages: {s: {b: {gate: {skip: 3}}}}",
        5,
        "stages.s.b.gate.skip",
        "(`features.3`), got 3",
    ),
    "a layer for a value": (
        GATE + "stages: {s: {b: {gate: {skip: {ReLU: }}}}}",
        *(5, "stages.s.b.gate.skip", "or its path (`features.3`), got a mapping with ReLU"),
    ),
    "an unknown value": (GATE + "stages: {s: {b: {gate: {skip: z}}}}", 5, "stages.s.b.gate.skip", f"{NOT_BEFORE}`z`"),
    "no value": (GATE + "stages: {s: {b: gate}}", 5, "stages.s.b", "expected gate with `skip`, got no arguments"),
    "a default of a value": (
        "blocks:\n  g: {params: [v], defaults: {v: a}, layers: {a: {mul: [{}, $v]}}}\nstages: {s: {a: ReLU, b: g}}",
        *(4, "blocks.g.defaults.v", "expected no default of `v`, which holds the value of a layer, got one"),
    ),
    "the model's value": (
        "params: {v: a}\nstages: {s: {a: ReLU, b: {mul: [{}, $v]}}}",
        *(
            3,
            "params.v",
            "expected a parameter of the model that layers take, got `v`, used as what a layer gave. (a param",
        ),
    ),
    "a name in a layer that is an argument": (
        "blocks: {b: {params: [act], layers: {x: $act}}}\nstages: {s: {q: ReLU, a: {b: {act: {add: [q, {}]}}}}}",
        *(
            4,
            "stages.s.a.b.act.add.0",
            "expected no layer's name in a layer that a parameter holds, got `q`. (give the value",
        ),
    ),
    "a name in a layer of the model": (
        "params: {act: {add: [q, {}]}}\nstages: {s: {q: ReLU, y: $act}}",
        *(3, "params.act.add.0", "expected no layer's name in a layer that a parameter holds, got `q`"),
    ),
    "like an unknown": ("stages: {s: {u: {Upsample: {like: b}}}}", 3, "stages.s.u.Upsample.like", f"{NOT_BEFORE}`b`"),
    "like and size": (
        "stages: {s: {a: ReLU, u: {Upsample: {like: a, size: 3}}}}",
        *(3, "stages.s.u", "Upsample expects one of size, scale_factor and like, got size and like"),
    ),
    # joins
    "one to add": (
        "stages: {s: {a: ReLU, b: {add: [a]}}}",
        *(
            3,
            "stages.s.b.add",
            "expected at least two branches to add, got one. (an empty branch, {}, is the identity)",
        ),
    ),
    "three to multiply": (
        "stages: {s: {a: ReLU, b: {matmul: [a, a, a]}}}",
        *(3, "stages.s.b.matmul", "expected two branches to multiply, got 3"),
    ),
    "no product": (
        "stages: {s: {a: ReLU, f: {Flatten: {start_dim: 2}}, b: {matmul: [f, {}]}}}",
        *(3, "stages.s.b.matmul", "matmul expects ... x M x K and ... x K x N, got 1x3x1024, 1x3x1024"),
    ),
    "no gate": (
        "stages: {s: {a: ReLU, f: {Conv2d: {out_channels: 4, kernel_size: 1}}, b: {mul: [a, {}]}}}",
        *(
            3,
            "stages.s.b.mul",
            "mul expects branches of equal shape, or sizes of 1 to repeat, got 1x3x32x32, 1x4x32x32",
        ),
    ),
    "no branches": (
        "stages: {s: {a: {mul: {b: ReLU}}}}",
        3,
        "stages.s.a.mul",
        "expected a list of branches, got a mapping with b",
    ),
    # share
    "share an unknown": (
        "stages: {s: {c: ReLU, a: {share: d}}}",
        3,
        "stages.s.a.share",
        f"{NOT_BEFORE}`d`. (known: `c`)",
    ),
    "share itself": ("stages: {s: {c: ReLU, a: {share: a}}}", 3, "stages.s.a.share", f"{NOT_BEFORE}`a`. (known: `c`)"),
    "share a later one": ("stages: {s: {a: {share: c}, c: ReLU}}", 3, "stages.s.a.share", f"{NOT_BEFORE}`c`"),
    "share the input": (
        "stages: {s: {c: ReLU, a: {share: input}}}",
        3,
        "stages.s.a.share",
        f"{NOT_BEFORE}`input`. (known: `c`)",
    ),
    "share a share": (
        "stages: {s: {c: ReLU, a: {share: c}, b: {share: a}}}",
        *(3, "stages.s.b.share", "is shared, got `a`, another call of it. (write {share: c})"),
    ),
    "share with arguments": (
        "stages: {s: {c: {Conv2d: {out_channels: 3, kernel_size: 1}}, a: {share: {c: {bias: false}}}}}",
        *(3, "stages.s.a.share", "(`features.3`), got a mapping with c"),
    ),
    "share with other weights": (
        "stages:\n  s:\n    c: {Conv2d: {out_channels: 8, kernel_size: 1}}\n    a: {share: c}",
        *(6, "stages.s.a", "its weights are those of the first call, whose input is 1x3x32x32"),
    ),
    "share a sibling": (
        "stages: {s: {a: {concat: [{l: ReLU}, {r: {share: l}}]}}}",
        *(3, "stages.s.a.concat.1.r.share", f"{NOT_BEFORE}`l`. (branches run side by side"),
    ),
    "share of too many": (
        "stages: {s: {q: ReLU, r: ReLU, a: {share: q, from: [q, r]}}}",
        *(3, "stages.s.a", "expected ReLU with 1 input, got 2"),
    ),
    "share of too few": (
        "stages: {s: {q: ReLU, a: {ScaledDotProductAttention: , from: [q, q, q]}, b: {share: a}}}",
        *(3, "stages.s.b", "expected ScaledDotProductAttention with 3 inputs, got 1. (give them by `from: [a, b]`)"),
    ),
    # arithmetic
    "no integer": (
        CONV.replace("@", "$w / 2"),
        *(
            4,
            "stages.s.a.Conv2d.out_channels",
            "expected a positive integer, got 1.5 from $w / 2. (`//` divides to a whole",
        ),
    ),
    "division by nothing": (
        CONV.replace("@", "$w // $z"),
        *(4, "stages.s.a.Conv2d.out_channels", "expected a divisor other than 0 behind //, got $w // $z"),
    ),
    "rest of nothing": (
        CONV.replace("@", "$w % 0"),
        *(4, "stages.s.a.Conv2d.out_channels", "expected a divisor other than 0 behind %, got $w % 0"),
    ),
    "nothing": (
        CONV.replace("@", "$w - 3"),
        4,
        "stages.s.a.Conv2d.out_channels",
        "a positive integer, got 0 from $w - 3",
    ),
    "a minus without spaces": (
        CONV.replace("@", "$w-1"),
        *(4, "stages.s.a.Conv2d.out_channels", "expected a parameter, got `$w-1`. (a minus needs spaces around it)"),
    ),
    "half a minus": (CONV.replace("@", "$w -1"), 4, "stages.s.a.Conv2d.out_channels", "a minus needs spaces around it"),
    "an open bracket": (
        CONV.replace("@", "($w + 1"),
        *(4, "stages.s.a.Conv2d.out_channels", "expected a closing ), got the end in '($w + 1'. (an expression has"),
    ),
    "a power": (
        CONV.replace("@", "$w ** 2"),
        4,
        "stages.s.a.Conv2d.out_channels",
        "a number or a parameter, got '*' in '$w **",
    ),
    "a word": (
        CONV.replace("@", "$w + x"),
        4,
        "stages.s.a.Conv2d.out_channels",
        "+ - * / // % ( ), got 'x' in '$w + x'",
    ),
    "nothing behind": (
        CONV.replace("@", "$w *"),
        4,
        "stages.s.a.Conv2d.out_channels",
        "a number or a parameter, got the end",
    ),
    "two numbers": (
        CONV.replace("@", "$w 2"),
        4,
        "stages.s.a.Conv2d.out_channels",
        "an operator (+, -, *, /, //, %), got '2'",
    ),
    "an unknown parameter": (
        CONV.replace("@", "$v * 2 + $w"),
        *(4, "stages.s.a.Conv2d.out_channels", "expected a parameter, got `$v`. (known: `f`, `w`, `z`)"),
    ),
    "a flag": (CONV.replace("@", "$f * 2"), 3, "params.f", "expected a number, got true"),
    "too long": (
        CONV.replace("@", "$w" + " + 1" * 80),
        *(4, "stages.s.a.Conv2d.out_channels", "expected an expression of at most 200 characters, got 322 in"),
    ),
    "too deep": (
        CONV.replace("@", "(" * 40 + "$w" + ")" * 40),
        *(4, "stages.s.a.Conv2d.out_channels", "expected an expression nested at most 16 deep in"),
    ),
    "too large": (
        "params: {w: 1000000}\nstages: {s: {a: {Conv2d: {out_channels: $w * $w * $w, kernel_size: 1}}}}",
        *(4, "stages.s.a.Conv2d.out_channels", "expected numbers of at most 2^53 in an expression, got ($w * $w) * $w"),
    ),
    "half a round": (
        CONV.replace("@", "{round: [$w]}"),
        *(
            4,
            "stages.s.a.Conv2d.out_channels.round",
            "expected a number and what to round it to a multiple of: [$out * $width, 8]",
        ),
    ),
    "round to nothing": (
        CONV.replace("@", "{round: [$w * 3, $z]}"),
        *(
            4,
            "stages.s.a.Conv2d.out_channels",
            "expected a positive integer to round to, got 0 in {round: [$w * 3, $z]}",
        ),
    ),
    "floor": (CONV.replace("@", "{floor: [$w, 1]}"), 4, "stages.s.a.Conv2d.out_channels", "got a mapping with floor"),
    "arithmetic in a flag": (
        CONV.replace("{ReLU: , when: $f}", "{ReLU: , when: $w + 1}").replace("@", "$w"),
        *(4, "stages.s.x.when", "expected `$name` or `$name.0`, got '$w + 1'. (arithmetic stands in arguments only)"),
    ),
    "arithmetic in a parameter": (
        "params: {w: 3, v: $w * 2}\nstages: {s: {a: {Conv2d: {out_channels: $w, kernel_size: $v}}}}",
        *(3, "params.v", "expected a parameter, got `$w`. (the value of a parameter cannot use another one)"),
    ),
    # outputs and padding
    "an unknown output": ("outputs: {y: b}\nstages: {s: {a: ReLU}}", 3, "outputs.y", f"{NOT_BEFORE}`b`. (known: `a`"),
    "no outputs": (
        "outputs: {}\nstages: {s: {a: ReLU}}",
        3,
        "outputs",
        "expected 1 to 64 outputs, got an empty mapping",
    ),
    "an output in a head": (
        "outputs: {y: h.x}\nstages: {s: {a: ReLU}}" + HEAD,
        3,
        "outputs.y",
        "heads beside the network",
    ),
    "a head's output": ("outputs: {h: a}\nstages: {s: {a: ReLU}}" + HEAD, 3, "outputs.h", "got `h`, a head's"),
    "an output that is not there": (
        "outputs: {y: 'a:1'}\nstages: {s: {a: ReLU}}",
        *(3, "outputs.y", "expected an output that `a` has, got `a:1`. (it gives one value)"),
    ),
    "three sides": (
        "stages: {s: {a: {MaxPool2d: {kernel_size: 3, padding: [1, 1, 1]}}}}",
        *(3, "stages.s.a.MaxPool2d.padding", '[left, right, top, bottom] or "same_tf", got [1, 1, 1]'),
    ),
    "a hyphen at the end": (
        "stages: {s: {a-: ReLU}}",
        3,
        "stages.s.a-",
        "with hyphens inside, for the layer, got 'a-'",
    ),
}

INPUTS = {
    "both": (
        "input: [3]\ninputs: {a: [3]}",
        3,
        "inputs",
        "expected either `input` or `inputs`, got both. (write all of them",
    ),
    "none": ("title: T", 1, "", "expected a spec with the key `input`, got none"),
    "no inputs": ("inputs: {}", 2, "inputs", "expected 1 to 64 inputs, got an empty mapping"),
    "a list": ("inputs: [3]", 2, "inputs", "expected inputs, a mapping from names to shapes, got [3]"),
    "a dtype": (
        "inputs: {x: {shape: [3], dtype: int32}}",
        2,
        "inputs.x.dtype",
        'expected one of "float", "int64", got',
    ),
    "no shape": (
        "inputs: {x: {dtype: int64}}",
        2,
        "inputs.x",
        "expected an input {shape: ..., dtype: ...} with the key `shape`",
    ),
    "too many sizes": ("input: [3, 3, 3, 3, 3, 3, 3]", 2, "input", "or another shape of at most 6 sizes, got [3, 3, 3"),
    "no size": ("input: [3, 0]", 2, "input", "expected an input of positive integers up to 1,000,000, got [3, 0]"),
    "a layer's name": (
        "inputs: {a: [3], b: [3]}",
        3,
        "stages.s.a",
        "a name of its own for the layer, got `a`, an input's",
    ),
    "a module's word": (
        "inputs: {forward: [3]}",
        2,
        "inputs.forward",
        "got `forward`, an attribute of torch.nn.Module",
    ),
}


def answered(text: str, line: int, path: str, words: str) -> None:
    """The mistake is told with all that a reader needs."""
    with pytest.raises(SpecError) as caught:
        graph(text, mode="train")
    error = caught.value
    assert words in str(error)
    assert (error.file, error.line, error.path) == ("m.yaml", line, path)
    assert str(error).startswith(f"m.yaml:{line}: " + (f"`{path}`: " if path else ""))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_its_place_and_its_mend(name: str) -> None:
    """Each word's own mistakes."""
    text, line, path, words = MISTAKES[name]
    answered(HEADER + text, line, path, words)


@pytest.mark.parametrize("name", INPUTS)
def test_a_wrong_input_is_answered_with_its_place(name: str) -> None:
    """`input`, `inputs`, and what is in them."""
    head, line, path, words = INPUTS[name]
    answered(f"name: test\n{head}\nstages: {{s: {{a: ReLU}}}}", line, path, words)


def test_shapes_for_several_inputs_are_told_from_one() -> None:
    """By number, by name and by rank."""
    spec = parse_spec("name: t\ninputs: {a: [3, 4], b: [4]}\nstages: {s: {x: ReLU, y: {add: [{}, b]}}}")
    for given, words in (
        ((1, 3, 4), "expected a shape for each of the inputs a, b, got 1"),
        ({"c": (1, 3, 4)}, "expected an input of a, b, got 'c'"),
        (((1, 3, 4), (1, 4, 4)), "expected an input shape N x F of positive integers"),
    ):
        with pytest.raises(UsageError, match=words):
            build_graph(spec, given)


@pytest.mark.parametrize(
    "text",
    [
        "params: {deep: false}\nstages: {s: {a: {ReLU: , when: $deep}, b: Tanh, c: {add: [{}, a]}}}",
        "blocks: {k: {params: [deep], layers: {a: {ReLU: , when: $deep}, b: {add: [{}, a]}}}}\nstages: {s: {x: {k: {deep: false}}}}",
    ],
)
def test_a_layer_that_is_left_out_is_told_from_one_that_nobody_wrote(text: str) -> None:
    """Its name is right, and its `when` is false."""
    with pytest.raises(SpecError, match=r"got `a`.*`a` is left out here, because its `when` is false"):
        build_graph(parse_spec(f"name: t\ninput: [3, 8, 8]\n{text}"))
