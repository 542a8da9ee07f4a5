"""`muhurat services`, and start and stop of one: what people read, what programs read, and the exit codes."""

import json

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import person, replay_from, scalar
from tests.services import execution, order, switched


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def test_a_start_lists_all_that_is_missing_each_with_its_cure(database: Database, muhurat: Commands) -> None:
    who = await person(database)
    await switched(database, who, running=False)
    await replay_from(database)
    await change(database, "UPDATE broker_accounts SET status = 'blocked'")
    await change(database, "DELETE FROM user_trading_config")
    said = await muhurat("users", "start", "asha@example.org", "--as", "ravi", code=1)
    assert "cannot start, nothing was changed; missing:" in said
    assert "  configuration: " in said
    assert f"  account: there is no active account; `muhurat accounts unblock ID` of {who.account_id}" in said
    refused = await muhurat("users", "start", "asha@example.org", "--as", "ravi", "--json", code=1, out=True)
    assert [one["what"] for one in json.loads(refused)["missing"]] == ["configuration", "account"]
    assert await scalar(database, "SELECT service_running FROM service_status") is False


async def test_a_second_start_or_stop_says_that_it_is_so_already(database: Database, muhurat: Commands) -> None:
    await person(database)
    await replay_from(database)
    again = await muhurat.json("users", "start", "asha@example.org", "--as", "ravi")
    assert (again["changed"], again["service_running"], again["by"]) == (False, True, "a test")
    assert "it runs already, nothing was changed" in await muhurat("services", "start", "asha@example.org", "--as", "x")
    first = await muhurat.json("users", "stop", "asha@example.org", "--as", "ravi")
    assert (first["changed"], first["generation"]) == (True, 2)
    second = await muhurat("services", "stop", "asha@example.org", "--as", "priya")
    assert "it is stopped already, nothing was changed" in second
    assert "by ravi" in second
    assert await scalar(database, "SELECT count(*) FROM audit_logs") == 1


async def test_a_stop_says_what_was_cancelled_and_what_goes_on(database: Database, muhurat: Commands) -> None:
    who = await person(database)
    await order(database, who)
    await execution(database, "buy_orders", who)
    await execution(database, "sell_monitor", who, "running")
    said = await muhurat("users", "stop", "asha@example.org", "--as", "ravi")
    assert "cancelled 1" in said
    assert "still running and let finish: 1; live orders, looked after until they are final: 1" in said


async def test_services_are_listed_with_their_state_a_page_at_a_time(database: Database, muhurat: Commands) -> None:
    people = [await person(database, name) for name in ("asha", "bala", "chitra")]
    await order(database, people[1])
    for who in people[1:]:
        await switched(database, who, running=False)
    page = await muhurat.json("services", "--limit", "2")
    assert [row["state"] for row in page["services"]] == ["running", "stopping"]
    rest = await muhurat.json("services", "--after", str(page["next"]))
    assert [row["state"] for row in rest["services"]] == ["stopped"]
    assert rest["next"] is None
    assert "stopping" in await muhurat("services")
    assert [row["service"] for row in (await muhurat.json("users"))["users"]] == ["running", "stopping", "stopped"]
    accounts = (await muhurat.json("status"))["accounts"]
    assert [row["service"] for row in accounts] == ["running", "stopping", "stopped"]


async def test_one_service_is_shown_whole(database: Database, muhurat: Commands) -> None:
    who = await person(database)
    await replay_from(database)
    await order(database, who, "parked")
    await execution(database, "sell_monitor", who, "running")
    await change(database, "UPDATE service_status SET last_heartbeat = now() - interval '3 h'")
    shown = await muhurat.json("services", "show", "asha@example.org")
    assert shown["service"]["state"] == "running"
    assert 10_790 < shown["service"]["heartbeat_seconds"] < 11_500
    assert [one["task_name"] for one in shown["in_flight"]] == ["sell_monitor"]
    assert [one["status"] for one in shown["live_orders"]] == ["parked"]
    said = await muhurat("services", "show", "asha@example.org")
    for words in ("Service of asha@example.org", "a test", "3 h ago", "Live orders, looked after", "no worker runs"):
        assert words in said
    assert "missing" not in said
    await switched(database, who, running=False)
    assert "nothing is missing: `muhurat users start asha@example.org`" in await muhurat(
        "services", "show", str(who.user_id)
    )


async def test_who_is_not_there_is_one_line(database: Database, muhurat: Commands) -> None:
    await person(database)
    for words in (("services", "show", "nobody"), ("services", "stop", "nobody", "--as", "ravi")):
        assert "there is no user 'nobody'" in await muhurat(*words, code=2)
