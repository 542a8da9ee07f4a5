"""An operator and the workers after the same executions at the same moment: one of them wins each, and it shows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

from db.engine import make_engine
from db.transaction import Database
from ops.chaos.eye import reached
from ops.chaos.plans import RETRY
from ops.chaos.scene import Scene, Single
from ops.chaos.states import EXECUTIONS, RUNNING, at_least, mixed
from worker.inspection.acting import act, resolve
from worker.inspection.reach import Reach
from worker.inspection.results import Action, Command, Group, Verdict

_REACH_SECONDS = 90.0
# Few at once: it takes the operator as long as the workers.
_AT_ONCE = 2

_RETRYING = "SELECT id FROM service_task_execution WHERE status = 'retrying' ORDER BY next_attempt_at"
_ONE_BEGAN = "SELECT EXISTS (SELECT FROM service_task_execution WHERE attempt > 1)"
_RUNNING = """
SELECT id FROM service_task_execution e WHERE status = 'running'
AND EXISTS (SELECT FROM chaos_begins b WHERE b.execution_id = e.id AND b.generation = e.generation) ORDER BY id
"""
# What an act that won makes of an execution, by group and action.
_ENDS = {
    (Group.RETRIES, Action.KILL): "failed",
    (Group.RETRIES, Action.DELETE): "cancelled",
    (Group.RETRIES, Action.RUN): "success",
    (Group.QUEUES, Action.KILL): "cancelled",
}


async def _retries(scene: Scene, random: Random) -> None:
    """Kill, delete and run retries at the moment they come due."""
    scene.open_steps()
    await scene.accept(mixed(EXECUTIONS, RETRY))
    await reached("all wait for their next attempt", lambda: _all_wait(scene), _REACH_SECONDS)
    ids = [int(row["id"]) for row in await scene.eye.rows(_RETRYING)]
    random.shuffle(ids)
    thirds = [ids[number::3] for number in range(3)]
    await reached("the first has begun again", lambda: scene.eye.one(_ONE_BEGAN), _REACH_SECONDS)
    async with _reaching(scene) as reach:
        acts = zip((Action.KILL, Action.DELETE, Action.RUN), thirds, strict=True)
        won = await asyncio.gather(*(_act(scene, reach, Group.RETRIES, action, some) for action, some in acts))
    scene.notes |= {"in_state": len(ids), "faults": len(ids), "won": sum(won), "struck": sum(won) > 0}


async def _running(scene: Scene, _: Random) -> None:
    """Kill what runs, while its step waits at the gate or holds a transaction open."""
    await scene.accept(mixed(EXECUTIONS))
    await reached("steps wait at the gate", lambda: at_least(scene, RUNNING), _REACH_SECONDS)
    ids = [int(row["id"]) for row in await scene.eye.rows(_RUNNING)]
    async with _reaching(scene) as reach:
        won = await _act(scene, reach, Group.QUEUES, Action.KILL, ids)
    scene.open_steps()
    scene.notes |= {"in_state": len(ids), "faults": len(ids), "won": won, "struck": won > 0}


async def _act(scene: Scene, reach: Reach, group: Group, action: Action, ids: Sequence[int]) -> int:
    """Act on executions, and note how those must end that were won. Returns how many were."""
    command = Command(group, action, "chaos")
    won: list[int] = []
    for start in range(0, len(ids), _AT_ONCE):
        refs = await resolve(reach, [str(id_) for id_ in ids[start : start + _AT_ONCE]])
        won += [int(one.id) for one in await act(reach, command, refs) if one.verdict is Verdict.DONE]
    scene.ends |= dict.fromkeys(won, _ENDS[group, action])
    return len(won)


async def _all_wait(scene: Scene) -> bool:
    return len(await scene.eye.rows(_RETRYING)) == EXECUTIONS


@asynccontextmanager
async def _reaching(scene: Scene) -> AsyncIterator[Reach]:
    database = Database(make_engine(scene.ground.urls.sqlalchemy, pool_size=3, application="chaos"))
    try:
        yield Reach(database, scene.redis)
    finally:
        await database.close()


RACES = (
    Single("race_retries", "an operator kills, deletes and runs retries as they come due", _retries),
    Single("race_running", "an operator kills what runs, inside a transaction and outside", _running),
)
