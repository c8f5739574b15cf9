"""Loading what a stranger made up: names without end, numbers that do not fit, and addresses that are no files."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.errors import UsageError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from gnet_inspect.runtime.weights import load_weights  # noqa: E402  # needs torch
from tests.test_weights import net, refused, save  # noqa: E402  # needs torch


def with_names(path: Path, *names: str) -> Path:
    """Weights that fit, and further tensors of these names."""
    return save(path, net(seed=2).state_dict() | {name: torch.ones(1) for name in names})


# --- names ---


@pytest.mark.parametrize("leave", [("fc",), ("fd",), "heads"])
def test_a_name_of_many_dots_costs_no_memory(tmp_path: Path, leave: Any) -> None:
    """Its prefixes together would be quadratic: a gigabyte for these 60 kB."""
    path = with_names(tmp_path / "a.pth", "x" + ".y" * 30_000)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError) as error:
            load_weights(net(), path, leave=leave)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 1_000


def test_wrappers_without_end_are_taken_off_only_so_often(tmp_path: Path) -> None:
    """Each is a pass over all names: this one would take minutes."""
    path = save(tmp_path / "a.pth", {"module." * 200_000 + "x": torch.ones(1)})
    refused(net(), path, "9 missing in the file.*1 that the module does not have: `module.module.")
    path = save(tmp_path / "b.pth", {"module." * 8 + key: tensor for key, tensor in net(seed=2).state_dict().items()})
    assert load_weights(net(), path).complete
    refused(net(), save(tmp_path / "c.pth", {}), "9 missing in the file")
    assert load_weights(net(), save(tmp_path / "c.pth", {}), strict=False).notes == ()


def test_a_part_that_is_not_there_is_answered_with_names_as_deep_as_it(tmp_path: Path) -> None:
    """Names that have no such depth are whole."""
    path = with_names(tmp_path / "a.pth", "block.branch1.weight", "deep")
    for part, hint in (
        ("blok", "did you mean `block`"),
        ("block.branch2", "did you mean `block.branch1`"),
        ("q", "known: `block`, `bn`, `conv`, `deep`, `fc`"),
        ("q.q", r"known: .*`block.branch1`, `bn.bias`, .*`deep`, `fc.bias`"),
        ("block.branch1.weight.x", "did you mean `block.branch1.weight`"),
    ):
        refused(net(), path, rf"got `{part}`\. \({hint}", leave=(part,))
    assert load_weights(net(), path, leave=("block.branch1.weight", "deep")).complete
    refused(net(), path, "got `bloc`", leave=("bloc", "block", "deep"))


def test_names_a_hint_repeats_are_cut_and_escaped(tmp_path: Path) -> None:
    """The nearest of a file's names, and the parts that a foreign module might leave."""
    path = with_names(tmp_path / "a.pth", "a\x1b[31m", "b" * 5_000, "c")
    refused(net(), path, rf"known: `a\\x1b\[31m`, `{'b' * 100}\.\.\.`, `bn`", leave=("q",))
    refused(torch.nn.Linear(1, 1), path, r"leave=\('conv', 'bn', 'fc'\)")
    state = {"weight": torch.ones(1, 1), "bias": torch.ones(1), "b" * 5_000: torch.ones(1), "a\x1b": torch.ones(1)}
    path = save(tmp_path / "b.pth", state)
    with pytest.raises(UsageError, match=r"Nothing was loaded\.$"):
        load_weights(torch.nn.Linear(1, 1), path)
