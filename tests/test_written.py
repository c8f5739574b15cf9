"""Numbers that remember how they were worked out: what an op says of them is what it counts, and comes to it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnet_inspect.ops import KINDS as CLASSES
from gnet_inspect.ops import MERGES, VOCABULARY, Op, Shapes, op_of
from gnet_inspect.ops.written import Leaf, Written, in_numbers, in_symbols, work_out
from tests.arithmetic import skeleton, worked
from tests.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_an_op_says_the_same_of_numbers_that_remember(kind: str) -> None:
    """Every example of every layer kind: the same sizes, parameters and MACs, and arithmetic that comes to them."""
    for arguments, inputs in KINDS[kind]:
        op = op_of(kind, **arguments) if kind in VOCABULARY else (MERGES.get(kind) or CLASSES[kind])(**arguments)
        found, outputs = work_out(op, inputs), op.outputs(inputs)
        params = sum(weight.elements for weight in op.weights(inputs) if weight.trained)
        assert (found.outputs, found.params, found.macs) == (outputs, params, op.macs(inputs, outputs))
        for number in (*found.outputs[0], found.params, found.macs):
            if number is not None and in_numbers(number):
                assert worked(in_numbers(number)) == number, (op, in_numbers(number))


MAP, WIDE = ((1, 96, 14, 14),), ((1, 8, 112, 112),)
CONV = op_of("Conv2d", out_channels=208, kernel_size=3, padding=1)
DILATED = op_of("Conv2d", out_channels=8, kernel_size=3, dilation=2, padding=2)
GROUPED = op_of("Conv2d", out_channels=64, kernel_size=3, groups=32, bias=False)
ONE_SIDED = op_of("Conv2d", out_channels=8, kernel_size=3, stride=2, padding=(0, 1, 0, 1))
ODD = op_of("Conv2d", out_channels=8, kernel_size=(1, 7), padding=(0, 3))
SAME = op_of("Conv2d", out_channels=8, kernel_size=3, padding="same")
CEILED = op_of("MaxPool2d", kernel_size=3, stride=2, ceil_mode=True)
# Its last window would begin behind the input.
CUT = op_of("MaxPool2d", kernel_size=1, stride=3, ceil_mode=True)
UP = op_of("ConvTranspose2d", out_channels=8, kernel_size=3, stride=2, padding=1, output_padding=1)
FOUR = ((1, 64, 28, 28), (1, 128, 28, 28), (1, 32, 28, 28), (1, 32, 28, 28))
TEXTS: tuple[tuple[Op, Shapes, str, str, str], ...] = (
    (CONV, MAP, "H'", "floor((H + 2*p - k)/s) + 1", "floor((14 + 2*1 - 3)/1) + 1"),
    (CONV, MAP, "params", "C'*C*k*k + C'", "208*96*3*3 + 208"),
    (CONV, MAP, "macs", "H'*W'*C'*C*k*k", "14*14*208*96*3*3"),
    (CONV, ((8, 96, 14, 14),), "macs", "N*H'*W'*C'*C*k*k", "8*14*14*208*96*3*3"),
    (GROUPED, MAP, "params", "C'*(C/groups)*k*k", "64*(96/32)*3*3"),
    (DILATED, MAP, "H'", "floor((H + 2*p - d*(k - 1) - 1)/s) + 1", "floor((14 + 2*2 - 2*(3 - 1) - 1)/1) + 1"),
    (ONE_SIDED, MAP, "W'", "floor((W + p_1 + p_2 - k)/s) + 1", "floor((14 + 0 + 1 - 3)/2) + 1"),
    (ODD, MAP, "W'", "floor((W + 2*p_2 - k_2)/s) + 1", "floor((14 + 2*3 - 7)/1) + 1"),
    (SAME, MAP, "H'", "floor((H - 1)/s) + 1", "floor((14 - 1)/1) + 1"),
    (CEILED, WIDE, "H'", "ceil((H + 2*p - k)/s) + 1", "ceil((112 + 2*0 - 3)/2) + 1"),
    (CUT, WIDE, "H'", "ceil((H + 2*p - k)/s) + 1", "ceil((112 + 2*0 - 1)/3) + 1"),
    (CUT, ((1, 8, 6, 6),), "H'", "ceil((H + 2*p - k)/s)", "ceil((6 + 2*0 - 1)/3)"),
    (UP, MAP, "H'", "(H - 1)*s + k + output_padding - 2*p", "(14 - 1)*2 + 3 + 1 - 2*1"),
    (UP, MAP, "macs", "H*W*C*C'*k*k", "14*14*96*8*3*3"),
    (op_of("AdaptiveAvgPool2d", output_size=1), MAP, "H'", "output_size", "1"),
    (op_of("Linear", out_features=1000), ((1, 1024),), "params", "F'*F + F'", "1000*1024 + 1000"),
    (op_of("BatchNorm2d"), MAP, "params", "2*C", "2*96"),
    (op_of("Flatten"), ((1, 256, 6, 6),), "F'", "C*H*W", "256*6*6"),
    (MERGES["concat"](), FOUR, "C'", "C_1 + C_2 + C_3 + C_4", "64 + 128 + 32 + 32"),
)


@pytest.mark.parametrize(("op", "inputs", "quantity", "formula", "text"), TEXTS)
def test_a_formula_reads_as_a_textbook_has_it(op: Op, inputs: Shapes, quantity: str, formula: str, text: str) -> None:
    """As short as it goes, with what makes it what it is: dilation, groups, ceilings, paddings, batches."""
    found = work_out(op, inputs)
    numbers = {"params": found.params, "macs": found.macs, **dict(zip(found.axes, found.outputs[0], strict=True))}
    number = numbers[quantity]
    assert number is not None
    assert (in_symbols(number), in_numbers(number)) == (formula, text)


EXPRESSIONS = st.recursive(
    st.one_of(st.integers(-9, 9), st.integers(-9, 30).map(lambda number: Written(number, Leaf(number, "n")))),
    lambda inner: st.tuples(st.sampled_from("+-*/n"), inner, inner),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_numbers_that_remember_count_as_integers_do(drawn: object) -> None:
    """Whatever is added, multiplied, divided and negated, and however it is shortened."""

    def both(item: Any) -> tuple[int, int]:
        if isinstance(item, int):
            return item, int(item)
        sign, left, right = item
        (first, plain), (second, other) = both(left), both(right)
        if sign == "n":
            return -first, -plain
        if sign == "/":
            return (first // second, plain // other) if other else (first, plain)
        return {"+": (first + second, plain + other), "-": (first - second, plain - other)}.get(
            sign, (first * second, plain * other)
        )

    number, expected = both(drawn)
    assert number == expected
    if isinstance(number, Written):
        assert worked(in_numbers(number)) == expected
        assert skeleton(in_symbols(number)) == skeleton(in_numbers(number))


def test_a_number_that_no_arithmetic_made_says_nothing() -> None:
    """It is known all the same."""
    assert (in_symbols(14), in_numbers(14)) == ("", "")


def test_a_sum_of_very_many_is_told_from_where_it_was() -> None:
    """In no more time than its parts take."""
    wide = tuple((1, 2, 4, 4) for _ in range(20_000))
    (_, channels, *_), *_ = work_out(MERGES["concat"](), wide).outputs
    assert channels == 40_000
    assert worked(in_numbers(channels)) == 40_000
    assert in_symbols(channels).startswith("... + C_")


def test_windows_along_different_axes_are_one() -> None:
    """A 7x1 and a 1x7, with their strides and paddings; not two along one axis, in groups, or padded in words."""
    high = op_of("Conv2d", out_channels=8, kernel_size=(7, 1), padding=(3, 0), stride=(2, 1))
    wide = op_of("Conv2d", out_channels=16, kernel_size=(1, 5), padding=(0, 2))
    joined = high.joined_with(wide)
    assert joined == op_of("Conv2d", out_channels=16, kernel_size=(7, 5), padding=(3, 2), stride=(2, 1))
    assert wide.joined_with(wide) is None
    assert high.joined_with(op_of("Conv2d", out_channels=16, kernel_size=(1, 5), padding="same")) is None
    assert high.joined_with(op_of("Conv2d", out_channels=16, kernel_size=(1, 5), groups=2)) is None
    assert high.joined_with(op_of("ReLU")) is None
    assert op_of("ReLU").joined_with(high) is None
    assert op_of("ReLU").densely(8) is None
