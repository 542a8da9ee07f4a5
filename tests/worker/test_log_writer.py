"""Log lines reach their table in batches, on a connection of their own, and never hold up who writes them."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from config.log_sink import LogSink
from config.servers import ServerUrls
from config.settings import read_settings
from db.service_logs import ServiceLogRepository
from db.transaction import Database
from tests.people import person, scalar
from tests.waiting import until
from worker.log_writer import LogWriter, open_logs

COUNT = "SELECT count(*) FROM service_logs"


@pytest.fixture(autouse=True)
def _logs_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


async def _close(writer: LogWriter) -> None:
    await asyncio.to_thread(writer.close, 10)


async def test_lines_of_a_door_are_rows_with_their_ids_each_user_seeing_his_own(
    database: Database, urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    monkeypatch.setenv("DATABASE_URL", urls.database)
    monkeypatch.setenv("REDIS_URL", urls.redis)
    writer = open_logs(read_settings(), "a test")
    log = structlog.get_logger("worker.actors")
    with structlog.contextvars.bound_contextvars(execution_id=7, task="submit", user_id=asha.user_id):
        log.info("execution_ended", seconds=float("nan"), password="hunter2")
    log.warning("nobodys")
    await _close(writer)
    async with database.reading(None) as session:
        logs = ServiceLogRepository(session)
        since = await _hour_ago(database)
        [line] = await logs.newest(since, 10, execution_id=7)
        assert (line["user_id"], line["task_name"], line["level"]) == (asha.user_id, "submit", "INFO")
        assert line["context"] == {"seconds": None, "password": "***"}
        assert [row["message"] for row in await logs.newest(since, 10, level="WARNING")] == ["nobodys"]
    async with database.reading(bala.user_id) as session:
        assert await ServiceLogRepository(session).newest(since, 10) == []
    assert json.loads(capsys.readouterr().out.splitlines()[0])["execution_id"] == 7


async def _hour_ago(database: Database):  # type: ignore[no-untyped-def]
    return await scalar(database, "SELECT now() - interval '1 hour'")


async def test_a_thousand_lines_are_two_statements_and_not_a_thousand(database: Database, urls: ServerUrls) -> None:
    sink = LogSink()
    for number in range(1000):
        sink.put({"event": str(number)})
    writer = LogWriter(sink, urls.sqlalchemy, "a test")
    writer.start()
    await _close(writer)
    assert await scalar(database, COUNT) == 1000
    assert await scalar(database, "SELECT count(DISTINCT xmin::text) FROM service_logs") == 2


async def test_while_postgres_is_away_writing_goes_on_and_what_was_dropped_is_counted(
    database: Database, urls: ServerUrls
) -> None:
    sink = LogSink(capacity=50)
    writer = LogWriter(sink, "postgresql+asyncpg://nobody@127.0.0.1:1/none", "a test")
    writer.start()
    for number in range(200):
        sink.put({"event": str(number)})
    await _close(writer)
    assert not writer._thread.is_alive()
    back = LogWriter(sink, urls.sqlalchemy, "a test")
    back.start()

    async def written() -> bool:
        return bool(await scalar(database, COUNT))

    await until(written)
    await _close(back)
    assert await scalar(database, "SELECT count(*) FROM service_logs WHERE message <> 'log_lines_dropped'") == 50
    dropped = "SELECT sum((context ->> 'count')::int) FROM service_logs WHERE message = 'log_lines_dropped'"
    assert await scalar(database, dropped) == 150
