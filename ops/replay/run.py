"""One replay from an empty database to its report, on servers that run already."""

import os
import time
from pathlib import Path
from typing import Protocol

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from ops.doors import door_environment
from ops.local import Servers
from ops.replay.drive import Look, doors_running, drive, replay_doors
from ops.replay.plan import Plan
from ops.replay.prepare import prepare
from ops.replay.report import Report, report_of

LOGS = "logs"


class Watcher(Protocol):
    """Who is told how far it is: the screen, or a test."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Hear of the preparation."""
        ...

    def look(self, plan: Plan, look: Look) -> None:
        """Hear of the replay."""
        ...


async def run_replay(plan: Plan, servers: Servers, folder: Path, watcher: Watcher) -> Report:
    """Prepare, drive and report. folder: for the logs of the doors. Call it in the main thread.

    Raises DoorError, StalledError, DatabaseError. However it ends, no door is left running.
    """
    began = time.perf_counter()
    url = ServerUrls(servers.database_url, servers.redis_url).sqlalchemy
    database = Database(make_engine(url, pool_size=1, application="muhurat replay"))
    environment = door_environment(os.environ, servers, plan.prices) | {"MUHURAT_LOG": "json"}
    try:
        await prepare(url, database, plan, watcher.stage)
        with doors_running(replay_doors(plan, environment), folder / LOGS) as watched:
            await drive(database, plan, watched, lambda look: watcher.look(plan, look))
        return await report_of(database, plan, time.perf_counter() - began)
    finally:
        await database.close()
