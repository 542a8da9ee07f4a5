"""Past trades to learn from: what a model may see of them, what it may not, and how they are split by time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trading.backtest import DipTrades
from trading.bars import Days, Floats
from trading.predictor_errors import FeatureRefused

MODEL_FEATURES = (
    "rsi",
    "ema9_distance_pct",
    "volume_ratio_20",
    "volume_green_vs_red_ratio",
    "support_distance_pct",
    "dip_depth_from_20d_high_pct",
    "consecutive_red_days",
    "dip_speed_pct_per_day",
    "has_hammer",
    "has_bullish_engulfing",
    "day_of_week",
    "atr_pct_14",
    "hist_vol_20d",
    "ret_60d",
    "ret_120d",
    "dist_from_high_252d_pct",
    "rsi_volume_interaction",
    "dip_support_interaction",
)
"""The allow-list: known at the signal's close, and free of scale. A new column is refused until it is named here."""

OUTCOME_COLUMNS = frozenset(
    {
        "actual_pnl_pct", "best_gain_day", "best_gain_pct", "entry_price", "exit_date", "exit_day", "exit_price",
        "exit_reason", "fill_number", "fill_price_vs_initial_pct", "gain_pct", "holding_days", "label",
        "max_favorable_pct_20d", "pnl_pct", "total_fills_in_position",
    }
)  # fmt: skip
"""Known only after the decision. Refused as any other column is; the error says why. Source: domain 8.2-8.4."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Past trades, by entry day. x: (n, k) in the order of features, NaN where not known. The rest: (n,).

    pnl_pct: net of charges, known on the exit day. gain_pct: the most a holder could have made in the twenty sessions
    from the entry, known on the gain day; NaN where those sessions are not over. ignored: columns of the source that
    are neither features nor outcomes and were not looked at.
    """

    x: Floats
    pnl_pct: Floats
    gain_pct: Floats
    entry_days: Days
    exit_days: Days
    gain_days: Days
    features: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pnl_pct)

    def known_by(self, day: np.datetime64) -> "Lessons":
        """Return what was known at a day's close: trades that had ended, gains whose sessions were over."""
        gains = np.where(self.gain_days <= day, self.gain_pct, np.nan)
        return replace(self, gain_pct=gains).take(self.exit_days <= day)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Lessons":
        """Return some of the trades."""
        return Lessons(
            self.x[rows],
            self.pnl_pct[rows],
            self.gain_pct[rows],
            self.entry_days[rows],
            self.exit_days[rows],
            self.gain_days[rows],
            self.features,
            self.ignored,
        )


def check_features(names: Iterable[str]) -> None:
    """Raise FeatureRefused, naming every column that is not on the allow-list, the outcomes among them apart."""
    refused = [name for name in names if name not in MODEL_FEATURES]
    if refused:
        outcomes = [name for name in refused if name in OUTCOME_COLUMNS]
        unknown = [name for name in refused if name not in OUTCOME_COLUMNS]
        raise FeatureRefused(outcomes, unknown, MODEL_FEATURES)


def lessons_of(trades: Sequence[DipTrades], features: tuple[str, ...] = MODEL_FEATURES) -> Lessons:
    """Return the trades of many symbols as lessons, by entry day, then symbol. Raises FeatureRefused."""
    check_features(features)
    trades = sorted((one for one in trades if len(one)), key=lambda one: one.symbol)
    if not trades:
        none, no_days = np.empty(0), np.empty(0, dtype="datetime64[D]")
        return Lessons(np.empty((0, len(features))), none, none, no_days, no_days, no_days, features)
    entry_days = np.concatenate([one.entry_day for one in trades])
    columns = [np.concatenate([one.features[name] for one in trades]) for name in features]
    lessons = Lessons(
        np.column_stack(columns),
        np.concatenate([one.pnl_pct for one in trades]),
        np.concatenate([one.best_gain_pct for one in trades]),
        entry_days,
        np.concatenate([one.exit_day for one in trades]),
        np.concatenate([one.best_gain_day for one in trades]),
        features,
    )
    return lessons.take(np.argsort(entry_days, kind="stable"))


def purged_split(entry_days: Days, known_days: Days, test_share: float = 0.2) -> tuple[Rows, Rows]:
    """Return the row numbers to train on and to test on.

    The test part is the last `test_share` of entries, one day never being cut in two. A trade whose outcome was not
    known before the test part began is in neither. known_days: when each outcome was known.
    """
    if not len(entry_days):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    start = np.sort(entry_days)[min(int(len(entry_days) * (1 - test_share)), len(entry_days) - 1)]
    return np.flatnonzero((entry_days < start) & (known_days < start)), np.flatnonzero(entry_days >= start)
