"""What `muhurat import` does: finds the sources and the account, brings one after the other in, tells of each."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.bars import BarRepository
from db.calendar import CalendarRepository
from db.import_batches import ImportBatchRepository
from db.import_sums import count_rows
from db.import_values import Target
from db.lookups import LookupRepository
from db.transaction import Database
from ops.importers.entry import Entry
from ops.importers.errors import NoTargetError
from ops.importers.files import LIVE_FILES, find, find_all, old_config
from ops.importers.legacy_database import KIND as DATABASE
from ops.importers.legacy_database import FoundUser, find_users
from ops.importers.orders import Ground
from ops.importers.run import Done, Steps, Wish, bring_in, remember
from ops.importers.source import Found, Source
from ops.importers.target import PAPER, find_target, usable_config
from ops.importers.verify import Measure, verify
from trading.config import DEFAULTS, TradingConfig

ALL = "all"
# Records. Fewer change nothing of how a table is best read.
MANY = 1_000
# Where the live files go when there are paper files beside them: two services never share an account.
LIVE_ACCOUNT = "live"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. path: of a database its address. account: None, the user's paper account.

    user: None, of a database: each of its users. source_user: whose rows of a database, where there are several.
    """

    kind: str
    path: Path | str
    user: str | None
    actor: str
    account: str | None = None
    create_user: bool = False
    dry_run: bool = False
    salvage: bool = False
    source_user: str | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A source, and who it is for. config: of a user that is signed up. left: what of the old one is not taken."""

    found: Found
    user: str
    account: str
    config: TradingConfig = DEFAULTS
    left: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


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
    """What became of one source. measures: its sums on both sides. left: what of its configuration is not taken.

    note: what people should know of it beside the numbers.
    """

    kind: str
    source: str
    user: str
    account: str
    done: Done
    brought_from: Source
    measures: Sequence[Measure] = ()
    left: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

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
            "user": self.user,
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
            **({"config_not_taken": dict(self.left)} if self.left else {}),
            **({"note": self.note} if self.note else {}),
        }


async def run(database: Database, request: Request, screen: Screen) -> list[Brought]:
    """Bring in what was asked for, one source after the other. Returns what became of each.

    A dry run is one transaction, taken back at its end. Raises ImportingError, ConfigError, OSError.
    """
    wanted = await _of_database(request) if request.kind == DATABASE else _of_files(request)
    if not request.dry_run:
        return await _all(Steps(database), request, wanted, screen)
    try:
        async with database.transaction(None) as session:
            brought = await _all(Steps(database, session), request, wanted, screen)
            raise _TakenBack(brought)
    except _TakenBack as taken:
        brought = taken.brought
    await _remember(database, request, brought)
    return brought


def _of_files(request: Request) -> list[_Wanted]:
    if request.user is None:
        raise NoTargetError("nobody is named that the files are for: add --user EMAIL")
    path = Path(request.path)
    sources = find_all(path) if request.kind == ALL else [find(request.kind, path)]
    config, left = usable_config(old_config(path))
    wanted = [_Wanted(one, request.user, request.account or _account_for(one, sources), config) for one in sources]
    return [*wanted[:-1], replace(wanted[-1], left=left)]


async def _of_database(request: Request) -> list[_Wanted]:
    single = request.user is not None
    found = await asyncio.to_thread(find_users, str(request.path), request.source_user, single=single)
    return [_for_user(one, request) for one in found]


def _for_user(found: FoundUser, request: Request) -> _Wanted:
    user = found.user
    note = f"{user.email} {user.kind}; the account here is {request.account or PAPER!r}"
    return _Wanted(found, request.user or user.email, request.account or PAPER, user.config, user.left, note)


async def _all(steps: Steps, request: Request, wanted: Sequence[_Wanted], screen: Screen) -> list[Brought]:
    if not request.create_user:
        await _refuse_strangers(steps, wanted)
    brought = []
    for one in wanted:
        async with steps.step() as session:
            target = await find_target(
                session, one.user, one.account, request.actor, create=request.create_user,
                open_account=request.create_user or one.account == LIVE_ACCOUNT, config=one.config,
            )  # fmt: skip
            ground = await read_ground(session)
        brought.append(await _bring(steps, request, one, target, ground, screen))
    return brought


async def _refuse_strangers(steps: Steps, wanted: Sequence[_Wanted]) -> None:
    """Say who is not here before anybody's rows are touched. Raises NoTargetError."""
    async with steps.step() as session:
        lookups = LookupRepository(session)
        missing = [one.user for one in wanted if await lookups.user_id(one.user) is None]
    if missing:
        named = ", ".join(repr(one) for one in dict.fromkeys(missing))
        raise NoTargetError(f"there is no user {named}: add --create-user, or see `muhurat users`")


async def _remember(database: Database, request: Request, brought: Sequence[Brought]) -> None:
    """Store the batches of a dry run, unless its user went with it."""
    for one in brought:
        async with database.transaction(None) as session:
            if await LookupRepository(session).user_id(one.user) is None:
                one.done.batch_id = 0
                continue
            try:
                target = await find_target(session, one.user, one.account, request.actor, create=False)
            except NoTargetError:
                one.done.batch_id = 0
                continue
            await remember(session, one.brought_from, target, _wish(request), one.done)


def _account_for(source: Found, sources: Sequence[Found]) -> str:
    both = {one.kind in LIVE_FILES for one in sources} == {True, False}
    return LIVE_ACCOUNT if both and source.kind in LIVE_FILES else PAPER


async def _bring(
    steps: Steps, request: Request, wanted: _Wanted, target: Target, ground: Ground, screen: Screen
) -> Brought:
    found = wanted.found
    screen.begins(found)
    source = found.open(ground, screen.read)
    done = await bring_in(steps, source, target, _wish(request, lambda entry: screen.settled(found, entry)))
    measures: Sequence[Measure] = ()
    if done.state == "done":
        _, measures = await asyncio.gather(_count(steps, done), _verify(steps, done))
    return Brought(
        found.kind, source.name, wanted.user, wanted.account, done, source, measures, wanted.left, wanted.note
    )


async def _count(steps: Steps, done: Done) -> None:
    """Have Postgres count the rows of an import that is worth it; not of a dry run, whose rows are gone in a moment."""
    if steps.within is None and done.counts["imported"] >= MANY:
        async with steps.database.transaction(None) as session:
            await count_rows(session)


async def _verify(steps: Steps, done: Done) -> Sequence[Measure]:
    async with steps.step() as session:
        return await verify_batch(session, done.batch_id)


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
