"""Rings what is ready, due or unanswered, and takes back what dead workers held."""

import asyncio
import time

import structlog
from redis.exceptions import RedisError

from db.executions import Bell
from db.losses import LossRepository
from db.partitions import PartitionRepository
from db.sweeps import Outlook, SweepRepository
from db.training_jobs import MLTrainingJobRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.due import MISSED_RECORDED
from scheduler.sight import Sight
from worker.bells.ringing import Bells

log = structlog.get_logger(__name__)

CHUNK = 1000
# A bell that was rung this long ago and answered by nobody may have gone with its Redis; ringing twice is nothing.
UNANSWERED_SECONDS = 10.0
# Looking away from Postgres for longer would count as a gap in the sight of it.
GIVE_BACK_SECONDS = 1.0
# Executions are partitioned by month; the next month's is made in good time, by whichever scheduler looks first.
PARTITION_DAYS = 45
PARTITION_SECONDS = 3600.0


class Sweep:
    """Looks at rows again and again; every statement may be run by several schedulers at once."""

    def __init__(self, database: Database, bells: Bells, lease_seconds: float, every_seconds: float) -> None:
        self.database, self.bells, self.every_seconds = database, bells, every_seconds
        self.sight = Sight(lease_seconds, every_seconds + lease_seconds / 2)
        self._healed_at: float | None = None
        self._partitions_at: float | None = None

    async def outlook(self) -> Outlook:
        """Return what there may be to do."""
        async with self.database.reading(None) as session:
            outlook = await SweepRepository(session).outlook()
        self.sight.seen()
        return outlook

    async def ring_ready(self) -> int:
        """Ring waiting executions whose prerequisites are met, and follow-ups and retries that are due."""
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            bells = [*await sweeps.make_ready(CHUNK), *await sweeps.due(CHUNK)]
        self.sight.seen()
        await self.bells.ring(bells)
        return len(bells)

    async def heal(self) -> None:
        """Once every so often: make missing syncs, end hopeless waits, ring again, take back from the dead."""
        now = time.monotonic()
        if self._healed_at is not None and now - self._healed_at < self.every_seconds:
            return
        await self._take_back()  # first, because the rest ends early when Redis is away
        await self._make_partitions(now)
        await self._look_again()
        self._healed_at = time.monotonic()

    async def _make_partitions(self, now: float) -> None:
        if self._partitions_at is None or now - self._partitions_at > PARTITION_SECONDS:
            async with self.database.transaction(None) as session:
                await PartitionRepository(session).make_ahead(PARTITION_DAYS, behind=MISSED_RECORDED.days)
            self.sight.seen()
            self._partitions_at = now

    async def _look_again(self) -> None:
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            made, ended = await sweeps.make_syncs(), await sweeps.give_up()
            await MLTrainingJobRepository(session).close_ended()
            bells: list[Bell] = await sweeps.unanswered(UNANSWERED_SECONDS, CHUNK)
        self.sight.seen()
        await self.bells.ring(bells)
        if ended or made or bells:
            log.info("swept", gave_up=ended, syncs_made=made, rung_again=len(bells))

    async def _take_back(self) -> None:
        """Queue again what dead workers held, first on Redis: a copy there is dropped at the claim.

        A row locked by a frozen worker is left to the next sweep, and so is the end of that worker; its transaction is
        ended for it.
        """
        async with self.database.reading(None) as session:
            dead = await WorkerRepository(session).dead(patient=self.sight.patient)
        self.sight.seen()
        if not dead:
            return
        rung = await self._give_back(dead)
        patient = self.sight.patient
        async with self.database.transaction(None) as session:
            workers = WorkerRepository(session)
            locked = await workers.lock_dead(dead, patient=patient)
            self.sight.seen()
            if self.sight.patient and not patient:
                return  # Postgres stood still while we asked: what it says of leases is as old as that
            taken = await LossRepository(session).take_back(locked)
            ended = await workers.end(locked) if rung else set()
            frozen = [name for name in locked if name not in ended] if rung else []
            cut = await workers.cut(frozen) if frozen else 0
        log.warning("workers_lost", workers=locked, executions=len(taken.queued), frozen=frozen, cut=cut)
        if taken.quarantined:
            log.error("executions_quarantined", executions=list(taken.quarantined))

    async def _give_back(self, dead: list[str]) -> bool:
        """Give back the messages of dead workers. Returns False without Redis: then they do not count as ended yet."""
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                for name in dead:
                    await self.bells.give_back(name)
        except (RedisError, OSError) as error:  # a timeout is an OSError
            log.warning("redis_away", error=str(error), doing="give back messages")
            return False
        return True
