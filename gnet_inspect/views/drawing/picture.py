"""DOT -> svg, png or pdf, by the Graphviz that pygraphviz carries, or by the system's `dot` where that is missing.

The layout is measured with Roboto, which comes as a package: the same picture everywhere, in a container without any
fonts, too.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gnet_inspect.errors import INSTALL_GRAPHVIZ, MissingError
from gnet_inspect.views.fonts import roboto_folder
from gnet_inspect.views.native import call_native, run_native, wants_child

PICTURES = ("svg", "png", "pdf")
FORMATS = (*PICTURES, "dot")
# Twice what a screen has, so that a printed picture is sharp.
PNG_DPI = "150"

# It takes the folder of Roboto from where XDG_DATA_HOME points, so that no file has to be written for it.
FONTS = Path(__file__).parent / "fonts.conf"

_DATE = re.compile(rb"(/CreationDate \(D:)\d{14}")


def draw_picture(dot: str, style: str) -> bytes:
    """A DOT text as svg, png or pdf. Raises MissingError where nothing here can draw, or has the font."""
    font = roboto_folder(style)
    # What fontconfig reads: its fonts.conf, in which "xdg" is the parent of Roboto's folder.
    with _environment(FONTCONFIG_FILE=str(FONTS), XDG_DATA_HOME=str(font.parent)):
        if find_spec("pygraphviz") is None:
            drawn = _by_dot(dot, style)
        elif wants_child(dot):
            here = f"{__name__}:{draw_here.__name__}"
            drawn = call_native(here, dot, style, what=style, library="Graphviz")
        else:
            drawn = draw_here(dot, style)
    # A picture of the same text is the same file: no PDF says when it was made.
    return _DATE.sub(rb"\g<1>19700101000000", drawn)


def draw_here(dot: str, style: str) -> bytes:
    """A picture by pygraphviz, in this process. Public because a child process calls it by its name."""
    import pygraphviz

    with _without_native_warnings():
        graph: Any = pygraphviz.AGraph  # which has no types
        drawn: bytes = graph(dot).draw(format=style, prog="dot", args=_arguments(style))
    return drawn


def _by_dot(dot: str, style: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise MissingError(
            f"{style} needs Graphviz, and neither pygraphviz nor the program dot is installed. "
            f"Install it with: {INSTALL_GRAPHVIZ} (--format dot needs neither)"
        )
    command = [program, f"-T{style}", *_arguments(style).split()]
    return run_native(command, dot, what=style, library="Graphviz")


def _arguments(style: str) -> str:
    return f"-Gdpi={PNG_DPI}" if style == "png" else ""


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_native_warnings() -> Iterator[None]:
    """What the libraries under Graphviz write to descriptor 2 (fontconfig on other people's files) helps nobody."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed: nobody hears them
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
