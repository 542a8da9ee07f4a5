"""An operator's command, run as a process of its own: requeue every dead letter, and whatever else failed.

It ends with 1 if Redis or Postgres was away or somebody was faster, so that he runs it again.
"""

import asyncio
import sys
from collections.abc import Sequence

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config.settings import read_settings
from db.engine import make_engine
from db.transaction import Database
from ops.chaos.instruments import COMMAND
from worker.bells.ringing import Bells
from worker.inspection.acting import act, act_on_all, resolve, select
from worker.inspection.reach import Reach, Wish
from worker.inspection.results import Action, Command, Group, Result, Verdict

_REQUEUE = Command(Group.DEAD, Action.REQUEUE, "chaos")

# A Redis that was wiped knows no dead letter any more; the record does.
_NOT_DONE_AGAIN = text(
    "SELECT e.id FROM service_task_execution e WHERE e.status = 'failed' AND e.parent_id IS NULL "
    "AND NOT EXISTS (SELECT FROM service_task_execution c WHERE c.parent_id = e.id) ORDER BY e.id"
)


async def requeue() -> list[Result]:
    """Requeue on the servers of the environment. Raises RedisError, DBAPIError or OSError."""
    settings = read_settings()
    database = Database(make_engine(settings.urls.sqlalchemy, pool_size=2, application=COMMAND))
    bells = Bells(settings.urls.redis)
    reach = Reach(database, bells.redis, settings.worker.share)
    try:
        letters = await select(reach, Group.DEAD, Wish())
        results = [result async for some in act_on_all(reach, _REQUEUE, letters) for result in some]
        async with database.reading(None) as session:
            left: Sequence[int] = (await session.execute(_NOT_DONE_AGAIN)).scalars().all()
        return results + await act(reach, _REQUEUE, await resolve(reach, [str(id_) for id_ in left]))
    finally:
        await bells.close()
        await database.close()


def main() -> int:
    """Run the command. Returns the exit code."""
    try:
        results = asyncio.run(requeue())
    except (RedisError, DBAPIError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    for result in results:
        sys.stdout.write(f"{result.id} {result.verdict}: {result.said}\n")
    return int(any(result.verdict in {Verdict.LOST, Verdict.UNSURE} for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
