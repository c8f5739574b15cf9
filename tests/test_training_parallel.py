"""Several processes train one network: what they come to is what one comes to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gnet_inspect.records.runs import read_run
from gnet_inspect.runtime.training.keeping import LIST, NEW

SPEC = str(Path(__file__).parent / "headed.yaml")
# Plain steps: where gradients are nearly nothing, Adam divides them by as little, and what was rounding grows.
LINE = (
    *("--data", "digits", "--epochs", "1", "--batch", "192", "--optimizer", "SGD", "--lr", "0.02", "--threads", "1"),
    *("--augment", "crop", "--ema", "0.5", "--set", "conv1.out=5"),
)

pytest.importorskip("sklearn", reason="digits are scikit-learn's")


def command(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, in one process or by torchrun in several."""
    runner = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    )
    line = [sys.executable, *runner, "-m", "gnet_inspect", "train", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """Within rounding: with BatchNorm over the batch of both, dropout by one mask, a head, an average; and what two
    began one goes on with."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert command(1, SPEC, *LINE, "-o", str(one)).returncode == 0
    done = command(2, SPEC, *LINE, "-o", str(two), "--format", "csv")
    assert done.returncode == 0, done.stderr
    # One of them tells, and writes.
    assert done.stdout == (two / "metrics.csv").read_text()
    assert done.stderr.count("epoch 1: loss") == 1
    found, expected = read_run(two).epochs[0], read_run(one).epochs[0]
    assert found.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
    assert found.val_loss == pytest.approx(expected.val_loss, rel=1e-5)
    assert found.val_accuracy == pytest.approx(expected.val_accuracy, abs=1 / 360)
    for name in ("last.safetensors", "best.safetensors"):
        mine, theirs = load_file(two / name), load_file(one / name)
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert torch.allclose(value.double(), theirs[key].double(), rtol=1e-3, atol=1e-5), (name, key)
    # A list that a kill left is finished by one of them.
    (two / f"log.jsonl{NEW}").write_bytes((two / "log.jsonl").read_bytes())
    (two / LIST).write_text('["log.jsonl"]')
    assert command(2, "--resume", str(two), "--format", "csv").stdout == done.stdout
    assert not (two / LIST).exists()
    again = command(1, "--resume", str(two))
    assert again.returncode == 0, again.stderr
    assert "it was begun with processes 2, and goes on with 1" in again.stderr


def test_what_does_not_fall_into_parts_is_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    done = command(2, SPEC, "--batch", "33", "-o", str(tmp_path / "run"))
    assert done.returncode != 0
    assert "--batch: expected a multiple of 2 processes, got 33. (take 32 or 34)" in done.stderr
    assert not (tmp_path / "run").exists()
