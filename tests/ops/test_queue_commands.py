"""Queues, workers, retries and dead letters on the command line: lists, looks, acts, and why something waits."""

import pytest

from config.servers import ServerUrls
from db.healings import HealingRepository
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import Person, person, scalar, worker
from tests.worker.inspection.makings import audited, dead, execution, retrying, row, stock_dead, stock_ready
from worker.bells.keys import dead_key, ready_key, waiting_key
from worker.bells.ringing import Bells

COUNT = "SELECT count(*) FROM service_task_execution WHERE status = :status"


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


@pytest.fixture
async def asha(database: Database) -> Person:
    return await person(database)


@pytest.mark.parametrize("group", ["queues", "workers", "retries", "dead"])
async def test_a_group_alone_lists(database: Database, muhurat: Commands, group: str) -> None:
    assert await muhurat(group) == await muhurat(group, "list")
    listed = await muhurat.json(group)
    assert listed.keys() >= {group}


async def test_retries_are_listed_with_their_executions(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha, reason="BrokerAway: HTTP 502")
    listed = await muhurat.json("retries")
    [entry] = listed["retries"]
    assert (entry["id"], entry["task"], entry["email"]) == (str(bell.execution_id), "order_sync", "asha@example.org")
    assert (entry["attempt"], entry["attempts"], entry["error"]) == (1, 3, "BrokerAway: HTTP 502")
    said = await muhurat("retries", "--user", "asha@example.org", "--error", "502", "--sort", "-age")
    assert "BrokerAway: HTTP 502" in said
    assert "1/3" in said
    assert (await muhurat.json("retries", "--actor", "submit"))["retries"] == []


async def test_pages_of_retries_meet(database: Database, bells: Bells, muhurat: Commands, asha: Person) -> None:
    made = [str(bell.execution_id) for bell in await retrying(database, bells, asha, count=5)]
    first = await muhurat.json("retries", "list", "--limit", "3")
    rest = await muhurat.json("retries", "list", "--limit", "3", "--before", first["next"])
    assert [entry["id"] for entry in first["retries"] + rest["retries"]] == made
    assert rest["next"] is None
    assert f"there are more: --before {first['next']}" in await muhurat("retries", "--limit", "3")


async def test_a_retry_is_run_by_its_id_and_audited_with_who(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    done = await muhurat.json("retries", "run", str(bell.execution_id), "--as", "bala")
    assert done["counts"] == {"done": 1, "would": 0, "lost": 0, "refused": 0, "unsure": 0}
    assert (done["group"], done["action"], done["matched"], done["results"][0]["verdict"]) == (
        "retries",
        "run",
        1,
        "done",
    )
    assert await bells.redis.llen(ready_key("orders")) == 1
    assert [(actor, action) for actor, action, *_ in await audited(database)] == [("bala", "run")]


async def test_what_was_lost_or_refused_is_told_on_stdout_and_is_code_one(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    bell = await dead(database, bells, asha)
    said = await muhurat("retries", "run", "999", str(bell.execution_id), "--as", "bala", code=1, out=True)
    assert "999: refused: there is no execution 999" in said
    assert f"{bell.execution_id}: lost: it has ended: it is failed" in said
    assert "1 lost, 1 refused" in said


async def test_an_edit_says_when_in_indian_time_or_in_how_long(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    words = ("retries", "edit", str(bell.execution_id), "--as", "bala")
    await muhurat.json(*words, "--due", "2126-11-27 09:10", "--attempts-left", "2", "--to-queue", "default")
    due, queue = await row(database, bell, "next_attempt_at::text, queue")
    assert (due[:15], queue) in ((f"2126-11-27 03:{ten}", "default") for ten in "34")
    await muhurat.json(*words, "--in", "5m")
    assert await bells.redis.zcard(waiting_key("default")) == 1


async def test_all_that_match_are_counted_first_and_changed_only_with_a_yes(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    bala = await person(database, "bala")
    await retrying(database, bells, asha, count=3)
    await retrying(database, bells, bala, count=2)
    words = ("retries", "delete", "--all-matching", "--user", "asha@example.org", "--as", "chitra")
    dry = await muhurat.json(*words, "--dry-run")
    assert (dry["matched"], dry["dry_run"], dry["results"]) == (3, True, [])
    assert "3 of retries match: give --yes to delete them" in await muhurat(*words, code=2)
    assert await scalar(database, COUNT, status="retrying") == 5
    done = await muhurat.json(*words, "--yes")
    assert (done["matched"], done["counts"]["done"]) == (3, 3)
    assert await scalar(database, COUNT, status="retrying") == 2
    assert len(await audited(database)) == 3


async def test_a_dry_run_of_ids_says_what_would_be_and_changes_nothing(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    gone = await dead(database, bells, asha, subject="2")
    await stock_dead(bells, "abc")
    words = ("--as", "bala", "--dry-run")
    for group, action, id_ in (
        ("retries", "kill", str(bell.execution_id)),
        ("dead", "requeue", str(gone.execution_id)),
        ("dead", "delete", "abc"),
    ):
        said = await muhurat.json(group, action, id_, *words)
        assert said["counts"]["would"] == 1, said
    assert await row(database, bell) == ("retrying", 1)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 2
    assert await bells.redis.zcard(dead_key("orders")) == 2
    assert await audited(database) == []


async def test_dead_letters_are_requeued_for_all_that_match_an_error(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    for number in range(3):
        await dead(database, bells, asha, subject=str(number + 1), task="notify")
    await stock_dead(bells, "abc", error='{"error":"Boom of a stock client","at":1}')
    await stock_dead(bells, "other", error='{"error":"something else","at":1}')
    words = ("dead", "requeue", "--all-matching", "--error", "boom", "--as", "bala", "--yes")
    done = await muhurat.json(*words)
    assert (done["matched"], done["counts"]["done"]) == (4, 4)
    assert [entry["id"] for entry in (await muhurat.json("dead"))["dead"]] == ["other"]
    assert await bells.redis.llen(ready_key("orders")) == 4
    assert (await muhurat.json(*words))["matched"] == 0


async def test_ten_thousand_are_ended_some_at_a_time(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    many = "SELECT count(*) FROM audit_logs WHERE action = 'delete'"
    async with database.transaction(None) as session:
        await (await session.connection()).exec_driver_sql(
            "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, subject, queue, status, as_of) "
            f"SELECT timestamptz '2024-01-02 02:30Z', 'notify', {asha.user_id}, g::text, 'default', 'queued', now() "
            "FROM generate_series(1, 10000) g"
        )
    words = ("queues", "delete", "--all-matching", "--queue", "default", "--as", "bala", "--yes")
    done = await muhurat.json(*words)
    assert (done["matched"], done["counts"]["done"], len(done["results"])) == (10_000, 10_000, 1000)
    assert await scalar(database, COUNT, status="cancelled") == 10_000
    assert await scalar(database, many) == 10_000


async def test_queues_are_listed_and_each_is_shown_with_what_is_next(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    await stock_ready(bells, "s")
    bell = await execution(database, "queued", asha)
    listed = await muhurat.json("queues")
    orders = listed["queues"][0]
    assert (orders["queue"], orders["ready"], orders["backlog"], orders["workers"]) == ("orders", 1, 1, 0)
    assert "no live worker serves orders" in await muhurat("queues")
    shown = await muhurat.json("queues", "show", "orders")
    assert [one["message_id"] for one in shown["ready"]["messages"]] == ["s"]
    assert [one["id"] for one in shown["backlog"]["executions"]] == [bell.execution_id]
    mine = await muhurat.json("queues", "--user", "asha@example.org")
    assert (mine["queues"][0]["ready"], mine["queues"][0]["backlog"]) == (None, 1)
    assert (await muhurat.json("queues", "show", str(bell.execution_id)))["execution"]["task_name"] == "order_sync"
    assert "Behind their users' share of orders" in await muhurat("queues", "show", "orders")


async def test_gauges_tell_what_is_wrong_and_what_was_put_right(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    await execution(database, "running", asha, worker="nobody")
    await retrying(database, bells, asha, seconds=-30, subject="2")
    await stock_ready(bells, "adrift")
    await bells.redis.lpop(ready_key("orders"))
    async with database.transaction(None) as session:
        await HealingRepository(session).record({"late": (2, None)})
    found = (await muhurat.json("queues", "--gauges"))["gauges"]
    assert (found["orphans"], found["unsettled"], found["leaked"]) == (1, 1, 1)
    assert found["leaks"]["orders"]["lost"] == ["adrift"]
    assert found["oldest_overdue_seconds"] >= 30
    assert [(one["kind"], one["count"]) for one in found["healed"]] == [("late", 2)]
    said = await muhurat("queues", "list", "--gauges")
    assert "Healed in the last hour" in said
    assert "gauges" not in await muhurat.json("queues")


async def test_workers_are_listed_and_each_is_shown_with_what_it_runs(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    await worker(database, "w1")
    bell = await execution(database, "running", asha, worker="w1")
    await bells.beat(["w1", "a sender"])
    listed = await muhurat.json("workers")
    assert [(one["name"], one["state"], one["running"]) for one in listed["workers"]] == [("w1", "live", 1)]
    assert [one["name"] for one in listed["clients"]] == ["a sender"]
    shown = await muhurat.json("workers", "show", "w1")
    assert [one["id"] for one in shown["running"]] == [bell.execution_id]
    assert "a sender" in await muhurat("workers")
    assert "order_sync" in await muhurat("workers", "show", "w1")


async def test_one_is_shown_whole(database: Database, bells: Bells, muhurat: Commands, asha: Person) -> None:
    bell = await dead(database, bells, asha)
    shown = await muhurat.json("dead", "show", str(bell.execution_id))
    assert (shown["message"]["place"], shown["execution"]["status"]) == ("dead", "failed")
    assert shown["message"]["message"]["actor_name"] == "order_sync"
    assert shown["timeline"][0]["what"] == "made"
    said = await muhurat("dead", "show", str(bell.execution_id))
    assert "Its message, dead in orders" in said
    assert "Boom: it broke" in said
    await stock_dead(bells, "abc")
    assert (await muhurat.json("dead", "show", "abc"))["execution"] is None


async def test_why_something_waits_is_said_for_an_id_and_for_a_user_and_task(
    database: Database, bells: Bells, muhurat: Commands, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha, task="buy_orders", reason="BrokerAway: no")
    found = await muhurat.json("why-waiting", str(bell.execution_id))
    [one] = found["waits"]
    assert (one["execution_id"], one["reasons"][0]["code"]) == (bell.execution_id, "back_off")
    of_slot = await muhurat.json("why-waiting", "asha@example.org", "buy_orders", "2024-01-02 08:00")
    assert of_slot["waits"][0]["execution_id"] == bell.execution_id
    said = await muhurat("why-waiting", "asha@example.org", "buy_orders")
    assert "attempt 2 of 3 is due at" in said
    assert "no scheduler is alive" in said
    assert (await muhurat.json("why-waiting", "-", "prices"))["waits"][0]["execution_id"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retries", "run", "--as", "bala"), "name ids, or --all-matching with filters"),
        (
            ("retries", "run", "1", "--all-matching", "--as", "bala"),
            "name ids, or filters with --all-matching: not both",
        ),
        (("retries", "run", "1", "--actor", "x", "--as", "bala"), "not both"),
        (("retries", "run", "1"), "MUHURAT_OPERATOR"),
        (("retries", "edit", "1", "--as", "bala"), "say what shall be another: --due, --in"),
        (
            ("retries", "edit", "1", "--due", "2026-11-27 09:10", "--in", "5m", "--as", "bala"),
            "--due or --in: not both",
        ),
        (("retries", "edit", "1", "--in", "5", "--as", "bala"), "--in 5: write a span like 30s"),
        (("retries", "edit", "1", "--due", "soon", "--as", "bala"), "--due soon: write a time in IST"),
        (("retries", "edit", "1", "--to-queue", "x", "--as", "bala"), "--to-queue 'x': use one of orders, strategy"),
        (("retries", "--sort", "x"), "--sort 'x': use one of due, -due, age"),
        (("dead", "--sort", "due"), "--sort 'due': use one of -died, died"),
        (("retries", "--before", "x"), "--before 'x' is no cursor of this list"),
        (("retries", "--older", "x"), "--older x: write a span"),
        (("retries", "--user", "nobody"), "there is no user 'nobody'"),
        (("dead", "show", "99"), "there is no queue, execution or message '99'"),
        (("queues", "show", "nosuch"), "there is no queue, execution or message 'nosuch'"),
        (("workers", "show", "nosuch"), "there is no worker 'nosuch'"),
        (("why-waiting", "99"), "there is no execution 99"),
        (("why-waiting", "x"), "ID x: give an id"),
        (("why-waiting", "1", "2", "3", "4"), "give an execution's id, or a user, a task"),
        (("why-waiting", "-", "bogus"), "TASK 'bogus': use one of prices"),
        (("why-waiting", "-", "prices", "soon"), "SLOT soon: write a time in IST"),
    ],
)
async def test_what_cannot_be_asked_is_one_line_with_the_cure(
    database: Database, muhurat: Commands, words: tuple[str, ...], said: str
) -> None:
    error = await muhurat(*words, code=2)
    assert said in error
    assert error.count("\n") == 1
