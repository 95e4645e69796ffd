"""Work done ahead on the other cores while its first results are used: in order, and only so far that memory stays bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(tasks: Sequence[Callable[[], T]], workers: int | None = None) -> Iterator[T]:
    """The results of `tasks` in their order, worked out by threads; at most one more than `workers` (all cores) wait.

    The results do not depend on the number of threads: a task depends on nothing but its arguments.
    """
    count = min(len(tasks), workers or os.cpu_count() or 1)
    if count < 2:
        yield from (task() for task in tasks)
        return
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(task))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
