"""Libraries in other languages that end the whole process where they cannot go on: they are called in a child process.

V8 (in vl-convert) reserves some 64 GB of addresses and aborts with a page of stack where a limit forbids that; Graphviz
and cairo end the process where memory does. In a child that is an answer like any other. A signal is answered at once
while the child works, where native code in this process would hold it back.
"""

import os
import subprocess
import sys
from importlib import import_module
from signal import Signals

from gnet_inspect.errors import MissingError, brief

# A picture of a small network is drawn faster than an interpreter starts.
_SMALL = 60_000
_CHILD = "from gnet_inspect.views.native import serve; serve()"


def call_native(function: str, text: str, *arguments: str, what: str, library: str) -> bytes:
    """Call a function ("module:name") of text and words that gives bytes, in a child process.

    Raises MissingError where the child was killed, or could not work under this process's limits, RuntimeError for what
    else went wrong there. `what` says for the error what needs the `library`.
    """
    # The child imports what this process would.
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    command = [sys.executable, "-P", "-c", _CHILD, function, *arguments]
    return run_native(command, text, what=what, library=library, PYTHONPATH=path)


def run_native(command: list[str], text: str, *, what: str, library: str, **environment: str) -> bytes:
    """What a program prints that reads a text. Raises as `call_native` does."""
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, check=False, env=os.environ | environment
        )
    except (OSError, MemoryError) as error:
        raise MissingError(_death(what, library, str(error))) from None
    if done.returncode == 0:
        return done.stdout
    complaint = _complaint(done.stderr) or _ending(done.returncode)
    if done.returncode > 0 and not limits():
        raise RuntimeError(f"{library}: {complaint}")
    raise MissingError(_death(what, library, complaint))


def wants_child(text: str) -> bool:
    """Whether a picture of a text is to be drawn in a child: under a limit, or where it takes long."""
    return bool(sys.executable) and (len(text) > _SMALL or bool(limits()))


def limits() -> str:
    """The limits on this process's memory in words, "" where there are none."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    flags = (("address space", resource.RLIMIT_AS, "-v"), ("data", resource.RLIMIT_DATA, "-d"))
    found = [(name, resource.getrlimit(number)[0], flag) for name, number, flag in flags]
    said = [
        f"{size / 1e9:,.2f} GB of {name} (ulimit {flag})"
        for name, size, flag in found
        if size != resource.RLIM_INFINITY
    ]
    return f"the limit of {' and '.join(said)}" if said else ""


def serve() -> None:
    """The child: the function that the command line names, of what standard input holds; bytes on standard output."""
    function, *arguments = sys.argv[1:]
    module, name = function.split(":")
    result: bytes = getattr(import_module(module), name)(sys.stdin.buffer.read().decode(), *arguments)
    sys.stdout.buffer.write(result)
    sys.stdout.flush()
    # What native code does when the interpreter ends is not asked for.
    os._exit(0)


def _death(what: str, library: str, complaint: str) -> str:
    limited = limits()
    where = f" under {limited}" if limited else ""
    hint = " (raise the limit; most of what it reserves is never used)" if limited else ""
    return f"{what} needs {library}, which ended without a result{where}: {complaint}.{hint}"


def _ending(code: int) -> str:
    return f"it was ended by {Signals(-code).name}" if code < 0 else f"it ended with {code}"


def _complaint(said: bytes) -> str:
    """The line of a dying process's page that says why: V8's own, or the last one of a traceback."""
    lines = [line.strip("# \t") for line in said.decode(errors="replace").splitlines()]
    named = [line for line in lines if line.lower().startswith(("fatal", "error", "memory"))]
    last = next((line for line in reversed(lines) if line), "")
    return brief(named[0] if named else last, 200).rstrip(".")
