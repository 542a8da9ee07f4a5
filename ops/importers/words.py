"""The predecessor's words, each mapped by itself; a word that is not here stays unmapped and its record is refused."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from ops.importers.fields import RefusedRecordError
from trading.orders import OrderState
from trading.values import Side

UNMAPPED = "unmapped"

T = TypeVar("T")


class Told(StrEnum):
    """What an old record says of an order. Whether it can still trade depends on its session as well."""

    WAITING = "waiting"  # accepted, not at the exchange yet, or resting there
    FILLED = "filled"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"


# Every status word of the files, of the broker in use then, and of the three generations of the database.
# Source: the domain notes of the predecessor, sections 1.2, 5.4, 6, 7.2.
ORDER_WORDS: Mapping[str, Told] = {
    "pending": Told.WAITING,
    "open": Told.WAITING,
    "amo": Told.WAITING,
    "pending_execution": Told.WAITING,
    "sell": Told.WAITING,
    "trigger_pending": Told.WAITING,
    "trigger pending": Told.WAITING,
    "open pending": Told.WAITING,
    "validation pending": Told.WAITING,
    "put order req received": Told.WAITING,
    "after market order req received": Told.WAITING,
    "after market order request received": Told.WAITING,
    "amo req received": Told.WAITING,
    "modify pending": Told.WAITING,
    "modify validation pending": Told.WAITING,
    "cancel pending": Told.WAITING,
    "cancel validation pending": Told.WAITING,
    "executed": Told.FILLED,
    "complete": Told.FILLED,
    "completed": Told.FILLED,
    "filled": Told.FILLED,
    "traded": Told.FILLED,
    "partially_filled": Told.PARTIAL,
    "partially filled": Told.PARTIAL,
    "partial fill": Told.PARTIAL,
    "partially executed": Told.PARTIAL,
    "cancelled": Told.CANCELLED,
    "canceled": Told.CANCELLED,
    "cancelled after market order": Told.CANCELLED,
    "rejected": Told.REJECTED,
    "failed": Told.FAILED,
    "retry_pending": Told.FAILED,
}

# What ends an order that is over; one that waits is judged by its session.
FINAL_STATES: Mapping[Told, OrderState] = {
    Told.FILLED: OrderState.FILLED,
    Told.CANCELLED: OrderState.CANCELLED,
    Told.REJECTED: OrderState.REJECTED,
}

_SIDES = {"buy": Side.BUY, "b": Side.BUY, "sell": Side.SELL, "s": Side.SELL}
_TYPES = {"market": "market", "mkt": "market", "limit": "limit", "l": "limit", "lmt": "limit"}
_VARIETIES = {"amo": "amo", "regular": "regular", "normal": "regular"}
_TRADES = {"open": True, "ongoing": True, "closed": False}


def order_word(word: object) -> Told:
    """Return what a status word says. Raises RefusedRecordError."""
    return mapped(ORDER_WORDS, "status", word)


def side(word: object) -> Side:
    """Return the side of a word. Raises RefusedRecordError."""
    return mapped(_SIDES, "side", word)


def order_type(word: object) -> str:
    """Return `market` or `limit`. Raises RefusedRecordError."""
    return mapped(_TYPES, "order_type", word)


def variety(word: object) -> str:
    """Return `amo` or `regular`. Raises RefusedRecordError."""
    return mapped(_VARIETIES, "variety", word)


def is_open_trade(word: object) -> bool:
    """Tell whether a trade's status says that it is still held. Raises RefusedRecordError."""
    return mapped(_TRADES, "status", word)


def mapped(known: Mapping[str, T], name: str, word: object) -> T:
    """Return what a word means. name: of its field. Raises RefusedRecordError."""
    found = known.get(word.strip().lower()) if isinstance(word, str) else None
    if found is None:
        raise RefusedRecordError(UNMAPPED, f"{name} {word!r} is a word that nobody mapped")
    return found
