"""One process's executions between their claim and their end: claimed in batches, held, handed back or settled."""

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog
from redis.exceptions import RedisError

from db.claims import LedgerRepository, Settlement, Standing
from db.errors import AWAY, is_temporary
from db.executions import Bell, Execution
from db.hand_backs import HandBackRepository
from db.transaction import Database
from worker.bells.ringing import Bells
from worker.record import Hide, Recorder
from worker.room import Room
from worker.settling import RETRY_SECONDS, Ended, Settler

log = structlog.get_logger(__name__)

CLAIM_SECONDS = 30.0
# A step may be inside a transaction at the moment it is interrupted: it is tried again after RETRY_SECONDS.
INTERRUPT_TRIES = 5


@dataclass(slots=True)
class Held:
    """An execution that this process has claimed, and the message it came by.

    key: its execution and generation. alone: nothing runs beside it.
    """

    key: str
    execution: Execution
    queue: str
    redis_id: str
    alone: bool = False


@dataclass(slots=True)
class Claim:
    """What a claim brought, by Redis id: won; alone, what may only run alone; locked; dropped, with the reason.

    is_given_up: nobody waits for it any more.
    """

    won: list[Held] = field(default_factory=list)
    alone: set[str] = field(default_factory=set)
    locked: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    is_given_up: bool = False


class Ledger:
    """One process's open executions. `claim` and what names messages are called from any thread, the rest on the loop.

    refused: claims that failed, for want of a lease or of Postgres. share: how many of a user's executions a queue may
    have on Redis. hide: takes secrets out of what is recorded.
    """

    def __init__(
        self,
        database: Database,
        bells: Bells,
        worker: str,
        loop: asyncio.AbstractEventLoop,
        hide: Hide,
        room: Room,
        share: int,
    ) -> None:
        self.database, self.bells, self.worker, self.loop, self.room = database, bells, worker, loop, room
        self.recorder = Recorder(hide)
        self.held: dict[str, Held] = {}
        self.refused = 0
        self._known: dict[str, set[str]] = defaultdict(set)
        self._back = threading.Event()
        self._back.set()
        self._doubtful: list[Bell] = []
        self._resolving = asyncio.Lock()
        self.settler = Settler(database, bells, worker, self.recorder, self._over, self.forget, share)
        self._settling = asyncio.run_coroutine_threadsafe(self.settler.run(), loop)
        self._settling.add_done_callback(_end_process_on_error)

    # Messages, by their ids on Redis.

    def know(self, queue: str, ids: Collection[str]) -> None:
        """Take note of messages that were fetched."""
        self._known[queue].update(ids)

    def known(self, queue: str) -> set[str]:
        """Return the messages of a queue that this process has."""
        return self._known[queue].copy()

    def forget(self, queue: str, ids: Collection[str]) -> None:
        """Take note that messages are no longer this process's."""
        self._known[queue].difference_update(ids)

    def acknowledge(self, queue: str, ids: Sequence[str]) -> None:
        """Acknowledge messages that have no execution to settle."""
        if ids:
            self.loop.call_soon_threadsafe(self.settler.acknowledge, queue, ids)

    def drop(self, queue: str, ids: Mapping[str, str]) -> None:
        """Acknowledge messages whose execution needs nothing. ids: each with the reason."""
        if ids:
            reasons: dict[str, int] = defaultdict(int)
            for reason in ids.values():
                reasons[reason] += 1
            log.info("messages_dropped", queue=queue, count=len(ids), **reasons)
            self.acknowledge(queue, list(ids))

    # Claims.

    def wait_until_back(self, seconds: float) -> bool:
        """Wait while Postgres is away. Returns whether it is there."""
        return self._back.wait(seconds)

    def claim(self, queue: str, messages: Sequence[tuple[str, Bell]], *, alone: bool = False) -> Claim:
        """Claim the executions of messages, given with their ids on Redis, and hold them.

        alone: nothing else runs in this process, so that an execution whose worker died before may be taken too. What
        ran until now is settled first: it would be lost with it. Raises what the database raised; then nothing is held,
        and what may have been won is handed back before the next claim.
        """
        claim = Claim()
        claiming = asyncio.run_coroutine_threadsafe(self._claim(claim, queue, messages, alone), self.loop)
        try:
            claiming.result(CLAIM_SECONDS)
        except BaseException:
            # It may have ended in this very moment, or end all the same.
            claim.is_given_up = True
            claiming.cancel()
            self.loop.call_soon_threadsafe(self._disown, claim)
            raise
        return claim

    async def _claim(self, claim: Claim, queue: str, messages: Sequence[tuple[str, Bell]], alone: bool) -> None:
        if alone:
            await self.settler.settled()
        bells = [bell for _, bell in messages]
        await self.resolve()
        try:
            async with self.database.transaction(None) as session:
                ledger = LedgerRepository(session)
                won, dropped = await ledger.claim(bells, self.worker, alone=alone)
                # Nearly every claim wins all it asked for; only else is it worth asking why.
                standings = await ledger.standings(bells) if len(won) < len(bells) else {}
                if dropped:
                    await ledger.notify()  # somebody may wait for their end, or for their place
        except BaseException as error:
            self.refused += 1
            self._doubtful += bells
            self._note_away(error)
            raise
        self._hold(claim, queue, messages, won, dropped, standings, alone)
        if claim.is_given_up:
            self._disown(claim)

    def _disown(self, claim: Claim) -> None:
        """Hold no longer what was won for somebody who waits no longer, and give it back before the next claim."""
        for held in claim.won:
            if self.held.get(held.key) is held:
                del self.held[held.key]
                self._doubtful.append(_bell(held))

    def _hold(
        self,
        claim: Claim,
        queue: str,
        messages: Sequence[tuple[str, Bell]],
        won: Sequence[Execution],
        dropped: Mapping[str, str],
        standings: Mapping[str, Standing],
        alone: bool,
    ) -> None:
        executions = {f"{one.id}.{one.generation}": one for one in won}
        for id_, bell in messages:
            key = f"{bell.execution_id}.{bell.generation}"
            if (execution := executions.get(key)) is not None:
                held = self.held[key] = Held(key, execution, queue, id_, alone)
                claim.won.append(held)
            elif (mine := self.held.get(key)) is not None and mine.redis_id == id_:
                pass  # the message of what runs here, fetched twice: it goes when that has ended
            elif (why := dropped.get(key)) is not None:
                claim.dropped[id_] = why
            elif not (standing := standings[key]).is_claimable:
                is_copy = standing.status in ("queued", "retrying", "running")
                claim.dropped[id_] = "copy" if is_copy else standing.status or "unknown"
            elif standing.is_suspect and not alone:
                claim.alone.add(id_)
            else:
                claim.locked.append(id_)

    # Ends.

    def finish(self, held: Held, settlement: Settlement | None) -> None:
        """Queue how a held execution ended for the next batch; without a settlement it was fenced."""
        self.held.pop(held.key, None)
        self.settler.add([_ended(held, settlement)])

    def hand_back(self, helds: Sequence[Held]) -> None:
        """Queue again, under a new generation, executions that were claimed and never began."""
        for held in helds:
            self.held.pop(held.key, None)
        self._doubtful += [_bell(held) for held in helds]
        self.settler.add([_ended(held) for held in helds])
        self._handing_back = self.loop.create_task(self._resolve_soon())

    async def resolve(self) -> None:
        """Give back what was won without being told, or never began. Raises what the database raised."""
        async with self._resolving:
            doubtful, self._doubtful = self._doubtful, []
            # What was claimed since, under the same generation, is held and no doubt.
            given_back = [bell for bell in doubtful if f"{bell.execution_id}.{bell.generation}" not in self.held]
            if not given_back:
                return
            try:
                async with self.database.transaction(None) as session:
                    await HandBackRepository(session).hand_back(given_back, self.worker)
                    await LedgerRepository(session).notify()
            except BaseException as error:
                self._doubtful += given_back
                self._note_away(error)
                raise

    async def _resolve_soon(self) -> None:
        try:
            await self.resolve()
        except AWAY as error:
            log.warning("postgres_away", error=str(error), doing="hand executions back")

    def close(self, seconds: float) -> None:
        """Settle what is left and give back what still runs, for so long at most.

        What Postgres does not take runs again under a new generation.
        """
        closing = asyncio.run_coroutine_threadsafe(self._close(), self.loop)
        try:
            closing.result(seconds)
        except TimeoutError:
            log.warning("outcomes_dropped", count=self.settler.left, reason="Postgres did not come back in time")
            closing.cancel()
            self._settling.cancel()

    async def _close(self) -> None:
        self.settler.end()
        await asyncio.gather(asyncio.wrap_future(self._settling), self._interrupt(), self._resolve_soon())

    async def _interrupt(self) -> None:
        """Queue again what did not end in time. From then on its step is fenced, whatever it still does."""
        left = {held.execution.id: held for held in self.held.values()}
        for _ in range(INTERRUPT_TRIES if left else 0):
            try:
                async with self.database.transaction(None) as session:
                    executions = [held.execution for held in left.values()]
                    ended = await HandBackRepository(session).interrupt(executions, self.worker)
            except AWAY as error:
                log.warning("postgres_away", error=str(error), interrupting=len(left))
                ended = set()
            log.warning("executions_interrupted", executions=sorted(ended))
            await self._release([left.pop(id_) for id_ in ended])
            if not left:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _release(self, helds: Sequence[Held]) -> None:
        """Let go of the messages of what was given back; those that Redis does not hear of are copies."""
        try:
            for held in helds:
                await self.bells.acknowledge(self.worker, held.queue, [held.redis_id])
        except (RedisError, OSError) as error:
            log.warning("redis_away", error=str(error), doing="let go of messages")

    def _over(self, ended: Sequence[Ended]) -> None:
        """Take note of what was settled: its places are free."""
        by_queue: dict[str, list[float]] = defaultdict(list)
        for one in ended:
            if one.is_alone:
                self.room.give_whole(one.queue)
            elif one.settlement is not None:
                by_queue[one.queue].append(one.settlement.duration_seconds)
            else:
                self.room.give(one.queue, 1)
        for queue, seconds in by_queue.items():
            self.room.give(queue, len(seconds), sum(seconds))

    # Postgres away.

    def _note_away(self, error: BaseException) -> None:
        if self._back.is_set() and isinstance(error, Exception) and is_temporary(error):
            log.warning("postgres_away", error=str(error), doing="claim")
            self._back.clear()
            self._looking = self.loop.create_task(self._look_for_postgres())

    async def _look_for_postgres(self) -> None:
        """Let nobody fetch until Postgres answers again."""
        while not self.settler.is_ending:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self.database.ask()
                await self.resolve()
            except Exception:  # noqa: BLE001, S112  # whatever it is, it is asked again
                continue
            break
        self._back.set()


def _ended(held: Held, settlement: Settlement | None = None) -> Ended:
    return Ended(held.queue, held.redis_id, settlement, held.alone)


def _bell(held: Held) -> Bell:
    execution = held.execution
    return Bell(execution.task_name, held.queue, execution.scheduled_for, execution.id, execution.generation)


def _end_process_on_error(settling: "Future[None]") -> None:
    """A process that can settle nothing may hold no work: better it dies, and its supervisor starts another."""
    if not settling.cancelled() and settling.exception() is not None:
        log.critical("settling_ended", exc_info=settling.exception())
        os._exit(1)
