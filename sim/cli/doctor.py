"""The command `fotasim doctor`: what this host can carry, and the compiled engine made ready."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any

from sim.cli.common import AsJson, app, say


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this host and compile the engine, so that the first run need not wait for it."""
    engine = _engine(as_json)
    if as_json:
        print(json.dumps({"python": platform.python_version(), "cores": os.cpu_count(), "engine": engine}))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    if engine["ready"]:
        kept = engine["kept_in"] or "memory only: no folder can be written, so each run compiles anew"
        print(f"compiled engine: ready after {engine['seconds']:.1f} s, kept in {kept}")
    else:
        print(f"compiled engine: not available ({engine['reason']}); runs use SimPy")


def _engine(quiet: bool) -> dict[str, Any]:
    """Makes the compiled engine ready and says how long it took and where it is kept."""
    try:
        from sim.engines.compiled.compiler import cache_folder
        from sim.engines.compiled.engine import prepare
    except ImportError as error:
        return {"ready": False, "reason": str(error)}
    started = time.perf_counter()
    prepare(None if quiet else say)
    folder = cache_folder()
    return {"ready": True, "seconds": time.perf_counter() - started, "kept_in": None if folder is None else str(folder)}
