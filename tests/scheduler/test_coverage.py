"""A scheduler says in its log that the calendar ends soon: when it begins, and a day later again."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from db.transaction import Database
from scheduler.coverage import CoverageWatch
from tests.people import replay_from


@pytest.mark.parametrize(("month", "said"), [(11, 0), (12, 1)])
async def test_the_end_of_a_calendar_is_logged_once_a_day_within_its_last_month(
    database: Database, month: int, said: int
) -> None:
    await replay_from(database, datetime(2026, month, 25, 5, tzinfo=UTC))
    watch = CoverageWatch(database)
    with capture_logs() as lines:
        for _ in range(3):
            await watch.look()
    assert [(one["event"], one["exchange"], one["last"]) for one in lines] == [
        ("calendar_ends", "NSE", "2026-12-31")
    ] * said
