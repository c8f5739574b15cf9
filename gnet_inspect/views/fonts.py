"""Roboto, in which pictures and charts are drawn: it comes as a package, so that they are the same everywhere."""

from importlib.util import find_spec
from pathlib import Path

from gnet_inspect.errors import INSTALL_GRAPHVIZ, MissingError


def roboto_folder(what: str = "a picture") -> Path:
    """Where the font's files are. Raises MissingError where it is not installed."""
    font = find_spec("font_roboto")
    if font is None or not font.submodule_search_locations:
        raise MissingError(f"{what} needs the font Roboto, which is not installed. Install it with: {INSTALL_GRAPHVIZ}")
    return Path(font.submodule_search_locations[0]) / "files"
