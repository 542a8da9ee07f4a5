"""Every promise of the suite sees what breaks it, and nothing in a record that is as it must be."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ops.chaos.eye import Eye
from ops.chaos.ground import Ground, prepared
from ops.chaos.house import House
from ops.chaos.instruments import EMPTY
from ops.chaos.promises import LATE_SECONDS, PROMISES
from ops.chaos.scene import Scene
from ops.chaos.watch import Watched

ACCEPT = (
    "INSERT INTO service_task_execution (scheduled_for, task_name, subject, queue, status, as_of) "
    "VALUES (now(), 'notify', 'chaos:{number}:{word}', 'default', 'queued', now())"
)
CLAIM = (
    "UPDATE service_task_execution SET status = 'running', attempt = attempt + 1, worker = 'w', rung_at = now(), executed_at = now() "
    "WHERE subject LIKE 'chaos:{number}:%'"
)
BEGIN = "INSERT INTO chaos_begins (execution_id, generation) SELECT id, generation FROM service_task_execution WHERE subject LIKE 'chaos:{number}:%'"
EFFECT = "INSERT INTO chaos_effects (key, execution_id, generation) SELECT 'effect:' || id, id, generation FROM service_task_execution WHERE subject LIKE 'chaos:{number}:%'"
END = (
    "UPDATE service_task_execution SET status = '{status}', finished_at = now(), duration_seconds = 0.1, reason = 'r', "
    "details = '{{\"effects\": 1}}' WHERE subject LIKE 'chaos:{number}:%'"
)
AGAIN = (
    "INSERT INTO service_task_execution (scheduled_for, task_name, subject, queue, status, as_of, parent_id) "
    "SELECT now(), 'notify', 'again', 'default', 'queued', now(), id FROM service_task_execution WHERE subject LIKE 'chaos:0:%'"
)
# Else it would have to be looked after by a scheduler and a worker.
NOBODY_IS_SERVED = "UPDATE service_status SET service_running = false"
HALT = "INSERT INTO chaos_halts (halt_id) VALUES (1)"
SENDING = "INSERT INTO chaos_orders (order_id, became) VALUES (1, 'sending')"
PLANNED = SENDING.replace("sending", "planned")
UNKNOWN = (
    "INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag, strategy, "
    "leg, rank, reference_price, as_of, session_day, config_version) SELECT user_id, id, 'A', 'buy', 'market', 'amo', 1, "
    "'unknown', 'k', 't', 'dip', 'entry', 1, 1, now(), current_date, 1 FROM broker_accounts ORDER BY id LIMIT 1"
)
SENT = "INSERT INTO chaos_sends (order_id) VALUES (1)"
PASS = BEGIN.replace("chaos_begins", "chaos_passes")
WELL = (ACCEPT, CLAIM, BEGIN, PASS, EFFECT, END)
FAILED_WELL = (
    "INSERT INTO execution_attempts (execution_id, scheduled_for, attempt, generation, outcome) SELECT id, scheduled_for, 1, 1, 'failed' FROM service_task_execution",
)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with (
        tempfile.TemporaryDirectory(prefix="muhurat-", ignore_cleanup_errors=True) as folder,
        prepared(Path(folder)) as made,
    ):
        yield made


def looked(ground: Ground, statements: tuple[str, ...], *, acted: bool = False, longest: float = 0.0) -> dict[str, str]:
    """Return what promises say is broken once statements were run one after another on an empty record."""

    async def look() -> dict[str, str]:
        eye, redis = Eye(ground.urls.database), Redis.from_url(ground.urls.redis)
        scene = Scene(ground, House({}, ground.folder, ground.folder / "gate", 0.0), eye, redis, acted=acted)
        for statement in (EMPTY, NOBODY_IS_SERVED, *statements):
            await eye.rows(statement.format(number=0, word="ok", status="success") if "{" in statement else statement)
        found = {one.name: (await one.look(scene, Watched(1, longest))).violations for one in PROMISES}
        eye.close()
        await redis.aclose()
        return {name: said[0] for name, said in found.items() if said}

    return asyncio.run(look())


def test_a_record_as_it_must_be_breaks_no_promise(ground: Ground) -> None:
    assert looked(ground, WELL) == {}


def test_what_was_on_its_way_before_a_halt_may_be_asked_of_its_broker_after_it(ground: Ground) -> None:
    assert looked(ground, (*WELL, SENDING, HALT, SENT)) == {}


def test_what_a_broker_never_got_may_be_asked_again_and_is_planned_again_after_a_halt(ground: Ground) -> None:
    assert looked(ground, (*WELL, PLANNED, SENDING, SENT, PLANNED, SENDING, SENT, HALT, PLANNED)) == {}


@pytest.mark.parametrize(
    ("promise", "said", "statements"),
    [
        ("one_final_state", "queued", (ACCEPT,)),
        ("one_final_state", "vanished", (*WELL, "DELETE FROM service_task_execution")),
        ("one_final_state", "changed after its end", (*WELL, END.replace("{status}", "failed"))),
        ("ends_as_it_must", "chaos:0:ok failed", (*WELL[:-1], END.replace("{status}", "failed"), *FAILED_WELL)),
        ("effects_once", "began twice", (*WELL, BEGIN)),
        ("effects_once", "used twice", (*WELL, "INSERT INTO chaos_doubles VALUES ('effect:1', 1)")),
        ("effects_once", "without its effect", (ACCEPT, CLAIM, BEGIN, PASS, END)),
        ("effects_once", "did not hold", (ACCEPT, PASS, CLAIM, BEGIN, EFFECT, END)),
        (
            "effects_once",
            "did not hold",
            (ACCEPT, CLAIM, BEGIN, "UPDATE service_task_execution SET generation = 2", PASS.replace("generation FROM", "1 FROM"), EFFECT, END),
        ),
        (
            "retries_on_time",
            "later than due",
            (ACCEPT, CLAIM, f"UPDATE service_task_execution SET status = 'retrying', next_attempt_at = now() - interval '{LATE_SECONDS + 1} s'"),
        ),
        ("halts_hold", "1 sending", (PLANNED, HALT, SENDING, SENT)),
        ("halts_hold", "1 planned", (HALT, PLANNED)),
        ("halts_hold", "without being sent", (SENT, SENDING)),
        ("halts_hold", "asked of a broker twice", (SENDING, SENT, HALT, SENT)),
        ("halts_hold", "1 sending", (PLANNED, SENDING, HALT, PLANNED, SENDING)),
        ("halts_hold", "left without an end", (UNKNOWN,)),
        ("record_is_whole", "what_runs_is_held", (ACCEPT, CLAIM, "UPDATE service_task_execution SET executed_at = now() - interval '1 min'")),
    ],
)  # fmt: skip
def test_what_breaks_a_promise_is_seen_by_it(
    ground: Ground, promise: str, said: str, statements: tuple[str, ...]
) -> None:
    assert said in looked(ground, statements).get(promise, "kept")


@pytest.mark.parametrize("times", [0, 2])
def test_a_dead_letter_is_done_again_once_by_whoever_asked_for_it(ground: Ground, times: int) -> None:
    dead = (*WELL[:-1], END.replace("{status}", "failed"))
    again = [AGAIN.replace("now(), 'notify'", f"now() + interval '{number} s', 'notify'") for number in range(times)]
    assert "requeued once" in looked(ground, (*dead, *again), acted=True)["actions_once"]
    assert "actions_once" not in looked(ground, (*dead, AGAIN), acted=True)


def test_what_stood_running_without_a_lease_for_too_long_is_seen(ground: Ground) -> None:
    assert "running_is_leased" in looked(ground, WELL, longest=LATE_SECONDS + 1)
    assert "running_is_leased" not in looked(ground, WELL, longest=LATE_SECONDS - 1)
