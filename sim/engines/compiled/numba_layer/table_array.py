"""Arrays of the engine's state as compiled code sees them: places count from zero, and only from zero.

Numba lets a negative place count from the end, which costs a tenth of a run. The engine never does that, so its own
arrays have a type of their own whose items are read and written without; all other arrays behave as Numba's. Compiled
with Numba's option `boundscheck`, a place that is negative or beyond the end raises IndexError: a test runs the whole
engine that way.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import lower_builtin, register_model
from numba.np import arrayobj


class TableArray(types.Array):
    """A C-contiguous array of the state."""

    def __init__(self, dtype: Any, ndim: int) -> None:
        super().__init__(dtype, ndim, "C", name=f"TableArray({dtype}, {ndim})")


register_model(TableArray)(models.ArrayModel)


def _pointer(context: Any, builder: Any, kind: Any, value: Any, places: list[tuple[Any, Any]]) -> Any:
    """The address of an item; `places` are the types and values of its indexes."""
    array = context.make_array(kind)(context, builder, value)
    shape = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
    at = [context.cast(builder, place, place_type, types.intp) for place_type, place in places]
    check(context, builder, at, shape)
    strides = cgutils.unpack_tuple(builder, array.strides, kind.ndim)
    pointer: Any = cgutils.get_item_pointer2
    return pointer(context, builder, array.data, shape, strides, kind.layout, at, wraparound=False)


def check(context: Any, builder: Any, places: list[Any], shape: list[Any]) -> None:
    """Raises IndexError for a place outside, where functions are compiled with `boundscheck`."""
    if context.enable_boundscheck:
        for axis, (place, size) in enumerate(zip(places, shape, strict=True)):
            cgutils.do_boundscheck(context, builder, place, size, axis)


def _places(builder: Any, kind: Any, index_type: Any, index: Any) -> list[tuple[Any, Any]] | None:
    """Types and values of the indexes when they name one item, else None."""
    if isinstance(index_type, types.Integer):
        return [(index_type, index)] if kind.ndim == 1 else None
    whole = isinstance(index_type, types.BaseTuple) and len(index_type) == kind.ndim
    if whole and all(isinstance(part, types.Integer) for part in index_type):
        return list(zip(index_type, cgutils.unpack_tuple(builder, index, kind.ndim), strict=True))
    return None


@lower_builtin(operator.getitem, TableArray, types.Integer)
def _item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _get(context, builder, sig, args, arrayobj.getitem_arraynd_intp)


@lower_builtin(operator.getitem, TableArray, types.BaseTuple)
def _item_of_tuple(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _get(context, builder, sig, args, arrayobj.getitem_array_tuple)


def _get(context: Any, builder: Any, sig: Any, args: Any, otherwise: Any) -> Any:
    kind, index_type = sig.args
    places = _places(builder, kind, index_type, args[1])
    if places is None:
        return otherwise(context, builder, sig, args)
    load: Any = arrayobj.load_item
    return load(context, builder, kind, _pointer(context, builder, kind, args[0], places))


@lower_builtin(operator.setitem, TableArray, types.Any, types.Any)
def _set(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, index_type, value_type = sig.args
    places = _places(builder, kind, index_type, args[1])
    if places is None:
        other: Any = arrayobj.setitem_array
        return other(context, builder, sig, args)
    pointer = _pointer(context, builder, kind, args[0], places)
    value = context.cast(builder, args[2], value_type, kind.dtype)
    store: Any = arrayobj.store_item
    store(context, builder, kind, value, pointer)
    return context.get_dummy_value()
