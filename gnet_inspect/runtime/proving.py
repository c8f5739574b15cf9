"""What is written of a network is held to the network: all its weights, the same layers, the same bits."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from gnet_inspect.authoring.idioms import in_words
from gnet_inspect.errors import CannotWriteError, brief, quoted, some_of
from gnet_inspect.graph import Graph, Node
from gnet_inspect.graph.assembling import clean
from gnet_inspect.records.weights import is_below
from gnet_inspect.runtime.tracing.twin import unwrapped
from gnet_inspect.units import dimensions

SEED = 0
_DTYPES = {"int64": torch.int64, "bool": torch.bool}


def drawn_inputs(graph: Graph) -> list[Tensor]:
    """A tensor for each input of a graph, the same each time."""
    generator = torch.Generator().manual_seed(SEED)
    return [drawn_input(value.shape, _DTYPES.get(value.dtype), generator) for value in graph.inputs]


def drawn_input(shape: Sequence[int], dtype: torch.dtype | None, generator: torch.Generator) -> Tensor:
    """Numbers at random, indices that any table has, a mask of ones."""
    if dtype is None or dtype.is_floating_point:
        return torch.randn(tuple(shape), generator=generator).to(dtype or torch.get_default_dtype())
    if dtype == torch.bool:
        return torch.ones(tuple(shape), dtype=dtype)
    return torch.randint(0, 2, tuple(shape), generator=generator)


def give_signal(module: nn.Module) -> nn.Module:
    """The module in eval mode, with random weights that hand a signal on from layer to layer (He et al. 2015).

    Statistics are not those of a new module either: with torch's own weights an output is little but the last bias, and
    no difference would show.
    """
    module.eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                for tensor, low, high in (
                    *((item, 0.5, 1.5) for item in (layer.weight, layer.running_var)),
                    *((item, -0.2, 0.2) for item in (layer.bias, layer.running_mean)),
                ):
                    if tensor is not None:
                        tensor.uniform_(low, high, generator=generator)
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                if layer.bias is not None:
                    layer.bias.uniform_(-0.1, 0.1, generator=generator)
    return module


def left_parts(graph: Graph) -> tuple[str, ...]:
    """What nothing that the network returns reads: outermost modules of which nothing runs, and single layers of
    others, whose weights are unreached."""
    run = {name.partition(".")[0] for node in graph.nodes for name in (node.name, node.module)}
    homes = [item.name.partition(".")[0] for item in graph.unreached]
    whole = [item.name if home in run else home for item, home in zip(graph.unreached, homes, strict=True)]
    return tuple(dict.fromkeys([*whole, *graph.left_heads]))


def load_weights_of(own: nn.Module, made: nn.Module, graph: Graph, renamed: Mapping[str, str] | None = None) -> None:
    """Give what was made of a network's graph the weights of its module, every one but those of `left_parts`.

    `renamed` are the new paths of layers by their old ones. Raises CannotWriteError where one has no place, or a place
    none.
    """
    state = {
        _new_name(clean(name), renamed or {}): tensor
        for name, tensor in unwrapped(own).state_dict().items()
        if isinstance(tensor, Tensor)
    }
    names, left = made.state_dict(), left_parts(graph)
    extra = [name for name in state if name not in names and not any(is_below(name, part) for part in left)]
    faults = [f"{quoted(name)} has no place" for name in extra]
    faults += [f"{quoted(name)} is not there" for name in names if name not in state]
    said = f"the weights of {graph.model} do not fit what was written of it"
    if faults:
        raise CannotWriteError(f"{said}, whose state dict is another one: {some_of(faults)}")
    try:
        made.load_state_dict({name: state[name] for name in names})
    except RuntimeError as error:
        raise CannotWriteError(f"{said}: {brief(str(error), 300)}") from error


def _new_name(key: str, renamed: Mapping[str, str]) -> str:
    """A key of the state dict under the new name of its layer."""
    home = key
    while home:
        if home in renamed:
            return renamed[home] + key.removeprefix(home)
        home = home.rpartition(".")[0]
    return key


def compare_layers(given: Graph, written: Graph, asked: Callable[[Node], bool] = lambda _: True) -> None:
    """Raise CannotWriteError where two graphs do not have the same layers, in any order, of those that are asked for,
    or give other shapes. Their idioms are one word each."""
    graphs = in_words(given), in_words(written)
    one, other = (Counter(map(_told, filter(asked, graph.nodes))) for graph in graphs)
    if one != other:
        lost, new = (", ".join(list(more)[:2]) or "nothing" for more in (one - other, other - one))
        raise CannotWriteError(f"what was written is another network: it has {new} in the place of {lost}")
    shapes = [[graph.shapes()[output.value] for output in graph.outputs] for graph in graphs]
    if shapes[0] != shapes[1]:
        raise CannotWriteError(f"what was written is another network: it gives {shapes[1]}, not {shapes[0]}")


def _told(node: Node) -> str:
    """What a layer is, its name left out."""
    macs = "unknown" if node.macs is None else f"{node.macs:,}"
    return (
        f"`{node.describe()}` of {node.params:,} parameters and {macs} MACs that gives {dimensions(node.output_shape)}"
    )


def compare_outputs(expected: Sequence[Tensor], found: Sequence[Tensor]) -> None:
    """Raise CannotWriteError where what was written gives outputs that differ in any bit."""
    if len(expected) != len(found):
        raise CannotWriteError(f"what was written gives {len(found)} outputs, where the network gives {len(expected)}")
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        if one.shape != other.shape:
            sizes = f"{dimensions(other.shape)}, not {dimensions(one.shape)}"
            raise CannotWriteError(f"what was written gives another output {number}: {sizes}")
        if not torch.equal(one.nan_to_num(), other.nan_to_num()):
            apart = (one.double() - other.double()).abs().max().item()
            raise CannotWriteError(f"what was written gives another output {number}: apart by up to {apart:.3g}")


@contextlib.contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """The user's module in eval mode for a while."""
    modes = {id(part): part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part in module.modules():
            part.training = modes[id(part)]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, because sums over several may come in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
