"""What is worth telling of a held share while the market is open. Pure; nothing here trades. Source: domain 3.4."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading.values import Price

MOVE = Decimal("0.03")  # of the price that was seen last
NEAR_TARGET = Decimal("0.02")  # below EMA9
RSI_NEAR_EXIT = 45.0


class Alert(StrEnum):
    """What is told."""

    PRICE_MOVE = "price_move"
    EXIT_IMMINENT = "exit_imminent"
    AVERAGING = "averaging"


@dataclass(frozen=True, slots=True)
class Watched:
    """One held share at one moment. seen: its price at the look before, None at the first.

    target: EMA9 with the last price. rsi: RSI(10) with it, NaN where history is too short. next_level: the rung of the
    re-entry ladder that RSI has come under and that may be bought, None without one.
    """

    last: Price
    seen: Price | None
    target: Price
    rsi: float
    next_level: int | None


def alerts(share: Watched) -> list[Alert]:
    """Return what is worth telling of a share, the move first."""
    told: list[Alert] = []
    if share.seen is not None and abs(share.last - share.seen) >= share.seen * MOVE:
        told.append(Alert.PRICE_MOVE)
    if share.last >= share.target * (1 - NEAR_TARGET) or share.rsi > RSI_NEAR_EXIT:
        told.append(Alert.EXIT_IMMINENT)
    if share.next_level is not None:
        told.append(Alert.AVERAGING)
    return told
