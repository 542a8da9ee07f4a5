"""Whatever trades there were: imported, exported and imported again they are the same."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.servers import ServerUrls
from ops.exporters.legacy import Screen, export_legacy
from tests.database import emptied
from tests.ops.exporters.old_folder import books, bring_in, stand_at, write

ASHA, RAVI = "asha@example.org", "ravi@example.org"
_FIRST = datetime(2023, 12, 4, 9, 15)  # noqa: DTZ001 - the old files have no zone

_prices = st.integers(100, 500_000).map(lambda paise: paise / 100)
_shares = st.integers(1, 5000)
_measures = st.none() | st.floats(1, 99).map(lambda rsi: round(rsi, 2))
_gaps = st.timedeltas(timedelta(seconds=1), timedelta(days=4))


@st.composite
def _later(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw later purchases: each level, or none, in any order."""
    one = st.fixed_dictionaries(
        {"qty": _shares, "price": _prices, "level": st.sampled_from([30, 20, 10, None]), "rsi": _measures}
    )
    return draw(st.lists(one, max_size=4))


@st.composite
def trades(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a trade as the predecessor wrote it, in either generation's sense of `qty`."""
    again, at = draw(_later()), _FIRST + draw(_gaps)
    for one in again:
        at += draw(_gaps)
        one["time"] = at.isoformat()
    symbol = f"S{draw(st.integers(1, 4))}"
    first = draw(_shares)
    record: dict[str, Any] = {
        "symbol": draw(st.sampled_from([symbol, f"{symbol}-EQ", f"{symbol.lower()}.ns"])),
        "entry_price": draw(_prices),
        "entry_time": _FIRST.isoformat() if not again else min(_FIRST.isoformat(), again[0]["time"]),
        "qty": first + draw(st.booleans()) * sum(one["qty"] for one in again),
        "rsi10": draw(_measures),
        "reset_ready": draw(st.booleans()),
        "status": "open",
        "reentries": again,
        "capital": draw(st.none() | st.integers(1000, 10**6)),
    }
    if draw(st.booleans()):
        end = {"status": "closed", "exit_price": draw(_prices), "exit_time": (at + draw(_gaps)).isoformat()}
        record |= end | {"exit_reason": draw(st.sampled_from(["EMA9_TARGET", None])), "exit_rsi10": draw(_measures)}
        record["pnl"] = draw(st.none() | st.floats(-1e6, 1e6).map(lambda pnl: round(pnl, 2)))
    return record


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=st.lists(trades(), min_size=1, max_size=12))
def test_trades_come_back_as_they_were(urls: ServerUrls, held: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        before, after = asyncio.run(_round_trip(urls, Path(folder), held))
    assert after == before


async def _round_trip(urls: ServerUrls, folder: Path, held: list[dict[str, Any]]) -> tuple[Any, Any]:
    async with emptied(urls) as database:
        await stand_at(database)
        await bring_in(database, write(folder / "old", paper=False, trades={"trades": held}), ASHA)
        await export_legacy(database, folder / "out", ASHA, "ravi", Screen())
        brought = await bring_in(database, folder / "out", RAVI)
        assert sum(one.done.counts["error"] for one in brought) == 0
        return await books(database, ASHA), await books(database, RAVI)
