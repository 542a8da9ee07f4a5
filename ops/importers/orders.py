"""Orders that are in no trade: those that waited, ended without a share, or failed for want of money."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from db.import_rows import NewOrder, Rows, key_of
from ops.importers import fields as f
from ops.importers import words
from ops.importers.fields import Record, RefusedRecordError
from ops.importers.words import Told
from trading.calendar import Calendar, Session
from trading.errors import CalendarUncovered
from trading.orders import FailureKind, OrderState
from trading.risk import ENTRY_LEG
from trading.values import Price, Side, Symbol, money

# What the predecessor and its broker said when there was no money for a purchase, in some word of the sentence.
_SHORT_OF_MONEY = ("insufficient", "margin shortfall")
_LONGEST_REASON = 512
_LONGEST_KEY = 128


@dataclass(frozen=True, slots=True)
class Ground:
    """What an old order is judged by. now: market now. closes: the last known close of a share, where one is known."""

    calendar: Calendar
    now: datetime
    closes: Mapping[Symbol, Price]

    def session_for(self, placed_at: datetime, variety: str) -> Session:
        """Return the session an order was for: an after-market order's is the next one. Raises RefusedRecordError."""
        try:
            session = self.calendar.current_or_next(placed_at)
            late = variety == "amo" and placed_at >= self.calendar.amo_ends(session)
            return self.calendar.next_session(session.day) if late else session
        except CalendarUncovered as error:
            raise RefusedRecordError(
                "calendar", f"no session is known for an order of {placed_at:%Y-%m-%d}: {error}"
            ) from None


def pending_order(value: object, ground: Ground, text: str = "") -> NewOrder:
    """Return a record of `pending_orders.json` as an order. Raises RefusedRecordError.

    One that was filled is in the history of trades; alone it does not say at what price, or whether it is still held.
    """
    record = f.record_of(value)
    told = words.order_word(f.needed(record, "status"))
    symbol = f.symbol(record, "symbol", "ticker")
    legacy_id = f.text_or_none(record, "order_id", "nOrdNo")
    if told in (Told.FILLED, Told.PARTIAL):
        raise RefusedRecordError(
            "no_history", f"order {legacy_id} was filled, and no trade tells at what price and whether it is still held"
        )
    placed_at = f.moment(record, "placed_at", "timestamp")
    kind = words.variety(f.first(record, "variety") or "amo")
    session = ground.session_for(placed_at, kind)
    order = NewOrder(
        key=told_key(record) or key_of("order", legacy_id, symbol, placed_at.isoformat()),
        symbol=symbol,
        side=side_of(record),
        leg=ENTRY_LEG,
        entry_type="initial",
        source="signal",
        order_type=words.order_type(f.first(record, "order_type") or "market"),
        variety=kind,
        quantity=f.quantity(record, "qty", "quantity"),
        price=f.price_or_none(record, "price"),
        reference_price=Decimal(0),
        status=OrderState.OPEN,
        placed_at=placed_at,
        session_day=session.day,
        legacy_id=legacy_id,
        closed_at=f.moment_or_none(record, "closed_at"),
        reason=_reason(record),
        record=f.kept(value, text),
    )
    return judged(order, told, session, ground)


def failed_order(value: object, ground: Ground, text: str = "") -> NewOrder:
    """Return an item of `failed_orders` as an order that may be tried again in its time. Raises RefusedRecordError."""
    record = f.record_of(value)
    symbol = f.symbol(record, "symbol", "ticker")
    failed_at = f.moment(record, "first_failed_at", "timestamp", "placed_at")
    quantity = f.quantity(record, "qty", "quantity")
    session = ground.session_for(failed_at, "amo")
    order = NewOrder(
        key=told_key(record) or key_of("failed", symbol, failed_at.isoformat(), quantity),
        symbol=symbol,
        side=Side.BUY,
        leg=ENTRY_LEG,
        entry_type="initial",
        source="signal",
        order_type="market",
        variety="amo",
        quantity=quantity,
        price=None,
        reference_price=f.price(record, "close", "price"),
        status=OrderState.FAILED,
        placed_at=failed_at,
        session_day=session.day,
        reason=_reason(record),
        first_failed_at=failed_at,
        last_retry_attempt=f.moment_or_none(record, "last_retry_attempt"),
        retry_count=f.whole(f.first(record, "retry_count") or 0, "retry_count"),
        facts=_measures(record),
        record=f.kept(value, text),
    )
    return _failed(order, ground)


def judged(order: NewOrder, told: Told, session: Session, ground: Ground) -> NewOrder:
    """Return an order in the state that its old word means now: what waited for a session that is over has ended."""
    known = order.price or ground.closes.get(order.symbol, Decimal(0))
    if told is Told.FAILED:
        failed = _failed(replace(order, reference_price=known, first_failed_at=order.placed_at), ground)
        # Only what may be tried again needs a price to hold money by.
        again = failed.status is OrderState.FAILED
        return replace(failed, reference_price=_reference(order, ground)) if again else failed
    if told is not Told.WAITING:
        return replace(
            order,
            status=words.FINAL_STATES[told],
            reference_price=known,
            closed_at=order.closed_at or order.placed_at,
        )
    if ground.now >= session.closes:
        return _ended(
            order,
            OrderState.EXPIRED,
            session.closes,
            "still waiting when its session ended; no fill was told of",
            ground,
        )
    if order.side is Side.SELL:
        return _ended(order, OrderState.CANCELLED, ground.now, "not carried over: the next exit is placed anew", ground)
    price = _reference(order, ground)
    parked = order.variety == "amo" and ground.now < session.opens
    return replace(
        order,
        status=OrderState.PARKED if parked else OrderState.OPEN,
        reference_price=price,
        reserved=money(order.quantity * price),
        closed_at=None,
        at_venue=True,
    )


def rows_of(order: NewOrder, content: str) -> Rows:
    """Return the rows of an order by itself. content: a hash of its record."""
    return Rows(orders=[replace(order, facts={**order.facts, "content": content})])


def told_key(record: Record) -> str | None:
    """Return the key that an export wrote beside a record, so that it is known again where it came from."""
    return f.text_or_none(record, "import_key", longest=_LONGEST_KEY)


def side_of(record: Record) -> Side:
    """Return the side; the file of waiting purchases has none. Raises RefusedRecordError."""
    word = f.first(record, "side", "transaction_type")
    return Side.BUY if word is None else words.side(word)


def _ended(order: NewOrder, state: OrderState, at: datetime, reason: str, ground: Ground) -> NewOrder:
    price = order.price or ground.closes.get(order.symbol, Decimal(0))
    return replace(order, status=state, closed_at=at, reason=order.reason or reason, reference_price=price)


def _failed(order: NewOrder, ground: Ground) -> NewOrder:
    """Return a failed order: tried again until the close of the next session, and only for want of money."""
    if not any(word in (order.reason or "").lower() for word in _SHORT_OF_MONEY):
        kind = FailureKind.RMS_REJECT.value
        return replace(order, status=OrderState.REJECTED, failure_kind=kind, closed_at=order.placed_at)
    until = _retry_until(order.first_failed_at or order.placed_at, ground)
    kind = FailureKind.INSUFFICIENT_FUNDS.value
    if until is None or ground.now > until:
        ended = until or order.placed_at
        return replace(order, status=OrderState.CANCELLED, failure_kind=kind, retry_until=until, closed_at=ended)
    return replace(order, status=OrderState.FAILED, failure_kind=kind, retry_until=until)


def _retry_until(failed_at: datetime, ground: Ground) -> datetime | None:
    try:
        return ground.calendar.next_session(ground.calendar.exchange_day(failed_at)).closes
    except CalendarUncovered:
        return None


def _reference(order: NewOrder, ground: Ground) -> Price:
    """Return the price to reserve money by. Raises RefusedRecordError when nobody knows one."""
    price = order.price or ground.closes.get(order.symbol)
    if price is None:
        raise RefusedRecordError(
            "no_price", f"{order.symbol} has no limit and no bars to reserve money by; load prices, then import again"
        )
    return price


def _reason(record: Record) -> str | None:
    reason = f.text_or_none(record, "rejection_reason", "reason", "remarks", longest=4 * _LONGEST_REASON)
    return None if reason is None else reason[:_LONGEST_REASON]


def _measures(record: Record) -> dict[str, Any]:
    """Return what a retry looks at, by the names that our own orders have."""
    known = {"rsi": f.number_or_none(record, "rsi10"), "ema9": f.number_or_none(record, "ema9")}
    return {name: value for name, value in known.items() if value is not None}
