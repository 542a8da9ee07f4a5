"""Lists tell of what waits and is dead as it is: filtered, sorted, page by page without gap or repeat."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from db.executions import Bell
from db.transaction import Database
from tests.people import MORNING, Person, person
from tests.worker.inspection.makings import bury, dead, execution, reach_of, retrying, stock_dead
from worker.bells.keys import dead_key, dead_messages_key, waiting_key, waiting_messages_key
from worker.bells.ringing import Bells
from worker.inspection import listing
from worker.inspection.acting import select
from worker.inspection.listing import BadCursorError, Entry, Page
from worker.inspection.reach import Reach, Wish
from worker.inspection.results import Group
from worker.wire import encode, message_id

MANY = 10_000


@pytest.fixture
async def asha(database: Database) -> Person:
    return await person(database)


async def _retries(reach: Reach, wish: Wish | None = None, **how: object) -> list[str]:
    page = await listing.retries(reach, wish or Wish(), **how)  # type: ignore[arg-type]  # a test's own
    return [entry.id for entry in page.entries]


async def _ten_thousand(database: Database, bells: Bells, key: str, messages: str) -> list[str]:
    """Make ten thousand executions with their messages, half of them of one moment. Returns their ids."""
    query = (
        "INSERT INTO service_task_execution (scheduled_for, task_name, subject, queue, status, as_of, next_attempt_at) "
        "SELECT CAST(:at AS timestamptz) + g * interval '1 s', 'prices', '', 'default', 'retrying', :at, now() "
        "FROM generate_series(1, :many) g RETURNING id, scheduled_for"
    )
    async with database.transaction(None) as session:
        made = (await session.execute(text(query), {"at": MORNING, "many": MANY})).all()
    rung = [Bell("prices", "default", row.scheduled_for, row.id, 1) for row in made]
    moments = {message_id(bell): 2_000_000_000_000 + (n if n % 2 else 0) for n, bell in enumerate(rung)}
    await bells.redis.zadd(key, moments)
    await bells.redis.hset(messages, mapping={message_id(bell): encode(bell) for bell in rung})
    return [str(bell.execution_id) for bell in rung]


@pytest.mark.parametrize("kind", ["waiting", "dead"])
@pytest.mark.parametrize("sort", ["due", "-due", "-task"])
async def test_pages_of_ten_thousand_meet_without_gap_or_repeat(
    database: Database, bells: Bells, kind: str, sort: str
) -> None:
    keys = {"waiting": (waiting_key, waiting_messages_key), "dead": (dead_key, dead_messages_key)}
    made = await _ten_thousand(database, bells, *(key("default") for key in keys[kind]))
    reach, cursor = reach_of(database, bells), None
    seen: list[Entry] = []
    order = sort.replace("due", "died") if kind == "dead" else sort
    for _ in range(MANY // 3000 + 1):
        look = listing.retries if kind == "waiting" else listing.dead
        page: Page = await look(reach, Wish(), sort=order, limit=3000, cursor=cursor)
        seen += page.entries
        cursor = page.next
    assert cursor is None
    assert sorted(entry.id for entry in seen) == sorted(made)
    if sort != "-task":
        moments = [entry.at for entry in seen]
        assert moments == sorted(moments, reverse=sort.startswith("-"))


async def test_a_page_goes_on_behind_a_message_that_is_gone_by_then(
    database: Database, bells: Bells, asha: Person
) -> None:
    made = [str(bell.execution_id) for bell in await retrying(database, bells, asha, count=5)]
    at = {f"{id_}.1": 2_000_000_000_000 for id_ in made}
    await bells.redis.zadd(waiting_key("orders"), at)
    reach = reach_of(database, bells)
    first = await listing.retries(reach, Wish(), limit=2)
    await bells.redis.zrem(waiting_key("orders"), first.entries[1].message_id)
    rest = await listing.retries(reach, Wish(), limit=9, cursor=first.next)
    assert [entry.id for entry in (*first.entries, *rest.entries)] == sorted(made)


async def test_retries_can_be_narrowed_to_actor_user_queue_error_and_age(
    database: Database, bells: Bells, asha: Person
) -> None:
    bala = await person(database, "bala")
    [first] = await retrying(database, bells, asha, reason="BrokerAway: HTTP 502")
    [second] = await retrying(database, bells, bala, task="notify", queue="default", seconds=50, subject="7")
    [shared] = await retrying(database, bells, None, task="prices", queue="default", seconds=40)
    async with database.transaction(None) as session:
        query = "UPDATE service_task_execution SET created_at = now() - interval '1 hour' WHERE id = :id"
        await session.execute(text(query), {"id": second.execution_id})
    reach = reach_of(database, bells)
    one, two, three = (str(bell.execution_id) for bell in (first, second, shared))
    assert await _retries(reach) == [three, two, one]
    assert await _retries(reach, Wish(user_id=asha.user_id)) == [one]
    assert await _retries(reach, Wish(task="notify")) == [two]
    assert await _retries(reach, Wish(queue="default")) == [three, two]
    assert await _retries(reach, Wish(error="http 50")) == [one]
    assert await _retries(reach, Wish(older_seconds=600)) == [two]
    assert await _retries(reach, Wish(newer_seconds=600)) == [three, one]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("due", "cba"),
        ("-due", "abc"),
        ("task", "acb"),
        ("-task", "bca"),
        ("user", "bac"),
        ("age", "abc"),
        ("-age", "cba"),
    ],
)
async def test_retries_can_be_sorted(database: Database, bells: Bells, asha: Person, sort: str, order: str) -> None:
    bala = await person(database, "bala")
    made = {
        "a": await retrying(database, bells, asha, task="eod_cleanup", seconds=90),
        "b": await retrying(database, bells, None, task="prices", seconds=60),
        "c": await retrying(database, bells, bala, task="order_sync", seconds=30),
    }
    names = {str(bell.execution_id): name for name, [bell] in made.items()}
    reach = reach_of(database, bells)
    assert "".join(names[id_] for id_ in await _retries(reach, sort=sort)) == order
    first = await listing.retries(reach, Wish(), sort=sort, limit=1)
    rest = await listing.retries(reach, Wish(), sort=sort, limit=5, cursor=first.next)
    assert "".join(names[entry.id] for entry in (*first.entries, *rest.entries)) == order


async def test_an_entry_tells_of_its_execution_and_of_its_time(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha, reason="BrokerAway: no")
    [entry] = (await listing.retries(reach_of(database, bells), Wish())).entries
    assert (entry.execution_id, entry.message_id, entry.task, entry.queue) == (
        bell.execution_id, f"{bell.execution_id}.1", "order_sync", "orders",
    )  # fmt: skip
    assert (entry.email, entry.status, entry.attempt, entry.attempts) == ("asha@example.org", "retrying", 1, 3)
    assert (entry.error, entry.is_stale) == ("BrokerAway: no", False)
    assert 50 < entry.seconds <= 60


async def test_a_message_whose_execution_has_gone_on_is_called_stale(
    database: Database, bells: Bells, asha: Person
) -> None:
    await retrying(database, bells, asha)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET generation = 9, status = 'queued'"))
    [entry] = (await listing.retries(reach_of(database, bells), Wish())).entries
    assert (entry.is_stale, entry.status, entry.generation) == (True, "queued", 1)


async def test_dead_letters_of_all_queues_come_newest_first_with_their_errors(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await dead(database, bells, asha)
    other = await execution(
        database, "failed", asha, at=MORNING + timedelta(hours=1), queue="default", reason="Late: yes"
    )
    await bury(bells, other, 1_700_000_009_000)
    await stock_dead(bells, "zzz", message=b"{", error='{"error":"not JSON","at":1}')
    page = await listing.dead(reach_of(database, bells), Wish())
    assert [(entry.id, entry.queue, entry.error) for entry in page.entries] == [
        (str(other.execution_id), "default", "Late: yes"),
        ("zzz", "orders", "not JSON"),
        (str(bell.execution_id), "orders", "Boom: it broke"),
    ]
    stray = page.entries[1]
    assert (stray.execution_id, stray.task, stray.status) == (None, None, None)


async def test_queues_that_nobody_declared_are_found(database: Database, bells: Bells) -> None:
    await bells.redis.zadd(dead_key("their.queue"), {"x": 1})
    await bells.redis.hset(dead_messages_key("their.queue"), "x", b"{}")
    page = await listing.dead(reach_of(database, bells), Wish())
    assert [(entry.queue, entry.id) for entry in page.entries] == [("their.queue", "x")]


async def test_who_asks_for_a_user_sees_nothing_of_others(database: Database, bells: Bells, asha: Person) -> None:
    bala = await person(database, "bala")
    mine = await dead(database, bells, asha)
    await dead(database, bells, bala)
    await dead(database, bells, None, task="prices")
    await stock_dead(bells, "stray")
    page = await listing.dead(reach_of(database, bells), Wish(user_id=asha.user_id))
    assert [entry.id for entry in page.entries] == [str(mine.execution_id)]


async def test_a_message_longer_than_a_page_can_hold_is_told_of_by_its_length(database: Database, bells: Bells) -> None:
    await stock_dead(bells, "huge", message=b"x" * 100_000)
    [entry] = (await listing.dead(reach_of(database, bells), Wish())).entries
    assert (entry.id, entry.task, entry.length) == ("huge", None, 100_000)


@pytest.mark.parametrize("cursor", ["x", "", "W10", "WyJkdWUiLCAxLCAib3JkZXJzIl0", "bnVsbA"])
async def test_a_cursor_that_no_list_gave_is_refused(database: Database, bells: Bells, cursor: str) -> None:
    with pytest.raises(BadCursorError, match="is no cursor of this list"):
        await listing.retries(reach_of(database, bells), Wish(), cursor=cursor)


async def test_what_a_wish_selects_is_what_it_lists(database: Database, bells: Bells, asha: Person) -> None:
    bala = await person(database, "bala")
    mine = await retrying(database, bells, asha, count=3)
    await retrying(database, bells, bala, count=2)
    selection = await select(reach_of(database, bells), Group.RETRIES, Wish(user_id=asha.user_id))
    refs = [ref for chunk in selection.chunks() for ref in chunk]
    assert (len(selection), [ref.execution_id for ref in refs]) == (3, [bell.execution_id for bell in mine])
    assert [(ref.slot, ref.generation) for ref in refs] == [(bell.scheduled_for, 1) for bell in mine]


async def test_what_is_queued_is_selected_whether_it_was_rung_or_not(
    database: Database, bells: Bells, asha: Person
) -> None:
    rung = await execution(database, "queued", asha)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET rung_at = now()"))
    behind = await execution(database, "queued", asha, subject="2")
    await execution(database, "queued", await person(database, "bala"))
    await execution(database, "running", asha, subject="3", worker="w1")
    selection = await select(reach_of(database, bells), Group.QUEUES, Wish(user_id=asha.user_id, task="order_sync"))
    ids = sorted(ref.execution_id or 0 for chunk in selection.chunks() for ref in chunk)
    assert ids == [rung.execution_id, behind.execution_id]
