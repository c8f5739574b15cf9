"""Write the outputs that the README quotes anew: `python -m tests.readme`.

A block of text that follows a comment with a file's path, `<!-- tests/golden/list.txt -->`, is that file, whole.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
QUOTED = re.compile(r"<!-- ([\w./]+) -->\n```text\n(.*?)```\n", re.DOTALL)


def quoted(text: str) -> dict[str, str]:
    """The files a text quotes, by path, with what it quotes of them."""
    return dict(QUOTED.findall(text))


def refreshed(text: str) -> str:
    """The text with every quoted block as its file has it now."""
    return QUOTED.sub(lambda match: f"<!-- {match[1]} -->\n```text\n{(ROOT / match[1]).read_text()}```\n", text)


if __name__ == "__main__":
    README.write_text(refreshed(README.read_text(encoding="utf-8")), encoding="utf-8")
