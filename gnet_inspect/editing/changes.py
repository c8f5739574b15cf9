"""What an edit did: totals beside those of the start, which layers are others now, and the flags that say the same."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from gnet_inspect.analysis.difference import Change, difference
from gnet_inspect.analysis.summary import Summary
from gnet_inspect.editing.revision import Revision, Setting, written_in
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph
from gnet_inspect.language.model import Call
from gnet_inspect.language.places import Written
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.sources.spec.overrides import parse_overrides

# What stands on top of an editor, by the JSON names of totals.
MEASURES = ("params", "macs", "peak_activation_bytes", "receptive_field")
# A change of a part, as it marks the layers that it is of.
_MARKS = {"added": "added", "changed": "changed", "moved": "changed", "affected": "affected"}
# More edits than these are a new text rather than flags.
_MOST_EDITS = 24


class Measure(Struct, frozen=True):
    """A total now and at the start, None where there is none; of a receptive field the height and the width.

    `status` is "exact", or what the number is now: "bound" (of MACs and peak a least, of a field never too small),
    "all" or "unknown".
    """

    key: str
    before: tuple[float, ...] | None
    after: tuple[float, ...] | None
    status: str


def measure_changes(before: Summary, after: Summary) -> list[Measure]:
    """Each of MEASURES."""
    return [Measure(key, _value(before, key), _value(after, key), _status(after, key)) for key in MEASURES]


def _value(summary: Summary, key: str) -> tuple[float, ...] | None:
    value = getattr(summary.totals, key)
    if value is None:
        return None
    return tuple(value) if isinstance(value, tuple) else (value,)


def _status(summary: Summary, key: str) -> str:
    totals = summary.totals
    if key == "receptive_field":
        return totals.receptive_field_status or "unknown"
    if key == "peak_activation_bytes":
        return totals.peak_activation_status
    return "bound" if key == "macs" and summary.coverage.unknown else "exact"


class Marked(Struct, frozen=True):
    """What is not as it was: `layers` by their names now ("added", "changed" or "affected"), and each change."""

    layers: Mapping[str, str]
    changes: tuple[Change, ...]


def mark_changes(before: Revision, after: Revision) -> Marked:
    """Which layers an edit changed, and which count other numbers because of what comes before them."""
    if before.text == after.text:
        return Marked({}, ())
    changes = changes_between(before.graph, after.graph)
    return Marked(dict(_marks(changes, after.graph)), changes)


def changes_between(before: Graph, after: Graph) -> tuple[Change, ...]:
    """Each part that is not as it was."""
    return tuple(change for change in difference(before, after) if change.status != "same")


def _marks(changes: Iterable[Change], after: Graph) -> Iterable[tuple[str, str]]:
    inside = {node.name for node in after.nodes}
    blocks: dict[str, list[str]] = {}
    for change in changes:
        if (mark := _MARKS.get(change.status)) is None:
            continue
        if change.name in inside:
            yield change.name, mark
        elif change.layers:
            for layer in change.layers:
                if layer.status in _MARKS:
                    yield f"{change.name}.{layer.name}", _MARKS[layer.status]
        else:
            # The same layers at other numbers, or all of them new.
            if not blocks:
                for node in after.nodes:
                    for part in _around(node.name):
                        blocks.setdefault(part, []).append(node.name)
            for name in blocks.get(change.name, ()):
                yield name, mark


def _around(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def edits_between(before: Revision, after: Revision, setting: Setting) -> dict[str, str] | None:
    """The edits, as --set takes them, that make the network of `before` that of `after`; None where flags cannot say
    it: lines were added or taken away, or a block was edited that is called more than once. They are tried, not
    guessed: what they make is compared."""
    was, now = written_in(before.text), written_in(after.text)
    if was.keys() != now.keys():
        return None
    edited = [path for path, written in now.items() if written.is_scalar and written.text != was[path].text]
    if len(edited) > _MOST_EDITS:
        return None
    flags = _flags(edited, now, before)
    if flags is None:
        return None
    try:
        overrides = parse_overrides(f"{path}={text}" for path, text in flags.items())
        shapes = {value.name: value.shape for value in after.graph.inputs}
        made = build_graph(before.spec, shapes, overrides=overrides, mode=setting.mode)
    except GnetError:
        return None
    return flags if made.nodes == after.graph.nodes else None


def _flags(edited: Iterable[str], now: Mapping[str, Written], before: Revision) -> dict[str, str] | None:
    """Each edited value by the path that --set has for it."""
    paths: dict[str, list[str]] = {}
    for path, layer in before.calls.items():
        if isinstance(layer, Call):
            for name, argument in layer.arguments.items():
                paths.setdefault(argument.path, []).append(f"{path}.{name}")
    found = {}
    for path in edited:
        text = now[path].text
        outer, _, element = path.rpartition(".")
        if path.startswith("params."):
            found[path.removeprefix("params.")] = text
        elif len(paths.get(path, ())) == 1:
            found[paths[path][0]] = text
        elif element.isdecimal() and len(paths.get(outer, ())) == 1:
            found[f"{paths[outer][0]}.{element}"] = text
        else:
            return None
    return found
