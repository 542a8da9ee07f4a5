"""Recursive indicators over panels: EMA and Wilder's RSI, looping over days and vectorised over symbols."""

import numpy as np
import numpy.typing as npt

from trading.bars import Floats

# Below this share of the unwindowed average, a windowed one is only the rounding error of two equal numbers.
_ROUNDING_SHARE = 1e-9
# Columns up to which plain numbers are quicker than a numpy operation a day: one share's average takes a fifteenth.
_NARROW = 8


def ema(close: Floats, period: int, window: int | None = None) -> Floats:
    """Return the recursive exponential moving average with weight 2 / (period + 1), seeded with the first price.

    close: (n,) prices or (n, symbols), oldest first; NaN only before a symbol's first price. period: bars, >= 1.
    window: each value sees only that many last bars, as if history began there; None sees all.
    Returns the shape of close; NaN where close is NaN.
    Raises ValueError if period < 1 or window < 1.
    Source: pandas ewm(span=period, adjust=False).
    """
    if period < 1 or (window is not None and window < 1):
        raise ValueError(f"ema needs period and window >= 1, not {period} and {window}")
    panel = _panel(close)
    if not panel.size:
        return close.copy()
    rows, first, columns = _positions(panel)
    weight = 2.0 / (period + 1)
    out = _smooth(np.where(rows < first, panel[first, columns], panel), weight)
    if window is not None:
        out = _forget(out, panel, 1.0 - weight, window - 1)
    out[rows < first] = np.nan
    return out.reshape(close.shape)


def rsi(close: Floats, period: int, window: int | None = None) -> Floats:
    """Return Wilder's relative strength index.

    close: (n,) prices or (n, symbols), oldest first; NaN only before a symbol's first price. period: bars, >= 2.
    window: each value sees only that many last bars, as if history began there; None sees all.
    Returns the shape of close in [0, 100]; the first `period` entries of a symbol are NaN. No fall gives 100.
    Raises ValueError if period < 2 or window <= period.
    Source: Wilder, New Concepts in Technical Trading Systems (1978), smoothing by 1/period, seeded with the mean.
    """
    if period < 2 or (window is not None and window <= period):
        raise ValueError(f"rsi needs period >= 2 and window > period, not {period} and {window}")
    panel = _panel(close)
    change = np.diff(panel, axis=0, prepend=np.nan)
    moves = np.concatenate([np.maximum(change, 0.0), np.maximum(-change, 0.0)], axis=1)
    average = _wilder(moves, period, window)
    gain, loss = np.hsplit(average, 2)
    total = gain + loss
    ratio = np.divide(100.0 * gain, total, out=np.full_like(total, 100.0), where=(loss > 0) | np.isnan(loss))
    return ratio.reshape(close.shape)


def _wilder(moves: Floats, period: int, window: int | None) -> Floats:
    """Smooth by 1/period from the mean of each column's first `period` moves, which stands at the last of them."""
    if not moves.size:
        return moves
    rows, first, columns = _positions(moves)
    seed_row = first + period - 1
    means = _means(moves, period)
    seeded = seed_row < len(moves)
    seed = np.where(seeded, means[np.minimum(seed_row, len(moves) - 1), columns], np.nan)
    out = _smooth(np.where(rows <= seed_row, seed, moves), 1.0 / period)
    if window is not None:
        # The window's first bar has no change inside it, so the seed's last move is `period` bars after it.
        windowed = _forget(out, means, 1.0 - 1.0 / period, window - 1 - period)
        out = np.where(windowed < out * _ROUNDING_SHARE, 0.0, windowed)
    out[np.broadcast_to(rows < seed_row, out.shape)] = np.nan
    return out


def _smooth(panel: Floats, weight: float) -> Floats:
    if panel.shape[1] <= _NARROW:
        return np.array([_smooth_one(column, weight) for column in panel.T.tolist()], dtype=panel.dtype).T
    out = np.empty_like(panel)
    level = panel[0].copy()
    step = np.empty_like(level)
    for row, target in zip(panel, out, strict=True):
        np.subtract(row, level, out=step)
        step *= weight
        level += step
        target[:] = level
    return out


def _smooth_one(prices: list[float], weight: float) -> list[float]:
    """Return the same numbers, to the last bit, as all columns at once would have."""
    level, out = prices[0], []
    for price in prices:
        level += (price - level) * weight
        out.append(level)
    return out


def _forget(average: Floats, seed: Floats, keep: float, lag: int) -> Floats:
    """Return the average as it would be had it been seeded `lag` rows earlier.

    A recursive average is linear in its start: moving the start from `average` to `seed` moves the value by
    keep ** lag times the difference. So a window costs one pass, not one recursion a bar.
    """
    if lag >= len(average):
        return average
    out = average.copy()
    start = slice(0, len(average) - lag)
    moved = keep**lag * (seed[start] - average[start])
    out[lag:] += np.where(np.isnan(moved), 0.0, moved)
    return out


def _means(panel: Floats, width: int) -> Floats:
    out = np.full_like(panel, np.nan)
    count = len(panel) - width + 1
    if count < 1:
        return out
    total = panel[:count].copy()
    for offset in range(1, width):
        total += panel[offset : offset + count]
    out[width - 1 :] = total / width
    return out


def _panel(values: Floats) -> Floats:
    return values[:, None] if values.ndim == 1 else values


def _positions(panel: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return row numbers (n, 1), the row of each column's first number, and column numbers."""
    first = np.isfinite(panel).argmax(axis=0)
    return np.arange(len(panel))[:, None], first, np.arange(panel.shape[1])
