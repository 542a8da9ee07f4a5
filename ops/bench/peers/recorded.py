"""Stock Dramatiq with the record that many add by themselves: a row inserted at the start and updated at the end.

A middleware writes it over one connection a thread, each statement committed at once. No row, no record of a failure to
write one: the smallest thing that deserves the name.
"""

import os
import threading
from typing import Any

import dramatiq
import psycopg

from ops.bench.peers.stock import broker

__all__ = ["broker"]

_INSERT = "INSERT INTO bench_records (message_id, actor, status, started_at) VALUES (%s, %s, 'running', now())"
_UPDATE = "UPDATE bench_records SET status = %s, finished_at = now() WHERE message_id = %s"


class Recorder(dramatiq.Middleware):
    """Records every message that is processed."""

    def __init__(self) -> None:
        self._own = threading.local()

    def before_process_message(self, _broker: Any, message: Any) -> None:
        """Insert the row."""
        self._connection().execute(_INSERT, (message.message_id, message.actor_name))

    def after_process_message(
        self, _broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Update the row."""
        del result
        self._connection().execute(_UPDATE, ("failed" if exception else "success", message.message_id))

    def _connection(self) -> psycopg.Connection:
        if not hasattr(self._own, "connection"):
            self._own.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        connection: psycopg.Connection = self._own.connection
        return connection


broker.add_middleware(Recorder())
