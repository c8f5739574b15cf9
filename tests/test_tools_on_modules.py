"""What each tool prints of somebody's own module is what `flops` says of it, or `flops` says that it does not know."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

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
