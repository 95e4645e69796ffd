"""Rows in parts, which compiled functions read like one: `rows[i].status`, wherever `status` is kept.

What lasts lies in one record for each row. What matters only while something is under way lies in a slot that a row has
for that time; a row without one reads the blank slot 0, and nobody writes to it. What few scenarios need has a record for
each row, or one for all.
"""

from __future__ import annotations

import hashlib
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_global, signature
from numba.extending import (
    infer_getattr,
    lower_builtin,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
)
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from sim.engines.compiled.numba_layer.table_array import check

LASTING, AWAKE, RARE = range(3)
"""The parts of a row."""
_COUNT, _SLOTS, _RARE_SIZE, _PARTS = range(4)
"""Words of the table of a SplitRows: how many, address of slots, step from one rare record to the next, addresses of parts."""


class SplitRows:
    """Rows of three parts: `lasting` by number, `awake` by slot, `rare` by number or one for all; any may be None.

    `slots` has the slot of each row, 0 for none, and -1 for a row that will not need one again.
    """

    def __init__(
        self, slots: NDArray[np.int32], lasting: NDArray[Any] | None, awake: NDArray[Any], rare: NDArray[Any] | None = None
    ) -> None:  # fmt: skip
        self.slots, self.lasting, self.awake, self.rare = slots, lasting, awake, rare
        self.kind = SplitRowsType(
            tuple(None if part is None else from_dtype(part.dtype) for part in (lasting, awake, rare))
        )
        step = 0 if rare is None or len(rare) == 1 else rare.itemsize
        addresses = [0 if part is None else part.ctypes.data for part in (lasting, awake, rare)]
        self._words = np.array([len(slots), slots.ctypes.data, step, *addresses], dtype=np.int64)
        self.address = self._words.ctypes.data

    def __len__(self) -> int:
        return len(self.slots)

    def with_room(self, awake: NDArray[Any]) -> SplitRows:
        """The same rows with other slots."""
        return SplitRows(self.slots, self.lasting, awake, self.rare)


class Compound(types.Type):
    """A type with a long name: in symbols a digest stands for it, or spelling them takes a tenth of a compilation."""

    @property
    def mangling_args(self) -> tuple[str, tuple[str]]:
        """What symbols call it."""
        return type(self).__name__, (hashlib.sha256(self.name.encode()).hexdigest()[:16],)


class SplitRowsType(Compound):
    """The type of rows: the records of their parts."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts, self.row = parts, SplitRowType(parts)
        super().__init__(name=f"SplitRows{parts}")


class SplitRowType(Compound):
    """The type of one row: an address for each part."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        super().__init__(name=f"Row{parts}")

    def place(self, wanted: str) -> tuple[int, Any]:
        """Which part a field is in, and that part's record."""
        return next(
            ((i, part) for i, part in enumerate(self.parts) if part is not None and wanted in part.fields), (-1, None)
        )


@register_model(SplitRowsType)
class _SplitRowsModel(models.PrimitiveModel):
    """The address of the table."""

    def __init__(self, manager: Any, kind: SplitRowsType) -> None:
        super().__init__(manager, kind, ir.IntType(64))


@register_model(SplitRowType)
class _SplitRowModel(models.StructModel):
    """The addresses of the parts."""

    def __init__(self, manager: Any, kind: SplitRowType) -> None:
        super().__init__(manager, kind, [(f"part_{i}", types.voidptr) for i in range(len(kind.parts))])


# --- one row ---------------------------------------------------------------------------------------------------------


@infer_getattr
class _SplitRowAttributes(AttributeTemplate):
    key = SplitRowType

    def generic_resolve(self, kind: SplitRowType, name: str) -> Any:
        _, part = kind.place(name)
        return None if part is None else part.typeof(name)


def _part(context: Any, builder: Any, kind: SplitRowType, value: Any, name: str) -> tuple[Any, Any]:
    """The record a field is in: its type, and its address as a record."""
    at, part = kind.place(name)
    row = cgutils.create_struct_proxy(kind)(context, builder, value=value)
    return part, builder.bitcast(getattr(row, f"part_{at}"), context.get_value_type(part))


@lower_getattr_generic(SplitRowType)
def _get(context: Any, builder: Any, kind: SplitRowType, value: Any, name: str) -> Any:
    part, record = _part(context, builder, kind, value, name)
    return context.get_getattr(part, name)(context, builder, part, record, name)


@lower_setattr_generic(SplitRowType)
def _set(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    kind, given = sig.args
    part, record = _part(context, builder, kind, args[0], name)
    setter = context.get_setattr(name, signature(types.void, part, given))
    setter(builder, (record, args[1]))


# --- rows ------------------------------------------------------------------------------------------------------------


@infer_global(operator.getitem)
class _SplitRowsItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        assert not kws
        rows, place = args
        if isinstance(rows, SplitRowsType) and isinstance(place, types.Integer):
            return signature(rows.row, rows, place)
        return None


@infer_global(len)
class _SplitRowsLen(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        assert not kws
        return signature(types.intp, *args) if isinstance(args[0], SplitRowsType) else None


def _word(builder: Any, table: Any, at: int) -> Any:
    """A word of the table, which nobody writes while it is used."""
    word = ir.IntType(64)
    found = builder.load(builder.gep(builder.inttoptr(table, word.as_pointer()), [ir.Constant(word, at)]))
    found.set_metadata("invariant.load", builder.module.add_metadata([]))
    return found


@lower_builtin(len, SplitRowsType)
def _len(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
    return _word(builder, args[0], _COUNT)


@lower_builtin(operator.getitem, SplitRowsType, types.Integer)
def _item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, table = sig.return_type, args[0]
    place = context.cast(builder, args[1], sig.args[1], types.intp)
    check(context, builder, [place], [_word(builder, table, _COUNT)])
    row = cgutils.create_struct_proxy(kind)(context, builder)
    for at, part in enumerate(kind.parts):
        if part is not None:
            setattr(row, f"part_{at}", row_part(context, builder, table, kind, at, place))
    return row._getvalue()


def row_part(context: Any, builder: Any, table: Any, kind: Any, at: int, place: Any) -> Any:
    """The address of one part of a row."""
    word = ir.IntType(64)
    size = ir.Constant(word, record_size(context, kind.parts[at]))
    if at == AWAKE:
        slot = builder.sext(builder.load(row_slot(builder, table, place)), word)
        none = builder.icmp_signed("<", slot, ir.Constant(word, 0))
        offset = builder.mul(builder.select(none, ir.Constant(word, 0), slot), size)
    elif at == RARE:
        offset = builder.mul(place, _word(builder, table, _RARE_SIZE))
    else:
        offset = builder.mul(place, size)
    start = builder.inttoptr(_word(builder, table, _PARTS + at), ir.IntType(8).as_pointer())
    return builder.gep(start, [offset])


def record_size(context: Any, record: Any) -> int:
    """Bytes from one record of an array to the next."""
    return int(context.get_abi_sizeof(context.get_data_type(record)))


def row_slot(builder: Any, table: Any, place: Any) -> Any:
    """The address of a row's slot."""
    slots = builder.inttoptr(_word(builder, table, _SLOTS), ir.IntType(32).as_pointer())
    return builder.gep(slots, [place])
