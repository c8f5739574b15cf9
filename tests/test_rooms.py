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


def told(start: str) -> list[set[str]]:
    """An order of the design's: the rooms that stand above each other, the upper ones first."""
    (said,) = re.findall(rf"{re.escape(start)}:\s+`([^`]+)`", DESIGN.read_text())
    return [{room.strip() for room in tier.split(",")} for tier in said.split(">")]


def room_of(path: str, inside: str = "") -> str:
    """The room that a file lies in, by its path below the package, or below a room of it; "" is the room itself."""
    folder, _, rest = path.removeprefix(inside).strip("/").partition("/")
    return folder if rest else "" if inside else folder.removesuffix(".py")


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
                yield f"{rest.replace('.', '/')}"


def climbing(files: Mapping[str, str], tiers: list[set[str]], inside: str = "") -> list[str]:
    """Each import of a room that is not below the one it is imported in."""
    level = {room: number for number, tier in enumerate(tiers) for room in tier}
    found = []
    for path, text in files.items():
        room = room_of(path, inside)
        for module in imported(text):
            # A room's own names are imported from its folder.
            other = room_of(f"{module}/", inside)
            if other != room and module.startswith(inside) and level[other] <= level[room]:
                found.append(f"{path} imports {module}")
    return found


def test_every_room_has_its_place() -> None:
    """Each folder and file of the package, but what stands above them all."""
    rooms = {room_of(path) for path in sources()} - {"__init__", "__main__"}
    assert rooms == set.union(*told("A room imports only rooms below it"))


def test_no_room_imports_one_above_it() -> None:
    """Nor one beside it."""
    tiers = [{"__main__", "__init__"}, *told("A room imports only rooms below it")]
    assert climbing(sources(), tiers) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("graph/nodes.py", "from gnet_inspect.views.pages import notebook"),
        ("graph/nodes.py", "def f():\n    import gnet_inspect.analysis.summary"),
        ("graph/nodes.py", "from gnet_inspect import views"),
        ("runtime/module.py", "if TYPE_CHECKING:\n    from gnet_inspect.views import grid"),
        ("errors.py", "import_module(f'gnet_inspect.cli.{name}')"),
    ],
)
def test_this_test_can_fail(path: str, line: str) -> None:
    """At the top of a file and in a function, by either word, and by a name."""
    assert len(climbing({path: line}, told("A room imports only rooms below it"))) == 1
