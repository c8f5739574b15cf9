"""Several results of one command: as one is, below each other, in a list or in a table with what each is of."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.cli.output import emit_result, tables_of
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.views.grid import Column, Grid


class Results(Struct, frozen=True):
    """What `--format json` prints of several models or devices: what it prints of each."""

    schema_version: int
    results: tuple[object, ...]


class Result(Struct, frozen=True):
    """A result with its tables, its rows for CSV, and what it is of, by the columns that say so there."""

    result: object
    grid: Callable[[], Grid | list[Grid]]
    rows: Callable[[], Grid]
    of: Mapping[str, str]


def emit_results(
    shown: Sequence[Result],
    style: str,
    output: Path | None,
    shorter: Sequence[str] = (),
    beside: Callable[[], Grid] | None = None,
) -> None:
    """One result as it is; of several the tables below each other, a list in JSON, and in CSV one table with the names
    of the models (and devices) in front. `shorter` are the flags that make a table shorter, `beside` makes the table
    of all beside each other that stands before theirs."""
    if len(shown) == 1:
        emit_result(shown[0].result, style, output, shown[0].grid, shown[0].rows, shorter)
        return
    first = [] if beside is None else [beside()]
    emit_result(together(shown), style, output, lambda: [*first, *_tables(shown)], lambda: _joined(shown), shorter)


def together(shown: Sequence[Result]) -> object:
    """What JSON has of one result or of several."""
    return shown[0].result if len(shown) == 1 else Results(SCHEMA_VERSION, tuple(one.result for one in shown))


def _tables(shown: Sequence[Result]) -> list[Grid]:
    return [table for one in shown for table in tables_of(one.grid())]


def _joined(shown: Sequence[Result]) -> Grid:
    tables = [one.rows() for one in shown]
    columns = (*(Column(name, name) for name in shown[0].of), *tables[0].columns)
    lines = (
        replace(line, exact=(*one.of.values(), *line.exact))
        for one, table in zip(shown, tables, strict=True)
        for line in table.lines
    )
    return Grid(columns, tuple(lines))
