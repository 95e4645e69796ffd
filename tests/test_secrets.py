"""No secret is kept in the repository: known shapes of keys, and texts too random to be words, in every file that is tracked."""

from __future__ import annotations

import math
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KNOWN = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20}",
    "a PyPI token": r"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32,}",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a password in a URL": r"\b(?:mqtts?|https?|postgres(?:ql)?|amqp)://[^\s:/@\"'{}<>\[\]]+:(?!PASSWORD|password|secret\b|hunter22|p\b|\{)[^\s:/@\"'{}<>\[\]]{6,}@",
}  # fmt: skip
ASSIGNED = re.compile(r"(?i)(?:secret|token|passw(?:or)?d|api_?key)[\"']?\s*[:=]\s*[\"']([A-Za-z0-9+/=_-]{20,})[\"']")
MAX_BITS = 4.2
"""Of a character, in a text assigned to a secret's name; words and counting digits stay below."""
MAX_BYTES = 2 << 20


def bits(text: str) -> float:
    """Shannon entropy of a text's characters, in bits of each."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def secrets_in(text: str) -> list[str]:
    """What of a text looks like a secret."""
    found = [what for what, pattern in KNOWN.items() if re.search(pattern, text)]
    return found + [f"a random text of {len(t)} characters" for t in ASSIGNED.findall(text) if bits(t) > MAX_BITS]


def test_no_secret_is_tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a checkout")
    told = []
    for name in done.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.stat().st_size <= MAX_BYTES:
            text = path.read_bytes().decode("utf-8", "ignore")
            told += [f"{name}: {what}" for what in secrets_in(text)]
    assert told == []


@pytest.mark.parametrize(
    "text",
    [
        "key = AKIA" + "ABCDEFGHIJKLMNOP", "token: ghp_" + "a1B2" * 9, 'PASSWORD = "' + "q7Lx0ZpR4vTn2KcW9sYb" + 'Je6H"',
        "-----BEGIN RSA PRIVATE " + "KEY-----\n" + "MIIEowIBAAKCAQEA" * 3, "mqtt://user:Tr0ub4dor" + "@host",
        "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)  # fmt: skip
def test_the_scan_sees_secrets(text):
    assert secrets_in(text)


@pytest.mark.parametrize(
    "text", ['TOKEN = "test-token-0123456789"', "mqtt://user:PASSWORD@host", 'secret = "' + "0" * 32 + '"']
)
def test_the_scan_lets_words_pass(text):
    assert secrets_in(text) == []
