"""The hourly look at open positions: it tells, once a day and kind, and never trades."""

from datetime import timedelta

import numpy as np
import pytest

from tests.desk import DAY, NEXT, Desk
from tests.world import ListedPrices, bar
from worker.outcome import Retry

RISEN = np.array([*range(176, 200, 2), *[200] * 20], dtype=np.float64)
FALLEN = np.arange(300, 200, -2, dtype=np.float64)


async def held(desk: Desk, closes: np.ndarray[tuple[int], np.dtype[np.float64]], last: str) -> None:
    """Hold AAA since DAY's open, with closes up to DAY; it is NEXT, an hour after the open, and its price is `last`."""
    await desk.held()
    texts = [str(close) for close in closes[::-1]]
    bars = [bar("AAA", DAY - timedelta(days=age), text, text, text, text) for age, text in enumerate(texts)]
    await desk.world.store_bars(bars, DAY)
    prices = desk.world.prices
    assert isinstance(prices, ListedPrices)
    prices.add([bar("AAA", NEXT, last, last, last, last)])
    await desk.world.set_clock(desk.opens(NEXT, 60))


async def told(desk: Desk) -> list[tuple[object, ...]]:
    return await desk.world.rows("SELECT event, dedupe_key FROM notifications WHERE event LIKE 'system%' ORDER BY id")


async def test_a_share_near_its_average_is_told_once_a_day(desk: Desk) -> None:
    await held(desk, RISEN, "199")
    outcome = await desk.run("position_monitor")
    assert outcome.details == {
        "hour": 10,
        "summary": {"monitored": 1, "alerts_sent": 1, "exit_imminent": 1, "averaging_opportunities": 0},
        "without_price": [],
    }
    ((event, key),) = await told(desk)
    assert event == "system_info"
    assert str(key).endswith(f":exit_imminent:{NEXT}")
    await desk.run("position_monitor")
    assert len(await told(desk)) == 1


async def test_a_move_since_the_last_look_is_told(desk: Desk) -> None:
    await held(desk, FALLEN, "100")
    await desk.run("position_monitor")
    assert await desk.world.row("SELECT seen_price, unrealized_pnl FROM positions") == (100, 0)
    assert await told(desk) == []
    await held_at(desk, "104")
    await desk.run("position_monitor")
    ((event, _),) = await told(desk)
    assert event == "system_warning"
    assert await desk.world.row("SELECT unrealized_pnl = 4 * quantity FROM positions") == (True,)


async def held_at(desk: Desk, last: str) -> None:
    prices = desk.world.prices
    assert isinstance(prices, ListedPrices)
    prices.add([bar("AAA", NEXT, last, last, last, last)])


async def test_a_level_of_the_ladder_that_is_free_is_a_chance_to_average_down(desk: Desk) -> None:
    await held(desk, FALLEN, "100")
    await desk.world.change("UPDATE positions SET entry_rsi = 28")
    outcome = await desk.run("position_monitor")
    assert outcome.details["summary"]["averaging_opportunities"] == 1  # type: ignore[index,call-overload] # JSON
    await desk.world.change("DELETE FROM notifications; ")
    await desk.world.change("UPDATE positions SET entry_rsi = 5")
    assert (await desk.run("position_monitor")).details["summary"]["averaging_opportunities"] == 0  # type: ignore[index,call-overload] # JSON


async def test_a_share_without_a_quote_is_named_and_not_taken_for_nought(desk: Desk) -> None:
    await held(desk, RISEN, "199")
    await desk.world.change("DELETE FROM bars")
    outcome = await desk.run("position_monitor")
    assert outcome.details["without_price"] == ["AAA"]
    assert await desk.world.row("SELECT seen_price FROM positions") == (None,)


async def test_without_prices_it_is_tried_again(desk: Desk) -> None:
    await held(desk, RISEN, "199")
    desk.world.prices.broken = True  # type: ignore[attr-defined] # the desk's prices are listed ones
    with pytest.raises(Retry, match="out of order"):
        await desk.run("position_monitor")


async def test_it_never_trades(desk: Desk) -> None:
    await held(desk, FALLEN, "100")
    orders = await desk.world.rows("SELECT * FROM orders")
    await desk.run("position_monitor")
    assert await desk.world.rows("SELECT * FROM orders") == orders
    assert await desk.follow_ups() == []


@pytest.mark.parametrize("minutes", [-1, 375])
async def test_outside_the_session_it_looks_at_nothing(desk: Desk, minutes: float) -> None:
    await held(desk, RISEN, "199")
    await desk.world.set_clock(desk.opens(NEXT, minutes))
    assert (await desk.run("position_monitor")).status == "skipped"
