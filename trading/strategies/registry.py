"""The strategies there are, by name."""

from trading.strategies.base import Strategy
from trading.strategies.dip import Dip

STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in (Dip(),)}


def strategy_named(name: str) -> Strategy:
    """Return a strategy. Raises ValueError naming those there are."""
    if name not in STRATEGIES:
        raise ValueError(f"no strategy {name!r}; there are: {', '.join(sorted(STRATEGIES))}")
    return STRATEGIES[name]
