"""Deaths between two halves: the rows are committed, and Redis has not heard of it when who should tell it is killed.

The line to Redis is silent meanwhile, so that the second half cannot happen by luck.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from random import Random

from ops.chaos.acting import ACTING_STATE, DEAD_LETTERS
from ops.chaos.eye import reached
from ops.chaos.instruments import SETTLING
from ops.chaos.plans import RETRY
from ops.chaos.scene import Scene, Single
from ops.chaos.states import EXECUTIONS, SETTLING_STATE, mixed

_REACH_SECONDS = 90.0

_ENDED = (
    "SELECT count(*) FROM service_task_execution WHERE status = 'success' AND id || '.' || generation = ANY($1::text[])"
)
_RETRYING = "SELECT count(*) FROM service_task_execution WHERE status = 'retrying'"
_RUNG = "SELECT count(*) FROM service_task_execution WHERE status = 'queued' AND rung_at IS NOT NULL"
_DONE_AGAIN = "SELECT count(*) FROM service_task_execution WHERE parent_id IS NOT NULL"


async def _settled(scene: Scene, _: Random) -> None:
    """Kill a worker whose outcomes are committed and not acknowledged."""
    await SETTLING_STATE.bring(scene)
    scene.ground.line.stall(requests=True)
    scene.release()

    async def count() -> int:
        return int(await scene.eye.one(_ENDED, await scene.claimed()))

    await _killed_worker(scene, "outcomes are committed and not acknowledged", count)


async def _retried(scene: Scene, _: Random) -> None:
    """Kill a worker whose retries are committed, and wait nowhere on Redis."""
    scene.open_steps()
    await scene.hold(SETTLING)
    await scene.accept(mixed(EXECUTIONS, RETRY))
    await reached("a settle waits at its gate", lambda: scene.held_up(SETTLING), _REACH_SECONDS)
    scene.ground.line.stall(requests=True)
    scene.release()

    async def count() -> int:
        return int(await scene.eye.one(_RETRYING))

    await _killed_worker(scene, "retries are committed and wait nowhere", count)


async def _killed_worker(scene: Scene, what: str, count: Callable[[], Awaitable[int]]) -> None:
    try:
        await reached(what, count, _REACH_SECONDS)
        name, pid = await scene.victim()
        os.kill(pid, signal.SIGKILL)
        scene.notes |= {"in_state": await count(), "struck": True, "victim": name}
    finally:
        scene.ground.line.resume()


async def _rung(scene: Scene, _: Random) -> None:
    """Kill the scheduler when rows say that they were rung and no message is on its way."""
    scene.ground.line.stall(requests=True)
    try:
        await scene.accept(mixed(EXECUTIONS))

        async def count() -> int:
            return int(await scene.eye.one(_RUNG))

        await reached("rows say that they were rung", count, _REACH_SECONDS)
        scene.house.scheduler.signal(signal.SIGKILL)
        scene.notes |= {"in_state": await count(), "struck": not await scene.ready()}
    finally:
        scene.ground.line.resume()


async def _requeued(scene: Scene, _: Random) -> None:
    """Kill an operator's command when the new rows are committed and the dead letters still lie there."""
    await ACTING_STATE.bring(scene)
    scene.ground.line.stall(requests=True)
    try:
        scene.release()

        async def count() -> int:
            return int(await scene.eye.one(_DONE_AGAIN))

        await reached("what is requeued has its rows", count, _REACH_SECONDS)
        operator, scene.operator = scene.operator, None
        if operator is not None:
            operator.kill()
            scene.notes["struck"] = await operator.wait() == -signal.SIGKILL and await count() == DEAD_LETTERS
        scene.notes["in_state"] = await count()
    finally:
        scene.ground.line.resume()
    scene.open_steps()
    if ACTING_STATE.finish is not None:
        await ACTING_STATE.finish(scene)


HALVES = (
    Single("half_settled", "kill -9 of a worker whose outcomes are committed and not acknowledged", _settled),
    Single("half_retried", "kill -9 of a worker whose retries are committed and not yet on Redis", _retried),
    Single("half_rung", "kill -9 of the scheduler whose rings are committed and not yet on Redis", _rung),
    Single("half_requeued", "kill -9 of an operator's command whose rows are committed, Redis not told", _requeued),
)
