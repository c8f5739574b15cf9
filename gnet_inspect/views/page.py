"""What HTML pages with charts share: Vega in the page, and a policy under which nothing else runs."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from gnet_inspect.errors import INSTALL_REPORT, MissingError
from gnet_inspect.views.native import call_native

# What draws charts, as an error says it: its engine asks for that many addresses.
VEGA = "vl-convert (V8 reserves more than 64 GB of addresses)"


def missing_package(what: str, error: ImportError) -> MissingError:
    """The error for a page or plot (`what`) without the package that draws it."""
    return MissingError(f"{what} needs {error.name}, which is not installed. Install it with: {INSTALL_REPORT}")


def vega_library(what: str) -> str:
    """Vega, Vega-Lite and Vega-Embed as one script. Raises MissingError where vl-convert is not installed."""
    need_vl_convert(what)
    return call_native(f"{__name__}:{vega_here.__name__}", "", what=what, library=VEGA).decode()


def vega_here(_: str) -> bytes:
    """Vega's script, from V8 in this process. Public because a child process calls it by its name."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub demands what has a default
    return bundle.encode()


def need_vl_convert(what: str) -> None:
    """Raise MissingError, for a page or plot (`what`), where vl-convert is not installed."""
    if find_spec("vl_convert") is None:
        raise missing_package(what, ModuleNotFoundError(name="vl_convert"))


def script_text(text: str) -> str:
    """A script as it may stand between its tags."""
    return text.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def policy_of(scripts: Sequence[str]) -> str:
    """Only the page's own scripts run, and nothing is loaded from anywhere."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def json_text(data: Any) -> str:
    """What a page's script reads. It stands in a script element: no "<" may end that."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
