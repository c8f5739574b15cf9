"""A row of a sweep's file, read back; what writes them is `store`."""

import json
import sqlite3
from array import array
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from sys import byteorder
from typing import Any

from msgspec import Struct

from gnet_inspect.errors import UsageError, show

# Of more choices each row has one blob: two bytes for the place of each value.
MOST_COLUMNS = 24


class Row(Struct, frozen=True):
    """A row of a sweep's file: the spec that was varied, and the edits that make this network of it."""

    spec: str
    file: str
    edits: Mapping[str, str]
    question: Mapping[str, Any]


def read_row(path: Path, number: int) -> Row:
    """One row of a file. Raises UsageError where there is none such."""
    if not path.is_file():
        raise UsageError(f"expected the file of a sweep, got {show(str(path))}, which is not there")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            asked = json.loads(db.execute("SELECT value FROM sweep WHERE key = 'asked'").fetchone()[0])
            row = db.execute("SELECT * FROM candidates WHERE id = ?", (number,)).fetchone()
            last = db.execute("SELECT coalesce(max(id), 0) FROM candidates").fetchone()[0]
    except (sqlite3.DatabaseError, TypeError, ValueError):
        raise UsageError(f"expected the file of a sweep, got {show(str(path))}") from None
    if row is None:
        raise UsageError(f"{path}: expected a row from 1 to {last:,}, got {number:,}")
    choices = asked["choices"]
    if len(choices) <= MOST_COLUMNS:
        texts = [
            choice["values"][choice["columns"].index(value)] for choice, value in zip(choices, row[1:], strict=False)
        ]
    else:
        places = array("H", row[1])
        if byteorder == "big":
            places.byteswap()
        texts = [choice["values"][place] for choice, place in zip(choices, places, strict=True)]
    edits = {path_: text for choice, text in zip(choices, texts, strict=True) for path_ in choice["paths"]}
    question = asked["question"]
    return Row(question["spec"], question["file"], edits, question)
