"""A file of any length is read in the memory of a part of it."""

import gc
import tracemalloc
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ops.bench.trades import write_trades
from ops.importers.orders import Ground
from ops.importers.trades_file import trade_entries
from ops.replay.plan import exchange_calendar

_AT_ONCE = 250


def _peak(path: Path) -> int:
    """Return the most bytes that were in use while a file's records became entries, a part after the other."""
    ground = Ground(exchange_calendar(), datetime(2026, 11, 26, tzinfo=UTC), {})
    gc.collect()
    tracemalloc.start()
    entries = trade_entries(path, ground, lambda _: None)
    while list(islice(entries, _AT_ONCE)):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    short, long = tmp_path / "short.json", tmp_path / "long.json"
    write_trades(short, 3_000, seed=7)  # longer than what is read at once
    write_trades(long, 9_000, seed=7)
    _peak(short)  # what is remembered for good, such as the words of shares
    grown = long.stat().st_size - short.stat().st_size
    # What a trade was is not kept; that it was there is: its key and place, so that a second telling of it is known.
    assert _peak(long) - _peak(short) < grown / 2
