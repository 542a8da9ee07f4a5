"""Imports into a real database: what comes in, what is there already, and what is refused alone."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.transaction import Database
from ops.importers import command, reading
from ops.importers.command import Screen
from ops.importers.entry import Entry
from ops.importers.source import Found
from tests.ops.importers.old_files import (
    again,
    deal,
    failed,
    holding,
    paper_order,
    sold,
    tracked,
    trade,
    waiting,
    write,
    write_paper,
)
from tests.ops.importers.runs import bring, bring_all, dump, measures, records, rows, sell_live, somebody
from tests.people import scalar

_SALE: dict[str, Any] = {
    "transaction_type": "SELL",
    "placed_at": "2024-01-09T11:00:00",
    "executed_at": "2024-01-09T11:00:01",
}


def _history(folder: Path) -> Path:
    """Write a history with one of each: sold, held with a re-entry, failed, not to be read."""
    held = trade("DEMO2", qty=150, reentries=[again()], order_response={"nOrdNo": "240102000111222"})
    closed = sold(pnl=1000.0, order_id="A1", sell_order_id="A2")
    value = {
        "trades": [closed, held, sold("DEMO3", status="lost")],
        "failed_orders": [failed("DEMO4")],
        "last_run": "2024-01-15T18:00:03",
    }
    return write(folder, "trades_history.json", value)


def _everything(folder: Path) -> Path:
    """Write every file of the old system below a folder."""
    _history(folder / "data")
    write(folder / "data", "pending_orders.json", {"orders": [
        waiting("DEMO2", order_id="240102000111222", status="EXECUTED"), waiting("DEMO5", price=100.0, order_type="LIMIT"),
    ]})  # fmt: skip
    write(folder / "data", "system_recommended_symbols.json", {"symbols": [tracked("DEMO2", current_tracked_qty=150)]})
    write_paper(
        folder / "paper_trading" / "unified_service",
        orders=[paper_order(), paper_order(order_id="S1", **_SALE), paper_order("DEMO6", "B6")],
        transactions=[deal()],
        holdings={"DEMO6": holding("DEMO6")},
        account={"initial_capital": 100000, "available_cash": 49960.0},
        config={"initial_capital": 100000.0, "max_position_size": 50000.0, "enable_fees": True},
    )
    return folder


async def test_a_history_becomes_orders_fills_positions_and_failed_orders(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    brought = await bring(database, _history(tmp_path))
    assert dict(brought.done.counts) == {"imported": 3, "error": 1}
    assert brought.done.unmapped == {"status 'lost' is a word that nobody mapped": 1}
    orders = await rows(
        database, "SELECT symbol, side, quantity, status, order_id FROM orders ORDER BY symbol, placed_at"
    )
    assert orders == [
        ("DEMO1", "buy", 100, "filled", "A1"), ("DEMO1", "sell", 100, "filled", "A2"),
        ("DEMO2", "buy", 100, "filled", "240102000111222"), ("DEMO2", "buy", 50, "filled", None), ("DEMO4", "buy", 123, "failed", None),
    ]  # fmt: skip
    held = "SELECT symbol, quantity, round(avg_price, 4), closed_at IS NULL, reentry_count, realized_pnl FROM positions ORDER BY symbol"
    assert await rows(database, held) == [
        ("DEMO1", 0, Decimal(250), False, 0, Decimal(1000)), ("DEMO2", 150, Decimal("246.6667"), True, 1, Decimal(0)),
    ]  # fmt: skip
    assert all(one.agrees for one in (await measures(database, brought.done.batch_id)).values())
    assert await records(database, brought.done.batch_id) == [("trades[2]", "error", "unmapped")]
    assert await scalar(database, "SELECT min(import_batch_id) FROM orders") == brought.done.batch_id


async def test_moments_are_those_of_india(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, _history(tmp_path))
    at = "SELECT to_char(filled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM fills ORDER BY 1 LIMIT 1"
    assert await scalar(database, at) == "2024-01-02 03:45:11"


async def test_every_file_comes_in_and_the_live_ones_have_an_account_of_their_own(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    history, pending, shares, paper = await bring_all(database, _everything(tmp_path))
    assert [one.account for one in (history, pending, shares, paper)] == ["live", "live", "live", "paper"]
    assert dict(pending.done.counts) == {"merged": 1, "imported": 1}
    assert dict(shares.done.counts) == {"imported": 1}
    assert dict(paper.done.counts) == {"imported": 4}
    assert all(one.agrees for each in (history, pending, shares, paper) for one in each.measures)
    assert paper.left == {"enable_fees": True} or history.left == {"enable_fees": True}
    tracked_shares = "SELECT symbol, tracked_quantity, pre_existing_quantity FROM tracked_symbols"
    assert await rows(database, tracked_shares) == [("DEMO2", 150, 7)]
    held = "SELECT a.name, p.symbol, p.quantity FROM positions p JOIN broker_accounts a ON a.id = p.account_id WHERE p.closed_at IS NULL ORDER BY 2"
    assert await rows(database, held) == [("live", "DEMO2", 150), ("paper", "DEMO6", 40)]
    assert await scalar(database, "SELECT cash FROM broker_accounts WHERE name = 'paper'") == Decimal(49960)
    assert await scalar(
        database, "SELECT b.cash FROM paper_books b JOIN broker_accounts a ON a.id = b.account_id WHERE name = 'paper'"
    ) == Decimal(49960)


async def test_a_second_import_changes_nothing(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring_all(database, _everything(tmp_path))
    before = await dump(database)
    brought = await bring_all(database, tmp_path)
    assert await dump(database) == before
    assert [one.done.counts["imported"] for one in brought] == [0, 0, 0, 0]
    assert [one.done.counts["error"] for one in brought] == [1, 0, 0, 0]


async def test_a_second_import_changes_nothing_though_its_session_is_over(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    path = write(tmp_path, "pending_orders.json", [waiting(price=100.0)])
    await bring(database, path, "pending-orders")
    before = await dump(database)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE market_clock SET at = at + interval '1 day'"))
    brought = await bring(database, path, "pending-orders")
    assert dict(brought.done.counts) == {"skipped": 1}
    assert await dump(database) == before


async def test_a_dry_run_tells_the_same_and_leaves_every_table_as_it_was(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    before = await dump(database)
    lines: list[dict[str, Any]] = []

    def settled(_: Found, entry: Entry) -> None:
        lines.append(entry.to_json())

    dry = await bring_all(database, _everything(tmp_path), screen=Screen(settled=settled), dry_run=True)
    assert await dump(database) == before
    told_dry, lines = lines, []
    wet = await bring_all(database, tmp_path, screen=Screen(settled=settled))
    assert lines == told_dry
    for one, other in zip(dry, wet, strict=True):
        assert one.to_json() | {"batch": 0} == other.to_json() | {"batch": 0}
    assert (
        await scalar(database, "SELECT count(*) FROM import_batches WHERE dry_run") == 1
    )  # the account `live` went too


@pytest.mark.parametrize(("many", "counted"), [(4, 4), (5, -1)])
async def test_what_a_large_import_filled_is_counted_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int, counted: int
) -> None:
    monkeypatch.setattr(command, "MANY", many)
    await somebody(database)
    async with database.transaction(None) as session:
        await session.execute(text("TRUNCATE fills"))  # as of a table that nobody has counted yet
    await bring(database, write(tmp_path, "trades_history.json", [trade(), trade("B"), trade("C"), trade("D")]))
    assert await scalar(database, "SELECT reltuples::int FROM pg_class WHERE relname = 'fills'") == counted


async def test_a_dry_run_of_a_user_that_is_not_there_signs_nobody_up(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    brought = await bring(database, _history(tmp_path), user="new@example.org", create_user=True, dry_run=True)
    assert (brought.done.counts["imported"], brought.done.batch_id) == (3, 0)
    assert await scalar(database, "SELECT count(*) FROM users") == 1


async def test_a_user_that_is_signed_up_is_stopped_and_has_the_old_configuration(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    await bring_all(database, _everything(tmp_path), user="new@example.org", create_user=True)
    query = """SELECT s.service_running, c.user_capital, c.paper_trading_initial_capital FROM users u
               JOIN service_status s ON s.user_id = u.id JOIN user_trading_config c ON c.user_id = u.id
               WHERE u.email = 'new@example.org'"""
    assert await rows(database, query) == [(False, Decimal(50_000), Decimal(100_000))]


async def test_a_record_that_the_database_refuses_is_refused_alone(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    # No account has so much money.
    dear = sold("DEAR", qty=1_000_000_000, entry_price=100_000.0, exit_price=100_001.0)
    shares = [sold(f"D{number}") for number in range(9)]
    brought = await bring(database, write(tmp_path, "trades_history.json", [*shares[:5], dear, *shares[5:]]))
    assert await records(database, brought.done.batch_id) == [("[5]", "error", "refused")]
    assert dict(brought.done.counts) == {"imported": 9, "error": 1}
    assert await scalar(database, "SELECT count(*) FROM positions") == 9
    assert await scalar(database, "SELECT reason FROM import_records") == (
        "the database does not take it: numeric field overflow"
    )


@pytest.mark.parametrize("name", ["A\x00B", "late\ud83d"])
async def test_signs_that_no_text_column_takes_cost_no_neighbour(database: Database, tmp_path: Path, name: str) -> None:
    await somebody(database)
    odd = [
        trade(name, ticker=None),
        sold("DEMO2", exit_note=name),
        sold("DEMO3", exit_reason=name),
        sold("DEMO4", order_id=name),
    ]
    path = write(tmp_path, "trades_history.json", {"trades": [sold(), *odd], name: [{"symbol": name}]})
    brought = await bring(database, path)
    assert brought.done.counts["imported"] >= 1
    assert {"trades[1]"} <= {place for place, *_ in await records(database, brought.done.batch_id)}
    assert await scalar(database, "SELECT count(*) FROM positions WHERE symbol = 'DEMO1'") == 1


async def test_the_same_trade_twice_is_one_and_an_order_in_two_trades_is_told(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    other = sold("DEMO2", order_id="A1")
    brought = await bring(
        database, write(tmp_path, "trades_history.json", [sold(order_id="A1"), sold(order_id="A1"), other])
    )
    assert await records(database, brought.done.batch_id) == [
        ("[1]", "merged", "twice"),
        ("[2]", "error", "order_twice"),
    ]
    assert await scalar(database, "SELECT count(*) FROM positions") == 1


async def test_contradictions_are_told_and_the_first_telling_stays(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    brought = await bring(database, write(tmp_path, "trades_history.json", [sold(), sold(exit_price=300.0)]))
    assert await records(database, brought.done.batch_id) == [("[1]", "error", "contradiction")]
    assert await scalar(database, "SELECT exit_price FROM positions") == 260


async def test_an_imported_order_has_a_tag_and_a_venues_id_where_the_venue_knows_of_it_and_its_old_id_in_any_case(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    await bring(database, _history(tmp_path))
    known = await rows(
        database,
        "SELECT o.symbol, o.order_id, o.broker_order_id = 'P' || o.tag AS is_the_venues, p.id IS NOT NULL AS is_there "
        "FROM orders o LEFT JOIN paper_orders p ON p.account_id = o.account_id AND p.tag = o.tag "
        "WHERE o.status = 'filled' ORDER BY o.symbol, o.placed_at",
    )
    assert [tuple(one) for one in known] == [
        ("DEMO1", "A1", None, False), ("DEMO1", "A2", None, False),
        ("DEMO2", "240102000111222", True, True), ("DEMO2", None, True, True),
    ]  # fmt: skip


async def test_no_order_that_may_still_trade_is_without_a_tag(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, _history(tmp_path))
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE orders SET tag = NULL WHERE status = 'filled'"))
        with pytest.raises(IntegrityError, match="ck_orders_tag"):
            await session.execute(text("UPDATE orders SET tag = NULL, status = 'open' WHERE status = 'filled'"))


async def test_open_trades_of_one_share_are_one_position_across_chunks(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FIRST_CHUNK", 2)
    monkeypatch.setattr(reading, "CHUNK", 2)
    await somebody(database)
    trades = [
        trade(),
        sold("A1"),
        sold("A2"),
        sold("A3"),
        trade(entry_time="2024-01-08T09:15:11", entry_price=240.0, qty=50),
    ]
    brought = await bring(database, write(tmp_path, "trades_history.json", trades))
    assert dict(brought.done.counts) == {"imported": 4, "merged": 1}
    assert await rows(database, "SELECT quantity, reentry_count FROM positions WHERE closed_at IS NULL") == [(150, 1)]


async def test_a_trade_that_changed_since_is_refused_and_its_batch_is_named(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    first = await bring(database, write(tmp_path, "trades_history.json", [trade()]))
    before = await dump(database)
    second = await bring(database, write(tmp_path, "trades_history.json", [sold(), sold("DEMO2")]))
    assert await records(database, second.done.batch_id) == [("[0]", "error", "changed")]
    assert f"import rollback {first.done.batch_id}" in str(await scalar(database, "SELECT reason FROM import_records"))
    assert set(before["positions"]) <= set((await dump(database))["positions"])


async def test_a_share_that_the_account_holds_is_refused(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, write(tmp_path, "trades_history.json", [trade()]))
    again_later = trade(entry_time="2024-01-08T09:15:11")
    brought = await bring(database, write(tmp_path, "trades_history.json", [again_later, sold("DEMO2")]))
    assert await records(database, brought.done.batch_id) == [("[0]", "error", "held")]
    assert await rows(database, "SELECT quantity FROM positions WHERE closed_at IS NULL") == [(100,)]


async def test_a_second_order_to_buy_the_same_is_refused(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    orders = [
        waiting(price=100.0),
        waiting("DEMO1", price=101.0, order_id="2"),
        waiting("DEMO2", price=10.0, order_id="3"),
    ]
    brought = await bring(database, write(tmp_path, "pending_orders.json", orders), "pending-orders")
    assert dict(brought.done.counts) == {"imported": 2, "error": 1}
    third = write(tmp_path, "pending_orders.json", [waiting(price=102.0, order_id="4")])
    brought = await bring(database, third, "pending-orders")
    assert await records(database, brought.done.batch_id) == [("[0]", "error", "live")]


async def test_an_order_of_the_history_is_merged_with_it_whatever_its_word(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, write(tmp_path, "trades_history.json", [trade(order_id="A1")]))
    orders = [waiting(order_id="A1", status="EXECUTED"), waiting("DEMO2", order_id="A2", status="EXECUTED")]
    brought = await bring(database, write(tmp_path, "pending_orders.json", orders), "pending-orders")
    assert await records(database, brought.done.batch_id) == [("[0]", "merged", "told"), ("[1]", "error", "no_history")]
    assert await rows(database, "SELECT quantity FROM positions WHERE closed_at IS NULL") == [(100,)]


async def test_the_money_is_never_set_again(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    folder = write_paper(tmp_path, account={"available_cash": 49960.0}, orders=[paper_order()])
    await bring(database, folder, "paper-trading")
    assert await scalar(database, "SELECT cash FROM broker_accounts") == 49960
    write(folder, "account.json", {"available_cash": 1.0})
    brought = await bring(database, folder, "paper-trading")
    assert ("account.json", "skipped", "there") in await records(database, brought.done.batch_id)
    assert await scalar(database, "SELECT cash FROM broker_accounts") == 49960


async def test_an_account_that_has_traded_keeps_its_money(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, write(tmp_path, "trades_history.json", [trade()]))
    await sell_live(database, "DEMO1")
    cash = await scalar(database, "SELECT cash FROM broker_accounts")
    folder = write_paper(tmp_path / "paper", account={"available_cash": 1.0})
    brought = await _unsound(database, folder)
    assert await records(database, brought) == [("account.json", "error", "has_traded")]
    assert await scalar(database, "SELECT cash FROM broker_accounts") == cash


async def _unsound(database: Database, folder: Path) -> int:
    """Import where a test sold shares by hand, without the money that belongs to it."""
    from ops.importers.command import Request
    from ops.importers.command import run as bring_in

    [one] = await bring_in(database, Request("paper-trading", folder, "asha@example.org", "ravi"), Screen())
    return one.done.batch_id


async def test_ids_that_began_anew_are_two_orders_that_both_come_in(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    orders = [
        paper_order(), paper_order(order_id="S1", **_SALE), paper_order("DEMO2", "PT202401020001"),
        paper_order("DEMO2", "S1", **_SALE),
    ]  # fmt: skip
    brought = await bring(database, write_paper(tmp_path, orders=orders), "paper-trading")
    assert dict(brought.done.counts) == {"imported": 4}
    assert await scalar(database, "SELECT count(*) FROM positions WHERE closed_at IS NOT NULL") == 2
