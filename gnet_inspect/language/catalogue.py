"""Where specs come from: the built-in catalogue, a path, or text."""

import os
from collections.abc import Callable
from pathlib import Path

from gnet_inspect.errors import SpecError, UsageError, did_you_mean, expect, nearest, quoted, show, some_of
from gnet_inspect.language.document import MAX_BYTES
from gnet_inspect.language.model import Spec
from gnet_inspect.language.parse import parse_spec
from gnet_inspect.reading import TooLargeError, read_bounded

ENDINGS = (".yaml", ".yml")
# What built-in models are called elsewhere.
OTHER_NAMES = {
    **dict.fromkeys(("inceptionv1", "googlenetv1"), "googlenet"),
    **dict.fromkeys(("inceptionv2", "inceptionbn"), "bn_inception"),
    **dict.fromkeys(("naive", "naiveinception", "inceptionnaive", "naivegooglenet"), "googlenet_naive"),
    "lenet": "lenet5",
    "networkinnetwork": "nin",
}
# So many names fit into a sentence.
_FEW = 12
# Families that are spelt like one of ours and are none of it.
_OTHER_FAMILIES = ("mnasnet", "mobilenet", "nasnet", "regnet", "res2net", "resnest", "resnext")


def specs_folder() -> Path:
    """The folder of built-in specs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "specs"
    return inside if inside.is_dir() else package.parent / "specs"


def catalogue() -> list[str]:
    """The names of the built-in specs, sorted."""
    return sorted(entry.name[:-5] for entry in os.scandir(specs_folder()) if entry.name.endswith(".yaml"))


def spec_text(model: str | os.PathLike[str]) -> tuple[bytes, str]:
    """(the YAML text of a built-in name or of a file, the name errors give it)."""
    expect(model, (str, os.PathLike), "a built-in model's name or a path")
    name = os.fspath(model)
    if name in catalogue():
        return built_in_text(name)
    return file_text(name, "model", "spec file", catalogue, "gnet-inspect list")


def file_text(name: str, thing: str, kind: str, known: Callable[[], list[str]], listing: str) -> tuple[bytes, str]:
    """(the text of a file, the name errors give it). In errors, a built-in `thing` or a file of the `kind` could stand
    there; `known` gives the names of the built-in ones, and the command `listing` prints them."""
    from gnet_inspect.language.foreign import foreign_content, foreign_ending, foreign_name

    # A file's name may hold bytes that are no text.
    shown = name.encode("utf-8", "backslashreplace").decode()
    path = Path(name)
    expected = f"expected a built-in {thing} or a {kind}"
    try:
        text = read_bounded(path, MAX_BYTES)
        foreign = foreign_ending(name) or foreign_content(text)
        if foreign is None:
            return text, shown
    except TooLargeError as error:
        foreign = foreign_ending(name) or foreign_content(_beginning(path))
        if foreign is None:
            raise SpecError(str(error), file=shown) from None
    except IsADirectoryError:
        raise UsageError(f"{expected}, got the folder {show(name)}. ({_inside(path, kind)})") from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        foreign = foreign_ending(name) or foreign_name(name)
    except OSError as error:
        raise UsageError(f"cannot read {show(name)}: {error.strerror}") from None
    if foreign is not None:
        what, mend = foreign
        raise UsageError(f"{expected}, got {show(name)}, {what}" + (f". ({mend})" if thing == "model" else ""))
    if name.endswith(ENDINGS) or os.path.dirname(name):
        raise UsageError(f"expected a {kind}, got {show(name)}, which does not exist")
    raise UsageError(f"{expected}, got {show(name)}: {_offer(name, known())} (`{listing}` shows all)")


def _beginning(path: Path) -> bytes:
    """Enough of a large file to see what it is."""
    with path.open("rb") as file:
        return file.read(4096)


def _offer(name: str, known: list[str]) -> str:
    from gnet_inspect.spelling import plain_name

    plain = plain_name(name)
    if OTHER_NAMES.get(plain) in known:
        return f"did you mean `{OTHER_NAMES[plain]}`?"
    offer = "" if plain.startswith(_OTHER_FAMILIES) else did_you_mean(name, known)
    if not offer and len(known) <= _FEW:
        return nearest(name, known)
    return offer or "there is none of that name."


def _inside(folder: Path, kind: str) -> str:
    """What of a folder could be given instead of it."""
    from itertools import islice

    try:
        with os.scandir(folder) as entries:
            found = sorted(entry.name for entry in islice(entries, 10_000) if entry.name.endswith(ENDINGS))
    except OSError:
        found = []
    if not found:
        return f"a {kind} is one YAML file"
    return f"give one of its files: {some_of([quoted(str(folder / name)) for name in found])}"


def built_in_text(name: str) -> tuple[bytes, str]:
    """`spec_text` of a name that `catalogue` gave."""
    return (specs_folder() / f"{name}.yaml").read_bytes(), f"{name}.yaml"


def load_spec(model: str | os.PathLike[str]) -> Spec:
    """Read a spec by its built-in name ("googlenet") or by its path ("mine.yaml").

    Raises SpecError (file, line, path) for a mistake in it and UsageError where there is no such model.

    >>> load_spec("googlenet").input
    (3, 224, 224)
    """
    return parse_spec(*spec_text(model))
