"""Signals: the columns people read, shares out of a snapshot, and what each user made of them."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal

import pytest

from db.signals import SignalRepository
from db.user_signals import UserSignalRepository
from ops.local import Servers
from tests.desk import DAY, EVE
from tests.evenings import HASH, analysed, candidate
from tests.world import World, open_world
from trading.values import Symbol

A, B = Symbol("AAA"), Symbol("BBB")
KEY = ("dip", HASH, EVE)


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with open_world(servers) as fresh:
        await fresh.sign_up("asha")
        yield fresh


async def test_a_bought_signal_shows_its_plan_and_a_watched_one_none(world: World) -> None:
    found = [candidate("AAA", 20, support_distance_pct=9.0, has_hammer=1.0), candidate("BBB", 45)]
    await analysed(world, found)
    columns = (
        "verdict, final_verdict, buy_range, stop, target, signals, justification, avg_vol, today_vol, backtest_score"
    )
    assert await world.rows(f"SELECT {columns} FROM signals ORDER BY symbol") == [
        (
            "buy", "buy", {"low": "99.50", "high": "101.00"}, Decimal("94.00"), Decimal("115.00"), ["has_hammer"],
            ["buy"], 1_000_000, 1_100_000, None,
        ),
        ("avoid", "avoid", None, None, None, [], ["not_oversold"], 1_000_000, 1_100_000, None),
    ]  # fmt: skip
    assert await world.row("SELECT count(*) FROM signals WHERE buy_range IS NULL AND ml_probabilities IS NULL") == (1,)


async def test_a_candidate_comes_back_as_it_was_stored(world: World) -> None:
    one = candidate("AAA", 20, 0.7)
    await analysed(world, [one])
    async with world.database.reading(None) as session:
        (back,) = await SignalRepository(session).candidates(*KEY)
    assert back == one


async def test_the_features_of_a_few_shares_are_read_out_of_the_newest_snapshot(world: World) -> None:
    await analysed(world, [candidate("AAA", 20), candidate("BBB", 60)])
    await analysed(world, [candidate("AAA", 20), candidate("BBB", 61), candidate("CCC", 50)])
    async with world.database.reading(None) as session:
        signals = SignalRepository(session)
        shares = await signals.shares(*KEY, [B, Symbol("CCC"), Symbol("ZZZ")])
        assert await signals.shares(*KEY, []) == {}
        assert await signals.shares("dip", HASH, DAY, [B]) == {}
    assert sorted(shares) == ["BBB", "CCC"]
    assert shares[B]["rsi"] == 61.0
    assert set(shares[B]) == set(candidate("BBB", 61).features)


async def marked(world: World, user_id: int, states: dict[Symbol, str], day: date = EVE) -> None:
    async with world.database.transaction(user_id) as session:
        await UserSignalRepository(session, user_id).mark("dip", HASH, day, states)


async def test_marks_move_but_a_no_and_a_trade_stay(world: World) -> None:
    (user,) = await world.row("SELECT id FROM users")
    assert isinstance(user, int)
    await analysed(world, [candidate("AAA", 20), candidate("BBB", 20), candidate("CCC", 20)])
    c = Symbol("CCC")
    await marked(world, user, {A: "failed", B: "traded", c: "rejected", Symbol("ZZZ"): "traded"})
    await marked(world, user, {A: "traded", B: "failed", c: "traded"})
    assert await world.rows("SELECT symbol, status FROM user_signal_status ORDER BY symbol") == [
        ("AAA", "traded"),
        ("BBB", "traded"),
        ("CCC", "rejected"),
    ]
    async with world.database.reading(user) as session:
        assert await UserSignalRepository(session, user).rejected(*KEY) == {c}


async def test_what_was_still_open_of_older_days_is_let_go(world: World) -> None:
    (user,) = await world.row("SELECT id FROM users")
    assert isinstance(user, int)
    await analysed(world, [candidate("AAA", 20), candidate("BBB", 20)])
    await marked(world, user, {A: "failed", B: "traded"})
    for day, state in ((EVE, "failed"), (DAY, "expired")):
        async with world.database.transaction(user) as session:
            await UserSignalRepository(session, user).expire(day)
        assert await world.rows("SELECT status FROM user_signal_status ORDER BY symbol") == [(state,), ("traded",)]
