"""Measured times as tables: whole networks, their ratios, and layers beside their rooflines."""

from collections.abc import Sequence

from gnet_inspect.errors import UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.outline import Outline
from gnet_inspect.records.timing import LayerTiming, Measurement, TimingRecord, ratio_of
from gnet_inspect.units import byte_count, percent
from gnet_inspect.views.grid import Column, Grid, Line, bar_column, picked, share_bar

COLUMNS = (
    Column("model", "model"),
    Column("batch", "batch", number=True, keep=10),
    Column("dtype", "dtype", keep=7),
    Column("variant", "variant", keep=6),
    Column("median_s", "median", number=True),
    Column("p10_s", "p10", number=True, keep=4),
    Column("p90_s", "p90", number=True, keep=5),
    Column("iqr_s", "IQR", number=True, keep=2),
    Column("images_per_s", "images/s", number=True, keep=9),
    Column("peak_memory_bytes", "peak memory", number=True, keep=3),
    Column("estimated_memory_bytes", "estimated", number=True, keep=1),
    Column("roofline_s", "least time", number=True, keep=8),
)
CSV_COLUMNS = (
    *COLUMNS,
    *(Column(name, name, number=True) for name in ("compile_s", "gpu_busy_s", "whole_with_hooks_s", "runs")),
    Column("mode", "mode"),
)
# What two records must agree in to be compared.
SAME_DEVICE = ("type", "name", "threads")
SHARE = Column("share", "%", number=True, keep=8)
LAYER_COLUMNS = (
    Column("name", "layer"),
    Column("kind", "type", keep=5),
    Column("median_s", "median", number=True),
    SHARE,
    bar_column(SHARE),
    Column("roofline_s", "least time", number=True, keep=6),
    Column("roofline_share", "% of roofline", number=True, keep=7),
)
# What is known where the device's ceilings are.
BOUNDS = ("roofline_s", "roofline_share")


def check_devices(record: TimingRecord, kept: TimingRecord, file: str, any_device: bool) -> None:
    """Raise UsageError where a record was measured on something else, unless that is meant."""
    ours, theirs = (tuple(item.device.get(name) for name in SAME_DEVICE) for item in (record, kept))
    if ours != theirs and not any_device:
        raise UsageError(
            f"--against: {file!r} was measured on {_device_name(kept)}, this on {_device_name(record)}: their ratio "
            "says nothing about the network. (--any-device compares them all the same)"
        )


def latency_grids(
    record: TimingRecord, graphs: Sequence[Graph] | None, depth: str = "block", kept: TimingRecord | None = None
) -> list[Grid]:
    """One table of all results, and for each whose layers were timed one of them; where no graphs are at hand (None),
    layer by layer."""
    shown = [
        index
        for index, column in enumerate(COLUMNS)
        if column.exact not in ("roofline_s", "estimated_memory_bytes")
        or any(getattr(result, column.exact) is not None for result in record.results)
    ]
    lines = []
    for result in record.results:
        texts = _texts(result)
        lines.append(Line(tuple(texts[index] for index in shown), style="yellow" if result.noisy else ""))
    above = (_device_line(record), _protocol_line(record))
    if any(result.step for result in record.results):
        return [_steps_grid(record, above, _against(record, kept))]
    columns = tuple(COLUMNS[index] for index in shown)
    grids = [Grid(columns, tuple(lines), above, (*_sentences(record), *_against(record, kept)))]
    by_model = {(graph.variant, graph.input_shape): graph for graph in graphs or ()}
    for result in record.results:
        graph = by_model.get((result.model, result.input))
        if result.layers and (graph is not None or graphs is None):
            grids.append(layers_grid(result, graph, depth))
    return grids


def latency_rows(record: TimingRecord) -> Grid:
    """One row for each result, for CSV, in seconds and bytes."""
    lines = [Line((), tuple(getattr(result, column.exact) for column in CSV_COLUMNS)) for result in record.results]
    return Grid(CSV_COLUMNS, tuple(lines))


def seconds_text(seconds: float | None) -> str:
    """A time in the unit that suits it, with four digits that count.

    >>> seconds_text(0.0412345), seconds_text(1.5e-05), seconds_text(2.0), seconds_text(None)
    ('41.23 ms', '15.00 us', '2.000 s', '')
    >>> seconds_text(0.9999999), seconds_text(0.9994)
    ('1.000 s', '999.40 ms')
    """
    if seconds is None:
        return ""
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        # What would round to "1,000.00 us" is a millisecond.
        if round(seconds * factor, 2) < 1000:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds:,.3f} s"


def _texts(result: Measurement) -> tuple[str, ...]:
    return (
        result.model,
        "" if result.batch is None else str(result.batch),
        result.dtype,
        result.variant,
        *(seconds_text(getattr(result, name)) for name in ("median_s", "p10_s", "p90_s", "iqr_s")),
        "" if result.images_per_s is None else f"{result.images_per_s:,.1f}",
        "" if result.peak_memory_bytes is None else byte_count(result.peak_memory_bytes),
        "" if result.estimated_memory_bytes is None else byte_count(result.estimated_memory_bytes),
        seconds_text(result.roofline_s),
    )


def _device_line(record: TimingRecord) -> str:
    device = record.device
    parts = [str(device.get("name", "a device"))]
    parts += [f"{device['threads']} threads"] if "threads" in device else []
    parts += [f"driver {device['driver']}"] if "driver" in device else []
    parts += [f"{device['clock_mhz']} MHz"] if "clock_mhz" in device else []
    return f"measured on {', '.join(parts)}, torch {device.get('torch', '?')}"


def _protocol_line(record: TimingRecord) -> str:
    protocol = record.protocol
    return (
        f"{protocol.get('timer', '')}; at least {protocol.get('min_time_s')} s and {protocol.get('repeat')} runs of "
        f"each, after warming up {protocol.get('warmup')}; {protocol.get('turns')}; inputs {protocol.get('inputs')}"
    )


def _sentences(record: TimingRecord) -> list[str]:
    lines = [*_ratio_lines(record.results)]
    for result in record.results:
        name = _name_of(result)
        if result.noisy:
            lines.append(f"noisy: {_noise(result)} of {name}; other work ran on this machine, measure again")
        if result.compile_s is not None:
            lines.append(f"compiling {name} took {result.compile_s:,.1f} s, which is not in its times")
        if result.gpu_busy_s is not None:
            lines.append(_busy_line(result))
        if result.layers and result.whole_beside_s is not None:
            lines.append(_reconciled(result))
        lines += above_roof_lines(result)
    training = any(result.mode == "train" for result in record.results)
    rules = (
        "weights, gradients, the optimizer's state and saved activations"
        if training
        else "weights, the input, peak activations"
    )
    lines.append(f"peak memory: {record.protocol.get('peak_memory')}; estimated from shapes: {rules}")
    return lines


def _noise(result: Measurement) -> str:
    """What says that the machine was busy: threads that waited, or else the spread."""
    if result.crowded:
        return f"threads waited for a processor in {100 * (result.waited_share or 0):.0f} % of the time"
    return f"p90 is {result.p90_s / result.p10_s:.2f} x p10" if result.p10_s and result.p90_s else "the spread"


def _ratio_lines(results: Sequence[Measurement]) -> list[str]:
    """Each result over the first of its batch, with the least and the most of the rounds."""
    first: dict[int | None, Measurement] = {}
    lines = []
    for result in results:
        to = first.setdefault(result.batch, result)
        ratio = ratio_of(result, to) if result is not to else None
        if ratio is not None:
            lines.append(
                f"{_name_of(result)}: {ratio.median:.2f} x the time of {_name_of(to)} "
                f"({ratio.least:.2f} to {ratio.most:.2f})"
            )
    return lines


def _busy_line(result: Measurement) -> str:
    assert result.gpu_busy_s is not None
    busy = (
        f"{_name_of(result)}: the GPU is busy for {seconds_text(result.gpu_busy_s)} of {seconds_text(result.median_s)}"
    )
    if result.cuda_graph_s is not None:
        busy += f", as a CUDA graph it takes {seconds_text(result.cuda_graph_s)}"
    if result.launch_bound:
        return f"{busy}: launch-bound, it waits for the program (--cuda-graph, a larger --batch)"
    return busy


def _reconciled(result: Measurement) -> str:
    total = seconds_text(sum(layer.median_s for layer in result.layers))
    whole, hooked = result.whole_beside_s or 0.0, result.whole_with_hooks_s
    if result.layers_by == "kernels":
        busy = "" if result.gpu_busy_s is None else f", all kernels of a run {seconds_text(result.gpu_busy_s)}"
        return f"{_name_of(result)}: sum of the layers' kernels {total}{busy}, whole {seconds_text(whole)}"
    overhead = f", measuring overhead {100 * (hooked / whole - 1):+.1f} %" if hooked and whole else ""
    gaps = "; by events: what waits for the program is in it" if result.layers_by == "events" else ""
    return f"{_name_of(result)}: sum of layers {total}, whole {seconds_text(whole)} in turns with that{overhead}{gaps}"


def above_roof_lines(result: Measurement) -> list[str]:
    """What took less than its least time, and what that says of the device's peaks."""
    lines = []
    for bound, because in (
        ("compute", "the device multiplies faster than its peak says, or the layer multiplies less (Winograd, FFT)"),
        ("memory", "caches held what the layer reads, or memory is faster than its bandwidth says"),
    ):
        found = [layer for layer in result.layers if layer.above_roof and (layer.bound or "memory") == bound]
        if found:
            most = max(found, key=_roof_share)
            lines.append(
                f"above the roof: {_number(found)} of {_name_of(result)} bound by {bound} took less than the least "
                f"time, {most.name} most ({100 * _roof_share(most):.0f} % of roofline): {because}"
            )
    if result.above_roof:
        lines.append(
            f"above the roof: {_name_of(result)} took {seconds_text(result.median_s)}, less than the least time of "
            f"{seconds_text(result.roofline_s)}: the device's peaks are too low, calibrate it on a quiet machine"
        )
    return lines


def _roof_share(layer: LayerTiming) -> float:
    return (layer.roofline_s or 0.0) / layer.median_s if layer.median_s else float("inf")


def _against(record: TimingRecord, kept: TimingRecord | None) -> list[str]:
    """Each result over the same one of a record that was kept. They were not taken in turns."""
    if kept is None:
        return []
    before = {result.key: result for result in kept.results}
    lines = []
    for result in record.results:
        to = before.get(result.key)
        if to is None or not to.median_s or result.median_s is None:
            lines.append(f"{_name_of(result)}: not in the record it is compared with")
        else:
            lines.append(
                f"{_name_of(result)}: {result.median_s / to.median_s:.2f} x the time in the record, "
                f"which was {seconds_text(to.median_s)}"
            )
    if kept.device != record.device:
        lines.append(f"the record was measured on {_device_name(kept)}, torch {kept.device.get('torch', '?')}")
    return lines


def _device_name(record: TimingRecord) -> str:
    threads = record.device.get("threads")
    name = str(record.device.get("name", "an unknown device"))
    return f"{name} with {threads} threads" if threads else name


def _name_of(result: Measurement) -> str:
    variant = "" if result.variant == "eager" else f" {result.variant}"
    return f"{result.model}{variant} at batch {result.batch}"


# --- steps ---

STEP_COLUMNS = (
    Column("step", "step"),
    Column("median_s", "median", number=True),
    Column("images_per_s", "images/s", number=True, keep=2),
    Column("before_s", "best before", number=True, keep=4),
    Column("gain", "x faster", number=True, keep=5),
    Column("spread", "spread", keep=3),
    Column("eager_s", "eager", number=True, keep=1),
    Column("gain_in_all", "in all", number=True, keep=8),
    Column("output_error", "output differs by", number=True, keep=6),
    Column("kept", "", keep=7, widest=170),
)


def _steps_grid(record: TimingRecord, above: tuple[str, ...], below: Sequence[str]) -> Grid:
    """What each step of making a network faster brought, and whether it was kept."""
    lines = []
    for index, result in enumerate(record.results):
        if not result.step:
            texts = (_name_of(result), seconds_text(result.median_s), _rate(result), "", "", "", "", "", "", "eager")
            lines.append(Line(texts, style="bold", rule_above=index > 0))
            continue
        gain, whole = result.gain, result.gain_in_all
        texts = (
            f"  {result.step}",
            seconds_text(result.median_s),
            _rate(result),
            seconds_text(result.before_s),
            f"{gain.median:.2f}" if gain else "",
            f"{gain.least:.2f} to {gain.most:.2f}" if gain else "",
            seconds_text(result.eager_s),
            f"{whole.median:.2f}" if whole else "",
            "" if result.output_error is None else f"{result.output_error:.1e}",
            result.note or _verdict(result),
        )
        lines.append(Line(texts, style="" if result.kept else "dim"))
    notes = (
        "each step is on top of those kept before, and is timed in turns with what was best before and with eager",
        "best before, eager: their medians in the same rounds, because a machine is not equally fast in all rows",
        "x faster: than what was best before, the median over rounds; in all: than eager",
        "output differs by: the largest difference to the eager fp32 module's output, over the largest of that",
        *(
            f"noisy: {_noise(result)} of {result.step or _name_of(result)}; "
            "other work ran on this machine, measure again"
            for result in record.results
            if result.noisy
        ),
    )
    return Grid(STEP_COLUMNS, tuple(lines), above, (*notes, *below))


def _verdict(result: Measurement) -> str:
    """Whether a step is kept; a gain that some rounds deny is said to be within the noise."""
    if not result.kept:
        return "not kept: no gain"
    return "kept, within the noise" if result.gain is not None and result.gain.least < 1 else "kept"


def _rate(result: Measurement) -> str:
    return "" if result.images_per_s is None else f"{result.images_per_s:,.1f}"


# --- layers ---


def layers_grid(result: Measurement, graph: Graph | None, depth: str) -> Grid:
    """The layers of one result, or the sums of its blocks, stages, branches or kinds; without its graph the layers."""
    times = {layer.name: layer for layer in result.layers}
    total = sum(layer.median_s for layer in result.layers)
    lines = []
    alone = [(layer.name, layer.kind, [layer.name], "") for layer in result.layers]
    for name, kind, names, style in _parts(graph, depth) if graph is not None else alone:
        found = [times[one] for one in names if one in times]
        taken = sum(layer.median_s for layer in found)
        bounds = [layer.roofline_s for layer in found if layer.roofline_s is not None]
        least = sum(bounds) if len(bounds) == len(found) else None
        cells = (
            name,
            kind,
            seconds_text(taken),
            percent(round(taken * 1e12), round(total * 1e12)),
            share_bar(taken, total),
            seconds_text(least),
            f"{100 * least / taken:.1f}" if least is not None and taken else "",
        )
        lines.append(Line(cells, style=style))
    lines.append(Line(("total", "", seconds_text(total), "100.0", "", "", ""), style="bold", rule_above=True))
    above = (f"the layers of {_name_of(result)}, inside the whole network",)
    bounded = any(layer.roofline_s is not None for layer in result.layers)
    shown = [column.exact for column in LAYER_COLUMNS if bounded or column.exact not in BOUNDS]
    return picked(Grid(LAYER_COLUMNS, tuple(lines), above), shown)


def _parts(graph: Graph, depth: str) -> list[tuple[str, str, list[str], str]]:
    """(name, type, the layers in it, style) of each row."""
    if depth == "kind":
        kinds: dict[str, list[str]] = {}
        for node in graph.nodes:
            kinds.setdefault(node.op.kind, []).append(node.name)
        return [(kind, _number(found), found, "") for kind, found in kinds.items()]
    rows = []
    for entry, level, name in Outline(graph).lines("stage" if depth == "stage" else "block"):
        inside = entry.of(graph.nodes)
        what = entry.part.describe() if entry.part else inside[0].op.describe()
        words, style = (what, "") if level else ("", "bold")
        rows.append((f"{'  ' * level}{name}", words, [node.name for node in inside], style))
        if entry.role == "block" and depth == "layer":
            shown = [(node.name.removeprefix(f"{name}."), node) for node in inside]
            rows += [(f"    {short}", node.op.describe(), [node.name], "") for short, node in shown]
        elif entry.role == "block" and depth == "branch":
            rows += _branches(name, [node.name for node in inside])
    return rows


def _number(layers: Sequence[object]) -> str:
    return f"{len(layers)} layer{'s' * (len(layers) != 1)}"


def _branches(block: str, names: Sequence[str]) -> list[tuple[str, str, list[str], str]]:
    """The parts of a block by the name that comes first inside it."""
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(name.removeprefix(f"{block}.").partition(".")[0], []).append(name)
    return [(f"    {part}", _number(found), found, "") for part, found in parts.items()]
