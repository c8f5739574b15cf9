"""What loading a checkpoint did. The fields are the contract."""

from collections.abc import Iterable

from msgspec import Struct

# How many names a sentence lists; the record has them all.
SHOWN = 6
_LONGEST = 100


class Mismatch(Struct, frozen=True):
    """A tensor that both have and that cannot be copied: what the module's is, and what the file's."""

    name: str
    expected: str
    got: str


class LoadedWeights(Struct, frozen=True):
    """What came of each name of a checkpoint and of a module.

    Names are the network's own, without the prefixes that torch.compile and DataParallel add. `loaded` were copied;
    `left` are those of the file or the module left alone on purpose; `untracked` are BatchNorm's counters that the file
    lacks because it was written before there were any. The other three are empty after a strict load: `missing` are in
    the module only, `unexpected` in the file only, `mismatched` in both and different. `notes` say what else was done.
    """

    path: str
    format: str
    loaded: tuple[str, ...]
    left: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was missing, unexpected or mismatched."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """One line for each thing there is to say; long lists are cut."""
        lines = [f"{self.path} ({self.format}): {count_of(self.loaded, 'tensor')} loaded"]
        if self.left:
            lines.append(f"left alone on purpose: {listed(self.left)}")
        if self.untracked:
            lines.append(f"BatchNorm counters the file lacks, kept: {count_of(self.untracked, 'tensor')}")
        return "\n  ".join([*lines, *self.faults(), *self.notes])

    def faults(self) -> list[str]:
        """What did not fit, a sentence for each kind."""
        texts = []
        if self.missing:
            texts.append(f"{len(self.missing)} missing in the file: {listed(self.missing)}")
        if self.unexpected:
            texts.append(f"{len(self.unexpected)} that the module does not have: {listed(self.unexpected)}")
        if self.mismatched:
            pairs = [
                f"{quoted(item.name)} ({item.expected}, in the file {item.got})" for item in self.mismatched[:SHOWN]
            ]
            more = [f"and {len(self.mismatched) - SHOWN} more"] * (len(self.mismatched) > SHOWN)
            texts.append(f"{len(self.mismatched)} that differ: {', '.join([*pairs, *more])}")
        return texts


def quoted(name: str) -> str:
    """A name from a stranger's file, in backticks: short and printable."""
    return f"`{_short(name, _LONGEST)}`"


def on_one_line(text: str, limit: int = _LONGEST) -> str:
    """What another library says, short and printable.

    >>> on_one_line("a  b"), on_one_line("abcd", 3)
    ('a b', 'abc...')
    """
    return _short(" ".join(text.split()), limit)


def _short(text: str, limit: int) -> str:
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."


def listed(names: Iterable[str], shown: int = SHOWN) -> str:
    """The first of the names, and how many more there are.

    >>> listed(["a", "b", "c"], shown=2)
    '`a`, `b` and 1 more'
    """
    names = list(names)
    text = ", ".join(map(quoted, names[:shown]))
    return f"{text} and {len(names) - shown} more" if len(names) > shown else text


def count_of(names: Iterable[object], what: str) -> str:
    """So many of a thing.

    >>> count_of(["a"], "tensor"), count_of([], "tensor")
    ('1 tensor', '0 tensors')
    """
    number = len(list(names))
    return f"{number} {what}" + ("" if number == 1 else "s")
