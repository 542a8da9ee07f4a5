"""What of a chunk is new: held against what the database has, and against what stood earlier in the same source."""

from collections.abc import Sequence
from typing import Any

from db.import_lookups import ImportLookupRepository, KnownOrder
from ops.importers.entry import Entry, Outcome


class Judge:
    """Remembers the order ids of one source. passed: entries seen so far."""

    def __init__(self) -> None:
        self.passed = 0
        # By hash: of a long file they are most of what is remembered.
        self._ids: dict[int, str] = {}

    def remember(self, chunk: Sequence[Entry]) -> None:
        """Take note of entries that an interrupted import settled already."""
        for entry in chunk:
            for one in entry.legacy_ids:
                self._ids.setdefault(hash(one), entry.place)

    async def judge(self, lookups: ImportLookupRepository, chunk: Sequence[Entry], batch_id: int) -> None:
        """Refuse, merge or skip what is there already; what is left as imported is new."""
        new = [one for one in chunk if one.rows is not None or one.merges]
        await self._tracked(lookups, chunk)
        known = await lookups.known([one.key for one in new if one.key is not None])
        ids = await lookups.by_ids([one for entry in new for one in entry.legacy_ids])
        held = await lookups.held(
            [one.symbol for one in new if one.symbol and one.rows is not None and one.rows.positions]
        )
        live = await lookups.live_sides([one.live[0] for one in new if one.live is not None])
        for entry in new:
            before = known.get(entry.key or "")
            if before is not None:
                _already(entry, before, batch_id)
                continue
            taken = next((one for one in entry.legacy_ids if one in ids), None) if ids else None
            if taken is not None:
                _by_id(entry, taken, ids[taken].status)
            elif twin := self._twin(entry):
                _refuse(entry, "order_twice", f"its order {twin[0]} stands at {twin[1]} too")
            elif (position := held.get(entry.symbol or "")) is not None and _was_open(entry, position):
                _changed(entry, position.import_batch_id)
            elif entry.opens in held:
                _refuse(entry, "held", _held(entry.opens, held[entry.opens].id, held[entry.opens].quantity))
            elif entry.live in live:
                _refuse(entry, "live", f"another order to {entry.live[1]} {entry.live[0]} may still trade")

    async def judge_money(self, lookups: ImportLookupRepository, entry: Entry, kind: str, batch_id: int) -> None:
        """Take an account's money once: what it has after trading here is never put back."""
        money = await lookups.money(kind, batch_id)
        if money.batch_id is not None:
            _refuse(entry, "there", f"batch {money.batch_id} set the account's money", Outcome.SKIPPED)
        elif money.has_traded:
            said = f"the account has traded here and has {money.cash}; that is not replaced by {entry.cash}"
            _refuse(entry, "has_traded", said)

    async def _tracked(self, lookups: ImportLookupRepository, chunk: Sequence[Entry]) -> None:
        there = await lookups.tracked([one.tracking.tracking_id for one in chunk if one.tracking is not None])
        for entry in chunk:
            if entry.tracking is not None and entry.tracking.tracking_id in there:
                _refuse(entry, "there", "it was imported before", Outcome.SKIPPED)

    def _twin(self, entry: Entry) -> tuple[str, str] | None:
        """Return an order id of the entry that another one of the source carries, with the other's place."""
        if entry.outcome is not Outcome.IMPORTED:
            return None
        for one in entry.legacy_ids:
            if self._ids.setdefault(hash(one), entry.place) != entry.place:
                return one, self._ids[hash(one)]
        return None


def _already(entry: Entry, before: KnownOrder, batch_id: int) -> None:
    if before.content != entry.content and before.batch_id is not None:
        _changed(entry, before.batch_id)
    elif before.batch_id == batch_id:
        _refuse(entry, "twice", "the same record stood earlier in this source", Outcome.MERGED)
    else:
        said = "it was traded here" if before.batch_id is None else f"batch {before.batch_id} imported it"
        _refuse(entry, "there", said, Outcome.SKIPPED)


def _was_open(entry: Entry, position: Any) -> bool:
    """Tell whether an entry is what an imported position became: bought at one moment, of another size by now."""
    opened = {one.position.opened_at for one in entry.rows.positions} if entry.rows is not None else set()
    return position.import_batch_id is not None and position.opened_at in opened


def _changed(entry: Entry, batch_id: int) -> None:
    again = f"roll it back (`muhurat import rollback {batch_id}`), then import again"
    _refuse(entry, "changed", f"batch {batch_id} imported it as it was before; {again}")


def _by_id(entry: Entry, legacy_id: str, status: str) -> None:
    if entry.merges:
        _refuse(entry, "told", f"order {legacy_id} is there already ({status})", Outcome.MERGED)
        return
    _refuse(entry, "order_known", f"its order {legacy_id} is there already: import the history before what names it")


def _held(symbol: str | None, position_id: int, quantity: int) -> str:
    return f"the account holds {quantity} {symbol} already (position {position_id}); only one position a share is open"


def _refuse(entry: Entry, kind: str, reason: str, outcome: Outcome = Outcome.ERROR) -> None:
    entry.refuse(kind, reason, outcome)
    entry.rows = entry.tracking = None
    for other in entry.others:
        other.refuse(kind, f"with {entry.place}: {reason}", outcome)
