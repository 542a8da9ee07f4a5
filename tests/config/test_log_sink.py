"""Lines on their way to the database: bounded, counted when dropped, and of a form that every row takes."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from config.log_sink import LogSink, line_of


def test_the_oldest_lines_are_dropped_and_counted_once() -> None:
    sink = LogSink(capacity=3)
    for number in range(5):
        sink.put({"event": str(number)})
    lines, dropped = sink.take(10)
    assert ([line.message for line in lines], dropped) == (["2", "3", "4"], 2)
    assert sink.take(10) == ([], 0)
    assert not sink.wake.is_set()


def test_what_could_not_be_written_comes_first_again_and_gives_way_to_nothing_newer() -> None:
    sink = LogSink(capacity=3)
    for number in range(3):
        sink.put({"event": str(number)})
    taken, _ = sink.take(2)
    sink.put({"event": "3"})
    sink.put_back(taken, 0)
    lines, dropped = sink.take(10)
    assert ([line.message for line in lines], dropped) == (["1", "2", "3"], 1)


def test_ids_and_the_rest_have_their_places() -> None:
    line = line_of(
        {
            "timestamp": "2026-01-02T03:04:05.678901Z",
            "level": "warning",
            "logger": "worker.steps.submit",
            "event": "order_unknown",
            "user_id": 3,
            "execution_id": 7,
            "task": "submit",
            "order_id": 9,
        }
    )
    assert line.at == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert (line.level, line.module, line.message) == ("WARNING", "worker.steps.submit", "order_unknown")
    assert (line.user_id, line.execution_id, line.task, line.context) == (3, 7, "submit", {"order_id": 9})


def test_a_long_traceback_keeps_its_end() -> None:
    line = line_of({"event": "x", "exception": "Traceback\n" + "frame\n" * 10_000 + "ValueError: the cause"})
    assert line.context is not None
    assert line.context["exception"].endswith("ValueError: the cause")
    assert len(line.context["exception"]) <= 16_000


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _VALUES))
def test_whatever_is_logged_is_a_line_that_postgres_takes(event: dict[str, object]) -> None:
    line = line_of(event)
    assert "\x00" not in line.message
    assert len(line.message) <= 1024
    assert len(line.module) <= 128
    written = json.dumps(line.context, allow_nan=False)
    assert line.context is None or "\\u0000" not in json.dumps(list(line.context.values()))
    assert written
