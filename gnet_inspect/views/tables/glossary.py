"""The glossary: a row for each word, one word in full, and all of them as a page of Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

from msgspec import Struct

from gnet_inspect.records import SCHEMA_VERSION
from gnet_inspect.views.grid import Column, Grid, Line
from gnet_inspect.views.terms import GROUPS, TERMS, Term
from gnet_inspect.views.text import markdown

COLUMNS = (Column("key", "word"), Column("text", "meaning", widest=160))
# What CSV has: all of a word.
CSV_COLUMNS = tuple(
    Column(name, name) for name in ("key", "title", "unit", "text", "group", "names", "headings", "where")
)
ONE = (
    "`gnet-inspect glossary WORD` says all of a word: a column by its heading or JSON name, or a sign such as '?'; "
    "`--of COMMAND` the words of one command"
)
# The lists of one word in full break at so many cells: rows never wrap, and 60 columns hold them beside a name.
LIST_CELLS = 44


class ToldTerm(Struct, frozen=True):
    """One word. `names` are the columns of CSV and keys of JSON that hold it, those of one command alone with that in
    front; `headings` what stands above its columns, and other words for it; `where` the commands that show it."""

    key: str
    title: str
    unit: str
    text: str
    group: str
    names: tuple[str, ...]
    headings: tuple[str, ...]
    where: tuple[str, ...]


class Glossary(Struct, frozen=True):
    """What `glossary --format json` prints."""

    schema_version: int
    terms: tuple[ToldTerm, ...]


def glossary_of(terms: Iterable[Term]) -> Glossary:
    """The record of some terms, in the glossary's order."""
    wanted = {term.key for term in terms}
    told = (
        ToldTerm(term.key, term.title, term.unit, term.text, group, term.names, term.headings, term.where)
        for group, members in GROUPS.items()
        for term in members
        if term.key in wanted
    )
    return Glossary(SCHEMA_VERSION, tuple(told))


def _groups(glossary: Glossary) -> Iterator[tuple[str, Iterator[ToldTerm]]]:
    """The groups of a glossary in its order, each with its words."""
    return groupby(glossary.terms, lambda term: term.group)


def glossary_grid(glossary: Glossary) -> Grid:
    """A row for each word with the first sentence of what it means, its groups one below the other."""
    lines: list[Line] = []
    for group, terms in _groups(glossary):
        lines.append(Line((group, ""), style="bold", rule_above=bool(lines)))
        lines += [Line((f"  {term.key}", TERMS[term.key].short)) for term in terms]
    return Grid(COLUMNS, tuple(lines), below=(ONE,))


def glossary_rows(glossary: Glossary) -> Grid:
    """The same for CSV, whole."""
    lines = (
        Line(
            (),
            tuple(
                ", ".join(value) if isinstance(value, tuple) else value
                for value in (getattr(term, column.exact) for column in CSV_COLUMNS)
            ),
        )
        for term in glossary.terms
    )
    return Grid(CSV_COLUMNS, tuple(lines))


def term_grids(glossary: Glossary) -> list[Grid]:
    """Each word in full: what it means, and below it how it is written and where."""
    return [_in_full(term) for term in glossary.terms]


def _in_full(term: ToldTerm) -> Grid:
    parts = (
        ("unit", [term.unit] if term.unit else []),
        ("JSON and CSV", wrap(", ".join(term.names), LIST_CELLS)),
        ("also called", wrap(", ".join(_other_names(term)), LIST_CELLS)),
        ("met in", wrap(", ".join(term.where), LIST_CELLS)),
    )
    lines = tuple(Line((name if not index else "", text)) for name, texts in parts for index, text in enumerate(texts))
    return Grid((Column("part", "word"), Column("value", term.key)), lines, (term.title, term.text))


def glossary_markdown(glossary: Glossary) -> str:
    """A heading for each group and for each word, so that a word can be linked to."""
    lines: list[str] = []
    for group, terms in _groups(glossary):
        lines += [f"## {group}", ""]
        for term in terms:
            unit = f" ({markdown(term.unit)})" if term.unit else ""
            lines += [f"### {term.key}", "", f"**{markdown(term.title)}**{unit}. {markdown(term.text)}", ""]
            told = [*_list("JSON and CSV", term.names), *_list("Also", _other_names(term)), *_list("In", term.where)]
            lines += [" · ".join(told), ""]
    return "\n".join(lines).rstrip() + "\n"


def _other_names(term: ToldTerm) -> list[str]:
    """What it is called beside its word and its title."""
    told = {term.key, term.title.lower()}
    return [heading for heading in term.headings if heading.lower() not in told]


def _list(what: str, words: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(f'`{word}`' for word in words)}"] if words else []
