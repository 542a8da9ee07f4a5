"""Measures: known numbers on small cases, held against scikit-learn and SciPy where those have them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr  # type: ignore[import-untyped] # published without types
from sklearn.metrics import r2_score

from trading.bars import Floats
from trading.measures import classifier_measures, rank_correlation, regressor_measures


def test_a_perfect_and_a_constant_classifier_are_told_apart() -> None:
    good = np.arange(20) >= 8
    pnl = np.where(good, 5.0, -3.0)
    perfect = classifier_measures(np.where(good, 0.99, 0.01), good, pnl, 0.6)
    assert (perfect["auc"], perfect["accuracy"], perfect["majority_accuracy"]) == (1.0, 1.0, 0.6)
    assert perfect["pnl_pct_by_decile"] == [-3.0] * 4 + [5.0] * 6
    constant = classifier_measures(np.full(20, 0.6), good, pnl, 0.6)
    assert (constant["auc"], constant["accuracy"]) == (0.5, 0.6)
    assert (
        constant["log_loss"] == constant["log_loss_constant"] == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4))
    )
    assert constant["brier"] == constant["brier_constant"] == pytest.approx(0.24)


def test_what_a_score_promises_stands_beside_what_came_of_it() -> None:
    scores: Floats = np.repeat(np.linspace(0.05, 0.95, 10), 20)
    good = np.tile(np.arange(20), 10) < np.repeat(np.arange(1, 20, 2), 20)  # 1 of 20 good at .05, 19 at .95
    pnl: Floats = np.where(good, 2.0, 0.0)
    found = classifier_measures(scores, good, pnl, 0.5)
    assert found["confidence_by_decile"] == pytest.approx(found["good_share_by_decile"])


def test_a_regressor_is_held_against_the_constants_of_the_training_part() -> None:
    random = np.random.default_rng(3)
    gain, learnt = random.gamma(2, 5, 300), random.gamma(2, 5, 900)
    predicted = gain + random.normal(0, 2, 300)
    found = regressor_measures(predicted, gain, gain / 2, learnt)
    assert found["r2"] == pytest.approx(r2_score(gain, predicted))
    assert found["mae_mean"] == pytest.approx(np.abs(gain - learnt.mean()).mean())
    assert found["mae_median"] == pytest.approx(np.abs(gain - np.median(learnt)).mean())
    constant = regressor_measures(np.full(300, gain.mean()), gain, gain, learnt)
    assert constant["r2"] == pytest.approx(0)
    assert constant["spearman"] == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), min_size=3, max_size=40))
def test_a_rank_correlation_shares_ranks_as_spearman_does(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-9)
    else:
        assert rank_correlation(first, second) == 0.0
