"""What the page, the server and its workers say to each other, as plain data: JSON with these keys."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gnet_inspect.budgets.limits import Limit
from gnet_inspect.editing.revision import Mistake, Setting
from gnet_inspect.editing.slots import Slot
from gnet_inspect.language.completion import Option
from gnet_inspect.language.places import Place
from gnet_inspect.views.tables.changes import MeasureText

# Diagrams as the page offers them.
VIEWS = ("stage", "block", "layer")


class View(Struct, frozen=True, tag_field="is", tag="view"):
    """How far the picture is opened, and which width to height its room has (0 for what suits it)."""

    depth: str = "block"
    opened: str = ""
    aspect: float = 0.0


class Select(Struct, frozen=True, tag_field="is", tag="select"):
    """A part of the network of the last text: by its path, by the layers of a box, or by a place in the text."""

    path: str = ""
    layers: tuple[int, ...] = ()
    line: int = 0
    column: int = 0


class Job(Struct, frozen=True):
    """What a worker is asked: `do` is "count", "draw", "find" or "complete", of a `text`.

    `start` is the text that changes are told against; `other` (a file's name and its text) a model to compare with.
    """

    do: str
    text: str
    file: str
    setting: Setting = Setting()
    start: str = ""
    other: tuple[str, str] | None = None
    # The MODEL of the command that gives the same, and the text that it has, "" for none yet: --set edits that.
    model: str = ""
    saved: str = ""
    flags: tuple[str, ...] = ()
    # Limits of the project's config, each with what it says to whoever breaks it.
    limits: tuple[tuple[Limit, str], ...] = ()
    # What is drawn, and what is found.
    view: View = View()
    at: Select = Select()
    # To complete: the number of characters before the cursor.
    offset: int = 0


class Wrong(Mistake, frozen=True, tag_field="is", tag="wrong"):
    """A text that is no network: what is wrong with it, and where."""


class Row(Struct, frozen=True):
    """A line of the table: the path of its part ("" of the total), its depth, its cells, and how it changed ("",
    "added", "changed" or "affected")."""

    path: str
    level: int
    cells: Sequence[str]
    mark: str = ""


class Head(Struct, frozen=True):
    """A column of the table."""

    key: str
    title: str
    is_number: bool


class Told(Struct, frozen=True):
    """A change in words: of which part, what it is ("changed", "removed", ...), and what was changed."""

    name: str
    status: str
    what: str


class Beside(Struct, frozen=True):
    """The model to compare with: its name, its figures in the order of the page's, each with a ratio, or why not."""

    name: str
    figures: Sequence[MeasureText] = ()
    wrong: str = ""


class Light(Struct, frozen=True):
    """A limit of the project's config: what it says, the total, and whether that is "kept", "broken" or "unknown"."""

    words: str
    now: str
    state: str
    message: str = ""


class Counted(Struct, frozen=True, tag_field="is", tag="counted"):
    """A text that is a network. `marks` are by the number of a layer; `command` is what prints the same table."""

    title: str
    about: str
    figures: Sequence[MeasureText]
    heads: Sequence[Head]
    rows: Sequence[Row]
    marks: Mapping[int, str]
    changes: Sequence[Told]
    notes: Sequence[str]
    command: str
    # Of rows that are not sent, because no one reads so many.
    left_rows: int = 0
    beside: Beside | None = None
    lights: Sequence[Light] = ()


class Drawn(Struct, frozen=True, tag_field="is", tag="drawn"):
    """A picture: the svg, its size in points, and its legend (class, words); or why there is none (`note`)."""

    svg: str = ""
    width: float = 0.0
    height: float = 0.0
    legend: Sequence[tuple[str, str]] = ()
    note: str = ""


class Found(Struct, frozen=True, tag_field="is", tag="found"):
    """The selected part, "" for none: what it is, its layers, its arguments, its row's figures."""

    path: str = ""
    role: str = ""
    words: str = ""
    layers: Sequence[int] = ()
    place: Place | None = None
    steppers: Sequence[Slot] = ()
    facts: Sequence[tuple[str, str]] = ()


class Offered(Struct, frozen=True, tag_field="is", tag="offered"):
    """Words that may stand at the cursor, in place of so many characters before it."""

    options: Sequence[Option] = ()
    replaced: int = 0


Answer = Wrong | Counted | Drawn | Found | Offered


# --- what the page says ---


class Edit(Struct, frozen=True, tag_field="is", tag="edit"):
    """The text as it is now; `number` counts the edits, so that an answer says of which it is."""

    number: int
    text: str


class Ask(Struct, frozen=True, tag_field="is", tag="ask"):
    """What may stand at the cursor of a text; `number` comes back with the answer."""

    number: int
    text: str
    offset: int


class Save(Struct, frozen=True, tag_field="is", tag="save"):
    """Write the text to the file, or under another name beside it."""

    text: str
    name: str = ""
    overwrite: bool = False


class Choose(Struct, frozen=True, tag_field="is", tag="choose"):
    """The model to compare with, "" for none."""

    model: str = ""


class Restart(Struct, frozen=True, tag_field="is", tag="restart"):
    """Changes are told against this text from here on."""

    text: str


Request = Edit | View | Select | Ask | Save | Choose | Restart


# --- what the server says ---


class Hello(Struct, frozen=True, tag_field="is", tag="hello"):
    """What is edited: its name, its text, whether it has a file's name and that file is there, and the models that it
    may be compared with."""

    name: str
    text: str
    is_named: bool
    is_file: bool
    folder: str
    models: Sequence[str]
    chosen: str
    version: str


class Said(Struct, frozen=True):
    """An answer, and the number of the edit or question that it is to."""

    number: int
    answer: Answer


class Saved(Struct, frozen=True, tag_field="is", tag="saved"):
    """A text was written to a file of that name, or was not (`problem`); `asks` where it may be overwritten."""

    name: str
    text: str
    problem: str = ""
    asks: bool = False
