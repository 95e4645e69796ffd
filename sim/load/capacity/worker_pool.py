"""Native workers for capacity probes: processes on this host that each run a share, start together, and report."""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from sim.engines.live.live_run import calm_collector, loop_factory
from sim.engines.live.snapshot import Snapshot, Watch, together
from sim.errors import FotasimError
from sim.load.capacity.outage_share import run_outage
from sim.load.capacity.probe_share import START_S, Job, run_share
from sim.load.load_fleet import share_of

READY_S = 120.0
"""To start a worker, import everything and make its modules."""
END_S = 30.0
"""To end all connections one after the other."""
SILENT_S, LOOK_S = 4.0, 0.5
"""A worker that has told nothing for so long, while it runs modules, is named. It tells how it stands every second."""


@dataclass(slots=True)
class PoolWorker:
    """A worker's process and our end of the pipe to it."""

    process: mp.process.BaseProcess
    pipe: Connection
    latest: Snapshot | None = None
    heard_at: float = 0.0
    fault: str = ""
    """Why it will not be in the figures, as far as is known."""

    @classmethod
    def start(cls) -> PoolWorker:
        """A new process that waits for its first job."""
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def send(self, answer: Any) -> None:
        """Sends an answer; one that is gone does not hear it."""
        self.heard_at = time.monotonic()
        with suppress(OSError):
            self.pipe.send(answer)

    def receive(self) -> Any:
        """Its next answer; None when it is gone."""
        with suppress(EOFError, OSError):
            return self.pipe.recv()
        return None


class WorkerPool:
    """Workers that live as long as a search. One that died in a probe is replaced for the next."""

    def __init__(self, workers: int, watch: Watch | None = None) -> None:
        self.workers = workers
        self._watch = watch
        self.members: list[PoolWorker] = []

    def run(self, job: Job) -> Sequence[dict[str, Any] | None]:
        """Runs the shares of a probe and gives what each worker reports; None for one that went missing.

        FotasimError when a worker has one. Interrupted, the workers end their connections gently.
        """
        share = replace(job, settings=share_of(job.settings, self.workers), of=self.workers)
        try:
            self._complete()
            for index, member in enumerate(self.members):
                member.send(replace(share, index=index))
            ready = self._answers(READY_S)
            zero = time.monotonic() + START_S
            for member in self.members:
                member.send(zero)
            reports = self._answers(job.hold_s + job.patience_s + END_S, runs=True)
        except BaseException:
            self.close()
            raise
        return [report if answer is not None else None for answer, report in zip(ready, reports, strict=True)]

    def _complete(self) -> None:
        kept = [member for member in self.members if member.process.is_alive()]
        self.members = kept + [PoolWorker.start() for _ in range(self.workers - len(kept))]

    def _answers(self, within_s: float, *, runs: bool = False) -> list[Any]:
        """The next answer of each worker; who says nothing in time is not waited for again.

        While it `runs` modules, a worker that has died or is silent is named at once, not at the end.
        """
        until = time.monotonic() + within_s
        answers: dict[Connection, Any] = dict.fromkeys(member.pipe for member in self.members)
        waiting = {member.pipe: member for member in self.members}
        while waiting and (left_s := until - time.monotonic()) > 0.0:
            for pipe in wait(list(waiting), min(left_s, LOOK_S)):
                assert isinstance(pipe, Connection)
                member = waiting[pipe]
                answer, member.heard_at = member.receive(), time.monotonic()
                if isinstance(answer, Snapshot):
                    member.latest = answer
                    self._show()
                else:
                    answers[pipe] = answer
                    del waiting[pipe]
                    if answer is None:
                        self._name(member, "went missing: this probe is void")
            for member in waiting.values() if runs else ():
                if time.monotonic() - member.heard_at > SILENT_S:
                    self._name(member, f"has told nothing for {SILENT_S:g} s")
        for member in self.members:
            if answers[member.pipe] is None:
                member.process.kill()
        for answer in answers.values():
            if isinstance(answer, FotasimError):
                raise answer
        return list(answers.values())

    def _name(self, member: PoolWorker, what: str) -> None:
        """Shows what is wrong with a worker, once."""
        text = f"worker {self.members.index(member) + 1} {what}"
        if member.fault != text:
            member.fault = text
            print(f"fotasim: {text}", file=sys.stderr, flush=True)
            self._show()

    def _show(self) -> None:
        """How all workers stand together."""
        if self._watch is not None:
            now = together([member.latest for member in self.members if member.latest is not None])
            faults = [member.fault for member in self.members if member.fault]
            self._watch(replace(now, faults=(*now.faults, *faults)))

    def close(self) -> None:
        """Every worker is asked to end its connections gently, and killed if it does not."""
        for member in self.members:
            member.pipe.close()  # whoever waits for an answer stops waiting
            if member.process.is_alive():
                member.process.terminate()
        until = time.monotonic() + END_S
        for member in self.members:
            member.process.join(max(0.0, until - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
        self.members = []


def work(pipe: Connection) -> None:
    """A worker: for each job says it is ready, begins when told to, sends its report.

    SIGTERM ends it gently, and so does the end of the process that started it: no load without somebody who watches it.
    A terminal's Ctrl-C reaches all processes at once; what it means for the workers is the starter's to say.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def begun() -> float:
        pipe.send("ready")
        zero: float = await asyncio.to_thread(pipe.recv)
        return zero

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop, starter = asyncio.get_running_loop(), mp.parent_process()
        assert starter is not None
        with suppress(NotImplementedError):  # Windows ends it at once
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
            loop.add_reader(starter.sentinel, task.cancel)
        while True:
            try:
                job = await asyncio.to_thread(pipe.recv)
                pipe.send(await (run_outage if job.outage else run_share)(job, begun, pipe.send))
            except FotasimError as error:
                pipe.send(FotasimError(str(error)))

    gone = suppress(EOFError, OSError, asyncio.CancelledError)
    with gone, calm_collector(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


__all__ = ["PoolWorker", "WorkerPool", "work"]
