"""`check`: every kind of limit can be kept and can fail, whatever it is held against, and says where and why."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from msgspec.structs import replace

from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.budgets.config import Budget, parse_config
from gnet_inspect.budgets.judging import CHANGING, Before, amounts_of, judge_change, judge_latency
from gnet_inspect.budgets.limits import limit_names
from gnet_inspect.budgets.toml_places import places_in
from gnet_inspect.budgets.updating import bound_with_margin, written_amount
from gnet_inspect.errors import SpecError
from gnet_inspect.language import load_spec, spec_text
from gnet_inspect.records.timing import Measurement, TimingRecord
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.ci import github
from tests.conftest import Result, Run

SPEC = """name: small
input: [3, 16, 16]
blocks:
  conv:
    params: [out]
    layers:
      conv: {Conv2d: {out_channels: $out, kernel_size: 3, padding: 1}}
      relu: ReLU
stages:
  body:
    first: {conv: {out: 8}}
    second: {conv: {out: 16}}
    third: {conv: {out: 8}}
"""
GROWN = SPEC.replace("second: {conv: {out: 16}}", "second: {conv: {out: 32}}")
CONFIG = """# What may be spent.
[[check]]
model = "specs/mine.yaml"  # ours
params = "<= 3 K"
change = "2 %"
message = "ask Ann"
"""
GIT = {
    **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=os.environ | GIT)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and a config, where commands run, as a repository of one commit."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.yaml").write_text(SPEC)
    (tmp_path / "gnet-inspect.toml").write_text(CONFIG)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path)
    return tmp_path


def findings(result: Result) -> list[dict[str, Any]]:
    """Those of a report as JSON, in the order of its checks."""
    return [finding for check in json.loads(result.out)["checks"] for finding in check["findings"]]


def statuses(result: Result) -> dict[str, str]:
    """By limit and total what became of it."""
    return {f"{each['limit']} {each['name']}": each["status"] for each in findings(result)}


# --- every limit can fail ---


@pytest.fixture(scope="module")
def with_buffers() -> Summary:
    """No total of it is 0."""
    return summarize(build_graph(load_spec("googlenet_torchvision")), "fp32")


@pytest.mark.parametrize("flag", ["--max", "--min"])
@pytest.mark.parametrize("name", limit_names())
def test_each_limit_of_the_command_line_can_fail(name: str, flag: str, with_buffers: Summary, run: Run) -> None:
    """At the total it is kept, one beside it on the wrong side broken."""
    totals, _ = amounts_of(with_buffers)
    key = findings(run("check", "lenet5", "--max", f"{name}=1", "--format", "json"))[0]["name"]
    value = totals[key]
    assert value
    wrong = value - 1 if flag == "--max" else value + 1
    kept, broken = (
        run("check", "googlenet_torchvision", flag, f"{name}={amount:.0f}", "--format", "json")
        for amount in (value, wrong)
    )
    assert (kept.code, [each["status"] for each in findings(kept)]) == (0, ["kept"])
    assert (broken.code, [each["status"] for each in findings(broken)]) == (1, ["broken"])
    assert json.loads(kept.out)["ok"]
    assert not json.loads(broken.out)["ok"]


@pytest.mark.parametrize("name", CHANGING)
def test_each_change_can_fail(name: str, with_buffers: Summary) -> None:
    """At the share itself it is kept, a hair above broken; what got less is kept."""
    totals, bounds = amounts_of(with_buffers)
    now = totals[name]
    assert now is not None
    budget = Budget("x", (), change=25.0)
    for was, status in ((now / 1.25, "kept"), (now / 1.2501, "broken"), (now * 2, "kept"), (0, "broken")):
        before = Before({**totals, name: was}, bounds)
        found = {each.name: each.status for each in judge_change(budget, with_buffers, before)}
        assert found == {**dict.fromkeys(CHANGING, "kept"), name: status}


def test_a_change_of_bounds_is_unknown(with_buffers: Summary) -> None:
    """Of either side; where nothing was, it is not judged."""
    totals, _ = amounts_of(with_buffers)
    budget = Budget("x", (), change=25.0)
    least = replace(with_buffers, coverage=replace(with_buffers.coverage, unknown=("x",)))
    for summary, before in ((least, Before(totals)), (with_buffers, Before(totals, {"macs": "least"}))):
        found = {each.name: each.status for each in judge_change(budget, summary, before)}
        assert found == {"params": "kept", "macs": "unknown", "peak_activation_bytes": "kept"}
    nothing = list(judge_change(budget, with_buffers, Before(note="why")))
    assert [(each.status, each.note) for each in nothing] == [("not judged", "why")] * 3
    assert list(judge_change(Budget("x", ()), with_buffers, Before(totals))) == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ((1.0, 1.0, 1.0), "kept"),
        ((1.02, 1.02, 1.02), "kept"),
        ((0.5, 0.5, 0.5), "kept"),
        ((1.03, 1.01, 1.03), "broken"),
        # Some round was faster: nobody knows.
        ((1.03, 0.99, 1.03), "unknown"),
        # The machine got slower for both.
        ((1.0, 1.0, 9.0), "kept"),
        ((), "unknown"),
    ],
)
def test_latency_can_fail(head: tuple[float, ...], status: str) -> None:
    """By the ratios of rounds that took turns, at 2 %."""
    base = Measurement("a", median_s=1.0, times_s=(1.0, 1.0, 9.0 if 9.0 in head else 1.0))
    found = judge_latency(2.0, base, Measurement("b", median_s=1.0, times_s=head))
    assert found.status == status
    if head:
        assert "rounds in turns say" in found.note


def test_latency_that_scatters_is_said() -> None:
    """As the record of a measurement says it."""
    base = Measurement("a", p10_s=1.0, p90_s=2.0, median_s=1.0, times_s=(1.0, 1.0))
    assert "other work" in judge_latency(2.0, base, replace(base, p90_s=1.0)).note
    assert "other work" not in judge_latency(2.0, replace(base, p90_s=1.0), replace(base, p90_s=1.0)).note


@pytest.mark.parametrize(("factor", "code", "status"), [(1.0, 0, "kept"), (1.5, 1, "broken")])
def test_latency_is_base_against_head(
    factor: float, code: int, status: str, project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are timed in one run, the base first; a record of times stands for the machine."""
    pytest.importorskip("torch")
    seen = []

    def measured(jobs: Sequence[Any], *_: object) -> TimingRecord:
        seen.extend([sum(node.params for node in job.graph.nodes) for job in jobs])
        times = [(1.0, 1.0, 1.0), (factor, factor, factor)]
        return TimingRecord(tuple(Measurement("x", median_s=each[0], times_s=each) for each in times))

    monkeypatch.setattr("gnet_inspect.runtime.latency.time_networks", measured)
    (project / "gnet-inspect.toml").write_text('[[check]]\nmodel = "specs/mine.yaml"\nlatency = "2 %"\n')
    (project / "specs" / "mine.yaml").write_text(GROWN)
    result = run("check", "--base", "HEAD", "--format", "json")
    assert (result.code, statuses(result)) == (code, {"latency median_s": status})
    assert seen[0] < seen[1]


def test_latency_is_measured_in_turns(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are run; how long they take is for nobody to say here."""
    pytest.importorskip("torch")
    from tests.timing import QUICK

    monkeypatch.setattr("gnet_inspect.runtime.latency.Protocol", lambda: QUICK)
    (project / "gnet-inspect.toml").write_text('[[check]]\nmodel = "specs/mine.yaml"\nlatency = 2\n')
    (project / "specs" / "mine.yaml").write_text(GROWN)
    (found,) = findings(run("check", "--base", "HEAD", "--format", "json"))
    assert found["status"] in ("kept", "broken", "unknown")
    assert found["growth"] == pytest.approx(found["growth"])
    assert min(found["value"], found["base"]) > 0


def test_latency_without_torch(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment lacks something, once there is something to measure."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (project / "gnet-inspect.toml").write_text('[[check]]\nmodel = "specs/mine.yaml"\nlatency = 2\n')
    assert run("check", "--base", "HEAD").code == 0
    (project / "specs" / "mine.yaml").write_text(GROWN)
    result = run("check", "--base", "HEAD")
    assert (result.code, result.out) == (3, "")
    assert "check: `latency` needs torch, which is not installed" in result.err


def test_latency_that_cannot_be_judged_is_said(project: Path, run: Run) -> None:
    """Without a base, of a report, of a graph's file; the same network is not measured."""
    (project / "gnet-inspect.toml").write_text('[[check]]\nmodel = "specs/mine.yaml"\nlatency = "2 %"\n')
    alone = run("check", "--format", "json", "-o", "r.json")
    assert alone.code == 0
    assert run("trace", "specs/mine.yaml", "-o", "b.graph.json").code == 0
    for base, status, said in (
        (None, "not judged", "needs --base"),
        ("r.json", "not judged", "a report has no network"),
        ("./b.graph.json", "not judged", "a network's file is not run"),
        ("HEAD", "kept", "the same network"),
    ):
        (found,) = findings(run("check", *(["--base", base] if base else []), "--format", "json"))
        assert found["status"] == status
        assert said in found["note"]


def test_not_known_is_no_pass(run: Run) -> None:
    """A field that nobody knows, a peak that is a least: exit 1, and said; what is certain of a least is judged."""
    limits = ("--min", "field=1", "--max", "peak=1G")
    result = run("check", "swin_t", *limits, "--max", "params=30M")
    assert result.code == 1
    assert re.search(r"unknown +swin_t +field +\? +>= 1 +nobody knows what a layer sees", result.out)
    assert re.search(r"unknown +swin_t +peak +.* <= 1.00 GB +known is only that it is at least ", result.out)
    assert "1 kept, 2 unknown" in result.out
    assert statuses(run("check", "swin_t", "--max", "peak=1", "--format", "json")) == {
        "peak_activation_bytes peak_activation_bytes": "broken"
    }
    annotated = run("check", "swin_t", *limits, "--format", "github").out
    assert "::error title=gnet-inspect%3A field of swin_t unknown::field ?, expected >= 1: nobody" in annotated


# --- base against head ---


def test_base_of_git(project: Path, run: Run) -> None:
    """The spec as it was committed, and the part that grew; unchanged it is kept."""
    same = run("check", "--base", "HEAD", "--format", "json")
    assert (same.code, {*statuses(same).values()}) == (0, {"kept"})
    (project / "specs" / "mine.yaml").write_text(GROWN)
    result = run("check", "--base", "main", "--format", "json")
    assert result.code == 1
    assert statuses(result) == {
        "params params": "broken",
        "change params": "broken",
        "change macs": "broken",
        "change peak_activation_bytes": "broken",
    }
    by_params = findings(result)[0]
    assert by_params["base"] == 2552
    assert by_params["value"] == 4872
    assert by_params["growth"] == pytest.approx(90.909, abs=1e-3)
    line = GROWN.splitlines().index("    second: {conv: {out: 32}}") + 1
    assert by_params["where"] == {"file": "specs/mine.yaml", "line": line, "column": 5, "part": "second"}


def test_a_renamed_spec_is_followed(project: Path, run: Run) -> None:
    """By git, once it is told; its name in the config is the new one."""
    (project / "specs" / "mine.yaml").rename(project / "specs" / "other.yaml")
    (project / "specs" / "other.yaml").write_text(GROWN)
    (project / "gnet-inspect.toml").write_text(CONFIG.replace("mine", "other"))
    git(project, "add", "--all")
    result = run("check", "--base", "HEAD", "--format", "json")
    assert statuses(result)["change params"] == "broken"
    commit(project)
    assert statuses(run("check", "--base", "HEAD~1", "--format", "json"))["change params"] == "broken"


def test_a_new_spec_has_no_base(project: Path, run: Run) -> None:
    """It is listed as not judged, and its other limits are judged."""
    (project / "specs" / "new.yaml").write_text(SPEC)
    (project / "gnet-inspect.toml").write_text(CONFIG.replace("mine", "new"))
    result = run("check", "--base", "HEAD", "--format", "json")
    assert result.code == 0
    assert statuses(result) == {
        "params params": "kept",
        **{f"change {name}": "not judged" for name in CHANGING},
    }
    assert findings(result)[1]["note"] == "new: it is not there at HEAD"


def test_a_deleted_spec_is_an_error(project: Path, run: Run) -> None:
    """The config still has it; the others are judged all the same."""
    (project / "specs" / "mine.yaml").unlink()
    (project / "gnet-inspect.toml").write_text(f'{CONFIG}[[check]]\nmodel = "lenet5"\nparams = "<= 7 M"\n')
    result = run("check", "--base", "HEAD", "--format", "json")
    assert result.code == 2
    assert "expected a spec file, got 'specs/mine.yaml', which does not exist" in result.err
    gone, other = json.loads(result.out)["checks"]
    assert (gone["ok"], "does not exist" in gone["error"], gone["where"]["line"]) == (False, True, 2)
    assert other["ok"]


def test_a_base_that_was_wrong_is_no_reason_to_fail(project: Path, run: Run) -> None:
    """What mends a spec passes."""
    (project / "specs" / "mine.yaml").write_text("name: [")
    commit(project)
    (project / "specs" / "mine.yaml").write_text(SPEC)
    result = run("check", "--base", "HEAD", "--format", "json")
    assert result.code == 0
    assert findings(result)[1]["status"] == "not judged"
    assert "what it was cannot be read: HEAD:specs/mine.yaml" in findings(result)[1]["note"]


@pytest.mark.parametrize(
    ("model", "base", "said"),
    [
        ("googlenet", "HEAD", "built in: the same on both sides"),
        ("./net.py:Net", "HEAD", "trace MODEL -o base.graph.json"),
    ],
)
def test_what_git_has_no_base_of(model: str, base: str, said: str, project: Path, run: Run) -> None:
    """A built-in model, a module in Python."""
    if model.startswith("./"):
        pytest.importorskip("torch")
        (project / "net.py").write_text(
            "from torch import nn\n\nclass Net(nn.Sequential):\n"
            "    def __init__(self):\n        super().__init__(nn.Conv2d(3, 8, 3))\n"
        )
    (project / "gnet-inspect.toml").write_text(
        f'[[check]]\nmodel = "{model}"\ninput = "1x3x224x224"\nparams = "<= 7 M"\nchange = 2\n'
    )
    result = run("check", "--base", base, "--format", "json")
    assert result.code == 0, result.err
    assert {each["note"] for each in findings(result) if each["limit"] == "change"} != {""}
    assert said in findings(result)[1]["note"]


def test_a_module_in_python_has_a_graphs_file_as_base(project: Path, run: Run) -> None:
    """Written by `trace` where it was another one."""
    pytest.importorskip("torch")
    text = (
        "from torch import nn\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self, width=8):\n        super().__init__(nn.Conv2d(3, width, 3))\n"
    )
    (project / "net.py").write_text(text)
    (project / "gnet-inspect.toml").write_text(
        '[[check]]\nmodel = "./net.py:Net"\ninput = "1x3x16x16"\nchange = "2 %"\n'
    )
    traced = run("trace", "./net.py:Net", "--input", "1x3x16x16", "--arg", "width=4", "-o", "base.graph.json")
    assert traced.code == 0, traced.err
    result = run("check", "--base", "./base.graph.json", "--format", "json")
    assert (result.code, statuses(result)["change params"]) == (1, "broken")


@pytest.mark.parametrize(
    ("base", "code", "said"),
    [
        ("nope", 2, "got 'nope', which git does not know"),
        ("--output=/tmp/x", 2, "expected a revision of git, as main or HEAD~1, got '--output=/tmp/x'"),
        ("", 2, "expected a revision of git"),
        ("a\nb", 2, "expected a revision of git"),
        ("HEAD:specs", 2, "git does not know"),
        ("./nope.yaml", 2, "cannot read './nope.yaml'"),
        ("./gnet-inspect.toml", 2, "expected a revision of git, a report"),
        ("./bad.json", 2, "expected a report that `check --format json` wrote"),
        ("./late.json", 2, "expected a report of version"),
    ],
)
def test_what_is_no_base(base: str, code: int, said: str, project: Path, run: Run) -> None:
    """Neither a revision nor a file: exit 2."""
    (project / "bad.json").write_text("{}")
    late: dict[str, Any] = {"schema_version": 99, "ok": True, "config": None, "base": None, "checks": []}
    (project / "late.json").write_text(json.dumps(late))
    result = run("check", f"--base={base}")
    assert (result.code, result.out) == (code, "")
    assert said in result.err


def test_no_repository(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is wrong input."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    (project / ".git").rename(project / "gone")
    result = run("check", "--base", "HEAD")
    assert (result.code, result.out) == (2, "")
    assert "expected a git repository" in result.err


def test_no_git(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment lacks something; a file needs none."""
    saved = run("check", "--format", "json", "-o", "saved.json")
    assert saved.code == 0
    monkeypatch.setenv("PATH", str(project))
    result = run("check", "--base", "HEAD")
    assert (result.code, result.out) == (3, "")
    assert "Install it with: apt install git" in result.err
    assert run("check", "--base", "saved.json").code == 0


def test_a_file_wins_with_a_folder_before_it(project: Path, run: Run) -> None:
    """A revision by the name of a file is the revision."""
    git(project, "branch", "other.yaml")
    (project / "other.yaml").write_text(GROWN)
    ref, file = (run("check", "--base", base, "--format", "json") for base in ("other.yaml", "./other.yaml"))
    assert findings(ref)[0]["base"] == 2552
    assert findings(file)[0]["base"] == 4872


def test_a_saved_report_is_a_base(project: Path, run: Run) -> None:
    """By the name, input, mode and dtype of each check."""
    assert run("check", "--format", "json", "-o", "saved.json").code == 0
    (project / "specs" / "mine.yaml").write_text(GROWN)
    result = run("check", "--base", "saved.json", "--format", "json", "--explain")
    assert statuses(result)["change params"] == "broken"
    assert findings(result)[0]["where"]["line"]
    assert json.loads(result.out)["explanations"][0]["parts"][0]["name"] == "second"
    (project / "gnet-inspect.toml").write_text(f'{CONFIG}input = "1x3x32x32"\n')
    elsewhere = run("check", "--base", "saved.json", "--format", "json")
    assert statuses(elsewhere)["change params"] == "not judged"


def test_a_file_of_one_network_is_a_base_of_one_model(project: Path, run: Run) -> None:
    """Of several nobody knows which."""
    (project / "gnet-inspect.toml").write_text(f'{CONFIG}[[check]]\nmodel = "lenet5"\nparams = "<= 7 M"\n')
    result = run("check", "--base", "./specs/mine.yaml")
    assert (result.code, "expected one model to compare" in result.err) == (2, True)
    assert run("check", "specs/mine.yaml", "--base", "./specs/mine.yaml").code == 0


def test_another_input_then_is_said(project: Path, run: Run) -> None:
    """Numbers of other sizes are no smaller network."""
    (project / "specs" / "mine.yaml").write_text(SPEC.replace("16, 16", "32, 32"))
    result = run("check", "--base", "HEAD", "--format", "json")
    notes = {each["name"]: (each["status"], each["note"]) for each in findings(result) if each["limit"] == "change"}
    assert notes["params"] == ("kept", "its input was 1x3x16x16")
    assert notes["macs"] == ("broken", "its input was 1x3x16x16")


def test_the_repository_is_the_configs(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command runs."""
    elsewhere = project.parent / f"{project.name}-elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = str(project / "gnet-inspect.toml")
    assert statuses(run("check", "--config", config, "--base", "HEAD", "--format", "json"))["change params"] == "kept"


def test_a_report_with_explanations_is_a_base(project: Path, run: Run) -> None:
    """All that is printed is read again."""
    broken(project)
    assert run("check", "--base", "HEAD", "--explain", "--format", "json", "-o", "saved.json").code == 1
    (project / "specs" / "mine.yaml").write_text(SPEC)
    result = run("check", "--base", "saved.json", "--format", "json")
    assert (result.code, findings(result)[0]["base"]) == (0, 4872)


def test_git_runs_nothing_of_a_repository(project: Path, run: Run) -> None:
    """Neither its file system monitor nor its own diff; files are named as they are."""
    trap = project / "trap.sh"
    trap.write_text("#!/bin/sh\ntouch trapped\n")
    trap.chmod(0o755)
    for name in ("core.fsmonitor", "diff.external"):
        git(project, "config", name, str(trap))
    weird = project / "specs" / "a b:c.yaml"
    (project / "specs" / "mine.yaml").rename(weird)
    (project / "gnet-inspect.toml").write_text(CONFIG.replace("mine", "a b:c"))
    git(project, "-c", "core.fsmonitor=false", "add", "--all")
    result = run("check", "--base", "HEAD", "--format", "json")
    assert statuses(result)["change params"] == "kept"
    assert not (project / "trapped").exists()


# --- which models ---


def test_models_of_the_config(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are named, as the config writes them or by their files, from another folder too."""
    (project / "gnet-inspect.toml").write_text(f'{CONFIG}[[check]]\nmodel = "lenet5"\nparams = "<= 7 M"\n')

    def models(*arguments: str) -> list[str]:
        return [check["model"] for check in json.loads(run("check", *arguments, "--format", "json").out)["checks"]]

    assert models() == ["specs/mine.yaml", "lenet5"]
    assert models("lenet5") == ["lenet5"]
    assert models("./specs/mine.yaml") == ["specs/mine.yaml"]
    unknown = run("check", "vgg16")
    assert unknown.code == 2
    assert "it has 'specs/mine.yaml', 'lenet5'" in unknown.err
    monkeypatch.chdir(project / "specs")
    assert models("--config", "../gnet-inspect.toml", "mine.yaml") == ["specs/mine.yaml"]
    (found, *_) = findings(run("check", "--config", "../gnet-inspect.toml", "--base", "HEAD", "--format", "json"))
    assert found["base"] == 2552


def test_a_file_of_a_built_in_models_name(project: Path, run: Run) -> None:
    """Is meant where a folder stands before it."""
    (project / "lenet5").write_text(SPEC)
    for model, params in (("lenet5", 61706), ("./lenet5", 2552)):
        (project / "gnet-inspect.toml").write_text(f'[[check]]\nmodel = "{model}"\nparams = "<= 7 M"\n')
        assert findings(run("check", "--format", "json"))[0]["value"] == params


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "empty.toml"], "got none. (write gnet-inspect.toml with [[check]]"),
        (["--config", "nope.toml"], "cannot read 'nope.toml'"),
        (["--config", "bare.toml"], "bare.toml:2: `check.0`: expected limits of 'lenet5', got none"),
        (["--max", "params=7M"], "expected a MODEL"),
        (["lenet5", "--max", "params"], "--max: expected NAME=AMOUNT"),
        (["lenet5", "--max", "parms=7M"], "--max: expected a total to limit, got 'parms'. (did you mean `params`?)"),
        (["lenet5", "--min", "params=7MB"], "--min: params: expected an operator"),
        (["lenet5", "--max", "params=7M", "--config", "bare.toml"], "got both"),
        (["--mode", "train"], "--mode: expected --max or --min beside it"),
        (["--input", "224"], "--input: expected --max or --min beside it"),
        (["lenet5", "--max", "params=7M", "--dtype", "fp3"], "--dtype: expected fp32"),
        (["--format", "csv"], "--format: expected table, json, markdown, github, junit, sarif"),
        (["--margin", "3"], "there is no --update"),
        (["--update", "--margin", "-3"], "--margin: expected a share"),
        (["--update", "--base", "HEAD"], "--base: expected no --update"),
        (["--update", "--format", "junit"], "--format: expected table, json, markdown, got 'junit'"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], said: str, project: Path, run: Run) -> None:
    """Exit 2, with what to write."""
    (project / "empty.toml").write_text("")
    (project / "bare.toml").write_text('\n[[check]]\nmodel = "lenet5"\n')
    result = run("check", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_nothing_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Says how to write a config, and what needs none; both work."""
    monkeypatch.chdir(tmp_path)
    result = run("check")
    assert (result.code, result.out) == (2, "")
    assert "gnet-inspect.toml with [[check]]" in result.err
    assert run("check", "lenet5", "--update").code == 0
    assert run("check").code == 0
    assert run("check", "lenet5", "--max", "params=7M").code == 0


def test_flags_say_at_what_a_model_is_counted(run: Run) -> None:
    """As those of other commands, without a config."""
    arguments = ("lenet5", "--max", "peak=1", "--input", "2x1x32x32", "--dtype", "fp16", "--format", "json")
    (check,) = json.loads(run("check", *arguments).out)["checks"]
    assert (check["input"], check["dtype"]) == ([2, 1, 32, 32], "fp16")
    told = json.loads(run("summary", "lenet5", "--batch", "2", "--dtype", "fp16", "--format", "json").out)
    assert check["totals"]["peak_activation_bytes"] == told["totals"]["peak_activation_bytes"]


def test_a_spec_on_standard_input(run: Run) -> None:
    """Without a file there is no line to point at."""
    result = run("check", "-", "--max", "params=1K", "--format", "github", stdin=SPEC.encode())
    assert result.code == 1
    assert result.out.startswith("::error title=gnet-inspect%3A params of - broken::")


# --- the config ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n[[check]]\nmodel = 'x'\nchange = 'much'", ":4: `check.0.change`: change: expected a share"),
        ("[[check]]\nmodel = 'x'\nlatency = true", ":3: `check.0.latency`: latency: expected a share"),
        ("[[check]]\nmodel = 'x'\nlatency = -2", "expected a share of what it was, got -2"),
        ("[[check]]\nmodel = 'x'\nmode = 'trian'", ":3: `check.0.mode`: expected eval, train, got 'trian'"),
        ("[[check]]\nmodel = 'x'\ndtype = 'fp12'", ":3: `check.0.dtype`: expected fp32"),
        (
            "[[check]]\nmodel = 'x'\nlatency = 2\ndtype = 'int8'",
            ":4: `check.0.dtype`: expected a dtype that torch runs",
        ),
        ("[[check]]\nmodel = 'x'\ninput = [3]", ":3: `check.0.input`: expected text, or a list of it"),
        ("[[check]]\nmodel = 'x'\n[[check]]\nmodel = 'y'\nparms = 3", ":5: `check.1`: expected a limit, got `parms`"),
        ("[[check]]\nmodel = 'x'\nparams = true", ":3: `check.0.params`: params: expected an operator"),
        ("[[check]]\nmodel = ", ":2: expected valid TOML"),
        ("a = " + "[" * 2000, "expected valid TOML"),
    ],
)
def test_a_bad_config_says_where(text: str, said: str) -> None:
    """Its file, the line and the path."""
    with pytest.raises(SpecError) as caught:
        parse_config(text, Path("gnet-inspect.toml"))
    assert said in str(caught.value)
    assert str(caught.value).startswith("gnet-inspect.toml:")


def test_all_that_a_config_may_say() -> None:
    """In pyproject.toml below the tool's table."""
    text = (
        "[tool.gnet-inspect]\n[[tool.gnet-inspect.check]]\nmodel = 'x'\ninput = ['a=1x3', 'b=2']\nmode = 'train'\n"
        "dtype = 'fp16'\nchange = '2.5 %'\nlatency = 3\npeak = 70\nmessage = 'm'\n"
    )
    (budget,) = parse_config(text, Path("pyproject.toml")).budgets
    assert budget == Budget(
        "x",
        budget.limits,
        ("a=1x3", "b=2"),
        "m",
        "train",
        "fp16",
        2.5,
        3.0,
        0,
        2,
        {"change": 7, "latency": 8, "peak_activation_bytes": 9},
    )
    assert not budget.limits_nothing


TOML = '''a.b = 1 # x = 2
"c d" = """
[not] = "a header"
"""
lists = [ # one
  "x, ]", [1, 2], {y = 'z', w = { v = 1e3 }},
]
[[check]]
m = 1
[check.sub]
n = 2 # two
[[check]]
when = 1979-05-27 07:32:00
m = """x"""""
[tool."gnet-inspect"]
p = '}'
'''


def test_every_value_of_a_config_is_found() -> None:
    """Whatever else stands in it: each stretch is that value again."""
    import tomllib

    places = places_in(TOML)
    document = tomllib.loads(TOML)

    def leaves(value: Any, path: tuple[str | int, ...]) -> None:
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            leaves(child, (*path, key))
        if not isinstance(value, dict | list):
            spot = places[path]
            assert tomllib.loads(f"x = {TOML[spot.start : spot.end]}")["x"] == value
            assert TOML[: spot.start].count("\n") + 1 >= spot.line

    leaves(document, ())
    assert places["check", 1, "m"].line == 14
    assert places["check", 0, "sub", "n"].line == 11
    assert places["check", 1].line == 12


# --- formats ---


def broken(project: Path) -> None:
    (project / "specs" / "mine.yaml").write_text(GROWN)


def test_annotations_point_at_the_line(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the spec, escaped as GitHub wants it, from the root of what was checked out."""
    broken(project)
    config = CONFIG.replace("ask Ann", "50 %, see:\\r\\n::error::x")
    (project / "gnet-inspect.toml").write_text(config)
    line = GROWN.splitlines().index("    second: {conv: {out: 32}}") + 1
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project))
    monkeypatch.chdir(project / "specs")
    result = run("check", "--config", "../gnet-inspect.toml", "--base", "HEAD", "--format", "github")
    assert result.code == 1
    commands = [text for text in result.out.splitlines() if text.startswith("::")]
    assert len(commands) == 4
    assert commands[0] == (
        f"::error file=specs/mine.yaml,line={line},col=5,title=gnet-inspect%3A params of specs/mine.yaml broken"
        "::params 4.87 K, expected <= 3.00 K (+90.9 %25 from 2.55 K)%0Alook at second; "
        "50 %25, see:\\r%0A::error::x"
    )
    assert "4 broken" in result.out


def test_a_name_is_no_command(project: Path, run: Run) -> None:
    """What a config calls a model does not act on the log."""
    (project / "gnet-inspect.toml").write_text(
        CONFIG.replace("specs/mine.yaml", "::add-mask::x,a:b.yaml").replace("ask Ann", "::error::y")
    )
    (project / "::add-mask::x,a:b.yaml").write_text(GROWN)
    result = run("check", "--format", "github")
    assert result.code == 1
    commands = [text for text in result.out.splitlines() if text.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error file=%3A%3Aadd-mask%3A%3Ax%2Ca%3Ab.yaml,line=")


def test_an_unreadable_spec_is_annotated(project: Path, run: Run) -> None:
    """Where it is wrong."""
    (project / "specs" / "mine.yaml").write_text(SPEC.replace("out: 16", "uot: 16"))
    result = run("check", "--format", "github")
    assert result.code == 2
    assert re.match(r"::error file=specs/mine.yaml,line=12,col=\d+,title=", result.out)
    assert "specs/mine.yaml:12: `stages.body.second" in result.err


def test_without_a_spec_the_config_is_pointed_at(project: Path, run: Run) -> None:
    """At the line of the limit, by whichever name it is written."""
    (project / "gnet-inspect.toml").write_text('\n[[check]]\nmodel = "lenet5"\nparams = "<= 7 M"\npeak = "<= 1 kB"\n')
    (found,) = [each for each in findings(run("check", "--format", "json")) if each["status"] == "broken"]
    assert (found["where"]["file"], found["where"]["line"]) == ("gnet-inspect.toml", 5)


@pytest.mark.parametrize(
    ("limit", "part"),
    [
        ('params = "<= 1"', "second"),
        ('macs = "<= 1"', "second"),
        ('activations = "<= 1"', "second"),
        ('peak = "<= 1"', "second"),
        ('field = "<= 1"', ""),
        ('params = ">= 7 M"', ""),
        ("depth = 1", ""),
    ],
)
def test_a_part_is_to_blame(limit: str, part: str, project: Path, run: Run) -> None:
    """The one that costs most, without a base; else the line where the network begins."""
    (project / "gnet-inspect.toml").write_text(f'[[check]]\nmodel = "specs/mine.yaml"\n{limit}\n')
    (found,) = findings(run("check", "--format", "json"))
    text = f"    {part}:" if part else "stages:"
    line = next(number for number, text_of in enumerate(SPEC.splitlines(), 1) if text_of.startswith(text))
    assert (found["status"], found["where"]["part"], found["where"]["line"]) == ("broken", part, line)


def test_junit(project: Path, run: Run) -> None:
    """A suite for each budget, a case for each limit, counted."""
    broken(project)
    text = f'{CONFIG}[[check]]\nmodel = "gone.yaml"\nparams = 7\n[[check]]\nmodel = "lenet5"\nchange = 2\n'
    (project / "gnet-inspect.toml").write_text(text)
    result = run("check", "--format", "junit")
    assert result.code == 2
    root = ElementTree.fromstring(result.out)
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8",
        "failures": "1",
        "errors": "1",
        "skipped": "6",
    }
    mine, gone, lenet = root.findall("testsuite")
    assert [case.get("name") for case in mine.findall("testcase")] == [
        "params",
        *(f"change of {name}" for name in ("params", "macs", "peak")),
    ]
    failure = mine.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "params 4.87 K, expected <= 3.00 K"
    assert failure.text == "specs/mine.yaml:12:5\nlook at second; ask Ann"
    assert gone.find("testcase/error") is not None
    assert len(lenet.findall("testcase/skipped")) == 3


# What code scanning asks of a log, of what SARIF 2.1.0 requires.
SARIF = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {"type": "object", "required": ["id", "shortDescription"]},
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "partialFingerprints": {"additionalProperties": {"type": "string"}},
                                "locations": {
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "region": {
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        }
                                                    },
                                                    "artifactLocation": {
                                                        "properties": {"uri": {"pattern": "^[^/:\\s][^:\\s]*$"}}
                                                    },
                                                },
                                            }
                                        },
                                    }
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_sarif(project: Path, run: Run) -> None:
    """The structure, rules that are there, and the line of the spec by a relative address."""
    from jsonschema import validate

    (project / "specs" / "mine.yaml").rename(project / "specs" / "a mine.yaml")
    (project / "specs" / "a mine.yaml").write_text(GROWN)
    text = CONFIG.replace("mine", "a mine") + '[[check]]\nmodel = "gone.yaml"\nparams = 7\n'
    (project / "gnet-inspect.toml").write_text(text)
    result = run("check", "--format", "sarif", "-o", "check.sarif")
    assert (result.code, result.out) == (2, "")
    log = json.loads((project / "check.sarif").read_text())
    validate(log, SARIF)
    (one,) = log["runs"]
    assert one["invocations"] == [{"executionSuccessful": False}]
    params, gone = one["results"]
    for each in (params, gone):
        assert one["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
    place = params["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "specs/a%20mine.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 12, "startColumn": 5}
    assert "look at second; ask Ann" in params["message"]["text"]
    assert gone["ruleId"] == "budget/readable"


@pytest.mark.parametrize("style", ["table", "json", "github", "junit", "sarif", "markdown"])
def test_the_summary_of_a_job(style: str, project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is appended to as Markdown, whatever the format; where it cannot be written the verdict stands."""
    broken(project)
    file = project / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    result = run("check", "--base", "HEAD", "--explain", "--format", style)
    assert (result.code, result.err) == (1, "")
    text = file.read_text()
    assert text.startswith("before\n")
    assert "| **broken** | **specs/mine.yaml** | **params** |" in text
    assert "| second |" in text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project))
    again = run("check", "--base", "HEAD", "--format", style)
    assert again.code == 1
    assert "warning: cannot write to $GITHUB_STEP_SUMMARY" in again.err


def test_a_table_says_what_a_short_form_leaves_out(project: Path, run: Run) -> None:
    """7.00 M that is no more than 7.00 M is told in full."""
    result = run("check", "googlenet", "--max", "params=6998551", "--max", "macs=1.6G")
    assert re.search(r"broken +googlenet +params +6,998,552 +<= 6,998,551", result.out)
    assert re.search(r"kept +googlenet +macs +1.58 G +<= 1.60 G", result.out)


def test_explain_says_which_block_grew(project: Path, run: Run) -> None:
    """With a base its difference, without one the parts that cost most."""
    broken(project)
    with_base = run("check", "--base", "HEAD", "--explain").out
    assert "from small (specs/mine.yaml at HEAD) to small (specs/mine.yaml)" in with_base
    assert re.search(r"~ +second +out 16 -> 32", with_base)
    without = run("check", "--explain").out
    assert "what specs/mine.yaml costs most" in without
    assert re.search(r"second +conv +2.34 K", without)
    (project / "specs" / "mine.yaml").write_text(SPEC)
    assert "from small" not in run("check", "--base", "HEAD", "--explain").out


def test_escapes_of_annotations() -> None:
    """As the documentation of workflow commands has them; other control characters do not get there."""
    assert github._property("a:b,c%\r\n") == "a%3Ab%2Cc%25\\r\\n"
    assert github._data("1 %\n2\r") == "1 %25%0A2\\r"


# --- --update ---


def test_update_keeps_comments_and_layout(project: Path, run: Run) -> None:
    """Only values change, each in its own spelling."""
    path = project / "gnet-inspect.toml"
    path.write_text(
        "# top\n[[check]]\nmodel = 'specs/mine.yaml'   # ours\n"
        'params   = \'<= 1 K\'  # few\nmacs = 5\n\n  field = ">= 900"\ncoverage = 50\nchange = "2 %"\n'
        '[[check]]\nmodel = "lenet5"\ndepth="== 3" # three\npeak = "< 1 kB"\r\n'
    )
    result = run("check", "--update", "--format", "json")
    assert result.code == 0, result.err
    assert path.read_bytes().decode() == (
        "# top\n[[check]]\nmodel = 'specs/mine.yaml'   # ours\n"
        'params   = \'<= 2.68 K\'  # few\nmacs = 678000\n\n  field = ">= 6"\ncoverage = 100\nchange = "2 %"\n'
        '[[check]]\nmodel = "lenet5"\ndepth="== 5" # three\npeak = "< 39.6 kB"\r\n'
    )
    told = json.loads(result.out)
    assert (told["margin"], told["config"]) == (5.0, "gnet-inspect.toml")
    assert [change["limit"] for change in told["changes"]] == [
        *("params", "macs", "field", "coverage"),
        *("depth", "peak"),
    ]
    assert run("check").code == 0
    again = run("check", "--update")
    assert "nothing to write" in again.out


def test_update_of_some_models_and_another_margin(project: Path, run: Run) -> None:
    """The others stay; at no margin the limit is the total, rounded to where it is kept."""
    path = project / "gnet-inspect.toml"
    path.write_text(f'{CONFIG}[[check]]\nmodel = "lenet5"\nparams = "<= 1"\n')
    assert run("check", "lenet5", "--update", "--margin", "0").code == 0
    assert path.read_text() == f'{CONFIG}[[check]]\nmodel = "lenet5"\nparams = "<= 61.8 K"\n'


def test_update_writes_first_limits(project: Path, run: Run) -> None:
    """Of a table that has none, and of a model that the config does not have."""
    path = project / "gnet-inspect.toml"
    path.write_text('# top\n[[check]]\nmodel = "specs/mine.yaml"  # ours')
    assert run("check", "--update").code == 0
    assert run("check", "lenet5", "--update").code == 0
    assert path.read_text() == (
        '# top\n[[check]]\nmodel = "specs/mine.yaml"  # ours\nparams = "<= 2.68 K"\nmacs = "<= 678 K"\n'
        'peak = "<= 43.1 kB"\nreceptive_field = ">= 6"\n\n'
        '[[check]]\nmodel = "lenet5"\nparams = "<= 64.8 K"\nmacs = "<= 438 K"\npeak = "<= 39.6 kB"\n'
        'receptive_field = ">= 15"\n'
    )
    assert run("check").code == 0


def test_update_writes_into_pyproject(project: Path, run: Run) -> None:
    """Where that has the budgets, and into a file of its own where there is none."""
    (project / "gnet-inspect.toml").unlink()
    pyproject = project / "pyproject.toml"
    pyproject.write_text('[project]\nname = "x"\n')
    assert run("check", "lenet5", "--update").code == 0
    assert pyproject.read_text() == '[project]\nname = "x"\n'
    (project / "gnet-inspect.toml").unlink()
    pyproject.write_text('[[tool.gnet-inspect.check]]\nmodel = "lenet5"\nparams = 3\n\n[tool.other]\nx = 1\n')
    assert run("check", "lenet5", "specs/mine.yaml", "--update").code == 0
    text = pyproject.read_text()
    assert text.startswith('[[tool.gnet-inspect.check]]\nmodel = "lenet5"\nparams = 64800\n\n[tool.other]\nx = 1\n')
    assert text.count("[[tool.gnet-inspect.check]]") == 2
    assert run("check").code == 0


def test_update_writes_models_as_the_config_sees_them(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder; a file of a built-in model's name stays a file, and each is found again by its own name."""
    (project / "lenet5").write_text(SPEC)
    monkeypatch.chdir(project / "specs")
    path = project / "gnet-inspect.toml"
    path.write_text("")
    options = ("--config", "../gnet-inspect.toml", "--update")
    assert run("check", "mine.yaml", "../lenet5", "lenet5", *options).code == 0
    assert re.findall('model = "(.*)"', path.read_text()) == ["specs/mine.yaml", "./lenet5", "lenet5"]
    assert run("check", "mine.yaml", *options).code == 0
    assert path.read_text().count("[[check]]") == 3
    params = [each["value"] for each in findings(run("check", *options[:2], "--format", "json"))][::4]
    assert params == [2552, 2552, 61706]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ('check = [{model = "lenet5"}]\n', [], "got one in braces"),
        ('check = [{model = "lenet5", params = 3}]\n', ["specs/mine.yaml"], "which is left as it was"),
        ('check = [{model = "lenet5", params = 3}]\n', ["-"], "got a spec on standard input"),
        ("", [], "expected a MODEL to write limits of"),
    ],
)
def test_update_that_cannot_be_done_leaves_the_config(
    text: str, arguments: list[str], said: str, project: Path, run: Run
) -> None:
    """As it was, to the byte."""
    path = project / "gnet-inspect.toml"
    path.write_text(text)
    result = run("check", *arguments, "--update")
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert path.read_text() == text


def test_update_in_braces_changes_what_is_there(project: Path, run: Run) -> None:
    """A value is a value, wherever it stands."""
    path = project / "gnet-inspect.toml"
    path.write_text("check = [\n  {model = 'lenet5', params = '<= 3'}, # x\n]\n")
    assert run("check", "--update").code == 0
    assert path.read_text() == "check = [\n  {model = 'lenet5', params = '<= 64.8 K'}, # x\n]\n"


@pytest.mark.parametrize("operator", ["<=", ">=", "<", ">", "=="])
@pytest.mark.parametrize("value", [1, 7, 61706, 999_999, 1_582_671_872])
@pytest.mark.parametrize("margin", [0, 5, 33.3])
def test_a_bound_with_a_margin_is_kept(operator: str, value: int, margin: float) -> None:
    """By the total itself, and no further away than margin and rounding say; its text is that number."""
    from gnet_inspect.budgets.limits import parse_limit

    bound = bound_with_margin("params", operator, value, margin)
    kept = {
        "<=": value <= bound,
        "<": value < bound,
        ">=": value >= bound,
        ">": value > bound,
        "==": value == bound,
    }[operator]
    assert kept
    assert abs(bound - value) <= value * (margin / 100 + 0.02) + 1
    assert parse_limit("params", f"{operator} {written_amount('params', bound)}").bound == bound


# --- in CI ---

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "budgets.md").read_text(encoding="utf-8")


def read_yaml(text: str) -> Any:
    return yaml.safe_load(text)


def shell(script: str, folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A step's script as a runner of GitHub's runs it, with this Python and its command line on the path."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, words in (("gnet-inspect", "-m gnet_inspect"), ("python", "")):
        command = bin_folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        command.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_hooks_are_commands(project: Path, run: Run) -> None:
    """Each entry runs on the files that it says, and fails where it should."""
    hooks = {hook["id"]: hook for hook in read_yaml((ROOT / ".pre-commit-hooks.yaml").read_text())}
    assert list(hooks) == ["gnet-inspect-validate", "gnet-inspect-check"]
    for hook in hooks.values():
        assert {"id", "name", "description", "entry", "language", "files"} <= set(hook)
        assert hook["language"] == "python"
        assert re.search(hook["files"], "specs/mine.yaml")
        assert not re.search(hook["files"], "README.md")
    validate, check = hooks.values()
    assert not re.search(validate["files"], ".github/workflows/ci.yaml")
    for file in ("gnet-inspect.toml", "sub/pyproject.toml"):
        assert re.search(check["files"], file)
    assert check["pass_filenames"] is False
    assert run(*validate["entry"].split()[1:], "specs/mine.yaml").code == 0
    assert run(*check["entry"].split()[1:]).code == 0
    (project / "specs" / "mine.yaml").write_text(GROWN)
    assert run(*check["entry"].split()[1:]).code == 1


ACTION = read_yaml((ROOT / "action.yml").read_text())


def test_the_action_is_one() -> None:
    """Composite, each step with a shell; what a user gives reaches a script by the environment alone."""
    assert ACTION["runs"]["using"] == "composite"
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        for value in step.get("env", {}).values():
            name = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)
            assert name is not None
            assert name[1] in ACTION["inputs"]
    given = {value for step in ACTION["runs"]["steps"] for value in step.get("env", {}).values()}
    assert len(given) == len(ACTION["inputs"])
    assert all("description" in each for each in ACTION["inputs"].values())


def defaults(step: dict[str, Any], **given: str) -> dict[str, str]:
    """The environment of a step of the action."""
    values = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | given
    return {name: values[value[11:-3]] for name, value in step.get("env", {}).items()}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, 1),
        ({"base": "HEAD"}, 1),
        ({"models": "lenet5"}, 0),
        ({"models": "lenet5 specs/mine.yaml", "explain": "false"}, 1),
        ({"config": "none.toml"}, 2),
        ({"base": "$(touch trapped); touch trapped"}, 2),
    ],
)
def test_the_steps_of_the_action_run(given: dict[str, str], code: int, project: Path) -> None:
    """With the inputs that it may have, in a repository; the last step is the check."""
    (project / "gnet-inspect.toml").write_text(f'{CONFIG}[[check]]\nmodel = "lenet5"\nparams = "<= 7 M"\n')
    (project / "specs" / "mine.yaml").write_text(GROWN)
    step = ACTION["runs"]["steps"][-1]
    summary = project / "summary.md"
    done = shell(step["run"], project, defaults(step, **given) | {"GITHUB_STEP_SUMMARY": str(summary)})
    assert done.returncode == code, done.stderr
    assert not (project / "trapped").exists()
    if code < 2:
        assert ("::error file=specs/mine.yaml,line=12,col=5," in done.stdout) == (code == 1)
        assert summary.read_text().startswith("**budgets of gnet-inspect.toml")
    assert ("~  second" in done.stdout) == (given.get("base") == "HEAD")


def test_the_step_that_installs_is_pip_of_the_actions_own_folder() -> None:
    """What is run is what was checked out with the action."""
    install = ACTION["runs"]["steps"][0]["run"]
    assert install == 'python -m pip install --quiet --disable-pip-version-check "$GITHUB_ACTION_PATH"'


# --- docs/budgets.md ---


def quoted(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_of_budgets_is_true(project: Path, run: Run) -> None:
    """Its config, its commands and what it says they print, in a repository."""
    (config, *_) = quoted("toml")
    (project / "gnet-inspect.toml").write_text(config)
    text = spec_text("googlenet")[0].decode()
    (project / "specs" / "mine.yaml").write_text(text)
    commit(project)
    git(project, "branch", "origin/main")
    before = "inception3a: {inception: {c1:  64, c2: [ 96, 128]"
    assert before in text
    (project / "specs" / "mine.yaml").write_text(text.replace(before, before.replace("128", "256")))
    (shown,) = quoted("text")
    commands = [line for block in quoted("sh") for line in block.splitlines() if line.startswith("gnet-inspect")]
    assert len(commands) >= 7
    for line in commands:
        words = shlex.split(line, comments=True)[1:]
        target = words[words.index(">") + 1] if ">" in words else None
        result = run(*words[: words.index(">")] if target else words)
        code = 1 if "--base" in words and "--update" not in words else 0
        if target:
            (project / target).write_text(result.out)
            code = result.code
        assert result.code == code, f"{line}: {result.err}"
        if "--explain" in words:
            assert result.out == shown


def test_the_page_shows_what_the_hooks_and_the_action_are() -> None:
    """The words in its files are those that there are."""
    workflow, hooks, gitlab = (read_yaml(text) for text in quoted("yaml"))
    steps = workflow["jobs"]["budgets"]["steps"]
    (used,) = [step for step in steps if "gnet-inspect" in step.get("uses", "")]
    assert set(used["with"]) <= set(ACTION["inputs"])
    assert steps[0]["with"] == {"fetch-depth": 2}
    known = {hook["id"] for hook in read_yaml((ROOT / ".pre-commit-hooks.yaml").read_text())}
    assert {hook["id"] for hook in hooks["repos"][0]["hooks"]} == known
    assert gitlab["budgets"]["artifacts"]["reports"]["junit"] in gitlab["budgets"]["script"][-1]
    for name in limit_names():
        assert f"`{name}`" in PAGE
