"""The conformance suite: what every venue must do, whatever it is. A new venue is added to VENUES and passes as it is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from adapters.brokers.base import Accepted, BookOrder, Broker, Change, Complete, Failed, NotSent, Placement, Refused
from adapters.brokers.registry import VENUES, open_broker
from db.users import SignedUp
from ops.local import Servers
from tests.world import ListedPrices, World, bar, open_world
from trading.orders import OrderState
from trading.values import Side, Symbol

DAY, NEXT = date(2024, 3, 5), date(2024, 3, 6)
TCS, INFY = Symbol("TCS"), Symbol("INFY")
BUY = Placement("BUYTCS", TCS, Side.BUY, 10, None, "amo", DAY)
SELL = Placement("SELLTCS", TCS, Side.SELL, 10, Decimal("120.00"), "regular", NEXT)


@dataclass
class Venue:
    """A venue with one account, and the moments of two sessions."""

    broker: Broker
    who: SignedUp
    prices: ListedPrices
    world: World

    def __post_init__(self) -> None:
        calendar = self.world.resources.calendar
        first, second = (calendar.session(day) for day in (DAY, NEXT))
        assert first is not None
        assert second is not None
        self.evening = first.opens - timedelta(hours=11)
        self.opens, self.closes = first.opens, first.closes
        self.next_opens, self.next_closes = second.opens, second.closes

    async def orders(self, at_close_of_next: bool = False) -> list[BookOrder]:
        at = self.next_closes if at_close_of_next else self.next_opens
        book = await self.broker.book(self.who.user_id, self.who.account_id, DAY, at)
        assert isinstance(book, Complete)
        return list(book.orders)


@pytest.fixture(params=sorted(VENUES))
async def venue(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Venue]:
    prices = ListedPrices(
        [
            bar("TCS", DAY, "100", "111", "99", "110"),
            bar("TCS", NEXT, "112", "119", "108", "115"),
            bar("INFY", DAY, "50", "55", "45", "52"),
        ]
    )
    async with open_world(servers, prices) as world:
        broker = open_broker(str(request.param), world.database, prices, world.resources.calendar)
        yield Venue(broker, await world.sign_up("asha"), prices, world)


async def test_an_order_placed_twice_under_a_tag_is_one_order(venue: Venue) -> None:
    user, account = venue.who.user_id, venue.who.account_id
    first = await venue.broker.place(user, account, BUY, venue.evening)
    again = await venue.broker.place(user, account, BUY, venue.evening + timedelta(seconds=9))
    assert isinstance(first, Accepted)
    if venue.broker.capabilities.one_order_per_tag:
        assert again == first
        assert len(await venue.orders()) == 1


async def test_the_book_holds_what_was_accepted_under_its_id_and_tag(venue: Venue) -> None:
    placed = await venue.broker.place(venue.who.user_id, venue.who.account_id, BUY, venue.evening)
    (order,) = await venue.orders()
    assert isinstance(placed, Accepted)
    assert (order.broker_order_id, order.tag, order.symbol) == (placed.broker_order_id, "BUYTCS", TCS)
    assert (order.side, order.quantity) == (Side.BUY, 10)


async def test_what_was_refused_is_not_in_the_book(venue: Venue) -> None:
    sale = replace(SELL, session_day=DAY)
    outcome = await venue.broker.place(venue.who.user_id, venue.who.account_id, sale, venue.opens)
    assert isinstance(outcome, Refused)
    assert "holding 0" in outcome.reason
    assert await venue.orders() == []


async def test_fills_add_up_to_what_the_book_says_is_filled(venue: Venue) -> None:
    await venue.broker.place(venue.who.user_id, venue.who.account_id, BUY, venue.evening)
    (order,) = await venue.orders()
    assert order.state is OrderState.FILLED
    assert sum(fill.quantity for fill in order.fills) == order.filled == order.quantity
    assert len({fill.broker_fill_id for fill in order.fills}) == len(order.fills)


async def test_reading_the_book_again_says_the_same(venue: Venue) -> None:
    await venue.broker.place(venue.who.user_id, venue.who.account_id, BUY, venue.evening)
    assert await venue.orders() == await venue.orders()


async def test_a_price_set_twice_is_set_once(venue: Venue) -> None:
    user, account = venue.who.user_id, venue.who.account_id
    await venue.broker.place(user, account, BUY, venue.evening)
    await venue.broker.place(user, account, SELL, venue.next_opens)
    for _ in range(2):
        changed = await venue.broker.change(user, account, SELL.tag, Change(Decimal("121.00")), venue.next_opens)
        assert isinstance(changed, Accepted)
    sale = next(order for order in await venue.orders() if order.tag == SELL.tag)
    assert (sale.state, sale.limit_price) == (OrderState.OPEN, Decimal("121.00"))


async def test_a_sale_grows_to_what_is_held_and_not_beyond(venue: Venue) -> None:
    user, account = venue.who.user_id, venue.who.account_id
    await venue.broker.place(user, account, BUY, venue.evening)
    await venue.broker.place(user, account, replace(SELL, quantity=4), venue.next_opens)
    for _ in range(2):
        grown = await venue.broker.change(user, account, SELL.tag, Change(SELL.limit_price, 10), venue.next_opens)
        assert isinstance(grown, Accepted)
    too_many = await venue.broker.change(user, account, SELL.tag, Change(SELL.limit_price, 11), venue.next_opens)
    assert isinstance(too_many, Refused)
    sale = next(order for order in await venue.orders() if order.tag == SELL.tag)
    assert (sale.quantity, sale.limit_price) == (10, SELL.limit_price)


async def test_a_cancelled_order_never_fills(venue: Venue) -> None:
    user, account = venue.who.user_id, venue.who.account_id
    await venue.broker.place(user, account, BUY, venue.evening)
    for _ in range(2):
        assert isinstance(await venue.broker.cancel(user, account, BUY.tag, venue.evening), Accepted)
    (order,) = await venue.orders()
    assert (order.state, order.filled) == (OrderState.CANCELLED, 0)


async def test_what_ended_cannot_be_changed_or_cancelled(venue: Venue) -> None:
    user, account = venue.who.user_id, venue.who.account_id
    await venue.broker.place(user, account, BUY, venue.evening)
    await venue.broker.place(user, account, SELL, venue.next_opens)
    assert (await venue.orders(at_close_of_next=True))[-1].state is OrderState.EXPIRED
    assert isinstance(await venue.broker.change(user, account, SELL.tag, Change(None), venue.next_closes), Refused)
    assert isinstance(await venue.broker.cancel(user, account, SELL.tag, venue.next_closes), Refused)
    assert isinstance(await venue.broker.cancel(user, account, "NOBODY", venue.next_closes), Refused)


async def test_a_venue_that_cannot_see_prices_says_so_and_changes_nothing(venue: Venue) -> None:
    user, account = venue.who.user_id, venue.who.account_id
    await venue.broker.place(user, account, BUY, venue.evening)
    venue.prices.broken = True
    assert isinstance(await venue.broker.book(user, account, DAY, venue.next_opens), Failed)
    assert isinstance(await venue.broker.place(user, account, SELL, venue.next_opens), NotSent)
    assert isinstance(await venue.broker.change(user, account, BUY.tag, Change(None), venue.next_opens), NotSent)
    assert isinstance(await venue.broker.cancel(user, account, BUY.tag, venue.next_opens), NotSent)
    venue.prices.broken = False
    (order,) = await venue.orders()
    assert order.state is OrderState.FILLED


async def test_another_users_account_is_nobodys(venue: Venue) -> None:
    await venue.broker.place(venue.who.user_id, venue.who.account_id, BUY, venue.evening)
    other = await venue.world.sign_up("bela")
    book = await venue.broker.book(other.user_id, venue.who.account_id, DAY, venue.evening)
    assert book == Complete([])


def test_an_unknown_venue_is_named_with_those_there_are() -> None:
    prices = ListedPrices()
    with pytest.raises(LookupError, match=r"'zerodha'.*paper"):
        open_broker("zerodha", None, prices, None)  # type: ignore[arg-type] # it is refused before they are used
