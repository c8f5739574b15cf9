"""What tests of pictures and of tables in TeX share: whether it is there, and a page made of a file by pdflatex."""

import re
import shutil
import subprocess
from pathlib import Path

PDFLATEX, KPSEWHICH = map(shutil.which, ("pdflatex", "kpsewhich"))


def has_package(name: str) -> bool:
    """Whether there is a pdflatex, and a package for it."""
    if not PDFLATEX or not KPSEWHICH:
        return False
    return bool(subprocess.run([KPSEWHICH, f"{name}.sty"], check=False, capture_output=True).stdout)


def typeset(page: str, folder: Path) -> bytes:
    """The pdf of a document by pdflatex, which may read what is in the folder; every letter of it is in its fonts."""
    (folder / "page.tex").write_text(page, encoding="ascii")
    command = [str(PDFLATEX), "-interaction=batchmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    ended = subprocess.run(command, check=False, capture_output=True, cwd=folder)
    log = (folder / "page.log").read_text(encoding="latin-1")
    assert ended.returncode == 0, "\n".join(re.findall(r"(?ms)^!.*?^l\.\d+.*?$", log))
    assert "Missing character" not in log
    return (folder / "page.pdf").read_bytes()
