"""Which known names a word that is none of them was probably meant to be; and names that nothing has yet.

A name is offered only where the word is a plausible misspelling or a beginning of it. Names that merely look alike
(resnet34 and resnet18, a first and a third branch) mean other things: whoever takes such an advice gets other numbers.
"""

import re
from collections.abc import Container, Iterable

# How many names a sentence offers; how long a name may be, which no spec's is; and how many of those that are about as
# long as the word are compared letter by letter, so that an answer takes a second at most.
OFFERED = 4
_LONGEST = 100
COMPARED = 5_000

_SEPARATORS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d+")


def free_name(name: str, taken: Container[str], between: str = "") -> str:
    """A name that nothing has yet: this one, or with a number behind it.

    >>> free_name("conv", ["relu"]), free_name("conv", ["conv", "conv2"])
    ('conv', 'conv3')
    """
    found, number = name, 2
    while found in taken:
        found, number = f"{name}{between}{number}", number + 1
    return found


def near_names(word: str, names: Iterable[str]) -> list[str]:
    """The names that `word` may have been meant to be: of all that are near enough, those that are nearest.

    >>> near_names("googlnet", ["alexnet", "googlenet"]), near_names("resnet34", ["resnet18", "resnet50"])
    (['googlenet'], [])
    >>> near_names("max_pool2d", ["AvgPool2d", "MaxPool2d"]), near_names("kernel", ["kernel_size", "stride"])
    (['MaxPool2d'], ['kernel_size'])
    """
    costs: dict[str, int] = {}
    if len(word) > _LONGEST or not (plain := plain_name(word)):
        return []
    compared = 0
    for name in sorted({str(name) for name in names}):
        other = plain_name(name) if len(name) <= _LONGEST else ""
        cost = _cost_of_writing(word, plain, name, other)
        if cost is None and compared < COMPARED and _is_comparable(plain, other):
            cost = _cost_of_misspelling(plain, other)
            compared += 1
        if cost is not None:
            costs[name] = cost
    least = min(costs.values(), default=0)
    return [name for name, cost in costs.items() if cost == least][:OFFERED]


def plain_name(name: str) -> str:
    """A name without capitals and separators: `max_pool2d` and `MaxPool2d` are written differently, and meant alike."""
    return _SEPARATORS.sub("", name.lower())


def _cost_of_writing(word: str, plain: str, name: str, other: str) -> int | None:
    """0 of a name that is only written differently, more of one that the word is a beginning of; else None."""
    if plain == other:
        return 0
    more = len(other) - len(plain)
    begins = len(plain) > 2 and other.startswith(plain) and _has_its_digits(plain, other)
    return min(more, 3) if begins and (more <= 3 or name.lower().startswith(f"{word.lower()}_")) else None


def _has_its_digits(plain: str, other: str) -> bool:
    """Another size, another version, another place: none of them is a slip of the finger."""
    digits = _DIGITS.findall(plain)
    return not digits or digits == _DIGITS.findall(other)


def _is_comparable(plain: str, other: str) -> bool:
    return abs(len(plain) - len(other)) <= _allowed(len(plain)) and _has_its_digits(plain, other)


def _cost_of_misspelling(plain: str, other: str) -> int | None:
    # Who misses the first letter misses no second one as well.
    allowed = min(_allowed(len(plain)), 3 if plain[0] == other[:1] else 1)
    found = distance(plain, other, allowed)
    return found if found <= allowed else None


def _allowed(length: int) -> int:
    """How many letters of a word of that length a misspelling may miss."""
    return 0 if length < 3 else 1 if length < 6 else 2 if length < 12 else 3


def distance(one: str, other: str, most: int) -> int:
    """How many letters must be put in, left out, replaced or swapped with the next one to make one word of the other:
    the optimal string alignment distance (a restricted form of Damerau's, CACM 7(3), 1964); `most` + 1 where it is more
    than `most`, which bounds the work to a band around the diagonal.

    >>> distance("widht", "width", 2), distance("chanels", "channels", 2), distance("abc", "xyz", 2)
    (1, 1, 3)
    """
    beyond = most + 1
    if abs(len(one) - len(other)) > most:
        return beyond
    before: list[int] = []
    row = [min(column, beyond) for column in range(len(other) + 1)]
    for line, letter in enumerate(one, 1):
        last, before = before, row
        row = [beyond] * (len(other) + 1)
        row[0] = min(line, beyond)
        for column in range(max(1, line - most), min(len(other), line + most) + 1):
            same = letter == other[column - 1]
            best = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (not same))
            if line > 1 and column > 1 and letter == other[column - 2] and one[line - 2] == other[column - 1]:
                best = min(best, last[column - 2] + 1)
            row[column] = min(best, beyond)
        if min(row) > most:
            return beyond
    return row[-1]
