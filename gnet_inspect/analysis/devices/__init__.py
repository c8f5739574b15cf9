"""Devices: what a processor can do at most. One YAML file for each built-in one, beside this; own ones are the same."""

import os
from functools import cache
from pathlib import Path

from msgspec import Struct

from gnet_inspect.errors import expect
from gnet_inspect.language.catalogue import file_text
from gnet_inspect.language.document import Value, read_document
from gnet_inspect.language.reader import Reader
from gnet_inspect.ops.arguments import Choice, Number
from gnet_inspect.units import DTYPE_BYTES

# TF32 is how tensor cores multiply what memory holds as FP32.
ELEMENT_BYTES = {"fp32": 4, "tf32": 4, **{name: size for name, size in DTYPE_BYTES.items() if name != "fp32"}}
KINDS = ("datasheet", "measured")
FIGURES = ("bandwidth_bytes_per_s", "memory_bytes")
# No processor is outside of these, and no time in between overflows.
RATE = Number(1e3, 1e24)
# Of a middle run over the best one.
SPREAD = Number(1, 1e6)


class Device(Struct, frozen=True):
    """A processor's peaks: FLOP/s by dtype (a multiply-add is 2; dense, without sparsity), bytes per second from and to
    its memory, and that memory's bytes.

    `kind` says whether the figures are of a datasheet or were measured, `source` where they are from; `notes` say of
    single figures, by dtype or by the field's name, what they are of and how they were derived. `spread` says of
    measured ones how many times as long as the best run, which the figure is of, the middle one took.
    """

    name: str
    title: str
    kind: str
    source: str
    peak_flops_per_s: dict[str, float]
    bandwidth_bytes_per_s: float
    memory_bytes: int
    notes: dict[str, str] = {}
    spread: dict[str, float] = {}


@cache
def known_devices() -> list[str]:
    """The names of the built-in devices, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_device(device: str | os.PathLike[str]) -> Device:
    """Read a device by its built-in name ("h200") or by the path of its file ("mine.yaml").

    Raises SpecError (file, line, path) for a mistake in it and UsageError where there is no such device.

    >>> load_device("h200").bandwidth_bytes_per_s
    4800000000000.0
    """
    expect(device, (str, os.PathLike), "a device's name or the path of its file")
    name = os.fspath(device)
    if name in known_devices():
        path = _folder() / f"{name}.yaml"
        return parse_device(path.read_bytes(), path.name)
    return parse_device(*file_text(name, "device", "device file", known_devices, "gnet-inspect roofline --devices"))


def parse_device(text: bytes | str, file: str) -> Device:
    """A device from the text of its file; `file` is the name errors give it, and its stem the device's name."""
    reader = Reader(file)
    document = read_document(text, file, "a device")
    required = ("title", "kind", "source", "peak_flops_per_s", *FIGURES)
    fields = reader.fields(document, "a device", required, ("notes", "spread"))
    return Device(
        name=Path(file).stem,
        title=reader.text(fields["title"], "a title", 200),
        kind=reader.kind(fields["kind"], Choice(KINDS)),
        source=reader.text(fields["source"], "the source of the figures", 1_000),
        peak_flops_per_s=_peaks(reader, fields["peak_flops_per_s"]),
        bandwidth_bytes_per_s=reader.kind(fields["bandwidth_bytes_per_s"], RATE),
        memory_bytes=int(reader.kind(fields["memory_bytes"], RATE)),
        notes=_notes(reader, fields["notes"]) if "notes" in fields else {},
        spread=_spread(reader, fields["spread"]) if "spread" in fields else {},
    )


def _folder() -> Path:
    return Path(__file__).parent


def _peaks(reader: Reader, value: Value) -> dict[str, float]:
    words = f"FLOP/s by dtype ({', '.join(ELEMENT_BYTES)})"
    entries = reader.fields(value, words, (), tuple(ELEMENT_BYTES))
    if not entries:
        raise reader.expected(value, words)
    return {name: reader.kind(item, RATE) for name, item in entries.items()}


def _notes(reader: Reader, value: Value) -> dict[str, str]:
    entries = reader.fields(value, "notes on figures", (), (*ELEMENT_BYTES, *FIGURES))
    return {name: reader.text(item, "a note", 1_000) for name, item in entries.items()}


def _spread(reader: Reader, value: Value) -> dict[str, float]:
    entries = reader.fields(value, "spreads of figures", (), (*ELEMENT_BYTES, *FIGURES))
    return {name: reader.kind(item, SPREAD) for name, item in entries.items()}
