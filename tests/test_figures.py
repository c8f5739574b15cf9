"""Pictures of our own placement: what they say, in which letters and colours, and what the flags change."""

import json
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET  # the library's own short name
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gnet_inspect.analysis.summary import summarize
from gnet_inspect.errors import MissingError
from gnet_inspect.language import load_spec
from gnet_inspect.sources.spec import build_graph
from gnet_inspect.views.drawing import lettering
from gnet_inspect.views.drawing.diagram import MOST_OPENED, Drawing, Options, drawing_of
from gnet_inspect.views.drawing.figures import FORMS, Look, draw_figure, place_figure, smallest_letters
from gnet_inspect.views.drawing.lettering import SUBSETS, fit_text, font_face, text_width
from gnet_inspect.views.drawing.placed import TYPES
from gnet_inspect.views.drawing.themes import CLASSES, JOINT, THEMES, class_of
from tests.conftest import Run
from tests.drawing import contrast

LOOK = Look()


def drawing(model: str, depth: str = "", only: str | None = None, mode: str = "eval") -> Drawing:
    """A built-in model's diagram, equal blocks drawn once."""
    graph = build_graph(load_spec(model), mode=mode)
    return drawing_of(graph, summarize(graph), Options(depth, only, collapse=True))


def svg_of(found: Drawing, look: Look = LOOK) -> str:
    """The svg."""
    return draw_figure(found, look, "svg").decode()


def texts(svg: str) -> list[str]:
    """All that is written in an svg."""
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


# --- what is drawn ---


def test_the_default_opens_what_can_be_read() -> None:
    """Layers up to 150, else blocks; of one block alone its layers."""
    assert len(drawing("googlenet").boxes()) == 84
    assert {box.role for box in drawing("densenet121").boxes()} == {"block", "layer"}
    assert len(drawing("densenet121", "layer").boxes()) > MOST_OPENED
    assert len(drawing("densenet121", only="features.denseblock3").boxes()) == 96


def test_a_picture_has_names_kinds_and_figures_in_three_sizes() -> None:
    """Full cards; the shapes beside wires are smaller still."""
    svg = svg_of(drawing("googlenet", only="inception3a"))
    written = texts(svg)
    for text in ("branch2.1", "conv 3×3, 128 + ReLU", "110.72 K params · 86.70 M MACs", "192×28×28", "concat 256"):
        assert text in written
    sizes = {kind: TYPES[kind].size for kind in ("name", "kind", "number", "shape")}
    assert sizes["name"] > sizes["kind"] > sizes["number"] > sizes["shape"]
    assert {f'font-size="{size:g}"' for size in sizes.values()} <= set(re.findall(r'font-size="[\d.]+"', svg))


def test_compact_cards_say_their_kind_alone() -> None:
    """By default where many layers are drawn; frames keep their figures, and tooltips all of it."""
    found = drawing("googlenet")
    svg = svg_of(found)
    assert "conv 3×3, 128" in texts(svg)
    assert "branch2.1" not in texts(svg)
    assert "163.70 K params · 128.05 M MACs" in texts(svg)
    assert "110,720 params, 86,704,128 MACs" in svg
    assert "branch2.1" in texts(svg_of(found, replace(LOOK, cards="full")))
    assert "branch2.1" not in texts(svg_of(drawing("googlenet", only="inception3a"), replace(LOOK, cards="compact")))


def test_equal_blocks_are_drawn_once_with_their_number() -> None:
    """In a frame's header, and behind it two more borders."""
    svg = svg_of(drawing("resnet50"))
    assert "layer3.1–5 ×5" in texts(svg)
    group = next(part for part in svg.split('<g id="frame-')[1:] if "layer3.1: bottleneck" in part)
    assert group.partition("</g>")[0].count("<rect") == 3


def test_shares_stand_in_the_cards_and_add_up() -> None:
    """21.9 % of GoogLeNet's MACs are conv3's; the legend says what the steps end at."""
    written = texts(svg_of(drawing("googlenet"), replace(LOOK, color="macs")))
    assert "conv 3×3, 192 · 21.9 %" in written
    assert [text for text in written if re.fullmatch(r"\d+\.\d", text)] == ["0.9", "3.5", "7.9", "14.0", "21.9"]
    assert "% of MACs, up to the number below" in written
    shares = [float(text.split(" ")[0]) for text in written if text.endswith("% of MACs")]
    assert sum(shares) == pytest.approx(8.1 + 19.2 + 4.7 + 5.6 + 6.3 + 7.5 + 10.7 + 3.2 + 4.5)
    part = texts(svg_of(drawing("googlenet", only="inception3a"), replace(LOOK, color="macs")))
    assert "% of MACs shown, up to the number below" in part
    assert "67.7 % of MACs" in part


def test_times_are_printed_with_their_share() -> None:
    """In the unit that fits."""
    seconds = {"c1": 3e-4, "c3": 1e-4}
    written = texts(svg_of(drawing("lenet5"), replace(LOOK, color="time", seconds=seconds)))
    assert "300.00 us · 75.0 %" in written
    assert "100.00 us · 25.0 %" in written


def test_the_legend_has_only_what_is_there() -> None:
    """Joints have none."""
    written = texts(svg_of(drawing("googlenet", only="inception3a")))
    assert "convolution" in written
    assert "pooling" in written
    assert not {"linear", "normalisation", "merge", "other layer"} & set(written)


# --- the flags ---


def test_a_figure_for_a_page_has_no_title_no_legend_and_no_ground() -> None:
    """Unless one asks for them."""
    found = drawing("googlenet", only="inception3a")
    svg = svg_of(found, replace(LOOK, style="paper"))
    assert "convolution" not in texts(svg)
    assert "GoogLeNet (Inception v1)" not in texts(svg)
    assert f'fill="{THEMES["paper"].page}"/>' not in svg.split("<path", 1)[0]
    assert "Figure 1" in texts(svg_of(found, replace(LOOK, style="paper", title="Figure 1")))
    assert "convolution" in texts(svg_of(found, replace(LOOK, style="paper", legend=True)))


def test_titles_legends_and_shapes_can_be_left_out() -> None:
    """And the ground."""
    found = drawing("googlenet", only="inception3a")
    svg = svg_of(found, replace(LOOK, title="", legend=False, shapes=False, transparent=True))
    assert not {"GoogLeNet (Inception v1)", "convolution", "192×28×28"} & set(texts(svg))
    assert not re.search(r'<rect width="[\d.]+" height="[\d.]+" fill', svg)


def test_columns_are_as_many_as_one_says() -> None:
    """One is tall; the ratio that is asked for decides else."""
    found = drawing("googlenet")
    ratios = []
    for look in (
        replace(LOOK, columns=1),
        replace(LOOK, aspect=0.7),
        replace(LOOK, aspect=2),
        replace(LOOK, columns=4),
    ):
        placed = place_figure(found, look)
        ratios.append(placed.width / placed.height)
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.3
    assert 0.6 < ratios[1] < 1
    assert 1.5 < ratios[2] < 2.4


def test_from_left_to_right_is_the_same_on_its_side() -> None:
    """A chain stands on one height."""
    placed = place_figure(drawing("lenet5"), replace(LOOK, direction="LR", columns=1))
    assert len({round(card.y + card.height / 2, 2) for card in placed.cards}) == 1
    assert placed.width > placed.height


def test_a_width_scales_the_picture_and_tells_its_letters() -> None:
    """In points; the smallest letters are those of shapes."""
    found = drawing("googlenet", only="inception3a")
    look = replace(LOOK, width=504.0)
    placed = place_figure(found, look)
    assert smallest_letters(placed, look) == pytest.approx(8.5 * 504 / placed.width)
    assert 'width="504pt"' in svg_of(found, look)
    assert smallest_letters(place_figure(found, replace(look, shapes=False)), replace(look, shapes=False)) > 0


def test_the_command_tells_the_smallest_letters(run: Run, tmp_path: Path) -> None:
    """On standard error, with what helps where they are too small."""
    flags = ("--width", "504", "-o", str(tmp_path / "a.svg"))
    assert (
        "smallest letters: 5.5 pt at a width of 504 pt\n"
        in run("diagram", "googlenet", "--only", "inception3a", *flags).err
    )
    result = run("diagram", "googlenet", *flags)
    assert "pt at a width of 504 pt (too small for print" in result.err
    assert result.out == ""


def test_the_command_tells_of_columns_that_cannot_be_had(run: Run, tmp_path: Path) -> None:
    """Where nothing can be broken, and of a U; nothing where it has them."""
    out = ("-o", str(tmp_path / "a.svg"))
    said = run("diagram", "unet", "--columns", "2", *out).err
    assert said == "--columns: expected 2, and a U has none\n"
    said = run("diagram", "googlenet", "--only", "inception3a", "--columns", "3", *out).err
    assert said == "--columns: expected 3, and it can be broken into 1, between blocks\n"
    assert run("diagram", "googlenet", "--columns", "3", *out).err == ""


# --- letters ---


def test_the_fonts_are_what_the_package_of_roboto_gives() -> None:
    """Made anew, byte by byte; `python -m tests.fonts` writes them."""
    pytest.importorskip("fontTools")
    pytest.importorskip("brotli")
    from tests.fonts import build_fonts

    made = build_fonts()
    assert set(made) == {path.name for path in lettering.FONTS.iterdir()}
    for name, content in made.items():
        if name.endswith(".json"):
            assert (lettering.FONTS / name).read_bytes() == content
        else:
            assert _glyphs((lettering.FONTS / name).read_bytes()) == _glyphs(content)


def _glyphs(woff2: bytes) -> dict[int, int]:
    """The letters of a font with their advances: how they are packed, another version may do otherwise."""
    import io

    from fontTools.ttLib import TTFont

    opened: Any = TTFont(io.BytesIO(woff2))  # which has no types
    with opened as font:
        return {code: font["hmtx"][name][0] for code, name in font.getBestCmap().items()}


def test_letters_are_as_wide_as_the_font_draws_them() -> None:
    """Pillow sets the same text; kerning makes it a little narrower."""
    image = pytest.importorskip("PIL.ImageFont")
    import font_roboto

    font = image.truetype(str(Path(font_roboto.__file__).parent / "files" / "Roboto-Regular.ttf"), 1000)
    for text in ("conv 3×3, 128 + ReLU", "163.70 K params · 128.05 M MACs", "Two-way TV, Type", "Größe è Ж Ω"):
        assert 0.95 < font.getlength(text) / text_width(text, 1000) <= 1.0001


def test_a_picture_carries_the_smallest_font_with_its_letters() -> None:
    """Every letter is in it."""
    sizes = [len(font_face(text, "F")) for text in ("conv 3×3", "größe", "Жи")]
    assert sizes == sorted(sizes)
    assert sizes[0] < 20_000
    assert all(lettering.LETTERS[0][0] <= first for ranges in SUBSETS.values() for first, _ in ranges)
    svg = svg_of(drawing("googlenet"))
    assert svg.count("@font-face") == 2
    assert len(svg) < 110_000


def test_a_text_too_long_ends_with_an_ellipsis() -> None:
    """And is no wider than asked."""
    long = "features.denseblock3.denselayer24.very_long_name"
    for width in (5, 20, 50, 120, 500):
        cut = fit_text(long, width, 12.5, "Medium")
        assert cut == long or (cut.endswith("…") and text_width(cut, 12.5, "Medium") <= max(width, 12.5))


# --- colours ---


@pytest.mark.parametrize("name", THEMES)
def test_every_colour_leaves_its_text_legible(name: str) -> None:
    """4.5 to 1 for letters, WCAG's AA, and 3 to 1 for lines and bars that say something."""
    theme = THEMES[name]
    frame = theme.page if theme.frame == "none" else theme.frame
    for ground in (theme.page, frame, *(theme.paints[kind].tint for kind in CLASSES)):
        for ink in (theme.ink, theme.ink2, theme.mute):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
    for step, fill in enumerate(theme.heat):
        inks = (theme.ink, theme.ink2, theme.mute) if step < 2 else (theme.ink,)
        assert all(contrast(ink, fill) >= 4.5 for ink in inks), (step, fill)
    for kind in CLASSES:
        assert contrast(theme.paints[kind].accent, theme.page) >= 3, kind
    assert contrast(theme.wire, theme.page) >= 3
    assert contrast(theme.joint, theme.page) >= 3


def test_no_box_is_told_by_its_colour_alone() -> None:
    """Each card has its kind in words, whatever is drawn; joints have a shape of their own."""
    for model in ("googlenet", "resnet50", "swin_t", "unet"):
        found = drawing(model)
        cards = {card.key: card for card in place_figure(found, LOOK).cards}
        for box in found.boxes():
            card = cards[box.key]
            if class_of(box) == JOINT:
                assert card.form in ("pill", "circle")
                assert card.sign or card.words
            else:
                assert card.form == "card"
                assert any(word.text.startswith(box.sketch.split(",")[0][:10]) for word in card.words)


def test_accents_are_apart_for_those_who_see_fewer_colours() -> None:
    """No two classes share an accent, on either ground."""
    for theme in THEMES.values():
        accents = [theme.paints[kind].accent for kind in CLASSES if kind not in ("other", "block")]
        assert all(one != other for one, other in combinations(accents, 2))


# --- files ---


@pytest.mark.parametrize("model", ["unet", "resnet50", "googlenet"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_picture_is_the_same_bytes_in_every_process(form: str, model: str, tmp_path: Path) -> None:
    """Whatever hash seed it has."""
    if form in ("png", "pdf"):
        pytest.importorskip({"png": "resvg_py", "pdf": "reportlab"}[form])
    files = []
    for seed in ("0", "1"):  # these two, because a set of BN and ReLU is in another order under each
        path = tmp_path / f"{seed}.{form}"
        command = [sys.executable, "-m", "gnet_inspect", "diagram", model, "-o", str(path)]
        subprocess.run(command, check=True, env={"PYTHONHASHSEED": seed, "PATH": ""})
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert not re.search(rb"20[2-9]\d-[01]\d-[0-3]\d", files[0])


def test_a_png_is_as_large_as_its_picture_and_says_how_large_it_prints() -> None:
    """Two dots for each unit, 192 to an inch; to a width 300 to an inch; transparent only where that was asked for."""
    pytest.importorskip("resvg_py")
    image = pytest.importorskip("PIL.Image")
    import io

    found = drawing("lenet5")
    placed = place_figure(found, LOOK, in_roboto=True)
    png = draw_figure(found, LOOK, "png")
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (round(placed.width * 2), round(placed.height * 2)) or abs(width - placed.width * 2) < 2
    assert png[37:41] == b"pHYs"
    assert struct.unpack(">I", png[41:45])[0] == round(192 / 0.0254)
    with image.open(io.BytesIO(png)) as opened:
        assert opened.convert("RGBA").getextrema()[3] == (255, 255)
    wide = draw_figure(found, replace(LOOK, width=360.0), "png")
    assert struct.unpack(">I", wide[16:20])[0] == pytest.approx(1500, abs=2)
    assert struct.unpack(">I", wide[41:45])[0] == pytest.approx(300 / 0.0254, rel=0.01)
    with image.open(io.BytesIO(draw_figure(found, replace(LOOK, transparent=True), "png"))) as opened:
        assert opened.convert("RGBA").getextrema()[3][0] == 0


def test_what_writes_a_png_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(
        MissingError, match=r"a png needs resvg, which is not installed\. Install it with: pip install resvg_py"
    ):
        draw_figure(drawing("lenet5"), LOOK, "png")


def test_an_svg_is_well_formed_and_tells_the_exact_figures() -> None:
    """Of boxes, frames and wires."""
    svg = svg_of(drawing("googlenet", only="inception3a"))
    root = ET.fromstring(svg)
    titles = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("inception3a: inception 64, 96-128") and "163,696 params" in title for title in titles)
    assert any(title.startswith("inception3a.branch2.1.conv") and "110,720 params" in title for title in titles)
    assert any(title == "maxpool2: 1x192x28x28" for title in titles)
    assert len({element.get("id") for element in root.iter() if element.get("id")}) == 9


def test_a_picture_imports_neither_graphviz_nor_a_renderer() -> None:
    """An svg is written in the time that it takes."""
    code = (
        "import sys; sys.argv = ['gnet-inspect', 'diagram', 'googlenet', '--format', 'svg', '-o', '/dev/null']\n"
        "from gnet_inspect.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "import json; print(json.dumps([name for name in ('graphviz', 'pygraphviz', 'resvg_py', 'reportlab', "
        "'fontTools', 'torch', 'xml.etree') if name in sys.modules]))"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
