"""The sizes of a network's inputs: what the file says of them, and what is asked for."""

from collections.abc import Mapping, Sequence

from gnet_inspect.errors import UsageError, quoted, show
from gnet_inspect.ops import Shape
from gnet_inspect.sources.onnx.form import Given
from gnet_inspect.units import dimensions


def bind(inputs: Sequence[Given], asked: Mapping[str, Shape], batch: int | None, about: str) -> dict[str, Shape]:
    """The shape of each input: sizes that are free are those asked for, a free first one is the batch, 1 unless said.

    Raises UsageError where another size is asked for than the file has, and where one is not said.
    """
    sizes: dict[str, int] = {}
    for given in inputs:
        if given.name in asked:
            _meet(given, asked[given.name], sizes, "--input", about)
    first = next((shape[0] for shape in asked.values() if shape), 1)
    return {given.name: asked.get(given.name) or _filled(given, sizes, batch, first, about) for given in inputs}


def _meet(given: Given, shape: Shape, sizes: dict[str, int], flag: str, about: str) -> None:
    own = given.shape
    if own is None:
        return
    if len(own) != len(shape):
        raise UsageError(
            f"{flag}: expected {_words(own)} for {quoted(given.name)}, got {dimensions(shape)}, for {about}"
        )
    for known, size in zip(own, shape, strict=True):
        free = isinstance(known, str)
        if (not free and known != size) or (free and known and sizes.setdefault(str(known), size) != size):
            raise UsageError(
                f"{flag}: expected {_words(own)}, the sizes that are fixed in it, for {quoted(given.name)}, "
                f"got {dimensions(shape)}, for {about}"
            )


def _filled(given: Given, sizes: Mapping[str, int], batch: int | None, first: int, about: str) -> Shape:
    """The shape of an input that nobody asked for."""
    if given.shape is None:
        raise UsageError(
            f"--input: expected a shape for {quoted(given.name)}, of which the file says none, for {about}"
        )
    found = []
    for axis, size in enumerate(given.shape):
        if isinstance(size, int):
            if axis == 0 and batch is not None and size != batch:
                raise UsageError(f"--batch: expected {size}, its own, got {batch}, for {about}")
            found.append(size)
        elif size in sizes:
            found.append(sizes[size])
        elif axis == 0:
            found.append(batch or first)
        else:
            example = dimensions(tuple(1 if isinstance(item, str) else item for item in given.shape))
            raise UsageError(
                f"--input: expected a size for each that is free in {quoted(given.name)}, {_words(given.shape)}, for "
                f"{about}. (for example --input {show(given.name).strip(chr(39))}={example} with others than 1)"
            )
    return tuple(found)


def _words(shape: Sequence[int | str]) -> str:
    """A shape with the names of what is free: "N x 3 x 224 x 224"."""
    return " x ".join(str(size) if isinstance(size, int) else (size[:20] or "?") for size in shape) or "a single number"
