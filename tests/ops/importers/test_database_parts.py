"""Positions of the predecessor's database that were sold in part and are still held."""

from pathlib import Path

from db.transaction import Database
from tests.ops.importers.old_databases import ASHA, ERA_B, bring, order, position, refusals, rows, sqlite_database

_POSITIONS = (
    "SELECT quantity, entry_quantity, round(avg_price, 4) AS avg_price, realized_pnl FROM positions ORDER BY id"
)


async def test_what_was_sold_of_an_open_position_is_a_trade_and_the_rest_is_held(
    database: Database, tmp_path: Path
) -> None:
    told = {
        "users": [ASHA],
        "positions": [position(1, quantity=60.0)],
        "orders": [
            order(1),
            order(2, side="sell", quantity=25.0, avg_price=270.0, filled_at="2024-01-08 10:00:00"),
            order(3, side="sell", quantity=15.0, avg_price=240.0, filled_at="2024-01-09 10:00:00"),
        ],
    }
    path = sqlite_database(tmp_path / "old.db", ERA_B, told)
    (done,) = await bring(database, path)
    assert await refusals(database) == {"orders[1]": ("merged", "same_trade")}
    found = [
        (row["quantity"], row["entry_quantity"], row["avg_price"], row["realized_pnl"])
        for row in await rows(database, _POSITIONS)
    ]
    assert sorted(found) == [(0, 15, 250, -150), (0, 25, 250, 500), (60, 60, 250, 0)]
    sums = done.done.sums
    assert (sums.bought, sums.sold, sums.open_shares, done.is_whole) == (100, 40, 60, True)
    (again,) = await bring(database, path)
    assert (again.done.counts["skipped"], again.done.counts["imported"]) == (4, 0)


async def test_a_sale_of_an_open_position_that_does_not_add_up_is_refused_and_what_is_left_is_held(
    database: Database, tmp_path: Path
) -> None:
    told = {
        "users": [ASHA],
        "positions": [position(1, quantity=60.0)],
        "orders": [order(1), order(2, side="sell", quantity=30.0, filled_at="2024-01-08 10:00:00")],
    }
    (done,) = await bring(database, sqlite_database(tmp_path / "old.db", ERA_B, told))
    assert await refusals(database) == {"orders[1]": ("merged", "same_trade"), "orders[2]": ("error", "sold_in_part")}
    (held,) = await rows(database, _POSITIONS)
    assert (held["quantity"], held["avg_price"], done.done.sums.open_shares) == (60, 250, 60)
