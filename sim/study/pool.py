"""Where campaigns run: in this process, on all cores of this host or on a Dask cluster, through one interface.

Results depend on the jobs alone, never on where, in which order or how often they ran.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from sim.engines.run import driver_for
from sim.errors import FotasimError, MissingExtra
from sim.study.campaign import Campaign, Job, run_campaign
from sim.study.made import Made
from sim.version import version

Progress = Callable[[int, int], None]
"""Gets the number of campaigns finished and the number wanted so far."""

_RESTARTS = 3
_AHEAD = 4
"""Jobs handed out for each worker: enough to keep it busy, few enough to stop soon."""
_CONNECT_S = 20


class Pool:
    """Workers for campaigns; use as a context. `workers` None takes every core this process may use.

    `cluster` is the address of a Dask scheduler, such as tcp://scheduler:8786. A worker that dies costs time, not
    results: its campaigns run again elsewhere.
    """

    def __init__(self, workers: int | None = None, cluster: str | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers: at least 1, found {workers}")
        self._cluster = cluster
        self._workers = workers or usable_cores()
        self._client: Any = None
        self._executor: ProcessPoolExecutor | None = None
        self._restarts = 0
        self._began = time.perf_counter()
        self._engines: set[str] = set()

    def made(self, *options: str) -> Made:
        """How the campaigns so far were made; `options` are those of the command that makes them again."""
        return Made(options, tuple(sorted(self._engines)), time.perf_counter() - self._began)

    def __enter__(self) -> Pool:
        if self._cluster is not None:
            self._client = _connect(self._cluster)
            self._workers = max(1, sum(self._client.nthreads().values()))
        elif self._workers > 1:
            self._executor = _processes(self._workers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()
        self._executor = self._client = None

    def each(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Campaign]]:
        """Number and result of every job, in the order in which they finish. Closing it drops what is not begun."""
        results = self._results(jobs)
        try:
            for number, campaign in results:
                self._engines.add(campaign.engine)
                yield number, campaign
        finally:
            results.close()

    def _results(self, jobs: Sequence[Job]) -> Generator[tuple[int, Campaign], None, None]:
        if self._executor is None and self._client is None:
            if len(jobs) > 1:
                driver_for(jobs[0].engine)  # many campaigns: one engine, the one that is worth its compilation
            for number, job in enumerate(jobs):
                yield number, run_campaign(job)
            return
        if jobs and self._client is None:
            driver_for(jobs[0].engine)  # compiles once, here; the workers find it on the disk
        waiting = list(reversed(range(len(jobs))))
        running: dict[Any, int] = {}  # futures of either kind
        try:
            while waiting or running:
                self._fill(jobs, waiting, running)
                for future in self._wait(running):
                    number = running.pop(future)
                    try:
                        yield number, self._result(future)
                    except BrokenExecutor:
                        waiting.extend(sorted((number, *running.values()), reverse=True))
                        running.clear()
                        self._restart()
                        break
        finally:
            for future in running:
                future.cancel()

    def _wait(self, running: Mapping[Any, int]) -> set[Any]:
        """The futures that are finished, at least one."""
        if self._client is None:
            return set(wait(running, return_when=FIRST_COMPLETED).done)
        from distributed import wait as wait_for

        with self._client.as_current():
            return set(wait_for(list(running), return_when="FIRST_COMPLETED").done)  # type: ignore[no-untyped-call]

    def _submit(self, job: Job) -> Any:
        if self._executor is None:
            return self._client.submit(run_campaign, job, pure=False, retries=1)
        with _main_left_alone():
            return self._executor.submit(run_campaign, job)

    def _fill(self, jobs: Sequence[Job], waiting: list[int], running: dict[Any, int]) -> None:
        while waiting and len(running) < _AHEAD * self._workers:
            number = waiting.pop()
            try:
                running[self._submit(jobs[number])] = number
            except BrokenExecutor:  # a worker died between two campaigns
                waiting.append(number)
                waiting.extend(sorted(running.values(), reverse=True))
                running.clear()
                self._restart()

    def _result(self, future: Any) -> Any:
        if self._client is None:
            return future.result()
        from distributed import KilledWorker

        try:
            return future.result()  # computed again when the worker that held it is gone
        except KilledWorker as error:
            raise FotasimError(f"one campaign killed several workers of {self._cluster}: {error}") from None

    def _restart(self) -> None:
        """A local worker was killed: new ones take its campaigns; after several times the host is at fault."""
        if self._restarts >= _RESTARTS or self._executor is None:
            raise FotasimError(
                "the worker processes keep dying, most likely for want of memory; fewer --workers need less"
            )
        self._restarts += 1
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = _processes(self._workers)


def collect(
    pool: Pool,
    jobs: Sequence[Job],
    *,
    progress: Progress | None = None,
    done: Callable[[int, Campaign], None] | None = None,
) -> tuple[list[Campaign | None], bool]:
    """Every job's result in the order of the jobs, and whether all came; Ctrl-C leaves None for those that did not.

    `done` sees each result as it comes.
    """
    found: list[Campaign | None] = [None] * len(jobs)
    finished = 0
    results = pool.each(jobs)
    try:
        if progress is not None:
            progress(0, len(jobs))
        for number, campaign in results:
            found[number] = campaign
            finished += 1
            if done is not None:
                done(number, campaign)
            if progress is not None:
                progress(finished, len(jobs))
    except KeyboardInterrupt:
        return found, False
    finally:
        results.close()  # type: ignore[attr-defined]
    return found, True


def usable_cores() -> int:
    """Cores this process may use; fewer than the host has under taskset or in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processes(workers: int) -> ProcessPoolExecutor:
    """Fresh processes, never copies: the libraries beneath run threads, and a copy of their locks can hang."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker)


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keeps new workers from running the user's script again: they need nothing of it.

    multiprocessing imports `__main__` in every new process that is not a copy, found by these two attributes; without
    this a script would need an `if __name__ == "__main__":`, and a script read from a pipe could not run at all.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    if "__file__" in hidden:
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


def _begin_worker() -> None:
    """A worker leaves Ctrl-C to the parent, and does not outlive it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _connect(address: str) -> Any:
    """A Dask client whose workers run this very version."""
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra("a cluster needs Dask: pip install 'fotasim[cluster]'") from None
    try:
        client: Any = Client(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise FotasimError(f"--cluster {address}: no Dask scheduler answers there ({error})") from None
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
        _same_version(client, address)
    except BaseException as error:
        client.close()
        if isinstance(error, TimeoutError):
            raise FotasimError(f"--cluster {address}: the scheduler has no workers") from None
        raise
    return client


def _same_version(client: Any, address: str) -> None:
    """Refuses workers without fotasim or with another version: they would give other results."""
    try:
        found = client.run(version)
    except (ImportError, AttributeError) as error:
        raise FotasimError(
            f"--cluster {address}: a worker cannot import this fotasim ({error}); install it there"
        ) from None
    other = {worker: text for worker, text in found.items() if text != version()}
    if other:
        worker, text = next(iter(other.items()))
        raise FotasimError(f"--cluster {address}: worker {worker} runs fotasim {text}, this is {version()}")
