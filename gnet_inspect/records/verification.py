"""What a verification is: the checks that were run, and what they found. The fields are the JSON contract."""

from msgspec import Struct

from gnet_inspect.display import Shown
from gnet_inspect.ops import Shape


class Difference(Struct, frozen=True):
    """One number on which the two sides disagree."""

    name: str
    expected: object
    got: object


class Check(Struct, frozen=True):
    """One comparison: `ok` is None where it was not run, and `note` says why."""

    what: str
    against: str
    ok: bool | None
    compared: int
    differences: tuple[Difference, ...] = ()
    note: str = ""


class AuditRow(Struct, frozen=True):
    """A published figure beside the exact one; that of an `output` is a shape, without the batch. `deviation` is
    100 x (published / exact - 1), in percent.

    `verdict` is "agrees", "close", "erratum", "variant" or "disagrees"; "not run", with no exact figure, where a claim
    is about a model that is not in the catalogue, or a search came to its bound. The exact figure is that of the model
    with `overrides`, in `mode` ("train" has the heads), at `input` (its own where that is empty).
    """

    source: str
    row: str
    what: str
    published: str
    exact: float | tuple[int, ...] | None
    deviation: float | None
    verdict: str
    note: str = ""
    overrides: tuple[str, ...] = ()
    mode: str = "eval"
    input: Shape = ()


class AuditSource(Struct, frozen=True):
    """How a source's figures are to be read: "weights" are parameters without biases and BatchNorm, "folded" those with
    BatchNorm folded into biases; `units` is what its letters mean, `macs_are` the tool that counts as it does,
    `overrides` the edits that make its network of the model."""

    source: str
    params_are: str
    units: dict[str, int]
    note: str = ""
    macs_are: str = "multiply-accumulates"
    overrides: tuple[str, ...] = ()


class Verification(Shown, Struct, frozen=True, omit_defaults=True):
    """What `verify --format json` prints. `ok` is False where a check differs or a figure disagrees."""

    schema_version: int
    model: str
    ok: bool
    checks: tuple[Check, ...]
    published: tuple[AuditRow, ...]
    # The edits made to the model; JSON has the key where there are any.
    overrides: tuple[str, ...] = ()
    # How the sources' figures are to be read; JSON has the key where one of them needs it.
    sources: tuple[AuditSource, ...] = ()

    def _brief(self) -> str:
        model = " ".join([self.model, *self.overrides])
        found = f"{len(self.checks)} checks, {len(self.published)} published figures"
        return f"{model}: {'ok' if self.ok else 'not ok'}, {found}"


def compare(what: str, against: str, pairs: list[tuple[str, object, object]]) -> Check:
    """A check from (name, ours, theirs): every pair is compared, and a check that compared nothing has failed."""
    differences = tuple(Difference(name, ours, theirs) for name, ours, theirs in pairs if ours != theirs)
    return Check(what, against, bool(pairs) and not differences, len(pairs), differences)


# What `verify` compares, and against whom: one row for each check that runtime.verify runs.
CHECKS = (
    ("output shapes", "forward hooks"),
    ("parameters and buffers", "modules"),
    ("multiply-accumulates", "torch FlopCounterMode (2 x MACs)"),
    ("multiply-accumulates", "fvcore (its conv and linear)"),
    ("totals", "torchinfo"),
)


def not_run(reason: str) -> list[Check]:
    """All checks, marked as not run."""
    return [Check(what, against, None, 0, note=reason) for what, against in CHECKS]
