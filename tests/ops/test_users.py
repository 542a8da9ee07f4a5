"""The users of a replay differ from each other, and are the same every time."""

from dataclasses import replace
from decimal import Decimal

import pytest

from ops.replay.users import replay_users
from trading.config import DEFAULTS, check_config
from trading.strategies.registry import strategy_named


def test_as_many_users_as_asked_for_are_the_first_of_more() -> None:
    assert replay_users(200)[:10] == replay_users(10)


def test_every_configuration_is_valid() -> None:
    assert all(check_config(user.config) for user in replay_users(1000))


def test_the_first_user_has_the_default_parameters_that_the_training_is_asked_for() -> None:
    strategy = strategy_named("dip")
    assert strategy.parameters(replay_users(1)[0].config) == strategy.parameters(DEFAULTS)
    assert replay_users(1)[0].config == replace(DEFAULTS, user_capital=Decimal(200_000))


def test_ten_users_have_ten_configurations_and_three_parameter_sets() -> None:
    configs = [user.config for user in replay_users(10)]
    assert len(set(configs)) == 10
    assert len({config.rsi_period for config in configs}) == 3
    assert sum(config.ml_enabled for config in configs) == 5


@pytest.mark.parametrize("count", [1, 3, 250])
def test_no_two_users_share_an_address(count: int) -> None:
    assert len({user.email for user in replay_users(count)}) == count
