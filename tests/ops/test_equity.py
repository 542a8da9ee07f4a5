"""What accounts are worth after each session follows from cash and fills."""

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace

from ops.cli.show import sampled
from ops.replay.equity import curve

DAYS = [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)]


def at(day: int) -> datetime:
    return datetime(2024, 1, day, 6, tzinfo=UTC)


def fill(day: int, side: str, quantity: int, price: str) -> SimpleNamespace:
    return SimpleNamespace(filled_at=at(day), symbol="INFY", side=side, quantity=quantity, price=Decimal(price))


def test_without_trades_it_is_the_deposit_every_day() -> None:
    assert curve(DAYS, [(at(2), Decimal(1000))], [], []) == [Decimal(1000)] * 3


def test_shares_held_are_worth_their_close() -> None:
    cash = [(at(2), Decimal(1000)), (at(3), Decimal(-500)), (at(4), Decimal(520))]
    fills = [fill(3, "buy", 5, "100"), fill(4, "sell", 5, "104")]
    closes = [(DAYS[1], "INFY", Decimal(90)), (DAYS[2], "INFY", Decimal(200))]
    assert curve(DAYS, cash, fills, closes) == [Decimal(1000), Decimal(950), Decimal(1020)]


def test_a_share_without_a_close_is_worth_what_was_paid() -> None:
    assert curve(DAYS[1:2], [(at(3), Decimal(500))], [fill(3, "buy", 5, "100")], []) == [Decimal(1000)]


def test_a_long_curve_is_drawn_in_one_line_from_its_first_to_its_last_value() -> None:
    values = [Decimal(number) for number in range(495)]
    drawn = sampled(values, 60)
    assert (len(drawn), drawn[0], drawn[-1]) == (60, values[0], values[-1])
    assert drawn == sorted(drawn)
    assert sampled(values[:3], 60) == values[:3]
