"""The spec language, shape by shape: what each construct expands to."""

import re

import pytest

from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.language import catalogue, load_spec, parse_spec
from gnet_inspect.ops import Add
from gnet_inspect.sources.spec import build_graph
from tests.specs import HEADER, graph_of, names


def test_layers_are_classes_or_one_key_over_arguments() -> None:
    """A bare class name, a class with arguments, with none, and with null."""
    graph = graph_of(
        "stages: {s: {a: ReLU, b: {Conv2d: {out_channels: 4, kernel_size: 3}}, c: {ReLU: {}}, d: {ReLU: }}}"
    )
    assert [(node.name, node.op.kind) for node in graph.nodes] == [
        ("a", "ReLU"),
        ("b", "Conv2d"),
        ("c", "ReLU"),
        ("d", "ReLU"),
    ]


def test_lists_number_their_members_and_nest() -> None:
    """A list is a scope whose members are named 0, 1, ..., as nn.Sequential names them."""
    assert names(graph_of("stages: {s: {x: [ReLU, [ReLU, ReLU], ReLU]}}")) == ["x.0", "x.1.0", "x.1.1", "x.2"]


def test_a_list_that_comes_again_in_a_later_stage_goes_on_numbering() -> None:
    """Stages can cut a single `features`, and a network that is one list."""
    graph = graph_of("stages: {a: {features: [ReLU, ReLU]}, b: {features: [ReLU], last: ReLU}, c: {features: [ReLU]}}")
    assert names(graph) == ["features.0", "features.1", "features.2", "last", "features.3"]
    assert [node.stage for node in graph.nodes] == ["a", "a", "b", "b", "c"]
    assert names(graph_of("stages: {a: [ReLU, ReLU], b: [ReLU]}")) == ["0", "1", "2"]


def test_branches_start_from_one_input_and_add_no_scope() -> None:
    """The names inside branches belong to the block that holds them; an empty branch is the identity."""
    graph = graph_of(
        """
blocks:
  b:
    layers:
      first: ReLU
      out:
        concat:
          - left: [ReLU, ReLU]
          - {r1: ReLU, r2: Tanh}
          - {}
          -
          - []
stages: {s: {x: b}}
"""
    )
    assert names(graph) == ["x.first", "x.left.0", "x.left.1", "x.r1", "x.r2", "x.out"]
    assert graph.nodes[-1].inputs == ("x.left.1", "x.r2", "x.first", "x.first", "x.first")
    assert graph.nodes[-1].output_shape == (1, 15, 32, 32)
    assert graph.nodes[3].inputs == ("x.first",)


def test_add_scales_all_branches_but_the_first() -> None:
    """`add: [...]` sums; `add: {scale, branches}` is Inception-ResNet's."""
    graph = graph_of("stages: {s: {x: {add: [{}, {a: ReLU}]}, y: {add: {scale: 0.17, branches: [{}, {b: ReLU}]}}}}")
    assert graph.nodes[1].op == Add()
    assert graph.nodes[3].op == Add(0.17)
    assert graph.nodes[3].inputs == ("x", "b")


def test_branches_may_nest() -> None:
    """A concat inside a branch of a concat."""
    graph = graph_of("stages: {s: {x: {concat: [{a: {concat: [{b: ReLU}, {c: ReLU}]}}, {d: ReLU}]}}}")
    assert names(graph) == ["b", "c", "a", "d", "x"]
    assert graph.nodes[-1].input_shapes == ((1, 6, 32, 32), (1, 3, 32, 32))


def test_block_parameters_defaults_elements_and_shadowing() -> None:
    """`$name`, `$name.0`, defaults, and a block's parameter in front of the model's of the same name."""
    graph = graph_of(
        """
params: {width: 7, classes: 5}
blocks:
  b:
    params: [width, k]
    defaults: {k: 1}
    layers:
      c: {Conv2d: {out_channels: $width.0, kernel_size: $k}}
      d: {Conv2d: {out_channels: $width.1, kernel_size: [$k, 1]}}
      e: {Conv2d: {out_channels: $classes, kernel_size: 1}}
stages:
  s:
    x: {b: {width: [4, 6]}}
    y: {b: {width: [8, 9], k: 3}}
    z: {Conv2d: {out_channels: $width, kernel_size: 1}}
"""
    )
    assert [node.output_shape[1:] for node in graph.nodes] == [
        (4, 32, 32),
        (6, 32, 32),
        (5, 32, 32),
        (8, 30, 30),
        (9, 28, 30),
        (5, 28, 30),
        (7, 28, 30),
    ]


def test_parameters_may_hold_layers() -> None:
    """A layer as an argument, as a default, handed on, and as a list; its own references are the caller's."""
    graph = graph_of(
        """
params: {act: Tanh, n: 6}
blocks:
  inner: {params: [norm], defaults: {norm: BatchNorm2d}, layers: {n: $norm, a: $act}}
  outer:
    params: [n, norm]
    layers: {x: {inner: {norm: $norm}}, y: inner, z: {Conv2d: {out_channels: $n, kernel_size: 1}}}
stages:
  s:
    p: {outer: {n: 4, norm: {Conv2d: {out_channels: $n, kernel_size: 1}}}}
    q: {outer: {n: 4, norm: [ReLU, ReLU]}}
"""
    )
    assert names(graph)[:5] == ["p.x.n", "p.x.a", "p.y.n", "p.y.a", "p.z"]
    assert names(graph)[5:] == ["q.x.n.0", "q.x.n.1", "q.x.a", "q.y.n", "q.y.a", "q.z"]
    # The $n in the argument is the model's 6, not the block's 4.
    assert graph.nodes[0].output_shape[1] == 6
    assert [node.op.kind for node in graph.nodes[:4]] == ["Conv2d", "Tanh", "BatchNorm2d", "Tanh"]


@pytest.mark.parametrize(("flag", "expected"), [("true", ["f.0", "f.1", "f.2"]), ("false", ["f.0", "f.1"])])
def test_when_takes_a_layer_away(flag: str, expected: list[str]) -> None:
    """Where the flag is false the layer is not there, and a list numbers what is."""
    graph = graph_of(f"params: {{bn: {flag}}}\nstages: {{s: {{f: [ReLU, {{BatchNorm2d: , when: $bn}}, ReLU]}}}}")
    assert names(graph) == expected


def test_when_on_branches_repeats_blocks_and_layer_parameters() -> None:
    """Any layer may carry `when`; a branch left empty by it is the identity."""
    text = """
params: {on: false}
blocks: {b: {params: [act], layers: {a: $act, r: ReLU}}}
stages:
  s:
    x: {add: [{}, {gone: {ReLU: , when: $on}}]}
    y: [{repeat: {times: 3, layer: ReLU}, when: $on}, {b: {act: {Tanh: , when: $on}}}]
    z: {concat: [{p: ReLU}], when: $on}
"""
    assert names(graph_of(text)) == ["x", "y.0.r"]
    assert names(graph_of(text, overrides={"on": True}))[:5] == ["gone", "x", "y.0", "y.1", "y.2"]


def test_a_layer_may_be_called_repeat() -> None:
    """Over times and layer it is the grammar's word, over anything else a name."""
    graph = graph_of("stages: {s: {repeat: [{repeat: {times: 2, layer: ReLU}}]}}")
    assert [node.name for node in graph.nodes] == ["repeat.0", "repeat.1"]
    with pytest.raises(SpecError, match="expected a name for the layer, got `repeat`"):
        graph_of("stages: {s: {repeat: {times: 2, layer: ReLU}}}")


def test_repeat_stands_for_n_layers_in_a_list() -> None:
    """Members of a repeat are members of the list; zero of them are none; a repeat may repeat."""
    text = """
params: {n: 2}
stages:
  s:
    x: [ReLU, {repeat: {times: $n, layer: {repeat: {times: 2, layer: Tanh}}}}, {repeat: {times: 0, layer: ReLU}}, ReLU]
"""
    assert names(graph_of(text)) == [f"x.{i}" for i in range(6)]
    assert [node.op.kind for node in graph_of(text).nodes] == ["ReLU", *["Tanh"] * 4, "ReLU"]


def test_heads_run_right_after_their_source_in_training_only() -> None:
    """A head is a stage of its own name; the main path does not see it."""
    text = """
stages: {s: {a: ReLU, b: [ReLU, ReLU], c: Flatten, d: {Linear: {out_features: 4}}}}
heads:
  h1: {from: b.0, weight: 0.3, layers: {f: Flatten, fc: {Linear: {out_features: 4}}}}
  h2: {from: b, layers: [Flatten]}
"""
    assert names(graph_of(text)) == ["a", "b.0", "b.1", "c", "d"]
    graph = graph_of(text, mode="train")
    assert names(graph) == ["a", "b.0", "h1.f", "h1.fc", "b.1", "h2.0", "c", "d"]
    assert [(head.name, head.value, head.weight) for head in graph.heads] == [
        ("h1", "h1.fc", 0.3),
        ("h2", "h2.0", 1.0),
    ]
    assert graph.nodes[4].inputs == ("b.0",)
    assert [group.name for group in graph.stages] == ["s", "h1", "h2"]
    assert graph.output == "d"


def test_the_block_of_a_node_is_its_outermost_block_instance() -> None:
    """Lists are no blocks; layers outside of blocks have none."""
    graph = graph_of("blocks: {b: {layers: {c: d}}, d: {layers: [ReLU]}}\nstages: {s: {l: [b, ReLU], x: ReLU}}")
    assert [(node.name, node.block) for node in graph.nodes] == [("l.0.c.0", "l.0"), ("l.1", None), ("x", None)]


def test_the_tree_keeps_a_blocks_arguments() -> None:
    """inception 64, 96-128, 16-32, 32: what a block was called with, defaults left out."""
    graph = build_graph(load_spec("googlenet"))
    described = {
        group.name: group.describe() for stage in graph.stages for group in stage.children if not isinstance(group, int)
    }
    assert described["inception3a"] == "inception 64, 96-128, 16-32, 32"
    assert described["conv1"] == "conv 64, kernel 7, stride 2, padding 3"
    assert described["conv2"] == "conv 64"


def test_metadata_is_read() -> None:
    """Title, year, paper, family, notes and published figures."""
    spec = load_spec("googlenet")
    assert (spec.year, spec.family, spec.paper["arxiv"]) == (2014, "inception", "1409.4842")
    table = spec.published[0]
    assert table.params_are == "weights"
    figure = table.rows[0].figures["params"]
    assert (figure.printed, figure.value, figure.rounding) == ("2.7K", 2764.8, 51.2)
    assert table.rows[0].said.variant.startswith("right for a separable 7x7")


def test_one_hundred_thousand_nested_blocks_are_refused_not_a_recursion_error() -> None:
    """Blocks in blocks in blocks: bounded before Python's stack is."""
    chain = "".join(f"  b{i}: {{layers: {{x: b{i + 1}}}}}\n" for i in range(5_000))
    text = HEADER + f"blocks:\n{chain}  b5000: {{layers: {{x: ReLU}}}}\nstages: {{s: {{x: b0}}}}\n"
    with pytest.raises(SpecError, match="expected layers nested at most 48 deep"):
        parse_spec(text)


def test_a_spec_that_doubles_at_every_block_is_refused_by_its_size() -> None:
    """Thirty blocks that each use the next one twice would be a thousand million layers."""
    chain = "".join(f"  b{i}: {{layers: [b{i + 1}, b{i + 1}]}}\n" for i in range(30))
    text = HEADER + f"blocks:\n{chain}  b30: {{layers: [ReLU]}}\nstages: {{s: {{x: b0}}}}\n"
    with pytest.raises(SpecError, match=r"at most (100,000 layers|500,000 steps|1,000,000 blocks)"):
        build_graph(parse_spec(text))


def test_repeats_of_nothing_are_bounded_too() -> None:
    """Members that leave no layer behind still take steps."""
    twice = "{repeat: {times: 1000000, layer: {repeat: {times: 1000000, layer: e}}}}"
    text = f"blocks: {{e: {{layers: {{}}}}}}\nstages: {{s: {{x: [{twice}]}}}}"
    with pytest.raises(SpecError, match="at most 500,000 steps"):
        graph_of(text)


def test_a_layer_parameter_of_the_model_sees_the_model(write_spec: object) -> None:
    """A block given to the model's parameter may use the model's other parameters; itself it may not contain."""
    text = """
params: {classes: 4, tail: end}
blocks: {end: {layers: {fc: {Linear: {out_features: $classes}}}}}
stages: {s: {f: Flatten, t: $tail}}
"""
    assert graph_of(text).nodes[-1].output_shape == (1, 4)
    with pytest.raises(SpecError, match="nested at most 48 deep"):
        graph_of("params: {x: k}\nblocks: {k: {layers: {r: $x}}}\nstages: {s: {a: $x}}")


def test_a_default_that_is_a_layer_goes_without_saying() -> None:
    """Tables show what a call changed."""
    graph = graph_of(
        "blocks: {b: {params: [n], defaults: {n: BatchNorm2d}, layers: {n: $n}}}\n"
        "stages: {s: {a: b, c: {b: {n: ReLU}}}}"
    )
    described = [group.describe() for group in graph.stages[0].children if not isinstance(group, int)]
    assert described == ["b", "b n ReLU"]


def test_only_a_stages_own_list_may_come_again() -> None:
    """A list that a parameter holds is no part of another."""
    for stages in ("a: {x: $p}, b: {x: [ReLU]}", "a: {x: [ReLU]}, b: {x: $p}"):
        with pytest.raises(SpecError, match="expected names that differ, got `x` twice"):
            graph_of(f"params: {{p: [ReLU]}}\nstages: {{{stages}}}")


@pytest.mark.parametrize(
    "layer",
    [f"{{add: [{', '.join(['{}'] * 500)}]}}", "b"],
    ids=["identity branches", "absent layers"],
)
def test_work_that_leaves_no_layers_is_bounded(layer: str) -> None:
    """Branches and absent layers cost time, so they count as steps."""
    absent = ", ".join(f"a{i}: {{ReLU: , when: $off}}" for i in range(500))
    text = f"params: {{off: false}}\nblocks: {{b: {{layers: {{{absent}}}}}}}\n"
    with pytest.raises(SpecError, match="at most 500,000 steps"):
        graph_of(text + f"stages: {{s: {{r: ReLU, x: [{{repeat: {{times: 10000, layer: {layer}}}}}]}}}}")


# --- what nothing uses ---

CONV = "{Conv2d: {out_channels: %s, kernel_size: 1}}"


def unused_blocks(text: str) -> tuple[str, ...]:
    """The blocks that a spec, given without its header, does not use."""
    return parse_spec(HEADER + text).unused_blocks


@pytest.mark.parametrize(
    "text",
    [
        "stages: {s: {a: ReLU}}",
        "stages: {s: {a: ReLU}}\nnotes: it has $n outputs",
        "blocks: {b: {params: [n], layers: {a: %s}}}\nstages: {s: {b: {b: {n: 3}}}}" % (CONV % "$n"),
    ],
    ids=["nowhere", "in words only", "a block's own parameter of that name"],
)
def test_a_parameter_of_the_model_that_nothing_uses_is_refused(text: str) -> None:
    """An edit of it would change nothing, and head the unchanged network with its value."""
    message = r"spec:3: `params.n`: expected every parameter of the model to be used, got `n`, used nowhere\. \(.*\$n"
    with pytest.raises(SpecError, match=message):
        graph_of(f"params: {{n: 3}}\n{text}")
    mistake = "in the block `b` `$n` is the block's own" if "blocks" in text else "write `$n` there"
    with pytest.raises(SpecError, match=re.escape(mistake)):
        graph_of(f"params: {{n: 3}}\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "params: {n: false}\nstages: {s: {a: ReLU, b: {ReLU: , when: $n}}}",
        "params: {n: 4}\nblocks: {b: {params: [m], defaults: {m: $n}, layers: {a: %s}}}\nstages: {s: {b: b}}",
        "params: {n: 4}\nblocks: {b: {params: [m], layers: {a: %s}}}\nstages: {s: {b: {b: {m: $n}}}}",
        "params: {n: [4]}\nblocks: {b: {params: [m], layers: {a: %s}}}\nstages: {s: {b: {b: {m: $n.0}}}}",
        "params: {n: 4}\nblocks: {m: {layers: {a: {Conv2d: {out_channels: $n, kernel_size: 1}}}}}\nstages: {s: {b: m}}",
        "params: {n: 4, k: b}\nblocks: {b: {params: [m], defaults: {m: $n}, layers: {a: %s}}}\nstages: {s: {b: $k}}",
        "params: {n: 4}\nstages: {s: {a: ReLU}}\nheads: {h: {from: a, layers: {f: Flatten, g: {Softmax: {dim: $n}}}}}",
        "params: {n: 4}\nstages: {s: {x: [ReLU, {repeat: {times: $n, layer: ReLU}}]}}",
    ],
    ids=["when", "default", "argument", "element", "block", "block by a parameter", "head", "times"],
)
def test_any_use_is_a_use(text: str) -> None:
    """Flags, defaults of blocks, heads and repeats are."""
    spec = parse_spec(HEADER + text.replace("%s", CONV % "$m"))
    assert (next(iter(spec.params)), spec.unused_blocks, dict(spec.idle_params)) == ("n", (), {})


def test_a_parameter_used_by_another_one_only_is_refused_there() -> None:
    """Parameters do not see each other."""
    for value in ("$n", "{Conv2d: {out_channels: $n, kernel_size: 1}}"):
        with pytest.raises(SpecError, match="the value of a parameter cannot use another one"):
            graph_of(f"params: {{n: 3, m: {value}}}\nstages: {{s: {{a: $m}}}}")


def test_a_block_that_nothing_uses_is_a_warning() -> None:
    """With those that only it uses, and the parameters that only they use."""
    text = """params: {n: 3, m: 4}
blocks:
  inner: {layers: {a: {Conv2d: {out_channels: $n, kernel_size: 1}}}}
  outer: {layers: {a: inner}}
  used: {layers: {a: {Conv2d: {out_channels: $m, kernel_size: 1}}}}
  in_head: {layers: {a: ReLU}}
stages: {s: {a: used}}
heads: {h: {from: a, layers: {x: in_head}}}
"""
    spec = parse_spec(HEADER + text, "m.yaml")
    assert spec.unused_blocks == ("inner", "outer")
    hint = "use it, or remove it"
    assert spec.warnings() == [
        f"m.yaml:5: `blocks.inner`: warning: nothing uses this block, nor what only such blocks use: `n`. ({hint})",
        f"m.yaml:6: `blocks.outer`: warning: nothing uses this block. ({hint})",
    ]
    assert [node.output_shape[1] for node in build_graph(spec).nodes] == [4]


def test_a_block_that_an_edit_may_put_in_is_told_only_where_all_is_asked_for() -> None:
    """Alternatives stand ready behind a parameter that holds a layer."""
    text = "params: {k: a, n: 7}\nblocks: {a: {layers: {x: ReLU}}, b: {layers: {x: %s}}}\nstages: {s: {b: $k}}"
    spec = parse_spec(HEADER + text % (CONV % "$n"))
    assert [spec.unused_blocks, spec.warnings()] == [("b",), []]
    (warning,) = spec.warnings(every=True)
    assert "an edit may put it in where a parameter holds a layer" in warning
    assert build_graph(spec, overrides={"k": "b", "n": 5}).nodes[0].output_shape[1] == 5
    with pytest.raises(UsageError, match="`n`: expected a parameter that the network uses"):
        build_graph(spec, overrides={"n": 5})


@pytest.mark.parametrize("name", catalogue())
def test_built_in_specs_have_nothing_that_is_not_used(name: str) -> None:
    """Nor would an edit of any of their parameters change nothing in training."""
    spec = load_spec(name)
    assert (spec.unused_blocks, spec.warnings(every=True)) == ((), [])
    for key, parameter in spec.params.items():
        assert parameter.default is not None
        build_graph(spec, overrides={key: parameter.default.data}, mode="train")
