"""What was measured of a model, as a report shows it: beside the others, in a section of its own, layer by layer."""

from typing import Any

from msgspec import Struct

from gnet_inspect.analysis.reporting import ReportedMeasurement, ReportedModel
from gnet_inspect.records.timing import LayerTiming, Measurement
from gnet_inspect.units import byte_count
from gnet_inspect.views.tables.latency import seconds_text
from gnet_inspect.views.text import line_of

SLOWEST = 20


class MeasuredFigures(Struct, frozen=True):
    """The figures of one measurement, as amounts and as texts: seconds, images per second and the share (1 is all) of
    what the device could do."""

    seconds: float
    median: str
    images: float | None
    rate: str
    share: float | None
    reached: str
    what: str


class SlowLayer(Struct, frozen=True):
    """One of the slowest layers: its time and the least time, in words and as parts (0 to 1) of the longest."""

    name: str
    kind: str
    time: str
    least: str
    part: float
    least_part: float | None


def measured_figures(model: ReportedModel) -> MeasuredFigures | None:
    """Those that stand beside other models: of what was measured as the page counts, if there is such."""
    timed = [found for found in model.measurements if found.measured.median_s is not None]
    found = min(timed, key=lambda each: differs(each, model) != "", default=None)
    if found is None or found.measured.median_s is None:
        return None
    measured, share = found.measured, roofline_share(found.measured)
    others = differs(found, model)
    return MeasuredFigures(
        seconds=found.measured.median_s,
        median=seconds_text(measured.median_s),
        images=measured.images_per_s,
        rate="none" if measured.images_per_s is None else f"{measured.images_per_s:,.1f}",
        share=share,
        reached="none" if share is None else f"{100 * share:.0f} %",
        what=", ".join(filter(None, (name_of(found), device_name(found), f"another {others}" if others else ""))),
    )


def roofline_share(measured: Measurement) -> float | None:
    """The least time over the measured one; None where either is missing, or nothing."""
    if measured.roofline_s is None or not measured.median_s:
        return None
    return measured.roofline_s / measured.median_s


def timed(model: ReportedModel) -> ReportedMeasurement | None:
    """The measurement whose layers stand in the table: one of the same batch and dtype, if there is."""
    found = [each for each in model.measurements if each.measured.layers]
    return min(found, key=lambda each: differs(each, model) != "", default=None)


def layer_seconds(model: ReportedModel) -> list[float | None]:
    """Measured seconds of each layer, where they were measured."""
    found = timed(model)
    seconds = {layer.name: layer.median_s for layer in found.measured.layers} if found else {}
    return [seconds.get(layer.name) for layer in model.summary.layers] if seconds else []


def differs(found: ReportedMeasurement, model: ReportedModel) -> str:
    """In what a measurement is not of what the report shows."""
    summary, measured = model.summary, found.measured
    pairs = (
        ("batch", measured.batch, summary.input[0]),
        ("dtype", measured.dtype or None, summary.dtype),
        ("input", measured.input or None, summary.input),
        ("mode", measured.mode, summary.mode),
    )
    return ", ".join(name for name, theirs, ours in pairs if theirs is not None and theirs != ours)


def name_of(found: ReportedMeasurement | None) -> str:
    """What was measured, in a few words; "" for nothing."""
    if found is None:
        return ""
    measured = found.measured
    parts = [f"batch {measured.batch}" if measured.batch else "", measured.dtype, measured.variant]
    parts += [measured.mode] if measured.mode == "train" else []
    return line_of(", ".join(filter(None, parts))) or "measured"


def device_name(found: ReportedMeasurement) -> str:
    """What it was measured on; "" where the record does not say."""
    return line_of(str(found.record.device.get("name", "")))


def measurement_section(found: ReportedMeasurement, model: ReportedModel) -> dict[str, Any]:
    """One measurement in words: what ran, how fast, on what and how it was measured."""
    measured, other = found.measured, differs(found, model)
    return {
        "title": name_of(found),
        "warning": f"Measured at another {other} than the figures of this page are for." if other else "",
        "facts": [(term, name, line_of(text)) for term, name, text in _facts(measured) if text],
        "device": _pairs(found.record.device),
        "protocol": _pairs(found.record.protocol),
        "layers": slow_layers(measured),
        "bounded": any(layer.roofline_s is not None for layer in measured.layers),
    }


def slow_layers(measured: Measurement) -> list[SlowLayer]:
    """The slowest layers, the slowest first, and the least time that the device could take for each."""
    slowest = sorted(measured.layers, key=lambda layer: -layer.median_s)[:SLOWEST]
    most = max((max(layer.median_s, layer.roofline_s or 0.0) for layer in slowest), default=0.0)
    return [_slow(layer, most) for layer in slowest]


def _slow(layer: LayerTiming, most: float) -> SlowLayer:
    least = layer.roofline_s
    return SlowLayer(
        line_of(layer.name),
        line_of(layer.kind),
        f"{layer.median_s * 1e6:,.1f} us",
        "unknown" if least is None else f"{least * 1e6:,.1f} us",
        layer.median_s / most if most else 0.0,
        None if least is None or not most else least / most,
    )


def _facts(measured: Measurement) -> list[tuple[str, str, str]]:
    """(word of the glossary, name, text) of each figure; the text is "" where there is none."""
    spread = [
        f"{name} {_ms(seconds)}"
        for name, seconds in (("p10", measured.p10_s), ("p90", measured.p90_s), ("IQR", measured.iqr_s))
        if seconds is not None
    ]
    share = roofline_share(measured)
    bounds = [layer.roofline_s for layer in measured.layers if layer.roofline_s is not None]
    number = "" if len(bounds) == len(measured.layers) else f" ({len(bounds)} of {len(measured.layers)} layers)"
    above = sum(layer.above_roof for layer in measured.layers)
    memory = measured.peak_memory_bytes
    return [
        ("median", "median", _ms(measured.median_s)),
        ("spread", "spread", ", ".join(spread)),
        ("rate", "images per second", "" if measured.images_per_s is None else f"{measured.images_per_s:,.1f}"),
        ("process", "peak memory", "" if memory is None else byte_count(memory)),
        ("roofline", "least time (roofline)", "" if measured.roofline_s is None else _ms(measured.roofline_s)),
        ("reached", "share of the roofline", "" if share is None else f"{100 * share:.1f} %"),
        ("roofline", "least time of its layers, added", f"{_ms(sum(bounds))}{number}" if bounds else ""),
        ("reached", "layers above the roof", f"{above}, which took less than their least time" if above else ""),
    ]


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.3f} ms"


def _pairs(record: dict[str, Any]) -> str:
    return "; ".join(f"{line_of(str(name))}: {line_of(_plain(value))}" for name, value in record.items())


def _plain(value: Any) -> str:
    return ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)
