"""`gnet-inspect serve`: the live editor, a local page where a spec is typed and its numbers and picture follow."""

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import INSTALL_SERVE, MissingError, UsageError

if TYPE_CHECKING:
    from socket import socket

    from gnet_inspect.budgets.limits import Limit
    from gnet_inspect.serving.app import Setup
    from gnet_inspect.serving.files import Opened

DEFAULT = "googlenet"


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]",
            help="A built-in name, the path of a YAML spec (there or not yet), or - for a spec on standard input.",
            autocompletion=options.complete_model,
        ),
    ] = DEFAULT,
    compared: Annotated[
        str | None,
        typer.Option(
            "--compare", metavar="MODEL", help="A model to show beside it from the start.", show_default=False
        ),
    ] = None,
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    dtype: options.Dtype = "fp32",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", help="The port on 127.0.0.1. Default: 8421, or one that is free.", show_default=False
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """A local page to edit a spec: numbers, picture and table follow what is typed.

    Its address, printed first, holds a token: nothing else on this machine's network can ask it. It reads and writes
    the file it was given, and what "save as" names beside it. Ctrl-C ends it; the browser keeps what was not saved.

    Example: gnet-inspect serve mine.yaml --compare googlenet
    """
    try:
        from gnet_inspect.serving.app import bind
    except ImportError as error:
        raise MissingError(
            f"serve needs {error.name}, which is not installed. Install it with: {INSTALL_SERVE}"
        ) from None
    if port is not None and not 0 <= port < 65536:
        raise UsageError(f"--port: expected a number up to 65,535, got {port}")
    setup = _setup(model, compared, options.Flags(inputs, batch, mode), dtype)
    # Servers and their tasks make cycles, and this one may run for days.
    gc.enable()
    listening = bind(port)
    try:
        asyncio.run(_run(setup, listening, browser))
    finally:
        listening.close()
    from gnet_inspect.cli import signals

    # Every end is somebody's signal.
    signals.check()


def _setup(model: str, compared: str | None, flags: options.Flags, dtype: str) -> "Setup":
    """What is edited and how it is counted. Raises as the commands do for what cannot be read."""
    from gnet_inspect import __version__
    from gnet_inspect.cli import models
    from gnet_inspect.editing.revision import Setting
    from gnet_inspect.language import parse_spec
    from gnet_inspect.language.document import decoded
    from gnet_inspect.serving.app import Setup
    from gnet_inspect.serving.messages import Job
    from gnet_inspect.sources.spec import MODES
    from gnet_inspect.units import DTYPE_BYTES

    options.one_of("--mode", flags.mode, MODES)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    options.positive("--batch", flags.batch)
    named = [model, *([compared] if compared is not None else [])]
    models.need_specs(named, "serve", "whose text is edited")
    opened = _open(model)
    others = {} if compared is None else {compared: decoded(*options.read_text(compared))}
    shapes: dict[str, tuple[int, ...]] = {}
    if flags.inputs:
        # The inputs have to be known by now, to be given shapes.
        spec = parse_spec(opened.text, opened.name)
        shapes = options.read_inputs(spec.inputs, flags.inputs, flags.batch)
    limits = _limits(model, opened)
    setting = Setting(tuple(shapes.items()), flags.batch or 1, flags.mode, dtype)
    other = (compared, others[compared]) if compared is not None else None
    job = Job(
        "count", opened.text, opened.name, setting, other=other, model=model, flags=_words(flags, dtype), limits=limits
    )
    return Setup(opened, job, others, __version__)


def _limits(model: str, opened: "Opened") -> "tuple[tuple[Limit, str], ...]":
    """Those of the config beside the file, or where the command runs."""
    from gnet_inspect.budgets.config import find_config

    for folder in dict.fromkeys((opened.folder, Path.cwd())):
        config = find_config(folder)
        found = config.of(model, opened.path) if config is not None else []
        if found:
            return tuple((limit, budget.message) for budget in found for limit in budget.limits)
    return ()


def _words(flags: options.Flags, dtype: str) -> tuple[str, ...]:
    """The flags again, of the command that gives the same."""
    words = [word for text in flags.inputs or () for word in ("--input", text)]
    words += ["--batch", str(flags.batch)] if flags.batch is not None else []
    words += ["--mode", flags.mode] if flags.mode != "eval" else []
    return (*words, *(["--dtype", dtype] if dtype != "fp32" else []))


def _open(model: str) -> "Opened":
    from gnet_inspect.cli.init import first_text
    from gnet_inspect.cli.output import write_whole
    from gnet_inspect.cli.runs import is_run_folder
    from gnet_inspect.language.catalogue import ENDINGS, catalogue
    from gnet_inspect.serving.files import Opened

    file = Path(model)
    # What a run has been trained with is not written over.
    path = None if model == "-" or model in catalogue() or is_run_folder(model) else file.resolve()
    folder = Path.cwd() if path is None else path.parent
    if path is not None and not path.exists() and model.endswith(ENDINGS) and folder.is_dir():
        # A file that is to be: it begins as a small network.
        return Opened(file.name, first_text(file), path, folder, write_whole)
    content, name = options.read_text(model)
    return Opened(name if path is None else file.name, "", path, folder, write_whole).holding(content, name)


async def _run(setup: "Setup", listening: "socket", browser: bool) -> None:
    """Serve until a signal comes."""
    from gnet_inspect.cli import signals
    from gnet_inspect.cli.output import emit, say
    from gnet_inspect.serving.app import HOST, make_app, make_server, new_token
    from gnet_inspect.serving.workers import Worker

    counter, drawer = Worker(), Worker()
    token, port = new_token(), listening.getsockname()[1]
    server = make_server(make_app(setup, token, port, counter, drawer))

    def stop() -> None:
        server.should_exit = True

    try:
        await asyncio.gather(counter.start(), drawer.start())
        address = f"http://{HOST}:{port}/{token}/"
        emit(f"{address}\n", None)
        say("Ctrl-C ends it")
        if browser:
            _show(address)
        with signals.Told(asyncio.get_running_loop(), stop):
            await server.serve(sockets=[listening])
    finally:
        await asyncio.gather(counter.close(), drawer.close())


def _show(address: str) -> None:
    """Open the page, where there is a screen: a browser of text would take the terminal."""
    import webbrowser

    from gnet_inspect.cli.output import say

    has_screen = sys.platform in ("darwin", "win32") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    )
    if not has_screen or not webbrowser.open(address):
        say("no browser was found: open the address yourself")
