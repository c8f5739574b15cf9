"""Loading what a stranger made up: names without end and numbers that do not fit; and what the report says of it."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.errors import UsageError
from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph
from tests.conftest import twin
from tests.readme import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from gnet_inspect.runtime.module import build_module  # noqa: E402  # needs torch
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
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
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
        ("block.branch2", "known: `block.branch1`, `bn.bias`"),
        ("q", "known: `block`, `bn`, `conv`, `deep`, `fc`"),
        ("q.q", r"known: .*`block.branch1`, `bn.bias`, .*`deep`, `fc.bias`"),
        ("block.branch1.weight.x", "did you mean `block.branch1.weight`"),
    ):
        refused(net(), path, rf"got `{part}`\. \({hint}", leave=(part,))
    assert load_weights(net(), path, leave=("block.branch1.weight", "deep")).complete
    refused(net(), path, "got `bloc`", leave=("bloc", "block", "deep"))


def test_a_hint_is_looked_for_among_the_first_of_many_names(tmp_path: Path) -> None:
    """How many there are is up to the file, and each is compared letter by letter."""
    path = with_names(tmp_path / "a.pth", "early", *(f"n{index}" for index in range(2_000)), "late")
    refused(net(), path, r"\(did you mean `early`\?\)", leave=("earlz",))
    refused(net(), path, r"\(known: ", leave=("latx",))


def test_names_a_hint_repeats_are_cut_and_escaped(tmp_path: Path) -> None:
    """The nearest of a file's names, and the parts that a foreign module might leave."""
    path = with_names(tmp_path / "a.pth", "a\x1b[31m", "b" * 5_000, "c")
    refused(net(), path, rf"known: `a\\x1b\[31m`, `{'b' * 100}\.\.\.`, `bn`", leave=("q",))
    state = {"weight": torch.ones(1, 1), "bias": torch.ones(1), "b" * 5_000: torch.ones(1), "a\x1b": torch.ones(1)}
    path = save(tmp_path / "b.pth", state)
    refused(
        torch.nn.Linear(1, 1), save(tmp_path / "c.pth", {**state, "c": state["bias"]}), r"`a\\x1b`, `c`\. .*loaded\.$"
    )
    with pytest.raises(UsageError, match=r"Nothing was loaded\.$"):
        load_weights(torch.nn.Linear(1, 1), path)


# --- numbers ---


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (torch.tensor(500_000.0).half(), "float16 scalar with inf, which no int64 holds"),
        (torch.tensor(float("nan")), "float32 scalar with nan, which no int64 holds"),
        (torch.tensor(-float("inf"), dtype=torch.float64), "float64 scalar with -inf, which no int64 holds"),
        (torch.tensor(1e30), r"float32 scalar with 1e\+30, which no int64 holds"),
        (torch.tensor(2.5), "float32 scalar with 2.5, which no int64 holds"),
        (torch.tensor(3 + 0j), "complex64 scalar"),
    ],
)
def test_a_counter_that_is_no_number_of_batches_does_not_fit(tmp_path: Path, value: Any, got: str) -> None:
    """A whole network in half precision has infinity for a counter beyond 65,504, and int64 makes -2^63 of it."""
    path = save(tmp_path / "a.pth", net(seed=2).state_dict() | {"bn.num_batches_tracked": value})
    refused(net(), path, rf"1 that differ: `bn.num_batches_tracked` \(int64 scalar, in the file {got}\)")
    report = load_weights(module := net(), path, strict=False)
    assert torch.equal(module.bn.num_batches_tracked, net().bn.num_batches_tracked)
    assert [item.name for item in report.mismatched] == ["bn.num_batches_tracked"]


@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")  # torch is about to give them up
@pytest.mark.filterwarnings("ignore:.*quantize:DeprecationWarning")
def test_a_quantised_counter_does_not_fit(tmp_path: Path) -> None:
    """Its integer is a code, like those of weights."""
    code = torch.quantize_per_tensor(torch.tensor(3.0), 1.0, 0, torch.quint8)
    path = save(tmp_path / "a.pth", net(seed=2).state_dict() | {"bn.num_batches_tracked": code})
    refused(net(), path, r"1 that differ: `bn.num_batches_tracked` \(int64 scalar, in the file quint8 scalar\)")


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.uint16, torch.uint64, torch.float16])
def test_a_counter_of_another_kind_is_copied_where_it_counts(tmp_path: Path, dtype: Any) -> None:
    """What is a whole number in the file is the same one in the module."""
    state = net(seed=2).state_dict() | {"bn.num_batches_tracked": torch.tensor(200).to(dtype)}
    assert load_weights(module := net(), save(tmp_path / "a.pth", state)).complete
    assert module.bn.num_batches_tracked.item() == 200


@pytest.mark.parametrize(
    ("wide", "narrow", "value"),
    [
        (torch.float32, torch.float16, 1e6),
        (torch.float32, torch.float16, -65_520.0),
        (torch.float64, torch.float32, 1e39),
        (torch.float32, torch.bfloat16, 3.4e38),
    ],
)
def test_a_weight_that_would_become_infinite_does_not_fit(tmp_path: Path, wide: Any, narrow: Any, value: float) -> None:
    """A finite number stays one, or the load fails."""
    module = torch.nn.ParameterDict({"x": torch.nn.Parameter(torch.ones(3).to(narrow), requires_grad=False)})
    path = save(tmp_path / "a.pth", {"x": torch.tensor([1.0, value, -value], dtype=wide)})
    text = rf"`x` \({narrow} 3, in the file {wide} 3 with {value:g}, which no {narrow} holds".replace("torch.", "")
    with pytest.raises(UsageError, match=text.replace("+", r"\+")):
        load_weights(module, path)
    assert module["x"].float().tolist() == [1, 1, 1]


def test_weights_that_are_rounded_or_not_finite_before_are_copied(tmp_path: Path) -> None:
    """The largest that a dtype rounds to itself, the smallest, and what the file itself calls inf and nan."""
    values = [65_519.0, 1e-9, float("inf"), -float("inf"), float("nan")]
    module = torch.nn.ParameterDict({"x": torch.nn.Parameter(torch.ones(5).half())})
    assert load_weights(module, save(tmp_path / "a.pth", {"x": torch.tensor(values)})).complete
    assert torch.equal(module["x"].detach().nan_to_num(7), torch.tensor(values).half().nan_to_num(7))
    load_weights(module, save(tmp_path / "b.pth", {"x": torch.tensor(values).half()}))


def test_a_foreign_modules_special_tensors_take_only_their_like(tmp_path: Path) -> None:
    """Sparse ones none, complex ones and those of eight bits what has their dtype."""
    for own, what in (
        (torch.ones(2).to_sparse(), "float32 2 sparse_coo"),
        (torch.ones(2).to(torch.float8_e4m3fn), "float8_e4m3fn 2"),
        (torch.ones(2, dtype=torch.complex64), "complex64 2"),
    ):
        module = torch.nn.Module()
        module.register_buffer("x", own)
        with pytest.raises(UsageError, match=rf"1 that differ: `x` \({what}, in the file float32 2\)"):
            load_weights(module, save(tmp_path / "a.pth", {"x": torch.ones(2)}))
    assert load_weights(module, save(tmp_path / "a.pth", {"x": torch.ones(2, dtype=torch.complex64)})).complete


# --- what was left ---


def test_the_report_counts_what_was_left_of_each_part(tmp_path: Path) -> None:
    """Parts without tensors are not told, a tensor may be a part, and long lists are cut."""
    path = with_names(tmp_path / "a.pth", "aux.x", "aux.y.z", "auxiliary")
    report = load_weights(net(), path, leave=("aux", "conv.bias", "auxiliary", "aux"))
    assert "left alone on purpose: `aux` (2 tensors), `conv.bias` (1 tensor), `auxiliary` (1 tensor)" in str(report)
    assert report.parts == ("aux", "conv.bias", "auxiliary")
    assert sorted(report.left) == ["aux.x", "aux.y.z", "auxiliary", "conv.bias"]
    names = tuple(f"x{index}" for index in range(8))
    report = load_weights(net(), with_names(tmp_path / "a.pth", *names), leave=names)
    assert "`x5` (1 tensor) and 2 more" in str(report)
    report = load_weights(net(), save(tmp_path / "a.pth", net().state_dict()), leave="heads")
    assert [report.parts, report.left] == [("aux",), ()]
    assert "left alone" not in str(report)


@pytest.mark.torchvision
def test_the_report_of_torchvisions_googlenet_is_the_one_in_the_docs(torchvision: Any, tmp_path: Path) -> None:
    """docs/weights.md shows what is printed."""
    path = save(tmp_path / "googlenet.pth", twin(torchvision, "googlenet_torchvision", heads=True).state_dict())
    graph = build_graph(load_spec("googlenet_torchvision"), overrides={"transform_input": True})
    report = str(load_weights(build_module(graph), path, leave="heads", transform_input=True))
    docs = (ROOT / "docs" / "weights.md").read_text(encoding="utf-8")
    first, left = report.split("\n  ")
    assert first == f"{path} (torch): 344 tensors loaded"
    assert left in docs
