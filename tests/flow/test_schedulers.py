"""Several schedulers and workers side by side do what one of each does."""

import json
from collections import Counter
from dataclasses import replace

from ops.replay.plan import exchange_calendar
from tests.flow.agreement import disagreements
from tests.flow.replays import THREE_SESSIONS, Scene, Undisturbed, played
from tests.flow.test_kill_replay import hold_against
from trading.triggers import Daily, next_due, parse_trigger


async def test_two_schedulers_and_two_workers_that_race_trade_as_one_of_each_and_miss_no_slot(
    undisturbed: Undisturbed,
) -> None:
    alone = await undisturbed(THREE_SESSIONS)
    async with played(replace(THREE_SESSIONS, workers=2, threads=4), schedulers=2) as (scene, report):
        assert await disagreements(scene) == {}
        fired = [_fired(scene, name) for name in ("scheduler", "scheduler 2")]
        assert all(fired), fired  # else it was no race
        assert len({*fired[0], *fired[1]}) == len(fired[0]) + len(fired[1])
        await _hold_slots_against_triggers(scene)
    hold_against(report, alone)
    assert sum(worker["executions"] > 0 for worker in report.summary["workers"]) == 2


def _fired(scene: Scene, name: str) -> list[str]:
    """Return the slots a scheduler fired, by its log. None was missed."""
    text = (scene.logs / f"{name}.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    events = Counter(line["event"] for line in lines)
    assert events["slot_missed"] == 0
    return [f"{line['schedule_id']} {line['slot']}" for line in lines if line["event"] == "slot_fired"]


async def _hold_slots_against_triggers(scene: Scene) -> None:
    """Hold every slot that the triggers name against the executions: one for each subject, no more, no fewer."""
    calendar, plan = exchange_calendar(), scene.plan
    schedules = await scene.rows(
        "SELECT s.id, s.task_name, s.trigger, CASE s.scope WHEN 'shared' THEN 1 "
        "WHEN 'parameters' THEN (SELECT count(DISTINCT parameter_hash) FROM user_trading_config) "
        "ELSE (SELECT count(*) FROM broker_accounts) END AS subjects FROM schedules s WHERE s.condition IS NULL"
    )
    assert len(schedules) > 4
    for schedule in schedules:
        made = await scene.rows(
            "SELECT scheduled_for, count(*) FROM service_task_execution WHERE schedule_id = :id GROUP BY 1 ORDER BY 1",
            id=schedule.id,
        )
        due = next_due(parse_trigger(schedule.trigger), calendar, plan.begins_at, True)
        wanted = []
        while due is not None and due <= plan.ends_at:
            wanted.append((due, schedule.subjects))
            due = next_due(parse_trigger(schedule.trigger), calendar, due, True)
        assert [tuple(row) for row in made] == wanted, schedule.task_name
        # A nightly one fires weekly on daily bars, so not at all in three days that begin on a Monday morning.
        assert len(wanted) == (0 if isinstance(parse_trigger(schedule.trigger), Daily) else len(plan.sessions))
