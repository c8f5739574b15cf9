"""The command line: `main` runs a command and turns what it raises into an exit code."""

import gc
import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
_interrupts: list[int] = []


def main() -> None:
    """The entry point of `gnet-inspect`."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    debug = "--debug" in sys.argv[1:end]
    sys.argv[1:end] = [argument for argument in sys.argv[1:end] if argument != "--debug"]
    code = _run(debug)
    _finish_output()
    sys.exit(INTERRUPTED if _interrupts else code)


def check_interrupted() -> None:
    """Raise KeyboardInterrupt where one was swallowed: imports of large packages do that."""
    if _interrupts:
        raise KeyboardInterrupt


def _interrupt(number: int, _: FrameType | None) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


def _run(debug: bool) -> int:
    # A command builds its records once, keeps them to the end and makes no cycles of them: looking for cycles among
    # 100,000 nodes takes a third of the time of a summary. `verify`, which runs torch, turns it on again.
    gc.disable()
    _interrupts.clear()
    try:
        signal.signal(signal.SIGINT, _interrupt)
        from gnet_inspect.cli.app import make_app
        from gnet_inspect.cli.options import with_values

        arguments = with_values(sys.argv[1:])
        make_app(arguments)(arguments, prog_name="gnet-inspect")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # the reader has what it wanted (`| head`)
    except Exception as error:
        return _answer(error, debug)
    return 0


def _answer(error: Exception, debug: bool) -> int:
    """Say what went wrong, on one line (with --debug where, too); the exit code that goes with it."""
    from gnet_inspect.errors import GnetError, SpecError

    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, SpecError):
        # FILE:LINE first, where editors and terminals look for it.
        _say(str(error))
        return error.exit_code
    if isinstance(error, GnetError):
        _say(f"error: {error}")
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        _say(f"error: cannot write the result: {error.strerror}")
    else:
        _say(f"error: {type(error).__name__}: {error}. (a defect of gnet-inspect: --debug shows where)")
    return 2


def _say(text: str) -> None:
    from gnet_inspect.cli.output import say

    say(text)


def _finish_output() -> None:
    """Flush standard output here: what the interpreter cannot flush at its end becomes an exit code of its own."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # It was reported when it was written; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
