"""Single values of the old files: read as they were meant, or refused with the name of the field."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.importers import fields as f
from ops.importers.fields import RefusedRecordError
from trading.calendar import from_exchange_time


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("₹1,234.50", "1234.50"),
        ("₹ 1,234.50 ", "1234.50"),
        ("Rs 1,251.00", "1251"),
        ("Rs. 1,251.00", "1251"),
        ("Rs.1251", "1251"),
        ("rs 5", "5"),
        ("INR 5.25", "5.25"),
        ("1,00,000/-", "100000"),
        ("₹12,34,567.89", "1234567.89"),
        ("1,234,567.89", "1234567.89"),
        ("250.4", "250.4"),
        (".5", "0.5"),
        (250.4, "250.4"),
        (250, "250"),
        (Decimal("250.43219"), "250.4322"),
        (Decimal("2.5e2"), "250"),
    ],
)
def test_a_price_is_read_in_every_way_it_was_written(written: object, read: str) -> None:
    assert f.price({"price": written}, "price") == Decimal(read)


@pytest.mark.parametrize(
    "written",
    [
        "", None, "abc", "₹", "1.2.3", "1,25", "1,,250", "12,5,0", "(500)", "1 250", "$5", "₹5 lakh", True, False, [5], {"a": 5},
        0, "0", -5, "₹-5", "-0.00001", Decimal("1e-9"), Decimal("1e40"), Decimal("1e999999"), Decimal("NaN"), Decimal("Infinity"),
        10**30, "9" * 60, float("inf"), float("nan"),
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused_by_the_name_of_its_field(written: object) -> None:
    with pytest.raises(RefusedRecordError, match="price"):
        f.price({"price": written}, "price")


@pytest.mark.parametrize("written", [None, "", 0, 0.0, "0", "₹0.00", "0.0"])
def test_a_price_of_nought_is_a_market_order(written: object) -> None:
    assert f.price_or_none({"price": written}, "price") is None


def test_a_price_under_the_older_name_counts_where_the_younger_one_is_empty() -> None:
    assert f.price({"avg_price": "₹5", "entry_price": None}, "entry_price", "avg_price") == 5


@pytest.mark.parametrize(
    ("written", "read"), [(399, 399), ("399", 399), ("1,000", 1000), (399.0, 399), (Decimal("12.0"), 12)]
)
def test_shares_are_whole_in_every_way_they_were_written(written: object, read: int) -> None:
    assert f.quantity({"qty": written}, "qty") == read


@pytest.mark.parametrize(
    "written", [0, -1, 1.5, "1.5", True, "ten", 10**10, Decimal("1e30"), Decimal("1e-30"), [1], None]
)
def test_what_are_no_shares_is_refused(written: object) -> None:
    with pytest.raises(RefusedRecordError, match="qty"):
        f.quantity({"qty": written}, "qty")


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year to microsecond


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-03-04T09:15:11.120000", _utc(2025, 3, 4, 3, 45, 11, 120000)),
        ("2025-03-04T09:15:11", _utc(2025, 3, 4, 3, 45, 11)),
        ("2025-03-04 09:15:11", _utc(2025, 3, 4, 3, 45, 11)),
        ("2025-03-04T03:30:00", _utc(2025, 3, 3, 22)),
        ("2025-03-04", _utc(2025, 3, 3, 18, 30)),
        ("2025-03-04T09:15:11+05:30", _utc(2025, 3, 4, 3, 45, 11)),
        ("2025-03-04T09:15:11Z", _utc(2025, 3, 4, 9, 15, 11)),
        ("2025-03-04T09:15:11+00:00", _utc(2025, 3, 4, 9, 15, 11)),
        ("2025-03-04T09:15:11-04:00", _utc(2025, 3, 4, 13, 15, 11)),
        (" 04-Mar-2025 09:15:11 ", _utc(2025, 3, 4, 3, 45, 11)),
        ("04/03/2025 09:15:11", _utc(2025, 3, 4, 3, 45, 11)),
        (datetime(2025, 3, 4, 9, 15), _utc(2025, 3, 4, 3, 45)),  # noqa: DTZ001  # a naive one is what is meant
    ],
)
def test_a_time_without_a_zone_is_indian_and_one_with_a_zone_keeps_it(written: object, read: datetime) -> None:
    found = f.moment({"at": written}, "at")
    assert found == read
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [None, "", "yesterday", "2025-02-30T09:00:00", "2025-13-01", "0001-01-01T00:00:00", "9999-12-31T23:59:59", "1970-01-01",
     "2025-03-04T25:00:00", 1741059911, 1741059911.5, True, ["2025-03-04"], "31/12/2025", "2025-03-04T09:15:11+99:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused(written: object) -> None:
    with pytest.raises(RefusedRecordError, match="entry_time"):
        f.moment({"entry_time": written}, "entry_time")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("INFY", "INFY"), ("infy", "INFY"), (" INFY ", "INFY"), ("INFY.NS", "INFY"), ("infy.ns", "INFY"), ("INFY.BO", "INFY"),
        ("INFY-EQ", "INFY"), ("INFY-BE", "INFY"), ("INFY-BL", "INFY"), ("INFY-BZ", "INFY"), ("M&M-EQ", "M&M"),
        ("BAJAJ-AUTO", "BAJAJ-AUTO"), ("BAJAJ-AUTO-EQ", "BAJAJ-AUTO"), ("BAJAJ-AUTO.NS", "BAJAJ-AUTO"), ("3MINDIA.NS", "3MINDIA"),
    ],
)  # fmt: skip
def test_every_form_of_a_symbol_is_its_base(written: str, read: str) -> None:
    assert f.symbol({"symbol": written}, "symbol") == read


@pytest.mark.parametrize(
    "written", [None, "", "  ", ".NS", "-EQ", "NIFTY 50", "A\x00B", "A\x1fB", "A" * 33, 500, True, ["INFY"], "इन्फी"]
)
def test_what_is_no_symbol_is_refused(written: object) -> None:
    with pytest.raises(RefusedRecordError, match="symbol"):
        f.symbol({"symbol": written}, "symbol")


@pytest.mark.parametrize(
    ("written", "read"),
    [(None, None), ("", None), (" ", None), ("\x00\x1f", None), (" a\x00\x1eb\n", "a b"), (250304, "250304")],
)
def test_a_text_has_no_control_characters_and_no_blanks_around_it(written: object, read: str | None) -> None:
    assert f.text_or_none({"id": written}, "id") == read


def test_half_a_character_is_replaced_where_a_text_was_cut_in_the_middle_of_it() -> None:
    found = f.text_or_none({"id": "late\ud83d"}, "id")
    assert found is not None
    assert found.encode("utf-8").startswith(b"late")


@pytest.mark.parametrize("written", [True, ["a"], {"a": 1}, "a" * 65])
def test_what_is_no_text_is_refused(written: object) -> None:
    with pytest.raises(RefusedRecordError, match="id"):
        f.text_or_none({"id": written}, "id")


@pytest.mark.parametrize("written", [None, "", "nan", "NaN", "None", "null", "n/a", Decimal("1e400")])
def test_a_measure_that_was_not_there_is_none(written: object) -> None:
    assert f.number_or_none({"rsi10": written}, "rsi10") is None


@pytest.mark.parametrize("written", [True, "high", [1]])
def test_what_is_no_measure_is_refused(written: object) -> None:
    with pytest.raises(RefusedRecordError, match="rsi10"):
        f.number_or_none({"rsi10": written}, "rsi10")


@pytest.mark.parametrize("written", [None, "a", 5, ["a"], True])
def test_what_is_no_record_is_refused(written: object) -> None:
    with pytest.raises(RefusedRecordError) as refused:
        f.record_of(written)
    assert refused.value.kind == "no_record"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a": 1.50}', {"a": 1.5}),
        ('{"a": NaN, "b": Infinity}', {"a": None, "b": None}),
        ('{"a": "x\\u0000y"}', {"a": "xy"}),
        ('{"a":\n "b"}', {"a": "b"}),
    ],
)
def test_a_record_is_kept_as_postgres_takes_it(text: str, kept: object) -> None:
    value = json.loads(text, parse_float=Decimal, parse_constant=lambda _: None)
    assert json.loads(f.kept(value, text)) == kept


def test_half_a_character_is_kept_as_a_sign_that_postgres_takes() -> None:
    value: Any = {"note": "late\ud83d", "\udc00": ["\ud800"]}
    kept = json.loads(f.kept(value, json.dumps(value)))
    assert kept["note"].encode("utf-8").startswith(b"late")
    assert len(kept) == 2


def test_a_record_that_is_longer_than_any_is_refused() -> None:
    with pytest.raises(RefusedRecordError) as refused:
        f.kept({}, json.dumps({"a": "x" * 20_000}))
    assert refused.value.kind == "too_large"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31, 23, 59, 59, 999999)))  # noqa: DTZ001  # as written
def test_a_time_without_a_zone_is_the_calendars_in_every_year(written: datetime) -> None:
    read = f.as_moment(written.isoformat(), "entry_time")
    assert (read, read.tzinfo) == (from_exchange_time(written), UTC)
