"""Rings what is ready, due or unanswered, and takes back what dead workers held."""

import time

import structlog

from db.executions import Bell
from db.sweeps import Outlook, SweepRepository
from db.transaction import Database
from db.workers import WorkerRepository
from worker.bells.ringing import Bells

log = structlog.get_logger(__name__)

CHUNK = 1000
# A bell that was rung this long ago and answered by nobody may have gone with its Redis; ringing twice is nothing.
UNANSWERED_SECONDS = 10.0


class Sweep:
    """Looks at rows again and again; every statement may be run by several schedulers at once."""

    def __init__(self, database: Database, bells: Bells, lease_seconds: float, every_seconds: float) -> None:
        self.database, self.bells = database, bells
        self.lease_seconds, self.every_seconds = lease_seconds, every_seconds
        self._seen_at: float | None = None
        self._patient_until = 0.0

    async def outlook(self) -> Outlook:
        """Return what there may be to do."""
        async with self.database.reading(None) as session:
            return await SweepRepository(session).outlook()

    async def ring_ready(self) -> int:
        """Ring waiting executions whose prerequisites are met, and follow-ups and retries that are due."""
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            bells = [*await sweeps.make_ready(CHUNK), *await sweeps.due(CHUNK)]
        await self.bells.ring(bells)
        return len(bells)

    async def heal(self) -> None:
        """Once every so often: end hopeless waits, make missing syncs, ring again, take back from the dead."""
        now = time.monotonic()
        if self._seen_at is not None and now - self._seen_at < self.every_seconds:
            return
        self._watch_gap(now)
        await self._look_again()
        if now >= self._patient_until:
            await self._take_back()
        self._seen_at = time.monotonic()

    def _watch_gap(self, now: float) -> None:
        """After a gap in our own sight of Postgres nobody is declared dead for one full lease: they may renew first."""
        if self._seen_at is None or now - self._seen_at > self.every_seconds + self.lease_seconds / 2:
            self._patient_until = now + self.lease_seconds if self._seen_at is not None else now
        # The first sweep of a process has no gap behind it.

    async def _look_again(self) -> None:
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            ended, made = await sweeps.give_up(), await sweeps.make_syncs()
            bells: list[Bell] = await sweeps.unanswered(UNANSWERED_SECONDS, CHUNK)
        await self.bells.ring(bells)
        if ended or made or bells:
            log.info("swept", gave_up=ended, syncs_made=made, rung_again=len(bells))

    async def _take_back(self) -> None:
        """Queue again what dead workers held; their row ends in the same transaction, so a late renewal finds it so."""
        async with self.database.transaction(None) as session:
            workers = WorkerRepository(session)
            dead = await workers.dead()
            taken = await SweepRepository(session).take_back(dead) if dead else 0
            if dead:
                await workers.end(dead)
        for name in dead:
            given_back = await self.bells.give_back(name)
            log.warning("worker_lost", worker=name, executions=taken, messages=given_back)
