"""Signals that end a command: what is half written is taken away, one word is said, and the exit code is the shell's.

This module imports next to nothing, because a signal that comes before `watch` is answered by Python with a traceback.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import FrameType
else:
    try:
        # What `signal` wraps in enumerations: those take longer to import than all of this.
        import _signal as signal
    except ImportError:
        import signal

# Windows has no SIGHUP.
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
_received: list[int] = []
_holds: list[None] = []


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command came.

    A class of its own, because Python notes a bare KeyboardInterrupt that passes through text given to `exec`, and may
    then end by SIGINT itself, whichever signal it was.
    """


def watch() -> None:
    """Turn the signals that end a command into Interrupted, but for those that the caller had ignored (nohup)."""
    _received.clear()
    _holds.clear()
    _answer_with(_raise)
    sys.unraisablehook = _say_unraisable


def close() -> None:
    """From here on there is nothing left to take away: a signal ends the process at once."""
    _answer_with(_exit)


def check() -> None:
    """Raise Interrupted where one was swallowed (imports of large packages do that) or held back."""
    if _received:
        raise Interrupted


def came() -> bool:
    """Whether a signal that ends the command came: what ends in order asks between two steps."""
    return bool(_received)


class Held:
    """While this is entered signals are only noted: what must not be torn in two asks for them by `check`."""

    def __enter__(self) -> None:
        _holds.append(None)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        _holds.pop()
        if error is None:
            check()


class Told:
    """While this is entered a signal is noted, and `stop` is called by an event loop: one that serves is not torn in
    two, but ends in order. What asks for them afterwards is `check`."""

    def __init__(self, loop: "AbstractEventLoop", stop: "Callable[[], None]") -> None:
        self._loop, self._stop = loop, stop

    def __enter__(self) -> None:
        for number in _watched():
            try:
                self._loop.add_signal_handler(number, self._note, number)
            except NotImplementedError:
                return  # Windows: there they are raised

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        for number in _watched():
            try:
                self._loop.remove_signal_handler(number)
            except NotImplementedError:
                break
        _answer_with(_raise)

    def _note(self, number: int) -> None:
        _received.append(number)
        self._stop()


def exit_code(code: int) -> int:
    """The exit code of a command that ended with `code`: 128 and the signal's number where one came."""
    return 128 + _received[0] if _received else code


def say_stopped() -> None:
    """Say what ended the command, straight to the descriptor: no module has to be there for it."""
    word = next((word for name, word in _WORDS.items() if _received and _number(name) == _received[0]), "interrupted")
    try:
        os.write(2, f"{word}\n".encode())
    except OSError:
        return  # nobody listens there; the exit code says it too


def _number(name: str) -> int | None:
    number: int | None = getattr(signal, name, None)
    return number


def _watched() -> "list[int]":
    """The signals that end a command, but for those that the caller had ignored."""
    numbers = filter(None, map(_number, _WORDS))
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _answer_with(handler: "Callable[[int, FrameType | None], None]") -> None:
    for number in _watched():
        try:
            signal.signal(number, handler)
        except ValueError:
            return  # not the main thread: signals are somebody else's there


def _raise(number: int, _: "FrameType | None") -> None:
    _received.append(number)
    if not _holds:
        raise Interrupted


def _exit(number: int, _: "FrameType | None") -> None:
    _received.append(number)
    say_stopped()
    os._exit(exit_code(0))


def _say_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """A signal that came inside a destructor is noted, and `check` raises it: Python would print a traceback."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
