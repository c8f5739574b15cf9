"""What an editor is told of a text: mistakes at their places, what an edit changed, and where arguments are written."""

import shlex
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnet_inspect.editing.changes import edits_between, mark_changes, measure_changes
from gnet_inspect.editing.revision import Mistake, Revision, Setting, mistake_in, read_revision
from gnet_inspect.editing.slots import Slot, find_part, part_at, part_of_layers
from gnet_inspect.errors import GnetError
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language import catalogue, spec_text
from gnet_inspect.language.places import Place
from tests.conftest import Run
from tests.test_places import cut

GOOGLENET = spec_text("googlenet")[0].decode()
HERE = Setting()


@cache
def revision_of(model: str) -> Revision:
    return read_revision(spec_text(model)[0].decode(), f"{model}.yaml", HERE)


def edited(text: str, *pairs: tuple[str, str]) -> Revision:
    """A text in which each first of a pair, which is there once, is the second."""
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return read_revision(text, "t.yaml", HERE)


def written(text: str, place: Place, new: str) -> str:
    """A text with something else at a place of one line."""
    lines = text.split("\n")
    line = lines[place.line - 1]
    lines[place.line - 1] = line[: place.column - 1] + new + line[place.end_column - 1 :]
    return "\n".join(lines)


def slots(revision: Revision, path: str) -> dict[str, Slot]:
    part = find_part(revision, path)
    assert part is not None
    return {slot.label: slot for slot in part.slots}


# --- mistakes ---


@pytest.mark.parametrize(
    ("old", "new", "marked"),
    [
        ("c2: [ 96, 128]", "c2: [ 96]", "c2: [ 96]"),
        ("c2: [ 96, 128]", "c2: [ 96, -1]", "c2: [ 96, -1]"),
        ("inception4a: {inception:", "inception4a: {incption:", None),
        ("input: [3, 224, 224]", "input: [3, 224, x]", "input: [3, 224, x]"),
        ("name: googlenet\n", "nmae: googlenet\n", "nmae: googlenet"),
        ("maxpool3: {MaxPool2d", "maxpool3: {{MaxPool2d", None),
        ("classes: 1000}", "classes: 1000", None),
        ("year: 2014", "year: 2014\nyear: 2015", "year: 2015"),
    ],
)
def test_a_mistake_is_marked_where_it_is(old: str, new: str, marked: str | None) -> None:
    """The value that is wrong; where there is none, a stretch of the line that the error names."""
    text = GOOGLENET.replace(old, new, 1)
    with pytest.raises(GnetError) as caught:
        read_revision(text, "t.yaml", HERE)
    mistake = mistake_in(text, caught.value)
    assert mistake.place is not None
    assert mistake.fact in str(caught.value)
    assert mistake.place.line == caught.value.line  # type: ignore[attr-defined]  # a SpecError
    found = cut(text, mistake.place)
    assert found.strip()
    if marked is not None:
        assert found == marked


def test_a_mistake_of_no_place_has_none() -> None:
    """Such as an input that the command line asks for."""
    with pytest.raises(GnetError) as caught:
        read_revision(GOOGLENET, "t.yaml", Setting((("input", (1, 3, 224)),)))
    assert mistake_in(GOOGLENET, caught.value) == Mistake(str(caught.value))


@given(
    st.integers(0, len(GOOGLENET)),
    st.integers(0, 40),
    st.sampled_from(["", "{", "]", ": ", "\t", "x", "\n", "'", "$", "é"]),
)
@settings(max_examples=120)
def test_any_torn_text_is_a_network_or_a_mistake_within_it(start: int, length: int, put: str) -> None:
    """A stretch taken out, something else put in: the place is one of the text's."""
    text = GOOGLENET[:start] + put + GOOGLENET[start + length :]
    try:
        read_revision(text, "t.yaml", HERE)
    except GnetError as error:
        place = mistake_in(text, error).place
        if place is not None:
            lines = text.split("\n")
            assert 1 <= place.line <= place.end_line <= len(lines)
            assert 1 <= place.column <= len(lines[place.line - 1]) + 1
            assert (place.line, place.column) <= (place.end_line, place.end_column)


# --- what an edit changed ---


def test_totals_beside_those_of_the_start() -> None:
    """c2.1 of inception3a from 128 to 129, by hand: a 3x3 filter over 96 maps with its bias here, and 1x1 filters of
    the four branches of inception3b over one map more."""
    start = revision_of("googlenet")
    now = edited(GOOGLENET, ("c1:  64, c2: [ 96, 128]", "c1:  64, c2: [ 96, 129]"))
    measures = {measure.key: measure for measure in measure_changes(start.summary, now.summary)}
    here, behind = 9 * 96, 128 + 128 + 32 + 64
    params, macs = measures["params"], measures["macs"]
    assert params.after is not None
    assert params.before is not None
    assert params.after[0] - params.before[0] == here + 1 + behind
    assert macs.after is not None
    assert macs.before is not None
    assert macs.after[0] - macs.before[0] == (here + behind) * 28 * 28
    assert measures["receptive_field"].before == measures["receptive_field"].after == (907, 907)
    assert {key for key, measure in measures.items() if measure.status != "exact"} == set()


def test_what_is_changed_and_what_is_affected() -> None:
    """The convolution itself; and what reads other shapes because of it, up to where they are the same again."""
    start = revision_of("googlenet")
    now = edited(GOOGLENET, ("c1:  64, c2: [ 96, 128]", "c1:  64, c2: [ 96, 129]"))
    marks = mark_changes(start, now).layers
    assert [name for name, mark in marks.items() if mark == "changed"] == ["inception3a.branch2.1.conv"]
    others = [name for name, mark in marks.items() if mark == "affected"]
    assert {name.partition(".")[0] for name in others} == {"inception3a", "inception3b"}
    assert mark_changes(start, start).layers == {}


def test_what_is_new_is_marked_as_new() -> None:
    """A layer between others, and a block at the end of a stage."""
    start = revision_of("googlenet")
    block = "    inception3c: {inception: {c1: 128, c2: [128, 192], c3: [32,  96], c4:  64}}\n"
    now = edited(GOOGLENET, ("    maxpool3: {MaxPool2d", f"{block}    maxpool3: {{MaxPool2d"))
    marked = mark_changes(start, now)
    assert {name.partition(".")[0] for name, mark in marked.layers.items() if mark == "added"} == {"inception3c"}
    assert len([mark for mark in marked.layers.values() if mark == "added"]) == 14
    gone = mark_changes(now, start)
    assert [change.name for change in gone.changes if change.status == "removed"] == ["inception3c"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), {}),
        ((("classes: 1000", "classes: 10"),), {"classes": "10"}),
        ((("c1:  64, c2: [ 96, 128]", "c1:  64, c2: [ 96, 130]"),), {"inception3a.c2.1": "130"}),
        ((("dropout: {Dropout: {p: 0.4}}", "dropout: {Dropout: {p: 0.2}}"),), {"dropout.p": "0.2"}),
        # A default of a block that is called at many places, and lines that are new.
        ((("kernel: 5, padding: 2", "kernel: 3, padding: 1"),), None),
        ((("    dropout: {Dropout: {p: 0.4}}\n", ""),), None),
        ((("    flatten: Flatten\n    fc", "    flatten: Flatten\n    more: ReLU\n    fc"),), None),
    ],
)
def test_the_flags_that_say_the_same(pairs: tuple[tuple[str, str], ...], expected: dict[str, str] | None) -> None:
    """As --set takes them; None where they cannot say it."""
    start = revision_of("googlenet")
    assert edits_between(start, edited(GOOGLENET, *pairs), HERE) == expected


def test_the_flags_make_the_same_totals(run: Run) -> None:
    """On the command line."""
    now = edited(GOOGLENET, ("classes: 1000", "classes: 7"), ("c3: [16,  32], c4:  32", "c3: [24,  40], c4:  48"))
    flags = edits_between(revision_of("googlenet"), now, HERE)
    assert flags is not None
    words = shlex.split(shlex.join(word for path, text in flags.items() for word in ("--set", f"{path}={text}")))
    result = run("summary", "googlenet", *words)
    assert f"{now.summary.totals.params:,}" in result.out
    assert f"{now.summary.totals.macs:,}" in result.out


# --- arguments ---


@pytest.mark.parametrize("model", catalogue())
def test_a_number_written_in_its_place_is_that_argument(model: str) -> None:
    """Of the first parts of each kind: the argument is another one then, the text is otherwise as it was, and what
    says that it reaches one part alone changes no other."""
    start = revision_of(model)
    kinds: dict[str, str] = {}
    for entry in Outline(start.graph).entries:
        if entry.role in ("block", "layer"):
            kinds.setdefault(entry.kind, entry.name)
    checked = 0
    for path in [*kinds.values()][:6]:
        for label, slot in [*slots(start, path).items()][:4]:
            if slot.kind != "integer":
                continue
            assert cut(start.text, slot.place) == slot.text
            new = str(int(slot.text) + 1)
            text = written(start.text, slot.place, new)
            assert len(text) == len(start.text) + len(new) - len(slot.text)
            try:
                now = read_revision(text, "t.yaml", HERE)
            except GnetError:
                continue  # such as groups that do not divide the channels any more
            assert slots(now, path)[label].text == new
            checked += 1
    assert checked or model == "lenet5"


def test_arguments_are_followed_to_where_they_are_written() -> None:
    """Through the call of the block around it, a block's default, and a parameter of the model."""
    start = revision_of("googlenet")
    own = slots(start, "inception3a")
    assert [(slot.label, slot.text, slot.uses, slot.where) for slot in own.values()] == [
        ("c1", "64", 1, ""),
        ("c2.0", "96", 1, ""),
        ("c2.1", "128", 1, ""),
        ("c3.0", "16", 1, ""),
        ("c3.1", "32", 1, ""),
        ("c4", "32", 1, ""),
    ]
    inner = slots(start, "inception3a.branch2.1.conv")
    assert inner["out_channels"].place == own["c2.1"].place
    assert inner["out_channels"].where == "given to inception3a"
    # A 3x3 kernel is written in the block, once for its nine calls.
    assert (inner["kernel_size"].text, inner["kernel_size"].uses) == ("3", 9)
    assert inner["stride"].where == "a default of conv"
    assert inner["stride"].uses == sum(
        "stride" not in getattr(layer, "arguments", {})
        for layer in start.calls.values()
        if getattr(layer, "name", "") == "conv" and getattr(layer, "is_block", False)
    )
    (classes,) = slots(start, "fc").values()
    assert (classes.text, classes.where) == ("1000", "a parameter of the model")
    assert slots(start, "maxpool3")["ceil_mode"].kind == "flag"
    assert slots(start, "dropout")["p"].kind == "number"
    assert (own["c1"].least, inner["padding"].least) == (1, 0)


def test_arithmetic_shows_what_it_reads() -> None:
    """A width that is computed cannot be stepped, its parameter can."""
    text = (
        "name: t\ninput: [3, 8, 8]\nparams: {width: 4}\nstages:\n  main:\n"
        "    a: {Conv2d: {out_channels: $width * 2, kernel_size: [1, $width]}}\n"
    )
    found = slots(read_revision(text, "t.yaml", HERE), "a")
    assert {label: slot.text for label, slot in found.items()} == {
        "out_channels by $width": "4",
        "kernel_size.0": "1",
        "kernel_size.1": "4",
    }


def test_a_default_is_followed_like_what_is_given() -> None:
    """Into its list, and to the parameter of the model that it reads."""
    text = (
        "name: t\ninput: [3, 8, 8]\nparams: {width: 4}\nblocks:\n  b:\n    params: [out, kernel]\n"
        "    defaults: {out: $width, kernel: [1, 3]}\n    layers:\n"
        "      conv: {Conv2d: {out_channels: $out, kernel_size: $kernel}}\n"
        "stages:\n  main:\n    one: b\n    two: b\n"
    )
    revision = read_revision(text, "t.yaml", HERE)
    for found in (slots(revision, "one"), slots(revision, "one.conv")):
        assert [slot.text for slot in found.values()] == ["4", "1", "3"]
        assert [slot.uses for slot in found.values()] == [1, 2, 2]
        assert next(iter(found.values())).where == "a parameter of the model"


def test_a_repeated_layer_is_written_once() -> None:
    """And says how many copies read that."""
    text = (
        "name: t\ninput: [3, 8, 8]\nstages:\n  main:\n    a:\n"
        "      - repeat: {times: 5, layer: {Conv2d: {out_channels: 3, kernel_size: 1}}}\n"
    )
    assert slots(read_revision(text, "t.yaml", HERE), "a.2")["out_channels"].uses == 5


@pytest.mark.parametrize("model", ["googlenet", "resnet50", "unet", "densenet121", "mobilenet_v3_large"])
def test_parts_are_found_by_their_layers_and_by_their_place(model: str) -> None:
    """Each block and layer by exactly its layers; what is written on a line by a place on it."""
    start = revision_of(model)
    for entry in Outline(start.graph).entries:
        if entry.role not in ("block", "layer"):
            continue
        found = part_of_layers(start, entry.indices)
        assert find_part(start, found).layers == tuple(entry.indices)  # type: ignore[union-attr]  # it is there
    for path in [path for path in start.calls if "." not in path]:
        part = find_part(start, path)
        if part is not None and part.place is not None:
            assert part_at(start, part.place.line, part.place.column).partition(".")[0] == path


def test_what_is_no_part_is_none() -> None:
    """A comment, a path of nobody, layers of nobody."""
    start = revision_of("googlenet")
    assert part_at(start, 1, 5) == ""
    assert find_part(start, "inception9z") is None
    assert part_of_layers(start, []) == ""
