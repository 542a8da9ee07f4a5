from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.schedules import ScheduleRow
from db.seeds import DEFAULT_SCHEDULES
from tests.trading.season import CALENDAR, at
from tests.trading.test_trigger_laws import NAIVE, triggers
from trading.definitions import (
    CATCH_UPS,
    COLUMNS,
    CONDITIONS,
    LONGEST_NAME,
    OVERLAPS,
    SCOPES,
    Definition,
    check,
    definition_of,
    read_definition,
)
from trading.errors import BadDefinition
from trading.scheduled_tasks import SCHEDULED
from worker.messages import TASKS

NOW = at(9, 1, 12)
PLAIN: Mapping[str, object] = {"name": "a sync", "task_name": "order_sync", "trigger": "close+15m"}


def definition(**columns: object) -> Definition:
    return read_definition({**PLAIN, **columns})


def refusal(**columns: object) -> BadDefinition:
    with pytest.raises(BadDefinition) as caught:
        check(definition(**columns), CALENDAR, NOW)
    return caught.value


seconds = st.integers(0, 10**6).map(lambda value: timedelta(seconds=value))
moments = st.none() | st.integers(0, 3 * 10**8).map(
    lambda value: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
)
definitions = st.builds(
    Definition,
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    st.sampled_from(sorted(SCHEDULED)),
    triggers,
    st.sampled_from(SCOPES),
    st.none() | st.sampled_from(CONDITIONS),
    st.just("NSE"),
    st.none() | seconds,
    st.sampled_from(CATCH_UPS),
    st.sampled_from(OVERLAPS),
    seconds,
    seconds,
    st.none() | seconds,
    moments,
    moments,
    st.none() | st.integers(1, 1000),
)


@given(definitions)
def test_a_definition_is_read_back_from_its_columns_and_its_row(one: Definition) -> None:
    assert read_definition(one.written()) == one
    assert tuple(one.written()) == COLUMNS
    row = SimpleNamespace(**one.written() | {"starts_at": one.starts_at, "ends_at": one.ends_at, "id": 7})
    assert definition_of(row) == one


def test_every_column_of_a_definition_is_a_schedules() -> None:
    assert {*COLUMNS} <= {column.name for column in ScheduleRow.__table__.columns}


def test_the_words_of_policies_are_those_that_the_table_takes() -> None:
    texts = {str(one.name): str(one.sqltext) for one in ScheduleRow.__table__.constraints if hasattr(one, "sqltext")}  # type: ignore[attr-defined] # a Table has constraints
    taken = {name: set(text.split("'")[1::2]) for name, text in texts.items()}
    for suffix, words in [("scope", SCOPES), ("catch_up", CATCH_UPS), ("overlap", OVERLAPS), ("condition", CONDITIONS)]:
        assert [found for name, found in taken.items() if name.endswith(suffix)] == [{*words}]


def test_what_is_missing_takes_its_default() -> None:
    assert definition() == Definition("a sync", "order_sync", definition().trigger)


BAD_COLUMNS = [
    ("name", None), ("name", ""), ("task_name", 7), ("trigger", None), ("grace_seconds", "60"), ("grace_seconds", True),
    ("jitter_seconds", 1.5), ("useful_seconds", 10**15), ("max_runs", "ten"), ("starts_at", "noon"), ("condition", 1),
    ("ends_at", "2026-12-01T10:00"), ("ends_at", NAIVE), ("starts_at", 1_700_000_000),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD_COLUMNS)
def test_a_value_of_another_kind_names_the_column_and_a_valid_example(field: str, value: object) -> None:
    with pytest.raises(BadDefinition) as caught:
        definition(**{field: value})
    assert (caught.value.field, caught.value.value) == (field, value)
    _takes(field, caught.value.example)


def _takes(field: str, example: str) -> None:
    """Hold that an example is a value that its column takes."""
    number = field.endswith("_seconds") or field == "max_runs"
    definition(**{field: int(example) if number else example})


REFUSED = [
    ("name", {"name": "x" * (LONGEST_NAME + 1)}), ("name", {"name": "a\nb"}), ("name", {"name": " a"}),
    ("task_name", {"task_name": "order_sink"}), ("task_name", {"task_name": "submit"}), ("exchange", {"exchange": "BSE"}),
    ("scope", {"scope": "user"}), ("scope", {"scope": "shared"}), ("catch_up", {"catch_up": "some"}),
    ("overlap", {"overlap": "wait"}), ("condition", {"condition": "is_rich"}),
    ("condition", {"task_name": "prices", "scope": "shared", "condition": "has_live_order"}),
    ("grace_seconds", {"grace_seconds": -1}), ("jitter_seconds", {"jitter_seconds": -1}), ("spread_seconds", {"spread_seconds": -1}),
    ("useful_seconds", {"useful_seconds": 0}), ("spread_seconds", {"useful_seconds": 60, "spread_seconds": 61}),
    ("jitter_seconds", {"useful_seconds": 60, "jitter_seconds": 61}), ("max_runs", {"max_runs": 0}),
    ("ends_at", {"starts_at": "2026-12-01T10:00Z", "ends_at": "2026-11-01T10:00Z"}),
    ("ends_at", {"starts_at": "2026-12-01T10:00Z", "ends_at": "2026-12-01T10:00Z"}),
    ("trigger", {"trigger": "once 2026-09-01T11:59+05:30"}), ("trigger", {"trigger": "each pre-open at 12:00"}),
    ("trigger", {"trigger": "every 10m from close until open"}), ("trigger", {"trigger": "open on last session of year"}),
    ("trigger", {"trigger": f"cron {','.join(map(str, range(0, 60, 2)))} {','.join(map(str, range(24)))} "
                            f"{','.join(map(str, range(1, 29)))} {','.join(map(str, range(1, 13)))} 0,2,4,6 in UTC"}),
    ("jitter_seconds", {"trigger": "every 60s while open", "jitter_seconds": 61}),
    ("spread_seconds", {"trigger": "every 60s while open", "spread_seconds": 61}),
    ("spread_seconds", {"trigger": "cron */5 * * * * in UTC", "spread_seconds": 200, "jitter_seconds": 101}),
    ("jitter_seconds", {"trigger": "every 5m since 2026-01-01T00:00Z", "jitter_seconds": 301}),
    ("catch_up", {"trigger": "every 1s while open", "catch_up": "all"}),
    ("catch_up", {"trigger": "cron * * * * * * in UTC", "catch_up": "all"}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "columns"), REFUSED)
def test_a_definition_that_makes_no_sense_is_refused_and_its_example_is_not(
    field: str, columns: Mapping[str, object]
) -> None:
    error = refusal(**columns)
    assert error.field == field
    number = field.endswith("_seconds") or field == "max_runs"
    cured = {**columns, field: int(error.example) if number else error.example}
    check(definition(**cured), CALENDAR, NOW)


GOOD: list[Mapping[str, object]] = [
    {}, {"trigger": "on request"}, {"trigger": "once 2027-06-01T10:00+05:30"}, {"useful_seconds": 60, "spread_seconds": 60},
    {"trigger": "every 60s while open", "spread_seconds": 30, "jitter_seconds": 30, "catch_up": "all"}, {"grace_seconds": 0},
    {"starts_at": "2026-12-01T10:00Z", "ends_at": "2026-12-01T10:01Z"}, {"trigger": "cron 0 0 29 2 * in Europe/Berlin"},
    {"trigger": "close on last session of month"}, {"trigger": "daily at 02:00", "condition": "has_open_position", "max_runs": 1},
]  # fmt: skip


@pytest.mark.parametrize("columns", GOOD)
def test_a_definition_that_makes_sense_is_taken(columns: Mapping[str, object]) -> None:
    check(definition(**columns), CALENDAR, NOW)


ACTS = [
    ("sell_monitor", "every 60s while open", None), ("sell_monitor", "at 15:29", None), ("sell_monitor", "at 03:00", "Wed 2026-09-02 03:00"),
    ("sell_monitor", "close", "Tue 2026-09-01 15:30"), ("sell_monitor", "open-1m", "Wed 2026-09-02 09:14"),
    ("sell_monitor", "cron 0 10 * * mon-fri in Asia/Kolkata", "Mon 2026-09-14 10:00"),  # a holiday
    ("sell_monitor", "every 24h since 2026-09-01T10:00+05:30", "Sat 2026-09-05 10:00"),
    ("sell_monitor", "once 2026-09-02T10:00+05:30", None), ("sell_monitor", "on request", None),
    ("buy_orders", "close+35m", None), ("buy_orders", "at 16:05", None), ("buy_orders", "open", None),
    ("buy_orders", "close+5m", "Tue 2026-09-01 15:35"), ("buy_orders", "open-10m", "Wed 2026-09-02 09:05"),
    ("buy_orders", "cron 0 16 * * sun in Asia/Kolkata", "Sun 2026-09-06 16:00"), ("buy_orders", "close+35m on last session of week", None),
    ("premarket_retry", "open-30m", None), ("premarket_retry", "close+1h", "Tue 2026-09-01 16:30"),
    ("premarket_retry", "open-18m", "Wed 2026-09-02 08:57"), ("premarket_retry", "each pre-open at 09:05", "Wed 2026-09-02 09:05"),
    ("position_monitor", "every 1h from open+15m until close", None), ("position_monitor", "daily at 10:00", "Sat 2026-09-05 10:00"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "trigger", "moment"), ACTS)
def test_what_must_trade_fires_when_it_can(task: str, trigger: str, moment: str | None) -> None:
    if moment is None:
        check(definition(task_name=task, trigger=trigger), CALENDAR, NOW)
        return
    error = refusal(task_name=task, trigger=trigger)
    assert error.field == "trigger"
    assert f"fire at {moment} IST" in error.problem
    check(definition(task_name=task, trigger=error.example), CALENDAR, NOW)


@pytest.mark.parametrize("now", [at(7, 15), NOW, at(12, 30, 23), at(12, 31) + timedelta(days=400)])
@pytest.mark.parametrize("row", DEFAULT_SCHEDULES, ids=lambda row: str(row["name"]))
def test_every_default_schedule_makes_sense_at_any_time(row: Mapping[str, object], now: datetime) -> None:
    check(read_definition(row), CALENDAR, now)


def test_what_may_be_scheduled_are_tasks_and_their_scope_is_that_of_the_defaults() -> None:
    assert SCHEDULED.keys() <= TASKS.keys()
    assert {(row["task_name"], row["scope"]) for row in DEFAULT_SCHEDULES} == {
        (name, facts.scope) for name, facts in SCHEDULED.items()
    }
