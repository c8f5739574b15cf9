"""`gnet-inspect report`: one HTML page, or a PDF of it, for people who would rather look than read."""

from pathlib import Path
from typing import Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError

ENDINGS = (".html", ".htm")
PDF = ".pdf"


def report(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Built-in names, paths of specs or folders of training runs; the first is the baseline of all ratios.",
            autocompletion=options.complete_model,
            show_default=False,
        ),
    ],
    inputs: options.Input = None,
    batch: options.Batch = None,
    mode: options.Mode = "eval",
    edits: options.Set = None,
    dtype: options.Dtype = "fp32",
    resize: options.Resize = False,
    arguments: options.Arguments = None,
    function: options.Function = None,
    latency: Annotated[
        list[Path] | None,
        typer.Option(
            "--latency",
            metavar="FILE",
            help="What `latency --save` wrote of these models. May be given several times.",
            show_default=False,
        ),
    ] = None,
    sweeps: Annotated[
        list[Path] | None,
        typer.Option(
            "--sweep",
            metavar="FILE",
            help="What `sweep --format json -o FILE.json` wrote: its front. May be given several times.",
            show_default=False,
        ),
    ] = None,
    output: options.Output = None,
) -> None:
    """One HTML page: comparison, charts, diagrams, layers and audit.

    It needs no network and no other file. Diagrams can be zoomed and opened; a click on a box finds its layers in the
    table, and one on a layer its box. With -o FILE.pdf the system's Chromium, Chrome or Edge prints it.

    Example: gnet-inspect report googlenet vgg16 alexnet -o report.html
    """
    from gnet_inspect.analysis.reporting import make_report
    from gnet_inspect.cli.output import emit
    from gnet_inspect.cli.progress import show_work
    from gnet_inspect.records.timing import read_measured
    from gnet_inspect.search.result import read_sweep
    from gnet_inspect.units import DTYPE_BYTES
    from gnet_inspect.views.pages.printing import print_page
    from gnet_inspect.views.pages.report import draw_report

    browser = _check_output(output, models)
    options.one_of("--dtype", dtype, tuple(DTYPE_BYTES))
    options.one_edited(models, edits)
    spaces = [read_sweep(path) for path in sweeps or []]
    flags = options.Flags(inputs, batch, mode, edits, resize, arguments=arguments, function=function)
    variants = options.read_variants(models, flags)
    records = [read_measured(path, [variant.graph for variant in variants]) for path in latency or []]
    networks = [(variant.spec, variant.graph) for variant in variants]
    shown = make_report(networks, dtype, models, records, [variant.run for variant in variants])
    with show_work(sum(len(variant.graph.nodes) for variant in variants)) as tell:
        tell(0, "reading what the page is made of")
        page = draw_report(shown, tell, spaces)
    # As bytes: not even `-o -` puts a page on a terminal.
    content = page.encode()
    if browser:
        with show_work() as tell:
            tell(0, f"printing {output}")
            content = print_page(page, browser)
    emit(content, output)


def _check_output(output: Path | None, models: list[str]) -> str:
    """The browser that prints, for a file that is to be a PDF; "" for a page. A name that promises another format is
    refused."""
    options.refuse_terminal(output, ["report", *models, "-o", "report.html"])
    if output is None or not options.names_a_file(output) or output.suffix.lower() in ENDINGS:
        return ""
    if output.suffix.lower() == PDF:
        from gnet_inspect.views.pages.printing import find_browser

        return find_browser()
    page = output.with_suffix(ENDINGS[0]) if output.name else Path(f"report{ENDINGS[0]}")
    raise UsageError(
        f"-o: expected a file that ends in {', '.join(ENDINGS)} or {PDF}, got {str(output)!r}. "
        f"(a report is a page: write -o {page})"
    )
