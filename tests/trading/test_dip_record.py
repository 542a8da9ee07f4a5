"""The record of a share's dips: when one begins, where it is bought and sold, and when it is known."""

import numpy as np

from trading.bars import Floats
from trading.dip_record import HOLD_BARS, RECORD_BARS, dip_record

N = RECORD_BARS + 60


def record(dip_at: int, limit: float, opened: Floats, high: Floats, close: Floats, rows: int = 1) -> dict[str, Floats]:
    rsi = np.full((N, 1), 50.0)
    rsi[dip_at : dip_at + 3] = 25.0
    ema9 = np.full((N, 1), limit)
    return dip_record(opened.reshape(N, 1), high.reshape(N, 1), close.reshape(N, 1), ema9, rsi, rows)


def flat(price: float = 100.0) -> Floats:
    return np.full(N, price)


def last(columns: dict[str, Floats]) -> tuple[float, float, float]:
    return tuple(float(columns[name][-1, 0]) for name in ("dip_count_250", "dip_wins_250", "dip_gain_pct_250"))  # type: ignore[return-value]


def test_a_dip_is_sold_at_the_average_it_reaches_first() -> None:
    high = flat()
    high[-30 + 5], high[-30 + 9] = 104.0, 120.0
    assert last(record(N - 30, 103.0, flat(), high, flat())) == (1, 1, np.float64(103 / 100 - 1) * 100)


def test_a_gap_over_the_average_sells_at_the_open() -> None:
    opened, high = flat(), flat()
    opened[-30 + 5] = high[-30 + 5] = 110.0
    count, wins, gain = last(record(N - 30, 103.0, opened, high, flat()))
    assert (count, wins, round(gain, 9)) == (1, 1, 10.0)


def test_a_dip_that_never_comes_back_is_sold_at_the_close_after_twenty_bars() -> None:
    close = flat()
    close[-30 + 1 + HOLD_BARS] = 80.0
    count, wins, gain = last(record(N - 30, 103.0, flat(), flat(), close))
    assert (count, wins, round(gain, 9)) == (1, 0, -20.0)


def test_a_dip_counts_from_the_day_its_end_is_known_for_a_year() -> None:
    begun = 5
    counts = record(begun, 103.0, flat(), flat(), flat(), rows=N - RECORD_BARS + 1)["dip_count_250"][:, 0]
    known = begun + 1 + HOLD_BARS
    days = np.arange(RECORD_BARS - 1, N)
    assert (counts == ((days >= known) & (days < known + RECORD_BARS))).all()
    assert last(record(N - HOLD_BARS - 1, 103.0, flat(), flat(), flat()))[0] == 0
    assert last(record(N - HOLD_BARS - 2, 103.0, flat(), flat(), flat()))[0] == 1


def test_holding_on_is_measured_over_the_same_year() -> None:
    close = flat()
    close[-1], close[-RECORD_BARS] = 121.0, 110.0
    columns = record(N - 30, 103.0, flat(), flat(), close)
    assert round(float(columns["hold_pct_250"][-1, 0]), 9) == 10.0
