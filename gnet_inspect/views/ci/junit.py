"""A report as JUnit's XML, as GitLab, Jenkins and others read it: a suite for each budget, a case for each limit."""

from xml.etree import ElementTree

from gnet_inspect.budgets.judging import NOT_JUDGED, Check, Finding, Report
from gnet_inspect.errors import printable
from gnet_inspect.views.tables.check import advice, finding_name, finding_words


def draw_junit(report: Report) -> str:
    """One document."""
    root = ElementTree.Element("testsuites", name="gnet-inspect check")
    suites = [_suite(check) for check in report.checks]
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.extend(suites)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(check: Check) -> ElementTree.Element:
    cases = [_case(check, finding) for finding in check.findings]
    if check.error:
        case = _element("testcase", name="reading", classname=check.model)
        error = _element("error", message=check.error, type="error")
        error.text = _place(check, None)
        case.append(error)
        cases.append(case)
    counts = {
        "tests": len(cases),
        "failures": sum(not finding.passes for finding in check.findings),
        "errors": int(bool(check.error)),
        "skipped": sum(finding.status == NOT_JUDGED for finding in check.findings),
    }
    suite = _element("testsuite", name=check.model, **{name: str(number) for name, number in counts.items()})
    suite.extend(cases)
    return suite


def _case(check: Check, finding: Finding) -> ElementTree.Element:
    case = _element("testcase", name=finding_name(finding), classname=check.model)
    if finding.status == NOT_JUDGED:
        case.append(_element("skipped", message=finding.note))
    elif not finding.passes:
        failure = _element("failure", message=finding_words(finding), type=finding.status)
        failure.text = "\n".join(filter(None, (_place(check, finding), printable(advice(check, finding)))))
        case.append(failure)
    return case


def _place(check: Check, finding: Finding | None) -> str:
    where = (finding.where if finding is not None else None) or check.where
    return printable(f"{where.file}:{where.line}:{where.column}") if where is not None else ""


def _element(tag: str, **attributes: str) -> ElementTree.Element:
    """XML has no words for control characters: they are escaped as elsewhere."""
    return ElementTree.Element(tag, {name: printable(value) for name, value in attributes.items()})
