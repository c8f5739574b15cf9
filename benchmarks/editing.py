"""The live editor: from what is typed to its numbers and its picture on the screen, and what stays in memory.

GoogLeNet in Chromium, on a server that runs as its users run it. A width is typed over the one before it; what is
measured is from the key to the end of the frame that shows the answer, by the page's own clock.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measure import Ratio, milliseconds

if TYPE_CHECKING:
    from playwright.sync_api import Page

EDITS = 300
NUMBERS_S, PICTURE_S, GROWTH = 0.1, 0.2, 1.05
# Where inception3a stands in the text, and the width of its 3x3 convolution in that line.
LINE, COLUMN, FIRST = "    inception3a:", "128", 129
# Containers run as root, where there is no sandbox; the others keep the browser itself from calling home.
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
# When each edit was typed, counted and drawn: in milliseconds, by its number.
WATCH = """() => {
  const body = document.body;
  const seen = (window.seen = { edited: {}, counted: {}, drawn: {} });
  let typed = 0;
  addEventListener("beforeinput", () => (typed = performance.now()), true);
  window.frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))));
  new MutationObserver(async (changes) => {
    for (const name of new Set(changes.map((change) => change.attributeName.slice(5)))) {
      const number = body.dataset[name];
      if (name === "edited") seen.edited[number] = typed;
      else if (name in seen) window.frame().then((at) => (seen[name][number] = at));
    }
  }).observe(body, { attributes: true });
}"""
# Steps as fast as a slider is dragged: one in each frame.
BURST = """async (edits) => {
  const more = document.querySelector('[aria-label="c2.1: one step more"]');
  let at;
  for (let edit = 0; edit < edits; edit += 1) {
    at = performance.now();
    more.click();
    await new Promise(requestAnimationFrame);
  }
  return at;
}"""


class Times(NamedTuple):
    """Of edits one after the other: seconds to numbers and to the picture."""

    numbers: list[float]
    picture: list[float]


def measure() -> list[Ratio]:
    """The times of edits, of a burst of them, and the memory of the server with its workers; [] without a browser."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        return _unmeasured("no Chromium is installed")
    from gnet_inspect.errors import MissingError

    try:
        from gnet_inspect.serving.page import page_files

        page_files()
    except (ImportError, MissingError) as error:
        return _unmeasured(str(error))
    from playwright.sync_api import sync_playwright

    with _served("googlenet") as (address, pid), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector("body[data-drawn]")
        page.evaluate(WATCH)
        _find(page)
        # What is loaded at the first edits is no growth.
        width = FIRST
        for _ in range(10):
            width = _type(page, width)
        memory, times, load = [_resident(pid)], Times([], []), []
        for _ in range(2):
            for _ in range(EDITS // 2):
                width = _type(page, width, times)
            memory.append(_resident(pid))
            load.append(os.getloadavg()[0])
            _break(page, width)
        counted, last = _burst(page)
        browser.close()
    numbers, picture = _percentiles(times.numbers), _percentiles(times.picture)
    growth = max(sum(each.values()) for each in memory[1:]) / sum(memory[0].values())
    loads = ", ".join(f"{each:.1f}" for each in load)
    _say(f"the editor, at a load of {loads} on {os.cpu_count()} processors:")
    for name, (half, most) in {"numbers": numbers, "picture": picture}.items():
        _say(f"  {name}: p50 {milliseconds(half)}, p95 {milliseconds(most)}")
    _say(f"  {EDITS} edits in a burst: {counted} counted; the last one's picture after {milliseconds(last)}")
    for each in memory:
        _say("  resident: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in each.items()))
    return [
        _within("an edit's numbers on the screen, p95", numbers[1], NUMBERS_S),
        _within("an edit's picture on the screen, p95", picture[1], PICTURE_S),
        _within("the picture of the last edit of a burst", last, PICTURE_S),
        Ratio(
            f"resident memory of serve after {EDITS} edits / before",
            f"{sum(memory[-1].values()) / 1e6:.0f} MB",
            f"{sum(memory[0].values()) / 1e6:.0f} MB",
            growth,
            "at most",
            GROWTH,
        ),
    ]


def _say(text: str) -> None:
    """Beside the report, which has ratios alone."""
    print(text, file=sys.stderr, flush=True)


def _unmeasured(why: str) -> list[Ratio]:
    _say(f"the editor is not measured: {why}")
    return []


def _within(what: str, taken: float, limit: float) -> Ratio:
    return Ratio(f"{what} / {limit:g} s", milliseconds(taken), milliseconds(limit), taken / limit, "at most", 1)


@contextmanager
def _served(model: str) -> Iterator[tuple[str, int]]:
    """The address of a server, and its process."""
    command = [sys.executable, "-m", "gnet_inspect", "serve", model, "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait()


def _find(page: "Page") -> None:
    """The cursor behind the width, by the keyboard; the part that is written there is the chosen one then."""
    from gnet_inspect.language import spec_text

    lines = spec_text("googlenet")[0].decode().splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith(LINE))
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+Home")
    for _ in range(row):
        page.keyboard.press("ArrowDown")
    for _ in range(lines[row].index(COLUMN) + len(COLUMN)):
        page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="inception3a").wait_for()


def _type(page: "Page", width: int, times: Times | None = None) -> int:
    """Type a width over the one before the cursor, and wait for its picture; the next one to type."""
    _write(page, str(width))
    number = int(page.evaluate("document.body.dataset.edited"))
    page.wait_for_function("number => number in seen.counted && number in seen.drawn", arg=str(number), timeout=0)
    if times is not None:
        typed, counted, drawn = page.evaluate("n => [seen.edited[n], seen.counted[n], seen.drawn[n]]", number)
        times.numbers.append((counted - typed) / 1000)
        times.picture.append((drawn - typed) / 1000)
    return width + 1


def _write(page: "Page", text: str) -> None:
    for _ in COLUMN:
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.insert_text(text)


def _break(page: "Page", width: int) -> None:
    """A text that is none between others: what was shown stays, and what is typed next is counted. Raises."""
    shown = page.locator("#figures").inner_text()
    _write(page, "x12")
    page.wait_for_function("() => document.body.dataset.wrong === document.body.dataset.edited", timeout=0)
    if page.locator("#figures").inner_text() != shown:
        raise RuntimeError("a broken text took the numbers with it")
    _type(page, width - 1)
    if page.locator("#figures").inner_text() != shown:
        raise RuntimeError("a text that was mended has other numbers")


def _burst(page: "Page") -> tuple[int, float]:
    """How many of a burst were counted, and the seconds from the last edit to its picture."""
    before = len(page.evaluate("Object.keys(seen.counted)"))
    at = page.evaluate(BURST, EDITS)
    page.wait_for_function("() => document.body.dataset.edited in seen.drawn", timeout=0)
    drawn = page.evaluate("seen.drawn[document.body.dataset.edited]")
    return len(page.evaluate("Object.keys(seen.counted)")) - before, (drawn - at) / 1000


def _resident(pid: int) -> Mapping[str, int]:
    """Bytes of the server and of what counts and draws for it."""
    import psutil

    server = psutil.Process(pid)
    counter, drawer = sorted(server.children(), key=lambda child: child.pid)
    named = {"server": server, "counter": counter, "drawer": drawer}
    return {name: process.memory_info().rss for name, process in named.items()}


def _percentiles(values: list[float]) -> tuple[float, float]:
    """The median, and what 95 of 100 are below."""
    cuts = quantiles(values, n=20)
    return cuts[9], cuts[18]
