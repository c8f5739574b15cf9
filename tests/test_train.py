"""`train` and `evaluate`, as a user calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gnet_inspect import build_graph, build_module, load_spec, load_weights
from gnet_inspect.records.runs import read_recipe, read_run
from gnet_inspect.runtime.training import folder as folders
from gnet_inspect.runtime.training import memory
from gnet_inspect.runtime.training.data.batches import Source
from gnet_inspect.runtime.training.data.sets import open_data
from gnet_inspect.runtime.training.keeping import LIST, NEW
from gnet_inspect.runtime.training.runs import views_of
from tests.conftest import Run
from tests.killed_training import differing, job_of, train_in_parts

SPEC = str(Path(__file__).parent / "headed.yaml")
QUICK = ("--data", "digits", "--epochs", "2", "--batch", "128", "--threads", "1")
FILES = {
    *("spec.yaml", "config.yaml", "environment.json", "metrics.csv", "log.jsonl", "state.json", "state.safetensors"),
    *("last.safetensors", "best.safetensors", "best_without_heads.safetensors"),
}

pytest.importorskip("sklearn", reason="digits are scikit-learn's")


def same_files(one: Path, two: Path) -> list[str]:
    """The files of a run that are equal to the byte in another."""
    return [name for name in sorted(FILES) if (one / name).read_bytes() == (two / name).read_bytes()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, which nothing changes."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    command = [sys.executable, "-m", "gnet_inspect", "train", SPEC, *QUICK, "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return folder


def test_a_run_is_a_folder(trained: Path) -> None:
    """All that is said to be in it, and nothing else."""
    assert {path.name for path in trained.iterdir()} == FILES
    run = read_run(trained)
    assert run.finished
    assert [(epoch.epoch, epoch.step) for epoch in run.epochs] == [(1, 11), (2, 22)]
    assert all(0 <= epoch.val_accuracy <= 1 for epoch in run.epochs)
    assert (trained / "metrics.csv").read_text().startswith("epoch,step,lr,train_loss,val_loss,val_accuracy\n1,11,")
    assert run.recipe.heads == {"aux": 0.3}
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in log] == ["begin", "epoch", "epoch"]


def test_weights_are_with_heads_and_without(trained: Path) -> None:
    """Those with them load into the network without, and those without strictly."""
    with_heads, bare = load_file(trained / "best.safetensors"), load_file(trained / "best_without_heads.safetensors")
    assert {name for name in with_heads if name not in bare} == {"aux.fc.weight", "aux.fc.bias"}
    assert all(torch.equal(bare[name], with_heads[name]) for name in bare)
    graph = build_graph(load_spec(trained / "spec.yaml"))
    one, two = build_module(graph), build_module(graph)
    assert load_weights(one, trained / "best.safetensors", leave="heads").complete
    two.load_state_dict(bare, strict=True)
    x = torch.rand(3, 1, 12, 12)
    assert torch.equal(one.eval()(x), two.eval()(x))


def test_the_same_line_trains_the_same_network(run: Run, trained: Path, tmp_path: Path) -> None:
    """To the byte, but for what tells of the clock and the machine."""
    assert run("train", SPEC, *QUICK, "-o", str(tmp_path / "run")).code == 0
    assert set(same_files(trained, tmp_path / "run")) >= FILES - {"log.jsonl", "environment.json"}


def test_another_seed_trains_another_one(run: Run, trained: Path, tmp_path: Path) -> None:
    """In all that is random."""
    assert run("train", SPEC, *QUICK, "--seed", "1", "-o", str(tmp_path / "run")).code == 0
    assert set(same_files(trained, tmp_path / "run")) <= {"spec.yaml", "environment.json"}


def test_killed_anywhere_it_comes_to_the_same_end(tmp_path: Path) -> None:
    """Twenty runs, each killed up to three times at a drawn call of a function: every file is the whole run's."""
    for workers, times in ((0, 20), (2, 4)):
        folder = tmp_path / str(workers)
        folder.mkdir()
        command = [sys.executable, "-m", "tests.killed_training", str(folder), "3", str(times), str(workers)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == times
        assert all(line.endswith(" []") for line in lines), done.stdout
        assert done.stdout.count("-9") >= times


@pytest.mark.parametrize(("workers", "steps"), [(0, 1), (0, 3), (0, 0), (2, 4)])
def test_asked_to_stop_it_keeps_where_it_stands(tmp_path: Path, workers: int, steps: int) -> None:
    """Between two steps, also before it evaluates; what goes on comes to the same."""
    job = job_of(workers)
    whole = train_in_parts(job, tmp_path / "whole", 10**6)
    assert train_in_parts(job, tmp_path / "parts", steps) == whole
    assert differing(tmp_path / "parts", tmp_path / "whole") == []


def test_a_run_that_is_over_is_shown_again(run: Run, trained: Path) -> None:
    """And nothing is trained."""
    kept = (trained / "last.safetensors").read_bytes()
    done = run("train", "--resume", str(trained), "--format", "csv")
    assert done.code == 0
    assert done.out == (trained / "metrics.csv").read_text()
    assert (trained / "last.safetensors").read_bytes() == kept


def test_one_line_begins_and_goes_on(run: Run, trained: Path, tmp_path: Path) -> None:
    """With --resume a run that is not there begins."""
    line = ("train", SPEC, *QUICK, "--resume", "-o", str(tmp_path / "run"))
    assert run(*line).code == 0
    assert run(*line).code == 0
    assert "metrics.csv" in same_files(trained, tmp_path / "run")
    # What a recipe keeps otherwise than it is typed.
    more = ("--clip", "0", "--mean", "0.3", "--deviation", "0.4", "--augment", "none", "--warmup", "1")
    typed = ("train", SPEC, *QUICK, *more, "--set", "conv1.out=5", "--resume", "-o", str(tmp_path / "more"))
    assert [run(*typed).code for _ in range(2)] == [0, 0]
    assert read_recipe(tmp_path / "more").clip is None


def test_another_number_of_threads_is_told(run: Run, trained: Path) -> None:
    """Because sums are added in another order then."""
    done = run("train", "--resume", str(trained), "--threads", "2")
    assert "begun with threads 1, and goes on with 2: sums are added in another order" in done.err
    assert "begun with" not in run("train", "--resume", str(trained)).err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--lr", "0.5"), "--lr: the run in "),
        (("--epochs", "9"), "was begun with 2, got 9. (leave it out to go on; another recipe is a new run"),
        (("--data", "mnist:x"), "--data: the run in"),
        (("--optimizer", "SGD"), "--optimizer: the run in"),
    ],
)
def test_a_run_goes_on_with_its_own_recipe(run: Run, trained: Path, flags: tuple[str, ...], message: str) -> None:
    """What is the same may be said again."""
    done = run("train", "--resume", str(trained), *flags)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert run("train", "--resume", str(trained), "--lr", "0.001", "--data", "digits").code == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ((SPEC,), "-o: expected the folder of the run, got none"),
        (("-o", "x"), "expected a MODEL to train, got none"),
        (("--resume",), "--resume: expected the folder of a run, got none"),
        (("--resume", "nowhere"), "--resume: expected the folder of a run, got 'nowhere', which holds none"),
        ((SPEC, "-o", "x", "--data", "digitz"), "digits"),
        ((SPEC, "-o", "x", "--lr", "nan"), "--lr: expected a number above 0, got nan"),
        ((SPEC, "-o", "x", "--epochs", "0"), "--epochs: expected 1 to 100,000, got 0"),
        ((SPEC, "-o", "x", "--batch", "100000"), "1,437"),
        ((SPEC, "-o", "x", "--init", "kaiming"), "--init: expected he, xavier, paper, torch, own"),
        ((SPEC, "-o", "x", "--optimizer", "sdg"), "did you mean `SGD`?"),
        ((SPEC, "-o", "x", "--optimizer", "{SGD: [1]}"), "--optimizer: expected a name, or a name with arguments"),
        ((SPEC, "-o", "x", "--schedule", "StepLR"), "--schedule: torch refuses these arguments of StepLR"),
        ((SPEC, "-o", "x", "--warmup", "11"), "--warmup: expected at most the 10 epochs of the run, got 11"),
        ((SPEC, "-o", "x", "--augment", "flop"), "flip"),
        ((SPEC, "-o", "x", "--mean", "1,2"), "--mean: expected 1 numbers, one for each channel, got 2"),
        ((SPEC, "-o", "x", "--deviation", "0"), "--deviation: expected a number above 0 for each channel"),
        ((SPEC, "-o", "x", "--leave", "fc"), "there is no --init-from"),
        ((SPEC, "-o", "x", "--init-from", "nowhere.pth"), "--init-from: "),
        ((SPEC, "-o", "x", "--freeze", "nothing"), "expected the path of layers with parameters to freeze"),
        ((SPEC, "-o", "x", "--input", "12x"), "--input: expected a size, as 96 or 96x64, got '12x'"),
        ((SPEC, "-o", "x", "--amp", "fp8"), "--amp: expected fp16, bf16, got 'fp8'"),
        ((SPEC, "-o", "x", "--workers", "-1"), "--workers: expected 0 to 256, got -1"),
        ((SPEC, "-o", "x", "--arg", "a=1"), "--arg: expected a MODEL in Python"),
        (("unet", "-o", "x"), "expected scores N x 10, the classes of the data, of the output of unet"),
        (("googlenet", "-o", "x", "--input", "32"), "layer `aux1.pool` cannot take its input"),
        (("nowhere", "-o", "x"), "nowhere"),
    ],
)
def test_a_line_that_cannot_be_trained_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], message: str
) -> None:
    """Before anything is written."""
    monkeypatch.chdir(tmp_path)
    done = run("train", *line)
    assert (done.code, done.out) == (2, "")
    assert message in done.err, done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(run: Run, trained: Path, tmp_path: Path) -> None:
    """A run is not written over, and nothing is put beside a user's files."""
    done = run("train", SPEC, *QUICK, "-o", str(trained))
    assert done.code == 2
    assert "holds a run already. (--resume goes on with it" in done.err
    (tmp_path / "notes.txt").write_text("mine")
    done = run("train", SPEC, *QUICK, "-o", str(tmp_path))
    assert (done.code, "which holds notes.txt" in done.err) == (2, True)
    done = run("train", SPEC, *QUICK, "-o", str(tmp_path / "notes.txt"))
    assert (done.code, "expected a folder for the run, got the file" in done.err) == (2, True)


def test_a_folder_that_a_kill_left_half_laid_out_is_gone_on_with(run: Run, trained: Path, tmp_path: Path) -> None:
    """Its list says which files are new; a user's own, whatever they are called, are left alone."""
    folder = tmp_path / "run"
    folder.mkdir()
    names = ("spec.yaml", "config.yaml", "environment.json", "metrics.csv")
    for name in names:
        (folder / (name + NEW)).write_bytes((trained / name).read_bytes())
    (folder / LIST).write_text(json.dumps(names))
    assert run("train", "--resume", str(folder)).code == 0
    assert set(same_files(trained, folder)) >= FILES - {"log.jsonl", "environment.json"}
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.new").write_text("mine")
    assert run("train", "--resume", str(mine)).code == 2
    assert run("train", SPEC, *QUICK, "-o", str(mine)).code == 2
    assert (mine / "notes.new").read_text() == "mine"


def test_a_loss_that_is_no_number_ends_the_run(run: Run, tmp_path: Path) -> None:
    """With the step, and with the last good state to look at."""
    # No BatchNorm keeps its values small.
    (tmp_path / "plain.yaml").write_text(
        "name: plain\ninput: [1, 8, 8]\nstages: {all: {flatten: Flatten, a: {Linear: {out_features: 64}}, relu: ReLU, "
        "b: {Linear: {out_features: 64}}, relu2: ReLU, fc: {Linear: {out_features: 10}}}}\n"
    )
    line = ("train", str(tmp_path / "plain.yaml"), *QUICK, "-o", str(tmp_path / "run"), "--lr", "1e5", "--clip", "0")
    done = run(*line, "--save-every", "1", "--warmup", "0", "--optimizer", "SGD")
    assert done.code == 1
    assert "the training diverged: " in done.err
    assert "The last good state is kept in" in done.err
    kept = load_file(tmp_path / "run" / "last.safetensors")
    assert all(bool(value.isfinite().all()) for value in kept.values())


def test_a_full_disk_ends_the_run_and_it_goes_on(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is room again, to the same weights."""
    folder, write, left = tmp_path / "run", save_file, [5]

    def full(*arguments: Any, **named: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(*arguments, **named)

    monkeypatch.setattr(folders, "save_file", full)
    done = run("train", SPEC, *QUICK, "-o", str(folder), "--save-every", "4")
    assert done.code == 2
    assert "No space left on device; its last state is as it was" in done.err
    assert json.loads((folder / "state.json").read_text())["step"] == 8
    monkeypatch.undo()
    assert run("train", "--resume", str(folder)).code == 0
    assert "last.safetensors" in same_files(trained, folder)
    assert "metrics.csv" in same_files(trained, folder)


def test_a_batch_that_does_not_fit_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the largest that does."""
    monkeypatch.setattr(memory, "free_memory", lambda _: 500_000)
    done = run("train", SPEC, "--batch", "1024", "-o", str(tmp_path / "run"))
    assert done.code == 3
    assert "(take --batch " in done.err
    batch = done.err.rpartition("--batch ")[2].rstrip(")\n")
    assert run("train", SPEC, "--batch", batch, "--epochs", "1", "-o", str(tmp_path / "run")).code == 0


def test_fine_tuning_begins_from_a_file(run: Run, trained: Path, tmp_path: Path) -> None:
    """The head is left as it is drawn, what is frozen is as it was in the file."""
    begun = str(trained / "best_without_heads.safetensors")
    line = (
        "train",
        SPEC,
        *QUICK,
        "-o",
        str(tmp_path / "run"),
        "--init-from",
        begun,
        "--freeze",
        "conv1",
        "--seed",
        "5",
    )
    refused = run(*line)
    assert refused.code == 2
    assert "--init-from: " in refused.err
    assert "heads" in refused.err
    done = run(*line, "--leave", "heads")
    assert done.code == 0
    assert "begins from" in done.err
    before, after = load_file(begun), load_file(tmp_path / "run" / "last.safetensors")
    assert torch.equal(before["conv1.conv.weight"], after["conv1.conv.weight"])
    assert not torch.equal(before["conv2.conv.weight"], after["conv2.conv.weight"])


def test_heads_are_weighed_and_left_out(run: Run, tmp_path: Path) -> None:
    """0 is a network without them."""
    assert run("train", SPEC, *QUICK, "-o", str(tmp_path / "a"), "--head-weight", "0.5").code == 0
    assert read_recipe(tmp_path / "a").heads == {"aux": 0.5}
    assert load_spec(tmp_path / "a" / "spec.yaml").heads[0].weight == 0.5
    assert run("train", SPEC, *QUICK, "-o", str(tmp_path / "b"), "--head-weight", "0").code == 0
    assert read_recipe(tmp_path / "b").heads == {}
    assert "aux.fc.weight" not in load_file(tmp_path / "b" / "last.safetensors")
    assert not (tmp_path / "b" / "best_without_heads.safetensors").exists()


def test_everything_else_trains(run: Run, tmp_path: Path) -> None:
    """Mixed precision, channels last, an average, smoothing, a schedule with arguments, images of three channels."""
    flags = (
        *("--amp", "bf16", "--channels-last", "--ema", "0.9", "--label-smoothing", "0.1", "--augment", "paper"),
        *("--schedule", "StepLR: {step_size: 1, gamma: 0.5}", "--optimizer", "{RMSprop: {momentum: 0.5}}"),
        *("--set", "conv1.out=3", "--init", "xavier", "--warmup", "0.5", "--workers", "1"),
    )
    done = run("train", SPEC, *QUICK, *flags, "-o", str(tmp_path / "run"), "--format", "json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["epochs"][1]["lr"] == pytest.approx(result["epochs"][0]["lr"] / 2)
    assert result["recipe"]["optimizer_options"] == {"momentum": 0.5}
    assert run("evaluate", str(tmp_path / "run")).code == 0
    colored = run(
        "train", "squeezenet1_1", *QUICK, "--no-resize", "--input", "32", "--epochs", "1", "-o", str(tmp_path / "c")
    )
    assert colored.code == 0, colored.err
    assert read_recipe(tmp_path / "c").input == (3, 32, 32)


def test_a_module_in_python_is_trained(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With outputs in a tuple, whose second is a head; and it goes on, and is evaluated."""
    (tmp_path / "own.py").write_text(
        "from torch import nn\n\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, classes=10):\n"
        "        super().__init__()\n"
        "        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())\n"
        "        self.head, self.fc = nn.Linear(16, classes), nn.Linear(16, classes)\n\n"
        "    def forward(self, x):\n"
        "        x = self.body(x)\n"
        "        return (self.fc(x), self.head(x)) if self.training else self.fc(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    line = ("train", "./own.py:Net", *QUICK, "--input", "1x8x8", "-o", "run")
    done = run(*line)
    assert done.code == 0, done.err
    assert read_recipe(tmp_path / "run").heads == {"1": 0.3}
    assert not (tmp_path / "run" / "spec.yaml").exists()
    assert run("train", "--resume", "run").code == 0
    assert run("evaluate", "run").code == 0
    refused = run("train", "./own.py:Net", *QUICK, "--input", "1x8x8", "-o", "other", "--arg", "classes=4")
    assert refused.code == 2
    assert "expected scores 2 x 10 classes of its output, got 2x4" in refused.err


def test_an_evaluation_counts_every_image(run: Run, trained: Path, tmp_path: Path) -> None:
    """The confusion matrix sums to the images, its diagonal to the accuracy, which is the best epoch's."""
    done = run("evaluate", str(trained), "--format", "json", "--worst", "5")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    matrix = found["confusion"]
    assert sum(map(sum, matrix)) == found["images"] == 360
    assert found["accuracy"] == sum(matrix[index][index] for index in range(10)) / 360
    best = read_run(trained).best
    assert best is not None
    assert (found["accuracy"], found["loss"]) == (best.val_accuracy, pytest.approx(best.val_loss, rel=1e-6))
    losses = [image["loss"] for image in found["worst"]]
    assert losses == sorted(losses, reverse=True)
    assert all(image["label"] != image["predicted"] for image in found["worst"])
    assert run("evaluate", str(trained), "--batch", "7", "--format", "json", "--worst", "5").out
    learned = json.loads(run("evaluate", str(trained), "--split", "train", "--format", "json").out)
    assert learned["images"] == 1437


def test_what_is_exported_recognises_as_many(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As source with the weights, and as ONNX, which has them."""
    best = read_run(trained).best
    assert best is not None
    recipe = read_recipe(trained)
    source = Source(open_data("digits").val, views_of(recipe), training=False)
    x, labels = source.fetch(0, torch.arange(len(source)))
    assert run("export", str(trained), "-o", str(tmp_path / "net.py")).code == 0
    space: dict[str, Any] = {"__name__": "net"}
    exec((tmp_path / "net.py").read_text(), space)
    made = next(value for value in reversed(space.values()) if isinstance(value, type))()
    made.load_state_dict(load_file(trained / "best_without_heads.safetensors"), strict=True)
    assert float((made.eval()(x).argmax(1) == labels).double().mean()) == best.val_accuracy
    onnxruntime = pytest.importorskip("onnxruntime")
    done = run("export", str(trained), "-o", str(tmp_path / "net.onnx"), "--dynamic-batch")
    assert done.code == 0, done.err
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (scores,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert float((torch.from_numpy(scores).argmax(1) == labels).double().mean()) == best.val_accuracy


def test_an_evaluation_is_drawn(run: Run, trained: Path, tmp_path: Path) -> None:
    """The matrix and the worst images, as svg and png."""
    for name, start in (("a.svg", b"<svg"), ("a.png", b"\x89PNG")):
        done = run("evaluate", str(trained), "--picture", str(tmp_path / name))
        assert done.code == 0, done.err
        assert start in (tmp_path / name).read_bytes()[:200]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--weights", "nowhere.pth"), "nowhere.pth"),
        (("--split", "test"), "--split: expected val, train, got 'test'"),
        (("--worst", "99"), "--worst: expected 0 to 36, got 99"),
        (("--picture", "a.gif"), "--picture: expected a file that ends in .svg or .png, got 'a.gif'"),
        (("--data", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_evaluation_is_refused(run: Run, trained: Path, flags: tuple[str, ...], message: str) -> None:
    """Before it is run."""
    done = run("evaluate", str(trained), *flags)
    assert (done.code, done.out) == (2, "")
    assert message in done.err, done.err


def test_what_is_no_run_is_not_evaluated(run: Run, tmp_path: Path) -> None:
    """A folder of something else."""
    done = run("evaluate", str(tmp_path))
    assert (done.code, "expected the folder of a run that `train` wrote" in done.err) == (2, True)
