"""The line of a file on which a key stands, for messages; looked for only when there is something to say."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

MAX_CHARS = 65_536
"""Larger files are not read a second time for a line number."""
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Lines:
    """The lines of one file, which is read a second time only when the first of them is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree: Any = None
        self._read = False

    def of(self, key: str) -> int | None:
        """The line of a key such as `groups[1].targetPercentage`, or of the deepest part of it that is there."""
        if not self._read:
            self._read = True
            self._tree = _tree(self._text)
        node, line = self._tree, None
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


def _tree(text: str) -> Any:
    """The file with its marks of lines; of a list of one, that; None where it is too large or no YAML."""
    if len(text) > MAX_CHARS:
        return None
    try:
        tree = YAML(typ="rt").load(text.removeprefix("\ufeff"))
    except (YAMLError, RecursionError, ValueError):
        return None
    return tree[0] if isinstance(tree, CommentedSeq) and len(tree) == 1 else tree
