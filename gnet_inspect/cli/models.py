"""MODEL -> Graph: where a network comes from, and what of the flags its source can do.

Each source is one function: it reads what MODEL names, once, and hands back what makes the graph that flags ask for.
What a source cannot do is refused in its own words.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show
from gnet_inspect.units import dimensions

# What reads specs is imported when one is read, what reads other sources when one of those is.
if TYPE_CHECKING:
    from gnet_inspect.graph import Graph
    from gnet_inspect.language import Spec

GRAPH_ENDING, PYTHON_ENDING = ".graph.json", ".py"


class Asked(NamedTuple):
    """What the flags ask of one model."""

    inputs: list[str] | None
    batch: int | None
    mode: str
    edits: list[str] | None
    resize: bool


# A model that was read, at what is asked: with its spec, where it has one.
Variant = tuple["Spec | None", "Graph"]
Opened = Callable[[Asked], Variant]


def open_model(model: str) -> Opened:
    """Read MODEL, whatever it names; called with what flags ask for, the result gives the graph."""
    if model.endswith(GRAPH_ENDING):
        return _graph_file(model)
    if model.endswith(PYTHON_ENDING):
        return _python_file(model)
    return _spec(model)


def need_specs(models: Sequence[str], command: str, why: str) -> None:
    """Refuse models of other sources, where a command works with specs alone."""
    for model in models:
        if model.endswith(GRAPH_ENDING):
            raise UsageError(
                f"{command}: expected a built-in name or a spec, {why}, got {show(model)}, a graph's file. "
                "(summary, flops, taps, diagram, roofline, compare and report read it)"
            )


# --- the sources ---


def _spec(model: str) -> Opened:
    """A built-in name, a path to a YAML spec, or standard input."""
    from gnet_inspect.sources.spec import build_graph
    from gnet_inspect.sources.spec.overrides import parse_overrides

    spec = options.read_model(model)

    def made(asked: Asked) -> Variant:
        shapes = options.read_inputs(spec.inputs, asked.inputs, asked.batch, asked.resize)
        edited = parse_overrides(asked.edits or [])
        return spec, build_graph(spec, shapes, overrides=edited, mode=asked.mode, resize=asked.resize)

    return made


def _graph_file(model: str) -> Opened:
    """FILE.graph.json: the network as it was written, at its one input and in its one mode."""
    from gnet_inspect.sources.file import read_graph_file

    graph = read_graph_file(Path(model), model)

    def made(asked: Asked) -> Variant:
        _check_file(model, graph, asked)
        return None, graph

    return made


def _check_file(model: str, graph: "Graph", asked: Asked) -> None:
    """Refuse what only the source of a file's network could do."""
    about = f"{show(model)}, which is a graph's file: it holds one network as it was written"
    for flag, given in (("--set", asked.edits), ("--resize", asked.resize)):
        if given:
            raise UsageError(f"{flag}: expected a built-in name or a spec, got {about}")
    if asked.mode == "train" and graph.mode != "train":
        raise UsageError(f"--mode train: expected a graph of that mode, got {about}, in {graph.mode} mode")
    shapes = {value.name: value.shape for value in graph.inputs}
    if (asked.inputs or asked.batch) and _shapes_of(graph, asked) != shapes:
        flag = "--input" if asked.inputs else "--batch"
        own = ", ".join(dimensions(shape) for shape in shapes.values())
        raise UsageError(f"{flag}: expected {own}, its own input, for {about}")


def _shapes_of(graph: "Graph", asked: Asked) -> dict[str, tuple[int, ...]]:
    """The inputs that --input and --batch ask of a graph; what they do not say is as it is."""
    from msgspec.structs import replace

    own = [replace(value, shape=value.shape[1:]) for value in graph.inputs]
    return options.read_inputs(own, asked.inputs, asked.batch, asked.resize)


def _python_file(model: str) -> Opened:
    """FILE.py alone names no network: what it has is told."""
    from gnet_inspect.sources.python.listing import choice_in

    raise choice_in(Path(model))
