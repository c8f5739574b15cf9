"""What a Python file has that could be looked at: its modules, and what makes some, with what they are called with.

Its syntax tree is read, and nothing of it is run or imported: what only a run would show is not listed.
"""

import ast
import shlex
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from gnet_inspect.errors import SpecError, UsageError, brief, printable, show
from gnet_inspect.reading import TooLargeError, read_bounded

MAX_BYTES = 2_000_000
# So many lines are read on a terminal, and so much of one, of a default among it.
MOST_SHOWN = 20
_WIDEST, _LONGEST_DEFAULT = 60, 20

# What a class of one of these names is, wherever that comes from.
_BASES = ("Module", "PreTrainedModel")
# What other libraries' functions of these names give.
_MAKERS = ("torchvision.models.", "timm.create_model", "timm.models.", "torch.hub.load")
_NO_NETWORKS = ("Parameter", "Buffer", "Loss")

_KINDS = ("class", "function", "network")

Definition = ast.ClassDef | ast.FunctionDef


class Candidate(Struct, frozen=True):
    """Something to look at: a "class", a "function" that makes a network, or a "network" that is there.

    `arguments` are those of the constructor or the function, as written; `required` of them have no default. `forward`
    are those of a class's forward, None where that is not in the file. `is_part`: a class of the file uses it.
    """

    name: str
    kind: str
    line: int
    arguments: str = ""
    required: tuple[str, ...] = ()
    forward: str | None = None
    is_part: bool = False

    def describe(self) -> str:
        """How it begins: "class Net(classes=10)"."""
        if self.kind == "network":
            return f"{self.name} = {self.arguments}"
        return f"{'class' if self.kind == 'class' else 'def'} {self.name}({self.arguments})"


def choice_in(path: Path) -> UsageError:
    """The error of a Python file that was given alone: what of it could be named, a line for each, and a command."""
    found = candidates(_text_of(path), str(path))
    if not found:
        return UsageError(
            f"expected a Python file with a module of torch, got {show(str(path))}, which has no class, function or "
            "assignment that looks like one. (it was read, not run)"
        )
    # A name alone is looked up among the built-in ones.
    file = str(path) if path.parent.name or path.is_absolute() or str(path).startswith(".") else f"./{path}"
    widest = max(len(_clipped(each.describe(), _WIDEST)) for each in found[:MOST_SHOWN])
    digits = max(len(str(each.line)) for each in found[:MOST_SHOWN])
    lines = [_line(each, widest, digits) for each in found[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        lines.append(f"  and {len(found) - MOST_SHOWN:,} more")
    first = _first(found)
    lines.append(f"run: gnet-inspect summary {shlex.quote(f'{file}:{first.name}')} --input 1x3x224x224")
    if first.required:
        call = f"{first.name}({', '.join(f'{name}=...' for name in first.required)})"
        lines.append(f"     (what must be given goes into a function of yours: `def net(): return {call}`)")
    return UsageError(f"expected {file}:NAME, got the file alone, which was not run. It has:", lines)


def _line(candidate: Candidate, widest: int, digits: int) -> str:
    text = _clipped(candidate.describe(), _WIDEST)
    forward = "" if candidate.forward is None else f"  forward({candidate.forward})"
    return f"  {text:{widest}}  line {candidate.line:<{digits}}{_clipped(forward, _WIDEST)}".rstrip()


def _clipped(text: str, size: int) -> str:
    shown = printable(text[: size + 1])
    return shown if len(shown) <= size else f"{shown[: size - 3]}..."


def _first(found: Sequence[Candidate]) -> Candidate:
    """What to look at first: what needs no arguments and is no part of another. The last class of them is the whole."""

    def rank(each: Candidate) -> tuple[bool, bool, int, int]:
        late = -each.line if each.kind == "class" else each.line
        return bool(each.required), each.is_part, _KINDS.index(each.kind), late

    return min(found, key=rank)


def _text_of(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES)
    except TooLargeError as error:
        raise SpecError(str(error), file=str(path)) from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"expected a Python file, got {show(str(path))}, which does not exist") from None
    except OSError as error:
        raise UsageError(f"cannot read {show(str(path))}: {error.strerror}") from None


def candidates(text: bytes, file: str) -> tuple[Candidate, ...]:
    """The modules and their makers in the text of a Python file, in the order of their lines; parts of others last.

    Raises SpecError, with the line, for what is no Python.

    >>> text = b"from torch import nn\\nclass Net(nn.Module):\\n  def __init__(self, classes=10): ..."
    >>> [(each.describe(), each.line) for each in candidates(text, "net.py")]
    [('class Net(classes=10)', 2)]
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a reader of this file is not told
            tree = ast.parse(text)
        found = _Listing(tree).candidates()
    except SyntaxError as error:
        raise SpecError(f"expected Python, got {brief(error.msg)}", file=file, line=error.lineno) from None
    except (ValueError, RecursionError, MemoryError) as error:
        said = brief(str(error)) or "more nesting than Python reads"
        raise SpecError(f"expected Python, got {said}", file=file) from None
    return tuple(sorted(found, key=lambda each: (each.is_part, each.line)))


class _Listing:
    """One file being looked through. What stands at its top is known by its name; the last of a name counts."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: dict[str, str] = {}
        self.definitions: dict[str, Definition] = {}
        self.assigned: dict[str, tuple[ast.expr, int]] = {}
        # By a class and the name of a method of it.
        self._methods: dict[tuple[str, str], ast.FunctionDef | None] = {}
        for statement in _statements(tree.body):
            self._note(statement)
        self.networks = self._networks()

    def candidates(self) -> Iterator[Candidate]:
        used = self._used()
        for name, node in self.definitions.items():
            if name not in self.networks or (isinstance(node, ast.FunctionDef) and name.startswith("_")):
                continue
            constructor = self._method(node, "__init__") if isinstance(node, ast.ClassDef) else node
            forward = self._method(node, "forward") if isinstance(node, ast.ClassDef) else None
            arguments, required = _arguments(constructor, isinstance(node, ast.ClassDef))
            yield Candidate(
                name,
                "class" if isinstance(node, ast.ClassDef) else "function",
                node.lineno,
                arguments,
                required,
                _arguments(forward, True)[0] if forward else None,
                name in used,
            )
        for name, (value, line) in self.assigned.items():
            if name in self.networks and not name.startswith("_"):
                yield Candidate(name, "network", line, _written(value, _WIDEST))

    def _note(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                self.imports[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                self.imports[alias.asname or alias.name] = f"{statement.module or ''}.{alias.name}"
        elif isinstance(statement, Definition):
            self.definitions[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                if isinstance(target, ast.Name):
                    self.assigned[target.id] = statement.value, statement.lineno

    def _networks(self) -> set[str]:
        """The names of what is a module, or makes one: what rests on torch's, and what rests on that."""
        rests: dict[str, list[str]] = {}
        found: list[str] = []
        sources = {name: _sources(node) for name, node in self.definitions.items()}
        sources |= {name: _calls(value) for name, (value, _) in self.assigned.items()}
        for name, named in sources.items():
            for source in named:
                rests.setdefault(source, []).append(name)
            if any(map(self._is_module, named)):
                found.append(name)
        known = set(found)
        while found:
            for name in rests.get(found.pop(), ()):
                if name not in known:
                    known.add(name)
                    found.append(name)
        return known

    def _is_module(self, dotted: str) -> bool:
        """Whether a name outside the file is a class of torch's modules, or makes one."""
        first, _, rest = dotted.partition(".")
        whole = self.imports.get(first, first) + (f".{rest}" if rest else "")
        last = whole.rpartition(".")[2]
        if first in self.definitions or last.endswith(_NO_NETWORKS):
            return False
        return (
            last.endswith(_BASES) or whole.startswith(_MAKERS) or (whole.startswith("torch.nn.") and last[:1].isupper())
        )

    def _used(self) -> set[str]:
        """The classes that another class of the file names."""
        found: set[str] = set()
        for name, node in self.definitions.items():
            if isinstance(node, ast.ClassDef) and name in self.networks:
                inner = (item.id for item in ast.walk(node) if isinstance(item, ast.Name))
                found.update(other for other in inner if other != name)
        return found

    def _method(self, node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
        """A method of a class, or of the first class of the file that it is made of."""
        way: dict[str, None] = {}
        found: ast.FunctionDef | None = None
        above: Definition | None = node
        while isinstance(above, ast.ClassDef) and above.name not in way:
            # What was found before for a class further up holds for all below it.
            found = self._methods.get((above.name, name)) or _own_method(above, name)
            way[above.name] = None
            if found is not None or (above.name, name) in self._methods:
                break
            above = next(
                (self.definitions[base] for base in map(_dotted, above.bases) if base in self.definitions), None
            )
        self._methods |= {(each, name): found for each in way}
        return found


def _own_method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name), None)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under `if` and `try` among them; not what runs as a script alone."""
    for statement in body:
        if isinstance(statement, ast.If):
            if "__name__" not in {item.id for item in ast.walk(statement.test) if isinstance(item, ast.Name)}:
                yield from _statements([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            inner = [item for handler in statement.handlers for item in handler.body]
            yield from _statements([*statement.body, *inner, *statement.orelse])
        else:
            yield statement


def _sources(node: Definition) -> list[str]:
    """What makes a class or function one of modules: its bases, or what it returns."""
    if isinstance(node, ast.ClassDef):
        return [_dotted(base) for base in node.bases]
    said = [_dotted(node.returns)] if node.returns is not None else []
    made: dict[str, list[str]] = {}
    returned: list[ast.expr] = []
    for statement in _inside(node):
        if isinstance(statement, ast.Assign):
            made |= {target.id: _calls(statement.value) for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.Return) and statement.value is not None:
            returned.append(statement.value)
    for value in returned:
        said += made.get(value.id, []) if isinstance(value, ast.Name) else _calls(value)
    return said


def _inside(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """All that a function does itself, in no order; not what functions and classes inside of it do."""
    queue: list[ast.AST] = list(node.body)
    while queue:
        item = queue.pop()
        yield item
        if not isinstance(item, Definition | ast.AsyncFunctionDef | ast.Lambda):
            queue.extend(ast.iter_child_nodes(item))


def _calls(value: ast.expr) -> list[str]:
    """What a value is a call of."""
    return [_dotted(value.func)] if isinstance(value, ast.Call) else []


def _dotted(value: ast.expr | None) -> str:
    """ "nn.Module" for that expression, or for it as a text; "" for any other."""
    steps: list[str] = []
    while isinstance(value, ast.Attribute):
        steps.append(value.attr)
        value = value.value
    if isinstance(value, ast.Name):
        return ".".join([value.id, *reversed(steps)])
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _arguments(node: ast.FunctionDef | None, is_method: bool) -> tuple[str, tuple[str, ...]]:
    """What a function is called with, as written but for annotations; and what of it must be given."""
    if node is None:
        return "", ()
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    named = list(zip(plain, defaults, strict=True))[1 if is_method else 0 :]
    keywords = list(zip(given.kwonlyargs, given.kw_defaults, strict=True))
    texts = [_argument(item.arg, default) for item, default in named]
    texts += [f"*{given.vararg.arg}"] if given.vararg else ["*"] if keywords else []
    texts += [_argument(item.arg, default) for item, default in keywords]
    texts += [f"**{given.kwarg.arg}"] if given.kwarg else []
    return ", ".join(texts), tuple(item.arg for item, default in (*named, *keywords) if default is None)


def _argument(name: str, default: ast.expr | None) -> str:
    return name if default is None else f"{name}={_written(default, _LONGEST_DEFAULT)}"


def _written(value: ast.expr, size: int) -> str:
    """An expression as Python writes it, cut where it is long."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str | bytes):
        return repr(value.value) if len(value.value) < size else "..."
    return _clipped(ast.unparse(value), size)
