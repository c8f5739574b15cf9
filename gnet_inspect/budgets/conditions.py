"""Conditions on totals, as `--where` takes them: "macs < 1G and params < 5M", "macs/params < 300 or not peak > 4 MB".

A small language of its own: names, numbers with units, quoted text, arithmetic, comparisons, `and`, `or` and `not`.
What is unknown (an error that nobody published, a number divided by zero) is None or NaN, and makes a comparison
neither hold nor fail; what joins comparisons then does as Kleene's three-valued logic says.
"""

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any, ClassVar, NamedTuple, NoReturn

from msgspec import Struct

from gnet_inspect.budgets.limits import SHORT, Limit
from gnet_inspect.errors import UsageError, nearest, quoted
from gnet_inspect.units import BYTE_UNITS, COUNT_UNITS

# Far more than anybody types, and little to read; twelve calls a level stay far from Python's own bound.
MAX_LENGTH = 1_000
MAX_DEPTH = 24


class _Sign(NamedTuple):
    """A comparison: what its sign says, the sign of the opposite, and the sign once the sides are exchanged."""

    holds: Callable[[Any, Any], Any]
    opposite: str
    exchanged: str


_COMPARISONS: Mapping[str, _Sign] = {
    "<": _Sign(operator.lt, ">=", ">"),
    "<=": _Sign(operator.le, ">", ">="),
    ">": _Sign(operator.gt, "<=", "<"),
    ">=": _Sign(operator.ge, "<", "<="),
    "==": _Sign(operator.eq, "!=", "=="),
    # Of numbers, so that it is false of NaN as the others are.
    "!=": _Sign(lambda left, right: (left < right) | (left > right), "==", "!="),
}
_UNITS = {name.lower(): size for name, size in (*COUNT_UNITS, *BYTE_UNITS) if name}
_WORDS = ("and", "or", "not")
# What other languages write, and what is written here.
_INSTEAD = {"&&": "and", "&": "and", "||": "or", "|": "or", "!": "not", "=": "==", "=<": "<=", "=>": ">=", "<>": "!="}
_INSTEAD |= {"≤": "<=", "≥": ">=", "≠": "!=", "×": "*"}
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])|[0-9][0-9_]*)(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?"
    r"|\.[0-9]+(?:e[+-]?[0-9]+)?)"
    r"|(?P<word>[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<other>&&|\|\||<>|=<|=>)"
    r"|(?P<sign><=|>=|==|!=|[<>()+*/-])",
    re.ASCII | re.IGNORECASE,
)
_UNIT = re.compile(r"(\s*)([a-z_][a-z0-9_]*)", re.ASCII | re.IGNORECASE)

Values = Mapping[str, Any]


class _Part(Struct, frozen=True):
    """A part of a condition; what binds less than its neighbour is printed in parentheses."""

    priority: ClassVar[int] = 9

    def _within(self, priority: int) -> str:
        return f"({self})" if self.priority <= priority else str(self)

    def parts(self) -> "Iterator[_Part]":
        """Those directly below."""
        return iter(())


class _Operand(_Part, frozen=True):
    def value(self, values: Values) -> Any:
        """A number or a text, or an array of them; None or NaN where it is unknown."""
        raise NotImplementedError

    def number(self, values: Values) -> Any:
        """The value, which must be a number: NaN where it is unknown."""
        found = self.value(values)
        if _is_text(found):
            raise UsageError(f"expected a number for {quoted(str(self))}, which is text. (== and != compare text)")
        return math.nan if found is None else found


class _Number(_Operand, frozen=True):
    amount: float
    written: str

    def __str__(self) -> str:
        return self.written

    def value(self, _: Values) -> float:
        return self.amount


class _Text(_Operand, frozen=True):
    text: str

    def __str__(self) -> str:
        return f'"{self.text}"' if "'" in self.text else f"'{self.text}'"

    def value(self, _: Values) -> str:
        return self.text


class _Name(_Operand, frozen=True):
    name: str

    def __str__(self) -> str:
        return self.name

    def value(self, values: Values) -> Any:
        return values[self.name]


class _Negative(_Operand, frozen=True):
    operand: _Operand

    priority: ClassVar[int] = 7

    def __str__(self) -> str:
        return f"-{self.operand._within(self.priority)}"

    def value(self, values: Values) -> Any:
        return -self.operand.number(values)

    def parts(self) -> Iterator[_Part]:
        yield self.operand


class _Arithmetic(_Operand, frozen=True):
    """Operands of one priority, from left to right: as long as it may be, it is no deeper than its parts."""

    first: _Operand
    rest: tuple[tuple[str, _Operand], ...]

    def __str__(self) -> str:
        more = (f" {sign} {operand._within(self.priority)}" for sign, operand in self.rest)
        return self.first._within(self.priority) + "".join(more)

    def value(self, values: Values) -> Any:
        # Floats from the start: totals are exact in them (2^53), and products of integers in arrays would overflow.
        found = 1.0 * self.first.number(values)
        for sign, operand in self.rest:
            found = _calculated(sign, found, operand.number(values))
        return found

    def parts(self) -> Iterator[_Part]:
        yield self.first
        yield from (operand for _, operand in self.rest)


class _Sum(_Arithmetic, frozen=True):
    priority: ClassVar[int] = 5


class _Product(_Arithmetic, frozen=True):
    priority: ClassVar[int] = 6


class _Truth(_Part, frozen=True):
    def true(self, values: Values, opposite: bool) -> Any:
        """Whether it holds, or with `opposite` whether it fails; neither where an unknown decides."""
        raise NotImplementedError


class _Comparison(_Truth, frozen=True):
    left: _Operand
    sign: str
    right: _Operand

    priority: ClassVar[int] = 4

    def __str__(self) -> str:
        return f"{self.left._within(self.priority)} {self.sign} {self.right._within(self.priority)}"

    def true(self, values: Values, opposite: bool) -> Any:
        left, right = self.left.value(values), self.right.value(values)
        if left is None or right is None:
            return False
        sign = _COMPARISONS[self.sign].opposite if opposite else self.sign
        if _is_text(left) or _is_text(right):
            if not (_is_text(left) and _is_text(right)):
                raise UsageError(f"expected numbers or text on both sides of {quoted(str(self))}, got one of each")
            if sign not in ("==", "!="):
                raise UsageError(f"{quoted(str(self))}: expected == or != between text, got {self.sign}")
            return left == right if sign == "==" else left != right
        return _COMPARISONS[sign].holds(left, right)

    def parts(self) -> Iterator[_Part]:
        yield from (self.left, self.right)


class _Not(_Truth, frozen=True):
    part: _Truth

    priority: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"not {self.part._within(self.priority - 1)}"

    def true(self, values: Values, opposite: bool) -> Any:
        return self.part.true(values, not opposite)

    def parts(self) -> Iterator[_Part]:
        yield self.part


class _Joined(_Truth, frozen=True):
    """Parts joined by one word. All of them hold where none fails, and none holds where all fail (De Morgan)."""

    joined: tuple[_Truth, ...]

    word: ClassVar[str]

    def __str__(self) -> str:
        return f" {self.word} ".join(part._within(self.priority) for part in self.joined)

    def true(self, values: Values, opposite: bool) -> Any:
        join = operator.and_ if (self.word == "and") != opposite else operator.or_
        return reduce(join, (part.true(values, opposite) for part in self.joined))

    def parts(self) -> Iterator[_Part]:
        return iter(self.joined)


class _Any(_Joined, frozen=True):
    word: ClassVar[str] = "or"
    priority: ClassVar[int] = 1


class _All(_Joined, frozen=True):
    word: ClassVar[str] = "and"
    priority: ClassVar[int] = 2


class Condition(Struct, frozen=True):
    """A condition as it was typed, and what it says. `str` of it is the same in one way of writing, with JSON names."""

    text: str
    root: _Truth

    def __str__(self) -> str:
        return str(self.root)

    @property
    def names(self) -> frozenset[str]:
        """The JSON names that it reads."""
        return frozenset(part.name for part in _all_parts(self.root) if isinstance(part, _Name))

    def holds(self, values: Mapping[str, float | str | None]) -> bool | None:
        """Whether it holds of values by JSON name; None where one that is None or NaN, or a division by zero, decides.

        Raises UsageError where numbers meet text.

        >>> condition = parse_condition("macs < 1G and top1_error < 25", ("macs", "top1_error"))
        >>> [condition.holds({"macs": macs, "top1_error": error}) for macs, error in ((1, 20), (1, None), (2e9, None))]
        [True, None, False]
        """
        if self.root.true(values, opposite=False):
            return True
        return False if self.root.true(values, opposite=True) else None

    def mask(self, columns: Mapping[str, Any]) -> Any:
        """Where it holds, element by element of numpy arrays (or numbers) by JSON name, which are of one shape or
        broadcast to one; false where a NaN or a division by zero decides. A plain bool where it reads no array."""
        if not any(hasattr(columns[name], "dtype") for name in self.names):
            return self.root.true(columns, opposite=False)
        # Who has arrays has numpy; nobody else waits for it.
        from numpy import errstate

        with errstate(all="ignore"):
            return self.root.true(columns, opposite=False)

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """What its outermost `and` joins, and each comparison of a chain; itself alone where it joins nothing.

        >>> [str(part) for part in parse_condition("1M < params <= 2M and not depth > 3", ("params", "depth")).parts]
        ['1M < params', 'params <= 2M', 'not depth > 3']
        """
        found = tuple(Condition(str(part), part) for part in _conjuncts(self.root))
        return found if len(found) > 1 else (self,)

    @property
    def limit(self) -> Limit | None:
        """The limit that it is, where it compares a name with a constant number; None where it is anything else.

        >>> str(parse_condition("2 * 500M >= macs", ("macs",)).limit)
        '<= 1.00 G'
        """
        if not isinstance(self.root, _Comparison) or self.root.sign == "!=":
            return None
        name, sign, bound = self.root.left, self.root.sign, self.root.right
        if isinstance(bound, _Name):
            name, sign, bound = bound, _COMPARISONS[sign].exchanged, name
        if not isinstance(name, _Name) or any(isinstance(part, _Name | _Text) for part in _all_parts(bound)):
            return None
        amount = bound.number({})
        return None if math.isnan(amount) else Limit(name.name, sign, amount)


def parse_condition(text: str, names: Collection[str], *, flag: str = "--where") -> Condition:
    """The condition that a text says about values of these JSON names (and the short names of limits for them).

    Raises UsageError, which names the flag, the place, what was expected and what stands there.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"{flag}: expected a condition of at most {MAX_LENGTH:,} characters, got {len(text):,}")
    if not text.strip():
        raise UsageError(f"{flag}: expected a condition, got nothing. (for example {flag} 'macs < 1G and params < 5M')")
    try:
        return Condition(text.strip(), _Parser(list(_tokens(text)), names).condition())
    except UsageError as error:
        error.say_of(flag)
        raise


def _is_text(value: Any) -> bool:
    # Of an array by the kind of its elements: bytes, objects, text.
    return isinstance(value, str) or getattr(getattr(value, "dtype", None), "kind", "") in ("S", "O", "U", "T")


def _calculated(sign: str, left: Any, right: Any) -> Any:
    """What a sign makes of two numbers; NaN where that is no number."""
    match sign:
        case "+":
            found = left + right
        case "-":
            found = left - right
        case "*":
            found = left * right
        case _:
            # Python refuses what numpy makes an infinity of.
            found = left * math.nan if isinstance(right, int | float) and right == 0 else left / right
    # An infinity less itself is NaN, and every other number's is 0.
    return found + (found - found)


def _all_parts(part: _Part) -> Iterator[_Part]:
    yield part
    for below in part.parts():
        yield from _all_parts(below)


def _conjuncts(part: _Truth) -> Iterator[_Truth]:
    if isinstance(part, _All):
        for below in part.joined:
            yield from _conjuncts(below)
    else:
        yield part


class _Token(NamedTuple):
    kind: str  # number, word, text, sign, end
    text: str
    place: int  # from 1
    amount: float = 0.0


def _refuse(expected: str, token: _Token, hint: str = "") -> NoReturn:
    met = "the end" if token.kind == "end" else quoted(token.text)
    raise UsageError(f"expected {expected}, got {met} at character {token.place}." + (f" ({hint})" if hint else ""))


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup == "other":
            met = match[0] if match else text[place]
            hint = (
                f"write {_INSTEAD[met]}" if met in _INSTEAD else "its closing quote is missing" if met in "'\"" else ""
            )
            expected = "a name, a number, quoted text or one of < <= > >= == != + - * / ( )"
            _refuse(expected, _Token("other", met, place + 1), hint)
        kind, token = match.lastgroup or "", _Token(match.lastgroup or "", match[0], place + 1)
        place = match.end()
        if kind == "number":
            token = _with_unit(token, text)
            place += len(token.text) - len(match[0])
        if kind == "word" and token.text.lower() in _WORDS:
            token = token._replace(kind="sign", text=token.text.lower())
        if kind != "space":
            yield token
    yield _Token("end", "", len(text) + 1)


def _with_unit(number: _Token, text: str) -> _Token:
    """The number with the unit behind it: a word that touches it must be one, one behind spaces may be."""
    unit = _UNIT.match(text, number.place - 1 + len(number.text))
    size = 1
    written = number.text
    if unit is not None:
        size = _UNITS.get(unit[2].lower(), 0)
        if not size and not unit[1]:
            known = f"{', '.join(name for name, _ in COUNT_UNITS if name)}, or with a B of bytes"
            _refuse(f"a unit ({known}) behind {written}", _Token("word", unit[2], unit.start(2) + 1))
        written += unit[0] if size else ""
    amount = float(re.sub("[_,]", "", number.text)) * (size or 1)
    if math.isinf(amount):
        _refuse("a number below 1e308", number)
    return number._replace(text=written, amount=amount)


class _Parser:
    """Recursive descent: or, and, not, comparisons, + and -, * and /, signs, and what stands in parentheses."""

    def __init__(self, tokens: list[_Token], names: Collection[str]) -> None:
        self._tokens, self._names = tokens, names
        self._next, self._depth = 0, 0

    def condition(self) -> _Truth:
        found = self._truth(self._either)
        if self._token.kind != "end":
            if self._token.text == ")":
                _refuse("an opening ( before it", self._token)
            known = "" if self._tokens[self._next - 1].kind != "number" else "a unit, "
            _refuse(f"{known}an operator, `and`, `or` or the end", self._token)
        return found

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _stands(self, *texts: str) -> bool:
        return self._token.kind == "sign" and self._token.text in texts

    def _take(self, *texts: str) -> str:
        """The sign that stands here, if it is one of these; nothing else."""
        if self._stands(*texts):
            self._next += 1
            return self._tokens[self._next - 1].text
        return ""

    def _truth(self, parse: Callable[[], _Part]) -> _Truth:
        found = parse()
        if not isinstance(found, _Truth):
            _refuse(f"a comparison (< <= > >= == !=) behind {quoted(str(found))}", self._token)
        return found

    def _operand(self, parse: Callable[[], _Part], number: bool = False) -> _Operand:
        start = self._token
        return _as_operand(parse(), start, number)

    def _either(self) -> _Part:
        return self._joined(_Any, self._both)

    def _both(self) -> _Part:
        return self._joined(_All, self._negated)

    def _joined(self, kind: type[_Joined], parse: Callable[[], _Part]) -> _Part:
        found = parse()
        if not self._stands(kind.word):
            return found
        parts = [self._truth(lambda: found)]
        while self._take(kind.word):
            parts.append(self._truth(parse))
        return kind(tuple(parts))

    def _negated(self) -> _Part:
        if self._take("not"):
            with self._deeper():
                return _Not(self._truth(self._negated))
        return self._compared()

    def _compared(self) -> _Part:
        start = self._token
        found = self._sum()
        comparisons = []
        while self._stands(*_COMPARISONS):
            sign = self._token
            if not isinstance(found, _Operand):
                _refuse("`and`, `or` or the end behind a comparison", sign)
            self._next += 1
            place = self._token
            right = self._operand(self._sum)
            _check_comparison(sign, (found, start), (right, place))
            comparisons.append(_Comparison(found, sign.text, right))
            found, start = right, place
        if not comparisons:
            return found
        return comparisons[0] if len(comparisons) == 1 else _All(tuple(comparisons))

    def _sum(self) -> _Part:
        return self._calculation(_Sum, ("+", "-"), self._product)

    def _product(self) -> _Part:
        return self._calculation(_Product, ("*", "/"), self._signed)

    def _calculation(self, kind: type[_Arithmetic], signs: tuple[str, ...], parse: Callable[[], _Part]) -> _Part:
        start, found = self._token, parse()
        if not self._stands(*signs):
            return found
        first = _as_operand(found, start, number=True)
        rest = []
        while sign := self._take(*signs):
            rest.append((sign, self._operand(parse, number=True)))
        return kind(first, tuple(rest))

    def _signed(self) -> _Part:
        if self._take("-"):
            with self._deeper():
                return _Negative(self._operand(self._signed, number=True))
        return self._single()

    def _single(self) -> _Part:
        token = self._token
        if self._take("("):
            with self._deeper():
                found = self._either()
            if not self._take(")"):
                _refuse("a closing )", self._token)
            return found
        self._next += token.kind != "end"
        if token.kind == "number":
            return _Number(token.amount, " ".join(token.text.split()))
        if token.kind == "text":
            return _Text(token.text[1:-1])
        if token.kind == "word":
            return _Name(self._named(token))
        return _refuse("a name, a number or quoted text", token)

    def _named(self, token: _Token) -> str:
        name = token.text if token.text in self._names else SHORT.get(token.text, token.text)
        if name not in self._names:
            known = (*self._names, *(short for short, long in SHORT.items() if long in self._names))
            _refuse("a name", token, f"{nearest(token.text, known)}; text stands in quotes")
        return name

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _refuse(f"a condition nested at most {MAX_DEPTH} deep", self._token)
        yield
        self._depth -= 1


def _as_operand(part: _Part, start: _Token, number: bool) -> _Operand:
    if isinstance(part, _Operand) and not (number and isinstance(part, _Text)):
        return part
    hint = "`and` and `or` join comparisons" if isinstance(part, _Truth) else "text is compared by == and !="
    return _refuse("a number" if number else "a number or text", start._replace(kind="part", text=str(part)), hint)


def _check_comparison(sign: _Token, left: tuple[_Operand, _Token], right: tuple[_Operand, _Token]) -> None:
    """Refuse what can be seen to be no comparison: text with numbers or by order, bytes with what has none."""
    for (one, start), (other, place) in ((left, right), (right, left)):
        if isinstance(one, _Text):
            if not isinstance(other, _Text | _Name):
                _refuse(f"text on both sides of {sign.text}", place._replace(kind="part", text=str(other)))
            if sign.text not in ("==", "!="):
                _refuse("== or != between text", sign)
        in_bytes = isinstance(one, _Number) and one.written.lower().endswith("b")
        if in_bytes and isinstance(other, _Name) and not other.name.endswith("_bytes"):
            _refuse(f"a number without bytes for {quoted(other.name)}", start, "a count has the units K, M, G, T and P")
