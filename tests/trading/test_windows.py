"""Rolling windows: against the plain definition, whatever the rows asked for."""

import numpy as np
import pytest

from trading.windows import back, rolling_deviation, rolling_max, rolling_mean, rolling_min, rolling_sum, streak

PANEL = np.random.default_rng(1).normal(size=(60, 3))


@pytest.mark.parametrize("rows", [1, 7, 41])
def test_rolling_values_equal_the_plain_definition(rows: int) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(PANEL, 20, axis=0)[-rows:]
    np.testing.assert_allclose(rolling_sum(PANEL, 20, rows), windows.sum(axis=-1), atol=1e-12)
    np.testing.assert_allclose(rolling_mean(PANEL, 20, rows), windows.mean(axis=-1), atol=1e-12)
    np.testing.assert_array_equal(rolling_max(PANEL, 20, rows), windows.max(axis=-1))
    np.testing.assert_array_equal(rolling_min(PANEL, 20, rows), windows.min(axis=-1))
    np.testing.assert_allclose(rolling_deviation(PANEL, 20, rows), windows.std(axis=-1, ddof=1), atol=1e-12)


def test_the_last_row_alone_and_one_symbol_alone_give_the_same_bits() -> None:
    whole = rolling_sum(PANEL, 20, 41)
    np.testing.assert_array_equal(rolling_sum(PANEL, 20, 1)[0], whole[-1])
    np.testing.assert_array_equal(rolling_sum(PANEL[:, 1:2], 20, 41)[:, 0], whole[:, 1])


def test_a_lag_moves_the_window_back() -> None:
    np.testing.assert_array_equal(rolling_sum(PANEL, 5, 3, lag=2), rolling_sum(PANEL[:-2], 5, 3))
    np.testing.assert_array_equal(back(PANEL, 2, 1), PANEL[57:59])


def test_a_window_with_an_unknown_value_is_unknown() -> None:
    panel = PANEL.copy()
    panel[-5] = np.nan
    for values in (rolling_sum(panel, 5, 1), rolling_max(panel, 5, 1), rolling_deviation(panel, 5, 1)):
        assert np.isnan(values).all()
    assert np.isfinite(rolling_sum(panel, 4, 1)).all()


def test_a_streak_counts_marked_rows_up_to_the_first_unmarked() -> None:
    marks = np.array([True, True, False, True, True, True])[:, None]
    assert streak(marks, 6)[:, 0].tolist() == [1, 2, 0, 1, 2, 3]
    assert streak(marks, 1, lag=1)[0, 0] == 2
