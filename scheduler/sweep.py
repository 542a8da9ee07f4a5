"""Rings what is ready or due, and once every so often puts right what no settle and no ring will."""

import time

import structlog

from db.losses import LossRepository, Taken
from db.partitions import PartitionRepository
from db.shares import Place, ShareRepository
from db.sweeps import LAST_ID, Outlook, SweepRepository
from db.training_jobs import MLTrainingJobRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.due import MISSED_RECORDED
from scheduler.healed import Healed
from scheduler.rerings import Rerings
from scheduler.ringer import Ringer
from scheduler.sight import Sight

log = structlog.get_logger(__name__)

CHUNK = 1000
# Users and queues that one transaction looks at for room and may hold, and how long a turn goes on to the next of them.
PLACES = 200
PLACES_SECONDS = 0.1
# Waiting executions that one sweep looks at for what they will never have, and for syncs that nobody made.
WAITING = 2000
# Executions are partitioned by month; the next month's is made in good time, by whichever scheduler looks first.
PARTITION_DAYS = 45
PARTITION_SECONDS = 3600.0
# A sweep without anything under way looks for executions all the same, so often.
WHOLE_SECONDS = 10.0
# Sweeps that are left out for one while more is due than a turn fires.
FIRING_SWEEPS = 5


class Sweep:
    """Looks at rows again and again; every statement may be run by several schedulers at once.

    share: how many executions of one user a queue may have on Redis.
    """

    def __init__(
        self, database: Database, ringer: Ringer, lease_seconds: float, every_seconds: float, share: int
    ) -> None:
        self.database, self.ringer, self.every_seconds, self.share = database, ringer, every_seconds, share
        self.sight = Sight(lease_seconds, every_seconds + lease_seconds / 2)
        self.healed = Healed()
        self.rerings = Rerings(database, ringer, self.healed, self.sight)
        self._behind: Place | None = None
        self._waiting_after = 0
        self._healed_at: float | None = None
        self._partitions_at: float | None = None
        self._whole_at: float | None = None

    async def outlook(self) -> Outlook:
        """Return what there may be to do."""
        async with self.database.reading(None) as session:
            outlook = await SweepRepository(session).outlook()
        self.sight.seen()
        return outlook

    async def ring_ready(self) -> int:
        """Ring what is due and has room, then what has all it waited for. Returns how many moved."""
        return await self.ring_due() + await self.ring_waiting()

    async def ring_waiting(self) -> int:
        """Queue waiting executions whose prerequisites are met, and ring them. Returns how many moved."""
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            ready = await sweeps.make_ready(CHUNK)
            bells = [*ready.bells, *await ShareRepository(session, self.share).ring_free(ready.places)]
        self.sight.seen()
        await self.ringer.ring(bells)
        return len(ready) + len(bells)

    async def ring_due(self) -> int:
        """Ring what has room, from user to user; a turn that found nothing ends before its walk does.

        Returns how many were rung.
        """
        until = time.monotonic() + PLACES_SECONDS
        while True:
            async with self.database.transaction(None) as session:
                await SweepRepository(session).hold_clock()
                shares = ShareRepository(session, self.share)
                shared = await shares.ring_shared(CHUNK)
                bells, self._behind = await shares.ring_due(self._behind or Place(), PLACES)
            self.sight.seen()
            await self.ringer.ring([*shared, *bells])
            if shared or bells or self._behind is None or time.monotonic() > until:
                return len(shared) + len(bells)

    async def heal(self, *, is_quiet: bool = False, is_firing: bool = False) -> None:
        """Once every so often: take back from the dead, make missing syncs, end hopeless waits, ring again.

        is_quiet: nothing is under way, so executions are looked at now and then only. is_firing: much is to be fired,
        so that nothing is looked at as often.
        """
        now = time.monotonic()
        every = FIRING_SWEEPS * self.every_seconds if is_firing else self.every_seconds
        if self._healed_at is not None and now - self._healed_at < every:
            return
        await self._take_back()
        await self._make_partitions(now)
        if not is_quiet or self._whole_at is None or now - self._whole_at > WHOLE_SECONDS:
            await self._look_at_waiting()
            await self.rerings.look()
            self._whole_at = now
        await self.healed.write(self.database)
        self._healed_at = time.monotonic()

    async def _make_partitions(self, now: float) -> None:
        if self._partitions_at is None or now - self._partitions_at > PARTITION_SECONDS:
            async with self.database.transaction(None) as session:
                await PartitionRepository(session).make_ahead(PARTITION_DAYS, behind=MISSED_RECORDED.days)
            self.sight.seen()
            self._partitions_at = now

    async def _look_at_waiting(self) -> None:
        async with self.database.transaction(None) as session:
            sweeps = SweepRepository(session)
            await sweeps.hold_clock()
            span = await sweeps.waiting(self._waiting_after, WAITING)
            made, ended = (await sweeps.make_syncs(span), await sweeps.give_up(span)) if span.seen else (0, 0)
            await MLTrainingJobRepository(session).close_ended()
        self.sight.seen()
        self._waiting_after = span.until if span.until < LAST_ID else 0
        self.healed.note("sync_made", made)
        self.healed.note("given_up", ended)

    async def _take_back(self) -> None:
        """Queue again what dead workers held, first on Redis: a copy there is dropped at the claim.

        A row locked by a frozen worker is left to the next sweep, and so is the end of that worker; its transaction is
        ended for it. Without Redis a dead worker does not count as ended: its messages are still in its name there.
        """
        async with self.database.reading(None) as session:
            dead = await WorkerRepository(session).dead(patient=self.sight.patient)
        self.sight.seen()
        if not dead:
            return
        bells = self.ringer.bells
        given_back = await self.ringer.ask("give messages back", lambda: bells.give_back(dead))
        patient = self.sight.patient
        async with self.database.transaction(None) as session:
            workers = WorkerRepository(session)
            locked = await workers.lock_dead(dead, patient=patient)
            self.sight.seen()
            if self.sight.patient and not patient:
                return  # Postgres stood still while we asked: what it says of leases is as old as that
            taken = await LossRepository(session).take_back(locked)
            ended = await workers.end(locked) if given_back is not None else set()
            frozen = [name for name in locked if name not in ended] if given_back is not None else []
            cut = await workers.cut(frozen) if frozen else 0
        log.warning("workers_lost", workers=locked, executions=len(taken.queued), frozen=frozen, cut=cut)
        self._note_lost(taken, ended)

    def _note_lost(self, taken: Taken, ended: set[str]) -> None:
        self.healed.note("lost_worker", len(ended), sorted(ended))
        self.healed.note("taken_back", len(taken.queued), taken.queued)
        self.healed.note("quarantined", len(taken.quarantined), taken.quarantined)
        if taken.quarantined:
            log.error("executions_quarantined", executions=list(taken.quarantined))
