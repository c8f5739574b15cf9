"""Numbers as people read them. Powers of 1000 throughout: 1 K = 1,000, 1 M = 1,000,000, 1 kB = 1,000 B.

A column of a table has one unit, chosen so that its smallest non-zero value still shows at least one
significant digit (never "0.00 M"); exact integers are always in the JSON.
"""

from collections.abc import Iterable
from itertools import pairwise

COUNT_UNITS = (("", 1), ("K", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12), ("P", 10**15))
BYTE_UNITS = (("B", 1), ("kB", 10**3), ("MB", 10**6), ("GB", 10**9), ("TB", 10**12), ("PB", 10**15))
# Of picoseconds, so that a column of times has a unit as one of counts has.
TIME_UNITS = (("ps", 1), ("ns", 10**3), ("us", 10**6), ("ms", 10**9), ("s", 10**12))

Unit = tuple[str, int]

# JSON numbers are exact up to here; no network comes near it.
LARGEST_EXACT = 2**53

DTYPE_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "fp64": 8, "int8": 1}
# Of an int64, as indices and counters are in a network of any dtype.
INDEX_BYTES = 8
# The bytes of an element whose dtype is not the network's own.
FIXED_BYTES = {"int64": INDEX_BYTES, "bool": 1}


def sum_known(parts: Iterable[int | None]) -> int | None:
    """The sum; None where a part is not known.

    >>> sum_known([1, 2]), sum_known([1, None])
    (3, None)
    """
    total = 0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def column_unit(values: Iterable[int], units: tuple[Unit, ...] = COUNT_UNITS) -> Unit:
    """The unit for a whole column: the largest in which the smallest non-zero value is at least 0.1.

    >>> column_unit([118_013_952, 1_024_000])
    ('M', 1000000)
    >>> column_unit([64, 6_998_552])
    ('', 1)
    """
    smallest = min((value for value in values if value), default=0)
    fitting = [unit for unit in units if smallest >= unit[1] / 10]
    return fitting[-1] if fitting else units[0]


def in_unit(value: int, unit: Unit) -> str:
    """A value in a column's unit, with two decimals and grouped thousands.

    >>> in_unit(1_582_671_872, ("M", 10**6)), in_unit(64, ("", 1)), in_unit(0, ("M", 10**6))
    ('1,582.67', '64', '0')
    """
    if value == 0 or unit[1] == 1:
        return f"{value:,}"
    return f"{value / unit[1]:,.2f}"


def count(value: int, units: tuple[Unit, ...] = COUNT_UNITS) -> str:
    """One number on its own, in the largest unit that keeps it at 1 or more.

    >>> count(1_582_671_872), count(6_998_552), count(999), count(999_999), count(2 * 10**18)
    ('1.58 G', '7.00 M', '999', '1.00 M', '2,000.00 P')
    """
    for (name, size), (_, above) in pairwise(units):
        # 999,999 would print as "1000.00 K": what rounds up to the next unit belongs to it.
        if round(value / size, 2) < above / size:
            return f"{value:,}" + (f" {name}" if name else "") if size == 1 else f"{value / size:,.2f} {name}"
    name, size = units[-1]
    return f"{value / size:,.2f} {name}"


def byte_count(value: int) -> str:
    """Bytes on their own, powers of 1000.

    >>> byte_count(6_422_528), byte_count(1_000), byte_count(12)
    ('6.42 MB', '1.00 kB', '12 B')
    """
    return count(value, BYTE_UNITS)


def picoseconds(seconds: float) -> int:
    """Seconds as TIME_UNITS count them.

    >>> picoseconds(1.5e-6)
    1500000
    """
    return round(seconds * 1e12)


def duration(seconds: float) -> str:
    """A time on its own.

    >>> duration(0.00125), duration(1.5e-6), duration(0)
    ('1.25 ms', '1.50 us', '0 s')
    """
    return count(picoseconds(seconds), TIME_UNITS) if seconds else "0 s"


def percent(part: float, whole: float) -> str:
    """A share with one decimal; a share that is not zero never prints as one.

    >>> percent(1, 3), percent(1, 10**6), percent(0, 5), percent(0, 0)
    ('33.3', '<0.1', '0', '0')
    """
    if part == 0 or whole == 0:
        return "0"
    text = f"{100 * part / whole:.1f}"
    return "<0.1" if text == "0.0" else text


def dimensions(shape: Iterable[int]) -> str:
    """A shape as the field writes it.

    >>> dimensions((1, 64, 112, 112))
    '1x64x112x112'
    """
    return "x".join(map(str, shape))
