"""Worker processes, their parent and the scheduler killed at random moments of a replay: the trades stay the same.

MUHURAT_KILLS says how many strikes there are and MUHURAT_SEED which, to look further than every run does.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from tests.flow.agreement import disagreements
from tests.flow.replays import TWENTY_SESSIONS, Scene, Undisturbed, played
from tests.flow.test_kill_replay import hold_against

KILLS = int(os.environ.get("MUHURAT_KILLS", "6"))
SEED = int(os.environ.get("MUHURAT_SEED", "7"))
VICTIMS = ("child", "worker", "scheduler")
# The last sessions may be over before a strike is made.
LAST_STRUCK = 17
# Executions of a session's work after which a process is struck, at most.
SOON = 12
LOOK_SECONDS = 0.5
# The longest that an execution may stand in the name of a worker without a lease.
LONGEST_SECONDS = 15.0

ENDED = "SELECT count(*) FROM service_task_execution WHERE status IN ('success', 'skipped')"
LATER = f"SELECT 1 WHERE ({ENDED}) >= :count"
ALIVE = (
    "SELECT pid FROM worker_processes WHERE ended_at IS NULL AND gone_at IS NULL AND lease_until > now() ORDER BY pid"
)
STANDING = (
    "SELECT coalesce(max(extract(epoch FROM now() - p.lease_until)), 0) FROM service_task_execution e "
    "LEFT JOIN worker_processes p ON p.name = e.worker WHERE e.status = 'running' AND p.lease_until < now()"
)
DUPLICATES = (
    "SELECT 1 FROM orders GROUP BY account_id, intent_key HAVING count(*) > 1 "
    "UNION ALL SELECT 1 FROM fills GROUP BY account_id, broker_fill_id HAVING count(*) > 1 "
    "UNION ALL SELECT 1 FROM paper_orders GROUP BY account_id, tag HAVING count(*) > 1"
)


async def test_kills_at_random_moments_change_nothing_that_is_traded(undisturbed: Undisturbed) -> None:
    alone = await undisturbed(TWENTY_SESSIONS)
    longest = [0.0]

    async def disturb(scene: Scene) -> None:
        random = Random(SEED)
        sessions = sorted(random.choices(range(2, LAST_STRUCK), k=KILLS))
        victims = [VICTIMS[number % len(VICTIMS)] for number in range(KILLS)]
        random.shuffle(victims)
        async with _measured(scene, longest):
            for session, victim in zip(sessions, victims, strict=True):
                await _strike(scene, session, victim, random)

    async with played(replace(TWENTY_SESSIONS, workers=2, threads=4), disturb) as (scene, report):
        assert await disagreements(scene) == {}
        assert await scene.rows(DUPLICATES) == []
    hold_against(report, alone)
    assert longest[0] <= LONGEST_SECONDS


async def _strike(scene: Scene, session: int, victim: str, random: Random) -> None:
    """Kill one process somewhere in a session's work."""
    await scene.reached(session)
    done = await scene.one(ENDED)
    await scene.caught(LATER, count=done + random.randrange(SOON))
    if victim != "child":
        scene.kill(victim)
        return
    alive = [row.pid for row in await scene.rows(ALIVE)]
    if alive:
        os.kill(random.choice(alive), signal.SIGKILL)


@asynccontextmanager
async def _measured(scene: Scene, longest: list[float]) -> AsyncIterator[None]:
    """Look again and again how long executions stand in the name of a worker without a lease."""

    async def look() -> None:
        while True:
            longest[0] = max(longest[0], float(await scene.one(STANDING)))
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])
