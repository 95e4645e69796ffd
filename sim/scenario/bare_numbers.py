"""Bare numbers that readers of YAML disagree about: `010` is 8 in YAML 1.1 and 10 in YAML 1.2, `0x10` a number or a text."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

CURE = "readers of YAML take it for different values; write a plain decimal number, or a text in quotes"
_DOUBTFUL = re.compile(r"[-+]?(0[0-9][0-9_]*|0[xob][0-9A-Fa-f_]+|[0-9]+_[0-9_]*)(\.[0-9_]*)?([eE][-+]?[0-9]+)?")
_PERHAPS = re.compile(r"(?<![\w.])[-+]?(0\d|0[xob]|\d+_)")


class BareNumber(NamedTuple):
    """One of them: the path of its key with dots, its line from 1, the number as it is written."""

    key: str
    line: int
    written: str


def doubtful(text: str) -> list[BareNumber]:
    """All doubtful numbers of a YAML text, in its order; none where it is no YAML, which its reader says."""
    if _PERHAPS.search(text) is None:
        return []
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError):
        return []
    return [
        BareNumber(path, node.start_mark.line + 1, node.value)
        for path, node in _scalars(root)
        if node.style in (None, "") and _DOUBTFUL.fullmatch(node.value)
    ]


def _scalars(root: Any) -> list[tuple[str, Any]]:
    """All scalars, keys among them, with the path they stand at."""
    found, left = [], [("", root)]
    while left:
        path, node = left.pop()
        at = f"{path}." if path else ""
        if isinstance(node, ScalarNode):
            found.append((path, node))
        elif isinstance(node, SequenceNode):
            left += [(f"{at}{i}", entry) for i, entry in reversed(list(enumerate(node.value)))]
        elif isinstance(node, MappingNode):
            for key, value in reversed(node.value):
                name = f"{at}{key.value}" if isinstance(key, ScalarNode) else path
                left += [(name, value), (name, key)]
    return found
