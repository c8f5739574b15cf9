"""The first spec that `gnet-inspect init` writes."""

import shlex
from pathlib import Path

import pytest

from gnet_inspect.language import parse_spec
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_it_tells_to_try_works(run: Run, folder: Path) -> None:
    """Three commands: the table, the picture, the check."""
    result = run("init", "my net.yaml")
    assert (result.code, result.out) == (0, "")
    said, *lines = result.err.splitlines()
    assert said == "wrote my net.yaml. What to try next:"
    commands = [shlex.split(line)[1:] for line in lines]
    assert [command[0] for command in commands] == ["summary", "diagram", "validate"]
    for command in commands:
        assert run(*command).code == 0
    assert "<svg" in (folder / "my net.svg").read_text()
    out = run(*commands[0]).out
    assert out.startswith("my_net\n")
    assert "inception1" in out


def test_it_builds(run: Run) -> None:
    """As a module whose output is one score for each class."""
    torch = pytest.importorskip("torch")
    from gnet_inspect.runtime.module import build_module

    module = build_module(build_graph(parse_spec(run("init", "-").out)))
    assert module.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


def test_its_comments_say_edits_that_work(run: Run, folder: Path) -> None:
    """Those that it names for --set."""
    run("init")
    text = (folder / "mine.yaml").read_text()
    edits = [word.strip(".,") for line in text.splitlines() for word in line.split() if "=" in word and "[" in word]
    assert "classes=100" in text
    assert edits == ["inception1.c3=[24,48]"]
    for edit in ("classes=100", *edits):
        assert edit in run("summary", "mine.yaml", "--set", edit).out


def test_nothing_is_overwritten(run: Run, folder: Path) -> None:
    """A file, a folder, a link to nowhere; the name that is offered is free."""
    (folder / "a.yaml").write_text("mine")
    (folder / "a_new.yaml").mkdir()
    (folder / "b.yaml").symlink_to(folder / "nowhere")
    for name, offered in (("a.yaml", "a_new_new.yaml"), ("b.yaml", "b_new.yaml")):
        result = run("init", name)
        assert (result.code, result.out) == (2, "")
        assert f"got '{name}', which is there and stays as it is. (gnet-inspect init {offered})" in result.err
        assert run("init", offered).code == 0
    assert (folder / "a.yaml").read_text() == "mine"
    assert not (folder / "nowhere").exists()


def test_a_name_that_is_no_specs_is_refused(run: Run, folder: Path) -> None:
    """With one that is."""
    assert "(gnet-inspect init x.yaml)" in run("init", "x.json").err
    assert "(gnet-inspect init vgg16.yaml, or gnet-inspect init --from vgg16 vgg16.yaml)" in run("init", "vgg16").err
    assert not list(folder.iterdir())
    assert run("init", "no/such/folder.yaml").code == 2


def test_a_copy_of_a_model_is_that_model(run: Run, folder: Path) -> None:
    """With a heading where it has published figures."""
    assert run("init", "--from", "googlenet", "a.yaml").code == 0
    text = (folder / "a.yaml").read_text()
    assert text.startswith("# A copy of googlenet, to change.")
    assert text.endswith(run("show", "googlenet").out)
    assert run("summary", "a.yaml").out == run("summary", "googlenet").out
    assert run("init", "--from", "a.yaml", "-").out.endswith(text)
    assert "did you mean `googlenet`" in run("init", "--from", "googlnet", "b.yaml").err
    assert "which has a text" in run("init", "--from", "torchvision:resnet18", "b.yaml").err
    assert not (folder / "b.yaml").exists()
    assert "(gnet-inspect init --from vgg16 a_new.yaml)" in run("init", "--from", "vgg16", "a.yaml").err
