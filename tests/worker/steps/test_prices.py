"""Loading the day's bars, and knowing whether the day is whole."""

from datetime import date, timedelta

import pytest

from adapters.prices.base import BadRow, BarBatch
from tests.desk import DAY, EVE, NEXT, Desk
from tests.world import ListedPrices, bar
from trading.values import Symbol
from worker.outcome import Retry
from worker.steps import prices as step


async def evening(desk: Desk, symbols: int, of: int) -> ListedPrices:
    """Have `of` symbols stored for EVE and `symbols` of them at the source for DAY."""
    source = desk.world.prices
    assert isinstance(source, ListedPrices)
    source.rows.clear()
    names = [f"S{number:02d}" for number in range(of)]
    await desk.world.store_bars([bar(name, EVE, "10", "11", "9", "10") for name in names], EVE)
    source.add(bar(name, DAY, "10", "11", "9", "10") for name in names[:symbols])
    await desk.world.set_clock(desk.closes(DAY, 15))
    return source


async def test_a_day_is_loaded_and_whole(desk: Desk) -> None:
    await evening(desk, 20, 20)
    outcome = await desk.run("prices")
    assert outcome.status == "success"
    assert outcome.details == {
        "day": "2024-03-05", "bars": 20, "symbols": 20, "missing": 0, "bad_rows": 0, "bad_rows_named": [],
    }  # fmt: skip
    day = await desk.world.row(f"SELECT bars, whole, source FROM price_days WHERE day = '{DAY}'")
    assert day == (20, True, "listed")


@pytest.mark.parametrize(("came", "status"), [(18, "success"), (17, "skipped"), (0, "skipped")])
async def test_a_day_is_whole_from_nine_tenths_of_the_market_on(desk: Desk, came: int, status: str) -> None:
    await evening(desk, came, 20)
    outcome = await desk.run("prices")
    assert outcome.status == status
    if status == "skipped":
        assert outcome.reason == f"only {came} of 20 symbols have a bar for 2024-03-05 yet"
    assert await desk.world.row(f"SELECT whole FROM price_days WHERE day = '{DAY}'") == (status == "success",)


async def test_loading_again_changes_nothing_but_what_the_source_corrects(desk: Desk) -> None:
    source = await evening(desk, 20, 20)
    await desk.run("prices")
    before = await desk.world.rows("SELECT * FROM bars ORDER BY symbol, day")
    await desk.run("prices")
    assert await desk.world.rows("SELECT * FROM bars ORDER BY symbol, day") == before
    source.add([bar("S00", DAY, "10", "12", "9", "12")])
    await desk.run("prices")
    assert await desk.world.row(f"SELECT high FROM bars WHERE symbol = 'S00' AND day = '{DAY}'") == (12,)


async def test_days_that_were_missed_are_loaded_too(desk: Desk) -> None:
    source = await evening(desk, 20, 20)
    source.add(bar(f"S{number:02d}", NEXT, "10", "11", "9", "10") for number in range(20))
    await desk.world.set_clock(desk.closes(NEXT, 15))
    assert (await desk.run("prices")).details["bars"] == 40


async def test_the_first_load_of_all_takes_the_day_alone(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(DAY, 15))
    outcome = await desk.run("prices")
    assert (outcome.status, outcome.details["bars"]) == ("success", 2)


async def test_many_bars_go_in_several_statements(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "ROWS_A_STATEMENT", 3)
    await evening(desk, 20, 20)
    assert (await desk.run("prices")).details["symbols"] == 20


async def test_a_source_that_cannot_answer_is_asked_again(desk: Desk) -> None:
    (await evening(desk, 20, 20)).broken = True
    with pytest.raises(Retry, match="out of order"):
        await desk.run("prices")


async def test_a_session_that_is_still_open_is_not_loaded(desk: Desk) -> None:
    await evening(desk, 20, 20)
    await desk.world.set_clock(desk.closes(DAY) - timedelta(minutes=1))
    assert (await desk.run("prices")).status == "skipped"


async def test_a_feed_that_is_stuck_for_two_days_makes_neither_whole(desk: Desk) -> None:
    source = await evening(desk, 20, 20)
    for number in range(17, 20):
        del source.rows[Symbol(f"S{number:02d}"), DAY]
        source.add([bar(f"S{number:02d}", EVE, "10", "11", "9", "10")])
    assert (await desk.run("prices")).status == "skipped"
    source.add(bar(f"S{number:02d}", NEXT, "10", "11", "9", "10") for number in range(17))
    await desk.world.set_clock(desk.closes(NEXT, 15))
    outcome = await desk.run("prices")
    assert (outcome.status, outcome.reason) == ("skipped", "only 17 of 20 symbols have a bar for 2024-03-06 yet")
    assert await desk.world.rows("SELECT day FROM price_days WHERE whole") == [(EVE,)]


async def test_symbols_that_ended_long_ago_are_not_awaited(desk: Desk) -> None:
    source = await evening(desk, 20, 20)
    source.add(bar(f"OLD{number}", EVE - timedelta(days=90), "10", "11", "9", "10") for number in range(10))
    outcome = await desk.run("prices")
    assert (outcome.status, outcome.details["missing"]) == ("success", 10)


async def test_before_any_day_was_whole_every_symbol_of_the_source_is_awaited(desk: Desk) -> None:
    del desk.world.prices.rows[Symbol("BBB"), DAY]  # type: ignore[attr-defined] # the desk's prices are listed ones
    desk.world.prices.add([bar("BBB", EVE, "10", "11", "9", "10")])  # type: ignore[attr-defined] # the same
    await desk.world.set_clock(desk.closes(DAY, 15))
    assert (await desk.run("prices")).reason == "only 1 of 2 symbols have a bar for 2024-03-05 yet"


async def test_bars_that_come_late_have_the_books_read_again_that_waited_for_them(desk: Desk) -> None:
    source = await evening(desk, 0, 20)
    await desk.planned(status="parked")
    await desk.planned("BBB", status="parked", session_day=NEXT, intent_key="k", tag="T")
    for minutes in (15, 25):
        await desk.world.set_clock(desk.closes(DAY, minutes))
        assert (await desk.run("prices")).status == "skipped"
    assert await desk.follow_ups() == []
    source.add(bar(f"S{number:02d}", DAY, "10", "11", "9", "10") for number in range(20))
    await desk.world.set_clock(desk.closes(DAY, 35))
    assert (await desk.run("prices")).status == "success"
    assert await desk.follow_ups() == [("order_sync", "", desk.closes(DAY, 35))]


async def test_a_file_of_the_night_is_loaded_before_the_next_open_for_the_day_it_is_of(desk: Desk) -> None:
    source = await evening(desk, 0, 20)
    await desk.planned(status="parked")
    source.add(bar(f"S{number:02d}", DAY, "10", "11", "9", "10") for number in range(20))
    before_open = desk.opens(NEXT, -75)
    await desk.world.set_clock(before_open)
    outcome = await desk.run_as(await desk.world.running("prices", as_of=desk.closes(DAY), slot=before_open))
    assert (outcome.status, outcome.details["day"]) == ("success", str(DAY))
    assert await desk.follow_ups() == [("order_sync", "", before_open)]


async def test_bars_in_time_leave_the_books_to_their_schedule(desk: Desk) -> None:
    await evening(desk, 20, 20)
    await desk.planned(status="parked")
    await desk.run("prices")
    assert await desk.follow_ups() == []


async def test_a_day_that_is_not_whole_says_which_row_was_left_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    source = await evening(desk, 0, 20)

    async def half_written(_: date, __: date) -> BarBatch:
        return BarBatch([], [BadRow("2024-03-05.csv", 1, "its last line has no end")])

    monkeypatch.setattr(source, "bars", half_written)
    outcome = await desk.run("prices")
    said = "only 0 of 20 symbols have a bar for 2024-03-05 yet; left out: 2024-03-05.csv:1: its last line has no end"
    assert outcome.reason == said
