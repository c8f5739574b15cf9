"""Simple arithmetic on parameters: `$width * 0.5`, `$out // 4`, `($a + $b) % 8`, and `{round: [$out * $width, 8]}`.

Numbers are fractions throughout, so that 0.1 * 30 is 3 as it is on paper; a whole result is an integer. A minus needs
spaces around it, because names may hold hyphens.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from msgspec import Struct

from gnet_inspect.language.names import NAME_WORD
from gnet_inspect.units import LARGEST_EXACT

# Far more than any network's arithmetic, and little to read.
MAX_LENGTH = 200
MAX_DEPTH = 16

_TOKEN = re.compile(
    rf"\s*(?:(?P<reference>\$(?P<name>{NAME_WORD})(?:\.(?P<element>[0-9]{{1,4}}))?)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<minus>(?<=\s)-(?=\s))|(?P<operator>//|[+*/%()]))"
)
_PRIORITY = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}


class Reference(Struct, frozen=True):
    """`$name`, or `$name.0`: one element of a list."""

    name: str
    element: int | None = None

    def __str__(self) -> str:
        return f"${self.name}" if self.element is None else f"${self.name}.{self.element}"


class Binary(Struct, frozen=True):
    """Two operands and what is done with them."""

    operator: str
    left: "Operand"
    right: "Operand"


class Rounded(Struct, frozen=True):
    """A number rounded to a multiple of `divisor`, as MobileNet's code rounds widths: to the nearest one, at least one,
    and one more where that takes off more than a tenth."""

    value: "Operand"
    divisor: "Operand"


Operand = Reference | Binary | Rounded | Fraction
Lookup = Callable[[Reference], object]


class _Token(NamedTuple):
    kind: str
    text: str
    value: Operand | None = None


def parse_arithmetic(text: str) -> Operand:
    """The expression that a text holds. Raises ValueError that says what was expected and what was met."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression of at most {MAX_LENGTH} characters, got {len(text):,}")
    parser = _Parser(list(_tokens(text)))
    found = parser.expression(0, 0)
    if parser.token is not None:
        raise ValueError(f"an operator (+, -, *, /, //, %), got {_met(parser.token)}")
    return found


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].strip()
            hint = "; a minus needs spaces around it" if rest.startswith("-") else ""
            raise ValueError(f"numbers, parameters and + - * / // % ( ), got {rest[:40]!r}{hint}")
        place = match.end()
        if match["reference"]:
            element = None if match["element"] is None else int(match["element"])
            yield _Token("value", match["reference"], Reference(match["name"], element))
        elif match["number"]:
            yield _Token("value", match["number"], Fraction(match["number"]))
        else:
            yield _Token("operator", match["minus"] or match["operator"])


class _Parser:
    """Precedence climbing over the tokens of one expression."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    @property
    def token(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def expression(self, least: int, depth: int) -> Operand:
        if depth > MAX_DEPTH:
            raise ValueError(f"an expression nested at most {MAX_DEPTH} deep")
        left = self._operand(depth)
        while (token := self.token) is not None and _PRIORITY.get(token.text, -1) > least:
            self._next += 1
            left = Binary(token.text, left, self.expression(_PRIORITY[token.text], depth + 1))
        return left

    def _operand(self, depth: int) -> Operand:
        token = self.token
        self._next += 1
        if token is not None and token.value is not None:
            return token.value
        if token is not None and token.text == "(":
            inner = self.expression(0, depth + 1)
            if self.token is None or self.token.text != ")":
                raise ValueError(f"a closing ), got {_met(self.token)}")
            self._next += 1
            return inner
        raise ValueError(f"a number or a parameter, got {_met(token)}")


def _met(token: _Token | None) -> str:
    return repr(token.text) if token else "the end"


def references(operand: object) -> Iterator[Reference]:
    """The parameters that an expression uses."""
    if isinstance(operand, Reference):
        yield operand
    elif isinstance(operand, Binary):
        yield from references(operand.left)
        yield from references(operand.right)
    elif isinstance(operand, Rounded):
        yield from references(operand.value)
        yield from references(operand.divisor)


def show_operand(operand: Operand) -> str:
    """An expression on one line.

    >>> show_operand(parse_arithmetic("$a*($b +2)"))
    '$a * ($b + 2)'
    """
    if isinstance(operand, Binary):
        left, right = (
            f"({show_operand(item)})" if isinstance(item, Binary) else show_operand(item)
            for item in (operand.left, operand.right)
        )
        return f"{left} {operand.operator} {right}"
    if isinstance(operand, Rounded):
        return f"{{round: [{show_operand(operand.value)}, {show_operand(operand.divisor)}]}}"
    return str(operand) if isinstance(operand, Reference) else f"{float(operand):g}"


def evaluate(operand: Operand, lookup: Lookup) -> int | float:
    """The number that an expression gives: an integer where it is whole. Raises ValueError where it gives none."""
    found = _fraction(operand, lookup)
    return found.numerator if found.denominator == 1 else float(found)


def _fraction(operand: Operand, lookup: Lookup) -> Fraction:
    if isinstance(operand, Binary):
        found = _applied(operand.operator, _fraction(operand.left, lookup), _fraction(operand.right, lookup))
    elif isinstance(operand, Rounded):
        found = Fraction(round_to(_fraction(operand.value, lookup), _fraction(operand.divisor, lookup)))
    elif isinstance(operand, Reference):
        value = lookup(operand)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a number for {operand}, got {value!r}")
        # As it was written: 0.1 is a tenth, not the float nearest to it.
        found = Fraction(repr(value))
    else:
        found = operand
    if max(abs(found.numerator), found.denominator) > LARGEST_EXACT:
        raise ValueError("numbers of at most 2^53 in an expression")
    return found


def _applied(operator: str, left: Fraction, right: Fraction) -> Fraction:
    if operator in ("/", "//", "%") and right == 0:
        raise ValueError(f"a divisor other than 0 behind {operator}")
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "//":
            return Fraction(left // right)
    return left % right


def round_to(value: Fraction, divisor: Fraction) -> int:
    """A width rounded to a multiple of a divisor, as the code of MobileNetV2 does it (Sandler et al. 2018, appendix).

    >>> [round_to(Fraction(number), Fraction(8)) for number in ("24", "16.8", "11")]
    [24, 16, 16]
    """
    if divisor.denominator != 1 or divisor < 1:
        raise ValueError(f"a positive integer to round to, got {float(divisor):g}")
    step = divisor.numerator
    rounded = max(step, int(value + divisor / 2) // step * step)
    # Widths are not taken off by more than a tenth.
    return rounded + step if rounded < Fraction(9, 10) * value else rounded
