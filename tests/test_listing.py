"""A Python file that is given alone: what it has is told, and nothing of it is run."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gnet_inspect.errors import SpecError
from gnet_inspect.sources.python.listing import MAX_BYTES, candidates
from tests.conftest import Run

CODE = '''
import sys
import torch.nn as layers
from torch import nn
from torch.nn import Module as M
from torchvision import models

sys.exit("it was run")


class Base(M):
    def __init__(self, width: int = 64, *, act=nn.ReLU): ...
    def forward(self, x, mask=None): ...


class Block(Base):
    pass


class Net(nn.Module):
    def __init__(self, depths, classes=1000):
        self.body = Block(3)

    def forward(self, x: "Tensor") -> "Tensor": ...


class Config(dict):
    """None of torch's."""


def _make(*depths, **more):
    return Net(depths, **more)


def net18(classes=10, name="a name that is long enough to be left out"):
    net = _make(2, 2, classes=classes)
    return net


def net50(weights=None) -> "nn.Module":
    raise NotImplementedError


def resnet():
    return models.resnet50()


def loss(a, b):
    def net():
        return Net(a)

    return layers.functional.mse_loss(a, b)


criterion = nn.CrossEntropyLoss()
try:
    net: nn.Module = nn.Sequential(nn.Linear(3, 4))
except ImportError:
    config = Config()
if __name__ == "__main__":
    script = Net(3)
'''


def test_what_looks_like_a_network_is_listed() -> None:
    """Through classes and functions of the file, whatever torch is called; in the order of lines, parts last."""
    found = [(each.describe(), each.line, each.forward, each.is_part) for each in candidates(CODE.encode(), "net.py")]
    assert (
        found
        == [
            ("class Net(depths, classes=1000)", 20, "x", False),
            ("def net18(classes=10, name=...)", 35, None, False),
            ("def net50(weights=None)", 40, None, False),
            ("def resnet()", 44, None, False),
            ("net = nn.Sequential(nn.Linear(3, 4))", 57, None, False),
            ("class Base(width=64, *, act=nn.ReLU)", 11, "x, mask=None", True),
            ("class Block(width=64, *, act=nn.ReLU)", 16, "x, mask=None", True),
        ]
        or sorted(found, key=lambda each: each[3]) == found
    )


def test_the_choice_is_told_with_a_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each, and what to type, for a path that a shell takes apart too; nothing on standard output."""
    monkeypatch.chdir(tmp_path)
    for name, typed in (("net.py", "./net.py:net18"), ("my net.py", "'./my net.py:net18'")):
        Path(name).write_text(CODE, encoding="utf-8")
        result = run("summary", name)
        lines = result.err.splitlines()
        assert (result.code, result.out) == (2, "")
        assert lines[0] == f"error: expected ./{name}:NAME, got the file alone, which was not run. It has:"
        assert "  class Net(depths, classes=1000)        line 20  forward(x)" in lines
        assert lines[-1] == f"run: gnet-inspect summary {typed} --input 1x3x224x224"
        assert max(map(len, lines)) <= 120


def test_what_must_be_given_is_told(run: Run, tmp_path: Path) -> None:
    """A class that needs arguments is called by a function of one's own."""
    path = tmp_path / "net.py"
    path.write_text("from torch import nn\nclass Net(nn.Module):\n  def __init__(self, a, b=1, *, c): ...\n")
    assert "`def net(): return Net(a=..., c=...)`" in run("compare", "vgg11", str(path)).err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (\n", "net.py:1: expected Python, got '(' was never closed"),
        ("x = 1\n", "expected a Python file with a module of torch"),
        ("", "expected a Python file with a module of torch"),
        ("a\0b", "expected Python, got source code string cannot contain null bytes"),
        ("# coding: klingon\n", "expected Python, got "),
        ("x = " + "(" * 5_000, "expected Python, got "),
        ("x = " + "-" * 100_000 + "1", "expected Python, got "),
        ("x" * (MAX_BYTES + 1), f"expected at most {MAX_BYTES:,} bytes, got more"),
    ],
)
def test_what_is_no_network_is_told(run: Run, tmp_path: Path, text: str, said: str) -> None:
    """In a sentence, and at once."""
    path = tmp_path / "net.py"
    path.write_text(text, encoding="utf-8")
    result = run("summary", str(path))
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_no_file_is_told(run: Run, tmp_path: Path) -> None:
    """A name that is not there, and a folder."""
    assert "got 'nope.py', which does not exist" in run("summary", "nope.py").err
    folder = tmp_path / "a.py"
    folder.mkdir()
    assert "cannot read" in run("summary", str(folder)).err


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"class C{index}(C{index + 1}): 0\n" for index in range(20_000)) + "class C20000(nn.Module): 0\n",
        "class A(A): 0\nclass B(C): 0\nclass C(B, nn.Module): 0\n",
        "x = nn." + "a." * 5_000 + "Net(" + "+".join("1" * 900) + ")\n",
    ],
)
def test_a_large_or_circular_file_is_listed_at_once(text: str) -> None:
    """Twenty thousand classes, each of the next; classes of each other; names and sums without end."""
    with suppress(SpecError):
        candidates(text.encode(), "net.py")


def test_torch_is_not_imported(tmp_path: Path) -> None:
    """Nor is the file."""
    path = tmp_path / "net.py"
    path.write_text(CODE, encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from gnet_inspect.sources.python.listing import choice_in\n"
        f"choice_in(Path({str(path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
