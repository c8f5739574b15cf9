"""Loads that fail where they copy: the module is as it was, to the bit, and no memory is spent on that in advance."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.errors import UsageError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from torch import nn  # noqa: E402  # needs torch

from gnet_inspect.runtime import checkpoint, weights  # noqa: E402  # needs torch
from gnet_inspect.runtime.weights import load_weights  # noqa: E402  # needs torch
from tests.test_weights import bits, equal, net, refused, save  # noqa: E402  # needs torch


def pair() -> Any:
    """Two layers of a foreign module."""
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Weights that fit `pair`."""
    return save(tmp_path / "a.pth", pair().state_dict())


@pytest.mark.parametrize(
    "shared",
    [
        lambda: torch.zeros(1).expand(2),
        lambda: torch.zeros(3).as_strided((2, 2), (1, 1))[0].expand(2, 2)[:, 0],
    ],
)
def test_an_expanded_tensor_is_refused_before_anything_is_copied(path: Path, shared: Callable[[], Any]) -> None:
    """torch would refuse it after it had copied the others."""
    module = pair()
    module[1].bias = nn.Parameter(shared())
    refused(
        module, path, r"got `1.bias` expanded: elements of it share memory\. Nothing was loaded\. \(give it its own"
    )
    assert load_weights(module, path, leave=("1.bias",)).complete


def test_overlapping_windows_are_refused_too(path: Path) -> None:
    """torch writes them, each over the last, so that the module would not hold what the file does."""
    module = pair()
    module[1].weight = nn.Parameter(torch.zeros(3).as_strided((2, 2), (1, 1)))
    refused(module, path, "got `1.weight` expanded")


def test_views_that_share_nothing_are_loaded(path: Path) -> None:
    """Transposed, sliced, reversed in order of memory, of one element."""
    module = pair()
    module[0].weight = nn.Parameter(torch.zeros(2, 2).t())
    module[0].bias = nn.Parameter(torch.zeros(8)[::4])
    module[1].weight = nn.Parameter(torch.zeros(6, 6)[::3, ::3])
    assert load_weights(module, path).complete
    assert equal(module, torch.load(path))
    conv: Any = nn.Conv2d(3, 4, 3)
    conv.to(memory_format=torch.channels_last)
    state = nn.Conv2d(3, 4, 3).state_dict()
    load_weights(conv, save(path, state))
    assert equal(conv, state)
    one = nn.ParameterDict({"x": nn.Parameter(torch.zeros(()).expand(1, 1))})
    assert load_weights(one, save(path, {"x": torch.ones(1, 1)})).complete


def test_an_inference_tensor_is_refused_outside_of_its_mode(path: Path) -> None:
    """Inside of it the load is as any other."""
    module = pair()
    with torch.inference_mode():
        module[1].bias = nn.Parameter(torch.zeros(2))
    refused(module, path, r"got `1.bias` made under torch.inference_mode, where alone .*\(load under that mode too\)")
    with torch.inference_mode():
        assert load_weights(module, path).complete
        assert equal(module, torch.load(path))


class Ruled(nn.Linear):
    """A layer that loads by a rule of its own, which changes its weight and then does as it is told."""

    seen: Any

    def __init__(self, error: BaseException | None) -> None:
        super().__init__(2, 2)
        self.register_buffer("seen", torch.zeros(1), persistent=False)
        self.error = error

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.seen += 1
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("not\nthese"), KeyError("x"), KeyboardInterrupt()])
def test_a_modules_own_rule_that_fails_changes_nothing(path: Path, error: BaseException) -> None:
    """What torch raises is an error of ours, a defect of the rule is shown as what it is."""
    module: Any = nn.Sequential(nn.Linear(2, 2), Ruled(error))
    module.register_buffer("expanded", torch.zeros(1).expand(3), persistent=False)
    before = bits(module)
    expected = UsageError if isinstance(error, RuntimeError) else type(error)
    with pytest.raises(expected) as raised:
        load_weights(module, path)
    assert bits(module) == before
    assert module[1].seen.item() == 0
    if expected is UsageError:
        assert str(raised.value).endswith("the module refused tensors that fit: not these. Nothing was loaded.")


def test_a_modules_own_rules_and_hooks_are_followed(path: Path) -> None:
    """A load means what load_state_dict means there."""
    module: Any = nn.Sequential(nn.Linear(2, 2), Ruled(None))
    load_weights(module, path)
    assert module[1].seen.item() == 1
    assert equal(module, torch.load(path))
    for register in ("register_load_state_dict_post_hook", "_register_state_dict_hook"):
        hooked = pair()
        calls: list[Any] = []
        getattr(hooked[1], register)(lambda *arguments, calls=calls: calls.append(arguments))
        load_weights(hooked, path)
        assert calls
        assert equal(hooked, torch.load(path))


def fail_at(monkeypatch: pytest.MonkeyPatch, turn: int, error: BaseException, then: Callable[[], None]) -> None:
    """Let the copying of one tensor raise, as a device without memory does."""
    copy, calls = torch.Tensor.copy_, []

    def failing(self: Any, other: Any) -> Any:
        calls.append(self)
        if len(calls) == turn:
            then()
            copy(self, other)
            raise error
        return copy(self, other)

    monkeypatch.setattr(torch.Tensor, "copy_", failing)


@pytest.mark.parametrize("turn", [1, 2, 9])
def test_copying_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    """Whichever tensor it was; the file's tensors go as their places are taken."""
    path = save(tmp_path / "a.pth", net(seed=2).state_dict())
    alive: list[weakref.ref[Any]] = []

    def watched(path: Path) -> Any:
        read = checkpoint.read_checkpoint(path)
        alive.extend(weakref.ref(tensor) for tensor in read.tensors.values())
        return read

    def count() -> None:
        assert sum(tensor() is not None for tensor in alive) == 9 - turn + 1

    monkeypatch.setattr(weights, "read_checkpoint", watched)
    module = net()
    before = bits(module)
    for error, expected in ((RuntimeError("out of memory"), UsageError), (KeyboardInterrupt(), KeyboardInterrupt)):
        alive.clear()
        with monkeypatch.context() as patch:
            fail_at(patch, turn, error, count)
            with pytest.raises(expected):
                load_weights(module, path)
        assert bits(module) == before
        assert module.conv.weight.requires_grad
    load_weights(module, path)
    assert equal(module, net(seed=2).state_dict())


def test_tied_tensors_are_put_back_as_well(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two names for one tensor was kept with the value of the first."""
    module = pair()
    module[1].weight = module[0].weight
    before = bits(module)
    fail_at(monkeypatch, 4, RuntimeError("late"), lambda: None)
    with pytest.raises(UsageError, match="late"):
        load_weights(module, path)
    assert bits(module) == before
