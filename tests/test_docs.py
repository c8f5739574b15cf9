"""README and docs say what the code does: outputs quoted whole, commands and snippets run, numbers recorded."""

import re
import shlex
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from gnet_inspect.analysis.audit import audit
from gnet_inspect.analysis.devices import ELEMENT_BYTES, KINDS, RATE, Device, parse_device
from gnet_inspect.errors import SpecError
from gnet_inspect.language import catalogue, load_spec, parse_spec, spec_text
from gnet_inspect.ops import KINDS as CLASSES
from gnet_inspect.ops import VOCABULARY
from gnet_inspect.sources.spec import build_graph
from tests import gallery
from tests.conftest import TWINS, Run
from tests.readme import PAGES, quoted, refreshed
from tests.specs import HEADER
from tests.test_goldens import NARROW, OUTPUTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN = (ROOT / "docs" / "own-network.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme_quotes_what_is_printed() -> None:
    """Golden files and the last saved run of the benchmarks, to the letter; `make goldens` sees to it."""
    files = [
        "tests/golden/summary_googlenet_stage_80.txt",
        "tests/golden/summary_googlenet_block.txt",
        "tests/golden/compare.txt",
        "tests/golden/compare_edited.txt",
        "tests/golden/list_inception_140.txt",
        "benchmarks/results.txt",
    ]
    assert list(quoted(README)) == files
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert refreshed(text) == text, page


def test_readme_quotes_under_the_command_that_prints_it() -> None:
    """Word for word, flags and all."""
    before = dict(
        zip(quoted(README), re.split(r"<!-- [\w./]+ -->\n```text\n.*?```\n", README, flags=re.DOTALL), strict=False)
    )
    commands = OUTPUTS | {f"{name}_{width}.txt": command for name, command in NARROW.items() for width in (80, 140)}
    for path, text in before.items():
        if path.startswith("tests/golden/"):
            command = shlex.join(["gnet-inspect", *commands[Path(path).name]])
            assert f"`{command}`" in text.replace("\n", " "), path


def test_the_format_of_a_device_file_is_documented() -> None:
    """The example is one, every key stands in the table, and no other; the bounds are the code's."""
    text = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    (example,) = blocks("yaml", text)
    device = parse_device(example, "board.yaml")
    assert (device.name, device.memory_bytes, device.peak_flops_per_s["fp16"]) == ("board", 16 * 10**9, 10e12)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert list(rows) == [name for name in Device.__struct_fields__ if name != "name"]
    assert all(dtype in rows["peak_flops_per_s"] for dtype in ELEMENT_BYTES)
    assert all(f"`{kind}`" in rows["kind"] for kind in KINDS)
    assert f"from {RATE.low:.0e} to {RATE.high:.0e}".replace("e+0", "e").replace("e+", "e") in text
    for name in ("title", "kind", "source", "peak_flops_per_s", "bandwidth_bytes_per_s", "memory_bytes"):
        lines = [line for line in example.splitlines() if not line.startswith(f"{name}:")]
        with pytest.raises(SpecError, match=f"with the key `{name}`, got none"):
            parse_device("\n".join(lines), "board.yaml")
    with pytest.raises(SpecError, match="expected a key of a device, got `cores`"):
        parse_device(f"{example}cores: 8\n", "board.yaml")


@pytest.mark.parametrize("name", gallery.commands())
def test_the_gallerys_pictures_are_what_its_commands_write(name: str, run: Run, tmp_path: Path) -> None:
    """To the byte; `make pictures` draws them anew."""
    drawn = tmp_path / name
    assert run(*gallery.commands()[name], "-o", str(drawn)).code == 0
    assert drawn.read_bytes() == (gallery.PICTURES / name).read_bytes()


def test_every_picture_of_the_docs_is_one_of_the_gallery() -> None:
    """Those that pages show, and those that lie there."""
    shown = set(re.findall(r'pictures/([\w.-]+\.svg)"', README + gallery.GALLERY.read_text(encoding="utf-8")))
    assert shown == set(gallery.commands()) == {path.name for path in gallery.PICTURES.iterdir()}
    assert "inception3a.svg" in README


def test_the_gallery_says_how_small_letters_are(run: Run, tmp_path: Path) -> None:
    """Each row of its table, from the command itself."""
    text = gallery.GALLERY.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+)` \| ([\d.]+) pt \|$", text, re.MULTILINE)
    assert len(rows) == 2
    for arguments, size in rows:
        result = run("diagram", *arguments.split(), "--width", "504", "-o", str(tmp_path / "a.svg"))
        assert f"smallest letters: {size} pt at a width of 504 pt" in result.err


def test_the_benchmarks_kept_their_budgets() -> None:
    """The saved run has nothing over budget."""
    results = (ROOT / "benchmarks" / "results.txt").read_text()
    assert "at most" in results
    assert "OVER BUDGET" not in results


def test_readme_commands_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gnet-inspect line of the README, in an empty folder, in order."""
    pytest.importorskip("fvcore")
    from gnet_inspect.runtime.latency import improving, layers, protocol

    # Compiling takes a minute, and good times do.
    monkeypatch.setattr(layers, "ROUNDS", 1)
    monkeypatch.setattr(protocol, "ROUNDS", 1)
    monkeypatch.setattr(protocol, "warm_up", lambda *_: 0)
    steps = improving.steps_of
    monkeypatch.setattr(
        improving, "steps_of", lambda setting: [step for step in steps(setting) if step.name != "compile"]
    )
    hurry = {
        "latency": ["--min-time", "0.001", "--repeat", "1", "--warmup", "0", "--input", "3x96x96", "--resize"],
        "calibrate": ["--min-time", "0.001", "--any-noise"],
    }
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(blocks("python", OWN)[0])
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("gnet-inspect")]
    assert len(lines) >= 10
    for line in lines:
        words = shlex.split(line, comments=True)
        target = None
        if ">" in words:
            target = Path(words[words.index(">") + 1])
            words = words[: words.index(">")]
        result = run(*words[1:], *hurry.get(words[1], []))
        assert result.code == 0, f"{line}: {result.err}"
        if target:
            target.write_text(result.out)


def test_commands_of_an_own_network_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The five commands of docs/own-network.md on the file that it shows, and its lines of Python."""
    pytest.importorskip("fvcore")
    monkeypatch.chdir(tmp_path)
    file, lines = blocks("python", OWN)
    (tmp_path / "model.py").write_text(file)
    commands = [line for block in blocks("sh", OWN) for line in block.splitlines()]
    assert len(commands) == 5
    for command in commands:
        result = run(*shlex.split(command)[1:])
        assert result.code == 0, f"{command}: {result.err}"
    assert "class Net(width=32, classes=10)" in run("summary", "model.py").err
    exec(compile(lines, "own-network.md", "exec"), {})


def test_readme_python_runs() -> None:
    """The ten lines of the API."""
    pytest.importorskip("torch")
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert type(names["net"]).__name__ == "Network"


def test_the_models_whose_checkpoints_load_are_those_with_a_twin() -> None:
    """The table of docs/weights.md names each, and no other."""
    rows = re.findall(r"^\| (`.*) \| .*(?:torchvision|timm)'s", (ROOT / "docs/weights.md").read_text(), re.MULTILINE)
    globs = [glob for row in rows for glob in re.findall(r"`([^`]+)`", row)]
    assert {name for name in catalogue() for glob in globs if fnmatchcase(name, glob)} == set(TWINS)


def test_the_example_of_loading_weights_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file of torchvision's names, which the module of a train graph has."""
    torch = pytest.importorskip("torch")
    from gnet_inspect.runtime.module import build_module
    from gnet_inspect.sources.spec import build_graph

    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python", (ROOT / "docs" / "weights.md").read_text(encoding="utf-8"))
    torch.save(
        build_module(build_graph(load_spec("googlenet_torchvision"), mode="train")).state_dict(), "googlenet.pth"
    )
    names: dict[str, Any] = {}
    exec(compile(code, "weights.md", "exec"), names)
    assert f"# {len(names['report'].loaded)} tensors loaded" in code


def test_readme_spec_is_a_spec() -> None:
    """The example builds, in both modes and as torch has it."""
    pytest.importorskip("torchinfo")
    from gnet_inspect.runtime.verify import run_checks
    from gnet_inspect.sources.spec import build_graph

    (text,) = blocks("yaml")
    checks = run_checks(build_graph(parse_spec(text)))
    assert all(check.ok for check in checks)


LANGUAGE = (ROOT / "docs" / "spec-language.md").read_text(encoding="utf-8")
NETWORKS = {parse_spec(text).name: text for text in blocks("yaml", LANGUAGE) if text.startswith("name:")}
# What the text says of them: edits that it shows, and other inputs.
SAID: dict[str, list[list[str]]] = {
    "small_inception": [["--set", "inception1.c2=[24,48]"], ["--set", "pool1.kernel_size=3"], ["--set", "classes=100"]],
    "small_resnet": [["--set", "norm=Identity"]],
    "small_unet": [["--input", "1x3x50x70"]],
    "small_senet": [["--set", "width=1"]],
    "small_transformer": [["--input", "image=1x3x64x64", "--input", "words=1x12"], ["--input", "words=3x20"]],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_that_teach_the_language_are_whole(name: str, run: Run, write_spec: Callable[[str], str]) -> None:
    """Each validates, is as torch has it, and takes the edits and inputs that stand below it."""
    path = write_spec(NETWORKS[name])
    for command in (["validate", path], ["summary", path], *(["summary", path, *said] for said in SAID[name])):
        result = run(*command)
        assert result.code == 0, result.err
        assert "warning" not in result.err
    pytest.importorskip("fvcore")
    pytest.importorskip("torchinfo")
    result = run("verify", path, *(["--mode", "train"] if "\nheads:" in NETWORKS[name] else []))
    assert result.code == 0, result.err


def test_the_other_examples_of_the_language_are_parts_of_specs() -> None:
    """Published figures of GoogLeNet, stages that cut one list, and the line for editors; nothing else."""
    assert list(SAID) == list(NETWORKS)
    editor, published, cut = sorted(set(blocks("yaml", LANGUAGE)) - set(NETWORKS.values()))
    assert (published[:10], cut[:7], editor[:2]) == ("published:", "stages:", "# ")
    googlenet, _, _ = spec_text("googlenet")[0].decode().partition("published:")
    assert "disagrees" not in {row.verdict for row in audit(parse_spec(googlenet + published))}
    (conv,) = re.findall(r"^blocks:\n.*?(?=^  inception:)", NETWORKS["small_inception"], re.DOTALL | re.MULTILINE)
    names = [node.module for node in build_graph(parse_spec(f"{HEADER}{conv}{cut}")).nodes]
    assert {name.rpartition(".")[0] for name in names} == {"features", "features.0", "features.1", "features.3"}


def test_the_layer_kind_of_the_docs_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what stands behind its lines."""
    (code,) = blocks("python", LANGUAGE)
    try:
        exec(compile(code, "spec-language.md", "exec"), {})
    finally:
        for table in (VOCABULARY, CLASSES):
            table.pop("ChannelScale", None)
    said = [line.partition("  # ")[2] for line in code.splitlines() if line.startswith("print(")]
    for printed, text in zip(capsys.readouterr().out.splitlines(), said, strict=True):
        assert text.partition(":")[0] == printed


def test_readme_numbers_are_those_of_the_code() -> None:
    """The two totals that explain why tools disagree."""
    from gnet_inspect.analysis.conventions import count_flops
    from gnet_inspect.sources.spec import build_graph

    assert f"any of the {len(catalogue())} models" in README
    assert f"has all {len(catalogue())} models" in README
    totals = count_flops(build_graph(load_spec("googlenet_torchvision"))).totals
    for text in (README, (ROOT / "docs" / "counting.md").read_text()):
        assert f"{totals.torchinfo:,}" in text
        assert f"{totals.macs:,}" in text


def test_the_bounds_of_the_docs_are_those_of_the_code() -> None:
    """Sizes a spec may have."""
    from gnet_inspect.language.document import MAX_BYTES, MAX_DEPTH, MAX_VALUES
    from gnet_inspect.language.layers import MAX_LAYER_DEPTH
    from gnet_inspect.sources.spec.expand import MAX_NODES, MAX_STEPS

    language, design = ((ROOT / "docs" / name).read_text() for name in ("spec-language.md", "design.md"))
    for text in (" ".join(language.split()), " ".join(design.split())):
        for bound in (MAX_BYTES, MAX_DEPTH, MAX_VALUES, MAX_NODES, MAX_LAYER_DEPTH):
            assert f"{bound:,}" in text
    assert f"{MAX_STEPS:,}" in design


def test_every_layer_class_is_documented() -> None:
    """The vocabulary in docs/spec-language.md."""
    from gnet_inspect.ops import VOCABULARY

    text = (ROOT / "docs" / "spec-language.md").read_text()
    assert [kind for kind in VOCABULARY if kind not in text] == []


def test_readme_leads_to_every_page() -> None:
    """In the table of where to read on."""
    (index,) = re.findall(r"^## Where to read on\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"\]\(docs/([\w-]+\.md)\)", index)) == {path.name for path in DOCS}


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS], ids=lambda path: path.name)
def test_links_and_make_targets_exist(path: Path) -> None:
    """Every relative link has a file, every make target is in the Makefile."""
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+?)\)", text):
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= targets
