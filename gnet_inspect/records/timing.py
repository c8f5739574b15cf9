"""What `latency` measures, as its file holds it, and what follows from it. The fields are the JSON contract."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from gnet_inspect.display import Shown
from gnet_inspect.errors import UsageError, quoted, some_of
from gnet_inspect.graph import Graph
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.units import LARGEST_EXACT, duration

# What a file may say: no time is negative, and none is longer than a year.
Seconds = Annotated[float, Meta(ge=0, le=3.2e7)]
Bytes = Annotated[int, Meta(ge=0, le=LARGEST_EXACT)]
# No processor reads more images, and no two of these times stand in a larger ratio.
Rate = Annotated[float, Meta(ge=0, le=1e20)]
# Shorter than the tick of any clock, and what tables round to nothing: such a time is none, and FLOPs over it no rate.
SHORTEST = 5e-13

# A record of 100,000 layers takes ten megabytes for each result.
MAX_RECORD_BYTES = 32_000_000

# Where the slow tenth takes a quarter longer than the fast tenth, something else was running.
NOISY = 1.25
# And where its threads stood ready for more than this share of the time, others had the processors.
CROWDED = 0.1
# A device whose kernels take less than this share of the time waits for the program that launches them.
LAUNCH_BOUND = 0.7


class LayerTiming(Struct, frozen=True):
    """One layer of a measured model: its median time inside the real forward, the least its device could take by the
    peaks that are known of it, and what `bound`s that (compute, memory, none, unknown)."""

    name: str
    median_s: Seconds
    kind: str = ""
    roofline_s: Seconds | None = None
    bound: str = ""

    @property
    def above_roof(self) -> bool:
        """Whether it took less than its least time: a peak is higher than is said, or a cache held what it read."""
        return self.roofline_s is not None and self.median_s < self.roofline_s


class Measurement(Struct, frozen=True):
    """One model at one batch, dtype and variant ("eager", "compile", ...): seconds for a whole run.

    `peak_memory_bytes` is what `protocol.peak_memory` says, `estimated_memory_bytes` what the tensors take, as their
    shapes say.
    `gpu_busy_s` is the time of a run's kernels alone, `cuda_graph_s` that of the same run as a CUDA graph;
    `whole_with_hooks_s` that of a run while its layers are timed, `whole_beside_s` of one in turns with it, untouched;
    `layers_by` says how layers were timed: by "hooks" of the host's clock, by a GPU's "kernels" alone, or by "events"
    between layers, which wait for the program that launches them.
    `times_s` are the medians of the rounds, in order: rounds of several results took turns. `waited_share` is the part
    of the time that threads were ready and had no processor, from 0 to 1; None where the system does not tell.
    """

    model: str
    batch: Annotated[int, Meta(ge=1)] | None = None
    dtype: str = ""
    variant: str = ""
    median_s: Seconds | None = None
    p10_s: Seconds | None = None
    p90_s: Seconds | None = None
    iqr_s: Seconds | None = None
    images_per_s: Rate | None = None
    peak_memory_bytes: Bytes | None = None
    layers: tuple[LayerTiming, ...] = ()
    mode: str = "eval"
    input: tuple[int, ...] = ()
    estimated_memory_bytes: Bytes | None = None
    compile_s: Seconds | None = None
    gpu_busy_s: Seconds | None = None
    cuda_graph_s: Seconds | None = None
    whole_with_hooks_s: Seconds | None = None
    whole_beside_s: Seconds | None = None
    roofline_s: Seconds | None = None
    runs: int = 0
    times_s: tuple[Seconds, ...] = ()
    layers_by: str = ""
    waited_share: float | None = None
    # Of a step of --optimize: whether it is kept, by how much it is faster than what was best before and than eager,
    # the medians of these two in the same rounds, and the largest difference to the eager fp32 module's output, over
    # the largest of that.
    step: str = ""
    before_s: Seconds | None = None
    eager_s: Seconds | None = None
    kept: bool | None = None
    gain: "Ratio | None" = None
    gain_in_all: "Ratio | None" = None
    output_error: float | None = None
    note: str = ""

    @property
    def noisy(self) -> bool:
        """Whether the spread, or threads that waited, say that the machine had something else to do."""
        return bool(self.p10_s and self.p90_s and self.p90_s / self.p10_s > NOISY) or self.crowded

    @property
    def crowded(self) -> bool:
        """Whether threads waited for a processor: all runs are slower then, and their spread can be small."""
        return self.waited_share is not None and self.waited_share > CROWDED

    @property
    def above_roof(self) -> bool:
        """Whether the whole took less than its least time."""
        return self.roofline_s is not None and self.median_s is not None and self.median_s < self.roofline_s

    @property
    def launch_bound(self) -> bool:
        """Whether a GPU waits for the program that launches its kernels."""
        return bool(self.gpu_busy_s and self.median_s and self.gpu_busy_s < LAUNCH_BOUND * self.median_s)

    @property
    def key(self) -> tuple[object, ...]:
        """What must be equal for two measurements to be of the same thing."""
        return self.model, self.mode, self.input, self.batch, self.dtype, self.variant


class TimingRecord(Shown, Struct, frozen=True):
    """What `latency --format json` prints and `--save` keeps: on what, how, and what came out."""

    results: tuple[Measurement, ...]
    schema_version: int = SCHEMA_VERSION
    device: dict[str, Any] = {}
    protocol: dict[str, Any] = {}

    def _brief(self) -> str:
        times = (
            f"{result.model} {'?' if result.median_s is None else duration(result.median_s)}" for result in self.results
        )
        return f"of {some_of(times) or 'nothing'}"


class Stopped(KeyboardInterrupt):
    """Ctrl-C while measuring; `record` holds what was measured so far."""

    def __init__(self, record: TimingRecord) -> None:
        super().__init__()
        self.record = record


class Ratio(Struct, frozen=True):
    """How many times as long one measurement took as another: the median over rounds, the least and the most."""

    median: Rate
    least: Rate
    most: Rate


def measurement_times(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The statistics of the seconds of single runs, given round by round, by their names in Measurement.

    >>> measurement_times([[1.0, 2.0], [3.0, 4.0]])["median_s"]
    2.5
    """
    times = sorted(second for taken in rounds for second in taken)
    if len(times) == 1:
        times = times * 2
    tenths = quantiles(times, n=20, method="inclusive")
    return {
        "median_s": median(times),
        "p10_s": tenths[1],
        "p90_s": tenths[17],
        "iqr_s": tenths[14] - tenths[4],
        "times_s": tuple(median(taken) for taken in rounds),
    }


def ratio_of(measured: Measurement, to: Measurement) -> Ratio | None:
    """A measurement over another that was taken in turns with it; None where either has no times."""
    if not measured.times_s or not to.times_s:
        return None
    ratios = [mine / theirs for mine, theirs in zip(measured.times_s, to.times_s, strict=False)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def read_record(path: Path, flag: str = "--latency") -> TimingRecord:
    """The record in a file. Raises UsageError where it cannot be read, or is something else."""
    try:
        record = msgspec.json.decode(read_bounded(path, MAX_RECORD_BYTES), type=TimingRecord)
    except TooLargeError as error:
        raise UsageError(f"{flag}: {error}: {str(path)!r} is no record of `latency --save`") from None
    except OSError as error:
        raise UsageError(f"{flag}: cannot read {str(path)!r}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{flag}: expected a file that `latency --save` wrote, got {str(path)!r}: {error}") from None
    if record.schema_version > SCHEMA_VERSION:
        raise UsageError(
            f"{flag}: expected a record of version {SCHEMA_VERSION}, got version {record.schema_version} in "
            f"{str(path)!r}. (a newer gnet-inspect wrote it)"
        )
    for result in record.results:
        twice = [name for name, times in Counter(layer.name for layer in result.layers).items() if times > 1]
        if twice:
            raise UsageError(
                f"{flag}: expected each layer once, got {some_of(map(quoted, twice))} twice in {str(path)!r}"
            )
    return structs.replace(record, results=tuple(map(_without_specks, record.results)))


def _without_specks(result: Measurement) -> Measurement:
    """A measurement in which a time that is too short to be one is 0."""
    layers = tuple(structs.replace(layer, **_specks(layer)) for layer in result.layers)
    times = tuple(0.0 if second < SHORTEST else second for second in result.times_s)
    return structs.replace(result, **_specks(result), layers=layers, times_s=times)


def _specks(timed: Measurement | LayerTiming) -> dict[str, float]:
    """The times of a record that are too short to be any, as what they count."""
    times = ((name, getattr(timed, name)) for name in timed.__struct_fields__ if name.endswith("_s"))
    return {name: 0.0 for name, second in times if isinstance(second, float) and 0 < second < SHORTEST}


def read_measured(path: Path, graphs: Sequence[Graph]) -> TimingRecord:
    """The record in a file that has some of these models. Raises UsageError, too, where it is of none of them, or times
    layers that they do not have."""
    record = read_record(path)
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
    return record
