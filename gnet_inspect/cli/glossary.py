"""`gnet-inspect glossary`: what the words of tables, records and pages mean."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from gnet_inspect.cli import options
from gnet_inspect.errors import UsageError, show

if TYPE_CHECKING:
    from gnet_inspect.views.terms import Term


def complete_word(incomplete: str) -> list[str]:
    """The words of the glossary for shell completion."""
    from gnet_inspect.views.terms import TERMS

    return [key for key in TERMS if key.startswith(incomplete)]


def glossary(
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORD]",
            help="A word, a column by its heading or JSON name, or a sign such as '?'. Default: all of them.",
            autocompletion=complete_word,
            show_default=False,
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--of", metavar="COMMAND", help="The words of one command, such as taps.", show_default=False),
    ] = None,
    style: options.Format = "table",
    output: options.Output = None,
) -> None:
    """What a column, a unit or a word means, and where it is met.

    Example: gnet-inspect glossary peak
    """
    from gnet_inspect.cli.output import emit, emit_result
    from gnet_inspect.views.tables.glossary import (
        glossary_grid,
        glossary_markdown,
        glossary_of,
        glossary_rows,
        term_grids,
    )
    from gnet_inspect.views.terms import TERMS, find_terms

    options.table_format(style, output)
    if command is not None:
        options.one_of("--of", command, _commands(TERMS.values()))
    found = list(TERMS.values()) if word is None else find_terms(word)
    wanted = [term for term in found if command is None or command in term.where]
    if not wanted:
        raise UsageError(
            f"--of: expected a word of {command}, got {show(word)}, which is met in {', '.join(_commands(found))}"
        )
    result = glossary_of(wanted)
    if style == "markdown":
        emit(glossary_markdown(result), output)
    else:
        grids = glossary_grid if word is None else term_grids
        emit_result(result, style, output, lambda: grids(result), lambda: glossary_rows(result))


def _commands(terms: "Iterable[Term]") -> tuple[str, ...]:
    """Those in which some words are met."""
    return tuple(sorted({where for term in terms for where in term.where}))
