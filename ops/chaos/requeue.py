"""An operator's action on dead letters, run as a process of its own: requeue every execution that failed, once each.

The rows come first, in one transaction, then Redis; run again after an interruption it does what is left.
"""

import asyncio
import os

import asyncpg
from redis.asyncio import Redis

from ops.chaos.eye import SYSTEM
from ops.chaos.instruments import COMMAND
from worker.messages import QUEUES

_REQUEUE = """
INSERT INTO service_task_execution (scheduled_for, task_name, user_id, subject, queue, status, as_of, parent_id)
SELECT e.scheduled_for, e.task_name, e.user_id, 'again:' || e.id, e.queue, 'queued', e.as_of, e.id
FROM service_task_execution e WHERE e.status = 'failed'
ON CONFLICT DO NOTHING RETURNING id
"""


async def requeue() -> int:
    """Requeue on the servers of the environment. Returns how many were requeued now."""
    connection = await asyncpg.connect(
        os.environ["DATABASE_URL"], server_settings=SYSTEM | {"application_name": COMMAND}
    )
    redis = Redis.from_url(os.environ["REDIS_URL"])
    try:
        made = await connection.fetch(_REQUEUE)
        for queue in QUEUES:
            await redis.delete(f"dramatiq:{queue}.XQ", f"dramatiq:{queue}.XQ.msgs")
    finally:
        await connection.close()
        await redis.aclose()
    return len(made)


if __name__ == "__main__":
    asyncio.run(requeue())
