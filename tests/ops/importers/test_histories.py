"""Random histories, written in each generation's format and imported: shares, money and profits are those of the history.

What should come out is computed here, from the history alone.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from ops.importers.command import Request, Screen, run
from tests.database import emptied
from tests.ops.importers.old_files import NOW
from tests.ops.importers.runs import sound
from tests.people import person, replay_from

_FIRST = datetime(2024, 1, 1, 9, 15)  # noqa: DTZ001  # naive, as the old system wrote it
_SYMBOLS = ("ABC", "M&M", "BAJAJ-AUTO", "3MINDIA")
_users = count()


@dataclass(frozen=True)
class Bought:
    """One purchase. paise: the price."""

    quantity: int
    paise: int
    at: datetime

    @property
    def rupees(self) -> Decimal:
        return Decimal(self.paise) / 100


@dataclass(frozen=True)
class Cycle:
    """A share from its first purchase to its sale; sold is None while it is held."""

    symbol: str
    bought: Sequence[Bought]
    sold: Bought | None

    @property
    def quantity(self) -> int:
        return sum(one.quantity for one in self.bought)

    @property
    def cost(self) -> Decimal:
        return sum((one.quantity * one.rupees for one in self.bought), Decimal(0))

    @property
    def gain(self) -> Decimal:
        return Decimal(0) if self.sold is None else self.quantity * self.sold.rupees - self.cost


@st.composite
def _cycles(draw: st.DrawFn) -> list[Cycle]:
    """Draw the lives of some shares; each is held once at a time, and a moment is never used twice."""
    found = []
    for symbol in draw(st.lists(st.sampled_from(_SYMBOLS), min_size=1, unique=True)):
        at = _FIRST + timedelta(seconds=draw(st.integers(0, 3600)), microseconds=draw(st.sampled_from([0, 120_000])))
        lives = draw(st.integers(1, 3))
        for life in range(lives):
            bought = []
            for _ in range(draw(st.integers(1, 3))):
                bought.append(Bought(draw(st.integers(500, 5000)), draw(st.integers(1, 9_000_000)), at))
                at += timedelta(hours=draw(st.integers(1, 26)))
            sold = None
            if life < lives - 1 or draw(st.booleans()):
                sold = Bought(sum(one.quantity for one in bought), draw(st.integers(1, 9_000_000)), at)
                at += timedelta(minutes=draw(st.integers(1, 600)))
            found.append(Cycle(symbol, bought, sold))
    return found


@dataclass(frozen=True)
class Pen:
    """How a generation wrote. total: a quantity counts the later purchases."""

    old: bool
    currency: str
    suffix: str
    zone: str
    bare: bool
    encoding: str
    total: bool

    def price(self, paise: int) -> object:
        rupees = Decimal(paise) / 100
        return f"{self.currency}{rupees:,.2f}" if self.currency else float(rupees)

    def time(self, at: datetime) -> str:
        return at.isoformat() + self.zone

    def symbol(self, symbol: str) -> str:
        return f"{symbol}{self.suffix}"


_PENS = st.builds(
    Pen,
    old=st.booleans(),
    currency=st.sampled_from(["", "₹", "Rs ", "Rs. ", "INR "]),
    suffix=st.sampled_from(["", ".NS", "-EQ", "-BE"]),
    zone=st.sampled_from(["", "", "+05:30"]),
    bare=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    total=st.booleans(),
)


def _trade(cycle: Cycle, pen: Pen) -> dict[str, Any]:
    first, *later = cycle.bought
    # The first purchase is what the capital was spent on, so that either way to count can be told.
    record: dict[str, Any] = {
        "ticker" if pen.old else "symbol": pen.symbol(cycle.symbol),
        "avg_price" if pen.old else "entry_price": pen.price(first.paise),
        "timestamp" if pen.old else "entry_time": pen.time(first.at),
        "quantity" if pen.old else "qty": cycle.quantity if pen.total else first.quantity,
        "status": "closed" if cycle.sold else "open",
    }
    if later:
        again = [
            {"qty": one.quantity, "price": pen.price(one.paise), "time": pen.time(one.at), "level": 20, "rsi": 19.5} for one in later
        ]  # fmt: skip
        record["reentries"] = {"reentries": again} if pen.old else again
        record["capital"] = float(first.quantity * first.rupees)
    if cycle.sold:
        record |= {
            "exit_price": pen.price(cycle.sold.paise),
            "exit_time": pen.time(cycle.sold.at),
            "pnl": float(cycle.gain),
        }
    return record


def _write_history(folder: Path, cycles: Sequence[Cycle], pen: Pen) -> Path:
    trades = [_trade(one, pen) for one in cycles]
    path = folder / "trades_history.json"
    value = trades if pen.bare else {"trades": trades, "failed_orders": [], "last_run": "2024-01-15T18:00:03"}
    path.write_text(json.dumps(value, ensure_ascii=False), encoding=pen.encoding)
    return path


def _write_paper(folder: Path, cycles: Sequence[Cycle], pen: Pen, cash: int) -> Path:
    orders, trades = [], []
    numbers = count(1)
    for cycle in cycles:
        for side, one in (*(("BUY", one) for one in cycle.bought), *([("SELL", cycle.sold)] if cycle.sold else [])):
            number, at = f"PT{next(numbers):04}", pen.time(one.at)
            orders.append({
                "order_id": number, "symbol": pen.symbol(cycle.symbol), "side" if pen.old else "transaction_type": side,
                "qty" if pen.old else "quantity": one.quantity, "placed_at": at, "executed_at": at, "executed_quantity": one.quantity,
                "executed_price": pen.price(one.paise), "status": "EXECUTED" if pen.old else "COMPLETE",
            })  # fmt: skip
            trades.append({
                "order_id": number, "symbol": cycle.symbol, "transaction_type": side, "quantity": one.quantity,
                "price": pen.price(one.paise), "timestamp": at,
            })  # fmt: skip
    held = {
        one.symbol: {"quantity": one.quantity, "average_price": float(one.cost / one.quantity)} for one in cycles if not one.sold
    }  # fmt: skip
    files = {"holdings.json": held, "account.json": {"available_cash": pen.price(cash)}}
    if not pen.total:
        files["transactions.json"] = trades
    if not pen.bare or pen.total:
        files["orders.json"] = orders
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding=pen.encoding)
    return folder


async def _import(urls: ServerUrls, kind: str, path: Path) -> tuple[list[Any], Decimal, Decimal]:
    """Return positions, cash before and cash after, of a user of its own."""
    database = Database(make_engine(urls.sqlalchemy, pool_size=2))
    try:
        name = f"u{next(_users)}"
        who = await person(database, name)
        cash = text("SELECT cash FROM broker_accounts WHERE id = :id")
        held = text(
            "SELECT symbol, entry_quantity, quantity, avg_price, CASE WHEN closed_at IS NULL THEN 0 ELSE realized_pnl END, exit_price, "
            "(SELECT count(*) FROM orders o WHERE o.position_id = p.id), "
            "(SELECT sum(f.quantity * f.price) FROM orders o JOIN fills f ON f.order_id = o.id WHERE o.position_id = p.id AND f.side = 'buy') "
            "FROM positions p WHERE account_id = :id ORDER BY opened_at, symbol"
        )
        async with database.reading(None) as session:
            before = (await session.execute(cash, {"id": who.account_id})).scalar_one()
        [brought] = await run(database, Request(kind, path, f"{name}@example.org", "ravi"), Screen())
        assert brought.is_whole, brought.to_json()
        await sound(database)
        async with database.reading(None) as session:
            found = [tuple(row) for row in await session.execute(held, {"id": who.account_id})]
            return found, before, (await session.execute(cash, {"id": who.account_id})).scalar_one()
    finally:
        await database.close()


def _expected(cycles: Sequence[Cycle]) -> Iterator[tuple[Any, ...]]:
    """Yield what each position must be, by fractions: nothing is rounded before the end."""
    for one in sorted(cycles, key=lambda one: (one.bought[0].at, one.symbol)):
        left = 0 if one.sold else one.quantity
        orders = len(one.bought) + (1 if one.sold else 0)
        average = Fraction(one.cost) / one.quantity
        yield one.symbol, one.quantity, left, average, one.gain, one.sold and one.sold.rupees, orders, one.cost


def _check(found: Sequence[tuple[Any, ...]], cycles: Sequence[Cycle]) -> None:
    expected = list(_expected(cycles))
    assert [(*row[:3], *row[5:]) for row in found] == [(*row[:3], *row[5:]) for row in expected]
    for row, told in zip(found, expected, strict=True):
        assert abs(Fraction(row[3]) - told[3]) < Fraction(1, 10_000_000)
        assert abs(row[4] - told[4]) <= Decimal("0.01")


@pytest.fixture(scope="module")
def emptied_once(urls: ServerUrls) -> ServerUrls:
    async def empty() -> None:
        async with emptied(urls) as database:
            await replay_from(database, NOW, days=10)

    asyncio.run(empty())
    return urls


# An example is an import: one that fails is shown as it is, for to make it smaller would take minutes.
_FEW = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_FEW
@given(cycles=_cycles(), pen=_PENS)
def test_a_history_in_any_format_is_the_history(
    emptied_once: ServerUrls, tmp_path: Path, cycles: list[Cycle], pen: Pen
) -> None:
    found, before, after = asyncio.run(_import(emptied_once, "trades-history", _write_history(tmp_path, cycles, pen)))
    _check(found, cycles)
    # What was traded elsewhere was paid for elsewhere.
    assert after == before


@_FEW
@given(cycles=_cycles(), pen=_PENS, cash=st.integers(0, 10**11))
def test_paper_files_of_either_generation_are_the_history(
    emptied_once: ServerUrls, tmp_path_factory: pytest.TempPathFactory, cycles: list[Cycle], pen: Pen, cash: int
) -> None:
    folder = _write_paper(tmp_path_factory.mktemp("paper"), cycles, pen, cash)
    found, _, after = asyncio.run(_import(emptied_once, "paper-trading", folder))
    _check(found, cycles)
    assert after == Decimal(cash) / 100
