"""The predictor: no outcome gets in, no day is on both sides, and no foreign bytes become a model."""

import pickle
from datetime import date

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from trading.backtest import DipTrades, ExitReason
from trading.bars import Bars
from trading.features import FeatureParameters, feature_history
from trading.predictor import (
    MODEL_FEATURES,
    ArtifactRefused,
    Dataset,
    FeatureRefused,
    Trained,
    TrainingRefused,
    check_features,
    confidence,
    dataset_of,
    from_artifact,
    purged_split,
    to_artifact,
    train,
)
from trading.values import Symbol

OUTCOMES = ("actual_pnl_pct", "max_favorable_pct_20d", "exit_date", "exit_reason", "holding_days", "label")
START = np.datetime64("2020-01-01", "D")


def trades(rows: int = 400, seed: int = 1, skill: float = 4.0) -> Dataset:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, len(MODEL_FEATURES)))
    x[::7, 3] = np.nan
    pnl = 1.0 + skill * x[:, 0] + random.normal(0, 2, rows)
    entry = START + np.sort(random.integers(0, rows, rows))
    return Dataset(x, pnl, entry, entry + random.integers(1, 20, rows), MODEL_FEATURES)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(trades(), seed=7)


@pytest.mark.parametrize("name", [*OUTCOMES, "pnl_pct", "close", "pe"])
def test_a_column_that_is_not_vouched_for_is_refused_by_name(name: str) -> None:
    with pytest.raises(FeatureRefused, match=repr(name)) as refused:
        check_features((*MODEL_FEATURES, name))
    assert refused.value.name == name
    data = trades()
    leaking = Dataset(data.x, data.pnl_pct, data.entry_days, data.exit_days, (*MODEL_FEATURES[:-1], name))
    with pytest.raises(FeatureRefused):
        train(leaking, seed=1)
    with pytest.raises(FeatureRefused):
        dataset_of([], (name,))


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


def test_a_skill_in_the_features_is_found_on_later_trades(trained: Trained) -> None:
    metrics = trained.metrics
    auc, rows = metrics["auc"], [metrics[name] for name in ("train_rows", "test_rows", "purged_rows")]
    assert isinstance(auc, float)
    assert auc > 0.7
    assert rows[0] != 400
    assert sum(count for count in rows if isinstance(count, int)) == metrics["rows"] == 400
    deciles = metrics["pnl_pct_by_decile"]
    assert isinstance(deciles, list)
    assert len(deciles) == 10
    assert deciles[-1] > deciles[0]
    assert {"log_loss", "accuracy", "majority_accuracy", "test_from"} <= set(metrics)


def test_noise_is_not_taken_for_skill() -> None:
    auc = train(trades(600, skill=0.0), seed=7).metrics["auc"]
    assert isinstance(auc, float)
    assert 0.35 < auc < 0.65


def test_the_same_trades_and_seed_give_the_same_model(trained: Trained) -> None:
    again = train(trades(), seed=7)
    x = trades(50, seed=2).x
    np.testing.assert_array_equal(confidence(again.estimator, x), confidence(trained.estimator, x))
    assert again.metrics == trained.metrics


def test_confidence_is_a_probability_for_every_row_and_none_for_none(trained: Trained) -> None:
    scores = confidence(trained.estimator, trades(50, seed=3).x)
    assert scores.shape == (50,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert confidence(trained.estimator, np.empty((0, len(MODEL_FEATURES)))).shape == (0,)


@pytest.mark.parametrize(
    ("data", "what", "count"),
    [
        (trades(199), "trades", 199),
        (trades(0), "trades", 0),
        (Dataset(trades().x, np.full(400, 5.0), trades().entry_days, trades().exit_days, MODEL_FEATURES), "classes", 1),
        (
            Dataset(trades().x, trades().pnl_pct, np.full(400, START), np.full(400, START), MODEL_FEATURES),
            "trades before the test part",
            0,
        ),
    ],
)
def test_too_little_to_learn_from_is_refused_with_the_count(data: Dataset, what: str, count: int) -> None:
    with pytest.raises(TrainingRefused, match=f"{count} {what}") as refused:
        train(data, seed=1)
    assert refused.value.count == count


def test_an_artefact_gives_back_the_same_predictions(trained: Trained) -> None:
    x = trades(80, seed=4).x
    again = from_artifact(to_artifact(trained))
    np.testing.assert_array_equal(confidence(again, x), confidence(trained.estimator, x))


def test_a_pickle_or_rubbish_is_refused_unread(trained: Trained) -> None:
    for data in (pickle.dumps(trained.estimator), b"", b"rubbish", to_artifact(trained)[:-100]):
        with pytest.raises(ArtifactRefused, match="cannot be read"):
            from_artifact(data)


class Foreign:
    """A type nobody has vouched for."""

    def __init__(self) -> None:
        self.value = 1


def test_a_foreign_type_is_refused_by_name() -> None:
    with pytest.raises(ArtifactRefused, match="Foreign"):
        from_artifact(skops.io.dumps(Foreign()))


def test_another_kind_of_model_is_refused() -> None:
    data = trades()
    other = LogisticRegression().fit(np.nan_to_num(data.x), data.pnl_pct > 1)
    with pytest.raises(ArtifactRefused, match="it is a LogisticRegression"):
        from_artifact(skops.io.dumps(other))


@pytest.mark.parametrize(
    ("field", "value"), [("left", 9_999), ("right", 0), ("feature_idx", 99), ("is_categorical", 1)]
)
def test_a_tree_that_points_outside_itself_is_refused(field: str, value: int) -> None:
    data = trades()
    model = HistGradientBoostingClassifier(max_iter=2, early_stopping=False).fit(data.x, data.pnl_pct > 1)
    model._predictors[0][0].nodes[field][0] = value
    with pytest.raises(ArtifactRefused, match="a tree"):
        from_artifact(skops.io.dumps(model))


def made_trades(symbol: str, entries: list[date], value: float) -> DipTrades:
    days = np.array(entries, dtype="datetime64[D]")
    number = np.arange(len(entries))
    features = {name: np.full(len(entries), value) for name in (*MODEL_FEATURES, "close")}
    prices = np.full(len(entries), 100.0)
    reasons: tuple[ExitReason, ...] = tuple("ema9" for _ in entries)
    return DipTrades(Symbol(symbol), number, days, prices, days + 5, prices, reasons, prices * value, features)


def test_the_trades_of_many_symbols_become_rows_by_entry_day_then_symbol() -> None:
    days = [date(2024, 1, 1), date(2024, 1, 9)]
    data = dataset_of([made_trades("BBB", days, 2.0), made_trades("NIL", [], 0.0), made_trades("AAA", days, 1.0)])
    assert data.x[:, 0].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert data.x.shape == (4, len(MODEL_FEATURES))
    assert data.pnl_pct.tolist() == [100.0, 200.0, 100.0, 200.0]
    assert (np.diff(data.entry_days) >= np.timedelta64(0)).all()
    assert (data.exit_days == data.entry_days + 5).all()
    assert dataset_of([]).x.shape == (0, len(MODEL_FEATURES))
