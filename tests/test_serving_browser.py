"""The live editor in a real browser: Chromium without a window on a server that runs as its users run it.

No test waits for a time: each edit has a number, and the page says which one it has counted and drawn last.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gnet_inspect.language import spec_text
from gnet_inspect.views.tables.comparison import ratio_text
from tests.browsing import frames, settle
from tests.conftest import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Locator, Page

for package in ("starlette", "uvicorn", "websockets", "pygraphviz", "playwright"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "gnet_inspect" / "serving" / "page" / "editor.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not SCRIPT.is_file(), reason="the page's script is not built: make editor"),
]

GOOGLENET = spec_text("googlenet")[0].decode()
SMALL = """\
name: small
input: [3, 32, 32]
blocks:
  unit:
    params: [out]
    layers:
      conv: {Conv2d: {out_channels: $out, kernel_size: 3, padding: 1, bias: false}}
      norm: BatchNorm2d
      relu: ReLU
stages:
  body:
    one: {unit: {out: 8}}
    two: {unit: {out: 8}}
    three: {unit: {out: 16}}
  head:
    pool: {AdaptiveAvgPool2d: {output_size: 1}}
    flatten: Flatten
    drop: {Dropout: {p: 0.5}}
    fc: {Linear: {out_features: 10}}
"""
# Weights, and two numbers of a BatchNorm for each of its channels.
UNITS = (3 * 8 * 9 + 2 * 8, 8 * 8 * 9 + 2 * 8, 8 * 16 * 9 + 2 * 16)
PARAMS = sum(UNITS) + 16 * 10 + 10
# What of the page can be seen beside each other: texts and controls, as far as what is around them shows them.
SEEN = """() => {
  const inner = ".cm-editor, .canvas, .scroll";
  const pieces = [];
  const cut = [];
  // What a dialog lies over is not used.
  const root = document.querySelector("dialog[open]") ?? document.body;
  for (const each of root.querySelectorAll("*")) {
    if (each.closest(inner) || each.closest("[hidden], option, datalist, script, dialog:not([open])")) continue;
    const text = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text && !each.matches("input, select, button")) continue;
    const inline = getComputedStyle(each).display === "inline";
    const name = `${each.localName}#${each.id} ${each.textContent.trim().slice(0, 30)}`;
    if (!inline && each.scrollWidth - each.clientWidth > 1 && !each.matches("input, select")) cut.push(name);
    // A text of several lines within others has a box for each.
    for (const box of inline ? each.getClientRects() : [each.getBoundingClientRect()]) {
      let { left, top, right, bottom } = box;
      for (let around = each.parentElement; around; around = around.parentElement) {
        if (getComputedStyle(around).overflowY === "visible" || around === document.documentElement) continue;
        const room = around.getBoundingClientRect();
        [top, bottom] = [Math.max(top, room.top), Math.min(bottom, room.bottom)];
      }
      if (right - left > 1 && bottom - top > 1) pieces.push({ each, name, left, top, right, bottom });
    }
  }
  const wrong = cut.map((name) => `cut off: ${name}`);
  for (const one of pieces) {
    if (one.left < 0 || one.right > innerWidth + 0.5) wrong.push(`outside: ${one.name}`);
    for (const other of pieces) {
      if (one === other || one.each.contains(other.each) || other.each.contains(one.each)) continue;
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      // Rows of letters are higher than their letters.
      if (across > 1 && down > 3) wrong.push(`${one.name} over ${other.name}`);
    }
  }
  return wrong;
}"""


class Server:
    """`gnet-inspect serve` in a folder, as a process."""

    def __init__(self, folder: Path, *arguments: str, port: str = "0") -> None:
        self.folder = folder
        command = [sys.executable, "-m", "gnet_inspect", "serve", *arguments, "--no-browser", "--port", port]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:")

    @property
    def port(self) -> str:
        return self.address.split(":")[2].split("/")[0]

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end."""
        self._process.send_signal(number)
        self._process.wait(120)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def runs(self) -> bool:
        return self._process.poll() is None


class Tab:
    """The page, as its user has it; what it told the server, which is where the whole text can be read."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.text = ""
        self._number = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: Any) -> None:
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._received)

    def _sent(self, frame: Any) -> None:
        message = json.loads(frame)
        if message["is"] == "edit":
            self._number, self.text = message["number"], message["text"]

    def _received(self, frame: Any) -> None:
        message = json.loads(frame)
        if message.get("is") == "hello":
            self.text = message["text"]

    @property
    def edited(self) -> int:
        """The number of the last edit; by then `text` is that of this edit."""
        number = int(self.page.evaluate("document.body.dataset.edited ?? 0"))
        settle(self.page, lambda: self._number == number)
        return number

    def wait(self, *what: str) -> "Tab":
        """Until the last edit is "counted" and "drawn", or "wrong"."""
        number = self.edited
        for each in what or ("counted", "drawn"):
            self.page.wait_for_function(
                "([what, number]) => Number(document.body.dataset[what]) >= number",
                arg=[each, number],
                # Not by frames: a browser may stop painting a page that is behind another one.
                polling=20,
            )
        frames(self.page, 2)
        return self

    # --- what a user does ---

    def go(self, text: str, nth: int = 0, *, after: bool = False) -> None:
        """The cursor to a place in the text, by the keyboard."""
        keys = self.page.keyboard
        offset = -1
        for _ in range(nth + 1):
            offset = self.text.index(text, offset + 1)
        before = self.text[: offset + (len(text) if after else 0)]
        self.page.locator(".cm-content").focus()
        keys.press("Control+Home")
        lines = before.count("\n")
        for _ in range(lines - 1):
            keys.press("ArrowDown")
        if lines:
            # The arrow keeps the place across, which a page that moves meanwhile shifts: by the end it is exact again.
            keys.press("End")
            keys.press("ArrowRight")
        for _ in range(len(before) - before.rfind("\n") - 1):
            keys.press("ArrowRight")

    def type(self, old: str, new: str, nth: int = 0) -> "Tab":
        """Type something else over a part of the text."""
        self.go(old, nth)
        for _ in old:
            self.page.keyboard.press("Shift+ArrowRight")
        if new:
            self.page.keyboard.type(new)
        else:
            self.page.keyboard.press("Delete")
        # What is offered there is not taken.
        self.page.keyboard.press("Escape")
        return self

    def box(self, name: str) -> "Locator":
        """The box of the picture that is called so."""
        return self.page.locator(f'#picture .box[aria-label="{name}"], #picture .box[aria-label^="{name}:"]').first

    def row(self, path: str) -> "Locator":
        """The table's row of a part."""
        return self.page.locator(f'#table tr[data-path="{path}"]')

    def choose(self, name: str, path: str = "") -> "Tab":
        """Click a box, and wait until its part is shown."""
        self.box(name).click()
        self.shows(path or name)
        return self

    def shows(self, path: str) -> None:
        """Wait until a part is the chosen one, in the panel, the table and the picture."""
        settle(self.page, lambda: self.part == path)

    @property
    def part(self) -> str:
        """The path of the chosen part."""
        panel = self.page.locator("#part")
        return panel.locator("h2").inner_text() if panel.is_visible() else ""

    def argument(self, name: str) -> "Locator":
        """The row of controls of an argument."""
        names = self.page.locator(".stepper label").evaluate_all(
            "all => all.map((each) => each.firstChild.textContent)"
        )
        return self.page.locator(".stepper").nth(names.index(name))

    def figure(self, key: str) -> dict[str, str]:
        """A total on top of the page: what it is, in full, and its change."""
        figure = self.page.locator(f'.figure[data-key="{key}"]')
        return {
            "now": figure.locator(".now").inner_text(),
            "exact": str(figure.locator(".now").get_attribute("title")),
            "delta": " ".join(figure.locator(".delta").inner_text().split()),
        }

    def marked(self, mark: str) -> list[str]:
        """The names of the boxes that are highlighted so."""
        labels = self.page.locator(f"#picture .box.{mark}").evaluate_all(
            "boxes => boxes.map((box) => box.getAttribute('aria-label'))"
        )
        return [label.split(":")[0] for label in labels]

    def rows(self, mark: str) -> list[str]:
        """The paths of the table's rows that are marked so."""
        paths: list[str] = self.page.locator(f"#table tr.{mark}").evaluate_all(
            "rows => rows.map((row) => row.dataset.path)"
        )
        return paths

    def notice(self, words: str) -> "Locator":
        """What the page says on top, once it does."""
        found = self.page.locator(".notice").filter(has_text=words)
        found.wait_for()
        return found


class Line:
    """What is between the page and the server: answers can be kept back, and given later."""

    def __init__(self, tab: Tab) -> None:
        self.keeps = False
        self._kept: list[tuple[Any, str]] = []
        tab.page.route_web_socket("**/tab", lambda route: self._connect(tab, route))

    def _connect(self, tab: Tab, route: Any) -> None:
        server = route.connect_to_server()

        def ask(message: str) -> None:
            tab._sent(message)
            server.send(message)

        def answer(message: str) -> None:
            tab._received(message)
            if self.keeps:
                self._kept.append((route, message))
            else:
                route.send(message)

        route.on_message(ask)
        server.on_message(answer)

    def kept(self, number: int, what: str) -> list[tuple[Any, str]]:
        """The answers of a kind to an edit that were kept back."""
        read = [(route, message, json.loads(message)) for route, message in self._kept]
        return [
            (route, message)
            for route, message, said in read
            if (said["number"], said["answer"]["is"]) == (number, what)
        ]

    def give(self, some: list[tuple[Any, str]] | None = None) -> None:
        """Give some of them, or all that are left, and keep none back from here on."""
        for one in list(self._kept) if some is None else some:
            route, message = one
            route.send(message)
            self._kept.remove(one)
        self.keeps = some is not None


Open = Callable[..., Tab]
Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def googlenet(tmp_path_factory: pytest.TempPathFactory, browser: "Browser") -> Iterator[Server]:
    """A server of the built-in model; each tab is a state of its own."""
    server = Server(tmp_path_factory.mktemp("served"), "googlenet")
    yield server
    server.end()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, browser: "Browser") -> Iterator[Server]:
    """A server of a small file that no test saves: what is typed is its tab's, and drafts are its browser context's."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    server = Server(folder, "small.yaml")
    yield server
    server.end()
    assert [(each.name, each.read_text(encoding="utf-8")) for each in folder.iterdir()] == [("small.yaml", SMALL)]


@pytest.fixture
def serve(tmp_path: Path, browser: "Browser") -> Iterator[Serve]:
    """Serve a file of a text in a folder of its own."""
    servers: list[Server] = []

    def start(text: str | None = SMALL, *arguments: str, name: str = "small.yaml", port: str = "0") -> Server:
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        servers.append(Server(tmp_path, name, *arguments, port=port))
        return servers[-1]

    yield start
    for server in servers:
        if server.runs:
            server.end()


@pytest.fixture
def open_tab(browser: "Browser") -> Iterator[Open]:
    """Open a server's page; at the end nobody else was asked for anything, and nothing complained."""
    asked: list[tuple[str, str]] = []
    complaints: list[str] = []
    contexts: list[Any] = []

    def refuse(dialog: "Dialog") -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def show(
        server: Server, width: int = 1280, context: Any = None, prepare: Callable[[Tab], object] = id, **options: Any
    ) -> Tab:
        if context is None:
            context = browser.new_context(viewport={"width": width, "height": 900}, **options)
            contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append((server.address, request.url)))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", refuse)
        # Far above what anything takes: a test ends.
        page.set_default_timeout(60_000)
        tab = Tab(page)
        prepare(tab)
        page.goto(server.address)
        page.wait_for_selector("body[data-ready]")
        return tab.wait()

    yield show
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for address, url in asked if not url.startswith((address, "data:", "blob:"))] == []


def totals(run: Run, *arguments: str) -> Mapping[str, Any]:
    """A network's totals as the command line says them."""
    result = run("summary", *arguments, "--format", "json")
    assert result.code == 0
    found: Mapping[str, Any] = json.loads(result.out)["totals"]
    return found


# --- typing ---


def test_a_number_that_is_typed_changes_all_that_is_shown(open_tab: Open, googlenet: Server, run: Run) -> None:
    """Figures, rows and the picture are those of the command line, with what changed since the start."""
    tab = open_tab(googlenet)
    before, after = totals(run, "googlenet"), totals(run, "googlenet", "--set", "inception3a.c2.1=150")
    assert tab.figure("params") == {"now": "7.00 M", "exact": f"{before['params']:,}", "delta": "as at the start"}
    assert tab.marked("changed") == tab.marked("affected") == []
    tab.type("128", "150").wait()
    assert tab.text == GOOGLENET.replace("128", "150", 1)
    grown = after["params"] - before["params"]
    # A 3x3 convolution of 96 channels with a bias, and four 1x1 of what it gives, inside of inception3b.
    assert grown == 22 * (96 * 9 + 1) + 22 * (128 + 128 + 32 + 64)
    assert tab.figure("params") == {"now": "7.03 M", "exact": f"{after['params']:,}", "delta": "▲ +26.77 K (+0.4 %)"}
    assert tab.figure("macs")["exact"] == f"{after['macs']:,}"
    assert tab.figure("receptive_field")["delta"] == "as at the start"
    table = run("summary", "googlenet", "--set", "inception3a.c2.1=150", "--depth", "block").out
    row = next(line for line in table.splitlines() if line.split()[:1] == ["inception3a"])
    cells = tab.row("inception3a").locator("th, td").all_inner_texts()
    # A terminal's rows have bars besides.
    assert "".join(cells).replace(" ", "") == re.sub("[ \u2580-\u259f]", "", row)
    assert "96-150" in str(tab.box("inception3a").text_content())
    assert tab.marked("changed") == ["inception3a"]
    assert tab.marked("affected") == ["inception3b"]
    assert tab.rows("changed") == ["inception3", "inception3a"]
    assert tab.rows("affected") == ["inception3b"]
    changes = tab.page.locator("#changes li").all_inner_texts()
    assert changes[0] == "inception3a changed: c2 96-128 -> 96-150"
    tab.type("150", "99").wait()
    assert tab.figure("params")["delta"].startswith("▼ -")
    tab.type("99", "128").wait()
    assert tab.figure("params")["delta"] == "as at the start"
    assert tab.marked("changed") == tab.marked("affected") == []


def test_what_is_new_is_highlighted_as_that(open_tab: Open, small: Server) -> None:
    """A layer that is added, and one that is taken away."""
    tab = open_tab(small)
    tab.type("16}}", "16}}\nmore: {Conv2d: {out_channels: 4, kernel_size: 1}}").wait()
    assert "    more: {Conv2d: {out_channels: 4, kernel_size: 1}}\n  head:" in tab.text
    assert tab.marked("added") == ["more"]
    assert tab.rows("added") == ["more"]
    tab.type("    drop: {Dropout: {p: 0.5}}\n", "").wait()
    assert "drop removed" in tab.page.locator("#changes").inner_text()


def test_start_from_here(open_tab: Open, small: Server) -> None:
    """What changed is told against the text as it is now, from then on."""
    tab = open_tab(small)
    tab.type("16", "24").wait()
    assert tab.figure("params")["delta"] != "as at the start"
    tab.page.locator("#restart").click()
    settle(tab.page, lambda: tab.figure("params")["delta"] == "as at the start" and tab.marked("changed") == [])
    tab.type("24", "16").wait()
    assert tab.figure("params")["exact"] == f"{PARAMS:,}"
    assert tab.marked("changed") == ["three"]


# --- a text that is broken ---


def test_a_broken_text_keeps_what_was_shown(open_tab: Open, small: Server) -> None:
    """The last numbers and picture stay in grey; what is wrong stands where it is; mending it goes on."""
    tab = open_tab(small)
    tab.type("16", "24").wait()
    shown = tab.figure("params"), tab.page.locator("#table").inner_text(), tab.page.locator("#picture svg").inner_html()
    color = tab.page.locator("#figures .now").first.evaluate("each => getComputedStyle(each).color")
    # Broken from its first letter on: whatever is counted between, nothing of it is shown.
    tab.type("24", "x2").wait("wrong")
    line = SMALL[: SMALL.index("16}}")].count("\n") + 1
    assert tab.page.locator("#mistake").inner_text() == (
        f"line {line}: stages.body.three.unit.out: expected a positive integer, got 'x2'"
    )
    assert tab.page.locator(".cm-lintRange-error").all_inner_texts() == ["out: x2"]
    assert tab.page.locator(".cm-lint-marker-error").count() == 1
    assert tab.page.locator("#stale").is_visible()
    assert tab.page.locator("#figures .now").first.evaluate("each => getComputedStyle(each).color") != color
    assert "grayscale(1)" in tab.page.locator("#picture svg").evaluate("each => getComputedStyle(each).filter")
    assert shown == (
        tab.figure("params"),
        tab.page.locator("#table").inner_text(),
        tab.page.locator("#picture svg").inner_html(),
    )
    tab.type("x2", "32").wait()
    assert tab.page.locator("#mistake").inner_text() == ""
    assert tab.page.locator(".cm-lintRange-error").count() == 0
    assert not tab.page.locator("#stale").is_visible()
    assert tab.figure("params")["exact"] == f"{sum(UNITS[:2]) + 8 * 32 * 9 + 2 * 32 + 32 * 10 + 10:,}"


@pytest.mark.parametrize(
    ("old", "new", "underlined", "said"),
    [
        ("$out", "$oot", "out_channels: $oot", "oot"),
        ("Flatten", "Flaten", "flatten: Flaten", "did you mean `Flatten`"),
        ("name: small", "name: [small", None, "line"),
        # Characters of two halves, before it on its line.
        ("name: small", "name: {\U0001f600: 1}", "name: {\U0001f600: 1}", "name"),
    ],
)
def test_a_mistake_is_underlined_where_it_is(
    open_tab: Open, small: Server, old: str, new: str, underlined: str | None, said: str
) -> None:
    """By the columns that the server says, whatever the letters before them."""
    tab = open_tab(small)
    tab.type(old, new)
    if tab.edited and tab.text != SMALL.replace(old, new, 1):
        # A bracket that was closed for the user.
        assert tab.text.replace("]", "") == SMALL.replace(old, new, 1).replace("]", "")
        tab.page.keyboard.press("Delete")
    tab.wait("wrong")
    assert tab.text == SMALL.replace(old, new, 1)
    marked = "".join(tab.page.locator(".cm-lintRange-error").all_inner_texts())
    assert marked == underlined if underlined is not None else marked or tab.page.locator(".cm-lintPoint").count()
    assert said in tab.page.locator("#mistake").inner_text()


# --- words that are offered ---


def test_words_are_offered_and_taken(open_tab: Open, small: Server) -> None:
    """Kinds of layers from the schema, blocks of the text; what is chosen stands there with its arguments."""
    tab = open_tab(small)
    keys, offered = tab.page.keyboard, tab.page.locator(".cm-tooltip-autocomplete li")
    tab.go("    flatten: Flatten\n", after=True)
    keys.type("    more: ")
    keys.press("Control+Space")
    keys.type("Batch")
    settle(tab.page, lambda: offered.all_inner_texts() == ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"])
    # By the pointer: a key in the first moments is taken for one that was meant for the text.
    offered.nth(1).click()
    assert tab.edited
    assert "    flatten: Flatten\n    more: BatchNorm2d" in tab.text
    tab.type("    flatten: Flatten\n", "    flatten: Flatten\nlast: {un")
    keys.press("Control+Space")
    settle(tab.page, lambda: any(text.startswith("unit") for text in offered.all_inner_texts()))


# --- the arguments of a part ---


def test_a_stepper_writes_at_its_place_only(open_tab: Open, small: Server) -> None:
    """One more and one less, of one of two equal lines; undo takes it back, and redo brings it again."""
    tab = open_tab(small).choose("two")
    assert tab.argument("out").locator("input[type=number]").input_value() == "8"
    wanted = SMALL.replace("two: {unit: {out: 8}}", "two: {unit: {out: 9}}")
    tab.page.get_by_role("button", name="out: one step more").click()
    tab.wait()
    assert tab.text == wanted
    assert tab.figure("params")["exact"] == f"{PARAMS + 8 * 9 + 2 + 16 * 9:,}"
    tab.page.locator("#undo").click()
    tab.wait()
    assert tab.text == SMALL
    settle(tab.page, lambda: tab.argument("out").locator("input[type=number]").input_value() == "8")
    tab.page.locator("#redo").click()
    tab.wait()
    assert tab.text == wanted
    tab.page.get_by_role("button", name="out: one step less").click()
    tab.wait()
    assert tab.text == SMALL


def test_a_slider_writes_at_its_place_only(open_tab: Open, small: Server) -> None:
    """By keys, and by a drag, whose steps are all counted to the last."""
    tab = open_tab(small).choose("three")
    slider = tab.argument("out").locator("input[type=range]")
    slider.focus()
    tab.page.keyboard.press("ArrowRight")
    tab.wait()
    assert tab.text == SMALL.replace("16", "17")
    tab.page.keyboard.press("Home")
    tab.wait()
    assert tab.text == SMALL.replace("16", "1")
    place = slider.bounding_box()
    assert place is not None
    middle = place["y"] + place["height"] / 2
    tab.page.mouse.move(place["x"] + 8, middle)
    tab.page.mouse.down()
    tab.page.mouse.move(place["x"] + place["width"] / 2, middle, steps=12)
    tab.page.mouse.up()
    tab.wait()
    value = int(slider.input_value())
    assert 4 < value < 28
    assert tab.text == SMALL.replace("16", str(value))
    assert tab.argument("out").locator("input[type=number]").input_value() == str(value)


def test_a_number_is_typed_at_its_place(open_tab: Open, small: Server) -> None:
    """As a number of the layer takes it: what cannot stand there is not written, and does not stay."""
    tab = open_tab(small)
    tab.row("drop").click()
    tab.shows("drop")
    number = tab.argument("p").locator("input[type=number]")
    # Between two steps of its slider.
    number.fill("0.33")
    tab.wait()
    assert tab.text == SMALL.replace("0.5", "0.33")
    tab.choose("three")
    number = tab.argument("out").locator("input[type=number]")
    for refused in ("0", "-3", "2.5", ""):
        number.fill(refused)
        tab.wait()
        assert tab.text == SMALL.replace("0.5", "0.33")
    tab.page.locator("#file").click()
    number.blur()
    assert number.input_value() == "16"
    number.fill("12")
    tab.wait()
    assert tab.text == SMALL.replace("0.5", "0.33").replace("16", "12")


def test_a_checkbox_writes_at_its_place_only(open_tab: Open, small: Server) -> None:
    """What is written in a block is told to reach each of its uses."""
    tab = open_tab(small)
    tab.go("{Conv2d")
    tab.shows("one.conv")
    row = tab.argument("bias")
    assert "3 places" in row.inner_text()
    row.locator("input[type=checkbox]").check()
    tab.wait()
    assert tab.text == SMALL.replace("bias: false", "bias: true")
    assert tab.figure("params")["exact"] == f"{PARAMS + 8 + 8 + 16:,}"
    assert "given to one" in tab.argument("out_channels").inner_text()
    row.locator("input[type=checkbox]").uncheck()
    tab.wait()
    assert tab.text == SMALL


def test_a_stepper_follows_its_place(open_tab: Open, small: Server) -> None:
    """Lines that are typed above it and not counted yet: it writes at its own place, not where that was."""
    tab = open_tab(small)
    keys = tab.page.keyboard
    # The line before it, which is equal to it, is selected in the text; then it is chosen.
    tab.go("    one:")
    keys.press("Shift+ArrowDown")
    tab.choose("two")
    more = tab.page.get_by_role("button", name="out: one step more")
    for key in ("Delete", "Enter"):
        tab.page.locator(".cm-content").focus()
        keys.press(key)
        more.click()
        more.click()
    tab.wait()
    wanted = SMALL.replace("    one: {unit: {out: 8}}\n", "\n").replace(
        "two: {unit: {out: 8}}", "two: {unit: {out: 12}}"
    )
    assert tab.text == wanted
    assert tab.part == "two"


def test_a_late_answer_is_of_its_own_text(open_tab: Open, small: Server) -> None:
    """The part of a text that was typed on since: each argument is where its line is now, and what it is now."""
    lines: list[Line] = []
    tab = open_tab(small, prepare=lambda tab: lines.append(Line(tab)))
    line, keys = lines[0], tab.page.keyboard
    tab.go("    one:")
    keys.press("Shift+ArrowDown")
    tab.choose("two")
    more = tab.page.get_by_role("button", name="out: one step more")
    line.keeps = True
    more.click()
    settle(tab.page, lambda: line.kept(1, "found") != [])
    more.click()
    # The line before it goes while the answer is on its way, and the one behind it takes its place.
    tab.page.locator(".cm-content").focus()
    keys.press("Delete")
    line.give(line.kept(1, "found"))
    assert tab.argument("out").locator("input[type=number]").input_value() == "10"
    more.click()
    wanted = SMALL.replace("    one: {unit: {out: 8}}\n", "").replace("two: {unit: {out: 8}}", "two: {unit: {out: 11}}")
    assert (tab.edited, tab.text) == (4, wanted)
    line.give()
    tab.wait()
    assert tab.argument("out").locator("input[type=number]").input_value() == "11"


# --- what is chosen ---


def test_a_part_is_chosen_everywhere(open_tab: Open, googlenet: Server) -> None:
    """By its box, its row or its line: all three show it, and what it costs."""
    tab = open_tab(googlenet)
    page = tab.page

    def shown(name: str, path: str) -> None:
        tab.shows(path)
        assert page.locator("#table tr.chosen th").all_inner_texts() == [name]
        assert [
            label.split(":")[0]
            for label in page.locator("#picture .box.chosen").evaluate_all(
                "boxes => boxes.map((box) => box.getAttribute('aria-label'))"
            )
        ] == [name]

    tab.choose("inception4b")
    shown("inception4b", "inception4b")
    facts = page.locator("#part .facts").inner_text()
    assert "449.16 K (6.4 %)" in facts
    assert page.locator(".cm-chosen").all_inner_texts() == [
        line for line in GOOGLENET.splitlines() if line.startswith("    inception4b:")
    ]
    tab.row("conv3").click()
    shown("conv3", "conv3")
    tab.go("inception5a:")
    shown("inception5a", "inception5a")
    # A row that is chosen stands in the table's room, and the page has not moved.
    row, room = tab.row("inception5a").bounding_box(), page.locator(".scroll").bounding_box()
    assert row is not None
    assert room is not None
    assert room["y"] <= row["y"]
    assert row["y"] + row["height"] <= room["y"] + room["height"] + 1
    assert page.evaluate("scrollY") == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_typing_does_not_move_the_page(open_tab: Open, googlenet: Server, width: int) -> None:
    """Whatever part is chosen."""
    tab = open_tab(googlenet, width).choose("inception5b")
    tab.go("128")
    before = tab.page.evaluate("scrollY")
    tab.type("128", "144").wait()
    settle(tab.page, lambda: tab.part != "")
    assert tab.page.evaluate("scrollY") == before


def test_the_picture_opens(open_tab: Open, googlenet: Server) -> None:
    """At three depths; a block where it stands, by its button and by two clicks, and closed again."""
    tab = open_tab(googlenet)
    page = tab.page
    boxes = page.locator("#picture .box")
    blocks = boxes.count()
    tests: dict[str, Callable[[int], bool]] = {
        "stages": lambda number: 0 < number < blocks,
        "layers": lambda number: number > 2 * blocks,
        "blocks": lambda number: number == blocks,
    }
    for depth, test in tests.items():
        page.get_by_role("button", name=depth, exact=True).click()
        assert page.get_by_role("button", name=depth, exact=True).get_attribute("aria-pressed") == "true"
        settle(page, lambda test=test: test(boxes.count()))  # type: ignore[misc]  # a default to bind it
    tab.choose("inception3a")
    page.get_by_role("button", name="open in the picture").click()
    tab.box("inception3a.branch2.1.conv").wait_for()
    tab.choose("inception3a.branch2.1.conv", "inception3a.branch2.1")
    page.get_by_role("button", name="close inception3a").click()
    settle(page, lambda: boxes.count() == blocks)
    assert not page.locator("#close").is_visible()
    tab.box("inception4a").dblclick()
    page.get_by_role("button", name="close inception4a").wait_for()
    tab.box("inception4a.branch2.1.conv").wait_for()
    # An edit while it is open: the layer that changed is marked, inside of what did.
    tab.type("208", "210").wait()
    assert tab.marked("changed") == ["inception4a.branch2.1.conv"]


def test_the_picture_is_moved_and_made_larger(open_tab: Open, googlenet: Server) -> None:
    """By buttons, by Ctrl and the wheel, by a drag; an edit leaves it where it is, "whole" shows all of it."""
    tab = open_tab(googlenet)
    svg = tab.page.locator("#picture svg")

    def view() -> list[float]:
        return [float(part) for part in str(svg.get_attribute("viewBox")).split()]

    whole = view()
    tab.page.locator("#larger").click()
    assert view()[2] < whole[2] * 2
    near = view()
    svg.hover()
    tab.page.keyboard.down("Control")
    tab.page.mouse.wheel(0, -200)
    tab.page.keyboard.up("Control")
    settle(tab.page, lambda: view()[2] < near[2])
    seen = view()
    place = svg.bounding_box()
    assert place is not None
    tab.page.mouse.move(place["x"] + 5, place["y"] + place["height"] - 5)
    tab.page.mouse.down()
    tab.page.mouse.move(place["x"] + 45, place["y"] + place["height"] - 25, steps=4)
    tab.page.mouse.up()
    assert view()[0] < seen[0]
    assert view()[1] > seen[1]
    moved = view()
    tab.type("128", "130").wait()
    assert view() == moved
    tab.page.locator("#whole").click()
    assert view() == whole
    # Without a key the wheel is the page's.
    svg.hover()
    tab.page.mouse.wheel(0, -200)
    frames(tab.page, 3)
    assert view() == whole


# --- files ---


def test_it_saves(open_tab: Open, serve: Serve) -> None:
    """The file's bytes are the text's; the page says so, and what is typed then is not saved."""
    server = serve()
    tab = open_tab(server)
    file = server.folder / "small.yaml"
    assert tab.page.locator("#dirty").inner_text() == "saved"
    assert tab.page.locator("#save").is_disabled()
    tab.type("name: small", "name: größer").wait()
    assert tab.page.locator("#dirty").inner_text() == "not saved"
    assert tab.page.title().startswith("•")
    tab.page.keyboard.press("Control+s")
    settle(tab.page, lambda: tab.page.locator("#dirty").inner_text() == "saved")
    assert file.read_bytes() == tab.text.encode() == SMALL.replace("name: small", "name: größer").encode()
    tab.type("16", "24").wait()
    assert file.read_bytes() != tab.text.encode()
    tab.page.locator("#save").click()
    settle(tab.page, lambda: tab.page.locator("#dirty").inner_text() == "saved")
    assert file.read_bytes() == tab.text.encode()


def save_as(tab: Tab, name: str, *, by: str = "Save") -> None:
    """Under another name, by the dialog."""
    tab.page.locator("#save-as").click()
    dialog = tab.page.locator("dialog")
    dialog.wait_for()
    assert dialog.locator("#name").evaluate("input => input === document.activeElement")
    dialog.locator("#name").fill(name)
    if by == "Save":
        dialog.get_by_role("button", name="Save").click()
    else:
        tab.page.keyboard.press(by)
    dialog.wait_for(state="hidden")


def test_it_saves_under_another_name(open_tab: Open, serve: Serve) -> None:
    """A new file beside it, which is edited from then on; the one before stays; Escape saves nothing."""
    server = serve()
    tab = open_tab(server)
    tab.type("16", "24").wait()
    save_as(tab, "other", by="Enter")
    settle(tab.page, lambda: tab.page.locator("#file").inner_text() == "other.yaml")
    wanted = SMALL.replace("16", "24")
    assert (server.folder / "other.yaml").read_text(encoding="utf-8") == wanted
    assert (server.folder / "small.yaml").read_text(encoding="utf-8") == SMALL
    tab.type("24", "32").wait()
    save_as(tab, "third", by="Escape")
    tab.page.locator("#save").click()
    settle(tab.page, lambda: tab.page.locator("#dirty").inner_text() == "saved")
    assert (server.folder / "other.yaml").read_text(encoding="utf-8") == SMALL.replace("16", "32")
    assert sorted(path.name for path in server.folder.iterdir()) == ["other.yaml", "small.yaml"]


def test_other_places_are_refused(open_tab: Open, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A path, an absolute one, a link that leads out: nothing is written, and the page says why."""
    server = serve()
    outside = tmp_path_factory.mktemp("outside") / "there.yaml"
    outside.write_text("name: theirs\n", encoding="utf-8")
    (server.folder / "link.yaml").symlink_to(outside)
    tab = open_tab(server)
    tab.type("16", "24").wait()
    before = sorted(path.name for path in server.folder.parent.rglob("*"))
    for name, said in (
        ("../x", "expected the name of a file"),
        (str(outside), "expected the name of a file"),
        (".hidden", "expected the name of a file"),
        ("link", "a link to another place"),
    ):
        save_as(tab, name)
        notice = tab.notice(said)
        assert "Not saved" in notice.inner_text()
        assert notice.get_by_role("button", name="Overwrite").count() == 0
        notice.get_by_role("button", name="Save as").click()
        tab.page.keyboard.press("Escape")
    assert outside.read_text(encoding="utf-8") == "name: theirs\n"
    assert sorted(path.name for path in server.folder.parent.rglob("*")) == before
    assert tab.page.locator("#file").inner_text() == "small.yaml"


def test_no_other_file_is_overwritten_unasked(open_tab: Open, serve: Serve) -> None:
    """A name that is taken, and a file that another program wrote since: each is asked."""
    server = serve()
    file, other = server.folder / "small.yaml", server.folder / "other.yaml"
    other.write_text("name: theirs\n", encoding="utf-8")
    tab = open_tab(server)
    tab.type("16", "24").wait()
    save_as(tab, "other.yaml")
    notice = tab.notice("other.yaml is there already")
    assert other.read_text(encoding="utf-8") == "name: theirs\n"
    notice.get_by_role("button", name="Overwrite it").click()
    settle(tab.page, lambda: tab.page.locator("#file").inner_text() == "other.yaml")
    assert other.read_text(encoding="utf-8") == tab.text
    other.write_text(SMALL, encoding="utf-8")
    tab.type("24", "32").wait()
    tab.page.locator("#save").click()
    notice = tab.notice("other.yaml was changed by another program or tab since it was read")
    assert other.read_text(encoding="utf-8") == SMALL
    notice.get_by_role("button", name="Overwrite it").click()
    settle(tab.page, lambda: tab.page.locator("#dirty").inner_text() == "saved")
    assert other.read_text(encoding="utf-8") == tab.text
    assert tab.page.locator(".notice").count() == 0
    assert file.read_text(encoding="utf-8") == SMALL


def test_two_tabs_are_two_editors(open_tab: Open, serve: Serve) -> None:
    """Neither gets the other's numbers, whatever comes between; the second that saves is asked."""
    server = serve()
    one, two = open_tab(server), open_tab(server)
    for width in range(20, 26):
        one.type(str(width - 1) if width > 20 else "16", str(width))
        two.type(str(width + 79) if width > 20 else "16", str(width + 80))
    one.wait()
    two.wait()

    def params(width: int) -> str:
        return f"{sum(UNITS[:2]) + 8 * width * 9 + 2 * width + width * 10 + 10:,}"

    assert (one.text, two.text) == (SMALL.replace("16", "25"), SMALL.replace("16", "105"))
    assert one.figure("params")["exact"] == params(25)
    assert two.figure("params")["exact"] == params(105)
    assert "unit 25" in str(one.box("three").text_content())
    assert "unit 105" in str(two.box("three").text_content())
    one.page.locator("#save").click()
    settle(one.page, lambda: one.page.locator("#dirty").inner_text() == "saved")
    two.page.locator("#save").click()
    two.notice("was changed by another program")
    assert (server.folder / "small.yaml").read_text(encoding="utf-8") == one.text


# --- a server that ends ---


def test_what_was_typed_outlives_the_server(open_tab: Open, serve: Serve) -> None:
    """A kill: the page says so, the text can be typed on and taken away; the next server's page offers it."""
    server = serve()
    tab = open_tab(server)
    tab.type("16", "24").wait()
    server.end(signal.SIGKILL)
    notice = tab.notice("the server has ended")
    assert "gnet-inspect serve small.yaml" in notice.inner_text()
    assert tab.page.locator("#stale").is_visible()
    assert tab.page.locator("#save").is_disabled()
    # It takes keys as before.
    tab.go("24", after=True)
    tab.page.keyboard.type("0")
    wanted = SMALL.replace("16", "240")
    with tab.page.expect_download() as found:
        notice.get_by_role("button", name="Download the text").click()
    assert found.value.suggested_filename == "small.yaml"
    assert Path(found.value.path()).read_text(encoding="utf-8") == wanted
    settle(tab.page, lambda: "240" in str(tab.page.evaluate("JSON.stringify(localStorage)")))
    again = serve(None, port=server.port)
    other = open_tab(again, context=tab.page.context)
    assert other.text == SMALL
    offer = other.notice("that was not saved")
    offer.get_by_role("button", name="Bring it back").click()
    other.wait()
    assert other.text == wanted
    assert other.figure("params")["exact"] == f"{sum(UNITS[:2]) + 8 * 240 * 9 + 2 * 240 + 240 * 10 + 10:,}"
    assert other.page.locator(".notice").count() == 0
    other.page.locator("#save").click()
    settle(other.page, lambda: other.page.locator("#dirty").inner_text() == "saved")
    assert other.page.evaluate("localStorage.length") == 0


def test_a_draft_can_be_forgotten(open_tab: Open, serve: Serve) -> None:
    """And what another tab has not saved is kept, whatever this one saves."""
    server = serve()
    tab = open_tab(server)
    tab.type("16", "24").wait()
    settle(tab.page, lambda: tab.page.evaluate("localStorage.length") == 1)
    other = open_tab(server, context=tab.page.context)
    offer = other.notice("that was not saved")
    other.type("10", "12").wait()
    other.type("12", "10").wait()
    # The text is the file's again: nothing of its own is left to keep, and the first tab's stays.
    frames(other.page, 30)
    assert other.page.evaluate("localStorage.length") == 1
    offer.get_by_role("button", name="Forget it").click()
    assert other.page.evaluate("localStorage.length") == 0
    assert other.page.locator(".notice").count() == 0


# --- beside it ---


def test_another_model_stands_beside_it(open_tab: Open, googlenet: Server, run: Run) -> None:
    """Its figures and their ratio to these; a name that no model has is said to be none."""
    tab = open_tab(googlenet)
    other = tab.page.get_by_label("compare with")
    other.fill("resnet50")
    other.press("Enter")
    beside = tab.page.locator('.figure[data-key="params"] .beside')
    beside.wait_for()
    ours, theirs = totals(run, "googlenet")["params"], totals(run, "resnet50")["params"]
    assert beside.inner_text() == f"{theirs / 1e6:.2f} M, here {ratio_text(ours / theirs)} x"
    assert "ResNet-50" in tab.page.locator("#beside").inner_text()
    tab.type("128", "150").wait()
    assert beside.inner_text().startswith(f"{theirs / 1e6:.2f} M")
    other.fill("resnet51")
    other.press("Enter")
    settle(tab.page, lambda: beside.count() == 0)
    assert "resnet51" in other.evaluate("input => input.validationMessage")


def test_compare_is_there_from_the_start(open_tab: Open, serve: Serve) -> None:
    """By the command's flag."""
    tab = open_tab(serve(SMALL, "--compare", "alexnet"))
    assert tab.page.get_by_label("compare with").input_value() == "alexnet"
    assert "AlexNet" in tab.page.locator("#beside").inner_text()


def test_the_command_says_the_same(open_tab: Open, googlenet: Server, serve: Serve, run: Run) -> None:
    """What the page shows, run as it stands there, has the page's totals."""
    tab = open_tab(googlenet)

    def check(*expected: str) -> None:
        words = shlex.split(tab.page.locator("#command").inner_text())
        assert words == ["gnet-inspect", "summary", *expected]
        assert tab.figure("params")["exact"] == f"{totals(run, *words[2:])['params']:,}"
        assert tab.figure("macs")["exact"] == f"{totals(run, *words[2:])['macs']:,}"

    check("googlenet")
    tab.type("128", "150").wait()
    check("googlenet", "--set", "inception3a.c2.1=150")
    tab.type("1000}", "10}").wait()
    check("googlenet", "--set", "classes=10", "--set", "inception3a.c2.1=150")
    tab.type("    norm2: {LocalResponseNorm: {size: 5, alpha: 1e-4, beta: 0.75}}\n", "").wait()
    assert tab.page.locator("#command").inner_text() == "no flags say this: save it, and summarize the file"
    assert tab.page.locator("#copy").is_disabled()
    server = serve(SMALL, "--input", "3x64x64", "--batch", "2")
    mine = open_tab(server)
    words = shlex.split(mine.page.locator("#command").inner_text())
    assert words[2] in ("small.yaml", str(server.folder / "small.yaml"))
    shown = totals(run, str(server.folder / "small.yaml"), *words[3:])
    assert mine.figure("macs")["exact"] == f"{shown['macs']:,}"
    assert shown["macs"] > 4 * totals(run, str(server.folder / "small.yaml"))["macs"]


def test_the_command_is_copied(open_tab: Open, googlenet: Server) -> None:
    """As it stands there, and the button says so until it is another one."""
    tab = open_tab(googlenet, permissions=["clipboard-read", "clipboard-write"])
    copy = tab.page.locator("#copy")
    copy.click()
    settle(tab.page, lambda: copy.inner_text() == "Copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == "gnet-inspect summary googlenet"
    tab.type("128", "150").wait()
    assert copy.inner_text() == "Copy"


# --- how it looks, and who can use it ---


def test_the_theme_can_be_chosen(open_tab: Open, googlenet: Server) -> None:
    """Light and dark, whatever the system has; kept for the next time."""
    tab = open_tab(googlenet, color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    fill = "getComputedStyle(document.querySelector('#picture .face')).fill"
    before = tab.page.evaluate(paper), tab.page.evaluate(fill)
    assert before[0] == "rgb(255, 255, 255)"
    tab.page.get_by_label("theme").select_option("dark")
    assert tab.page.evaluate(paper) == "rgb(20, 23, 27)"
    assert tab.page.evaluate(fill) != before[1]
    again = open_tab(googlenet, context=tab.page.context)
    assert again.page.evaluate(paper) == "rgb(20, 23, 27)"
    again.page.get_by_label("theme").select_option("")
    assert again.page.evaluate(paper) == "rgb(255, 255, 255)"


def test_it_is_used_by_the_keyboard_alone(open_tab: Open, googlenet: Server) -> None:
    """Tab comes to everything, out of the text as well; arrows go through boxes and rows, Enter chooses."""
    tab = open_tab(googlenet)
    page = tab.page
    keys = page.keyboard
    where = """() => {
      const at = document.activeElement;
      for (const [around, name] of [[".cm-content", "text"], ["#picture", "picture"], ["#table", "table"]]) {
        if (at.closest(around)) return name;
      }
      return at.id || at.dataset.depth || at.getAttribute("aria-label") || at.localName;
    }"""
    tab.choose("inception3a")
    page.locator("#save").focus()
    stops: list[str] = []
    while (stop := page.evaluate(where)) != "body" and len(stops) < 400:
        if stop not in stops:
            stops.append(stop)
        if stop == "text":
            # Tab indents in the text; this key, which the editor has everywhere, makes it leave.
            keys.press("Control+m")
        keys.press("Tab")
    wanted = ["save", "save-as", "restart", "other", "theme", "text", "argument-0", "c1: one step more", "c4, slider"]
    wanted += ["stage", "block", "layer", "smaller", "whole", "larger", "picture", "table", "copy"]
    assert [stop for stop in stops if stop in wanted] == wanted
    # A keyboard is told how it leaves the text.
    described = page.locator(".cm-content").get_attribute("aria-describedby")
    assert "Escape, then Tab leaves the text" in page.locator(f"#{described}").inner_text()

    page.locator('#picture [tabindex="0"]').focus()
    for _ in range(3):
        keys.press("ArrowRight")
    name = page.evaluate("document.activeElement.getAttribute('aria-label')").split(":")[0]
    keys.press("Enter")
    settle(page, lambda: page.locator("#part h2").inner_text() != "inception3a")
    assert page.locator("#part h2").inner_text() == name
    # Away and back: to the box that it was at.
    keys.press("Tab")
    keys.press("Shift+Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").split(":")[0] == name
    tab.row("conv1").locator("button").focus()
    keys.press("ArrowDown")
    tab.shows("maxpool1")
    keys.press("ArrowUp")
    tab.shows("conv1")
    # An edit leaves the focus where it is.
    page.get_by_role("button", name="out: one step more").focus()
    keys.press("Enter")
    keys.press("Enter")
    tab.wait()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "out: one step more"
    assert "conv1: {conv: {out: 66," in tab.text


def go_wrong(tab: Tab, check: Callable[[], None]) -> None:
    """A name that is refused, then a text that is broken, then a dialog over both; each is checked."""
    save_as(tab, "../x")
    tab.notice("Not saved")
    tab.type("24", "2x").wait("wrong")
    check()
    tab.page.locator("#save-as").click()
    check()


# Colours are of the scheme, the layout of the width: each is seen once.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_it_is_accessible(open_tab: Open, serve: Serve, scheme: Any, width: int) -> None:
    """axe finds nothing: as it opens, with a part chosen, with a text that is broken, and as a dialog asks."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # The policy of the page lets no foreign script in, axe's neither.
    tab = open_tab(serve(SMALL, "--compare", "alexnet"), width, color_scheme=scheme, bypass_csp=True)

    def check() -> None:
        found = axe.Axe().run(tab.page).response["violations"]
        assert [(item["id"], [node["html"][:100] for node in item["nodes"][:3]]) for item in found] == []

    check()
    tab.choose("three").type("16", "24").wait()
    settle(tab.page, lambda: tab.rows("changed") != [])
    check()
    go_wrong(tab, check)


@pytest.mark.parametrize("width", [390, 1024, 1280, 1600])
def test_nothing_is_cut_off_or_overlaps(open_tab: Open, serve: Serve, width: int) -> None:
    """Whatever stands there: long names, a part with many arguments, a mistake and a question."""
    long = "a_block_whose_name_is_as_long_as_those_of_who_explains_them"
    text = SMALL.replace("unit", long).replace("three:", f"{long}_3:")
    tab = open_tab(serve(text, "--compare", "inception_resnet_v2"), width)

    def check() -> None:
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.evaluate(SEEN) == []

    check()
    tab.row(f"{long}_3").click()
    tab.shows(f"{long}_3")
    tab.type("16", "24").wait()
    check()
    go_wrong(tab, check)


def test_free_text_is_only_text(open_tab: Open, serve: Serve) -> None:
    """Names and titles that would be markup, or a script, are shown as they are."""
    harmful = "<img src=x onerror=alert(1)>"
    text = SMALL.replace("name: small", f"name: small\ntitle: '{harmful}'\nnotes: '</script><script>alert(1)</script>'")
    tab = open_tab(serve(text))
    assert harmful in tab.page.locator("#title").inner_text()
    assert tab.page.locator("img").count() == 0
    tab.type("16", harmful).wait("wrong")
    assert tab.page.locator("img").count() == 0


def test_a_large_network_is_edited(open_tab: Open, serve: Serve) -> None:
    """A thousand layers: rows up to a bound, and a picture up to one, each with a word on what is left out."""
    layers = "".join(f"    c{index}: {{Conv2d: {{out_channels: 4, kernel_size: 1}}}}\n" for index in range(1_200))
    tab = open_tab(serve(f"name: large\ninput: [4, 8, 8]\nstages:\n  body:\n{layers}"))
    assert tab.page.locator("#table tbody tr").count() == 1_000
    assert "202 more rows" in tab.page.locator("#table caption").inner_text()
    tab.type("out_channels: 4", "out_channels: 5", nth=0).wait()
    assert tab.figure("params")["exact"] == f"{1_198 * 20 + 25 + 24:,}"
    assert tab.marked("changed") == ["c0"]
