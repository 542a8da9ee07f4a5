"""The paper venue's own rules: what fills, when and at what price, and that nobody's order of asking matters."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.brokers.base import Accepted, BookOrder, Change, Complete, Placement, PlaceOutcome, Refused
from adapters.brokers.paper import PaperBroker
from db.users import SignedUp
from ops.local import Servers
from tests.world import ListedPrices, World, bar, open_world
from trading.charges import charges
from trading.orders import OrderState
from trading.values import Side, Symbol

DAY, NEXT = date(2024, 3, 5), date(2024, 3, 6)
A, B, C = Symbol("AAA"), Symbol("BBB"), Symbol("CCC")
S = OrderState


@dataclass
class Paper:
    """The venue with one account; moments are named by day and minutes from the open."""

    world: World
    prices: ListedPrices
    who: SignedUp
    broker: PaperBroker = field(init=False)

    def __post_init__(self) -> None:
        self.broker = PaperBroker(self.world.database, self.prices, self.world.resources.calendar)

    def at(self, day: date, minutes: float = 0) -> datetime:
        session = self.world.resources.calendar.session(day)
        assert session is not None
        return session.opens + timedelta(minutes=minutes)

    def close(self, day: date, minutes: float = 0) -> datetime:
        session = self.world.resources.calendar.session(day)
        assert session is not None
        return session.closes + timedelta(minutes=minutes)

    async def buy(self, symbol: Symbol, quantity: int, day: date = DAY, at: datetime | None = None) -> PlaceOutcome:
        placement = Placement(f"BUY{symbol}", symbol, Side.BUY, quantity, None, "amo", day)
        return await self.broker.place(self.who.user_id, self.who.account_id, placement, at or self.at(day, -600))

    async def sell(
        self, symbol: Symbol, quantity: int, limit: str | None, at: datetime, tag: str = "SELL"
    ) -> PlaceOutcome:
        day = self.world.resources.calendar.exchange_day(at)
        price = None if limit is None else Decimal(limit)
        placement = Placement(f"{tag}{symbol}", symbol, Side.SELL, quantity, price, "regular", day)
        return await self.broker.place(self.who.user_id, self.who.account_id, placement, at)

    async def market(self, tag: str, at: datetime) -> PlaceOutcome:
        return await self.broker.change(self.who.user_id, self.who.account_id, tag, Change(None), at)

    async def book(self, at: datetime) -> dict[str, BookOrder]:
        book = await self.broker.book(self.who.user_id, self.who.account_id, DAY, at)
        assert isinstance(book, Complete)
        return {order.tag: order for order in book.orders}

    async def cash(self) -> Decimal:
        (cash,) = await self.world.row("SELECT cash FROM paper_books")
        assert isinstance(cash, Decimal)
        return cash


@pytest.fixture
async def paper(servers: Servers) -> AsyncIterator[Paper]:
    prices = ListedPrices(
        [
            bar("AAA", DAY, "100", "111", "99", "110"),
            bar("AAA", NEXT, "112", "119", "108", "115"),
            bar("BBB", DAY, "200", "210", "190", "205"),
            bar("BBB", NEXT, "206", "208", "201", "202"),
        ]
    )
    async with open_world(servers, prices) as world:
        yield Paper(world, prices, await world.sign_up("asha"))


async def test_an_after_market_buy_waits_for_its_open_and_fills_there(paper: Paper) -> None:
    assert await paper.buy(A, 10) == Accepted("PBUYAAA")
    parked = (await paper.book(paper.at(DAY, -1)))["BUYAAA"]
    assert (parked.state, parked.word, parked.fills) == (S.PARKED, "parked", [])
    filled = (await paper.book(paper.at(DAY)))["BUYAAA"]
    assert (filled.state, filled.filled) == (S.FILLED, 10)
    (fill,) = filled.fills
    assert (fill.broker_fill_id, fill.price, fill.at) == ("PBUYAAA-1", Decimal(100), paper.at(DAY))


@pytest.mark.parametrize("minutes", [0, 200, 371, 375, 380, 1440])
async def test_a_buy_fills_at_the_open_however_late_anybody_looks(paper: Paper, minutes: int) -> None:
    await paper.buy(A, 10)
    (fill,) = (await paper.book(paper.at(DAY, minutes)))["BUYAAA"].fills
    assert (fill.price, fill.at) == (Decimal(100), paper.at(DAY))


async def test_a_buy_pays_its_value_and_its_charges(paper: Paper) -> None:
    before = await paper.cash()
    await paper.buy(A, 10)
    await paper.book(paper.at(DAY))
    assert await paper.cash() == before - 1000 - charges(Side.BUY, 10, Decimal(100), DAY).total


async def test_the_same_money_is_not_spent_twice(paper: Paper) -> None:
    await paper.world.change("UPDATE paper_books SET cash = 3000")
    await paper.buy(B, 10)
    await paper.buy(A, 10)
    book = await paper.book(paper.at(DAY))
    assert book["BUYAAA"].state is S.FILLED
    assert book["BUYBBB"].state is S.REJECTED
    needed = 2000 + charges(Side.BUY, 10, Decimal(200), DAY).total
    left = 2000 - charges(Side.BUY, 10, Decimal(100), DAY).total
    assert book["BUYBBB"].reason == f"insufficient funds: needs {needed}, has {left}"


async def test_a_buy_without_a_price_all_day_expires_when_the_next_session_opens(paper: Paper) -> None:
    await paper.buy(C, 10)
    for at in (paper.close(DAY, -1), paper.close(DAY), paper.close(DAY, 15), paper.at(NEXT, -1)):
        assert (await paper.book(at))["BUYCCC"].state is S.PARKED
    expired = (await paper.book(paper.at(NEXT)))["BUYCCC"]
    assert (expired.state, expired.reason) == (S.EXPIRED, "no price that day")


async def test_a_bar_that_comes_after_the_close_still_fills_what_waited_for_it(paper: Paper) -> None:
    """A folder's files come in the evening: the sync before them must end nothing."""
    bars = [paper.prices.rows.pop((symbol, NEXT)) for symbol in (A, B)]
    await paper.buy(A, 10)
    await paper.book(paper.at(DAY))
    await paper.buy(B, 10, NEXT, paper.close(DAY, 35))
    await paper.sell(A, 10, "118.00", paper.at(NEXT))
    early = await paper.book(paper.close(NEXT, 15))
    assert (early["BUYBBB"].state, early["SELLAAA"].state) == (S.PARKED, S.OPEN)
    paper.prices.add(bars)
    late = await paper.book(paper.close(NEXT, 60))
    ends = [(order.fills[0].price, order.fills[0].at) for order in (late["BUYBBB"], late["SELLAAA"])]
    assert ends == [(Decimal(206), paper.at(NEXT)), (Decimal(118), paper.close(NEXT))]


async def test_a_limit_the_days_bar_never_reached_expires_once_the_bar_is_there(paper: Paper) -> None:
    bar_ = paper.prices.rows.pop((A, NEXT))
    await paper.buy(A, 10)
    await paper.sell(A, 10, "130.00", paper.at(NEXT))
    assert (await paper.book(paper.close(NEXT, 15)))["SELLAAA"].state is S.OPEN
    paper.prices.add([bar_])
    assert (await paper.book(paper.close(NEXT, 60)))["SELLAAA"].reason == "the session ended"


@pytest.mark.parametrize(
    ("limit", "minutes", "state", "price"),
    [
        ("118.00", 0, S.OPEN, None),  # only the open of 112 is known
        ("118.00", 369, S.OPEN, None),
        ("118.00", 370, S.FILLED, "118"),  # the bar is whole: its high of 119 reaches the limit
        ("119.00", 370, S.FILLED, "119"),
        ("119.01", 374, S.OPEN, None),
        ("119.01", 375, S.EXPIRED, None),
        ("112.00", 0, S.FILLED, "112"),
        ("105.00", 0, S.FILLED, "112"),  # a limit under the open gets the open
    ],
)
async def test_a_sell_limit_fills_once_the_high_so_far_reaches_it(
    paper: Paper, limit: str, minutes: int, state: OrderState, price: str | None
) -> None:
    await paper.buy(A, 10)
    await paper.sell(A, 10, limit, paper.at(NEXT))
    order = (await paper.book(paper.at(NEXT, minutes)))["SELLAAA"]
    assert order.state is state
    assert [fill.price for fill in order.fills] == ([] if price is None else [Decimal(price)])
    assert all(fill.at == paper.at(NEXT, minutes) for fill in order.fills)


async def test_a_sale_after_the_close_counts_as_of_the_close(paper: Paper) -> None:
    await paper.buy(A, 10)
    await paper.sell(A, 10, "118.00", paper.at(NEXT))
    (fill,) = (await paper.book(paper.close(NEXT, 15)))["SELLAAA"].fills
    assert (fill.price, fill.at) == (Decimal(118), paper.close(NEXT))


async def test_a_sale_brings_its_value_less_charges(paper: Paper) -> None:
    await paper.buy(A, 10)
    await paper.book(paper.at(DAY))
    before = await paper.cash()
    await paper.sell(A, 10, "112.00", paper.at(NEXT))
    assert await paper.cash() == before + 1120 - charges(Side.SELL, 10, Decimal(112), NEXT).total


@pytest.mark.parametrize(("minutes", "price"), [(0, "112"), (370, "115")])
async def test_a_market_sale_fills_at_the_last_price(paper: Paper, minutes: int, price: str) -> None:
    await paper.buy(A, 10)
    await paper.sell(A, 10, None, paper.at(NEXT, minutes))
    (fill,) = (await paper.book(paper.at(NEXT, minutes)))["SELLAAA"].fills
    assert (fill.price, fill.at) == (Decimal(price), paper.at(NEXT, minutes))


async def test_an_untouched_limit_made_a_market_order_sells_at_the_last_price(paper: Paper) -> None:
    await paper.buy(A, 10)
    await paper.sell(A, 10, "130.00", paper.at(NEXT))
    assert await paper.market("SELLAAA", paper.close(NEXT, -5)) == Accepted("PSELLAAA")
    order = (await paper.book(paper.close(NEXT, -5)))["SELLAAA"]
    assert (order.state, order.limit_price, order.fills[0].price) == (S.FILLED, None, Decimal(115))


async def test_a_limit_that_was_touched_wins_over_the_change_to_market(paper: Paper) -> None:
    await paper.buy(A, 10)
    await paper.sell(A, 10, "118.00", paper.at(NEXT))
    assert await paper.market("SELLAAA", paper.close(NEXT, -5)) == Accepted("PSELLAAA")
    order = (await paper.book(paper.close(NEXT, -5)))["SELLAAA"]
    assert (order.limit_price, order.fills[0].price) == (Decimal(118), Decimal(118))


async def test_an_unfilled_day_order_ends_with_its_session(paper: Paper) -> None:
    await paper.buy(A, 10)
    await paper.sell(A, 10, "130.00", paper.at(NEXT))
    order = (await paper.book(paper.close(NEXT)))["SELLAAA"]
    assert (order.state, order.word, order.reason) == (S.EXPIRED, "expired", "the session ended")


async def test_shares_on_offer_cannot_be_sold_again(paper: Paper) -> None:
    await paper.buy(A, 10)
    assert isinstance(await paper.sell(A, 6, "130.00", paper.at(NEXT)), Accepted)
    second = await paper.sell(A, 6, "130.00", paper.at(NEXT), tag="MORE")
    assert second == Refused("holding 4 of AAA, cannot sell 6")


@pytest.mark.parametrize("minutes", [0, 1, 375, 1000])
async def test_an_after_market_order_for_a_session_that_opened_is_refused(paper: Paper, minutes: int) -> None:
    outcome = await paper.buy(A, 10, DAY, paper.at(DAY, minutes))
    assert outcome == Refused("the session of 2024-03-05 has opened")


@pytest.mark.parametrize("minutes", [-1, 375, 400])
async def test_a_regular_order_outside_its_session_is_refused(paper: Paper, minutes: int) -> None:
    await paper.buy(A, 10)
    outcome = await paper.sell(A, 10, "118.00", paper.at(NEXT, minutes))
    assert outcome == Refused("the session of 2024-03-06 is not open")


async def test_an_order_for_a_day_without_a_session_is_refused(paper: Paper) -> None:
    outcome = await paper.buy(A, 10, date(2024, 3, 9), paper.at(DAY))
    assert outcome == Refused("no session on 2024-03-09")


@pytest.mark.parametrize("order", list(itertools.permutations(["book", "sell", "market"])))
async def test_who_asks_first_does_not_decide_what_fills(paper: Paper, order: tuple[str, ...]) -> None:
    """At one moment before the close: a look, another sale and a change to market, in every order."""
    await paper.buy(A, 10)
    await paper.buy(B, 10)
    await paper.sell(A, 10, "118.00", paper.at(NEXT))
    at = paper.close(NEXT, -5)
    for request in order:
        if request == "book":
            await paper.book(at)
        elif request == "sell":
            await paper.sell(B, 10, "207.00", at)
        else:
            await paper.market("SELLAAA", at)
    book = await paper.book(at)
    assert [(tag, one.state, one.fills[0].price) for tag, one in sorted(book.items())] == [
        ("BUYAAA", S.FILLED, Decimal(100)),
        ("BUYBBB", S.FILLED, Decimal(200)),
        ("SELLAAA", S.FILLED, Decimal(118)),
        ("SELLBBB", S.FILLED, Decimal(207)),
    ]
