"""A sweep that ends before any of its commits, or before what it committed is rung: another one comes to the same."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository, Settlement
from db.healings import HealingRepository
from db.losses import LossRepository
from db.partitions import PartitionRepository
from db.shares import ShareRepository
from db.sweeps import SweepRepository
from db.training_jobs import MLTrainingJobRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import MORNING, Person, person, queued, replay_from, worker
from tests.scheduler.ends import Killed, after, die
from tests.scheduler.messages import ready
from worker.bells.ringing import Bells

_ANALYSIS = {"task": "analysis", "subject": "dip:abc", "account": False, "after": MORNING.isoformat(), "repeats": False}
_SYNC = {"task": "order_sync", "subject": None, "account": True, "after": MORNING.isoformat(), "repeats": True}
_WAITS = """
INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, status, as_of,
    waiting_for, useful_until)
VALUES (:at, 'buy_orders', :user_id, :account_id, :subject, 'strategy', 'waiting', :at, CAST(:needs AS jsonb), :until)
"""
_ROWS = "SELECT id, generation, task_name || ' ' || subject AS name, status FROM service_task_execution"

# What one sweep after another comes to, and what is then ready: each once.
ENDED = {
    "analysis dip:abc": "success",
    "buy_orders met": "queued",
    "buy_orders unmet": "waiting",
    "buy_orders late": "skipped",
    "order_sync ": "queued",
    "order_sync due": "queued",
    "order_sync held": "queued",
    "prices ": "queued",
}
RUNG = ["buy_orders met 1", "order_sync  1", "order_sync due 1", "order_sync held 2", "prices  1"]

POINTS: dict[str, tuple[type[Any], str, Callable[..., Awaitable[Any]]]] = {
    "with a dead worker's executions taken back": (LossRepository, "take_back", after(LossRepository.take_back)),
    "with a dead worker ended": (WorkerRepository, "end", after(WorkerRepository.end)),
    "with partitions made": (PartitionRepository, "make_ahead", after(PartitionRepository.make_ahead)),
    "with missing syncs made": (SweepRepository, "make_syncs", after(SweepRepository.make_syncs)),
    "with hopeless waits ended": (SweepRepository, "give_up", after(SweepRepository.give_up)),
    "with training jobs closed": (MLTrainingJobRepository, "close_ended", after(MLTrainingJobRepository.close_ended)),
    "with its healings written": (HealingRepository, "record", after(HealingRepository.record)),
    "with shared work marked as rung": (ShareRepository, "ring_shared", after(ShareRepository.ring_shared)),
    "with users' work marked as rung": (ShareRepository, "ring_due", after(ShareRepository.ring_due)),
    "with waiting work made ready": (SweepRepository, "make_ready", after(SweepRepository.make_ready)),
    "with what is committed not rung": (Ringer, "ring", die),
}


@pytest.mark.parametrize("point", POINTS)
async def test_wherever_a_sweep_ends_another_comes_to_the_same(database: Database, bells: Bells, point: str) -> None:
    await _work(database)
    owner, name, deadly = POINTS[point]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, deadly)
        with pytest.raises(Killed):
            await _turn(_sweep(database, bells))
    heir = _sweep(database, bells)
    await _turn(heir)
    await _turn(heir)
    # What was committed and never heard of counts as unanswered after a while.
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET rung_at = now() - interval '1 minute' WHERE rung_at < now()")
        )
    await heir.heal()
    async with database.reading(None) as session:
        rows = (await session.execute(text(_ROWS))).all()
    assert {row.name: row.status for row in rows} == ENDED
    assert len(rows) == len(ENDED)
    names = {f"{row.id}.{row.generation}": f"{row.name} {row.generation}" for row in rows}
    found = [id_ for queue in ("orders", "strategy", "default") for id_ in await ready(bells, queue)]
    assert sorted(names[id_] for id_ in found) == RUNG


async def _turn(sweep: Sweep) -> None:
    await sweep.heal()
    await sweep.ring_ready()


def _sweep(database: Database, bells: Bells) -> Sweep:
    return Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)


async def _work(database: Database) -> None:
    """Lay down something for every part of a sweep."""
    await replay_from(database)
    asha, bala, chitra = [await person(database, name) for name in ("asha", "bala", "chitra")]
    for name in ("w1", "dead"):
        await worker(database, name)
    analysed = await queued(database, "analysis", subject="dip:abc")
    held = await queued(database, "order_sync", asha, "held")
    await queued(database, "order_sync", bala, "due", rung=False)
    await queued(database, "prices", rung=False)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        [ran], _ = await ledger.claim([analysed], "w1")
        await ledger.settle([Settlement(ran, "success", 0.1)], "w1")
        await ledger.claim([held], "dead")
        await WorkerRepository(session).expire("dead")
    await _waits(database, asha, "met", [_ANALYSIS])
    await _waits(database, chitra, "unmet", [_ANALYSIS, _SYNC])
    await _waits(database, bala, "late", [_SYNC | {"after": (MORNING + timedelta(hours=2)).isoformat()}], hours=-1)


async def _waits(database: Database, who: Person, subject: str, needs: list[Any], hours: int = 5) -> None:
    values = {"at": MORNING, "user_id": who.user_id, "account_id": who.account_id, "subject": subject}
    async with database.transaction(None) as session:
        until = MORNING + timedelta(hours=hours)
        await session.execute(text(_WAITS), {**values, "needs": json.dumps(needs), "until": until})
