"""`gnet-inspect validate`: is this file a spec, and does the network it describes fit together?"""

from gnet_inspect.cli import options


def validate(spec: options.Model, style: options.Format = "table", output: options.Output = None) -> None:
    """Check a spec: its language, every shape, and its heads. Exits 2 where something is wrong, and says where. A block
    that nothing uses is a warning, on standard error.

    Example: gnet-inspect validate mine.yaml
    """
    from gnet_inspect.analysis.audit import check_published
    from gnet_inspect.cli.models import need_specs
    from gnet_inspect.cli.output import emit_result
    from gnet_inspect.records import SCHEMA_VERSION
    from gnet_inspect.sources.spec import MODES, build_graph
    from gnet_inspect.units import count
    from gnet_inspect.views.grid import Column, Grid, Line

    options.table_format(style, output)
    need_specs([spec], "validate", "which can be wrong")
    read = options.read_model(spec, every=True)
    graphs = {mode: build_graph(read, mode=mode) for mode in MODES}
    check_published(read, graphs["train"])
    params, macs = (sum(getattr(node, name) for node in graphs["eval"].nodes) for name in ("params", "macs"))
    heads = ", ".join(head.name for head in read.heads) or "no heads"
    facts = f"{len(graphs['eval'].nodes)} layers, {count(params)} params, {count(macs)} MACs, {heads}"
    result = {"schema_version": SCHEMA_VERSION, "file": read.file, "model": read.name, "ok": True}
    columns = (
        Column("file", "file", keep=1),
        Column("model", "model"),
        Column("ok", "ok", keep=2),
        Column("facts", "what it is"),
    )
    line = (read.file, read.name, "yes", facts)
    emit_result(result, style, output, lambda: Grid(columns, (Line(line, line),)))
