"""A report as workflow commands of GitHub Actions: annotations on lines of a pull request, and the table in the log.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-error-message
"""

from collections.abc import Iterator

from gnet_inspect.budgets.judging import Check, Finding, Report, Where
from gnet_inspect.errors import printable
from gnet_inspect.views.grid import draw_text
from gnet_inspect.views.tables.check import advice, check_grids, finding_name, finding_words

TITLE = "gnet-inspect"


def draw_annotations(report: Report) -> str:
    """The annotations, and the tables for who reads the log."""
    lines = [line for check in report.checks for line in _annotations(check)]
    for grid in check_grids(report):
        # No line of a table begins like a command: a name that does is behind a column.
        lines += [text if not text.startswith("::") else f" {text}" for text, _ in draw_text(grid)]
    return "".join(f"{line}\n" for line in lines)


def _annotations(check: Check) -> Iterator[str]:
    if check.error:
        yield _command(check.where, f"{TITLE}: {check.model}", check.error)
    for finding in check.findings:
        if not finding.passes:
            yield _command(finding.where or check.where, _title(check, finding), _message(check, finding))


def _title(check: Check, finding: Finding) -> str:
    return f"{TITLE}: {finding_name(finding)} of {check.model} {finding.status}"


def _message(check: Check, finding: Finding) -> str:
    more = advice(check, finding)
    return finding_words(finding) + (f"\n{more}" if more else "")


def _command(where: Where | None, title: str, message: str) -> str:
    properties = {"title": title}
    if where is not None:
        properties = {"file": where.file, "line": str(where.line), "col": str(where.column)} | properties
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {shown}::{_data(message)}"


def _data(text: str) -> str:
    """A message; its line breaks are ours alone."""
    lines = (printable(line).replace("%", "%25") for line in text.split("\n"))
    return "%0A".join(lines)


def _property(text: str) -> str:
    return printable(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
