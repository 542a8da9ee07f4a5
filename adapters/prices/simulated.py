"""Made-up daily bars that behave like a stock market: shared moves, calm and wild spells, fat tails, gaps, no memory.

A day's return knows nothing of the day before, so a strategy that earns from dips here earns by luck or by drift.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np

from adapters.prices.base import BarBatch, PriceSourceError
from adapters.prices.series import UNITS, DailySeries, Integers, batch_of, quotes_of
from trading.bars import Floats, Quote
from trading.values import Symbol, tick_size

MOST_SYMBOLS = 2000  # about what the exchange lists; with 1400 sessions 110 MB of bars, several times that while made

_FLOOR, _CEILING = 50.0, 5000.0  # rupees, no bar is outside
_START = (250.0, 1000.0)  # rupees, first price: far enough from both ends for years of walking
_DRIFT = 0.0002  # log return a day, 5 % a year
_MARKET_VOLATILITY = 0.010  # standard deviation of log returns a day, 16 % a year
_OWN_VOLATILITY = (0.011, 0.023)  # the same for what a symbol does alone, 17 to 36 % a year
_BETA = (0.6, 1.4)
_TAIL = 5.0  # degrees of freedom of Student's t; large caps show 3 to 6
_WILDNESS = 0.45  # standard deviation of log volatility around its mean
_PERSISTENCE = 0.97  # of log volatility from day to day: spells last about a month
_MOST = 0.18  # log return, inside the exchange's 20 % band
_OVERNIGHT = 0.25  # share of a day's variance that falls before the open
_TURNOVER = 3e8  # rupees a day, the median symbol
_LEAST_VOLUME = 100  # shares


@dataclass(frozen=True, slots=True)
class _Draws:
    """What chance gives each of k symbols: fixed traits, then shocks per day.

    start: log rupees. own: volatility. turnover: log rupees a day. The shocks are (n, k): `jump` has unit variance and
    fat tails, `mood`, `gap`, `crowd` are standard normal, `up`, `down` standard exponential.
    """

    start: Floats
    own: Floats
    beta: Floats
    turnover: Floats
    jump: Floats
    mood: Floats
    gap: Floats
    crowd: Floats
    up: Floats
    down: Floats


class SimulatedPrices:
    """Bars of SIM001, SIM002, ... on the given sessions, made at the first question.

    The same seed and first session give the same bars: more sessions or more symbols only add to them.
    seed: >= 0. sessions: exchange days, strictly rising, at least one. symbols: 1 to MOST_SYMBOLS.
    Raises PriceSourceError when one of them is not so.
    """

    def __init__(self, seed: int, sessions: Sequence[date], symbols: int = 120) -> None:
        if seed < 0:
            raise PriceSourceError(f"simulated prices: seed {seed} is negative; use 0 or more")
        if not 1 <= symbols <= MOST_SYMBOLS:
            raise PriceSourceError(f"simulated prices: {symbols} symbols; use 1 to {MOST_SYMBOLS}")
        if not sessions or any(later <= earlier for earlier, later in pairwise(sessions)):
            raise PriceSourceError("simulated prices: sessions are none or out of order; give rising exchange days")
        self.name = f"simulated (seed {seed})"
        self._seed, self._sessions, self._count = seed, tuple(sessions), symbols
        self._lock = threading.Lock()
        self._made: dict[Symbol, DailySeries] = {}

    async def symbols(self) -> Sequence[Symbol]:
        """Return every symbol, sorted."""
        return sorted(_name(index) for index in range(1, self._count + 1))

    async def bars(self, first: date, last: date) -> BarBatch:
        """Return the bars of all symbols with first <= day <= last."""
        return await asyncio.to_thread(self._bars, first, last)

    async def quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        """Return what the market has shown; see PriceSource. A symbol that is not simulated is absent."""
        return await asyncio.to_thread(self._quotes, symbols, day, at, whole)

    async def shows(self, day: date) -> bool:
        """Tell whether the day is a session."""
        return day in self._sessions

    def _bars(self, first: date, last: date) -> BarBatch:
        return batch_of(list(self._series().values()), first, last)

    def _quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        made = self._series()
        return quotes_of((made[symbol] for symbol in symbols if symbol in made), day, at, whole)

    def _series(self) -> dict[Symbol, DailySeries]:
        with self._lock:
            if not self._made:
                prices, volume = _simulate(self._seed, self._sessions, self._count)
                names = [_name(index) for index in range(1, self._count + 1)]
                series = zip(names, prices, volume, strict=True)
                self._made = {name: DailySeries(name, self._sessions, *arrays) for name, *arrays in sorted(series)}
            return self._made


def _name(index: int) -> Symbol:
    return Symbol(f"SIM{index:03d}")


def _simulate(seed: int, sessions: Sequence[date], count: int) -> tuple[Integers, Integers]:
    """Return prices (count, n, 4) in units of 1/10000 rupee and volumes (count, n)."""
    draws = _draw(seed, sessions, count)
    moods = _moods(draws.mood)
    swings = np.exp(moods - _WILDNESS**2)  # mean square 1: wild spells do not raise the mean variance
    market = _MARKET_VOLATILITY * swings[:, :1]
    own = draws.own[1:] * swings[:, 1:]
    shared = draws.beta[1:] * market
    wanted = _DRIFT + shared * draws.jump[:, :1] + own * draws.jump[:, 1:]
    closes, rooms = _walk(draws.start[1:], np.clip(wanted, -_MOST, _MOST))
    volatility = np.hypot(shared, own) * rooms
    bars = _days(closes, volatility, rooms, draws)
    surprise = np.minimum(np.abs(wanted) / np.hypot(draws.beta[1:] * _MARKET_VOLATILITY, draws.own[1:]), 6.0)
    shares = draws.turnover[1:] - closes[1:] + 0.3 * surprise + 0.35 * draws.crowd[:, 1:] + 0.3 * moods[:, 1:]
    volume = np.maximum(np.rint(np.exp(shares)), _LEAST_VOLUME).astype(np.int64)
    return _on_grid(bars.transpose(1, 0, 2)), np.ascontiguousarray(volume.T)


def _draw(seed: int, sessions: Sequence[date], count: int) -> _Draws:
    """Return the draws of the market (column 0) and of each symbol.

    A stream for each symbol and kind of draw, day by day within it: so neither more symbols nor more sessions shift
    anybody's draws.
    """
    days, columns = len(sessions), count + 1
    traits, jumps = np.empty((columns, 4)), np.empty((columns, days))
    normals, waits = np.empty((columns, days, 3)), np.empty((columns, days, 2))
    for column in range(columns):
        root = np.random.SeedSequence([seed, sessions[0].toordinal(), column])
        trait, jump, normal, wait = (np.random.Generator(np.random.PCG64(stream)) for stream in root.spawn(4))
        traits[column] = trait.random(4)
        jumps[column] = jump.standard_t(_TAIL, days)
        normal.standard_normal(out=normals[column])
        wait.standard_exponential(out=waits[column])
    mood, gap, crowd = (np.ascontiguousarray(normals[:, :, kind].T) for kind in range(3))
    return _Draws(
        start=_between(np.log(_START[0]), np.log(_START[1]), traits[:, 0]),
        own=_between(*_OWN_VOLATILITY, traits[:, 1]),
        beta=_between(*_BETA, traits[:, 2]),
        turnover=np.log(_TURNOVER) + _between(-1.5, 1.5, traits[:, 3]),
        jump=np.ascontiguousarray(jumps.T) / np.sqrt(_TAIL / (_TAIL - 2)),
        mood=mood,
        gap=gap,
        crowd=crowd,
        up=waits[:, :, 0].T,
        down=waits[:, :, 1].T,
    )


def _between(low: float, high: float, share: Floats) -> Floats:
    return low + (high - low) * share


def _moods(shocks: Floats) -> Floats:
    """Return log volatility around its mean, (n, k): each day remembers most of the day before."""
    moods = np.empty_like(shocks)
    moods[0] = _WILDNESS * shocks[0]
    news = _WILDNESS * np.sqrt(1 - _PERSISTENCE**2) * shocks
    for day in range(1, len(shocks)):
        moods[day] = _PERSISTENCE * moods[day - 1] + news[day]
    return moods


def _walk(start: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Return log closes (n + 1, k) from the start on, and how much of its wanted move each day had room for (n, k).

    Near floor and ceiling moves shrink, up and down alike: a wall that pushed back would be the recovery after dips
    that these prices must not have. No step takes more than half the way to a bound.
    """
    closes, rooms = np.empty((len(wanted) + 1, len(start))), np.empty_like(wanted)
    closes[0] = start
    low, high = np.log(_FLOOR), np.log(_CEILING)
    for day, moves in enumerate(wanted):
        now = closes[day]
        rooms[day] = np.minimum(np.minimum(now - low, high - now) / (2 * _MOST), 1.0)
        closes[day + 1] = now + moves * rooms[day]
    return closes, rooms


def _days(closes: Floats, volatility: Floats, rooms: Floats, draws: _Draws) -> Floats:
    """Return open, high, low, close in rupees, (n, k, 4).

    The day's return is split at the open as a random walk would be; the extremes are those of a Brownian bridge from
    open to close, exact for their variance. Source: Glasserman, Monte Carlo Methods in Financial Engineering, 6.4.
    """
    moves = np.diff(closes, axis=0)
    spread = np.sqrt(_OVERNIGHT * (1 - _OVERNIGHT)) * volatility
    gaps = np.clip(_OVERNIGHT * moves + spread * draws.gap[:, 1:], -_MOST * rooms, _MOST * rooms)
    rest = moves - gaps
    reach = 2 * (1 - _OVERNIGHT) * volatility**2
    ups = (rest + np.sqrt(rest**2 + reach * draws.up[:, 1:])) / 2
    downs = (rest - np.sqrt(rest**2 + reach * draws.down[:, 1:])) / 2
    opens = closes[:-1] + gaps
    bars: Floats = np.exp(np.stack([opens, opens + ups, opens + downs, closes[1:]], axis=-1))
    return bars.clip(_FLOOR, _CEILING)


def _on_grid(rupees: Floats) -> Integers:
    """Return prices in units on the exchange's tick grid. Tick bounds are whole rupees, so one look-up a rupee does."""
    table = np.array([int(tick_size(Decimal(whole)) * UNITS) for whole in range(int(_CEILING) + 1)])
    ticks: Integers = table[rupees.astype(np.int64)]
    counts: Integers = np.rint(rupees * UNITS / ticks).astype(np.int64)
    return counts * ticks
