"""The page's files: its HTML, its style, the font of its pictures, and its script.

The script is built from editor/ (with CodeMirror, from npm) by `make editor`, and lies in the wheel; it is not kept in
the repository.
"""

from html import escape
from importlib.resources import files
from string import Template

from msgspec import Struct

from gnet_inspect.errors import MissingError
from gnet_inspect.views.fonts import roboto_folder
from gnet_inspect.views.pages.figure import figure_style

SCRIPT = "editor.js"
_FONTS = {"roboto.ttf": "Roboto-Regular.ttf", "roboto-medium.ttf": "Roboto-Medium.ttf"}


class PageFile(Struct, frozen=True):
    """A file as it is sent."""

    content: bytes
    media_type: str


def page_html(nonce: str) -> str:
    """The page; styles that its script adds carry the nonce."""
    return Template(_text("page.html")).substitute(nonce=escape(nonce))


def page_files() -> dict[str, PageFile]:
    """All others by name. Raises MissingError where the script was not built."""
    script = files(__name__) / SCRIPT
    if not script.is_file():
        raise MissingError(
            "the page of `serve` needs its script, which is built when a wheel is. "
            "In a checkout, build it with: make editor (it needs Node.js and npm)"
        )
    found = {
        SCRIPT: PageFile(script.read_bytes(), "text/javascript"),
        "page.css": PageFile(f"{_text('page.css')}{figure_style()}".encode(), "text/css"),
    }
    return found | {
        name: PageFile((roboto_folder() / source).read_bytes(), "font/ttf") for name, source in _FONTS.items()
    }


def _text(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")
