"""The states that executions are brought into and held in while a fault strikes, each with a count of what is in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ops.chaos.eye import reached
from ops.chaos.instruments import CLAIMING, SETTLING
from ops.chaos.plans import INSIDE, OK, RETRY, Plan
from ops.chaos.scene import Scene

EXECUTIONS = 60
_REACH_SECONDS = 90.0

_BEGUN = """
SELECT count(*) FROM service_task_execution e WHERE e.status = 'running'
AND EXISTS (SELECT FROM chaos_begins b WHERE b.execution_id = e.id AND b.generation = e.generation)
"""
_QUEUED = "SELECT count(*) FROM service_task_execution WHERE status = 'queued' AND rung_at IS NOT NULL"
_CLAIMED_BY_NOBODY = """
SELECT count(*) FROM service_task_execution e
WHERE e.status = 'queued' AND e.id || '.' || e.generation = ANY($1::text[])
"""
_SETTLING = """
SELECT count(*) FROM service_task_execution e WHERE e.status = 'running'
AND EXISTS (SELECT FROM chaos_effects f WHERE f.execution_id = e.id AND f.generation = e.generation)
"""
_RETRYING = "SELECT count(*) FROM service_task_execution WHERE status = 'retrying' AND next_attempt_at > now()"


@dataclass(frozen=True, slots=True)
class State:
    """One state.

    bring: accepts executions, holds them in it, and returns once enough are. count: how many are in it now.
    least: how many are enough. finish: what is left to do when the fault is over.
    """

    name: str
    sentence: str
    bring: Callable[[Scene], Awaitable[None]]
    count: Callable[[Scene], Awaitable[int]]
    least: int
    finish: Callable[[Scene], Awaitable[None]] | None = None


def mixed(count: int, word: str = OK) -> list[Plan]:
    """Return plans: every fifth holds a transaction open at the gate, the others are alike."""
    return [Plan(number, INSIDE if number % 5 == 4 and word == OK else word) for number in range(count)]


async def _bring_queued(scene: Scene) -> None:
    await scene.accept(mixed(EXECUTIONS))
    await _settled_at_the_gate(scene)
    await _enough(scene, QUEUED)


async def _count_queued(scene: Scene) -> int:
    return min(await scene.ready(), int(await scene.eye.one(_QUEUED)))


async def _bring_fetched(scene: Scene) -> None:
    scene.open_steps()
    await scene.hold(CLAIMING)
    await scene.accept(mixed(EXECUTIONS))
    await reached("a claim waits at its gate", lambda: scene.held_up(CLAIMING), _REACH_SECONDS)
    await _enough(scene, FETCHED)


async def _count_fetched(scene: Scene) -> int:
    return int(await scene.eye.one(_CLAIMED_BY_NOBODY, await scene.claimed()))


async def _bring_running(scene: Scene) -> None:
    await scene.accept(mixed(EXECUTIONS))
    await _settled_at_the_gate(scene)


async def _count_running(scene: Scene) -> int:
    return int(await scene.eye.one(_BEGUN))


async def _bring_settling(scene: Scene) -> None:
    scene.open_steps()
    await scene.hold(SETTLING)
    await scene.accept(mixed(EXECUTIONS))
    await reached("a settle waits at its gate", lambda: scene.held_up(SETTLING), _REACH_SECONDS)
    await _enough(scene, SETTLING_STATE)


async def _count_settling(scene: Scene) -> int:
    return int(await scene.eye.one(_SETTLING))


async def _bring_retry(scene: Scene) -> None:
    scene.open_steps()
    await scene.accept(mixed(EXECUTIONS, RETRY))
    await _enough(scene, WAITING_FOR_RETRY)


async def _count_retry(scene: Scene) -> int:
    return int(await scene.eye.one(_RETRYING))


async def _settled_at_the_gate(scene: Scene) -> None:
    """Wait until every place of every process has an execution that began."""
    await reached("steps wait at the gate", lambda: at_least(scene, RUNNING), _REACH_SECONDS)


async def _enough(scene: Scene, state: State) -> None:
    await reached(f"{state.least} executions are {state.name}", lambda: at_least(scene, state), _REACH_SECONDS)


async def at_least(scene: Scene, state: State) -> bool:
    """Tell whether enough executions are in a state."""
    return await state.count(scene) >= state.least


QUEUED = State("queued", "rung and ready on Redis, nobody took it", _bring_queued, _count_queued, 10)
FETCHED = State("fetched", "taken from Redis, its claim not committed", _bring_fetched, _count_fetched, 2)
RUNNING = State("running", "its step began and waits", _bring_running, _count_running, 8)
SETTLING_STATE = State("settling", "its effect is committed, its end is not", _bring_settling, _count_settling, 2)
WAITING_FOR_RETRY = State("retry", "waits for its next attempt", _bring_retry, _count_retry, 20)
STATES = (QUEUED, FETCHED, RUNNING, SETTLING_STATE, WAITING_FOR_RETRY)
