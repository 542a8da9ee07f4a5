from datetime import date

import pytest

from trading.errors import (
    BadCalendar,
    BadDefinition,
    BadTrigger,
    CalendarUncovered,
    IllegalTransition,
    Oversold,
    TradingError,
)
from trading.values import Symbol

ERRORS = [
    (CalendarUncovered(date(2027, 1, 4), date(2015, 1, 1), date(2026, 12, 31)), ("2027-01-04", "2026-12-31", "load")),
    (BadCalendar(7, "not a day: 'x'", "write it like 2026-01-26"), ("line 7", "'x'", "write it like")),
    (BadTrigger("at noon", 3, "'noon' is not a time of day", "at 16:05"), ("'at noon'", "character 4", "'at 16:05'")),
    (BadDefinition("scope", "user", "there is none", "account"), ("scope", "'user'", "'account'")),
    (IllegalTransition("filled", "send"), ("filled", "send", "read the broker's book")),
    (Oversold(Symbol("INFY"), 3, 5), ("INFY", "sold 5 of 3", "find the fill")),
]


@pytest.mark.parametrize(("error", "parts"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_names_the_place_the_value_and_the_cure(error: TradingError, parts: tuple[str, ...]) -> None:
    assert all(part in str(error) for part in parts)


def test_an_error_carries_its_data() -> None:
    error = CalendarUncovered(date(2027, 1, 4), date(2015, 1, 1), date(2026, 12, 31))
    assert (error.day, error.first, error.last) == (date(2027, 1, 4), date(2015, 1, 1), date(2026, 12, 31))
