"""Processes killed in the middle of a replay: it ends as if nothing had happened."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ops.replay.report import Report
from tests.flow.agreement import disagreements
from tests.flow.replays import THREE_SESSIONS, TWELVE_SESSIONS, Scene, Undisturbed, played

# A kill may come a moment after the work it was meant for was done; then another is tried.
MOST_KILLS = 12
# Sessions with some between them, so that each kill meets a platform that recovered from the one before.
EARLY, MIDDLE, LATER, LATE = 2, 4, 7, 9
TRADED = ("digest", "orders", "fills", "positions_opened", "positions_closed", "models_trained", "slots", "equity")

RUNNING = (
    "SELECT p.name, p.pid FROM service_task_execution e JOIN worker_processes p ON p.name = e.worker "
    "WHERE e.status = 'running' AND e.task_name = :task LIMIT 1"
)
TAKEN_BACK = "SELECT 1 FROM worker_processes WHERE name = :name AND ended_at IS NOT NULL"
LOST = "SELECT count(*) FROM execution_attempts WHERE outcome = 'lost'"
# What is due is fired under its rows' locks, and by nobody else before they are let go.
HALF_FIRED = (
    "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = 'schedules'::regclass "
    "AND l.mode = 'RowShareLock' AND a.application_name = 'scheduler' LIMIT 1"
)
SCHEDULER_KILLS = 3
# A submit, a sync and the buys of an account.
LOSSES = 3


async def kill_until_lost(scene: Scene, task: str, kill: Callable[[int], object]) -> None:
    """Kill until running work of a task was struck. kill: takes the pid of the worker that runs it."""
    for _ in range(MOST_KILLS):
        before = await scene.one(LOST)
        worker = await scene.caught(RUNNING, task=task)
        kill(worker.pid)
        await scene.caught(TAKEN_BACK, name=worker.name)
        if await scene.one(LOST) > before:
            return
    raise AssertionError(f"{MOST_KILLS} kills struck no {task}")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


async def everybody_dies(scene: Scene) -> None:
    """Kill the scheduler while it fires, a worker while it submits and while it syncs, then the supervisor of all."""
    await scene.reached(EARLY)
    for _ in range(SCHEDULER_KILLS):
        await scene.caught(HALF_FIRED)
        scene.kill("scheduler")
    await scene.reached(MIDDLE)
    await kill_until_lost(scene, "submit", kill)
    await scene.reached(LATER)
    await kill_until_lost(scene, "order_sync", kill)
    await scene.reached(LATE)
    await kill_until_lost(scene, "buy_orders", lambda _: scene.kill("worker"))


def hold_against(report: Report, undisturbed: dict[str, Any]) -> None:
    """Hold a replay against the undisturbed one: the same trades, nothing failed, nothing left."""
    summary = report.summary
    assert {name: summary[name] for name in TRADED} == {name: undisturbed[name] for name in TRADED}
    assert (summary["unfinished"], summary["executions"]["failed"], report.error_count) == (0, 0, 0)
    assert summary["fills"] > 0


async def test_kills_in_the_middle_change_nothing_that_is_traded(undisturbed: Undisturbed) -> None:
    alone = await undisturbed(TWELVE_SESSIONS)
    async with played(replace(TWELVE_SESSIONS, workers=2, threads=4), everybody_dies) as (scene, report):
        assert await scene.one(LOST) >= LOSSES
        assert await disagreements(scene) == {}
    hold_against(report, alone)


async def test_another_seed_is_another_market(undisturbed: Undisturbed) -> None:
    digests = {(await undisturbed(replace(THREE_SESSIONS, seed=seed)))["digest"] for seed in (THREE_SESSIONS.seed, 8)}
    assert len(digests) == 2
