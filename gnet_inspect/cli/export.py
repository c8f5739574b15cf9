"""`gnet-inspect export`: a network as a file that runs without this program, proved before it is written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show

if TYPE_CHECKING:
    from gnet_inspect.cli.models import Variant
    from gnet_inspect.runtime.exporting import Exported

ENDINGS = (".py", ".onnx", ".pt2")


def export(
    model: options.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.py|FILE.onnx|FILE.pt2",
            help="Where it is written, whole or not at all; its ending says as what.",
            show_default=False,
        ),
    ],
    inputs: options.Input = None,
    batch: options.Batch = None,
    edits: options.Set = None,
    resize: options.Resize = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="A checkpoint for a spec's weights. Default: of a run those of its best epoch; else they are drawn.",
            show_default=False,
        ),
    ] = None,
    arguments: options.Arguments = None,
    function: options.Function = None,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Of .onnx and .pt2: for any batch, rather than the one it has here.")
    ] = False,
    opset: Annotated[
        int | None,
        typer.Option(
            "--opset", metavar="N", help="Of .onnx: the version of its operators. Default: 18.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a network as torch.nn source, as ONNX, or as torch.export saves it.

    Source is what a person would write: a class for each block, with nothing of this program in it. Nothing is written
    before it is proved: the source is run, takes the state dict strictly, and gives the same outputs bit by bit; of the
    other formats the file is run beside torch. A network in Python keeps its weights in .onnx and .pt2, and so does a
    run that `train` wrote; a spec's come from --weights, or are drawn at random. All are in eval mode, in which
    auxiliary heads are left out, and named.

    Exits 1 where the network cannot be written, and names the layer and the reason.

    Example: gnet-inspect export torchvision:googlenet -o googlenet.py
    """
    if output.suffix not in ENDINGS:
        raise UsageError(
            f"-o: expected a file that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, got {str(output)!r}. "
            "(its ending says what is written)"
        )
    for flag, given, endings in (("--dynamic-batch", dynamic_batch, ENDINGS[1:]), ("--opset", opset, (".onnx",))):
        if given and output.suffix not in endings:
            raise UsageError(
                f"{flag}: expected -o with a file that ends in {' or '.join(endings)}, got {str(output)!r}"
            )
    from gnet_inspect.cli.latency import need_torch
    from gnet_inspect.cli.output import emit, say
    from gnet_inspect.cli.progress import show_work

    need_torch("export")
    flags = options.Flags(inputs, batch, "eval", edits, resize, None, None, arguments, function)
    variant = options.read_variants([model], flags)[0]
    with show_work() as tell:
        tell(0, f"writing {output}, and running it")
        kept = _weights_of(variant, model, weights)
        found = _export(variant, output.suffix, options.own_name(model), opset, kept, dynamic_batch=dynamic_batch)
    emit(found.content, output)
    if found.left:
        say(f"left out, because eval mode never reads them: {', '.join(found.left)}")
    say(f"wrote {output}: {found.proof}")


def _weights_of(variant: "Variant", model: str, weights: Path | None) -> Path | None:
    """The file that weights come from; of a run that of its best epoch. Raises UsageError for a module, which has its
    own."""
    if weights is not None and variant.traced is not None:
        raise UsageError(f"--weights: expected a spec or a run, got {show(model)}, whose code loads its weights")
    if weights is None and variant.run is not None:
        from gnet_inspect.records.training import BEST_FILE

        best = Path(variant.run.folder) / BEST_FILE
        if not best.is_file():
            raise UsageError(f"{model}: expected {BEST_FILE}, which is there after the first epoch. (--weights FILE)")
        return best
    return weights


def _export(
    variant: "Variant", ending: str, name: str, opset: int | None, weights: Path | None, *, dynamic_batch: bool
) -> "Exported":
    from gnet_inspect.runtime import exporting

    graph, traced = variant.graph, variant.traced
    if ending == ".py":
        has_weights = variant.spec is not None or traced is not None
        return exporting.export_source(graph, traced, name, has_weights=has_weights, weights=weights)
    if ending == ".onnx":
        number = exporting.OPSET if opset is None else opset
        return exporting.export_onnx(graph, traced, opset=number, dynamic_batch=dynamic_batch, weights=weights)
    return exporting.export_program(graph, traced, dynamic_batch=dynamic_batch, weights=weights)
