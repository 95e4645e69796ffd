"""Texts that try to break out of every format, and what no format may hold because of them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown

from tests.support import require

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; `${{7*7}}` {{7*7}} #panic(\"no\") #read(\"/etc/passwd\") "
    "*b* _i_ [l](javascript:alert(3)) ![p](http://evil.example/p.png) | ]]> <!-- @someone #12 https://evil.example \x00\x1b\u202e $x^2$ \\"
)  # fmt: skip


class _Elements(HTMLParser):
    scripts, images, attributes = 0, 0, 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.scripts += tag == "script"
        self.images += tag == "img"
        self.attributes += sum(
            name.startswith("on") or ("javascript:" in (value or "") and name in ("href", "src"))
            for name, value in attrs
        )


def check_html(text: str) -> None:
    """No element, attribute or address comes from a text; control characters are gone, braces stand as they were."""
    parser = _Elements()
    parser.feed(text)
    assert (parser.scripts, parser.images, parser.attributes) == (1, 0, 0)
    assert "{{7*7}}" in text
    assert "\x00" not in text and "\u202e" not in text


def check_markdown(text: str) -> None:
    """Read back it holds no element but those of the page itself, no link, no mention."""
    assert not re.search(r"<(script|img|a|h1)\b", html_of(text))
    prose = re.sub(r"^(`{3,})$.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)  # in code a forge links nothing
    assert not [link for link in ("<script>", "@someone", "https://", "#12") if link in prose]


def check_pdf(path: Path) -> None:
    """Typst takes no text for code: what looks like a call is printed."""
    done = subprocess.run([require("pdftotext"), path, "-"], capture_output=True, text=True, check=True)
    assert '#panic("no")' in re.sub(r"\u200b", "", done.stdout).replace("\n", " ")
    assert "root:" not in done.stdout


def check_folder(folder: Path) -> None:
    """Every format of a folder; XML and JSON parse, no cell of a CSV file begins a formula."""
    check_html((folder / "report.html").read_text())
    check_markdown((folder / "report.md").read_text())
    check_pdf(folder / "report.pdf")
    ET.parse(folder / "report.xml")
    json.loads((folder / "report.json").read_text())
    for path in (folder / "tables").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if "\x00" in cell or cell.startswith(("=", "@"))] == [], path.name


def html_of(text: str) -> str:
    """Markdown as a forge shows it: HTML inside it counts, tables too."""
    unwrapped = re.sub(r"</?details>|<summary>.*?</summary>", "", text)
    return markdown.markdown(unwrapped, extensions=["tables", "fenced_code"])
