"""A pseudo-terminal, for the tests of what people see."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence

COMMAND = [sys.executable, "-m", "gnet_inspect"]
# What a terminal that somebody has would change.
_OWN = ("NO_COLOR", "COLUMNS", "LINES")


def environment_of(**own: str) -> dict[str, str]:
    """What a command finds on a terminal of 256 colours."""
    clean = {key: value for key, value in os.environ.items() if key not in _OWN}
    return clean | {"TERM": "xterm-256color"} | own


def printed_on(parent: int) -> Iterator[bytes]:
    """What is printed on a terminal up to its end, which is closed then."""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        yield chunk
    os.close(parent)


def on_a_terminal(command: Sequence[str], **own: str) -> tuple[str, str]:
    """(what a command prints on a terminal, what it says on standard error)."""
    parent, child = pty.openpty()
    environment = environment_of(**own)
    with subprocess.Popen([*COMMAND, *command], stdout=child, stderr=subprocess.PIPE, env=environment) as process:
        os.close(child)
        out = b"".join(printed_on(parent))
        assert process.stderr is not None
        return out.decode(), process.stderr.read().decode()
