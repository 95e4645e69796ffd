"""Native workers for capacity probes: processes on this host that each run a part, start together, and report."""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from sim.engines.live.run import calm_collector, loop_factory
from sim.engines.live.snapshot import Snapshot, Watch, together
from sim.errors import FotasimError
from sim.load.fleet import share_of
from sim.load.part import START_S, Job, run_part

READY_S = 120.0
"""To start a worker, import everything and make its modules."""
END_S = 30.0
"""To end all connections one after the other."""


@dataclass(slots=True)
class Hand:
    """A worker's process and our end of the pipe to it."""

    process: mp.process.BaseProcess
    pipe: Connection
    stands: Snapshot | None = None

    @classmethod
    def start(cls) -> Hand:
        """A new process that waits for its first job."""
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def tell(self, word: Any) -> None:
        """Sends a word; one that is gone does not hear it."""
        with suppress(OSError):
            self.pipe.send(word)

    def hear(self) -> Any:
        """Its next word; None when it is gone."""
        with suppress(EOFError, OSError):
            return self.pipe.recv()
        return None


class Crew:
    """Workers that live as long as a search. One that died in a probe is replaced for the next."""

    def __init__(self, workers: int, watch: Watch | None = None) -> None:
        self.workers = workers
        self._watch = watch
        self.hands: list[Hand] = []

    def run(self, job: Job) -> Sequence[dict[str, Any] | None]:
        """Runs the parts of a probe and gives what each worker reports; None for one that went missing.

        FotasimError when a worker has one. Interrupted, the workers end their connections gently.
        """
        part = replace(job, settings=share_of(job.settings, self.workers), of=self.workers)
        try:
            self._complete()
            for index, hand in enumerate(self.hands):
                hand.tell(replace(part, index=index))
            ready = self._heard(READY_S)
            zero = time.monotonic() + START_S
            for hand in self.hands:
                hand.tell(zero)
            reports = self._heard(job.hold_s + job.patience_s + END_S)
        except BaseException:
            self.close()
            raise
        return [report if word is not None else None for word, report in zip(ready, reports, strict=True)]

    def _complete(self) -> None:
        kept = [hand for hand in self.hands if hand.process.is_alive()]
        self.hands = kept + [Hand.start() for _ in range(self.workers - len(kept))]

    def _heard(self, within_s: float) -> list[Any]:
        """The next word of each worker; who says nothing in time is not waited for again."""
        until = time.monotonic() + within_s
        words: dict[Connection, Any] = dict.fromkeys(hand.pipe for hand in self.hands)
        waiting = {hand.pipe: hand for hand in self.hands}
        while waiting and (left_s := until - time.monotonic()) > 0.0:
            for pipe in wait(list(waiting), left_s):
                assert isinstance(pipe, Connection)
                word = waiting[pipe].hear()
                if isinstance(word, Snapshot):
                    waiting[pipe].stands = word
                    self._tell()
                else:
                    words[pipe] = word
                    del waiting[pipe]
        for hand in self.hands:
            if words[hand.pipe] is None:
                hand.process.kill()
        for word in words.values():
            if isinstance(word, FotasimError):
                raise word
        return list(words.values())

    def _tell(self) -> None:
        """How all workers stand together."""
        if self._watch is not None:
            self._watch(together([hand.stands for hand in self.hands if hand.stands is not None]))

    def close(self) -> None:
        """Every worker is asked to end its connections gently, and killed if it does not."""
        for hand in self.hands:
            hand.pipe.close()  # whoever waits for a word stops waiting
            if hand.process.is_alive():
                hand.process.terminate()
        until = time.monotonic() + END_S
        for hand in self.hands:
            hand.process.join(max(0.0, until - time.monotonic()))
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join()
        self.hands = []


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
                pipe.send(await run_part(await asyncio.to_thread(pipe.recv), begun, pipe.send))
            except FotasimError as error:
                pipe.send(FotasimError(str(error)))

    gone = suppress(EOFError, OSError, asyncio.CancelledError)
    with gone, calm_collector(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


__all__ = ["Crew", "Hand", "work"]
