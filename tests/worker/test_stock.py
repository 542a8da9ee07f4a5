"""Dramatiq's own command runs our queue: the table's executions and stock actors side by side, each kept as it should be."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar
from tests.waiting import until
from tests.worker.house import addresses
from worker.bells.keys import HEARTBEATS
from worker.bells.ringing import Bells

LIVE = "SELECT count(*) FROM worker_processes WHERE gone_at IS NULL AND lease_until > now()"
RUNNING = "SELECT count(*) FROM service_task_execution WHERE status = 'running'"
ENDED = "SELECT count(*) FROM service_task_execution WHERE status = 'success'"
OUTCOMES = "SELECT coalesce(string_agg(outcome, ' '), '') FROM execution_attempts"


@contextmanager
def command(urls: ServerUrls) -> Iterator[subprocess.Popen[bytes]]:
    """Run `dramatiq` with one process of four threads on the queues `default` and `stock`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    words = ["tests.worker.stock_broker", "-p", "1", "-t", "4", "-Q", "default", "stock"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", *words, "--worker-shutdown-timeout", "2000"],
        env=kept | addresses(urls) | {"MUHURAT_WORKER_SHUTDOWN_SECONDS": "2"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def send(urls: ServerUrls, word: str, delay: int | None = None) -> None:
    """Send a stock message as a stock client does, which knows nothing of us."""
    client = RedisBroker(url=urls.redis)  # type: ignore[no-untyped-call]
    client.declare_queue("stock")
    message: Message[None] = Message("stock", "note", (word,), {}, {})
    client.enqueue(message, delay=delay)
    client.close()


async def words(bells: Bells) -> set[str]:
    found: list[bytes] = await bells.redis.lrange("words", 0, -1)  # type: ignore[assignment]
    return {word.decode() for word in found}


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)])
async def test_executions_and_stock_messages_run_under_dramatiqs_command_until_it_is_told_to_end(
    database: Database, urls: ServerUrls, bells: Bells, signals: tuple[signal.Signals, ...]
) -> None:
    await bells.ring([await queued(database, "prices", subject=str(number)) for number in range(20)])
    send(urls, "now")
    send(urls, "later", delay=200)

    async def done() -> bool:
        return await scalar(database, ENDED) == 20 and await words(bells) == {"now", "later"}

    async def is_held() -> bool:
        return await scalar(database, RUNNING) == 1

    with command(urls) as process:
        await until(done, 90)
        assert len(await bells.redis.zrange(HEARTBEATS, 0, -1)) >= 1
        await bells.ring([await queued(database, "prices", subject="never ends")])
        await until(is_held, 20)
        for number in signals:
            process.send_signal(number)
        await asyncio.to_thread(process.wait, 30)
        assert process.returncode == 0 or len(signals) > 1
    assert await scalar(database, LIVE) == 0
    if len(signals) == 1:
        assert await scalar(database, RUNNING) == 0
        assert await scalar(database, OUTCOMES) == "interrupted"


async def test_the_death_of_dramatiqs_master_ends_its_process_and_the_lease_with_it(
    database: Database, urls: ServerUrls
) -> None:
    async def lives() -> bool:
        return await scalar(database, LIVE) == 1

    async def has_none() -> bool:
        return await scalar(database, LIVE) == 0

    with command(urls) as process:
        await until(lives, 90)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        await until(has_none, 20)
        assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
