"""YAML as data from strangers: 1.2 scalars, bounded size and nesting, nothing obeyed."""

import pytest

from gnet_inspect.errors import SpecError
from gnet_inspect.language.document import MAX_BYTES, MAX_DEPTH, plain_value, read_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("012", 12),
        ("0x10", 16),
        ("0o17", 15),
        ("+3", 3),
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("2026-11-22", "2026-11-22"),
        ("12:30", "12:30"),
        ("true", True),
        ("'true'", "true"),
        ("~", None),
        ("[1, [2], {a: 3}]", [1, [2], {"a": 3}]),
        ("2.7K", "2.7K"),
    ],
)
def test_scalars_are_yaml_1_2(text: str, value: object) -> None:
    """What YAML 1.1 would turn into dates, octals and booleans stays what it looks like."""
    found = read_document(text, "f").plain()
    assert found == value
    assert type(found) is type(value)


def test_lines_and_paths() -> None:
    """Every value knows its line (its key's, in a mapping) and its path."""
    document = read_document("a:\n  b:\n    - 1\n    - c: 2\n", "f")
    inner = document.data["a"].data["b"]
    assert (inner.line, inner.path) == (2, "a.b")
    assert (inner.data[1].data["c"].line, inner.data[1].data["c"].path) == (4, "a.b.1.c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"f:1: expected a spec, got an empty document"),
        (b"a: 1\nb: 2\na: 3\n", r"f:3: `a`: expected each key once, got `a` again \(first on line 1\)"),
        (b"a: !!python/name:os.system x", r"f:1: `a`: expected plain data, got the tag"),
        (b"a: !thing x", r"got the tag '!thing'"),
        (b"--- 1\n--- 2\n", r"f:2: expected one YAML document, got a second one"),
        (b"a: [1", r"f:1: expected valid YAML, got: .* while parsing a flow sequence that begins on line 1"),
        (b"a: \xff", r"f:1: expected UTF-8 text, got the byte 0xff"),
        (b"a: 1\nb: \x07", r"f:2: expected printable text, got the character '\\x07'"),
        (b"? [1]\n: 2", r"expected a name as the key"),
        (b"a: 1e999", r"`a`: expected a finite number, got 1e999"),
        (b"a: " + b"9" * 30, r"expected a number of at most 19 digits, got 30"),
        (b"a: &x [*x]", r"expected an anchor defined above, got \*x, inside itself"),
        (b"a: *x", r"expected an anchor defined above, got \*x, nowhere defined above"),
        (b"[" * 100_000, rf"expected at most {MAX_DEPTH} levels of nesting"),
        (b"{a: " * 100_000, rf"expected at most {MAX_DEPTH} levels of nesting"),
        (b"a: 1 #" + b"x" * MAX_BYTES, r"expected at most 2,000,000 bytes, got more"),
        (b"- " * 1 + b"\n- 1" * 250_000, r"expected at most 200,000 values"),
    ],
)
def test_bad_yaml_is_answered_with_its_line(text: bytes, message: str) -> None:
    """Nothing in a file of a stranger's can do more than be refused."""
    with pytest.raises(SpecError, match=message):
        read_document(text, "f")


def test_aliases_count_as_often_as_they_are_used() -> None:
    """A billion laughs are refused by count, a ladder of nested aliases by depth."""
    laughs = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(SpecError, match=r"at most 200,000 values"):
        read_document(laughs, "f")
    ladder = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [[[[[*a{i - 1}]]]]]\n" for i in range(1, 40))
    with pytest.raises(SpecError, match=rf"at most {MAX_DEPTH} levels"):
        read_document(ladder, "f")


def test_an_alias_is_its_anchors_value() -> None:
    """Anchors and aliases work as YAML has them."""
    assert read_document("a: &x {b: 1}\nc: *x\n", "f").plain() == {"a": {"b": 1}, "c": {"b": 1}}


def test_python_values_become_values_or_a_type_error() -> None:
    """What an override from Python may be."""
    assert plain_value({"Conv2d": {"kernel_size": (1, 3)}}, "p").plain() == {"Conv2d": {"kernel_size": [1, 3]}}
    with pytest.raises(TypeError, match="a object is no number"):
        plain_value(object(), "p")
    with pytest.raises(TypeError, match="keys must be strings"):
        plain_value({1: 2}, "p")
