"""What of an import is there already: looked up for many records at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.columns import Columns
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
# One look into an index for each: with a whole list of them the planner reads the table, until it is analysed.
_KEYS, _IDS = Columns(key="text"), Columns(id="text")
_KNOWN = text(
    f"""
    SELECT k.key, o.import_batch_id, o.metadata ->> 'content' AS content
    FROM {_KEYS.rows("k")}
    JOIN LATERAL (SELECT * FROM orders WHERE user_id = :user_id AND account_id = :account_id AND intent_key = k.key
                  LIMIT 1) o ON true
    """
)
_BY_ID = text(
    f"""
    SELECT k.id AS legacy_id, o.id, o.status, o.import_batch_id
    FROM {_IDS.rows("k")}
    JOIN LATERAL (SELECT * FROM orders WHERE user_id = :user_id AND account_id = :account_id AND order_id = k.id
                  ORDER BY id LIMIT 1) o ON true
    """
)
_HELD = text(
    """
    SELECT symbol, id, quantity, opened_at, import_batch_id FROM positions
    WHERE user_id = :user_id AND account_id = :account_id AND closed_at IS NULL
      AND symbol = ANY(CAST(:symbols AS text[]))
    """
)
_LIVE_SIDES = text(
    f"""
    SELECT DISTINCT symbol, side FROM orders
    WHERE user_id = :user_id AND account_id = :account_id AND status IN ({_LIVE})
      AND symbol = ANY(CAST(:symbols AS text[]))
    """
)
_MONEY = text(
    """
    SELECT a.cash,
           (SELECT min(b.id) FROM import_batches b
            WHERE b.user_id = :user_id AND b.account_id = :account_id AND b.kind = :kind AND b.state = 'done'
              AND NOT b.dry_run AND b.id <> :batch_id) AS batch_id,
           EXISTS (SELECT FROM fills WHERE user_id = :user_id AND account_id = :account_id
                   AND import_batch_id IS NULL) AS has_traded
    FROM broker_accounts a WHERE a.id = :account_id AND a.user_id = :user_id
    """
)
_TRACKED = text(
    "SELECT tracking_id FROM tracked_symbols WHERE user_id = :user_id AND account_id = :account_id "
    "AND tracking_id = ANY(CAST(:ids AS text[]))"
)


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order that is there already. batch_id: None when no import made it. content: a hash of its record."""

    batch_id: int | None
    content: str | None


class ImportLookupRepository:
    """Queries over one account for an import's questions. An empty question asks nothing."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session = session
        self._mine = {"user_id": user_id, "account_id": account_id}

    async def known(self, keys: Sequence[str]) -> dict[str, KnownOrder]:
        """Return which keys have an order already."""
        rows = (await self.session.execute(_KNOWN, {**self._mine, **_KEYS.values(key=keys)})).all() if keys else []
        return {row.key: KnownOrder(row.import_batch_id, row.content) for row in rows}

    async def by_ids(self, legacy_ids: Sequence[str]) -> dict[str, Any]:
        """Return the orders that carry an id of the old system: id -> (id, status, import_batch_id)."""
        if not legacy_ids:
            return {}
        rows = (await self.session.execute(_BY_ID, {**self._mine, **_IDS.values(id=legacy_ids)})).all()
        return {row.legacy_id: row for row in rows}

    async def held(self, symbols: Collection[str]) -> dict[str, Any]:
        """Return the open positions in some shares: symbol -> (id, quantity, opened_at, import_batch_id)."""
        return {row.symbol: row for row in await self._all(_HELD, symbols=symbols)}

    async def live_sides(self, symbols: Collection[str]) -> set[tuple[str, str]]:
        """Return for which shares and sides an order may still trade."""
        return {(row.symbol, row.side) for row in await self._all(_LIVE_SIDES, symbols=symbols)}

    async def tracked(self, ids: Collection[str]) -> set[str]:
        """Return which trackings are there already."""
        return {row.tracking_id for row in await self._all(_TRACKED, ids=ids)}

    async def money(self, kind: str, batch_id: int) -> Any:
        """Return the account's cash, the batch that has set it already, and whether the account has traded."""
        return (await self.session.execute(_MONEY, {**self._mine, "kind": kind, "batch_id": batch_id})).one()

    async def _all(self, statement: Any, **asked: Collection[str]) -> list[Any]:
        ((name, values),) = asked.items()
        if not values:
            return []
        return list((await self.session.execute(statement, {**self._mine, name: list(values)})).all())
