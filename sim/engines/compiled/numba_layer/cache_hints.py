"""Hints to the processor: what a compiled run will need soon is fetched into the cache ahead of time."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sim.engines.compiled.numba_layer.split_rows import AWAKE, LASTING, record_size, row_part, row_slot

LINE_BYTES = 64


def prefetch_row(rows: Any, place: int) -> None:
    """What lasts of the row at `place` will be needed soon, and its slot. Does nothing in plain Python."""


def prefetch_slot(rows: Any, place: int) -> None:
    """What the row at `place` has in its slot will be needed soon. Does nothing in plain Python."""


def prefetch_entry(entries: Any, place: int) -> None:
    """The entry of an array at `place` will be needed soon. Does nothing in plain Python."""


@intrinsic
def prefetch_entry_compiled(_context: Any, entries: Any, place: Any) -> Any:
    """`prefetch_entry` for compiled functions: the cache line the entry begins in."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(entries)(context, builder, arguments[0])
        number = context.cast(builder, arguments[1], signature.args[1], types.intp)
        size = ir.Constant(ir.IntType(64), record_size(context, entries.dtype))
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        _prefetch(builder, builder.gep(start, [builder.mul(number, size)]), 1)
        return context.get_dummy_value()

    return types.void(entries, place), generate


@intrinsic
def prefetch_row_compiled(_context: Any, rows: Any, place: Any) -> Any:
    """`prefetch_row` for compiled functions."""
    part = rows.parts[LASTING]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], signature.args[1], types.intp)
        start = row_part(context, builder, arguments[0], rows, LASTING, number)
        slot = row_slot(builder, arguments[0], number)
        _prefetch(builder, start, record_size(context, part))
        _prefetch(builder, builder.bitcast(slot, start.type), 1)
        return context.get_dummy_value()

    return types.void(rows, place), generate


@intrinsic
def prefetch_slot_compiled(_context: Any, rows: Any, place: Any) -> Any:
    """`prefetch_slot` for compiled functions."""
    part = rows.parts[AWAKE]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], signature.args[1], types.intp)
        _prefetch(builder, row_part(context, builder, arguments[0], rows, AWAKE, number), record_size(context, part))
        return context.get_dummy_value()

    return types.void(rows, place), generate


def _prefetch(builder: Any, start: Any, size: int) -> None:
    """One prefetch for each cache line of so many bytes, wherever lines begin."""
    word = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [start.type, word, word, word])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    flags = [ir.Constant(word, value) for value in (1, 3, 1)]  # for writing, all levels, data
    for at in sorted({*range(0, size, LINE_BYTES), size - 1}):
        builder.call(prefetch, [builder.gep(start, [ir.Constant(ir.IntType(64), at)]), *flags])


COMPILED = {
    prefetch_row: prefetch_row_compiled, prefetch_slot: prefetch_slot_compiled,
    prefetch_entry: prefetch_entry_compiled,
}  # fmt: skip
"""Functions that the compiler has words of its own for."""
