"""What users of other tools type, in the words of this command line.

A command line is put into our words before typer reads it: a command by another name, a MODEL where a command is
expected, a flag by another tool's name, a value as torch spells it. What can mean one thing only is taken for that; of
the rest the right words are named. None of it is in --help: docs/other-tools.md has all of them.
"""

import os
import shlex
from collections import deque
from functools import cache
from typing import Any, NamedTuple

from gnet_inspect.cli.app import COMMANDS
from gnet_inspect.errors import UsageError, quoted, show

# The flags that typer adds to every command.
HELP = ("-h", "--help")

# Our words, and what else they are called.
OTHER_COMMANDS = {
    "summary": "info stats statistics params parameters shapes table inspect describe analyze analyse memory",
    "summary --depth layer": "layers",
    "compare --diff": "diff difference",
    "explain": "why formula formulas",
    "flops": "macs count complexity",
    "taps": "features",
    "diagram": "plot draw visualize visualise graph picture render view",
    "report": "html page",
    "serve": "edit editor live ui gui web",
    "train": "fit learn fine-tune finetune",
    "evaluate": "eval accuracy confusion predict",
    "latency": "benchmark bench time speed",
    "list": "ls models list-models",
    "show": "cat show-model",
    "check": "budget budgets limits size-limit",
    "validate": "lint",
    "init": "new create",
    "--version": "version",
}
# What two commands do that differ: each with the file it needs, and what it does.
_EXPORT = ("export", "-o net.onnx", "writes ONNX, torch source or torch.export's file, by the ending")
AMBIGUOUS_COMMANDS = {
    "profile": (("flops", "", "counts"), ("latency", "", "measures")),
    "convert": (_EXPORT, ("import", "-o net.yaml", "writes a spec")),
    "save": (("trace", "-o net.graph.json", "writes a graph's file"), _EXPORT),
}
# Our flags, and what else they are called: each is one only in commands that have ours. Of several that a command has
# the first is meant whose choices the value is one of, else the first. An argument stands under its name in --help.
OTHER_FLAGS = {
    "--input": "--input-size --input-shape --input-res --shape --size --img-size --image-size --imgsz --resolution -i",
    "--batch": "--batch-size --batchsize --bs -bs -b",
    "--depth": "--max-depth --level -d",
    "--depth layer": "--per-layer --print-per-layer-stat",
    "--device": "-d",
    "--on": "--device --hardware -d",
    "--dtype": "--dtypes --data-type --precision",
    "--columns": "--cols --col-names --fields",
    "--sort": "--sort-by --order-by",
    "--top": "--top-k --topk --limit -k",
    "--filter": "--match --pattern --grep",
    "--format": "--output-format -f",
    "--output": "--out --output-file --filename --to-file --save --result --output-dir",
    "--direction": "--rankdir --graph-dir",
    "--set": "--override",
    "--arg": "--model-kwargs",
    "--optimizer": "--opt",
    "--epochs": "--epoch --num-epochs --max-epochs",
    "--lr": "--learning-rate",
    "--schedule": "--sched --scheduler --lr-scheduler",
    "--weight-decay": "--wd",
    "--label-smoothing": "--smoothing",
    "--clip": "--clip-grad --clip-grad-norm",
    "--ema": "--model-ema-decay",
    "--data": "--data-path --data-dir --dataset",
    "--init-from": "--initial-checkpoint --finetune",
    "--workers": "-j",
    "--deviation": "--std",
    "--repeat": "--runs --iters --iterations --num-runs --num-bench-iter",
    "--warmup": "--warm-up --num-warm-iter --warmup-epochs",
    "--threads": "--num-threads",
    "--compile": "--torchcompile",
    "--version": "-V -v",
    "MODEL": "--model --model-name --arch -m -a",
    "FILE": "--output -o",
}


class Hint(NamedTuple):
    """What to say of a flag that has no word here, and what the line has in its place; "{}" is the flag's value."""

    answer: str
    takes_value: bool = False
    instead: str = ""


_NO_WEIGHTS = "no number needs weights; in Python `load_weights` loads a checkpoint"
_NO_DEVICE = "shapes and counts need no device; `gnet-inspect latency` measures on one, `roofline --on` has its limits"
_CLASSES = "`--set` edits a spec; of a MODEL in Python it is `--arg num_classes={}`"
# What has no word of ours.
HINTS = {
    "--pretrained": Hint(_NO_WEIGHTS),
    "--weights": Hint(_NO_WEIGHTS, takes_value=True),
    "--checkpoint": Hint(_NO_WEIGHTS, takes_value=True),
    "--gpu": Hint(_NO_DEVICE),
    "--cuda": Hint(_NO_DEVICE),
    "--cpu": Hint(_NO_DEVICE),
    "--device": Hint(_NO_DEVICE, takes_value=True),
    "-d": Hint(_NO_DEVICE, takes_value=True),
    "--num-classes": Hint(_CLASSES, takes_value=True, instead="--set classes={}"),
    "--classes": Hint(_CLASSES, takes_value=True, instead="--set classes={}"),
    "--verbose": Hint("`--depth layer` shows every layer", instead="--depth layer"),
    "-v": Hint("`--depth layer` shows every layer", instead="--depth layer"),
    "--quiet": Hint("standard output is the result and nothing else"),
    "-q": Hint("standard output is the result and nothing else"),
    "--input-data": Hint(
        "`--input` gives a shape, `--inputs FILE.py:FUNCTION` values", takes_value=True, instead="--input 1x3x224x224"
    ),
    "--batch-dim": Hint("the batch is the first size of a shape, and `--batch` says how large it is", takes_value=True),
    "--backend": Hint("`gnet-inspect flops` has a column for each backend", takes_value=True),
    "--show-shapes": Hint("shapes are shown; `--no-shapes` leaves them out of a diagram"),
}
# The values that one of a flag's choices is called elsewhere. Numbers are torchinfo's depth.
OTHER_VALUES = {
    "--dtype": {
        "float32": "fp32",
        "float": "fp32",
        "single": "fp32",
        "f32": "fp32",
        "float16": "fp16",
        "half": "fp16",
        "f16": "fp16",
        "bfloat16": "bf16",
        "float64": "fp64",
        "double": "fp64",
        "f64": "fp64",
    },
    "--mode": {"training": "train", "inference": "eval", "evaluation": "eval", "test": "eval"},
    "--format": {"md": "markdown", "text": "table", "txt": "table", "tikz": "tex", "tex": "latex", "gv": "dot"},
    "--depth": {"1": "stage", "2": "block", **{str(level): "layer" for level in range(3, 100)}, "all": "layer"},
    "--device": {"gpu": "cuda"},
    "--direction": {"vertical": "TB", "horizontal": "LR"},
}
# The flags whose choices are flags of their own elsewhere: --json, --fp16, --train, --cpu.
_CHOICES_AS_FLAGS = ("--format", "--dtype", "--mode", "--device")
# What may stand without its value, and what is meant then; else the value is one of these.
OPTIONAL_VALUES = {"--compile": ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")}
# What to do with more arguments than a command takes, where that is not the same for each of them `alone`.
ONE_EACH = {
    "diagram": "{alone} and so on: a picture is of one network; `gnet-inspect report {models} -o report.html` draws "
    "all on one page",
    "list": "`gnet-inspect list --filter 'vgg*'` lists some models, `gnet-inspect summary {models}` shows one",
}
_MODEL_ENDINGS = (".yaml", ".yml", ".json", ".pt2", ".onnx", ".py")


class Flag(NamedTuple):
    """A flag of a command: whether it takes a value, and the words that this is one of, where they are few."""

    takes_value: bool
    choices: tuple[str, ...] = ()

    def choice(self, name: str, value: str) -> str:
        """The choice that a value of the flag `name` is, in whatever words; "" where it is none."""
        plain = value.lower().removeprefix("torch.")
        if plain not in self.choices:
            plain = OTHER_VALUES.get(name, {}).get(plain, plain)
        return next((choice for choice in self.choices if choice.lower() == plain.lower()), "")


# A flag whose value may be anything.
ANY = Flag(takes_value=True)


def read_command(words: list[str]) -> tuple[list[str], bool]:
    """A command line that names a command of ours, and whether it is in other words than the user's.

    A built-in model, a file or a module in Python where a command is expected is summarised.

    >>> read_command(["plot", "vgg16"]), read_command(["googlenet", "--depth", "layer"])
    ((['diagram', 'vgg16'], True), (['summary', 'googlenet', '--depth', 'layer'], True))
    >>> read_command(["help", "diff"]), read_command(["--version"])
    ((['compare', '--help'], True), (['--version'], False))
    """
    place = _place_of_command(words)
    if place is None or words[place] in COMMANDS:
        return words, False
    word, rest = words[place], words[place + 1 :]
    if word == "help":
        asked = next((other for other in rest if not other.startswith("-")), "")
        return ([*_command_of(asked, rest)[:1], "--help"] if asked else ["--help"]), True
    return [*words[:place], *_command_of(word, rest), *rest], True


def _place_of_command(words: list[str]) -> int | None:
    """Where the command stands, behind the program's own flags."""
    return next((index for index, word in enumerate(words) if word == "-" or not word.startswith("-")), None)


def _command_of(word: str, rest: list[str]) -> list[str]:
    """The command, with flags and MODEL, that stands for a word before the rest of the line. Raises UsageError."""
    if word in COMMANDS:
        return [word]
    meant = _commands_meant().get(word.lower().replace("_", "-"))
    if meant:
        return meant.split()
    if word in AMBIGUOUS_COMMANDS:
        ways = (
            f"`{_line([name, *rest, *([] if '-o' in rest else file.split())])}` {what}"
            for name, file, what in AMBIGUOUS_COMMANDS[word]
        )
        raise UsageError(f"{word}: {', '.join(ways)}")
    if _is_model(word):
        return ["summary", word]
    raise UsageError(f"expected a command or a MODEL, got {show(word)}. ({_offer(word, rest)})")


def _is_model(word: str) -> bool:
    from gnet_inspect.language import catalogue

    if word == "-" or word in catalogue() or word.lower().endswith(_MODEL_ENDINGS):
        return True
    if ":" in word:
        from gnet_inspect.cli.models import is_python

        return is_python(word)
    return os.path.isfile(word)


def _offer(word: str, rest: list[str]) -> str:
    """The command lines that one with an unknown command may have been meant to be, or where to look."""
    from gnet_inspect.language import catalogue
    from gnet_inspect.spelling import near_names

    known = {
        **{name: f"summary {name}" for name in catalogue()},
        **_commands_meant(),
        **{name: name for name in (*COMMANDS, *AMBIGUOUS_COMMANDS, "help")},
    }
    lines = dict.fromkeys(_line([*known[name].split(), *rest]) for name in near_names(word, known))
    if lines:
        return f"did you mean {' or '.join(map(quoted, lines))}?"
    return "`gnet-inspect --help` lists the commands, `gnet-inspect list` the models"


def _line(words: list[str]) -> str:
    return shlex.join(["gnet-inspect", *words])


@cache
def _commands_meant() -> dict[str, str]:
    """By what a command is called elsewhere: the command, with its flags."""
    return {other: ours for ours, theirs in OTHER_COMMANDS.items() for other in theirs.split()}


# --- flags ---


def read_flags(words: list[str], program: Any) -> list[str]:
    """A command line, which names a command of the `program` that typer made, with flags and values in its words.

    Values of flags, and what stands behind "--", are never taken for flags. Raises UsageError for what has no word
    here, with what to say instead.
    """
    place = _place_of_command(words)
    before = words if place is None else words[:place]
    own = _Reader("", program)
    read = own.read(before)
    if place is None:
        return read
    unknown = [word for word in read if word not in own.flags and word not in HELP]
    if unknown:
        line = _line([*words[place:], *before])
        raise UsageError(f"{unknown[0]}: expected flags behind the command. ({line})")
    name = words[place]
    return [*read, name, *_Reader(name, program.commands[name]).read(words[place + 1 :])]


@cache
def _flags_meant() -> dict[str, list[list[str]]]:
    """By what a flag is called elsewhere: each flag that it may be, with the value that it stands for, if it does."""
    found: dict[str, list[list[str]]] = {}
    for ours, theirs in OTHER_FLAGS.items():
        for other in theirs.split():
            found.setdefault(other, []).append(ours.split())
    return found


class _Reader:
    """What the words behind a command are in its own."""

    def __init__(self, name: str, command: Any) -> None:
        self.name = name
        self.flags: dict[str, Flag] = {}
        # What its arguments are called, and how many it takes: None is any number.
        self.argument = "MODEL"
        self.places: int | None = 0
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                self.argument = (parameter.metavar or self.argument).rstrip(".")
                self.places = None if parameter.nargs < 0 or self.places is None else self.places + parameter.nargs
                continue
            choices = tuple(word.partition("[")[0] for word in (parameter.metavar or "").split("|"))
            flag = Flag(not parameter.is_flag, choices if len(choices) > 1 else ())
            self.flags.update(dict.fromkeys((*parameter.opts, *parameter.secondary_opts), flag))

    def read(self, words: list[str]) -> list[str]:
        """The words behind the command, or those before one. Raises UsageError."""
        read: list[str] = []
        models: list[str] = []
        rest = deque(words)
        while rest:
            word = rest.popleft()
            if word == "--":
                models += rest
                read += [word, *rest]
                break
            if word == "-" or not word.startswith("-"):
                models.append(word)
                read.append(word)
                continue
            name, value = self._split(word)
            meant, given = self._meant(name, value, rest[0] if rest else "")
            if meant == self.argument:
                value = rest.popleft() if value is None and rest else value
                models += [value] if value is not None else []
                read += [value] if value is not None else []
            elif meant not in self.flags:
                self._check_hint(name, value, read, rest)
                read.append(word)
            elif given:
                read += [meant, given]
            elif self.flags[meant].takes_value:
                read += self._with_value(meant, value, rest)
            else:
                read.append(meant if value is None else f"{meant}={value}")
        if self.name and self.places is not None and len(models) > self.places:
            raise self._too_many(models, read)
        return read

    def _split(self, word: str) -> tuple[str, str | None]:
        """A flag, and the value that is written in one word with it: --depth=3, -depth=3, -b8."""
        name, equals, value = word.partition("=")
        if len(name) > 2 and not name.startswith("--") and (f"-{name}" in self.flags or f"-{name}" in _flags_meant()):
            # Where tools have no flags of one letter, one dash is enough.
            name = f"-{name}"
        if name.startswith("--"):
            return name, value if equals else None
        if len(word) == 2 or word in _flags_meant():
            return word, None
        return word[:2], word[2:].removeprefix("=")

    def _meant(self, name: str, value: str | None, following: str) -> tuple[str, str]:
        """The flag of ours that a flag is, with the value that it stands for itself, if it does."""
        plain = name.replace("_", "-") if name.startswith("--") else name
        if plain in self.flags:
            return plain, ""
        if value is None and plain.startswith("--"):
            for flag in _CHOICES_AS_FLAGS:
                if flag in self.flags and (choice := self.flags[flag].choice(flag, plain[2:])):
                    return flag, choice
        found = [
            (flag, "".join(fixed))
            for flag, *fixed in _flags_meant().get(plain, ())
            if flag in self.flags or (flag == self.argument and self.places != 0)
        ]
        if found:
            written = following if value is None else value
            return next((meant for meant in found if self._admits(meant[0], written)), found[0])
        return name, ""

    def _check_hint(self, name: str, value: str | None, read: list[str], rest: deque[str]) -> None:
        """Refuse a flag that has no word here, with the line that can be typed in the place of this one."""
        hint = HINTS.get(name.replace("_", "-") if name.startswith("--") else name)
        if hint is None or name in HELP:
            return
        if hint.takes_value and value is None:
            value = rest.popleft() if rest else ""
        instead = hint.instead.format(value or "").split()
        instead = instead if instead[:1] and instead[0] in self.flags else []
        line = _line([*filter(None, [self.name]), *read, *rest, *instead])
        raise UsageError(f"{name}: {hint.answer.format(value or '')}. ({line})")

    def _admits(self, name: str, value: str) -> bool:
        flag = self.flags.get(name, ANY)
        return not flag.choices or bool(flag.choice(name, value.partition(":")[0]))

    def _with_value(self, name: str, value: str | None, rest: deque[str]) -> list[str]:
        """A flag with its value, in our words where these are few; a shape whose sizes stand apart is joined."""
        optional = OPTIONAL_VALUES.get(name)
        if value is None and optional and (not rest or rest[0] not in optional):
            return [f"{name}={optional[0]}"]
        if value is None and not rest:
            return [name]
        apart = value is None
        value = rest.popleft() if value is None else value
        if name == "--input" and value.isdecimal():
            while rest and rest[0].isdecimal():
                value += f"x{rest.popleft()}"
        if name in OTHER_VALUES:
            value = self.flags[name].choice(name, value) or value
        return [name, value] if apart or not name.startswith("--") else [f"{name}={value}"]

    def _too_many(self, models: list[str], read: list[str]) -> UsageError:
        """The error for more arguments than the command takes."""
        wanted = f"{'one' if self.places else 'no'} {self.argument}"
        more = models[self.places or 0 :]
        alone = _line([self.name, *(word for word in read if word not in more)])
        instead = ONE_EACH.get(self.name, "{alone} and so on: each is a file of its own" if self.places else "{alone}")
        return UsageError(
            f"{self.name}: expected {wanted}, got {', '.join(map(show, models[:4]))}. "
            f"({instead.format(models=shlex.join(models[:4]), alone=f'`{alone}`')})"
        )
