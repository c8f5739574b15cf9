"""The file of a sweep: a SQLite database that loses less than a batch, whatever ends the process.

Its table `candidates` has a row for each network that is kept, `id` from 1, in the order in which they were counted:
the same command makes the same rows. `sweep` says what was asked, `progress` how far it is; nothing of these depends on
the clock or on how often it was started. What was measured of rows is in `measured`, by their `id`.
"""

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gnet_inspect.errors import UsageError, show
from gnet_inspect.search.rows import MOST_COLUMNS
from gnet_inspect.search.space import Choice, Space
from gnet_inspect.search.walk import SECONDS

FORMAT = 1
_TABLES = """
CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE progress (key TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_MEASURED = "CREATE TABLE IF NOT EXISTS measured (id INTEGER, name TEXT, value REAL NOT NULL, PRIMARY KEY (id, name))"


class State(Struct):
    """How far a sweep is: the next batch, and the sums and arrays so far."""

    next: int
    sums: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class Store:
    """A database that a sweep writes."""

    def __init__(
        self, path: Path, space: Space, names: Sequence[str], question: Mapping[str, Any], resume: bool
    ) -> None:
        self.path, self.space, self.names = path, space, tuple(names)
        self.columns = len(space.choices) <= MOST_COLUMNS
        told = {
            "format": FORMAT,
            "question": dict(question),
            "choices": [
                {"paths": choice.paths, "values": choice.texts, "columns": [_written(value) for value in choice.values]}
                for choice in space.choices
            ],
            "totals": list(names),
        }
        text = json.dumps(told, sort_keys=True)
        there = path.exists() and path.stat().st_size > 0
        if there and not resume:
            raise UsageError(f"-o: {show(str(path))} is there already. (--resume goes on with it; or remove it)")
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            if there:
                self._check(text)
            else:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._create(text)
            self._db.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.DatabaseError as error:
            raise UsageError(f"-o: cannot write {show(str(path))} as a database: {error}") from None
        self.rows = int(self._db.execute("SELECT coalesce(max(id), 0) FROM candidates").fetchone()[0])

    def _create(self, text: str) -> None:
        self._db.execute("BEGIN")
        for statement in _TABLES.strip().split("\n"):
            self._db.execute(statement)
        self._db.execute("INSERT INTO sweep VALUES ('asked', ?)", (text,))
        given = (
            [f"{_quoted(choice.name)} " for choice in self.space.choices] if self.columns else ["places BLOB NOT NULL"]
        )
        totals = [_quoted(name) for name in self.names]
        self._db.execute(f"CREATE TABLE candidates (id INTEGER PRIMARY KEY, {', '.join([*given, *totals])})")
        self._db.execute("COMMIT")

    def _check(self, text: str) -> None:
        try:
            (found,) = self._db.execute("SELECT value FROM sweep WHERE key = 'asked'").fetchone()
        except (sqlite3.DatabaseError, TypeError):
            raise UsageError(
                f"-o: expected the file of a sweep, got {show(str(self.path))}. (give another name)"
            ) from None
        if found != text:
            raise UsageError(
                f"--resume: {show(str(self.path))} is of another sweep: "
                f"{_difference(json.loads(found), json.loads(text))}"
            )

    @property
    def state(self) -> State | None:
        """How far it is; None where nothing was counted."""
        found = dict(self._db.execute("SELECT key, value FROM progress").fetchall())
        if not found:
            return None
        with np.load(io.BytesIO(found["arrays"]), allow_pickle=False) as arrays:
            return State(int(found["next"]), json.loads(found["sums"]), dict(arrays))

    def add(self, places: NDArray[np.uint16], totals: Mapping[str, NDArray[Any]], state: State) -> None:
        """The rows of a batch and how far the sweep is then: both, or neither."""
        count = places.shape[1]
        first = self.rows + 1
        found: list[Sequence[Any]] = [range(first, first + count)]
        if self.columns:
            for choice, row in zip(self.space.choices, places, strict=True):
                written = [_written(value) for value in choice.values]
                found.append([written[place] for place in row.tolist()])
        else:
            small = np.ascontiguousarray(places.T).astype("<u2").tobytes()
            width = 2 * len(places)
            found.append([small[start : start + width] for start in range(0, width * count, width)])
        found += [_amounts(name, totals[name]) for name in self.names]
        buffer = io.BytesIO()
        np.savez(buffer, **state.arrays)  # type: ignore[arg-type]  # any names
        signs = ", ".join("?" * len(found))
        try:
            self._db.execute("BEGIN")
            self._db.executemany(f"INSERT INTO candidates VALUES ({signs})", zip(*found, strict=True))
            self._db.executemany(
                "INSERT OR REPLACE INTO progress VALUES (?, ?)",
                [("next", str(state.next)), ("sums", json.dumps(state.sums)), ("arrays", buffer.getvalue())],
            )
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            # A full disk, as a rule: the batches before this one are there.
            raise UsageError(f"-o: cannot write {show(str(self.path))}: {error}. (--resume goes on with it)") from None
        self.rows += count

    def ids(self, networks: Iterable[Sequence[int]]) -> list[int | None]:
        """The rows of networks by the places of their values; None of those that are not there."""
        names = [_quoted(choice.name) for choice in self.space.choices] if self.columns else ["places"]
        asked = f"SELECT id FROM candidates WHERE {' AND '.join(f'{name} IS ?' for name in names)}"
        found = []
        for places in networks:
            if self.columns:
                chosen = zip(self.space.choices, places, strict=True)
                values = [_written(choice.values[place]) for choice, place in chosen]
            else:
                values = [np.array(places, "<u2").tobytes()]
            row = self._db.execute(asked, values).fetchone()
            found.append(None if row is None else int(row[0]))
        return found

    def add_measured(self, measured: Iterable[tuple[int, str, float]]) -> None:
        """What was measured of rows: id, name and value. It is no column of theirs, because no two runs give the
        same."""
        self._db.execute("BEGIN")
        self._db.execute(_MEASURED)
        self._db.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?, ?)", measured)
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Everything into the one file, where there is room for it: else it stays beside it."""
        with closing(self._db), suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.execute("PRAGMA journal_mode=DELETE")

    def records(self) -> Iterator[tuple[Any, ...]]:
        """All rows, in order, with the values of their choices."""
        for row in self._db.execute("SELECT * FROM candidates ORDER BY id"):
            if self.columns:
                yield row
            else:
                places = np.frombuffer(row[1], "<u2").tolist()
                values = [
                    _written(choice.values[place]) for choice, place in zip(self.space.choices, places, strict=True)
                ]
                yield (row[0], *values, *row[2:])

    @property
    def header(self) -> list[str]:
        """The names of what `records` has."""
        return ["id", *(choice.name for choice in self.space.choices), *self.names]


def write_csv(store: Store, path: Path) -> None:
    """All rows as CSV, whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(store.header)
            writer.writerows(store.records())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_parquet(store: Store, path: Path) -> None:
    """All rows as Parquet, whole or not at all."""
    # Nothing of it is typed.
    pyarrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")

    beside = path.with_name(f".{path.name}.part")
    # A column has values of one kind: where some of a choice are text, as lists are, all are.
    kinds = [int, *(_kind(choice) for choice in store.space.choices), *(_amount_kind(name) for name in store.names)]
    types = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in zip(store.header, kinds, strict=True)])
    try:
        with parquet.ParquetWriter(beside, schema, compression="zstd") as writer:
            for rows in _portions(store.records()):
                columns = list(zip(*rows, strict=True)) or [() for _ in kinds]
                given = [
                    [None if value is None else kind(value) for value in column]
                    for kind, column in zip(kinds, columns, strict=True)
                ]
                writer.write_table(pyarrow.table(given, schema=schema))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _portions(records: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    rows: list[tuple[Any, ...]] = []
    empty = True
    for record in records:
        rows.append(record)
        if len(rows) == 100_000:
            yield rows
            rows, empty = [], False
    if rows or empty:
        yield rows


def _kind(choice: Choice) -> type:
    """Of which kind the values of a choice are, as columns have them."""
    kinds = {type(_written(value)) for value in choice.values}
    return str if str in kinds else float if float in kinds else int


def _amount_kind(name: str) -> type:
    return float if name == SECONDS else int


def _amounts(name: str, column: NDArray[Any]) -> list[Any]:
    """A total of each network, None where nobody can tell it."""
    kind = _amount_kind(name)
    return [kind(value) if value == value else None for value in column.tolist()]  # noqa: PLR0124  # NaN alone is not


def _written(value: Any) -> Any:
    """A choice's value as a column has it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return json.dumps(value) if isinstance(value, list | dict) else value


def _difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    for key in asked:
        if key == "question":
            for name in asked[key]:
                if found[key].get(name) != asked[key][name]:
                    what = "the text of the spec" if name == "spec" else name
                    return f"{what} is another one"
        elif found.get(key) != asked[key]:
            return f"its {key} are others"
    return "it asks something else"


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
