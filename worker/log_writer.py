"""Writes a process's log lines to Postgres in batches: a thread and a connection of its own, in nobody's way."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from config.log_sink import LogLine, LogSink
from config.logs import configure_logs
from config.settings import Settings
from db.engine import make_engine
from db.service_logs import ServiceLogRepository
from db.transaction import Database

BATCH = 500
# A line waits this long for company; after a refusal the next try comes as late.
PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 3.0
# A statement that hangs must not hold the end of the process.
COMMAND_SECONDS = 5.0


def open_logs(settings: Settings, application: str) -> "LogWriter":
    """Set up a door's logs: stdout, and the database unless the settings say otherwise. Close what is returned."""
    sink = LogSink() if settings.log_to_database else None
    configure_logs(json=settings.log == "json", level=settings.log_level, stream=sys.stdout, sink=sink)
    writer = LogWriter(sink or LogSink(), settings.urls.sqlalchemy, application)
    if sink is not None:
        writer.start()
    return writer


class LogWriter:
    """Empties a sink until closed. What Postgres refuses waits in the sink, which drops its oldest lines when full.

    Nothing in here may log: a line about lines would never end.
    """

    def __init__(self, sink: LogSink, url: str, application: str) -> None:
        self.sink, self.url, self.application = sink, url, application
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what is left, for so long at most."""
        self._closing.set()
        self.sink.wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        asyncio.run(self._write_until_closed())

    async def _write_until_closed(self) -> None:
        database = Database(
            make_engine(self.url, pool_size=1, application=f"{self.application} log", command_seconds=COMMAND_SECONDS)
        )
        try:
            while not self._closing.is_set():
                await asyncio.to_thread(self.sink.wake.wait, PAUSE_SECONDS)
                await self._empty(database)
                await asyncio.to_thread(self._closing.wait, PAUSE_SECONDS)
            await self._empty(database)
        finally:
            await database.close()

    async def _empty(self, database: Database) -> None:
        """Write all there is, until Postgres refuses."""
        while True:
            lines, dropped = self.sink.take(BATCH)
            if not lines and not dropped:
                return
            try:
                await _store(database, lines, dropped)
            except (SQLAlchemyError, OSError, ValueError, TimeoutError):
                self.sink.put_back(lines, dropped)
                return


async def _store(database: Database, lines: Sequence[LogLine], dropped: int) -> None:
    said = list(lines)
    if dropped:
        at = said[0].at if said else None
        said.append(_dropped(dropped, at))
    async with database.transaction(None) as session:
        await ServiceLogRepository(session).store(said)


def _dropped(count: int, at: object) -> LogLine:
    moment = at if isinstance(at, datetime) else datetime.now(UTC)  # noqa: TID251 - machine time of a log line
    return LogLine(moment, "WARNING", __name__, "log_lines_dropped", None, None, None, {"count": count})
