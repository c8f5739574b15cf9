"""What `check --base` names: what each model was, at a revision of git or in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gnet_inspect.cli import models
from gnet_inspect.cli.options import Flags
from gnet_inspect.errors import GnetError, SpecError, UsageError, show
from gnet_inspect.reading import TooLargeError, read_bounded

if TYPE_CHECKING:
    from gnet_inspect.budgets.config import Budget
    from gnet_inspect.budgets.judging import Check, Report
    from gnet_inspect.graph import Graph
    from gnet_inspect.sources.git import Revision

# A report of 1,000 models takes a few megabytes, one with explanations more.
MOST_BYTES = 32_000_000
SPECS = (".yaml", ".yml")
_TRACE = "a MODEL in Python is not read from git: `gnet-inspect trace MODEL -o base.graph.json` there, then --base FILE"


class Asked(NamedTuple):
    """A budget, the MODEL that it is of as commands read it from here, and the file that this is, where it is one."""

    budget: "Budget"
    model: str
    path: Path | None

    @property
    def flags(self) -> Flags:
        """At what it is read."""
        return Flags(list(self.budget.inputs) or None, None, self.budget.mode)


class Was(NamedTuple):
    """What a model was: the network, or what a report has of it; else why there is neither."""

    variant: "models.Variant | None" = None
    check: "Check | None" = None
    note: str = ""


class Base(Protocol):
    """Where models are looked up as they were."""

    @property
    def name(self) -> str: ...
    def of(self, asked: Asked, graph: "Graph") -> Was:
        """What the model was whose network is `graph` now."""


def open_base(name: str, asked: Sequence[Asked], folder: Path) -> Base:
    """The base of --base REF|FILE, of the repository around a folder. A path that begins with a folder (./main) is a
    file, any other word a revision where there is one of that name, else a file.

    Raises UsageError for what is neither, MissingError without git.
    """
    from gnet_inspect.sources.git import Revision

    path = Path(name)
    if name.startswith(("./", "../")) or path.is_absolute():
        return _open_file(path, name, asked)
    try:
        return _Revised(Revision(folder, name))
    except GnetError:
        if path.is_file():
            return _open_file(path, name, asked)
        raise


class _Revised:
    """The models as a commit has them."""

    def __init__(self, revision: "Revision") -> None:
        self.revision, self.name = revision, revision.name

    def of(self, asked: Asked, graph: "Graph") -> Was:  # noqa: ARG002  # asked of any base
        from gnet_inspect.language.document import MAX_BYTES as MAX_SPEC
        from gnet_inspect.sources.bounds import MAX_BYTES as MAX_GRAPH

        model, path = asked.model, asked.path
        if models.is_python(model):
            return Was(note=_TRACE)
        if path is None:
            same = "a spec on standard input has no base" if model == "-" else "built in: the same on both sides"
            return Was(note=same)
        is_graph = model.endswith(models.GRAPH_ENDING)
        if not is_graph and not model.endswith(SPECS):
            return Was(note="only specs and FILE.graph.json are read from git")
        found = self.revision.read(path, MAX_GRAPH if is_graph else MAX_SPEC)
        if found is None:
            return Was(note=f"new: it is not there at {self.name}")
        text, was = found
        return _built(text, f"{self.name}:{was}", asked)


class _OneNetwork:
    """One network in a file, which the one model was."""

    def __init__(self, text: bytes, name: str) -> None:
        self.text, self.name = text, name

    def of(self, asked: Asked, graph: "Graph") -> Was:  # noqa: ARG002  # asked of any base
        return _built(self.text, self.name, asked)


class _Reported:
    """The totals that a saved report has."""

    def __init__(self, report: "Report", name: str) -> None:
        self.report, self.name = report, name

    def of(self, asked: Asked, graph: "Graph") -> Was:
        budget = asked.budget
        wanted = budget.model, budget.mode, budget.dtype, graph.input_shape
        for check in self.report.checks:
            if not check.error and (check.model, check.mode, check.dtype, check.input) == wanted:
                return Was(check=check)
        return Was(note=f"new: {self.name} has none of that name, input, mode and dtype")


def _open_file(path: Path, name: str, asked: Sequence[Asked]) -> Base:
    try:
        text = read_bounded(path, MOST_BYTES)
    except TooLargeError as error:
        raise UsageError(f"--base: {error}: {show(name)} is no report of `check --format json`") from None
    except OSError as error:
        raise UsageError(f"--base: cannot read {show(name)}: {error.strerror}") from None
    if name.endswith(".json") and not name.endswith(models.GRAPH_ENDING):
        return _Reported(_read_report(text, name), name)
    if not name.endswith((models.GRAPH_ENDING, *SPECS)):
        raise UsageError(
            "--base: expected a revision of git, a report that `check --format json` wrote, a spec or FILE.graph.json, "
            f"got {show(name)}"
        )
    several = dict.fromkeys(each.model for each in asked)
    if len(several) > 1:
        raise UsageError(
            f"--base: expected one model to compare with {show(name)}, got {len(several)}. (name one MODEL)"
        )
    return _OneNetwork(text, name)


def _read_report(text: bytes, name: str) -> "Report":
    import msgspec

    from gnet_inspect.budgets.judging import Report
    from gnet_inspect.records import SCHEMA_VERSION

    try:
        report = msgspec.json.decode(text, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"--base: expected a report that `check --format json` wrote, got {show(name)}: {error}"
        ) from None
    if report.schema_version > SCHEMA_VERSION:
        raise UsageError(
            f"--base: expected a report of version {SCHEMA_VERSION}, got version {report.schema_version} in "
            f"{show(name)}. (a newer gnet-inspect wrote it)"
        )
    return report


def _built(text: bytes, name: str, asked: Asked) -> Was:
    """The network of a spec's or a graph's text at what is asked. What it was may have been wrong: that is no reason
    not to judge what it is."""
    try:
        return Was(_opened(text, name)(asked.flags))
    except GnetError as error:
        fact = f"{name}: {error.fact}" if isinstance(error, SpecError) else str(error)
        return Was(note=f"what it was cannot be read: {fact}")


def _opened(text: bytes, name: str) -> "models.Opened":
    if name.endswith(models.GRAPH_ENDING):
        from gnet_inspect.sources.file import read_graph_file

        return models.open_graph(read_graph_file(text, name), name)
    from gnet_inspect.language import parse_spec

    return models.open_spec(parse_spec(text, name))
