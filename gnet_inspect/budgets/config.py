"""The budgets of a project: `[[check]]` tables of gnet-inspect.toml, or of `[tool.gnet-inspect]` in pyproject.toml."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from gnet_inspect.budgets.limits import Limit, limit_names, parse_limit
from gnet_inspect.budgets.toml_places import KeyPath, Spot, places_in
from gnet_inspect.errors import SpecError, UsageError, nearest, show
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.sources.spec import MODES
from gnet_inspect.units import DTYPE_BYTES

FILES = ("gnet-inspect.toml", "pyproject.toml")
MOST_BYTES = 1_000_000
# In which torch runs a network that it times.
TIMED_DTYPES = ("fp32", "fp16", "bf16")
# What stands in a table beside limits.
_TEXTS = ("model", "mode", "dtype", "message")
_SHARES = ("change", "latency")
_WORDS = (*_TEXTS, "input", *_SHARES)
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%?\s*\Z")
_AT_LINE = re.compile(r"\s*\(at line ([0-9]+), column ([0-9]+)\)\Z")


class Budget(Struct, frozen=True):
    """The limits of one table: of which model, at which input (the model's own where it says none), in which mode and
    dtype, and what to say to whoever breaks one.

    `change` is by how many percent params, MACs and peak may grow from what the model was, `latency` its measured time;
    None where that is not limited. `inputs` are as --input takes them. `index` is the table's place among the others,
    `line` that of its header and `lines` those of its limits, by their JSON names.
    """

    model: str
    limits: tuple[Limit, ...]
    inputs: tuple[str, ...] = ()
    message: str = ""
    mode: str = "eval"
    dtype: str = "fp32"
    change: float | None = None
    latency: float | None = None
    index: int = 0
    line: int | None = None
    lines: Mapping[str, int] = {}

    @property
    def limits_nothing(self) -> bool:
        """Whether there is nothing to break."""
        return not self.limits and self.change is None and self.latency is None


class Config(Struct, frozen=True):
    """A project's budgets, and the file that has them."""

    path: Path
    budgets: tuple[Budget, ...]

    def of(self, model: str, path: Path | None) -> list[Budget]:
        """Those of a model: by its name as it is written, or by the file that it is, seen from the config's folder."""
        return [
            budget
            for budget in self.budgets
            if budget.model == model
            or (path is not None and (self.path.parent / budget.model).resolve() == path.resolve())
        ]


def find_config(folder: Path) -> Config | None:
    """The config of a folder; None where it has none. Raises SpecError for one that cannot be read."""
    for name in FILES:
        path = folder / name
        if path.is_file():
            found = read_config(path)
            # A project's pyproject.toml says many things, and need not say this.
            if found.budgets or name == FILES[0]:
                return found
    return None


def read_config(path: Path) -> Config:
    """The budgets in a file. Raises SpecError, UsageError where there is no such file."""
    return parse_config(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of a config. Raises SpecError, UsageError where there is no such file."""
    try:
        return read_bounded(path, MOST_BYTES).decode()
    except TooLargeError as error:
        raise SpecError(str(error), file=str(path)) from None
    except UnicodeDecodeError:
        raise SpecError("expected UTF-8 text, got other bytes", file=str(path)) from None
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None


def parse_config(text: str, path: Path) -> Config:
    """The budgets in the text of a file, whose name says where they stand in it. Raises SpecError."""
    return Config(path, tuple(_Reader(text, path).budgets()))


def prefix_of(path: Path) -> tuple[str, ...]:
    """The tables around `check` in a file of that name."""
    return ("tool", "gnet-inspect") if path.name == FILES[1] else ()


class _Reader:
    """Reads one text, and knows where each of its values stands once something has to be said of one."""

    def __init__(self, text: str, path: Path) -> None:
        self.text, self.file, self.around = text, str(path), prefix_of(path)
        self._places: dict[KeyPath, Spot] | None = None

    def budgets(self) -> Iterator[Budget]:
        tables: object = self._document()
        for name in self.around:
            tables = self._table(tables, name, "").get(name, {})
        tables = self._table(tables, "a config", "").get("check", [])
        if not isinstance(tables, list):
            raise self._error(f"expected a list of tables, got {show(tables)}", ("check",), "write [[check]]")
        for index, table in enumerate(tables):
            yield self._budget(self._table(table, f"check.{index}", f"check.{index}"), index)

    def _document(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            said = str(error).replace("at end of document", f"at line {len(self.text.splitlines())}, column 1")
            at = _AT_LINE.search(said)
            line, column = (int(at[1]), int(at[2])) if at else (None, None)
            fact = f"expected valid TOML, got: {_AT_LINE.sub('', said)}"
            raise SpecError(fact, file=self.file, line=line, column=column) from None
        except RecursionError:
            raise SpecError("expected valid TOML, got lists too deep in each other", file=self.file) from None

    def _budget(self, entries: Mapping[str, Any], index: int) -> Budget:
        texts = {name: self._text(entries, index, name) for name in _TEXTS}
        if not texts["model"]:
            raise self._error(
                'expected the model that is checked, as model = "specs/mine.yaml", got none', ("check", index)
            )
        texts = {name: text for name, text in texts.items() if text}
        for name, known in (("mode", MODES), ("dtype", tuple(DTYPE_BYTES))):
            if texts.get(name, known[0]) not in known:
                raise self._error(
                    f"expected {', '.join(known)}, got {show(texts[name])}",
                    ("check", index, name),
                    nearest(texts[name], known),
                )
        shares = {name: self._share(entries[name], index, name) for name in _SHARES if name in entries}
        if "latency" in shares and texts.get("dtype", "fp32") not in TIMED_DTYPES:
            raise self._error(
                f"expected a dtype that torch runs a network in ({', '.join(TIMED_DTYPES)}) beside `latency`, got "
                f"{texts['dtype']}",
                ("check", index, "dtype"),
            )
        names = [name for name in entries if name not in _WORDS]
        limits = tuple(self._limit(name, entries[name], index) for name in names)
        written = {**dict(zip(names, (limit.name for limit in limits), strict=True)), **dict.fromkeys(shares)}
        lines = {
            total or name: line
            for name, total in written.items()
            if (line := self.line(("check", index, name))) is not None
        }
        return Budget(
            texts["model"],
            limits,
            self._inputs(entries, index),
            texts.get("message", ""),
            texts.get("mode", MODES[0]),
            texts.get("dtype", "fp32"),
            shares.get("change"),
            shares.get("latency"),
            index,
            self.line(("check", index)),
            lines,
        )

    def _text(self, entries: Mapping[str, Any], index: int, name: str) -> str:
        text = entries.get(name, "")
        if not isinstance(text, str):
            raise self._error(f"expected text, got {show(text)}", ("check", index, name))
        return text

    def _inputs(self, entries: Mapping[str, Any], index: int) -> tuple[str, ...]:
        given = entries.get("input", [])
        inputs = [given] if isinstance(given, str) else given
        if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
            raise self._error(f"expected text, or a list of it, got {show(given)}", ("check", index, "input"))
        return tuple(filter(None, inputs))

    def _share(self, value: object, index: int, name: str) -> float:
        try:
            return parse_share(name, value)
        except UsageError as error:
            raise self._error(str(error), ("check", index, name)) from None

    def _limit(self, name: str, value: object, index: int) -> Limit:
        if name not in limit_names():
            known = (*limit_names(), *_WORDS)
            line = self.line(("check", index, name))
            raise SpecError(
                f"expected a limit, got `{name}`",
                file=self.file,
                line=line,
                path=f"check.{index}",
                hint=nearest(name, known),
            )
        # A number alone is an upper limit; of how much was counted a lower one.
        text = value if isinstance(value, str) else f"{'>=' if name == 'coverage' else '<='} {value}"
        try:
            return parse_limit(name, text)
        except UsageError as error:
            raise self._error(str(error), ("check", index, name)) from None

    def _table(self, value: object, what: str, path: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise SpecError(f"expected a table, got {show(value)}", file=self.file, path=path or what)
        return value

    def line(self, path: KeyPath) -> int | None:
        """The line of a value or of a table; None where a key above it says where it is, and it does not itself."""
        if self._places is None:
            self._places = places_in(self.text)
        found = self._places.get((*self.around, *path))
        return found.line if found is not None else None

    def _error(self, fact: str, path: KeyPath, hint: str = "") -> SpecError:
        return SpecError(fact, file=self.file, line=self.line(path), path=".".join(map(str, path)), hint=hint)


def parse_share(name: str, value: object) -> float:
    """How many percent a thing may grow by: "2 %", "2" or 2. Raises UsageError.

    >>> parse_share("change", "2.5 %")
    2.5
    """
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    match = _SHARE.match(text)
    if match is None:
        raise UsageError(f'{name}: expected a share of what it was, got {show(value)}. (for example "2 %")')
    return float(match[1])
