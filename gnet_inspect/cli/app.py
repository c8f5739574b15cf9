"""The commands, put together."""

from typing import Annotated

import typer

from gnet_inspect.cli.compare import compare
from gnet_inspect.cli.doctor import doctor
from gnet_inspect.cli.flops import flops
from gnet_inspect.cli.list import list_models
from gnet_inspect.cli.schema import schema
from gnet_inspect.cli.show import show
from gnet_inspect.cli.summary import summary
from gnet_inspect.cli.validate import validate
from gnet_inspect.cli.verify import verify

# Plain help and plain errors: rich's panels would double the time of --help.
app = typer.Typer(
    name="gnet-inspect",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(summary)
app.command()(compare)
app.command()(flops)
app.command("list")(list_models)
app.command()(show)
app.command()(validate)
app.command()(schema)
app.command()(verify)
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from gnet_inspect import __version__

        typer.echo(f"gnet-inspect {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks. May stand anywhere on the line.")] = False,
) -> None:
    """Architecture analysis and shape tracing for convolutional networks.

    Shapes, parameters, MACs, memory and receptive fields of GoogLeNet and its family, or of a network of your own in a
    few lines of YAML, without importing torch; and proof of every number against the real module where torch is there.

    Example: gnet-inspect summary googlenet --input 1x3x224x224
    """
