"""What is trained: a spec fitted to its data, or a module in Python; its graph, its module, and how its heads weigh."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from torch import nn

from gnet_inspect.authoring.spec_text import spec_text
from gnet_inspect.authoring.writing import write_program
from gnet_inspect.errors import CannotWriteError, ShapeError, SpecError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.graph.freezing import freeze
from gnet_inspect.language import Spec
from gnet_inspect.language.parse import parse_spec
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.references import Traced
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.units import dimensions

Image = tuple[int, int, int]
CLASSES = "classes"
# What a head of a module in Python weighs, which does not say it: the paper's (arXiv:1409.4842, section 5).
HEAD_WEIGHT = 0.3


class Trainee(NamedTuple):
    """A network to be trained: `graph` makes its training graph at a batch, `build` its module on the CPU. `spec` is
    the text of its spec, to which `edits` are to be made yet; "" for a module in Python. `heads` are the weights of its
    heads, None where only a run shows them."""

    title: str
    input: Image
    build: Callable[[], nn.Module]
    graph: Callable[[int], Graph] | None
    heads: Mapping[str, float] | None
    spec: str = ""
    edits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    # Whether its weights are drawn anew: those of a module in Python are as it was made.
    is_spec: bool = True
    # What a head counts that only a run shows.
    head_weight: float | None = None


def fit_spec(
    spec: Spec,
    text: str,
    *,
    classes: int,
    channels: int,
    size: tuple[int, int] | None = None,
    edits: Mapping[str, object] | None = None,
    written: Sequence[str] = (),
    resize: bool = True,
    frozen: Sequence[str] = (),
    as_is: bool = True,
) -> Trainee:
    """A spec with as many classes and channels as its data has.

    Classes are its parameter of that name. With `resize` its first layers take as many channels as the images have,
    else images are given as many as the network has. `size` is the input's, else the spec's own; `edits` are by path,
    `written` the same as a user wrote them; `as_is` says that the text is of just this spec. The text that comes out is
    the network as it is trained, written anew where anything of it was edited, so that it needs no edits. Raises
    UsageError for a network that is no classifier of one image.
    """
    own = _image_of(spec)
    shape = (channels if resize else own[0], *(size or own[1:]))
    given = dict(edits or {})
    if CLASSES in spec.params and CLASSES not in given:
        given[CLASSES] = classes

    def graph(batch: int) -> Graph:
        return build_graph(spec, (batch, *shape), overrides=given, mode="train", resize=resize)

    made = graph(1)
    _check_classes(made, classes)
    before = build_graph(spec, mode="train").shapes()
    own_classes = before[made.output][-1]
    notes = _fitted(own, shape, own_classes, classes)
    more = {path: value for path, value in given.items() if path != CLASSES}
    found: str | None = text
    if shape != own or more or own_classes != classes or not as_is:
        found = _rewritten(spec, made, notes, written)
    left: tuple[str, ...] = ()
    if found is None:
        found, left = text, (*written, *([f"{CLASSES}={classes}"] if CLASSES in given else []))

    return _trainee(spec, made, graph, frozen)._replace(spec=found, edits=left, notes=notes)


def fit_text(text: str, file: str, image: Image, edits: Mapping[str, object], frozen: Sequence[str]) -> Trainee:
    """The network of a run's own spec, as it was trained."""
    spec = parse_spec(text.encode(), file)

    def graph(batch: int) -> Graph:
        return build_graph(spec, (batch, *image), overrides=dict(edits), mode="train", resize=True)

    return _trainee(spec, graph(1), graph, frozen)._replace(spec=text)


def _trainee(spec: Spec, made: Graph, graph: Callable[[int], Graph], frozen: Sequence[str]) -> Trainee:
    """The network that `graph` makes at a batch, and that was `made` at one image, with parts that are frozen."""

    def freezing(given: Graph) -> Graph:
        return freeze(given, frozen) if frozen else given

    return Trainee(
        spec.title or spec.name,
        _image_in(made),
        lambda: build_module(freezing(made), device="cpu"),
        lambda batch: freezing(graph(batch)),
        _weights_of_heads(made),
    )


def with_head_weight(spec: Spec, weight: float | None) -> Spec:
    """The spec with another weight of every head's loss; of 0 without heads."""
    if weight is None:
        return spec
    return replace(spec, heads=tuple(replace(head, weight=weight) for head in spec.heads) if weight else ())


def fit_traced(traced: Traced, graph: Callable[[int], Graph], *, head_weight: float | None = None) -> Trainee:
    """A module in Python, as it was traced; `graph` traces it at a batch. Its heads are found when it is run."""
    made = traced.made.graph
    return Trainee(
        made.model, _image_in(made), traced.network.build, graph, None, is_spec=False, head_weight=head_weight
    )


def fit_module(module: nn.Module, image: Image, title: str) -> Trainee:
    """A module that is there already, of which nothing else is known."""
    return Trainee(title, image, lambda: module, None, None, is_spec=False)


def fit_graph(graph: Graph, classes: int, head_weight: float | None = None) -> Trainee:
    """A Graph as it is: one of the mode "train" has its heads, which count what the spec says or all `head_weight`.
    Raises UsageError for one that is no classifier."""
    image = _image_in(graph)
    _check_classes(graph, classes)
    return Trainee(
        graph.title or graph.model,
        image,
        lambda: build_module(graph, device="cpu"),
        None,
        {name: own if head_weight is None else head_weight for name, own in _weights_of_heads(graph).items()},
    )


def _image_in(graph: Graph) -> Image:
    """The image that a network reads, C x H x W. Raises UsageError for one that reads something else."""
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        inputs = ", ".join(f"{value.name} {dimensions(value.shape)}" for value in graph.inputs)
        raise UsageError(f"expected a network of one image N x C x H x W to train, got {graph.variant} with {inputs}")
    channels, height, width = graph.inputs[0].shape[1:]
    return channels, height, width


def _weights_of_heads(graph: Graph) -> dict[str, float]:
    """What each head's loss counts; one that says nothing counts as much as the scores."""
    return {head.name: 1.0 if head.weight is None else head.weight for head in graph.heads}


def _image_of(spec: Spec) -> Image:
    """The image that a spec reads, C x H x W."""
    if len(spec.inputs) != 1 or len(spec.inputs[0].shape) != 3 or spec.inputs[0].dtype != "float":
        inputs = ", ".join(f"{value.name} {dimensions(value.shape)}" for value in spec.inputs)
        raise UsageError(f"expected a network of one image C x H x W to train, got {spec.name} with {inputs}")
    channels, height, width = spec.inputs[0].shape
    return channels, height, width


def _check_classes(graph: Graph, classes: int) -> None:
    """Raise UsageError unless a network gives as many scores as its data has classes."""
    shapes = graph.shapes()
    for name, value in (("output", graph.output), *((f"head `{head.name}`", head.value) for head in graph.heads)):
        if graph.names_outputs or shapes[value] != (graph.batch, classes):
            got = "outputs by name" if graph.names_outputs else dimensions(shapes[value])
            raise UsageError(
                f"expected scores N x {classes}, the classes of the data, of the {name} of {graph.variant}, got {got}. "
                "(a spec says its classes by the parameter `classes`; else --set changes its last layer)"
            )


def check_batch_norm(graph: Graph) -> None:
    """Refuse a batch at which a BatchNorm sees one value in each channel, which has no variance."""
    for node in graph.nodes:
        if node.op.refuses_training(node.input_shapes):
            raise UsageError(
                f"--batch: expected 2 or more, got {graph.batch}: `{node.name}` is a BatchNorm behind a 1x1 map, and "
                "would see one value in each channel"
            )


def _fitted(own: Image, shape: Image, own_classes: int, classes: int) -> tuple[str, ...]:
    """What was made of the spec, in words."""
    notes = []
    if shape != own:
        notes.append(f"input {dimensions(shape)} in place of {dimensions(own)}")
    if classes != own_classes:
        notes.append(f"{classes} classes in place of {own_classes}")
    return tuple(notes)


def _rewritten(spec: Spec, graph: Graph, notes: Sequence[str], written: Sequence[str]) -> str | None:
    """The spec of an edited network, with the same weights by the same names; None where the language cannot say it
    so."""
    changes = ", ".join((*notes, *written))
    try:
        text = spec_text(write_program(graph, spec.name), f"{spec.name} with {changes}, as it was trained.")
    except CannotWriteError:
        return None
    head, _, rest = text.partition(f"name: {spec.name}\n")
    known = {"title": spec.title, "year": spec.year, "family": spec.family}
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in known.items() if value]
    text = f"{head}name: {spec.name}\n{''.join(lines)}{rest}"
    try:
        again = build_graph(parse_spec(text.encode(), "spec.yaml"), mode="train")
    except (SpecError, UsageError, ShapeError):
        return None
    return text if _weights_in(again) == _weights_in(graph) else None


def _weights_in(graph: Graph) -> tuple[set[tuple[str, int, Any]], dict[str, Any]]:
    shapes = graph.shapes()
    layers = {(node.module, node.params, node.input_shapes) for node in graph.nodes}
    return layers, {head.name: (head.weight, shapes[head.value]) for head in graph.heads}
