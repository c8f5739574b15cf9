"""MODEL -> Graph: where a network comes from, and what of the flags its source can do.

Each source is one function: it reads what MODEL names, once, and hands back what makes the graph that flags ask for.
What a source cannot do is refused in its own words.
"""

import gc
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from gnet_inspect.cli import options
from gnet_inspect.cli.options import Flags
from gnet_inspect.cli.rows import is_row, open_row
from gnet_inspect.cli.runs import is_run_folder, open_run
from gnet_inspect.errors import INSTALL_TORCH, MissingError, SpecError, UsageError, show
from gnet_inspect.units import dimensions

# What reads specs is imported when one is read, what reads other sources when one of those is.
if TYPE_CHECKING:
    from gnet_inspect.graph import Graph
    from gnet_inspect.language import Spec
    from gnet_inspect.records.runs import Run
    from gnet_inspect.runtime.references import Traced

GRAPH_ENDING, ONNX_ENDING, PYTHON_ENDING = ".graph.json", ".onnx", ".py"
# By the ending of a file that holds one network as it is, what such a file is.
FILES = {GRAPH_ENDING: "a graph's file", ".pt2": "a program of torch.export", ONNX_ENDING: "an ONNX file"}


class Variant(NamedTuple):
    """A model that was read, at what is asked: with its spec, where it has one, as it was traced, where it is a
    network in Python, and what training came to, where it is a run."""

    spec: "Spec | None"
    graph: "Graph"
    traced: "Traced | None" = None
    run: "Run | None" = None


Opened = Callable[[Flags], Variant]
# What stands before the colon: a library, a file, or a module's dotted name.
_REFERENCE = re.compile(r"(timm|torchvision):[\w.\-]+|([^:]+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):[A-Za-z_]\w*(\.\w+)*")


def open_model(model: str, flags: Flags) -> Opened:
    """Read MODEL, whatever it names; called with what flags ask for, the result gives the graph."""
    if is_python(model):
        return _python(model, flags)
    for flag, given in (("--arg", flags.arguments), ("--inputs", flags.function)):
        if given:
            raise UsageError(f"{flag}: expected a MODEL in Python, as ./file.py:NAME, got {show(model)}")
    if is_run_folder(model):
        return open_run(model)
    if model.endswith(ONNX_ENDING):
        return _onnx_file(model)
    if _file_of(model):
        return _network_file(model)
    if model.endswith(PYTHON_ENDING):
        return _python_file(model)
    if is_row(model):
        return open_row(model)
    return _spec(model)


def is_python(model: str) -> bool:
    """Whether MODEL is a reference to a module in Python."""
    return bool(_REFERENCE.fullmatch(model)) and not Path(model).exists()


def takes_long(model: str) -> bool:
    """Whether MODEL may take seconds to read: what is no spec may."""
    return is_python(model) or bool(_file_of(model))


def _file_of(model: str) -> str:
    """What the file is that MODEL names, if it holds one network as it is."""
    return next((what for ending, what in FILES.items() if model.endswith(ending)), "")


def need_specs(models: Sequence[str], command: str, why: str) -> None:
    """Refuse models of other sources, where a command works with specs alone."""
    for model in models:
        if is_python(model):
            raise UsageError(
                f"{command}: expected a built-in name or a spec, {why}, got {show(model)}, a module in Python. "
                "(summary, flops, compare, report, verify, latency, import, export and others read it)"
            )
        if what := _file_of(model):
            raise UsageError(
                f"{command}: expected a built-in name or a spec, {why}, got {show(model)}, {what}. "
                "(summary, flops, taps, diagram, roofline, compare, report, trace, import and export read it)"
            )


def need_runnable(models: Sequence[str], command: str, frozen: list[str] | None = None) -> None:
    """Refuse a network's file, which is not run, and --freeze on a module, which says itself what is trained."""
    need_specs([model for model in models if _file_of(model)], command, "whose module torch builds")
    for model in models:
        if frozen and is_python(model):
            raise UsageError(
                f"--freeze: expected a spec, got {show(model)}, a module in Python, which says itself what is trained. "
                "(requires_grad_(False))"
            )


# --- the sources ---


def _spec(model: str) -> Opened:
    """A built-in name, a path to a YAML spec, or standard input."""
    return open_spec(options.read_model(model))


def open_spec(spec: "Spec") -> Opened:
    """A spec that was read, wherever."""
    from gnet_inspect.sources.spec import build_graph
    from gnet_inspect.sources.spec.overrides import parse_overrides

    def made(asked: Flags) -> Variant:
        shapes = options.read_inputs(spec.inputs, asked.inputs, asked.batch, asked.resize)
        edited = parse_overrides(asked.edits or [])
        return Variant(spec, build_graph(spec, shapes, overrides=edited, mode=asked.mode, resize=asked.resize))

    return made


def _network_file(model: str) -> Opened:
    """FILE.graph.json or FILE.pt2: the network as it was written, at its own inputs and in its one mode."""
    return open_graph(_read_file(model), model)


def open_graph(graph: "Graph", model: str) -> Opened:
    """The network of a file that was read, wherever: as it was written."""

    def made(asked: Flags) -> Variant:
        _check_file(model, graph, asked)
        return Variant(None, graph)

    return made


def _onnx_file(model: str) -> Opened:
    """FILE.onnx: the network in it, at sizes that the file leaves free and the flags bind."""
    from gnet_inspect.sources.onnx import open_onnx

    opened = open_onnx(Path(model), model)

    def made(asked: Flags) -> Variant:
        about = f"{show(model)}, an ONNX file. (--input and --batch bind the sizes that are free in it)"
        _refuse_edits(asked, about)
        if asked.mode == "train":
            raise UsageError(f"--mode train: expected a spec or a module in Python, got {about}")
        shapes = options.read_inputs(
            [replace(value, shape=value.shape[1:]) for value in opened.inputs], asked.inputs, asked.batch
        )
        given = _given_names([value.name for value in opened.inputs], asked.inputs)
        return Variant(None, opened.graph({name: shapes[name] for name in given}, asked.batch))

    return made


def _given_names(names: Sequence[str], texts: list[str] | None) -> set[str]:
    """The inputs that --input gives a shape: by their names, or in their order."""
    named = [text.rpartition("=")[0] for text in texts or ()]
    free = [name for name in names if name not in named]
    return {name for name in named if name} | set(free[: named.count("")])


def _read_file(model: str) -> "Graph":
    if model.endswith(GRAPH_ENDING):
        from gnet_inspect.sources.file import read_graph_file

        return read_graph_file(Path(model), model)
    from gnet_inspect.sources.pt2 import read_pt2

    return read_pt2(Path(model), model)


def _check_file(model: str, graph: "Graph", asked: Flags) -> None:
    """Refuse what only the source of a file's network could do."""
    about = f"{show(model)}, which is {_file_of(model)}: it holds one network as it was written"
    _refuse_edits(asked, about)
    if asked.mode == "train" and graph.mode != "train":
        raise UsageError(f"--mode train: expected a graph of that mode, got {about}, in {graph.mode} mode")
    shapes = {value.name: value.shape for value in graph.inputs}
    if (asked.inputs or asked.batch) and _shapes_of(graph, asked) != shapes:
        flag = "--input" if asked.inputs else "--batch"
        own = ", ".join(dimensions(shape) for shape in shapes.values())
        raise UsageError(f"{flag}: expected {own}, its own input, for {about}")


def _refuse_edits(asked: Flags, about: str) -> None:
    """Refuse the flags that edit a spec."""
    for flag, given in (("--set", asked.edits), ("--resize", asked.resize)):
        if given:
            raise UsageError(f"{flag}: expected a built-in name or a spec, got {about}")


def _shapes_of(graph: "Graph", asked: Flags) -> dict[str, tuple[int, ...]]:
    """The inputs that --input and --batch ask of a graph; what they do not say is as it is."""
    own = [replace(value, shape=value.shape[1:]) for value in graph.inputs]
    return options.read_inputs(own, asked.inputs, asked.batch, asked.resize)


def _python_file(model: str) -> Opened:
    """FILE.py alone names no network: what it has is told."""
    from gnet_inspect.sources.python.listing import choice_in

    raise choice_in(Path(model))


def _python(model: str, flags: Flags) -> Opened:
    """A module in Python, whose code is run: traced at what it is called with."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingError(f"{show(model)} needs torch, which is not installed. Install it with: {INSTALL_TORCH}")
    from gnet_inspect.cli import signals

    signals.check()
    # torch makes cycles.
    gc.enable()
    from gnet_inspect.runtime.references import Network, Reference, read_given

    network = Network(Reference(model, _arguments(flags.arguments)))

    def made(asked: Flags) -> Variant:
        _refuse_edits(asked, f"{show(model)}, a module in Python. (--arg NAME=VALUE changes what makes it)")
        found = network.trace(read_given(network, asked.inputs, asked.function, asked.batch), asked.mode)
        return Variant(None, replace(found.made.graph, overrides=tuple(asked.arguments or ())), found)

    return made


def _arguments(texts: list[str] | None) -> dict[str, object]:
    """What --arg gives: scalars and lists of YAML by their names."""
    from gnet_inspect.language.document import read_document

    found: dict[str, object] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in found:
            raise UsageError(f"--arg: expected NAME=VALUE with the name of an argument, each once, got {text!r}")
        try:
            found[name] = read_document(value, "--arg").plain() if value.strip() else None
        except SpecError as error:
            raise UsageError(f"--arg: `{name}`: {error.fact}") from None
    return found
