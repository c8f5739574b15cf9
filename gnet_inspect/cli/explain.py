"""`gnet-inspect explain`: where the shapes and costs of a part come from."""

from functools import partial
from shlex import join
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show, some_of

if TYPE_CHECKING:
    from gnet_inspect.analysis.explanation import Explanation
    from gnet_inspect.graph import Graph


def explain(
    model: options.Model,
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PART...",
            help="Layers, blocks, branches, lists or stages, by their paths; each has its own result. Without one, "
            "those that there are are named.",
            show_default=False,
        ),
    ] = None,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    dtype: options.Dtype = "fp32",
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """Where shapes and costs come from: formulas, numbers, and what is saved.

    Branch by branch and layer by layer; and what a block would take without its 1x1 reductions, with a plain
    convolution for a bottleneck or a depthwise separable one, with a 7x7 for a 1x7 and a 7x1.

    What its columns mean: gnet-inspect glossary --of explain

    Example: gnet-inspect explain googlenet inception4a
    """
    from gnet_inspect.cli.several import Result, emit_results
    from gnet_inspect.units import DTYPE_BYTES
    from gnet_inspect.views.tables.explain import explanation_grids, explanation_rows

    options.table_format(style, output)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    graph = options.read_graph(
        model, options.Flags(inputs, batch, mode, edits, resize, None, None, arguments, function)
    )
    shown = [
        Result(result, partial(explanation_grids, result), partial(explanation_rows, result), {"part": result.part})
        for result in _explain_all(model, graph, parts or [], dtype)
    ]
    emit_results(shown, style, output)


def _explain_all(model: str, graph: "Graph", parts: list[str], dtype: str) -> "list[Explanation]":
    from gnet_inspect.analysis.explanation import explain as explain_part

    if not parts:
        raise _nothing_named(model, graph)
    try:
        return [explain_part(graph, part, dtype) for part in parts]
    except UsageError as error:
        error.say_of("PART")
        raise


def _nothing_named(model: str, graph: "Graph") -> UsageError:
    """What to say where no part is named: those there are, and a line that explains one."""
    from gnet_inspect.analysis.explanation import parts_to_explain, worth_explaining

    lines = [f"{stage}: {some_of(inner, 10)}" for stage, inner in parts_to_explain(graph)]
    example = join(["gnet-inspect", "explain", model, worth_explaining(graph)])
    return UsageError(f"expected a PART of {show(model)} to explain, got none. ({example})", lines)
