"""What a broker's refusal in words means. A venue that answers with codes maps those instead."""

from trading.orders import FailureKind

# Searched in this order: "insufficient holding" is no want of money. Sources: domain 5.5, 5.9; market.md 2.
_WORDS: tuple[tuple[str, FailureKind], ...] = (
    ("insufficient holding", FailureKind.RMS_REJECT),
    ("insufficient quantity", FailureKind.RMS_REJECT),
    ("insufficient", FailureKind.INSUFFICIENT_FUNDS),
    ("margin shortfall", FailureKind.INSUFFICIENT_FUNDS),
    ("circuit", FailureKind.CIRCUIT),
    ("price range", FailureKind.CIRCUIT),
)


def refusal_kind(words: str) -> FailureKind:
    """Return what a refusal means; words that say nothing of money or price bands are final."""
    told = words.casefold()
    return next((kind for part, kind in _WORDS if part in told), FailureKind.RMS_REJECT)
