"""`system_recommended_symbols.json` as entries: what the system owns of a share, beside what the user held before."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from db.import_rows import Tracking
from ops.importers import fields as f
from ops.importers import words
from ops.importers.entry import Entry, Outcome, Sums, no_section, refused
from ops.importers.fields import RefusedRecordError
from ops.importers.orders import Ground
from ops.importers.stream import read_items

KIND = "recommended-symbols"
_SECTIONS = ("symbols", "")
_STATUSES = {"active": "active", "completed": "completed", "closed": "completed", "ended": "completed"}


def tracked_entries(path: Path, ground: Ground, told: Callable[[int], None]) -> Iterator[Entry]:
    """Yield an entry for every share that was tracked. Raises BrokenFileError after the last that could be read."""
    seen: dict[str, str] = {}
    for item in read_items(path, told):
        if item.index is None or item.section not in _SECTIONS:
            if item.index is not None or (item.value and item.section in _SECTIONS):
                yield no_section(item)
            continue
        try:
            tracking = read_tracking(item.value)
        except RefusedRecordError as error:
            yield refused(item, error)
            continue
        entry = Entry(item.where, item.line, tracking.symbol, tracking=tracking, sums=Sums(tracked=1))
        if (place := seen.setdefault(tracking.tracking_id, item.where)) != item.where:
            entry.refuse("twice", f"the same tracking stands at {place}", Outcome.MERGED)
            entry.tracking = None
        yield entry


def read_tracking(value: object) -> Tracking:
    """Return a record as a tracking. Raises RefusedRecordError."""
    record = f.record_of(value)
    symbol = f.symbol(record, "symbol", "ticker")
    started = f.moment(record, "tracking_started_at", "started_at")
    known = {"symbol", "ticker", "id", "tracking_started_at", "tracking_ended_at", "tracking_status", "system_qty",
             "current_tracked_qty", "pre_existing_qty", "initial_order_id"}  # fmt: skip
    rest: Mapping[str, Any] = {name: f.as_json(one) for name, one in record.items() if name not in known}
    system = f.whole(f.first(record, "system_qty") or 0, "system_qty")
    tracked = f.first(record, "current_tracked_qty")
    return Tracking(
        tracking_id=f.text_or_none(record, "id", longest=255) or f"track-{symbol}-{started:%Y%m%d%H%M%S}",
        symbol=symbol,
        status=words.mapped(_STATUSES, "tracking_status", f.needed(record, "tracking_status", "status")),
        started_at=started,
        ended_at=f.moment_or_none(record, "tracking_ended_at"),
        system_quantity=system,
        tracked_quantity=system if tracked is None else f.whole(tracked, "current_tracked_qty"),
        pre_existing_quantity=f.whole(f.first(record, "pre_existing_qty") or 0, "pre_existing_qty"),
        initial_order_id=f.text_or_none(record, "initial_order_id"),
        facts=rest,
    )
