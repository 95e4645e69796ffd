"""The line of a file on which a key stands, for messages; looked for only when there is something to say."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

MAX_CHARS = 200_000
"""Larger files are not read a second time for a line number."""
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def line_of(text: str, key: str) -> int | None:
    """The line of a key such as `groups[1].targetPercentage`, or of the deepest part of it that is there."""
    if len(text) > MAX_CHARS:
        return None
    try:
        node: Any = YAML(typ="rt").load(text.removeprefix("\ufeff"))
    except (YAMLError, RecursionError, ValueError):
        return None
    if isinstance(node, CommentedSeq) and len(node) == 1:
        node = node[0]
    line = None
    for name, number in _STEP.findall(key):
        step = int(number) if number else name
        try:
            if isinstance(node, CommentedMap) and step in node:
                line = node.lc.key(step)[0] + 1
            elif isinstance(node, CommentedSeq) and isinstance(step, int):
                line = node.lc.item(step)[0] + 1
            else:
                break
            node = node[step]
        except (KeyError, IndexError, TypeError):
            break
    return line
