"""Where values of a document are written: cut out of the text they are what the reader read."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gnet_inspect.language import catalogue, spec_text
from gnet_inspect.language.document import Value, read_document
from gnet_inspect.language.places import Place, Written, places_of


def text_of(model: str) -> str:
    return spec_text(model)[0].decode()


def cut(text: str, place: Place) -> str:
    """What stands at a place."""
    lines = text.split("\n")
    if place.line == place.end_line:
        return lines[place.line - 1][place.column - 1 : place.end_column - 1]
    first, last = lines[place.line - 1][place.column - 1 :], lines[place.end_line - 1][: place.end_column - 1]
    return "\n".join([first, *lines[place.line : place.end_line - 1], last])


def scalars(value: Value, path: str = "") -> dict[str, Value]:
    """Every scalar by its path as it is reached from the top."""
    if isinstance(value.data, dict):
        return {k: v for key, item in value.data.items() for k, v in scalars(item, item.path).items()}
    if isinstance(value.data, list):
        return {k: v for item in value.data for k, v in scalars(item, item.path).items()}
    return {path or value.path: value}


@pytest.mark.parametrize("model", catalogue())
def test_every_value_stands_where_it_is_said_to_stand(model: str) -> None:
    """Cut out and read by itself, each scalar is itself; its line is the reader's."""
    text = text_of(model)
    found = places_of(text)
    read = scalars(read_document(text, model))
    assert read.keys() <= found.keys()
    for path, value in read.items():
        written = found[path]
        piece = cut(text, written.value)
        if "\n" not in piece and not piece.startswith("*"):
            assert yaml.safe_load(piece.partition(" #")[0] if piece[:1] not in "'\"" else piece) == yaml.safe_load(
                written.text if piece[:1] not in "'\"" else piece
            )
            assert piece == written.text or piece[:1] in "'\""
        assert (written.key or written.value).line == value.line or value.line is None
        if written.key is not None:
            assert path.endswith(cut(text, written.key))


NAMES = st.text("abc", min_size=1, max_size=3)
SCALARS = st.one_of(st.integers(0, 999).map(str), NAMES)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3), st.booleans(), st.data())
@settings(max_examples=200)
def test_writing_in_a_place_changes_that_value_alone(tree: dict[str, object], flow: bool, data: st.DataObject) -> None:
    """In lines and in brackets, with characters of several bytes in front."""
    text = "# é𝄞\n" + yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False, width=60)
    found = {path: written for path, written in places_of(text).items() if written.is_scalar}
    path = data.draw(st.sampled_from(sorted(found)))
    place = found[path].value
    lines = text.split("\n")
    line = lines[place.line - 1]
    lines[place.line - 1] = line[: place.column - 1] + "12345" + line[place.end_column - 1 :]
    before, after = scalars(read_document(text, "t")), scalars(read_document("\n".join(lines), "t"))
    assert before.keys() == after.keys()
    assert {key for key in before if before[key].data != after[key].data} == {path}
    assert after[path].data == 12345


def test_an_anchor_is_no_part_of_what_it_marks() -> None:
    """It stays where another number is written."""
    assert places_of("# é𝄞\na: &w  64\nb: [*w]\n")["a"].value == Place(2, 8, 2, 10)


def test_an_alias_has_a_place_of_its_own() -> None:
    """And what it stands for that of its anchor."""
    found = places_of("a: &x {b: 1}\nc: *x\n")
    assert found["c"] == Written(Place(2, 1, 2, 2), Place(2, 4, 2, 6))
    assert found["a.b"].value == Place(1, 11, 1, 12)
    assert "c.b" not in found


def test_of_a_broken_text_what_stands_before_the_mistake() -> None:
    """No error: whoever reads it says what is wrong."""
    found = places_of("a: 1\nb: [2, {\n")
    assert found["a"].text == "1"
    assert places_of("\x00") == {}
    assert places_of("") == {}


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "[" * 5000, "- - - - 1\n", "a: !!int 1\n", "--- a\n--- b\n"])
def test_strange_texts_end(text: str) -> None:
    """Keys that are lists, depth without an end, several documents."""
    assert all(re.fullmatch(r"[\w.]*", path) for path in places_of(text))
