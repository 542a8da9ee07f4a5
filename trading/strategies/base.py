"""What every strategy takes and answers: a day's candidates in, intents in rank order and refusals out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

from trading.config import TradingConfig
from trading.features import FeatureParameters, FeatureTable, Json
from trading.reentry import Ladder
from trading.risk import ENTRY_LEG, Intent
from trading.scores import Verdict
from trading.targets import TradePlan
from trading.values import Price, Symbol

_PRICE_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A symbol that some configuration may buy after this day, shared by all users.

    features: the symbol's row of the feature table. confidence: 0-1 from the active model, None without one.
    predicted_gain: percent within 20 sessions from the active regressor. pinned: confidence by version, of those
    versions that some user has pinned.
    """

    symbol: Symbol
    day: date
    close: Price
    features: Mapping[str, float | None]
    confidence: float | None = None
    model_version: str | None = None
    predicted_gain: float | None = None
    pinned: Mapping[str, float] = field(default_factory=dict)

    def spoken(self, config: TradingConfig) -> tuple[str | None, float | None]:
        """Return the version and confidence that have a say for a user: his pinned version's, else the active one's.

        (None, None) where he asks no model or there is none; (pinned, None) where his version did not score this.
        """
        if not config.ml_enabled:
            return None, None
        pin = config.ml_model_version
        if pin is None or pin == self.model_version:
            return self.model_version, self.confidence
        return pin, self.pinned.get(pin)


@dataclass(frozen=True, slots=True)
class Held:
    """An open position and what the day showed of its share. ladder: None where its entry's RSI is not known."""

    today: Candidate
    ladder: Ladder | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one configuration makes of a candidate. rule: the rules' word alone. record: None without past dips.

    plan: for the two buying verdicts only. code: why it is not bought, None if nothing but the account can stop it.
    """

    verdict: Verdict
    rule: Verdict
    final: Verdict
    alignment: float
    strength: float
    record: float | None
    combined: float
    priority: float
    chart: float | None
    plan: TradePlan | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that one user's configuration refuses: a code for the journal and the facts behind it."""

    symbol: Symbol
    code: str
    facts: Mapping[str, Json]
    leg: str = ENTRY_LEG


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

    def assess(self, candidates: Sequence[Candidate], config: TradingConfig) -> list[Assessment]:
        """Return what a configuration makes of each candidate, in their order."""
        ...

    def decide(
        self, candidates: Sequence[Candidate], config: TradingConfig, excluded: Mapping[Symbol, str]
    ) -> Decision:
        """Return what one user buys of the candidates. excluded: symbol -> the code he cannot buy it for now."""
        ...

    def reenter(self, held: Sequence[Held], config: TradingConfig, session_day: date, first_rank: int) -> Decision:
        """Return which held shares are bought again for a session, ranked from first_rank on."""
        ...


def price_of(value: float) -> Price:
    """Return a float price as Decimal, rounded to four places: the one point where indicators become money.

    Raises ValueError if the value is not finite.
    """
    exact = Decimal(value)
    if not exact.is_finite():
        raise ValueError(f"not a price: {value}")
    return exact.quantize(_PRICE_STEP, rounding=ROUND_HALF_EVEN)
