"""Draws the pictures of the gallery and of the README anew: `python -m tests.gallery`.

The commands of docs/gallery.md are what is run; a picture that is shown in a dark twin, too, is drawn with that style.
"""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "pictures"


def commands() -> dict[str, list[str]]:
    """By the name of each picture the arguments that draw it."""
    text = GALLERY.read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^gnet-inspect (diagram .+)$", text, re.MULTILINE):
        arguments = shlex.split(line)
        name = arguments[arguments.index("-o") + 1]
        found[name] = [argument for argument in arguments if argument not in ("-o", name)]
        twin = name.replace(".svg", "-dark.svg")
        if f"pictures/{twin}" in text:
            found[twin] = [*found[name], "--style", "dark"]
    return found


if __name__ == "__main__":
    import subprocess
    import sys

    PICTURES.mkdir(exist_ok=True)
    for name, arguments in commands().items():
        path = str(PICTURES / name)
        subprocess.run([sys.executable, "-m", "gnet_inspect", *arguments, "-o", path], check=True)
        print(path)
