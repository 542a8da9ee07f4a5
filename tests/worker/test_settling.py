"""Outcomes in batches: a bad one ends alone, and what ends lets its user's next on, never more than the share."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.executions import Bell, Execution
from db.shares import ShareRepository
from db.transaction import Database
from tests.people import Person, person, queued, scalar, worker
from tests.waiting import until
from tests.worker import inside
from tests.worker.inside import holds_nothing, running_broker, running_worker
from worker.bells.keys import messages_key
from worker.bells.ringing import Bells
from worker.messages import QUEUES
from worker.outcome import Outcome, done, skipped
from worker.settling import Settler

UNSTORABLE = "failed unstorable_outcome"
ROW = "SELECT status || ' ' || coalesce(reason, '') FROM service_task_execution WHERE subject = :subject"
COUNT = "SELECT count(*) FROM service_task_execution WHERE status = :status"

# Subject -> how its step ends, and what its row says then.
ENDS: dict[str, tuple[Outcome | Exception, str]] = {
    "a status nobody knows": (Outcome("no such status"), UNSTORABLE),
    "half a sign in details": (done(x="\ud800"), UNSTORABLE),
    "half a sign in a key": (Outcome("success", {"\ud800": 1}), UNSTORABLE),
    "half a sign in a reason": (skipped("\ud800"), UNSTORABLE),
    "half a sign in an error": (ValueError("\ud800"), UNSTORABLE),
    "an endless number": (Outcome("success", {"x": 10**5000}), "failed ValueError: Exceeds the limit"),
    "NaN": (done(x=float("nan"), y=float("-inf")), "success "),
    "NUL": (done(**{"a\x00b": "c\x00d"}), "success "),
    "NUL in an error": (ValueError("a\x00b"), "failed ValueError: a�b"),
    "NUL in a reason": (skipped("a\x00b"), "skipped a�b"),
    "a long reason": (skipped("x" * 5000), "skipped " + "x" * 512),
    "a long error": (ValueError("x" * 5000), "failed ValueError: " + "x" * 500),
    "much": (done(x="y" * 2_000_000), "success "),
    "a thing": (Outcome("success", {"x": Decimal("1.5"), "y": object}), "success "),  # type: ignore[dict-item]
}


def endless() -> Outcome:
    """Return an outcome whose details hold themselves."""
    details: dict[str, object] = {}
    details["self"] = details
    return Outcome("success", details)  # type: ignore[arg-type]


def counts(database: Database, **wanted: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: so many executions have these statuses."""

    async def there() -> bool:
        return all([await scalar(database, COUNT, status=status) == count for status, count in wanted.items()])

    return there


async def test_whatever_a_step_leaves_only_its_own_execution_ends_by_it(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    ends = ENDS | {"itself": (endless(), "failed RecursionError: ")}
    subjects = [subject for pair in zip(ends, map(str, range(len(ends))), strict=True) for subject in pair]
    all_at_once = asyncio.Barrier(len(subjects))

    async def step(_: object, execution: Execution) -> Outcome:
        await all_at_once.wait()
        end, _ = ends.get(execution.subject, (done(), ""))
        if isinstance(end, Exception):
            raise end
        return end

    async def over() -> bool:
        return await scalar(database, "SELECT bool_and(finished_at IS NOT NULL) FROM service_task_execution") is True

    async def has_room() -> bool:
        return broker.room.held == 0

    await bells.ring([await queued(database, "prices", subject=subject) for subject in subjects])
    with running_broker(urls, step, threads=len(subjects)) as broker:
        await until(over, 20)
        await until(has_room)
    found = {subject: str(await scalar(database, ROW, subject=subject)) for subject in subjects}
    wanted = {subject: ends[subject][1] if subject in ends else "success " for subject in subjects}
    assert {name: row for name, row in found.items() if not row.startswith(wanted[name])} == {}
    unstorable = sum(row.startswith(UNSTORABLE) for row in found.values())
    assert (
        await scalar(database, "SELECT count(*) FROM error_logs WHERE error_type = 'unstorable_outcome'") == unstorable
    )
    details = "SELECT details::text FROM service_task_execution WHERE subject = 'NaN'"
    assert await scalar(database, details) == '{"x": null, "y": null}'


async def test_what_ends_lets_the_next_of_its_user_on_and_nobody_else_rings(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "SHARE", 2)
    await worker(database)
    asha = await person(database)
    first = await _backlog(database, asha, 20, 2)
    order: list[int] = []

    async def step(_: object, execution: Execution) -> Outcome:
        order.append(execution.id)
        return done()

    await bells.ring(first)
    with running_worker(urls, step):
        await until(counts(database, success=20))
    assert sorted(order) == sorted(set(order))
    assert [abs(id_ - expected) <= 2 for id_, expected in zip(order, sorted(order), strict=True)] == [True] * 20


async def test_two_processes_that_settle_at_once_never_let_more_than_the_share_onto_redis(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "SHARE", 3)
    await worker(database)
    await worker(database, "w2")
    asha = await person(database)
    seen: list[tuple[int, int]] = []
    rung = "SELECT count(*) FROM service_task_execution WHERE is_open AND rung_at IS NOT NULL"

    async def step(*_: object) -> Outcome:
        await asyncio.sleep(0.01)  # the work
        return done()

    async def over() -> bool:
        messages = await bells.redis.hlen(messages_key("default"))
        seen.append((messages, int(str(await scalar(database, rung)))))
        return await scalar(database, COUNT, status="success") == 40

    await bells.ring(await _backlog(database, asha, 40, 3))
    with running_worker(urls, step), running_worker(urls, step, "w2"):
        await until(over, 30)
    assert max(messages for messages, _ in seen) == 3
    assert max(open_ for _, open_ in seen) == 3
    workers = await scalar(database, "SELECT count(DISTINCT worker) FROM service_task_execution")
    assert workers == 2, "only one of the two had anything to settle"


async def test_a_failure_that_is_tried_again_makes_room_for_the_next_while_it_waits(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "SHARE", 1)
    await worker(database)
    asha = await person(database)
    first = await _backlog(database, asha, 2, 1)

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.id == first[0].execution_id:
            raise ConnectionError("away")
        return done()

    await bells.ring(first)
    with running_worker(urls, step):
        await until(counts(database, retrying=1, success=1))


async def test_a_batch_whose_answer_was_lost_is_committed_once(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    lost, write = threading.Event(), Settler._write

    async def write_and_lose(self: Settler, *arguments: object) -> object:
        committed = await write(self, *arguments)  # type: ignore[arg-type]
        if not lost.is_set():
            lost.set()
            raise ConnectionError("the answer was lost")
        return committed

    async def step(_: object, execution: Execution) -> Outcome:
        raise ValueError("no")

    async def nothing_left() -> bool:
        return lost.is_set() and await bells.redis.hlen(messages_key("default")) == 0

    monkeypatch.setattr(Settler, "_write", write_and_lose)
    await bells.ring([await queued(database, "prices")])
    with running_worker(urls, step) as ledger:
        await until(nothing_left)
        await until(lambda: holds_nothing(ledger.room))
    assert await scalar(database, "SELECT count(*) FROM execution_attempts") == 1
    assert await scalar(database, "SELECT count(*) FROM error_logs") == 1


async def _backlog(database: Database, who: Person, count: int, share: int) -> list[Bell]:
    """Queue executions of a user, let the first of them on, and return their bells."""
    for number in range(count):
        await queued(database, "prices", who, subject=str(number))
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET rung_at = NULL"))
        return await ShareRepository(session, share).ring_next([who.user_id], QUEUES)
