"""Strategies by name."""

import pytest

from trading.strategies.registry import STRATEGIES, strategy_named


def test_every_strategy_is_found_by_its_own_name() -> None:
    assert [strategy_named(name).name for name in STRATEGIES] == list(STRATEGIES)
    assert "dip" in STRATEGIES


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no strategy 'momentum'; there are: dip"):
        strategy_named("momentum")
