"""A line to Redis that can be stalled: a unix socket in front of the server's, forwarding bytes both ways.

It runs in a thread with an event loop of its own: the suite's own loop may be busy while a server restarts.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_PIECE = 1 << 16
_SECONDS = 10.0


class Line:
    """Listens while the context lasts. While stalled it takes connections and bytes, and passes nothing on.

    held_bytes, held_connections: what was held up since the last stall began.
    """

    def __init__(self, path: Path, server: Path) -> None:
        self.path, self.server = path, server
        self.held_bytes = 0
        self.held_connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)
        self._requests, self._replies = asyncio.Event(), asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> "Line":
        self._thread.start()
        self._requests.set()
        self._replies.set()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def stall(self, *, requests: bool) -> None:
        """Hold back replies from now on, and requests too if asked: without, what is asked for still happens."""
        self.held_bytes = self.held_connections = 0
        self._loop.call_soon_threadsafe(self._replies.clear)
        if requests:
            self._loop.call_soon_threadsafe(self._requests.clear)

    def resume(self) -> None:
        """Pass everything on, what was held first."""
        for event in (self._requests, self._replies):
            self._loop.call_soon_threadsafe(event.set)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    async def _listen(self) -> None:
        self._listening = await asyncio.start_unix_server(self._connect, self.path)

    async def _close(self) -> None:
        self._listening.close()
        for end in list(self._ends):  # each connection ends when one of its ends does
            end.transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=_SECONDS / 2)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._requests.is_set():
            self.held_connections += 1
        try:
            there, back = await asyncio.open_unix_connection(self.server)
        except OSError:  # the server is away: so is the line
            writer.close()
            return
        ends = {writer, back}
        self._ends |= ends
        ways = [
            asyncio.create_task(self._pass(reader, back, self._requests)),
            asyncio.create_task(self._pass(there, writer, self._replies)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in ends:
                end.close()
            self._ends -= ends

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
        with suppress(OSError):
            while piece := await source.read(_PIECE):
                if not passing.is_set():
                    self.held_bytes += len(piece)
                    await passing.wait()
                sink.write(piece)
                await sink.drain()
