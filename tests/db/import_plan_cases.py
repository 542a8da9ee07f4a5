"""Calls of every method that imports and exports ask the database with, for `test_plans`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from db.export_rows import ExportAccountsRepository, ExportRepository
from db.import_batches import ImportBatchRepository
from db.import_lookups import ImportLookupRepository
from db.import_rows import NewFill, NewOrder, NewPosition, NewRung, Rows, Tracking
from db.import_sums import ImportSumsRepository
from db.import_undo import UndoRepository
from db.import_values import Target
from db.imports import ImportRepository, new_ids, prepare
from trading.orders import OrderState
from trading.portfolio import Fill, apply_fill
from trading.values import Side, Symbol

USER = ACCOUNT = 25
BATCH = 1
_AT = datetime(2024, 1, 9, 11, tzinfo=UTC)
_DAY = date(2024, 1, 9)
_NEW = Symbol("NEW")
_TARGET = Target(USER, ACCOUNT, "code", "paper", "paper")
_FILL = Fill(_NEW, Side.BUY, 1, Decimal(10), Decimal(0), _AT)
_ORDER = NewOrder(
    "import:k", _NEW, Side.BUY, "reentry", "reentry", "signal", "market", "amo", 1, None, Decimal(10),
    OrderState.FILLED, _AT, _DAY, "99", 1, Decimal(10), _AT, _AT, position="p", at_venue=True,
)  # fmt: skip
_ROWS = Rows(
    [_ORDER], [NewFill("import:k", 1, _FILL)], [NewPosition("p", apply_fill(None, _FILL), Decimal(10))],
    [NewRung("p", "import:k", _NEW, 0, 20, 19.0, _DAY, 1, Decimal(10), _AT)],
)  # fmt: skip
_TRACKING = Tracking("t", _NEW, "active", _AT, None, 1, 1, 0, None, {})


async def _store(session: AsyncSession) -> None:
    batch = await _open(session)
    rows = ImportRepository(session, _TARGET, batch)
    await rows.store(prepare(_ROWS, await new_ids(session, _ROWS), _TARGET), "import:r", _AT)


async def _open(session: AsyncSession) -> int:
    return await ImportBatchRepository(session).open(
        user_id=USER, account_id=ACCOUNT, kind="trades-history", source="s", sha256="x", dry_run=False, salvage=False,
        actor="asha",
    )  # fmt: skip


async def _track(session: AsyncSession) -> None:
    await ImportRepository(session, _TARGET, await _open(session)).track([_TRACKING])


async def _deposit(session: AsyncSession) -> None:
    await ImportRepository(session, _TARGET, await _open(session)).deposit(Decimal(1), "r", _AT)


async def _deals(session: AsyncSession) -> None:
    export = _export(session)
    held = await export.open_positions()
    await export.deals(held)


def _lookups(session: AsyncSession) -> ImportLookupRepository:
    return ImportLookupRepository(session, USER, ACCOUNT)


def _export(session: AsyncSession) -> ExportRepository:
    return ExportRepository(session, USER, ACCOUNT)


OF_IMPORTS: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "ExportAccountsRepository.accounts": lambda s: ExportAccountsRepository(s, USER).accounts(),
    "ExportRepository.closed_positions": lambda s: _export(s).closed_positions(),
    "ExportRepository.counts": lambda s: _export(s).counts(),
    "ExportRepository.deals": _deals,
    "ExportRepository.earned": lambda s: _export(s).earned(),
    "ExportRepository.loose_orders": lambda s: _export(s).loose_orders(),
    "ExportRepository.open_positions": lambda s: _export(s).open_positions(),
    "ExportRepository.orders": lambda s: _export(s).orders(),
    "ExportRepository.tracked": lambda s: _export(s).tracked(),
    "ExportRepository.untracked": lambda s: _export(s).untracked(),
    "ImportLookupRepository.by_ids": lambda s: _lookups(s).by_ids(["250304000111222", "2"]),
    "ImportLookupRepository.held": lambda s: _lookups(s).held(["S1"]),
    "ImportLookupRepository.known": lambda s: _lookups(s).known(["import:a", "import:b"]),
    "ImportLookupRepository.live_sides": lambda s: _lookups(s).live_sides(["S1"]),
    "ImportLookupRepository.money": lambda s: _lookups(s).money("paper-trading", BATCH),
    "ImportLookupRepository.tracked": lambda s: _lookups(s).tracked(["t"]),
    "ImportRepository.deposit": _deposit,
    "ImportRepository.store": _store,
    "ImportRepository.track": _track,
    "ImportSumsRepository.sums": lambda s: ImportSumsRepository(s, USER, BATCH).sums(),
    "ImportSumsRepository.tracked_otherwise": lambda s: ImportSumsRepository(s, USER, BATCH).tracked_otherwise(),
    "UndoRepository.built_upon": lambda s: UndoRepository(s, _TARGET, BATCH).built_upon(),
    "UndoRepository.take_back": lambda s: UndoRepository(s, _TARGET, BATCH).take_back(),
}

OF_BATCHES: dict[str, str] = {
    f"ImportBatchRepository.{name}": "a row a batch"
    for name in ("advance", "expect", "finish", "note", "open", "page", "records", "rolled_back", "show", "unfinished")
}
