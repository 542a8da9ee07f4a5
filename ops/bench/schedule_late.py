"""How late many small schedules fire, each of a time of its own: a market hour of them within a minute."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from datetime import time as clock_time
from statistics import median
from zoneinfo import ZoneInfo

from ops.bench.queue_promptness import p99
from ops.bench.queue_world import Told
from ops.bench.schedule_world import NOON, OPENS, READY, TASK, Subscribers, once
from trading.calendar import ist

# The market's clock runs so many times faster than the machine's. Ten thousand times fall into an hour of it; fewer
# into a part of that, so that as many are due a second.
SPEED = 60.0
TRIGGERS, SPAN = 10_000, timedelta(hours=1)
_FROM = clock_time(10, 0)
# The clock is set to two of the machine's seconds before.
_SET_TO = clock_time(9, 58)
_ZONE = "Asia/Kolkata"
_LOOK_SECONDS, _STUCK_SECONDS = 0.01, 300.0

_SCHEDULES = f"""
    INSERT INTO schedules (name, task_name, trigger, scope, next_due_at)
    SELECT 'bench late ' || t.n, '{TASK}', t.trigger, 'account', t.at
    FROM unnest(CAST(:triggers AS text[]), CAST(:slots AS timestamptz[])) WITH ORDINALITY t(trigger, at, n)
"""  # noqa: S608 - a constant of ours
_SUBSCRIBE = """
    INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id)
    SELECT d.id, a.user_id, a.id
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM schedules WHERE name LIKE 'bench late %') d
    JOIN (SELECT id, user_id, row_number() OVER (ORDER BY id) AS n FROM broker_accounts ORDER BY id LIMIT :count) a
    USING (n)
"""
_SWITCH_OFF = "UPDATE schedules SET enabled = false WHERE name LIKE 'bench late %'"
_DUE = """
    SELECT e.id, e.generation, extract(epoch FROM c.set_at + (e.scheduled_for - c.at) / c.speed) AS due
    FROM service_task_execution e, market_clock c
"""


def triggers(count: int, day: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield distinct triggers with the moments they fire at, of three kinds in turns. day: when the market opens."""
    begin = ist(day.astimezone(ZoneInfo(_ZONE)).date(), _FROM)
    for number in range(count):
        seconds = int(number * SPAN.total_seconds() / TRIGGERS)
        slot = begin + timedelta(seconds=seconds)
        local = slot.astimezone(ZoneInfo(_ZONE))
        kinds = (
            once(slot),
            f"cron {local.second} {local.minute} {local.hour} {local.day} {local.month} * in {_ZONE}",
            f"open+{int((slot - day).total_seconds())}s",
        )
        yield kinds[number % len(kinds)], slot


async def lateness(people: Subscribers, count: int, told: Told) -> dict[str, float]:
    """Let so many schedules of one subscriber each come due on the second day. Returns their lateness in seconds.

    A scheduler must run, and there must be as many users. The clock is set to that day's noon afterwards.
    """
    told(f"{count:,} schedules of their own times, at {SPEED:.0f} times the market's pace")
    day, world = people.days[1], people.world
    await people.set_clock(day, OPENS)
    laid = list(triggers(count, ist(day, OPENS)))
    await world.rows(_SCHEDULES, triggers=[one for one, _ in laid], slots=[at for _, at in laid])
    await world.rows(_SUBSCRIBE, count=count)
    await people.set_clock(day, _SET_TO, SPEED)
    seen = await _watch(people, count)
    rows = await world.rows(_DUE)
    late = [seen[f"{row.id}.{row.generation}".encode()] - float(row.due) for row in rows]
    await people.clear()
    await world.rows(_SWITCH_OFF)
    await people.set_clock(day, NOON)
    return {"triggers": count, "late_p50_s": median(late), "late_p99_s": p99(late), "late_most_s": max(late)}


async def _watch(people: Subscribers, count: int) -> dict[bytes, float]:
    """Return when each of so many messages was seen on Redis, by its id: a look of ours later than it came there."""
    seen: dict[bytes, float] = {}

    async def all_came() -> bool:
        new, now = await people.world.redis.lrange(READY, len(seen), -1), time.time()
        seen.update({one: now for one in new if isinstance(one, bytes)})
        return len(seen) >= count

    await people.world.until(all_came, _STUCK_SECONDS, f"not every of {count} schedules fired", _LOOK_SECONDS)
    return seen
