import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.charges import charges
from trading.config import DEFAULTS
from trading.order_form import Route, route_of
from trading.risk import GAP_BUFFER, AccountState, Approved, DenyCode, Intent, Refused, Venue, cash_needed, review
from trading.values import Side, Symbol

ON = date(2026, 8, 3)
INFY, TCS, ITC = Symbol("INFY"), Symbol("TCS"), Symbol("ITC")
NONE: frozenset[Symbol] = frozenset()
ACCOUNT = AccountState(Decimal(100_000), NONE, NONE, NONE, max_open_positions=3, max_order_value=Decimal(50_000))


def buy(symbol: Symbol = INFY, quantity: int = 10, price: str = "1000", rank: int = 1, leg: str = "entry") -> Intent:
    return Intent(symbol, Side.BUY, quantity, "market", None, Decimal(price), rank, leg, "dip", {"rsi": 21.5})


def sell(symbol: Symbol = INFY, quantity: int = 10, limit: str = "1010.00", rank: int = 1) -> Intent:
    return Intent(symbol, Side.SELL, quantity, "limit", Decimal(limit), Decimal(1000), rank, "exit", "target")


def only(intent: Intent, state: AccountState = ACCOUNT) -> Approved | Refused:
    (verdict,) = review([intent], state, ON)
    return verdict


def test_a_market_buy_reserves_for_a_gap_and_for_its_charges() -> None:
    worst = Decimal(1000) * GAP_BUFFER
    assert only(buy()) == Approved(buy(), 10 * worst + charges(Side.BUY, 10, worst, ON).total)


def test_a_limit_buy_reserves_its_limit_and_no_gap() -> None:
    intent = replace(buy(), order_type="limit", limit_price=Decimal("990.00"))
    cost = charges(Side.BUY, 10, Decimal("990.00"), ON).total
    assert only(intent) == Approved(intent, Decimal("9900.00") + cost)


@pytest.mark.parametrize(
    ("route", "field", "value"),
    [
        (Route(variety="amo"), "default_variety", "amo"),
        (Route(exchange="BSE"), "default_exchange", "BSE"),
        (Route(product="MIS"), "default_product", "MIS"),
        (Route(validity="GTC"), "default_validity", "GTC"),
    ],
)
def test_what_a_venue_cannot_do_is_refused_by_the_field_to_change(route: Route, field: str, value: str) -> None:
    venue = Venue("exchange floor", varieties=frozenset({"regular"} if field == "default_variety" else {"amo"}))
    verdict = only(replace(buy(), route=route), replace(ACCOUNT, venue=venue))
    assert isinstance(verdict, Refused)
    assert verdict.code is DenyCode.VENUE_UNSUPPORTED
    assert (verdict.facts["field"], verdict.facts["value"], verdict.facts["venue"]) == (field, value, "exchange floor")


def test_the_paper_venue_does_what_the_defaults_ask() -> None:
    assert isinstance(only(replace(buy(), route=route_of(DEFAULTS))), Approved)


def test_a_sale_reserves_nothing_and_passes_the_limits_of_buys() -> None:
    state = replace(
        ACCOUNT,
        cash_available=Decimal(0),
        open_symbols=frozenset({INFY}),
        max_order_value=Decimal(1),
        max_open_positions=0,
    )
    assert only(sell(), state) == Approved(sell(), Decimal(0))


held = replace(ACCOUNT, open_symbols=frozenset({INFY}))
REFUSALS = [
    (buy(quantity=0), ACCOUNT, DenyCode.INVALID_QUANTITY),
    (sell(quantity=-1), held, DenyCode.INVALID_QUANTITY),
    (sell(limit="1010.05"), held, DenyCode.TICK_SIZE),
    (sell(limit="0"), held, DenyCode.TICK_SIZE),
    (replace(sell(), limit_price=None), held, DenyCode.TICK_SIZE),
    (replace(buy(), limit_price=Decimal(1000)), ACCOUNT, DenyCode.TICK_SIZE),
    (buy(quantity=51), ACCOUNT, DenyCode.MAX_ORDER_VALUE),
    (buy(TCS), replace(held, max_open_positions=1), DenyCode.MAX_OPEN_POSITIONS),
    (buy(TCS), replace(ACCOUNT, live_buy_symbols=frozenset({INFY}), max_open_positions=1), DenyCode.MAX_OPEN_POSITIONS),
    (buy(), replace(ACCOUNT, cash_available=Decimal(10_500)), DenyCode.FUNDS),
    (buy(), held, DenyCode.DUPLICATE_INTENT),
    (buy(), replace(ACCOUNT, live_buy_symbols=frozenset({INFY})), DenyCode.PENDING_ORDER_EXISTS),
    (sell(), replace(held, live_sell_symbols=frozenset({INFY})), DenyCode.PENDING_ORDER_EXISTS),
    (sell(), ACCOUNT, DenyCode.HOLDING_MISSING),
]


@pytest.mark.parametrize(("intent", "state", "code"), REFUSALS)
def test_a_refusal_has_its_code_and_facts_that_json_can_hold(
    intent: Intent, state: AccountState, code: DenyCode
) -> None:
    verdict = only(intent, state)
    assert isinstance(verdict, Refused)
    assert verdict.code is code
    assert json.dumps(verdict.facts)
    assert verdict.facts


def test_a_re_entry_adds_to_what_is_held_without_a_new_place() -> None:
    assert isinstance(only(buy(leg="reentry-20"), replace(held, max_open_positions=1)), Approved)


def test_the_same_wish_twice_is_one_order() -> None:
    first, second = review([buy(rank=2), buy(rank=1)], ACCOUNT, ON)
    assert isinstance(first, Approved)
    assert first.intent.rank == 1
    assert isinstance(second, Refused)
    assert second.code is DenyCode.DUPLICATE_INTENT


def test_two_legs_of_one_symbol_do_not_run_at_once() -> None:
    _, second = review([buy(rank=1), buy(rank=2, leg="reentry-20")], ACCOUNT, ON)
    assert isinstance(second, Refused)
    assert second.code is DenyCode.PENDING_ORDER_EXISTS


def test_money_goes_to_the_better_rank_and_what_is_left_to_the_next_that_fits() -> None:
    wishes = [buy(ITC, 4, rank=3), buy(TCS, 10, rank=2), buy(INFY, 10, rank=1)]
    verdicts = review(wishes, replace(ACCOUNT, cash_available=Decimal(16_000)), ON)
    assert [(verdict.intent.symbol, type(verdict)) for verdict in verdicts] == [
        (INFY, Approved),
        (TCS, Refused),
        (ITC, Approved),
    ]


symbols = st.sampled_from([Symbol(name) for name in "ABCDEF"])
intents = st.builds(
    Intent,
    symbol=symbols,
    side=st.sampled_from(Side),
    quantity=st.integers(0, 60),
    order_type=st.just("market"),
    limit_price=st.none(),
    reference_price=st.decimals(1, 2000, places=2),
    rank=st.integers(1, 4),
    leg=st.sampled_from(["entry", "reentry-20", "exit"]),
    reason=st.just(""),
    facts=st.dictionaries(st.sampled_from("xy"), st.integers(0, 1)),
)
accounts = st.builds(
    AccountState,
    cash_available=st.decimals(0, 200_000, places=2),
    open_symbols=st.frozensets(symbols, max_size=3),
    live_buy_symbols=st.frozensets(symbols, max_size=2),
    live_sell_symbols=st.frozensets(symbols, max_size=2),
    max_open_positions=st.integers(0, 5),
    max_order_value=st.just(Decimal(50_000)),
)


@given(st.lists(intents, max_size=10), accounts)
def test_reserved_money_and_places_never_pass_their_limits(wishes: list[Intent], state: AccountState) -> None:
    approved = [verdict for verdict in review(wishes, state, ON) if isinstance(verdict, Approved)]
    assert sum((one.reserved for one in approved), Decimal(0)) <= state.cash_available
    assert all(one.reserved == cash_needed(one.intent, ON) for one in approved)
    before = state.open_symbols | state.live_buy_symbols
    after = before | {one.intent.symbol for one in approved if one.intent.side is Side.BUY}
    assert len(after) <= max(state.max_open_positions, len(before))


@given(st.lists(intents, max_size=10), accounts, st.randoms(use_true_random=False))
def test_the_order_of_the_list_is_nothing(wishes: list[Intent], state: AccountState, random: Random) -> None:
    shuffled = wishes[:]
    random.shuffle(shuffled)
    verdicts = review(wishes, state, ON)
    assert verdicts == review(shuffled, state, ON)
    assert len(verdicts) == len(wishes)
    assert [verdict.intent.rank for verdict in verdicts] == sorted(wish.rank for wish in wishes)
