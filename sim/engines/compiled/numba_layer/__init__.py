"""The hand-work on Numba: how plain functions over rows become one machine-code function over arrays.

Numba compiles functions; these files reach into it for what it does not offer. Nothing outside this package imports
Numba or llvmlite (an import contract holds that), and the rest of the engine is plain Python that runs without either.

What is here:

- `mirror.py` rebuilds every function that the kernel reaches, with the same code object, over compiled siblings.
- `pointer_table.py` passes the engine's state as one pointer: a table of addresses, whose type knows what lies at each.
- `table_array.py` is the type of the state's arrays: no negative places, no cost for them.
- `split_rows.py` lets a row lie in three places (what lasts, what matters while awake, what is rare) and read as one.
- `cache_hints.py` asks the processor to fetch what will be needed soon.
- `one_function.py` makes machine code for the entry alone, with all it calls inside; it replaces methods of two of
  Numba's classes while it compiles.
- `code_cache.py` keeps that code on disk.

What must hold, or compiled code reads and writes where it should not:

1. Whoever passes a `PointerTable` keeps it, and its arrays, alive and in place until the call returns: compiled code holds
   addresses and no references. An array that grows is a new array, so a new table.
2. Nobody writes a table or changes an array's shape while compiled code runs: loads from the table are marked invariant,
   and the optimiser keeps them in registers.
3. Every array is C-contiguous and its records are aligned (`record_layout.record` makes them so).
4. A row's slot is at least 0 and below the length of the awake part, or negative for good; nobody writes to a row whose
   slot is 0, the blank one.
5. No index into the state is out of range or negative: nothing checks while it runs, but a test runs the whole engine
   compiled with checks. Other arrays, and whatever Numba brings along, count negative places from the end as ever.
6. No function calls itself, directly or by a detour: such code cannot be kept on disk.
7. Floating point is never relaxed (no fastmath), so that results equal Python's bit for bit.
8. The code on disk is keyed by the source of everything compiled and of this package, and by the versions of Python,
   NumPy and Numba. It is machine code that is run as found, so its folder must be writable by its user alone.

`versions.py` has the versions of Numba all this is known to work with.
"""
