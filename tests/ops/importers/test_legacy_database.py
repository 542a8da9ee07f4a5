"""The predecessor's own database comes in by the rules of its files, whatever its age and wherever it lies."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from ops.importers.database_address import address_of
from ops.importers.database_reading import opened
from ops.importers.errors import BrokenFileError, NoSourceError, NoTargetError
from ops.importers.legacy_database import find_users
from tests.ops.cli_runs import Commands
from tests.ops.importers.old_databases import (
    ASHA,
    ERA_A,
    ERA_B,
    ERA_S,
    RAVI,
    Rows,
    bring,
    era_b_rows,
    order,
    position,
    refusals,
    rows,
    sqlite_database,
    statements,
)
from tests.ops.importers.old_files import ground
from tests.people import scalar

OLD = "muhurat_old"
_ORDERS = """
    SELECT symbol, side, leg, entry_type, status, quantity, filled_quantity, avg_price, price, order_id, failure_kind,
           retry_count, placed_at, filled_at, intent_key FROM orders ORDER BY placed_at, order_id
"""
_FILLS = "SELECT symbol, side, quantity, price, filled_at FROM fills ORDER BY filled_at, side, symbol"
_POSITIONS = """
    SELECT symbol, quantity, entry_quantity, round(avg_price, 4) AS avg_price, realized_pnl, opened_at, closed_at,
           exit_price, exit_reason, entry_rsi, initial_entry_price, reentry_count, cycle, reset_ready
    FROM positions ORDER BY opened_at, symbol
"""


@pytest.fixture
async def old_server(urls: ServerUrls) -> str:
    """The address of an empty second database on the server."""
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    async with engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text(f"DROP DATABASE IF EXISTS {OLD}"))
        await plain.execute(text(f"CREATE DATABASE {OLD}"))
    await engine.dispose()
    return urls.database.replace("/muhurat?", f"/{OLD}?")


async def fill_server(url: str, schema: Mapping[str, str], told: Rows) -> None:
    """Write a database as the predecessor's Postgres had it: native enums, naive timestamps, JSON, floats."""
    numbers = dict.fromkeys(
        ("id", "user_id", "sell_order_id", "retry_count", "reentry_count", "max_portfolio_size"), "INT"
    )
    floats = dict.fromkeys(
        ("quantity", "price", "avg_price", "execution_price", "execution_qty", "exit_price", "initial_entry_price",
         "entry_rsi", "exit_rsi", "realized_pnl", "unrealized_pnl", "rsi_oversold", "user_capital"),
        "DOUBLE PRECISION",
    )  # fmt: skip
    times = dict.fromkeys(
        ("placed_at", "filled_at", "closed_at", "opened_at", "first_failed_at", "execution_time"), "TIMESTAMP"
    )
    types = {**numbers, **floats, **times, "reentries": "JSON", "rsi_period": "INT"}
    engine = make_engine(ServerUrls(url, "").sqlalchemy, pool_size=1)
    async with engine.begin() as connection:
        for statement, values in statements(schema, told, types):
            literal = statement
            for number in range(len(values), 0, -1):
                value = values[number - 1]
                shown = "NULL" if value is None else str(value) if not isinstance(value, str) else f"'{value}'"
                literal = literal.replace(f":{number}", shown, 1)
            await connection.exec_driver_sql(literal)
        words = "'CANCELLED', 'ONGOING', 'closed', 'failed', 'pending'"
        await connection.exec_driver_sql(f"CREATE TYPE orderstatus AS ENUM ({words})")
        await connection.exec_driver_sql("ALTER TABLE orders ALTER status TYPE orderstatus USING status::orderstatus")
    await engine.dispose()


async def test_a_database_of_the_later_schema_comes_in_with_its_cycles_orders_and_configuration(
    database: Database, tmp_path: Path
) -> None:
    old = sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows())
    (done,) = await bring(database, old)
    assert (done.is_whole, done.source, done.user) == (True, "old.db (asha@example.org)", "asha@example.org")
    assert done.left == {"max_portfolio_size": "99: use a value from 1 to 20"}
    assert "through a broker" in done.note
    closed, held = await rows(database, _POSITIONS)
    assert (closed["symbol"], closed["entry_quantity"], closed["quantity"]) == ("DEMO1", 150, 0)
    # Two fills at 249.00 and 251.50 make 250; with fifty at 240 the cost is 37,000 of 39,000 that came back.
    assert closed["realized_pnl"] == Decimal("2000.00")
    assert (closed["exit_price"], closed["exit_reason"], closed["reentry_count"]) == (260, "EMA9_TARGET", 1)
    assert (held["symbol"], held["quantity"], held["avg_price"], held["entry_rsi"]) == (
        "DEMO2",
        40,
        Decimal("99.5"),
        22,
    )
    assert await scalar(database, "SELECT cash FROM broker_accounts") == 1_000_000
    assert await scalar(database, "SELECT rsi_period FROM user_trading_config") == 14


async def test_orders_that_no_trade_covers_come_in_as_what_they_were(database: Database, tmp_path: Path) -> None:
    await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows()))
    found = {row["order_id"]: row for row in await rows(database, _ORDERS)}
    assert {name: (row["symbol"], row["status"]) for name, row in found.items()} == {
        "N1": ("DEMO1", "filled"), "N2": ("DEMO1", "filled"), "N3": ("DEMO1", "filled"), "N4": ("DEMO2", "filled"),
        "N5": ("DEMO3", "cancelled"), None: ("DEMO4", "cancelled"), "N7": ("DEMO2", "expired"),
    }  # fmt: skip
    # It was a market order that nobody knows a price of: what is over needs none.
    assert (found[None]["failure_kind"], found[None]["retry_count"]) == ("insufficient_funds", 2)
    assert (found["N2"]["entry_type"], found["N7"]["leg"]) == ("reentry", "exit")
    rungs = await rows(database, "SELECT level, cycle, rsi, quantity FROM reentries")
    assert rungs == [{"level": 20, "cycle": 0, "rsi": 18.5, "quantity": 50}]


async def test_columns_beyond_ours_are_kept_with_the_record(database: Database, tmp_path: Path) -> None:
    await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows()))
    query = "SELECT old_record #>> '{orders,0,of_a_later_day}' FROM orders WHERE order_id = 'N1'"
    assert await scalar(database, query) == "kept"


async def test_a_postgres_database_gives_the_rows_that_sqlite_gives(
    database: Database, tmp_path: Path, old_server: str
) -> None:
    (first,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows()))
    told = [await rows(database, query) for query in (_ORDERS, _FILLS, _POSITIONS)]
    async with database.transaction(None) as session:
        await session.execute(text("TRUNCATE users, broker_accounts, orders, fills, positions, reentries CASCADE"))
    await fill_server(old_server, ERA_B, era_b_rows())
    (second,) = await bring(database, old_server)
    assert second.is_whole
    assert second.done.sums == first.done.sums
    assert [await rows(database, query) for query in (_ORDERS, _FILLS, _POSITIONS)] == told


async def test_the_first_schema_comes_in_by_its_orders_where_no_position_tells(
    database: Database, tmp_path: Path
) -> None:
    told = {
        "users": [ASHA],
        "orders": [
            order(1),
            order(2, side="sell", quantity=100.0, avg_price=260.0, placed_at="2024-01-08 09:15:00", filled_at=None,
                  closed_at="2024-01-08 10:00:00"),
            order(3, "DEMO2", status="ongoing", avg_price=None),
            order(4, "DEMO3.NS", avg_price=None, filled_at=None, status="amo", price=None),
            order(5, "DEMO4"),
        ],
        "fills": [{"id": 1, "order_id": 3, "qty": 100.0, "price": 55.25, "ts": "2024-01-03 09:15:11"}],
    }  # fmt: skip
    (done,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_A, told))
    closed, held = sorted(await rows(database, _POSITIONS), key=lambda row: str(row["symbol"]))
    assert (closed["symbol"], closed["realized_pnl"], closed["exit_price"]) == ("DEMO1", 1000, 260)
    assert (held["symbol"], held["quantity"], held["avg_price"]) == ("DEMO2", 100, Decimal("55.25"))
    # Executed alone tells neither a price of sale nor that it is held.
    assert await refusals(database) == {"orders[2]": ("merged", "same_trade"), "orders[5]": ("error", "no_history")}
    assert await scalar(database, "SELECT status FROM orders WHERE symbol = 'DEMO3'") == "expired"
    assert done.done.counts == {"imported": 3, "merged": 1, "error": 1}


async def test_a_position_of_the_first_schema_that_was_used_again_keeps_its_history_apart(
    database: Database, tmp_path: Path
) -> None:
    told = {
        "users": [ASHA],
        "positions": [position(1, quantity=30.0, avg_price=90.0, opened_at="2023-12-20 09:15:00")],
        "orders": [
            order(1, filled_at="2023-12-20 09:15:00", placed_at="2023-12-19 16:05:00", broker_order_id="N1"),
            order(2, side="sell", avg_price=255.0, placed_at="2024-01-03 09:15:00", filled_at="2024-01-03 10:00:00"),
            order(3, quantity=30.0, avg_price=90.0, placed_at="2024-01-08 09:00:00", filled_at="2024-01-08 09:15:00"),
        ],
    }
    (done,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_S, told))
    assert done.is_whole
    found = await rows(database, _POSITIONS)
    assert [(row["entry_quantity"], row["quantity"], row["realized_pnl"]) for row in found] == [
        (100, 0, 500),
        (30, 30, 0),
    ]


async def test_a_bare_list_of_later_purchases_and_no_orders_are_enough_for_an_open_position(
    database: Database, tmp_path: Path
) -> None:
    again = [{"qty": 50, "level": 20, "rsi": 18.0, "price": 240.0, "placed_at": "2024-01-05T09:15:20"}]
    told = {
        "users": [ASHA],
        "orders": [],
        "positions": [position(1, quantity=150.0, avg_price=246.6667, reentries=again, entry_rsi=25.0)],
    }
    await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, told))
    found = await rows(database, _FILLS)
    # The first purchase's price is what the average leaves for it, which was rounded to four digits.
    assert [(row["quantity"], round(row["price"], 2)) for row in found] == [(100, 250), (50, 240)]


async def test_a_closed_position_whose_size_is_lost_is_refused_alone(database: Database, tmp_path: Path) -> None:
    over: dict[str, Any] = {"quantity": 0.0, "closed_at": "2024-01-09 11:02:00", "exit_price": 260.0}
    told = {
        "users": [ASHA],
        "positions": [position(1, **over), position(2, "DEMO2", **over), position(3, "DEMO3", **over)],
        "orders": [order(1, "DEMO2"), order(2, "DEMO3", "sell", filled_at="2024-01-09 11:01:00")],
    }
    await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, told))
    assert (await refusals(database))["positions[1]"] == ("error", "size_lost")
    found = await rows(database, _POSITIONS)
    assert [(row["symbol"], row["entry_quantity"]) for row in found] == [("DEMO2", 100), ("DEMO3", 100)]


async def test_a_closed_position_sold_in_parts_is_told_as_one_sale_at_their_average(
    database: Database, tmp_path: Path
) -> None:
    part = {"side": "sell", "placed_at": "2024-01-08 09:15:00"}
    told = {
        "users": [ASHA],
        "positions": [position(1, quantity=0.0, closed_at="2024-01-09 11:02:00", exit_price=270.0)],
        "orders": [
            order(1),
            order(2, quantity=40.0, avg_price=255.0, filled_at="2024-01-08 10:00:00", **part),
            order(3, quantity=60.0, avg_price=270.0, filled_at="2024-01-09 11:00:00", **part),
        ],
    }
    await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, told))
    (closed,) = await rows(database, _POSITIONS)
    assert (closed["exit_price"], closed["realized_pnl"]) == (264, 1400)


async def test_two_open_rows_of_one_share_become_one_position(database: Database, tmp_path: Path) -> None:
    told = {
        "users": [ASHA],
        "positions": [position(1), position(2, "DEMO1", quantity=50.0, opened_at="2024-01-08 09:15:00")],
        "orders": [
            order(1, broker_order_id="N1"),
            order(2, quantity=50.0, placed_at="2024-01-08 09:01:00", filled_at="2024-01-08 09:15:00"),
        ],
    }
    (done,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, told))
    assert [row["quantity"] for row in await rows(database, _POSITIONS)] == [150]
    assert done.done.counts == {"imported": 1, "merged": 3}


async def test_values_that_cannot_be_read_refuse_their_position_or_order_alone(
    database: Database, tmp_path: Path
) -> None:
    told = {
        "users": [ASHA],
        "positions": [position(1, reentries="[{'qty': 5"), position(2, "DEMO2", opened_at="soon")],
        "orders": [
            order(1),
            order(2, "DEMO3", status="cancelled"),
            order(3, "DEMO4", status="cancelled", retry_count="often"),
        ],
    }
    (done,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, told))
    assert await refusals(database) == {
        "positions[1]": ("error", "bad_reentry"), "orders[1]": ("error", "bad_reentry"),
        "positions[2]": ("error", "bad_time"), "orders[3]": ("error", "bad_number"),
    }  # fmt: skip
    assert done.done.counts["imported"] == 1


async def test_a_database_that_changed_after_it_was_looked_at_is_not_brought_in(tmp_path: Path) -> None:
    told: Rows = {"users": [ASHA], "orders": [order(1, status="cancelled")]}
    old = sqlite_database(tmp_path / "old.db", ERA_A, told)
    (found,) = find_users(str(old), None, single=False)
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("UPDATE orders SET status = 'failed'")
    with pytest.raises(BrokenFileError, match="stop the old service"):
        list(found.open(ground(), lambda _: None).entries())


async def test_what_is_read_is_never_written(tmp_path: Path) -> None:
    old = sqlite_database(tmp_path / "old.db", ERA_A, {"users": [ASHA]})
    with opened(address_of(str(old))) as reading, pytest.raises(NoSourceError, match="readonly"):
        reading.run(lambda connection: connection.execute(text("DELETE FROM users")))


async def test_a_postgres_that_is_read_is_never_written(old_server: str) -> None:
    await fill_server(old_server, ERA_A, {"users": [ASHA]})

    def write() -> None:
        with opened(address_of(old_server)) as reading:
            reading.run(lambda connection: connection.execute(text("DELETE FROM users")))

    with pytest.raises(NoSourceError, match="read-only transaction"):
        await asyncio.to_thread(write)


async def test_the_command_brings_a_database_in_and_tells_who_traded_how(
    database: Database, urls: ServerUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    muhurat = Commands(urls, monkeypatch, capsys)
    old = sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows())
    words = ("import", "database", str(old), "--create-user", "--as", "tests", "--report", str(tmp_path / "report"))
    (told,) = (await muhurat.json(*words))["sources"]
    assert (told["kind"], told["state"], told["user"]) == ("database", "done", "asha@example.org")
    assert "through a broker" in told["note"]
    assert len((tmp_path / "report").read_text().splitlines()) == 9
    said = await muhurat("import", "database", "postgres://a:secret-word@127.0.0.1:9/old", "--as", "tests", code=2)
    assert "cannot be read" in said
    assert "secret-word" not in said


async def test_unknown_words_are_counted_and_their_orders_refused(database: Database, tmp_path: Path) -> None:
    told = {
        "users": [ASHA],
        "orders": [order(1, status="half_done"), order(2, "DEMO2", "lend"), order(3, "D?", status="cancelled")],
    }
    (done,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_A, told))
    assert set(done.done.unmapped) == {
        "status 'half_done' is a word that nobody mapped", "side 'lend' is a word that nobody mapped",
    }  # fmt: skip
    assert (await refusals(database))["orders[3]"] == ("error", "bad_symbol")


async def test_the_same_database_again_changes_nothing_and_has_the_same_fingerprint(
    database: Database, tmp_path: Path
) -> None:
    old = sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows())
    (first,) = await bring(database, old)
    before = [await rows(database, query) for query in (_ORDERS, _FILLS, _POSITIONS)]
    (second,) = await bring(database, f"sqlite:///{old}")
    assert second.brought_from.sha256 == first.brought_from.sha256
    assert (second.done.counts["imported"], second.done.counts["error"]) == (0, 0)
    assert [await rows(database, query) for query in (_ORDERS, _FILLS, _POSITIONS)] == before


async def test_a_dry_run_tells_the_same_and_leaves_nothing(database: Database, tmp_path: Path) -> None:
    old = sqlite_database(tmp_path / "old.db", ERA_B, era_b_rows())
    (dry,) = await bring(database, old, dry_run=True)
    assert [await rows(database, query) for query in (_ORDERS, _POSITIONS, "SELECT id FROM users")] == [[], [], []]
    (done,) = await bring(database, old)
    assert (dry.done.counts, dry.done.sums) == (done.done.counts, done.done.sums)


async def test_each_user_is_brought_in_as_the_user_of_the_same_email(database: Database, tmp_path: Path) -> None:
    told = {
        "users": [{"id": 1, "email": "system@tradeagent.local"}, ASHA, RAVI],
        "orders": [order(1, status="cancelled"), order(2, status="cancelled", user_id=3)],
    }
    old = sqlite_database(tmp_path / "old.db", ERA_A, told)
    with pytest.raises(NoTargetError, match=r"'asha@example.org', 'ravi@example.org': add --create-user"):
        await bring(database, old, create_user=False)
    assert [one.user for one in await bring(database, old)] == ["asha@example.org", "ravi@example.org"]
    running = "SELECT count(*) FROM service_status WHERE service_running"
    assert await scalar(database, running) == 0
    owners = "SELECT u.email, count(*) FROM orders o JOIN users u ON u.id = o.user_id GROUP BY 1 ORDER BY 1"
    assert [(row["email"], row["count"]) for row in await rows(database, owners)] == [
        ("asha@example.org", 1), ("ravi@example.org", 1),
    ]  # fmt: skip


async def test_one_user_asks_for_a_choice_where_several_traded(database: Database, tmp_path: Path) -> None:
    told = {
        "users": [ASHA, RAVI],
        "orders": [order(1, status="cancelled"), order(2, status="cancelled", user_id=3)],
    }
    old = sqlite_database(tmp_path / "old.db", ERA_A, told)
    with pytest.raises(NoSourceError, match=r"--source-user one of asha@example.org \(1 records\), ravi@example.org"):
        await bring(database, old, user="new@example.org")
    with pytest.raises(NoSourceError, match=r"has no user 'nobody@example\.org'"):
        await bring(database, old, source_user="nobody@example.org")
    (done,) = await bring(database, old, user="new@example.org", source_user="RAVI@example.org")
    assert (done.user, done.source) == ("new@example.org", "old.db (ravi@example.org)")
