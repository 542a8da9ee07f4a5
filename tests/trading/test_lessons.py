"""Lessons: no outcome gets in, no day is on both sides, and nothing is learnt before it was known."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.past_trades import START, trades
from trading.backtest import DipTrades, ExitReason
from trading.bars import Bars
from trading.features import FeatureParameters, feature_history
from trading.lessons import MODEL_FEATURES, OUTCOME_COLUMNS, check_features, lessons_of, purged_split
from trading.predictor_errors import FeatureRefused
from trading.values import Symbol

FILE_OUTCOMES = ("actual_pnl_pct", "max_favorable_pct_20d", "exit_date", "exit_reason", "holding_days", "label")


@pytest.mark.parametrize("name", sorted(OUTCOME_COLUMNS))
def test_an_outcome_is_refused_as_a_feature_and_called_one(name: str) -> None:
    with pytest.raises(FeatureRefused, match=f"{name!r} tell a trade's outcome") as refused:
        check_features((*MODEL_FEATURES, name))
    assert (refused.value.outcomes, refused.value.unknown) == ((name,), ())


def test_every_outcome_of_the_file_is_known_as_one_and_none_is_a_feature() -> None:
    assert set(FILE_OUTCOMES) <= OUTCOME_COLUMNS
    assert not OUTCOME_COLUMNS & set(MODEL_FEATURES)


@pytest.mark.parametrize("name", ["close", "pe", "ticker", "entry_date", "sample_weight", "india_vix"])
def test_a_column_nobody_has_vouched_for_is_refused_by_name(name: str) -> None:
    with pytest.raises(FeatureRefused, match=f"{name!r} are not on the list") as refused:
        check_features((name, "label", *MODEL_FEATURES))
    assert (refused.value.outcomes, refused.value.unknown) == (("label",), (name,))
    with pytest.raises(FeatureRefused):
        lessons_of([], (name,))


def test_every_feature_on_the_list_is_in_the_feature_table() -> None:
    price = np.linspace(100, 120, 260)
    bars = Bars(Symbol("AAA"), START + np.arange(260), price, price, price, price, price)
    assert set(MODEL_FEATURES) <= set(feature_history(bars, FeatureParameters(10)))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), min_size=1, max_size=80), st.floats(0.05, 0.95))
def test_a_split_shares_no_day_and_trains_on_nothing_still_open_at_the_test(
    days: list[tuple[int, int]], share: float
) -> None:
    entry = START + np.array([first for first, _ in days])
    exit_ = entry + np.array([held for _, held in days])
    train_rows, test_rows = purged_split(entry, exit_, share)
    start = entry[test_rows].min()
    assert (exit_[train_rows] < start).all()
    left = np.setdiff1d(np.arange(len(days)), np.concatenate([train_rows, test_rows]))
    assert ((entry[left] < start) & (exit_[left] >= start)).all()
    assert len(set(train_rows) & set(test_rows)) == 0
    assert len(test_rows) >= int(len(days) * share)


def test_no_trades_split_into_none() -> None:
    none = np.empty(0, dtype="datetime64[D]")
    assert [len(part) for part in purged_split(none, none)] == [0, 0]


def test_what_ended_after_a_day_was_not_known_by_it() -> None:
    lessons = trades()
    day = START + 200
    known = lessons.known_by(day)
    assert len(known) == int((lessons.exit_days <= day).sum())
    assert (np.isfinite(known.gain_pct) == (known.gain_days <= day)).all()
    assert np.isnan(known.gain_pct).any()


def made_trades(symbol: str, entries: list[date], value: float) -> DipTrades:
    days = np.array(entries, dtype="datetime64[D]")
    number = np.arange(len(entries))
    features = {name: np.full(len(entries), value) for name in (*MODEL_FEATURES, "close")}
    prices = np.full(len(entries), 100.0)
    reasons: tuple[ExitReason, ...] = tuple("ema9" for _ in entries)
    outcomes = (prices * value, prices * value * 2, days + 28)
    return DipTrades(Symbol(symbol), number, days, prices, days + 5, prices, reasons, *outcomes, features)


def test_the_trades_of_many_symbols_become_rows_by_entry_day_then_symbol() -> None:
    days = [date(2024, 1, 1), date(2024, 1, 9)]
    lessons = lessons_of([made_trades("BBB", days, 2.0), made_trades("NIL", [], 0.0), made_trades("AAA", days, 1.0)])
    assert lessons.x[:, 0].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert lessons.x.shape == (4, len(MODEL_FEATURES))
    assert lessons.pnl_pct.tolist() == [100.0, 200.0, 100.0, 200.0]
    assert lessons.gain_pct.tolist() == [200.0, 400.0, 200.0, 400.0]
    assert (np.diff(lessons.entry_days) >= np.timedelta64(0)).all()
    assert (lessons.exit_days == lessons.entry_days + 5).all()
    assert (lessons.gain_days == lessons.entry_days + 28).all()
    assert lessons_of([]).x.shape == (0, len(MODEL_FEATURES))
