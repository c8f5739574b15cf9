"""An examination of the machine as a table."""

from gnet_inspect.records.environment import Examination
from gnet_inspect.views.grid import Column, Grid, Line

COLUMNS = (
    Column("name", "what"),
    Column("found", "found", keep=8),
    Column("purpose", "what for", keep=3),
    Column("remedy", "how to get it", keep=5),
)


def doctor_grid(result: Examination) -> Grid:
    """One row for each part; what is missing says how to get it."""
    lines = []
    for part in result.parts:
        texts = (part.name, part.found or "missing", part.purpose, part.remedy)
        lines.append(Line(texts, texts, "" if part.found else "yellow"))
    return Grid(COLUMNS, tuple(lines))
