"""A report as SARIF 2.1.0, which code scanning shows on the lines of a spec.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from gnet_inspect.budgets.judging import Check, Finding, Report, Where
from gnet_inspect.errors import printable
from gnet_inspect.views.json import draw_json
from gnet_inspect.views.tables.check import advice, finding_name, finding_words

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
# The rule of what cannot be read.
READABLE = "readable"


def draw_sarif(report: Report, version: str) -> str:
    """One log with one run; `version` is that of the program."""
    rules = sorted({_rule_of(finding) for check in report.checks for finding in check.findings})
    rules += [READABLE] if any(check.error for check in report.checks) else []
    driver = {
        "name": "gnet-inspect",
        "version": version,
        "rules": [_rule(name) for name in rules],
    }
    results = [result for check in report.checks for result in _results(check, rules)]
    # Code scanning shows them itself: a run whose limits are broken has still been one.
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": not any(check.error for check in report.checks)}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return draw_json({"$schema": SCHEMA, "version": VERSION, "runs": [run]})


def _rule_of(finding: Finding) -> str:
    return finding.limit


def _rule(name: str) -> dict[str, Any]:
    words = "A model can be read" if name == READABLE else f"A model keeps its budget of {name}"
    return {"id": f"budget/{name}", "shortDescription": {"text": words}}


def _results(check: Check, rules: list[str]) -> Iterator[dict[str, Any]]:
    if check.error:
        yield _result(READABLE, rules, f"{check.model}: {check.error}", check.where, check.model)
    for finding in check.findings:
        if not finding.passes:
            message = f"{check.model}: {finding_words(finding)}"
            more = advice(check, finding)
            yield _result(
                _rule_of(finding),
                rules,
                f"{message}. ({more})" if more else message,
                finding.where or check.where,
                f"{check.model}/{finding_name(finding)}",
            )


def _result(rule: str, rules: list[str], text: str, where: Where | None, about: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": f"budget/{rule}",
        "ruleIndex": rules.index(rule),
        "level": "error",
        "message": {"text": printable(text)},
        # What a result is about stays the same where lines move.
        "partialFingerprints": {"budget/v1": printable(about)},
    }
    if where is not None:
        result["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(where.file), "uriBaseId": ROOT},
                    "region": {"startLine": where.line, "startColumn": where.column},
                }
            }
        ]
    return result
