"""What the flags of `train` ask for, as a recipe: of a new run with what is usual for the rest; of one that goes on,
held against what it was begun with."""

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gnet_inspect.cli import options
from gnet_inspect.cli.synonyms import OPTIONAL_VALUES
from gnet_inspect.errors import SpecError, UsageError, show
from gnet_inspect.records.training import DATA

if TYPE_CHECKING:
    from gnet_inspect.records.training import Recipe
    from gnet_inspect.runtime.training.data.sets import DataSet
    from gnet_inspect.runtime.training.networks import Trainee

AMP = ("fp16", "bf16")

# By the name of the number: its flag, what it must be, and how a mistake says that.
_NUMBERS: dict[str, tuple[str, Callable[[float], bool], str]] = {
    "epochs": ("--epochs", lambda value: 1 <= value <= 100_000, "1 to 100,000"),
    "batch": ("--batch", lambda value: 1 <= value < 10**9, "a positive integer"),
    "lr": ("--lr", lambda value: 0 < value < 1e6, "a number above 0"),
    "warmup": ("--warmup", lambda value: 0 <= value <= 100_000, "epochs, 0 or more"),
    "weight_decay": ("--weight-decay", lambda value: 0 <= value < 1e6, "a number, 0 or more"),
    "clip": ("--clip", lambda value: 0 <= value < 1e12, "a norm, or 0 for none"),
    "label_smoothing": ("--label-smoothing", lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "ema": ("--ema", lambda value: 0 < value < 1, "a number between 0 and 1"),
    "seed": ("--seed", lambda value: 0 <= value < 2**63, "an integer from 0 to below 2^63"),
}


class Asked(NamedTuple):
    """What the flags say; None where one was not given. `numbers` and `words` are of the recipe, by its fields."""

    model: str | None
    data: str | None
    size: str | None
    resize: bool | None
    head_weight: float | None
    edits: tuple[str, ...]
    arguments: tuple[str, ...]
    numbers: Mapping[str, float | None]
    words: Mapping[str, Any]

    def check(self) -> None:
        """Raise UsageError for a number out of its range, or a word that is none of a few."""
        for name, value in self.numbers.items():
            flag, fits, words = _NUMBERS[name]
            if value is not None and not (isfinite(value) and fits(value)):
                raise UsageError(f"{flag}: expected {words}, got {value:g}")
        if self.head_weight is not None and not 0 <= self.head_weight < 1e6:
            raise UsageError(f"--head-weight: expected a number, 0 or more, got {self.head_weight:g}")
        for flag, choices in (("--amp", AMP), ("--compile", OPTIONAL_VALUES["--compile"])):
            if self.words[flag[2:]] is not None:
                options.one_of(flag, self.words[flag[2:]], choices)
        if self.words["leave"] is not None and self.words["init_from"] is None:
            raise UsageError("--leave says what --init-from leaves alone, and there is no --init-from")

    def given(self) -> dict[str, Any]:
        """The fields of a recipe that were given, read. Raises UsageError. It imports torch."""
        from gnet_inspect.runtime.training.data.augment import check_augmentations
        from gnet_inspect.runtime.training.initial import check_init
        from gnet_inspect.runtime.training.optimizing import read_optimizer, read_schedule

        found = {name: value for name, value in {**self.numbers, **self.words}.items() if value is not None}
        for name, read in (("optimizer", read_optimizer), ("schedule", read_schedule)):
            if name in found:
                found[name], found[f"{name}_options"] = read(_yaml(f"--{name}", found[name]))
        if "init" in found:
            check_init(found["init"])
        for name in ("leave", "augment"):
            if name in found:
                found[name] = options.split_words(found[name])
        if "augment" in found:
            found["augment"] = check_augmentations(() if found["augment"] == ("none",) else found["augment"])
        for name in ("mean", "deviation"):
            if name in found:
                found[name] = _channels(f"--{name}", found[name])
        return found


def _yaml(flag: str, text: str) -> object:
    """A name, or a name with arguments, in YAML."""
    from gnet_inspect.language.document import read_document

    try:
        return read_document(text, flag).plain()
    except SpecError as error:
        raise UsageError(f"{flag}: {error.fact}") from None


def _channels(flag: str, text: str) -> tuple[float, ...]:
    """A number for each channel."""
    try:
        found = tuple(float(word) for word in options.split_words(text))
    except ValueError:
        found = ()
    if not found or not all(map(isfinite, found)) or (flag == "--deviation" and min(found) <= 0):
        positive = " above 0" if flag == "--deviation" else ""
        raise UsageError(
            f"{flag}: expected a number{positive} for each channel, as 0.485,0.456,0.406, got {show(text)}"
        )
    return found


class Begun(NamedTuple):
    """A run's recipe, network and data."""

    recipe: "Recipe"
    trainee: "Trainee"
    data: "DataSet"


def begin_recipe(asked: Asked) -> Begun:
    """The recipe of a new run, with what is usual for what was not given. Raises UsageError."""
    from gnet_inspect.runtime.training.data.sets import open_data
    from gnet_inspect.runtime.training.recipe import make_recipe

    assert asked.model is not None
    given = asked.given()
    name = asked.data or DATA
    with options.naming("--data"):
        data = open_data(name)
    trainee = _trainee(asked, data, given)
    more = {"edits": asked.edits, "arguments": asked.arguments}
    return Begun(make_recipe(asked.model, trainee, data, given | more), trainee, data)


def _trainee(asked: Asked, data: "DataSet", given: Mapping[str, Any]) -> "Trainee":
    """The network, fitted to the data."""
    from gnet_inspect.cli.models import is_python, need_runnable
    from gnet_inspect.runtime.training.networks import fit_spec, with_head_weight
    from gnet_inspect.sources.spec.overrides import parse_overrides

    assert asked.model is not None
    if is_python(asked.model):
        return _python_trainee(asked, asked.model)
    if asked.arguments:
        raise UsageError(f"--arg: expected a MODEL in Python, as ./file.py:NAME, got {show(asked.model)}")
    need_runnable([asked.model], "train")
    text, name = options.read_text(asked.model)
    from gnet_inspect.language import parse_spec

    spec = with_head_weight(parse_spec(text, name), asked.head_weight)
    return fit_spec(
        spec,
        text.decode(),
        classes=len(data.classes),
        channels=data.channels,
        size=_size(asked.size),
        edits=parse_overrides(asked.edits),
        written=asked.edits,
        resize=asked.resize is not False,
        frozen=given.get("freeze", ()),
        as_is=asked.head_weight is None,
    )


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width of --input: 96, 96x64, or with the channels, which are the data's."""
    if text is None:
        return None
    sizes = _sizes(text)
    height, width = sizes[-2:] if len(sizes) > 1 else (sizes[0], sizes[0])
    return height, width


def _sizes(text: str) -> list[int]:
    words = text.lower().replace("×", "x").split("x")
    if not all(word.isdecimal() and 0 < int(word) < 10**6 for word in words) or len(words) > 4:
        raise UsageError(f"--input: expected a size, as 96 or 96x64, got {show(text)}")
    return [int(word) for word in words]


def _whole_shape(text: str) -> str:
    """--input of a module in Python, C x H x W, with a batch in front, as its code is called."""
    words = _sizes(text)
    if len(words) < 3:
        raise UsageError(f"--input: expected CxHxW for a module in Python, as 3x224x224, got {show(text)}")
    return "x".join(map(str, [1, *words[-3:]]))


def _python_trainee(asked: Asked, model: str) -> "Trainee":
    """A module in Python: its code says its classes and channels."""
    from gnet_inspect.runtime.references import read_given
    from gnet_inspect.runtime.training.networks import fit_traced

    for flag, value in (("--set", asked.edits), ("--resize", asked.resize)):
        if value:
            raise UsageError(f"{flag}: expected a built-in name or a spec, got {show(model)}, a module in Python")
    texts = None if asked.size is None else [_whole_shape(asked.size)]
    flags = options.Flags(texts, 2, "train", arguments=list(asked.arguments))
    (variant,) = options.read_variants([model], flags)
    assert variant.traced is not None
    network = variant.traced.network
    return fit_traced(
        variant.traced,
        lambda batch: network.trace(read_given(network, texts, None, batch), "train").made.graph,
        head_weight=asked.head_weight,
    )


def resume_recipe(asked: Asked, folder: Path) -> Begun:
    """The recipe that a run was begun with. Raises UsageError where a flag says something else."""
    from gnet_inspect.records.runs import read_recipe
    from gnet_inspect.runtime.training.data.sets import open_data
    from gnet_inspect.runtime.training.judging import check_classes
    from gnet_inspect.runtime.training.recipe import as_kept

    recipe = read_recipe(folder)
    more = {"data": asked.data, "edits": asked.edits or None, "arguments": asked.arguments or None}
    given = asked.given() | {name: value for name, value in more.items() if value is not None}
    if asked.model is not None and Path(asked.model) != folder:
        given["model"] = asked.model
    for name, value in as_kept(given, recipe.input[0]).items():
        was = getattr(recipe, name)
        if was != value and name != "init_from":
            flag = f"--{name.removesuffix('_options').replace('_', '-')}"
            raise UsageError(
                f"{'MODEL' if name == 'model' else flag}: the run in {str(folder)!r} was begun with {show(was)}, got "
                f"{show(value)}. (leave it out to go on; another recipe is a new run, in a folder of its own)"
            )
    with options.naming("--data"):
        data = open_data(recipe.data)
        check_classes(data, recipe.class_names)
    return Begun(recipe, run_trainee(recipe, folder), data)


def run_trainee(recipe: "Recipe", folder: Path) -> "Trainee":
    """The network of a run, as its folder has it."""
    from gnet_inspect.language import spec_text
    from gnet_inspect.records.training import SPEC_FILE
    from gnet_inspect.runtime.training.networks import fit_text
    from gnet_inspect.sources.spec.overrides import parse_overrides

    path = folder / SPEC_FILE
    if path.exists():
        text, _ = spec_text(str(path))
        channels, height, width = recipe.input
        image = channels, height, width
        return fit_text(text.decode(), str(path), image, parse_overrides(recipe.left_edits), recipe.freeze)
    asked = Asked(recipe.model, recipe.data, "x".join(map(str, recipe.input)), None, None, (), recipe.arguments, {}, {})
    return _python_trainee(asked, recipe.model)
