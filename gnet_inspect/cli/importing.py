"""`gnet-inspect import`: a network as a spec, proved before it is written."""

from pathlib import Path
from typing import Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError


def import_network(
    model: options.Model,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="What the spec is called. Default: MODEL's own name.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.yaml",
            help="Where the spec is written, whole or not at all. Default: standard output.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a network down as a spec: modules that repeat as blocks with parameters, stages where resolutions change.

    Nothing is written before it is proved: the module that is built of the spec loads the network's weights strictly
    and gives its outputs bit by bit; of a file without weights it has the same layers, shapes and numbers. Where layers
    had to get other names, FILE.names.json maps the old ones to the new. Auxiliary classifiers are written with
    --mode train, and named without it.

    Exits 1 where the network cannot be expressed, and names the layer and the reason.

    Example: gnet-inspect import torchvision:resnet50 -o resnet50.yaml
    """
    from gnet_inspect.cli.latency import need_torch
    from gnet_inspect.cli.output import emit, say
    from gnet_inspect.cli.progress import show_work
    from gnet_inspect.language.catalogue import ENDINGS
    from gnet_inspect.views.json import draw_json

    if output is not None and options.names_a_file(output) and output.suffix not in ENDINGS:
        raise UsageError(
            f"-o: expected a file that ends in .yaml, got {str(output)!r}. (other commands know it by that)"
        )
    need_torch("import")
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    variant = options.read_variants([model], flags)[0]
    called = name or options.own_name(model)
    with show_work() as tell:
        tell(0, f"writing {model} as a spec, and proving it")
        from gnet_inspect.runtime.importing import import_graph, import_module

        if (variant.spec is None and variant.traced is None) or until is not None:
            found = import_graph(variant.graph, called, model)
        else:
            found = import_module(variant.graph, variant.traced, called, model)
    emit(found.text, output)
    if found.renamed and output is not None and options.names_a_file(output):
        emit(draw_json(found.renamed), output.with_suffix(".names.json"))
    for old, new in list(found.renamed.items())[:5]:
        say(f"renamed: {old} is {new}")
    say(f"{model}: {len(found.text.splitlines())} lines; {found.proof}")
