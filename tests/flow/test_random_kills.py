"""Workers, their supervisor and the scheduler killed at random moments of a replay: the trades stay the same.

MUHURAT_KILLS says how many strikes there are and MUHURAT_SEED which, to look further than every run does.
"""

import os
import signal
from dataclasses import replace
from random import Random

from tests.flow.agreement import disagreements
from tests.flow.replays import TWENTY_SESSIONS, Scene, Undisturbed, played
from tests.flow.test_kill_replay import hold_against

KILLS = int(os.environ.get("MUHURAT_KILLS", "6"))
SEED = int(os.environ.get("MUHURAT_SEED", "7"))
# Sessions are so close together that the last ones may be over before a strike is made.
LAST_STRUCK = 17

ENDED = "SELECT count(*) FROM service_task_execution WHERE status IN ('success', 'skipped')"
LATER = f"SELECT 1 WHERE ({ENDED}) >= :count"
ALIVE = "SELECT pid FROM worker_processes WHERE ended_at IS NULL AND gone_at IS NULL AND lease_until > now()"
DUPLICATES = (
    "SELECT 1 FROM orders GROUP BY account_id, intent_key HAVING count(*) > 1 "
    "UNION ALL SELECT 1 FROM fills GROUP BY account_id, broker_fill_id HAVING count(*) > 1 "
    "UNION ALL SELECT 1 FROM paper_orders GROUP BY account_id, tag HAVING count(*) > 1"
)


async def _strike(scene: Scene, session: int, random: Random) -> None:
    """Kill one process somewhere in a session's work."""
    await scene.reached(session)
    done = await scene.one(ENDED)
    await scene.caught(LATER, count=done + random.randrange(12))
    victim = random.choice(("child", "worker", "scheduler"))
    if victim != "child":
        scene.kill(victim)
        return
    pids = [row.pid for row in await scene.rows(ALIVE)]
    if pids:
        os.kill(random.choice(pids), signal.SIGKILL)


async def test_kills_at_random_moments_change_nothing_that_is_traded(undisturbed: Undisturbed) -> None:
    alone = await undisturbed(TWENTY_SESSIONS)
    random = Random(SEED)

    async def disturb(scene: Scene) -> None:
        for session in sorted(random.choices(range(2, LAST_STRUCK), k=KILLS)):
            await _strike(scene, session, random)

    async with played(replace(TWENTY_SESSIONS, workers=2, threads=4), disturb) as (scene, report):
        assert await disagreements(scene) == {}
        assert await scene.rows(DUPLICATES) == []
    hold_against(report, alone)
