"""A file of past trades: its outcomes stay outcomes, what is not used is listed, and a bad line is named."""

import os
from pathlib import Path

import numpy as np
import pytest

from trading.lesson_file import COLUMN_OF, read_lessons
from trading.lessons import MODEL_FEATURES, OUTCOME_COLUMNS, Lessons
from trading.predictor import measured
from trading.predictor_errors import FeatureRefused, LessonsRefused
from trading.recipes import PRICE_REGRESSOR, Recipe

HEADER = ["ticker", "entry_date", "exit_date", "actual_pnl_pct", "max_favorable_pct_20d", "label", *COLUMN_OF.values()]


def line(entry: str = "2024-01-02", exit_: str = "2024-01-09", pnl: str = "2.5", gain: str = "7", **fields: str) -> str:
    values = {"ticker": "AAA", "entry_date": entry, "exit_date": exit_, "actual_pnl_pct": pnl, "label": "buy"}
    values |= {"max_favorable_pct_20d": gain, "vix": "14"} | fields
    return ",".join(values.get(name, "1.5") for name in [*HEADER, "vix"])


def text(*lines: str) -> bytes:
    return "\n".join([",".join([*HEADER, "vix"]), *lines, ""]).encode()


def test_columns_get_our_names_and_what_is_not_used_is_listed() -> None:
    lessons = read_lessons(text(line("2024-01-05"), line(rsi_10="22.5", has_hammer="True", ret_60d="")))
    assert lessons.features == MODEL_FEATURES
    assert lessons.entry_days.astype(str).tolist() == ["2024-01-02", "2024-01-05"]
    found = dict(zip(MODEL_FEATURES, lessons.x[0].tolist(), strict=True))
    assert (found["rsi"], found["has_hammer"], found["atr_pct_14"]) == (22.5, 1.0, 1.5)
    assert np.isnan(found["ret_60d"])
    assert (lessons.pnl_pct[0], lessons.gain_pct[0]) == (2.5, 7.0)
    assert lessons.ignored == ("vix",)
    assert not OUTCOME_COLUMNS & set(lessons.features)


def test_a_gain_is_not_taken_for_known_before_its_sessions_can_be_over() -> None:
    lessons = read_lessons(text(line(gain="")))
    assert str(lessons.gain_days[0]) == "2024-02-02"
    assert np.isnan(lessons.gain_pct[0])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line(), line(pnl="much")], "line 3: actual_pnl_pct 'much' is no number"),
        ([line(pnl="")], "line 2: actual_pnl_pct is not known"),
        ([line(entry="02/01/2024")], "line 2: entry_date '02/01/2024' is no day"),
        ([line(exit_="2023-12-29")], "line 2: exit_date is before entry_date"),
        ([line() + ",1"], "line 2: 26 fields, the header has 25"),
    ],
)
def test_a_bad_line_is_named(lines: list[str], said: str) -> None:
    with pytest.raises(LessonsRefused, match=said):
        read_lessons(text(*lines))


def test_a_file_that_lacks_a_column_or_has_one_twice_is_refused() -> None:
    with pytest.raises(LessonsRefused, match="line 1: no column rsi_10"):
        read_lessons(text(line()).replace(b"rsi_10", b"rsi_14"))
    with pytest.raises(LessonsRefused, match="no column entry_date, exit_date"):
        read_lessons(b"")
    with pytest.raises(LessonsRefused, match="no UTF-8 text"):
        read_lessons(b"\xff\xfe")
    with pytest.raises(LessonsRefused, match="vix is there twice"):
        read_lessons(text(line()).replace(b"ticker,", b"vix,"))


@pytest.mark.parametrize("name", ["label", "holding_days", "max_favorable_pct_20d", "vix"])
def test_no_column_of_the_file_becomes_a_feature_by_being_asked_for(name: str) -> None:
    with pytest.raises(FeatureRefused, match=repr(name)):
        read_lessons(text(line()), (*MODEL_FEATURES, name))


@pytest.fixture(scope="module")
def real() -> Lessons:
    folder = os.environ.get("MUHURAT_SAMPLE_DATA")
    if folder is None:
        if "data" in os.environ.get("MUHURAT_REQUIRE", "").split(","):
            pytest.fail("MUHURAT_REQUIRE names data, but MUHURAT_SAMPLE_DATA is not set")
        pytest.skip("MUHURAT_SAMPLE_DATA is not set: no real trades to learn from")
    return read_lessons(Path(folder, "ml", "dip_trades.csv").read_bytes())


def test_real_trades_show_the_small_skill_there_is_and_no_leak(real: Lessons) -> None:
    """An outcome among the features would lift the AUC above .85; domain 8.3."""
    found = measured(real, Recipe())
    auc, loss, constant, deciles = (
        found[name] for name in ("auc", "log_loss", "log_loss_constant", "pnl_pct_by_decile")
    )
    assert isinstance(auc, float)
    assert 0.53 < auc < 0.65
    assert isinstance(loss, float)
    assert isinstance(constant, float)
    assert loss < constant
    assert isinstance(deciles, list)
    assert sum(deciles[-2:]) > sum(deciles[:2])


def test_real_gains_are_foretold_better_than_by_a_constant(real: Lessons) -> None:
    found = measured(real, Recipe(PRICE_REGRESSOR))
    assert isinstance(found["spearman"], float)
    assert 0.2 < found["spearman"] < 0.5
    assert isinstance(found["r2"], float)
    assert 0 < found["r2"] < 0.25
