"""Vega, out of vl-convert: as the script that draws charts in a page, and to draw one here.

V8 runs in a child process always, because the script takes it a second in which no signal would be answered.
"""

import json
from functools import cache
from importlib.util import find_spec
from typing import Any

from gnet_inspect.errors import missing_report_package
from gnet_inspect.views.fonts import roboto_folder
from gnet_inspect.views.native import call_native

# As an error says it: its engine asks for that many addresses.
LIBRARY = "vl-convert (V8 reserves more than 64 GB of addresses)"


def vega_library(what: str) -> str:
    """Vega, Vega-Lite and Vega-Embed as one script. Raises MissingError where vl-convert is not installed."""
    _check_installed(what)
    return _library(what)


@cache
def _library(what: str) -> str:
    """The script, which is the same as long as this process runs: a second page need not wait for it again."""
    return _call(library_here.__name__, "", what=what).decode()


def draw_chart(chart: dict[str, Any], form: str, what: str) -> str | bytes:
    """A chart of Vega-Lite as "svg" or "png". Raises MissingError where vl-convert is not installed."""
    _check_installed(what)
    drawn = _call(chart_here.__name__, json.dumps(chart), form, what=what)
    return drawn.decode() if form == "svg" else drawn


def library_here(_: str) -> bytes:
    """Vega's script, from V8 in this process. Public because a child process calls it by its name."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub demands what has a default
    return bundle.encode()


def chart_here(spec: str, form: str) -> bytes:
    """A picture, from V8 in this process. Public for the same reason."""
    import vl_convert

    vl_convert.register_font_directory(str(roboto_folder(form)))
    if form == "svg":
        return vl_convert.vegalite_to_svg(spec).encode()
    return vl_convert.vegalite_to_png(spec, scale=2)


def _check_installed(what: str) -> None:
    if find_spec("vl_convert") is None:
        raise missing_report_package(what, "vl_convert")


def _call(function: str, *arguments: str, what: str) -> bytes:
    return call_native(f"{__name__}:{function}", *arguments, what=what, library=LIBRARY)
