"""What a result without its graph still says of the tree of parts: the stage and the block of each of its layers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gnet_inspect.graph.outline import LARGE


class Placed(Protocol):
    """A layer of a result that knows where it stands."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def block(self) -> str | None: ...


class Part(NamedTuple):
    """A row of a table: a stage, or what makes it up, with the places of its layers in the result."""

    name: str
    level: int
    indices: list[int]
    # Its kind where it is a layer outside of blocks, else how many it has; nothing of a stage.
    kind: str = ""
    is_layer: bool = False


def parts_by_name(layers: Sequence[Placed]) -> list[Part]:
    """Stages in the order of their first layers, each before its blocks and the layers outside of them.

    As in an outline, a block of more than half of a large network is what it holds, as far as names tell that.
    """
    most = max(LARGE, len(layers) // 2)
    stages = _grouped(range(len(layers)), lambda index: layers[index].stage)
    parts = []
    for stage, inside in stages.items():
        parts.append(Part(stage, 0, inside))
        for block, held in _grouped(inside, lambda index: layers[index].block or layers[index].name).items():
            if layers[held[0]].block is None:
                parts.append(Part(block, 1, held, layers[held[0]].kind, is_layer=True))
            else:
                parts += _block(layers, block, held, most)
    return parts


def _block(layers: Sequence[Placed], block: str, held: list[int], most: int) -> list[Part]:
    inner = _grouped(held, lambda index: _below(layers[index].name, block)) if len(held) > most else {}
    if not any(1 < len(deeper) < len(held) for deeper in inner.values()):
        return [Part(block, 1, held, f"{len(held)} layer{'s' * (len(held) != 1)}")]
    parts = []
    for name, deeper in inner.items():
        if len(deeper) == 1:
            parts.append(Part(name, 1, deeper, layers[deeper[0]].kind, is_layer=True))
        else:
            parts += _block(layers, name, deeper, most)
    return parts


def _below(name: str, block: str) -> str:
    """The name of what a layer lies in right below a block.

    >>> _below("features.denseblock1.denselayer1.conv1", "features")
    'features.denseblock1'
    """
    if not name.startswith(f"{block}."):
        return name
    return f"{block}.{name.removeprefix(f'{block}.').partition('.')[0]}"


def _grouped(indices: Sequence[int], name: Callable[[int], str]) -> dict[str, list[int]]:
    """The indices by a name, in the order in which names appear."""
    groups: dict[str, list[int]] = {}
    for index in indices:
        groups.setdefault(name(index), []).append(index)
    return groups
