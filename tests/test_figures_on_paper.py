"""Pictures as pdf and as TikZ: as large as they are placed, their text as it is, the same bytes, whatever it says."""

import base64
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import UsageError
from gnet_inspect.language import load_spec, parse_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.drawing.diagram import Drawing, Options, drawing_of
from gnet_inspect.views.drawing.figures import Look, draw_figure, place_figure, scale_of
from gnet_inspect.views.drawing.lettering import LETTERS
from gnet_inspect.views.drawing.painting import Area, Letters, Sign, colors_of, paint
from gnet_inspect.views.drawing.placed import Border, Card, Placed
from gnet_inspect.views.drawing.themes import THEMES
from gnet_inspect.views.drawing.tikz import draw_tikz
from gnet_inspect.views.tex import in_tex
from tests.conftest import Run
from tests.drawing import HOSTILE
from tests.paper import has_package, typeset

PDFTOTEXT = shutil.which("pdftotext")
HAS_TIKZ = has_package("tikz")
# What is drawn: a model, and the part of it that is drawn alone.
PICTURES = {
    "inception3a": ("googlenet", "inception3a"),
    "bottleneck": ("resnet50", "layer1.0"),
    "googlenet": ("googlenet", None),
    "unet": ("unet", None),
    "hostile": ("", None),
}
# What TeX reads as something else than itself.
SPECIAL = "\\{}$&#^_%~"
LOOKS = (
    Look(style="paper"),
    Look(style="screen"),
    Look(style="dark", color="macs"),
    Look(style="paper", width=345),
    Look(style="screen", transparent=True, width=1200, title="50 % of a_b & c"),
)


@cache
def drawing(name: str) -> Drawing:
    model, only = PICTURES[name]
    graph = build_graph(load_spec(model) if model else parse_spec(HOSTILE, "h.yaml"))
    return drawing_of(graph, summarize(graph), Options(only=only))


def placed_as(name: str, look: Look) -> Placed:
    return place_figure(drawing(name), look, in_roboto=True)


def pdf(name: str, look: Look) -> bytes:
    pytest.importorskip("reportlab")
    return draw_figure(drawing(name), look, "pdf")


def tikz(name: str, look: Look) -> str:
    return draw_figure(drawing(name), look, "tex").decode("ascii")


def page_size(pdf: bytes) -> tuple[float, float]:
    """How large the one page of a pdf is."""
    (box,) = re.findall(rb"/MediaBox ?\[ ?([\d. -]+)\]", pdf)
    left, below, right, above = map(float, box.split())
    assert (left, below) == (0, 0)
    return right, above


def content(pdf: bytes) -> str:
    """The operators of a page that reportlab wrote: those of its longest stream that is no font's."""
    streams = re.findall(rb"/ASCII85Decode /FlateDecode.*?>>\s*stream\s*(.*?)endstream", pdf, re.DOTALL)
    unpacked = [
        zlib.decompress(base64.a85decode(stream.strip(), adobe=stream.strip()[:2] == b"<~"))
        for stream in (stream.strip().removesuffix(b"~>") for stream in streams)
    ]
    (page,) = (text for text in unpacked if b" cm" in text and b"BT" in text)
    return page.decode("latin-1")


# --- pdf ---


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PICTURES)
def test_pdf_is_a_page_as_large_as_the_picture(name: str, look: Look) -> None:
    """To the hundredth of a point, at whatever width."""
    drawn, placed = pdf(name, look), placed_as(name, look)
    assert drawn.startswith(b"%PDF-")
    assert drawn.count(b"/Type /Page\n") + drawn.count(b"/Type /Page ") == 1
    scale = scale_of(placed, look)
    assert page_size(drawn) == pytest.approx((placed.width * scale, placed.height * scale), abs=0.01)


def test_pdf_is_no_larger_than_readers_show() -> None:
    """A picture beyond that is drawn smaller, in the same proportions."""
    pytest.importorskip("reportlab")
    from gnet_inspect.views.drawing.pdf import LARGEST, draw_pdf

    placed = placed_as("inception3a", LOOKS[0])
    width, height = page_size(draw_pdf(placed, drawing("inception3a"), THEMES["paper"], scale=1000))
    assert width == LARGEST
    assert width / height == pytest.approx(placed.width / placed.height, rel=1e-4)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PICTURES)
def test_pdf_has_each_word_once_and_a_halo_behind_what_stands_beside_wires(name: str, look: Look) -> None:
    """What reads the page's text reads nothing of a halo; on a ground that nobody knows there is none."""
    placed, page = placed_as(name, look), content(pdf(name, look))
    painted = paint(placed, drawing(name), THEMES[look.style], transparent=look.is_transparent)
    halos = sum(isinstance(shape, Letters) and bool(shape.halo) for _, layer in painted for shape in layer)
    assert bool(halos) == (look.style != "paper" and not (look.transparent and not placed.borders))
    assert page.count("BT ") == len(placed.all_words()) + halos
    assert page.count("/Span <</ActualText ()>> BDC") == page.count(" 1 Tr") == halos


@pytest.mark.skipif(not PDFTOTEXT, reason="no pdftotext here")
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PICTURES)
def test_text_of_a_pdf_can_be_searched(name: str, look: Look, tmp_path: Path) -> None:
    """Every word of the picture, as often as it stands there."""
    (tmp_path / "a.pdf").write_bytes(pdf(name, look))
    command = [str(PDFTOTEXT), "-raw", "-enc", "UTF-8", str(tmp_path / "a.pdf"), "-"]
    read = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    words = " ".join(word.text for word in placed_as(name, look).all_words())
    # Where lines stand close, a reader takes a blank for none: letters are what can be counted.
    assert Counter("".join(read.split())) == Counter("".join(words.split()))
    assert "input" in read.split()


@pytest.mark.parametrize("name", PICTURES)
def test_pdf_carries_the_letters_it_draws(name: str) -> None:
    """Two subsets of Roboto, embedded, and no other font."""
    drawn = pdf(name, Look(cards="full"))
    assert set(re.findall(rb"/BaseFont /([\w+-]+)", drawn)) == {b"AAAAAA+Roboto-Regular", b"AAAAAA+Roboto-Medium"}
    assert drawn.count(b"/FontFile2 ") == 2
    assert len(drawn) < 60_000


def test_pdf_says_what_it_is_and_not_when_it_was_made() -> None:
    """Its title is that of the picture; a stranger's direction override is an escape in it."""
    drawn = pdf("inception3a", Look(style="paper"))
    assert b"/Title (GoogLeNet \\(Inception v1\\) - googlenet, input 1x3x224x224" in drawn
    assert b"/Creator (gnet-inspect)" in drawn
    assert not re.findall(rb"Date|D:\d{4}", drawn)
    assert "\u202e".encode("utf-16-be") not in pdf("hostile", Look(style="paper"))


@pytest.mark.parametrize("form", ["pdf", "tex"])
def test_same_bytes_from_another_process_and_after_other_work(form: str) -> None:
    """Nothing of a hash, of a process or of what was drawn before is in it."""
    pytest.importorskip("reportlab")
    code = (
        "import sys; from tests import test_figures_on_paper as t; "
        f"[sys.stdout.buffer.write(t.draw_figure(t.drawing(name), look, {form!r})) "
        "for name in t.PICTURES for look in t.LOOKS[:3]]"
    )
    command = [sys.executable, "-c", code]
    root = Path(__file__).parent.parent
    there = subprocess.run(command, check=True, capture_output=True, cwd=root).stdout
    here = [draw_figure(drawing(name), look, form) for name in reversed(PICTURES) for look in reversed(LOOKS[:3])]
    assert b"".join(reversed(here)) == there


def test_a_pdf_of_someone_else_with_the_same_fonts_changes_nothing() -> None:
    """What reportlab knows in this process is another's, too."""
    pytest.importorskip("reportlab")
    from io import BytesIO

    from reportlab.pdfgen import canvas

    before = pdf("unet", LOOKS[0])
    new_canvas: Any = canvas.Canvas  # which has no types
    other = new_canvas(BytesIO())
    other.setFont("gnet-inspect-Roboto-Regular", 12)
    other.drawString(10, 10, "zyx")
    assert pdf("unet", LOOKS[0]) == before
    other.save()


@pytest.mark.parametrize("style", THEMES)
def test_ground_is_drawn_unless_a_pdf_is_transparent(style: str) -> None:
    """What fills the page comes first, under everything."""
    theme, part = THEMES[style], drawing("inception3a")
    placed = placed_as("inception3a", Look(style=style))
    first = next(paint(placed, part, theme, transparent=False))
    assert first == ("ground", [Area("page", 0, 0, placed.width, placed.height, 0, "page", "")])
    assert "ground" not in dict(paint(placed, part, theme, transparent=True))
    pytest.importorskip("reportlab")
    from gnet_inspect.views.drawing.pdf import draw_pdf

    grounded, bare = (content(draw_pdf(placed, part, theme, transparent=bare)) for bare in (False, True))
    right = f"{placed.width:g} {placed.height:g} l"
    assert right in grounded
    assert right not in bare


def test_missing_reportlab_is_told_with_what_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit code 3, and no file."""
    for module in ("reportlab", "reportlab.pdfgen", "reportlab.pdfbase"):
        monkeypatch.setitem(sys.modules, module, None)
    result = run("diagram", "googlenet", "-o", str(tmp_path / "g.pdf"))
    assert result.code == 3
    assert "a pdf needs reportlab, which is not installed. Install it with: pip install resvg_py reportlab" in (
        result.err
    )
    assert not list(tmp_path.iterdir())


# --- what lies over what ---


@pytest.mark.parametrize("style", THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_every_word_and_card_is_painted_once_in_colours_there_are(name: str, style: str) -> None:
    """Copies of a card or frame lie behind it, and it hides all of them but an edge."""
    placed, theme = placed_as(name, Look(style=style)), THEMES[style]
    shapes = [shape for _, layer in paint(placed, drawing(name), theme, transparent=False) for shape in layer]
    words = [shape.word for shape in shapes if isinstance(shape, Letters)]
    assert Counter(words) == Counter(placed.all_words())
    areas = [shape for shape in shapes if isinstance(shape, Area)]
    things: list[Card | Border] = [*placed.cards, *placed.borders]
    assert len(areas) == 1 + len(placed.swatches) + sum(3 if thing.times > 1 else 1 for thing in things)
    circles = [card for card in placed.cards if card.form == "circle"]
    assert sum(area.is_circle for area in areas) >= len(circles) == sum(isinstance(shape, Sign) for shape in shapes)
    colors = colors_of(theme)
    assert {color for area in areas for color in (area.fill, area.line) if color} <= set(colors)
    assert {shape.ink for shape in shapes if isinstance(shape, Letters)} <= set(colors)


# --- TikZ ---


def unescaped(text: str) -> str:
    """A text in TeX without what is written for single letters."""
    return re.sub(r"\\[{}$&#_%]|\\[`'^~=.\"]|\\[a-zA-Z]+|\\ ", "", text)


def assert_balanced(text: str) -> None:
    depth = 0
    for letter in unescaped(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\\", r"{\textbackslash}"),
        ("{}", r"\{\}"),
        ("$&#_%", r"\$\&\#\_\%"),
        ("^~", r"{\textasciicircum}{\textasciitilde}"),
        ("<|>", r"{\textless}{\textbar}{\textgreater}"),
        ('"`', r"{\textquotedblright}\`{}"),
        ("a--b", "a-{}-b"),
        ("a''b,,c", "a'{}'b,{},c"),
        ("a  b", "a \\ b"),
        ("3×3 · 4–5…", r"3$\times$3 $\cdot$ 4--5{\dots}"),
        ("é ñ ï ç ß Ø ő", r"\'{e} \~{n} \"{\i} \c{c} {\ss} {\O} \H{o}"),
        ("β2 Σ µ", r"$\beta$2 $\Sigma$ $\mu$"),
        ("\u05d0 \u0431", r"{\textbackslash}u05d0 {\textbackslash}u0431"),
        ("^^5c%\n", r"{\textasciicircum}{\textasciicircum}5c\%{\textbackslash}n"),
        ("\\input{x}", r"{\textbackslash}input\{x\}"),
    ],
)
def test_letters_in_tex(text: str, written: str) -> None:
    """All that means something to TeX, and what its oldest fonts show as something else."""
    assert in_tex(text) == written


@given(st.text())
def test_any_text_is_ascii_that_means_nothing_to_tex(text: str) -> None:
    """But mathematics of our own, and the commands of letters."""
    written = in_tex(text)
    assert written.isascii()
    assert written.isprintable()
    assert_balanced(written)
    ours = re.sub(r"\$(\^[123]|\\[a-zA-Z]+|\^\\circ)\$", "", written)
    ours = ours.replace("~", "") if "\xa0" in text else ours
    assert not set(unescaped(ours)) & set('$&#^_%~\\<>"|`')


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PICTURES)
def test_tikzpicture_is_whole(name: str, look: Look) -> None:
    """Braces in pairs, a node for each word, and just the styles and colours that are used; no library."""
    text, placed = tikz(name, look), placed_as(name, look)
    body = re.sub(r"(?m)^% .*\n", "", text)
    assert_balanced(body)
    assert body.startswith(r"\begin{tikzpicture}[x=1pt, y=-1pt,")
    assert body.endswith("\\end{tikzpicture}%\n")
    assert body.count("\\node[") == len(placed.all_words())
    assert "usetikzlibrary" not in text
    # A frame of beamer doubles no hash.
    assert not re.search(r"(?<!\\)#", body)
    defined = set(re.findall(r"\\definecolor\{(\w+)\}", body))
    assert defined == set(re.findall(r"\bgnet[a-z]\w*", re.sub(r"\\definecolor.*", "", body)))
    styles = set(re.findall(r"gnet (\w+)/\.style", body))
    assert styles == set(re.findall(r"gnet (\w+)[],]", body))


@pytest.mark.parametrize("style", THEMES)
def test_tikz_multiplies_lines_and_letters(style: str) -> None:
    """Twice as wide, everything is twice as large."""
    placed = placed_as("bottleneck", Look(style=style))
    numbers = [
        [float(found) for found in re.findall(r"(?:width|corners|scale|radius)=([\d.]+)", text)]
        for text in (draw_tikz(placed, drawing("bottleneck"), THEMES[style], scale=scale) for scale in (1.0, 2.0))
    ]
    assert numbers[0]
    assert numbers[1] == pytest.approx([2 * number for number in numbers[0]], abs=0.011)


def test_tikz_larger_than_tex_is_refused() -> None:
    """TeX would end in an error of its own."""
    placed = placed_as("inception3a", LOOKS[0])
    with pytest.raises(UsageError, match="at most 16,383 pt"):
        draw_tikz(placed, drawing("inception3a"), THEMES["paper"], scale=16_400 / placed.width)


def test_letters_that_tex_lacks_are_cut_where_their_place_ends() -> None:
    """Escapes are longer than the letters that a card is as wide as."""
    placed = placed_as("inception3a", LOOKS[0])
    words = (replace(placed.labels[0], text="\u0431" * 40),)
    text = draw_tikz(replace(placed, labels=words), drawing("inception3a"), THEMES["paper"])
    (written,) = re.findall(r"\{((?:\{\\textbackslash\}u0431)+.*)\};", text)
    assert 3 < written.count("u0431") < 20
    assert written.endswith(r"{\dots}")


def compiled(picture: str, folder: Path) -> bytes:
    """A pdf of one page, as large as the picture, by pdflatex; nothing in it is packed."""
    (folder / "picture.tex").write_text(picture, encoding="ascii")
    return typeset(
        "\\documentclass{article}\n\\usepackage{tikz}\n"
        "\\pdfcompresslevel=0 \\pdfobjcompresslevel=0 \\pdfhorigin=0pt \\pdfvorigin=0pt\n"
        "\\begin{document}\n\\setbox0=\\hbox{\\input{picture}}\n"
        "\\pdfpagewidth=\\wd0 \\pdfpageheight=\\dimexpr\\ht0+\\dp0\\relax \\shipout\\box0\n\\end{document}\n",
        folder,
    )


@pytest.mark.skipif(not HAS_TIKZ, reason="no pdflatex with TikZ here")
@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("inception3a", LOOKS[0]),
        ("bottleneck", LOOKS[1]),
        ("googlenet", LOOKS[2]),
        ("unet", LOOKS[3]),
        ("hostile", LOOKS[0]),
        ("hostile", LOOKS[4]),
    ],
)
def test_tikz_compiles(name: str, look: Look, tmp_path: Path) -> None:
    """A page as large as the picture, with as much on it: lines of text, and as many filled shapes as cards."""
    page, placed = compiled(tikz(name, look), tmp_path), placed_as(name, look)
    # A point of TeX's is the 72.27th of an inch.
    scale = scale_of(placed, look) * 72 / 72.27
    assert page_size(page) == pytest.approx((placed.width * scale, placed.height * scale), abs=0.02)
    operators = page.decode("latin-1")
    assert len(re.findall(r"\]TJ\b", operators)) >= len(placed.all_words())
    assert len(re.findall(r"(?m)\b[fbB]\*? *$", operators)) >= len(placed.cards)


@pytest.mark.skipif(not HAS_TIKZ, reason="no pdflatex with TikZ here")
def test_every_letter_compiles(tmp_path: Path) -> None:
    """Each of Roboto's beside itself, and those of ASCII beside what TeX joins letters to."""
    letters = [chr(code) for first, last in LETTERS for code in range(first, last + 1)]
    pairs = [one + other for one in map(chr, range(33, 127)) for other in "-'`,<>!?^\"f"]
    lines = "\n".join(in_tex(text) for text in [*(letter * 2 for letter in letters), *pairs])
    picture = f"\\vbox{{\\hsize=400pt \\sffamily {lines}}}%\n"
    assert compiled(picture, tmp_path).startswith(b"%PDF-")
