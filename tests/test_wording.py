"""User texts are plain English: words that were once in them, and that nobody outside understood, do not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BANNED = {
    r"\bevery face\b": "every format",
    r"\bborne\b": "sustained, carried",
    r"\bbegins? anew\b|\bbegun anew\b": "start over, restart",
    r"\bmend(ed|s)? the\b": "fix",
    r"\bhangs? (most )?on\b": "depend on",
    r"\b(takes?|took) leave\b": "disconnect",
    r"not shown to differ": "no significant difference",
    r"\bstays? silent\b": "lost without the cloud knowing",
    r"Nothing has to\.": "No gate requires a change.",
    r"\bcry wolf\b": "raise false alarms",
    r"\bjudged \S+ (h|d|min) after activation": "evaluated … after activation",
    r"\bended otherwise\b(?! than)": "end differently",
    r"Half done after": "Median time to upgrade",
    r"in one breath": "in one sentence",
}
"""Words that are not to be used, and what says the same."""
FILES = sorted({
    *Path("sim").rglob("*.py"), *Path("sim").rglob("*.html"), *Path("docs").rglob("*.md"), Path("README.md"),
    Path("CHANGELOG.md"), *Path("scenarios").glob("*.yaml"),
})  # fmt: skip


@pytest.mark.parametrize("pattern", BANNED, ids=lambda pattern: BANNED[pattern])
def test_old_words_stay_out(pattern):
    """Sources, documentation and scenarios are free of them."""
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found, f"write {BANNED[pattern]!r} instead:\n" + "\n".join(found)


def test_the_words_would_be_found():
    """The patterns catch what they are meant for."""
    bad = [
        "in every face", "the load is NOT borne", "Begin anew".lower(), "mend the YAML", "what it hangs on", "modules take leave",
        "not shown to differ", "two losses stay silent", "Nothing has to. These would", "judged 14 d after activation",
    ]  # fmt: skip
    for text in bad:
        assert any(re.search(pattern, text) for pattern in BANNED), text
