"""Where specs come from: the built-in catalogue, a path, or text."""

import os
from collections.abc import Callable
from pathlib import Path

from gnet_inspect.errors import SpecError, UsageError, expect, nearest, show
from gnet_inspect.reading import TooLargeError, read_bounded
from gnet_inspect.spec.document import MAX_BYTES
from gnet_inspect.spec.model import Spec
from gnet_inspect.spec.parse import parse_spec

ENDINGS = (".yaml", ".yml")


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
    return file_text(name, "model", "spec file", catalogue)


def file_text(name: str, thing: str, kind: str, known: Callable[[], list[str]]) -> tuple[bytes, str]:
    """(the text of a file, the name errors give it). In errors, a built-in `thing` or a file of the `kind` could stand
    there; `known` gives the names of the built-in ones."""
    # A file's name may hold bytes that are no text.
    shown = name.encode("utf-8", "backslashreplace").decode()
    path = Path(name)
    try:
        return read_bounded(path, MAX_BYTES), shown
    except TooLargeError as error:
        raise SpecError(str(error), file=shown) from None
    except IsADirectoryError:
        raise UsageError(f"expected a built-in {thing} or a {kind}, got the folder {name!r}") from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        pass
    except OSError as error:
        raise UsageError(f"cannot read {show(name)}: {error.strerror}") from None
    if name.endswith(ENDINGS) or os.path.dirname(name):
        raise UsageError(f"expected a {kind}, got {name!r}, which does not exist")
    raise UsageError(f"expected a built-in {thing} or a {kind}, got {name!r}: {nearest(name, known())}")


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
