"""Drawings that no network made: boxes, frames and wires of every form, for tests of how they are placed."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from gnet_inspect.units import dimensions
from gnet_inspect.views.drawing.diagram import Box, Drawing, Frame, Wire

KINDS = ("convolution", "pooling", "linear", "movement", "other layer", "merge")
SHAPES = ((1, 64, 56, 56), (1, 256, 28, 28), (1, 1024, 7, 7), (1, 1000), (1, 8, 112, 112))
NAMES = ("conv", "branch3x3_reduce", "b", "features.denseblock1.denselayer12")

Edge = tuple[int, int]


def box_of(number: int, role: str = "layer", kind: str = "convolution", sign: str = "", times: int = 1) -> Box:
    """A box whose words and shape follow from its number."""
    name = f"{NAMES[number % len(NAMES)]}{number}"
    return Box(
        f"b{number}",
        name,
        f"{name} to {name}" if times > 1 else name,
        "Conv2d 3x3, 64 + BN",
        sign or ("Conv2d 3x3, 64", "concat", "MaxPool2d 3x3/2, ceil")[number % 3],
        ("ReLU",) if number % 2 else (),
        sign,
        ("36.93 k params", "115.61 M MACs")[: number % 3],
        f"{name}: what it has",
        role,
        kind,
        1,
        1,
        4,
        SHAPES[number * 7 // 3 % len(SHAPES)],
        (name,),
        times,
    )


def drawing_from(
    boxes: Sequence[Box],
    edges: Iterable[Edge],
    frames: Sequence[tuple[int, int]] = (),
    inputs: Iterable[tuple[str, int]] = (),
    outputs: Iterable[tuple[int, str]] = (),
) -> Drawing:
    """A drawing of boxes. `frames` are runs of boxes, nested or apart, with outer ones first."""
    wires = {(name, boxes[head].key): "3x224x224" for name, head in inputs}
    wires |= {(boxes[tail].key, boxes[head].key): dimensions(boxes[tail].output[1:]) for tail, head in edges}
    wires |= {(boxes[tail].key, name): dimensions(boxes[tail].output[1:]) for tail, name in outputs}
    return Drawing(
        "Drawn",
        "drawn, input 1x3x224x224, eval mode: 1 params, 1 MACs",
        _members(boxes, 0, len(boxes), list(frames), [0]),
        tuple(Wire(tail, head, label, f"{tail} to {head}") for (tail, head), label in wires.items()),
        tuple(dict.fromkeys(name for name, _ in inputs)),
    )


def _members(
    boxes: Sequence[Box], start: int, stop: int, frames: list[tuple[int, int]], made: list[int]
) -> tuple[Frame | Box, ...]:
    found: list[Frame | Box] = []
    at = start
    while at < stop:
        if frames and frames[0][0] == at and frames[0][1] <= stop:
            first, last = frames.pop(0)
            number = made[0]
            made[0] += 1
            name = f"{'inception' if number % 2 else 'b'}{number}"
            members = _members(boxes, first, last, frames, made)
            times = 3 if number % 5 == 2 else 1
            figures = ("1.23 M params", "115.61 M MACs")[: number % 3]
            found.append(Frame(f"f{number}", "block", name, name, "Block", times, figures, f"{name}", members))
            at = last
        else:
            found.append(boxes[at])
            at += 1
    return tuple(found)


@st.composite
def nested_edges(draw: st.DrawFn, most: int = 60) -> list[Edge]:
    """Series-parallel edges between at least two boxes."""
    edges, count = _nested_edges(draw, most)
    return [*edges, (count - 1, count)]


@st.composite
def round_drawings(draw: st.DrawFn) -> Drawing:
    """Boxes that read what stands before and behind them, whose values go round."""
    count = draw(st.integers(2, 12))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] != pair[1])
    edges = {*draw(st.lists(pairs, min_size=1, max_size=2 * count)), (0, 1), (1, 0)}
    boxes = [_box(draw, number, 0) for number in range(count)]
    return drawing_from(boxes, sorted(edges), _frames(draw, 0, count, 0), [("input", 0)], [(count - 1, "output")])


@st.composite
def drawings(draw: st.DrawFn, most: int = 40) -> Drawing:
    """Any drawing: boxes that read what stands before them, from anywhere or nested, with frames around runs."""
    if draw(st.booleans()):
        count = draw(st.integers(1, most))
        edges = _any_edges(draw, count)
    else:
        edges, count = _nested_edges(draw, most)
    far = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=2))
    edges = sorted({*edges, *((min(pair), max(pair)) for pair in far if pair[0] != pair[1])})
    entered: dict[int, int] = {}
    for _, head in edges:
        entered[head] = entered.get(head, 0) + 1
    left = {tail for tail, _ in edges}
    boxes = [_box(draw, number, entered.get(number, 0)) for number in range(count)]
    names = draw(st.sampled_from([["input"], ["input", "image size"]]))
    sources = [number for number in range(count) if number not in entered]
    inputs = {(draw(st.sampled_from(names)), number) for number in sources if number == 0 or draw(st.integers(0, 3))}
    if count > 1 and draw(st.integers(0, 4)) == 4:
        inputs.add((names[-1], draw(st.integers(0, count - 1))))
    sinks = [number for number in range(count) if number not in left]
    pills = draw(st.sampled_from([["output"], ["output a", "output b"]]))
    outputs = {(number, draw(st.sampled_from(pills))) for number in sinks if draw(st.integers(0, 3))}
    if draw(st.integers(0, 4)) == 4:
        outputs.add((draw(st.integers(0, count - 1)), pills[-1]))
    return drawing_from(boxes, edges, _frames(draw, 0, count, 0), sorted(inputs), sorted(outputs))


@st.composite
def u_drawings(draw: st.DrawFn) -> Drawing:
    """What goes down to small grids and up again, with what skips at each level and whatever else stands there."""
    edges: list[Edge] = []
    grids: list[int] = []
    signs: dict[int, str] = {}

    def box(grid: int, before: list[int]) -> list[int]:
        edges.extend((tail, len(grids)) for tail in before)
        grids.append(grid)
        return [len(grids) - 1]

    def run(grid: int, before: list[int], least: int) -> list[int]:
        for _ in range(draw(st.integers(least, 2))):
            form = draw(st.integers(0, 5))
            if form == 5 and before:
                one, other = box(grid, before), box(grid, before)
                before = box(grid, [*one, *other] + (before if draw(st.booleans()) else []))
            elif form == 4 and before:
                before = box(grid, [*box(grid, before), *before])
                signs[before[0]] = draw(st.sampled_from(["+", "×", ""]))
            else:
                before = box(grid, before)
        return before

    def level(depth: int, before: list[int]) -> list[int]:
        grid = 2**depth
        if not depth:
            return run(grid, before, 1)
        fork = box(grid, run(grid, before, 0))
        inner = level(depth - 1, fork)
        if draw(st.booleans()):
            inner = box(grid, inner)
        across = fork
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            across = box(grid, across)
        joint = box(grid, [*across, *inner])
        signs[joint[0]] = draw(st.sampled_from(["+", "", "card"]))
        return run(grid, joint, 0)

    run(2**9, level(draw(st.integers(1, 4)), box(2**9, [])), 0)
    boxes = []
    for number, grid in enumerate(grids):
        sign = signs.get(number)
        made = _box(draw, number, 0)
        if sign is not None and sign != "card":
            made = box_of(number, kind="merge", sign=sign)
        boxes.append(replace(made, output=(1, 64, grid, grid)))
    last = len(grids) - 1
    outputs = [(last, "output")] if draw(st.booleans()) else []
    if draw(st.integers(0, 4)) == 4:
        outputs.append((draw(st.integers(0, last)), "output b"))
    return drawing_from(boxes, sorted(set(edges)), _frames(draw, 0, last + 1, 0), [("input", 0)], outputs)


def _box(draw: st.DrawFn, number: int, entered: int) -> Box:
    kind = draw(st.integers(0, 7))
    if entered > 1 and kind < 5:
        return box_of(number, kind="merge", sign=("+", "×", "")[kind % 3])
    if kind == 6:
        return box_of(number, "block", "Bottleneck")
    if kind == 7:
        return box_of(number, "block", "Bottleneck", times=3)
    return box_of(number, kind=KINDS[(number + kind) % (len(KINDS) - 1)])


def _any_edges(draw: st.DrawFn, count: int) -> list[Edge]:
    near = draw(st.integers(1, 8))
    found = []
    for head in range(1, count):
        reads = draw(st.sampled_from([1, 1, 1, 1, 2, 2, 3, 0]))
        found += [(max(0, head - draw(st.integers(1, near))), head) for _ in range(reads)]
    return found


def _nested_edges(draw: st.DrawFn, most: int) -> tuple[list[Edge], int]:
    """Series-parallel edges. What a run of boxes is made of: boxes, and branches between two boxes."""
    edges: list[Edge] = []
    count = 0

    def box(before: list[int]) -> list[int]:
        nonlocal count
        edges.extend((tail, count) for tail in before)
        count += 1
        return [count - 1]

    def run(before: list[int], depth: int) -> list[int]:
        for _ in range(draw(st.integers(1, 3))):
            if depth and count < most - 12 and draw(st.booleans()):
                fork = box(before)
                ways = [run(fork, depth - 1) for _ in range(draw(st.integers(1, 3)))]
                ends = list(dict.fromkeys(end for way in ways for end in way))
                before = box([*fork, *ends] if draw(st.booleans()) else ends)
            else:
                before = box(before)
        return before

    run([], 3)
    return edges, count


def _frames(draw: st.DrawFn, start: int, stop: int, depth: int) -> list[tuple[int, int]]:
    if depth > 2 or stop - start < 2:
        return []
    found: list[tuple[int, int]] = []
    at = start
    while at < stop - 1 and draw(st.booleans()):
        first = draw(st.integers(at, stop - 2))
        last = draw(st.integers(first + 1, stop))
        if depth and (first, last) == (start, stop):
            break
        found += [(first, last), *_frames(draw, first, last, depth + 1)]
        at = last
    return found


def nested_drawing(drawing: Drawing) -> tuple[list[str], list[tuple[str, str]]]:
    """The keys of all that has a place in a drawing, and who reads whom."""
    boxes = [box.key for box in drawing.boxes()]
    pills = drawing.pills()
    keys = [*drawing.inputs, *boxes, *(pill for pill in pills if pill not in drawing.inputs)]
    return keys, list(dict.fromkeys((wire.tail, wire.head) for wire in drawing.wires))


# --- drawings of one form, of any size ---


def _of(count: int, edges: Iterable[Edge], **more: Any) -> Drawing:
    return drawing_from([box_of(number) for number in range(count)], sorted(set(edges)), **more)


def chain(n: int) -> Drawing:
    return _of(n, pairwise(range(n)))


def framed_chain(n: int) -> Drawing:
    """A chain in frames of three, which stand in frames of nine."""
    frames = [(at, at + size) for at in range(0, n - 9, 3) for size in ((9, 3) if at % 9 == 0 else (3,))]
    return _of(n, pairwise(range(n)), frames=frames)


def wide_parallel(n: int) -> Drawing:
    """Branches of one, two and three boxes."""
    ways: list[Edge] = []
    at = 1
    while at < n - 3:
        run = [0, *range(at, at + 1 + at % 3), n - 1]
        ways += pairwise(run)
        at += 1 + at % 3
    return _of(
        n, [*ways, *((0, number) for number in range(at, n - 1)), *((number, n - 1) for number in range(at, n - 1))]
    )


def tangled_parallel(n: int) -> Drawing:
    """The same with a wire from its second box to its last branch: no parallel, but for what is left of it."""
    drawing = wide_parallel(n)
    places = {box.key: number for number, box in enumerate(drawing.boxes())}
    edges = [(places[wire.tail], places[wire.head]) for wire in drawing.wires]
    return _of(n, [*edges, (2, n - 2), (2, n - 3), (1, n - 3)])


def residual_chain(n: int) -> Drawing:
    """Every second box adds what came before the one before it."""
    return _of(n, [*pairwise(range(n)), *((at, at + 2) for at in range(0, n - 2, 2))])


def dense_chain(n: int) -> Drawing:
    """Every box reads the three before it."""
    return _of(n, [(at - back, at) for at in range(n) for back in (1, 2, 3) if at >= back])


def nested_skips(n: int) -> Drawing:
    """Wires around wires: from the first box to the last, from the second to the last but one."""
    return _of(n, [*pairwise(range(n)), *((at, n - 1 - at) for at in range(n // 2 - 1))])


def tangled_skips(n: int) -> Drawing:
    """The same beside two boxes that make it a tangle."""
    inner = nested_skips(n - 4)
    edges = [(int(wire.tail[1:]) + 2, int(wire.head[1:]) + 2) for wire in inner.wires]
    return _of(
        n, [*edges, (0, 1), (0, 2), (1, 2), (0, n - 2), (1, n - 1), (n - 3, n - 2), (n - 3, n - 1), (n - 2, n - 1)]
    )


def many_sources(n: int) -> Drawing:
    """A chain of which every second box reads a learned tensor, too."""
    return _of(
        n,
        [*((at, at + 2) for at in range(0, n - 2, 2)), *((at, at + 1) for at in range(1, n - 1, 2))],
        inputs=[("input", 0)],
    )


def many_outputs(n: int) -> Drawing:
    """A chain of which every second box goes out, too."""
    return _of(n, pairwise(range(n)), inputs=[("input", 0)], outputs=[(at, f"output {at}") for at in range(0, n, 2)])


def ring(n: int) -> Drawing:
    """Values that go round, and skips on the way."""
    return _of(n, [*pairwise(range(n)), (n - 1, 0), *((at, at - 3) for at in range(4, n, 4))])


FAMILIES = {
    made.__name__: made
    for made in (
        chain,
        framed_chain,
        wide_parallel,
        tangled_parallel,
        residual_chain,
        dense_chain,
        nested_skips,
        tangled_skips,
        many_sources,
        many_outputs,
        ring,
    )
}
