"""What a sweep found, as plain data. The fields are the JSON contract."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gnet_inspect.display import Brief
from gnet_inspect.errors import UsageError
from gnet_inspect.ops import Shape
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.units import count

Item = TypeVar("Item")
# Of a file that is read back: a front of some hundred networks of some hundred edits.
MAX_BYTES = 32_000_000
# What may be asked of candidates: the totals of a summary, and the roofline's time on a device.
TOTALS = (
    "params",
    "buffers",
    "macs",
    "flops",
    "param_bytes",
    "activation_bytes",
    "peak_activation_bytes",
    "least_peak_activation_bytes",
    "receptive_field",
    "depth",
    "layers_s",
)
# What is not counted, but measured: the median seconds of a run.
LATENCY = "latency_s"


class Objective(Struct, frozen=True):
    """A total that is to be small, or large."""

    name: str
    maximize: bool = False

    @property
    def sign(self) -> int:
        """What a value is multiplied with so that less is better."""
        return -1 if self.maximize else 1


class Found(Brief, Struct, frozen=True, omit_defaults=True):
    """A network of the space: its edits by path, and its totals as `summarize` gives them. `layers_s` is there where a
    device was named, `gap` where it was found by rounded sums: by how much of its own cost a better one may be below,
    at most. `measured` is what was measured, by objective. `id` is its row in the file that the sweep writes."""

    edits: Mapping[str, Any]
    params: int
    macs: int
    activation_bytes: int
    peak_activation_bytes: int
    least_peak_activation_bytes: int
    receptive_field: Shape | None
    depth: int
    # How far it is from the spec: 0 for its own values, 1 for each choice whose value is the farthest.
    distance: float
    layers_s: float | None = None
    gap: float | None = None
    measured: Mapping[str, float] | None = None
    id: int | None = None
    buffers: int | None = None
    param_bytes: int | None = None

    def _brief(self) -> str:
        edits = " ".join(f"{path}={value}" for path, value in list(self.edits.items())[:3])
        return f"{edits}: {count(self.params)} params, {count(self.macs)} MACs"

    def value(self, name: str) -> float | None:
        """A total by its JSON name: of a field the smaller of its axes."""
        if self.measured is not None and name in self.measured:
            return self.measured[name]
        if name == "flops":
            return 2 * self.macs
        if name == "receptive_field":
            return min(self.receptive_field) if self.receptive_field else None
        found: float | None = getattr(self, name, None)
        return found


class Varied(Struct, frozen=True):
    """A choice of the space: the paths that are given one value, and the values."""

    paths: tuple[str, ...]
    values: tuple[Any, ...]


class Range(Struct, frozen=True):
    """The least and the greatest of a total among the networks that were counted, and of every hundredth of them by
    size: the distribution function, of at least 0, 1, ..., 100 percent of the networks."""

    least: float
    greatest: float
    quantiles: tuple[float, ...] = ()


class Measured(Struct, frozen=True, omit_defaults=True):
    """What was measured ("latency_s"), on which device, of how many networks; of those that were proposed for it, how
    many these were, with those that were refused before."""

    name: str
    device: str
    networks: int
    proposed: int = 0


class Sweep(Brief, Struct, frozen=True, omit_defaults=True):
    """What `sweep --format json` prints.

    `size` is the number of networks of the space, `counted` of those that were counted, of which `invalid` are none
    because layers do not fit, and `kept` meet --where. `method` is "enumerated" (all), "sampled" (so many drawn with
    `seed`), "proved" (dynamic programming, `counted` is 0) or "proposed" (by Optuna, `kept` of those were measured).
    `exact`: no network of the space is better than those of
    the front; else `gap` is the proven part of an objective by which one may be, None where nothing is proven.
    """

    schema_version: int
    model: str
    title: str
    input: Shape
    mode: str
    dtype: str
    objectives: tuple[Objective, ...]
    space: tuple[Varied, ...]
    size: int
    method: str
    exact: bool
    gap: float | None
    counted: int
    invalid: int
    kept: int
    base: Found
    front: tuple[Found, ...]
    ranges: Mapping[str, Range] = {}
    # What the spec itself has of each choice, by its first path.
    own: Mapping[str, Any] = {}
    where: str = ""
    device: str = ""
    seed: int | None = None
    # Whether it was ended before it was done.
    interrupted: bool = False
    # How many networks the front has, where not all of them are among these.
    front_size: int = 0
    measured: Measured | None = None
    notes: tuple[str, ...] = ()

    def _brief(self) -> str:
        proven = "exact" if self.exact else "sampled" if self.gap is None else f"gap {100 * self.gap:.2g} %"
        return f"{self.model}: {len(self.front)} of {size_text(self.size)} networks, {proven}"


def size_text(size: int) -> str:
    """How many networks a space has, in words.

    >>> size_text(19_683), size_text(8 ** 54)
    ('19,683', '5.84e48')
    """
    if size < 10**9:
        return f"{size:,}"
    # Larger than any float: by its digits.
    digits = str(size)
    return f"{int(digits[:3]) / 100:.2f}e{len(digits) - 1}"


def read_sweep(path: Path) -> Sweep:
    """What `sweep --format json` wrote. Raises UsageError for a file that holds something else."""
    try:
        return msgspec.json.decode(read_bounded(path, MAX_BYTES), type=Sweep)
    except TooLargeError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: expected what `sweep --format json` wrote, got something else: {error}") from None


def shown_of(front: Sequence[Item], most: int) -> list[Item]:
    """Of a front so many, evenly spread, with both of its ends."""
    if len(front) <= most:
        return list(front)
    places = dict.fromkeys(round(step * (len(front) - 1) / (most - 1)) for step in range(most))
    return [front[place] for place in places]
