"""`muhurat migrate`: the release step of a deploy."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import typer

from config.servers import ServerUrls
from config.settings import read_settings
from ops.local import running
from ops.schema import make_ready

# Executions are partitioned by month; the next month's rows may be planned in this one.
AHEAD = timedelta(days=31)


def migrate_database() -> None:
    """Migrate the database that the environment names. Raises SettingsError, DatabaseError."""
    settings = read_settings()
    if settings.servers is not None:
        _migrate(settings.servers)
        return
    with running() as servers:
        _migrate(ServerUrls(servers.database_url, servers.redis_url))


def partition_days() -> tuple[date, date]:
    """Return the first and last day that executions made from now on may be due on."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=1), today + AHEAD


def _migrate(urls: ServerUrls) -> None:
    revision = asyncio.run(make_ready(urls.sqlalchemy, *partition_days()))
    typer.echo(f"the database is at {revision}, with calendar, schedules and room for this month and the next")
