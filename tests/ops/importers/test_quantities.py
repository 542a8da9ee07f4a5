"""How many shares the first purchase had: told by each record's own numbers, for the old system changed its mind."""

from decimal import Decimal

import pytest

from ops.importers.quantities import Bought, Reading, first_purchase
from ops.importers.trade import Trade, read_trade
from tests.ops.importers.old_files import again, sold, trade


def _told(
    quantity: int,
    price: str,
    *later: tuple[int, str],
    capital: float | None = None,
    exit_price: str | None = None,
    pnl: float | None = None,
) -> tuple[Reading, int, Decimal]:
    bought = Bought(quantity, Decimal(price), [(shares, Decimal(paid)) for shares, paid in later])
    return first_purchase(
        bought, capital=capital, exit_price=None if exit_price is None else Decimal(exit_price), stated_pnl=pnl
    )


def test_a_single_purchase_is_as_it_stands() -> None:
    assert _told(399, "250.4", capital=5, exit_price="1", pnl=5) == (Reading.SINGLE, 399, Decimal("250.4"))


def test_a_quantity_that_the_later_purchases_fill_is_the_first_ones() -> None:
    assert _told(399, "250.4", (410, "243")) == (Reading.FIRST_TOO_SMALL, 399, Decimal("250.4"))
    assert _told(410, "250.4", (410, "243")) == (Reading.FIRST_TOO_SMALL, 410, Decimal("250.4"))


def test_a_profit_tells_that_the_quantity_is_the_first_ones() -> None:
    # 100 x (260 - 250) + 50 x (260 - 240)
    assert _told(100, "250", (50, "240"), exit_price="260", pnl=2000) == (Reading.FIRST_BY_PNL, 100, Decimal(250))


def test_a_profit_tells_that_the_quantity_is_that_of_all() -> None:
    # 50 x (260 - 250) + 50 x (260 - 240)
    assert _told(100, "250", (50, "240"), exit_price="260", pnl=1500) == (Reading.TOTAL_BY_PNL, 50, Decimal(250))


def test_a_profit_tells_that_quantity_and_price_are_those_of_all() -> None:
    # 100 x (260 - 250): the price is the average, so that the first 50 cost 260 each.
    assert _told(100, "250", (50, "240"), exit_price="260", pnl=1000) == (Reading.AVERAGE_BY_PNL, 50, Decimal(260))


def test_a_profit_that_was_rounded_or_charged_still_tells() -> None:
    assert _told(100, "250", (50, "240"), exit_price="260", pnl=1990.5)[0] is Reading.FIRST_BY_PNL


def test_a_loss_tells_as_well() -> None:
    # 100 x (230 - 250) + 50 x (230 - 240)
    assert _told(100, "250", (50, "240"), exit_price="230", pnl=-2500)[0] is Reading.FIRST_BY_PNL


def test_a_profit_that_fits_two_readings_tells_nothing() -> None:
    assert _told(100, "250", (50, "250"), exit_price="250", pnl=0)[0] is Reading.TOTAL_ASSUMED


def test_a_capital_tells_where_no_profit_does() -> None:
    assert _told(100, "250", (50, "240"), capital=25_000) == (Reading.FIRST_BY_CAPITAL, 100, Decimal(250))
    assert _told(100, "250", (50, "240"), capital=12_600) == (Reading.TOTAL_BY_CAPITAL, 50, Decimal(250))


@pytest.mark.parametrize("capital", [None, 0.0, 1e9, 1e-9, -5.0])
def test_the_quantity_is_that_of_all_where_nothing_tells(capital: float | None) -> None:
    assert _told(100, "250", (50, "240"), capital=capital) == (Reading.TOTAL_ASSUMED, 50, Decimal(250))


def _example() -> Trade:
    """Return the example of the domain notes, 7.1."""
    return read_trade(
        {
            "symbol": "DEMO1", "placed_symbol": "DEMO1-EQ", "ticker": "DEMO1.NS", "entry_price": 250.4,
            "entry_time": "2025-03-04T09:15:11.120000", "rsi10": 24.8, "ema9": 262.1, "ema200": 231.0, "capital": 100000,
            "qty": 399, "rsi_entry_level": 30, "levels_taken": {"30": True, "20": False, "10": False}, "reset_ready": False,
            "order_response": {"nOrdNo": "250304000111222", "stat": "Ok", "stCode": 200}, "status": "closed",
            "entry_type": "system_recommended",
            "reentries": [{"qty": 410, "level": 20, "rsi": 18.9, "price": 243.0, "time": "2025-03-06T16:05:40"}],
            "exit_price": 258.0, "exit_time": "2025-03-12T11:02:00", "exit_reason": "EMA9_TARGET",
            "sell_order_id": "250312000333444", "pnl": 7000.0, "pnl_pct": 3.4,
        }
    )  # fmt: skip


def test_the_example_of_the_notes_was_bought_twice_and_sold_once() -> None:
    one = _example()
    assert (one.quantity, one.price, one.total) == (399, Decimal("250.4"), 809)
    assert (one.legacy_id, one.exit and one.exit.legacy_id) == ("250304000111222", "250312000333444")
    assert one.read_as is Reading.FIRST_TOO_SMALL


def test_one_record_reads_alike_in_both_ways_to_count() -> None:
    first = read_trade(sold(qty=100, reentries=[again()], pnl=2000.0))
    total = read_trade(sold(qty=150, reentries=[again()], pnl=2000.0))
    assert (
        (first.quantity, first.total, first.cost)
        == (total.quantity, total.total, total.cost)
        == (100, 150, Decimal(37_000))
    )


def test_an_open_trade_is_read_by_its_capital() -> None:
    assert read_trade(trade(qty=150, reentries=[again()], capital=25_100)).quantity == 100
    assert read_trade(trade(qty=100, reentries=[again()], capital=25_100)).quantity == 100
