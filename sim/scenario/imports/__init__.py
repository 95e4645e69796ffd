"""Plan files of real products as strategies; what cannot be carried over stops the import, or stands in the strategy."""

from sim.scenario.imports.dialect import Options
from sim.scenario.imports.dialects import DIALECTS
from sim.scenario.imports.findings import Loss
from sim.scenario.imports.plan_file import (
    FROM_KEYS,
    How,
    Imported,
    dump_yaml,
    from_text,
    read_plan,
    resolve,
    to_yaml,
    version_of,
)

__all__ = [
    "DIALECTS", "FROM_KEYS", "How", "Imported", "Loss", "Options", "dump_yaml", "from_text", "read_plan", "resolve",
    "to_yaml", "version_of",
]  # fmt: skip
