"""Which model of the catalogue some weights are of, by the names and shapes of all of them.

The specs are expanded when this is asked, which a load that failed does: nothing is kept that could grow stale.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from gnet_inspect.errors import GnetError, quoted, some_of
from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec, catalogue, load_spec
from gnet_inspect.runtime.module import build_module
from gnet_inspect.runtime.renaming import without_inner
from gnet_inspect.sources.spec import build_graph

# The model parameter on which a classifier's size depends in the catalogue.
CLASSES = "classes"
# What is not trained: BatchNorm's statistics, which files may lack, and the places in a table of windows.
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index")
# How many prefixes are taken off, at most.
_TAKEN = 8
# More than any model of the catalogue has: a file may have any number of names, and each prefix is a pass over them.
_MOST_TENSORS = 20_000


class Likeness(NamedTuple):
    """A model that some weights are of: the number of classes where it is another than the spec's, and the layers of
    the classifier that the weights lack."""

    model: str
    classes: int | None = None
    lacking: tuple[str, ...] = ()

    def describe(self) -> str:
        """ "`vgg13` with 10 classes"."""
        text = quoted(self.model)
        if self.classes is not None:
            text += f" with {self.classes} classes"
        return f"{text} without {some_of(map(quoted, self.lacking))}" if self.lacking else text


def recognise(tensors: Mapping[str, Tensor]) -> list[Likeness]:
    """The built-in models whose weights these are, with heads or without, for any number of classes.

    All names must be the model's and all shapes fit; only what depends on the number of classes may be absent. Prefixes
    that all names have are taken off.
    """
    if len(tensors) > _MOST_TENSORS:
        return []
    specs = [load_spec(name) for name in catalogue()]
    models = [(spec, build_graph(spec, mode="train")) for spec in specs]
    for names in _unprefixed(tensors):
        trained = _trained(names)
        found = [likeness for spec, graph in models if (likeness := _likeness(spec, graph, trained, names))]
        if found:
            return found
    return []


def _unprefixed(tensors: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """The tensors as they are, and without what all names begin with."""
    yield tensors
    inner = without_inner({name: name for name in tensors})
    if inner.keys() != tensors.keys():
        tensors = {name: tensors[old] for name, old in inner.items()}
        yield tensors
    for _ in range(_TAKEN):
        first = next(iter(tensors), "").partition(".")
        prefix = first[0] + first[1]
        if not first[1] or not all(name.startswith(prefix) for name in tensors):
            return
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        yield tensors


def _trained(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of trained scalars under each name but its last part: of each layer, and of what one is made of."""
    found: dict[str, int] = {}
    for name, tensor in tensors.items():
        layer, _, last = name.rpartition(".")
        if last not in _BUFFERS:
            found[layer] = found.get(layer, 0) + tensor.numel()
    return found


def _layers(graph: Graph) -> dict[str, int]:
    """The same of a graph, whose layers say the names of their weights. A learned tensor has its layer's own."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        for weight in node.weights() if node.params else ():
            if weight.trained:
                path = f"{node.module}.{weight.name}" if weight.name else node.module
                layer = path.rpartition(".")[0]
                found[layer] = found.get(layer, 0) + weight.elements
    return found


def _likeness(spec: Spec, graph: Graph, trained: dict[str, int], tensors: Mapping[str, Tensor]) -> Likeness | None:
    """How some weights are those of a model, whose graph has its heads; None where they are not."""
    layers = _layers(graph)
    if not trained or not trained.keys() <= layers.keys():
        return None
    trunk = [name for name in layers if not name.startswith(graph.head_prefixes)]
    lacking = tuple(name for name in trunk if name not in trained)
    classes = None
    if lacking or any(layers[name] != number for name, number in trained.items()):
        sized = _sized_by_classes(spec, layers)
        if not sized.issuperset(lacking) or not trained.keys() - sized:
            return None
        classes = _classes(trunk, sized, tensors)
        if classes is not None:
            try:
                graph = build_graph(spec, mode="train", overrides={CLASSES: classes})
            except GnetError:  # a number that no layer takes
                return None
    if not _same_shapes(graph, tensors):
        return None
    return Likeness(spec.name, classes, lacking)


def _sized_by_classes(spec: Spec, layers: dict[str, int]) -> set[str]:
    """The layers with more parameters where there are more classes."""
    if CLASSES not in spec.params:
        return set()
    default = spec.params[CLASSES].default
    assert default is not None
    more = _layers(build_graph(spec, mode="train", overrides={CLASSES: default.data + 1}))
    return {name for name, number in layers.items() if more[name] != number}


def _classes(trunk: list[str], sized: set[str], tensors: Mapping[str, Tensor]) -> int | None:
    """The number of classes of a file: the outputs of its last layer that has them."""
    for name in reversed(trunk):
        weight = tensors.get(f"{name}.weight")
        if name in sized and weight is not None and weight.ndim:
            return int(weight.shape[0])
    return None


def _same_shapes(graph: Graph, tensors: Mapping[str, Tensor]) -> bool:
    """Whether every tensor is one of the module's, in its shape."""
    own = {name: tensor.shape for name, tensor in build_module(graph, device="meta").state_dict().items()}
    return all(own.get(name) == tensor.shape for name, tensor in tensors.items())
