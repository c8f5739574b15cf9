"""Memory by liveness, receptive fields, depth and sums, against cases small enough to do by hand."""

import sys

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.depth import weight_layers
from gnet_inspect.analysis.memory import activation_peak, least_peak_activation_bytes, live_activation_bytes
from gnet_inspect.analysis.receptive import receptive_fields
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import UsageError
from gnet_inspect.graph import INPUT, Graph
from gnet_inspect.language import load_spec
from gnet_inspect.ops import VOCABULARY, Op, Opaque
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import LARGEST_EXACT
from gnet_inspect.views.tables.summary import notes_below
from tests.specs import graph_of

IMAGE = 3 * 32 * 32


def peaks(graph: Graph, width: int = 1) -> tuple[int, str, int]:
    """(what torch holds, the layer at which it does, the least that the order needs)."""
    peak = activation_peak(graph, width)
    assert peak.status == "exact"
    return peak.bytes, peak.node, least_peak_activation_bytes(graph, width)


def test_a_chain_holds_a_layers_input_and_output() -> None:
    """Conv to 8 channels, ReLU, conv to 1: the peak is conv's output beside ReLU's."""
    a, c = ({"Conv2d": {"out_channels": channels, "kernel_size": 1}} for channels in (8, 1))
    graph = graph_of(f"stages: {{s: {{a: {a}, b: ReLU, c: {c}}}}}")
    assert peaks(graph, 4) == (2 * 8 * 1024 * 4, "b", 2 * 8 * 1024 * 4)


def test_the_networks_input_is_the_callers() -> None:
    """The least has it until its last reader; what torch holds is beside it, at every moment."""
    graph = graph_of("stages: {s: {a: {add: [{}, {b: ReLU, c: Tanh}]}, d: ReLU}}")
    # b and c at c, c and a at a, a and d at d; with the input three at c and at a.
    assert live_activation_bytes(graph, 1) == [IMAGE, 2 * IMAGE, 2 * IMAGE, 2 * IMAGE]
    assert peaks(graph) == (2 * IMAGE, "c", 3 * IMAGE)
    # A view of it is it.
    graph = graph_of("stages: {s: {a: Identity, b: Flatten}}")
    assert peaks(graph) == (0, INPUT, IMAGE)


def test_views_are_free_and_keep_their_tensor() -> None:
    """Flatten, Identity and (in eval) Dropout share their input's memory."""
    text = "stages: {s: {a: ReLU, b: Identity, c: Dropout, d: Flatten, e: {Linear: {out_features: 1}}}}"
    assert peaks(graph_of(text)) == (IMAGE + 1, "e", 2 * IMAGE)
    # In training Dropout makes a tensor of its own, by a mask. Nothing is kept: no gradient comes before the Linear.
    assert peaks(graph_of(text, mode="train")) == (3 * IMAGE, "c", 2 * IMAGE)
    skip = "stages: {s: {x: {concat: [{}, {a: Identity, b: ReLU}]}}}"
    # b and the concat of both; for the least the input, too.
    assert peaks(graph_of(skip)) == (3 * IMAGE, "x", 4 * IMAGE)


def test_a_heads_output_is_held_to_the_end() -> None:
    """What the network hands back is never dropped."""
    text = "stages: {s: {a: ReLU, b: Tanh}}\nheads: {h: {from: a, layers: [ReLU]}}"
    assert peaks(graph_of(text, mode="train")) == (3 * IMAGE, "b", 3 * IMAGE)


def test_the_caller_of_a_block_holds_its_input() -> None:
    """Three layers in a row need two tensors at once; in a block its input is a third, until the block returns."""
    chain = "stages: {s: {x: ReLU, a: ReLU, b: Tanh, c: Sigmoid, y: ReLU}}"
    assert live_activation_bytes(graph_of(chain), 1) == [tensors * IMAGE for tensors in (1, 2, 2, 2, 2)]
    block = "blocks: {three: {layers: {a: ReLU, b: Tanh, c: Sigmoid}}}\n"
    graph = graph_of(block + "stages: {s: {x: ReLU, in: {three: {}}, y: ReLU}}")
    assert live_activation_bytes(graph, 1) == [tensors * IMAGE for tensors in (1, 2, 3, 3, 2)]
    # A block in a block holds what it hands on itself, too, where it is not what it got.
    outer = block + "  outer: {layers: {o: ReLU, in: {three: {}}, p: ReLU}}\n"
    graph = graph_of(
        outer.replace("{three: {layers", "\n  three: {layers").replace("Sigmoid}}}", "Sigmoid}}")
        + "stages: {s: {x: ReLU, out: {outer: {}}, y: ReLU}}"
    )
    assert live_activation_bytes(graph, 1) == [tensors * IMAGE for tensors in (1, 2, 3, 4, 4, 3, 2)]


def test_a_scope_that_lends_its_name_alone_holds_nothing() -> None:
    """A head reads from the middle of the list, so that its members are run by the scope around it."""
    text = "stages: {s: {x: ReLU, list: [ReLU, Tanh, Sigmoid], y: ReLU}}"
    assert live_activation_bytes(graph_of(text), 1) == [tensors * IMAGE for tensors in (1, 2, 3, 3, 2)]
    headed = graph_of(
        f"{text}\nheads: {{h: {{from: list.1, layers: [{{AdaptiveAvgPool2d: {{output_size: 1}}}}]}}}}", mode="train"
    )
    names = [node.name for node in headed.nodes]
    live = dict(zip(names, live_activation_bytes(headed, 1), strict=True))
    assert live["list.1"] == 2 * IMAGE
    assert live["list.2"] == 2 * IMAGE + (3 if names.index("h.0") < names.index("list.2") else 0)


def test_what_stands_inside_a_layer_counts() -> None:
    """LocalResponseNorm: its input, the mean of squares, alpha times it and that plus k; a max pool its indices; a
    scaled sum what it scaled; a "same" convolution around an even kernel a larger copy."""
    x = "x: ReLU"
    assert (
        live_activation_bytes(graph_of(f"stages: {{s: {{{x}, n: {{LocalResponseNorm: {{size: 3}}}}}}}}"), 4)[1]
        == 16 * IMAGE
    )
    pool = graph_of(f"stages: {{s: {{{x}, p: {{MaxPool2d: {{kernel_size: 2}}}}}}}}")
    assert live_activation_bytes(pool, 2) == [2 * IMAGE, 2 * IMAGE + (2 + 8) * IMAGE // 4]
    total = graph_of(f"stages: {{s: {{{x}, t: {{add: {{scale: 0.5, branches: [{{}}, {{}}]}}}}}}}}")
    assert live_activation_bytes(total, 1) == [IMAGE, 3 * IMAGE]
    same = "{Conv2d: {out_channels: 3, kernel_size: 2, padding: same}}"
    assert live_activation_bytes(graph_of(f"stages: {{s: {{{x}, c: {same}}}}}"), 1)[1] == 2 * IMAGE + 3 * 33 * 33


def test_layers_in_place_are_credited() -> None:
    """The ReLU writes over what the convolution made; the least gives no credit."""
    conv = "{Conv2d: {out_channels: 3, kernel_size: 1}}"
    graph = graph_of(f"stages: {{s: {{c: {conv}, r: {{ReLU: {{inplace: true}}}}}}}}")
    assert live_activation_bytes(graph, 1) == [IMAGE, IMAGE]
    assert peaks(graph) == (IMAGE, "c", 2 * IMAGE)


def test_training_holds_what_autograd_keeps() -> None:
    """BatchNorm's input and statistics and the ReLU's output stay; the convolution's input is the caller's."""
    conv = "{Conv2d: {out_channels: 3, kernel_size: 1}}"
    graph = graph_of(f"stages: {{s: {{c: {conv}, n: BatchNorm2d, r: ReLU, t: {{add: [{{}}, {{}}]}}}}}}", mode="train")
    assert live_activation_bytes(graph, 1) == [IMAGE, 2 * IMAGE + 6, 3 * IMAGE + 6, 3 * IMAGE + 6]


def test_a_peak_behind_what_nobody_knows_is_a_bound() -> None:
    """And the table and JSON say so."""
    known = graph_of("stages: {s: {a: ReLU, b: ReLU}}")
    strange = replace(known, nodes=(known.nodes[0], replace(known.nodes[1], op=Opaque("Mish", (1, 3, 32, 32)))))
    assert activation_peak(strange, 1) == (2 * IMAGE, "b", "bound")
    totals = summarize(strange).totals
    assert (totals.peak_activation_bytes, totals.peak_activation_status) == (8 * IMAGE, "bound")
    assert "peak         at least 24.58 kB held at once in torch's forward pass" in "\n".join(
        notes_below(summarize(strange))
    )
    assert "at least" not in "\n".join(notes_below(summarize(known)))


def test_counting_the_peak_takes_steps_for_each_layer_alone() -> None:
    """However deep blocks stand in blocks: twice the layers are twice the work."""
    chain = "r: [{repeat: {times: %d, layer: {b39: {}}}}]"
    blocks = "".join(f"  b{level}: {{layers: {{x: {{b{level - 1}: {{}}}}, y: ReLU}}}}\n" for level in range(1, 40))
    text = "blocks:\n  b0: {layers: {x: ReLU, y: ReLU}}\n" + blocks + "stages: {s: {" + chain + "}}"

    def work(times: int) -> int:
        graph, calls = graph_of(text % times), 0

        def count(_: object, event: str, __: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            activation_peak(graph, 4)
        finally:
            sys.setprofile(None)
        return calls

    once, twice = work(20), work(40)
    assert twice < 2.1 * once
    assert once < 80 * 20 * 41


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
    assert Op().sight(((1, 1, 1, 1),)) is None


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
    # Four tensors in norm2; where an element has one byte, a max pool's indices of eight weigh more.
    pool = (64 * 112 * 112 + 64 * 56 * 56) * width + 8 * 64 * 56 * 56
    assert summary.totals.peak_activation_bytes == max(4 * 192 * 56 * 56 * width, pool)
    assert summary.totals.least_peak_activation_bytes == 2 * 64 * 112 * 112 * width


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
    unknown = replace(graph.nodes[1], op=Opaque("Strange", graph.nodes[1].output_shape), macs=None)
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
    from gnet_inspect.views.tables.summary import Selection, summary_grid

    graph = graph_of("stages: {s: {a: {Conv2d: {out_channels: 3, kernel_size: 1}}, b: ReLU}}")
    opaque = replace(graph.nodes[1], op=Opaque("Strange", graph.nodes[1].output_shape), macs=None)
    graph = replace(graph, nodes=(graph.nodes[0], opaque))
    lines = [line for line, _ in draw_text(summary_grid(summarize(graph), graph, Selection("layer")))]
    row = next(line.split() for line in lines if line.startswith("  b "))
    assert row[:3] == ["b", "Strange", "a"]
    # Its weights are known to be none; what it multiplies, and what it sees, nobody knows.
    assert row.count("?") == 3
    assert lines[-1].endswith("1 of 2 nodes counted; nobody can count b")
