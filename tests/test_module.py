"""The built module: real torch layers, torchvision's state dict and outputs, and everything one does with a module."""

import copy
import pickle
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from gnet_inspect.errors import MissingError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.language import load_spec
from gnet_inspect.ops import Opaque
from gnet_inspect.sources.spec import build_graph
from tests.conftest import AUXILIARIES, TWINS, twin
from tests.specs import RELATIVES, graph_of

torch = pytest.importorskip("torch", reason="torch is not installed")

from gnet_inspect.runtime.module import Block, Members, Outputs, build_module  # noqa: E402  # needs torch
from gnet_inspect.runtime.verify import prepared  # noqa: E402  # needs torch
from tests.undrawn import undrawn  # noqa: E402  # needs torch

SMALL = """
blocks:
  conv:
    params: [out]
    layers: {conv: {Conv2d: {out_channels: $out, kernel_size: 3, padding: 1}}, bn: BatchNorm2d, relu: ReLU}
  cell:
    params: [out]
    layers: {sum: {add: {scale: 0.5, branches: [{}, {path: [{conv: {out: $out}}, {conv: {out: $out}}]}]}}}
stages:
  s:
    first: {conv: {out: 8}}
    body: [{repeat: {times: 2, layer: {cell: {out: 8}}}}]
    join: {concat: [{}, {pool: {MaxPool2d: {kernel_size: 3, stride: 1, padding: 1}}}]}
    gap: {AdaptiveAvgPool2d: {output_size: 1}}
    flatten: Flatten
    fc: {Linear: {out_features: 5}}
heads:
  aux:
    from: body.0
    weight: 0.3
    layers: {gap: {AdaptiveAvgPool2d: {output_size: 2}}, flat: Flatten, fc: {Linear: {out_features: 5}}}
"""

# What takes one size alone.
FIXED = {"vit_b_16": (224, 224)}


def image(graph: Graph, seed: int = 0) -> Any:
    """Random numbers of the graph's input shape."""
    return torch.randn(graph.input_shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.torchvision
@pytest.mark.parametrize(
    ("spec", "options", "size"),
    [
        *((spec, {}, FIXED.get(spec, (96, 128))) for spec in TWINS),
        *((spec, {"transform_input": True}, (96, 128)) for spec in AUXILIARIES),
        *((spec, {}, (100, 132)) for spec in ("convnext_tiny", "swin_t")),
    ],
)
def test_the_other_librarys_state_dict_loads_and_outputs_are_equal_to_the_bit(
    torchvision: ModuleType, spec: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    """Without heads, on random weights and input: torchvision's and timm's models of the catalogue. Swin's windows are
    padded at both sizes, and its odd maps at the second."""
    graph = build_graph(load_spec(spec), (2, 3, *size), overrides=options)
    if spec in RELATIVES:
        # Of the same layers as another one, whose outputs are compared: that all weights have their places is enough.
        with torch.device("meta"):
            state = twin(torchvision, spec, **options).state_dict()
        build_module(graph, device="meta").load_state_dict(state, strict=True, assign=True)
        return
    theirs = twin(torchvision, spec, **options).eval()
    scatter(theirs)
    with undrawn():
        ours = build_module(graph).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        expected = theirs(image(graph))
        assert torch.equal(ours(image(graph)), expected)
    assert expected.std() > 0


def scatter(module: Any) -> None:
    """Give what is a constant at first random numbers: a head of zeros, or a branch scaled by a millionth, hides what
    lies before it."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.min() == parameter.max():
                parameter.uniform_(-1, 1, generator=generator)


@pytest.mark.torchvision
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("spec", AUXILIARIES)
def test_torchvisions_heads_are_equal_to_the_bit(torchvision: ModuleType, spec: str, training: bool) -> None:
    """With heads: in training mode (dropout off, BatchNorm in eval) all outputs, in eval mode the logits."""
    loaded = load_spec(spec)
    graph = build_graph(loaded, (2, *loaded.input), mode="train")
    theirs = twin(torchvision, spec, heads=True)
    ours = build_module(graph)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for network in (ours, theirs):
        prepared(network, "train" if training else "eval")
        for layer in network.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.eval()
    with torch.no_grad():
        mine, other = ours(image(graph)), theirs(image(graph))
    if not training:
        assert torch.equal(mine, other)
        return
    assert torch.equal(mine.logits, other.logits)
    assert list(mine.heads) == [head.name for head in loaded.heads]
    for name, theirs_name in zip(mine.heads, AUXILIARIES[spec], strict=True):
        assert torch.equal(mine.heads[name], getattr(other, theirs_name))


def test_the_module_of_an_eval_graph_returns_logits_in_either_mode() -> None:
    """Only a training graph has heads to return."""
    net = build_module(graph_of(SMALL))
    assert not [name for name, _ in net.named_parameters() if name.startswith("aux")]
    for mode in (True, False):
        assert tuple(net.train(mode)(torch.randn(2, 3, 32, 32)).shape) == (2, 5)


def test_heads_do_not_run_in_eval_mode() -> None:
    """A train graph's module in eval mode leaves its heads alone, and returns logits."""
    net = build_module(graph_of(SMALL, mode="train"))
    calls: list[str] = []
    net.get_submodule("aux.fc").register_forward_hook(lambda *_: calls.append("aux"))
    x = torch.randn(2, 3, 32, 32)
    output = net.train()(x)
    assert isinstance(output, Outputs)
    assert [tuple(output.logits.shape), list(output.heads), calls] == [(2, 5), ["aux"], ["aux"]]
    assert tuple(net.eval()(x).shape) == (2, 5)
    assert calls == ["aux"]
    assert pickle.loads(pickle.dumps(output)).heads.keys() == output.heads.keys()


def test_blocks_are_callable_modules_whose_hooks_fire() -> None:
    """`net.inception3a(x)` works, and a hook on it sees the network's forward."""
    net: Any = build_module(build_graph(load_spec("googlenet")))
    assert tuple(net.inception3a(torch.randn(1, 192, 28, 28)).shape) == (1, 256, 28, 28)
    fired: list[str] = []
    for name, layer in net.named_modules():
        if isinstance(layer, Block):
            layer.register_forward_hook(lambda *_, name=name: fired.append(name))
    net(torch.randn(1, 3, 224, 224))
    assert len(fired) == len(set(fired))
    assert sorted(fired) == sorted(name for name, layer in net.named_modules() if isinstance(layer, Block))
    assert not any(isinstance(layer, Members) for layer in net.modules())


def test_a_list_whose_middle_a_head_reads_is_run_by_the_network() -> None:
    """A value read elsewhere opens its scope up; names and outputs stay what they are."""
    text = """
stages:
  s: {f: [{Conv2d: {out_channels: 4, kernel_size: 1}}, ReLU, Tanh], flat: Flatten, fc: {Linear: {out_features: 2}}}
heads: {h: {from: f.1, layers: {flat: Flatten, fc: {Linear: {out_features: 2}}}}}
"""
    net: Any = build_module(graph_of(text, mode="train"))
    assert isinstance(net.f, Members)
    expected = ["f.0", "fc", "h.fc"]
    assert sorted({name.rpartition(".")[0] for name, _ in net.named_parameters()}) == expected
    plain = build_module(graph_of(text))
    plain.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith("h.")})
    x = torch.randn(2, 3, 32, 32)
    output = net(x)
    assert torch.equal(output.logits, plain(x))
    assert torch.equal(output.heads["h"], net.h.fc(net.h.flat(torch.relu(net.f.get_submodule("0")(x)))))


def test_a_list_interrupted_by_other_layers_still_runs_in_order() -> None:
    """A continued list with something between its parts."""
    net = build_module(graph_of("stages: {a: {f: [ReLU], x: Tanh}, b: {f: [Sigmoid]}}"))
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(net(x), torch.sigmoid(torch.tanh(torch.relu(x))))


def test_compile_export_deepcopy_and_pickle() -> None:
    """What people do with modules works, and gives the same numbers."""
    graph = graph_of(SMALL)
    net = build_module(graph).eval()
    x = image(graph)
    with torch.no_grad():
        expected = net(x)
        assert torch.equal(copy.deepcopy(net)(x), expected)
        assert torch.equal(pickle.loads(pickle.dumps(net))(x), expected)
        assert torch.allclose(torch.export.export(net, (x,)).module()(x), expected, atol=1e-6)


def test_dynamo_captures_the_module_whole() -> None:
    """No graph break in the forward, with heads or without."""
    for mode in ("eval", "train"):
        net = build_module(graph_of(SMALL, mode=mode)).train(mode == "train")
        x = torch.randn(2, 3, 32, 32)
        twin = copy.deepcopy(net)
        compiled, expected = torch.compile(net, fullgraph=True, backend="eager")(x), twin(x)
        if mode == "train":
            assert torch.equal(compiled.heads["aux"], expected.heads["aux"])
            compiled, expected = compiled.logits, expected.logits
        assert torch.equal(compiled, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # inductor's own use of deprecated torch functions
def test_torch_compile() -> None:
    """Inductor compiles a small module to the same numbers."""
    layers = "a: {Conv2d: {out_channels: 4, kernel_size: 3}}, b: ReLU, c: {concat: [{}, {d: Tanh}]}, e: Flatten"
    from torch._inductor import config as inductor

    graph = graph_of(f"stages: {{s: {{{layers}}}}}")
    net = build_module(graph).eval()
    # Compiling torch's headers takes longer than reading them as text for one kernel.
    with inductor.patch({"cpp_cache_precompile_headers": False}), torch.no_grad():
        torch.testing.assert_close(torch.compile(net, fullgraph=True)(image(graph)), net(image(graph)))


def test_half_precision_channels_last_and_gradients() -> None:
    """`.half().to(memory_format=channels_last)`, and a backward pass that reaches every parameter."""
    graph = graph_of(SMALL, mode="train")
    net = build_module(graph)
    output = net(torch.randn(2, 3, 32, 32))
    (output.logits.sum() + 0.3 * output.heads["aux"].sum()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    built: Any = build_module(graph_of(SMALL))
    half = built.eval().half().to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 32, 32).half().to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert half(x).dtype == torch.float16
    assert build_module(graph_of(SMALL), dtype=torch.float64).get_parameter("fc.weight").dtype == torch.float64


def test_local_response_norm_says_that_it_has_no_half_kernel_on_the_cpu() -> None:
    """torch's own error names an inner function of another layer."""
    net = build_module(graph_of("stages: {s: {n: {LocalResponseNorm: {size: 5}}}}")).half()
    with pytest.raises(RuntimeError, match=r"LocalResponseNorm has no float16 kernel on the CPU. \(use float32"):
        net(torch.randn(1, 3, 8, 8).half())


def test_in_place_layers_change_nobody_elses_input() -> None:
    """`inplace` counts only where nothing else reads the tensor, under any name."""
    text = """
stages:
  s:
    a: {ReLU: {inplace: true}}
    b: {add: [{}, {c: {ReLU: {inplace: true}}}]}
    d: {concat: [{e: Identity, f: {ReLU6: {inplace: true}}}, {g: {SiLU: {inplace: true}}}]}
    h: {ReLU: {inplace: true}}
"""
    x = torch.randn(1, 3, 32, 32)
    kept = x.clone()
    fast, slow = build_module(graph_of(text)), build_module(graph_of(text.replace("true", "false")))
    assert torch.equal(fast(x), slow(x))
    assert torch.equal(x, kept)
    assert [fast.get_submodule(name).inplace for name in "acfgh"] == [False, False, False, False, True]


def test_dead_tensors_are_freed_as_the_forward_goes() -> None:
    """No layer's output outlives its last reader."""
    import weakref

    net = build_module(graph_of("stages: {s: {a: ReLU, b: Tanh, c: Sigmoid, d: ReLU}}"))
    alive: dict[str, Any] = {}

    def watcher(name: str) -> Any:
        def watch(_: object, inputs: object, output: Any) -> None:
            alive[name] = weakref.ref(output)

        return watch

    for name in "abc":
        net.get_submodule(name).register_forward_hook(watcher(name))
    seen: list[list[str]] = []
    net.get_submodule("d").register_forward_pre_hook(
        lambda *_: seen.append([n for n, ref in alive.items() if ref() is not None])
    )
    with torch.no_grad():
        net(torch.randn(1, 3, 8, 8))
    assert seen == [["c"]]


def test_a_module_too_large_for_memory_is_refused_with_its_bytes() -> None:
    """Before a byte of it is allocated; on the meta device it costs nothing."""
    graph = graph_of(
        """
stages:
  s:
    a: {Conv2d: {out_channels: 2000000, kernel_size: 1, stride: 32}}
    b: {Conv2d: {out_channels: 1000000, kernel_size: 1}}
"""
    )
    with pytest.raises(MissingError, match=r"takes 8,000,036,000,000 bytes \(8.00 TB\) on cpu, where .* are free"):
        build_module(graph)
    assert build_module(graph, device="meta").get_parameter("b.weight").shape == (1_000_000, 2_000_000, 1, 1)


def test_a_layer_outside_the_vocabulary_cannot_be_built() -> None:
    """It is named."""
    graph = graph_of("stages: {s: {a: ReLU}}")
    opaque = replace(graph.nodes[0], op=Opaque("GroupNorm", graph.nodes[0].output_shape))
    with pytest.raises(UsageError, match="expected layers of the vocabulary, got GroupNorm"):
        build_module(replace(graph, nodes=(opaque,)))


def test_layers_are_initialised_as_torchs() -> None:
    """The same seed gives torch's own weights."""
    torch.manual_seed(7)
    expected = torch.nn.Conv2d(3, 8, 3)
    torch.manual_seed(7)
    net = build_module(graph_of("stages: {s: {a: {Conv2d: {out_channels: 8, kernel_size: 3}}}}"))
    assert torch.equal(net.get_parameter("a.weight"), expected.weight)
    assert torch.equal(net.get_parameter("a.bias"), expected.bias)
    assert type(net.a) is torch.nn.Conv2d


def test_in_place_layers_leave_the_backward_pass_and_the_caller_alone() -> None:
    """A layer that keeps its output for the backward pass is not overwritten, nor is what a block is called with."""
    conv = "{Conv2d: {out_channels: 4, kernel_size: 1}}"
    makers = (
        "Sigmoid",
        "Tanh",
        "Softmax",
        "ReLU",
        "ReLU6",
        "SiLU",
        "GELU",
        "BatchNorm2d",
        "{MaxPool2d: {kernel_size: 2}}",
        "LeakyReLU",
        "{LeakyReLU: {negative_slope: -0.5, inplace: true}}",
        "{LeakyReLU: {inplace: true}}",
        "{ConvTranspose2d: {out_channels: 4, kernel_size: 2}}",
        "{Upsample: {scale_factor: 2, mode: bicubic}}",
    )
    for maker in makers:
        for layer in ("ReLU", "ReLU6", "LeakyReLU", "SiLU"):
            net = build_module(graph_of(f"stages: {{s: {{a: {conv}, m: {maker}, x: {{{layer}: {{inplace: true}}}}}}}}"))
            net(torch.randn(2, 3, 8, 8)).sum().backward()
    block: Any = build_module(
        graph_of(f"blocks: {{b: {{layers: {{r: {{ReLU: {{inplace: true}}}}}}}}}}\nstages: {{s: {{a: {conv}, b: b}}}}")
    )
    x = torch.randn(1, 4, 8, 8)
    kept = x.clone()
    block.b(x)
    assert torch.equal(x, kept)


def test_local_response_norm_works_under_autocast() -> None:
    """There torch computes it in single precision."""
    net = build_module(
        graph_of("stages: {s: {c: {Conv2d: {out_channels: 8, kernel_size: 1}}, n: {LocalResponseNorm: {size: 5}}}}")
    )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(net(torch.randn(1, 3, 8, 8))).all()


def test_a_device_that_is_not_there_is_said_to_be_missing() -> None:
    """Not an assertion of torch's."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MissingError, match="expected a GPU for the device cuda, got none"):
        build_module(graph_of(SMALL), device="cuda")


def test_memory_is_not_guarded_where_nobody_can_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psutil a module is built all the same."""
    monkeypatch.setattr("gnet_inspect.runtime.module.find_spec", lambda _: None)
    assert build_module(graph_of(SMALL)).training


def test_a_head_may_read_what_the_network_returns() -> None:
    """The logits stay, also where a head reads them last, and in place."""
    text = """
stages: {s: {f: Flatten, fc: {Linear: {out_features: 4}}}}
heads: {h: {from: fc, layers: [{ReLU: {inplace: true}}]}}
"""
    net = build_module(graph_of(text, mode="train"))
    x = torch.randn(2, 3, 32, 32)
    output = net(x)
    assert torch.equal(output.logits, net.eval()(x))
    assert torch.equal(output.heads["h"], torch.relu(output.logits))
