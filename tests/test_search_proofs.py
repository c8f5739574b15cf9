"""Fronts by dynamic programming against fronts by brute force: 100 drawn spaces and questions, and questions that were
answered wrongly once. `python -m tests.sweeping 1000` takes more."""

import math

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnet_inspect.errors import GnetError
from gnet_inspect.search import sweeping
from gnet_inspect.search.counting import Counter
from gnet_inspect.search.front import non_dominated
from gnet_inspect.search.optimum import NotProvableError, find_optimum
from gnet_inspect.search.sweeping import Sweeper
from tests.sweeping import (
    Drawn,
    Posed,
    Row,
    brute_front,
    check_proof,
    examples,
    keeping,
    questions,
    same,
    signed,
    spaces,
)

CHAIN = (
    "name: chain\ninput: [3, 32, 32]\n"
    "stages:\n"
    "  all:\n"
    "    a: {Conv2d: {out_channels: 16, kernel_size: 3, stride: 2}}\n"
    "    na: BatchNorm2d\n"
    "    b: {Conv2d: {out_channels: 16, kernel_size: 3, stride: 2}}\n"
    "    mix: {concat: [{c: {Conv2d: {out_channels: 8, kernel_size: 1}}}, "
    "{d: {Conv2d: {out_channels: 8, kernel_size: 3, padding: 1}}}]}\n"
    "    e: {Conv2d: {out_channels: 24, kernel_size: 3}}\n"
    "    pool: {AdaptiveAvgPool2d: {output_size: 1}}\n"
    "    flat: Flatten\n"
    "    fc: {Linear: {out_features: 10}}\n"
)
WIDTHS = tuple(((f"{name}.out_channels",), ("4", "9", "16")) for name in "abcde")
DRAWN = Drawn(CHAIN, WIDTHS)
ROWS = DRAWN.rows()


class Silent:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def tell(self, amount: float, what: str) -> None:
        """Nobody looks at the bar."""


@examples(100)
@given(spaces(often=12), st.data())
def test_proofs_are_brute_force(drawn: Drawn | None, data: st.DataObject) -> None:
    """With no gap the very front; with one no network is better by more than it, nor than each point's own."""
    if drawn is None:
        return
    rows = drawn.rows()
    valid = [row for row in rows if row is not None]
    if valid:
        check_proof(drawn, rows, data.draw(questions(valid)), data.draw(st.sampled_from((0.0, 0.01, 0.1))))


QUESTIONS = [
    Posed("macs", "params", ""),
    Posed("params,macs", "", ""),
    Posed("", "params,activation_bytes", ""),
    Posed("macs", "", ""),
    Posed("", "params", ""),
    Posed("", "params", "macs <= 400000"),
    Posed("", "params", "macs < 400000 and peak_activation_bytes <= 20000"),
    Posed("macs", "params", "peak_activation_bytes <= 18000"),
    Posed("macs", "params", "least_peak_activation_bytes < 18000"),
    Posed("macs", "params", "params >= 3000 and macs <= 500000"),
    # On both sides, and the way that is not wanted.
    Posed("macs", "params", "macs >= 300000 and macs <= 500000"),
    Posed("macs", "params", "params <= 3000"),
    Posed("", "params", "params < 3000"),
    Posed("", "params", "params <= 3000"),
    Posed("params", "", "params > 3000"),
    Posed("layers_s", "params", ""),
    Posed("params", "layers_s", "params <= 4000"),
    # Nothing meets it.
    Posed("macs", "params", "macs < 1000"),
    Posed("", "params", "params <= 10"),
    Posed("macs", "params", "peak_activation_bytes < 100"),
]


def test_a_limit_below_leaves_out_what_is_at_it() -> None:
    """The best network at most so large is at the bound: below it another one is the best."""
    best = max((row for row in ROWS if row and row["macs"] <= 400_000), key=lambda row: (row["params"], -row["macs"]))
    assert check_proof(DRAWN, ROWS, Posed("", "params", f"macs < {best['macs']}"), 0.0) == "exact"
    assert check_proof(DRAWN, ROWS, Posed("", "params", f"macs <= {best['macs']}"), 0.0) == "exact"


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("posed", QUESTIONS, ids=" | ".join)
def test_each_sort_of_question(posed: Posed, gap: float) -> None:
    told = check_proof(DRAWN, ROWS, posed, gap)
    seconds = "layers_s" in (posed.minimize, posed.maximize)
    sides = posed.where.count("macs") == 2
    assert told.startswith(("exact", "within a gap")) or (told.startswith("not provable") and (seconds or sides)), told


@pytest.mark.parametrize("posed", QUESTIONS, ids=" | ".join)
def test_a_sweep_answers_alike_counted_and_proved(posed: Posed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, through the networks that are built again."""
    counted = Sweeper(DRAWN.space, posed.asked, 0.0, "").run(Silent())
    assert counted.exact
    assert counted.method == "enumerated"
    assert counted.counted == len(ROWS)
    kept = keeping(ROWS, posed.where)
    assert counted.kept == len(kept)
    best = brute_front(posed.asked, ROWS, kept)
    names = [each.name for each in posed.asked.objectives]
    found = {tuple(float(each.value(name) or 0) for name in names) for each in counted.front}
    signs = [each.sign for each in posed.asked.objectives]
    assert alike(found, {tuple(s * v for s, v in zip(signs, value, strict=True)) for value in best})
    monkeypatch.setattr(sweeping, "MOST_ENUMERATED", 10)
    proved = Sweeper(DRAWN.space, posed.asked, 0.001, "").run(Silent())
    if proved.method == "proved" and proved.exact:
        assert alike({tuple(float(each.value(name) or 0) for name in names) for each in proved.front}, found)
        assert proved.gap == 0
    else:
        assert proved.method == "sampled" or proved.gap is not None


def alike(one: set[tuple[float, ...]], two: set[tuple[float, ...]]) -> bool:
    return len(one) == len(two) and all(
        same("layers_s", a, b) for left, right in zip(sorted(one), sorted(two), strict=True)
        for a, b in zip(left, right, strict=True)
    )  # fmt: skip


@examples(100)
@given(spaces(often=30), st.data())
def test_enumerated_fronts_are_brute_force(drawn: Drawn | None, data: st.DataObject) -> None:
    """Of any totals, with any condition; every network of it is one that meets it."""
    if drawn is None:
        return
    rows = drawn.rows()
    valid = [row for row in rows if row is not None]
    if not valid:
        return
    names = data.draw(st.lists(st.sampled_from(ANY), min_size=1, max_size=3, unique=True))
    where = data.draw(conditions(valid))
    posed = Posed(",".join(names[:1]), ",".join(names[1:]), where)
    result = Sweeper(drawn.space, posed.asked, 0.01, "").run(Silent())
    kept = keeping(rows, where)
    assert result.kept == len(kept)
    assert result.invalid == len(rows) - len(valid)
    if any(math.isnan(row[name]) for row in valid for name in names):
        return
    best = brute_front(posed.asked, rows, kept)
    found = [
        tuple(each.sign * float(network.value(each.name) or 0) for each in posed.asked.objectives)
        for network in result.front
    ]
    assert len(found) == len(set(found))
    assert alike(set(found), best)


ANY = (
    "macs",
    "params",
    "activation_bytes",
    "peak_activation_bytes",
    "least_peak_activation_bytes",
    "depth",
    "layers_s",
)


@st.composite
def conditions(draw: st.DrawFn, rows: list[Row]) -> str:
    """Limits, joined or not, with arithmetic."""
    name = draw(st.sampled_from((*ANY, "receptive_field")))
    value = rows[draw(st.integers(0, len(rows) - 1))][name]
    value = 5.0 if math.isnan(value) else value
    limit = f"{name} {draw(st.sampled_from(('<=', '<', '>', '>=', '==', '!=')))} {value!r}"
    form = draw(st.sampled_from(("", "{}", "not {}", "{} or macs/params < 50", "{} and params > 10")))
    return form.format(limit)


def test_no_objective_finds_the_nearest() -> None:
    result = Sweeper(DRAWN.space, Posed("", "", "params <= 3000").asked, 0.01, "").run(Silent())
    distances = [found.distance for found in result.front]
    assert distances == sorted(distances)
    assert 0 < len(distances) <= 100
    assert all(found.params <= 3000 for found in result.front)


@pytest.mark.parametrize(
    ("posed", "words"),
    [
        (Posed("macs", "params", "macs < 1000"), "`macs < 1000` cannot be met: the least is"),
        (Posed("macs", "params", "params >= 1 G"), "cannot be met: the most is"),
        (Posed("macs", "params", "macs < 1 G"), "does not bind: every network of the space meets it"),
        (Posed("macs,params", "", ""), "the answer is every value at its smallest"),
        (Posed("", "macs,params", "params >= 5"), "the answer is every value at its largest"),
        (Posed("macs", "params", ""), "243 networks: 3 of a.out_channels x 3 of b.out_channels"),
    ],
)
def test_what_is_known_before(posed: Posed, words: str) -> None:
    told = Sweeper(DRAWN.space, posed.asked, 0.01, "").foretell()
    assert any(words in sentence for sentence in told), told


@pytest.mark.parametrize("where", ["macs >= 200000", "params == 5000", "macs/params < 3 or depth > 2"])
def test_a_limit_that_holds_against_the_objective_is_no_corner(where: str) -> None:
    told = Sweeper(DRAWN.space, Posed("macs", "", where).asked, 0.01, "").foretell()
    assert not any("the answer is every value" in sentence for sentence in told), told


def test_a_space_of_more_networks_than_anybody_counts_is_proved() -> None:
    """3^16 networks: the front has the least and the most of all, which are those of the first and the last values."""
    layers = "".join(f"    c{at}: {{Conv2d: {{out_channels: 8, kernel_size: 1}}}}\n" for at in range(16))
    text = f"name: long\ninput: [3, 4, 4]\nstages:\n  all:\n{layers}"
    drawn = Drawn(text, tuple(((f"c{at}.out_channels",), ("4", "8", "12")) for at in range(16)))
    result = Sweeper(drawn.space, Posed("macs", "params", "").asked, 0.1, "").run(Silent())
    assert result.method == "proved"
    assert result.size == 3**16
    least = drawn.graph(("4",) * 16)
    assert min(found.macs for found in result.front) == sum(node.macs or 0 for node in least.nodes)
    most = drawn.graph(("12",) * 16)
    assert max(found.params for found in result.front) == sum(node.params for node in most.nodes)


@examples(300)
@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=40), st.integers(1, 3))
def test_what_is_not_dominated(values: list[tuple[int, ...]], columns: int) -> None:
    matrix = np.array(values, float).reshape(len(values), 3)[:, :columns]
    ties = np.arange(len(values))[::-1].astype(float)
    found = non_dominated(matrix, ties)
    rows = [tuple(row) for row in matrix.tolist()]
    best = {one for one in rows if not any(two != one and all(np.less_equal(two, one)) for two in rows)}
    assert [rows[place] for place in found] == sorted(best)
    # Of equal ones that with the least of the ties.
    assert all(place == max(at for at, row in enumerate(rows) if row == rows[place]) for place in found)


def test_three_sums_are_not_proved() -> None:
    for posed in (Posed("macs,activation_bytes", "params", ""), Posed("macs", "params", "activation_bytes < 1 M")):
        with pytest.raises(NotProvableError, match="3 sums are held against each other"):
            find_optimum(Counter(DRAWN.space, posed.asked), 0.01)
    with pytest.raises(NotProvableError, match="no sum over layers"):
        find_optimum(Counter(DRAWN.space, Posed("peak_activation_bytes", "", "").asked), 0.01)


def test_signs_turn_what_is_to_be_large() -> None:
    assert signed(Posed("macs", "params", "").asked, {"macs": 3, "params": 4}) == (3, -4)
    assert issubclass(NotProvableError, Exception)
    assert not issubclass(NotProvableError, GnetError)
