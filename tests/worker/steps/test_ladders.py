"""Re-entries of held shares: a rung and its order in one transaction, each level once, and the ladder kept by the day."""

from datetime import date

import pytest
from sqlalchemy.exc import IntegrityError

from db.reentries import ReentryRepository, Rung
from tests.desk import DAY, NEXT, Desk
from tests.evenings import candidate, evening


async def holding(desk: Desk, entry_rsi: str = "25") -> int:
    """Hold AAA since DAY's open. Returns the position's id."""
    await desk.held("AAA")
    await desk.world.change(f"UPDATE positions SET entry_rsi = {entry_rsi}")
    (position,) = await desk.world.row("SELECT id FROM positions")
    assert isinstance(position, int)
    return position


async def dip(desk: Desk, rsi: float, day: date = DAY) -> dict[str, object]:
    """Let the day's analysis show AAA at an RSI, and decide. Returns the refusals."""
    await evening(desk, [candidate("AAA", rsi)], day)
    outcome = await desk.run("buy_orders")
    refused = outcome.details["refused"]
    assert isinstance(refused, dict)
    return refused


async def test_a_held_share_at_its_next_level_is_bought_again_with_its_rung(desk: Desk) -> None:
    position = await holding(desk)
    assert await dip(desk, 18.0) == {"already_held": 1}
    columns = "id, leg, status, entry_type, position_id, session_day, intent_key, quantity"
    order = await desk.world.row(f"SELECT {columns} FROM orders WHERE leg <> 'entry'")
    key = "dip:2024-03-05:AAA:buy:reentry-0-20"
    assert order[1:] == ("reentry-0-20", "planned", "reentry", position, NEXT, key, 2000)
    rung = "SELECT position_id, order_id, cycle, level, rsi, day, quantity FROM reentries"
    assert await desk.world.row(rung) == (position, order[0], 0, 20, 18.0, NEXT, None)
    assert [row[1] for row in await desk.follow_ups() if row[0] == "submit"] == [f"{order[0]}:1"]
    journal = "SELECT leg, verdict, code, facts ->> 'level' FROM decisions WHERE leg <> 'entry'"
    assert await desk.world.row(journal) == ("reentry-0-20", "approved", None, "20")


async def test_a_re_entry_takes_no_place_but_the_other_limits_hold(desk: Desk) -> None:
    await holding(desk)
    await desk.world.change("UPDATE user_trading_config SET max_portfolio_size = 1")
    await dip(desk, 18.0)
    assert await desk.world.row("SELECT count(*) FROM orders WHERE leg <> 'entry'") == (1,)


async def test_a_re_entry_without_money_waits_failed_and_takes_no_rung(desk: Desk) -> None:
    position = await holding(desk)
    await desk.world.change("UPDATE broker_accounts SET cash = 1000")
    assert await dip(desk, 18.0) == {"FUNDS": 1, "already_held": 1}
    failed = "SELECT status, failure_kind, entry_type, position_id FROM orders WHERE leg <> 'entry'"
    assert await desk.world.row(failed) == ("failed", "insufficient_funds", "reentry", position)
    assert await desk.world.rows("SELECT 1 FROM reentries") == []


@pytest.mark.parametrize(
    ("entry_rsi", "rsi", "code"), [("25", 22.0, "level_taken"), ("NULL", 8.0, "entry_rsi_missing"), ("25", 35.0, None)]
)
async def test_no_re_entry_without_a_level_for_it(desk: Desk, entry_rsi: str, rsi: float, code: str | None) -> None:
    await holding(desk, entry_rsi)
    refused = await dip(desk, rsi)
    assert {name for name in refused if name not in ("already_held", "not_oversold")} == ({code} if code else set())
    assert await desk.world.rows("SELECT 1 FROM reentries") == []


async def test_a_recovery_frees_the_ladder_for_the_next_dip(desk: Desk) -> None:
    await holding(desk)
    await dip(desk, 40.0)
    ladder = "SELECT cycle, reset_ready, last_rsi, last_rsi_day FROM positions"
    assert await desk.world.row(ladder) == (0, True, 40.0, DAY)
    await dip(desk, 28.0, NEXT)
    assert await desk.world.row(ladder) == (1, False, 28.0, NEXT)
    assert await desk.world.row("SELECT cycle, level FROM reentries") == (1, 30)


async def test_deciding_twice_on_a_day_buys_one_level_once(desk: Desk) -> None:
    await holding(desk)
    await dip(desk, 18.0)
    again = await desk.run("buy_orders")
    assert again.details["approved"] == 0
    assert await desk.world.row("SELECT count(*) FROM reentries") == (1,)


async def test_a_level_whose_order_bought_nothing_may_be_bought_yet(desk: Desk) -> None:
    await holding(desk)
    await dip(desk, 18.0)
    await desk.world.change("UPDATE orders SET status = 'expired' WHERE leg <> 'entry'")
    await dip(desk, 17.0, NEXT)
    assert await desk.world.rows("SELECT level, rsi FROM reentries") == [(20, 17.0)]


async def test_a_bought_level_is_never_bought_again_in_its_cycle(desk: Desk) -> None:
    await holding(desk)
    await dip(desk, 18.0)
    await desk.world.change("UPDATE orders SET status = 'filled', filled_quantity = quantity WHERE leg <> 'entry'")
    assert "level_taken" in await dip(desk, 17.0, NEXT)
    assert await desk.world.rows("SELECT level, rsi FROM reentries") == [(20, 18.0)]


@pytest.mark.parametrize("changes", [{"level": 10}, {"day": NEXT}])
async def test_the_table_itself_refuses_a_level_twice_and_two_on_a_day(desk: Desk, changes: dict[str, object]) -> None:
    position = await holding(desk)
    first, second = await desk.planned("BBB"), await desk.planned("CCC")
    rung = Rung(position, first, "AAA", 0, 20, 18.0, DAY)
    other = Rung(position, second, "AAA", 0, int(str(changes.get("level", 20))), 18.0, changes.get("day", DAY))  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        async with desk.world.database.transaction(desk.who.user_id) as session:
            await ReentryRepository(session, desk.who.user_id, desk.who.account_id).take([rung, other])


async def test_a_share_the_snapshot_left_out_is_left_as_it_was(desk: Desk) -> None:
    await holding(desk)
    await evening(desk, [candidate("BBB", 45)], DAY)
    await desk.run("buy_orders")
    assert await desk.world.row("SELECT last_rsi, last_rsi_day FROM positions") == (None, None)
