"""The door of the workers: `python -m worker.main --queues orders,default`."""

import argparse
import asyncio
import signal
import sys
from contextlib import closing

import structlog

from config.servers import SettingsError
from config.settings import Settings, read_settings, split_queues
from db.engine import DatabaseError, check_database, make_engine
from db.transaction import Database
from migrations.run import head
from worker.bells.ringing import Bells, RedisUnreachable
from worker.log_writer import open_logs
from worker.messages import QUEUES
from worker.supervisor import ChildRefused, Supervisor

log = structlog.get_logger(__name__)


def main() -> int:
    """Supervise worker processes until TERM. Returns the exit code."""
    code = 0
    try:
        settings = read_settings()
        arguments = _arguments(settings)
        with closing(open_logs(settings, "worker supervisor")):
            asyncio.run(_supervise(settings, arguments))
    except* (SettingsError, DatabaseError, RedisUnreachable, ChildRefused) as errors:
        print(f"error: {errors.exceptions[0]}", file=sys.stderr)
        code = 2
    return code


def _arguments(settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker.main", description="Run worker processes.")
    worker = settings.worker
    parser.add_argument("--queues", type=_queues, default=worker.queues, help=f"of {', '.join(QUEUES)}")
    parser.add_argument("--processes", type=int, default=worker.processes, help="worker processes")
    parser.add_argument("--threads", type=int, default=worker.threads, help="executions at once in each")
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


async def _check_redis(url: str) -> None:
    bells = Bells(url)
    try:
        await bells.check()
    finally:
        await bells.close()


async def _supervise(settings: Settings, arguments: argparse.Namespace) -> None:
    engine = make_engine(settings.urls.sqlalchemy, pool_size=2, application="worker supervisor")
    database = Database(engine)
    try:
        await check_database(engine, head())
        await _check_redis(settings.urls.redis)
        supervisor = Supervisor(database, arguments.queues, arguments.threads, settings.worker.lease_seconds)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stopping.set)
        log.info("supervisor_ready", queues=arguments.queues, processes=arguments.processes)
        await supervisor.run(arguments.processes)
    finally:
        await database.close()


if __name__ == "__main__":
    raise SystemExit(main())
