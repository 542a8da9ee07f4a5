"""The ladder of re-entries: next level only, skipped ones gone, one a day, and a new cycle after a recovery."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.reentry import LEVELS, Ladder, next_level, observe, reentry_leg, taken_at_entry

DAY = date(2024, 3, 4)
RSI = st.floats(0, 100)


def ladder(*taken: int, cycle: int = 0, ready: bool = False) -> Ladder:
    return Ladder(cycle, ready, frozenset(taken))


@pytest.mark.parametrize(
    ("entry_rsi", "taken"),
    [(35.0, set()), (30.0, set()), (29.9, {30}), (20.0, {30}), (19.9, {30, 20}), (9.9, {30, 20, 10})],
)
def test_an_entry_takes_the_levels_it_stood_below(entry_rsi: float, taken: set[int]) -> None:
    assert taken_at_entry(entry_rsi) == taken


@pytest.mark.parametrize(
    ("taken", "rsi", "level"),
    [
        ((30,), 25.0, None),
        ((30,), 20.0, None),
        ((30,), 19.9, 20),
        ((30,), 9.0, 10),
        ((30, 10), 15.0, None),
        ((30, 20), 9.9, 10),
        ((30, 20, 10), 1.0, None),
        ((), 30.0, None),
        ((), 29.0, 30),
        ((), 15.0, 20),
        ((30,), float("nan"), None),
    ],
)
def test_only_a_deeper_level_is_next_and_one_fallen_through_is_gone(
    taken: tuple[int, ...], rsi: float, level: int | None
) -> None:
    assert next_level(ladder(*taken), rsi, DAY) == level


def test_one_re_entry_a_day_whatever_its_level() -> None:
    bought = Ladder(0, False, frozenset({30}), bought_on=DAY)
    assert next_level(bought, 15.0, DAY) is None
    assert next_level(bought, 15.0, DAY + timedelta(days=1)) == 20


def test_a_recovery_readies_the_ladder_and_the_next_dip_frees_every_level() -> None:
    low = observe(ladder(30, 20), 25.0, DAY)
    assert (low.cycle, sorted(low.taken)) == (0, [20, 30])
    ready = observe(low, 30.1, DAY + timedelta(days=1))
    assert (ready.reset_ready, sorted(ready.taken), next_level(ready, 30.1, DAY)) == (True, [20, 30], None)
    again = observe(ready, 29.9, DAY + timedelta(days=5))
    assert (again.cycle, again.reset_ready, again.taken) == (1, False, frozenset())
    assert next_level(again, 29.9, DAY + timedelta(days=6)) == 30


def test_exactly_thirty_neither_readies_nor_begins() -> None:
    assert observe(ladder(30), 30.0, DAY).reset_ready is False
    assert observe(ladder(30, ready=True), 30.0, DAY).cycle == 0


def test_a_day_seen_twice_counts_once() -> None:
    ready = observe(ladder(30), 40.0, DAY)
    assert observe(ready, 20.0, DAY) == ready
    assert observe(ready, 20.0, DAY - timedelta(days=1)) == ready


def test_a_leg_names_its_rung() -> None:
    assert reentry_leg(1, 20) == "reentry-1-20"


@given(st.floats(0, 50), st.lists(RSI, max_size=60))
def test_no_level_is_bought_twice_in_a_cycle_and_each_buy_of_a_cycle_is_deeper(
    entry_rsi: float, path: list[float]
) -> None:
    now, bought = Ladder(0, False, taken_at_entry(entry_rsi)), list[tuple[int, int]]()
    for number, rsi in enumerate(path):
        day = DAY + timedelta(days=number)
        now = observe(now, rsi, day)
        level = next_level(now, rsi, day)
        if level is None:
            continue
        assert level in LEVELS
        assert rsi < level < min(now.taken, default=31)
        bought.append((now.cycle, level))
        now = Ladder(now.cycle, now.reset_ready, now.taken | {level}, day, day)
    assert len(set(bought)) == len(bought)
    for cycle in {cycle for cycle, _ in bought}:
        levels = [level for one, level in bought if one == cycle]
        assert levels == sorted(levels, reverse=True)


@given(st.lists(RSI, max_size=60))
def test_a_new_cycle_needs_a_recovery_before_each_dip(path: list[float]) -> None:
    now, crossings, up = ladder(30), 0, False
    for number, rsi in enumerate(path):
        now = observe(now, rsi, DAY + timedelta(days=number))
        if rsi < 30 and up:
            crossings, up = crossings + 1, False
        up = up or rsi > 30
    assert now.cycle == crossings
