"""A pointer table of arrays that compiled functions take as one pointer, and read like an object: `table.modules[i].status`.

Passing forty arrays to every function costs more than the functions do. A pointer table is a table of addresses; its type knows
what lies at each. It owns nothing inside compiled code: the Python object keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np import arrayobj
from numba.np.numpy_support import from_dtype

from sim.engines.compiled.numba_layer.split_rows import Compound, SplitRows, SplitRowsType, record_size
from sim.engines.compiled.numba_layer.table_array import TableArray


class PointerTableType(Compound):
    """The type of a table: names and types of what it holds, in order."""

    def __init__(self, fields: tuple[tuple[str, Any], ...]) -> None:
        self.fields = fields
        super().__init__(name="PointerTable(" + ", ".join(f"{name}: {kind}" for name, kind in fields) + ")")

    def place(self, wanted: str) -> tuple[int, Any]:
        """First word and type of a field."""
        at = 0
        for name, kind in self.fields:
            if name == wanted:
                return at, kind
            at += _words(kind)
        raise KeyError(wanted)


def _words(kind: Any) -> int:
    return 1 + kind.ndim if isinstance(kind, types.Array) else 1


class PointerTable:
    """Arrays, single rows (arrays of shape ()), numbers and other tables, by name."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)
        self._names = tuple(fields)
        words: list[int] = []
        kinds: list[tuple[str, Any]] = []
        for name, value in fields.items():
            kind, entry = _entry(value)
            kinds.append((name, kind))
            words += entry
        self.kind = PointerTableType(tuple(kinds))
        self._words = np.array(words, dtype=np.int64)
        self.address = self._words.ctypes.data

    def replaced(self, **fields: Any) -> PointerTable:
        """The same table with other arrays under some names."""
        return PointerTable(**{name: fields.get(name, getattr(self, name)) for name in self._names})


def _entry(value: Any) -> tuple[Any, list[int]]:
    if isinstance(value, PointerTable | SplitRows):
        return value.kind, [value.address]
    if isinstance(value, float):
        return types.float64, [int(np.float64(value).view(np.int64))]
    if isinstance(value, int):
        return types.int64, [value]
    assert value.flags.c_contiguous
    if value.ndim == 0:
        return from_dtype(value.dtype), [value.ctypes.data]
    return TableArray(from_dtype(value.dtype), value.ndim), [value.ctypes.data, *value.shape]


@typeof_impl.register(PointerTable)
def _type_of(value: PointerTable, _context: Any) -> PointerTableType:
    return value.kind


@register_model(PointerTableType)
class _PointerTableModel(models.PrimitiveModel):
    """The address of the table."""

    def __init__(self, manager: Any, kind: PointerTableType) -> None:
        super().__init__(manager, kind, ir.IntType(64))


@unbox(PointerTableType)
def _unbox(_kind: PointerTableType, value: Any, c: Any) -> Any:
    address = c.pyapi.object_getattr_string(value, "address")
    native = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(native)


@infer_getattr
class _PointerTableAttributes(AttributeTemplate):
    key = PointerTableType

    def generic_resolve(self, kind: PointerTableType, name: str) -> Any:
        return dict(kind.fields).get(name)


@lower_getattr_generic(PointerTableType)
def _get(context: Any, builder: Any, kind: PointerTableType, value: Any, name: str) -> Any:
    at, wanted = kind.place(name)
    word = ir.IntType(64)
    table = builder.inttoptr(value, word.as_pointer())

    def load(offset: int) -> Any:
        found = builder.load(builder.gep(table, [ir.Constant(word, at + offset)]))
        found.set_metadata(
            "invariant.load", builder.module.add_metadata([])
        )  # nobody writes the table while it is used
        return found

    if isinstance(wanted, PointerTableType | SplitRowsType):
        return load(0)
    if isinstance(wanted, types.Float):
        return builder.bitcast(load(0), ir.DoubleType())
    if isinstance(wanted, types.Integer):
        return load(0)
    if isinstance(wanted, types.Array):
        return _array(context, builder, wanted, load)
    return builder.inttoptr(load(0), context.get_value_type(wanted))


def _array(context: Any, builder: Any, wanted: Any, load: Any) -> Any:
    array = context.make_array(wanted)(context, builder)
    itemsize = context.get_constant(types.intp, record_size(context, wanted.dtype))
    shape = [load(1 + i) for i in range(wanted.ndim)]
    strides: list[Any] = []
    stride = itemsize
    for extent in reversed(shape):
        strides.insert(0, stride)
        stride = builder.mul(stride, extent)
    pack: Any = cgutils.pack_array
    populate: Any = arrayobj.populate_array
    populate(
        array, data=builder.inttoptr(load(0), array.data.type), shape=pack(builder, shape),
        strides=pack(builder, strides), itemsize=itemsize, meminfo=None,
    )  # fmt: skip
    return array._getvalue()
