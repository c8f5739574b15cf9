"""The budgets of a project: `[[check]]` tables of gnet-inspect.toml, or of `[tool.gnet-inspect]` in pyproject.toml."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from gnet_inspect.budgets.limits import Limit, limit_names, parse_limit
from gnet_inspect.errors import SpecError, UsageError, nearest, show
from gnet_inspect.reading import TooLargeError, read_bounded

FILES = ("gnet-inspect.toml", "pyproject.toml")
MOST_BYTES = 1_000_000
# What stands in a table beside limits.
_WORDS = ("model", "input", "mode", "dtype", "message", "change", "latency")


class Budget(Struct, frozen=True):
    """The limits of one table: of which model, at which input (the model's own where it says none), and what to say to
    whoever breaks one."""

    model: str
    limits: tuple[Limit, ...]
    input: str = ""
    message: str = ""


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
    file = str(path)
    try:
        document = tomllib.loads(read_bounded(path, MOST_BYTES).decode())
    except TooLargeError as error:
        raise SpecError(str(error), file=file) from None
    except UnicodeDecodeError:
        raise SpecError("expected UTF-8 text, got other bytes", file=file) from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"expected valid TOML, got: {error}", file=file) from None
    except OSError as error:
        raise UsageError(f"cannot read {file!r}: {error.strerror}") from None
    if path.name == FILES[1]:
        document = _table(document.get("tool", {}), "tool", file).get("gnet-inspect", {})
    tables = _table(document, "a config", file).get("check", [])
    if not isinstance(tables, list):
        raise SpecError(
            f"expected a list of tables, got {show(tables)}", file=file, path="check", hint="write [[check]]"
        )
    return Config(path, tuple(_budget(table, f"check.{index}", file) for index, table in enumerate(tables)))


def _budget(table: object, path: str, file: str) -> Budget:
    entries = _table(table, path, file)
    texts = {}
    for name in ("model", "input", "message"):
        texts[name] = entries.get(name, "")
        if not isinstance(texts[name], str):
            raise SpecError(f"expected text, got {show(texts[name])}", file=file, path=f"{path}.{name}")
    if not texts["model"]:
        raise SpecError(
            'expected the model that is checked, as model = "specs/mine.yaml", got none', file=file, path=path
        )
    limits = []
    for name, value in entries.items():
        if name in _WORDS:
            continue
        if name not in limit_names():
            known = (*limit_names(), *_WORDS)
            raise SpecError(f"expected a limit, got `{name}`", file=file, path=path, hint=nearest(name, known))
        # A number alone is an upper limit; of how much was counted a lower one.
        text = value if isinstance(value, str) else f"{'>=' if name == 'coverage' else '<='} {value}"
        try:
            limits.append(parse_limit(name, text))
        except UsageError as error:
            raise SpecError(str(error), file=file, path=f"{path}.{name}") from None
    return Budget(texts["model"], tuple(limits), texts["input"], texts["message"])


def _table(value: object, path: str, file: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"expected a table, got {show(value)}", file=file, path=path)
    return value
