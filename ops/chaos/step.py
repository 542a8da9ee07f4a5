"""The step that the suite runs in place of a task's own: an effect under a unique key, behind a gate it can close."""

import asyncio
import os
import signal
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import Execution, ServiceTaskRepository
from ops.chaos.ordering import plan_order
from ops.chaos.plans import FAIL, INSIDE, KILL, ORDER, POISON, RETRY, SLOW, Plan, is_of_an_order, plan_of
from worker.actors import Step
from worker.outcome import Outcome, Refuse, Retry, done
from worker.resources import Resources

GATE = "MUHURAT_CHAOS_GATE"
"""The variable that names the file whose presence opens the gate."""

_LOOK_SECONDS = 0.02
SLOW_SECONDS = 0.4
# A process has four connections: claims and settles need theirs while steps hold transactions open.
_INSIDE = asyncio.Semaphore(2)

_BEGIN = text("INSERT INTO chaos_begins (execution_id, generation) VALUES (:id, :generation)")
_PASS = text("INSERT INTO chaos_passes (execution_id, generation) VALUES (:id, :generation)")
_SEEN = text("SELECT 1 FROM chaos_effects WHERE key = :key")
_EFFECT = text("INSERT INTO chaos_effects (key, execution_id, generation) VALUES (:key, :id, :generation)")
_FAILED = text("SELECT 1 FROM service_task_execution WHERE subject = :subject AND status = 'failed'")
_DOUBLE = text("INSERT INTO chaos_doubles (key, generation) VALUES (:key, :generation)")


def replaced(step: Step) -> Step:
    """Return the suite's step, which leaves orders to the product's: what is unknown is looked for in the book."""

    async def run(resources: Resources, execution: Execution) -> Outcome:
        return await (step if is_of_an_order(execution.subject) else chaos_step)(resources, execution)

    return run


async def chaos_step(resources: Resources, execution: Execution) -> Outcome:
    """Do what the execution's subject says, once the gate is open."""
    plan = plan_of(execution.subject)
    async with resources.database.transaction(None) as session:
        await session.execute(_BEGIN, {"id": execution.id, "generation": execution.generation})
    if plan.word not in {INSIDE, FAIL}:
        await _opened()
    if plan.word == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if plan.word == RETRY and execution.attempt == 1:
        raise Retry("what it needs is away")
    if plan.word == FAIL and not await _has_failed(resources, execution):
        raise Refuse("it cannot be done")
    if plan.word == SLOW:
        await asyncio.sleep(SLOW_SECONDS)
    try:
        await _work(resources, execution, plan)
    except IntegrityError:
        async with resources.database.transaction(None) as session:
            await session.execute(_DOUBLE, {"key": _key(execution), "generation": execution.generation})
        raise
    return Outcome("no such status", {"nan": float("nan")}) if plan.word == POISON else done(effects=1)


async def _has_failed(resources: Resources, execution: Execution) -> bool:
    async with resources.database.reading(None) as session:
        return (await session.execute(_FAILED, {"subject": execution.subject})).first() is not None


async def _work(resources: Resources, execution: Execution, plan: Plan) -> None:
    if plan.word != INSIDE:
        async with resources.database.transaction(None) as session:
            if await _effect(session, execution) and plan.word == ORDER:
                await plan_order(session, resources, execution, plan.number)
        return
    async with _INSIDE, resources.database.transaction(None) as session:
        await _effect(session, execution)
        await _opened()


async def _effect(session: AsyncSession, execution: Execution) -> bool:
    """Make the effect under the fence. One that an earlier attempt committed before it was lost is not made again.

    Returns whether it was made.
    """
    await ServiceTaskRepository(session).fence(execution)
    await session.execute(_PASS, {"id": execution.id, "generation": execution.generation})
    key = {"key": _key(execution)}
    is_new = (await session.execute(_SEEN, key)).scalar_one_or_none() is None
    if is_new:
        await session.execute(_EFFECT, {**key, "id": execution.id, "generation": execution.generation})
    return is_new


def _key(execution: Execution) -> str:
    return f"effect:{execution.id}"


async def _opened() -> None:
    """Wait at the gate. It is a file, so that no fault of a server touches it."""
    while not Path(os.environ[GATE]).exists():  # noqa: ASYNC110, ASYNC240 - no event crosses processes; a look is quick
        await asyncio.sleep(_LOOK_SECONDS)
