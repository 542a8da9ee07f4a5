"""The message of an execution: what Dramatiq would have written, and what is refused on the way back."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from dramatiq import Message
from dramatiq.errors import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from db.executions import Bell
from worker.messages import QUEUES, TASKS
from worker.wire import bell_of, encode, message_id, why_unreadable

SLOT = "2024-01-02T10:30:00+00:00"
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
BELLS = st.builds(
    Bell,
    st.sampled_from(sorted(TASKS)),
    st.sampled_from(QUEUES),
    st.datetimes(datetime(1970, 1, 3), datetime(2199, 12, 30), timezones=ZONES),  # noqa: DTZ001 - the zone is drawn
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**31 - 1),
)


def message(*args: Any) -> Message[None]:
    return Message(queue_name="default", actor_name="prices", args=args, kwargs={}, options={})


@given(BELLS)
def test_a_bell_is_encoded_byte_for_byte_as_dramatiq_encodes_it(bell: Bell) -> None:
    decoded: Message[None] = Message.decode(encode(bell))
    stock: Message[None] = Message(
        queue_name=bell.queue,
        actor_name=bell.task_name,
        args=(bell.execution_id, bell.scheduled_for.astimezone(UTC).isoformat(), bell.generation),
        kwargs={},
        options={"redis_message_id": message_id(bell)},
        message_id=message_id(bell),
        message_timestamp=decoded.message_timestamp,
    )
    assert decoded == stock
    assert decoded.encode() == stock.encode()


@given(BELLS)
def test_what_is_encoded_is_read_back(bell: Bell) -> None:
    assert bell_of(Message.decode(encode(bell))) == bell


def test_a_name_that_is_no_identifier_is_encoded_all_the_same() -> None:
    bell = Bell('a"b\\é%s', "q'{}", datetime(2024, 1, 2, tzinfo=UTC), 7, 1)
    assert bell_of(Message.decode(encode(bell))) == bell


def test_a_message_says_when_it_was_made() -> None:
    before, decoded, after = message(), Message.decode(encode(bell_of(message(7, SLOT, 1)))), message()
    assert before.message_timestamp <= decoded.message_timestamp <= after.message_timestamp


@pytest.mark.parametrize(
    "args",
    [
        (),
        (7, SLOT),
        (7, SLOT, 1, 1),
        ("7", SLOT, 1),
        (7.0, SLOT, 1),
        (True, SLOT, 1),
        (None, SLOT, 1),
        (-1, SLOT, 1),
        (2**63, SLOT, 1),
        (7, SLOT, -1),
        (7, SLOT, 2**31),
        (7, SLOT, False),
        (7, SLOT, "1"),
        (7, 1704191400, 1),
        (7, None, 1),
        (7, "", 1),
        (7, "yesterday", 1),
        (7, "2024-01-02T10:30:00", 1),
        (7, "2024-01-02", 1),
        (7, "0001-01-01T00:00:00+23:59", 1),
        (7, "9999-12-31T23:59:59-23:59", 1),
        (7, "1969-12-31T23:59:59+00:00", 1),
        (7, "2200-01-01T00:00:00+00:00", 1),
        ([7], SLOT, 1),
    ],
)
def test_a_payload_that_names_no_execution_is_refused(args: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="not \\(id, slot, generation\\)"):
        bell_of(message(*args))


def test_the_largest_numbers_postgres_takes_are_read() -> None:
    bell = bell_of(message(2**63 - 1, SLOT, 2**31 - 1))
    assert (bell.execution_id, bell.generation) == (2**63 - 1, 2**31 - 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "JSONDecodeError: Expecting property name"),
        (b"\xff", "UnicodeDecodeError: 'utf-8' codec"),
        (b"{}", "KeyError: 'args'"),
        (b'{"args": []}', "TypeError: Message.__init__() missing"),
        (b"[1]" * 1000, "JSONDecodeError: Extra data"),
    ],
)
def test_why_a_message_is_unreadable_is_told_in_short(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Message.decode(data)
    assert why_unreadable(caught.value).startswith(reason)
    assert len(why_unreadable(caught.value)) <= 500
