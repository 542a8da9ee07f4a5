"""`trades_history.json` as entries: trades that are over as they come, those still held once all of it was seen."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ops.importers.entry import Entry, Outcome, Sums, no_section, refused, sums_of
from ops.importers.fields import RefusedRecordError
from ops.importers.orders import Ground, failed_order, rows_of
from ops.importers.quantities import Reading
from ops.importers.stream import Item, read_items
from ops.importers.trade import Trade, as_one, read_trade
from ops.importers.trade_rows import trade_rows

KIND = "trades-history"
_TRADES, _FAILED = ("trades", ""), "failed_orders"
# What of a profit may differ from the prices beside it before it is worth a word: charges, and what was rounded.
_PNL_OFF = 0.02


def trade_entries(path: Path, ground: Ground, told: Callable[[int], None]) -> Iterator[Entry]:
    """Yield an entry for every record of the file. Raises BrokenFileError after the last one that could be read."""
    yield from Trades(ground).entries(read_items(path, told))


class _Telling(NamedTuple):
    """Where a trade stood, a hash of what was said of it, and whether it was over there."""

    place: str
    content: str
    over: bool


class _Seen:
    """The first telling of each trade of a source, in little memory: that of a long file is all that grows with it."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}

    def before(self, key: str, telling: _Telling) -> _Telling | None:
        """Return the telling that was first, None when this one is."""
        line = _line(telling)
        first = self._lines.setdefault(hash(key), line)
        if first is line:
            return None
        over, content, place = first.split(" ", 2)
        return _Telling(place, content, over=bool(over))

    def replace(self, key: str, telling: _Telling) -> None:
        """Take a telling for the first one."""
        self._lines[hash(key)] = _line(telling)


def _line(telling: _Telling) -> str:
    return f"{'over' if telling.over else ''} {telling.content} {telling.place}"


class Trades:
    """The trades of one source: what was seen, and what is still held."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._seen = _Seen()
        self._held: dict[str, list[tuple[Entry, Trade]]] = {}

    def entries(self, items: Iterator[Item]) -> Iterator[Entry]:
        """Yield closed trades, failed orders and refused records; at the end of the items, what is held.

        What stops the items is raised again after that, so that whoever salvages has all of it.
        """
        broken: Exception | None = None
        while True:
            try:
                item = next(items)
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001  # raised again below
                broken = error
                break
            yield from self._entry(item)
        yield from self._positions()
        if broken is not None:
            raise broken

    def _entry(self, item: Item) -> Iterator[Entry]:
        if item.index is None:
            if item.value and item.section in (*_TRADES, _FAILED):
                yield no_section(item)
            return  # last_run and the like: nothing that was traded
        try:
            if item.section in _TRADES:
                yield from self.take(Entry(item.where, item.line), read_trade(item.value, item.text))
            elif item.section == _FAILED:
                yield self._failed(item)
            else:
                yield no_section(item)
        except RefusedRecordError as error:
            yield refused(item, error)

    def _failed(self, item: Item) -> Entry:
        order = failed_order(item.value, self._ground, item.text)
        # What the record says, not what its state is by now: the same record is the same tomorrow.
        content = content_of("failed", order.quantity, order.reference_price)
        entry = Entry(item.where, item.line, order.symbol, order.key, content)
        if (twin := self._seen.before(order.key, _Telling(entry.place, "", over=True))) is not None:
            entry.refuse("twice", f"the same order stands at {twin.place}", Outcome.MERGED)
            return entry
        entry.rows = rows_of(order, content)
        entry.sums = sums_of(entry.rows)
        return entry

    def take(self, entry: Entry, trade: Trade) -> Iterator[Entry]:
        """Yield the entry of a trade that is over, or of one that tells of another again; keep one that is held."""
        entry.symbol, entry.key, entry.content = trade.symbol, trade.key, _content(trade)
        entry.legacy_ids = _ids(trade)
        self._check_days(trade)
        telling = _Telling(entry.place, entry.content, over=trade.exit is not None)
        if (first := self._seen.before(trade.key, telling)) is not None:
            yield from self._twin(entry, trade, first)
        elif trade.exit is None:
            self._held.setdefault(trade.symbol, []).append((entry, trade))
        else:
            yield _closed(entry, trade)

    def _twin(self, entry: Entry, trade: Trade, first: "_Telling") -> Iterator[Entry]:
        """Yield what becomes of a second telling of a trade: one that is over counts more than one that is open."""
        held = self._held.get(trade.symbol, [])
        before = next((one for one in held if one[0].key == trade.key), None)
        if first.content == entry.content:
            entry.refuse("twice", f"the same trade stands at {first.place}", Outcome.MERGED)
            yield entry
        elif trade.exit is not None and before is not None:
            held.remove(before)
            before[0].refuse("twice", f"the same trade stands closed at {entry.place}", Outcome.MERGED)
            self._seen.replace(trade.key, _Telling(entry.place, entry.content or "", over=True))
            yield before[0]
            yield _closed(entry, trade)
        elif trade.exit is None and first.over:
            entry.refuse("twice", f"the same trade stands closed at {first.place}", Outcome.MERGED)
            yield entry
        else:
            entry.refuse("contradiction", f"the same purchase stands at {first.place}, with another end")
            yield entry

    def _positions(self) -> Iterator[Entry]:
        """Yield what is held, one position a share; a second open trade of a share goes into the first one's."""
        for held in filter(None, self._held.values()):
            held.sort(key=lambda one: one[1].at)
            (entry, _), *others = held
            trade = as_one([one for _, one in held])
            entry.content = _content(trade)
            entry.rows = trade_rows(trade, entry.content)
            entry.sums = _sums(trade)
            entry.opens = trade.symbol
            entry.notes = _notes(trade)
            entry.legacy_ids = _ids(trade)
            entry.others = [other for other, _ in others]
            for other in entry.others:
                other.refuse("same_position", f"bought into the position that {entry.place} opened", Outcome.MERGED)
            yield entry

    def _check_days(self, trade: Trade) -> None:
        """Refuse a trade that is still to come: a clock was wrong. Raises RefusedRecordError."""
        last = trade.exit.at if trade.exit else (trade.reentries[-1].at if trade.reentries else trade.at)
        if last > self._ground.now:
            raise RefusedRecordError("bad_time", f"it happened at {last:%Y-%m-%d %H:%M} UTC, which is still to come")


def _closed(entry: Entry, trade: Trade) -> Entry:
    entry.rows = trade_rows(trade, entry.content or "")
    entry.sums = _sums(trade)
    entry.notes = _notes(trade)
    return entry


def content_of(*parts: object) -> str:
    """Return a short hash of what a record says, to tell later whether it still says the same."""
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _content(trade: Trade) -> str:
    deals: list[object] = [trade.quantity]
    for one in trade.reentries:
        deals += (one.quantity, one.price, one.at.timestamp())
    if trade.exit is not None:
        deals += ("sold", trade.exit.price, trade.exit.at.timestamp())
    return content_of(*deals)


def _ids(trade: Trade) -> tuple[str, ...]:
    sale = trade.exit.legacy_id if trade.exit else None
    return tuple(one for one in (trade.legacy_id, sale, *(again.legacy_id for again in trade.reentries)) if one)


def _sums(trade: Trade) -> Sums:
    """Return what a trade's own numbers add up to; its rows are held against them."""
    deals = 1 + len(trade.reentries)
    if trade.exit is None:
        return Sums(deals, deals, trade.total, 0, trade.cost, open_positions=1, open_shares=trade.total)
    value = trade.total * trade.exit.price
    return Sums(
        deals + 1, deals + 1, trade.total, trade.total, trade.cost, sold_value=value, realized=value - trade.cost
    )


def _notes(trade: Trade) -> tuple[str, ...]:
    notes = []
    if trade.read_as not in (Reading.SINGLE, Reading.GIVEN):
        notes.append(f"its quantity was read as {trade.read_as.value}")
    if trade.exit is not None and trade.stated_pnl is not None:
        gain = float(trade.total * trade.exit.price - trade.cost)
        if abs(gain - trade.stated_pnl) > _PNL_OFF * max(abs(gain), 1.0):
            notes.append(f"it states a profit of {trade.stated_pnl:.2f}; its prices give {gain:.2f}")
    return tuple(notes)
