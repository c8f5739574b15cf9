"""`gnet-inspect roofline`: the least time that a device could take."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

if TYPE_CHECKING:
    from gnet_inspect.analysis.devices import Device
    from gnet_inspect.graph import Graph


def complete_device(incomplete: str) -> list[str]:
    """Built-in names for shell completion."""
    from gnet_inspect.analysis.devices import known_devices

    return [name for name in known_devices() if name.startswith(incomplete)]


class Devices(Struct, frozen=True):
    """What `--devices --format json` prints."""

    schema_version: int
    devices: "tuple[Device, ...]"


def _emit_devices(style: str | None, output: Path | None) -> None:
    from gnet_inspect.analysis.devices import known_devices, load_device
    from gnet_inspect.cli.output import emit_result
    from gnet_inspect.records import SCHEMA_VERSION
    from gnet_inspect.views.tables.roofline import devices_grid

    form = options.table_format(style or "table", output)
    devices = tuple(map(load_device, known_devices()))
    emit_result(Devices(SCHEMA_VERSION, devices), form, output, lambda: devices_grid(devices))


def roofline(
    models: options.OptionalModels = None,
    devices: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="DEVICE,...",
            help="A built-in device (--devices lists them), or a YAML file with the peaks of one; several by commas.",
            autocompletion=complete_device,
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option("--dtype", metavar="fp32|tf32|fp16|bf16|fp64|int8", help="What is computed and stored in."),
    ] = "fp32",
    inputs: options.Input = None,
    batch: options.Batch = None,
    depth: Annotated[
        str,
        typer.Option("--depth", metavar="stage|block|layer", help="How far the table opens; 1, 2 and 3 mean the same."),
    ] = "block",
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help="Sort the table's rows by a column's JSON name, such as roofline_s; numbers largest first.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int | None, typer.Option("--top", metavar="K", help="The first K rows.", show_default=False)] = None,
    latency: Annotated[
        Path | None,
        typer.Option(
            "--latency",
            metavar="FILE",
            help="What `latency --save` measured: the plot then has each layer's measured time.",
            show_default=False,
        ),
    ] = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    until: options.Until = None,
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    style: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="table|json|csv|markdown|latex|svg|png|html",
            help="Default: svg, png or html by the file's ending, or a table.",
            show_default=False,
        ),
    ] = None,
    output: options.Output = None,
    totals: Annotated[
        bool,
        typer.Option(
            "--totals", help="The least times of whole networks alone: a row for each model, a column for each device."
        ),
    ] = False,
    known: Annotated[bool, typer.Option("--devices", help="List the built-in devices, and nothing else.")] = False,
) -> None:
    """The least time a device could take, by layer and in all.

    A layer takes at least its FLOPs at the device's peak, and at least its bytes at the memory's bandwidth: the larger
    of the two bounds it. As svg, png or html it is a plot: layers under the device's roofs. Several models and devices
    have each their table, behind one of all their totals.

    What its columns mean: gnet-inspect glossary --of roofline

    Example: gnet-inspect roofline googlenet --on h200 --dtype bf16 --batch 64; which model for which device:
    gnet-inspect roofline resnet18 mobilenet_v2 --on raspberry_pi5,coral_usb --dtype int8 --totals
    """
    from gnet_inspect.analysis.devices import ELEMENT_BYTES
    from gnet_inspect.analysis.roofline import roofline as bounds_of
    from gnet_inspect.cli.output import emit, emit_result
    from gnet_inspect.cli.several import Result, emit_results, together
    from gnet_inspect.graph.outline import DEPTHS
    from gnet_inspect.views.grid import check_columns
    from gnet_inspect.views.tables.roofline import (
        COLUMNS,
        Selection,
        Totals,
        roofline_grid,
        roofline_rows,
        totals_grid,
        totals_rows,
    )

    if known:
        _emit_devices(style, output)
        return
    if not models:
        raise UsageError("expected MODEL, as `roofline googlenet --on h200`, got none. (--devices lists the devices)")
    form = _format(style, output)
    options.one_of("--dtype", dtype, tuple(ELEMENT_BYTES))
    options.positive("--top", top)
    check_columns("--sort", [sort] if sort else [], COLUMNS.values())
    selection = Selection(options.one_of("--depth", depth, DEPTHS), sort, top)
    if latency is not None and form not in PLOTS:
        raise UsageError(f"--latency goes into a plot: expected --format {', '.join(PLOTS)}, got {form!r}")
    named = _devices_of(devices)
    options.one_edited(models, edits)
    if form in PLOTS and totals:
        raise UsageError(f"--totals is a table: expected --format table, json, csv, markdown or latex, got {form!r}")
    if form in PLOTS and (len(models), len(named)) != (1, 1):
        raise UsageError(
            f"a plot is of one model on one device, expected one of each, got {len(models)} and {len(named)}. "
            f"(run it for each, or leave {form} out for a table)"
        )
    flags = options.Flags(inputs, batch, mode, edits, resize, None, until, arguments, function)
    graphs = [variant.graph for variant in options.read_variants(models, flags)]
    if form in PLOTS:
        from gnet_inspect.views.pages.roofline import draw_plot

        measured = _measured(latency, graphs[0], dtype) if latency else {}
        (device,) = named.values()
        emit(draw_plot(bounds_of(graphs[0], device, dtype), graphs[0], form, measured), output)
        return
    shown, found = [], []
    for model, graph in zip(models, graphs, strict=True):
        for name, device in named.items():
            result = bounds_of(graph, device, dtype)
            table = partial(roofline_grid, result, graph, selection)
            rows = partial(roofline_rows, result, graph, selection)
            shown.append(Result(result, table, rows, {"model": model, "device": name}))
            found.append(result)
    whole = Totals(models, list(named), found)
    if totals:
        emit_result(together(shown), form, output, partial(totals_grid, whole), partial(totals_rows, whole))
    else:
        emit_results(shown, form, output, options.shorter(depth, top), partial(totals_grid, whole))


PLOTS = ("svg", "png", "html")


def _format(style: str | None, output: Path | None) -> str:
    """The format that was asked for, a plot's that the file's ending names, or a table."""
    from gnet_inspect.cli.output import FORMATS

    ending = output.suffix.lower().removeprefix(".") if output else ""
    form = style if style is not None else ending if ending in PLOTS else "table"
    return options.fitting_format(form, output, (*FORMATS, *PLOTS))


def _devices_of(text: str | None) -> "dict[str, Device]":
    """The devices of --on, by their names there; a file whose own name has a comma is one."""
    from gnet_inspect.analysis.devices import known_devices, load_device

    names = (text,) if text is not None and Path(text).exists() else options.split_words(text)
    if not names:
        raise UsageError(
            f"expected --on with a device ({', '.join(known_devices())}) or a device file, got none. "
            "(`gnet-inspect roofline --devices` lists their peaks)"
        )
    return {name: load_device(name) for name in names}


def _measured(path: Path, graph: "Graph", dtype: str) -> dict[str, float]:
    """Seconds by layer, of the first result of this model, batch and dtype that has them, in `latency`'s file."""
    from gnet_inspect.records.timing import read_measured

    record = read_measured(path, [graph])
    wanted = (graph.input_shape[0], dtype)
    timed = [result for result in record.results if result.model == graph.variant and result.layers]
    fitting = [result for result in timed if (result.batch or wanted[0], result.dtype or dtype) == wanted]
    if not fitting:
        found = ", ".join(dict.fromkeys(f"batch {result.batch} in {result.dtype}" for result in timed)) or "none"
        raise UsageError(
            f"--latency: expected layers measured at batch {wanted[0]} in {dtype} in {str(path)!r}, got {found}. "
            "(latency --layers)"
        )
    return {layer.name: layer.median_s for layer in fitting[0].layers}
