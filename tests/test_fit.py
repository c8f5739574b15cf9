"""`fit`: training from Python."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from gnet_inspect import UsageError, build_graph, fit, load_spec
from gnet_inspect.records.training import TrainedRun

SPEC = Path(__file__).parent / "headed.yaml"


def images(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Bright left halves are of class 0, bright right halves of class 1."""
    labels = torch.arange(number) % 2
    x = torch.rand(number, 1, 12, 12, generator=torch.Generator().manual_seed(seed)) * 0.5
    x[labels == 0, :, :, :6] += 0.5
    x[labels == 1, :, :, 6:] += 0.5
    return x, labels


DATA = (images(64, 1), images(32, 2))


def small() -> nn.Module:
    """Of one layer."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 2))


def test_a_module_is_trained_in_place() -> None:
    """It has learned, and the run says how well."""
    module = small()
    fitted = fit(module, DATA, epochs=4, batch=8, lr=0.01)
    assert fitted.module is module
    assert not module.training
    best = fitted.run.best
    assert best is not None
    assert best.val_accuracy == 1.0
    assert (fitted.run.train_images, fitted.run.val_images, fitted.run.recipe.classes) == (64, 32, 2)
    x, labels = DATA[1]
    mean, deviation = fitted.run.recipe.mean[0], fitted.run.recipe.deviation[0]
    assert torch.equal(module((x - mean) / deviation).argmax(1), labels)


def test_the_same_call_trains_the_same_module() -> None:
    """From a pair of tensors, of arrays or of a torch Dataset; what the user seeded does not matter."""
    pytest.importorskip("numpy")
    arrays = tuple((x.numpy(), y.numpy()) for x, y in DATA)
    datasets = tuple(TensorDataset(x, y) for x, y in DATA)
    weights = []
    for number, data in enumerate((DATA, arrays, datasets)):
        torch.manual_seed(number)
        module = small()
        fit(module, data, epochs=2, batch=8)
        weights.append(module[1].weight)  # type: ignore[index]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_a_graph_has_its_heads_and_a_spec_is_fitted() -> None:
    """Both with a network built here."""
    graph = build_graph(load_spec(SPEC), (4, 1, 12, 12), overrides={"classes": 2}, mode="train")
    run = fit(graph, DATA, epochs=1, batch=8).run
    assert run.recipe.heads == {"aux": 0.3}
    assert run.recipe.init == "he"
    fitted = fit(load_spec(SPEC), DATA, epochs=1, batch=8, head_weight=0.5, freeze=["conv1"])
    assert fitted.run.recipe.heads == {"aux": 0.5}
    assert fitted.run.recipe.classes == 2
    assert fitted.run.trainable_params < fitted.run.params
    with pytest.raises(UsageError, match="expected scores N x 2, the classes of the data"):
        fit(build_graph(load_spec(SPEC)), DATA)


def test_a_folder_keeps_the_run_and_it_goes_on(tmp_path: Path) -> None:
    """To the same weights; without `resumes` it is not written over."""
    fit(small(), DATA, epochs=2, batch=8, folder=tmp_path / "run")
    assert (tmp_path / "run" / "last.safetensors").exists()
    again = fit(small(), DATA, epochs=2, batch=8, folder=tmp_path / "run", resumes=True)
    assert len(again.run.epochs) == 2
    with pytest.raises(UsageError, match="holds a run already"):
        fit(small(), DATA, epochs=2, batch=8, folder=tmp_path / "run")


def test_what_does_not_fit_together_is_refused() -> None:
    """In the words of Python's arguments."""
    with pytest.raises(UsageError, match=r"expected a torch\.nn\.Module, a Graph or a Spec"):
        fit("googlenet", DATA)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="data: expected a name"):
        fit(small(), 3)
    with pytest.raises(UsageError, match="optimizer: expected one of torch's names"):
        fit(small(), DATA, optimizer="sdg")
    with pytest.raises(UsageError, match="expected scores 2 x 2 classes of its output, got 2x5"):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(144, 5)), DATA)


class FakeDisplay:
    """What a notebook shows: the outputs of a cell, each drawn anew in its place."""

    def __init__(self) -> None:
        self.shown: list[TrainedRun] = []

    def display(self, value: TrainedRun, display_id: bool) -> "FakeDisplay":
        """Begin an output."""
        assert display_id
        self.update(value)
        return self

    def update(self, value: TrainedRun) -> None:
        """Draw it anew."""
        self.shown.append(value)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> FakeDisplay:
    """IPython with a kernel, as far as it is asked."""
    fake = FakeDisplay()
    shell: Any = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    return fake


def test_a_notebook_has_a_table_that_grows(notebook: FakeDisplay) -> None:
    """A line for each epoch, in one output; the cell ends with the whole of it."""
    fitted = fit(small(), DATA, epochs=3, batch=8)
    assert [len(run.epochs) for run in notebook.shown] == [0, 1, 2, 3]
    html = fitted._repr_html_()
    assert "<table" in html
    assert "val accuracy" in html


def test_elsewhere_nothing_is_said_unless_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each epoch then."""
    fit(small(), DATA, epochs=2, batch=8)
    assert capsys.readouterr().out == ""
    fitted = fit(small(), DATA, epochs=2, batch=8, live=True)
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["epoch 1", "epoch 2"]
    assert "val accuracy" in str(fitted)
    assert len(repr(fitted)) <= 160
