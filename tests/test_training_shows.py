"""What training must show: small GoogLeNets that learn from scratch, and the book's figures where its data is at
hand."""

import json
import os
from pathlib import Path

import pytest

from gnet_inspect.records.runs import read_run
from tests.conftest import Run

NETWORKS = Path(__file__).parent.parent / "docs" / "networks"
QUICK = ("--data", "digits", "--threads", "1")

pytest.importorskip("sklearn", reason="digits are scikit-learn's")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "flags"),
    [
        ("small_googlenet", ("--epochs", "5", "--lr", "0.005")),
        ("googlenet_d2l_eighth", ("--epochs", "12", "--lr", "0.005", "--init", "he", "--optimizer", "Adam")),
    ],
)
def test_a_small_googlenet_learns_from_scratch(run: Run, tmp_path: Path, network: str, flags: tuple[str, ...]) -> None:
    """More than 95 of 100 digits, with BatchNorm and without."""
    line = ("train", str(NETWORKS / f"{network}.yaml"), *QUICK, *flags, "-o", str(tmp_path / "run"))
    assert run(*line).code == 0
    best = read_run(tmp_path / "run").best
    assert best is not None
    assert best.val_accuracy > 0.95


@pytest.mark.slow
def test_the_books_googlenet_comes_to_its_figures(run: Run, tmp_path: Path) -> None:
    """Dive into Deep Learning, first edition, section 7.4: 0.876 on what it learns from, 0.889 on the test images,
    after five epochs. The training figure is a mean over the last epoch's batches, while it still learns."""
    folder = os.environ.get("GNET_FASHION_MNIST")
    if not folder:
        pytest.skip("GNET_FASHION_MNIST names no folder with Fashion-MNIST's files")
    line = (
        *("train", "googlenet_d2l", "--data", f"fashion-mnist:{folder}", "--epochs", "5", "--batch", "128"),
        *("--optimizer", "SGD", "--lr", "0.1", "--schedule", "constant", "--weight-decay", "0", "--clip", "0"),
        *("--init", "xavier", "-o", str(tmp_path / "d2l")),
    )
    assert run(*line).code == 0
    found = {}
    for split in ("train", "val"):
        done = run("evaluate", str(tmp_path / "d2l"), "--weights", "last", "--split", split, "--format", "json")
        found[split] = json.loads(done.out)["accuracy"]
    assert found["train"] == pytest.approx(0.876, abs=0.03)
    assert found["val"] == pytest.approx(0.889, abs=0.03)
