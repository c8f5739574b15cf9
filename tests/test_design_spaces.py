"""The questions of docs/design-spaces.md: each answer is found, proved, drawn, built, and trained for a step."""

import json
from pathlib import Path

import pytest

from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph
from tests.conftest import Run
from tests.test_goldens import EXAMPLES, SCALED

torch = pytest.importorskip("torch")


def test_the_scaled_spec_is_googlenet() -> None:
    """As it stands: the same layers with the same numbers, in the same order."""
    scaled, own = (build_graph(load_spec(name)) for name in (SCALED, "googlenet"))
    assert [(node.op.kind, node.params, node.macs, node.output_shapes) for node in scaled.nodes] == [
        (node.op.kind, node.params, node.macs, node.output_shapes) for node in own.nodes
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_answer_becomes_a_network(name: str, run: Run, tmp_path: Path) -> None:
    """The first network of the front by its row in a file: summarized, drawn, written as a spec, built and trained."""
    from gnet_inspect.runtime.module import build_module

    rows = tmp_path / "rows.db"
    found = json.loads(run(*EXAMPLES[name], "--format", "json", "-o", str(rows)).out)
    best = found["front"][0]
    assert found["exact"]
    assert found["gap"] == 0
    row = f"{rows}#{_row_of(rows, best)}"
    summary = json.loads(run("summary", row, "--format", "json").out)
    assert {key: summary["totals"][key] for key in ("params", "macs", "peak_activation_bytes")} == {
        key: best[key] for key in ("params", "macs", "peak_activation_bytes")
    }
    picture = tmp_path / "best.svg"
    assert run("diagram", row, "-o", str(picture)).code == 0
    assert "<svg" in picture.read_text()
    written = tmp_path / "best.yaml"
    assert run("show", row, "-o", str(written)).code == 0
    graph = build_graph(load_spec(str(written)))
    assert sum(node.macs or 0 for node in graph.nodes) == best["macs"]

    module = build_module(graph).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    logits = module(torch.randn(2, *graph.input_shape[1:]))
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2])).backward()
    optimizer.step()
    assert sum(parameter.numel() for parameter in module.parameters()) == best["params"]
    assert any(not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True))


def _row_of(rows: Path, best: dict[str, object]) -> int:
    """The row that has a network's totals."""
    import sqlite3

    with sqlite3.connect(rows) as db:
        (number,) = db.execute(
            "SELECT min(id) FROM candidates WHERE macs = ? AND params = ?", (best["macs"], best["params"])
        ).fetchone()
    assert number is not None
    return int(number)
