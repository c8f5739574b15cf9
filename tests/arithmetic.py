"""Printed arithmetic: what it comes to, and how it is built."""

import ast
import math
import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub, truediv

# What a formula is made of beside names and numbers.
SIGNS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.Div: truediv,
}
FUNCTIONS: dict[str, Callable[..., int]] = {"floor": math.floor, "ceil": math.ceil}


def worked(text: str) -> Fraction:
    """What printed arithmetic comes to, by its own rules and none of the package's."""

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(number)):
                return Fraction(number)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.BinOp(left=left, op=operator, right=right):
                first, second = value(left), value(right)
                signs = {
                    ast.Add: first.__add__,
                    ast.Sub: first.__sub__,
                    ast.Mult: first.__mul__,
                    ast.Div: first.__truediv__,
                }
                return Fraction(signs[type(operator)](second))
            case ast.Call(func=ast.Name(id=name), args=[inner]):
                return Fraction(FUNCTIONS[name](value(inner)))
        raise AssertionError(f"no arithmetic: {ast.dump(node)}")

    return value(ast.parse(text, mode="eval").body)


def skeleton(text: str) -> str:
    """A formula without its names and numbers, whatever their signs: a number below 0 stands in brackets."""
    unsigned = re.sub(r"(^|\()-", r"\1", text)
    text = re.sub(r"(?!floor|ceil)\b[\w']+", "#", unsigned)
    while "(#)" in text:
        text = text.replace("(#)", "#")
    return text
