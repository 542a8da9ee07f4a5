"""Opens a predecessor's database for reading: SQLite or Postgres, one read-only snapshot, from any thread."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from asyncpg import PostgresError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ops.importers.database_address import Address
from ops.importers.errors import NoSourceError

T = TypeVar("T")

_CONNECT_SECONDS = 10


class Reading(Protocol):
    """A database that is open for reading, and stays as it was when it was opened."""

    def run(self, look: Callable[[Connection], T]) -> T:
        """Return what a look at it gives. Raises NoSourceError when it cannot be reached or refuses."""


@contextmanager
def opened(address: Address) -> Iterator[Reading]:
    """Open a database for reading, from any thread. Raises NoSourceError."""
    kind = _Server if address.url is not None else _File
    with _said(address):
        reading = kind(address)
    try:
        yield reading
    finally:
        reading.close()


class _File:
    """A file, which SQLite opens read-only."""

    def __init__(self, address: Address) -> None:
        self._address = address
        uri = f"file:{quote(str(address.path or Path()))}?mode=ro"
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=_CONNECT_SECONDS),
            poolclass=NullPool,
        )
        self._connection = self._engine.connect()
        self._connection.exec_driver_sql("BEGIN")

    def run(self, look: Callable[[Connection], T]) -> T:
        with _said(self._address):
            return look(self._connection)

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


class _Server:
    """A Postgres, asked by an event loop in a thread of its own: whoever reads may be in any thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="import-database", daemon=True)
        self._thread.start()
        self._engine = create_async_engine(
            address.url or "",
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            connect_args={"timeout": _CONNECT_SECONDS, "server_settings": {"application_name": "muhurat import"}},
        ).execution_options(postgresql_readonly=True)
        try:
            self._connection = self._call(self._engine.connect().start())
        except BaseException:
            self._stop()
            raise

    def run(self, look: Callable[[Connection], T]) -> T:
        with _said(self._address):
            return self._call(self._connection.run_sync(look))

    def close(self) -> None:
        try:
            self._call(self._connection.close())
            self._call(self._engine.dispose())
        finally:
            self._stop()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def _said(address: Address) -> Iterator[None]:
    """Say an error of the driver's with the place and the cure, and without a password."""
    try:
        yield
    except (OSError, SQLAlchemyError, PostgresError, sqlite3.Error) as error:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = (lines[0] if lines else type(error).__name__).rpartition(">: ")[2]
        cure = "check the file and its rights" if address.url is None else "check host, port, name, user and password"
        raise NoSourceError(f"{address.shown}: cannot be read: {reason}; {cure}, then import again") from None
