"""One user's rows in one share as entries: positions with the orders that made them, then what none of them covers."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ops.importers.database_deals import ONGOING, Cycle, Deal, completed, cycles_of, deal_of, give_out
from ops.importers.database_orders import as_told, order_record
from ops.importers.database_records import Told, is_sum_of_parts, trade_of_deals, trade_of_part, trade_of_position
from ops.importers.database_rows import Row, Share
from ops.importers.entry import Entry, Outcome, refused
from ops.importers.fields import RefusedRecordError
from ops.importers.orders import Ground
from ops.importers.pending_file import pending_entry
from ops.importers.stream import Item
from ops.importers.trades_file import Trades
from trading.values import Side


def share_entries(share: Share, ground: Ground, seen: dict[str, str]) -> Iterator[Entry]:
    """Yield an entry for every position and order of a share. seen: order key -> place, of all shares of the user."""
    yield from _Entries(share, ground, seen).all()


class _Entries:
    """The entries of one share while they are made. covered: place of a trade -> what became part of it."""

    def __init__(self, share: Share, ground: Ground, seen: dict[str, str]) -> None:
        self._share, self._ground, self._seen = share, ground, seen
        self._trades = Trades(ground)
        self._covered: dict[str, list[Entry]] = {}
        self._notes: dict[str, tuple[str, ...]] = {}

    def all(self) -> Iterator[Entry]:
        share = self._share
        cycles: list[Cycle] = []
        for row, cycle in cycles_of(share.positions):
            if isinstance(cycle, Cycle):
                cycles.append(cycle)
            else:
                yield _refused("positions", row, cycle)
        deals: list[Deal] = []
        waiting: list[Row] = []
        for row in share.orders:
            try:
                deal = deal_of(row, share.fills.get(row["id"], ()))
            except RefusedRecordError as error:
                yield _refused("orders", row, error)
                continue
            if deal is None:
                waiting.append(row)
            else:
                deals.append(deal)
        yield from self._executed(cycles, deals)
        for row in waiting:
            yield self._order(row)

    def _executed(self, cycles: Sequence[Cycle], deals: Sequence[Deal]) -> Iterator[Entry]:
        """Yield the trades: each position's, those that are over without one, and those that nothing else tells of."""
        left = give_out(deals, cycles)
        for cycle in cycles:
            yield from self._position(cycle)
        runs, rest = completed(left)
        for run in runs:
            yield from self._trade(run)
        for deal in rest:
            # Whether something is held is what positions say; only where there are none do orders have a say.
            if deal.word == ONGOING and not cycles and not _is_sold_in_part(deal, rest):
                yield from self._trade([deal])
            else:
                yield _untold(deal, self._share, rest)
        for entry in self._trades.entries(iter(())):
            yield self._with_covered(entry)

    def _position(self, cycle: Cycle) -> Iterator[Entry]:
        if cycle.closed_at is None:
            # What was bought and sold before, in a row that was used again, is a trade of its own.
            runs, cycle.deals = completed(cycle.deals)
            for run in runs:
                yield from self._trade(run)
            over, cycle.deals = cycle.of(Side.SELL), cycle.of(Side.BUY)
            if over and is_sum_of_parts(cycle, over):
                for sale in over:
                    yield from self._taken(sale.place, sale.row, (), partial(trade_of_part, cycle, sale))
            else:
                yield from (_untold(one, self._share, [*cycle.deals, *over]) for one in over)
        yield from self._taken(cycle.place, cycle.row, cycle.deals, lambda: trade_of_position(cycle))

    def _trade(self, deals: Sequence[Deal]) -> Iterator[Entry]:
        first, *others = deals
        yield from self._taken(first.place, first.row, others, lambda: trade_of_deals(deals))

    def _taken(self, place: str, row: Row, covered: Sequence[Deal], read: Callable[[], Told]) -> Iterator[Entry]:
        """Yield what becomes of a trade at once: one that is held stays until all of the share was seen."""
        entry = Entry(place, symbol=self._share.symbol)
        self._covered[place] = [Entry(one.place, symbol=entry.symbol) for one in covered]
        try:
            told = read()
            self._notes[place] = told.notes
            for one in self._trades.take(entry, told.trade):
                yield self._with_covered(one)
        except RefusedRecordError as error:
            entry.refuse(error.kind, error.reason)
            yield self._with_covered(entry)

    def _with_covered(self, entry: Entry) -> Entry:
        """Return an entry with those that became part of it; they fall with it."""
        entry.notes = (*self._notes.get(entry.place, ()), *entry.notes)
        parts = [*entry.others]
        for whole in [entry, *entry.others]:
            for part in self._covered.pop(whole.place, ()):
                if entry.outcome is Outcome.ERROR:
                    part.refuse(entry.kind, f"with {entry.place}: {entry.reason}")
                else:
                    part.refuse("same_trade", f"it is part of {entry.place}", Outcome.MERGED)
                parts.append(part)
        entry.others = parts
        return entry

    def _order(self, row: Row) -> Entry:
        """Return an order that was never executed, by the rules of the file of waiting orders."""
        try:
            item = Item(f"orders[{row['id']}]", None, 0, order_record(row))
            entry = pending_entry(item, self._ground, self._seen)
            if entry.rows is not None:
                entry.rows.orders = [as_told(one, row) for one in entry.rows.orders]
        except RefusedRecordError as error:
            return _refused("orders", row, error)
        entry.line = None
        return entry


def _is_sold_in_part(deal: Deal, rest: Sequence[Deal]) -> bool:
    return any(one.side is Side.SELL and one.at >= deal.at for one in rest)


def _untold(deal: Deal, share: Share, rest: Sequence[Deal]) -> Entry:
    """Return an order that was executed and that nothing tells the other half of, refused."""
    entry = Entry(deal.place, symbol=share.symbol)
    if deal.side is Side.SELL and any(one.side is Side.BUY and one.at <= deal.at for one in rest):
        entry.refuse("sold_in_part", f"it sold {deal.quantity} of more that was held; only what is left can be told")
    else:
        entry.refuse(
            "no_history", "it was executed, and no position or order tells whether it is still held, or what it sold"
        )
    return entry


def _refused(section: str, row: Row, error: RefusedRecordError) -> Entry:
    entry = refused(Item(f"{section}[{row['id']}]", None, 0, row), error)
    entry.line = None
    return entry
