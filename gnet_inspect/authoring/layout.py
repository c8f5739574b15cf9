"""Pieces of Python in lines as ruff's formatter lays them out: on one line where that fits, else what stands in the
brackets on a line of its own, else each part of it."""

from typing import NamedTuple

WIDTH = 120
INDENT = 4


class Piece(NamedTuple):
    """Something with brackets: what stands before and in them, and what closes them."""

    head: str
    items: "tuple[Code, ...]"
    tail: str


class Repeat(NamedTuple):
    """What a generator gives so many times, as arguments."""

    item: "Code"
    times: int


class Either(NamedTuple):
    """An expression that is not broken but in brackets of its own."""

    text: str


Code = str | Piece | Repeat | Either


def call(function: str, *arguments: Code) -> Piece:
    """A call."""
    return Piece(f"{function}(", arguments, ")")


def named(name: str, value: Code) -> Code:
    """An argument by its name."""
    if isinstance(value, Piece):
        return Piece(f"{name}={value.head}", value.items, value.tail)
    return f"{name}={flat(value)}"


def flat(code: Code) -> str:
    """On one line."""
    if isinstance(code, str):
        return code
    if isinstance(code, Either):
        return code.text
    if isinstance(code, Repeat):
        return f"*({flat(code.item)} for _ in range({code.times}))"
    return code.head + ", ".join(map(flat, code.items)) + code.tail


def lines_of(code: Code, indent: int, before: str = "", after: str = "") -> list[str]:
    """In as few lines as it is formatted to, behind and before some text."""
    space = " " * indent
    one = f"{space}{before}{flat(code)}{after}"
    if len(one) <= WIDTH or isinstance(code, str):
        return [one]
    if isinstance(code, Either):
        return [f"{space}{before}(", f"{space}{' ' * INDENT}{code.text}", f"{space}){after}"]
    if isinstance(code, Repeat):
        inner = lines_of(code.item, indent + INDENT)
        return [f"{space}{before}*(", *inner, f"{space}{' ' * INDENT}for _ in range({code.times})", f"{space}){after}"]
    inside = f"{space}{' ' * INDENT}{', '.join(map(flat, code.items))}"
    if len(inside) <= WIDTH and not (len(code.items) == 1 and isinstance(code.items[0], Repeat)):
        return [f"{space}{before}{code.head}", inside, f"{space}{code.tail}{after}"]
    inner = [line for item in code.items for line in lines_of(item, indent + INDENT, after=",")]
    return [f"{space}{before}{code.head}", *inner, f"{space}{code.tail}{after}"]
