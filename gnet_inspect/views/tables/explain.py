"""Explanation -> the tables: the branches or parts, how the numbers of each layer are worked out, what is saved."""

import re
from itertools import pairwise
from posixpath import commonpath

from msgspec.structs import replace

from gnet_inspect.analysis.alternatives import Alternative, sums_by_way
from gnet_inspect.analysis.explanation import Explanation, LayerExplanation, PartExplanation, Working
from gnet_inspect.units import BYTE_UNITS, COUNT_UNITS, Unit, column_unit, dimensions, in_unit, percent
from gnet_inspect.views.grid import Column, Grid, Line, bar_column, share_bar
from gnet_inspect.views.tables.summary import CONVENTION
from gnet_inspect.views.text import field_text, headline, inputs_text, unknown_names

SHARE = Column("macs_percent", "%", True, keep=7)
PARTS = (
    Column("part", "part"),
    Column("type", "type", keep=8, wraps=True),
    Column("output_shape", "output", keep=9),
    Column("params", "params", True, keep=10),
    Column("params_percent", "%", True, keep=6),
    Column("macs", "MACs", True),
    SHARE,
    bar_column(SHARE),
    Column("activation_bytes", "activations", True, keep=-1),
    Column("field_before", "field before", True, keep=4),
    Column("field_after", "field after", True, keep=5),
    Column("jump", "jump", True, keep=2),
)
LAYERS = (
    Column("name", "layer"),
    Column("type", "type", keep=1),
    Column("quantity", "of", whole=True),
    Column("formula", "formula", keep=2, wraps=True),
    Column("numbers", "with numbers", wraps=True),
    Column("value", "value", True),
)
ALTERNATIVES = (
    Column("layers", "layers", keep=8, wraps=True),
    Column("way", "built as", keep=1),
    Column("what", "which is", keep=3, wraps=True),
    Column("instead", "instead of", wraps=True),
    Column("macs", "MACs", True, keep=9),
    Column("macs_instead", "MACs instead", True),
    Column("macs_times", "x MACs", True),
    Column("params", "params", True, keep=4),
    Column("params_instead", "params instead", True, keep=5),
    Column("params_times", "x params", True, keep=6),
)
# What the ways of building are called in papers: one of them.
WAY_WORDS = {
    "bottleneck": "bottleneck",
    "reduction": "1x1 reduction",
    "separable": "depthwise separable convolution",
    "factorised": "factorised convolution",
}
SAVED = "What is saved, beside the plainer layers that would stand there"
WORKED_OUT = "How the numbers are worked out, layer by layer"
NOTHING = "none, by convention"
_NO_NAME = re.compile(r"[^\w']+")


def explanation_grids(result: Explanation) -> list[Grid]:
    """The tables for a terminal or for Markdown."""
    least = "at least " if result.unknown else ""
    shares = percent(result.params, result.network_params), percent(result.macs, result.network_macs)
    above = (
        headline(result.title, result.model, result.overrides),
        f"{inputs_text(result.input, result.inputs)} (batch {result.input[0]}), {result.dtype}, {result.mode} mode",
        CONVENTION,
        f"{result.part}: {result.type or 'a stage'}",
        f"{result.params:,} params ({shares[0]} % of the network), {least}{result.macs:,} MACs ({shares[1]} %)",
    )
    grids = [_parts_grid(result)] if result.parts else []
    grids.append(_layers_grid(result))
    if result.alternatives:
        grids.append(_alternatives_grid(result))
    first, *others = grids
    return [replace(first, above=(*above, *first.above)), *others]


def explanation_rows(result: Explanation) -> Grid:
    """The same for CSV: how each number of each layer is worked out."""
    lines = (
        Line((), (layer.name, layer.type, working.quantity, working.formula, working.numbers, working.value))
        for layer in result.layers
        for working in layer.workings
    )
    return Grid(LAYERS, tuple(lines))


def _short(name: str, result: Explanation) -> str:
    """A name below the part's own."""
    return name.removeprefix(f"{result.part}.")


# --- parts ---


def _parts_grid(result: Explanation) -> Grid:
    units = {
        name: column_unit((getattr(part, name) for part in result.parts), units)
        for name, units in (("params", COUNT_UNITS), ("macs", COUNT_UNITS), ("activation_bytes", BYTE_UNITS))
    }
    columns = tuple(_in_its_unit(column, units.get(column.exact)) for column in PARTS)
    lines = [Line(_part_cells(part, result, units)) for part in result.parts]
    sums = (
        in_unit(result.params, units["params"]),
        percent(result.params, result.params),
        in_unit(result.macs, units["macs"]),
        percent(result.macs, result.macs),
        "",
        in_unit(sum(part.activation_bytes for part in result.parts), units["activation_bytes"]),
    )
    lines.append(Line(("total", "", "", *sums, "", "", ""), style="bold", rule_above=True))
    return Grid(columns, tuple(lines), below=tuple(_below_parts(result)))


def _in_its_unit(column: Column, unit: Unit | None) -> Column:
    return replace(column, title=f"{column.title} ({unit[0]})") if unit and unit[0] else column


def _part_cells(part: PartExplanation, result: Explanation, units: dict[str, Unit]) -> tuple[str, ...]:
    return (
        _short(part.name, result),
        part.type,
        dimensions(part.output_shape),
        in_unit(part.params, units["params"]),
        percent(part.params, result.params),
        in_unit(part.macs, units["macs"]),
        percent(part.macs, result.macs),
        share_bar(part.macs, result.macs),
        in_unit(part.activation_bytes, units["activation_bytes"]),
        field_text(part.field_before, None),
        field_text(part.field_after, part.field_after_status),
        _numbers(part.jump),
    )


def _numbers(numbers: tuple[int | float, ...] | None) -> str:
    """One number for all axes where they have the same."""
    texts = dict.fromkeys(f"{number:g}" for number in numbers or ())
    return "x".join(texts) if len(texts) == 1 else "x".join(f"{number:g}" for number in numbers or ())


def _below_parts(result: Explanation) -> list[str]:
    """How channels are added, and how fields grow."""
    own = {part.name for part in result.parts}
    lines = [
        f"{_short(layer.name, result)} puts its inputs side by side: {working.numbers} = {working.value:,}"
        for layer in result.layers
        if layer.name in own and len(layer.input_shapes) > 1
        for working in layer.workings
        if working.quantity not in ("params", "macs") and " + " in working.numbers
    ]
    if any(part.jump for part in result.parts):
        lines.append(
            "field: the pixels of the input that one element sees; a window of k elements, each a jump further on, "
            "adds (k - 1) x jump"
        )
    if result.unknown:
        lines.append(f"MACs are at least these: {unknown_names(result.unknown)}")
    return lines


# --- layers ---


def _layers_grid(result: Explanation) -> Grid:
    starts = _first_layers(result.parts)
    lines = []
    for layer in result.layers:
        head, style = (_short(layer.name, result), layer.type), "" if layer.params or layer.macs else "dim"
        rule = layer.name in starts
        for working in layer.workings:
            lines.append(Line((*head, *_working_cells(working)), style=style, rule_above=rule))
            head, rule = ("", ""), False
    return Grid(LAYERS, tuple(lines), (WORKED_OUT, *_symbols(result.layers)))


def _first_layers(parts: tuple[PartExplanation, ...]) -> set[str]:
    """The layers above which a rule is drawn: with which a part of several begins, or ends."""
    return {part.layers[0] for before, part in pairwise(parts) if len(before.layers) > 1 or len(part.layers) > 1}


def _working_cells(working: Working) -> tuple[str, ...]:
    quantity = "MACs" if working.quantity == "macs" else working.quantity
    if working.value is None:
        return quantity, "nobody can count them", "", "?"
    if not working.formula and working.quantity == "macs" and not working.value:
        return quantity, NOTHING, "", "0"
    return quantity, working.formula, working.numbers, f"{working.value:,}"


# What letters of formulas stand for.
_LETTERS = (
    ("N", "images"),
    ("C", "channels"),
    ("F", "features"),
    ("H, W", "height and width"),
    ("L", "positions"),
    ("k", "kernel"),
    ("p", "padding on each side"),
    ("s", "stride"),
    ("d", "dilation"),
    ("w", "window"),
)


def _symbols(layers: tuple[LayerExplanation, ...]) -> list[str]:
    """What the letters in the formulas of some layers stand for, on one line; nothing where there are none."""
    text = " ".join(working.formula for layer in layers for working in layer.workings)
    met = {word.strip("'").partition("_")[0] for word in _NO_NAME.split(text)}
    told = [f"{name} {what}" for name, what in _LETTERS if met & set(name.split(", "))]
    if not told:
        return []
    marks = ["' what goes out" * ("'" in text), "_1, _2 the first and the second axis or input" * ("_" in text)]
    return ["; ".join([", ".join(told), *filter(None, marks)])]


# --- what is saved ---


def _alternatives_grid(result: Explanation) -> Grid:
    lines = [Line(_alternative_cells(item, result)) for item in result.alternatives]
    below = [_sentence(way, found, result) for way, found in sums_by_way(result.alternatives)]
    return Grid(ALTERNATIVES, tuple(lines), (SAVED,), tuple(below))


def _alternative_cells(item: Alternative, result: Explanation) -> tuple[str, ...]:
    return (
        _place(item, result),
        WAY_WORDS[item.way].removesuffix(" convolution"),
        item.what,
        item.instead,
        f"{item.macs:,}",
        f"{item.macs_instead:,}",
        _times(item.macs_instead, item.macs),
        f"{item.params:,}",
        f"{item.params_instead:,}",
        _times(item.params_instead, item.params),
    )


def _place(item: Alternative, result: Explanation) -> str:
    """Where the layers are: the branch or block that all of them lie in, else their names."""
    common = commonpath([f"/{_short(name, result).replace('.', '/')}" for name in item.layers])[1:]
    return common.replace("/", ".") or " -> ".join(_short(name, result) for name in item.layers)


def _times(more: int, less: int) -> str:
    """How many times as many, to two digits after the point."""
    return f"{more / less:.2f}" if less else ""


def _sentence(way: str, found: list[Alternative], result: Explanation) -> str:
    """What the part would take without what is built so."""
    macs = result.macs + sum(item.macs_instead - item.macs for item in found)
    params = result.params + sum(item.params_instead - item.params for item in found)
    least = "at least " if result.unknown else ""
    return (
        f"Without its {WAY_WORDS[way]}{'s' * (len(found) > 1)}, {result.part} would take {least}{macs:,} MACs, "
        f"{_times(macs, result.macs)} times its {result.macs:,}, and {params:,} params, "
        f"{_times(params, result.params)} times its {result.params:,}."
    )
