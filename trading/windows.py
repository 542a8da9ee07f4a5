"""Rolling windows over panels, computed for the last rows only.

Sums run in one fixed order, oldest first, whatever the panel's layout: one symbol's whole history and the last row of a
wide panel give the same bits.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trading.bars import Floats

Bools = npt.NDArray[np.bool_]


def back(panel: Floats, rows: int, lag: int = 0) -> Floats:
    """Return the panel's last `rows` rows, seen `lag` rows earlier. The panel must hold rows + lag rows."""
    stop = len(panel) - lag
    return panel[stop - rows : stop]


def rolling_sum(panel: Floats, width: int, rows: int, lag: int = 0) -> Floats:
    """Return sums over `width` rows, the last of them `lag` rows ago. NaN in a window gives NaN."""
    return _rolling(np.add, panel, width, rows, lag)


def rolling_mean(panel: Floats, width: int, rows: int, lag: int = 0) -> Floats:
    """Return means over `width` rows, the last of them `lag` rows ago. NaN in a window gives NaN."""
    return rolling_sum(panel, width, rows, lag) / width


def rolling_max(panel: Floats, width: int, rows: int) -> Floats:
    """Return the highest of `width` rows. NaN in a window gives NaN."""
    return _rolling(np.maximum, panel, width, rows, 0)


def rolling_min(panel: Floats, width: int, rows: int) -> Floats:
    """Return the lowest of `width` rows. NaN in a window gives NaN."""
    return _rolling(np.minimum, panel, width, rows, 0)


def rolling_deviation(panel: Floats, width: int, rows: int) -> Floats:
    """Return sample standard deviations (n - 1) over `width` rows. NaN in a window gives NaN."""
    mean = rolling_mean(panel, width, rows)
    squares = np.zeros_like(mean)
    for lag in range(width - 1, -1, -1):
        squares += (back(panel, rows, lag) - mean) ** 2
    return np.sqrt(squares / (width - 1))


def streak(marks: Bools, rows: int, lag: int = 0) -> Floats:
    """Return how many marked rows in a row end `lag` rows ago."""
    number = np.arange(len(marks))[:, None]
    last_unmarked = np.maximum.accumulate(np.where(marks, -1, number), axis=0)
    return back((number - last_unmarked).astype(np.float64), rows, lag)


def _rolling(combine: Callable[..., object], panel: Floats, width: int, rows: int, lag: int) -> Floats:
    out = back(panel, rows, lag + width - 1).copy()
    for offset in range(lag + width - 2, lag - 1, -1):
        combine(out, back(panel, rows, offset), out=out)
    return out
