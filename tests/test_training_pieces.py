"""The pieces of training: initial weights, losses, rates, averages, an optimizer's state, and files written as one."""

import math
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gnet_inspect import build_graph, build_module, load_spec
from gnet_inspect.errors import GnetError, MissingError, UsageError
from gnet_inspect.language import catalogue, parse_spec
from gnet_inspect.records.training import Recipe
from gnet_inspect.runtime.module import Outputs
from gnet_inspect.runtime.training import memory
from gnet_inspect.runtime.training.initial import INITS, initialize
from gnet_inspect.runtime.training.keeping import LIST, finish_writing, write_together
from gnet_inspect.runtime.training.losses import check_scores, split_outputs, training_loss
from gnet_inspect.runtime.training.memory import check_fits, predicted_bytes
from gnet_inspect.runtime.training.networks import fit_spec
from gnet_inspect.runtime.training.optimizing import (
    OPTIMIZERS,
    SCHEDULES,
    Average,
    Pace,
    make_optimizer,
    read_optimizer,
    read_schedule,
)
from gnet_inspect.runtime.training.parallel import Team, check_batch
from gnet_inspect.runtime.training.state import named_parameters, optimizer_state, restore_optimizer
from tests.killed_writing import writers

HEADED = Path(__file__).parent / "headed.yaml"
RECIPE = Recipe(
    model="m",
    data="digits",
    input=(1, 8, 8),
    classes=10,
    epochs=10,
    batch=4,
    optimizer="SGD",
    lr=0.1,
    schedule="constant",
    init="he",
    seed=0,
)


def changed(**fields: Any) -> Recipe:
    """The recipe with other fields."""
    return Recipe(**{name: getattr(RECIPE, name) for name in Recipe.__struct_fields__} | fields)


# --- initial weights ---


def test_he_and_xavier_have_the_variances_of_their_papers() -> None:
    """Of a 3x3 convolution of 64 to 128 channels: 2 / (9 * 64), 2 / (9 * (64 + 128)), 1 / (9 * 64)."""
    layer = nn.Conv2d(64, 128, 3)
    for name, variance in (("he", 2 / 576), ("xavier", 2 / 1728), ("paper", 1 / 576)):
        initialize(nn.Sequential(layer), name, 1, 10)
        assert float(layer.weight.detach().var()) == pytest.approx(variance, rel=0.03)
        assert layer.bias is not None
        assert layer.bias.tolist() == pytest.approx([0.2 if name == "paper" else 0.0] * 128)


def test_scores_have_no_bias_at_first() -> None:
    """Where the paper's hidden layers have 0.2."""
    module = nn.Sequential(nn.Linear(6, 20), nn.Linear(20, 10))
    initialize(module, "paper", 0, 10)
    hidden, scores = module
    assert isinstance(hidden, nn.Linear)
    assert isinstance(scores, nn.Linear)
    assert hidden.bias.tolist() == pytest.approx([0.2] * 20)
    assert scores.bias.tolist() == [0.0] * 10


@pytest.mark.parametrize("name", [name for name in INITS if name != "own"])
def test_a_weight_depends_on_its_name_and_the_seed_alone(name: str) -> None:
    """Not on what is beside it: with heads a network begins with the trunk that it has without them."""
    spec = load_spec("googlenet")
    shape = (1, 1, 64, 64)
    made = {}
    for mode in ("train", "eval"):
        heads = {"heads": "none"} if mode == "eval" else {}
        del heads
        made[mode] = build_module(
            build_graph(spec, (1, 1, 224, 224), mode=mode, resize=True, overrides={"classes": 10})
        )
        torch.manual_seed(len(mode))
        initialize(made[mode], name, 3, 10)
    del shape
    with_heads, without = made["train"].state_dict(), made["eval"].state_dict()
    assert set(without) < set(with_heads)
    assert all(torch.equal(without[key], with_heads[key]) for key in without)


def test_nothing_is_drawn_from_the_global_generator() -> None:
    """What a user seeded goes on as it was."""
    module = nn.Sequential(nn.Linear(3, 3))
    before = torch.get_rng_state()
    initialize(module, "he", 0, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_is_another_network() -> None:
    """And "own" leaves what is there."""
    layer = nn.Linear(3, 3)
    kept = layer.weight.detach().clone()
    initialize(layer, "own", 5, 10)
    assert torch.equal(layer.weight, kept)
    initialize(layer, "torch", 5, 10)
    one = layer.weight.detach().clone()
    initialize(layer, "torch", 6, 10)
    assert not torch.equal(layer.weight, one)


# --- losses ---


def test_the_loss_is_the_papers() -> None:
    """Scores, and each head times 0.3."""
    scores, first, second = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([1, 2, 3, 4])
    expected = cross_entropy(scores, labels) + 0.3 * cross_entropy(first, labels) + 0.5 * cross_entropy(second, labels)
    found = training_loss(Outputs(scores, {"a": first, "b": second}), labels, {"a": 0.3, "b": 0.5}, 0.0)
    assert torch.equal(found, expected)
    smoothed = training_loss(scores, labels, {}, 0.1)
    assert torch.equal(smoothed, cross_entropy(scores, labels, label_smoothing=0.1))


def test_outputs_of_other_libraries_are_scores_and_heads() -> None:
    """A named tuple of three, of which one is switched off; a plain tuple."""
    kind = namedtuple("kind", "logits aux_logits2 aux_logits1")  # as torchvision's
    x, y = torch.zeros(2, 3), torch.ones(2, 3)
    assert split_outputs(kind(x, None, y)) == (x, {"aux_logits1": y})
    assert split_outputs((x, y)) == (x, {"1": y})
    for wrong in ({"out": x}, "text", (x, "text")):
        with pytest.raises(UsageError, match="expected a network that gives scores"):
            split_outputs(wrong)
    with pytest.raises(UsageError, match=r"expected scores 2 x 4 classes of its output, got 2x3"):
        check_scores(x, 2, 4)


# --- rates ---


def rates(recipe: Recipe, steps: int, losses: list[float] | None = None) -> list[float]:
    """The rate of every step of a run with so many steps an epoch."""
    optimizer = make_optimizer(recipe, nn.Linear(2, 2))
    pace = Pace(recipe, optimizer, steps)
    found = []
    for epoch in range(recipe.epochs):
        for step in range(epoch * steps, (epoch + 1) * steps):
            found.append(pace.rate(step))
            pace.take(step, optimizer.step)
        pace.end_epoch(losses[epoch] if losses else 1.0)
    return found


def test_a_constant_rate_is_constant() -> None:
    """Without warm-up, which a schedule of that name has none of."""
    assert set(rates(RECIPE, 3)) == {0.1}


def test_a_cosine_goes_from_the_rate_to_nothing() -> None:
    """(1 + cos(pi * step / steps)) / 2 of it, over the whole run."""
    found = rates(changed(schedule="CosineAnnealingLR"), 5)
    assert found == pytest.approx([0.1 * (1 + math.cos(math.pi * step / 50)) / 2 for step in range(50)])


def test_a_warm_up_is_a_share_of_the_schedule() -> None:
    """In two epochs of five steps from a tenth to the whole of it."""
    plain, warm = (
        rates(changed(schedule="CosineAnnealingLR"), 5),
        rates(changed(schedule="CosineAnnealingLR", warmup=2.0), 5),
    )
    assert warm[:10] == pytest.approx([rate * (step + 1) / 10 for step, rate in enumerate(plain[:10])])
    assert warm[10:] == plain[10:]


def test_lengths_are_epochs() -> None:
    """A step of two epochs; the paper's 4 % every 8 epochs; a straight line over half of the run."""
    stepped = rates(changed(schedule="StepLR", schedule_options={"step_size": 2, "gamma": 0.5}), 3)
    assert stepped == pytest.approx([0.1 * 0.5 ** (step // 6) for step in range(30)])
    straight = rates(changed(schedule="LinearLR", schedule_options={"total_iters": 5}), 4)
    assert straight[:20] == pytest.approx([0.1 * (1 - step / 20) for step in range(20)])
    assert straight[20:] == pytest.approx([0.0] * 20)


def test_a_plateau_asks_for_the_loss() -> None:
    """Two epochs without a better one, then a tenth."""
    recipe = changed(schedule="ReduceLROnPlateau", schedule_options={"patience": 1}, epochs=4)
    assert rates(recipe, 1, [1.0, 1.0, 1.0, 1.0]) == pytest.approx([0.1, 0.1, 0.1, 0.01])
    assert rates(recipe, 1, [1.0, 0.9, 0.8, 0.7]) == pytest.approx([0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_where_it_was(name: str) -> None:
    """Its numbers, and the optimizer's groups, in a fresh one."""
    needed = {"StepLR": {"step_size": 2}, "MultiStepLR": {"milestones": [2, 5]}, "ExponentialLR": {"gamma": 0.9}}
    needed["CosineAnnealingWarmRestarts"] = {"T_0": 3}
    recipe = changed(
        schedule=name, schedule_options=needed.get(name, {}), warmup=1.0, optimizer_options={"momentum": 0.9}
    )
    whole = rates(recipe, 4)
    optimizer = make_optimizer(recipe, nn.Linear(2, 2))
    pace = Pace(recipe, optimizer, 4)
    for step in range(18):
        pace.take(step, optimizer.step)
        if step % 4 == 3:
            pace.end_epoch(1.0)
    fresh = make_optimizer(recipe, nn.Linear(2, 2))
    again = Pace(recipe, fresh, 4)
    restore_optimizer(fresh, {}, {}, optimizer_state(optimizer, {})[1])
    again.restore(pace.state())
    found = []
    for step in range(18, 40):
        found.append(again.rate(step))
        again.take(step, fresh.step)
        if step % 4 == 3:
            again.end_epoch(1.0)
    assert found == whole[18:]


@pytest.mark.parametrize(
    ("read", "given", "message"),
    [
        (read_optimizer, "sdg", "expected one of torch's names, got 'sdg'. (did you mean `SGD`?)"),
        (read_optimizer, "LBFGS", "known: `Adadelta`"),
        (read_optimizer, {"SGD": {"momentun": 0.9}}, "torch refuses these arguments of SGD"),
        (read_optimizer, {"SGD": {"momentum": -1}}, "torch refuses these arguments of SGD: Invalid momentum value: -1"),
        (read_optimizer, {"SGD": {"lr": 1}}, "expected no lr among the arguments of SGD, it has a flag: --lr"),
        (read_optimizer, {"SGD": 3}, "expected a name, or a name with arguments"),
        (read_optimizer, 3, "expected a name, or a name with arguments"),
        (read_schedule, "cosin", "did you mean `cosine`?"),
        (read_schedule, "StepLR", "it takes step_size, gamma, last_epoch"),
        (read_schedule, {"constant": {"factor": 1}}, "expected no arguments for constant, got factor"),
        (read_schedule, {"LinearLR": {"total_iters": -1}}, "expected a positive number of epochs for total_iters"),
        (read_schedule, {"StepLR": {"step_size": 0}}, "modulo by zero. (it takes step_size, gamma, last_epoch)"),
    ],
)
def test_a_wrong_name_or_argument_is_refused(read: Callable[[object], object], given: object, message: str) -> None:
    """In the words of torch, where it is torch that refuses."""
    with pytest.raises(UsageError) as caught:
        read(given)
    assert message in str(caught.value)


def test_names_are_read_in_any_case_and_for_short() -> None:
    """As people type them."""
    assert read_optimizer("adamw") == ("AdamW", {})
    assert read_optimizer({"sgd": {"momentum": 0.9}}) == ("SGD", {"momentum": 0.9})
    assert read_schedule("cosine")[0] == "CosineAnnealingLR"
    assert read_schedule("none") == ("constant", {})
    assert read_schedule({"multistep": {"milestones": [3, 6]}}) == ("MultiStepLR", {"milestones": [3, 6]})


# --- optimizers ---


def test_norms_and_biases_do_not_decay() -> None:
    """Weights of two axes or more do; what is frozen is in no group."""
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    module[2].weight.requires_grad_(False)
    groups = make_optimizer(changed(weight_decay=0.5), module).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.5, 1), (0.0, 4)]
    with pytest.raises(UsageError, match="none that is not frozen"):
        make_optimizer(RECIPE, module.requires_grad_(False))


OPTIONS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in OPTIMIZERS] + [
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {"amsgrad": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
]


def trained(module: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """So many steps on drawn images."""
    for step in steps:
        torch.manual_seed(step)
        optimizer.zero_grad()
        module(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()


def network(last: bool) -> nn.Module:
    """A small one, in rows or channels last."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
    return module.to(memory_format=torch.channels_last) if last else module  # type: ignore[call-overload]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_an_optimizer_goes_on_where_it_was(name: str, options: dict[str, Any], last: bool) -> None:
    """To the bit; and it keeps as many tensors as memory is predicted by."""
    recipe = changed(optimizer=name, optimizer_options=options, weight_decay=0.01)
    whole = network(last)
    optimizer = make_optimizer(recipe, whole)
    trained(whole, optimizer, range(3))
    tensors, plain = optimizer_state(optimizer, named_parameters(whole))
    kept = {key: value.clone() for key, value in whole.state_dict().items()}
    large = sum(value.numel() for value in tensors.values() if value.dim())
    parameters = sum(parameter.numel() for parameter in whole.parameters())
    assert large == OPTIMIZERS[name](options) * parameters
    trained(whole, optimizer, range(3, 6))

    other = network(last)
    fresh = make_optimizer(recipe, other)
    other.load_state_dict(kept)
    restore_optimizer(fresh, named_parameters(other), tensors, plain)
    trained(other, fresh, range(3, 6))
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), other.parameters(), strict=True))


def test_an_average_is_exponential() -> None:
    """After two steps: d^2 a + d (1 - d) b + (1 - d) c; buffers are the network's."""
    module = nn.BatchNorm1d(1)
    average = Average(module, nn.BatchNorm1d(1), 0.9)
    for value in (2.0, 5.0):
        with torch.no_grad():
            module.weight.fill_(value)
            assert module.running_mean is not None
            module.running_mean.fill_(value)
        average.update()
    assert isinstance(average.module, nn.BatchNorm1d)
    assert float(average.module.weight) == pytest.approx(0.81 * 1 + 0.09 * 2 + 0.1 * 5)
    assert average.module.running_mean is not None
    assert float(average.module.running_mean) == 5


# --- memory ---


def test_mixed_precision_keeps_half_and_a_copy() -> None:
    """fp32's fixed part, half of what is saved, and the weights once more in half."""
    graph = build_graph(load_spec("vgg11"), (4, 3, 64, 64), mode="train", resize=True)
    whole = predicted_bytes(graph, RECIPE)
    mixed = predicted_bytes(graph, changed(amp="bf16"))
    weights = sum(node.params for node in graph.nodes) * 4
    averaged = predicted_bytes(graph, changed(ema=0.9))
    assert averaged - whole == weights
    assert predicted_bytes(graph, changed(optimizer="AdamW")) - whole == 2 * weights
    saved = whole - 2 * weights
    assert mixed == pytest.approx(2 * weights + weights / 2 + saved / 2, rel=0.02)


def test_a_batch_that_does_not_fit_is_refused_with_one_that_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest: one image more does not fit."""
    spec = load_spec("lenet5")

    def make(batch: int) -> Any:
        return build_graph(spec, (batch, 1, 32, 32), mode="train")

    limit = predicted_bytes(make(77), RECIPE)
    monkeypatch.setattr(memory, "free_memory", lambda _: limit)
    assert check_fits(make, RECIPE, 77, "cpu").predicted_bytes == limit
    with pytest.raises(MissingError, match=r"at batch 1000 keeps .* \(take --batch 77\)"):
        check_fits(make, RECIPE, 1000, "cpu")
    monkeypatch.setattr(memory, "free_memory", lambda _: 1000)
    with pytest.raises(MissingError, match="not even a batch of 1 fits"):
        check_fits(make, RECIPE, 8, "cpu")


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_largest_batch_is_found(fitting: int, more: int) -> None:
    """By halving, whatever it is."""
    assert memory._largest_batch(lambda size: size <= fitting, fitting + more) == fitting


# --- networks ---


CLASSIFIERS = [name for name in catalogue() if "classes" in load_spec(name).params and name != "unet"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_takes_the_classes_and_channels_of_its_data(name: str) -> None:
    """And its spec is written anew with just these weights, so that it needs no edits."""
    spec = load_spec(name)
    height, width = spec.input[1:]
    found = fit_spec(spec, "", classes=7, channels=2, size=(height, width))
    assert found.edits == ()
    assert found.input == (2, height, width)
    written = parse_spec(found.spec.encode(), "spec.yaml")
    assert (written.title, written.family) == (spec.title, spec.family)
    graph = build_graph(written, mode="train")
    assert found.graph is not None
    own = found.graph(1)
    assert sum(node.params for node in graph.nodes) == sum(node.params for node in own.nodes)
    assert {value: graph.shapes()[value][-1] for value in (graph.output, *(head.value for head in graph.heads))}.keys()
    assert graph.shapes()[graph.output] == (1, 7)


def test_an_unchanged_spec_keeps_its_text() -> None:
    """With its comments and figures."""
    spec = load_spec("googlenet_d2l")
    assert fit_spec(spec, "its own text", classes=10, channels=1).spec == "its own text"


def test_what_is_no_classifier_is_refused() -> None:
    """A map of scores; an input that is no image."""
    with pytest.raises(UsageError, match=r"expected scores N x 10, the classes of the data, of the output"):
        fit_spec(load_spec("unet"), "", classes=10, channels=3)


# --- several processes ---


@given(st.integers(1, 64), st.integers(1, 8))
def test_rows_of_a_team_are_the_batch(parts: int, size: int) -> None:
    """Each image once, in order, as many for each."""
    batch = parts * size
    rows = [list(range(batch))[Team(rank, size).rows(batch)] for rank in range(size)]
    assert [index for part in rows for index in part] == list(range(batch))
    assert {len(part) for part in rows} == {parts}
    check_batch(batch, Team(0, size))


def test_a_batch_that_does_not_fall_into_parts_is_refused() -> None:
    """With the next ones that do."""
    with pytest.raises(UsageError, match=r"expected a multiple of 3 processes, got 32. \(take 30 or 33\)"):
        check_batch(32, Team(0, 3))
    with pytest.raises(UsageError, match=r"\(take 4\)"):
        check_batch(1, Team(0, 4))


# --- files written as one ---


def contents(folder: Path) -> dict[str, str]:
    """What every file holds."""
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_killed_at_any_moment_all_files_are_old_or_all_are_new(tmp_path: Path) -> None:
    """Every call of a function is such a moment, and whoever comes next puts it in order."""
    command = [sys.executable, "-m", "tests.killed_writing", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    calls, *met = done.stdout.split()
    assert met == ["new", "old"]
    assert int(calls) > 100


def test_a_disk_that_refuses_leaves_the_old_files(tmp_path: Path) -> None:
    """And none of the new ones."""
    write_together(tmp_path, writers("old"))

    def refuse(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_together(tmp_path, writers("new") | {"d.bin": refuse})
    assert contents(tmp_path) == {"a.bin": "old", "b.bin": "old", "c.bin": "old"}


@pytest.mark.parametrize("text", ["{", "3", '["../outside"]', '["a/b"]'])
def test_a_list_that_train_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    """No file outside of the folder is named."""
    (tmp_path / LIST).write_text(text)
    with pytest.raises(GnetError, match="expected a list of files that train writes"):
        finish_writing(tmp_path)


def test_parameters_are_named_once() -> None:
    """Tied ones by their first name."""
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = module[0].weight
    names: dict[Tensor, str] = named_parameters(module)
    assert list(names.values()) == ["0.weight", "0.bias", "1.bias"]
