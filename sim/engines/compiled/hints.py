"""Hints to the processor: what a compiled run will need soon is fetched into the cache ahead of time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE_BYTES = 64


def fetch_ahead(array: Any, place: int) -> None:
    """The row at `place` will be needed soon. Does nothing in plain Python."""


@intrinsic
def fetch_ahead_compiled(_context: Any, array: Any, place: Any) -> Any:
    """`fetch_ahead` for compiled functions: one prefetch for each cache line of the row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = context.make_array(signature.args[0])(context, builder, arguments[0])
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = context.cast(builder, arguments[1], signature.args[1], types.intp)
        start = builder.gep(builder.bitcast(rows.data, byte), [builder.mul(place, ir.Constant(place.type, size))])
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(word, value) for value in (1, 3, 1)]  # for writing, all levels, data
        for offset in range(0, size, LINE_BYTES):
            builder.call(prefetch, [builder.gep(start, [ir.Constant(ir.IntType(64), offset)]), *flags])
        return context.get_dummy_value()

    return types.void(array, place), generate


COMPILED = {fetch_ahead: fetch_ahead_compiled}
"""Functions that the compiler has words of its own for."""
