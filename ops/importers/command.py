"""What `muhurat import` does: finds the sources and the account, brings one after the other in, tells of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.bars import BarRepository
from db.calendar import CalendarRepository
from db.import_batches import ImportBatchRepository
from db.imports import Target
from db.lookups import LookupRepository
from db.transaction import Database
from ops.importers.entry import Entry
from ops.importers.errors import NoTargetError
from ops.importers.files import LIVE_FILES, Found, find, find_all, old_config
from ops.importers.orders import Ground
from ops.importers.run import Done, Steps, Wish, bring_in, remember
from ops.importers.source import Source
from ops.importers.target import PAPER, find_target, legacy_config
from ops.importers.verify import Measure, verify

ALL = "all"
# Where the live files go when there are paper files beside them: two services never share an account.
LIVE_ACCOUNT = "live"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. account: None, the user's paper account."""

    kind: str
    path: Path
    user: str
    actor: str
    account: str | None = None
    create_user: bool = False
    dry_run: bool = False
    salvage: bool = False


class _TakenBack(Exception):  # noqa: N818  # a dry run's own way out, no error
    """Everything of a dry run is taken back."""

    def __init__(self, brought: "list[Brought]") -> None:
        super().__init__("taken back")
        self.brought = brought


@dataclass(frozen=True, slots=True)
class Screen:
    """Who is told how it goes: a source begins, so much of it was read, an entry was settled."""

    begins: Callable[[Found], None] = lambda _: None
    read: Callable[[int], None] = lambda _: None
    settled: Callable[[Found, Entry], None] = lambda *_: None


@dataclass(slots=True)
class Brought:
    """What became of one source. measures: its sums on both sides."""

    kind: str
    source: str
    account: str
    done: Done
    brought_from: Source
    measures: Sequence[Measure] = ()
    left: dict[str, Any] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was refused, nothing broke off, and every sum agrees."""
        agrees = all(one.agrees for one in self.measures)
        return agrees and not self.done.counts["error"] and self.done.broken is None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        done = self.done
        return {
            "batch": done.batch_id or None,
            "kind": self.kind,
            "source": self.source,
            "account": self.account,
            "state": done.state,
            "resumed": done.resumed,
            "counts": {name: done.counts[name] for name in ("imported", "merged", "skipped", "error")},
            "unmapped": dict(done.unmapped),
            "broken": done.broken,
            "sums": done.sums.to_json(),
            "disagree": [
                {"name": one.name, "source": str(one.source), "database": str(one.database)}
                for one in self.measures
                if not one.agrees
            ],
            **({"config_not_taken": self.left} if self.left else {}),
        }


async def run(database: Database, request: Request, screen: Screen) -> list[Brought]:
    """Bring in what was asked for, one source after the other. Returns what became of each.

    A dry run is one transaction, taken back at its end. Raises ImportingError, ConfigError, OSError.
    """
    sources = find_all(request.path) if request.kind == ALL else [find(request.kind, request.path)]
    if not request.dry_run:
        return await _all(Steps(database), request, sources, screen)
    try:
        async with database.transaction(None) as session:
            brought = await _all(Steps(database, session), request, sources, screen)
            raise _TakenBack(brought)
    except _TakenBack as taken:
        brought = taken.brought
    await _remember(database, request, brought)
    return brought


async def _all(steps: Steps, request: Request, sources: Sequence[Found], screen: Screen) -> list[Brought]:
    config, _, left = legacy_config(old_config(request.path))
    brought = []
    for source in sources:
        account = request.account or _account_for(source, sources)
        async with steps.step() as session:
            target = await find_target(
                session, request.user, account, request.actor, create=request.create_user,
                open_account=request.create_user or account == LIVE_ACCOUNT, config=config,
            )  # fmt: skip
            ground = await read_ground(session)
        brought.append(await _bring(steps, request, source, target, ground, account, screen))
    brought[-1].left = left
    return brought


async def _remember(database: Database, request: Request, brought: Sequence[Brought]) -> None:
    """Store the batches of a dry run, unless its user went with it."""
    for one in brought:
        async with database.transaction(None) as session:
            if await LookupRepository(session).user_id(request.user) is None:
                one.done.batch_id = 0
                continue
            try:
                target = await find_target(session, request.user, one.account, request.actor, create=False)
            except NoTargetError:
                one.done.batch_id = 0
                continue
            await remember(session, one.brought_from, target, _wish(request), one.done)


def _account_for(source: Found, sources: Sequence[Found]) -> str:
    both = {one.kind in LIVE_FILES for one in sources} == {True, False}
    return LIVE_ACCOUNT if both and source.kind in LIVE_FILES else PAPER


async def _bring(
    steps: Steps, request: Request, found: Found, target: Target, ground: Ground, account: str, screen: Screen
) -> Brought:
    screen.begins(found)
    source = found.open(ground, screen.read)
    done = await bring_in(steps, source, target, _wish(request, lambda entry: screen.settled(found, entry)))
    measures: Sequence[Measure] = ()
    if done.state == "done":
        async with steps.step() as session:
            measures = await verify_batch(session, done.batch_id)
    return Brought(found.kind, source.name, account, done, source, measures)


def _wish(request: Request, told: Callable[[Entry], None] = lambda _: None) -> Wish:
    return Wish(request.actor, request.dry_run, request.salvage, told)


async def read_ground(session: AsyncSession) -> Ground:
    """Return what old orders are judged by: the calendar, market now and the last known closes."""
    bars = BarRepository(session)
    day = await bars.last_whole_day()
    now = (await session.execute(text("SELECT market_now()"))).scalar_one()
    closes = {} if day is None else await bars.closes_on(day)
    return Ground(await CalendarRepository(session).load(), now, closes)


async def verify_batch(session: AsyncSession, batch_id: int) -> list[Measure]:
    """Return the sums of a batch on both sides. Raises LookupError when there is none of that id."""
    batch = await ImportBatchRepository(session).show(batch_id)
    if batch is None:
        raise LookupError(f"there is no batch {batch_id}; `muhurat import list` has them")
    if batch["state"] != "done":
        raise LookupError(f"batch {batch_id} is {batch['state'].replace('_', ' ')}: there is nothing to verify")
    return await verify(session, dict(batch))
