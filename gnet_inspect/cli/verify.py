"""`gnet-inspect verify`: the static numbers against the real module, and against the published figures."""

import gc
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options, signals
from gnet_inspect.errors import INSTALL_TORCH

if TYPE_CHECKING:
    from gnet_inspect.cli.models import Variant
    from gnet_inspect.records.verification import Check


def verify(
    models: options.Models,
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
    from gnet_inspect.cli.output import say
    from gnet_inspect.cli.several import Result, emit_results
    from gnet_inspect.views.tables.verification import verification_grid, verification_rows

    options.table_format(style, output)
    need_runnable(models, "verify")
    options.one_edited(models, edits)
    flags = options.Flags(inputs, batch, mode, edits, resize, arguments=arguments, function=function)
    variants = options.read_variants(models, flags)
    # A published row that names what is not there is told before the checks, which take seconds.
    figures = [audit(variant.spec) if variant.spec else () for variant in variants]
    results = [
        verification_of(variant.spec, variant.graph, rows, [] if published else _checks(variant, mode))
        for variant, rows in zip(variants, figures, strict=True)
    ]
    emit_results(
        [
            Result(
                result,
                partial(verification_grid, result, variant.graph),
                partial(verification_rows, result),
                {"model": name},
            )
            for name, variant, result in zip(models, variants, results, strict=True)
        ],
        style,
        output,
    )
    if not all(result.ok for result in results):
        raise typer.Exit(1)
    checks = [check for result in results for check in result.checks]
    missing = sorted({check.note for check in checks if check.ok is None and not check.note.startswith("prints")})
    if missing:
        mend = f"Install what they need with: {INSTALL_TORCH}"
        say(
            f"not all checks were run: {'; '.join(missing)}. {mend if 'not installed' in str(missing) else ''}".rstrip()
        )
        raise typer.Exit(3)


def _checks(variant: "Variant", mode: str) -> "list[Check]":
    from importlib.util import find_spec

    from gnet_inspect.cli.progress import show_work

    if variant.traced is not None:
        from gnet_inspect.runtime.verify_network import run_network_checks

        with show_work(lines=True) as tell:
            return run_network_checks(variant.traced, mode, lambda text: tell(0, text))[1]
    if find_spec("torch") is None:
        from gnet_inspect.records.verification import not_run

        return not_run("torch is not installed")
    with show_work(lines=True) as tell:
        # torch takes seconds to be there.
        from gnet_inspect.runtime.verify import run_checks

        signals.check()
        gc.enable()
        return run_checks(variant.graph, lambda text: tell(0, text))
