"""A page -> PDF, printed by the Chromium, Chrome or Edge that the system has.

The browser is a child process with a profile of its own, which goes with it. It has so long and no longer, and no name
of a host leads anywhere, though the page asks for nothing.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from gnet_inspect.errors import MissingError, brief

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
# A page of ten thousand layers takes a minute.
SECONDS = 300
# The scripts of the page are done well before; the browser's own clock runs ahead while nothing happens.
MILLISECONDS = 30_000
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-quic",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
    # Charts are drawn at this size, and scaled to paper.
    "--window-size=1400,1000",
    f"--virtual-time-budget={MILLISECONDS}",
)
INSTEAD = "Write the page (-o report.html) and print it from a browser"


def find_browser() -> str:
    """The browser that prints. Raises MissingError where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise MissingError(
            f"a PDF needs Chromium, Chrome or Edge, and none of {', '.join(BROWSERS)} is on PATH. {INSTEAD}, or "
            "install one of them"
        )
    return found


def print_page(page: str, browser: str) -> bytes:
    """The page as a PDF. Raises MissingError where the browser does not make one."""
    with TemporaryDirectory(prefix="gnet-inspect-", ignore_cleanup_errors=True) as folder:
        source, printed = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_text(page, encoding="utf-8")
        # Chromium's sandbox refuses root; the page is this program's own, and runs no script but its own.
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        profile = f"--user-data-dir={Path(folder, 'profile')}"
        command = [browser, *FLAGS, *sandbox, profile, f"--print-to-pdf={printed}", source.as_uri()]
        complaint = _run(command, Path(folder, "complaints"))
        content = printed.read_bytes() if printed.is_file() else b""
    if not content.startswith(b"%PDF"):
        raise MissingError(f"{browser} printed no PDF: {complaint}. {INSTEAD}")
    return content


def _run(command: list[str], complaints: Path) -> str:
    """Run a browser to its end; what it complained of. That goes to a file: what a browser started, and may outlive it,
    would hold a pipe open."""
    try:
        with complaints.open("wb") as said:
            nothing, own = subprocess.DEVNULL, os.name == "posix"
            process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=said, start_new_session=own)
    except OSError as error:
        return f"it could not be started ({error.strerror})"
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"it had not ended after {SECONDS:,} s"
    except BaseException:
        # A signal ends this program: its browser does not go on.
        _end(process)
        raise
    lines = complaints.read_text(encoding="utf-8", errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    return brief(last, 200).rstrip(".") or f"it ended with {process.returncode}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a browser that runs, with all that it started."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
