"""The checks of a page as JUnit XML: each gate a test case, so that any CI shows them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from sim.report.page import Page
from sim.report.show import printable


def to_junit(page: Page) -> str:
    """One suite for each run, one case for each gate; what is not met is a failure with the figures."""
    failures = sum(not check.passed for check in page.checks)
    root = ET.Element("testsuites", {
        "name": _xml(f"fotasim {page.title}"), "tests": str(len(page.checks)), "failures": str(failures),
    })  # fmt: skip
    for name in dict.fromkeys(check.suite for check in page.checks):
        checks = [check for check in page.checks if check.suite == name]
        failed = sum(not check.passed for check in checks)
        suite = ET.SubElement(root, "testsuite", name=_xml(name), tests=str(len(checks)), failures=str(failed))
        if page.properties:
            listed = ET.SubElement(suite, "properties")
            for key, value in page.properties:
                ET.SubElement(listed, "property", name=_xml(key), value=_xml(value))
        for check in checks:
            case = ET.SubElement(suite, "testcase", classname=_xml(name), name=_xml(check.name))
            ET.SubElement(case, "system-out").text = _xml(check.text)
            if not check.passed:
                ET.SubElement(case, "failure", message=_xml(check.text), type=check.state).text = _xml(
                    f"{check.name}: {check.text}"
                )
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Text that XML 1.0 can hold."""
    return printable(text).replace("\ufffe", "?").replace("\uffff", "?")
