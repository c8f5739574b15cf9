"""The command line: `main` runs a command and turns what it raises into an exit code."""

import gc
import os
import sys

INTERRUPTED = 130


def main() -> None:
    """The entry point of `gnet-inspect`."""
    debug = "--debug" in sys.argv[1:]
    if debug:
        sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(_run(debug))


def _run(debug: bool) -> int:
    from gnet_inspect.cli.output import say
    from gnet_inspect.errors import GnetError

    # A command builds its records once, keeps them to the end and makes no cycles of them: looking for cycles among
    # 100,000 nodes takes a third of the time of a summary. `verify`, which runs torch, turns it on again.
    gc.disable()

    try:
        from gnet_inspect.cli.app import app

        app(prog_name="gnet-inspect")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except GnetError as error:
        if debug:
            raise
        say(f"error: {error}")
        return error.exit_code
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); nothing is left to be flushed to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        say(f"error: {type(error).__name__}: {error}. (a defect of gnet-inspect: --debug shows where)")
        return 2
    return 0
