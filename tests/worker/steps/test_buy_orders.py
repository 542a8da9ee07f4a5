"""From candidates to planned orders: filtered, sized, within money and places, and journalled."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from db.signals import Analysis, SignalRepository
from tests.desk import DAY, EVE, Desk
from tests.world import World
from trading.config import DEFAULTS
from trading.strategies.base import Candidate
from trading.strategies.registry import strategy_named
from trading.values import Symbol

GOOD = {
    "rsi": 20.0,
    "above_ema200": 1.0,
    "vol_ok": 1.0,
    "avg_volume_50": 1_000_000.0,
    "gap_frequency_60": 0.0,
    "avg_range_pct_60": 3.0,
    "range_60_pct": 30.0,
    "extreme_candle_frequency_30": 0.0,
}
HASH = strategy_named("dip").parameters(DEFAULTS).hash


def candidate(symbol: str, rsi: float, confidence: float | None = None) -> Candidate:
    version = None if confidence is None else "v1"
    return Candidate(Symbol(symbol), EVE, Decimal(100), {**GOOD, "rsi": rsi}, confidence, version)


async def analysed(world: World, candidates: Sequence[Candidate]) -> None:
    async with world.database.transaction(None) as session:
        await SignalRepository(session).store(Analysis("dip", HASH, EVE, "ab", {}, {}, None, candidates))


async def evening(desk: Desk, candidates: Sequence[Candidate]) -> None:
    await analysed(desk.world, candidates)
    await desk.world.set_clock(desk.closes(EVE, 35))


async def test_candidates_become_orders_for_the_next_open_and_submits(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 40), candidate("CCC", 10)])
    outcome = await desk.run("buy_orders")
    assert outcome.details == {
        "day": "2024-03-04",
        "session": "2024-03-05",
        "candidates": 3,
        "approved": 2,
        "refused": {"not_oversold": 1},
    }
    columns = (
        "symbol, status, side, order_type, variety, quantity, price, rank, reference_price, session_day, intent_key"
    )
    assert await desk.world.rows(f"SELECT {columns} FROM orders ORDER BY rank") == [
        ("CCC", "planned", "buy", "market", "amo", 2000, None, 1, 100, DAY, "dip:2024-03-04:CCC:buy:entry"),
        ("AAA", "planned", "buy", "market", "amo", 2000, None, 2, 100, DAY, "dip:2024-03-04:AAA:buy:entry"),
    ]
    ids = [row[0] for row in await desk.world.rows("SELECT id FROM orders ORDER BY rank")]
    now = desk.closes(EVE, 35)
    assert sorted(await desk.follow_ups()) == sorted(("submit", f"{id_}:1", now) for id_ in ids)
    submits = await desk.world.queued()
    assert {row.useful_until for row in submits} == {desk.opens(DAY, -18)}


async def test_every_candidate_is_journalled_with_why(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 40)])
    await desk.run("buy_orders")
    journal = "SELECT symbol, verdict, code, config_version, model_version, confidence, facts ->> 'rsi' FROM decisions"
    assert await desk.world.rows(f"{journal} ORDER BY symbol") == [
        ("AAA", "approved", None, 1, None, None, "20"),
        ("BBB", "refused", "not_oversold", 1, None, None, "40"),
    ]


async def test_running_again_changes_nothing(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 25)])
    execution = await desk.world.running("buy_orders", desk.who)
    await desk.run_as(execution)
    before = await desk.world.rows("SELECT * FROM orders"), await desk.follow_ups()
    await desk.world.change(f"UPDATE service_task_execution SET status = 'running' WHERE id = {execution.id}")
    assert (await desk.run_as(execution)).details == {"repeated": True}
    other = await desk.run("buy_orders")
    assert other.details["refused"] == {"already_held": 2}
    assert (await desk.world.rows("SELECT * FROM orders"), await desk.follow_ups()) == before


async def test_money_is_reserved_in_rank_order_until_it_is_gone(desk: Desk) -> None:
    await desk.world.change("UPDATE broker_accounts SET cash = 430000")
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10), candidate("CCC", 15)])
    outcome = await desk.run("buy_orders")
    assert outcome.details["refused"] == {"FUNDS": 1}
    assert await desk.world.rows("SELECT symbol FROM orders ORDER BY rank") == [("BBB",), ("CCC",)]


async def test_what_live_orders_reserve_is_not_spent_again(desk: Desk) -> None:
    await desk.world.change("UPDATE broker_accounts SET cash = 430000")
    await desk.planned("DDD", reserved=Decimal(215_000))
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10)])
    assert (await desk.run("buy_orders")).details["refused"] == {"FUNDS": 1}


async def test_a_symbol_that_is_held_or_ordered_is_left_alone(desk: Desk) -> None:
    await desk.planned("AAA")
    await evening(desk, [candidate("AAA", 20)])
    assert (await desk.run("buy_orders")).details["refused"] == {"already_held": 1}


async def test_places_are_limited(desk: Desk) -> None:
    await desk.world.change("UPDATE user_trading_config SET max_portfolio_size = 1")
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10)])
    assert (await desk.run("buy_orders")).details["refused"] == {"MAX_OPEN_POSITIONS": 1}


async def test_without_the_days_analysis_nothing_is_bought(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    outcome = await desk.run("buy_orders")
    assert (outcome.status, outcome.reason) == ("skipped", "STALE_FEATURES: no analysis of 2024-03-04")


async def test_a_blocked_account_buys_nothing(desk: Desk) -> None:
    await desk.world.change("UPDATE broker_accounts SET status = 'blocked'")
    await evening(desk, [candidate("AAA", 20)])
    assert (await desk.run("buy_orders")).reason == "KILL_SWITCH: the account is blocked"
    assert await desk.world.rows("SELECT 1 FROM orders") == []


async def test_orders_that_could_not_be_placed_any_more_are_not_planned(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20)])
    execution = await desk.world.running("buy_orders", desk.who)
    await desk.world.set_clock(desk.opens(DAY, -18))
    assert (await desk.run_as(execution)).status == "skipped"
    assert await desk.world.rows("SELECT 1 FROM orders") == []


@pytest.mark.parametrize(("asks", "approved", "version"), [(True, ["BBB"], "v1"), (False, ["AAA", "BBB"], None)])
async def test_a_model_speaks_only_to_those_who_ask_it(
    desk: Desk, asks: bool, approved: list[str], version: str | None
) -> None:
    await desk.world.change(f"UPDATE user_trading_config SET ml_enabled = {asks}")
    await evening(desk, [candidate("AAA", 10, 0.4), candidate("BBB", 20, 0.8)])
    await desk.run("buy_orders")
    rows = await desk.world.rows("SELECT symbol, model_version, confidence FROM orders ORDER BY symbol")
    assert rows == [(symbol, version, 0.8 if asks else None) for symbol in approved]
    assert {row[0] for row in await desk.world.rows("SELECT model_version FROM decisions")} == {version}


async def test_two_accounts_decide_for_themselves(desk: Desk) -> None:
    other = await desk.world.sign_up("bela", replace(DEFAULTS, user_capital=Decimal(10_000)))
    await evening(desk, [candidate("AAA", 20)])
    await desk.run("buy_orders")
    await Desk(desk.world, other).run("buy_orders")
    rows = await desk.world.rows(
        "SELECT user_id, quantity, count(*) OVER (PARTITION BY tag) FROM orders ORDER BY user_id"
    )
    assert rows == [(desk.who.user_id, 2000, 1), (other.user_id, 100, 1)]


async def test_a_late_evening_still_decides_on_the_day_of_its_slot(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20)])
    execution = await desk.world.running("buy_orders", desk.who)
    await desk.world.set_clock(desk.closes(EVE) + timedelta(hours=12))
    await desk.run_as(execution)
    assert await desk.world.row("SELECT session_day, as_of FROM orders") == (DAY, desk.closes(EVE, 35))


async def test_a_service_stopped_after_the_fan_out_buys_nothing(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20)])
    execution = await desk.world.running("buy_orders", desk.who)
    await desk.world.change("UPDATE service_status SET service_running = false")
    assert (await desk.run_as(execution)).reason == "KILL_SWITCH: the service is stopped"
    assert await desk.world.rows("SELECT 1 FROM orders UNION ALL SELECT 1 FROM decisions") == []
