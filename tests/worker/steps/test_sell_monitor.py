"""The exits of what is held: one limit a session, and the market where RSI has recovered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from tests.desk import DAY, NEXT, Desk
from tests.world import ListedPrices, bar
from trading.bars import Bar, Quote
from trading.indicators import ema
from trading.strategies.dip import exit_limit
from trading.values import Symbol
from worker.history import MarketHistory
from worker.outcome import Retry

# A rise and a long rest: EMA9 has come up to the price, and RSI remembers the rise, so a small dip leaves it over 50.
CLOSES = np.array([*range(176, 200, 2), *[200] * 20], dtype=np.float64)

RECOVERED = bar("AAA", NEXT, "199", "199.50", "198", "199")
TOUCHED = bar("AAA", NEXT, "199", "200", "198", "199")
FALLEN = bar("AAA", NEXT, "199", "199.50", "150", "150")
LIMIT = exit_limit(float(ema(CLOSES, 9)[-1]), Decimal(199))


def prices(desk: Desk) -> ListedPrices:
    assert isinstance(desk.world.prices, ListedPrices)
    return desk.world.prices


async def held(desk: Desk, today: Bar = RECOVERED) -> None:
    """Hold AAA since DAY's open; it is NEXT's open, and the closes up to DAY are known."""
    await desk.held()
    texts = [str(close) for close in CLOSES[::-1]]
    bars = [bar("AAA", DAY - timedelta(days=age), text, text, text, text) for age, text in enumerate(texts)]
    await desk.world.store_bars(bars, DAY)
    prices(desk).add([today])
    await desk.world.set_clock(desk.opens(NEXT))


async def offered(desk: Desk, today: Bar, minutes: float = 370) -> int:
    """Offer the held share at NEXT's open and come back some minutes later. Returns the order's id."""
    await held(desk, today)
    await desk.run("sell_monitor")
    ((_, subject, _),) = await desk.follow_ups()
    await desk.run("submit", subject)
    await desk.world.change("DELETE FROM service_task_execution WHERE status = 'queued'")
    await desk.world.set_clock(desk.opens(NEXT, 1))
    await desk.run("order_sync")
    await desk.world.set_clock(desk.opens(NEXT, minutes))
    return int(subject.split(":")[0])


async def exit_planned(desk: Desk, key: str, symbol: str = "AAA") -> None:
    """Plan an exit for NEXT. Raises ValueError if there may be none beside those there are."""
    await desk.planned(symbol, side="sell", leg="exit", session_day=NEXT, intent_key=key, tag=key)


async def exits(desk: Desk) -> list[tuple[object, ...]]:
    columns = "order_type, variety, quantity, price, status, attempt, change"
    return await desk.world.rows(f"SELECT {columns} FROM orders WHERE side = 'sell'")


async def test_a_position_gets_its_limit_at_the_open(desk: Desk) -> None:
    await held(desk)
    outcome = await desk.run("sell_monitor")
    assert outcome.details == {"positions": 1, "planned": 1, "to_market": 0, "resized": 0, "without_price": []}
    assert await exits(desk) == [("limit", "regular", 10, LIMIT, "planned", 1, None)]
    (row,) = [one for one in await desk.world.queued() if one.task_name == "submit"]
    assert (row.task_name, row.scheduled_for, row.useful_until) == ("submit", desk.opens(NEXT), desk.closes(NEXT))


async def test_the_limit_is_yesterdays_average_with_todays_open_floored_to_the_tick() -> None:
    assert Decimal("0.8") * 200 + Decimal("0.2") * 199 - LIMIT < Decimal("0.2")
    assert Decimal("199.8") > LIMIT


async def test_looking_again_places_nothing_twice(desk: Desk) -> None:
    await held(desk)
    await desk.run("sell_monitor")
    before = await exits(desk), await desk.follow_ups()
    assert (await desk.run("sell_monitor")).details["planned"] == 0
    assert (await exits(desk), await desk.follow_ups()) == before


async def test_a_live_exit_stands_in_the_way_of_its_twin_alone(desk: Desk) -> None:
    await desk.offered("118")
    await Desk(desk.world, await desk.world.sign_up("bela")).offered("118")
    await desk.planned(leg="reentry-0-20", tag="AGAIN", intent_key="a re-entry")
    await exit_planned(desk, "another share", "BBB")
    with pytest.raises(ValueError, match="got 0"):
        await exit_planned(desk, "its twin")
    await desk.world.change("UPDATE orders SET status = 'expired' WHERE tag = 'SELLAAA'")
    await exit_planned(desk, "of another session")
    keys = "SELECT count(*) FILTER (WHERE status = 'planned'), count(*) FROM orders"
    assert await desk.world.row(keys) == (3, 5)


async def test_an_exit_that_ended_is_not_placed_again_in_the_same_session(desk: Desk) -> None:
    await held(desk)
    await desk.run("sell_monitor")
    await desk.world.change("UPDATE orders SET status = 'rejected' WHERE side = 'sell'")
    assert (await desk.run("sell_monitor")).details["planned"] == 0


async def test_a_share_bought_today_gets_its_first_exit_in_the_next_session(desk: Desk) -> None:
    await held(desk)
    await desk.world.set_clock(desk.opens(DAY, 1))
    assert (await desk.run("sell_monitor")).details == {"positions": 0, "planned": 0, "to_market": 0, "resized": 0}
    assert await exits(desk) == []


async def test_a_recovered_share_is_sold_at_market_before_the_close(desk: Desk) -> None:
    id_ = await offered(desk, RECOVERED)
    assert (await desk.run("sell_monitor")).details["to_market"] == 1
    assert await exits(desk) == [("limit", "regular", 10, LIMIT, "open", 2, {"limit_price": None})]
    assert await desk.follow_ups() == [("submit", f"{id_}:2", desk.opens(NEXT, 370))]
    await desk.run("submit", f"{id_}:2")
    await desk.run("order_sync")
    assert (await exits(desk))[0][:5] == ("market", "regular", 10, None, "filled")
    position = await desk.world.row("SELECT exit_price, exit_reason, closed_at FROM positions")
    assert position == (199, "RSI_EXIT", desk.opens(NEXT, 370))


async def test_asking_for_the_market_again_changes_nothing(desk: Desk) -> None:
    id_ = await offered(desk, RECOVERED)
    await desk.run("sell_monitor")
    before = await exits(desk), await desk.follow_ups()
    assert (await desk.run("sell_monitor")).details["to_market"] == 0
    assert (await exits(desk), await desk.follow_ups()) == before
    await desk.run("submit", f"{id_}:2")
    again = await desk.run("submit", f"{id_}:2")
    assert (again.status, again.reason) == ("skipped", "the order is open")


@pytest.mark.parametrize("today", [TOUCHED, FALLEN])
async def test_a_limit_that_was_touched_or_a_share_still_down_is_left_alone(desk: Desk, today: Bar) -> None:
    await offered(desk, today)
    assert (await desk.run("sell_monitor")).details["to_market"] == 0
    assert (await exits(desk))[0][5:] == (1, None)


async def test_before_the_bar_is_whole_nothing_is_sold_at_market(desk: Desk) -> None:
    await offered(desk, RECOVERED, minutes=369)
    assert (await desk.run("sell_monitor")).details["to_market"] == 0


async def test_who_wants_no_exit_on_rsi_gets_none(desk: Desk) -> None:
    await offered(desk, RECOVERED)
    await desk.world.change("UPDATE user_trading_config SET exit_on_ema9_or_rsi50 = false")
    assert (await desk.run("sell_monitor")).details["to_market"] == 0


async def test_a_position_without_an_exit_gets_its_limit_in_the_watch(desk: Desk) -> None:
    await held(desk)
    await desk.world.set_clock(desk.opens(NEXT, 370))
    assert (await desk.run("sell_monitor")).details["planned"] == 1


async def test_a_share_without_a_price_is_named_and_left(desk: Desk) -> None:
    await held(desk)
    del prices(desk).rows["AAA", NEXT]  # type: ignore[arg-type] # a text is a symbol at run time
    prices(desk).add([bar("BBB", NEXT, "205", "205", "205", "205")])
    outcome = await desk.run("sell_monitor")
    assert outcome.details == {"positions": 1, "planned": 0, "to_market": 0, "resized": 0, "without_price": ["AAA"]}


async def test_where_a_session_is_told_of_in_the_evening_exits_stand_at_the_last_close(desk: Desk) -> None:
    await held(desk)
    today = prices(desk).rows.pop((Symbol("AAA"), NEXT))
    outcome = await desk.run("sell_monitor")
    assert (outcome.details["planned"], outcome.details["priced_at"]) == (1, "last close")
    limit = exit_limit(float(ema(CLOSES, 9)[-1]), Decimal(200))
    assert (await exits(desk))[0][:4] == ("limit", "regular", 10, limit)
    assert (await desk.run("sell_monitor")).details["planned"] == 0
    ((_, subject, _),) = await desk.follow_ups()
    await desk.run("submit", subject)
    await desk.world.set_clock(desk.closes(NEXT, 15))
    await desk.run("order_sync")
    assert (await exits(desk))[0][4] == "open", "the day's prices are not there: nobody can say how it ended"
    prices(desk).add([replace(today, high=Decimal(201))])
    await desk.run("order_sync")
    position = await desk.world.row("SELECT exit_price, exit_reason, closed_at FROM positions")
    assert position == (limit, "EMA9_TARGET", desk.closes(NEXT))


async def test_before_the_last_session_is_known_there_is_no_close_to_stand_at(desk: Desk) -> None:
    await held(desk)
    prices(desk).rows.clear()
    await desk.world.change(f"DELETE FROM bars WHERE symbol = 'AAA' AND day = '{DAY}'")
    outcome = await desk.run("sell_monitor")
    assert (outcome.details["planned"], outcome.details["without_price"]) == (0, ["AAA"])


async def test_a_source_that_cannot_answer_is_asked_again(desk: Desk) -> None:
    await held(desk)
    prices(desk).broken = True
    with pytest.raises(Retry, match="out of order"):
        await desk.run("sell_monitor")
    assert await exits(desk) == []


async def test_a_blocked_account_places_no_exit(desk: Desk) -> None:
    await held(desk)
    await desk.world.change("UPDATE broker_accounts SET status = 'blocked'")
    assert (await desk.run("sell_monitor")).reason == "KILL_SWITCH: the account is blocked"


@pytest.mark.parametrize("minutes", [-1, 375])
async def test_outside_the_session_nothing_is_placed(desk: Desk, minutes: int) -> None:
    await held(desk)
    await desk.world.set_clock(desk.opens(NEXT, minutes))
    assert (await desk.run("sell_monitor")).status == "skipped"
    assert await exits(desk) == []


async def test_an_average_that_ends_before_the_last_session_is_no_ground_for_an_exit(desk: Desk) -> None:
    await held(desk)
    await desk.world.change(f"DELETE FROM bars WHERE symbol = 'AAA' AND day = '{DAY}'")
    outcome = await desk.run("sell_monitor")
    assert outcome.details == {"positions": 1, "planned": 0, "to_market": 0, "resized": 0, "without_price": ["AAA"]}
    assert await exits(desk) == []


async def test_an_rsi_that_ends_before_the_last_session_sells_nothing_at_market(desk: Desk) -> None:
    await offered(desk, RECOVERED)
    await desk.world.change(f"DELETE FROM bars WHERE symbol = 'AAA' AND day = '{DAY}'")
    await desk.world.change("UPDATE price_days SET loaded_at = now()")
    desk.world.resources.history = MarketHistory(desk.world.database)  # as a process that has not looked yet
    assert (await desk.run("sell_monitor")).details["to_market"] == 0


async def test_a_session_that_closes_while_prices_are_asked_for_gets_no_exit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held(desk)
    quotes = desk.world.prices.quotes

    async def slow(symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        await desk.world.set_clock(desk.closes(NEXT))
        return await quotes(symbols, day, at, whole)

    monkeypatch.setattr(desk.world.prices, "quotes", slow)
    outcome = await desk.run("sell_monitor")
    assert outcome.reason == "MARKET_CLOSED: the session closed while prices were asked for"
    assert await exits(desk) == []


async def test_without_a_stop_loss_a_share_falls_as_deep_as_it_likes(desk: Desk) -> None:
    await offered(desk, FALLEN)
    await desk.world.change("UPDATE positions SET avg_price = 1000")
    assert (await desk.run("sell_monitor")).details["to_market"] == 0


@pytest.mark.parametrize(("percent", "sold"), [("0.24", 1), ("0.26", 0)])
async def test_a_share_at_its_stop_is_sold_at_market_and_says_so(desk: Desk, percent: str, sold: int) -> None:
    id_ = await offered(desk, FALLEN)
    await desk.world.change("UPDATE positions SET avg_price = 200")  # 150 is 25 % below
    await desk.world.change(f"UPDATE user_trading_config SET default_stop_loss_pct = {percent}")
    assert (await desk.run("sell_monitor")).details["to_market"] == sold
    if not sold:
        return
    await desk.run("submit", f"{id_}:2")
    await desk.run("order_sync")
    reason, rsi, price = await desk.world.row("SELECT exit_reason, exit_rsi, exit_price FROM positions")
    assert (reason, price) == ("STOP_LOSS", 150)
    assert isinstance(rsi, float)
    assert rsi < 50


async def test_a_share_under_its_stop_at_the_open_is_offered_at_market_at_once(desk: Desk) -> None:
    await held(desk, FALLEN)
    await desk.world.change("UPDATE positions SET avg_price = 300")
    await desk.world.change("UPDATE user_trading_config SET default_stop_loss_pct = 0.1")
    assert (await desk.run("sell_monitor")).details["planned"] == 1
    assert (await exits(desk))[0][:4] == ("market", "regular", 10, None)


async def added(desk: Desk, quantity: int) -> None:
    """Let a re-entry bought today have made the position larger, at our side and at the venue's."""
    await desk.world.change(f"UPDATE positions SET quantity = quantity + {quantity}")
    await desk.world.change(
        "INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, quantity, word, session_day, "
        f"placed_at, filled_quantity) SELECT id, user_id, 'MORE', 'AAA', 'buy', 'market', {quantity}, 'complete', "
        f"'{NEXT}', now(), {quantity} FROM broker_accounts"
    )


async def test_an_exit_grows_with_a_position_that_was_added_to(desk: Desk) -> None:
    id_ = await offered(desk, FALLEN)
    await added(desk, 5)
    assert (await desk.run("sell_monitor")).details["resized"] == 1
    assert (await desk.run("sell_monitor")).details["resized"] == 0
    await desk.run("submit", f"{id_}:2")
    await desk.run("order_sync")
    assert (await exits(desk))[0][:4] == ("limit", "regular", 15, LIMIT)
    assert await desk.world.row("SELECT quantity, limit_price FROM paper_orders WHERE side = 'sell'") == (15, LIMIT)
    assert (await desk.run("sell_monitor")).details["resized"] == 0


async def test_a_recovered_share_that_was_added_to_is_sold_whole(desk: Desk) -> None:
    id_ = await offered(desk, RECOVERED)
    await added(desk, 5)
    details = (await desk.run("sell_monitor")).details
    assert (details["to_market"], details["resized"]) == (1, 1)
    await desk.run("submit", f"{id_}:2")
    await desk.run("order_sync")
    assert await desk.world.row("SELECT status, filled_quantity FROM orders WHERE side = 'sell'") == ("filled", 15)
    assert await desk.world.row("SELECT quantity, exit_reason FROM positions") == (0, "RSI_EXIT")


async def test_a_resize_the_broker_refuses_is_not_asked_for_again_every_minute(desk: Desk) -> None:
    id_ = await offered(desk, FALLEN)
    await desk.world.change("UPDATE positions SET quantity = quantity + 5")  # the venue knows of no such shares
    await desk.run("sell_monitor")
    assert (await desk.run("submit", f"{id_}:2")).details["change"] == "refused"
    assert (await desk.run("sell_monitor")).details["resized"] == 0
    assert (await exits(desk))[0][2] == 10


async def test_an_exit_belongs_to_its_position(desk: Desk) -> None:
    await held(desk)
    await desk.run("sell_monitor")
    query = "SELECT o.position_id = p.id, o.order_metadata FROM orders o, positions p WHERE o.side = 'sell'"
    assert (await desk.world.row(query.replace("order_metadata", "metadata")))[0] is True
