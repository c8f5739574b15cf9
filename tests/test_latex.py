"""Tables in TeX: what a paper takes by input, with every number where it belongs, whatever a spec says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gnet_inspect.views.grid import Column, Grid, Line, draw_latex
from tests.conftest import Run
from tests.drawing import HOSTILE
from tests.paper import has_package, typeset

HAS_BOOKTABS = has_package("booktabs")
TABLES = {
    "summary": ["summary", "googlenet", "--depth", "layer", "--top", "12"],
    "training": ["summary", "lenet5", "--mode", "train", "--optimizer", "adam"],
    "compare": ["compare", "googlenet", "vgg16"],
    "diff": ["compare", "googlenet", "googlenet_torchvision", "--diff"],
    "explain": ["explain", "googlenet", "inception4a"],
    "flops": ["flops", "googlenet"],
    "list": ["list", "--family", "inception,vgg"],
    "taps": ["taps", "resnet50"],
    "roofline": ["roofline", "lenet5", "--on", "h200"],
    "verify": ["verify", "googlenet", "--published"],
    "validate": ["validate", "lenet5"],
}


def page(name: str) -> str:
    """A paper that takes a table in."""
    return (
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        f"\\begin{{table}}\\caption{{A}}\\input{{{name}}}\\end{{table}}\n\\end{{document}}\n"
    )


@pytest.mark.skipif(not HAS_BOOKTABS, reason="no pdflatex with booktabs here")
@pytest.mark.parametrize("name", TABLES)
def test_tables_compile(name: str, run: Run, tmp_path: Path) -> None:
    """As they are written to a file, which says by its ending what is in it."""
    assert run(*TABLES[name], "--format", "latex", "-o", str(tmp_path / "table.tex")).code == 0
    assert typeset(page("table"), tmp_path).startswith(b"%PDF-")


@pytest.mark.skipif(not HAS_BOOKTABS, reason="no pdflatex with booktabs here")
def test_what_a_stranger_wrote_compiles(run: Run, write_spec: Callable[..., str], tmp_path: Path) -> None:
    """Names that are code to TeX, and letters that it lacks."""
    path = write_spec(HOSTILE % "^^41 [x] * \\\\\\\\end{tabular} $%# 3\u00d73 \u2264 5 \u2265 \u6f22")
    for depth in ("stage", "block", "layer"):
        assert run("summary", path, "--depth", depth, "--format", "latex", "-o", str(tmp_path / "table.tex")).code == 0
        assert typeset(page("table"), tmp_path).startswith(b"%PDF-")


@pytest.mark.skipif(not HAS_BOOKTABS, reason="no pdflatex with booktabs here")
def test_no_cell_is_an_argument(tmp_path: Path) -> None:
    """A bracket or a star behind the end of a row is one, as is a bracket behind a break between notes."""
    columns = (Column("a", "[2pt]"), Column("b", "b", number=True))
    lines = tuple(Line((text, "-1")) for text in ("a", "[3cm] x", "*", "[", "", "  [y]"))
    grid = Grid(columns, lines, ("[1]", "^^M\\end"), ("one", "[2] two", "* three", "]"))
    (tmp_path / "table.tex").write_text(draw_latex(grid), encoding="ascii")
    assert typeset(page("table"), tmp_path).startswith(b"%PDF-")


def test_a_table_has_its_parts() -> None:
    """Comments above, numbers to the right, a rule above the total, which is bold, and notes below."""
    columns = (Column("a", "name"), Column("b", "n (K)", number=True), Column("c", "", bar=10, text_only=True))
    lines = (
        Line(("top", "-1.5", "\u2588"), style="bold"),
        Line(("  3\u00d73 -> \u22645 & 50 %", "<0.1", "")),
        Line(("total", "7", ""), style="bold", rule_above=True),
    )
    grid = Grid(columns, lines, ("a_b",), ("peak         1 % of all", "depth        2"))
    assert (
        draw_latex(grid)
        == r"""% a\_b
% \usepackage{booktabs}
\begin{tabular}{lr}
\toprule
name & n (K) \\
\midrule
\textbf{top} & \textbf{$-$1.5} \\
\quad 3$\times$3 $\rightarrow$ $\leq$5 \& 50 \% & {\textless}0.1 \\
\midrule
\textbf{total} & \textbf{7} \\
\bottomrule
\end{tabular}

\par\smallskip{\footnotesize\raggedright\noindent peak 1 \% of all\\
depth 2\par}
"""
    )


@pytest.mark.parametrize("name", TABLES)
def test_latex_and_markdown_have_the_same_cells(name: str, run: Run) -> None:
    """As many rows, and in each as many cells; every row that is all numbers in one has them in the other."""
    latex = run(*TABLES[name], "--format", "latex").out
    rows = [line.removesuffix(r" \\").split(" & ") for line in latex.splitlines() if line.endswith(r" \\")]
    table = [line for line in run(*TABLES[name], "--format", "markdown").out.splitlines() if line.startswith("|")]
    marked = [line for line in table if not line.startswith("| ---") and not line.startswith("|  ---")]
    assert latex.isascii()
    assert len(rows) == len(marked)
    # Bold is no product.
    plain = [re.sub(r"(?<!\\)\*\*|[&;\\]|emsp", "", line).strip("| ").split(" | ") for line in marked]
    for row, cells in zip(rows, plain, strict=True):
        numbers = [cell.strip("*") for cell in cells if re.fullmatch(r"[\d,.]+\**", cell)]
        found = [re.sub(r"\\textbf\{(.*)\}", r"\1", cell).strip("*") for cell in row]
        assert [cell for cell in found if re.fullmatch(r"[\d,.]+", cell)] == numbers


def test_an_ending_is_held_to(run: Run, tmp_path: Path) -> None:
    """A table in another format is not written to a .tex; a picture in TeX is, and the word for that is taken."""
    refused = run("list", "-o", str(tmp_path / "a.tex"))
    assert (refused.code, list(tmp_path.iterdir())) == (2, [])
    assert "say --format latex" in refused.err
    assert run("list", "--format", "tex").out == run("list", "--format", "latex").out
    assert "expected a file of another ending for latex" in run("list", "--format", "latex", "-o", "a.csv").err
    assert run("diagram", "lenet5", "-o", str(tmp_path / "a.tex")).code == 0
    assert run("diagram", "lenet5", "--format", "tex", "-o", str(tmp_path / "b.tex")).code == 0
