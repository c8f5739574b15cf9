"""What stands in the cards of a picture: names, kinds, and figures or shares, in three sizes of type."""

import re
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from gnet_inspect.errors import printable
from gnet_inspect.units import duration, percent
from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame, counted, figures_of
from gnet_inspect.views.drawing.heat import SHARES, amount_of, heat_edges, heat_step
from gnet_inspect.views.drawing.lettering import fit_text, in_letters
from gnet_inspect.views.drawing.placed import TYPES

# What folds into a larger share of the cards is not said in compact ones.
_COMMON = 0.2
# No text of a card is wider, in points.
WIDEST = 300.0


class Caption(Struct, frozen=True):
    """The lines of a card, each with its type; `step` is that of its heat, None where colours say what it is."""

    lines: tuple[tuple[str, str], ...]
    step: int | None = None


class Captions:
    """Writes the cards of one drawing: `color` says what is shared out, `seconds` are measured times by layer."""

    def __init__(
        self,
        drawing: Drawing,
        color: str = "kind",
        seconds: Mapping[str, float] | None = None,
        *,
        compact: bool = False,
        in_roboto: bool = False,
    ) -> None:
        self.color, self.seconds = color, seconds or {}
        # Whether shares are of a part of the network.
        self.is_part = drawing.is_part
        self.compact, self.in_roboto = compact, in_roboto
        # What folds into most cards is not repeated in compact ones; the legend says what that is.
        cards = [box for box in drawing.boxes() if box.role == "layer" and not box.sign]
        # As dicts, which are sets in order: the same picture is the same bytes in every process.
        folded = Counter(word for box in cards for word in dict.fromkeys(box.folded))
        self.unsaid = [word for word, times in folded.items() if compact and times > _COMMON * len(cards)]
        values = [self.value(box) for box in drawing.boxes()]
        self.total = sum(values)
        self.edges = heat_edges(max(values, default=0))

    def value(self, box: Box) -> float:
        """How much a box has of what the colours say."""
        return amount_of(box, self.color, self.seconds)

    def text(self, words: str, kind: str, width: float = WIDEST) -> str:
        """Free text as a line of a type that is at most so wide."""
        shown = printable(words)
        shown = in_letters(shown) if self.in_roboto else shown
        return fit_text(shown, width, TYPES[kind].size, TYPES[kind].weight)

    def card(self, box: Box, title: str) -> Caption:
        """What stands in a box's card; in a compact one its kind alone, and its share where that is asked for."""
        step = heat_step(self.value(box), self.edges) if self.color != "kind" else None
        share = self._share(box) if step else ""
        name = _shortened(title) + (f" ×{box.times}" if box.times > 1 else "")
        whole = box.role != "layer"
        if self.compact and not whole:
            said = [box.sketch.replace(", ceil", ""), *(word for word in box.folded if word not in self.unsaid)]
            lines = [(" · ".join(filter(None, (" + ".join(said), share))), "kind")]
        else:
            kind = " + ".join([box.sketch, *box.folded])
            if whole:
                kind = counted(kind, box.times, "×")
            numbers = share if self.color != "kind" else " · ".join(figures_of(box, "×"))
            # What is called like what it is, is said once.
            lines = [(name, "name"), (kind if kind != name else "", "kind"), (numbers, "number")]
        return Caption(tuple((self.text(text, kind), kind) for text, kind in lines if text), step)

    def joint(self, box: Box) -> str:
        return self.text(box.sketch, "kind")

    def header(self, frame: Frame, title: str) -> str:
        """The name of a frame, and how many it stands for."""
        return self.text(_shortened(title) + (f" ×{frame.times}" if frame.times > 1 else ""), "name")

    def frame_figures(self, frame: Frame) -> tuple[str, ...]:
        if self.color == "kind":
            return figures_of(frame, "×")
        value = sum(self.value(box) for box in frame.boxes())
        return (f"{_percent(value, self.total)} of {SHARES[self.color]}",) if value else ()

    def legend_edges(self) -> list[str]:
        """What the steps of the heat end at: shares in percent."""
        return [_percent(edge, self.total) for edge in self.edges]

    def _share(self, box: Box) -> str:
        value = self.value(box)
        share = f"{_percent(value, self.total)} of {SHARES[self.color]}"
        if self.color == "time":
            return f"{duration(value)} · {_percent(value, self.total)}"
        return _percent(value, self.total) if self.compact else share


def _percent(part: float, whole: float) -> str:
    return f"{percent(part, whole)} %"


def _shortened(title: str) -> str:
    """A run of numbered names as one writes it.

    >>> _shortened("layer3.1 to layer3.5"), _shortened("a to b"), _shortened("conv1")
    ('layer3.1–5', 'a to b', 'conv1')
    """
    return re.sub(r"^(.*?)(\d+) to \1(\d+)$", r"\1\2–\3", title)
