"""What a training step keeps in memory as a table: four parts that sum to the total, the last of them by layers."""

from collections.abc import Iterable

from gnet_inspect.analysis.memory import EXACT
from gnet_inspect.analysis.summary import TrainingMemory
from gnet_inspect.units import BYTE_UNITS, column_unit, in_unit, percent
from gnet_inspect.views.grid import Column, Grid, Line, bar_column, share_bar

# So many layers are told, those that keep most; the others are one row.
MOST_LAYERS = 10
BOUND = "saved activations and the total are at least these: some layers keep an amount that nobody knows"
APART = "without what a loss keeps, gradients of activations, workspaces and the allocator's slack"
LAYERS = "a layer's saved activations: what it is the first to keep until the backward pass"


def training_grid(memory: TrainingMemory) -> Grid:
    """Rows sum to the row above them, and to the total."""
    largest = sorted(memory.saved, key=lambda layer: -layer.bytes)[:MOST_LAYERS]
    rows = [(f"  {layer.name}", layer.bytes) for layer in largest]
    left = memory.saved_bytes - sum(layer.bytes for layer in largest)
    if left:
        rows.append((f"  ({len(memory.saved) - len(largest):,} others)", left))
    least = "" if memory.saved_status == EXACT else "at least "
    parts = [
        ("weights", memory.weights_bytes),
        ("gradients", memory.gradient_bytes),
        (f"state of {memory.optimizer}", memory.optimizer_bytes),
        ("saved activations", memory.saved_bytes),
    ]
    unit = column_unit(_sizes([*parts, *rows]), BYTE_UNITS)

    def line(name: str, size: int, least: str = "", style: str = "", rule_above: bool = False) -> Line:
        whole = memory.total_bytes
        # The total is no part of itself.
        drawn = "" if rule_above else share_bar(size, whole)
        cells = (name, least + in_unit(size, unit), percent(size, whole), drawn)
        return Line(cells, (name, size), style, rule_above)

    lines = [line(name, size, style="bold") for name, size in parts[:-1]]
    lines.append(line(*parts[-1], least, "bold"))
    lines += [line(name, size) for name, size in rows]
    lines.append(line("total", memory.total_bytes, least, "bold", rule_above=True))
    share = Column("share", "%", number=True, keep=1)
    columns = (Column("part", "kept"), Column("bytes", f"memory ({unit[0]})", number=True), share, bar_column(share))
    below = (*((LAYERS,) if memory.saved else ()), *((BOUND,) if least else ()), APART)
    return Grid(columns, tuple(lines), (f"what a training step with {memory.optimizer} keeps in memory",), below)


def _sizes(rows: Iterable[tuple[str, int]]) -> list[int]:
    return [size for _, size in rows]
