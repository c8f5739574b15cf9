"""What came of a checkpoint as a table: every name of the file and of the module is in one row."""

from gnet_inspect.errors import some_of
from gnet_inspect.records.weights import LoadedWeights
from gnet_inspect.views.grid import Column, Grid, Line

COLUMNS = (
    Column("what", "tensors"),
    Column("count", "number", number=True),
    Column("names", "which", keep=1, widest=100),
)


def weights_grid(loaded: LoadedWeights) -> Grid:
    """One row for each thing that came of some; what did not fit is told in full below."""
    rows = (
        ("loaded", loaded.loaded, ""),
        ("left alone on purpose", loaded.left, ""),
        ("BatchNorm counters the file lacks, kept", loaded.untracked, ""),
        ("missing in the file", loaded.missing, "red"),
        ("that the module does not have", loaded.unexpected, "red"),
        ("that differ", tuple(item.name for item in loaded.mismatched), "red"),
    )
    lines = [
        Line((what, f"{len(names):,}", some_of(names)), (what, len(names)), style)
        for what, names, style in rows
        if names or what == "loaded"
    ]
    whole = sum(len(names) for _, names, _ in rows)
    lines.append(Line(("total", f"{whole:,}", ""), ("total", whole), "bold", rule_above=True))
    return Grid(COLUMNS, tuple(lines), (f"{loaded.path} ({loaded.format})",), (*loaded.faults(), *loaded.notes))
