"""`gnet-inspect init`: the first spec of one's own."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

FIRST = Path(__file__).with_name("first.yaml")


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What is written; - is standard output.")] = Path(
        "mine.yaml"
    ),
    base: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="A built-in model's text, or another spec's, in the place of a first network.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a first spec: a small network, every word explained.

    With --from it is the text of a model that is there. A file that is there is left as it is.

    Example: gnet-inspect init mine.yaml
    """
    from gnet_inspect.cli.output import emit, say

    if str(file) == "-":
        emit(_text(base, "first", "FILE"), None)
        return
    _check_file(file, base)
    emit(_text(base, options.own_name(str(file)), shlex.quote(str(file))), file)
    say(f"wrote {file}. What to try next:")
    for command in ("summary {}", "diagram {} -o {}", "validate {}"):
        say(f"  gnet-inspect {command.format(*map(shlex.quote, (str(file), str(file.with_suffix('.svg')))))}")


def _check_file(file: Path, base: str | None) -> None:
    """Refuse a file that is there, and one that would not be known for a spec."""
    from gnet_inspect.language.catalogue import ENDINGS

    free = file if file.suffix in ENDINGS else file.with_suffix(".yaml")
    if file.exists() or file.is_symlink():
        while free.exists() or free.is_symlink():
            free = free.with_stem(f"{free.stem}_new")
        raise UsageError(
            f"expected the name of a new file, got {str(file)!r}, which is there and stays as it is. "
            f"({_line(free, base)})"
        )
    if file.suffix not in ENDINGS:
        from gnet_inspect.language import catalogue

        copy = f", or {_line(free, str(file))}" if base is None and str(file) in catalogue() else ""
        raise UsageError(f"expected a file that ends in .yaml, got {str(file)!r}. ({_line(free, base)}{copy})")


def _line(file: Path, base: str | None) -> str:
    return shlex.join(["gnet-inspect", "init", *(["--from", base] if base else []), str(file)])


def first_text(file: Path) -> str:
    """A first network, to be written to a file."""
    return _first(options.own_name(str(file)), shlex.quote(str(file)))


def _first(name: str, file: str) -> str:
    return FIRST.read_text(encoding="utf-8").replace("NAME", name).replace("FILE", file)


def _text(base: str | None, name: str, file: str) -> str:
    if base is None:
        return _first(name, file)
    from gnet_inspect.cli.models import need_specs
    from gnet_inspect.language import parse_spec

    need_specs([base], "init --from", "which has a text")
    text, source = options.read_text(base)
    spec = parse_spec(text, source)
    heading = (
        f"# A copy of {spec.name}, to change. What its sources say of it, under `published`, is of it as it was: what",
        "# you change no longer fits, and `gnet-inspect verify --published` says so.",
    )
    return "\n".join((*(heading if spec.published else heading[:0]), text.decode("utf-8-sig")))
