"""The desk that tests of account steps sit at: one paper account and a market of a few shares."""

from collections.abc import AsyncIterator

import pytest

from ops.local import Servers
from tests.desk import DAY, EVE, NEXT, Desk
from tests.market import open_market
from tests.world import ListedPrices, World, bar, open_world


@pytest.fixture
async def desk(servers: Servers) -> AsyncIterator[Desk]:
    prices = ListedPrices(
        [
            bar("AAA", EVE, "98", "101", "97", "100"),
            bar("AAA", DAY, "100", "111", "99", "110"),
            bar("AAA", NEXT, "112", "119", "108", "115"),
            bar("BBB", DAY, "200", "210", "190", "205"),
        ]
    )
    async with open_world(servers, prices) as world:
        yield Desk(world, await world.sign_up("asha"))


@pytest.fixture
async def market(servers: Servers) -> AsyncIterator[World]:
    async with open_market(servers) as world:
        yield world
