"""A fact about a layer kind stands on its op: no other room knows a kind by its class, or by the name of one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gnet_inspect
from gnet_inspect.ops import MERGES, VOCABULARY

ROOT = Path(gnet_inspect.__file__).parent
# Whose work is to turn some kinds into others.
REWRITERS = {"graph/optimize.py", "runtime/optimize.py", "authoring/idioms.py"}
# Whose work is to say kinds in torch's words.
WRITERS = ("authoring/torch_layers.py", "authoring/torch_text.py")
# Whose work is to read others' calls and operators as kinds, and weights as what is learned.
READERS = ("runtime/tracing/", "graph/assembling.py", "sources/pt2/", "sources/onnx/")
# Words of torch or English that are names of kinds, too.
WORDS = {"Parameter", "Identity", "Slice", "Pad", "Mul", "Add", "Concat", "MatMul"}
KINDS = {op.__name__ for op in (*VOCABULARY.values(), *MERGES.values())} | set(VOCABULARY)
SOURCES = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "ops" not in path.relative_to(ROOT).parts
)


def kinds_known(source: str) -> Iterator[str]:
    """Each kind that a source imports from the vocabulary, or compares something's name with."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gnet_inspect.ops"):
            yield from (alias.name for alias in node.names if alias.name in KINDS)
        elif isinstance(node, ast.Compare):
            for part in (node.left, *node.comparators):
                texts = [item for item in ast.walk(part) if isinstance(item, ast.Constant)]
                yield from (text.value for text in texts if text.value in KINDS - WORDS)


@pytest.mark.parametrize("name", SOURCES)
def test_no_other_room_knows_a_kind(name: str) -> None:
    """But for those that rewrite graphs, what reads others' as one, and what says them in torch's words."""
    if name not in REWRITERS and not name.startswith((*READERS, *WRITERS)):
        assert list(kinds_known((ROOT / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source", ["from gnet_inspect.ops import ReLU", 'kind == "BatchNorm2d"', 'node.op.kind in ("Conv2d", "Linear")']
)
def test_this_test_can_fail(source: str) -> None:
    """However a kind would be named."""
    assert list(kinds_known(source))
