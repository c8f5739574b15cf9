"""A checkpoint's names -> the module's: what wrappers and a network around the saved one put into them is taken off."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from gnet_inspect.errors import quoted
from gnet_inspect.runtime.checkpoint import WRAPPERS, Checkpoint

# How many parts are taken off a name: nobody nests more, and each costs a pass over all names.
_TAKEN = 8


class Fit(NamedTuple):
    """A way to take parts off a file's names: the names as they become -> as they are, and how many then fit."""

    names: dict[str, str]
    prefix: str
    fitting: int


def fit_names(checkpoint: Checkpoint, own: Collection[str]) -> Checkpoint:
    """A checkpoint with the names of a network whose tensors are called `own`, where taking parts off gives them.

    Wrappers come off wherever all names begin with one that is no layer of the network. Any other prefix, and wrappers
    inside of names (`features.module.0.weight`), come off where more of the names fit then than before, all of them
    begin so or most of the file and of the network is there, and there is one such prefix: of two copies, neither is
    guessed. The notes say what was taken off.
    """
    outer, wrappers = _without_wrappers(checkpoint.tensors, own)
    best = Fit(outer, "", sum(name in own for name in outer))
    for names in (outer, without_inner(outer)):
        found = _best(names, own)
        if found is not None and found.fitting > best.fitting:
            best = found
    if best.names is outer and not wrappers:
        return checkpoint
    tensors = {name: checkpoint.tensors[old] for name, old in best.names.items()}
    notes = _notes(best, wrappers, checkpoint.tensors)
    return checkpoint._replace(tensors=tensors, notes=(*checkpoint.notes, *notes), origins=best.names)


def fitting_prefixes(names: Iterable[str], own: Collection[str]) -> Counter[str]:
    """By each prefix of some names: how many names are in `own` without it. "" is none."""
    votes: Counter[str] = Counter()
    for name in names:
        rest = name
        for _ in range(_TAKEN + 1):
            if rest in own:
                votes[name[: len(name) - len(rest)]] += 1
            _, dot, rest = rest.partition(".")
            if not dot:
                break
    return votes


def _without_wrappers(names: Iterable[str], own: Collection[str]) -> tuple[dict[str, str], str]:
    """Names without the wrappers that all of them begin with, and these. A layer of the network itself is none."""
    found, taken = {name: name for name in names}, ""
    for _ in range(_TAKEN if found else 0):
        for wrapper in WRAPPERS:
            prefix = f"{wrapper}."
            if all(name.startswith(prefix) for name in found) and not any(name.startswith(prefix) for name in own):
                found = {name.removeprefix(prefix): old for name, old in found.items()}
                taken += prefix
                break
    return found, taken


def without_inner(names: dict[str, str]) -> dict[str, str]:
    """Names without the wrappers' parts anywhere in them."""
    found = {}
    for name, old in names.items():
        wrapped = any(f".{wrapper}." in f".{name}" for wrapper in WRAPPERS)
        short = ".".join(part for part in name.split(".") if part not in WRAPPERS) if wrapped else name
        found[short] = old
    # Two tensors under one name would be one too few.
    return found if len(found) == len(names) else names


def _best(names: dict[str, str], own: Collection[str]) -> Fit | None:
    """The names without the prefix under which most of them fit, if that is the meaning of it."""
    votes = fitting_prefixes(names, own)
    if not votes:
        return None
    most = max(votes.values())
    prefixes = [prefix for prefix, number in votes.items() if number == most]
    if "" in prefixes:
        return Fit(names, "", most)
    (prefix, *others) = prefixes
    below = sum(name.startswith(prefix) for name in names)
    # All of the file, or most of it and of the network: a layer of a like name elsewhere is not this network.
    if others or (below < len(names) and not (2 * below > len(names) and 2 * most > len(own))):
        return None
    short = {name.removeprefix(prefix): old for name, old in names.items()}
    return Fit(short, prefix, most) if len(short) == len(names) else None


def _notes(fit: Fit, wrappers: str, saved: Collection[str]) -> list[str]:
    """What was taken off the names, in words."""
    prefix = wrappers + fit.prefix
    inner = [old for name, old in fit.names.items() if old not in (prefix + name, name)]
    notes = []
    if prefix:
        whole = all(old.startswith(prefix) for old in saved) or inner
        those = "the file's names" if whole else "those of the file's names that have it"
        notes.append(f"took the prefix {quoted(prefix)} off {those}")
    if inner:
        short = next(name for name, old in fit.names.items() if old == inner[0])
        example = f"{quoted(inner[0])} is {quoted(short)}"
        notes.append(f"took the wrappers inside of {len(inner)} of the file's names out, as {example}")
    return notes
