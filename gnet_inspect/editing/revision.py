"""One state of a spec's text, and what is wrong with a text that is none."""

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.errors import GnetError, SpecError
from gnet_inspect.graph import Graph
from gnet_inspect.language import Spec, parse_spec
from gnet_inspect.language.model import Layer
from gnet_inspect.language.places import Place, Written, places_of
from gnet_inspect.ops import Shape
from gnet_inspect.sources.spec import expand_spec


class Setting(Struct, frozen=True):
    """What a network is counted at: each input's name with its shape (the spec's own where none is given, at the
    `batch`), its mode and the dtype of its bytes."""

    shapes: tuple[tuple[str, Shape], ...] = ()
    batch: int = 1
    mode: str = "eval"
    dtype: str = "fp32"


class Revision(Struct, frozen=True, eq=False):
    """A text that is a network: what it says, the network, and by its path what of the spec each part of it is."""

    text: str
    spec: Spec
    graph: Graph
    calls: Mapping[str, Layer]
    summary: Summary


class Mistake(Struct, frozen=True):
    """What is wrong with a text, and where: `place` is None where no place of the text is meant."""

    fact: str
    hint: str = ""
    path: str = ""
    place: Place | None = None


def read_revision(text: str, file: str, setting: Setting) -> Revision:
    """The network of a text. Raises SpecError or UsageError for a text that is none."""
    spec = parse_spec(text, file)
    own = {given.name: (setting.batch, *given.shape) for given in spec.inputs}
    given = {name: shape for name, shape in setting.shapes if name in own}
    expanded = expand_spec(spec, own | given, mode=setting.mode)
    return Revision(text, spec, expanded.graph, expanded.calls, summarize(expanded.graph, setting.dtype))


# The start's and those of the text that is typed: each is asked of for its mistake, its part and the flags that say it.
@lru_cache(maxsize=2)
def written_in(text: str) -> Mapping[str, Written]:
    """Where each value of a text stands, by its path."""
    return places_of(text)


def mistake_in(text: str, error: GnetError) -> Mistake:
    """What an error says of a text, and where in it: the value it names, else its line."""
    if not isinstance(error, SpecError):
        return Mistake(str(error))
    return Mistake(error.fact, error.hint, error.path, _place_of(text, error))


def _place_of(text: str, error: SpecError) -> Place | None:
    if error.line is None:
        return None
    found = written_in(text).get(error.path) if error.path else None
    if found is not None:
        # A list or mapping of several lines is told by its key, or by its line.
        whole = found.value if found.value.line == found.value.end_line else found.key
        start = found.key or found.value
        if whole is not None and start.line == error.line:
            return Place(start.line, start.column, whole.end_line, whole.end_column)
    lines = text.splitlines() or [""]
    line = lines[min(error.line, len(lines)) - 1]
    indent = len(line) - len(line.lstrip())
    begin = min(error.column or indent + 1, len(line) + 1)
    return Place(error.line, begin, error.line, max(len(line.rstrip()) + 1, begin))
