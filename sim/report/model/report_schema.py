"""The JSON Schema of report.json, derived from the report's own types."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from sim.records import KINDS
from sim.report.model.run_report import RunReport

_TEXT = {"type": "string"}
_CHECK = {
    "type": "object", "required": ["name", "suite", "passed", "text"],
    "properties": {"name": _TEXT, "suite": _TEXT, "passed": {"type": "boolean"}, "text": _TEXT},
}  # fmt: skip
_CELL = {"type": ["string", "number", "boolean", "null"]}


def report_schema() -> dict[str, Any]:
    """What `fotasim report --format json` writes: verdict, checks, tables as rows, the whole report of each run."""
    run = TypeAdapter(RunReport).json_schema(ref_template="#/$defs/{model}")
    definitions = run.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fotasim report", "type": "object",
        "required": ["format", "kind", "title", "verdict", "checks", "runs", "tables"],
        "properties": {
            "format": {"const": 1}, "kind": {"enum": [*KINDS, "trend"]}, "title": _TEXT,
            "verdict": {"type": ["object", "null"], "required": ["key", "word"], "properties": {
                "key": {"enum": ["go", "no-go", "marginal", "stopped", "invalid", "none", "partial"]}, "word": _TEXT}},
            "checks": {"type": "array", "items": _CHECK},
            "runs": {"type": "array", "items": {"$ref": "#/$defs/RunReport"}},
            "tables": {"type": "object", "additionalProperties": {
                "type": "array", "items": {"type": "object", "additionalProperties": _CELL}}},
        },
        "$defs": {**definitions, "RunReport": run},
    }  # fmt: skip
