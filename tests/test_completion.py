"""What an editor offers: every word that a spec of the catalogue has is offered where it stands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnet_inspect.language import spec_text
from gnet_inspect.language.completion import complete
from gnet_inspect.language.places import places_of
from gnet_inspect.language.schema import json_schema

# What a person calls as they like.
FREE = {"stages", "blocks", "params", "heads", "published"}
TEXT = spec_text("googlenet")[0].decode()


def offered(text: str) -> list[str]:
    """The labels at the `|` of a text."""
    return [option.label for option in complete(text.replace("|", "", 1), text.index("|")).options]


def inserted(text: str, label: str) -> str:
    """A text in which what is offered under a label is written at the `|`."""
    offset = text.index("|")
    found = complete(text.replace("|", "", 1), offset)
    (option,) = [option for option in found.options if option.label == label]
    return text[: offset - found.replaced] + option.insert + text[offset + 1 :]


HEAD = """name: x
input: [3, 32, 32]
params: {classes: 10}
blocks:
  b:
    params: [out, k]
    defaults: {k: 1}
    layers:
      c: {Conv2d: {out_channels: $out, kernel_size: $k}}
"""


@pytest.mark.parametrize(
    ("text", "has", "lacks"),
    [
        ("|", ["name", "stages", "input"], ["Conv2d"]),
        ("na|", ["name"], ["stages"]),
        ("name: x\n|", ["stages"], ["name"]),
        (f"{HEAD}stages:\n  main:\n    a: |", ["ReLU", "Conv2d", "b"], ["stages"]),
        (f"{HEAD}stages:\n  main:\n    a: {{|", ["Conv2d", "b", "concat", "repeat", "when"], ["name"]),
        (f"{HEAD}stages:\n  main:\n    a:\n      |", ["Conv2d", "b"], ["name"]),
        (f"{HEAD}stages:\n  main:\n    a: {{b: {{|", ["out", "k"], ["Conv2d", "stride"]),
        (f"{HEAD}stages:\n  main:\n    a: {{b: {{out: 3, |", ["k"], ["out"]),
        (f"{HEAD}stages:\n  main:\n    a: {{MaxPool2d: {{kernel_size: 3, |", ["stride", "ceil_mode"], ["kernel_size"]),
        (f"{HEAD}stages:\n  main:\n    a: {{MaxPool2d: {{ceil_mode: |", ["true", "false", "$classes"], ["$out"]),
        (f"{HEAD}stages:\n  main:\n    a: {{Linear: {{out_features: $|", ["$classes"], ["$out"]),
        ("blocks:\n  b:\n    params: [out]\n    layers:\n      c: {Conv2d: {out_channels: |", ["$out"], ["$classes"]),
        (f"{HEAD}stages:\n  main:\n    first: ReLU\n    a: {{from: |", ["first"], ["a"]),
        (f"{HEAD}stages:\n  main:\n    a:\n      concat:\n      - [|", ["ReLU", "b"], ["stages"]),
        (f"{HEAD}stages:\n  main:\n    a: {{Upsample: {{mode: |", ["nearest", "bilinear"], []),
    ],
)
def test_what_is_offered(text: str, has: list[str], lacks: list[str]) -> None:
    """In lines and in brackets, at the beginning of a value or of a key, in the middle of a word."""
    found = offered(text)
    assert set(has) <= set(found)
    assert not set(lacks) & set(found)


@pytest.mark.parametrize("text", ["# na|", "name: 'na|", '"na|'])
def test_nothing_is_offered_in_comments_and_quotes(text: str) -> None:
    """What stands there is nobody's word."""
    assert offered(text) == []


def test_a_layer_comes_with_the_arguments_it_must_be_given() -> None:
    """A block with those that have no default."""
    text = f"{HEAD}stages:\n  main:\n    a: |\n"
    assert inserted(text, "Linear").endswith("a: {Linear: {out_features: }}\n")
    assert inserted(text, "b").endswith("a: {b: {out: }}\n")
    assert inserted(text.replace("|", "Re|"), "ReLU").endswith("a: ReLU\n")


def known(path: str) -> bool:
    """Whether the key at a path is a word of the language: not a name, a block's argument, or what a paper says."""
    parts = path.split(".")
    if parts[0] in FREE:
        return len(parts) == 1 or (parts[0] == "stages" and len(parts) > 3) or (parts[0] == "blocks" and len(parts) > 4)
    return len(parts) == 1


@pytest.mark.parametrize("model", ["googlenet", "mobilenet_v3_large", "unet"])
def test_every_word_of_a_spec_is_offered_where_it_stands(model: str) -> None:
    """The text cut off right before a word of the schema: that word is among what may stand there."""
    text = spec_text(model)[0].decode()
    lines = text.split("\n")
    classes = set(json_schema()["definitions"]["layer"]["anyOf"][2]["properties"])
    checked = 0
    for path, written in places_of(text).items():
        word = path.rpartition(".")[2]
        if written.key is None or word not in classes | {"name", "input", "stages", "blocks"} or not known(path):
            continue
        before = "\n".join([*lines[: written.key.line - 1], lines[written.key.line - 1][: written.key.column - 1]])
        assert word in offered(f"{before}|"), f"{word} on line {written.key.line}"
        checked += 1
        if checked == 60:
            break
    assert checked > 12


@given(st.integers(0, len(TEXT)))
@settings(max_examples=150)
def test_anywhere_in_a_spec_the_answer_is_bounded(offset: int) -> None:
    """Also of a text that ends there, and of one that is torn there."""
    for text in (TEXT, TEXT[:offset], TEXT[offset:]):
        found = complete(text, min(offset, len(text)))
        assert len(found.options) <= 400
        assert found.replaced <= offset


@given(st.text(max_size=60))
@settings(max_examples=150)
def test_any_text_is_answered(text: str) -> None:
    """What nobody would take for a spec, too."""
    complete(text, len(text))
