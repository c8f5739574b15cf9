"""A real browser, for the tests of pages."""

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# No sandbox: containers run as root. The others keep the browser itself from calling home.
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]


def frames(page: "Page", number: int) -> None:
    """Wait until the page was painted so many times; a browser that does not paint it, because another one is in front,
    has a moment in place of each."""
    for _ in range(number):
        page.evaluate("() => new Promise((done) => (requestAnimationFrame(done), setTimeout(done, 250)))")


def settle(page: "Page", check: Callable[[], bool]) -> None:
    """Wait until something holds, for a thousand frames: how long a chart takes depends on the machine."""
    for _ in range(1_000):
        if check():
            return
        frames(page, 1)
    assert check()
