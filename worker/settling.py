"""Settles and acknowledges in batches: outcomes are committed together, and only then their messages leave Redis."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from db.claims import LedgerRepository, Settlement
from db.errors import AWAY, is_temporary
from db.executions import Bell
from db.shares import ShareRepository
from db.transaction import Database
from worker.bells.ringing import Bells, Settled
from worker.messages import QUEUES
from worker.record import Recorder, is_unstorable

log = structlog.get_logger(__name__)

# While Postgres is away settling is tried again this often; the outcomes stay in memory, as many as are held.
RETRY_SECONDS = 0.5
LARGEST_BATCH = 500
# Who was seen at work is written this often: many executions of one user are one write.
SEEN_SECONDS = 60.0
# Batches that Redis has not taken yet. Beyond them a message stays claimed until its worker ends: then it is a copy.
MOST_UNTOLD = 1000


@dataclass(slots=True)
class Ended:
    """An execution that is over here. settlement: None if there is nothing to write. is_alone: it has all the room."""

    queue: str
    redis_id: str
    settlement: Settlement | None = None
    is_alone: bool = False


@dataclass(slots=True)
class _Told:
    """What Redis is to hear of one committed batch."""

    by_queue: dict[str, Settled]
    nexts: list[Bell]


@dataclass(frozen=True, slots=True)
class _Committed:
    """Ids that were settled, each with its wait in seconds where it runs again; and whom they let on."""

    waits: dict[int, float | None]
    nexts: list[Bell]


class Settler:
    """One process's ends. All of it belongs to the event loop.

    over: called with what is committed. forget: called with ids that have left Redis. share: of a user in a queue.
    """

    def __init__(
        self,
        database: Database,
        bells: Bells,
        worker: str,
        recorder: Recorder,
        over: Callable[[Sequence[Ended]], None],
        forget: Callable[[str, Sequence[str]], None],
        share: int,
    ) -> None:
        self.database, self.bells, self.worker, self.recorder, self.share = database, bells, worker, recorder, share
        self.is_ending = False
        self._over, self._forget = over, forget
        self._ended: list[Ended] = []
        self._acknowledged: dict[str, list[str]] = defaultdict(list)
        self._untold: deque[_Told] = deque(maxlen=MOST_UNTOLD)
        self._seen: set[int] = set()
        self._seen_at = time.monotonic()
        self._wake, self._settled = asyncio.Event(), asyncio.Event()

    @property
    def left(self) -> int:
        """Outcomes that are not committed."""
        return len(self._ended)

    def add(self, ended: Sequence[Ended]) -> None:
        """Take what ended."""
        self._ended += ended
        self._settled.clear()
        self._wake.set()

    def acknowledge(self, queue: str, ids: Sequence[str]) -> None:
        """Take messages that have no execution to settle: they wait for no commit."""
        self._acknowledged[queue] += ids
        self._wake.set()

    def end(self) -> None:
        """Let `run` return once everything is settled."""
        self.is_ending = True
        self._wake.set()

    async def settled(self) -> None:
        """Wait until everything that ended so far is committed."""
        if self._ended:
            await self._settled.wait()

    async def run(self) -> None:
        """Settle until told to end. Whatever fails is tried again: the outcomes are nowhere else."""
        while not (self.is_ending and not self._ended and not self._acknowledged):
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._turn()
            except Exception:
                log.exception("settle_failed", outcomes=len(self._ended))
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()
        await self._say_seen()

    async def _turn(self) -> None:
        batch = self._ended[:LARGEST_BATCH]
        settlements = [one.settlement for one in batch if one.settlement is not None]
        committed = await self._commit(settlements) if settlements else _Committed({}, [])
        del self._ended[: len(batch)]
        self._over(batch)
        if batch or self._acknowledged:
            self._untold.append(self._told(batch, committed))
        if self._ended:
            self._wake.set()
        else:
            self._settled.set()
        await self._tell()
        if time.monotonic() - self._seen_at > SEEN_SECONDS:
            await self._say_seen()

    def _told(self, batch: Sequence[Ended], committed: _Committed) -> _Told:
        by_queue: dict[str, Settled] = defaultdict(lambda: Settled([], [], []))
        acknowledged, self._acknowledged = self._acknowledged, defaultdict(list)
        for queue, ids in acknowledged.items():
            by_queue[queue].acknowledged.extend(ids)
        for one in batch:
            told, settlement = by_queue[one.queue], one.settlement
            execution = settlement.execution if settlement is not None else None
            if settlement is None or execution is None or execution.id not in committed.waits:
                told.acknowledged.append(one.redis_id)
            elif (wait := committed.waits[execution.id]) is not None:
                bell = Bell(
                    execution.task_name, one.queue, execution.scheduled_for, execution.id, execution.generation + 1
                )
                told.retries.append((one.redis_id, bell, int(wait * 1000)))
            elif settlement.status == "failed":
                told.dead.append(one.redis_id)
            else:
                told.acknowledged.append(one.redis_id)
        return _Told(dict(by_queue), committed.nexts)

    async def _tell(self) -> None:
        """Tell Redis of what is committed, the oldest first. What it does not hear now it hears with the next batch."""
        while self._untold:
            told = self._untold[0]
            try:
                await self.bells.settle(self.worker, told.by_queue, told.nexts)
            except (RedisError, OSError) as error:
                log.warning("redis_away", error=str(error), untold=len(self._untold))
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake.set)
                return
            self._untold.popleft()
            for queue, settled in told.by_queue.items():
                ids = [*settled.acknowledged, *settled.dead, *(id_ for id_, _, _ in settled.retries)]
                self._forget(queue, ids)

    async def _commit(self, settlements: list[Settlement]) -> _Committed:
        """Commit a batch, waiting while Postgres is away. A repeated commit changes nothing: the rows have ended."""
        while True:
            try:
                return await self._write(settlements)
            except AWAY + (ValueError, TypeError) as error:  # noqa: RUF005  # what mypy can read
                if not is_temporary(error):
                    return await self._commit_apart(settlements, error)
                log.warning("postgres_away", error=str(error), unsettled=len(settlements))
                if self._acknowledged:
                    self._untold.append(self._told([], _Committed({}, [])))
                    await self._tell()
                await asyncio.sleep(RETRY_SECONDS)

    async def _write(self, settlements: Sequence[Settlement]) -> _Committed:
        users = {one.execution.user_id for one in settlements if one.execution.user_id is not None}
        async with self.database.transaction(None) as session:
            ledger = LedgerRepository(session)
            shares = ShareRepository(session, self.share)
            failed = {one.execution.user_id for one in settlements if one.error_type is not None}
            behind = await shares.hold(users, written=users & failed) if users else []
            waits = await ledger.settle(settlements, self.worker)
            nexts = await shares.ring_held(behind, QUEUES)
            await ledger.notify()
        self._seen |= users
        return _Committed(waits, nexts)

    async def _commit_apart(self, settlements: list[Settlement], error: Exception) -> _Committed:
        """Split a batch refused for its data until the bad outcome stands alone and ends failed."""
        if len(settlements) == 1:
            [alone] = settlements
            log.warning("outcome_unstorable", execution_id=alone.execution.id, error=str(error))
            if is_unstorable(alone):
                return _Committed({}, [])  # its row stays with this process's lease and comes back with it
            return await self._commit([self.recorder.unstorable(alone, error)])
        half = len(settlements) // 2
        first, second = await self._commit(settlements[:half]), await self._commit(settlements[half:])
        return _Committed(first.waits | second.waits, [*first.nexts, *second.nexts])

    async def _say_seen(self) -> None:
        """Note whose work was done of late; lost in a crash it is said again by the next."""
        seen, self._seen = self._seen, set()
        self._seen_at = time.monotonic()
        if not seen:
            return
        try:
            async with self.database.transaction(None) as session:
                await LedgerRepository(session).saw(seen)
        except AWAY as error:
            log.warning("postgres_away", error=str(error), doing="note who was seen")
