"""The commands, put together."""

import os
from importlib import import_module
from typing import Annotated

import typer

# Each command's function, in the module of its name, in the order of --help. Reading the signatures of all of them
# takes longer than a summary's numbers: only the command that is called is put in, all where none is.
COMMANDS = {
    "summary": "summary",
    "compare": "compare",
    "explain": "explain",
    "flops": "flops",
    "taps": "taps",
    "diagram": "diagram",
    "report": "report",
    "serve": "serve",
    "sweep": "sweep",
    "roofline": "roofline",
    "check": "check",
    "list": "list_models",
    "trace": "trace",
    "import": "import_network",
    "export": "export",
    "init": "init",
    "show": "show",
    "validate": "validate",
    "schema": "schema",
    "verify": "verify",
    "train": "train",
    "evaluate": "evaluate",
    "latency": "latency",
    "calibrate": "calibrate",
    "doctor": "doctor",
    "glossary": "glossary",
}
# Of a command whose name no module can have.
_MODULES = {"import": "importing"}


def make_app(arguments: list[str]) -> typer.Typer:
    """The application for a command line: with the command it calls, or with all for help, completion and mistakes."""
    # Plain help and plain errors: rich's panels would double the time of --help.
    app = typer.Typer(
        name="gnet-inspect",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    called = next((argument for argument in arguments if not argument.startswith("-")), "")
    completing = "_GNET_INSPECT_COMPLETE" in os.environ
    for name, function in COMMANDS.items():
        if completing or called not in COMMANDS or name == called:
            app.command(name)(getattr(import_module(f"gnet_inspect.cli.{_MODULES.get(name, name)}"), function))
    app.callback()(options)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from gnet_inspect import __version__

        typer.echo(f"gnet-inspect {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks. May stand anywhere on the line.")] = False,
) -> None:
    """Architecture analysis and shape tracing for convolutional networks.

    Shapes, parameters, MACs, memory and receptive fields of GoogLeNet and its family, or of a network of your own in a
    few lines of YAML, without importing torch; and proof of every number against the real module where torch is there.

    Example: gnet-inspect summary googlenet --input 1x3x224x224; what the words mean: gnet-inspect glossary
    """
