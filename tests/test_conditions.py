"""Conditions of --where: read as they are meant, evaluated as arithmetic and Kleene's logic say, or refused."""

import math
import operator
import warnings
from collections.abc import Callable, Mapping

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnet_inspect.budgets.conditions import MAX_DEPTH, MAX_LENGTH, Condition, parse_condition
from gnet_inspect.budgets.limits import Limit
from gnet_inspect.errors import UsageError

NAMES = ("macs", "params", "peak_activation_bytes", "receptive_field", "top1_error", "family", "year")
GOOGLENET: Mapping[str, float | str | None] = {
    "macs": 1_582_671_872,
    "params": 6_998_552,
    "peak_activation_bytes": 9_633_792,
    "receptive_field": 907,
    "top1_error": None,
    "family": "inception",
    "year": 2014,
}


def parsed(text: str) -> Condition:
    return parse_condition(text, NAMES)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("macs < 1G and params < 5M", False),
        ("macs < 2G and params < 7M", True),
        ("receptive_field >= 224", True),
        ("field >= 908", False),
        ("macs/params < 300 or not (peak > 4 MB)", True),
        ("macs / params < 226.1 or not (peak > 4 MB)", False),
        ("family == 'inception' and year >= 2015", False),
        ('family != "vgg" AND NOT year >= 2015', True),
        ("1.5g < macs <= 1_582_671_872", True),
        ("1.5G < macs < 1,582,671,872", False),
        ("2014 == year == 2014 != params", True),
        ("peak <= 9.633792MB and peak_activation_bytes >= 9633.792 kb", True),
        ("peak <= 9.633792 M", True),
        ("1 + 2 * 3 - 4 / 8 == 6.5", True),
        ("2 - 3 - 4 == -5 and 16 / 4 / 2 == 2", True),
        ("-(2 + 3) * -2 == 10 and --2 == 2", True),
        ("year < 1 or year > 2 and year > 3", True),
        ("(year < 1 or year > 2) and year < 3", False),
        ("not year < 1 and not not year > 1", True),
        ("macs < 1e9 or params > .5e7 and 3. < 4", True),
        ("top1_error < 25", None),
        ("not top1_error < 25", None),
        ("top1_error < 25 or year == 2014", True),
        ("top1_error < 25 and year == 2013", False),
        ("top1_error * 0 == 0 and year == 2014", None),
        ("year / 0 > 3", None),
        ("not year / (year - 2014) > 3", None),
        ("year / 0 != year", None),
    ],
)
def test_conditions_as_they_are_written(text: str, holds: bool | None) -> None:
    """On GoogLeNet, whose error nobody published on one crop."""
    assert parsed(text).holds(GOOGLENET) is holds
    # What is true is so however often it is written down anew.
    again = parsed(str(parsed(text)))
    assert again.root == parsed(text).root
    assert again.holds(GOOGLENET) is holds


def test_a_condition_tells_what_it_reads() -> None:
    """Names, parts and limits, for whoever can do better with these than with its truth."""
    condition = parsed("1M < params <= 5M and (2 * 500M >= macs) and (peak < 4 MB or year > 2000) and not field < 5")
    assert condition.names == {"params", "macs", "peak_activation_bytes", "year", "receptive_field"}
    assert [str(part) for part in condition.parts] == [
        "1M < params",
        "params <= 5M",
        "2 * 500M >= macs",
        "peak_activation_bytes < 4 MB or year > 2000",
        "not receptive_field < 5",
    ]
    limits = [part.limit for part in condition.parts]
    assert limits == [Limit("params", ">", 1e6), Limit("params", "<=", 5e6), Limit("macs", "<=", 1e9), None, None]
    assert parsed("macs < 3").parts == (parsed("macs < 3"),)
    for text in ("macs < params", "macs != 3", "family == 'vgg'", "macs + 1 < 3", "macs < 1 / 0", "macs < macs"):
        assert parsed(text).limit is None, text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a condition, got nothing"),
        (" \n", "expected a condition, got nothing"),
        ("mac < 1", "expected a name, got `mac` at character 1. (did you mean `macs`?; text stands in quotes)"),
        ("macs < parms", "got `parms` at character 8. (did you mean `params`?"),
        ("3 < peek", "(did you mean `peak`?"),
        ("macs", "expected a comparison (< <= > >= == !=) behind `macs`, got the end at character 5"),
        ("macs and params < 3", "behind `macs`, got `and` at character 6"),
        ("macs < 3 or params", "behind `params`, got the end"),
        ("not macs", "behind `macs`, got the end"),
        ("macs <", "expected a name, a number or quoted text, got the end at character 7"),
        ("macs < 1Gx", "expected a unit (K, M, G, T, P, or with a B of bytes) behind 1, got `Gx` at character 9"),
        ("macs < 4 MiB", "expected a unit, an operator, `and`, `or` or the end, got `MiB` at character 10"),
        ("macs < 3 macs < 4", "got `macs` at character 10"),
        ("macs < params params", "expected an operator, `and`, `or` or the end, got `params` at character 15"),
        ("(macs < 1) < 2", "expected `and`, `or` or the end behind a comparison, got `<` at character 12"),
        ("2 < (macs < 1)", "expected a number or text, got `macs < 1` at character 5. (`and` and `or` join"),
        ("(macs < 1) + 3 < 2", "expected a number, got `macs < 1` at character 1. (`and` and `or` join"),
        ("3 * (macs < 1) < 2", "expected a number, got `macs < 1` at character 5"),
        ("-(macs < 1) < 2", "expected a number, got `macs < 1` at character 2"),
        ("3 + 'a' < 1", "expected a number, got `'a'` at character 5. (text is compared by == and !=)"),
        ("macs < 'a'", "expected == or != between text, got `<` at character 6"),
        ("'a' == 3 * macs", "expected text on both sides of ==, got `3 * macs` at character 8"),
        ("params < 7B", "expected a number without bytes for `params`, got `7B` at character 10. (a count has"),
        ("7 mb > params", "expected a number without bytes for `params`, got `7 mb` at character 1"),
        ("(macs < 1", "expected a closing ), got the end at character 10"),
        ("macs < 1)", "expected an opening ( before it, got `)` at character 9"),
        ("macs = 3", "got `=` at character 6. (write ==)"),
        ("macs < 3 && year > 2", "got `&&` at character 10. (write and)"),
        ("macs ≤ 3", "(write <=)"),
        ("macs ** 2 < 3", "expected a name, a number or quoted text, got `*` at character 7"),
        ("family == 'vgg", "got `'` at character 11. (its closing quote is missing)"),
        ("macs < 1,00", "got `,` at character 9"),
        ("macs < 1.2.3", "or the end, got `.3` at character 11"),
        ("macs < ٣", "got `٣` at character 8"),
        ("macs < 1e309", "expected a number below 1e308, got `1e309`"),
        ("__import__('os') < 3", "expected a name, got `__import__`"),
        ("macs.real < 3", "expected a name, got `macs.real`"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, said: str) -> None:
    """On one line: the flag, what was expected, what stands there, and where."""
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith("--where: expected")
    assert "\n" not in str(caught.value)


def test_bounds_of_length_and_depth() -> None:
    """What fits is read, and one more is not."""
    at_most = "(" * MAX_DEPTH + "macs < 1" + ")" * MAX_DEPTH
    assert parsed(at_most).holds(GOOGLENET) is False
    for text in (
        f"({at_most})",
        f"not {at_most}",
        "not " * (MAX_DEPTH + 1) + "macs < 1",
        "-" * (MAX_DEPTH + 1) + "1 < 2",
    ):
        with pytest.raises(UsageError, match=f"nested at most {MAX_DEPTH} deep"):
            parsed(text)
    # Long is not deep.
    wide = "macs" + "+1" * ((MAX_LENGTH - 6) // 2) + "<2"
    assert len(wide) == MAX_LENGTH
    assert parsed(wide).holds(GOOGLENET) is False
    with pytest.raises(UsageError, match=r"at most 1,000 characters, got 1,001"):
        parsed(wide + " ")


@pytest.mark.parametrize("text", ["family < 3", "family * 2 == 3", "-family < 3", "macs == family", "title < title"])
def test_numbers_and_text_do_not_mix(text: str) -> None:
    """Of names this shows only with their values."""
    condition = parse_condition(text, (*NAMES, "title"))
    for values in (
        {**GOOGLENET, "title": "a"},
        {"macs": numpy.ones(2), "family": numpy.array(["a", "b"]), "title": "a"},
    ):
        with pytest.raises(UsageError, match="expected"):
            condition.mask(values)


def test_names_may_have_points_and_be_called_as_a_short_one_is() -> None:
    """Choices of a search are called as they like."""
    condition = parse_condition("block.1.width > 3 and peak < 3", ("block.1.width", "peak"))
    assert condition.names == {"block.1.width", "peak"}


# What is drawn: a text in one of many ways of writing, with what it must give of values by name.
Values = Mapping[str, float | None]
Meaning = Callable[[Values], float | bool | None]
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else math.nan,
}
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
NUMBERS = {"0": 0.0, "1": 1.0, "2.5": 2.5, "3K": 3e3, "1 M": 1e6, "1_000": 1e3, "2,000.5": 2000.5, "1e-3": 1e-3}
COLUMNS = ("macs", "params", "year")
spaces = st.sampled_from(["", " ", "  "])


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _calculate(sign: str, left: Meaning, right: Meaning) -> Meaning:
    def of(values: Values) -> float | None:
        one, other = left(values), right(values)
        return None if one is None or other is None else _known(ARITHMETIC[sign](one, other))

    return of


def _compare(sign: str, left: Meaning, right: Meaning) -> Meaning:
    def of(values: Values) -> bool | None:
        one, other = left(values), right(values)
        return None if one is None or other is None else COMPARISONS[sign](one, other)

    return of


def _join(word: str, left: Meaning, right: Meaning) -> Meaning:
    def of(values: Values) -> bool | None:
        both = (left(values), right(values))
        decides = word == "or"
        if decides in both:
            return decides
        return None if None in both else not decides

    return of


def _negate(part: Meaning) -> Meaning:
    def of(values: Values) -> bool | None:
        found = part(values)
        return None if found is None else not found

    return of


@st.composite
def operands(draw: st.DrawFn, depth: int) -> tuple[str, Meaning]:
    kind = draw(st.sampled_from(["number", "name", "sum", "product", "minus"] if depth else ["number", "name"]))
    if kind == "number":
        text = draw(st.sampled_from(sorted(NUMBERS)))
        return text, lambda values: NUMBERS[text]
    if kind == "name":
        name = draw(st.sampled_from(COLUMNS))
        return name, lambda values: _known(values[name])
    if kind == "minus":
        text, meaning = draw(operands(depth - 1))
        return f"-{draw(spaces)}({text})", _calculate("-", lambda values: 0.0, meaning)
    (left, one), (right, other) = draw(operands(depth - 1)), draw(operands(depth - 1))
    sign = draw(st.sampled_from("+-" if kind == "sum" else "*/"))
    between = draw(spaces)
    # Only the parentheses that the priorities ask for, or all of them.
    if kind == "product" or draw(st.booleans()):
        left, right = f"({left})", f"({right})"
    elif sign == "-":
        right = f"({right})"
    return f"{left}{between}{sign}{draw(spaces)}{right}", _calculate(sign, one, other)


@st.composite
def truths(draw: st.DrawFn, depth: int = 3) -> tuple[str, Meaning]:
    kind = draw(st.sampled_from(["comparison", "chain", "and", "or", "not"] if depth else ["comparison"]))
    if kind in ("comparison", "chain"):
        (first, one), (second, other) = draw(operands(2)), draw(operands(2))
        sign = draw(st.sampled_from(sorted(COMPARISONS)))
        text, meaning = f"{first}{draw(spaces)}{sign}{draw(spaces)}{second}", _compare(sign, one, other)
        if kind == "chain":
            third, last = draw(operands(1))
            sign = draw(st.sampled_from(sorted(COMPARISONS)))
            text, meaning = f"{text} {sign} {third}", _join("and", meaning, _compare(sign, other, last))
        return text, meaning
    if kind == "not":
        text, meaning = draw(truths(depth - 1))
        return f"not({text})", _negate(meaning)
    (left, one), (right, other) = draw(truths(depth - 1)), draw(truths(depth - 1))
    # `or` of what `and` joined needs no parentheses, the other way round it does.
    if kind == "and":
        left, right = f"({left})", f"({right})"
    return f"{left} {kind} {right}", _join(kind, one, other)


values_of = st.sampled_from([0.0, 1.0, -2.0, 3.0, 1e3, 1e6, 2.5, None, math.nan])
VALUES = st.fixed_dictionaries(dict.fromkeys(COLUMNS, values_of))


@given(truths(), st.lists(VALUES, min_size=1, max_size=6))
def test_any_condition_means_what_arithmetic_says(
    drawn: tuple[str, Meaning], rows: list[dict[str, float | None]]
) -> None:
    """Against an evaluation of its own: by values, over arrays, printed and read again, and part by part."""
    text, meaning = drawn
    if len(text) > MAX_LENGTH:
        return
    condition = parsed(text)
    expected = [meaning(row) for row in rows]
    assert [condition.holds(row) for row in rows] == expected
    again = parsed(str(condition))
    assert (again.root, str(again)) == (condition.root, str(condition))
    columns = {name: numpy.array([math.nan if row[name] is None else row[name] for row in rows]) for name in COLUMNS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask = condition.mask(columns)
    assert numpy.broadcast_to(mask, len(rows)).tolist() == [found is True for found in expected]
    for row, whole in zip(rows, expected, strict=True):
        parts = [part.holds(row) for part in condition.parts]
        assert (False if False in parts else None if None in parts else True) is whole


def test_masks_of_integers_do_not_overflow() -> None:
    """Products of totals leave int64; the totals themselves are exact in a double."""
    macs = numpy.array([2**52, 3])
    assert parsed("macs * macs * macs > 0").mask({"macs": macs}).tolist() == [True, True]
    assert parsed("macs / (macs - 3) > 0").mask({"macs": macs}).tolist() == [True, False]
    assert parsed("macs == 4503599627370496").mask({"macs": macs}).tolist() == [True, False]
    families = numpy.array(["vgg", "inception"])
    assert parsed("family == 'vgg'").mask({"family": families}).tolist() == [True, False]
    assert parsed("not family != 'vgg' or macs < 4").mask({"family": families, "macs": macs}).tolist() == [True, True]
    assert parsed("macs < 4").mask({"macs": 3}) is True


WORDS = ["macs", "params", "peak", "and", "or", "not", "(", ")", "<", "<=", "==", "!=", "+", "-", "*", "/", "1", "4 MB"]
WORDS += ["2G", "'vgg'", "family", ",", "=", "&&", "x", ".", "1e9", "é", "\n", "\x1b", '"']


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=60))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    """Whatever it is."""
    try:
        condition = parsed(text)
    except UsageError as error:
        refused = str(error)
    else:
        assert parsed(str(condition)).root == condition.root
        return
    assert refused.isprintable()


@pytest.mark.parametrize(
    "piece", ["(", "not ", "-", "1,000", "a", "'", "1_", "macs<", "1+", ".", "1e", " ", "and ", "'a'"]
)
def test_long_texts_are_answered_at_once(piece: str) -> None:
    """No way of repeating a piece makes more work than reading it."""
    text = (piece * MAX_LENGTH)[:MAX_LENGTH]
    with pytest.raises(UsageError):
        parsed(text)
