"""What HTML pages share: scripts and data that stand in the page, and a policy under which nothing else runs."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any


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
