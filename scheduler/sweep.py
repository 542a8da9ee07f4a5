"""Rings what is ready, due or unanswered, and takes back what dead workers held."""

import time

import structlog

from db.executions import Bell
from db.partitions import PartitionRepository
from db.sweeps import Outlook, SweepRepository
from db.transaction import Database
from db.workers import WorkerRepository
from worker.bells.ringing import Bells

log = structlog.get_logger(__name__)

CHUNK = 1000
# A bell that was rung this long ago and answered by nobody may have gone with its Redis; ringing twice is nothing.
UNANSWERED_SECONDS = 10.0
# Executions are partitioned by month; the next month's is made in good time, by whichever scheduler looks first.
PARTITION_DAYS = 45
PARTITION_SECONDS = 3600.0


class Sweep:
    """Looks at rows again and again; every statement may be run by several schedulers at once."""

    def __init__(self, database: Database, bells: Bells, lease_seconds: float, every_seconds: float) -> None:
        self.database, self.bells = database, bells
        self.lease_seconds, self.every_seconds = lease_seconds, every_seconds
        self._seen_at: float | None = None
        self._patient_until = 0.0
        self._partitions_at: float | None = None

    async def outlook(self) -> Outlook:
        """Return what there may be to do."""
        async with self.database.reading(None) as session:
            return await SweepRepository(session).outlook()

    async def ring_ready(self) -> int:
        """Ring waiting executions whose prerequisites are met, and follow-ups and retries that are due."""
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            bells = [*await sweeps.make_ready(CHUNK), *await sweeps.due(CHUNK)]
        await self.bells.ring(bells)
        return len(bells)

    async def heal(self) -> None:
        """Once every so often: make missing syncs, end hopeless waits, ring again, take back from the dead."""
        now = time.monotonic()
        if self._seen_at is not None and now - self._seen_at < self.every_seconds:
            return
        self._watch_gap(now)
        await self._make_partitions(now)
        await self._look_again()
        await self._take_back(patient=now < self._patient_until)
        self._seen_at = time.monotonic()

    def _watch_gap(self, now: float) -> None:
        """After a gap in our own sight of Postgres nobody is declared dead for one lease: they may renew first.

        A sweep that begins has seen nothing yet, and waits too.
        """
        if self._seen_at is None or now - self._seen_at > self.every_seconds + self.lease_seconds / 2:
            self._patient_until = now + self.lease_seconds

    async def _make_partitions(self, now: float) -> None:
        if self._partitions_at is None or now - self._partitions_at > PARTITION_SECONDS:
            async with self.database.transaction(None) as session:
                await PartitionRepository(session).make_ahead(PARTITION_DAYS)
            self._partitions_at = now

    async def _look_again(self) -> None:
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            made, ended = await sweeps.make_syncs(), await sweeps.give_up()
            bells: list[Bell] = await sweeps.unanswered(UNANSWERED_SECONDS, CHUNK)
        await self.bells.ring(bells)
        if ended or made or bells:
            log.info("swept", gave_up=ended, syncs_made=made, rung_again=len(bells))

    async def _take_back(self, *, patient: bool) -> None:
        """Queue again what dead workers held, first on Redis: a copy there is dropped at the claim.

        patient: only those whose supervisor saw them end. A row locked by a frozen worker is left to a later sweep,
        and so is the end of that worker.
        """
        async with self.database.reading(None) as session:
            dead = await WorkerRepository(session).dead(patient=patient)
        if not dead:
            return
        messages = [await self.bells.give_back(name) for name in dead]
        async with self.database.transaction(None) as session:
            workers = WorkerRepository(session)
            locked = await workers.lock_dead(dead)
            taken = await SweepRepository(session).take_back(locked)
            await workers.end(locked)
        log.warning("workers_lost", workers=locked, executions=len(taken.queued), messages=sum(messages))
        if taken.quarantined:
            log.error("executions_quarantined", executions=list(taken.quarantined))
