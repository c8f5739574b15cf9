"""A run's folder, as it is written and read without torch: its config.yaml, its metrics.csv, and what they say of it.

Both files are text that reads back to the bit: a number is written as its `repr`, the shortest text that is it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from gnet_inspect.errors import UsageError, quoted, show
from gnet_inspect.language.document import MAX_BYTES, Value, read_document
from gnet_inspect.language.reader import Reader
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.records.training import CONFIG_FILE, METRICS, METRICS_FILE, SPEC_FILE, Count, Epoch, Recipe, Share

# A line takes at most 120 bytes.
MAX_EPOCHS = 100_000
MAX_METRICS_BYTES = 12_000_000
# What YAML reads as a key of one line, with its quotes.
LONGEST_KEY = 1_000
_HEADER = ",".join(METRICS)
_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|inf)|nan")
# A text that every reader of YAML takes for itself.
_PLAIN = re.compile(r"[A-Za-z_][\w./+-]*\Z", re.ASCII)
# A kind of data set, in front of the folder that holds one.
_NAMED_DATA = re.compile(r"([a-z][a-z0-9-]+):")
_NOT_PLAIN = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
# What an error expects of a config's key.
_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    Count: "a whole number above 0",
    float: "a number",
    Share: "a number from 0 to 1",
    bool: "true or false",
    str | None: "text or null",
    float | None: "a number or null",
    tuple[int, ...]: "a list of whole numbers",
    tuple[str, ...]: "a list of texts",
    tuple[float, ...]: "a list of numbers",
    dict[str, float]: "a mapping from names to numbers",
    dict[str, Any]: "a mapping from names to values",
}


class Run(Struct, frozen=True):
    """What a run's folder says of it so far. `best` is the first of the epochs with the highest accuracy; None before
    the first epoch."""

    folder: str
    recipe: Recipe
    epochs: tuple[Epoch, ...]
    best: Epoch | None

    @property
    def done(self) -> int:
        """After how many epochs it stands."""
        return self.epochs[-1].epoch if self.epochs else 0

    @property
    def finished(self) -> bool:
        """Whether it has all the epochs of its recipe."""
        return self.done >= self.recipe.epochs

    @property
    def data(self) -> str:
        """What its data set is called: without the folders before it."""
        return data_name(self.recipe.data)


def data_name(data: str) -> str:
    """What a data set is called that was given so: without the folders that it lies in.

    >>> data_name("digits"), data_name("/data/flowers/"), data_name("mnist:/data/raw"), data_name("./own.py:pairs")
    ('digits', 'flowers', 'mnist', 'own.py:pairs')
    """
    named = _NAMED_DATA.match(data)
    return named[1] if named else data.rstrip("/").rpartition("/")[2] or data


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run, finished or not."""
    return (path / CONFIG_FILE).is_file() and ((path / METRICS_FILE).is_file() or (path / SPEC_FILE).is_file())


def read_run(folder: Path) -> Run:
    """What a run's folder says. Raises SpecError for a damaged config.yaml, UsageError for a damaged metrics.csv, and
    where there is no run."""
    recipe, epochs = read_recipe(folder), read_epochs(folder)
    return Run(str(folder), recipe, epochs, best_epoch(epochs))


def best_epoch(epochs: Iterable[Epoch]) -> Epoch | None:
    """The first of the epochs with the highest accuracy; None of none."""
    return max(epochs, key=lambda epoch: epoch.val_accuracy, default=None)


# --- config.yaml ---


def recipe_text(recipe: Recipe) -> str:
    """The text of config.yaml, which reads back equal: a line for each key, in the order of the fields, none left out.

    Options hold what YAML does: texts, numbers, flags, null, lists and mappings of these; a tuple among them is written
    as a list. Raises UsageError for a value that no file of a run holds: nan, infinities, whole numbers of more than 19
    characters, half characters.
    """
    return "".join(f"{name}: {_flow(getattr(recipe, name), name)}\n" for name in recipe.__struct_fields__)


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run. Raises SpecError (file, line, key) for a mistake in it, UsageError where there is none."""
    path = folder / CONFIG_FILE
    return parse_recipe(_read(path, MAX_BYTES), str(path))


def parse_recipe(text: bytes | str, file: str) -> Recipe:
    """A recipe from the text of its file; `file` is the name errors give it. Raises SpecError."""
    reader = Reader(file)
    what = "a run's config"
    fields = msgspec.structs.fields(Recipe)
    required = [field.name for field in fields if field.required]
    entries = reader.fields(
        read_document(text, file, what), what, required, [field.name for field in fields if not field.required]
    )
    kinds = get_type_hints(Recipe, include_extras=True)
    return Recipe(**{name: _converted(reader, value, kinds[name]) for name, value in entries.items()})


def _converted(reader: Reader, value: Value, kind: Any) -> Any:
    try:
        return msgspec.convert(value.plain(), kind)
    except msgspec.ValidationError:
        quote = kind in (str, str | None) and isinstance(value.data, bool | int | float)
        raise reader.expected(value, _WORDS[kind], "quote it" if quote else "") from None


def _flow(value: object, key: str) -> str:
    """A value on one line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(value, key)
    if isinstance(value, int):
        if len(str(value)) > 19:
            raise UsageError(f"`{key}`: expected a whole number of at most 19 characters, got {value}")
        return str(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise UsageError(f"`{key}`: expected a finite number, got {value!r}")
        # Also of a subclass, which may show itself otherwise.
        return float.__repr__(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(item, key) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name, key)}: {_flow(item, key)}" for name, item in value.items()) + "}"
    raise UsageError(
        f"`{key}`: expected a text, a number, a flag, null or a list of these, got a {type(value).__name__}"
    )


def _key(name: object, key: str) -> str:
    if not isinstance(name, str):
        raise UsageError(f"`{key}`: expected names as keys, got {show(name)}")
    text = _quoted(name, key)
    if len(text) > LONGEST_KEY:
        raise UsageError(f"`{key}`: expected names of at most {LONGEST_KEY:,} characters, got {quoted(name)}")
    return text


def _quoted(text: str, key: str) -> str:
    """A text as YAML 1.1 and 1.2 both read it, on one line."""
    if _PLAIN.match(text) and text.lower() not in _NOT_PLAIN:
        return text
    if re.search("[\ud800-\udfff]", text):
        raise UsageError(f"`{key}`: expected Unicode text, got half a character in {show(text)}")
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


# --- metrics.csv ---


def epochs_text(epochs: Iterable[Epoch]) -> str:
    """The text of metrics.csv: its header, and a line for each epoch."""
    return f"{_HEADER}\n" + "".join(map(epoch_line, epochs))


def epoch_line(epoch: Epoch) -> str:
    """A line of metrics.csv, with its end.

    >>> epoch_line(Epoch(1, 12, 0.1, 2.5, 2.25, 0.125))
    '1,12,0.1,2.5,2.25,0.125\\n'
    """
    numbers = (float.__repr__(float(getattr(epoch, name))) for name in METRICS[2:])
    return ",".join([str(epoch.epoch), str(epoch.step), *numbers]) + "\n"


def read_epochs(folder: Path) -> tuple[Epoch, ...]:
    """The epochs of a run, in their order; none before the first. Raises UsageError (file, line) for damage.

    A last line without its end is no damage: it is being written, or a kill came while it was.
    """
    path = folder / METRICS_FILE
    if not path.exists():
        return ()
    return parse_epochs(_read(path, MAX_METRICS_BYTES), str(path))


def parse_epochs(text: bytes, file: str) -> tuple[Epoch, ...]:
    """The epochs in the text of a metrics.csv; `file` is the name errors give it."""
    # What stands behind the last end of a line is nothing, or not yet a line.
    header, *lines = text.replace(b"\r\n", b"\n").split(b"\n")[:-1] or [b""]
    if header != _HEADER.encode():
        raise UsageError(f"{file}:1: expected the columns {_HEADER}, got {show(_readable(header))}")
    if len(lines) > MAX_EPOCHS:
        raise UsageError(f"{file}: expected at most {MAX_EPOCHS:,} epochs, got {len(lines):,}")
    return tuple(_in_order(map(_readable, lines), file))


def _readable(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _in_order(lines: Iterable[str], file: str) -> Iterator[Epoch]:
    """The epochs of lines, each later than the one before it."""
    before: Epoch | None = None
    for number, line in enumerate(lines, 2):
        epoch = _epoch_of(line, f"{file}:{number}")
        if before is not None and (epoch.epoch <= before.epoch or epoch.step < before.step):
            raise UsageError(
                f"{file}:{number}: expected an epoch after {before.epoch} and a step after {before.step}, "
                f"got epoch {epoch.epoch}, step {epoch.step}"
            )
        yield epoch
        before = epoch


def _epoch_of(line: str, place: str) -> Epoch:
    """A line as an epoch. Losses may be nan or infinite, because training may diverge."""
    cells = line.split(",")
    if len(cells) != len(METRICS):
        raise UsageError(f"{place}: expected {len(METRICS)} values ({_HEADER}), got {show(line)}")
    counts = [_matched(_COUNT, cell, name, "a whole number", place) for cell, name in _named(cells, 0, 2)]
    numbers = [_matched(_NUMBER, cell, name, "a number", place) for cell, name in _named(cells, 2, None)]
    epoch = Epoch(*map(int, counts), *map(float, numbers))
    if not 0 <= epoch.val_accuracy <= 1:
        raise UsageError(f"{place}: `val_accuracy`: expected a number from 0 to 1, got {numbers[-1]}")
    if not isfinite(epoch.lr):
        raise UsageError(f"{place}: `lr`: expected a finite number, got {numbers[0]}")
    return epoch


def _named(cells: Sequence[str], start: int, end: int | None) -> Iterable[tuple[str, str]]:
    return zip(cells[start:end], METRICS[start:end], strict=True)


def _matched(pattern: re.Pattern[str], cell: str, name: str, words: str, place: str) -> str:
    if len(cell) > 40 or not pattern.fullmatch(cell):
        raise UsageError(f"{place}: `{name}`: expected {words}, got {show(cell)}")
    return cell


def _read(path: Path, most: int) -> bytes:
    try:
        return read_bounded(path, most)
    except TooLargeError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}. (is it the folder of a run?)") from None
