"""A run's folder: what is written reads back to the bit, and what is damaged is told with its file and line."""

import math
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gnet_inspect.errors import SpecError, UsageError
from gnet_inspect.records import runs
from gnet_inspect.records.runs import (
    best_epoch,
    data_name,
    epoch_line,
    epochs_text,
    is_run,
    parse_epochs,
    parse_recipe,
    read_epochs,
    read_recipe,
    read_run,
    recipe_text,
)
from gnet_inspect.records.training import CONFIG_FILE, METRICS, METRICS_FILE, SPEC_FILE, Count, Epoch, Recipe, Share
from tests.runs import EPOCHS, recipe, write_run

# --- config.yaml ---

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
INTEGERS = st.integers(-(10**17), 10**18)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
OPTIONS = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
# By the type of a field, what it may hold; texts are not empty, as nobody calls a model or a data set nothing.
BY_KIND: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: INTEGERS,
    Count: st.integers(1, 10**18),
    float: FLOATS,
    Share: st.floats(0, 1),
    bool: st.booleans(),
    tuple[int, ...]: st.lists(INTEGERS, max_size=4).map(tuple),
    tuple[str, ...]: st.lists(TEXTS, max_size=3).map(tuple),
    tuple[float, ...]: st.lists(FLOATS, max_size=3).map(tuple),
    str | None: st.none() | TEXTS,
    float | None: st.none() | FLOATS,
    dict[str, float]: st.dictionaries(TEXTS, FLOATS, max_size=3),
    dict[str, Any]: st.dictionaries(TEXTS, OPTIONS, max_size=3),
}
KINDS = get_type_hints(Recipe, include_extras=True)
RECIPES = st.fixed_dictionaries({name: BY_KIND[kind] for name, kind in KINDS.items()}).map(lambda said: Recipe(**said))


@given(RECIPES)
def test_a_recipe_reads_back_equal(drawn: Recipe) -> None:
    """Each number to the bit, each text to the letter, each key once and on its own line."""
    text = recipe_text(drawn)
    found = parse_recipe(text.encode(), "config.yaml")
    assert found == drawn
    assert repr(found) == repr(drawn)
    assert [line.partition(":")[0] for line in text.split("\n")[:-1]] == list(Recipe.__struct_fields__)


@given(RECIPES)
def test_any_reader_of_yaml_takes_texts_for_texts(drawn: Recipe) -> None:
    """PyYAML's, too, for which `no` is a flag; of floats it reads fewer ways to write them."""
    found = yaml.safe_load(recipe_text(drawn))
    for name, kind in KINDS.items():
        if kind in (str, str | None, bool, Count) or kind == tuple[str, ...]:
            value = getattr(drawn, name)
            assert found[name] == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("name", [*Recipe.__struct_fields__])
def test_every_key_says_what_it_expects(name: str) -> None:
    """A value of no kind at all is refused at its line, in words, not in names of types."""
    lines = [line for line in recipe_text(recipe()).splitlines() if not line.startswith(f"{name}:")]
    text = "\n".join([*lines, f"{name}: {'[[x]]' if KINDS[name] == tuple[str, ...] else '[x, {y: 1}]'}"])
    with pytest.raises(SpecError) as raised:
        parse_recipe(text, "config.yaml")
    assert str(raised.value).startswith(f"config.yaml:{len(lines) + 1}: `{name}`: expected ")
    assert str(raised.value).count("`") == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data: digits", r"f:32: `data`: expected each key once, got `data` again \(first on line 1\)"),
        ("epoch: 5", r"f:32: `epoch`: expected a key of a run's config, got `epoch`. \(did you mean `epochs`\?\)"),
        ("model: 18", r"f:32: `model`: expected text, got 18. \(quote it\)"),
        ("lr: 1e999", r"f:32: `lr`: expected a finite number, got 1e999"),
        ("lr: .nan", r"f:32: `lr`: expected a number, got '.nan'"),
        ("model: [", r"f:\d+: expected valid YAML"),
        ("", r"f:1: expected a run's config with the key `model`, got none"),
    ],
)
def test_a_damaged_config_is_told_by_its_line(line: str, message: str) -> None:
    """As a spec is."""
    lines = [each for each in recipe_text(recipe()).splitlines() if not each.startswith(("model:", "lr:"))]
    with pytest.raises(SpecError, match=message):
        parse_recipe("\n".join([*lines, line, *(["lr: 1"] if line[:2] != "lr" else ["model: a"])]), "f")


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"lr": math.nan}, "`lr`: expected a finite number, got nan"),
        ({"heads": {"aux1": -math.inf}}, "`heads`: expected a finite number, got -inf"),
        ({"seed": 2**64 - 1}, "`seed`: expected a whole number of at most 19 characters, got 18446744073709551615"),
        ({"data": "a\udc80"}, "`data`: expected Unicode text, got half a character"),
        ({"optimizer_options": {"betas": {0.9}}}, "`optimizer_options`: expected a text, a number, .*, got a set"),
        ({"optimizer_options": {1: 2}}, "`optimizer_options`: expected names as keys, got 1"),
        ({"heads": {"a" * 1001: 0.3}}, "`heads`: expected names of at most 1,000 characters, got `aaa"),
    ],
)
def test_what_no_config_can_hold_is_refused_when_it_is_written(others: dict[str, Any], message: str) -> None:
    """Rather than when somebody reads it."""
    with pytest.raises(UsageError, match=message):
        recipe_text(recipe(**others))


def test_a_tuple_of_options_is_a_list() -> None:
    """As torch's betas are."""
    assert "optimizer_options: {betas: [0.9, 0.999]}\n" in recipe_text(
        recipe(optimizer_options={"betas": (0.9, 0.999)})
    )


def test_a_long_name_of_a_head_is_still_a_key() -> None:
    """As long as a key may be."""
    drawn = recipe(heads={"a" * 1000: 0.3})
    assert parse_recipe(recipe_text(drawn), "f") == drawn


# --- metrics.csv ---

ANY_FLOAT = st.floats()


@given(
    st.lists(
        st.tuples(st.integers(0, 10**17), st.floats(allow_nan=False, allow_infinity=False), ANY_FLOAT, ANY_FLOAT),
        max_size=20,
    ),
    st.floats(0, 1),
)
def test_epochs_read_back_to_the_bit(rows: list[tuple[int, float, float, float]], accuracy: float) -> None:
    """Losses may have diverged."""
    steps = sorted(step for step, *_ in rows)
    epochs = [
        Epoch(number, step, lr, train, val, accuracy)
        for number, (step, (_, lr, train, val)) in enumerate(zip(steps, rows, strict=True))
    ]
    text = epochs_text(epochs)
    assert text == ",".join(METRICS) + "\n" + "".join(map(epoch_line, epochs))
    assert repr(parse_epochs(text.encode(), "f")) == repr(tuple(epochs))


def test_the_columns_are_the_fields() -> None:
    """In their order."""
    assert Epoch.__struct_fields__ == METRICS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1: expected the columns epoch,step,lr,train_loss,val_loss,val_accuracy, got ''"),
        ("epoch,step\n", "f:1: expected the columns .*, got 'epoch,step'"),
        ("{}1,2,0.1,1.0,1.0\n", "f:2: expected 6 values .*, got '1,2,0.1,1.0,1.0'"),
        ("{}1,2,0.1,1.0,1.0,0.5\n\n", "f:3: expected 6 values .*, got ''"),
        ("{}x,2,0.1,1.0,1.0,0.5\n", "f:2: `epoch`: expected a whole number, got 'x'"),
        ("{}1,-2,0.1,1.0,1.0,0.5\n", "f:2: `step`: expected a whole number, got '-2'"),
        ("{}1,2,0.1,1_0,1.0,0.5\n", "f:2: `train_loss`: expected a number, got '1_0'"),
        ("{}1,2,0.1, 1,1.0,0.5\n", "f:2: `train_loss`: expected a number, got ' 1'"),
        ("{}1,2,inf,1.0,1.0,0.5\n", "f:2: `lr`: expected a finite number, got inf"),
        ("{}1,2,1e999,1.0,1.0,0.5\n", "f:2: `lr`: expected a finite number, got 1e999"),
        ("{}1,2,0.1,1.0,1.0,1.5\n", "f:2: `val_accuracy`: expected a number from 0 to 1, got 1.5"),
        ("{}1,2,0.1,1.0,1.0,nan\n", "f:2: `val_accuracy`: expected a number from 0 to 1, got nan"),
        ("{}1,2,0.1,1.0,1.0,0.5\n1,3,0.1,1.0,1.0,0.5\n", "f:3: expected an epoch after 1 .*, got epoch 1, step 3"),
        ("{}1,2,0.1,1.0,1.0,0.5\n2,1,0.1,1.0,1.0,0.5\n", "f:3: expected .* a step after 2, got epoch 2, step 1"),
        ("{}1,2,0.1,1.0,1.0,0." + "5" * 99 + "\n", "f:2: `val_accuracy`: expected a number, got"),
        ("{}1,2,0.1,1.0,\xff,0.5\n", "f:2: `val_loss`: expected a number, got '\ufffd'"),
    ],
)
def test_damaged_metrics_are_told_by_their_line(text: str, message: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UsageError, match=message):
        parse_epochs(text.replace("{}", ",".join(METRICS) + "\n").encode("latin-1"), "f")


def test_a_line_that_is_not_there_yet_is_no_damage() -> None:
    """A run is looked at while it writes, or after it was killed in a line; the lines before that one count."""
    text = epochs_text(EPOCHS).encode()
    whole = len(epochs_text(EPOCHS[:-1]))
    for end in range(whole, len(text)):
        assert parse_epochs(text[:end], "f") == EPOCHS[:-1]
    assert parse_epochs(text, "f") == EPOCHS


def test_lines_may_end_as_windows_has_them() -> None:
    """After a checkout that made them so."""
    assert parse_epochs(epochs_text(EPOCHS).replace("\n", "\r\n").encode(), "f") == EPOCHS


def test_reading_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In lines and in bytes."""
    folder = Path(write_run(tmp_path / "run"))
    monkeypatch.setattr(runs, "MAX_EPOCHS", 3)
    with pytest.raises(UsageError, match=r"metrics\.csv: expected at most 3 epochs, got 4"):
        read_epochs(folder)
    monkeypatch.setattr(runs, "MAX_METRICS_BYTES", 100)
    with pytest.raises(UsageError, match=r"metrics\.csv: expected at most 100 bytes, got more"):
        read_epochs(folder)
    monkeypatch.setattr(runs, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match=r"config\.yaml: expected at most 100 bytes, got more"):
        read_recipe(folder)


# --- the folder ---


def test_a_run_is_its_recipe_its_epochs_and_the_best(tmp_path: Path) -> None:
    """The first of two with the same accuracy."""
    run = read_run(Path(write_run(tmp_path / "run")))
    assert (run.recipe, run.epochs, run.best) == (recipe(), EPOCHS, EPOCHS[2])
    assert (run.done, run.finished) == (4, False)
    assert msgspec.structs.replace(run, recipe=recipe(epochs=4)).finished


def test_a_run_may_have_no_epoch_yet(tmp_path: Path) -> None:
    """With a file of metrics or without."""
    run = read_run(Path(write_run(tmp_path / "run", ())))
    assert (run.epochs, run.best, run.done, run.finished) == ((), None, 0, False)
    (tmp_path / "run" / METRICS_FILE).unlink()
    assert read_epochs(tmp_path / "run") == ()
    assert best_epoch([]) is None


def test_what_is_a_run(tmp_path: Path) -> None:
    """A folder with a config, and with metrics or a spec beside it."""
    folder = Path(write_run(tmp_path / "run"))
    assert is_run(folder)
    (folder / METRICS_FILE).unlink()
    assert is_run(folder)
    (folder / SPEC_FILE).unlink()
    assert not is_run(folder)
    assert not is_run(tmp_path)
    assert not is_run(tmp_path / "none")
    assert not is_run(folder / CONFIG_FILE)


def test_where_there_is_no_run(tmp_path: Path) -> None:
    """The file that is missing is named."""
    with pytest.raises(UsageError, match=r"cannot read '.*config.yaml': No such file.*is it the folder of a run\?"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits"),
        ("/a/b/flowers//", "flowers"),
        ("/", "/"),
        ("./own.py:f", "own.py:f"),
        ("a/", "a"),
        ("mnist:/a/raw", "mnist"),
    ],
)
def test_a_data_set_is_called_without_its_folders(data: str, name: str) -> None:
    """As tables have room for it."""
    assert data_name(data) == name
