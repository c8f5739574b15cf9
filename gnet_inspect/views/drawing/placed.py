"""A picture as plain data: where every card, frame, wire and word stands, in points from its top left corner."""

from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from gnet_inspect.views.drawing.lettering import text_width

Point = tuple[float, float]


class Type(Struct, frozen=True):
    """Letters of one size, in points, and weight."""

    size: float
    weight: str = "Regular"


# Three sizes for what a card says, by weight and colour distinct, too; what stands beside wires is smaller still.
TYPES = {
    "title": Type(18, "Medium"),
    "subtitle": Type(10.5),
    "legend": Type(10.5),
    "name": Type(12.5, "Medium"),
    "pill": Type(10.5, "Medium"),
    "kind": Type(10.5),
    "number": Type(9),
    "shape": Type(8.5),
}


class Word(Struct, frozen=True):
    """A line of text: where its base line begins, is centred or ends, and of which of TYPES it is."""

    x: float
    y: float
    text: str
    kind: str
    anchor: str = "start"

    @property
    def width(self) -> float:
        return text_width(self.text, TYPES[self.kind].size, TYPES[self.kind].weight)

    @property
    def left(self) -> float:
        """Where its letters begin."""
        return self.x - self.width * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]


class Card(Struct, frozen=True):
    """A box ("card"), what comes in, goes out or joins ("pill"), or a sign ("circle")."""

    key: str
    x: float
    y: float
    width: float
    height: float
    form: str
    words: tuple[Word, ...]
    # How many equal ones it stands for, drawn as cards behind it.
    times: int = 1
    # The step of its heat; None where its colour says what it is.
    step: int | None = None
    sign: str = ""


class Border(Struct, frozen=True):
    """A frame, with its header's words."""

    key: str
    x: float
    y: float
    width: float
    height: float
    words: tuple[Word, ...]
    times: int = 1


class Route(Struct, frozen=True):
    """A wire from the border of its tail to that of its head: its ends, and its corners between them."""

    tail: str
    head: str
    points: tuple[Point, ...]


class Swatch(Struct, frozen=True):
    """A place of the legend: the class of cards that it shows, or a step of the heat."""

    x: float
    y: float
    width: float
    height: float
    of: str
    step: int | None = None


class Placed(Struct, frozen=True):
    """All of a picture. `words` are those of its heading and of its legend, `labels` the shapes beside its wires."""

    width: float
    height: float
    cards: tuple[Card, ...]
    borders: tuple[Border, ...]
    routes: tuple[Route, ...]
    labels: tuple[Word, ...]
    words: tuple[Word, ...] = ()
    swatches: tuple[Swatch, ...] = ()
    # How many columns it has; 0 of a U.
    columns: int = 1

    def all_words(self) -> list[Word]:
        """Every line of text."""
        inside = [card.words for card in self.cards] + [border.words for border in self.borders]
        return [*self.words, *chain(*inside), *self.labels]


def shifted(placed: Placed, x: float, y: float) -> Placed:
    """The same, moved."""

    def moved(word: Word) -> Word:
        return replace(word, x=word.x + x, y=word.y + y)

    def held(thing: Card | Border) -> Card | Border:
        return replace(thing, x=thing.x + x, y=thing.y + y, words=tuple(map(moved, thing.words)))

    return replace(
        placed,
        cards=tuple(map(held, placed.cards)),
        borders=tuple(map(held, placed.borders)),
        routes=tuple(
            replace(route, points=tuple((px + x, py + y) for px, py in route.points)) for route in placed.routes
        ),
        labels=tuple(map(moved, placed.labels)),
    )
