"""Any module becomes the Graph: what is recorded is what the module does, and the module is left as it is."""

import random
import threading
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from gnet_inspect import Graph, TraceError, UsageError, count_flops, summarize, trace  # noqa: E402
from gnet_inspect.runtime.references import Given, Network, Reference, Traced  # noqa: E402
from gnet_inspect.runtime.tracing import traced  # noqa: E402
from gnet_inspect.runtime.verify_network import run_network_checks  # noqa: E402
from gnet_inspect.sources.file import read_graph_file, write_graph  # noqa: E402
from tests import own_networks  # noqa: E402
from tests.own_networks import Case, cases  # noqa: E402

NAMES = [case.name for case in cases()]


def case_of(index: int) -> Case:
    torch.manual_seed(0)
    return cases()[index]


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_counts_are_exact(index: int) -> None:
    """Parameters are torch's sum, each tensor once, and multiply-accumulates those by hand."""
    case = case_of(index)
    totals = summarize(trace(case.module, *case.args, **case.kwargs)).totals
    if case.name != "Lazy":
        assert totals.params + totals.unreached_params == sum(weight.numel() for weight in case.module.parameters())
    assert totals.macs == case.macs


class _Held(Network):
    """A network that is there already."""

    def __init__(self, module: nn.Module) -> None:
        self.reference = Reference("held:module", {})
        self._module = module

    def build(self, *, shapes_only: bool = False) -> nn.Module:
        return self._module


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_recorded_calls_give_the_modules_outputs(index: int) -> None:
    """Run again one by one on real tensors: bit by bit, with the shapes of every node, in eval mode and in training."""
    case = case_of(index)
    if case.name in ("Lazy", "NonLeafAttribute"):
        pytest.skip("deepcopy refuses it")
    for mode in ("eval", "train"):
        found = Traced(
            _Held(case.module), Given(case.args, dict(case.kwargs)), traced(case.module, case.args, case.kwargs)
        )
        _, checks = run_network_checks(found, mode)
        replay, params, macs, *others = checks
        assert replay.ok, replay
        assert replay.compared >= 2
        assert params.ok
        assert macs.ok is not False, macs
        assert not any(check.ok is False for check in others), others


def fingerprint(module: nn.Module) -> list[Any]:
    """All that could be touched: identities, versions, values, modes, hooks, attributes."""
    found: list[Any] = []
    for path, inner in module.named_modules():
        found.append((path, id(inner), inner.training, sorted(inner.__dict__), len(inner._forward_hooks)))
        tensors = {**inner._parameters, **inner._buffers}
        for name, tensor in tensors.items():
            if tensor is not None and not nn.parameter.is_lazy(tensor):
                found.append((path, name, id(tensor), tensor._version, tensor.requires_grad, tensor.tolist()))
    return found


def state() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), nn.functional.relu, torch.is_grad_enabled()


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.b = nn.BatchNorm1d(5), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(self.norm(x))
        return made


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_the_module_is_left_as_it_is(index: int) -> None:
    """In training mode too, where statistics are kept and numbers are drawn."""
    case = case_of(index)
    case.module.train()
    before, around = fingerprint(case.module), state()
    trace(case.module, *case.args, **case.kwargs)
    assert (fingerprint(case.module), state()) == (before, around)


def test_a_failure_leaves_it_as_it_is_and_says_where() -> None:
    module = Failing().train()
    before, around = fingerprint(module), state()
    with pytest.raises(TraceError, match=r"`b` \(Linear\) failed on inputs of 2x5.*RuntimeError"):
        trace(module, (2, 5))
    assert (fingerprint(module), state()) == (before, around)


def test_two_threads_trace_at_once() -> None:
    """Each its own, and neither sees the other's."""
    found: dict[int, Graph] = {}

    def run(index: int) -> None:
        for _ in range(3):
            found[index] = trace(module, (1, 4, 8, 8))

    module = own_networks.Shared().eval()
    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == trace(module, (1, 4, 8, 8))


def test_a_value_that_is_read_is_refused_with_its_place() -> None:
    """By shapes alone; with a real example its path is traced, and what it leaves is told."""
    module = own_networks.Branching()
    with pytest.raises(TraceError, match=r"reads values of a tensor \(bool\) at own_networks.py:\d+: `.*x.sum\(\) > 0"):
        trace(module, (1, 16))
    totals = summarize(trace(module, torch.ones(1, 16))).totals
    assert (totals.params, totals.unreached_params, totals.macs) == (256, 256, 256)
    assert [item.name for item in trace(module, -torch.ones(1, 16)).unreached] == ["a"]


# What compiles imports parts of torch that it has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrappers_are_taken_off() -> None:
    inner = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval()
    plain = trace(inner, (2, 8))
    for wrapped in (nn.DataParallel(inner), torch.compile(inner)):
        assert trace(wrapped, (2, 8)).nodes == plain.nodes


def test_names_and_outputs() -> None:
    graph = trace(own_networks.DictOutput().eval(), (1, 3, 8, 8))
    assert [(output.name, output.value) for output in graph.outputs] == [("out", "b"), ("boxes", "a")]
    graph = trace(own_networks.Loop().eval(), (1, 16))
    assert [node.name for node in graph.nodes][:4] == ["layer", "relu", "layer@1", "relu_1"]
    assert [value.name for value in trace(own_networks.TwoInputs().eval(), (1, 3, 8, 8), (1, 5)).inputs] == ["x", "y"]


class Alike(nn.Module):
    """Inputs of the names of what it runs and of a weight that it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, add: Tensor, scale: Tensor) -> Tensor:
        total = add + scale
        return total * (add * self.scale)


def test_an_input_is_no_other_value_of_its_name() -> None:
    graph = trace(Alike(), (2, 3), (2, 3))
    assert [value.name for value in graph.inputs] == ["add", "input.scale"]
    found = {node.name: node.inputs for node in graph.nodes}
    assert found == {
        "add_1": ("add", "input.scale"),
        "scale": (),
        "mul": ("add", "scale"),
        "mul_1": ("add_1", "mul"),
    }


def test_frozen_weights_are_told() -> None:
    module = own_networks.Members()
    module.layers[0].requires_grad_(False)
    totals = summarize(trace(module, (2, 8))).totals
    assert (totals.trainable_params, totals.frozen_params) == (216, 72)


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_a_graph_of_a_module_is_written_and_read(index: int) -> None:
    case = case_of(index)
    graph = trace(case.module, *case.args, **case.kwargs)
    again = read_graph_file(write_graph(graph), "it.graph.json")
    assert summarize(again) == summarize(graph)
    assert count_flops(again) == count_flops(graph)


def test_no_weight_is_copied() -> None:
    """A network on the meta device has none, and counts all the same."""
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(1 << 20, 1 << 20, bias=False), nn.ReLU())
    assert summarize(module, (1, 1 << 20)).totals.params == 1 << 40


class Constants(nn.Module):
    """Constants in every layer, as a forward makes them."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x) * torch.tensor([2.0]) + torch.arange(4)
        return x


def test_constants_ask_for_no_walk_over_the_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would ask for one over all modules: the time of a trace would go with the square of its length."""
    walks = 0
    walk = nn.Module.named_modules

    def counted(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        nonlocal walks
        # It calls itself for every child, with more.
        walks += not (args or kwargs)
        return walk(module, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "named_modules", counted)
    found = []
    for layers in (2, 20):
        module, walks = Constants(layers), 0
        assert sum(node.params for node in trace(module, (1, 4)).nodes) == 20 * layers
        found.append(walks)
    assert found[0] == found[1]


def test_analyses_take_a_module() -> None:
    module = own_networks.TwoInputs().eval()
    assert summarize(module, ((1, 3, 8, 8), (1, 5))).totals.macs == 8 * 27 * 64 + 40
    assert summarize(module, {"x": (1, 3, 8, 8), "y": (1, 5)}).totals.macs == 8 * 27 * 64 + 40
    assert count_flops(nn.Linear(4, 4).eval(), (1, 4)).totals.torch == 32
    with pytest.raises(UsageError, match=r"expected what TwoInputs is called with"):
        summarize(module)


@pytest.mark.torchvision
@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", "mobilenet_v2", "vit_b_16", "swin_t", "densenet121", "shufflenet_v2_x1_0"]
)
def test_the_peak_is_what_torch_holds(name: str, torchvision: Any) -> None:
    """To the byte, where it is said to be exact: the module's own code is watched."""
    from tests.watching import StorageWatch

    options = {"init_weights": False} if name == "googlenet" else {}
    module = getattr(torchvision.models, name)(weights=None, **options).eval()
    size = 224 if name in ("vit_b_16", "swin_t") else 96
    totals = summarize(module, (1, 3, size, size)).totals
    x = torch.zeros(1, 3, size, size)
    watch = StorageWatch([x, *module.parameters(), *module.buffers()])
    with torch.no_grad(), watch:
        module(x)
    if totals.peak_activation_status == "exact":
        assert totals.peak_activation_bytes == watch.peak
    assert name in ("vit_b_16", "swin_t", "shufflenet_v2_x1_0") or totals.peak_activation_status == "exact"
