"""From candidates to planned orders: filtered, sized, within money and places, and journalled."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from db.configs import UserTradingConfigRepository
from tests.desk import DAY, EVE, NEXT, Desk
from tests.evenings import analysed, candidate, evening
from trading.config import DEFAULTS


async def test_candidates_become_orders_for_the_next_open_and_submits(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 40), candidate("CCC", 10)])
    outcome = await desk.run("buy_orders")
    assert outcome.details == {
        "day": "2024-03-04",
        "session": "2024-03-05",
        "candidates": 3,
        "approved": 2,
        "reentries": 0,
        "failed_balance": 0,
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
    planned = "SELECT symbol FROM orders WHERE status = 'planned' ORDER BY rank"
    assert await desk.world.rows(planned) == [("BBB",), ("CCC",)]


async def test_what_only_money_stopped_waits_as_a_failed_order_and_the_user_is_told_once(desk: Desk) -> None:
    await desk.world.change("UPDATE broker_accounts SET cash = 220000")
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10), candidate("CCC", 15)])
    outcome = await desk.run("buy_orders")
    assert (outcome.details["approved"], outcome.details["failed_balance"]) == (1, 2)
    columns = "symbol, failure_kind, reserved, retry_count, first_failed_at, retry_until, entry_type"
    now, until = desk.closes(EVE, 35), desk.closes(DAY)
    assert await desk.world.rows(f"SELECT {columns} FROM orders WHERE status = 'failed' ORDER BY rank") == [
        ("CCC", "insufficient_funds", 0, 0, now, until, "initial"),
        ("AAA", "insufficient_funds", 0, 0, now, until, "initial"),
    ]
    (reason,) = await desk.world.row("SELECT reason FROM orders WHERE symbol = 'AAA'")
    assert reason == "needs 210249.81, 9750.19 available"
    assert await desk.world.row("SELECT count(*) FROM service_task_execution WHERE task_name = 'submit'") == (1,)
    told = await desk.world.row("SELECT event, level, title, message FROM notifications")
    assert told[:3] == ("balance_shortfall", "warning", "Not enough money for 2 orders")
    assert "CCC" in str(told[3])
    assert "AAA" in str(told[3])
    await desk.run("buy_orders")
    assert await desk.world.row("SELECT count(*) FROM notifications") == (1,)


async def test_what_live_orders_reserve_is_not_spent_again(desk: Desk) -> None:
    await desk.world.change("UPDATE broker_accounts SET cash = 430000")
    await desk.planned("DDD", reserved=Decimal(215_000))
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10)])
    assert (await desk.run("buy_orders")).details["refused"] == {"FUNDS": 1}


@pytest.mark.parametrize(("allowed", "refused"), [(False, {"traded_today": 1}), (True, {})])
async def test_what_was_sold_in_todays_session_is_not_bought_back_unless_allowed(
    desk: Desk, allowed: bool, refused: dict[str, int]
) -> None:
    await desk.world.change(f"UPDATE user_trading_config SET allow_duplicate_recommendations_same_day = {allowed}")
    await desk.held("AAA")
    sale = await desk.offered("112")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("submit", f"{sale}:1")
    await desk.run("order_sync")
    assert await desk.world.row("SELECT count(*) FROM positions WHERE closed_at IS NULL") == (0,)
    await evening(desk, [candidate("AAA", 20)], NEXT)
    assert (await desk.run("buy_orders")).details["refused"] == refused


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


async def test_an_after_market_buy_never_pays_what_it_would_be_sold_at(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20, ema9=104.0)])
    await desk.run("buy_orders")
    columns = "order_type, price, variety, quantity, reserved"
    assert await desk.order(columns) == ("limit", Decimal("102.96"), "amo", 2000, Decimal("206164.95"))


async def test_a_regular_buy_is_planned_in_the_evening_and_due_at_the_open(desk: Desk) -> None:
    await desk.world.change("UPDATE user_trading_config SET default_variety = 'REGULAR'")
    await evening(desk, [candidate("AAA", 20, ema9=104.0)])
    await desk.run("buy_orders")
    assert await desk.order("variety, order_type, price") == ("regular", "market", None)
    (row,) = await desk.world.queued()
    assert (row.scheduled_for, row.useful_until) == (desk.opens(DAY), desk.closes(DAY))


@pytest.mark.parametrize(
    ("field", "value"), [("default_exchange", "BSE"), ("default_product", "MIS"), ("default_validity", "IOC")]
)
async def test_a_route_the_venue_cannot_go_is_refused_by_name_and_never_replaced(
    desk: Desk, field: str, value: str
) -> None:
    await desk.world.change(f"UPDATE user_trading_config SET {field} = '{value}'")
    await evening(desk, [candidate("AAA", 20)])
    assert (await desk.run("buy_orders")).details["refused"] == {"VENUE_UNSUPPORTED": 1}
    facts = "facts ->> 'field', facts ->> 'value', facts ->> 'venue'"
    assert await desk.world.row(f"SELECT {facts} FROM decisions") == (field, value, "paper")
    assert await desk.world.rows("SELECT 1 FROM orders") == []


async def test_an_order_carries_its_form_and_what_it_was_decided_on(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20)])
    await desk.run("buy_orders")
    columns = (
        "exchange, product, validity, trade_mode, entry_type, orig_source, metadata ->> 'rsi', metadata ->> 'verdict'"
    )
    assert await desk.order(columns) == ("NSE", "CNC", "DAY", "paper", "initial", "signal", "20", "buy")


async def test_each_user_keeps_his_own_mark_on_a_shared_signal(desk: Desk) -> None:
    other = await desk.world.sign_up("bela")
    await desk.world.change(f"UPDATE broker_accounts SET cash = 1000 WHERE user_id = {other.user_id}")
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 45)])
    await desk.run("buy_orders")
    await Desk(desk.world, other).run("buy_orders")
    marks = "SELECT user_id, symbol, status FROM user_signal_status ORDER BY user_id"
    assert await desk.world.rows(marks) == [(desk.who.user_id, "AAA", "traded"), (other.user_id, "AAA", "failed")]
    assert await desk.world.rows("SELECT DISTINCT status FROM signals") == [("active",)]


async def test_a_signal_one_user_refused_is_bought_by_the_others(desk: Desk) -> None:
    other = await desk.world.sign_up("bela")
    await evening(desk, [candidate("AAA", 20)])
    await desk.world.change(
        "INSERT INTO user_signal_status (user_id, signal_id, symbol, status) "
        f"SELECT {desk.who.user_id}, id, symbol, 'rejected' FROM signals"
    )
    assert (await desk.run("buy_orders")).details["refused"] == {"rejected_by_user": 1}
    assert (await Desk(desk.world, other).run("buy_orders")).details["approved"] == 1
    marks = "SELECT user_id, status FROM user_signal_status ORDER BY user_id"
    assert await desk.world.rows(marks) == [(desk.who.user_id, "rejected"), (other.user_id, "traded")]


async def test_an_execution_decides_by_the_configuration_it_was_claimed_under(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20)])
    execution = replace(await desk.world.running("buy_orders", desk.who), config_version=1)
    async with desk.world.database.transaction(None) as session:
        changes = {"user_capital": Decimal(50_000)}
        await UserTradingConfigRepository(session).update(desk.who.user_id, changes, "test", desk.closes(EVE))
    await desk.run_as(execution)
    assert await desk.order("quantity, config_version") == (2000, 1)


async def test_signals_that_a_newer_analysis_no_longer_found_are_not_bought(desk: Desk) -> None:
    await analysed(desk.world, [candidate("AAA", 20), candidate("BBB", 10)])
    await evening(desk, [candidate("AAA", 20)])
    await desk.run("buy_orders")
    assert await desk.world.rows("SELECT symbol FROM orders") == [("AAA",)]


@pytest.mark.parametrize(("seconds", "planned"), [(0, 1), (1, 0)])
async def test_nothing_is_planned_after_the_deadline_by_what_began_before_it(
    desk: Desk, seconds: int, planned: int
) -> None:
    await evening(desk, [candidate("AAA", 20)])
    now = desk.closes(EVE, 35)
    execution = await desk.world.running("buy_orders", desk.who, useful_until=now)
    await desk.world.set_clock(now + timedelta(seconds=seconds))
    outcome = await desk.run_as(execution)
    assert (outcome.status, (outcome.reason or "").startswith("late: ")) == (
        ("success", False) if planned else ("skipped", True)
    )
    assert await desk.world.row("SELECT count(*) FROM orders") == (planned,)
