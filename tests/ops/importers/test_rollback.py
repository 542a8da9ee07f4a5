"""Batches are verified as often as anybody likes, and taken back where nothing was built on them."""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from db.transaction import Database
from ops.importers.errors import BuiltUponError
from ops.importers.rollback import roll_back_batch
from tests.ops.importers.old_files import (
    again,
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
from tests.ops.importers.runs import bring, dump, measures, records, rows, sell_live, somebody, taken_back
from tests.people import scalar


def _history(folder: Path) -> Path:
    held = trade("HELD", qty=150, reentries=[again()], order_id="A1")
    return write(folder, "trades_history.json", {"trades": [sold(), held], "failed_orders": [failed()]})


# What this transaction read, of the tables of trades and their indexes.
_PAGES = text(
    """
    SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid)) FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE coalesce(i.indrelid, c.oid) IN ('orders'::regclass, 'fills'::regclass, 'positions'::regclass,
                                          'reentries'::regclass)
    """
)


async def _change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def _refusal(database: Database, batch_id: int) -> str:
    before = await dump(database)
    with pytest.raises(BuiltUponError) as refused:
        await taken_back(database, batch_id)
    assert await dump(database) == before
    return str(refused.value)


async def test_taking_everything_back_leaves_every_table_as_it_was(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    before = await dump(database)
    _history(tmp_path)
    write(tmp_path, "pending_orders.json", [waiting("WAITS", price=100.0)])
    write(tmp_path, "system_recommended_symbols.json", [tracked("HELD", current_tracked_qty=150)])
    write_paper(
        tmp_path / "paper", orders=[paper_order()], holdings={"DEMO1": holding()}, account={"available_cash": 5_000_000}
    )
    kinds = ("trades-history", "pending-orders", "recommended-symbols")
    batches = [(await bring(database, tmp_path, kind)).done.batch_id for kind in kinds]
    batches.append((await bring(database, tmp_path / "paper", "paper-trading")).done.batch_id)
    assert await scalar(database, "SELECT cash FROM broker_accounts") == 5_000_000
    assert await dump(database) != before
    for batch_id in reversed(batches):
        assert await taken_back(database, batch_id) > 0
    assert await dump(database) == before
    assert await rows(database, "SELECT DISTINCT state, rolled_back_by FROM import_batches") == [
        ("rolled_back", "ravi")
    ]


async def test_taking_back_reads_a_few_pages_a_row_of_tables_that_nobody_counted(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    async with database.transaction(None) as session:
        await session.execute(text("ANALYZE orders, fills, positions, reentries"))  # empty, as the planner will think
    many = [sold(f"S{number}", reentries=[again()], qty=150) for number in range(900)]
    batch_id = (await bring(database, write(tmp_path, "trades_history.json", many))).done.batch_id
    told: list[tuple[int, int]] = []
    async with database.transaction(None) as session:
        gone = await roll_back_batch(session, batch_id, "ravi", lambda *so_far: told.append(so_far))
        pages = (await session.execute(_PAGES)).scalar_one()
    assert gone == 2_700 + 2_700 + 900 + 900 + 6, "orders, fills, positions, rungs, and the money of two chunks"
    assert told[0] == (0, 3_600)
    assert told[-1] == (3_600, 3_600)
    # Were each position's orders looked for among all, or each fill's order, it would be ninety, and more with each row.
    assert pages / gone < 45


async def test_one_batch_goes_and_the_others_stay(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, _history(tmp_path))
    before = await dump(database)
    other = await bring(database, write(tmp_path / "other", "trades_history.json", [trade("OTHER"), sold("MORE")]))
    await taken_back(database, other.done.batch_id)
    assert await dump(database) == before


async def test_what_was_taken_back_comes_in_again(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    first = await bring(database, _history(tmp_path))
    await taken_back(database, first.done.batch_id)
    second = await bring(database, tmp_path)
    assert (second.done.counts, second.done.resumed) == (first.done.counts, False)


async def test_a_position_that_was_sold_is_not_taken_back(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    batch_id = (await bring(database, _history(tmp_path))).done.batch_id
    await sell_live(database, "HELD")
    position = await scalar(database, "SELECT id FROM positions WHERE symbol = 'HELD'")
    assert f"position {position} in HELD" in await _refusal(database, batch_id)


async def test_a_position_that_is_offered_is_not_taken_back(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    batch_id = (await bring(database, _history(tmp_path))).done.batch_id
    await sell_live(database, "HELD", done=False)
    assert "in HELD: order" in await _refusal(database, batch_id)


async def test_an_order_that_went_on_is_not_taken_back(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    path = write(tmp_path, "pending_orders.json", [waiting(price=100.0)])
    batch_id = (await bring(database, path, "pending-orders")).done.batch_id
    order_id = await scalar(database, "SELECT id FROM orders")
    await _change(
        database,
        "INSERT INTO order_events (user_id, order_id, event, from_status, to_status, at) "
        "SELECT user_id, id, 'release', 'parked', 'open', market_now() FROM orders",
    )
    assert f"order {order_id} of DEMO1: it went on after the import" in await _refusal(database, batch_id)


async def test_a_failed_order_that_was_tried_again_is_not_taken_back(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    batch_id = (await bring(database, _history(tmp_path))).done.batch_id
    await _change(
        database,
        "INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag, "
        "strategy, leg, rank, reference_price, as_of, session_day, config_version, retry_of) "
        "SELECT user_id, account_id, symbol, side, order_type, variety, quantity, 'planned', 'live', 'LIVE', strategy, leg, 0, "
        "reference_price, as_of, session_day, 1, id FROM orders WHERE status = 'failed'",
    )
    assert "tries it again" in await _refusal(database, batch_id)


async def test_money_that_was_spent_is_not_taken_back(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    batch_id = (
        await bring(database, write_paper(tmp_path, account={"available_cash": 5_000_000}), "paper-trading")
    ).done.batch_id
    await _change(database, "UPDATE broker_accounts SET cash = 100")
    said = await _refusal(database, batch_id)
    assert "the account has 100.00" in said
    assert "some of that was spent" in said


async def test_every_sum_agrees_after_an_import_and_after_its_position_was_sold(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    batch_id = (await bring(database, _history(tmp_path))).done.batch_id
    told = {name: one.source for name, one in (await measures(database, batch_id)).items()}
    assert told == {
        "orders": 5, "fills": 4, "bought": 250, "sold": 100, "bought_value": 62_000, "sold_value": 26_000, "charges": 0,
        "realized": 1000, "open_positions": 1, "open_shares": 150, "tracked": 0, "realized, by positions": Decimal(1000),
    }  # fmt: skip
    await sell_live(database, "HELD")
    assert all(one.agrees for one in (await measures(database, batch_id)).values())


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE fills SET price = price + 1 WHERE symbol = 'HELD' AND quantity = 50", "bought_value"),
        ("UPDATE fills SET quantity = quantity + 1 WHERE symbol = 'DEMO1' AND side = 'sell'", "sold"),
        ("DELETE FROM fills WHERE symbol = 'HELD' AND quantity = 50", "fills"),
        ("UPDATE positions SET realized_pnl = 999 WHERE symbol = 'DEMO1'", "realized, by positions"),
    ],
)
async def test_what_was_tampered_with_is_found(database: Database, tmp_path: Path, statement: str, name: str) -> None:
    await somebody(database)
    batch_id = (await bring(database, _history(tmp_path))).done.batch_id
    await _change(database, "DELETE FROM reentries")
    await _change(database, statement)
    assert not (await measures(database, batch_id))[name].agrees


async def test_tracked_shares_that_no_position_holds_are_told(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, _history(tmp_path))
    path = write(
        tmp_path, "system_recommended_symbols.json", [tracked("HELD"), tracked("GONE", tracking_status="completed")]
    )
    brought = await bring(database, path, "recommended-symbols")
    [other] = [one for one in brought.measures if not one.agrees]
    assert (other.name, other.source, other.database) == ("shares of HELD", 100, 150)
    assert not brought.is_whole


async def test_tracked_shares_agree_after_trading_went_on(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, _history(tmp_path))
    path = write(tmp_path, "system_recommended_symbols.json", [tracked("HELD", current_tracked_qty=150)])
    batch_id = (await bring(database, path, "recommended-symbols")).done.batch_id
    await sell_live(database, "HELD")
    assert all(one.agrees for one in (await measures(database, batch_id)).values())


async def test_a_batch_is_taken_back_once_and_a_dry_run_never(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    dry = (await bring(database, _history(tmp_path), dry_run=True)).done.batch_id
    wet = (await bring(database, tmp_path)).done.batch_id
    await taken_back(database, wet)
    for batch_id, said in ((dry, "a dry run"), (wet, "rolled back"), (99, "there is no batch 99")):
        with pytest.raises(LookupError, match=said):
            await taken_back(database, batch_id)
    assert await records(database, wet) == []
