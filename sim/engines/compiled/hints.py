"""Hints to the processor: what a compiled run will need soon is fetched into the cache ahead of time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sim.engines.compiled.split import lasting_row, row_slot

LINE_BYTES = 64


def fetch_ahead(rows: Any, place: int) -> None:
    """What lasts of the row at `place` will be needed soon. Does nothing in plain Python."""


@intrinsic
def fetch_ahead_compiled(_context: Any, rows: Any, place: Any) -> Any:
    """`fetch_ahead` for compiled functions: one prefetch for each cache line of the row."""
    part = rows.parts[0]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        size = context.get_abi_sizeof(context.get_data_type(part))
        number = context.cast(builder, arguments[1], signature.args[1], types.intp)
        start = lasting_row(context, builder, arguments[0], part, number)
        slot = row_slot(builder, arguments[0], number)
        kind = ir.FunctionType(ir.VoidType(), [start.type, word, word, word])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(word, value) for value in (1, 3, 1)]  # for writing, all levels, data
        lines = [
            builder.gep(start, [ir.Constant(ir.IntType(64), at)]) for at in (*range(0, size, LINE_BYTES), size - 1)
        ]
        for line in (*lines, builder.bitcast(slot, start.type)):
            builder.call(prefetch, [line, *flags])
        return context.get_dummy_value()

    return types.void(rows, place), generate


COMPILED = {fetch_ahead: fetch_ahead_compiled}
"""Functions that the compiler has words of its own for."""
