"""What each tool prints of somebody's own module is what `flops` says of it, or `flops` says that it does not know."""

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812  # as everybody calls it
from torch import Tensor, nn  # noqa: E402

from gnet_inspect import count_flops, trace  # noqa: E402
from tests.own_networks import cases  # noqa: E402
from tests.peers import RUNNERS, printed  # noqa: E402

# How many of the six columns are known of each: a number may rise, and none may fall.
KNOWN = {
    "resnet18": 6,
    "googlenet": 5,
    "mobilenet_v2": 5,
    "efficientnet_b0": 6,
    "squeezenet1_1": 6,
    "regnet_y_400mf": 6,
    "shufflenet_v2_x0_5": 5,
    "convnext_tiny": 3,
}
# Of hand-written ones of a single tensor in, all together.
KNOWN_BY_HAND = 72


def differing(module: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[dict[str, tuple[Any, Any]], int]:
    """(the tools whose number is another one, ours and theirs; how many are known)"""
    totals = count_flops(trace(module(), shape)).totals
    wrong: dict[str, tuple[Any, Any]] = {}
    known = 0
    for tool in RUNNERS:
        ours = getattr(totals, tool)
        if ours is None:
            continue
        known += 1
        theirs = printed(tool, lambda device: module().to(device), shape)
        if ours != theirs:
            wrong[tool] = ours, theirs
    return wrong, known


@pytest.mark.torchvision
@pytest.mark.parametrize("name", KNOWN)
def test_torchvisions_networks(name: str, torchvision: ModuleType) -> None:
    def make() -> nn.Module:
        options = {"init_weights": False} if name == "googlenet" else {}
        made: nn.Module = getattr(torchvision.models, name)(weights=None, **options).eval()
        return made

    wrong, known = differing(make, (1, 3, 64, 64))
    assert wrong == {}
    assert known >= KNOWN[name]


def test_networks_by_hand() -> None:
    single = [
        index
        for index, case in enumerate(cases())
        if len(case.args) == 1 and isinstance(case.args[0], tuple) and not case.kwargs
    ]
    left = {"Lazy", "NonLeafAttribute", "ConstantView", "InPlace", "Devices", "DictOutput", "DataclassOutput"}
    found = 0
    for index in single:
        case = cases()[index]
        if case.name in left:
            # A tool fails on it, or on the meta device.
            continue
        wrong, known = differing(lambda index=index: cases()[index].module, case.args[0])  # type: ignore[misc]
        assert wrong == {}, case.name
        found += known
    assert found >= KNOWN_BY_HAND


class Called(nn.Module):
    """A network of one expression over its own layers and weights."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **members: Any) -> None:
        super().__init__()
        self.run = forward
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.run(self, x)
        return made


class Subclassed(nn.Conv2d):
    """A layer with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=1)


class Scaled(nn.Module):
    """A layer beside a weight that torch has no layer for."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.a = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.a(x) * self.scale
        return made


def conv(out: int = 3, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(3, out, kernel, padding=kernel // 2)


def two_homes() -> nn.Module:
    layer = conv()
    return Called(lambda m, x: m.b(m.a(x)), a=layer, b=nn.Sequential(layer, nn.ReLU()))


def shared_weight() -> nn.Module:
    first, second = conv(), conv()
    second.weight = first.weight
    return Called(lambda m, x: m.b(m.a(x)), a=first, b=second)


# How a network calls its layers: the module, and how many of the six columns are known at least.
CALLS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "two homes": (two_homes, 3),
    "one weight of two layers": (shared_weight, 5),
    "forward, called by its name": (
        lambda: Called(
            lambda m, x: m.l.forward(m.n.forward(m.a.forward(x))), a=conv(), n=nn.BatchNorm2d(3), l=nn.Linear(16, 4)
        ),
        3,
    ),
    "forward of a container": (lambda: Called(lambda m, x: m.a.forward(x), a=nn.Sequential(conv(), nn.ReLU())), 6),
    "twice": (lambda: Called(lambda m, x: m.n(m.a(m.n(x))), a=conv(), n=nn.BatchNorm2d(3)), 6),
    "by keyword": (lambda: Called(lambda m, x: m.n(input=m.a(input=x)), a=conv(), n=nn.BatchNorm2d(3)), 4),
    "a class of its own": (lambda: Called(lambda m, x: m.r(m.c(x)), c=Subclassed(3, 3, 3), r=nn.ReLU(inplace=True)), 4),
    "weights beside layers": (lambda: Called(lambda m, x: m.d(m.c(x)), c=Scaled(), d=Scaled()), 6),
    "another's weight": (lambda: Called(lambda m, x: F.conv2d(x, m.c.weight, m.c.bias), c=conv()), 4),
    "weight_norm": (lambda: Called(lambda m, x: m.c(x), c=nn.utils.parametrizations.weight_norm(conv(4))), 0),
    "frozen": (lambda: Called(lambda m, x: m.c(x), c=conv().requires_grad_(False)), 6),
    "members of a list": (
        lambda: Called(lambda m, x: sum(layer(x) for layer in m.m), m=nn.ModuleList([conv(), conv()])),
        4,
    ),
    "parameters of a list": (
        lambda: Called(lambda m, x: x * m.p[0] + m.p[1], p=nn.ParameterList([torch.ones(1), torch.ones(3, 1, 1)])),
        2,
    ),
    "an unused layer": (lambda: Called(lambda m, x: m.a(x), a=conv(), b=conv()), 6),
}


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
def test_ways_to_call_layers(*, train: bool) -> None:
    for name, (make, least) in CALLS.items():
        wrong, known = differing(lambda make=make: make().train(train), (1, 3, 16, 16))  # type: ignore[misc]
        assert wrong == {}, name
        assert train or known >= least, (name, known)


# What functions do, and of which layers and weights; each on 1x3x16x16.
FUNCTIONS: tuple[tuple[Callable[[Any, Tensor], Tensor], dict[str, Any]], ...] = (
    (lambda m, x: torch.matmul(x.flatten(), x.flatten()), {}),
    (lambda m, x: x @ m.w, {"w": nn.Parameter(torch.ones(16))}),
    (lambda m, x: torch.mm(x[0, 0], x[0, 0]), {}),
    (lambda m, x: torch.baddbmm(x[0], x[0], torch.bmm(x[0], x[0])), {}),
    (lambda m, x: torch.addmm(m.b, x[0, 0], x[0, 0]), {"b": nn.Parameter(torch.ones(16))}),
    (lambda m, x: torch.einsum("bchw,bcwk->bchk", x, x), {}),
    (lambda m, x: torch.einsum("bchw,kc->bkhw", x, m.w), {"w": nn.Parameter(torch.ones(5, 3))}),
    (lambda m, x: F.linear(x, m.w * 2), {"w": nn.Parameter(torch.ones(5, 16))}),
    (lambda m, x: F.pixel_shuffle(m.c(x), 2), {"c": conv(12)}),
    (lambda m, x: F.layer_norm(F.group_norm(m.c(x), 3), (16,)), {"c": conv(12)}),
    (lambda m, x: torch.softmax(F.softmax(x, -1).softmax(1), -1).log_softmax(2), {}),
    (lambda m, x: F.adaptive_avg_pool2d(F.max_pool2d(F.avg_pool2d(x, 2), 2), 1), {}),
    (lambda m, x: F.conv_transpose2d(x, m.w, stride=2), {"w": nn.Parameter(torch.ones(3, 4, 2, 2))}),
    (lambda m, x: F.prelu(m.p(x), m.w), {"p": nn.PReLU(3), "w": nn.Parameter(torch.ones(3))}),
    (lambda m, x: F.interpolate(F.interpolate(x, size=(12, 12)), size=20, mode="bilinear"), {}),
    (lambda m, x: m.v(m.u(x)), {"u": nn.Upsample(scale_factor=1.5), "v": nn.Upsample(size=20, mode="bilinear")}),
    (lambda m, x: F.normalize(F.gelu(x).sigmoid().tanh(), dim=1) + F.silu(x), {}),
    (lambda m, x: x.mean((2, 3)).sum(1) / 3, {}),
    (lambda m, x: F.scaled_dot_product_attention(x, x, x), {}),
    (lambda m, x: F.dropout(m.d(x), 0.5, m.training), {"d": nn.Dropout2d()}),
    (
        lambda m, x: m.c(m.n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        {"n": nn.LayerNorm(3), "c": conv()},
    ),
    (
        lambda m, x: m.n(m.i(m.c(x))),
        {"c": conv(12), "n": nn.GroupNorm(3, 12), "i": nn.InstanceNorm2d(12, affine=True)},
    ),
    (lambda m, x: m.a(m.b(m.c(x))), {"a": nn.Hardswish(), "b": nn.ELU(), "c": nn.LeakyReLU()}),
    (lambda m, x: F.fold(F.unfold(x, 2), (16, 16), 2), {}),
    (lambda m, x: m.c(F.pad(m.p(x), (1, 1))), {"p": nn.ReflectionPad2d(1), "c": nn.Conv2d(3, 4, 3, padding="same")}),
    (lambda m, x: torch.div(x, 2) + torch.sub(x, x) * torch.multiply(x, x) - x.add(x).div(x).sub(1), {}),
)


def test_functions() -> None:
    for index, (forward, members) in enumerate(FUNCTIONS):

        def make(forward: Any = forward, members: Any = members) -> nn.Module:
            made: nn.Module = Called(forward, **copy.deepcopy(members)).eval()
            return made

        wrong, _ = differing(make, (1, 3, 16, 16))
        assert wrong == {}, index
