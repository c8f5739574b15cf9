"""`gnet-inspect validate`: is this file a spec, and does the network it describes fit together?"""

from typing import TYPE_CHECKING, Any

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import SpecError, UsageError

if TYPE_CHECKING:
    from gnet_inspect.views.grid import Grid


def validate(specs: options.Models, style: options.Format = "table", output: options.Output = None) -> None:
    """Check specs: their language, every shape, and their heads. Exits 2 where something is wrong, and says where; of
    several specs each is checked. A block that nothing uses is a warning, on standard error.

    Example: gnet-inspect validate mine.yaml
    """
    from gnet_inspect.cli import say_error
    from gnet_inspect.cli.models import need_specs
    from gnet_inspect.cli.output import emit_result
    from gnet_inspect.cli.several import Results
    from gnet_inspect.records import SCHEMA_VERSION

    options.table_format(style, output)
    need_specs(specs, "validate", "which can be wrong")
    options.one_stdin(specs)
    # What JSON has of each, and what stands in its row.
    checked: list[tuple[dict[str, Any], str]] = []
    for spec in specs:
        try:
            checked.append(_validate(spec))
        except (SpecError, UsageError) as error:
            if len(specs) == 1:
                raise
            say_error(error)
            fact = error.fact if isinstance(error, SpecError) else error.message
            record = {"schema_version": SCHEMA_VERSION, "file": spec, "model": None, "ok": False, "error": str(error)}
            checked.append((record, fact))
    found = tuple(record for record, _ in checked)
    result = found[0] if len(found) == 1 else Results(SCHEMA_VERSION, found)
    emit_result(result, style, output, lambda: _grid(checked))
    if not all(record["ok"] for record in found):
        raise typer.Exit(2)


def _validate(spec: str) -> tuple[dict[str, Any], str]:
    """The record of a spec that is right, and what it is in words. Raises SpecError or UsageError for another one."""
    from gnet_inspect.analysis.audit import check_published
    from gnet_inspect.records import SCHEMA_VERSION
    from gnet_inspect.sources.spec import MODES, build_graph
    from gnet_inspect.units import count

    read = options.read_model(spec, every=True)
    graphs = {mode: build_graph(read, mode=mode) for mode in MODES}
    check_published(read, graphs["train"])
    params, macs = (sum(getattr(node, name) for node in graphs["eval"].nodes) for name in ("params", "macs"))
    heads = ", ".join(head.name for head in read.heads) or "no heads"
    facts = f"{len(graphs['eval'].nodes)} layers, {count(params)} params, {count(macs)} MACs, {heads}"
    return {"schema_version": SCHEMA_VERSION, "file": read.file, "model": read.name, "ok": True}, facts


def _grid(checked: list[tuple[dict[str, Any], str]]) -> "Grid":
    from gnet_inspect.views.grid import Column, Grid, Line

    columns = (
        Column("file", "file", keep=1),
        Column("model", "model"),
        Column("ok", "ok", keep=2),
        Column("facts", "what it is"),
    )
    lines = []
    for record, facts in checked:
        texts = (record["file"], record["model"] or "", "yes" if record["ok"] else "no", facts)
        lines.append(Line(texts, texts, style="" if record["ok"] else "bold red"))
    return Grid(columns, tuple(lines))
