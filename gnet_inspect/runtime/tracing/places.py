"""Where in the user's code a run stands, or stood when it failed."""

import dis
import linecache
import sys
import traceback
from types import FrameType

from gnet_inspect.errors import brief

_OURS = __name__.rpartition(".")[0].replace(".", "/")


def here() -> str:
    """Where in the user's code the run stands: " at net.py:12: `if x.sum() > 0:`"."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_users(frame.f_code.co_filename):
            return _said(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def place_of(error: BaseException) -> str:
    """Where in the user's code an error was raised: the innermost line that is his."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return _said(places[-1].filename, places[-1].lineno or 0) if places else ""


def _is_users(file: str) -> bool:
    path = file.replace("\\", "/")
    return not (_OURS in path or "/torch/" in path or path.startswith("<") or "/contextlib.py" in path)


# What Python runs for `a + b`, and for `a += b`.
_OPERATORS = {dis.opmap[name] for name in ("BINARY_OP",) if name in dis.opmap}


def runs_operator() -> bool:
    """Whether the line of code that runs is an operator: torch calls the method of its name for it, too."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _OURS in frame.f_code.co_filename.replace("\\", "/"):
        frame = frame.f_back
    return frame is not None and frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] in _OPERATORS


def in_kernel() -> bool:
    """Whether what runs is one of torch's own kernels in Python, which makes what an operator returns."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (
        _OURS in frame.f_code.co_filename or frame.f_code.co_filename.endswith("overrides.py")
    ):
        frame = frame.f_back
    return frame is not None and any(part in frame.f_code.co_filename for part in _KERNELS)


_KERNELS = ("/torch/_prims", "/torch/_refs", "/torch/_meta_registrations", "/torch/_decomp", "/torch/_subclasses")


def _said(file: str, line: int) -> str:
    text = brief(linecache.getline(file, line).strip(), 80)
    return f" at {file.replace(chr(92), '/').rpartition('/')[2]}:{line}" + (f": `{text}`" if text else "")
