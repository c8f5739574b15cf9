"""A training run that is killed at a moment and goes on, in processes of its own:

    python -m tests.killed_training FOLDER SEED TIMES WORKERS

trains FOLDER/whole, and TIMES more runs, each of which was killed (SIGKILL) at a drawn call of a function, up to three
times, before it was resumed to its end. Prints how these ended, and which of their files are not those of the whole
run, to the byte.
"""

import random
import sys
from functools import partial
from pathlib import Path

import torch

from gnet_inspect import load_spec
from gnet_inspect.records.training import Epoch
from gnet_inspect.runtime.training.data.sets import DataSet, given_data
from gnet_inspect.runtime.training.folder import RunFolder
from gnet_inspect.runtime.training.loop import Place, StoppedError, Watch
from gnet_inspect.runtime.training.networks import fit_spec
from gnet_inspect.runtime.training.recipe import make_recipe
from gnet_inspect.runtime.training.runs import Job, begin, resume, run_training
from tests.killing import Count, Counter, in_child, killer

SPEC = Path(__file__).parent / "headed.yaml"
# What depends on the clock, or on who wrote it, is not among them.
FILES = (
    *("config.yaml", "spec.yaml", "metrics.csv", "state.json"),
    *("last.safetensors", "best.safetensors", "best_without_heads.safetensors", "state.safetensors"),
)
EPOCHS = 3


def images() -> DataSet:
    """Forty drawn images of ten classes to learn from, twenty to validate by."""
    draw = torch.Generator().manual_seed(1)
    pixels, labels = torch.rand(60, 1, 12, 12, generator=draw), torch.arange(60) % 10
    return given_data((pixels[:40], labels[:40]), (pixels[40:], labels[40:]))


def job_of(workers: int, device: str = "cpu", **more: object) -> Job:
    """Everything that is random, kept between steps or averaged: dropout, augmentation, momenta, an average, a head."""
    torch.set_num_threads(1)
    data = images()
    trainee = fit_spec(load_spec(SPEC), SPEC.read_text(), classes=10, channels=1)
    given = {"epochs": EPOCHS, "batch": 8, "ema": 0.9, "augment": ("flip", "crop"), **more}
    return Job(make_recipe(str(SPEC), trainee, data, given), trainee, data, Place(device, 1, workers, save_every=2))


def train_in_parts(job: Job, path: Path, steps: int) -> list[Epoch]:
    """The epochs of a run that is asked to stop after every so many steps, and goes on; after none of them, once while
    it evaluates each epoch."""
    folder = RunFolder(path)
    evaluated: set[str] = set()
    while True:
        taken, stops = 0, False

        def tell(amount: float, text: str) -> None:
            nonlocal taken, stops
            taken += int(amount)
            stops = taken >= steps if steps else text.startswith("evaluating") and text not in evaluated
            evaluated.update({text} if stops else ())

        watch = Watch(tell, stop=lambda: stops)  # noqa: B023  # it is asked within this turn alone
        ready = resume(job, folder, watch) if folder.holds_run() else begin(job, folder, watch)
        try:
            ready.training.run()
        except StoppedError:
            continue
        return ready.training.epochs


def train(path: Path, workers: int, count: Count | None = None) -> None:
    """Go on with a run, or begin it; calls are counted from when it is known what is trained."""
    job, folder = job_of(workers), RunFolder(path)
    sys.setprofile(count)
    folder.settle()
    ready = resume(job, folder) if folder.holds_run() else begin(job, folder)
    run_training(ready)
    sys.setprofile(None)


def calls_of(path: Path, workers: int) -> int:
    """How many calls a whole run is."""
    counter = Counter()
    train(path, workers, counter)
    return counter.calls


def differing(path: Path, whole: Path) -> list[str]:
    """The files that are not those of the whole run."""
    return [name for name in FILES if (path / name).read_bytes() != (whole / name).read_bytes()]


def main(folder: Path, seed: int, times: int, workers: int) -> None:
    """Kill, resume and compare."""
    whole = folder / "whole"
    train(whole, workers)
    # What is imported, and what torch makes once, is there by now, as it is in every child.
    calls = calls_of(folder / "counted", workers)
    draw = random.Random(seed)
    for number in range(times):
        path = folder / str(number)
        moments = [draw.randrange(1, calls) for _ in range(draw.randint(1, 3))]
        ends = [in_child(partial(train, path, workers, killer(moment))) for moment in moments]
        assert in_child(partial(train, path, workers)) == 0
        print(number, ends, differing(path, whole), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
