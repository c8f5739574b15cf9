"""Job -> Answer: what a worker does, as a function."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from shlex import join

from msgspec.structs import replace

from gnet_inspect.analysis.summary import Summary
from gnet_inspect.budgets.limits import Limit, amount_text, judge
from gnet_inspect.editing.changes import edits_between, mark_changes, measure_changes
from gnet_inspect.editing.revision import Mistake, Revision, Setting, mistake_in, read_revision
from gnet_inspect.editing.slots import find_part, part_at, part_of_layers
from gnet_inspect.errors import GnetError
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language.completion import complete
from gnet_inspect.serving.messages import (
    Answer,
    Beside,
    Counted,
    Drawn,
    Found,
    Head,
    Job,
    Light,
    Offered,
    Row,
    Told,
    Wrong,
)
from gnet_inspect.units import byte_count, count, dimensions, percent
from gnet_inspect.views.drawing.diagram import Options, drawing_of, too_large
from gnet_inspect.views.drawing.figures import place_figure
from gnet_inspect.views.grid import beyond_text
from gnet_inspect.views.pages.figure import LOOK, draw_page_figure, legend
from gnet_inspect.views.tables.changes import NAMES, measure_text
from gnet_inspect.views.tables.comparison import ratio_text
from gnet_inspect.views.tables.summary import Selection, summary_grid
from gnet_inspect.views.text import at_least, coverage_line, field_text, headline, inputs_text, line_of

# A page is no place for more rows; the command line has them all.
MOST_ROWS = 1_000
MOST_CHANGES = 40
LEAST_ASPECT = 0.2


def answer(job: Job) -> Answer:
    """What a job asks. A text that is no network is answered with what is wrong with it."""
    if job.do == "complete":
        found = complete(job.text, job.offset)
        return Offered(found.options, found.replaced)
    try:
        revision = _read(job.text, job.file, job.setting)
    except GnetError as error:
        return _wrong(mistake_in(job.text, error))
    return _ANSWERS[job.do](job, revision)


# The start, the text and what the file has, of two tabs; nothing older is asked for.
@lru_cache(maxsize=6)
def _read(text: str, file: str, setting: Setting) -> Revision:
    return read_revision(text, file, setting)


def _wrong(mistake: Mistake) -> Wrong:
    return Wrong(line_of(mistake.fact, 600), line_of(mistake.hint, 400), line_of(mistake.path), mistake.place)


# --- numbers ---


def _count(job: Job, revision: Revision) -> Counted:
    start = _start(job, revision)
    marked = mark_changes(start, revision)
    places = {node.name: index for index, node in enumerate(revision.graph.nodes)}
    marks = {places[name]: mark for name, mark in marked.layers.items()}
    heads, rows = _table(revision, marks)
    summary = revision.summary
    measures = measure_changes(start.summary, summary)
    told = [
        Told(line_of(change.name), change.status, line_of("; ".join(change.what), 400)) for change in marked.changes
    ]
    return Counted(
        title=line_of(headline(summary.title, summary.model, ())),
        about=f"{inputs_text(summary.input, summary.inputs)}, {summary.dtype}, {summary.mode} mode",
        figures=[*map(measure_text, measures)],
        heads=heads,
        rows=rows[:MOST_ROWS],
        left_rows=max(len(rows) - MOST_ROWS, 0),
        marks=marks,
        changes=told[:MOST_CHANGES],
        notes=[coverage_line(summary.coverage), *map(line_of, summary.notes)],
        command=_command(job, revision),
        beside=_beside(job, revision),
        lights=[_light(limit, message, summary) for limit, message in job.limits],
    )


def _start(job: Job, revision: Revision) -> Revision:
    """The start; a start that was no network has nothing to tell against."""
    if job.start in ("", job.text):
        return revision
    try:
        return _read(job.start, job.file, job.setting)
    except GnetError:
        return revision


def _table(revision: Revision, marks: dict[int, str]) -> tuple[list[Head], list[Row]]:
    """The command line's own table at the depth of blocks, with the part that each line is of."""
    grid = beyond_text(summary_grid(revision.summary, revision.graph, Selection()))
    lines = [*Outline(revision.graph, "block").lines("block"), None]
    heads = [Head(column.exact, column.title, column.number) for column in grid.columns]
    rows = []
    for line, drawn in zip(lines, grid.lines, strict=True):
        mark = _strongest([marks.get(index, "") for index in line.entry.indices]) if line is not None else ""
        path, level = (line.entry.name, line.level) if line is not None else ("", 0)
        rows.append(Row(path, level, [line_of(cell.strip(), 80) for cell in drawn.cells], mark))
    return heads, rows


def _strongest(marks: Sequence[str]) -> str:
    """Of the layers of a part the mark that says most; all of them new is a part that is new."""
    if marks and all(mark == "added" for mark in marks):
        return "added"
    if any(mark in ("added", "changed") for mark in marks):
        return "changed"
    return "affected" if any(marks) else ""


def _light(limit: Limit, message: str, summary: Summary) -> Light:
    judged = judge(limit, summary)
    state = {True: "kept", False: "broken", None: "unknown"}[judged.holds]
    now = "?" if judged.value is None else amount_text(limit.name, judged.value)
    return Light(f"{NAMES.get(limit.name, limit.name)} {limit}", now, state, line_of(message, 300))


def _command(job: Job, revision: Revision) -> str:
    """The command that prints the same table: of the file or the built-in model as it is, else with --set; "" where
    there is none. The start may be another text than the one that the file has."""
    if not job.saved:
        return ""
    edits: dict[str, str] | None = {}
    if job.text != job.saved:
        try:
            edits = edits_between(_read(job.saved, job.file, job.setting), revision, job.setting)
        except GnetError:
            return ""
    if edits is None:
        return ""
    flags = [word for path, text in edits.items() for word in ("--set", f"{path}={text}")]
    return join(["gnet-inspect", "summary", job.model or job.file, *job.flags, *flags])


def _beside(job: Job, revision: Revision) -> Beside | None:
    """The other model's figures, with the text's as a share of them."""
    if job.other is None:
        return None
    name, text = job.other
    try:
        # At its own input: models of other inputs are compared as they are.
        other = _read(text, name, Setting(batch=job.setting.batch, mode=job.setting.mode, dtype=job.setting.dtype))
    except GnetError as error:
        return Beside(line_of(name), wrong=line_of(str(error), 300))
    figures = []
    for measure in measure_changes(revision.summary, other.summary):
        mine, theirs = measure.before, measure.after
        ratio = f"{ratio_text(max(mine) / max(theirs))} x" if mine and theirs and max(theirs) else ""
        figures.append(replace(measure_text(measure), change="", percent=ratio, direction="same"))
    least = at_least(other.summary.coverage)
    return Beside(line_of(f"{other.summary.title or name}{' (' + least.strip() + ')' if least else ''}"), figures)


# --- the picture ---


def _draw(job: Job, revision: Revision) -> Drawn:
    graph, summary = revision.graph, revision.summary
    view = job.view
    options = Options(view.depth, collapse=True, opened=view.opened)
    try:
        drawing = drawing_of(graph, summary, options)
    except GnetError as error:
        return Drawn(note=line_of(str(error), 300))
    if bound := too_large(drawing):
        return Drawn(note=f"A diagram can show {bound}.")
    places = {node.name: index for index, node in enumerate(graph.nodes)}
    # No narrower or wider than a picture can be read in.
    aspect = min(max(view.aspect, LEAST_ASPECT), 1 / LEAST_ASPECT) if view.aspect else 0.0
    placed = place_figure(drawing, replace(LOOK, aspect=aspect))
    svg = draw_page_figure(placed, drawing, places, f"diagram of {line_of(summary.title)}")
    return Drawn(svg, placed.width, placed.height, legend(drawing))


# --- the selected part ---


def _find(job: Job, revision: Revision) -> Found:
    at = job.at
    path = at.path
    if not path and at.layers:
        path = part_of_layers(revision, at.layers)
    elif not path and at.line:
        path = part_at(revision, at.line, at.column)
    part = find_part(revision, path) if path else None
    if part is None:
        return Found()
    steppers = [
        replace(slot, label=line_of(slot.label), text=line_of(slot.text), where=line_of(slot.where))
        for slot in part.slots
    ]
    return Found(path, part.role, line_of(part.words), part.layers, part.place, steppers, _facts(revision, part.layers))


def _facts(revision: Revision, indices: Sequence[int]) -> list[tuple[str, str]]:
    """What a part gives and costs."""
    summary = revision.summary
    layers = [summary.layers[index] for index in indices]
    totals, last = summary.totals, layers[-1]
    params, macs = sum(layer.params for layer in layers), sum(layer.macs or 0 for layer in layers)
    unknown = any(layer.macs is None for layer in layers)
    facts = [
        ("output", dimensions(last.output_shape)),
        ("parameters", f"{count(params)} ({percent(params, totals.params)} %)"),
        ("MACs", f"{'at least ' if unknown else ''}{count(macs)} ({percent(macs, totals.macs)} %)"),
        ("activations", byte_count(sum(layer.activation_bytes for layer in layers))),
    ]
    if last.receptive_field_status is not None:
        facts.append(("receptive field", field_text(last.receptive_field, last.receptive_field_status)))
    return facts


_ANSWERS: dict[str, Callable[[Job, Revision], Answer]] = {"count": _count, "draw": _draw, "find": _find}
