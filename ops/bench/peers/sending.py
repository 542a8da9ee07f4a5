"""How others put many messages on their queues, each in a process of its own: prints the seconds it took.

python -m ops.bench.peers.sending stock 50000       a loop of `actor.send()`: on Redis alone, no record
python -m ops.bench.peers.sending celery 5000       a loop of `apply_async`: on Redis alone, no record
python -m ops.bench.peers.sending procrastinate 50000    `batch_defer` of a thousand: in Postgres, durable
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

WARM = 200
BATCH = 1000


def send_stock(count: int) -> float:
    """Send with stock Dramatiq. Returns the seconds."""
    from ops.bench.peers.stock import noop

    return _loop(noop.send, count)


def send_celery(count: int) -> float:
    """Send with Celery. Returns the seconds."""
    from ops.bench.peers.celery_app import app

    noop = app.tasks["noop"]
    return _loop(lambda number: noop.apply_async((number,)), count)


def send_procrastinate(count: int) -> float:
    """Defer with Procrastinate, a batch in each transaction. Returns the seconds."""
    return asyncio.run(_defer(count))


def _loop(send: Callable[[int], object], count: int) -> float:
    for number in range(min(WARM, count)):
        send(number)
    began = time.perf_counter()
    for number in range(count):
        send(number)
    return time.perf_counter() - began


async def _defer(count: int) -> float:
    from ops.bench.peers.procrastinate_app import app

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        jobs = app.configure_task("noop")
        await jobs.batch_defer_async(*_numbers(0, WARM))
        began = time.perf_counter()
        for start in range(0, count, BATCH):
            await jobs.batch_defer_async(*_numbers(start, min(start + BATCH, count)))
        return time.perf_counter() - began


def _numbers(first: int, end: int) -> list[dict[str, Any]]:
    return [{"number": number} for number in range(first, end)]


SENDERS = {"stock": send_stock, "celery": send_celery, "procrastinate": send_procrastinate}

if __name__ == "__main__":
    sys.stdout.write(f"{SENDERS[sys.argv[1]](int(sys.argv[2]))}\n")
