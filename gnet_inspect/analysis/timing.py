"""What `latency` measured, as its file holds it. The fields are the JSON contract."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gnet_inspect.errors import UsageError, quoted, some_of
from gnet_inspect.graph import Graph


class LayerTiming(Struct, frozen=True):
    """One layer of a measured model: its median time inside the real forward, and the least its device could take."""

    name: str
    median_s: float
    kind: str = ""
    roofline_s: float | None = None


class Measurement(Struct, frozen=True):
    """One model at one batch, dtype and variant ("eager", "compile", ...): seconds for a whole run."""

    model: str
    batch: int | None = None
    dtype: str = ""
    variant: str = ""
    median_s: float | None = None
    p10_s: float | None = None
    p90_s: float | None = None
    iqr_s: float | None = None
    images_per_s: float | None = None
    peak_memory_bytes: int | None = None
    layers: tuple[LayerTiming, ...] = ()


class TimingRecord(Struct, frozen=True):
    """A file that `latency --save` wrote: on what, how, and what came out."""

    results: tuple[Measurement, ...]
    schema_version: int = 1
    device: dict[str, Any] = {}
    protocol: dict[str, Any] = {}


def read_record(path: Path) -> TimingRecord:
    """The record in a file. Raises UsageError where it cannot be read, or is something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TimingRecord)
    except OSError as error:
        raise UsageError(f"--latency: cannot read {str(path)!r}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fact = str(error)[:1].lower() + str(error)[1:]
        raise UsageError(f"--latency: expected a file that `latency --save` wrote, got {str(path)!r}: {fact}") from None


def check_measured(record: TimingRecord, graphs: Sequence[Graph], path: Path) -> None:
    """Raise UsageError where a record is of none of these models, or times layers that they do not have."""
    known = {graph.variant: {node.name for node in graph.nodes} for graph in graphs}
    found = [result for result in record.results if result.model in known]
    if not found:
        others = some_of(map(quoted, dict.fromkeys(result.model for result in record.results))) or "nothing"
        raise UsageError(
            f"--latency: expected a result of {' or '.join(map(quoted, known))} in {str(path)!r}, got {others}"
        )
    for result in found:
        strangers = sorted({layer.name for layer in result.layers} - known[result.model])
        if strangers:
            raise UsageError(
                f"--latency: {str(path)!r} times {some_of(map(quoted, strangers), 3)}, "
                f"which {quoted(result.model)} does not have. (was another version of the model measured?)"
            )
