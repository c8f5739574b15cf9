"""Remarks as sentences: the facts of `analysis.remarks` in words."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from gnet_inspect.analysis.remarks import (
    ErrorDifference,
    Multiple,
    PeakPlace,
    Remark,
    Share,
    WeightsOverPeak,
)

_WHAT = {"params": "the parameters", "macs": "the work (MACs)", "peak_activation_bytes": "the peak of activations"}
_OF = {"params": "parameters", "macs": "MACs"}


def comparing_sentences(
    multiples: Sequence[Multiple], errors: Sequence[ErrorDifference], names: Mapping[str, str]
) -> list[str]:
    """One sentence or two for each model but the first; `names` are what models are called, by their labels.

    >>> comparing_sentences([Multiple("b", "a", "macs", 9.77, True)], [ErrorDifference("b", "a", "top-5", -1.5, "I")],
    ...                     {"a": "A", "b": "B"})
    ['B has at least 9.8 x the work (MACs) of A. Its published error (top-5) is 1.50 points lower.']
    """
    by_model = {fact.model: fact for fact in errors}
    sentences = []
    for (model, baseline), facts in groupby(multiples, key=lambda fact: (fact.model, fact.baseline)):
        parts = [f"{'at least ' * fact.at_least}{times(fact.ratio)} x {_WHAT[fact.measure]}" for fact in facts]
        said = f"{names[model]} has {_listed(parts)} of {names[baseline]}."
        if model in by_model:
            said += f" {_error(by_model[model])}"
        sentences.append(said)
    return sentences


def sentence(remark: Remark, describe: Callable[[str], str]) -> str:
    """A remark on one model; `describe` says of a layer, by its name, what it is, or gives nothing.

    >>> sentence(Share("params", 0.743, "layer", ("fc1",), 16), lambda name: "Linear 4096")
    '74 % of its parameters are in one layer: fc1 (Linear 4096).'
    >>> sentence(Share("macs", 0.9999, "stage", ("a", "b"), 6), str)
    'More than 99 % of its MACs are in 2 of its 6 stages: a and b.'
    >>> sentence(WeightsOverPeak(0.4), str)
    'Its activations take, at their peak, 2.5 x the memory of its parameters.'
    """
    if isinstance(remark, Share):
        return _share(remark, describe)
    if isinstance(remark, PeakPlace):
        return f"Its memory is fullest at {remark.layer}, layer {remark.place:,} of {remark.among:,}."
    if isinstance(remark, WeightsOverPeak):
        if remark.ratio >= 1:
            return f"Its parameters take {times(remark.ratio)} x the memory of its activations at their peak."
        return f"Its activations take, at their peak, {times(1 / remark.ratio)} x the memory of its parameters."
    return f"A parameter takes part in {times(remark.times)} multiplications per input, on average."


def times(ratio: float) -> str:
    """A ratio as one says it.

    >>> times(19.77), times(226.2), times(0.451), times(0.0004)
    ('19.8', '226', '0.45', '0.0004')
    """
    if ratio >= 100:
        return f"{ratio:,.0f}"
    return f"{ratio:.1f}" if ratio >= 1.95 else f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.1g}"


def _share(remark: Share, describe: Callable[[str], str]) -> str:
    amount = f"{_percent(remark.share)} of its {_OF[remark.measure]}"
    if remark.role == "kind":
        return f"{amount} are in layers of one kind: {remark.parts[0]}."
    if remark.role == "layer":
        what = describe(remark.parts[0])
        return f"{amount} are in one layer: {remark.parts[0]}{f' ({what})' if what else ''}."
    number = len(remark.parts) if len(remark.parts) > 1 else "one"
    return f"{amount} are in {number} of its {remark.among} stages: {_listed(remark.parts)}."


def _percent(share: float) -> str:
    """What is not all does not read as all."""
    return "More than 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def _error(fact: ErrorDifference) -> str:
    how = f"{abs(fact.points):.2f} points {'lower' if fact.points < 0 else 'higher'}"
    return f"Its published error ({fact.which}) is {how if round(fact.points, 2) else 'the same'}."


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
