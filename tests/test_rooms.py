"""A room imports only rooms below it, inside functions too, in the order that docs/design.md says."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gnet_inspect

PACKAGE = Path(gnet_inspect.__file__).parent
DESIGN = Path(__file__).parent.parent / "docs" / "design.md"
# What the package says of itself is there before any room is.
OWN = {"__version__"}
# Inside which folder the design says an order, and what it says before it.
ORDERS = {"": "A room imports only rooms below it", "views/": "inside views"}


def told(inside: str) -> list[set[str]]:
    """An order of the design's: the rooms that stand above each other, the upper ones first."""
    (said,) = re.findall(rf"{ORDERS[inside]}:\s+`([^`]+)`", DESIGN.read_text())
    return [{room.strip() for room in tier.split(",")} for tier in said.split(">")]


def room_of(path: str, inside: str) -> str:
    """The room, of those inside a folder, that a file or a module lies in."""
    return path.removeprefix(inside).partition("/")[0].removesuffix(".py")


def sources() -> dict[str, str]:
    """The text of every file of the package, by its path below it."""
    return {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}


def imported(text: str) -> Iterator[str]:
    """The paths below the package of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            names = [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in OWN]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [ast.unparse(node.args[0]).removeprefix("f").strip("'\"")]
        for name in names:
            package, _, rest = name.partition(".")
            if package == gnet_inspect.__name__:
                # What the package lends is of a room above them all.
                yield "__init__" if rest in gnet_inspect.__all__ else rest.replace(".", "/")


def climbing(files: Mapping[str, str], inside: str) -> list[str]:
    """Each import of a room that is not below the one it is imported in."""
    tiers = [{"__main__", "__init__"}, *told(inside)]
    level = {room: number for number, tier in enumerate(tiers) for room in tier}
    found = []
    for path, text in files.items():
        for module in imported(text):
            if path.startswith(inside) and module.startswith(inside):
                room, other = room_of(path, inside), room_of(module, inside)
                if other != room and level[other] <= level[room]:
                    found.append(f"{path} imports {module}")
    return found


@pytest.mark.parametrize("inside", ORDERS)
def test_every_room_has_its_place(inside: str) -> None:
    """Each folder and file, but what stands above them all."""
    rooms = {room_of(path, inside) for path in sources() if path.startswith(inside)} - {"__init__", "__main__"}
    assert rooms == set.union(*told(inside))


@pytest.mark.parametrize("inside", ORDERS)
def test_no_room_imports_one_above_it(inside: str) -> None:
    """Nor one beside it."""
    assert climbing(sources(), inside) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("graph/nodes.py", "from gnet_inspect.views.pages import notebook"),
        ("graph/nodes.py", "def f():\n    import gnet_inspect.analysis.summary"),
        ("graph/nodes.py", "from gnet_inspect import views"),
        ("graph/nodes.py", "from gnet_inspect import load_spec"),
        ("runtime/module.py", "if TYPE_CHECKING:\n    from gnet_inspect.views import grid"),
        ("errors.py", "import_module(f'gnet_inspect.cli.{name}')"),
        ("views/text.py", "from gnet_inspect.views.grid import Grid"),
        ("views/drawing/dot.py", "def f():\n    from gnet_inspect.views.tables import summary"),
    ],
)
def test_this_test_can_fail(path: str, line: str) -> None:
    """At the top of a file and in a function, by either word, and by a name."""
    inside = "views/" if path.startswith("views/") else ""
    assert len(climbing({path: line}, inside)) == 1
