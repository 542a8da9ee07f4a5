"""Orders that are in no trade: what waited ends with its session, what failed may be tried until the next one's close."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ops.importers.entry import Entry
from ops.importers.fields import RefusedRecordError
from ops.importers.orders import failed_order, pending_order
from ops.importers.pending_file import pending_entries
from tests.ops.importers.old_files import NOW, failed, ground, told, waiting, write
from trading.orders import OrderState


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year to minute


MORNING, SESSION, EVENING = _utc(2024, 1, 16, 3, 0), _utc(2024, 1, 16, 6), _utc(2024, 1, 16, 14)


def _entries(folder: Path, value: object, now: datetime = NOW) -> list[Entry]:
    path = write(folder, "pending_orders.json", value)
    return list(pending_entries(path, ground(now, DEMO1="250"), lambda _: None))


def _refused(record: dict[str, Any], now: datetime = NOW, **closes: str) -> RefusedRecordError:
    with pytest.raises(RefusedRecordError) as error:
        pending_order(record, ground(now, **closes))
    return error.value


@pytest.mark.parametrize(
    ("now", "state"),
    [(NOW, OrderState.PARKED), (MORNING, OrderState.PARKED), (SESSION, OrderState.OPEN), (EVENING, OrderState.EXPIRED)],
)
def test_an_after_market_order_waits_for_its_session_and_ends_with_it(now: datetime, state: OrderState) -> None:
    order = pending_order(waiting(), ground(now, DEMO1="250"))
    assert (order.status, order.session_day) == (state, date(2024, 1, 16))
    assert order.reserved == (0 if state is OrderState.EXPIRED else 10_000)
    assert order.at_venue is (state is not OrderState.EXPIRED)
    assert (order.closed_at is None) is (state is not OrderState.EXPIRED)


def test_a_friday_evening_is_for_monday() -> None:
    order = pending_order(waiting(placed_at="2024-01-12T16:05:20"), ground(_utc(2024, 1, 13, 6), DEMO1="250"))
    assert (order.status, order.session_day) == (OrderState.PARKED, date(2024, 1, 15))


def test_an_order_after_the_last_minute_of_the_morning_is_for_the_next_session() -> None:
    late = waiting(placed_at="2024-01-16T08:58:00")
    assert pending_order(late, ground(MORNING, DEMO1="250")).session_day == date(2024, 1, 17)


def test_a_regular_order_is_for_its_own_session() -> None:
    order = pending_order(waiting(variety="REGULAR", placed_at="2024-01-16T10:00:00"), ground(SESSION, DEMO1="250"))
    assert (order.status, order.session_day) == (OrderState.OPEN, date(2024, 1, 16))


def test_a_limit_is_what_money_is_reserved_by() -> None:
    order = pending_order(waiting(price="₹1,000.50", order_type="LIMIT"), ground())
    assert (order.price, order.reserved, order.order_type) == (Decimal("1000.50"), Decimal(40_020), "limit")


def test_a_market_order_of_a_share_without_a_price_is_refused_with_the_cure() -> None:
    assert "load prices" in _refused(waiting()).reason


def test_a_sale_that_waits_is_not_carried_over() -> None:
    order = pending_order(waiting(side="SELL"), ground(NOW, DEMO1="250"))
    assert (order.status, order.at_venue) == (OrderState.CANCELLED, False)


@pytest.mark.parametrize(
    ("word", "state"),
    [("CANCELLED", OrderState.CANCELLED), ("REJECTED", OrderState.REJECTED), ("TRIGGER_PENDING", OrderState.PARKED)],
)
def test_what_ended_stays_ended(word: str, state: OrderState) -> None:
    assert pending_order(waiting(status=word), ground(NOW, DEMO1="250")).status is state


@pytest.mark.parametrize("word", ["EXECUTED", "PARTIALLY_FILLED", "COMPLETE"])
def test_a_filled_order_alone_is_no_trade(word: str) -> None:
    assert _refused(waiting(status=word)).kind == "no_history"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "WAITING_FOR_RAIN"}, "unmapped"),
        ({"status": None}, "missing"),
        ({"variety": "bracket"}, "unmapped"),
        ({"order_type": "SL-M"}, "unmapped"),
        ({"qty": 0}, "bad_quantity"),
        ({"price": -5}, "bad_price"),
        ({"placed_at": "2031-01-01T10:00:00"}, "calendar"),
        ({"placed_at": "2024-02-29T20:00:00"}, "calendar"),
        ({"placed_at": None}, "missing"),
    ],
)
def test_what_is_no_order_is_refused_with_its_kind(changes: dict[str, Any], kind: str) -> None:
    assert _refused(waiting(**changes), DEMO1="250").kind == kind


@pytest.mark.parametrize("shape", [[waiting()], {"orders": [waiting()]}])
def test_both_shapes_of_the_file_are_read(tmp_path: Path, shape: object) -> None:
    [entry] = _entries(tmp_path, shape)
    assert (entry.outcome.value, entry.legacy_ids) == ("imported", ("240115000111222",))
    assert entry.live == ("DEMO1", "buy")


@pytest.mark.parametrize("shape", [{"trades": [waiting()]}, {"orders": {"0": waiting()}}])
def test_records_where_no_orders_are_looked_for_are_told(tmp_path: Path, shape: object) -> None:
    [entry] = _entries(tmp_path, shape)
    assert (entry.outcome.value, entry.kind) == ("error", "no_section")


def test_the_same_order_twice_is_one_and_a_refused_one_leaves_its_neighbours(tmp_path: Path) -> None:
    entries = _entries(tmp_path, [waiting(), waiting("demo1"), 5, waiting("OTHER", order_id="2", price=10)])
    assert told(entries) == [
        ("[0]", "imported", ""),
        ("[1]", "merged", "twice"),
        ("[2]", "error", "no_record"),
        ("[3]", "imported", ""),
    ]


def test_a_record_is_the_same_after_its_session(tmp_path: Path) -> None:
    [before], [after] = _entries(tmp_path, [waiting()]), _entries(tmp_path, [waiting()], EVENING)
    assert (before.key, before.content) == (after.key, after.content)


def test_what_failed_for_money_is_tried_until_the_close_of_the_next_session() -> None:
    order = failed_order(failed(), ground(_utc(2024, 1, 16, 10)))
    assert (order.status, order.retry_until) == (OrderState.FAILED, _utc(2024, 1, 16, 10))
    assert (order.failure_kind, order.reference_price) == ("insufficient_funds", Decimal(812))


def test_what_failed_on_a_friday_is_tried_on_monday() -> None:
    order = failed_order(failed(first_failed_at="2024-01-12T16:06:00"), ground(_utc(2024, 1, 15, 5)))
    assert (order.status, order.retry_until) == (OrderState.FAILED, _utc(2024, 1, 15, 10))


def test_what_was_not_tried_in_time_is_cancelled() -> None:
    order = failed_order(failed(), ground(_utc(2024, 1, 16, 10, 1)))
    assert (order.status, order.closed_at) == (OrderState.CANCELLED, _utc(2024, 1, 16, 10))


@pytest.mark.parametrize("reason", ["rms rejection", "circuit", None])
def test_what_failed_for_another_reason_is_over(reason: str | None) -> None:
    order = failed_order(failed(reason=reason), ground())
    assert (order.status, order.failure_kind) == (OrderState.REJECTED, "rms_reject")


@pytest.mark.parametrize("at", ["2024-03-01T10:00:00", "2023-11-30T16:00:00"])
def test_a_failure_on_a_day_without_a_calendar_is_refused(at: str) -> None:
    with pytest.raises(RefusedRecordError) as refused:
        failed_order(failed(first_failed_at=at), ground())
    assert refused.value.kind == "calendar"
