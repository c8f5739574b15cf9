"""What HTML pages with charts share: Vega in the page, and a policy under which nothing else runs."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from gnet_inspect.errors import INSTALL_REPORT, MissingError


def missing_package(what: str, error: ImportError) -> MissingError:
    """The error for a page or plot (`what`) without the package that draws it."""
    return MissingError(f"{what} needs {error.name}, which is not installed. Install it with: {INSTALL_REPORT}")


def vega_library(what: str) -> str:
    """Vega, Vega-Lite and Vega-Embed as one script. Raises MissingError where vl-convert is not installed."""
    try:
        import vl_convert
    except ImportError as error:
        raise missing_package(what, error) from None
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub demands what has a default
    return bundle


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
