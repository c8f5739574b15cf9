"""DOT -> svg, png or pdf, by the Graphviz that pygraphviz carries, or by the system's `dot` where that is missing.

The layout is measured with Roboto, which comes as a package: the same picture everywhere, in a container without any
fonts, too.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gnet_inspect.errors import MissingError

PICTURES = ("svg", "png", "pdf")
FORMATS = (*PICTURES, "dot")
INSTALL_GRAPHVIZ = "pip install pygraphviz font-roboto"
# Twice what a screen has, so that a printed picture is sharp.
PNG_DPI = "150"

_FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}</dir>{others}<cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""

_DATE = re.compile(rb"(/CreationDate \(D:)\d{14}")


def draw_picture(dot: str, style: str) -> bytes:
    """A DOT text as svg, png or pdf. Raises MissingError where nothing here can draw, or has the font."""
    font = roboto_folder(style)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "fonts.conf"
        config.write_text(_FONTCONFIG.format(folder=font, others=_system_fonts()))
        with _environment(FONTCONFIG_FILE=str(config)):
            draw = _by_dot if find_spec("pygraphviz") is None else _by_pygraphviz
            # A picture of the same text is the same file: no PDF says when it was made.
            return _DATE.sub(rb"\g<1>19700101000000", draw(dot, style))


def roboto_folder(what: str = "a picture") -> Path:
    """Where the font's files are. Raises MissingError where it is not installed."""
    font = find_spec("font_roboto")
    if font is None or not font.submodule_search_locations:
        raise MissingError(f"{what} needs the font Roboto, which is not installed. Install it with: {INSTALL_GRAPHVIZ}")
    return Path(font.submodule_search_locations[0]) / "files"


def _system_fonts() -> str:
    """For letters that Roboto does not have, where the system can help out."""
    return "<dir>/usr/share/fonts</dir>" if os.path.isdir("/usr/share/fonts") else ""


def _by_pygraphviz(dot: str, style: str) -> bytes:
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
    return subprocess.run(command, input=dot.encode(), capture_output=True, check=True).stdout


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
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
