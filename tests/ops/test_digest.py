"""A digest sees every trade and nothing else."""

import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.replay.digest import Facts, Value, digest

ORDER: tuple[Value, ...] = (
    "a/paper",
    date(2024, 1, 3),
    "INFY",
    "buy",
    "entry",
    "market",
    10,
    None,
    "filled",
    10,
    Decimal("1500.5000"),
)
FILL: tuple[Value, ...] = ("a/paper", date(2024, 1, 3), "INFY", "buy", 10, Decimal("1500.5"), Decimal("12.30"))

rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.decimals(0, 9, places=2)), max_size=8)


def changed(row: tuple[Value, ...], place: int, value: Value) -> tuple[Value, ...]:
    return (*row[:place], value, *row[place + 1 :])


@given(rows, rows, st.randoms())
def test_the_order_of_rows_does_not_matter(orders: list[Facts], fills: list[Facts], random: st.DataObject) -> None:
    mixed = list(orders)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert digest(mixed, fills[::-1]) == digest(orders, fills)


def test_the_scale_of_a_number_does_not_matter() -> None:
    assert digest([], [changed(FILL, 5, Decimal("1500.5000"))]) == digest([], [FILL])
    assert digest([], [changed(FILL, 5, Decimal(1500))]) == digest([], [changed(FILL, 5, Decimal("15E+2"))])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "b/paper"),
        (1, date(2024, 1, 4)),
        (6, 11),
        (7, Decimal(1500)),
        (8, "cancelled"),
        (10, Decimal("1500.5001")),
        (10, None),
    ],
)
def test_any_fact_of_an_order_matters(place: int, value: Value) -> None:
    assert digest([changed(ORDER, place, value)], []) != digest([ORDER], [])


def test_a_fill_is_not_an_order_and_two_fills_are_not_one() -> None:
    assert digest([], [FILL]) != digest([FILL], [])
    assert digest([], [FILL, FILL]) != digest([], [FILL])


def test_a_missing_value_is_not_the_word_for_it() -> None:
    assert digest([(None,)], []) != digest([("None",)], [])
    assert digest([("a", "b")], []) != digest([("a,b",)], [])


def test_a_digest_is_sixty_four_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", digest([], []))
