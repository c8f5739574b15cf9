"""`gnet-inspect validate`: is this file a spec, and does the network it describes fit together?"""

from typing import TYPE_CHECKING, NamedTuple

import typer
from msgspec import Struct

from gnet_inspect.cli import options
from gnet_inspect.errors import SpecError, UsageError

if TYPE_CHECKING:
    from gnet_inspect.views.grid import Grid


class Validity(Struct, frozen=True, omit_defaults=True):
    """What `validate --format json` prints of a spec. `model` is None of a text that is none, and `error` says why."""

    schema_version: int
    file: str
    model: str | None
    ok: bool
    error: str = ""


class Validated(NamedTuple):
    """A spec's validity, and what it is in words."""

    validity: Validity
    facts: str


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
    checked = []
    for spec in specs:
        try:
            checked.append(_validate(spec))
        except (SpecError, UsageError) as error:
            if len(specs) == 1:
                raise
            say_error(error)
            fact = error.fact if isinstance(error, SpecError) else error.message
            checked.append(Validated(Validity(SCHEMA_VERSION, spec, None, ok=False, error=str(error)), fact))
    found = tuple(one.validity for one in checked)
    result = found[0] if len(found) == 1 else Results(SCHEMA_VERSION, found)
    emit_result(result, style, output, lambda: _grid(checked))
    if not all(one.ok for one in found):
        raise typer.Exit(2)


def _validate(spec: str) -> Validated:
    """Raises SpecError or UsageError where something is wrong with it."""
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
    return Validated(Validity(SCHEMA_VERSION, read.file, read.name, ok=True), facts)


def _grid(checked: list[Validated]) -> "Grid":
    from gnet_inspect.views.grid import Column, Grid, Line

    columns = (
        Column("file", "file", keep=1),
        Column("model", "model"),
        Column("ok", "ok", keep=2),
        Column("facts", "what it is"),
    )
    lines = []
    for validity, facts in checked:
        texts = (validity.file, validity.model or "", "yes" if validity.ok else "no", facts)
        lines.append(Line(texts, texts, style="" if validity.ok else "bold red"))
    return Grid(columns, tuple(lines))
