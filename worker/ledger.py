"""Claims and settles executions in batches for one worker process: Postgres first, then Redis."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog
from dramatiq.broker import MessageProxy
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from db.claims import LedgerRepository, Settlement
from db.errors import is_temporary
from db.executions import Bell, Execution
from db.hand_backs import HandBackRepository
from db.transaction import Database
from worker.bells.ringing import Bells
from worker.record import Hide, Recorder, is_unstorable
from worker.wire import message_id

log = structlog.get_logger(__name__)

# While Postgres is away settling is tried again this often; the outcomes stay in memory, one a thread at most.
RETRY_SECONDS = 0.5
CLAIM_SECONDS = 30.0
# A step may be inside a transaction at the moment it is interrupted: it is tried again after RETRY_SECONDS.
INTERRUPT_TRIES = 5


@dataclass(frozen=True, slots=True)
class Won:
    """What a claim brought: message ids to run, and those whose execution may only run alone."""

    ids: frozenset[str]
    alone: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Finished:
    queue: str
    message_id: str
    settlement: Settlement | None
    then: Callable[[], None] | None = None


class Ledger:
    """One process's open executions. `claim`, `finish` and the rest are called from Dramatiq's threads.

    refused: claims that failed, for want of a lease or of Postgres. hide: takes secrets out of what is recorded.
    """

    def __init__(
        self, database: Database, bells: Bells, worker: str, loop: asyncio.AbstractEventLoop, hide: Hide
    ) -> None:
        self.database, self.bells, self.worker, self.loop = database, bells, worker, loop
        self.recorder = Recorder(hide)
        self.held: dict[str, Execution] = {}
        self.settlements: dict[str, Settlement] = {}
        self.refused = 0
        self._finished: list[_Finished] = []
        self._doubtful: list[Bell] = []
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._closing = False
        self._settling = asyncio.run_coroutine_threadsafe(self._settle_until_closed(), loop)
        self._settling.add_done_callback(_end_process_on_error)

    def claim(self, bells: Sequence[Bell], *, alone: bool = False) -> Won:
        """Claim executions and hold them for their actors.

        alone: nothing else runs in this process, so that an execution whose worker died before may be taken too. What
        ran until now is settled first: it would be lost with it. Raises what the database raised; then nothing is held,
        and what may have been won is handed back.
        """
        if not bells:
            return Won(frozenset(), frozenset())
        claiming = asyncio.run_coroutine_threadsafe(self._claim(bells, alone), self.loop)
        try:
            won, suspects = claiming.result(CLAIM_SECONDS)
        except BaseException:
            claiming.cancel()
            self.refused += 1
            self._doubtful += bells
            self.loop.call_soon_threadsafe(self._wake.set)
            raise
        keys = {f"{execution.id}.{execution.generation}": execution for execution in won}
        self.held.update(keys)
        return Won(frozenset(keys), frozenset(message_id(bell) for bell in suspects))

    def record(self, key: str, settlement: Settlement) -> None:
        """Note how a held execution ended, before its message is finished."""
        self.settlements[key] = settlement

    def finish(self, message: MessageProxy, then: Callable[[], None] | None = None) -> None:
        """Queue a message's outcome for the next batch; without one the message is only acknowledged.

        then: called on the event loop when the outcome is committed.
        """
        key = message.message_id
        self.held.pop(key, None)
        settlement = self.settlements.pop(key, None)
        self._add(_Finished(message.queue_name, message.options["redis_message_id"], settlement, then))

    def drop(self, queue: str, ids: Sequence[str]) -> None:
        """Acknowledge messages whose execution needs nothing: copies, cancelled and late ones."""
        for id_ in ids:
            self._add(_Finished(queue, id_, None))

    def hand_back(self, messages: Sequence[MessageProxy]) -> None:
        """Queue again, under a new generation, executions that were claimed and never began."""
        held = [self.held.pop(message.message_id, None) for message in messages]
        self._doubtful += [_bell(execution) for execution in held if execution is not None]
        for message in messages:
            self._add(_Finished(message.queue_name, message.options["redis_message_id"], None))

    def close(self, seconds: float) -> None:
        """Settle what is left and give back what still runs, for so long at most.

        What Postgres does not take runs again under a new generation.
        """
        self._closing = True
        self.loop.call_soon_threadsafe(self._wake.set)
        interrupting = asyncio.run_coroutine_threadsafe(self._interrupt(list(self.held.values())), self.loop)
        try:
            self._settling.result(seconds)
            interrupting.result(seconds)
        except TimeoutError:
            log.warning("outcomes_dropped", count=len(self._finished), reason="Postgres did not come back in time")
            self._settling.cancel()
            interrupting.cancel()

    def _add(self, finished: _Finished) -> None:
        self._finished.append(finished)
        self.loop.call_soon_threadsafe(self._wake_settling)

    def _wake_settling(self) -> None:
        self._settled.clear()
        self._wake.set()

    async def _claim(self, bells: Sequence[Bell], alone: bool) -> tuple[list[Execution], list[Bell]]:
        if alone:
            await self._settled.wait()
        async with self.database.transaction(None) as session:
            ledger = LedgerRepository(session)
            won = await ledger.claim(bells, self.worker, alone=alone)
            # Nearly every claim wins all it asked for; only else is it worth asking why.
            suspects = await ledger.suspects(bells) if len(won) < len(bells) and not alone else []
            return won, suspects

    async def _settle_until_closed(self) -> None:
        while not (self._closing and not self._finished and not self._doubtful):
            if not self._finished and not self._doubtful:
                self._settled.set()
            await self._wake.wait()
            self._wake.clear()
            doubtful, self._doubtful = self._doubtful, []
            batch, self._finished = self._finished, []
            try:
                await self._hand_back(doubtful)
                doubtful = []
                await self._settle_batch(batch)
                _tell(batch)
            except Exception:
                # Nothing may end this loop while the process takes work: put everything back and go on.
                log.exception("settle_failed", outcomes=len(batch))
                self._doubtful += doubtful
                self._finished = batch + self._finished
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _interrupt(self, executions: list[Execution]) -> None:
        """Queue again what did not end in time. From then on its step is fenced, whatever it still does."""
        for _ in range(INTERRUPT_TRIES if executions else 0):
            try:
                async with self.database.transaction(None) as session:
                    ended = await HandBackRepository(session).interrupt(executions, self.worker)
            except (DBAPIError, OSError) as error:
                log.warning("postgres_away", error=str(error), interrupting=len(executions))
                ended = set()
            log.warning("executions_interrupted", executions=sorted(ended))
            for one in executions:
                if one.id in ended:
                    self.held.pop(f"{one.id}.{one.generation}", None)
            executions = [one for one in executions if one.id not in ended]
            if not executions:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _hand_back(self, bells: Sequence[Bell]) -> None:
        if bells:
            async with self.database.transaction(None) as session:
                await HandBackRepository(session).hand_back(bells, self.worker)

    async def _settle_batch(self, batch: list[_Finished]) -> None:
        settlements = [one.settlement for one in batch if one.settlement is not None]
        bells = await self._commit(settlements) if settlements else []
        by_queue: dict[str, list[str]] = defaultdict(list)
        for one in batch:
            by_queue[one.queue].append(one.message_id)
        try:
            for queue, ids in by_queue.items():
                await self.bells.acknowledge(self.worker, queue, ids)
            await self.bells.ring(bells)
        except (RedisError, OSError) as error:
            # The rows are settled; a message that stays is a copy, and what was not rung the sweep rings.
            log.warning("redis_away", error=str(error), unacknowledged=len(batch), unrung=len(bells))

    async def _commit(self, settlements: list[Settlement]) -> list[Bell]:
        """Commit a batch, waiting while Postgres is away. A repeated commit changes nothing: the rows have ended."""
        while True:
            try:
                async with self.database.transaction(None) as session:
                    return await LedgerRepository(session).settle(settlements, self.worker)
            except (DBAPIError, OSError, ValueError, TypeError) as error:
                if not is_temporary(error):
                    return await self._commit_apart(settlements, error)
                log.warning("postgres_away", error=str(error), unsettled=len(settlements))
                await asyncio.sleep(RETRY_SECONDS)

    async def _commit_apart(self, settlements: list[Settlement], error: Exception) -> list[Bell]:
        """Split a batch refused for its data until the bad outcome stands alone and ends failed."""
        if len(settlements) == 1:
            [alone] = settlements
            log.warning("outcome_unstorable", execution_id=alone.execution.id, error=str(error))
            if is_unstorable(alone):
                return []  # its row stays with this process's lease and comes back with it
            return await self._commit([self.recorder.unstorable(alone, error)])
        half = len(settlements) // 2
        return [*await self._commit(settlements[:half]), *await self._commit(settlements[half:])]


def _tell(batch: Sequence[_Finished]) -> None:
    for one in batch:
        if one.then is not None:
            one.then()


def _bell(execution: Execution) -> Bell:
    return Bell(execution.task_name, "", execution.scheduled_for, execution.id, execution.generation)


def _end_process_on_error(settling: "Future[None]") -> None:
    """A process that can settle nothing may hold no work: better it dies, and its supervisor starts another."""
    if not settling.cancelled() and settling.exception() is not None:
        log.critical("settling_ended", exc_info=settling.exception())
        os._exit(1)
