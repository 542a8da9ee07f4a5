"""What this system bought, sold and wanted since the cut-over, as the predecessor would have written it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ops.exporters.legacy import Screen, export_legacy
from ops.importers.command import Request, run
from ops.importers.command import Screen as ImportScreen
from ops.local import Servers
from tests.desk import DAY, EVE, NEXT, Desk
from tests.world import ListedPrices, bar, open_world

ASHA, RAVI = "asha@example.in", "ravi@example.in"
HISTORY, PENDING, SHARES = (
    f"data/{name}.json" for name in ("trades_history", "pending_orders", "system_recommended_symbols")
)
HOME = "paper_trading/unified_service"
OPEN = {"symbol": "AAA", "entry_price": 90.0, "entry_time": "2024-03-01T09:15:00", "qty": 10, "status": "open"}


@pytest.fixture
async def desk(servers: Servers) -> AsyncIterator[Desk]:
    prices = ListedPrices(
        [
            bar("AAA", EVE, "98", "101", "97", "100"),
            bar("AAA", DAY, "100", "111", "99", "110"),
            bar("AAA", NEXT, "112", "119", "108", "115"),
            bar("BBB", DAY, "200", "210", "190", "205"),
        ]
    )
    async with open_world(servers, prices) as world:
        yield Desk(world, await world.sign_up("asha"))


async def exported(desk: Desk, folder: Path) -> Path:
    await export_legacy(desk.world.database, folder, ASHA, "ravi", Screen())
    return folder


async def brought_in(desk: Desk, folder: Path, user: str = ASHA, kind: str = "all", account: str | None = None) -> None:
    request = Request(kind, folder, user, "ravi", account, create_user=True)
    brought = await run(desk.world.database, request, ImportScreen())
    assert sum(one.done.counts["error"] for one in brought) == 0


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8-sig"))


def old(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return folder


async def sold_at(desk: Desk, limit: str) -> None:
    """Sell what is held of AAA, on NEXT."""
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered(limit)
    await desk.world.change(f"UPDATE orders SET position_id = (SELECT max(id) FROM positions) WHERE id = {id_}")
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.closes(NEXT, -5))
    await desk.run("order_sync")


async def test_a_position_of_ours_is_a_trade_and_a_tracked_share(desk: Desk, tmp_path: Path) -> None:
    await desk.held()
    await desk.world.change("UPDATE positions SET entry_rsi = 18.5, reset_ready = true, cycle = 2")
    out = await exported(desk, tmp_path / "out")
    (trade,) = read(out, HISTORY)["trades"]
    assert (trade["symbol"], trade["qty"], trade["first_qty"], trade["entry_price"]) == ("AAA", 10, 10, 100.0)
    assert (trade["status"], trade["entry_time"], trade["rsi10"]) == ("open", "2024-03-05T09:15:00", 18.5)
    assert (trade["order_id"], trade["entry_type"]) == ("PTAGAAA", "system_recommended")
    (share,) = read(out, SHARES)["symbols"]
    assert (share["symbol"], share["current_tracked_qty"], share["pre_existing_qty"]) == ("AAA", 10, 0)
    assert not (out / "paper_trading").exists()
    await brought_in(desk, out, RAVI)
    columns = "symbol, quantity, avg_price, entry_rsi, opened_at, cycle, reset_ready"
    ours, theirs = await desk.world.rows(f"SELECT {columns} FROM positions ORDER BY id")
    assert ours == theirs


async def test_a_rung_that_was_bought_here_is_a_reentry(desk: Desk, tmp_path: Path) -> None:
    await desk.held()
    await desk.world.set_clock(desk.closes(DAY, 35))
    await desk.world.change("UPDATE positions SET cycle = 1")
    ((position_id,),) = await desk.world.rows("SELECT id FROM positions")
    id_ = await desk.planned(
        quantity=5, session_day=NEXT, entry_type="reentry", position_id=position_id, leg="reentry-1-20", tag="AGAIN",
        intent_key=f"dip:{DAY}:AAA:buy:reentry-1-20",
    )  # fmt: skip
    await desk.world.change(
        "INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day) "
        f"SELECT user_id, account_id, position_id, id, symbol, 1, 20, 17.5, session_day FROM orders WHERE id = {id_}"
    )
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("order_sync")
    out = await exported(desk, tmp_path / "out")
    (trade,) = read(out, HISTORY)["trades"]
    (again,) = trade["reentries"]
    assert (trade["qty"], trade["first_qty"], again["qty"], again["price"]) == (15, 10, 5, 112.0)
    assert (again["level"], again["cycle"], again["rsi"], again["order_id"]) == (20, 1, 17.5, "PAGAIN")
    await brought_in(desk, out, RAVI)
    for columns, table in (
        ("cycle, level, rsi, day, quantity, price", "reentries"),
        ("quantity, avg_price", "positions"),
    ):
        ours, theirs = await desk.world.rows(f"SELECT {columns} FROM {table} ORDER BY id")
        assert ours == theirs


async def test_a_sale_of_ours_closes_the_trade(desk: Desk, tmp_path: Path) -> None:
    await desk.held()
    await sold_at(desk, "113")
    out = await exported(desk, tmp_path / "out")
    (trade,) = read(out, HISTORY)["trades"]
    assert (trade["status"], trade["exit_price"], trade["sell_order_id"]) == ("closed", 113.0, "PSELLAAA")
    assert trade["exit_reason"] == "EMA9_TARGET"
    assert read(out, PENDING)["orders"] == read(out, SHARES)["symbols"] == []
    assert trade["pnl"] < 130.0, "less charges"


async def test_what_waits_is_pending_but_a_sale_that_is_made_anew_each_morning_is_not(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.held()
    await desk.offered("150")
    await desk.world.change("UPDATE orders SET status = 'open', broker_order_id = 'S1' WHERE side = 'sell'")
    await desk.planned("BBB")
    await desk.world.change("UPDATE orders SET status = 'parked', broker_order_id = 'B7' WHERE symbol = 'BBB'")
    await desk.planned("CCC")
    out = await exported(desk, tmp_path / "out")
    (order,) = read(out, PENDING)["orders"]
    told = {name: order[name] for name in ("symbol", "order_id", "status", "qty", "price", "variety")}
    assert told == {
        "symbol": "BBB-EQ", "order_id": "B7", "status": "PENDING", "qty": 10, "price": 0.0, "variety": "AMO"
    }  # fmt: skip


async def test_what_failed_for_want_of_money_may_be_tried_again_there_unless_it_was_here(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.world.set_clock(desk.closes(EVE, 40))
    await desk.planned(
        "BBB", status="failed", failure_kind="insufficient_funds", first_failed_at=desk.closes(EVE, 35), retry_count=1,
        reason="needs 1100, 5 available",
    )  # fmt: skip
    out = await exported(desk, tmp_path / "out")
    (item,) = read(out, HISTORY)["failed_orders"]
    assert (item["symbol"], item["reason"], item["qty"]) == ("BBB", "insufficient_balance", 10)
    assert (item["first_failed_at"], item["retry_count"]) == ("2024-03-04T16:05:00", 1)
    await desk.world.change("UPDATE orders SET status = 'cancelled', reason = 'tried again as order 9'")
    again = await exported(desk, tmp_path / "again")
    assert read(again, HISTORY)["failed_orders"] == read(again, PENDING)["orders"] == []


async def test_what_is_left_of_a_position_that_was_sold_in_part_is_one_purchase(desk: Desk, tmp_path: Path) -> None:
    await desk.held()
    await sold_at(desk, "113")
    await desk.world.change("UPDATE fills SET quantity = 4 WHERE side = 'sell'")
    await desk.world.change("UPDATE orders SET filled_quantity = 4, status = 'expired' WHERE side = 'sell'")
    await desk.world.change("UPDATE positions SET quantity = 6, closed_at = NULL, sell_order_id = NULL")
    (trade,) = read(await exported(desk, tmp_path / "out"), HISTORY)["trades"]
    assert (trade["status"], trade["qty"], trade["first_qty"], trade["reentries"]) == ("open", 6, 6, [])
    assert [(one["qty"], one["price"]) for one in trade["partial_exits"]] == [(4, 113.0)]


async def test_a_tracked_share_tells_what_is_held_after_it_was_traded_here(desk: Desk, tmp_path: Path) -> None:
    tracked = {
        "id": "t1", "symbol": "AAA", "tracking_started_at": "2024-03-01T09:15:00", "tracking_status": "active",
        "system_qty": 10, "current_tracked_qty": 10, "pre_existing_qty": 3,
    }  # fmt: skip
    await desk.world.set_clock(desk.opens(NEXT, -15))
    folder = old(tmp_path / "old", "data/trades_history.json", {"trades": [OPEN]})
    await brought_in(desk, old(folder, "data/system_recommended_symbols.json", {"symbols": [tracked]}))
    before = read(await exported(desk, tmp_path / "before"), SHARES)["symbols"]
    await sold_at(desk, "113")
    (share,) = read(await exported(desk, tmp_path / "after"), SHARES)["symbols"]
    assert [(one["tracking_status"], one["current_tracked_qty"]) for one in before] == [("active", 10)]
    assert (share["tracking_status"], share["current_tracked_qty"], share["pre_existing_qty"]) == ("completed", 0, 3)
    assert share["tracking_ended_at"] == "2024-03-06T15:25:00"


async def test_the_paper_service_gets_what_its_account_traded_since(desk: Desk, tmp_path: Path) -> None:
    await desk.world.set_clock(desk.opens(DAY, -60))
    await brought_in(desk, old(tmp_path / "old", f"{HOME}/account.json", {"available_cash": 50_000}))
    await desk.held()
    await desk.offered("150")
    await desk.world.change("UPDATE orders SET status = 'open', broker_order_id = 'S1' WHERE side = 'sell'")
    out = await exported(desk, tmp_path / "out")
    assert not (out / "data").exists()
    bought, offered = read(out, f"{HOME}/orders.json")
    assert (bought["status"], bought["executed_price"], bought["executed_quantity"]) == ("COMPLETE", 100.0, 10)
    assert (offered["status"], offered["transaction_type"], offered["price"]) == ("OPEN", "SELL", 150.0)
    (line,) = read(out, f"{HOME}/transactions.json")
    assert (line["order_id"], line["price"], line["charges"] > 0) == (bought["order_id"], 100.0, True)
    assert read(out, f"{HOME}/holdings.json")["AAA"]["quantity"] == 10
    assert read(out, f"{HOME}/active_sell_orders.json")["AAA"]["target_price"] == 150.0
    cash = read(out, f"{HOME}/account.json")["available_cash"]
    await brought_in(desk, out, RAVI)
    (ours, _), (theirs, held) = await desk.world.rows(
        "SELECT a.cash, (SELECT max(quantity) FROM positions p WHERE p.account_id = a.id) FROM broker_accounts a ORDER BY a.id"
    )
    assert (float(str(ours)), float(str(theirs)), held) == (cash, cash, 10)


async def test_other_accounts_have_no_place_and_are_named(desk: Desk, tmp_path: Path) -> None:
    await desk.world.change(
        "INSERT INTO broker_accounts (user_id, code, name, mode, venue) SELECT user_id, 'x1', 'second', mode, venue "
        "FROM broker_accounts"
    )
    told = (await export_legacy(desk.world.database, tmp_path / "out", ASHA, "ravi", Screen())).to_json()
    assert told["accounts_left"] == ["second"]
    assert told["accounts"] == {"paper_trading": "paper"}
    assert told["service_running"] is True
