"""`gnet-inspect verify`: the static numbers against the real module, and against the published figures."""

import gc
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options, signals
from gnet_inspect.errors import INSTALL_TORCH

if TYPE_CHECKING:
    from gnet_inspect.graph import Graph
    from gnet_inspect.records.verification import Check
    from gnet_inspect.runtime.references import Traced


def verify(
    model: options.Model,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    published: Annotated[
        bool, typer.Option("--published", help="The published figures alone; needs no torch.")
    ] = False,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Prove the numbers: against torch, peers and papers.

    Every layer's shapes, parameters and MACs are compared with the module torch builds, fvcore and torch's own counter,
    the totals with torchinfo, and the published figures with the exact ones.

    Exits 1 where anything differs or a published figure disagrees, 3 where a check could not be run.

    What its columns mean: gnet-inspect glossary --of verify

    Example: gnet-inspect verify googlenet --mode train
    """
    from gnet_inspect.analysis.audit import audit, verification_of
    from gnet_inspect.cli.models import need_runnable
    from gnet_inspect.cli.output import emit_result, say
    from gnet_inspect.views.tables.verification import verification_grid, verification_rows

    options.table_format(style, output)
    need_runnable([model], "verify")
    flags = options.Flags(inputs, batch, mode, edits, resize, arguments=arguments, function=function)
    ((spec, graph, traced),) = options.read_variants([model], flags)
    # A published row that names what is not there is told before the checks, which take seconds.
    figures = audit(spec) if spec else ()
    checks = [] if published else _checks(graph) if traced is None else _checks_of(traced, mode)
    result = verification_of(spec, graph, figures, checks)
    emit_result(result, style, output, lambda: verification_grid(result, graph), lambda: verification_rows(result))
    if not result.ok:
        raise typer.Exit(1)
    missing = sorted({check.note for check in checks if check.ok is None and not check.note.startswith("prints")})
    if missing:
        mend = f"Install what they need with: {INSTALL_TORCH}"
        say(
            f"not all checks were run: {'; '.join(missing)}. {mend if 'not installed' in str(missing) else ''}".rstrip()
        )
        raise typer.Exit(3)


def _checks_of(traced: "Traced", mode: str) -> "list[Check]":
    from gnet_inspect.cli.output import say
    from gnet_inspect.runtime.verify_network import run_network_checks

    return run_network_checks(traced, mode, say)[1]


def _checks(graph: "Graph") -> "list[Check]":
    from importlib.util import find_spec

    if find_spec("torch") is None:
        from gnet_inspect.records.verification import not_run

        return not_run("torch is not installed")
    from gnet_inspect.cli.output import say
    from gnet_inspect.runtime.verify import run_checks

    signals.check()
    gc.enable()
    return run_checks(graph, say)
