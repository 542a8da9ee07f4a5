"""The life of an order as a table, how a broker's book row moves it, and the names that make it unique."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

from trading.errors import IllegalTransition
from trading.values import Quantity, Side, Symbol

# Kite takes tags of at most 20 letters and digits; 20 of base32 keep 100 bits of the hash.
TAG_LENGTH = 20
_KEY_PARTS = 5


class OrderState(StrEnum):
    """Where an order is. Position open or closed is never read from here."""

    PLANNED = "planned"
    DENIED = "denied"
    SENDING = "sending"
    UNKNOWN = "unknown"
    NOT_PLACED = "not_placed"
    ACKED = "acked"
    PARKED = "parked"
    OPEN = "open"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"  # for want of money: tried again until its last moment, then cancelled
    EXPIRED = "expired"


class FailureKind(StrEnum):
    """Why an order came to nothing, and so what may be done about it."""

    INSUFFICIENT_FUNDS = "insufficient_funds"  # tried again until the close of the next session
    RMS_REJECT = "rms_reject"  # the broker's risk system or the exchange said no: final
    CIRCUIT = "circuit"  # the price lies outside the day's band
    TRANSIENT = "transient"  # provably not sent
    AMBIGUOUS = "ambiguous"  # nobody knows: reconciled, never repeated


class OrderEvent(StrEnum):
    """What we did or learnt. A broker's book row is not an event: see `reported`."""

    DENY = "deny"  # a gate refuses it before it is sent
    SEND = "send"  # tag stored and committed, the call follows
    NOT_SENT = "not_sent"  # provably never left this machine
    ACCEPT = "accept"  # the broker gave an id
    LOSE_SIGHT = "lose_sight"  # unclear answer, or the lease ran out after SEND
    MISS = "miss"  # two complete books of its day do not hold it
    REPEAT = "repeat"  # a complete book does not hold it, and its venue takes a tag once
    REJECT = "reject"
    RELEASE = "release"  # the exchange took the parked order
    FILL_PART = "fill_part"
    FILL = "fill"
    CANCEL = "cancel"  # our request went out
    CONFIRM_CANCEL = "confirm_cancel"
    FAIL = "fail"  # refused for want of money, and may be tried again
    GIVE_UP = "give_up"  # what failed was tried again as another order, or its time for that is over
    EXPIRE = "expire"  # the day ended


_S, _E = OrderState, OrderEvent

FINAL = frozenset({_S.DENIED, _S.NOT_PLACED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})
# Neither at the broker nor holding money back, and not over: it may be tried again, as another order.
WAITING = frozenset({_S.FAILED})
LIVE = frozenset(_S) - FINAL - WAITING

# How far an order has come. PLANNED and SENDING stand below UNKNOWN: a book that shows the order proves it was sent.
_PROGRESS = (_S.PLANNED, _S.SENDING, _S.UNKNOWN, _S.ACKED, _S.PARKED, _S.OPEN, _S.PARTIAL, _S.CANCELLING)
_AT_BROKER = (_S.ACKED, _S.PARKED, _S.OPEN, _S.PARTIAL, _S.CANCELLING)
_REPORTABLE = frozenset(_AT_BROKER) - {_S.CANCELLING} | {_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}
_WAS_SENT = (*_AT_BROKER, *FINAL - {_S.DENIED, _S.NOT_PLACED}, *WAITING)

_Key = tuple[OrderState, OrderEvent]


def _rows(states: Iterable[OrderState], event: OrderEvent, to: OrderState | None) -> dict[_Key, OrderState]:
    """Return a row for each state; `to` None keeps the state."""
    return {(state, event): to or state for state in states}


TRANSITIONS: Mapping[_Key, OrderState] = {
    (_S.PLANNED, _E.DENY): _S.DENIED,
    (_S.PLANNED, _E.SEND): _S.SENDING,
    (_S.SENDING, _E.NOT_SENT): _S.PLANNED,
    (_S.SENDING, _E.ACCEPT): _S.ACKED,
    (_S.SENDING, _E.REJECT): _S.REJECTED,
    (_S.SENDING, _E.LOSE_SIGHT): _S.UNKNOWN,
    (_S.UNKNOWN, _E.MISS): _S.NOT_PLACED,
    # Only for a venue that answers a second placement under a tag with the first order: there, sending an order again
    # that was only slow to arrive cannot buy twice.
    (_S.UNKNOWN, _E.REPEAT): _S.PLANNED,
    (_S.ACKED, _E.REJECT): _S.REJECTED,
    (_S.PARKED, _E.REJECT): _S.REJECTED,
    (_S.OPEN, _E.REJECT): _S.REJECTED,
    **_rows((_S.SENDING, _S.ACKED, _S.PARKED, _S.OPEN), _E.FAIL, _S.FAILED),
    (_S.FAILED, _E.GIVE_UP): _S.CANCELLED,
    (_S.ACKED, _E.RELEASE): _S.OPEN,
    (_S.PARKED, _E.RELEASE): _S.OPEN,
    # A cancel in flight does not stop fills: the race is decided by what arrives.
    (_S.CANCELLING, _E.FILL_PART): _S.CANCELLING,
    **_rows((_S.ACKED, _S.PARKED, _S.OPEN, _S.PARTIAL), _E.FILL_PART, _S.PARTIAL),
    **_rows(_AT_BROKER, _E.FILL, _S.FILLED),
    **_rows(_AT_BROKER, _E.CANCEL, _S.CANCELLING),
    **_rows(_AT_BROKER, _E.CONFIRM_CANCEL, _S.CANCELLED),
    **_rows(_AT_BROKER, _E.EXPIRE, _S.EXPIRED),
    # A sync may see the order in the book before the call that placed it returns: the book knew better.
    **_rows(_WAS_SENT, _E.ACCEPT, None),
    **_rows(_WAS_SENT, _E.LOSE_SIGHT, None),
    # A late fill is booked and alerted; a final state stays.
    **_rows((*FINAL, *WAITING), _E.FILL_PART, None),
    **_rows((*FINAL, *WAITING), _E.FILL, None),
}


def advance(state: OrderState, event: OrderEvent) -> OrderState:
    """Return the state after an event. Raises IllegalTransition when the table has no row for it."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


def is_final(state: OrderState) -> bool:
    """Tell whether an order can change no more."""
    return state in FINAL


def is_live(state: OrderState) -> bool:
    """Tell whether an order may still trade or be sent."""
    return state in LIVE


def reported(state: OrderState, report_state: OrderState, filled: Quantity, quantity: Quantity) -> OrderState:
    """Return our state after a row of the broker's book. It only ever moves forward, so stale rows do no harm.

    report_state: the broker's word in our terms. filled: shares so far, of quantity; they decide over the word.
    A final state stays, and so does a failed order, whatever its old row says; two different final rows of one order
    are for the caller to alert. Raises ValueError for a word a broker cannot report, and for impossible quantities.
    """
    told = _told(report_state, filled, quantity)
    if state not in LIVE:
        return state
    return told if told in FINAL or _PROGRESS.index(told) > _PROGRESS.index(state) else state


def _told(word: OrderState, filled: Quantity, quantity: Quantity) -> OrderState:
    """Return what a book row says, its quantities before its word."""
    if word not in _REPORTABLE:
        raise ValueError(f"a broker does not report {word}; map its word to one of {sorted(_REPORTABLE)}")
    if not 0 <= filled <= quantity or quantity <= 0:
        raise ValueError(f"filled {filled} of {quantity} is impossible; read the book again")
    if filled == quantity:
        return OrderState.FILLED
    if word in FINAL and word is not OrderState.FILLED:
        return word
    if filled:
        return OrderState.PARTIAL
    return OrderState.OPEN if word in (OrderState.PARTIAL, OrderState.FILLED) else word


def failed_or_rejected(side: Side, kind: FailureKind | None, filled: Quantity, may_retry: bool) -> OrderState:
    """Return what a refusal makes of an order: failed, to be tried again, only for a purchase there was no money for.

    may_retry: whether there is a later session to try it for. Whatever else a broker refuses stays refused.
    """
    again = side is Side.BUY and kind is FailureKind.INSUFFICIENT_FUNDS and not filled and may_retry
    return OrderState.FAILED if again else OrderState.REJECTED


def retry_key(key: str, number: int) -> str:
    """Return the intent key of a failed order's n-th try. key: of the first try, or of a later one."""
    return ":".join(key.split(":")[:_KEY_PARTS]) + f":r{number}"


def intent_key(strategy: str, day: date, symbol: Symbol, side: Side, leg: str) -> str:
    """Return what makes an intent unique within an account: the same wish of the same day is the same order.

    Raises ValueError when a part is empty or holds a colon, the mark between the parts.
    """
    parts = (strategy, day.isoformat(), symbol, side.value, leg)
    for part in parts:
        if not part or ":" in part:
            raise ValueError(f"not a part of an intent key: {part!r} (must not be empty or hold a colon)")
    return ":".join(parts)


def order_tag(account_code: str, intent_key: str) -> str:
    """Return the tag an order carries at the broker: 20 capital letters and digits, the same for the same intent."""
    digest = hashlib.sha256(f"{account_code}|{intent_key}".encode()).digest()
    return base64.b32encode(digest).decode()[:TAG_LENGTH]
