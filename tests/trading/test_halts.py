"""Halts as values: what stops what, and what is said of it."""

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from trading.halts import NO_HALTS, Halt, Halts, Scope, Stops, order_of
from trading.risk import AccountState, Approved, DenyCode, Intent, Refused, review
from trading.values import Price, Side, Symbol

MINE = frozenset({"buy_orders"})
AAA, BBB = Symbol("AAA"), Symbol("BBB")


def halted(*stops: Stops, **scope: str) -> Halts:
    return Halts((Halt(7, Scope(**scope), frozenset(stops), "results tonight", "ravi"),))  # type: ignore[arg-type]  # texts only


@pytest.mark.parametrize(("stops", "asked"), list(itertools.product(Stops, Stops)))
def test_a_halt_stops_what_it_names_and_nothing_else(stops: Stops, asked: Stops) -> None:
    assert (halted(stops).stopping(asked, AAA) is not None) == (stops is asked)


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ({}, True),
        ({"task_name": "buy_orders"}, True),
        ({"task_name": "sell_monitor"}, False),
        ({"strategy": "dip"}, True),
        ({"strategy": "other"}, False),
        ({"symbol": "AAA"}, True),
        ({"symbol": "BBB"}, False),
        ({"task_name": "buy_orders", "strategy": "dip", "symbol": "AAA"}, True),
        ({"task_name": "buy_orders", "strategy": "dip", "symbol": "BBB"}, False),
    ],
)
def test_all_that_a_scope_asks_for_must_be_so(scope: dict[str, str], stopped: bool) -> None:
    found = halted(Stops.ENTRIES, **scope).of(MINE, "dip").stopping(Stops.ENTRIES, AAA)
    assert (found is not None) == stopped


def test_the_oldest_of_several_is_named() -> None:
    first, second = halted(Stops.ENTRIES).all[0], Halt(9, Scope(), frozenset({Stops.ENTRIES}), "another", "mira")
    assert Halts((first, second)).stopping(Stops.ENTRIES, AAA) == first
    assert NO_HALTS.stopping(Stops.ENTRIES, AAA) is None


def test_a_refusal_says_which_halt_what_it_stops_who_why_and_until_when() -> None:
    until = datetime(2024, 1, 2, 10, tzinfo=UTC)
    one = Halt(7, Scope(user_id=5, symbol="AAA"), frozenset({Stops.EXITS, Stops.ENTRIES}), "results", "ravi", until)
    assert one.facts() == {
        "halt": 7,
        "stops": ["entries", "exits"],
        "scope": "user 5, symbol AAA",
        "reason": "results",
        "by": "ravi",
        "until": "2024-01-02T10:00:00+00:00",
    }
    assert one.named == "entries, exits of user 5, symbol AAA; halt 7 by ravi: results"
    assert Halt(8, Scope(), frozenset({Stops.TASKS}), "x", "ravi").named == "tasks everywhere; halt 8 by ravi: x"


def test_a_buy_is_an_entry_and_a_sale_an_exit() -> None:
    assert (order_of(Side.BUY), order_of(Side.SELL)) == (Stops.ENTRIES, Stops.EXITS)


def intent(symbol: Symbol, rank: int, leg: str = "entry", side: Side = Side.BUY) -> Intent:
    return Intent(symbol, side, 10, "market", None, Price(100), rank, leg, "a test")


def state(halts: Halts, *held: Symbol) -> AccountState:
    return AccountState(
        cash_available=Decimal(1500),
        open_symbols=frozenset(held),
        live_buy_symbols=frozenset(),
        live_sell_symbols=frozenset(),
        max_open_positions=10,
        max_order_value=Decimal(1_000_000),
        halts=halts,
    )


def test_what_is_halted_is_refused_first_and_leaves_its_money_to_the_next() -> None:
    halts = halted(Stops.ENTRIES, symbol="AAA")
    first, second = review([intent(AAA, 1), intent(BBB, 2)], state(halts), date(2024, 1, 2))
    assert isinstance(first, Refused)
    assert (first.code, first.facts["halt"], first.facts["reason"]) == (DenyCode.KILL_SWITCH, 7, "results tonight")
    assert isinstance(second, Approved)


def test_a_re_entry_counts_as_an_entry_and_an_exit_does_not() -> None:
    halts = halted(Stops.ENTRIES)
    again, sale = intent(AAA, 1, "reentry-0-20"), intent(AAA, 2, "exit", Side.SELL)
    first, second = review([again, sale], state(halts, AAA), date(2024, 1, 2))
    assert isinstance(first, Refused)
    assert first.code is DenyCode.KILL_SWITCH
    assert isinstance(second, Approved)
