"""Totals of networks that are looked up, against those of networks that are built: 100 drawn spaces, and those at which
looking up was wrong once. `python -m tests.sweeping 1000` takes more."""

import math

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

from hypothesis import given

from gnet_inspect.errors import GnetError, UsageError
from gnet_inspect.language import parse_spec
from gnet_inspect.language.document import Value as Written
from gnet_inspect.search.counting import Counter
from gnet_inspect.search.template import MOST_STRUCTURES
from gnet_inspect.sources.spec.following import follow_edits
from gnet_inspect.sources.spec.overrides import parse_overrides
from tests.sweeping import ALL, Drawn, asked, check_totals, counted, examples, inputs_of, space_of, spaces

ROW = "name: drawn\ninput: [3, 16, 16]\n"


@examples(100)
@given(spaces())
def test_every_total_is_that_of_the_network_built_on_its_own(drawn: Drawn | None) -> None:
    """And what is looked up as no network is refused when it is built."""
    if drawn is not None:
        check_totals(drawn)


NESTED = (
    f"{ROW}params: {{outer: false, inner: false, c: 4}}\n"
    "blocks:\n"
    "  more: {layers: {a: {Conv2d: {out_channels: $c, kernel_size: 1}}, "
    "b: {Conv2d: {out_channels: 4, kernel_size: 1}, when: $inner}}}\n"
    "stages: {all: {x: {Conv2d: {out_channels: $c, kernel_size: 1}}, y: {more: {}, when: $outer}}}\n"
)
UNEVEN = (
    f"{ROW}"
    "stages:\n"
    "  all:\n"
    "    a: {Conv2d: {out_channels: 8, kernel_size: 3, padding: 1}}\n"
    "    pool: {MaxPool2d: {kernel_size: 2}}\n"
    "    b: {Conv2d: {out_channels: 8, kernel_size: 3, padding: same}}\n"
    "    up: {Upsample: {like: a}}\n"
    "    join: {concat: [{skip: {Identity: {}, from: a}}, {}]}\n"
    "    c: {Conv2d: {out_channels: 8, kernel_size: 3, stride: 2, padding: 1}}\n"
    "    d: {AdaptiveAvgPool2d: {output_size: 1}}\n"
)
TURNED = (
    "name: drawn\ninput: [8, 6, 23]\n"
    "stages:\n"
    "  all:\n"
    "    a: {Conv2d: {out_channels: 5, kernel_size: 5, padding: 2}}\n"
    "    b: {Conv2d: {out_channels: 6, kernel_size: [1, 3], padding: 1}}\n"
    "    turn: {Permute: {dims: [0, 2, 1, 3]}}\n"
    "    c: {AvgPool2d: {kernel_size: [1, 3]}}\n"
    "    d: {AdaptiveAvgPool2d: {output_size: 1}}\n"
)
GROUPED = (
    f"{ROW}params: {{c: 8}}\n"
    "stages:\n"
    "  all:\n"
    "    a: {Conv2d: {out_channels: $c, kernel_size: 3}}\n"
    "    b: {Conv2d: {out_channels: 4, kernel_size: 3, groups: 2}}\n"
)
REPLACED = (
    f"{ROW}params: {{c: 8}}\n"
    "stages:\n"
    "  all:\n"
    "    a: {Conv2d: {out_channels: $c, kernel_size: 3}}\n"
    "    b: {Conv2d: {out_channels: 4, kernel_size: 3}}\n"
)
OVER = (
    f"{ROW}stages:\n  all:\n    a: {{Conv2d: {{out_channels: 8, kernel_size: 1}}}}\n"
    "    b: {ReLU: {inplace: true}}\n    c: {Conv2d: {out_channels: 1, kernel_size: 3}}\n    n: BatchNorm2d\n"
)
RESIDUAL = f"{ROW}stages:\n  all:\n" + "".join(
    f"    a{at}: {{Conv2d: {{out_channels: 8, kernel_size: 1}}}}\n"
    f"    b{at}: {{add: [{{c{at}: {{Conv2d: {{out_channels: 8, kernel_size: 1}}}}}}, {{}}]}}\n"
    for at in range(3)
)
SEVERAL = (
    "name: drawn\ninputs: {image: [3, 8, 8], other: [3, 8, 8]}\n"
    "stages:\n"
    "  all:\n"
    "    a: {Conv2d: {out_channels: 4, kernel_size: 3}}\n"
    "    join: {concat: [{}, {b: {Conv2d: {out_channels: 4, kernel_size: 3}, from: other}}]}\n"
    "    c: {Conv2d: {out_channels: 4, kernel_size: 3}}\n"
    "outputs: {early: a}\n"
)


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        # A switch that only stands where another one is on.
        (NESTED, ((("outer",), ("true",)), (("inner",), ("true", "false")), (("c",), ("4", "8")))),
        (NESTED, ((("outer",), ("false", "true")), (("c",), ("4", "8")))),
        # A field that is seen unevenly goes on being so: it depends on what comes behind.
        (UNEVEN, ((("c.padding",), ("1", "3", "0")),)),
        (UNEVEN, ((("b.kernel_size",), ("1", "3", "5")), (("c.kernel_size",), ("3", "1", "5")))),
        # Axes that change their places.
        (TURNED, ((("b.stride",), ("[1, 1]", "[5, 5]")), (("input",), ("8x6x23", "8x6x32")))),
        (TURNED, ((("b.stride",), ("[1, 1]", "[3, 1]")), (("c.kernel_size",), ("[1, 3]", "[1, 5]", "[4, 1]")))),
        # What does not decide the field decides whether there is a network.
        (GROUPED, ((("c",), ("5", "16", "8")),)),
        (GROUPED, ((("c",), ("5", "16", "8")), (("b.kernel_size",), ("1", "3")))),
        # A value that an edit replaces is refused all the same.
        (REPLACED, ((("c",), ("0", "8")), (("a.out_channels",), ("4", "6")))),
        # First values that make no network, in several places at once.
        (
            RESIDUAL,
            tuple(((f"{name}.out_channels",), texts) for name, texts in (
                ("a0", ("8", "4")), ("c0", ("4", "8")), ("a1", ("8", "4")), ("c1", ("4", "8"))
            )),
        ),
        (REPLACED, ((("a.kernel_size",), ("x", "3")), (("b.kernel_size",), ("0", "1")))),
        # Lists, and true beside 1.
        (REPLACED, ((("a.kernel_size",), ("[1, 3]", "[3, 1]", "3")), (("a.padding",), ("1", "true")))),
        (SEVERAL, ((("a.kernel_size",), ("1", "3", "5")), (("b.kernel_size", "c.kernel_size"), ("3", "5")))),
        (SEVERAL, ((("image", "other"), ("8", "10")), (("a.out_channels",), ("4", "2")))),
(OVER, ((("b.inplace",), ("true", "false")), (("a.out_channels",), ("4", "8")))),
    ],
)  # fmt: skip
def test_spaces_that_were_wrong_once(text: str, choices: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]) -> None:
    counter = check_totals(Drawn(text, choices))
    assert counter is not None
    assert not counter.is_slow


def test_spaces_whose_networks_are_all_refused_say_why() -> None:
    for vary in ("a.kernel_size=x,0", "nothing.here=1,2", "a.out_channels=-1"):
        with pytest.raises(GnetError, match=vary.partition("=")[0].partition(".")[0]):
            Counter(space_of(parse_spec(REPLACED, "drawn.yaml"), [vary]), asked(ALL))


def test_too_many_structures_are_refused() -> None:
    """Each is a network of its own; nobody waits for all of them."""
    layers = "".join(f"    c{at}: {{Conv2d: {{out_channels: 4, kernel_size: 1}}, when: $s{at}}}\n" for at in range(12))
    text = f"{ROW}params: {{{', '.join(f's{at}: true' for at in range(12))}}}\nstages:\n  all:\n    a: ReLU\n{layers}"
    space = space_of(parse_spec(text, "drawn.yaml"), [f"s{at}=true,false" for at in range(12)])
    assert space.size > MOST_STRUCTURES
    with pytest.raises(UsageError, match="2,000 combinations of values that decide which layers there are"):
        Counter(space, asked(ALL))


def test_a_field_that_nobody_can_tell_meets_no_condition() -> None:
    text = f"{ROW}stages: {{all: {{a: {{Conv2d: {{out_channels: 4, kernel_size: 3}}}}}}}}\n"
    space = space_of(parse_spec(text, "drawn.yaml"), ["a.kernel_size=1,3,5"])
    counter = Counter(space, asked(where="receptive_field >= 3"))
    assert [row["receptive_field"] for row in counted(counter)[1]] == [3, 5]
    assert not any(math.isnan(row["receptive_field"]) for row in counted(counter)[1])


# --- what an edit reaches ---


@examples(100)
@given(spaces())
def test_an_edit_reaches_all_layers_that_it_changes(drawn: Drawn | None) -> None:
    """Where a value makes another layer of a node, its path is behind that node, or decides which layers there are."""
    if drawn is None:
        return
    spec = drawn.spec
    names = [value.name for value in spec.inputs]
    edits = [(paths, texts) for paths, texts in drawn.choices if paths[0] not in names]
    first = {path: texts[0] for paths, texts in edits for path in paths}
    try:
        followed = follow_edits(spec, inputs_of(spec), parsed(first), "eval")
    except GnetError:
        return
    for paths, texts in edits:
        for text in texts[1:]:
            try:
                other = follow_edits(spec, inputs_of(spec), parsed({**first, **dict.fromkeys(paths, text)}), "eval")
            except GnetError:
                continue
            layers = [(node.name, node.inputs) for node in followed.graph.nodes]
            if layers != [(node.name, node.inputs) for node in other.graph.nodes]:
                assert followed.structure.intersection(paths)
                continue
            for node, changed, behind in zip(followed.graph.nodes, other.graph.nodes, followed.behind, strict=True):
                if node.op != changed.op:
                    assert (behind | followed.structure).intersection(paths), (node.name, paths, text)


def parsed(edits: dict[str, str]) -> dict[str, Written]:
    return parse_overrides(f"{path}={text}" for path, text in edits.items())


def test_an_edit_of_one_layer_reaches_no_other() -> None:
    spec = parse_spec(REPLACED, "drawn.yaml")
    followed = follow_edits(spec, inputs_of(spec), parsed({"c": "4", "b.kernel_size": "1"}), "eval")
    assert [set(behind) for behind in followed.behind] == [{"c"}, {"b.kernel_size"}]
    assert not followed.structure
