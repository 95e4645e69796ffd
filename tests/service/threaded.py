"""A cloud in a thread of its own, for tests that are not asynchronous: browsers, schemathesis."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

from sim.service.server import Options, running
from tests.service.cloud import TOKEN


@contextmanager
def cloud_in_thread(folder, **options):
    """The server while the block runs; `server.call(coroutine)` runs something on its loop."""
    ready, box = threading.Event(), {}

    async def serve():
        stop = asyncio.Event()
        async with running(Options(folder, token=TOKEN, **options)) as server:
            loop = asyncio.get_running_loop()
            server.call = lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)
            box.update(server=server, stop=lambda: loop.call_soon_threadsafe(stop.set))
            ready.set()
            await stop.wait()

    def target():
        try:
            asyncio.run(serve())
        except BaseException as error:
            box["error"] = error
            ready.set()

    thread = threading.Thread(target=target)
    thread.start()
    assert ready.wait(30)
    if "error" in box:
        raise box["error"]
    try:
        yield box["server"]
    finally:
        box["stop"]()
        thread.join(30)
    if "error" in box:
        raise box["error"]
