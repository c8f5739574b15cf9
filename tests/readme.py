"""Write the outputs that the README and docs quote anew: `python -m tests.readme`.

A block of text that follows a comment with a file's path, `<!-- tests/golden/list.txt -->`, is that file, whole; so is
what stands between a comment with the path of a file of Markdown and `<!-- end -->`.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
# What quotes files.
NAMES = ("writing.md", "glossary.md", "explaining.md", "design-spaces.md", "clusters.md", "training.md")
PAGES = (README, *(ROOT / "docs" / name for name in NAMES))
QUOTED = re.compile(r"<!-- ([\w./]+) -->\n```(text|yaml|python)\n(.*?)```\n", re.DOTALL)

MARKED = re.compile(r"<!-- ([\w./]+\.md) -->\n\n.*?\n<!-- end -->\n", re.DOTALL)


def quoted(text: str) -> dict[str, str]:
    """The files a text quotes, by path, with what it quotes of them."""
    return {path: content for path, _, content in QUOTED.findall(text)}


def refreshed(text: str) -> str:
    """The text with every quoted block as its file has it now."""
    text = MARKED.sub(lambda match: f"<!-- {match[1]} -->\n\n{(ROOT / match[1]).read_text()}\n<!-- end -->\n", text)
    return QUOTED.sub(lambda match: f"<!-- {match[1]} -->\n```{match[2]}\n{(ROOT / match[1]).read_text()}```\n", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
