"""What every strategy takes and answers: a day's candidates in, intents in rank order and refusals out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

from trading.config import TradingConfig
from trading.features import FeatureParameters, FeatureTable, Json
from trading.risk import Intent
from trading.values import Price, Symbol

_PRICE_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A symbol that some configuration may buy after this day, shared by all users.

    features: the symbol's row of the feature table. confidence: 0-1 from the active model, None without one.
    """

    symbol: Symbol
    day: date
    close: Price
    features: Mapping[str, float | None]
    confidence: float | None = None
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that one user's configuration refuses: a code for the journal and the facts behind it."""

    symbol: Symbol
    code: str
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Decision:
    """Every candidate is in one of the two: intents, best first, or rejections, by symbol."""

    intents: tuple[Intent, ...]
    rejections: tuple[Rejection, ...]


class Strategy(Protocol):
    """A way to trade. Holds no state: the same arguments give the same answer."""

    name: str

    def parameters(self, config: TradingConfig) -> FeatureParameters:
        """Return the feature table this configuration reads."""
        ...

    def candidates(self, table: FeatureTable) -> list[Candidate]:
        """Return the symbols that the loosest allowed configuration would look at, by symbol."""
        ...

    def decide(self, candidates: Sequence[Candidate], config: TradingConfig, taken: frozenset[Symbol]) -> Decision:
        """Return what one user buys of the candidates. taken: symbols with an open position or a live order."""
        ...


def price_of(value: float) -> Price:
    """Return a float price as Decimal, rounded to four places: the one point where indicators become money.

    Raises ValueError if the value is not finite.
    """
    exact = Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"not a price: {value}")
    return exact.quantize(_PRICE_STEP, rounding=ROUND_HALF_EVEN)
