"""The command line: `main` runs a command and turns what it raises into an exit code.

Little is imported here, because whoever starts a command may stop it before its modules are read: see `signals`.
"""

import gc
import os
import sys

from gnet_inspect.cli import signals
from gnet_inspect.cli.streams import finish_streams, open_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gnet_inspect.errors import GnetError

INTERRUPTED = 130
COMPLETION = "_GNET_INSPECT_COMPLETE"
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def main() -> None:
    """The entry point of `gnet-inspect`."""
    signals.watch()
    try:
        open_streams()
        code = _run()
    except KeyboardInterrupt:
        code = INTERRUPTED
        signals.say_stopped()
    finally:
        signals.close()
    finish_streams()
    sys.exit(signals.exit_code(code))


def _run() -> int:
    """Run the command line; its exit code. Raises KeyboardInterrupt where a signal ended it."""
    debug = _take_debug()
    # A command builds its records once, keeps them to the end and makes no cycles of them: looking for cycles among
    # 100,000 nodes takes a third of the time of a summary. `verify`, which runs torch, turns it on again.
    gc.disable()
    try:
        code = _call(sys.argv[1:])
    except BrokenPipeError:
        code = 0  # the reader has what it wanted (`| head`)
    except Exception as error:
        # An import that a signal cut short may say that a package is missing: it is not.
        signals.check()
        return _answer(error, debug)
    # A command that was interrupted and said so ends with that code itself.
    if code != INTERRUPTED:
        signals.check()
    return code


def _take_debug() -> bool:
    """Take --debug off the command line, wherever it stands on it."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    debug = "--debug" in sys.argv[1:end]
    sys.argv[1:end] = [argument for argument in sys.argv[1:end] if argument != "--debug"]
    return debug


def _call(arguments: list[str]) -> int:
    """Call the command that a command line names.

    Not by typer's own `main`, which turns Ctrl-C into silence, a closed pipe into the code 1 (our "no"), and prints
    what the user typed as it came.
    """
    from typer import Exit
    from typer.main import get_command

    from gnet_inspect.cli.app import make_app
    from gnet_inspect.cli.synonyms import HELP, read_command, read_flags

    if os.environ.get(COMPLETION):
        return _complete(get_command(make_app(arguments)))
    arguments, is_other = read_command(arguments)
    if is_other and arguments[-1] not in HELP:
        _say_command(arguments)
    command = get_command(make_app(arguments))
    arguments = read_flags(arguments, command)
    try:
        with command.make_context("gnet-inspect", arguments) as context:
            command.invoke(context)
    except Exit as end:
        return end.exit_code or _tell()
    return 0


def _say_command(arguments: list[str]) -> None:
    """Say which command is run in the place of what was typed: the next time it can be typed."""
    from shlex import join

    from gnet_inspect.cli.output import say

    say(f"running {join(['gnet-inspect', *arguments])}")


def _tell() -> int:
    """0 where typer could print what was asked for: on a closed standard output it prints nothing, and says nothing."""
    from gnet_inspect.cli.output import standard_output

    standard_output()
    return 0


def _complete(command: "Any") -> int:
    """What the shell's completion asks for in the environment. Raises UsageError where it asks for nothing known."""
    from gnet_inspect.errors import UsageError, show

    asked = os.environ[COMPLETION]
    known = [f"{action}_{shell}" for action in ("complete", "source") for shell in SHELLS]
    if asked not in known:
        raise UsageError(f"{COMPLETION}: expected {', '.join(known)}, got {show(asked)}. (unset it to run a command)")
    try:
        command.main([], prog_name="gnet-inspect", standalone_mode=False)
    except SystemExit as end:
        return 2 if end.code else _tell()
    except (KeyError, ValueError):
        # typer reads them from variables that nobody but the shell's completion sets.
        raise UsageError(
            f"{COMPLETION} is set, but not the words to complete, as COMP_WORDS and the number COMP_CWORD. "
            "(unset it to run a command)"
        ) from None
    return 0


def _answer(error: Exception, debug: bool) -> int:
    """Say what went wrong, on one line, and what there is to choose from below it (with --debug where, too); the exit
    code that goes with it."""
    from gnet_inspect.cli.output import say, say_usage
    from gnet_inspect.errors import GnetError

    if debug:
        import traceback

        traceback.print_exception(error)
    if hasattr(error, "format_message"):
        return say_usage(error)
    if isinstance(error, GnetError):
        say_error(error)
        return error.exit_code
    lacking = _lacking_memory(error)
    if lacking:
        say(f"error: {lacking}")
        return 3
    if isinstance(error, OSError) and error.strerror:
        say(f"error: cannot write the result: {error.strerror}")
    else:
        say(f"error: {type(error).__name__}: {error}. (a defect of gnet-inspect: --debug shows where)")
    return 2


def say_error(error: "GnetError") -> None:
    """Say what went wrong, on one line, and what there is to choose from below it."""
    from gnet_inspect.cli.output import say
    from gnet_inspect.errors import SpecError, UsageError

    if isinstance(error, SpecError):
        # FILE:LINE first, where editors and terminals look for it.
        say(str(error))
        return
    message, lines = (error.message, error.lines) if isinstance(error, UsageError) else (str(error), ())
    for line in (f"error: {message}", *lines):
        say(line)


def _lacking_memory(error: Exception) -> str:
    """What to say of an error that stands for too little memory, or for a limit on it; "" for any other."""
    from gnet_inspect.views.native import limits

    limited = limits()
    under = f" under {limited}. (raise it)" if limited else ""
    if isinstance(error, MemoryError):
        return f"out of memory{under}"
    # A library that the loader found no room for.
    if isinstance(error, ImportError) and limited and ("cannot" in str(error) or "failed to map" in str(error)):
        return f"no memory for a library{under}"
    return ""
