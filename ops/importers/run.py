"""Brings one source in: entries in chunks, each chunk one transaction, and a batch that says how far it has come."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository
from db.audit_logs import AuditLogRepository
from db.import_batches import ImportBatchRepository
from db.import_lookups import ImportLookupRepository
from db.imports import ImportRepository, Target
from db.transaction import Database
from ops.importers.entry import Entry, Outcome, Sums
from ops.importers.judge import Judge
from ops.importers.rollback import take_back
from ops.importers.source import Source
from ops.importers.store import store
from ops.importers.stream import BrokenFileError
from ops.importers.words import UNMAPPED

# Large enough for one statement a table to be worth it, small enough to be parsed while the chunk before is stored.
CHUNK = 1000


class ImportRaceError(Exception):
    """Somebody else brings the same source in at this moment."""


class _TakenBack(Exception):  # noqa: N818  # a dry run's own way out, no error
    """Everything of a dry run is taken back."""


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


async def bring_in(database: Database, source: Source, target: Target, wish: Wish) -> Done:
    """Import a source for an account. The same source again changes nothing; an interrupted one goes on where it was.

    A source that breaks off is taken back whole, unless what could be read is to be salvaged. Raises ImportRaceError,
    OSError.
    """
    if not wish.dry_run:
        return await _Run(database, source, target, wish).all()
    run = _Run(database, source, target, wish)
    try:
        async with database.transaction(None) as session:
            run.outer = session
            await run.all()
            raise _TakenBack
    except _TakenBack:
        pass
    return await run.remember()


class _Run:
    """One import under way. outer: the one transaction of a dry run."""

    def __init__(self, database: Database, source: Source, target: Target, wish: Wish) -> None:
        self._database, self._source, self._target, self._wish = database, source, target, wish
        self.outer: AsyncSession | None = None
        self._done = Done(0)
        self._at = 0
        self._judge = Judge()

    async def all(self) -> Done:
        """Take every chunk, then end the batch."""
        await self._begin()
        chunks = _Chunks(self._source)
        coming = asyncio.create_task(asyncio.to_thread(chunks.take))
        try:
            while chunk := await coming:
                # The next chunk is read while this one is stored.
                coming = asyncio.create_task(asyncio.to_thread(chunks.take))
                await self._take(chunk)
        finally:
            await asyncio.wait([coming])
        await self._end(chunks.broken)
        return self._done

    async def remember(self) -> Done:
        """Store the batch of a dry run, whose rows are gone."""
        async with self._database.transaction(None) as session:
            batches = ImportBatchRepository(session)
            done = self._done
            done.batch_id = await self._open(batches)
            await batches.advance(done.batch_id, 0, self._at, done.counts, done.unmapped, done.sums.to_json())
            await batches.finish(done.batch_id, done.state, done.broken, {})
        return done

    async def _begin(self) -> None:
        async with self._step() as session:
            batches = ImportBatchRepository(session)
            mine, source = self._target, self._source
            left = None
            if self.outer is None:
                left = await batches.unfinished(mine.user_id, mine.account_id, source.kind, source.sha256)
            if left is None:
                self._done.batch_id = await self._open(batches)
                return
            self._done = Done(left["id"], counts=Counter(left["counts"]), unmapped=Counter(left["unmapped"]))
            self._done.sums = Sums.of_json(left["expected"])
            self._done.resumed, self._at = True, left["done_records"]

    async def _open(self, batches: ImportBatchRepository) -> int:
        return await batches.open(
            user_id=self._target.user_id,
            account_id=self._target.account_id,
            kind=self._source.kind,
            source=self._source.name,
            sha256=self._source.sha256,
            dry_run=self._wish.dry_run,
            salvage=self._wish.salvage,
            actor=self._wish.actor,
        )

    async def _take(self, chunk: Sequence[Entry]) -> None:
        """Store a chunk and how far the batch has come, in one transaction; what was taken before is passed over."""
        before = self._judge.passed
        self._judge.passed += len(chunk)
        if before + len(chunk) <= self._at:
            self._judge.remember(chunk)
            return
        async with self._step() as session:
            # Lost in a crash it is brought in again; the last commit of a batch waits for the disk, and so for all.
            await session.execute(text("SET LOCAL synchronous_commit = off"))
            await AccountRepository(session).lock(self._target.user_id, self._target.account_id)
            rows = ImportRepository(session, self._target, self._done.batch_id)
            now = await _market_now(session)
            lookups = ImportLookupRepository(session, self._target.user_id, self._target.account_id)
            await self._judge.judge(lookups, chunk, self._done.batch_id)
            await store(session, rows, chunk, f"import:{self._done.batch_id}:{before}", now)
            await self._settled(session, chunk, before)
        for entry in _with_others(chunk):
            self._wish.told(entry)

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
            raise ImportRaceError(
                f"batch {done.batch_id}: the same source is being brought in by somebody else; wait, then look at it "
                f"with `muhurat import show {done.batch_id}`"
            )

    async def _end(self, broken: BrokenFileError | None) -> None:
        done = self._done
        done.broken = None if broken is None else f"{broken.path.name}:{broken.line}: {broken.reason}"
        async with self._step() as session:
            batches = ImportBatchRepository(session)
            undo: dict[str, Any] = {}
            done.state = "done"
            if broken is not None and not self._wish.salvage:
                await take_back(session, self._target, done.batch_id)
                done.state = "broken"
            else:
                await self._settle_cash(session)
            await batches.finish(done.batch_id, done.state, done.broken, undo)
            await AuditLogRepository(session).record(
                self._wish.actor, "import", "batch", done.batch_id, user_id=self._target.user_id,
                changes={"source": self._source.name, "state": done.state, **done.counts},
            )  # fmt: skip

    async def _settle_cash(self, session: AsyncSession) -> None:
        """Bring the account's money to what the source says it has, where it says so."""
        cash = self._source.cash()
        if cash is None or (self._done.sums.fills == self._done.sums.tracked == 0 and not self._done.counts):
            return
        account = await AccountRepository(session).lock(self._target.user_id, self._target.account_id)
        if account.cash != cash:
            rows = ImportRepository(session, self._target, self._done.batch_id)
            reference = f"import:{self._done.batch_id}:cash"
            await rows.deposit(cash - account.cash, reference, await _market_now(session))

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[AsyncSession]:
        """Yield a transaction; within the one of a dry run, a part of it."""
        async with AsyncExitStack() as stack:
            if self.outer is None:
                yield await stack.enter_async_context(self._database.transaction(None))
            else:
                await stack.enter_async_context(self.outer.begin_nested())
                yield self.outer


class _Chunks:
    """The entries of a source, some at a time. broken: why they ended before the source did."""

    def __init__(self, source: Source) -> None:
        self._entries: Iterator[Entry] = source.entries()
        self.broken: BrokenFileError | None = None

    def take(self) -> list[Entry]:
        """Return the next entries, none at the end."""
        taken: list[Entry] = []
        try:
            taken.extend(islice(self._entries, CHUNK))
        except BrokenFileError as error:
            self.broken = error
        return taken


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
