"""Training: a step beside a hand-written loop, what converges, and what auxiliary heads bring.

`python -m benchmarks.training --save` keeps what docs/training.md quotes.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.measure import HEADER, Ratio, milliseconds
from gnet_inspect import load_spec
from gnet_inspect.records.runs import read_run
from gnet_inspect.records.training import CLIP, Recipe
from gnet_inspect.runtime.training.data.batches import Source
from gnet_inspect.runtime.training.data.sets import DataSet, open_data
from gnet_inspect.runtime.training.loop import Place
from gnet_inspect.runtime.training.networks import Trainee, fit_spec
from gnet_inspect.runtime.training.recipe import make_recipe
from gnet_inspect.runtime.training.runs import Job, begin, views_of

RESULTS = Path(__file__).with_name("training.txt")
NETWORKS = Path(__file__).parent.parent / "docs" / "networks"
ROUNDS, STEPS = 15, 40
MOST = 1.05


class Trial(NamedTuple):
    """A run on digits: what it is called, the network, what is said beside the defaults, and for how many epochs."""

    what: str
    network: str
    flags: tuple[str, ...]
    epochs: int


SGD = ("--optimizer", "SGD: {momentum: 0.9}", "--lr", "0.03", "--clip", "0")
ADAM = ("--optimizer", "Adam", "--lr", "0.002", "--clip", "0")
FAST = ("--lr", "0.005")
TRIALS = (
    Trial("small_googlenet, --lr 0.005", "small_googlenet", FAST, 6),
    Trial("googlenet_d2l_eighth, the defaults", "googlenet_d2l_eighth", (), 8),
    Trial("  --lr 0.005", "googlenet_d2l_eighth", FAST, 8),
    Trial("  Adam, 0.002, no clipping", "googlenet_d2l_eighth", ADAM, 8),
    Trial("  --lr 0.005 --init xavier", "googlenet_d2l_eighth", (*FAST, "--init", "xavier"), 8),
    Trial("  --lr 0.005 --init paper", "googlenet_d2l_eighth", (*FAST, "--init", "paper"), 8),
    Trial("  --lr 0.005 --init torch", "googlenet_d2l_eighth", (*FAST, "--init", "torch"), 8),
    Trial("  --init torch, SGD, 0.03, no clipping", "googlenet_d2l_eighth", ("--init", "torch", *SGD), 8),
    Trial("  --init he, SGD, 0.03, no clipping", "googlenet_d2l_eighth", SGD, 8),
)
HEADED, HEAD_EPOCHS, SEEDS = "googlenet_eighth", 8, (0, 1, 2)


class Trained(NamedTuple):
    """What a trial came to: the best accuracy, after which epoch, and the seconds of a processor that it took."""

    accuracy: float
    epoch: int
    seconds: float


def measure() -> list[Ratio]:
    """The time of a step, in turns with a loop as one writes it by hand: the same module, data and recipe."""
    torch.set_num_threads(1)
    data = open_data("digits")
    ours, theirs = _own_steps(data), _hand_written_steps(data)
    ratios, times = [], []
    for run in (ours, theirs):
        run()
    for _ in range(ROUNDS):
        mine, peer = _seconds(ours), _seconds(theirs)
        ratios.append(mine / peer)
        times.append((mine / STEPS, peer / STEPS))
    mine, peer = (median(column) for column in zip(*times, strict=True))
    return [
        Ratio(
            "a step of train / of a hand-written loop",
            milliseconds(mine),
            milliseconds(peer),
            median(ratios),
            "at most",
            MOST,
        )
    ]


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _made(data: DataSet) -> tuple[Trainee, Recipe]:
    """The small GoogLeNet, and its recipe."""
    path = NETWORKS / "small_googlenet.yaml"
    trainee = fit_spec(load_spec(path), path.read_text(), classes=10, channels=1)
    return trainee, make_recipe(str(path), trainee, data, {"epochs": 1000})


def _own_steps(data: DataSet) -> Callable[[], None]:
    """So many steps of ours, of a run that is long enough never to end."""
    trainee, recipe = _made(data)
    training = begin(Job(recipe, trainee, data, Place("cpu", 1, save_every=10**9))).training
    batches: Iterator[tuple[Tensor, Tensor]] = iter(())

    def run() -> None:
        nonlocal batches
        training.module.train()
        for _ in range(STEPS):
            batch = next(batches, None)
            if batch is None:
                training.position = training.position._replace(batch=0, epoch=training.position.epoch + 1)
                batches = training._batches()
                batch = next(batches)
            training._take_step(*batch)
            training._keep_sometimes()

    return run


def _hand_written_steps(data: DataSet) -> Callable[[], None]:
    """The loop that one writes: images prepared once, an order drawn for each epoch, AdamW, cosine, clipping, heads."""
    trainee, recipe = _made(data)
    module = trainee.build()
    optimizer = torch.optim.AdamW(module.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000 * 44)
    assert data.train is not None
    source = Source(data.train, views_of(recipe), training=False)
    images, labels = source.fetch(0, torch.arange(len(source)))
    order, place, total = torch.randperm(len(images)), 0, 0.0

    def batch() -> tuple[Tensor, Tensor]:
        nonlocal order, place
        if place + recipe.batch > len(images):
            order, place = torch.randperm(len(images)), 0
        chosen = order[place : place + recipe.batch]
        place += recipe.batch
        return images[chosen], labels[chosen]

    def run() -> None:
        nonlocal total
        module.train()
        for _ in range(STEPS):
            x, y = batch()
            optimizer.zero_grad()
            output = module(x)
            loss = nn.functional.cross_entropy(output.logits, y)
            for name, head in output.heads.items():
                loss = loss + recipe.heads[name] * nn.functional.cross_entropy(head, y)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            total += loss.item()

    return run


def train(network: str, epochs: int, *flags: str) -> Trained:
    """A run of the command, in one thread."""
    with tempfile.TemporaryDirectory() as folder:
        line = [
            *(sys.executable, "-m", "gnet_inspect", "train", str(NETWORKS / f"{network}.yaml"), "--data", "digits"),
            *("--epochs", str(epochs), "--threads", "1", "-o", f"{folder}/run", "--format", "csv", *flags),
        ]
        child = os.spawnvpe(os.P_NOWAIT, sys.executable, line, os.environ | {"OMP_NUM_THREADS": "1"})
        _, status, usage = os.wait4(child, 0)
        if status:
            raise RuntimeError(f"{' '.join(line)} ended with {status}")
        best = read_run(Path(folder, "run")).best
    assert best is not None
    return Trained(best.val_accuracy, best.epoch, usage.ru_utime + usage.ru_stime)


def trials() -> list[str]:
    """What converges, and what does not."""
    lines = [f"{'digits, seed 0':<42}{'best accuracy':>14}{'at epoch':>10}{'CPU':>10}"]
    for trial in TRIALS:
        found = train(trial.network, trial.epochs, *trial.flags)
        at = f"{found.epoch} of {trial.epochs}"
        lines.append(f"{trial.what:<42}{found.accuracy:>14.4f}{at:>10}{found.seconds:>8.0f} s")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def heads() -> list[str]:
    """The paper's network with its heads and without, with three seeds, which begin with the same trunk."""
    lines = [
        f"{f'{HEADED}, {HEAD_EPOCHS} epochs, --lr 0.002':<42}{'':>4}"
        + "".join(f"{f'seed {seed}':>10}" for seed in SEEDS)
    ]
    lines[0] += f"{'mean':>10}"
    for what, flags in (("with heads, 0.3 each", ()), ("without heads", ("--head-weight", "0"))):
        found = [train(HEADED, HEAD_EPOCHS, "--lr", "0.002", "--seed", str(seed), *flags).accuracy for seed in SEEDS]
        row = "".join(f"{accuracy:>10.4f}" for accuracy in (*found, sum(found) / len(found)))
        lines.append(f"{what:<42}{'':>4}{row}")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> int:
    """The report on standard output; 1 where a step takes too long."""
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    load = f"{os.cpu_count()} processors at a load of {os.getloadavg()[0]:.1f}"
    ratios = measure()
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {load}", "", HEADER, *map(str, ratios)]
    lines += ["", *trials(), "", *heads()]
    print(*lines, sep="\n")
    if "--save" in sys.argv[1:]:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all(ratio.kept for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
