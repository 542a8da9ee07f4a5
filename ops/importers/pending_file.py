"""`pending_orders.json` as entries: what a trade of the history tells of already is merged with it."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ops.importers import fields as f
from ops.importers import words
from ops.importers.entry import Entry, Outcome, no_section, refused, sums_of
from ops.importers.fields import RefusedRecordError
from ops.importers.orders import Ground, pending_order, rows_of
from ops.importers.stream import Item, read_items
from ops.importers.trades_file import content_of
from trading.orders import is_live

KIND = "pending-orders"
_SECTIONS = ("orders", "")


def pending_entries(path: Path, ground: Ground, told: Callable[[int], None]) -> Iterator[Entry]:
    """Yield an entry for every order of the file. Raises BrokenFileError after the last one that could be read."""
    seen: dict[str, str] = {}
    for item in read_items(path, told):
        if item.index is not None and item.section in _SECTIONS:
            yield pending_entry(item, ground, seen)
        elif item.index is not None or (item.value and item.section in _SECTIONS):
            yield no_section(item)


def pending_entry(item: Item, ground: Ground, seen: dict[str, str]) -> Entry:
    """Return one order as an entry. seen: order key -> place, of what stood earlier in the file."""
    entry = Entry(item.where, item.line, merges=True)
    try:
        record = f.record_of(item.value)
        entry.symbol = f.symbol(record, "symbol", "ticker")
        legacy_id = f.text_or_none(record, "order_id", "nOrdNo")
        entry.legacy_ids = (legacy_id,) if legacy_id else ()
        told = words.order_word(f.needed(record, "status"))
        order = pending_order(item.value, ground, item.text)
    except RefusedRecordError as error:
        if error.kind != "no_history":
            return refused(item, error)
        entry.refuse(error.kind, error.reason)
        return entry
    entry.key = order.key
    # What the record says, not what its state is by now: the same record is the same tomorrow.
    entry.content = content_of(told.value, order.quantity, order.price)
    if (place := seen.setdefault(order.key, item.where)) != item.where:
        entry.refuse("twice", f"the same order stands at {place}", Outcome.MERGED)
        return entry
    entry.rows = rows_of(order, entry.content)
    entry.sums = sums_of(entry.rows)
    entry.live = (order.symbol, order.side.value) if is_live(order.status) else None
    return entry
