"""Puts right what is wrong on Redis itself: claims nobody begins, claims of who has ended, messages in no place."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from db.executions import Bell
from db.losses import LossRepository
from db.rings import RingRepository, Stuck
from db.transaction import Database
from scheduler.claimed import Claim, Watch, bells_of, claims_of, silent
from scheduler.healed import Healed
from scheduler.ringer import Ringer
from worker.bells.ringing import Settled
from worker.wire import message_id

log = structlog.get_logger(__name__)

# Claims of the living are looked at so often. One that is nothing but claimed for longer than that, look after look, is
# stuck: its worker lost sight of it. Twice that and a look stay below what a retry may be late.
LOOK_SECONDS = 4.0
STUCK_SECONDS = 10.0
# What waits to have a worker to itself is claimed while that one ends what it has begun.
ALONE_SECONDS = 60.0
# All keys are scanned, and then every queue is read whole; never for more than this part of the time.
SCAN_SECONDS = 12.0
SCAN_PART = 0.05
# Reading a queue whole takes a while when it is long.
READ_SECONDS = 20.0
# As long as Dramatiq keeps dead letters: what failed stays failed in Postgres, and can be done again from there.
DEAD_LETTER_SECONDS = 7 * 86_400.0


class Mender:
    """Looks at Redis beside the turns of a scheduler, which it never holds up. Any number may do the same."""

    def __init__(self, database: Database, ringer: Ringer, healed: Healed) -> None:
        self.database, self.ringer, self.healed = database, ringer, healed
        self.watch = Watch()

    async def run(self) -> None:
        """Look until cancelled. What fails is tried again at the next look."""
        scan_at = time.monotonic() + SCAN_SECONDS
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.free_stuck()
                if time.monotonic() >= scan_at:
                    began = time.monotonic()
                    await self.scan()
                    took = time.monotonic() - began
                    scan_at = time.monotonic() + max(SCAN_SECONDS, took / SCAN_PART)
            except (SQLAlchemyError, RedisError, OSError) as error:
                log.warning("mending_failed", error=str(error) or type(error).__name__)
            except Exception:
                log.exception("mending_failed")

    async def free_stuck(self, seconds: float = STUCK_SECONDS) -> None:
        """Ring under a new generation what a living worker has claimed for so long and its row does not know of.

        What is over is taken out of its claims: it settled, and its acknowledgement was never heard.
        """
        bells = self.ringer.bells
        async with self.database.reading(None) as session:
            living = await LossRepository(session).living()
        claims = await self.ringer.ask("look at claims", lambda: claims_of(bells, sorted(living)))
        ages = self.watch.see(claims or ())
        old = [claim for claim, age in ages.items() if age >= seconds]
        rung_for = await self.ringer.ask("read claimed messages", lambda: bells_of(bells, old)) if old else None
        if not rung_for:
            return
        async with self.database.reading(None) as session:
            stuck = await RingRepository(session).stuck(list(rung_for.values()))
        over = [claim for claim, bell in rung_for.items() if stuck[message_id(bell)].is_over]
        lost = {claim: bell for claim, bell in rung_for.items() if _is_lost(stuck[message_id(bell)], ages[claim])}
        await self._renew(list(lost.values()))
        await self._disclaim([*over, *lost])
        self.healed.note("leftover_claim", len(over), [claim.id for claim in over])

    async def scan(self) -> None:
        """Give back what workers claim that have ended, and make ready again what is in no place."""
        bells = self.ringer.bells
        claimants = await self.ringer.ask("look for claims", bells.claimants, READ_SECONDS)
        if claimants is None:
            return
        names = set().union(*claimants.values())
        await self._give_back(names)
        for queue, workers in claimants.items():
            await self._restore(queue, workers | names)
        await self._purge()

    async def _purge(self, seconds: float = DEAD_LETTER_SECONDS) -> None:
        """Forget old dead letters, some of each queue at a look; the rest at the next."""
        bells = self.ringer.bells
        for queue in await self.ringer.ask("look at queues", bells.queues) or ():
            count = await self.ringer.ask("purge dead letters", lambda q=queue: bells.purge(q, seconds))  # type: ignore[misc]
            self.healed.note("dead_letter_purged", count or 0)

    async def _give_back(self, names: set[str]) -> None:
        bells = self.ringer.bells
        async with self.database.reading(None) as session:
            losses = LossRepository(session)
            gone = await losses.ended(names)
            unknown = names - gone - await losses.living()
        gone |= await self.ringer.ask("look at heartbeats", lambda: silent(bells, unknown)) or set()
        if gone:
            count = await self.ringer.ask("give messages back", lambda: bells.give_back(gone))
            self.healed.note("stray_claim", count or 0, sorted(gone))

    async def _restore(self, queue: str, workers: set[str]) -> None:
        bells = self.ringer.bells
        leaks = await self.ringer.ask("look for leaks", lambda: bells.leaks(queue, workers), READ_SECONDS)
        if leaks is None:
            return
        if leaks.lost:
            count = await self.ringer.ask("restore", lambda: bells.restore(queue, leaks.lost, workers), READ_SECONDS)
            self.healed.note("restored", count or 0, leaks.lost)
        if leaks.empty:
            count = await self.ringer.ask("disclaim", lambda: bells.disclaim(queue, leaks.empty))
            self.healed.note("empty_claim", count or 0, [id_ for _, id_ in leaks.empty])

    async def _renew(self, bells: Sequence[Bell]) -> None:
        if not bells:
            return
        async with self.database.transaction(None) as session:
            renewed = await RingRepository(session).renew(bells)
        await self.ringer.ring(renewed)
        self.healed.note("stuck_claim", len(renewed), [bell.execution_id for bell in renewed])

    async def _disclaim(self, claims: Sequence[Claim]) -> None:
        """Take messages out of claims, and so off Redis: nobody needs them under these ids."""
        bells = self.ringer.bells
        for worker, by_queue in _by_worker(claims).items():
            await self.ringer.ask("clear claims", lambda w=worker, q=by_queue: bells.settle(w, q, ()))  # type: ignore[misc]


def _is_lost(stuck: Stuck, age: float) -> bool:
    return stuck.is_claimable and (not stuck.is_suspect or age >= ALONE_SECONDS)


def _by_worker(claims: Sequence[Claim]) -> Mapping[str, Mapping[str, Settled]]:
    found: dict[str, dict[str, Settled]] = defaultdict(lambda: defaultdict(Settled))
    for claim in claims:
        found[claim.worker][claim.queue].acknowledged.append(claim.id)
    return found
