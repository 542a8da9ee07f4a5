"""What `muhurat export legacy` does: one user's record, as it stands at one moment, into the predecessor's folders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.audit_logs import AuditLogRepository
from db.clock import ClockRepository
from db.configs import UserTradingConfigRepository
from db.export_rows import ExportAccountsRepository, ExportRepository
from db.lookups import LookupRepository
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from ops.exporters.folders import Takes, Told, write_live, write_paper
from ops.exporters.writing import cleared_unless_whole, empty_folder
from ops.importers.command import LIVE_ACCOUNT
from ops.importers.errors import NoTargetError
from ops.importers.files import LIVE_FILES
from ops.importers.paper_files import KIND as PAPER_KIND
from ops.importers.target import PAPER
from trading.config import TradingConfig

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Screen:
    """Who is told how it goes: so many rows are to be read, one more was."""

    begins: Callable[[int], None] = lambda _: None
    read: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Exported:
    """What was written. records: file -> records. left: accounts that have no place in the old files."""

    path: Path
    user: str
    records: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    left: Sequence[str] = ()
    runs: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "path": str(self.path),
            "user": self.user,
            "files": dict(self.records),
            "accounts": dict(self.accounts),
            "accounts_left": list(self.left),
            "service_running": self.runs,
        }


@dataclass(frozen=True, slots=True)
class _Part:
    """One account's rows for one of the two services."""

    account: Row
    live: bool
    takes: Takes


async def export_legacy(database: Database, path: Path, user: str, actor: str, screen: Screen) -> Exported:
    """Write a user's record as the predecessor's files. Returns what was written.

    Raises NoTargetError, NotEmptyError, UnsoundRecordError, OSError.
    """
    async with database.reading(None) as session:
        user_id = await LookupRepository(session).user_id(user)
    if user_id is None:
        raise NoTargetError(f"there is no user {user!r}; see `muhurat users`")
    folder = empty_folder(path)
    # All of it as it stands at one moment, whatever happens meanwhile.
    still = Database(database.engine.execution_options(isolation_level="REPEATABLE READ"))
    with cleared_unless_whole(folder):
        async with still.reading(user_id) as session:
            exported = await _export(session, folder, user_id, user, screen)
    async with database.transaction(None) as session:
        changes = {"files": dict(exported.records), "accounts": dict(exported.accounts)}
        await AuditLogRepository(session).record(actor, "export", "user", user_id, user_id=user_id, changes=changes)
    return exported


async def _export(session: AsyncSession, folder: Path, user_id: int, user: str, screen: Screen) -> Exported:
    accounts = await ExportAccountsRepository(session, user_id).accounts()
    parts = _parts(accounts)
    config = (await UserTradingConfigRepository(session).get(user_id)).config
    now = (await ClockRepository(session).read()).now
    told = Told(screen.read)
    screen.begins(await _rows_of(session, user_id, parts))
    for part in parts:
        rows = ExportRepository(session, user_id, part.account["id"])
        await _write(folder, rows, part, config, now, told)
    named = {str(part.account["name"]) for part in parts}
    places = {True: "data", False: "paper_trading"}
    return Exported(
        folder,
        user,
        told.records,
        {places[part.live]: part.account["name"] for part in parts},
        [one["name"] for one in accounts if one["name"] not in named],
        await ServiceStatusRepository(session).runs(user_id),
    )


async def _rows_of(session: AsyncSession, user_id: int, parts: Sequence[_Part]) -> int:
    """Return how many rows will be read, about: what the bar is filled by."""
    rows = 0
    for part in parts:
        counts = await ExportRepository(session, user_id, part.account["id"]).counts()
        rows += counts["positions"] if part.live else counts["orders"]
    return rows


async def _write(
    folder: Path, rows: ExportRepository, part: _Part, config: TradingConfig, now: datetime, told: Told
) -> None:
    if part.live:
        await write_live(folder, rows, part.takes, now, told)
    else:
        await write_paper(folder, rows, part.takes, part.account, config, now, told)


def _parts(accounts: Sequence[Row]) -> list[_Part]:
    """Return which account goes to which service.

    The live service gets the account `live`. Without one it gets `paper`, where that has its files or has traded and
    has none of paper trading; where it has both, each service gets what came from it, and the live one what is ours.
    """
    named = {one["name"]: one for one in accounts}
    paper, live = named.get(PAPER), named.get(LIVE_ACCOUNT)
    if live is not None:
        return [_Part(live, True, _all), *([_Part(paper, False, _all)] if paper is not None else [])]
    if paper is None:
        return []
    kinds = set(paper["kinds"])
    if PAPER_KIND not in kinds:
        is_live = bool(kinds & LIVE_FILES.keys()) or paper["has_orders"]
        return [_Part(paper, is_live, _all)]
    if not kinds & LIVE_FILES.keys():
        return [_Part(paper, False, _all)]
    return [_Part(paper, True, lambda row: not _is_paper(row)), _Part(paper, False, _is_paper)]


def _all(_: Row) -> bool:
    return True


def _is_paper(row: Row) -> bool:
    """Tell whether an order, or a position, came from paper trading, an order by its position if it has one."""
    return bool((row["belongs"] if "belongs" in row else row["kind"]) == PAPER_KIND)
