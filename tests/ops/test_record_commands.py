"""Executions, orders and positions can be listed a page at a time and looked into one by one."""

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import Person, person, queued


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def _order(database: Database, who: Person, execution_id: int, symbol: str = "INFY") -> int:
    async with database.transaction(None) as session:
        order_id: int = (
            await session.execute(
                text(
                    "INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, "
                    "status, intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version) "
                    "VALUES (:user, :account, :execution, :symbol, 'buy', 'market', 'amo', 3, 'filled', :symbol, :symbol, "
                    "'dip', 'entry', 1, 1, now(), '2024-01-03', 1) RETURNING id"
                ),
                {"user": who.user_id, "account": who.account_id, "execution": execution_id, "symbol": symbol},
            )
        ).scalar_one()
        await session.execute(
            text(
                "INSERT INTO order_events (user_id, order_id, event, to_status, at) "
                "VALUES (:user, :order, 'planned', 'planned', now())"
            ),
            {"user": who.user_id, "order": order_id},
        )
    return order_id


async def test_pages_of_executions_meet_without_gap_or_repeat(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    made = [(await queued(database, "order_sync", asha, subject=str(number))).execution_id for number in range(5)]
    first = await muhurat.json("executions", "list", "--limit", "3")
    rest = await muhurat.json("executions", "list", "--limit", "3", "--before", first["next"])
    listed = [row["id"] for row in first["executions"] + rest["executions"]]
    assert listed == sorted(made, reverse=True)
    assert rest["next"] is None


async def test_executions_can_be_narrowed_to_user_task_status_and_day(database: Database, muhurat: Commands) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    wanted = await queued(database, "order_sync", asha)
    await queued(database, "order_sync", bala)
    await queued(database, "buy_orders", asha)
    words = ("--user", "asha@example.org", "--task", "order_sync", "--status", "queued", "--day", "2024-01-02")
    found = await muhurat.json("executions", "list", *words)
    assert [row["id"] for row in found["executions"]] == [wanted.execution_id]
    assert (await muhurat.json("executions", "list", "--day", "2024-01-03"))["executions"] == []


async def test_an_execution_is_shown_with_its_attempts_errors_orders_and_follow_ups(
    database: Database, muhurat: Commands
) -> None:
    asha = await person(database)
    bell = await queued(database, "buy_orders", asha)
    order_id = await _order(database, asha, bell.execution_id)
    async with database.transaction(None) as session:
        for statement in (
            (
                "INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome) "
                "VALUES (:id, now(), :user, 1, 1, 'lost')"
            ),
            (
                "INSERT INTO error_logs (user_id, execution_id, error_type, error_message, traceback) "
                "VALUES (:user, :id, 'Oversold', 'sold too much', 'the end')"
            ),
            (
                "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, queue, status, as_of, parent_id) "
                "SELECT scheduled_for, 'submit', :user, 'orders', 'queued', as_of, :id FROM service_task_execution "
                "WHERE id = :id"
            ),
        ):
            await session.execute(text(statement), {"id": bell.execution_id, "user": asha.user_id})
    found = await muhurat.json("executions", "show", str(bell.execution_id))
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["lost"]
    assert [error["error_type"] for error in found["errors"]] == ["Oversold"]
    assert [child["task_name"] for child in found["follow_ups"]] == ["submit"]
    assert [order["id"] for order in found["orders"]] == [order_id]
    assert "sold too much" in await muhurat("executions", "show", str(bell.execution_id))


async def test_an_order_is_shown_with_every_step_and_the_decision_behind_it(
    database: Database, muhurat: Commands
) -> None:
    asha = await person(database)
    order_id = await _order(database, asha, 7)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "INSERT INTO decisions (user_id, account_id, execution_id, task_name, day, symbol, leg, verdict, facts, "
                "config_version) VALUES (:user, :account, 7, 'buy_orders', '2024-01-02', 'INFY', 'entry', 'approved', "
                "'{\"rsi\": 21}', 1)"
            ),
            {"user": asha.user_id, "account": asha.account_id},
        )
    found = await muhurat.json("orders", "show", str(order_id))
    assert [step["event"] for step in found["events"]] == ["planned"]
    assert found["decision"]["facts"] == {"rsi": 21}


async def test_orders_and_positions_can_be_narrowed(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    await _order(database, asha, 1, "INFY")
    tcs = await _order(database, asha, 1, "TCS")
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, "
                "charges, opened_at, closed_at) VALUES (:user, :account, 'INFY', 1, 1, 1, 0, 0, now(), NULL), "
                "(:user, :account, 'TCS', 0, 1, 1, 5, 0, now(), now())"
            ),
            {"user": asha.user_id, "account": asha.account_id},
        )
    assert [row["id"] for row in (await muhurat.json("orders", "list", "--symbol", "TCS"))["orders"]] == [tcs]
    assert [row["symbol"] for row in (await muhurat.json("positions", "list", "--open"))["positions"]] == ["INFY"]
    assert [row["symbol"] for row in (await muhurat.json("positions", "list", "--closed"))["positions"]] == ["TCS"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("executions", "show", "99"), "no execution 99"),
        (("orders", "show", "99"), "no order 99"),
        (("orders", "list", "--before", "x"), "--before x"),
        (("executions", "list", "--before", "x"), "--before x"),
        (("executions", "list", "--before", "2024-01-02T09:00:00/7"), "it has no time zone"),
        (("executions", "list", "--before", "2024-01-02T09:00:00+00:00/99999999999999999999"), "--before 99999"),
        (("executions", "list", "--day", "0001-01-01"), "give a year from 1900 to 2199"),
        (("executions", "list", "--day", "9999-12-31"), "give a year from 1900 to 2199"),
        (("executions", "list", "--status", "bogus"), "--status 'bogus': use one of waiting, queued, running"),
        (("executions", "list", "--task", "bogus"), "--task 'bogus': use one of prices, analysis, buy_orders"),
        (("executions", "show", "99999999999999999999"), "'EXECUTION': Input should be less than or equal to"),
        (("orders", "list", "--status", "bogus"), "--status 'bogus': use one of planned, denied"),
        (("orders", "list", "--before", "99999999999999999999"), "--before 99999999999999999999: give an id from 1"),
        (("orders", "list", "--before", "\N{SUPERSCRIPT TWO}"), "give an id from 1"),
        (("positions", "list", "--before", "0"), "give an id from 1"),
        (("orders", "show", "99999999999999999999"), "'ORDER': Input should be less than or equal to"),
    ],
)
async def test_what_is_not_there_is_one_line_with_the_cure(
    database: Database, muhurat: Commands, words: tuple[str, ...], said: str
) -> None:
    error = await muhurat(*words, code=2)
    assert said in error
    assert error.count("\n") == 1
