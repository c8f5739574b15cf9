"""MODEL as a module in Python, on every command that takes one: the network of docs/own-network.md."""

import json
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gnet_inspect.runtime.latency import Job, Protocol, improve_networks, improving  # noqa: E402
from gnet_inspect.runtime.latency.setting import Setting  # noqa: E402
from gnet_inspect.runtime.references import Given, Network, Reference  # noqa: E402
from tests.conftest import Run  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "own-network.md"
# 3 x 3 x 3 x 32 + 32, three blocks of 3 x 3 x 32 x 32 and 2 x 32, and 32 x 10 + 10.
ALL_STEPS = improving.steps_of
PARAMS = 896 + 3 * (9216 + 64) + 330
MACS = 1024 * (864 + 3 * 9216) + 320


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's network, and what else a file may have, in the folder where the command runs."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    more = "\n\ndef given():\n    return (torch.randn(2, 3, 64, 64),), {}\n\n\nbroken = 3\n"
    (tmp_path / "model.py").write_text(code[1] + more, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "./model.py:Net"


def test_summary_counts_it(run: Run, net: str) -> None:
    totals = json.loads(run("summary", net, "--input", "1x3x64x64", "--format", "json").out)["totals"]
    assert (totals["params"], totals["macs"]) == (PARAMS, MACS)
    wider = json.loads(run("summary", net, "--arg", "classes=3", "--inputs", "model.py:given", "--format", "json").out)
    assert wider["totals"]["params"] == PARAMS - 7 * 33
    assert wider["input"] == [2, 3, 64, 64]


@pytest.mark.parametrize("command", ["summary", "flops", "taps", "diagram", "roofline --on h200"])
def test_its_file_is_answered_as_it_is(run: Run, net: str, command: str) -> None:
    """The same text, to the letter, without its code."""
    assert run("trace", net, "--input", "1x3x64x64", "-o", "net.graph.json").code == 0
    words = command.split()
    result = run(*words, net, "--input", "1x3x64x64")
    assert (result.code, result.err) == (0, "")
    Path("model.py").unlink()
    assert run(*words, "net.graph.json") == result


def test_it_is_compared_and_reported(run: Run, net: str) -> None:
    compared = run("compare", "resnet18", net, "--input", "1x3x64x64", "--format", "json")
    assert json.loads(compared.out)["models"][1]["totals"]["macs"] == MACS
    assert run("report", net, "resnet18", "--input", "1x3x64x64", "-o", "net.html").code == 0
    assert "model.py:Net" in Path("net.html").read_text(encoding="utf-8")


def test_it_is_verified_and_timed(run: Run, net: str) -> None:
    verified = run("verify", net, "--input", "1x3x64x64")
    assert verified.code in (0, 3), verified  # 3 where torchinfo or fvcore is not installed
    assert "0 differ" in verified.out
    few = ("--warmup", "1", "--repeat", "2", "--device", "cpu", "--format", "json")
    timed = json.loads(run("latency", net, "--input", "1x3x64x64", *few).out)
    assert timed["results"][0]["model"] == "model.py:Net"
    assert timed["results"][0]["median_s"] > 0


def test_it_is_made_faster(run: Run, net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, with the output of its own code; what cannot be built anew is told, and the rest is tried."""
    monkeypatch.setattr(
        improving, "steps_of", lambda setting: [step for step in ALL_STEPS(setting) if step.name != "compile"]
    )
    few = ("--warmup", "1", "--repeat", "2", "--min-time", "0.01", "--device", "cpu", "--format", "json")
    record = json.loads(run("latency", net, "--optimize", "--input", "1x3x64x64", *few).out)
    eager, folded, *_ = record["results"]
    assert (eager["model"], folded["step"]) == ("model.py:Net", "fold batch norm")
    assert 0 < folded["output_error"] < 1e-5, folded
    assert folded["median_s"] > 0
    own = (
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.bn = torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)\n"
        "    def forward(self, x):\n"
        "        return self.bn(self.conv(x)).relu().clamp_min(0.1).mean((2, 3)), x\n"
        "net = Net()\n"
    )
    Path("own.py").write_text(own, encoding="utf-8")
    network = Network(Reference("./own.py:net", {}))
    module = network.build()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    traced = network.trace(Given(((1, 3, 16, 16),), {}), "eval")
    results = improve_networks(
        [Job(traced.made.graph, Setting(), traced)], Protocol(0.01, 2, 1), lambda *_: None
    ).results
    assert results[1].note.startswith("not possible: expected layers of the vocabulary, got clamp")
    assert [item.step for item in results[-2:]] == ["channels last", "bf16"]
    assert all(item.output_error is not None for item in results[-2:])
    after = network.build().state_dict()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)


def test_a_part_of_it_is_a_backbone(run: Run, net: str) -> None:
    cut = json.loads(run("summary", net, "--input", "1x3x64x64", "--until", "blocks", "--format", "json").out)
    assert cut["totals"]["params"] == PARAMS - 330
    assert cut["totals"]["unreached_params"] == 330


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("summary ./model.py", "expected ./model.py:NAME, got the file alone, which was not run"),
        (
            "summary ./model.py:Nett --input 1x3x64x64",
            "./model.py:Nett: expected an attribute of ./model.py, got 'Nett'",
        ),
        ("summary ./model.py:broken --input 1x3x64x64", "./model.py:broken: expected a torch.nn.Module, or a class"),
        ("summary ./none.py:Net --input 1x3x64x64", "./none.py:Net: expected a Python file, got './none.py'"),
        ("summary ./model.py:Net", "./model.py:Net: expected --input with a shape for Net.forward(images), got none"),
        ("summary ./model.py:Net --input 1x4x64x64", "./model.py:Net: `stem` (Conv2d) failed on inputs of 1x4x64x64"),
        ("summary ./model.py:Net --input 1x3xx", "--input: expected positive sizes, the batch first, got '1x3xx'"),
        ("summary ./model.py:Net --arg widht=3 --input 1x3x64x64", "./model.py:Net: expected the arguments of Net("),
        ("summary ./model.py:Net --set classes=3", "--set: expected a built-in name or a spec, got './model.py:Net'"),
        ("summary ./model.py:Net --input 1x3x64x64 --until stemm", "--until: expected the name of a layer, block,"),
        ("summary resnet18 --arg a=1", "--arg: expected a MODEL in Python, as ./file.py:NAME, got 'resnet18'"),
        ("show ./model.py:Net", "show: expected a built-in name or a spec, which has a text, got './model.py:Net'"),
        ("validate ./model.py:Net", "validate: expected a built-in name or a spec, which can be wrong, got "),
        ("trace ./model.py:Net --input 1x3x64x64 -o net.json", "-o: expected a file that ends in .graph.json, got "),
    ],
)
def test_what_is_wrong_is_told(run: Run, net: str, arguments: str, said: str) -> None:
    """Exit code 2, what it is, and no file."""
    result = run(*arguments.split())
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {said}")
    assert sorted(path.name for path in Path().iterdir() if path.is_file()) == ["model.py"]
