"""Memory by liveness, receptive fields, depth and sums, against cases small enough to do by hand."""

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.depth import weight_layers
from gnet_inspect.analysis.memory import peak_activation_bytes
from gnet_inspect.analysis.receptive import receptive_fields
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import build_graph
from gnet_inspect.ops import VOCABULARY, Op, Opaque
from gnet_inspect.spec import load_spec
from gnet_inspect.units import LARGEST_EXACT
from tests.specs import graph_of

IMAGE = 3 * 32 * 32


def test_a_chain_holds_a_layers_input_and_output() -> None:
    """Conv to 8 channels, ReLU, conv to 1: the peak is conv's output beside ReLU's."""
    a, c = ({"Conv2d": {"out_channels": channels, "kernel_size": 1}} for channels in (8, 1))
    graph = graph_of(f"stages: {{s: {{a: {a}, b: ReLU, c: {c}}}}}")
    assert peak_activation_bytes(graph, 4) == (2 * 8 * 1024 * 4, "b")


def test_the_input_counts_until_its_last_reader() -> None:
    """A skip from the input keeps it alive over the branch."""
    graph = graph_of("stages: {s: {a: {add: [{}, {b: ReLU, c: Tanh}]}, d: ReLU}}")
    # At c: the input, b and c; at a: the input, c and a.
    assert peak_activation_bytes(graph, 1) == (3 * IMAGE, "c")


def test_views_are_free_and_keep_their_tensor_alive() -> None:
    """Flatten, Identity and (in eval) Dropout share their input's memory."""
    text = "stages: {s: {a: ReLU, b: Identity, c: Dropout, d: Flatten, e: {Linear: {out_features: 1}}}}"
    assert peak_activation_bytes(graph_of(text), 1) == (2 * IMAGE, "a")
    # In training Dropout makes a tensor of its own: still two at a time.
    assert peak_activation_bytes(graph_of(text, mode="train"), 1) == (2 * IMAGE, "a")
    skip = "stages: {s: {x: {concat: [{}, {a: Identity, b: ReLU}]}}}"
    # input (also as a view), b and the concat of both.
    assert peak_activation_bytes(graph_of(skip), 1) == (4 * IMAGE, "x")


def test_a_heads_output_lives_to_the_end() -> None:
    """What the network hands back is never dropped."""
    text = "stages: {s: {a: ReLU, b: Tanh}}\nheads: {h: {from: a, layers: [ReLU]}}"
    assert peak_activation_bytes(graph_of(text, mode="train"), 1) == (3 * IMAGE, "b")


def test_receptive_fields_of_a_chain() -> None:
    """field += (k - 1) * jump, jump *= s, per axis, dilation included."""
    graph = graph_of(
        """
stages:
  s:
    a: {Conv2d: {out_channels: 4, kernel_size: [7, 1], stride: [2, 1], padding: [3, 0]}}
    b: {MaxPool2d: {kernel_size: 3, stride: 2}}
    c: {Conv2d: {out_channels: 4, kernel_size: 3, dilation: 2, padding: 2}}
    d: {AdaptiveAvgPool2d: {output_size: 1}}
    e: Flatten
"""
    )
    layers = summarize(graph).layers
    assert [layer.receptive_field for layer in layers] == [(7, 1), (11, 3), (27, 11), (51, 39), None]
    assert [layer.jump for layer in layers] == [(2, 1), (4, 2), (4, 2), (28, 30), None]
    totals = summarize(graph).totals
    # Of the 32 columns the strides leave the last one over.
    assert (totals.receptive_field, totals.receptive_field_clipped) == ((51, 39), (32, 31))
    assert [layer.offset for layer in layers] == [(-3, 0), (-3, 0), (-11, -4), (-11, -4), None]
    assert [layer.receptive_field_status for layer in layers] == ["exact"] * 4 + [None]
    assert totals.receptive_field_status == "exact"


def test_receptive_fields_take_the_largest_branch() -> None:
    """Through GoogLeNet the 5x5 branches decide; the literature's 224-pixel network sees 907 pixels with its pool."""
    layers = {layer.name: layer for layer in summarize(build_graph(load_spec("googlenet"))).layers}
    assert layers["inception3a.branch1.relu"].receptive_field == (27, 27)
    assert layers["inception3a.branch3.1.relu"].receptive_field == (59, 59)
    assert layers["inception3a.output"].receptive_field == (59, 59)
    assert layers["inception5b.output"].receptive_field == (715, 715)
    assert layers["inception5b.output"].jump == (32, 32)


def test_a_branch_of_larger_steps_counts_where_it_reaches() -> None:
    """At all 16 outputs the narrow branch of large steps lies inside the wide one of small steps."""
    graph = graph_of(
        """
stages:
  s:
    wide: {concat: [{a: {Conv2d: {out_channels: 1, kernel_size: 17}}}, {b: {MaxPool2d: {kernel_size: 2}}}]}
    c: {Conv2d: {out_channels: 1, kernel_size: 3}}
"""
    )
    layers = {layer.name: layer for layer in summarize(graph).layers}
    assert (layers["wide"].receptive_field, layers["wide"].jump) == ((17, 17), (1, 1))
    assert (layers["c"].receptive_field, layers["c"].receptive_field_status) == ((19, 19), "exact")


def test_branches_of_different_steps_give_a_bound() -> None:
    """Output i sees pixel i + 8, and pixels 2 i and 2 i + 1: for the first and the last 9 pixels, for the 8th 2."""
    crop = "{a: {ConvTranspose2d: {out_channels: 1, kernel_size: 1, padding: 8}}}"
    pool = "{b: {MaxPool2d: {kernel_size: 2}}}"
    layer = summarize(graph_of(f"stages: {{s: {{x: {{concat: [{crop}, {pool}]}}}}}}")).layers[-1]
    assert (layer.receptive_field, layer.offset, layer.receptive_field_status) == ((9, 9), (0, 0), "bound")


def test_behind_a_linear_over_positions_everything_is_seen() -> None:
    """And behind a softmax over flattened ones; behind one position only what it saw."""
    text = "stages: {s: {a: {MaxPool2d: {kernel_size: 2}}, b: Flatten, c: {Linear: {out_features: 2}}, d: ReLU}}"
    summary = summarize(graph_of(text))
    assert [layer.receptive_field_status for layer in summary.layers] == ["exact", None, "all", "all"]
    assert [layer.receptive_field for layer in summary.layers] == [(2, 2), None, None, None]
    assert (summary.totals.receptive_field, summary.totals.receptive_field_status) == ((2, 2), "all")
    softmax = summarize(graph_of("stages: {s: {a: Flatten, b: Softmax}}")).totals
    assert (softmax.receptive_field, softmax.receptive_field_status) == ((1, 1), "all")
    pooled = "stages: {s: {a: {AdaptiveAvgPool2d: {output_size: 1}}, b: Flatten, c: {Linear: {out_features: 2}}}}"
    totals = summarize(graph_of(pooled)).totals
    assert (totals.receptive_field, totals.receptive_field_status) == ((32, 32), "exact")


def test_behind_a_layer_nobody_knows_the_field_is_unknown() -> None:
    """Without numbers, not those before it; a Linear over what is unknown sees what is unknown."""
    graph = graph_of(
        "stages: {s: {a: ReLU, b: ReLU, c: {concat: [{}, {d: ReLU}]}, e: Flatten, f: {Linear: {out_features: 1}}}}"
    )
    nodes = list(graph.nodes)
    nodes[1] = replace(nodes[1], op=Opaque("GroupNorm", nodes[1].output_shape))
    summary = summarize(replace(graph, nodes=tuple(nodes)))
    assert [layer.receptive_field_status for layer in summary.layers] == ["exact"] + ["unknown"] * 5
    assert {layer.receptive_field for layer in summary.layers[1:]} == {None}
    totals = summary.totals
    assert (totals.receptive_field, totals.receptive_field_clipped) == (None, None)
    assert totals.receptive_field_status == "unknown"


def test_every_kind_of_layer_says_what_it_sees() -> None:
    """Unknown is what a kind sees that does not say so itself: of the vocabulary there is none."""
    assert all(cls.sight is not Op.sight for cls in VOCABULARY.values())
    assert Op().sight(((1, 1, 1, 1),)) == "unknown"


def test_fields_between_inputs_are_the_widest_and_jumps_the_mean() -> None:
    """After a transposed convolution of stride 2 three neighbours see two inputs, as five see three."""
    text = """
stages:
  s:
    a: {Conv2d: {out_channels: 1, kernel_size: 3, stride: 4}}
    b: {ConvTranspose2d: {out_channels: 1, kernel_size: 2, stride: 2}}
    c: {Conv2d: {out_channels: 1, kernel_size: 3}}
    d: {Conv2d: {out_channels: 1, kernel_size: 3}}
    e: {Upsample: {scale_factor: 4}}
"""
    layers = summarize(graph_of(text)).layers
    assert [layer.receptive_field for layer in layers] == [(size, size) for size in (3, 3, 7, 11, 11)]
    assert [layer.jump for layer in layers] == [(jump, jump) for jump in (4, 2, 2, 2, 0.5)]


def test_fields_of_many_odd_resamplings_stay_short_numbers() -> None:
    """Steps whose terms grow from layer to layer are bounded, and the bound is hardly larger."""
    pair = "{Upsample: {scale_factor: 1.3}}, {AdaptiveAvgPool2d: {output_size: 31}}"
    graph = graph_of(f"stages: {{s: [{', '.join([pair] * 40)}]}}")
    field = receptive_fields(graph)[graph.output]
    assert field is not None
    assert field.axes is not None
    assert field.size is not None
    assert field.jump is not None
    assert field.axes[0].high.parts <= LARGEST_EXACT
    assert field.status == "bound"
    assert 80 < field.size[0] < 300
    assert field.jump[0] == pytest.approx(41 / 31 / 1.3 * (40 / 31 / 1.3) ** 39)


@pytest.mark.parametrize("name", ["googlenet", "googlenet_torchvision", "googlenet_d2l"])
def test_googlenets_are_22_layers_deep(name: str) -> None:
    """Section 5 of the paper: 22 layers with parameters on the longest path."""
    assert weight_layers(build_graph(load_spec(name))) == 22


@pytest.mark.parametrize(("dtype", "width"), [("fp32", 4), ("fp16", 2), ("bf16", 2), ("fp64", 8), ("int8", 1)])
def test_bytes_follow_the_dtype(dtype: str, width: int) -> None:
    """Counts do not depend on the dtype, bytes do."""
    summary = summarize(build_graph(load_spec("googlenet")), dtype)
    assert summary.totals.param_bytes == 6_998_552 * width
    assert summary.totals.macs == 1_582_671_872
    assert summary.layers[0].activation_bytes == 64 * 112 * 112 * width
    assert summary.totals.peak_activation_bytes == 2 * 64 * 112 * 112 * width


def test_a_wrong_dtype_is_refused() -> None:
    """Only the five names of the design."""
    with pytest.raises(UsageError, match="expected a dtype of fp32, fp16, bf16, fp64, int8, got 'float'"):
        summarize(build_graph(load_spec("googlenet")), "float")


def test_stages_sum_to_the_totals_with_heads_too() -> None:
    """A head is a stage of its own name, in training only."""
    summary = summarize(build_graph(load_spec("googlenet"), mode="train"))
    assert [stage.name for stage in summary.stages] == [
        "stem",
        "inception3",
        "inception4",
        "aux1",
        "aux2",
        "inception5",
        "classifier",
    ]
    for what in ("params", "macs", "activation_bytes"):
        assert sum(getattr(stage, what) for stage in summary.stages) == getattr(summary.totals, what)
        assert sum(getattr(layer, what) for layer in summary.layers) == getattr(summary.totals, what)
    assert summary.totals.params == 13_378_280


def test_intensity_is_flops_per_byte_moved() -> None:
    """Weights, inputs and output, each once."""
    layer = summarize(build_graph(load_spec("googlenet"))).layers[0]
    moved = 4 * (9_472 + 3 * 224 * 224 + 64 * 112 * 112)
    assert layer.intensity == pytest.approx(2 * 118_013_952 / moved)


def test_a_layer_nobody_can_count_is_named_never_zero_in_silence() -> None:
    """Zero by convention and unknown are different things."""
    graph = graph_of("stages: {s: {a: ReLU, b: ReLU}}")
    unknown = replace(graph.nodes[1], op=Opaque("GroupNorm", graph.nodes[1].output_shape))
    coverage = summarize(replace(graph, nodes=(graph.nodes[0], unknown))).coverage
    assert (coverage.nodes, coverage.counted, coverage.unknown) == (2, 1, ("b",))


def test_the_models_field_is_the_largest_however_the_branches_stand() -> None:
    """Branches that are flattened before they meet: the order in which they are written decides nothing."""
    branches = [
        "{a: {AdaptiveAvgPool2d: {output_size: 1}}, b: Flatten}",
        "{c: {MaxPool2d: {kernel_size: 2}}, d: Flatten}",
    ]
    for order in (branches, branches[::-1]):
        totals = summarize(graph_of(f"stages: {{s: {{x: {{concat: [{', '.join(order)}]}}}}}}")).totals
        assert totals.receptive_field == (32, 32)


def test_a_field_beyond_exact_numbers_is_refused() -> None:
    """Not an integer of ten thousand digits, nor a float that overflows."""
    pool = "{MaxPool2d: {kernel_size: 1, stride: 2000000000}}"
    with pytest.raises(UsageError, match=r"layer `x.1`: expected a receptive field that can be counted exactly"):
        summarize(graph_of(f"stages: {{s: {{x: [{{repeat: {{times: 600, layer: {pool}}}}}]}}}}"))


def test_a_table_shows_what_nobody_can_count_as_unknown() -> None:
    """A question mark, and its name under the table; never a zero."""
    from gnet_inspect.views.grid import draw_text
    from gnet_inspect.views.summary import Selection, summary_grid

    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 3, kernel_size: 1}}, b: ReLU}}")
    opaque = replace(graph.nodes[1], op=Opaque("GroupNorm", graph.nodes[1].output_shape))
    graph = replace(graph, nodes=(graph.nodes[0], opaque))
    lines = [line for line, _ in draw_text(summary_grid(summarize(graph), graph, Selection("layer")))]
    row = next(line.split() for line in lines if line.startswith("  b "))
    assert row[:3] == ["b", "GroupNorm", "a"]
    assert row.count("?") == 4
    assert lines[-1].endswith("1 of 2 nodes counted; nobody can count b")
