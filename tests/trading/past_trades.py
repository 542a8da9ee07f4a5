"""Made-up past trades in which the first feature tells the outcome."""

import numpy as np

from trading.lessons import MODEL_FEATURES, Lessons

START = np.datetime64("2020-01-01", "D")


def trades(rows: int = 400, seed: int = 1, skill: float = 4.0) -> Lessons:
    """Return past trades, oldest first. skill: how much of the outcome is in the features."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, len(MODEL_FEATURES)))
    x[::7, 3] = np.nan
    pnl = 1.0 + skill * x[:, 0] + random.normal(0, 2, rows)
    gain = 8.0 + skill * x[:, 0] + random.normal(0, 2, rows)
    entry = START + np.sort(random.integers(0, rows, rows))
    exit_ = entry + random.integers(1, 20, rows)
    return Lessons(x, pnl, gain, entry, exit_, entry + np.timedelta64(28, "D"), MODEL_FEATURES)
