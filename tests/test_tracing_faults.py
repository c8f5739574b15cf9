"""What a trace once got wrong: small modules that show it."""

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from gnet_inspect import Graph, UsageError, summarize  # noqa: E402
from gnet_inspect.runtime.tracing import ValueReadError, traced  # noqa: E402
from gnet_inspect.runtime.tracing.examples import Examples, flattened  # noqa: E402
from gnet_inspect.runtime.tracing.replay import Replay  # noqa: E402
from gnet_inspect.runtime.verify_network import Checked  # noqa: E402


def replayed(module: nn.Module, *args: Any) -> Graph:
    """Its graph: the parameters are all there, and its recorded calls give just what it does."""
    torch.manual_seed(0)
    module.eval()
    made = traced(module, args, {}, tape=True)
    checked = Checked(module, made, Examples(module, args, {}), "eval")
    assert checked.replay("", "").ok
    assert checked.parameters("", "").ok
    return made.graph


class _Rotary(nn.Module):
    """The sines and cosines of one product of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 8)
        self.register_buffer("frequencies", torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        positions = torch.arange(x.shape[1], device=x.device).float()
        angles = self.get_buffer("frequencies")[:, None] @ positions[None]
        angles = torch.cat([angles, angles]).transpose(0, 1)
        result: Tensor = self.query(x) * angles.cos() + x * angles.sin()
        return result


def test_a_product_of_weights_that_two_values_need_counts_once() -> None:
    graph = replayed(_Rotary(), (2, 6, 8))
    assert summarize(graph).totals.macs == 2 * 6 * 8 * 8 + 4 * 6


def test_products_behind_a_weight_count() -> None:
    """A spectral norm's, two of a matrix and a vector; a matrix exponential's nobody knows."""
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 3))
    assert summarize(replayed(nn.Sequential(spectral), (2, 5))).totals.macs == 2 * 5 * 3 + 5 * 3 + 3
    orthogonal = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))
    assert summarize(replayed(nn.Sequential(orthogonal), (2, 4))).coverage.unknown


class _Swapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        weights = {"weight": self.inner.weight * 2, "bias": self.inner.bias}
        result: Tensor = torch.func.functional_call(self.inner, weights, (x,))
        return result


class _Data(nn.Module):
    """Writes to what a weight and a value hold by their data."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        self.inner.weight.data = functional.normalize(self.inner.weight.data, dim=1)
        y = self.inner(x)
        y.data = y.data * 2
        return y + 1  # type: ignore[no-any-return]


@pytest.mark.parametrize("module", [_Swapped(), _Data()], ids=["functional_call", "data"])
def test_a_layer_runs_on_what_stands_in_the_place_of_its_weights(module: nn.Module) -> None:
    assert summarize(replayed(module, (2, 8))).totals.macs == 2 * 8 * 8


def test_the_data_of_a_value_is_followed() -> None:
    graph = replayed(_Data(), (2, 8))
    assert [node.op.kind for node in graph.nodes] == ["Linear", "mul", "add"]


def test_an_encoder_of_torchs_takes_a_mask() -> None:
    """Its fast path would ask the mask for values, and rounds otherwise than its layers."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            result: Tensor = self.encoder(x, src_key_padding_mask=mask)
            return result

    mask = torch.zeros(2, 6, dtype=torch.bool)
    graph = replayed(Masked(), torch.randn(2, 6, 16), mask)
    assert summarize(graph).totals.macs == 12 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 2 * 6 * 6 * 16


def test_a_layer_that_writes_to_what_it_is_given_is_run_again_on_that() -> None:
    """In another order of memory, in which no shape rule answers."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.act = nn.LayerNorm(4), nn.SiLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.act(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
            return result

    assert [node.op.kind for node in replayed(Turned(), (2, 4, 3, 3)).nodes][-1] == "SiLU"


def scripted(made: Any) -> Any:
    """By TorchScript, which torch calls deprecated and libraries still use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(made)


def _gated(x: Tensor, y: Tensor) -> Tensor:
    result: Tensor = torch.relu(x).mean(dim=[2, 3], keepdim=True) * torch.sigmoid(y)
    return result


GATE = scripted(_gated)


class _Scripted(nn.Module):
    """A function of TorchScript between plain ones; `reads`: where a value is read too."""

    def __init__(self, *, reads: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.reads = reads

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.first(x)
        if self.reads and made.sum() > 1e9:
            return made
        result: Tensor = made + self.second(GATE(made, made) * 2)
        return result


@pytest.mark.parametrize("reads", [False, True], ids=["by shapes", "by values"])
def test_a_scripted_function_is_seen(reads: bool) -> None:
    """Its operators are told of by kernels at best, and by nothing where tensors are real."""
    graph = replayed(_Scripted(reads=reads), torch.randn(2, 3, 6, 6))
    kinds = [node.op.kind for node in graph.nodes if node.op.kind not in ("sum", "gt")]
    assert kinds == ["Conv2d", "ReLU", "mean", "Sigmoid", "mul", "mul", "Conv2d", "add"]


def test_a_scripted_module_is_refused_where_it_stands() -> None:
    module = nn.Sequential(nn.ReLU(), scripted(nn.Sequential(nn.Linear(4, 4))))
    with pytest.raises(UsageError, match="got `1`, which is one of TorchScript"):
        traced(module, [(2, 4)], {})


class _Mapped(nn.Module):
    """torch.func.vmap over values and a layer, and over constants."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        mask = torch.vmap(torch.vmap(torch.ge, (None, 0)), (0, None))(places, places)
        mapped: Tensor = torch.vmap(lambda row: self.inner(row) + row.sum(0))(x)
        result: Tensor = mask.to(x.dtype) @ mapped
        return result


def test_what_vmap_runs_is_seen() -> None:
    assert summarize(replayed(_Mapped(), (2, 6, 8))).totals.macs == 2 * 6 * 8 * 8 + 2 * 6 * 6 * 8


def test_packed_sequences_are_traced_by_values() -> None:
    """torch packs by lengths that it wants on the CPU."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([6, 4]), batch_first=True)
            result: Tensor = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]
            return result

    with pytest.raises(ValueReadError, match="give real tensors"):
        traced(Packed(), [(2, 6, 8)], {})
    kinds = [node.op.kind for node in replayed(Packed(), torch.randn(2, 6, 8)).nodes]
    assert kinds == ["pack_padded_sequence", "LSTM", "pad_packed_sequence"]


def test_a_tensor_beside_the_weights_has_no_value_in_a_network_without_values() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.scale = nn.Linear(8, 8), torch.ones(8)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.inner(x) * (self.scale + 1)
            return result

    with torch.device("meta"):
        module = Scaled()
    assert [node.op.kind for node in traced(module, [(2, 8)], {}).graph.nodes] == ["Linear", "mul"]


class _Filled(nn.Module):
    """A constant that data is written into, in one of several ways, and that is returned as it is."""

    def __init__(self, write: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.write = write

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.zeros(2, 4)
        y = self.layer(x)
        self.write(found, y)
        return y, found


def _by_item(found: Tensor, y: Tensor) -> None:
    found[:, 1:3] = y[:, 1:3]


def _by_view(found: Tensor, y: Tensor) -> None:
    found.view(8).add_(y.reshape(8))


@pytest.mark.parametrize("write", [_by_item, _by_view, Tensor.copy_, Tensor.add_])
@pytest.mark.parametrize("real", [False, True])
def test_a_constant_that_is_written_to_and_returned_is_an_output(write: Any, real: bool) -> None:
    graph = replayed(_Filled(write), torch.randn(2, 3) if real else (2, 3))
    first, second = graph.outputs
    assert (first.name, first.value, second.name) == ("output", "layer", "output.1")
    assert second.value != "layer"
    assert graph.shapes()[second.value] == (2, 4)


class _Filler(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.zeros(2, 4)
        found[:, :3] = x
        return found


def test_it_may_be_all_that_is_returned() -> None:
    graph = replayed(_Filler(), (2, 3))
    assert graph.shapes()[graph.output] == (2, 4)
    assert graph.nodes[-1].op.kind == "setitem"


def held(module: nn.Module, *args: Any) -> Graph:
    """The graph of a module in eval mode, once torch has said the same of it."""
    module.eval()
    torch.manual_seed(0)
    images = [torch.randn(item) if isinstance(item, tuple) else item for item in args]
    made = traced(module, args, {}, tape=True)
    graph = made.graph
    said = sum(node.params for node in graph.nodes) + sum(item.params for item in graph.unreached)
    assert said == sum(weight.numel() for weight in module.parameters())
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        expected = [tensor for _, tensor in flattened(module(*images))]
    assert 2 * sum(node.macs or 0 for node in graph.nodes) == counter.get_total_flops()
    inputs = {value.name: image for value, image in zip(made.recorder.inputs, images, strict=True)}
    replay = Replay(made.recorder, module, inputs)
    found = replay.run(made.outputs)
    assert [record.name for record, shapes, now in replay.shapes if shapes != now] == []
    assert [place for place, tensor in zip(made.places, found, strict=True) if not tensor.equal(expected[place])] == []
    return graph


class LowRank(nn.Module):
    """A linear layer whose weight is a product of two, and is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Parameter(torch.randn(6, 2)), nn.Parameter(torch.randn(2, 6))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.left @ self.right
        return functional.linear(functional.linear(x, weight), weight)


def test_a_weight_that_is_a_product_of_others_is_multiplied_once() -> None:
    graph = held(LowRank(), (3, 6))
    assert [node.macs for node in graph.nodes] == [6 * 2 * 6, 3 * 6 * 6, 3 * 6 * 6]


class Latent(nn.Module):
    """Gives a weight of its own to a layer, as a value."""

    def __init__(self) -> None:
        super().__init__()
        self.latent, self.layer = nn.Parameter(torch.randn(2, 4)), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x @ self.layer(self.latent.expand(2, 4)).T
        return result


def test_torchs_counter_takes_a_weight_that_is_given_to_a_layer() -> None:
    """Its hooks look for what made it, and fail where it takes a gradient and nothing did."""
    module = Latent().eval()
    made = traced(module, [(3, 4)], {}, tape=True)
    check = Checked(module, made, Examples(module, [(3, 4)], {}), "eval").flop_counter("", "")
    assert check.note.startswith(f"prints {2 * (2 * 4 * 4 + 3 * 4 * 2)}")


class Positions(nn.Module):
    """Adds of a table of positions the rows of the first, and a bias that a part of another table picks."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ids", torch.arange(6)[None])
        self.register_buffer("pairs", torch.arange(9).reshape(3, 3) % 5)
        self.rows, self.bias = nn.Embedding(6, 4), nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Tensor) -> Tensor:
        positions = self.get_buffer("ids")[:, : x.shape[1]]
        pairs = self.get_buffer("pairs").view(-1)[:3]
        result: Tensor = x + self.rows(positions) + self.bias[pairs]
        return result


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_table_that_is_read_in_part_is_held(device: str) -> None:
    """With values and without them: a part of a table is a constant, and the table is the network's own."""
    module = Positions()
    graph = held(module, (2, 3, 4)) if device == "cpu" else traced(module.to(device), [(2, 3, 4)], {}).graph
    assert sum(node.buffers for node in graph.nodes) == 6 + 9


class Experts(nn.Module):
    """Each row goes through the matrix of the expert that it chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.choice, self.experts = nn.Linear(8, 4), nn.Parameter(torch.randn(4, 16, 8))

    def forward(self, x: Tensor) -> Tensor:
        chosen, order = self.choice(x).argmax(-1).sort()
        numbers = torch.histc(chosen.float(), bins=4, min=0, max=3)
        ends = numbers.cumsum(0).to(torch.int32)
        result: Tensor = functional.grouped_mm(x[order], self.experts.transpose(1, 2), offs=ends)
        return result


def test_products_by_groups_are_counted() -> None:
    """As many as of one matrix; where the groups end is a value, and torch's counter sees nothing of them."""
    module = Experts().eval()
    made = traced(module, [(32, 8)], {}, tape=True)
    assert {node.op.kind: node.macs for node in made.graph.nodes if node.macs} == {
        "Linear": 32 * 8 * 4,
        "grouped_mm": 32 * 8 * 16,
    }
    assert len(made.graph.nodes[-1].inputs) == 2
    checked = Checked(module, made, Examples(module, [(32, 8)], {}), "eval")
    assert checked.replay("", "").differences == ()
    assert checked.parameters("", "").differences == ()


class Integers(nn.Module):
    """A product that torch has by another name than others."""

    def forward(self, x: Tensor) -> Tensor:
        number = x.to(torch.int8)
        result: Tensor = torch._int_mm(number, number.T).float()
        return result


def test_a_product_by_another_name_is_one() -> None:
    graph = traced(Integers(), [(32, 8)], {}).graph
    assert [node.macs for node in graph.nodes if node.macs] == [32 * 32 * 8]


class Kernel(nn.Module):
    """Calls what stands behind torch's attention, and behind its convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.convolution(x, self.kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
        three = x.flatten(2).unsqueeze(1)
        result: Tensor = torch._scaled_dot_product_attention_math(three, three, three)[0]
        return result


def test_what_stands_behind_a_layer_is_counted_or_unknown() -> None:
    graph = traced(Kernel(), [(2, 4, 5, 5)], {}).graph
    macs = {node.op.kind: node.macs for node in graph.nodes if node.macs != 0}
    assert macs == {"conv": 2 * 25 * 4 * 4 * 9, "scaled_dot_product_attention_math": None}
