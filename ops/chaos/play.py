"""Plays one case: executions come into a state, the fault strikes, gates open, all must end, and the promises hold."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from redis.asyncio import Redis

from ops.chaos.eye import Eye, NotReachedError, reached
from ops.chaos.faults import Fault
from ops.chaos.ground import Ground
from ops.chaos.house import House, Street
from ops.chaos.instruments import EMPTY, EMPTY_HOUSE
from ops.chaos.plans import TASKS_USED
from ops.chaos.probe import every_survivor_works
from ops.chaos.promises import PROMISES, Held, unfinished
from ops.chaos.scene import Scene
from ops.chaos.states import State
from ops.chaos.watch import Watched, watching
from worker.bells.keys import dead_errors_key, dead_key, dead_messages_key

# Most of these are for machines that have more to do; a step that is reached waits no longer.
BOOT_SECONDS = 120.0
# After the fault is over: generous, because slow is no violation by itself; how long it took is told.
END_SECONDS = 90.0
_QUIET_SECONDS = 10.0
# The state is held: it does not matter to it when the fault strikes, but it may to what happens beside.
_JITTER_SECONDS = 0.3


_ENDED = "SELECT status, count(*) AS n FROM service_task_execution GROUP BY status ORDER BY status"


@dataclass
class Result:
    """How a case went.

    struck: there was something in the state, and the fault left its mark. faults: how many strikes there were.
    recovered_s: from then on until every execution was over. logs: the folder of its processes' logs, which they may
    share with the cases before; at: when it began, as they spell it.
    """

    case: str
    fault: str
    state: str
    executions: int = 0
    in_state: int = 0
    faults: int = 0
    struck: bool = False
    seconds: float = 0.0
    recovered_s: float | None = None
    restarts: int = 0
    logs: str = ""
    at: str = ""
    ended: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    promises: dict[str, Held] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Tell whether the fault struck and no promise was broken."""
        return self.struck and not self.violations


def play(street: Street, fault: Fault, state: State, random: Random) -> Result:
    """Play a case of the matrix. random: when the fault strikes. Call it in the main thread, outside of event loops."""

    async def part(scene: Scene) -> None:
        await state.bring(scene)
        await asyncio.sleep(random.uniform(0, _JITTER_SECONDS))
        scene.notes["in_state"] = await state.count(scene)
        async with fault.strike(scene):
            if fault.opens:
                scene.open_steps()
            if fault.releases:
                scene.release()
        scene.open_steps()
        scene.release()
        if state.finish is not None:
            await state.finish(scene)

    result = Result(f"{fault.name}/{state.name}", fault.name, state.name)
    return staged(street, result, part, ahead_seconds=fault.ahead_seconds)


def staged(
    street: Street, result: Result, part: Callable[[Scene], Awaitable[None]], *, ahead_seconds: float = 0.0
) -> Result:
    """Play a part on an empty record, wait for every end, see that everybody still works, and look at every promise.

    The processes are those of the last case and whoever was started in their place, unless that one failed.
    """
    began = time.monotonic()
    house = street.standing(ahead_seconds)
    asyncio.run(_empty(street.ground, fresh=house is None))
    house = house or street.build(result.case, ahead_seconds)
    house.gate.unlink(missing_ok=True)
    now = datetime.now(UTC)  # noqa: TID251 - a door: what is looked up in logs
    result.logs, result.at = str(house.logs), now.isoformat(timespec="seconds")
    asyncio.run(_play(street.ground, house, result, part))
    result.seconds = round(time.monotonic() - began, 1)
    if not result.holds:
        street.clear()  # whatever broke shall not break the next one too
    return result


async def _empty(ground: Ground, *, fresh: bool) -> None:
    eye, redis = Eye(ground.urls.database), Redis.from_url(ground.urls.redis)
    await eye.rows(EMPTY)
    if fresh:
        await eye.rows(EMPTY_HOUSE)
        await redis.flushall()
    else:
        for queue in TASKS_USED.values():
            await redis.delete(dead_key(queue), dead_messages_key(queue), dead_errors_key(queue))
    await redis.aclose()
    eye.close()


async def _play(ground: Ground, house: House, result: Result, part: Callable[[Scene], Awaitable[None]]) -> None:
    scene = Scene(ground, house, Eye(ground.urls.database), Redis.from_url(ground.urls.redis))
    try:
        async with watching(ground.urls.database) as watched:
            try:
                await reached("workers are ready", scene.house_is_ready, BOOT_SECONDS)
                await part(scene)
            except NotReachedError as error:
                scene.violations.append(str(error))
            except Exception as error:  # noqa: BLE001 - a case that breaks is told of; the others are played
                scene.violations.append(f"the case broke: {type(error).__name__}: {error}")
            finally:
                scene.open_steps()
                scene.release()
                await scene.end_operator()
            await _end(scene, result)
            await _judge(scene, watched, result)
    finally:
        await scene.redis.aclose()
        scene.eye.close()


async def _end(scene: Scene, result: Result) -> None:
    """Wait until every execution is over and Redis has nothing left of them, doors being started again."""
    over = time.monotonic()

    async def ended() -> bool:
        scene.house.keep_running()
        return not await unfinished(scene)

    async def quiet() -> bool:
        return not await scene.left_on_redis()

    try:
        await reached("every execution is over", ended, END_SECONDS)
        result.recovered_s = round(time.monotonic() - over, 2)
        scene.notes["survivors"] = await every_survivor_works(scene)
        await reached("nothing is left on Redis", quiet, _QUIET_SECONDS)
    except NotReachedError as error:
        scene.violations.append(str(error))


async def _judge(scene: Scene, watched: Watched, result: Result) -> None:
    notes = scene.notes
    result.in_state = int(str(notes.pop("in_state", 0)))
    result.struck = bool(notes.pop("struck", False)) and result.in_state > 0
    result.faults = int(str(notes.pop("faults", int(result.struck))))
    result.notes, result.executions, result.restarts = notes, scene.accepted, scene.house.restarts
    result.ended = {row["status"]: row["n"] for row in await scene.eye.rows(_ENDED)}
    for promise in PROMISES:
        held = result.promises[promise.name] = await promise.look(scene, watched)
        scene.violations += [f"{promise.name}: {said}" for said in held.violations]
    result.violations = scene.violations
