"""Drawn modules: functions, writes in place, sharing, several inputs; each against its replay and torch's counter.

GNET_EXAMPLES=5000 python -m pytest tests/test_drawn_modules.py draws more of them.
"""

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from gnet_inspect.runtime.tracing import traced  # noqa: E402
from gnet_inspect.runtime.tracing.examples import flattened  # noqa: E402
from gnet_inspect.runtime.tracing.replay import Replay  # noqa: E402
from tests.amount import at_least  # noqa: E402

EXAMPLES = at_least(120)
CHANNELS, SIZE = 4, 6
STEPS = (
    *(
        "conv",
        "shared",
        "norm",
        "relu",
        "relu_",
        "add",
        "iadd",
        "mul",
        "scale",
        "cat",
        "chunk",
        "write",
        "view",
        "roll",
    ),
    *("gate", "attend", "functional", "interpolate", "member", "where", "dropout", "constant"),
)


class Drawn(nn.Module):
    """Steps over maps (N, 4, 6, 6), each of which may read one of those before it."""

    def __init__(self, steps: list[tuple[str, int]]) -> None:
        super().__init__()
        self.steps = steps
        self.convs = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in steps)
        self.shared, self.norm = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.BatchNorm2d(CHANNELS)
        self.reduce = nn.Conv2d(2 * CHANNELS, CHANNELS, 1, bias=False)
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.weight, self.gamma = (
            nn.Parameter(torch.randn(CHANNELS, CHANNELS, 1, 1)),
            nn.Parameter(torch.ones(CHANNELS)),
        )
        self.fc = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        values = [x * 1, y * 1]
        for index, (step, place) in enumerate(self.steps):
            other = values[place % len(values)]
            values.append(getattr(self, f"_{step}")(values[-1], other, index))
        return values[-1], values[len(values) // 2]

    def _conv(self, a: Tensor, b: Tensor, index: int) -> Any:
        return self.convs[index](b)

    def _shared(self, a: Tensor, b: Tensor, index: int) -> Any:
        return self.shared(self.shared(a))

    def _norm(self, a: Tensor, b: Tensor, index: int) -> Any:
        return self.norm(a)

    def _relu(self, a: Tensor, b: Tensor, index: int) -> Any:
        return torch.relu(b)

    def _relu_(self, a: Tensor, b: Tensor, index: int) -> Any:
        return self.act(a + b)

    def _add(self, a: Tensor, b: Tensor, index: int) -> Any:
        return a + b

    def _iadd(self, a: Tensor, b: Tensor, index: int) -> Any:
        a += b.clone()
        return a

    def _mul(self, a: Tensor, b: Tensor, index: int) -> Any:
        return torch.mul(a, b)

    def _scale(self, a: Tensor, b: Tensor, index: int) -> Any:
        return a * self.gamma.reshape(1, -1, 1, 1)

    def _cat(self, a: Tensor, b: Tensor, index: int) -> Any:
        return self.reduce(torch.cat([a, b], 1))

    def _chunk(self, a: Tensor, b: Tensor, index: int) -> Any:
        first, second = a.chunk(2, 1)
        return torch.cat([second, first], 1)

    def _write(self, a: Tensor, b: Tensor, index: int) -> Any:
        made = a.clone()
        made[:, 1:3] = b[:, :2]
        return made

    def _view(self, a: Tensor, b: Tensor, index: int) -> Any:
        made = a * 2
        made[:, :2].add_(1)
        return made.contiguous().view(made.shape[0], -1).reshape(made.shape)

    def _roll(self, a: Tensor, b: Tensor, index: int) -> Any:
        return torch.roll(a, 1, 2).flip(3)

    def _gate(self, a: Tensor, b: Tensor, index: int) -> Any:
        return a * torch.sigmoid(self.fc(b.mean((2, 3))))[:, :, None, None]

    def _attend(self, a: Tensor, b: Tensor, index: int) -> Any:
        q, k = a.flatten(2).transpose(1, 2), b.flatten(2)
        return ((q @ k).softmax(-1) @ q).transpose(1, 2).reshape(a.shape)

    def _functional(self, a: Tensor, b: Tensor, index: int) -> Any:
        return nn.functional.conv2d(a, self.weight)

    def _interpolate(self, a: Tensor, b: Tensor, index: int) -> Any:
        return nn.functional.interpolate(nn.functional.max_pool2d(a, 2), size=a.shape[2:])

    def _member(self, a: Tensor, b: Tensor, index: int) -> Any:
        return torch.einsum("nchw,cd->ndhw", a, self.fc.weight)

    def _where(self, a: Tensor, b: Tensor, index: int) -> Any:
        return torch.where(a > 0, a, b).clamp(-3, 3)

    def _dropout(self, a: Tensor, b: Tensor, index: int) -> Any:
        return a + self.drop(b)

    def _constant(self, a: Tensor, b: Tensor, index: int) -> Any:
        held = torch.zeros(a.shape, device=a.device)
        held[:, ::2] = a[:, ::2]
        return held + torch.arange(a.shape[-1], device=a.device)


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), min_size=1, max_size=8))
@settings(max_examples=EXAMPLES)
def test_drawn_modules(steps: list[tuple[str, int]]) -> None:
    torch.manual_seed(0)
    module = Drawn(steps).eval()
    shape = (2, CHANNELS, SIZE, SIZE)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = traced(module, (shape, shape), {}, tape=True)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    graph = made.graph
    params = sum(node.params for node in graph.nodes) + sum(item.params for item in graph.unreached)
    assert params == sum(weight.numel() for weight in module.parameters())
    counter = FlopCounterMode(display=False)
    x, y = torch.randn(shape), torch.randn(shape)
    with torch.no_grad(), counter:
        expected = [tensor for _, tensor in flattened(copy.deepcopy(module)(x.clone(), y.clone()))]
    assert 2 * sum(node.macs or 0 for node in graph.nodes) == counter.get_total_flops()
    replay = Replay(made.recorder, module, {"x": x, "y": y})
    found = replay.run(made.outputs)
    assert all(was == now for _, was, now in replay.shapes)
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
