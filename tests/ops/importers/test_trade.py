"""Trades of both generations: read as what was bought and sold, or refused with the reason."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.importers.entry import Entry
from ops.importers.fields import RefusedRecordError
from ops.importers.trade import as_one, read_trade
from ops.importers.trade_rows import trade_rows
from ops.importers.trades_file import Trades
from tests.ops.importers.old_files import again, failed, ground, items, sold, told, trade
from trading.orders import OrderState
from trading.portfolio import Fill, Position, apply_fill
from trading.values import Side


def _entries(*records: object, section: str = "trades") -> list[Entry]:
    found = Trades(ground()).entries(items(*records, section=section))
    return [one for entry in found for one in (entry, *entry.others)]


def _refused(record: dict[str, Any]) -> RefusedRecordError:
    with pytest.raises(RefusedRecordError) as error:
        read_trade(record)
    return error.value


def test_both_generations_of_names_are_one_trade() -> None:
    old = {
        "ticker": "DEMO1.NS", "avg_price": "₹250.00", "timestamp": "2024-01-02T09:15:11", "quantity": "100", "status": "closed",
        "exit_price": "Rs 260.00", "exit_time": "2024-01-10T11:02:00",
    }  # fmt: skip
    assert read_trade(old).key == read_trade(sold()).key
    assert read_trade(old).cost == read_trade(sold()).cost == 25_000


@pytest.mark.parametrize("name", ["nOrdNo", "neoOrdNo", "orderId", "order_id"])
def test_the_brokers_id_is_found_in_every_answer(name: str) -> None:
    assert read_trade(trade(order_response={name: "240102000111222", "stat": "Ok"})).legacy_id == "240102000111222"


def test_the_id_stands_beside_an_answer_that_has_none() -> None:
    assert read_trade(trade(order_response={"stat": "Ok"}, order_id="A1")).legacy_id == "A1"
    assert read_trade(trade(order_response=None)).legacy_id is None


@pytest.mark.parametrize("symbol", ["DEMO1", "demo1", "DEMO1.NS", "DEMO1-EQ", "DEMO1-BE"])
def test_a_trade_is_the_same_by_any_form_of_its_symbol(symbol: str) -> None:
    assert read_trade(trade(symbol)).key == read_trade(trade()).key


def test_a_naive_time_is_indian() -> None:
    assert read_trade(trade()).at == datetime(2024, 1, 2, 3, 45, 11, tzinfo=UTC)
    assert read_trade(trade(entry_time="2024-01-02T03:45:11+00:00")).key == read_trade(trade()).key


@pytest.mark.parametrize("wrapped", [[again()], {"reentries": [again()]}])
def test_both_shapes_of_later_purchases_are_read(wrapped: object) -> None:
    [one] = read_trade(trade(qty=150, reentries=wrapped)).reentries
    assert (one.quantity, one.price, one.level) == (50, Decimal(240), 20)


def test_later_purchases_are_in_the_order_of_their_times() -> None:
    late, early = again(10, time="2024-01-08T09:15:00"), again(20)
    assert [one.level for one in read_trade(trade(qty=200, reentries=[late, early])).reentries] == [20, 10]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "half-open"}, "unmapped"),
        ({"exit_price": 260.0}, "contradiction"),
        ({"status": "closed"}, "missing"),
        ({"status": "closed", "exit_price": 260.0}, "missing"),
        ({"status": "closed", "exit_price": 260.0, "exit_time": "2023-12-31T10:00:00"}, "bad_order"),
        ({"reentries": [again(time="2023-12-31T10:00:00")]}, "bad_order"),
        ({"reentries": "none"}, "bad_reentry"),
        ({"reentries": [again(qty=0)]}, "bad_quantity"),
        ({"reentries": [5]}, "no_record"),
        ({"entry_price": 0}, "bad_price"),
        ({"entry_price": None}, "missing"),
        ({"entry_price": "free"}, "bad_number"),
        ({"qty": 1.5}, "bad_quantity"),
        ({"qty": True}, "bad_number"),
        ({"entry_time": "soon"}, "bad_time"),
        ({"symbol": "NIFTY 50"}, "bad_symbol"),
        ({"symbol": None, "ticker": None}, "missing"),
    ],
)  # fmt: skip
def test_what_is_no_trade_is_refused_with_its_kind(changes: dict[str, Any], kind: str) -> None:
    assert _refused(trade(**changes)).kind == kind


def test_a_trade_without_a_status_is_what_its_exit_says() -> None:
    assert read_trade(trade(status=None)).exit is None
    assert read_trade(sold(status=None)).exit is not None


def test_a_reason_of_any_length_costs_no_trade() -> None:
    one = read_trade(sold(exit_reason="sold at market, " * 20))
    assert one.exit is not None
    assert one.exit.reason is not None
    assert one.exit.reason.startswith("sold at market, sold")
    assert len(one.exit.reason) <= 64


def test_a_trade_is_an_order_and_a_fill_for_each_purchase_and_the_sale() -> None:
    rows = trade_rows(read_trade(sold(qty=150, reentries=[again()], pnl=2000.0)), "c")
    assert [(one.side, one.quantity, one.avg_price, one.status) for one in rows.orders] == [
        (Side.BUY, 100, Decimal(250), OrderState.FILLED), (Side.BUY, 50, Decimal(240), OrderState.FILLED), (Side.SELL, 150, Decimal(260), OrderState.FILLED),
    ]  # fmt: skip
    assert (rows.fills, [one[1] for one in rows.trades()]) == ([], [100, 50, 150])
    [position] = rows.positions
    assert (round(position.position.realized_pnl, 8), position.position.closed_at is not None) == (Decimal(2000), True)
    assert position.exit_order == rows.orders[-1].key
    assert len({one.key for one in rows.orders}) == 3


def test_an_open_trade_is_an_open_position_that_the_venue_can_sell() -> None:
    rows = trade_rows(read_trade(trade(qty=150, reentries=[again()])), "c")
    [position] = rows.positions
    assert (position.position.quantity, position.position.closed_at) == (150, None)
    assert position.position.average_price == Decimal(37_000) / 150
    assert all(one.at_venue for one in rows.orders)
    assert [(one.level, one.day, one.quantity) for one in rows.rungs] == [(20, date(2024, 1, 4), 50)]


def test_a_ladder_that_begins_anew_is_another_cycle() -> None:
    later = [
        again(20), again(10, time="2024-01-05T09:15:00"), again(20, time="2024-01-08T09:15:00"),
    ]  # fmt: skip
    rows = trade_rows(read_trade(trade(qty=1000, reentries=later)), "c")
    assert [(one.cycle, one.level) for one in rows.rungs] == [(0, 20), (0, 10), (1, 20)]
    assert rows.positions[0].cycle == 1


def test_what_the_ladder_would_refuse_takes_no_level_and_is_bought_all_the_same() -> None:
    same_day = again(10, time="2024-01-04T15:00:00")
    rows = trade_rows(
        read_trade(trade(qty=1000, reentries=[again(20), same_day, again(15, time="2024-01-09T09:15:00")])), "c"
    )
    assert [one.level for one in rows.rungs] == [20]
    assert len(list(rows.trades())) == 4


def test_a_purchase_by_hand_is_one() -> None:
    rows = trade_rows(read_trade(trade(entry_type="manual_buy_of_bot_recommendation")), "c")
    assert (rows.orders[0].entry_type, rows.orders[0].source) == ("manual", "manual")


def test_open_trades_of_one_share_are_one_position() -> None:
    second = trade(entry_time="2024-01-05T09:15:11", qty=30, entry_price=240.0)
    entries = _entries(second, trade("OTHER"), trade())
    assert told(entries) == [
        ("trades[0]", "merged", "same_position"), ("trades[1]", "imported", ""), ("trades[2]", "imported", ""),
    ]  # fmt: skip
    one = as_one([read_trade(second), read_trade(trade())])
    assert (one.quantity, one.total, one.cost) == (100, 130, Decimal(25_000 + 7200))


def test_the_same_trade_twice_is_one() -> None:
    assert told(_entries(sold(), sold("DEMO1.NS"))) == [("trades[0]", "imported", ""), ("trades[1]", "merged", "twice")]
    assert told(_entries(trade(), trade("demo1"))) == [("trades[0]", "imported", ""), ("trades[1]", "merged", "twice")]


def test_a_trade_that_stands_open_and_closed_is_closed_in_either_order() -> None:
    before = _entries(trade(), sold())
    after = _entries(sold(), trade())
    assert (
        sorted(one.outcome.value for one in before)
        == sorted(one.outcome.value for one in after)
        == ["imported", "merged"]
    )
    assert all(one.rows.positions[0].position.closed_at for one in (*before, *after) if one.rows)


def test_the_same_purchase_with_another_end_is_a_contradiction() -> None:
    [_, second] = _entries(sold(), sold(exit_price=999.0))
    assert (second.outcome.value, second.kind) == ("error", "contradiction")
    assert "trades[0]" in second.reason


def test_a_trade_that_is_still_to_come_is_refused() -> None:
    [entry] = _entries(trade(entry_time="2024-01-16T09:15:00"))
    assert entry.kind == "bad_time"


def test_a_profit_that_the_prices_do_not_give_is_noted() -> None:
    [entry] = _entries(sold(pnl=5000.0))
    assert entry.notes == ("it states a profit of 5000.00; its prices give 1000.00",)


def test_records_under_a_name_that_nobody_knows_are_told() -> None:
    [entry] = _entries(trade(), section="positions")
    assert (entry.outcome.value, entry.kind) == ("error", "no_section")


@pytest.mark.parametrize("section", ["trades", "failed_orders"])
def test_trades_that_are_no_list_are_told(section: str) -> None:
    [item] = items({"0": trade()}, section=section)
    [entry] = Trades(ground()).entries(iter([type(item)(section, None, 1, item.value)]))
    assert (entry.outcome.value, entry.kind) == ("error", "no_section")


def test_a_failed_order_stands_once_however_often_it_is_told() -> None:
    assert told(_entries(failed(), failed("DEMO2-EQ"), section="failed_orders")) == [
        ("failed_orders[0]", "imported", ""), ("failed_orders[1]", "merged", "twice"),
    ]  # fmt: skip


@pytest.mark.parametrize("record", [5, None, "DEMO1", [], {}, {"symbol": "DEMO1"}])
def test_what_is_no_record_is_refused_and_its_neighbours_are_not(record: object) -> None:
    entries = _entries(sold(), record, sold("OTHER"))
    assert [one.outcome.value for one in entries] == ["imported", "error", "imported"]


_SHARES = st.integers(1, 10_000)
_PRICES = st.integers(1, 10**8).map(lambda tenths: Decimal(tenths) / 10_000)


@given(deals=st.lists(st.tuples(_SHARES, _PRICES), min_size=1, max_size=6), sale=st.none() | _PRICES)
def test_a_position_is_what_its_fills_make_of_it(deals: list[tuple[int, Decimal]], sale: Decimal | None) -> None:
    (quantity, price), *later = deals
    told = [
        again(20, qty=shares, price=at, time=f"2024-01-0{day}T10:00:00") for day, (shares, at) in enumerate(later, 3)
    ]
    record = trade(qty=sum(shares for shares, _ in deals), first_qty=quantity, entry_price=price, reentries=told)
    if sale is not None:
        record |= {"status": "closed", "exit_price": sale, "exit_time": "2024-01-10T11:02:00"}
    rows = trade_rows(read_trade(record), "c")
    held: Position | None = None
    for order in rows.orders:
        assert order.avg_price is not None
        assert order.filled_at is not None
        fill = Fill(order.symbol, order.side, order.filled_quantity, order.avg_price, Decimal(0), order.filled_at)
        held = apply_fill(held, fill)
    made = rows.positions[0].position
    assert held is not None
    assert replace(made, average_price=held.average_price, realized_pnl=held.realized_pnl) == held
    # Added up once instead of with each fill, the last of 28 digits may be another.
    assert abs(made.average_price - held.average_price) < Decimal("1e-12")
    assert abs(made.realized_pnl - held.realized_pnl) < Decimal("1e-9")
