"""Drawn design spaces, and what brute force says of them: each network built and summarized on its own.

    python -m tests.sweeping 1000

holds so many drawn spaces of each kind against brute force, as tests/test_search_totals.py and
tests/test_search_proofs.py do with fewer, and says what was drawn.
"""

import math
import sys
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnet_inspect.analysis.devices import load_device
from gnet_inspect.analysis.roofline import roofline
from gnet_inspect.analysis.summary import summarize
from gnet_inspect.budgets.conditions import parse_condition
from gnet_inspect.errors import GnetError
from gnet_inspect.graph import Graph, Value
from gnet_inspect.language import Spec, parse_spec
from gnet_inspect.search.counting import Asked, Counter
from gnet_inspect.search.optimum import NotProvableError, find_optimum
from gnet_inspect.search.program import Setting
from gnet_inspect.search.result import TOTALS, Objective
from gnet_inspect.search.space import Space, read_space
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.sources.spec.following import follow_edits
from gnet_inspect.sources.spec.overrides import parse_overrides
from tests.strategies import Document, specs, to_yaml

PROFILE = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)
# Of one drawn space so many networks are built by brute force.
MOST = 36
DEVICE = "raspberry_pi5"
Row = dict[str, float]


def examples(number: int) -> Callable[[Any], Any]:
    """So many examples, the same in every run."""
    return settings(PROFILE, max_examples=number)


# --- spaces ---


class Drawn(NamedTuple):
    """A spec, and what of it varies: for each choice its paths and the texts of its values."""

    text: str
    choices: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    @property
    def spec(self) -> Spec:
        return parse_spec(self.text, "drawn.yaml")

    @property
    def space(self) -> Space:
        """The space as the command reads it."""
        return space_of(
            self.spec,
            [f"{paths[0]}={','.join(texts)}" for paths, texts in self.choices],
            ["=".join(paths) for paths, _ in self.choices if len(paths) > 1],
        )

    @property
    def combinations(self) -> Iterator[tuple[str, ...]]:
        """The texts of each network, in the order in which networks are counted."""
        return product(*(texts for _, texts in self.choices))

    def graph(self, texts: Sequence[str]) -> Graph:
        """One network, by nothing of the search. Raises GnetError where it is none."""
        spec = self.spec
        shapes = {value.name: value.shape for value in inputs_of(spec)}
        edits = {}
        for (paths, _), text in zip(self.choices, texts, strict=True):
            for path in paths:
                if path in shapes:
                    own = shapes[path]
                    sizes = tuple(int(size) for size in text.split("x"))
                    full = (own[1], sizes[0], sizes[-1]) if len(own) == 4 and len(sizes) < 3 else sizes
                    shapes[path] = (own[0], *full)
                else:
                    edits[path] = parse_overrides([f"{path}={text}"])[path]
        return build_graph(spec, shapes, overrides=edits, resize=True)

    def rows(self) -> list[Row | None]:
        """The totals of each network in order, None where it is none."""
        found: list[Row | None] = []
        for texts in self.combinations:
            try:
                found.append(totals(self.graph(texts)))
            except GnetError:
                found.append(None)
        return found


def space_of(spec: Spec, vary: Sequence[str], ties: Sequence[str] = ()) -> Space:
    """A space as `sweep` reads it."""
    followed = follow_edits(spec, inputs_of(spec), {}, "eval")
    return read_space(spec, followed.graph, followed.arguments, vary, ties)


def inputs_of(spec: Spec) -> tuple[Value, ...]:
    """Its inputs, a batch of one."""
    return tuple(Value(value.name, (1, *value.shape), value.dtype) for value in spec.inputs)


def totals(graph: Graph) -> Row:
    """What the ordinary analysis says of a network; NaN for a field that nobody can tell."""
    found = summarize(graph, "fp32").totals
    known = found.receptive_field is not None and found.receptive_field_status not in ("unknown", "bound")
    return {
        **{name: getattr(found, name) for name in TOTALS if name not in ("receptive_field", "layers_s", "flops")},
        "flops": 2 * found.macs,
        "receptive_field": min(found.receptive_field or ()) if known else math.nan,
        "layers_s": roofline(graph, load_device(DEVICE), "fp32").totals.layers_s,
    }


def asked(minimize: str = "", maximize: str = "", where: str = "") -> Asked:
    """A question, by the words of the command."""
    objectives = [Objective(name) for name in minimize.split(",") if name]
    objectives += [Objective(name, True) for name in maximize.split(",") if name]
    condition = parse_condition(where, TOTALS) if where else None
    return Asked(tuple(objectives), condition, Setting("fp32", load_device(DEVICE)))


@st.composite
def networks(draw: Any) -> Document:
    """Specs as people write them for a search: widths in parameters, blocks, branches, skips, repeats and heads."""
    return _Network(draw).write()


class _Network:
    """Writes one: layers in a row, whose shapes are as free as their arguments."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.axes = self.pick((2, 2, 2, 1))
        self.layers: dict[str, Any] = {}
        self.params: dict[str, Any] = {"width": 1.0, "c": self.pick((4, 8, 6)), "k": self.pick((3, 1, 5))}
        self.params |= {"deep": self.pick((True, False)), "times": self.pick((1, 2, 3))}
        self.number = 0

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.draw(st.integers(0, len(options) - 1))]

    def write(self) -> Document:
        kinds: list[Callable[[], None]] = [self.conv, self.conv, self.separable, self.pool, self.concat, self.residual]
        kinds += [self.block, self.repeat, self.optional, self.shared, self.skip, self.pointwise]
        self.conv()
        for _ in range(self.draw(st.integers(1, 5))):
            self.pick(kinds)()
        if self.pick((True, True, False)):
            self.add({f"AdaptiveAvgPool{self.axes}d": {"output_size": 1}})
            self.add("Flatten")
            self.add({"Linear": {"out_features": self.pick((10, "$c"))}})
        blocks = self.blocks()
        used = str((self.layers, blocks))
        document = {
            "name": "drawn",
            "input": [3, *([self.pick((16, 21, 32))] * self.axes)],
            "params": {name: value for name, value in self.params.items() if f"${name}" in used},
            "blocks": blocks,
            "stages": {"all": self.layers},
        }
        return {key: value for key, value in document.items() if value}

    def blocks(self) -> Document:
        used = str(self.layers)
        return {name: block for name, block in _of_axes(BLOCKS, self.axes).items() if f"'{name}'" in used}

    def add(self, layer: Any, name: str = "") -> str:
        self.number += 1
        name = name or f"{'abcdefgh'[self.number % 8]}{self.number}"
        self.layers[name] = layer
        return name

    # --- layers ---

    def channels(self) -> Any:
        return self.pick(
            (8, "$c", {"round": ["$width * 12", 4]}, 6, "$c * 2", "2 * ($c // 2)", {"round": ["$c * $width", 2]}, 4)
        )

    def kernel(self) -> Any:
        return self.pick((3, "$k", 1, 2, 5))

    def made(self, channels: Any = None, **more: Any) -> Document:
        kernel = self.kernel()
        padding = {"padding": self.pick(("same", 1, 0, "$k // 2"))}
        if more.get("stride", 1) != 1 and padding["padding"] == "same":
            padding = {"padding": 1}
        return {
            f"Conv{self.axes}d": {
                "out_channels": self.channels() if channels is None else channels,
                "kernel_size": kernel,
                **padding,
                **more,
            }
        }

    def conv(self) -> None:
        more = {"stride": self.pick((1, 1, 2))}
        if self.layers and self.pick((False, False, True)):
            more["groups"] = self.pick((2, "$times", 1))
        self.add(self.made(**more))
        if self.pick((True, False)):
            self.add(f"BatchNorm{self.axes}d")

    def separable(self) -> None:
        self.add(self.made("$c", stride=1))
        self.add(self.made("$c", groups="$c", stride=1))

    def pool(self) -> None:
        kind = self.pick((f"MaxPool{self.axes}d", f"AvgPool{self.axes}d"))
        more = {"ceil_mode": self.pick((True, False))} if kind.startswith("Max") else {}
        self.add({kind: {"kernel_size": self.pick((3, 2, "$k")), "stride": self.pick((2, 1)), **more}})

    def pointwise(self) -> None:
        self.add(self.pick(("ReLU", {"ReLU": {"inplace": True}}, "GELU", "Dropout", "Identity")))

    def same(self, channels: Any) -> Document:
        return {
            f"Conv{self.axes}d": {"out_channels": channels, "kernel_size": self.pick((3, 1, "$k")), "padding": "same"}
        }

    def concat(self) -> None:
        branches: list[Any] = [{f"p{self.number}_{at}": self.same(self.channels())} for at in range(self.pick((2, 3)))]
        if self.pick((False, True)):
            branches.append({})
        self.add({"concat": branches})

    def residual(self) -> None:
        channels = self.channels()
        self.add(self.same(channels))
        inside = {f"r{self.number}": self.same(self.channels()), f"q{self.number}": self.same(channels)}
        self.add({"add": [inside, {}]})
        self.add({"ReLU": {"inplace": self.pick((False, True))}})

    def block(self) -> None:
        kind = self.pick(("mixed", "squeeze"))
        if kind == "mixed":
            self.add({"mixed": {"w": [self.channels(), self.pick((2, "$c")), 4], "q": self.kernel()}})
        else:
            self.add(self.same("$c"))
            self.add({"squeeze": {"r": self.pick((2, "$times"))}})

    def repeat(self) -> None:
        self.add([{"repeat": {"times": self.pick(("$times", 2)), "layer": self.same(self.channels())}}])

    def optional(self) -> None:
        self.add({**self.same(self.channels()), "when": "$deep"})

    def shared(self) -> None:
        channels = self.channels()
        self.add(self.same(channels))
        name = self.add(self.same(channels))
        self.add("ReLU")
        self.add({"share": name})

    def skip(self) -> None:
        channels = self.channels()
        name = self.add(self.same(channels))
        self.add({f"MaxPool{self.axes}d": {"kernel_size": 2}})
        kind = self.pick(("concat", "concat", "add"))
        self.add(self.same(channels if kind == "add" else self.channels()))
        up = {"ConvTranspose1d": {"out_channels": channels, "kernel_size": 2, "stride": 2}}
        self.add({"Upsample": {"like": name}} if self.axes == 2 else up)
        self.add({kind: [{f"t{self.number}": {"Identity": {}, "from": name}}, {}]})


BLOCKS: Document = {
    "mixed": {
        "params": ["w", "q"],
        "layers": {
            "join": {
                "concat": [
                    {"b1": {"Conv2d": {"out_channels": "$w.0", "kernel_size": 1}}},
                    {
                        "b2r": {"Conv2d": {"out_channels": "$w.1", "kernel_size": 1}},
                        "b2": {"Conv2d": {"out_channels": "$w.2", "kernel_size": "$q", "padding": "same"}},
                    },
                ]
            }
        },
    },
    "squeeze": {
        "params": ["r"],
        "layers": {
            "out": {
                "mul": [
                    {},
                    {
                        "pool": {"AdaptiveAvgPool2d": {"output_size": 1}},
                        "down": {"Conv2d": {"out_channels": "8 // $r", "kernel_size": 1}},
                        "up": {"Conv2d": {"out_channels": "$c", "kernel_size": 1}},
                        "gate": "Sigmoid",
                    },
                ]
            }
        },
    },
}


def _of_axes(written: Any, axes: int) -> Any:
    if isinstance(written, dict):
        return {_of_axes(key, axes): _of_axes(value, axes) for key, value in written.items()}
    if isinstance(written, list):
        return [_of_axes(item, axes) for item in written]
    return written.replace("2d", f"{axes}d") if isinstance(written, str) else written


_NUMBERS = (1, 2, 3, 4, 6, 8, 12, 5, 0, -1, 16)
_ODD = ("x", "[1, 2]", "0.5", "true")


@st.composite
def spaces(draw: Any, often: int = 50) -> Drawn | None:
    """Spaces of drawn specs: `often` of a hundred of specs of the whole language, the others as people write them. None
    where the spec itself is no network."""
    document = draw(specs(faults=False)) if draw(st.integers(0, 99)) < often else draw(networks())
    text = to_yaml(document)
    spec = parse_spec(text, "drawn.yaml")
    inputs = inputs_of(spec)
    try:
        arguments = dict(follow_edits(spec, inputs, {}, "eval").arguments)
    except GnetError:
        return None
    for value in inputs:
        arguments[value.name] = value
    paths = list(arguments)
    choices: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    taken: list[str] = []
    number, size = draw(st.integers(1, 4)), 1
    # Parameters of the model reach most, inputs all.
    above = [path for path in paths if "." not in path]
    for _ in range(number):
        path = draw(st.sampled_from(above)) if above and draw(st.booleans()) else draw(st.sampled_from(paths))
        if any(path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.") for other in taken):
            continue
        texts = tuple(dict.fromkeys(_texts(draw, arguments[path])))
        texts = texts[: max(MOST // size, 1)]
        size *= len(texts)
        tied = [path]
        likes = [each for each in paths if each != path and type(arguments[each]) is type(arguments[path])]
        if likes and not isinstance(arguments[path], Value) and draw(st.integers(0, 4)) == 0:
            other = draw(st.sampled_from(likes))
            if not any(other == each or other.startswith(f"{each}.") or each.startswith(f"{other}.") for each in taken):
                tied.append(other)
        if any(one != two and one.startswith(f"{two}.") for one in tied for two in tied):
            tied = [path]
        taken += tied
        choices.append((tuple(tied), texts))
    return Drawn(text, tuple(choices)) if choices else None


def _texts(draw: Any, value: Any) -> list[str]:
    """Some values like one, its own among them as a rule, and some unlike it."""
    count = draw(st.integers(1, 3))
    own = [_text(value)] if draw(st.integers(0, 9)) < 8 else []
    if isinstance(value, Value):
        sizes = value.shape[1:]
        if len(sizes) == 3 and draw(st.booleans()):
            return [str(draw(st.sampled_from((16, 20, 24, 32, 7, 2)))) for _ in range(count)]
        changed = [[*sizes[:-1], draw(st.sampled_from((4, 8, 12, 17, 32)))] for _ in range(count)]
        return ["x".join(map(str, each)) for each in [sizes, *changed]]
    more = []
    for _ in range(count):
        if draw(st.integers(0, 19)) == 0:
            more.append(draw(st.sampled_from(_ODD)))
        elif isinstance(value, bool):
            more.append(_text(draw(st.booleans())))
        elif isinstance(value, int):
            more.append(str(draw(st.sampled_from(_NUMBERS))))
        elif isinstance(value, float):
            more.append(str(draw(st.sampled_from((0.5, 1.0, 0.25, 1.5, 2.0, 0.75)))))
        elif isinstance(value, tuple):
            items = [draw(st.sampled_from(_NUMBERS)) if type(item) is int else item for item in value]
            more.append(_text(items))
        else:
            more.append(draw(st.sampled_from(_ODD)))
    return [*own, *more]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    if value is None:
        return "null"
    return str(value)


# --- what is held against brute force ---

ALL = ",".join(name for name in TOTALS)


def counted(counter: Counter) -> tuple[list[tuple[int, ...]], list[Row], int]:
    """What a counter keeps of all its batches: places, totals, and how many are no networks."""
    places: list[tuple[int, ...]] = []
    rows: list[Row] = []
    invalid = 0
    for index in range(-(-counter.total // counter.batch)):
        batch = counter.run(index)
        places += [tuple(each) for each in batch.places.T.tolist()]
        columns = {name: column.tolist() for name, column in batch.totals.items()}
        rows += [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        invalid += batch.invalid
    return places, rows, invalid


def check_totals(drawn: Drawn) -> Counter | None:
    """Every total of every network that is looked up is that of the network built on its own, and what is looked up as
    no network is none."""
    space = drawn.space
    expected = drawn.rows()
    try:
        counter = Counter(space, asked(ALL))
    except GnetError:
        # Of a space without a network the error of the first is told.
        assert not any(expected), drawn
        return None
    places, rows, invalid = counted(counter)
    every = list(product(*(range(size) for size in space.sizes)))
    assert space.size == len(expected) == len(every)
    valid = [place for place, row in zip(every, expected, strict=True) if row is not None]
    assert places == valid, [row is not None for row in expected]
    assert invalid == len(expected) - len(valid)
    for place, row, own in zip(places, rows, (row for row in expected if row is not None), strict=True):
        for name in own:
            assert same(name, row[name], own[name]), (place, name, row[name], own[name])
    return counter


def same(name: str, found: float, own: float) -> bool:
    """Whether a total is the same: sums of times are added in another order."""
    if math.isnan(own) or math.isnan(found):
        return math.isnan(own) and math.isnan(found)
    return math.isclose(found, own, rel_tol=1e-9) if name == "layers_s" else found == own


# --- questions, and their answers by brute force ---


class Posed(NamedTuple):
    """A question in the command's words."""

    minimize: str
    maximize: str
    where: str

    @property
    def asked(self) -> Asked:
        return asked(self.minimize, self.maximize, self.where)


SUMS = ("macs", "params", "activation_bytes", "param_bytes", "buffers", "flops", "layers_s")
LIMITED = ("macs", "params", "activation_bytes", "peak_activation_bytes", "least_peak_activation_bytes", "layers_s")


@st.composite
def questions(draw: Any, rows: Sequence[Row]) -> Posed:
    """One or two sums that are to be small or large, and limits that some networks of these keep."""
    names = draw(st.lists(st.sampled_from(SUMS), min_size=1, max_size=2, unique=True))
    small = [name for name in names if draw(st.booleans())]
    large = [name for name in names if name not in small]
    limits = []
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from((*LIMITED, *names)))
        values = sorted({row[name] for row in rows})
        value = values[draw(st.integers(0, len(values) - 1))]
        shift = draw(st.sampled_from((0, 1, -1))) if name != "layers_s" else 0
        signs = ("<=", "<", ">=", ">") if "peak" not in name else ("<=", "<")
        limits.append(f"{name} {draw(st.sampled_from(signs))} {max(value + shift, 0)!r}")
    return Posed(",".join(small), ",".join(large), " and ".join(limits))


def keeping(rows: Sequence[Row | None], where: str) -> list[int]:
    """Which rows meet a condition, one at a time."""
    condition = parse_condition(where, TOTALS) if where else None
    return [
        index for index, row in enumerate(rows) if row is not None and (condition is None or condition.holds(dict(row)))
    ]


def signed(question: Asked, row: Mapping[str, float]) -> tuple[float, ...]:
    """What is to be small."""
    return tuple(each.sign * row[each.name] for each in question.objectives)


def brute_front(question: Asked, rows: Sequence[Row | None], kept: Sequence[int]) -> set[tuple[float, ...]]:
    """The values that no other one beats, by comparing all with all."""
    values = {signed(question, rows[index] or {}) for index in kept}
    return {
        one
        for one in values
        if not any(other != one and all(map(float.__le__, map(float, other), map(float, one))) for other in values)
    }


def check_proof(drawn: Drawn, rows: Sequence[Row | None], posed: Posed, gap: float) -> str:
    """What dynamic programming finds is what brute force finds, within the gap that it proves: a word of it."""
    question = posed.asked
    counter = Counter(drawn.space, question)
    try:
        optimum = find_optimum(counter, gap)
    except NotProvableError as error:
        return f"not provable: {str(error)[:40]}"
    kept = keeping(rows, posed.where)
    by_place = dict(zip(product(*(range(size) for size in drawn.space.sizes)), range(len(rows)), strict=True))
    found = []
    for place, bound in zip(optimum.places, optimum.gaps, strict=True):
        index = by_place[tuple(place)]
        row = rows[index]
        assert row is not None, f"{place} is no network"
        assert bound >= 0
        if index in kept:
            found.append((signed(question, row), bound))
    best = brute_front(question, rows, kept)
    mine = {value for value, _ in found}
    mine = {one for one in mine if not any(two != one and all(np.less_equal(two, one)) for two in mine)}
    if optimum.exact:
        assert close(mine, best), (posed, sorted(mine), sorted(best))
        return "exact"
    check_gap(question, optimum.gap, found, [signed(question, rows[index] or {}) for index in kept], posed)
    return "within a gap"


def close(one: set[tuple[float, ...]], two: set[tuple[float, ...]]) -> bool:
    """Whether two fronts are the same, but for how times were added."""
    return len(one) == len(two) and all(
        np.allclose(a, b, rtol=1e-9) for a, b in zip(sorted(one), sorted(two), strict=True)
    )


def check_gap(
    question: Asked, gap: float, found: list[tuple[tuple[float, ...], float]], rows: list[tuple[float, ...]], posed: Any
) -> None:
    """No network beats what was found by more than is proven, nor any point by more than is proven of it."""
    first, second = (0, -1) if len(question.objectives) == 2 else (0, 0)
    cost = [first, second] if len(question.objectives) == 2 else [first]
    for value, bound in found:
        for other in rows:
            # Which of two sums is counted in cells is its own affair: of one of them it is proven.
            beaten = [
                other[at] < value[at] - (bound + 1e-9) * abs(value[at]) and all(np.less_equal(other, value))
                for at in cost
            ]
            assert not all(beaten), (posed, value, bound, other)
    if len(question.objectives) != 2 or posed.where:
        # Near a limit what is kept may be rounded over it.
        return
    for other in rows:
        near = [value for value, _ in found if value[1] <= other[1] + 1e-9 * abs(other[1])]
        assert near, (posed, other, found)
        least = min(value[0] for value in near)
        assert least <= other[0] + (gap + 1e-9) * abs(other[0]), (posed, gap, other, found)


def main(number: int) -> None:
    """Hold so many spaces against brute force."""
    told: Tally[str] = Tally()

    @examples(number)
    @given(spaces())
    def totals_of_spaces(drawn: Drawn | None) -> None:
        if drawn is None:
            told["no network at all"] += 1
            return
        counter = check_totals(drawn)
        told["spaces"] += 1
        if counter is None:
            told["all are refused"] += 1
            return
        told["networks"] += counter.space.size
        told["slow" if counter.is_slow else "in tables"] += 1
        told["templates"] += len(counter.templates)

    @examples(number)
    @given(spaces(often=15), st.data())
    def proofs_of_spaces(drawn: Drawn | None, data: st.DataObject) -> None:
        if drawn is None:
            return
        rows = drawn.rows()
        valid = [row for row in rows if row is not None]
        if not valid:
            return
        posed = data.draw(questions(valid))
        told[f"proof: {check_proof(drawn, rows, posed, data.draw(st.sampled_from((0.0, 0.01, 0.1))))}"] += 1

    totals_of_spaces()
    proofs_of_spaces()
    for name, count in sorted(told.items()):
        print(f"{count:8,} {name}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
