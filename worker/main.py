"""The door of the workers: `python -m worker.main --queues orders,default`."""

import argparse
import asyncio
import sys

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from config.servers import SettingsError
from config.settings import Settings, read_settings, split_queues
from db import tables  # noqa: F401 - read now, and not while the first lease is due
from db.engine import DatabaseError, check_database, make_engine
from db.transaction import Database
from migrations.run import head
from worker.bells.ringing import Bells, RedisUnreachable
from worker.ending import CLOSE_SECONDS, LOG_SECONDS, stop_signals
from worker.log_writer import open_logs
from worker.messages import QUEUES
from worker.supervisor import CHILD, ChildRefused, Supervisor, within

log = structlog.get_logger(__name__)

# Leases need one; two more while that one stands still.
POOL_SIZE = 3


def main(child: str = CHILD) -> int:
    """Supervise worker processes until TERM, INT or HUP. child: the module of each. Returns the exit code."""
    try:
        settings = read_settings()
        arguments = _arguments(settings)
        writer = open_logs(settings, "worker supervisor")
        try:
            asyncio.run(_supervise(settings, arguments, child))
        finally:
            writer.close(LOG_SECONDS)
    except (SettingsError, DatabaseError, RedisUnreachable, ChildRefused) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _arguments(settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker.main", description="Run worker processes.")
    worker = settings.worker
    parser.add_argument("--queues", type=_queues, default=worker.queues, help=f"of {', '.join(QUEUES)}")
    parser.add_argument("--processes", type=_some, default=worker.processes, help="worker processes")
    parser.add_argument("--threads", type=_some, default=worker.threads, help="executions at once in each")
    return parser.parse_args()


def _queues(text: str) -> tuple[str, ...]:
    try:
        names = split_queues(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    unknown = [name for name in names if name not in QUEUES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such queue; there are {', '.join(QUEUES)}")
    return names


def _some(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: use a whole number from 1")
    return int(text)


async def _supervise(settings: Settings, arguments: argparse.Namespace, child: str) -> None:
    engine = make_engine(settings.urls.sqlalchemy, POOL_SIZE, "worker supervisor")
    database, bells = Database(engine), Bells(settings.urls.redis)
    try:
        lease = settings.worker.lease_seconds
        supervisor = Supervisor(database, bells, arguments.queues, arguments.threads, lease, child)
        for number in stop_signals():
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stopping.set)
        if await _checked(engine, bells, supervisor.stopping):
            log.info("supervisor_ready", queues=arguments.queues, processes=arguments.processes)
            await supervisor.run(arguments.processes)
        log.info("supervisor_stopped")
    finally:
        await within(CLOSE_SECONDS, _close(database, bells))


async def _checked(engine: AsyncEngine, bells: Bells, stopping: asyncio.Event) -> bool:
    """Check both servers. Returns False when told to stop meanwhile. Raises DatabaseError, RedisUnreachable."""

    async def check() -> None:
        await check_database(engine, head())
        await bells.check()

    checking, told = asyncio.ensure_future(check()), asyncio.ensure_future(stopping.wait())
    await asyncio.wait([checking, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not checking.done():
        checking.cancel()
        return False
    checking.result()
    return True


async def _close(database: Database, bells: Bells) -> None:
    await bells.close()
    await database.close()


if __name__ == "__main__":
    raise SystemExit(main())
