"""How an op works its numbers out, in symbols and in numbers: its own arithmetic, run on numbers that remember it.

No formula is written down a second time. `work_out` gives an op the sizes of its inputs, and its own arguments, as
`Written` numbers: integers that keep, beside their value, the sums, products and quotients they were made by. What the
op then answers for its output, its weights and its MACs says by itself how it came about. Where an op does something
else with a number than arithmetic (it looks it up, rounds a float), a plain integer comes back: it is known, and not
how.

What is printed is the shortest that is equal: 14 + 1 + 1 - (3 - 1) - 1 reads 14 + 2*1 - 3.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from gnet_inspect.ops.base import Op, Shapes

# What arguments are called in formulas; others go by their own names.
SYMBOLS = {
    "out_channels": "C'",
    "out_features": "F'",
    "kernel_size": "k",
    "stride": "s",
    "padding": "p",
    "dilation": "d",
    "hidden_size": "H",
    "window": "w",
}
# Arguments that formulas leave out where they are this, as nearly always.
SILENT = {"dilation": 1, "groups": 1, "output_padding": 0}
# A sum of more parts is the sum so far, and what is added to that: nobody reads it, and it would be written again for
# each part.
MOST_PARTS = 64
# How tightly parts of an expression hold together.
_SUM, _PRODUCT, _ATOM = 1, 2, 3


class Leaf(Struct, frozen=True):
    """A number that was given; without a symbol a constant of the rule."""

    value: int
    symbol: str = ""


class Total(Struct, frozen=True):
    """A sum: what is added, each so many times (below 0 it is subtracted), and a constant."""

    parts: tuple[tuple[int, "Expression"], ...]
    constant: int = 0


class Product(Struct, frozen=True):
    """What is multiplied, in its order."""

    parts: tuple["Expression", ...]


class Quotient(Struct, frozen=True):
    """A division of whole numbers: "/" where it leaves nothing over whatever the numbers are, "floor" or "ceil"."""

    above: "Expression"
    below: "Expression"
    rounded: str


Expression = Leaf | Total | Product | Quotient


class Written(int):
    """A whole number that knows the expression it is the value of."""

    expression: Expression

    def __new__(cls, value: int, expression: Expression) -> "Written":
        """The value of an expression."""
        made = super().__new__(cls, value)
        made.expression = expression
        return made

    def __add__(self, other: int) -> int:
        return _made(int.__add__(self, other), lambda: _sum((1, self), (1, other)))

    def __radd__(self, other: int) -> int:
        return _made(int.__radd__(self, other), lambda: _sum((1, other), (1, self)))

    def __sub__(self, other: int) -> int:
        return _made(int.__sub__(self, other), lambda: _sum((1, self), (-1, other)))

    def __rsub__(self, other: int) -> int:
        return _made(int.__rsub__(self, other), lambda: _sum((1, other), (-1, self)))

    def __mul__(self, other: int) -> int:
        return _made(int.__mul__(self, other), lambda: _product(self, other))

    def __rmul__(self, other: int) -> int:
        return _made(int.__rmul__(self, other), lambda: _product(other, self))

    def __floordiv__(self, other: int) -> int:
        return _made(int.__floordiv__(self, other), lambda: _quotient(self, other))

    def __rfloordiv__(self, other: int) -> int:
        return _made(int.__rfloordiv__(self, other), lambda: _quotient(other, self))

    def __neg__(self) -> int:
        return Written(int.__neg__(self), _negated(self.expression))


def expression_of(value: int) -> Expression:
    """That of a number: of a plain one, itself."""
    return value.expression if isinstance(value, Written) else Leaf(int(value))


def _made(value: int, expression: Callable[[], Expression]) -> int:
    """What an operator of int gave, with how it came about; as it is where it gave nothing, for Python to ask the other
    number."""
    if not isinstance(value, int):
        return value
    made = expression()
    long = isinstance(made, Total) and len(made.parts) > MOST_PARTS
    return Written(value, Leaf(value, "...") if long else made)


# --- expressions, the shortest that are equal ---


def _sum(*summands: tuple[int, int]) -> Expression:
    return _gathered((times, expression_of(value)) for times, value in summands)


def _gathered(summands: Iterable[tuple[int, Expression]]) -> Expression:
    """A sum of sums is one sum, and what is in it twice is in it two times."""
    found: dict[Expression, int] = {}
    constant = 0
    for times, expression in summands:
        if isinstance(expression, Total):
            constant += times * expression.constant
            parts = expression.parts
        elif isinstance(expression, Leaf) and not expression.symbol:
            constant += times * expression.value
            continue
        else:
            parts = ((1, expression),)
        for inner, part in parts:
            found[part] = found.get(part, 0) + times * inner
    kept = tuple((times, part) for part, times in found.items() if times)
    if not kept:
        return Leaf(constant)
    return kept[0][1] if len(kept) == 1 and kept[0][0] == 1 and not constant else Total(kept, constant)


def _negated(expression: Expression) -> Expression:
    if isinstance(expression, Quotient) and expression.rounded == "floor":
        # -(-a // b), as Python spells a ceiling.
        above = _gathered([(-1, expression.above)])
        return Quotient(above, expression.below, "ceil")
    return _gathered([(-1, expression)])


def _product(*factors: int) -> Expression:
    parts: list[Expression] = []
    for expression in map(expression_of, factors):
        parts += expression.parts if isinstance(expression, Product) else (expression,)
    kept = [part for part in parts if part != Leaf(1)]
    return Leaf(1) if not kept else kept[0] if len(kept) == 1 else Product(tuple(kept))


def _quotient(above: int, below: int) -> Expression:
    over, under = expression_of(above), expression_of(below)
    if under == Leaf(1):
        return over
    if isinstance(over, Leaf | Product) and above % below == 0:
        return Quotient(over, under, "/")
    if isinstance(over, Total) and (1, under) in over.parts and over.constant == -1:
        # (a + b - 1) // b, as torch spells a ceiling.
        return Quotient(_gathered([(1, over), (-1, under), (1, Leaf(1))]), under, "ceil")
    return Quotient(over, under, "floor")


# --- text ---


def in_symbols(value: int) -> str:
    """How a number is worked out, by the names of what goes in; "" of one that does not say.

    >>> size = Written(14, Leaf(14, "H"))
    >>> made = (size + 1 + 1 - (Written(3, Leaf(3, "k")) - 1) - 1) // Written(2, Leaf(2, "s")) + 1
    >>> in_symbols(made), in_numbers(made), made
    ('floor((H - k + 2)/s) + 1', 'floor((14 - 3 + 2)/2) + 1', 7)
    """
    return _text(value.expression, True)[0] if isinstance(value, Written) else ""


def in_numbers(value: int) -> str:
    """The same with numbers in the place of names."""
    return _text(value.expression, False)[0] if isinstance(value, Written) else ""


def _text(expression: Expression, symbols: bool) -> tuple[str, int]:
    """(the text, how tightly it holds together)"""
    if isinstance(expression, Leaf):
        if symbols and expression.symbol:
            return expression.symbol, _ATOM
        return str(expression.value), _ATOM if expression.value >= 0 else _SUM
    if isinstance(expression, Product):
        return "*".join(_around(part, symbols, _PRODUCT) for part in expression.parts), _PRODUCT
    if isinstance(expression, Quotient):
        if expression.rounded == "/":
            above, below = (_around(part, symbols, _ATOM) for part in (expression.above, expression.below))
            # In brackets among factors, so that nobody wonders what is divided.
            return f"{above}/{below}", _SUM
        above, below = _around(expression.above, symbols, _PRODUCT), _around(expression.below, symbols, _ATOM)
        return f"{expression.rounded}({above}/{below})", _ATOM
    return _sum_text(expression, symbols), _SUM


def _sum_text(expression: Total, symbols: bool) -> str:
    words: list[str] = []
    for times, part in (*expression.parts, *([(expression.constant, None)] if expression.constant else [])):
        sign, number = "-" if times < 0 else "+", abs(times)
        if part is None:
            text = str(number)
        else:
            text = _around(part, symbols, _PRODUCT)
            text = text if number == 1 else f"{number}*{text}"
        words += [text if sign == "+" else f"-{text}"] if not words else [sign, text]
    return " ".join(words)


def _around(expression: Expression, symbols: bool, least: int) -> str:
    text, tight = _text(expression, symbols)
    return text if tight >= least else f"({text})"


# --- an op at work ---


class Workings(NamedTuple):
    """What an op says of a call, in numbers that know how they came about where it worked them out: the shapes of its
    outputs, its trained weights, its MACs (None where nobody can count them), and what the axes of the first output are
    called."""

    outputs: Shapes
    params: int
    macs: int | None
    axes: tuple[str, ...]


def work_out(op: Op, inputs: Shapes) -> Workings:
    """Let an op work out its numbers for inputs of these shapes."""
    written, shapes = _written(op), _inputs(op, inputs)
    outputs = written.outputs(shapes)
    axes = tuple(f"{name}'" if place else name for place, name in enumerate(op.axis_names(len(outputs[0]))))
    # In MACs the sizes of the output are given ones.
    named = (tuple(map(_size, outputs[0], axes)), *outputs[1:])
    params = sum(weight.elements for weight in written.weights(shapes) if weight.trained)
    return Workings(outputs, params, written.macs(shapes, named), axes)


def _inputs(op: Op, inputs: Shapes) -> Shapes:
    several = len(inputs) > 1
    return tuple(
        tuple(
            _size(size, f"{name}_{number}" if several else name)
            for size, name in zip(shape, op.axis_names(len(shape)), strict=True)
        )
        for number, shape in enumerate(inputs, 1)
    )


def _size(size: int, name: str) -> int:
    # One image is no factor that anybody needs to read.
    return int(size) if name[0] == "N" and size == 1 else Written(size, Leaf(int(size), name))


def _written(op: Op) -> Op:
    """The op with numbers among its arguments that know their names."""
    arguments = {name: _argument(name, getattr(op, name)) for name in op.parameters()}
    return type(op)(**{name: getattr(op, name) for name in op.__struct_fields__} | arguments)


def _argument(name: str, value: Any) -> Any:
    symbol = SYMBOLS.get(name, name)
    if isinstance(value, tuple):
        numbers = [item for item in value if _is_number(item)]
        alike = len(set(numbers)) == 1
        return tuple(
            _given(name, item, symbol if alike else f"{symbol}_{place}") if _is_number(item) else item
            for place, item in enumerate(value, 1)
        )
    return _given(name, value, symbol) if _is_number(value) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _given(name: str, value: int, symbol: str) -> int:
    return value if SILENT.get(name) == value else Written(value, Leaf(value, symbol))
