"""Work is bounded: linear in what a spec holds, and refused beyond a bound that the refusal names.

Growth is counted in lines of Python that run, not timed: from n to 2n and from 2n to 4n of each quantity that a spec
can have many of (tests/hostile.py), so that no machine is too slow for these tests.
"""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from gnet_inspect.analysis import alignment, difference
from gnet_inspect.analysis.audit import MOST_COVERED, audit, check_published
from gnet_inspect.analysis.comparison import compare_models
from gnet_inspect.analysis.conventions import count_flops
from gnet_inspect.analysis.difference import difference as compared
from gnet_inspect.analysis.summary import Summary, summarize
from gnet_inspect.authoring.spec_text import spec_text
from gnet_inspect.authoring.writing import write_program
from gnet_inspect.errors import CannotWriteError, SpecError, UsageError
from gnet_inspect.graph import Graph, Group, Value
from gnet_inspect.graph.outline import Outline
from gnet_inspect.language import Spec, load_spec, parse_spec
from gnet_inspect.language.document import MAX_BYTES
from gnet_inspect.language.layers import MAX_DEMANDS
from gnet_inspect.records.timing import MAX_RECORD_BYTES, read_record
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.sources.spec.expand import MAX_CHARACTERS, MAX_NODES, MAX_PLACES, MAX_STEPS, Expander
from gnet_inspect.sources.spec.overrides import Edits
from gnet_inspect.views.drawing.diagram import Options, drawing_of
from gnet_inspect.views.drawing.dot import Style, draw_dot
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.json import draw_json
from gnet_inspect.views.tables.summary import Selection, summary_grid
from tests.conftest import Run
from tests.hostile import FAMILIES, REFUSED
from tests.work import lines_run

FEW = 48
# Twice as much for twice the size is linear; a sort adds a little.
GROWTH = 2.2
# The families whose size is a product of two of their numbers; the product has a bound of its own.
PRODUCTS = {
    "work_behind_nested_blocks": f"at most {MAX_STEPS:,} steps",
    "long_arguments_of_many_calls": f"at most {MAX_STEPS:,} steps",
    "published_entries": f"at most {MOST_COVERED:,} layers together",
    "rows_of_one_list": f"at most {MOST_COVERED:,} layers together",
    "rows_of_different_sets": f"at most {MOST_COVERED:,} layers together",
    "depths_of_one_list": f"at most {MOST_COVERED:,} layers together",
    "calls_that_double": f"at most {MAX_PLACES:,} blocks",
    "kinds_that_double": f"demand at most {MAX_DEMANDS} things",
}


def graphs(spec: Spec) -> tuple[Graph, Graph]:
    """Without heads, and with them."""
    whole = build_graph(spec, mode="train")
    return (build_graph(spec) if spec.heads else whole), whole


def written(graph: Graph) -> str:
    """A network written down, or why it cannot be."""
    try:
        return spec_text(write_program(graph, "many"))
    except CannotWriteError as error:
        return str(error)


def drawn(graph: Graph, summary: Summary, options: Options) -> str:
    return draw_dot(drawing_of(graph, summary, options), Style())


def every_command(text: str, other: str) -> dict[str, Callable[[], object]]:
    """What the static commands do, each a piece of work of its own; the first of them reads the spec."""
    try:
        spec, changed = parse_spec(text), parse_spec(other)
        graph, whole = graphs(spec)
        second = graphs(changed)[0]
        check_published(spec, whole)
    except SpecError:
        return {"validate": lambda: refused(text)}
    summary = summarize(whole)
    flops = count_flops(graph)
    rows = Selection(depth="layer")
    work: dict[str, Callable[[], object]] = {
        "validate": lambda: check_published(spec, graphs(parse_spec(text))[1]),
        "summary": lambda: draw_text(summary_grid(summarize(whole), whole, rows)),
        "json": lambda: draw_json(summary),
        "compare": lambda: draw_json(
            compare_models([(spec, graph), (changed, second)], "fp32", diff=False, names=["a", "b"])
        ),
        "diff": lambda: draw_json(compared(graph, second)),
        "flops": lambda: count_flops(graph),
        "flops as json": lambda: draw_json(flops),
        "verify": lambda: draw_json(audit(spec)),
        "import": lambda: written(graph),
    }
    for options in (Options("stage"), Options("layer"), Options("block", collapse=True)):
        work[f"diagram {options}"] = partial(drawn, whole, summary, options)
    return work


def refused(text: str) -> str:
    """The error a text is answered with."""
    try:
        spec = parse_spec(text)
        check_published(spec, graphs(spec)[1])
        audit(spec)
    except SpecError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_has_a_bound_of_its_own(name: str) -> None:
    """That it grows with, and is refused beyond."""
    for power in range(6, 16):
        message = refused(FAMILIES[name](2**power))
        if PRODUCTS[name] in message:
            return
    pytest.fail(message or "nothing was refused")


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - PRODUCTS.keys()))
def test_work_grows_as_the_spec_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every quantity, at n, 2n and 4n: four times as much more work would be a square."""
    # Alignments are squares up to a fixed amount of work: here they may have next to none.
    monkeypatch.setattr(difference, "MOST_CELLS", 50)
    monkeypatch.setattr(alignment, "MOST_CELLS", 50)
    counts: dict[str, list[int]] = {}
    for n in (1, FEW, 2 * FEW, 4 * FEW):
        # The first time imports modules, and fills what is kept for good.
        for command, work in every_command(FAMILIES[name](n), FAMILIES[name](n - n // 8)).items():
            counts.setdefault(command, []).append(lines_run(work))
    for command, (*_, few, twice, four_times) in counts.items():
        assert four_times - twice <= GROWTH * (twice - few) + 2_000, (command, few, twice, four_times)


def test_a_square_would_be_seen() -> None:
    """The measure itself: a search in a list for each of its members."""

    def search(n: int) -> int:
        found = 0
        for one in range(n):
            for other in range(n):
                found += one == other
        return found

    few, twice, four_times = (lines_run(lambda n=n: search(n)) for n in (FEW, 2 * FEW, 4 * FEW))  # type: ignore[misc]
    assert four_times - twice > GROWTH * (twice - few) + 2_000


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_refused_in_a_short_sentence(name: str) -> None:
    """However much of it there is."""
    message = refused(FAMILIES[name](2_000))
    assert message.startswith("spec")
    assert "expected" in message
    assert len(message) < 3_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FAMILIES["nesting"](MAX_PLACES // 20), rf"at most {MAX_PLACES:,} blocks, lists and branches together"),
        (
            FAMILIES["nesting_of_long_names"](MAX_CHARACTERS // 1_500),
            rf"names of at most {MAX_CHARACTERS:,} characters",
        ),
        (FAMILIES["repeats"](MAX_NODES + 1), rf"a network of at most {MAX_NODES:,} layers"),
        (FAMILIES["work_behind_nested_blocks"](1_500), rf"at most {MAX_STEPS:,} steps"),
        (FAMILIES["directives"](1_000), "at most 100 lines that begin with %"),
        (FAMILIES["rows_of_a_shared_note"](10_000), rf"at most {MAX_BYTES:,} characters in a document"),
        (FAMILIES["kinds_that_double"](2**40), rf"demand at most {MAX_DEMANDS} things"),
        (FAMILIES["claims"](10_001), "at most 10,000 published rows and claims"),
        (FAMILIES["rows_of_one_list"](2_000), r"rows and totals that cover at most 1,000,000 layers together"),
    ],
)
def test_each_bound_is_named(text: str, message: str) -> None:
    """A refusal says which bound was met."""
    assert re.search(message, refused(text))


def test_bindings_are_shared_by_calls_of_equal_arguments() -> None:
    """A thousand defaults behind twelve levels of blocks that each call the next twice are bound once."""
    spec = parse_spec(DOUBLING)
    graph = build_graph(spec)
    assert len(graph.nodes) == 4096
    assert len(blocks_of(graph)) == 8191
    templates = {id(group.template) for group in blocks_of(graph) if group.kind == "b12"}
    arguments = {id(group.arguments) for group in blocks_of(graph) if group.kind == "b12"}
    assert len(templates) == len(arguments) == 1


DEFAULTS = [f"q{i}" for i in range(1_000)]
DOUBLING = (
    "name: doubling\ninput: [8, 16, 16]\nparams: {off: false}\nblocks:\n"
    + "".join(
        f"  b{k}: {{params: [c], layers: [{{b{k + 1}: {{c: $c}}}}, {{b{k + 1}: {{c: $c}}}}]}}\n" for k in range(12)
    )
    + f"  b12: {{params: [c, {', '.join(DEFAULTS)}], defaults: {{{', '.join(f'{q}: 0.5' for q in DEFAULTS)}}}, layers: "
    + "{conv: {Conv2d: {out_channels: $c, kernel_size: 1}}, "
    + f"never: {{ChannelAffine: {{scale: [{', '.join(f'${q}' for q in DEFAULTS)}], shift: [0]}}, when: $off}}}}}}\n"
    + "stages: {body: {l: {b0: {c: 8}}}}\n"
)


def blocks_of(graph: Graph) -> list[Group]:
    """All of them, outer ones first."""
    return [entry.part for entry in Outline(graph).entries if entry.part and entry.role == "block"]


@pytest.mark.parametrize("kind", ["record", "spec", "device"])
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_file_without_an_end_is_refused(kind: str, run: Run) -> None:
    """What has no size to ask for is read as far as the bound, and answered in a sentence."""
    arguments = {
        "record": ["diagram", "lenet5", "--color", "time", "--latency", "/dev/zero"],
        "spec": ["summary", "/dev/zero"],
        "device": ["roofline", "lenet5", "--on", "/dev/zero"],
    }[kind]
    result = run(*arguments)
    most = MAX_RECORD_BYTES if kind == "record" else MAX_BYTES
    assert result.code == 2
    assert f"expected at most {most:,} bytes, got more" in result.err


def test_a_pipe_is_read_as_far_as_the_bound(tmp_path: Path) -> None:
    """A record may come from another program; one that never stops writing is not listened to for ever."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for text, message in ((b'{"results": []}', None), (b" " * (MAX_RECORD_BYTES + 1), "at most 32,000,000 bytes")):
        writer = Thread(target=lambda text=text: path.write_bytes(text))
        writer.start()
        if message is None:
            assert read_record(path).results == ()
        else:
            with pytest.raises(UsageError, match=message):
                read_record(path)
        writer.join()


def test_catalogue_models_are_far_below_every_bound() -> None:
    """A bound that a real network comes near would be in somebody's way."""
    for name in ("inception_resnet_v2", "resnet152", "googlenet"):
        spec = load_spec(name)
        expansion = Expander(spec, [Value("input", (1, *spec.input))], Edits(spec, {}), "train")
        expansion.graph()
        assert 50 * len(expansion.maker.nodes) < MAX_NODES
        assert 50 * expansion.steps < MAX_STEPS
        assert 50 * expansion.places < MAX_PLACES
        assert 50 * expansion.characters < MAX_CHARACTERS
