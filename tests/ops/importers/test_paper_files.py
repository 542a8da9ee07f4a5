"""Paper trading told by several files at once: what they agree on is taken, what they contradict each other in is not."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ops.importers.entry import Entry
from ops.importers.errors import BrokenFileError
from ops.importers.paper_source import PaperSource
from tests.ops.importers.old_files import (
    NOW,
    deal,
    ground,
    holding,
    paper_entries,
    paper_order,
    told,
    write,
    write_paper,
)
from trading.orders import OrderState
from trading.values import Side

_SALE: dict[str, Any] = {
    "transaction_type": "SELL",
    "timestamp": "2024-01-09T11:00:01",
    "price": 1300.0,
    "exit_reason": "EMA9",
}
_SOLD: dict[str, Any] = {
    "transaction_type": "SELL", "placed_at": "2024-01-09T11:00:00", "executed_at": "2024-01-09T11:00:01", "executed_price": 1300.0,
}  # fmt: skip


def _entries(folder: Path, **files: object) -> list[Entry]:
    return paper_entries(write_paper(folder, **files), ground(NOW, DEMO1="1250"))


def _imported(entries: list[Entry]) -> list[Entry]:
    return [one for one in entries if one.rows is not None]


def _held(entries: list[Entry]) -> dict[str, tuple[int, bool]]:
    positions = [one.position for entry in entries if entry.rows for one in entry.rows.positions]
    return {one.symbol: (one.quantity, one.closed_at is None) for one in positions}


def test_all_files_together_are_orders_fills_positions_and_money(tmp_path: Path) -> None:
    entries = _entries(
        tmp_path,
        orders=[
            paper_order(), paper_order(order_id="S1", **_SOLD), paper_order("DEMO2", "B2"),
            paper_order("DEMO3", "C1", status="CANCELLED", executed_at=None, executed_price=None, executed_quantity=0),
        ],
        transactions=[deal(), deal(order_id="S1", **_SALE), deal("DEMO2", "B2")],
        holdings={"DEMO2": holding("DEMO2")},
        account={"initial_capital": 100000, "available_cash": "₹51,234.565", "realized_pnl": 1960.0},
        active_sell_orders={"DEMO2": {"order_id": "S2", "target_price": 1400, "qty": 40}},
    )  # fmt: skip
    assert told(entries) == [
        ("account.json", "imported", ""), ("active_sell_orders.json:DEMO2", "skipped", "placed_anew"),
        ("orders.json:[0]", "imported", ""), ("orders.json:[1]", "imported", ""), ("orders.json:[2]", "imported", ""),
        ("orders.json:[3]", "imported", ""),
    ]  # fmt: skip
    assert _held(entries) == {"DEMO1": (0, False), "DEMO2": (40, True)}
    [money] = [one.cash for one in entries if one.cash is not None]
    assert money == Decimal("51234.56")
    [closed] = [one.rows.positions[0] for one in entries if one.rows and one.symbol == "DEMO1"]
    assert (closed.exit_reason, closed.exit_price) == ("EMA9", Decimal(1300))
    assert closed.position.realized_pnl == 40 * 49 - 2 * Decimal("15.21")


def test_orders_without_transactions_say_themselves_what_they_got(tmp_path: Path) -> None:
    [entry] = _imported(_entries(tmp_path, orders=[paper_order()]))
    assert entry.rows is not None
    [fill] = entry.rows.fills
    assert (fill.fill.quantity, fill.fill.price, fill.fill.at) == (
        40,
        Decimal(1251),
        datetime(2024, 1, 2, 4, 35, 1, tzinfo=UTC),
    )


def test_transactions_without_orders_make_their_orders(tmp_path: Path) -> None:
    entries = _entries(tmp_path, transactions=[deal(), deal(order_id=None, **_SALE)])
    assert _held(entries) == {"DEMO1": (0, False)}
    assert all("no order tells of it" in one.notes for one in entries)


def test_transactions_without_an_id_belong_to_the_order_of_their_share_side_and_time(tmp_path: Path) -> None:
    parts = [deal(order_id=None, quantity=15), deal(order_id=None, quantity=25, timestamp="2024-01-02T10:05:09")]
    [entry] = _entries(tmp_path, orders=[paper_order()], transactions=parts)
    assert entry.rows is not None
    assert ([one.quantity for one in entry.rows.orders], [one.fill.quantity for one in entry.rows.fills]) == (
        [40],
        [15, 25],
    )


def test_both_generations_of_names_are_read(tmp_path: Path) -> None:
    old = {"order_id": "A", "symbol": "DEMO1.NS", "side": "b", "qty": "40", "timestamp": "2024-01-02T10:05:00", "status": "filled",
           "filled_quantity": 40, "avg_price": "₹1,251.00", "filled_at": "2024-01-02T10:05:01"}  # fmt: skip
    traded = {
        "order_id": "A",
        "symbol": "DEMO1-EQ",
        "side": "BUY",
        "qty": 40,
        "avg_price": "1,251",
        "executed_at": "2024-01-02T10:05:01",
    }
    held = {"DEMO1.NS": {"qty": 40, "avg_price": "₹1,251.00"}}
    assert _held(_entries(tmp_path, orders=[old], transactions=[traded], holdings=held)) == {"DEMO1": (40, True)}


def test_ids_that_began_anew_after_a_restart_name_two_orders(tmp_path: Path) -> None:
    later: dict[str, Any] = {
        "placed_at": "2024-01-02T14:00:00",
        "executed_at": "2024-01-02T14:00:01",
        "quantity": 10,
        "executed_quantity": 10,
    }
    entries = _entries(
        tmp_path,
        orders=[paper_order(), paper_order(**later), paper_order("DEMO2")],
        transactions=[deal(), deal(quantity=10, timestamp="2024-01-02T14:00:01"), deal("DEMO2")],
        holdings={"DEMO1": holding(quantity=50), "DEMO2": holding("DEMO2")},
    )
    assert [one.outcome.value for one in entries] == ["imported"] * 3
    assert _held(entries) == {"DEMO1": (50, True), "DEMO2": (40, True)}


def test_trades_of_an_id_are_the_filled_orders_not_the_cancelled_ones(tmp_path: Path) -> None:
    cancelled = paper_order(status="CANCELLED", placed_at="2024-01-02T09:30:00", executed_quantity=0, executed_at=None)
    entries = _entries(
        tmp_path, orders=[cancelled, paper_order()], transactions=[deal()], holdings={"DEMO1": holding()}
    )
    assert _held(entries) == {"DEMO1": (40, True)}
    states = {one.place: one.rows.orders[0].status for one in entries if one.rows}
    assert states == {"orders.json:[0]": OrderState.CANCELLED, "orders.json:[1]": OrderState.FILLED}


def test_an_order_that_was_cancelled_with_some_shares_has_them(tmp_path: Path) -> None:
    cancelled = paper_order(status="CANCELLED", executed_quantity=15)
    [entry] = _entries(
        tmp_path, orders=[cancelled], transactions=[deal(quantity=15)], holdings={"DEMO1": holding(quantity=15)}
    )
    assert entry.rows is not None
    [order] = entry.rows.orders
    assert (order.filled_quantity, order.quantity) == (15, 40)


def test_a_line_that_stands_twice_is_one(tmp_path: Path) -> None:
    entries = _entries(tmp_path, orders=[paper_order()], transactions=[deal(), deal()], holdings={"DEMO1": holding()})
    assert told(entries) == [("orders.json:[0]", "imported", ""), ("transactions.json:[1]", "merged", "twice")]
    entries = _entries(tmp_path / "loose", transactions=[deal(), deal()], holdings={"DEMO1": holding()})
    assert told(entries) == [("transactions.json:[0]", "imported", ""), ("transactions.json:[1]", "merged", "twice")]


def test_parts_of_an_order_at_one_moment_are_two_where_no_order_tells_of_them(tmp_path: Path) -> None:
    entries = _entries(tmp_path, transactions=[deal(quantity=15), deal(quantity=25)], holdings={"DEMO1": holding()})
    assert _held(entries) == {"DEMO1": (40, True)}


def test_an_order_that_stands_twice_is_one(tmp_path: Path) -> None:
    assert told(_entries(tmp_path, orders=[paper_order(), paper_order("demo1.ns")])) == [
        ("orders.json:[0]", "imported", ""), ("orders.json:[1]", "merged", "twice"),
    ]  # fmt: skip


def test_what_is_held_though_nothing_tells_of_its_purchase_is_an_opening_balance(tmp_path: Path) -> None:
    [entry] = _entries(tmp_path, holdings={"DEMO1": holding(last_updated="2024-01-03T15:30:00")})
    assert entry.notes == ("no file tells when it was bought",)
    assert entry.rows is not None
    assert (entry.rows.fills[0].fill.price, entry.rows.fills[0].fill.at.date()) == (Decimal(1251), date(2024, 1, 3))


@pytest.mark.parametrize("held", [{"DEMO1": holding(quantity=41)}, {}, {"DEMO1": holding(quantity=0)}])
def test_holdings_that_contradict_the_trades_stop_that_position_alone(tmp_path: Path, held: dict[str, Any]) -> None:
    entries = _entries(
        tmp_path, orders=[paper_order(), paper_order("DEMO2", "B2")], holdings={**held, "DEMO2": holding("DEMO2")}
    )
    assert told(entries) == [("orders.json:[0]", "error", "holdings_differ"), ("orders.json:[1]", "imported", "")]


def test_trades_count_alone_where_there_is_no_file_of_holdings(tmp_path: Path) -> None:
    assert _held(_entries(tmp_path, orders=[paper_order()])) == {"DEMO1": (40, True)}


def test_an_average_that_the_trades_do_not_give_is_noted(tmp_path: Path) -> None:
    [entry] = _entries(tmp_path, orders=[paper_order()], holdings={"DEMO1": holding(average_price=1000)})
    assert entry.notes == ("holdings.json says an average of 1000.00; its trades give 1251.00",)


def test_a_share_that_is_held_twice_is_told(tmp_path: Path) -> None:
    entries = _entries(tmp_path, holdings={"DEMO1": holding(), "DEMO1-EQ": holding("DEMO1-EQ", quantity=5)})
    assert told(entries) == [("holdings.json:DEMO1", "imported", ""), ("holdings.json:DEMO1-EQ", "error", "twice")]


def test_a_sale_beyond_what_is_held_is_refused_and_the_rest_is_not(tmp_path: Path) -> None:
    two = [deal(order_id="S1", **_SALE | {"quantity": 30}), deal(order_id="S1", **_SALE | {"quantity": 30})]
    entries = _entries(
        tmp_path,
        orders=[paper_order(), paper_order(order_id="S1", **_SOLD, quantity=60, executed_quantity=60), paper_order("DEMO2", "B2")],
        transactions=[deal(), *two, deal("DEMO2", "B2")],
        holdings={"DEMO1": holding(), "DEMO2": holding("DEMO2")},
    )  # fmt: skip
    assert told(entries) == [
        ("orders.json:[0]", "imported", ""), ("orders.json:[1]", "error", "oversold"), ("orders.json:[2]", "imported", ""),
    ]  # fmt: skip
    assert _held(entries) == {"DEMO1": (40, True), "DEMO2": (40, True)}


def test_a_later_purchase_is_a_re_entry_and_part_of_the_position(tmp_path: Path) -> None:
    second = {"placed_at": "2024-01-04T10:00:00", "executed_at": "2024-01-04T10:00:01"}
    entries = _entries(
        tmp_path, orders=[paper_order(), paper_order(order_id="B2", **second)], holdings={"DEMO1": holding(quantity=80)}
    )
    [first] = _imported(entries)
    assert first.rows is not None
    assert [(one.side, one.entry_type) for one in first.rows.orders] == [(Side.BUY, "initial"), (Side.BUY, "reentry")]
    assert [one.place for one in first.others] == ["orders.json:[1]"]


def test_a_share_that_was_sold_and_bought_again_is_two_positions(tmp_path: Path) -> None:
    back = {"placed_at": "2024-01-11T10:00:00", "executed_at": "2024-01-11T10:00:01"}
    entries = _entries(
        tmp_path, orders=[paper_order(), paper_order(order_id="S1", **_SOLD), paper_order(order_id="B2", **back)]
    )
    positions = [one for entry in _imported(entries) if entry.rows for one in entry.rows.positions]
    assert [one.position.quantity for one in positions] == [0, 40]


def test_an_order_that_waits_is_for_the_session_after_its_evening(tmp_path: Path) -> None:
    evening = paper_order(
        variety="AMO", status="OPEN", placed_at="2024-01-15T16:05:00", executed_at=None, executed_quantity=None
    )
    [entry] = _entries(tmp_path, orders=[evening])
    assert entry.rows is not None
    [order] = entry.rows.orders
    assert (order.status, order.session_day) == (OrderState.PARKED, date(2024, 1, 16))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "QUEUED"}, "unmapped"),
        ({"transaction_type": "SHORT"}, "unmapped"),
        ({"executed_price": "n/a"}, "bad_number"),
        ({"executed_quantity": 41}, "overfilled"),
        ({"status": "PARTIALLY_FILLED", "executed_quantity": None}, "missing"),
        ({"quantity": None}, "missing"),
        ({"placed_at": "never"}, "bad_time"),
    ],
)
def test_what_is_no_order_is_refused_and_its_neighbours_are_not(
    tmp_path: Path, changes: dict[str, Any], kind: str
) -> None:
    entries = _entries(tmp_path, orders=[paper_order(**changes), paper_order("DEMO2", "B2")])
    assert told(entries) == [("orders.json:[0]", "error", kind), ("orders.json:[1]", "imported", "")]


def test_an_order_and_its_transactions_that_tell_of_other_numbers_contradict_each_other(tmp_path: Path) -> None:
    [entry] = _entries(tmp_path, orders=[paper_order()], transactions=[deal(quantity=20)])
    assert (entry.kind, "got 40 shares" in entry.reason) == ("contradiction", True)


def test_a_long_remark_costs_no_order(tmp_path: Path) -> None:
    entries = _entries(
        tmp_path, orders=[paper_order(remarks="slow " * 300)], transactions=[deal(exit_reason="late " * 40)]
    )
    assert [one.outcome.value for one in entries] == ["imported"]


@pytest.mark.parametrize(
    "account",
    [{"initial_capital": 5}, {"available_cash": -0.01}, {"available_cash": "lots"}, {"available_cash": 10**14}, [5]],
)
def test_money_that_cannot_be_is_refused(tmp_path: Path, account: object) -> None:
    [entry] = _entries(tmp_path, account=account)
    assert (entry.outcome.value, entry.cash) == ("error", None)


def test_empty_files_have_no_records(tmp_path: Path) -> None:
    assert _entries(tmp_path, orders=[], transactions=[], holdings={}, account={}, active_sell_orders={}) == []
    (tmp_path / "orders.json").write_text("")
    assert paper_entries(tmp_path, ground()) == []


def test_a_file_that_breaks_off_is_told_after_all_that_could_be_read(tmp_path: Path) -> None:
    folder = write_paper(
        tmp_path, orders=[paper_order(), paper_order("DEMO2", "B2")], account={"available_cash": 100000}
    )
    write(folder, "holdings.json", {"DEMO1": holding()})
    for name, length in (("holdings.json", 40), ("account.json", 24)):
        path = folder / name
        path.write_bytes(path.read_bytes()[:length])
    found: list[Entry] = []
    entries = PaperSource(folder, ground(), lambda _: None).entries()
    with pytest.raises(BrokenFileError, match=r"holdings\.json"):
        found.extend(entries)
    # Half a number is none, and a share that may have stood behind the break may be held.
    assert told(found) == [
        ("account.json", "error", "broken"),
        ("orders.json:[0]", "imported", ""),
        ("orders.json:[1]", "imported", ""),
    ]
