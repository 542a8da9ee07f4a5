"""Brings one source in: entries in chunks, each chunk one transaction, and a batch that says how far it has come."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository
from db.audit_logs import AuditLogRepository
from db.import_batches import ImportBatchRepository
from db.import_lookups import ImportLookupRepository
from db.import_rows import Rows
from db.import_values import Ids, Target
from db.imports import ImportRepository, new_ids
from db.transaction import Database
from ops.importers.entry import Entry, Outcome, Sums
from ops.importers.errors import BrokenFileError, ImportRaceError
from ops.importers.judge import Judge
from ops.importers.reading import Chunks
from ops.importers.rollback import take_back
from ops.importers.source import Source
from ops.importers.store import Chunk, store
from ops.importers.words import UNMAPPED


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. told: called with every entry once it is settled."""

    actor: str
    dry_run: bool = False
    salvage: bool = False
    told: Callable[[Entry], None] = lambda _: None


@dataclass(slots=True)
class Done:
    """What became of a source. counts: outcome -> records. sums: of what was imported. broken: where it ended."""

    batch_id: int
    state: str = "running"
    counts: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    sums: Sums = field(default_factory=Sums)
    broken: str | None = None
    resumed: bool = False
    warnings: list[str] = field(default_factory=list)

    def count(self, entry: Entry) -> None:
        """Count an entry that is settled."""
        self.counts[entry.outcome.value] += 1
        if entry.outcome is Outcome.IMPORTED:
            self.sums.add(entry.sums)
        if entry.kind == UNMAPPED:
            self.unmapped[entry.reason] += 1


class Steps:
    """Opens the transactions of an import: one a step, or, within one that is given, parts of it."""

    def __init__(self, database: Database, within: AsyncSession | None = None) -> None:
        self.database, self.within = database, within

    @asynccontextmanager
    async def step(self) -> AsyncIterator[AsyncSession]:
        """Yield a session whose work is kept at the end, or not at all."""
        async with AsyncExitStack() as stack:
            if self.within is None:
                yield await stack.enter_async_context(self.database.transaction(None))
            else:
                await stack.enter_async_context(self.within.begin_nested())
                yield self.within


async def bring_in(steps: Steps, source: Source, target: Target, wish: Wish) -> Done:
    """Import a source for an account. The same source again changes nothing; an interrupted one goes on where it was.

    A source that breaks off is taken back whole, unless what could be read is to be salvaged. Raises ImportRaceError,
    OSError.
    """
    return await _Run(steps, source, target, wish).all()


async def open_batch(session: AsyncSession, source: Source, target: Target, wish: Wish) -> int:
    """Begin a batch. Returns its id."""
    return await ImportBatchRepository(session).open(
        user_id=target.user_id,
        account_id=target.account_id,
        kind=source.kind,
        source=source.name,
        sha256=source.sha256,
        dry_run=wish.dry_run,
        salvage=wish.salvage,
        actor=wish.actor,
    )


async def remember(session: AsyncSession, source: Source, target: Target, wish: Wish, done: Done) -> None:
    """Store the batch of a dry run, whose rows are gone."""
    batches = ImportBatchRepository(session)
    done.batch_id = await open_batch(session, source, target, wish)
    records = sum(done.counts.values())
    await batches.advance(done.batch_id, 0, records, done.counts, done.unmapped, done.sums.to_json())
    await batches.finish(done.batch_id, done.state, done.broken)


class _Run:
    """One import under way."""

    def __init__(self, steps: Steps, source: Source, target: Target, wish: Wish) -> None:
        self._step, self._database = steps.step, steps.database
        self._source, self._target, self._wish = source, target, wish
        self._done = Done(0)
        self._at = 0
        self._cash: Decimal | None = None
        self._judge = Judge()
        self._noted: dict[str, RowMapping] = {}
        self._chunks = Chunks(source, target, self._new_ids())
        self._coming: asyncio.Task[Chunk] | None = None

    async def all(self) -> Done:
        """Take every chunk, then end the batch."""
        await self._begin()
        try:
            while await self._take_next():
                pass
        finally:
            if self._coming is not None:
                await asyncio.wait([self._coming])
        await self._end(self._chunks.broken)
        return self._done

    async def _take_next(self) -> bool:
        """Take the next chunk. Returns whether there was one."""
        chunk = await self._read_on()
        self._coming = None
        if not chunk.entries:
            return False
        await self._take(chunk)
        self._chunks.spent = chunk
        return True

    def _read_on(self) -> asyncio.Task[Chunk]:
        """Let the next chunk be read, unless it is."""
        if self._coming is None:
            self._coming = asyncio.create_task(asyncio.to_thread(self._chunks.take))
        return self._coming

    def _new_ids(self) -> Callable[[Rows], Ids]:
        """Return what takes ids in a thread: by the event loop, in a transaction that no other waits for."""
        loop = asyncio.get_running_loop()

        async def take(rows: Rows) -> Ids:
            async with self._database.transaction(None) as session:
                return await new_ids(session, rows)

        return lambda rows: asyncio.run_coroutine_threadsafe(take(rows), loop).result()

    async def _begin(self) -> None:
        async with self._step() as session:
            mine, source = self._target, self._source
            # Of two that begin at one moment the second finds the batch of the first.
            await AccountRepository(session).lock(mine.user_id, mine.account_id)
            batches = ImportBatchRepository(session)
            left = await batches.unfinished(mine.user_id, mine.account_id, source.kind, source.sha256)
            if left is None or self._wish.dry_run:
                self._done.batch_id = await open_batch(session, source, mine, self._wish)
                return
            self._done = Done(left["id"], counts=Counter(left["counts"]), unmapped=Counter(left["unmapped"]))
            self._done.sums = Sums.of_json(left["expected"])
            self._done.resumed, self._at = True, left["done_records"]
            self._noted = {one["place"]: one for one in await batches.records(left["id"], None)}

    async def _take(self, chunk: Chunk) -> None:
        """Store a chunk and how far the batch has come, in one transaction; what was taken before is passed over."""
        entries, before = chunk.entries, self._judge.passed
        self._judge.passed += len(entries)
        self._cash = next((one.cash for one in entries if one.cash is not None), self._cash)
        if before < self._at:
            settled = entries[: self._at - before]
            self._tell_again(settled)
            chunk = Chunk(entries[len(settled) :])
            entries, before = chunk.entries, before + len(settled)
            if not entries:
                return
        async with self._step() as session:
            # Lost in a crash it is brought in again; the last commit of a batch waits for the disk, and so for all.
            await session.execute(text("SET LOCAL synchronous_commit = off"))
            await AccountRepository(session).lock(self._target.user_id, self._target.account_id)
            rows = ImportRepository(session, self._target, self._done.batch_id)
            now = await _market_now(session)
            lookups = ImportLookupRepository(session, self._target.user_id, self._target.account_id)
            await self._judge.judge(lookups, entries, self._done.batch_id)
            # While Postgres stores, which takes longer, the next chunk is read: sooner, and both would wait for Python.
            self._read_on()
            await store(session, rows, chunk, f"import:{self._done.batch_id}:{before}", now)
            await self._judge_money(lookups, entries)
            await self._settled(session, entries, before)
        for entry in _with_others(entries):
            self._wish.told(entry)

    def _tell_again(self, settled: Sequence[Entry]) -> None:
        """Pass over what the interrupted import settled, and tell of it as it did."""
        self._judge.remember(settled)
        for entry in _with_others(settled):
            if (noted := self._noted.get(entry.place)) is not None:
                entry.refuse(noted["kind"], noted["reason"], Outcome(noted["outcome"]))
            self._wish.told(entry)

    async def _judge_money(self, lookups: ImportLookupRepository, chunk: Sequence[Entry]) -> None:
        for entry in chunk:
            if entry.cash is not None:
                await self._judge.judge_money(lookups, entry, self._source.kind, self._done.batch_id)

    async def _settled(self, session: AsyncSession, chunk: Sequence[Entry], before: int) -> None:
        done, batches = self._done, ImportBatchRepository(session)
        settled = list(_with_others(chunk))
        for entry in settled:
            done.count(entry)
        noted = [_noted(entry) for entry in settled if entry.outcome is not Outcome.IMPORTED]
        await batches.note(done.batch_id, self._target.user_id, noted)
        at, self._at = self._at, before + len(chunk)
        expected = done.sums.to_json()
        if not await batches.advance(done.batch_id, at, self._at, done.counts, done.unmapped, expected):
            raise ImportRaceError(done.batch_id)

    async def _end(self, broken: BrokenFileError | None) -> None:
        done = self._done
        done.broken = None if broken is None else f"{broken.path.name}:{broken.line}: {broken.reason}"
        async with self._step() as session:
            done.state = "done"
            if broken is not None and not self._wish.salvage:
                await AccountRepository(session).lock(self._target.user_id, self._target.account_id)
                await take_back(session, self._target, done.batch_id)
                done.state = "broken"
            elif self._cash is not None:
                await self._settle_cash(session, self._cash)
            await ImportBatchRepository(session).finish(done.batch_id, done.state, done.broken)
            await AuditLogRepository(session).record(
                self._wish.actor, "import", "batch", done.batch_id, user_id=self._target.user_id,
                changes={"source": self._source.name, "state": done.state, **done.counts},
            )  # fmt: skip

    async def _settle_cash(self, session: AsyncSession, cash: Decimal) -> None:
        """Bring the account's money to what the source says it has, unless it was set, or traded with, before."""
        account = await AccountRepository(session).lock(self._target.user_id, self._target.account_id)
        lookups = ImportLookupRepository(session, self._target.user_id, self._target.account_id)
        known = await lookups.money(self._source.kind, self._done.batch_id)
        if known.batch_id is not None or known.has_traded:
            return
        await ImportBatchRepository(session).expect(self._done.batch_id, {"cash": str(cash)})
        if account.cash != cash:
            rows = ImportRepository(session, self._target, self._done.batch_id)
            reference = f"import:{self._done.batch_id}:cash"
            await rows.deposit(cash - account.cash, reference, await _market_now(session))


def _with_others(chunk: Sequence[Entry]) -> Iterator[Entry]:
    for entry in chunk:
        yield entry
        yield from entry.others


def _noted(entry: Entry) -> dict[str, Any]:
    return {
        "place": entry.place[:255],
        "line": entry.line,
        "symbol": entry.symbol,
        "outcome": entry.outcome.value,
        "kind": entry.kind,
        "reason": entry.reason[:1024],
    }


async def _market_now(session: AsyncSession) -> datetime:
    now: datetime = (await session.execute(text("SELECT market_now()"))).scalar_one()
    return now
