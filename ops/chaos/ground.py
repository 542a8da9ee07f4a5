"""Where the cases are played: a Postgres and a Valkey that can be restarted, stopped and cut off."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import psutil
from redis import Redis

from config.servers import ServerUrls
from db.engine import make_engine
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from db.users import UserRepository
from ops.chaos.eye import SYSTEM
from ops.chaos.instruments import script
from ops.chaos.line import Line
from ops.local import Servers, running
from ops.local_postgres import Postgres
from ops.local_valkey import Valkey
from ops.schema import make_ready
from trading.config import DEFAULTS

# Two of them have more work than may be rung at once.
USERS = ("asha@example.org", "bela@example.org")


@dataclass
class Ground:
    """The servers of a run. What restarts them blocks; call it in the main thread: they end with who started them."""

    folder: Path
    servers: Servers
    line: Line
    users: tuple[int, ...]
    ending: ExitStack

    @property
    def urls(self) -> ServerUrls:
        """The servers' own addresses."""
        return ServerUrls(self.servers.database_url, self.servers.redis_url)

    @property
    def reached(self) -> Servers:
        """What the doors are told: Redis through the line that can be stalled."""
        return Servers(self.servers.database_url, f"unix://{quote(str(self.line.path))}")

    def stop_postgres(self, *, crash: bool = False) -> Postgres:
        """End the server, by a fast shutdown or as a crash. Returns its successor, not started."""
        if crash:
            os.kill(self._postmaster(), signal.SIGQUIT)
        successor = Postgres(self.folder, durable=True)
        successor.stop_leftover()
        return successor

    def stop_valkey(self, *, crash: bool = False) -> Valkey:
        """End the server, by a shutdown or as a crash. Returns its successor, not started."""
        if crash:
            os.kill(self._valkey(), signal.SIGKILL)
        successor = Valkey(self.folder, durable=True)
        successor.stop_leftover()
        return successor

    def start(self, server: Postgres | Valkey) -> None:
        """Start a successor; it ends with the run."""
        self.ending.callback(server.stop)
        server.start()

    def postgres_processes(self) -> list[psutil.Process]:
        """Return every process of the Postgres server."""
        postmaster = psutil.Process(self._postmaster())
        return [postmaster, *postmaster.children(recursive=True)]

    def _postmaster(self) -> int:
        return int((self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    def _valkey(self) -> int:
        with closing(Redis.from_url(self.servers.redis_url)) as redis:
            told: dict[str, Any] = redis.info("server")
            return int(told["process_id"])


@contextmanager
def prepared(folder: Path) -> Iterator[Ground]:
    """Run the servers of a suite in a folder, with an empty database that has its instruments and two users.

    Enter it in the main thread and outside of any event loop. Raises LocalServerError, DatabaseError.
    """
    with ExitStack() as ending:
        servers = ending.enter_context(running(folder, fresh=True, keep=False))
        place = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="muhurat-")))
        line = ending.enter_context(Line(place / "line", Path(unquote(urlsplit(servers.redis_url).path))))
        urls = ServerUrls(servers.database_url, servers.redis_url)
        users = asyncio.run(_prepare(urls))
        yield Ground(Path(os.path.abspath(folder)), servers, line, users, ending)  # noqa: PTH100 - as `running` does


async def _prepare(urls: ServerUrls) -> tuple[int, ...]:
    await make_ready(urls.sqlalchemy)
    connection = await asyncpg.connect(urls.database, server_settings=SYSTEM)
    await connection.execute(script())
    await connection.close()
    database = Database(make_engine(urls.sqlalchemy, pool_size=1))
    now = datetime.now(UTC)  # noqa: TID251 - a door: live, market time is the wall clock's
    made = []
    async with database.transaction(None) as session:
        for email in USERS:
            user = await UserRepository(session).sign_up(email, email.partition("@")[0], DEFAULTS, now)
            await ServiceStatusRepository(session).start(user.user_id, "chaos")
            made.append(user.user_id)
    await database.close()
    return tuple(made)


def wait_stopped(processes: list[psutil.Process], seconds: float = 5.0) -> bool:
    """Wait until processes are all stopped. Returns whether they are."""
    until = time.monotonic() + seconds
    while not all(one.status() == psutil.STATUS_STOPPED for one in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
