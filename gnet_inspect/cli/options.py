"""The flags commands share, and how their values are read."""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gnet_inspect.errors import SpecError, UsageError, did_you_mean, nearest, show
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.units import dimensions

# What reads specs is imported when a command runs: --help and completion start without it.
if TYPE_CHECKING:
    from typing import Protocol

    from gnet_inspect.analysis.choosing import Objective
    from gnet_inspect.budgets.conditions import Condition
    from gnet_inspect.cli.models import Variant
    from gnet_inspect.graph import Graph
    from gnet_inspect.language import Spec

    class Value(Protocol):
        """An input of a model, as a spec or a graph has it."""

        @property
        def name(self) -> str: ...
        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> str: ...


def complete_model(incomplete: str) -> list[str]:
    """Built-in names for shell completion."""
    from gnet_inspect.language import catalogue

    return [name for name in catalogue() if name.startswith(incomplete)]


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A built-in name (see `gnet-inspect list`), the path of a YAML spec, FILE.graph.json, .pt2 or .onnx, "
        "FILE.db#17 of a sweep, the folder of a training run, - for a spec on standard input; or a module in Python: "
        "package.module:NAME, "
        "./file.py:NAME, timm:NAME, torchvision:NAME.",
        autocompletion=complete_model,
        show_default=False,
    ),
]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Built-in names (see `gnet-inspect list`), paths of YAML specs, FILE.graph.json, .pt2 or .onnx, folders "
        "of training runs, - for a spec on standard input; or modules in Python: package.module:NAME, ./file.py:NAME, "
        "timm:NAME, torchvision:NAME. Each has its own result.",
        autocompletion=complete_model,
        show_default=False,
    ),
]
# Of a command that can do something without one.
OptionalModels = Annotated[list[str] | None, *Models.__metadata__]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help="1x3x224x224, 3x224x224 with --batch, or 224; NAME=SHAPE for each of several inputs; 1x77:int64. "
        "Default: the spec's own.",
        show_default=False,
    ),
]
Batch = Annotated[int | None, typer.Option("--batch", metavar="N", help="The batch size. Default: 1.")]
Mode = Annotated[str, typer.Option("--mode", metavar="eval|train", help="train adds the auxiliary heads.")]
Dtype = Annotated[str, typer.Option("--dtype", metavar="fp32|fp16|bf16|fp64|int8", help="What bytes are counted in.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Edit the spec: inception4a.c2=[96,256], maxpool4.kernel_size=3, classes=10. May be given several times.",
        show_default=False,
    ),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(
        "--freeze",
        metavar="GLOB",
        help="Parts whose parameters are not trained, by their paths: 'inception3*'. May be given several times.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="LAYER",
        help="The network up to a layer, block, list or stage alone, without what that does not need: a backbone.",
        show_default=False,
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option(
        "--arg",
        metavar="NAME=VALUE",
        help="An argument of the class or function that a MODEL in Python names. May be given several times.",
        show_default=False,
    ),
]
Function = Annotated[
    str | None,
    typer.Option(
        "--inputs",
        metavar="FILE.py:FUNCTION",
        help="What returns the (args, kwargs) that a MODEL in Python is called with, for what shapes cannot say.",
        show_default=False,
    ),
]
Resize = Annotated[
    bool,
    typer.Option("--resize", help="Accept an input at which layers get weights of another shape (a new network)."),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Those of which it holds: 'macs < 1G and params < 5M', 'peak <= 4 MB or not depth > 50', \"family == "
        "'vgg'\".",
        show_default=False,
    ),
]
Minimize = Annotated[
    str | None,
    typer.Option(
        "--minimize",
        metavar="A,B,...",
        help="What is to be small, as top1_error,macs: sorts by the first, and marks what is best by all (Pareto).",
        show_default=False,
    ),
]
Maximize = Annotated[
    str | None,
    typer.Option("--maximize", metavar="A,B,...", help="What is to be large, beside --minimize.", show_default=False),
]
Format = Annotated[
    str, typer.Option("--format", metavar="table|json|csv|markdown|latex", help="How the result is written.")
]


def columns_option(command: str) -> Any:
    """--columns of a command that shows a table of many."""
    return typer.Option(
        "--columns",
        metavar="A,B,...",
        help="Columns by their JSON names, such as name,params,macs. What each is: gnet-inspect glossary --of "
        f"{command}.",
        show_default=False,
    )


Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="auto is a GPU where there is one.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="The CPU's threads. Default: torch's.", show_default=False)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write the result to a file, whole or not at all.", show_default=False
    ),
]


def read_condition(text: str | None, names: Collection[str], flag: str = "--where") -> "Condition | None":
    """The condition of a flag, on values by these JSON names; none where none was given."""
    if text is None:
        return None
    from gnet_inspect.budgets.conditions import parse_condition

    return parse_condition(text, names, flag=flag)


@contextmanager
def naming(flag: str) -> Iterator[None]:
    """An error that is met inside is of that flag."""
    try:
        yield
    except UsageError as error:
        error.say_of(flag)
        raise


def read_objectives(minimize: str | None, maximize: str | None, names: tuple[str, ...]) -> "tuple[Objective, ...]":
    """The objectives of --minimize and --maximize, each once, of quantities by these JSON names or short ones."""
    if minimize is None and maximize is None:
        return ()
    from gnet_inspect.analysis.choosing import MAXIMIZE, MINIMIZE, Objective
    from gnet_inspect.budgets.limits import SHORT

    found: dict[str, Objective] = {}
    for flag, text, goal in (("--minimize", minimize, MINIMIZE), ("--maximize", maximize, MAXIMIZE)):
        words = split_words(text)
        if text is not None and not words:
            raise UsageError(f"{flag}: expected names, as {names[0]},{names[1]}, got {show(text)}")
        for word in words:
            name = SHORT.get(word, word)
            if name not in names:
                raise UsageError(f"{flag}: expected a name of a number, got {show(word)}. ({nearest(word, names)})")
            if name in found:
                raise UsageError(f"{flag}: expected each name once, got {show(word)} twice")
            found[name] = Objective(name, goal)
    return tuple(found.values())


# A day: what lasts longer, or is infinite or no number, is a mistake.
LONGEST_MEASUREMENT = 86_400
MODES = ("eval", "train")


def one_of(flag: str, value: str, options: tuple[str, ...]) -> str:
    """A flag's value that must be one of a few words."""
    if value not in options:
        offer = did_you_mean(value, options)
        mend = f". ({offer})" if offer else ""
        raise UsageError(f"{flag}: expected {', '.join(options)}, got {value!r}{mend}")
    return value


# What the ending of a file promises to whoever opens it.
_PROMISED = {
    **{f".{name}": name for name in ("json", "csv", "markdown", "html", "pdf", "svg", "png", "dot", "yaml")},
    ".md": "markdown",
    ".htm": "html",
    ".yml": "yaml",
    ".tex": "latex",
}


def table_format(style: str, output: Path | None) -> str:
    """The --format of a result that is a table, which fits the ending of -o's file."""
    from gnet_inspect.cli.output import FORMATS

    return fitting_format(style, output, FORMATS)


def fitting_format(style: str, output: Path | None, formats: tuple[str, ...]) -> str:
    """A --format that is one of a command's, and fits the ending of -o's file."""
    one_of("--format", style, formats)
    check_ending(output, style, formats)
    return style


def names_a_file(output: Path | None) -> bool:
    """Whether -o is the name of a file, there or not yet: a device or a pipe promises nothing by its name."""
    return output is not None and str(output) != "-" and (output.is_file() or not output.exists())


def check_ending(output: Path | None, style: str, options: tuple[str, ...] = ()) -> None:
    """Refuse a file whose ending promises another format than the result has: who opens it finds something else.

    `options` are the formats that --format could say instead.
    """
    if output is None or not names_a_file(output):
        return
    promised = _PROMISED.get(output.suffix.lower(), style)
    # A picture in TeX is called by its ending.
    if promised != style and (promised, style) != ("latex", "tex"):
        mend = f"say --format {promised}, or give another ending" if promised in options else "give another ending"
        raise UsageError(f"-o: expected a file of another ending for {_a_result(style)}, got {str(output)!r}. ({mend})")


def _a_result(style: str) -> str:
    return "a table of text" if style == "table" else style


def read_model(model: str, every: bool = False) -> "Spec":
    """The spec of MODEL: a built-in name, a path, or "-" for standard input. Its warnings are said, `every` one of them
    or those that are true whatever is edited."""
    return _parsed(*read_text(model), every)


def read_spec(path: str) -> "Spec":
    """The spec in a file, likewise."""
    from gnet_inspect.language import spec_text

    return _parsed(*spec_text(path), False)


def _parsed(text: bytes, name: str, every: bool) -> "Spec":
    from gnet_inspect.language import parse_spec

    spec = parse_spec(text, name)
    if spec.unused_blocks:
        from gnet_inspect.cli.output import say

        for warning in spec.warnings(every):
            say(warning)
    return spec


def read_text(model: str) -> tuple[bytes, str]:
    """(the text of MODEL's spec, the name errors give it)."""
    from gnet_inspect.cli.rows import is_row, row_text
    from gnet_inspect.cli.runs import is_run_folder, run_text
    from gnet_inspect.language import spec_text
    from gnet_inspect.language.document import MAX_BYTES

    if model == "-":
        return _read_stdin(MAX_BYTES), "<stdin>"
    if is_row(model):
        return row_text(model)
    if is_run_folder(model):
        return run_text(model)
    try:
        return spec_text(model)
    except UsageError as error:
        if model.endswith((".yaml", ".yml")) and not os.path.lexists(model):
            raise UsageError(f"{error.message}. (gnet-inspect init {quote(model)} writes a first one)") from None
        raise


def _read_stdin(most: int) -> bytes:
    if sys.stdin is None:
        raise UsageError("expected a spec on standard input, which is closed")
    try:
        return read_bounded(sys.stdin.buffer, most)
    except TooLargeError as error:
        raise SpecError(str(error), file="<stdin>") from None
    except OSError as error:
        # Open for writing alone is an error without a number.
        raise UsageError(f"cannot read standard input: {error.strerror or error}") from None


def read_inputs(
    inputs: "Sequence[Value]", texts: list[str] | None, batch: int | None, resize: bool = False
) -> dict[str, tuple[int, ...]]:
    """The shape of every input, by its name, that --input and --batch ask for of a model whose own `inputs` are these,
    without the batch."""
    if batch is not None and batch < 1:
        raise UsageError(f"--batch: expected a positive integer, got {batch}")
    shapes: dict[str, tuple[int, ...]] = {}
    names = [given.name for given in inputs]
    free = iter(names)
    for text in texts or ():
        name, equals, shape = text.rpartition("=")
        found = name if equals else next((given for given in free if given not in shapes), "")
        if found not in names or found in shapes:
            known = ", ".join(names)
            got = f"{text!r} for `{found}`, which has one" if found in shapes else f"{text!r}"
            raise UsageError(f"--input: expected a shape for each of the inputs {known} at most, got {got}")
        shapes[found] = _read_shape(next(item for item in inputs if item.name == found), shape, batch, resize)
    for given in inputs:
        shapes.setdefault(given.name, (batch or next((shape[0] for shape in shapes.values()), 1), *given.shape))
    return shapes


def _read_shape(given: "Value", text: str, batch: int | None, resize: bool) -> tuple[int, ...]:
    """One shape, with its batch or without: "1x3x224x224", "3x224x224"; for indices "1x77:int64"."""
    written, colon, dtype = text.partition(":")
    if colon and dtype != given.dtype:
        raise UsageError(f"--input: expected {given.dtype} for `{given.name}`, as the model has it, got {dtype!r}")
    own, rank = given.shape, len(given.shape) + 1
    # As a tuple of Python is written, too: (1, 3, 224, 224).
    sizes = _BETWEEN_SIZES.split(written.strip(" ()[]").lower())
    numbers = all(size.isdecimal() and len(size) < 19 and int(size) for size in sizes)
    if rank == 4 and len(sizes) < 3 and numbers:
        # Height and width of an image, or the side of a square one: its channels are the model's own.
        sizes = [str(own[0]), *(sizes * 2)[:2]]
    if len(sizes) not in (rank, rank - 1) or not numbers:
        words = "NxCxHxW, CxHxW or HxW" if rank == 4 else f"{rank} sizes, the batch first, or {rank - 1} without it,"
        raise UsageError(
            f"--input: expected {words} of positive integers, got {text!r}. (for example {dimensions((1, *own))})"
        )
    shape = tuple(map(int, sizes))
    if rank == 4:
        _check_image(text, shape, own, resize)
    if len(shape) == rank - 1:
        return (batch or 1, *shape)
    if batch is not None and batch != shape[0]:
        raise UsageError(f"--input {text} has a batch of {shape[0]}, --batch says {batch}. (give one of them)")
    return shape


def _check_image(text: str, shape: tuple[int, ...], own: tuple[int, ...], resize: bool) -> None:
    from gnet_inspect.sources.spec import channels_first

    if shape[-3] != own[0] == shape[-1] and not resize:
        raise UsageError(
            f"--input {text} has its {shape[-1]} channels last, expected them before height and width. "
            f"(write {dimensions(channels_first(shape))})"
        )
    if len(shape) == 3 and shape[0] != own[0] and not resize:
        raise UsageError(
            f"--input {text} is {shape[0]} channels of {shape[1]}x{shape[2]}, expected {own[0]} channels. "
            f"(with its batch a shape has four sizes, as {dimensions((1, *own))})"
        )


_BETWEEN_SIZES = re.compile(r"\s*[x,*×]\s*|\s+")


class Flags(NamedTuple):
    """What the flags that commands share ask for, of each model."""

    inputs: list[str] | None = None
    batch: int | None = None
    mode: str = "eval"
    edits: list[str] | None = None
    resize: bool = False
    frozen: list[str] | None = None
    until: str | None = None
    arguments: list[str] | None = None
    function: str | None = None


def own_name(model: str) -> str:
    """What a network is called: MODEL without its folder, its ending and its library."""
    plain = re.sub(r"\.(graph\.json|ya?ml|onnx|pt2)\Z", "", model.rpartition("/")[2])
    return re.sub(r"\W+", "_", plain.rpartition(":")[2]).strip("_") or "network"


def read_graph(model: str, flags: Flags) -> "Graph":
    """The graph of MODEL as the flags ask for it."""
    return read_variants([model], flags)[0].graph


def read_variants(names: list[str], flags: Flags, batches: Sequence[int | None] | None = None) -> "list[Variant]":
    """Each model with its graph as the flags ask for it, for each batch; the last one edited.

    Each is read once: standard input has nothing more after that.
    """
    from gnet_inspect.cli.models import takes_long

    one_of("--mode", flags.mode, MODES)
    if not any(map(takes_long, names)):
        return _read_variants(names, flags, batches, lambda _: None)
    from gnet_inspect.cli.progress import show_work

    with show_work() as tell:
        return _read_variants(names, flags, batches, lambda name: tell(0, f"reading {name}"))


def _read_variants(
    names: list[str], flags: Flags, batches: Sequence[int | None] | None, tell: Callable[[str], None]
) -> "list[Variant]":
    from gnet_inspect.cli.models import open_model

    several = len(names) > 1
    opened = {}
    for name in dict.fromkeys(names):
        tell(name)
        with _naming(name, several):
            opened[name] = open_model(name, flags)
    variants = []
    for batch in [flags.batch] if batches is None else batches:
        for index, name in enumerate(names):
            edits = flags.edits if index == len(names) - 1 else None
            tell(name)
            with _naming(name, several):
                variant = opened[name](flags._replace(batch=batch, edits=edits))
                graph = variant.graph if flags.until is None else _cut(variant.graph, flags.until)
                variants.append(variant._replace(graph=_freeze(graph, flags.frozen) if flags.frozen else graph))
    return variants


@contextmanager
def _naming(model: str, several: bool) -> Iterator[None]:
    """Of several models, an error that does not name the one it is of says so."""
    try:
        yield
    except UsageError as error:
        if several and show(model) not in str(error):
            error.say_of(show(model))
        raise


def _cut(graph: "Graph", until: str) -> "Graph":
    from gnet_inspect.graph.cutting import cut

    try:
        return cut(graph, until)
    except UsageError as error:
        raise UsageError(f"--until: {error}") from None


def _freeze(graph: "Graph", frozen: list[str]) -> "Graph":
    from gnet_inspect.graph.freezing import freeze

    try:
        return freeze(graph, frozen)
    except UsageError as error:
        raise UsageError(f"--freeze: {error}") from None


def one_stdin(models: list[str]) -> None:
    """Refuse two specs on standard input."""
    if models.count("-") > 1:
        raise UsageError("expected one spec on standard input, got `-` twice")


def one_edited(models: list[str], edits: list[str] | None) -> None:
    """Refuse edits of several models, and two specs on standard input."""
    one_stdin(models)
    if edits and len(models) > 1:
        raise UsageError(f"--set: expected one model to edit, got {len(models)} models")


def refuse_terminal(output: Path | None, instead: list[str]) -> None:
    """Refuse to pour a whole page or drawing onto a terminal, and say what to type `instead`; a pipe, a file and `-o -`
    get it."""
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError(
            f"expected a file or a pipe for the result, got a terminal. ({join(['gnet-inspect', *instead])})"
        )


def positive(flag: str, value: int | None) -> None:
    """Refuse a count below 1."""
    if value is not None and value < 1:
        raise UsageError(f"{flag}: expected a positive integer, got {value}")


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that no machine has: OpenMP ends the process where it cannot make them."""
    positive("--threads", threads)
    most = max(1024, os.cpu_count() or 0)
    if threads is not None and threads > most:
        raise UsageError(f"--threads: expected at most {most:,}, got {threads}")


# More processes that read images than any machine has use for are a mistake.
MOST_WORKERS = 256


def check_workers(workers: int) -> None:
    """Refuse a number of processes that no data needs."""
    if not 0 <= workers <= MOST_WORKERS:
        raise UsageError(f"--workers: expected 0 to {MOST_WORKERS}, got {workers}")


def check_min_time(seconds: float) -> None:
    """Refuse a time to measure for that is not above 0, or never ends."""
    if not 0 < seconds <= LONGEST_MEASUREMENT:
        raise UsageError(f"--min-time: expected seconds above 0 and up to {LONGEST_MEASUREMENT:,}, got {seconds:g}")


def split_words(text: str | None) -> tuple[str, ...]:
    """The words of a comma-separated list."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def shorter(depth: str, top: int | None) -> list[str]:
    """The flags that make a table shorter which opens to a depth, and may be cut.

    >>> shorter("layer", None), shorter("stage", 3)
    (['--depth block', '--top 10'], [])
    """
    coarser = {"layer": ["--depth block"], "block": ["--depth stage"]}.get(depth, [])
    return coarser + (["--top 10"] if top is None else [])
