"""A line to a server of the test run that can be stalled or cut, while the server itself goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from config.servers import ServerUrls

_BYTES = 65536


class Relay:
    """Passes bytes on between its own socket and a server's."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.open = asyncio.Event()
        self.open.set()
        self.is_cut = False
        self.lines = self.refused = 0
        self._stalled: set[asyncio.Event] = set()
        self._gates: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        """Let nothing pass any more: neither on the connections there are, nor on new ones, until `resume`."""
        self.open.clear()
        self.stall_present()

    def stall_present(self) -> None:
        """Let nothing pass on the connections there are, for ever; new ones work."""
        for gate in self._gates:
            gate.clear()
        self._stalled |= self._gates
        self._gates = set()

    def resume(self) -> None:
        """Let everything pass again, with what waited."""
        self.open.set()
        for gate in self._stalled:
            gate.set()
        self._gates |= self._stalled
        self._stalled = set()

    def cut(self) -> None:
        """End the connections there are and every new one at once, as of a server that is away, until `mend`."""
        self.is_cut = True
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        """Let new connections work again."""
        self.is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.is_cut:
            self.refused += 1
            writer.close()
            return
        self.lines += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        gate = asyncio.Event()
        gate.set()
        self._gates.add(gate)
        with suppress(OSError, asyncio.CancelledError):
            await self.open.wait()
            there, back = await asyncio.open_unix_connection(self.target)
            ways = [asyncio.create_task(_carry(reader, back, gate)), asyncio.create_task(_carry(there, writer, gate))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                back.close()
        writer.close()
        self._gates.discard(gate)
        self._stalled.discard(gate)
        self._tasks.discard(task)

    async def end(self) -> None:
        """Close every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def relayed(urls: ServerUrls, folder: Path) -> AsyncIterator[tuple[ServerUrls, Relay, Relay]]:
    """Yield addresses that lead through two relays, and the relays: Postgres's and Redis's. folder: a short path."""
    host = parse_qs(urlsplit(urls.database).query)["host"][0]
    name = f".s.PGSQL.{urlsplit(urls.database).port or 5432}"
    postgres, redis = Relay(Path(host, name)), Relay(Path(urlsplit(urls.redis).path))
    servers = [
        await asyncio.start_unix_server(postgres.serve, folder / name),
        await asyncio.start_unix_server(redis.serve, folder / "redis.sock"),
    ]
    try:
        database = urls.database.replace(host, str(folder))
        yield ServerUrls(database, f"unix://{folder}/redis.sock"), postgres, redis
    finally:
        for server in servers:
            server.close()
        await postgres.end()
        await redis.end()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    while data := await source.read(_BYTES):
        await gate.wait()
        sink.write(data)
        await sink.drain()
