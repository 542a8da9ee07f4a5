"""When a task may be scheduled and until when its slots are useful are told in two places: they agree."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from scheduler.planning import plan
from tests.trading.season import CALENDAR, at
from trading.errors import CalendarUncovered
from trading.scheduled_tasks import SCHEDULED

ACTING = {name: facts.acting for name, facts in SCHEDULED.items() if facts.acting is not None}
# Weekdays around a weekend and a holiday; a Saturday session; an evening on a Sunday.
DAYS = [(9, 11), (9, 12), (9, 14), (9, 15), (10, 24), (11, 8), (11, 9)]


def minutes() -> Iterator[datetime]:
    """Yield the minutes of the days."""
    for month, day in DAYS:
        for minute in range(24 * 60):
            yield at(month, day) + timedelta(minutes=minute)


@pytest.mark.parametrize("task", ACTING)
def test_a_slot_at_which_a_task_can_act_is_useful_for_a_while(task: str) -> None:
    useful = [moment for moment in minutes() if ACTING[task].holds(CALENDAR, moment)]
    assert useful
    assert [moment for moment in useful if plan(task, moment, CALENDAR).useful_until <= moment] == []


@pytest.mark.parametrize("task", ACTING)
def test_outside_the_coverage_nobody_says_that_a_task_can_act(task: str) -> None:
    with pytest.raises(CalendarUncovered):
        ACTING[task].holds(CALENDAR, at(12, 31, 10))
