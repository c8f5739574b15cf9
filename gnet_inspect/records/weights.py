"""What loading a checkpoint did. The fields are the contract."""

from msgspec import Struct

from gnet_inspect.display import Shown
from gnet_inspect.errors import printable, quoted, some_of


class Mismatch(Struct, frozen=True):
    """A tensor that both have and that cannot be copied: what the module's is, and what the file's."""

    name: str
    expected: str
    got: str


class LoadedWeights(Shown, Struct, frozen=True):
    """What came of each name of a checkpoint and of a module.

    Names are the network's own, without the prefixes that torch.compile and DataParallel add. `loaded` were copied;
    `left` are those of the file or the module left alone on purpose, and `parts` what was named for that, of which some
    may have no tensors; `untracked` are BatchNorm's counters that the file lacks because it was written before there
    were any. The other three are empty after a strict load: `missing` are in the module only, `unexpected` in the file
    only, `mismatched` in both and different. `notes` say what else was done.
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
    parts: tuple[str, ...] = ()

    def _brief(self) -> str:
        others = {"missing": self.missing, "unexpected": self.unexpected, "mismatched": self.mismatched}
        counts = [f"{len(self.loaded)} loaded", *(f"{len(names)} {what}" for what, names in others.items() if names)]
        return f"{self.path}: {', '.join(counts)}"

    @property
    def complete(self) -> bool:
        """Whether nothing was missing, unexpected or mismatched."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """One line for each thing there is to say; long lists are cut."""
        lines = [f"{printable(self.path)} ({self.format}): {_tensors(len(self.loaded))} loaded"]
        if self.left:
            lines.append(f"left alone on purpose: {some_of(self._left())}")
        if self.untracked:
            lines.append(f"BatchNorm counters the file lacks, kept: {_tensors(len(self.untracked))}")
        return "\n  ".join([*lines, *self.faults(), *map(printable, self.notes)])

    def _left(self) -> list[str]:
        """Each part left alone that has tensors, and how many."""
        numbers = [(part, sum(is_below(name, part) for name in self.left)) for part in self.parts]
        return [f"{quoted(part)} ({_tensors(number)})" for part, number in numbers if number]

    def faults(self) -> list[str]:
        """What did not fit, a sentence for each kind."""
        texts = []
        if self.missing:
            texts.append(f"{len(self.missing)} missing in the file: {some_of(map(quoted, self.missing))}")
        if self.unexpected:
            texts.append(
                f"{len(self.unexpected)} that the module does not have: {some_of(map(quoted, self.unexpected))}"
            )
        if self.mismatched:
            pairs = [f"{quoted(item.name)} ({item.expected}, in the file {item.got})" for item in self.mismatched]
            texts.append(f"{len(pairs)} that differ: {some_of(pairs)}")
        return texts


def is_below(name: str, part: str) -> bool:
    """Whether a tensor belongs to a part: a layer, a block, a head or itself.

    >>> is_below("fc.weight", "fc"), is_below("fc2.weight", "fc")
    (True, False)
    """
    return name == part or name.startswith(f"{part}.")


def _tensors(number: int) -> str:
    return "1 tensor" if number == 1 else f"{number} tensors"
