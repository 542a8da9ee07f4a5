from dataclasses import replace
from decimal import Decimal

import pytest

from trading.alerts import Alert, Watched, alerts

QUIET = Watched(last=Decimal(100), seen=Decimal(100), target=Decimal(110), rsi=30.0, next_level=None)


def test_a_quiet_share_is_not_worth_a_word() -> None:
    assert alerts(QUIET) == []


@pytest.mark.parametrize(("last", "told"), [("102.99", False), ("103", True), ("97", True), ("97.01", False)])
def test_a_move_of_three_percent_either_way_is_told(last: str, told: bool) -> None:
    assert (Alert.PRICE_MOVE in alerts(replace(QUIET, last=Decimal(last), target=Decimal(200)))) is told


def test_a_share_seen_for_the_first_time_has_not_moved() -> None:
    assert alerts(replace(QUIET, seen=None)) == []


@pytest.mark.parametrize(
    ("target", "rsi", "told"),
    [("102", 30.0, True), ("102.05", 30.0, False), ("90", 30.0, True), ("110", 45.0, False), ("110", 45.1, True)],
)
def test_an_exit_is_near_within_two_percent_of_its_average_or_with_rsi_over_45(
    target: str, rsi: float, told: bool
) -> None:
    assert (Alert.EXIT_IMMINENT in alerts(replace(QUIET, target=Decimal(target), rsi=rsi))) is told


def test_an_unknown_rsi_says_nothing() -> None:
    assert alerts(replace(QUIET, rsi=float("nan"))) == []


def test_a_level_that_may_be_bought_is_told() -> None:
    assert alerts(replace(QUIET, next_level=20)) == [Alert.AVERAGING]
