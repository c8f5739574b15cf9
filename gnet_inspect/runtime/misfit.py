"""Why weights do not fit a module, in one sentence, and what would make them fit."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from torch import Tensor, nn

from gnet_inspect.errors import SHOWN, quoted, some_of
from gnet_inspect.records.weights import LoadedWeights, is_below
from gnet_inspect.runtime.module import Network
from gnet_inspect.runtime.recognition import Likeness, recognise
from gnet_inspect.runtime.renaming import fitting_prefixes

# Names among which a near one is looked for.
SEARCHED = 2_000
# How deep the parts lie that a hint names: a file's names may have any number of dots.
_DEEPEST = 16

Tensors = Mapping[str, Tensor]


def explain_misfit(
    report: LoadedWeights, network: nn.Module, own: Tensors, saved: Tensors, leave: tuple[str, ...]
) -> str:
    """What a strict load met that does not fit, and what helps. `leave` is what the caller left already."""
    hints = _hints(report, network, own, saved, leave)
    hint = f" ({'; '.join(hints)})" if hints else ""
    facts = "; ".join(report.faults())
    return f"{report.path}: expected the names and shapes of the module, got {facts}. Nothing was loaded.{hint}"


def _hints(
    report: LoadedWeights, network: nn.Module, own: Tensors, saved: Tensors, leave: tuple[str, ...]
) -> list[str]:
    near = _near(report)
    theirs = recognise(saved) if saved and own else []
    ours = recognise(own) if theirs else []
    if ours and not {item.model for item in theirs} & {item.model for item in ours}:
        return [_looks_like(theirs)]
    hints = []
    parts = () if near else _parts_to_leave(report, network, own, saved, leave)
    if parts:
        hints.append(_leaving(report, network, parts, leave))
    elif isinstance(network, Network):
        heads = tuple(head for head in ("heads",) if _heads_among(network, (*report.unexpected, *report.missing)))
        hints += [_leaving(report, network, heads, leave)] if heads else []
    if near:
        hints.append(f"near each other: {near}")
    if theirs and not ours:
        hints.append(_looks_like(theirs))
    if own and saved and not own.keys() & saved.keys() and not hints:
        hints.append(_elsewhere(own, saved))
    return hints


def _looks_like(theirs: list[Likeness]) -> str:
    texts = " or ".join(item.describe() for item in theirs[:3])
    classes = theirs[0].classes
    edit = f', overrides={{"classes": {classes}}}' if classes is not None else ""
    return f'this looks like {texts}: build_graph(load_spec("{theirs[0].model}"){edit})'


def _elsewhere(own: Tensors, saved: Tensors) -> str:
    """Where the names of the two meet, if not as they are."""
    inside = fitting_prefixes(saved, own)
    most = max(inside.values(), default=0)
    prefixes = [prefix for prefix, number in inside.items() if number == most]
    if len(prefixes) > 1 and 2 * most > len(own):
        places = " and under ".join(map(quoted, prefixes[:SHOWN]))
        return f"the names fit under {places}: save the tensors of the one that is meant alone, or read them and do so"
    around = fitting_prefixes(own, saved).most_common(1)
    if around and 2 * around[0][1] > len(saved):
        part = around[0][0].removesuffix(".")
        return f'the names fit the module\'s part {quoted(part)}: load_weights(module.get_submodule("{part}"), ...)'
    return "no name is in both: these are weights of another network, or under another library's names"


# --- parts to leave ---


def _parts_to_leave(
    report: LoadedWeights, network: nn.Module, own: Tensors, saved: Tensors, leave: tuple[str, ...]
) -> tuple[str, ...]:
    """Everything that must be left alone for the rest to load, in as few parts as there are; () for no such few."""
    mismatched = [item.name for item in report.mismatched]
    names = {**own, **saved}
    faulty = dict.fromkeys((*mismatched, *report.missing, *report.unexpected))
    if any(name.count(".") >= _DEEPEST for name in faulty):
        return ()
    fine = _ancestors(set(names) - faulty.keys() - set(report.left))
    heads = _word_of_heads(network, names)
    parts: dict[str, None] = {}
    others = 0
    for name in faulty:
        if heads and name not in mismatched and any(is_below(name, head) for head in _heads(network)):
            parts |= dict.fromkeys(heads)
            continue
        others += 1
        parts[_part(name, fine, layer=name in mismatched)] = None
    new = [part for part in parts if not any(is_below(part, other) for other in parts if other != part)]
    if not report.loaded or others > len(report.loaded) or len(new) > SHOWN or any(quoted(p) != f"`{p}`" for p in new):
        return ()
    both = dict.fromkeys([*leave, *new])
    # The word that stands for all heads first.
    return tuple(sorted(both, key=lambda part: part not in heads)) if not leave else tuple(both)


def _heads(network: nn.Module) -> tuple[str, ...]:
    return network._heads if isinstance(network, Network) else ()


def _word_of_heads(network: nn.Module, names: Collection[str]) -> tuple[str, ...]:
    """How `leave` names the heads: by the word, or one by one where the word is a part's own name."""
    heads = _heads(network)
    return heads if any(is_below(name, "heads") for name in names) else ("heads",) * bool(heads)


def _ancestors(names: Collection[str]) -> set[str]:
    """The names and the parts they are below."""
    found: set[str] = set()
    for name in names:
        parts = name.split(".", _DEEPEST)
        found.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return found


def _part(name: str, fine: set[str], layer: bool) -> str:
    """The largest part around a name in which nothing fits, or, of a tensor that differs, at least its layer."""
    pieces = name.split(".")
    deepest = len(pieces) - 1 if layer and len(pieces) > 1 else len(pieces)
    for length in range(1, deepest):
        part = ".".join(pieces[:length])
        if part not in fine:
            return part
    return ".".join(pieces[:deepest])


def _leaving(report: LoadedWeights, network: nn.Module, parts: tuple[str, ...], leave: tuple[str, ...]) -> str:
    """What leaving these parts does."""
    heads_there, heads_lacking = (_heads_among(network, names) for names in (report.unexpected, report.missing))
    kept: list[str] = []
    dropped: list[str] = []
    for part in parts:
        if part in leave or part == "heads" or part in _heads(network):
            continue
        mine = any(is_below(name, part) for name in (*report.missing, *(item.name for item in report.mismatched)))
        (kept if mine else dropped).append(quoted(part))
    does = [f"leaves out what the file has of the auxiliary heads {heads_there}"] if heads_there else []
    does += ["keeps theirs as initialised"] if heads_lacking else []
    does += [f"keeps the module's own weights of {some_of(kept)}"] if kept else []
    if dropped:
        does.append(f"leaves out the file's {some_of(dropped)}" if does else "leaves these parts out")
    text = f"leave={_written(parts)} {' and '.join(does)}"
    if heads_lacking:
        text = f'the file lacks the auxiliary heads {heads_lacking}: build_graph(spec, mode="eval") has none, or {text}'
    return text


def _written(parts: tuple[str, ...]) -> str:
    return '"heads"' if parts == ("heads",) else repr(parts)


def _heads_among(network: nn.Module, names: tuple[str, ...]) -> str:
    return some_of(quoted(head) for head in _heads(network) if any(is_below(name, head) for name in names))


def _near(report: LoadedWeights) -> str:
    """Missing names with the nearest of the unexpected ones, where they are few: more is another network."""
    candidates = report.unexpected[:SEARCHED]
    few = report.missing if len(report.missing) <= SHOWN else ()
    near = [(name, get_close_matches(name, candidates, n=1, cutoff=0.8)) for name in few]
    return ", ".join(f"{quoted(name)} and the file's {quoted(found[0])}" for name, found in near if found)
