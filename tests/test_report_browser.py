"""The page in a real browser: Chromium without a window, driven by Playwright."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gnet_inspect.graph import Node
from tests.browsing import CHROMIUM, frames, settle
from tests.conftest import Run
from tests.drawing import HOSTILE
from tests.runs import EPOCHS, write_run
from tests.test_notebook import HARMFUL

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Locator, Page

for package in ("jinja2", "vl_convert", "pygraphviz", "playwright"):
    pytest.importorskip(package)

pytestmark = pytest.mark.browser

WIDE, NARROW = 1400, 390
Open = Callable[..., "Page"]
# Of each chart: its name, where it is, and its texts that can be seen, with where they are.
CHART_TEXTS = """[...document.querySelectorAll(".chart")].map((chart) => {
  const place = ({ left, top, right, bottom }) => ({ left, top, right, bottom });
  const seen = (text) => {
    for (let each = text; each !== chart; each = each.parentElement) {
      if (getComputedStyle(each).opacity === "0") return false;
    }
    return text.textContent.trim() !== "";
  };
  return {
    name: chart.dataset.chart,
    around: place(chart.querySelector("svg").getBoundingClientRect()),
    texts: [...chart.querySelectorAll("text")].filter(seen)
      .map((text) => ({ text: text.textContent, ...place(text.getBoundingClientRect()) })),
  };
})"""


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[Open]:
    """Open a file; at the end of the test nothing was asked of the network, and nothing complained."""
    requests: list[str] = []
    complaints: list[str] = []
    contexts = []

    def refuse(dialog: "Dialog") -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def show(path: Path, width: int = WIDE, **options: Any) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", refuse)
        page.goto(path.as_uri())
        # However slow the machine is: what never comes is ended by whoever started the tests.
        page.set_default_timeout(0)
        page.wait_for_selector("html[data-drawn]", timeout=0)
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []
    # An address of the kind blob: or data: is within the page.
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == len(contexts)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of GoogLeNet, VGG-16 and AlexNet; GoogLeNet with measured times."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_report import report_of, timed

    record = timed(report_of("googlenet").models[0])
    path = tmp_path_factory.mktemp("report") / "three.html"
    path.write_text(draw_report(report_of("googlenet", "vgg16", "alexnet", records=(record,))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two small models that have all families of layers, one of them with measured times."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_report import report_of, timed

    models = ("unet", "alexnet_original")
    graphs = [model.graph for model in report_of(*models, "googlenet").models]
    few, many = ({node.op.family for graph in some for node in graph.nodes} for some in (graphs[:2], graphs[2:]))
    assert few >= many
    record = timed(report_of(models[0]).models[0])
    path = tmp_path_factory.mktemp("report") / "two.html"
    path.write_text(draw_report(report_of(*models, records=(record,))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The page of models, drawn once for all tests."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_report import report_of

    drawn: dict[tuple[str, ...], Path] = {}

    def page_of(*models: str) -> Path:
        if models not in drawn:
            drawn[models] = tmp_path_factory.mktemp("report") / "page.html"
            drawn[models].write_text(draw_report(report_of(*models)), encoding="utf-8")
        return drawn[models]

    return page_of


def place_of(element: "Locator") -> dict[str, float]:
    """Where an element is on the screen: x, y, width and height."""
    found = element.bounding_box()
    assert found is not None
    return dict(found)  # type: ignore[arg-type]  # a TypedDict of floats


def box(page: "Page", name: str, model: int = 0) -> Any:
    """The visible box of a model's diagram that is called so."""
    return page.locator(f'#model-{model} .level:not([hidden]) .box[aria-label^="{name}"]').first


def chosen(page: "Page", model: int = 0) -> list[str]:
    """The names of the rows that are marked."""
    return page.locator(f"#model-{model} tr.chosen th").all_inner_texts()


def column(page: "Page", number: int, model: int = 0) -> list[str]:
    """The visible texts of one column, in their order."""
    texts: list[str] = page.evaluate(
        "([model, number]) => [...document.querySelectorAll(`#model-${model} .layers tbody tr`)]"
        ".filter((row) => !row.hidden).map((row) => row.cells[number].textContent)",
        [model, number],
    )
    return texts


def view_box(page: "Page", model: int = 0) -> list[float]:
    """What the visible diagram shows: left, top, width and height."""
    text = page.locator(f"#model-{model} .level:not([hidden]) svg").first.get_attribute("viewBox")
    assert text is not None
    return [float(part) for part in text.split()]


def in_view(page: "Page", name: str, model: int = 0) -> bool:
    """Whether a box lies within its canvas."""
    inner = place_of(box(page, name, model))
    outer = place_of(page.locator(f"#model-{model} .level:not([hidden]) .canvas"))
    return bool(
        outer["x"] <= inner["x"]
        and inner["x"] + inner["width"] <= outer["x"] + outer["width"]
        and outer["y"] <= inner["y"]
        and inner["y"] + inner["height"] <= outer["y"] + outer["height"]
    )


# --- it opens ---


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_it_opens(open_page: Open, three: Path, width: int, scheme: Any) -> None:
    """From a file, at either width and theme: every chart is drawn, nothing is wider than the page."""
    page = open_page(three, width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    charts = page.locator(".chart")
    assert charts.count() == 7
    for index in range(charts.count()):
        around, drawn = place_of(charts.nth(index)), place_of(charts.nth(index).locator("svg"))
        assert drawn["width"] <= around["width"] + 1
        assert drawn["height"] > 40
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


# Colours are of the scheme, the layout of the width: each is seen once. axe looks at every row and every box, which are
# made alike: of a small page it says the same as of a large one.
@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_it_is_accessible(open_page: Open, two: Path, width: int, scheme: Any) -> None:
    """axe finds nothing: contrast, names, landmarks, roles, order of headings; with a card open, too."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # The policy of the page lets no foreign script in, axe's neither.
    page = open_page(two, width, color_scheme=scheme, bypass_csp=True)
    page.locator("#model-0 .level:not([hidden]) .box").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".card").is_visible()
    found = axe.Axe().run(page).response["violations"]
    assert [(item["id"], [node["html"][:100] for node in item["nodes"][:3]]) for item in found] == []


def test_the_theme_can_be_chosen(open_page: Open, three: Path) -> None:
    """Light and dark, whatever the system has; charts and diagrams follow."""
    page = open_page(three, color_scheme="light")
    ink = "getComputedStyle(document.querySelector('[data-chart=size] svg text')).fill"
    fill = "getComputedStyle(document.querySelector('#model-0 .box .face')).fill"
    before = page.evaluate(ink), page.evaluate(fill)
    page.get_by_label("Theme").select_option("dark")
    after = page.evaluate(ink), page.evaluate(fill)
    assert before[0] == "rgb(31, 35, 40)"
    assert after[0] == "rgb(240, 246, 252)"
    assert before[1] != after[1]


# --- the table ---


def test_the_table_sorts(open_page: Open, three: Path) -> None:
    """Numbers from the largest, texts from A; once more turns it round, and the header says so."""
    page = open_page(three)
    table = page.locator("#model-0 .layers")
    heads = [text.strip(" \u2191\u2195") for text in table.locator("thead th").all_inner_texts()]
    for name in ("params", "MACs", "bytes", "held", "FLOP/B"):
        number = heads.index(name)
        table.get_by_role("button", name=name, exact=True).click()
        figures = [float(text.replace(",", "")) for text in column(page, number)]
        assert figures == sorted(figures, reverse=True)
        assert table.locator("th[aria-sort]").inner_text().startswith(name)
        table.get_by_role("button", name=name, exact=True).click()
        assert [float(text.replace(",", "")) for text in column(page, number)] == sorted(figures)
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    table.get_by_role("button", name="layer", exact=True).click()
    assert column(page, 1)[0] == "avgpool"
    # Channels by their numbers, those that have none first.
    table.get_by_role("button", name="channels", exact=True).click()
    assert next(text for text in column(page, heads.index("channels")) if text) == "3 \u2192 64"
    table.get_by_role("button", name="#").click()
    assert column(page, 0) == [str(place) for place in range(1, 143)]


def test_the_table_filters(open_page: Open, three: Path) -> None:
    """By name, type and stage, all words at once; the number of rows is told; nothing found is no row."""
    page = open_page(three)
    search = page.locator("#model-0 input[type=search]")
    count = page.locator("#model-0 .layers .count")
    assert count.inner_text() == "142 layers, 7.00 M parameters, 1.58 G MACs"
    search.fill("inception4 conv2d")
    assert len(column(page, 1)) == 30
    assert all(name.startswith("inception4") for name in column(page, 1))
    assert count.inner_text() == "30 of 142 layers, 2.81 M parameters (40.1 %), 549.88 M MACs (34.7 %)"
    search.fill("nothing of the kind")
    assert column(page, 1) == []
    assert count.inner_text() == "0 of 142 layers, 0 parameters (0.0 %), 0 MACs (0.0 %)"
    search.fill("")
    assert len(column(page, 1)) == 142
    assert len(column(page, 1, model=1)) == 40


# Of how many of GoogLeNet's layers a filter is.
FILTERS = {
    "inception4*.branch2*": 20,
    "*.branch2.?.conv": 18,
    # Of a whole name, not of a part of one.
    "branch2*": 0,
    "*conv*": 60,
    "Conv2d": 57,
    "3x3": 23,
    "3X3 maxpool2d": 13,
    "3x3/2": 4,
    "*/2 conv2d": 1,
    "64->192": 1,
    "192->* *.conv": 5,
    "stem linear": 0,
    "********************************b": 0,
    "*a*b*c*h*1*": 24,
}


def test_a_filter_takes_patterns(open_page: Open, three: Path) -> None:
    """* is anything and ? one letter, of a whole name, kernel or stage; words are met anywhere; all of them are."""
    from tests.test_report import report_of

    page = open_page(three)
    graph = report_of("googlenet").models[0].graph
    for asked, number in FILTERS.items():
        page.locator("#model-0 input[type=search]").fill(asked)
        expected = [node.name for node in graph.nodes if all(met(word, node) for word in asked.lower().split())]
        assert column(page, 1) == expected, asked
        assert len(expected) == number, asked


def met(word: str, node: Node) -> bool:
    """Whether a layer has a word, or is what a pattern says."""
    texts = [node.name, node.op.kind, node.stage]
    if window := node.op.sliding_window:
        kernel = "x".join(map(str, window.size))
        texts += [kernel, f"{kernel}/{window.stride[0]}"]
    if counts := node.op.channel_counts(node.input_shapes, node.output_shapes):
        texts.append("->".join(map(str, counts)))
    if {"*", "?"} & set(word):
        return any(fnmatchcase(text.lower(), word) for text in texts)
    return any(word in text.lower() for text in texts)


def test_what_nobody_can_count_is_no_nothing(open_page: Open, tmp_path: Path) -> None:
    """A sum with it is a least, and of a total that is not known there are no shares."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_report import counted_in_part

    path = tmp_path / "page.html"
    path.write_text(draw_report(counted_in_part()), encoding="utf-8")
    page = open_page(path)
    count = page.locator("#model-1 .layers .count")
    assert count.inner_text() == "22 layers, at least 61.10 M parameters, at least 714.19 M MACs"
    page.locator("#model-1 input[type=search]").fill("block1")
    assert count.inner_text() == "3 of 22 layers, at least 23.30 K parameters, at least 70.28 M MACs"
    page.locator("#model-1 input[type=search]").fill("classifier.1")
    assert count.inner_text() == "1 of 22 layers, 37.75 M parameters, 37.75 M MACs"
    page.locator("#model-1").get_by_role("radio", name="layers").check()
    box(page, "features.1", model=1).focus()
    page.keyboard.press("Enter")
    assert "at least 0" in page.locator(".card").inner_text()


def test_words_say_what_they_mean(open_page: Open, three: Path) -> None:
    """By a title for a pointer, a description for a screen reader, and beside them where the keyboard has led there."""
    page = open_page(three)
    head = page.locator("#model-0 .layers thead button").nth(8)
    assert "Multiply-accumulates" in str(head.get_attribute("title"))
    described = page.locator(f"#{head.get_attribute('aria-describedby')}")
    assert "Multiply-accumulates" in described.inner_text()
    tip = page.locator(".tip")
    assert tip.is_hidden()
    page.locator(".panel a.word").first.focus()
    page.keyboard.press("Tab")
    assert "Multiply-accumulates" in tip.inner_text()
    inner = place_of(tip)
    assert inner["x"] >= 0
    assert inner["x"] + inner["width"] <= WIDE
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector(':target').id") == "term-macs"
    # Far down the page, where the focus has to bring it into view.
    page.locator("#model-1 .facts a.word").first.focus()
    page.keyboard.press("Tab")
    frames(page, 5)
    word, beside = place_of(page.locator("#model-1 .facts a.word").nth(1)), place_of(tip)
    assert min(abs(beside["y"] - word["y"] - word["height"]), abs(beside["y"] + beside["height"] - word["y"])) < 12


# --- the first screen ---


@pytest.mark.parametrize(("width", "height"), [(WIDE, 900), (NARROW, 844)])
@pytest.mark.parametrize("models", [("googlenet", "vgg16", "alexnet"), ("resnet50",), ("unet",)])
def test_the_first_screen_says_the_result(
    open_page: Open, page_of: Callable[..., Path], models: tuple[str, ...], width: int, height: int
) -> None:
    """Without scrolling: every figure of every model, and what is remarkable of them."""
    page = open_page(page_of(*models), width)
    page.set_viewport_size({"width": width, "height": height})
    panels = page.locator(".panel")
    assert panels.count() == (5 if models == ("unet",) else 6)
    for panel in panels.all():
        place = place_of(panel)
        # Of the last of six a phone may show no more than its first lines.
        assert place["y"] + 40 <= height
        assert panel.locator("dd").count() == len(models)
    sentences = page.locator(".lede p, .noted li" if len(models) == 1 else ".lede p")
    assert sentences.count() >= 2
    assert all(place_of(sentence)["y"] + place_of(sentence)["height"] <= height for sentence in sentences.all()[:2])


def test_bars_are_as_long_as_what_they_stand_for(open_page: Open, three: Path) -> None:
    """Relative to the largest of their panel."""
    page = open_page(three)
    bars = page.locator(".panel").nth(1).locator(".meter")
    widths = [place_of(bar.locator("span"))["width"] / place_of(bar)["width"] for bar in bars.all()]
    assert widths == pytest.approx([1_582_671_872 / 15_470_264_320, 1, 714_188_480 / 15_470_264_320], abs=0.01)


def test_measured_figures_are_there_where_they_were_measured(open_page: Open, three: Path) -> None:
    """In the overview and in the model's section; nowhere else."""
    page = open_page(three)
    said = page.locator(".measured-panels").inner_text()
    for expected in ("Median latency", "2.00 ms", "Images per second", "500.0", "Share of the roofline", "25 %"):
        assert expected in said
    assert page.locator(".slow li").count() == 20
    assert page.locator("#model-0 .slow").count() == 1
    assert page.locator("#model-1 .slow").count() == 0


# --- fingers ---


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_what_a_finger_meets_is_large_enough(open_page: Open, three: Path, width: int) -> None:
    """At least 44 pixels of it, either way."""
    page = open_page(three, width, has_touch=True, is_mobile=True)
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input[type=search], summary, .choice label, nav a")]
        .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
        .filter(([, { width, height }]) => width && height && (width < 44 || height < 44))
        .map(([name, { width, height }]) => [name, width, height])"""
    )
    assert small == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_tap_shows_a_card(open_page: Open, three: Path, width: int) -> None:
    """Beside the finger and inside the window, with what the table says of the layer; a tap elsewhere and Escape close
    it."""
    page = open_page(three, width, has_touch=True, is_mobile=True)
    card = page.locator(".card")
    page.locator("#model-0").get_by_role("radio", name="layers").check()
    page.locator("#model-0").get_by_role("button", name="fit").click()
    part = box(page, "conv3.conv")
    part.scroll_into_view_if_needed()
    part.tap()
    said = card.inner_text()
    for expected in (
        "Conv2d",
        "3x3",
        "64 \u2192 192",
        "1x192x56x56",
        "110.78 K",
        "346.82 M",
        "21.9 % of all",
        "4.82 MB",
    ):
        assert expected in said
    inner, at = place_of(card), place_of(part)
    assert 0 <= inner["x"] <= inner["x"] + inner["width"] <= width
    assert 0 <= inner["y"] <= inner["y"] + inner["height"] <= 900
    # Not below the finger.
    middle = at["y"] + at["height"] / 2
    assert inner["y"] > middle or inner["y"] + inner["height"] < middle
    page.locator("#model-0 h2").tap()
    assert card.is_hidden()
    # Other boxes: two taps on one are a double tap.
    box(page, "conv1.conv").tap()
    assert "7x7" in card.inner_text()
    page.keyboard.press("Escape")
    assert card.is_hidden()
    assert chosen(page) != []
    box(page, "maxpool2").tap()
    card.get_by_role("button", name="close").tap()
    assert card.is_hidden()


def test_enter_shows_the_card_as_well(open_page: Open, three: Path) -> None:
    """Of a box of several layers it sums; the first Escape closes it, the second takes the selection away; a mouse is
    not followed by cards."""
    page = open_page(three)
    card = page.locator(".card")
    box(page, "inception4a").click()
    assert card.is_hidden()
    box(page, "inception4a").focus()
    page.keyboard.press("Enter")
    said = card.inner_text()
    for expected in ("14", "376.18 K", "73.61 M", "1x512x14x14"):
        assert expected in said
    page.keyboard.press("Escape")
    assert card.is_hidden()
    assert chosen(page) != []
    page.keyboard.press("Escape")
    assert chosen(page) == []
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert card.is_hidden()


# --- the diagram ---


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_diagram_zooms_and_moves(open_page: Open, three: Path, width: int) -> None:
    """By buttons, by the wheel around the pointer, by dragging; the wheel alone scrolls the page."""
    page = open_page(three, width)
    canvas = page.locator("#model-0 .level:not([hidden]) .canvas")
    canvas.scroll_into_view_if_needed()
    start = view_box(page)
    page.locator("#model-0").get_by_role("button", name="zoom in").click()
    closer = view_box(page)
    assert closer[2] == pytest.approx(start[2] / 1.3)
    page.locator("#model-0").get_by_role("button", name="zoom out").click()
    assert view_box(page) == pytest.approx(start, abs=1e-4)
    page.locator("#model-0").get_by_role("button", name="fit").click()
    whole = view_box(page)
    box_of_last = box(page, "fc")
    assert place_of(box_of_last)["y"] < place_of(canvas)["y"] + place_of(canvas)["height"]
    around = place_of(canvas)
    x, y = around["x"] + around["width"] / 4, around["y"] + around["height"] / 4
    page.mouse.move(x, y)
    page.mouse.wheel(0, 60)
    assert view_box(page) == whole
    canvas.scroll_into_view_if_needed()
    around = place_of(canvas)
    x, y = around["x"] + around["width"] / 4, around["y"] + around["height"] / 4
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    zoomed = view_box(page)
    assert zoomed[2] < whole[2] * 0.7
    page.mouse.down()
    page.mouse.move(x + 50, y + 30, steps=5)
    page.mouse.up()
    moved = view_box(page)
    assert moved[0] < zoomed[0]
    assert moved[1] < zoomed[1]
    assert moved[2:] == zoomed[2:]
    assert chosen(page) == []


def test_on_a_phone_a_double_tap_opens_what_it_hits(open_page: Open, three: Path) -> None:
    """The first tap of it moves nothing on the page."""
    page = open_page(three, NARROW, has_touch=True)
    page.locator("#model-0").get_by_role("radio", name="stages").check()
    page.locator("#model-0").get_by_role("button", name="fit").click()
    box(page, "inception4").dblclick()
    assert page.locator("#model-0").get_by_role("radio", name="blocks").is_checked()
    assert all(name.startswith(("inception4", "maxpool4")) for name in chosen(page))
    assert len(chosen(page)) == 71


def test_the_diagram_lets_go(open_page: Open, three: Path) -> None:
    """Of a pointer that was released outside, and of buttons but the first."""
    page = open_page(three)
    canvas = page.locator("#model-0 .level:not([hidden]) .canvas")
    canvas.scroll_into_view_if_needed()
    around = place_of(canvas)
    x, y = around["x"] + around["width"] / 2, around["y"] + 10
    before = view_box(page)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 40, y + 40, steps=4)
    page.mouse.up(button="right")
    assert view_box(page) == before
    page.evaluate(
        "([x, y]) => { const svg = document.querySelector('#model-0 .level:not([hidden]) svg');"
        "for (const [type, buttons, dx] of [['pointerdown', 1, 0], ['pointermove', 0, 50]])"
        "svg.dispatchEvent(new PointerEvent(type, {pointerId: 7, buttons, clientX: x + dx, clientY: y,"
        "bubbles: true})) }",
        [x, y],
    )
    assert view_box(page) == before


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_click_on_a_box_finds_its_rows(open_page: Open, three: Path, width: int) -> None:
    """They are marked and scrolled to, also where a filter hid them."""
    page = open_page(three, width)
    page.locator("#model-0 input[type=search]").fill("fc")
    page.locator("#model-0").get_by_role("button", name="fit").click()
    box(page, "inception4c").click()
    names = chosen(page)
    assert len(names) == 14
    assert all(name.startswith("inception4c.") for name in names)
    table = place_of(page.locator("#model-0 .scroll"))
    row = place_of(page.locator("#model-0 tr.chosen").first)
    assert table["y"] <= row["y"] <= table["y"] + table["height"] / 2
    assert chosen(page, model=1) == []
    # Once more, from where the table is now.
    box(page, "inception3a").click()
    row = place_of(page.locator("#model-0 tr.chosen").first)
    table = place_of(page.locator("#model-0 .scroll"))
    assert page.locator("#model-0 tr.chosen").first.locator("th").inner_text() == "inception3a.branch1.conv"
    assert table["y"] <= row["y"] <= table["y"] + table["height"] / 2
    if width == NARROW:
        page.locator("#model-0").get_by_role("link", name="to its rows").click()
        assert "inception3a.branch1.conv" in page.locator("#model-0 tr.chosen").first.inner_text()


@pytest.mark.parametrize("depth", ["stage", "block", "layer"])
def test_a_click_on_a_row_finds_its_box(open_page: Open, three: Path, depth: str) -> None:
    """At each depth the one box that holds the layer is marked, and brought into view."""
    page = open_page(three)
    page.locator("#model-0").get_by_role("radio", name=f"{depth}s").check()
    page.locator("#model-0 .layers tbody tr").nth(100).scroll_into_view_if_needed()
    name = page.locator("#model-0 .layers tbody tr").nth(100).locator("th").inner_text()
    assert name.startswith("inception4e.branch2")
    page.locator("#model-0 .layers tbody tr").nth(100).locator("td").nth(2).click()
    assert chosen(page) == [name]
    marked = page.locator("#model-0 .level:not([hidden]) .box.chosen")
    assert marked.count() == 1
    label = {"stage": "inception4", "block": "inception4e", "layer": "inception4e.branch2"}[depth]
    assert str(marked.get_attribute("aria-label")).startswith(label)
    assert in_view(page, str(marked.get_attribute("aria-label")))


def test_boxes_open_and_close(open_page: Open, three: Path) -> None:
    """A double click opens a stage to its blocks, and a block where it stands; one on a header closes it; buttons do
    the same, and what is open goes on to all layers."""
    page = open_page(three)
    model = page.locator("#model-0")
    model.get_by_role("radio", name="stages").check()
    model.get_by_role("button", name="fit").click()
    box(page, "inception5").dblclick()
    assert model.get_by_role("radio", name="blocks").is_checked()
    assert in_view(page, "inception5b")
    shown = page.locator("#model-0 .level:not([hidden])")
    assert shown.locator(".box.chosen").count() == 2
    closed = shown.locator(".box").count()
    box(page, "inception5b").dblclick()
    assert model.get_by_role("radio", name="blocks").is_checked()
    assert shown.locator(".box").count() == closed - 1 + 8
    assert in_view(page, "inception5b.branch2.1.conv")
    assert box(page, "inception5a").count() == 1
    assert len(chosen(page)) == 14
    model.get_by_role("button", name="close").click()
    assert shown.locator(".box").count() == closed
    assert in_view(page, "inception5b")
    model.get_by_role("button", name="open").click()
    assert shown.locator(".box").count() == closed - 1 + 8
    header = shown.locator('.header[aria-label^="inception5b"]')
    header.dblclick()
    assert shown.locator(".box").count() == closed
    # Another block takes its place.
    box(page, "inception5a").dblclick()
    box(page, "inception5b").dblclick()
    assert shown.locator(".box").count() == closed - 1 + 8
    assert box(page, "inception5a: ").count() == 1
    model.get_by_role("button", name="open").click()
    assert model.get_by_role("radio", name="layers").is_checked()
    assert page.locator("#model-0 [data-do=open]").is_disabled()
    model.get_by_role("button", name="close").click()
    assert model.get_by_role("radio", name="blocks").is_checked()
    assert page.locator("#model-1").get_by_role("radio", name="blocks").is_checked()


def test_the_keyboard_does_all_of_it(open_page: Open, three: Path) -> None:
    """One tab stop for a diagram and one for a table; arrows, Enter and letters do the rest."""
    page = open_page(three)
    boxes = page.locator("#model-0 .level:not([hidden]) [data-layers]")
    assert page.locator("#model-0 .level:not([hidden]) [tabindex='0']").count() == 1
    boxes.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert chosen(page) == ["maxpool1"]
    before = view_box(page)
    page.keyboard.press("+")
    assert view_box(page)[2] < before[2]
    page.keyboard.press("0")
    page.keyboard.press("o")
    assert page.locator("#model-0").get_by_role("radio", name="layers").is_checked()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.layers") is not None
    page.keyboard.press("Escape")
    assert chosen(page) == []
    assert page.locator("#model-0").get_by_role("radio", name="layers").is_checked()
    assert page.locator("#model-0 .layers [tabindex='0']").count() == 2  # the table itself, which scrolls, and one row
    page.locator("#model-0 .layers tbody button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert chosen(page) == ["conv1.relu"]


def test_colours_say_what_they_are_asked_for(open_page: Open, three: Path) -> None:
    """The box with the most has the last colour, the legend its figure; times where there are any."""
    page = open_page(three)
    model = page.locator("#model-0")
    colour = model.get_by_label("Colour")
    for value, label, expected in (
        ("params", "inception5b", "up to 1.44 M"),
        ("macs", "conv3", "up to 346.82 M"),
        ("memory", "conv1", "up to 6.42 MB"),
        ("time", "inception5b", "up to"),
    ):
        colour.select_option(value)
        most = page.locator('#model-0 .level:not([hidden]) .box[style*="heat5"]')
        assert any(str(each.get_attribute("aria-label")).startswith(label) for each in most.all())
        assert expected in model.locator(".level:not([hidden]) .legend:not([hidden]) li").last.inner_text()
    colour.select_option("kind")
    assert page.locator("#model-0 .box[style*=heat]").count() == 0
    assert page.locator("#model-1").get_by_label("Colour").locator("option").count() == 4


# --- the charts ---


def test_the_icicle_opens_and_changes(open_page: Open, three: Path) -> None:
    """A click gives a part the whole width, one on the network takes it back; what widths mean can be chosen."""
    page = open_page(three)
    chart = page.locator("[data-chart=icicle-0]")

    def cell(path: str) -> Any:
        return chart.locator(f'path[aria-label="{path}"]').first

    whole = place_of(chart)["width"]
    assert place_of(cell("inception5"))["width"] < whole / 2
    cell("inception5").click()
    settle(page, lambda: place_of(cell("inception5"))["width"] == pytest.approx(whole, rel=0.02))
    assert chart.locator("text", has_text="inception4").count() == 0
    cell("googlenet").click()
    # What is drawn is as wide as its share, give or take the line around it.
    wide = pytest.approx(whole * 1_025_000 / 6_998_552, abs=12)
    settle(page, lambda: cell("classifier").count() == 1 and place_of(cell("classifier"))["width"] == wide)
    page.get_by_role("radio", name="MACs").check()
    wide = pytest.approx(whole * 477_675_520 / 1_582_671_872, abs=12)
    settle(page, lambda: cell("stem").count() == 1 and place_of(cell("stem"))["width"] == wide)
    assert chart.locator('path[aria-label="classifier"]').count() == 1


def test_charts_have_tooltips(open_page: Open, three: Path) -> None:
    """With the exact figures."""
    page = open_page(three)
    page.locator('[data-chart=icicle-0] path[aria-label="inception5b"]').first.hover()
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    assert "1,444,080" in tip.inner_text()
    assert "(20.6%)" in tip.inner_text()


@pytest.mark.parametrize("models", [("googlenet", "vgg16", "alexnet"), ("resnet50",), ("lenet5", "mobilenet_v2")])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_labels_of_charts_are_apart(
    open_page: Open, page_of: Callable[..., Path], models: tuple[str, ...], width: int
) -> None:
    """No text of a chart lies on another one of it, or outside; every reported model is named."""
    page = open_page(page_of(*models), width)
    settle(page, lambda: bool(page.evaluate(f"{CHART_TEXTS}[0].texts.length > 0")))
    for chart in page.evaluate(CHART_TEXTS):
        around, texts = chart["around"], chart["texts"]
        for text in texts:
            assert around["left"] - 1 <= text["left"], (chart["name"], text)
            assert text["right"] <= around["right"] + 1, (chart["name"], text)
            assert around["top"] - 1 <= text["top"], (chart["name"], text)
            assert text["bottom"] <= around["bottom"] + 1, (chart["name"], text)
        for index, one in enumerate(texts):
            for other in texts[index + 1 :]:
                apart = min(one["right"], other["right"]) - max(one["left"], other["left"]) <= 1
                apart |= min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) <= 3
                assert apart, (chart["name"], one["text"], other["text"])
    named = {text["text"].partition(",")[0] for text in page.evaluate(CHART_TEXTS)[0]["texts"]}
    assert set(models) <= named


# --- training ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs, one of which is not finished, and of a model that is none."""
    from gnet_inspect.views.pages.report import draw_report
    from tests.test_run_models import LAST, report_of

    folder = tmp_path_factory.mktemp("runs")
    runs = write_run(folder / "a"), write_run(folder / "b", (*EPOCHS, LAST), spec="wider", channels=8)
    path = folder / "trained.html"
    path.write_text(draw_report(report_of(*runs)), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, 1000, NARROW])
def test_training_is_drawn(open_page: Open, trained: Path, width: int, scheme: Any) -> None:
    """Inside the page; each run's lines have the colour that the legend says, those of training dashed."""
    page = open_page(trained, width, color_scheme=scheme, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    keys = page.locator("#training .runs span")
    told = [keys.nth(index).evaluate("(key) => getComputedStyle(key).backgroundColor") for index in range(keys.count())]
    assert len({*told}) == 2
    for name, dashes in (("accuracy", []), ("loss", [True, False]), ("rate", [])):
        chart = page.locator(f"[data-chart=training-{name}]")
        lines = chart.locator(".mark-line path")
        styles = [
            lines.nth(index).evaluate(
                "(line) => [getComputedStyle(line).stroke, getComputedStyle(line).strokeDasharray]"
            )
            for index in range(lines.count())
        ]
        assert {color for color, _ in styles} == {*told}
        assert len(styles) == 2 * max(len(dashes), 1)
        assert {dash not in ("none", "1px, 0px") for _, dash in styles} == {*dashes, False}
        around, drawn = place_of(chart), place_of(chart.locator("svg"))
        assert drawn["width"] <= around["width"] + 1
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, "#training").response["violations"]
    assert [(item["id"], [node["html"][:100] for node in item["nodes"][:3]]) for item in found] == []


def test_a_dot_of_a_curve_says_what_it_is(open_page: Open, trained: Path) -> None:
    """The run, the epoch and the value, of a line without dots as well."""
    page = open_page(trained)
    for name, said in (("accuracy", "0.9625"), ("loss", "0.7500"), ("rate", "learning rate")):
        # The last one lies above the others.
        page.locator(f"[data-chart=training-{name}] .mark-symbol path").last.hover()
        tip = page.locator("#vg-tooltip-element.visible", has_text=said)
        tip.wait_for(state="visible")
        assert "wider" in tip.inner_text()


# --- what means harm, and paper ---


def test_no_script_of_a_spec_runs(open_page: Open, run: Run, write_spec: Callable[..., str], tmp_path: Path) -> None:
    """Names, titles, stages and notes full of tags, quotes and marks of direction are text, in tooltips, too."""
    text = HOSTILE % ("x" * 10_000)
    text = text.replace("<b>stage</b>", "<img src=x onerror=alert(1)></script><script>alert(2)</script>@ink")
    text += (
        'published:\n  - source: "</td><script>alert(3)</script>"\n    rows: [{nodes: [a], params: 1M, '
        'erratum: "<svg onload=alert(4)> &amp; \\u202e"}]\n'
    )
    path = tmp_path / "hostile.html"
    result = run("report", write_spec(text), "-o", str(path))
    assert result.code == 0, result.err
    page = open_page(path)
    assert (
        page.evaluate(
            "document.querySelectorAll('main script, main img, main b, main [onload], main [onerror]').length"
        )
        == 0
    )
    assert page.evaluate("document.querySelectorAll('body > script').length") == 8
    assert "<script>alert(1)</script>{|}<b>" in page.locator("#overview").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE
    page.locator("[data-chart=memory-0] path[aria-label]").first.hover()
    page.locator("#vg-tooltip-element").wait_for(state="visible")
    assert "<img src=x onerror=alert(1)>" in page.locator("#vg-tooltip-element").inner_text()
    page.locator("[data-chart=icicle-0] path[aria-label]").nth(1).hover()
    frames(page, 20)
    box(page, "a").click()
    assert chosen(page) == ["a"]
    assert "\u202e" not in page.content()


def test_on_paper_the_whole_diagram_is_shown(open_page: Open, three: Path) -> None:
    """Also where it was zoomed before; afterwards it is as it was."""
    page = open_page(three, color_scheme="dark")
    for _ in range(4):
        page.locator("#model-0").get_by_role("button", name="zoom in").click()
    before = view_box(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert view_box(page)[3] > before[3]
    assert page.locator("#model-0 .bar").first.is_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(31, 35, 40)"
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(":is(.bar, .choice, .theme) :is(button, select, input):visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert view_box(page) == before
    assert page.locator("details:not([open])").count() > 0


@pytest.mark.parametrize("models", [("googlenet", "vgg16"), ("unet",)])
def test_it_prints(run: Run, tmp_path: Path, models: tuple[str, ...]) -> None:
    """As a PDF whose every sheet has something on it, what is folded in the page, too."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    path = tmp_path / "r.pdf"
    result = run("report", *models, "-o", str(path))
    assert (result.code, result.out, result.err) == (0, "", "")
    assert path.read_bytes().startswith(b"%PDF")
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext is installed")
    text = subprocess.run([reader, str(path), "-"], capture_output=True, check=True, text=True).stdout
    *sheets, rest = text.split("\f")
    assert rest == ""
    assert len(sheets) >= 4
    assert all(len(sheet.split()) >= 20 for sheet in sheets)
    text = " ".join(text.split())
    for expected in (
        "Size against work",
        "multiply-accumulates of convolutions",
        "What the sources say",
        "Glossary",
        "Roofline, least",
    ):
        assert expected in text
    assert "Theme" not in text
    assert "Filter" not in text


def test_a_rooflines_page_shows_what_a_dot_is(open_page: Open, run: Run, tmp_path: Path) -> None:
    """Its scripts run under its policy, the plot shrinks with the window, and a dot says which layer it is."""
    path = tmp_path / "roofline.html"
    assert run("roofline", "googlenet", "--on", "h200", "--dtype", "bf16", "-o", str(path)).code == 0
    for width in (WIDE, NARROW):
        page = open_page(path, width)
        plot = page.locator("#chart svg")
        box = plot.bounding_box()
        assert box is not None
        assert box["width"] <= width
        page.locator("#chart .mark-symbol.role-mark path").first.hover(force=True)
        page.wait_for_selector("#vg-tooltip-element.visible")
        assert "% of the roof" in page.locator("#vg-tooltip-element").inner_text()
        assert page.locator(".grid tbody tr").count() == 28


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cells_of_a_notebook_stay_inside_it(open_page: Open, tmp_path: Path, scheme: str) -> None:
    """Of names that mean harm: wide tables scroll by themselves, nothing runs, and text has the page's own colour."""
    cells = "".join(make()._repr_html_() for make in HARMFUL.values())  # type: ignore[attr-defined]  # each shows a table
    path = tmp_path / "cells.html"
    colors = "<style>:root { color-scheme: light dark }</style>"
    path.write_text(f'<!doctype html><html data-drawn><meta charset="utf-8">{colors}<body>{cells}', encoding="utf-8")
    page = open_page(path, width=800, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    wide = "Array.from(document.querySelectorAll('div')).filter(one => one.scrollWidth > one.clientWidth).length"
    assert page.evaluate(wide) > 0
    used = "new Set(Array.from(document.querySelectorAll('body, body *'), one => getComputedStyle(one).color)).size"
    assert page.evaluate(used) == 1
