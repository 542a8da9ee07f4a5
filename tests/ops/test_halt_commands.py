"""`muhurat halt`, `resume` and `halts`: said once it stops, and what brokers have of it already is shown and cancelled."""

import io
from datetime import timedelta

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.schedulers import SchedulerRepository
from db.transaction import Database
from tests.halted import halt
from tests.ops.cli_runs import Commands
from tests.people import MORNING, Person, person, queued, replay_from, scalar
from trading.halts import Stops


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    commands = Commands(urls, monkeypatch, capsys)
    monkeypatch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


_AUDIT = "SELECT string_agg(concat_ws(' ', actor, action, resource_type), ', ' ORDER BY id) FROM audit_logs"
FLAGS = "SELECT concat_ws(',', entries, exits, changes, tasks) FROM halts ORDER BY id DESC LIMIT 1"
WHY = ("--reason", "results tonight")


async def ordered(database: Database, who: Person, status: str, symbol: str = "AAA", side: str = "buy") -> int:
    """Insert an order that a broker has, or may have. Returns its id."""
    query = """
        INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag,
                            strategy, leg, rank, reference_price, as_of, session_day, config_version)
        VALUES (:user_id, :account_id, :symbol, :side, 'market', 'amo', 10, :status, :key, :key, 'dip', 'entry', 1, 1,
                CAST(:at AS timestamptz), CAST('2024-01-02' AS date), 1) RETURNING id
    """
    values = {
        "user_id": who.user_id,
        "account_id": who.account_id,
        "symbol": symbol,
        "side": side,
        "status": status,
        "key": f"{symbol}{side}",
        "at": MORNING,
    }
    async with database.transaction(None) as session:
        return int((await session.execute(text(query), values)).scalar_one())


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ((), "t,f,f,f"),
        (("--entries",), "t,f,f,f"),
        (("--exits",), "f,t,f,f"),
        (("--changes",), "f,f,t,f"),
        (("--tasks",), "f,f,f,t"),
        (("--entries", "--exits", "--changes"), "t,t,t,f"),
        (("--everything",), "t,t,t,t"),
    ],
)
async def test_a_halt_stops_what_is_said_and_entries_when_nothing_is(
    database: Database, muhurat: Commands, words: tuple[str, ...], flags: str
) -> None:
    made = await muhurat.json("halt", "--everywhere", *words, *WHY)
    assert (made["is_new"], made["halt"]["created_by"], made["halt"]["reason"]) == (True, "ravi", "results tonight")
    assert await scalar(database, FLAGS) == flags


@pytest.mark.parametrize("kind", ["user", "account", "task", "strategy", "symbol"])
async def test_each_scope_is_kept_by_its_own_name(database: Database, muhurat: Commands, kind: str) -> None:
    asha = await person(database)
    words, scope = {
        "user": (("--user", "ASHA@example.org"), {"user": asha.user_id}),
        "account": (("--account", str(asha.account_id)), {"user": asha.user_id, "account": asha.account_id}),
        "task": (("--task", "buy_orders"), {"task": "buy_orders"}),
        "strategy": (("--strategy", "dip"), {"strategy": "dip"}),
        "symbol": (("--symbol", "infy.ns"), {"symbol": "INFY"}),
    }[kind]
    made = await muhurat.json("halt", *words, *WHY)
    assert made["halt"]["scope"] == scope
    assert await scalar(database, _AUDIT) == "ravi halt halt"


async def test_the_same_said_twice_says_that_it_is_there(database: Database, muhurat: Commands) -> None:
    first = await muhurat.json("halt", "--symbol", "INFY", *WHY)
    again = await muhurat.json("halt", "--symbol", "INFY", "--reason", "once more")
    assert (again["is_new"], again["halt"]["id"], again["halt"]["reason"]) == (
        False,
        first["halt"]["id"],
        "results tonight",
    )
    assert "it is there already" in await muhurat("halt", "--symbol", "INFY", *WHY)
    assert await scalar(database, "SELECT count(*) FROM halts") == 1
    assert await scalar(database, _AUDIT) == "ravi halt halt"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nobody is named"),
        (("--everywhere", "--symbol", "INFY"), "--everywhere is said with a scope"),
        (("--user", "nobody@example.org"), "no user 'nobody@example.org'"),
        (("--account", "99"), "no such account"),
        (("--task", "buy"), "use one of analysis, buy_orders"),
        (("--strategy", "nosuch"), "use one of dip"),
        (("--symbol", "a b"), "expected a form like INFY"),
        (("--symbol", "INFY", "--tasks"), "no task is of one share"),
        (("--everywhere", "--until", "tomorrow"), "write a time in IST like"),
        (("--everywhere", "--until", "2024-01-01 09:00"), "is past; give a time to come like"),
        (("--user", " "), "it is empty"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_a_cure_and_halts_nothing(
    database: Database, muhurat: Commands, words: tuple[str, ...], said: str
) -> None:
    assert said in " ".join((await muhurat("halt", *words, *WHY, code=2)).split())
    assert await scalar(database, "SELECT count(*) FROM halts") == 0


@pytest.mark.parametrize("reason", [" ", "x" * 513])
async def test_a_halt_says_why(database: Database, muhurat: Commands, reason: str) -> None:
    assert "--reason: say why" in await muhurat("halt", "--everywhere", "--reason", reason, code=2)


async def test_an_account_of_somebody_else_is_none_of_his(database: Database, muhurat: Commands) -> None:
    await person(database)
    bala = await person(database, "bala")
    words = ("--user", "asha@example.org", "--account", str(bala.account_id))
    assert "no such account of asha@example.org" in " ".join((await muhurat("halt", *words, *WHY, code=2)).split())


async def test_everything_about_a_share_is_its_orders(database: Database, muhurat: Commands) -> None:
    await muhurat.json("halt", "--symbol", "INFY", "--everything", *WHY)
    assert await scalar(database, FLAGS) == "t,t,t,f"


async def test_until_is_a_time_in_india_of_this_market_day(database: Database, muhurat: Commands) -> None:
    await replay_from(database)
    made = await muhurat.json("halt", "--everywhere", "--until", "15:30", *WHY)
    assert made["halt"]["until"] == (MORNING + timedelta(hours=7, minutes=30)).isoformat()


async def test_orders_that_brokers_have_are_listed_and_left_alone_unless_it_is_said(
    database: Database, muhurat: Commands
) -> None:
    asha, bala = await person(database), await person(database, "bala")
    parked = await ordered(database, asha, "parked")
    unknown = await ordered(database, asha, "unknown", "BBB")
    for status, symbol, side in (("planned", "CCC", "buy"), ("filled", "DDD", "buy"), ("open", "EEE", "sell")):
        await ordered(database, asha, status, symbol, side)
    await ordered(database, bala, "open")
    made = await muhurat.json("halt", "--user", "asha@example.org", *WHY)
    assert [order["id"] for order in made["orders"]] == [parked, unknown]
    assert (made["live"], made["cancelled"]) == (2, 0)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 0
    said = await muhurat("halt", "--user", "asha@example.org", *WHY)
    assert "Live at brokers, and not stopped by it (2)" in said
    assert "--cancel-live cancels them" in said


async def test_what_lives_is_cancelled_by_a_change_and_a_submit_with_its_audit(
    database: Database, muhurat: Commands
) -> None:
    await replay_from(database)
    asha, bala = await person(database), await person(database, "bala")
    ids = [await ordered(database, asha, "parked"), await ordered(database, bala, "open", "BBB", "sell")]
    await ordered(database, asha, "unknown", "CCC")
    made = await muhurat.json("halt", "--everywhere", "--everything", "--cancel-live", *WHY)
    assert (made["live"], made["cancelled"]) == (3, 2)
    asked = "SELECT array_agg(id ORDER BY id) FROM orders WHERE change = CAST(:wish AS jsonb) AND attempt = 2"
    assert await scalar(database, asked, wish='{"cancel": true}') == ids
    submits = (
        "SELECT string_agg(concat_ws(' ', task_name, queue, status, subject, user_id, account_id), ', ' ORDER BY id) "
        "FROM service_task_execution"
    )
    assert await scalar(database, submits) == ", ".join(
        f"submit orders queued {id_}:2 {who.user_id} {who.account_id}"
        for id_, who in zip(ids, (asha, bala), strict=True)
    )
    assert await scalar(database, _AUDIT) == "ravi halt halt, ravi cancel order, ravi cancel order"
    assert await scalar(database, "SELECT count(*) FROM order_events WHERE event = 'change_wanted'") == 2
    again = await muhurat.json("halt", "--everywhere", "--everything", "--cancel-live", *WHY)
    assert again["cancelled"] == 0, "what was asked for is not asked for again"


class Terminal(io.StringIO):
    """What somebody types, at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "cancelled"), [("y\n", 1), ("n\n", 0)])
async def test_at_a_terminal_it_asks_and_the_halt_is_in_force_whatever_the_answer(
    database: Database, muhurat: Commands, typed: str, cancelled: int
) -> None:
    await ordered(database, await person(database), "parked")
    muhurat.patch.setattr("sys.stdin", Terminal(typed))
    await muhurat("halt", "--everywhere", *WHY)
    assert await scalar(database, "SELECT count(*) FROM halts WHERE ended_at IS NULL") == 1
    assert await scalar(database, "SELECT count(*) FROM orders WHERE change IS NOT NULL") == cancelled


async def test_of_a_share_only_its_own_orders_are_cancelled(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    mine, _ = await ordered(database, asha, "open"), await ordered(database, asha, "open", "BBB")
    made = await muhurat.json("halt", "--symbol", "AAA", "--cancel-live", *WHY)
    assert [order["id"] for order in made["orders"]] == [mine]
    assert await scalar(database, "SELECT count(*) FROM orders WHERE change IS NOT NULL") == 1


async def test_halts_are_listed_and_resumed_by_id_or_all_and_again_is_nothing(
    database: Database, muhurat: Commands
) -> None:
    ids = [await halt(database, Stops.ENTRIES), await halt(database, Stops.TASKS), await halt(database, Stops.EXITS)]
    assert [row["id"] for row in (await muhurat.json("halts"))["halts"]] == ids[::-1]
    assert await muhurat.json("resume", str(ids[0])) == {"resumed": [ids[0]], "ended_before": []}
    assert await muhurat.json("resume", str(ids[0])) == {"resumed": [], "ended_before": [ids[0]]}
    assert sorted((await muhurat.json("resume", "--all"))["resumed"]) == ids[1:]
    assert "nothing was halted" in await muhurat("resume", "--all")
    assert "nothing is halted" in await muhurat("halts")
    assert [row["ended_by"] for row in (await muhurat.json("halts", "--ended"))["halts"]] == ["ravi"] * 3
    assert await scalar(database, _AUDIT) == "ravi resume halt, ravi resume halt, ravi resume halt"


@pytest.mark.parametrize(
    ("words", "said"), [(("99",), "no halt 99"), (("1", "--all"), "one of the two"), ((), "it was given nothing to do")]
)
async def test_a_halt_that_is_not_there_ends_nothing(
    database: Database, muhurat: Commands, words: tuple[str, ...], said: str
) -> None:
    id_ = await halt(database, Stops.ENTRIES)
    assert said in await muhurat("resume", *words, code=2)
    assert "no halt 99" in await muhurat("resume", str(id_), "99", code=2)
    assert await scalar(database, "SELECT ended_at IS NULL FROM halts") is True


async def test_nothing_is_halted_without_a_name(database: Database, muhurat: Commands) -> None:
    muhurat.patch.delenv("MUHURAT_OPERATOR")
    assert "MUHURAT_OPERATOR is not set" in await muhurat("halt", "--everywhere", *WHY, code=2)
    assert await scalar(database, "SELECT count(*) FROM halts") == 0


async def test_a_user_is_shown_his_own_halts_and_those_of_everybody(database: Database, muhurat: Commands) -> None:
    asha, bala = await person(database), await person(database, "bala")
    ids = [await halt(database, Stops.ENTRIES), await halt(database, Stops.ENTRIES, user_id=asha.user_id)]
    await halt(database, Stops.ENTRIES, user_id=bala.user_id)
    shown = await muhurat.json("halts", "--user", "asha@example.org")
    assert [row["id"] for row in shown["halts"]] == ids[::-1]


async def test_the_status_says_loudly_what_is_halted(database: Database, muhurat: Commands) -> None:
    await muhurat("halt", "--symbol", "INFY", *WHY)
    said = await muhurat("status")
    assert said.startswith("HALTED: entries of symbol INFY; halt ")
    assert "by ravi: results tonight" in said
    [row] = (await muhurat.json("status"))["halts"]
    assert (row["symbol"], row["created_by"]) == ("INFY", "ravi")
    await muhurat("resume", "--all")
    assert "HALTED" not in await muhurat("status")


async def test_doctor_tells_of_a_halt_that_somebody_forgot(database: Database, muhurat: Commands) -> None:
    id_ = await halt(database, Stops.ENTRIES)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE halts SET created_at = now() - interval '8 days'"))
    checks = {one["name"]: one for one in (await muhurat.json("doctor"))["checks"]}
    assert checks["halts"]["state"] == "warning"
    assert checks["halts"]["said"].startswith(f"1 older than a week; halt {id_} stands for 8 days: a test")


async def test_why_waiting_names_the_halt(database: Database, muhurat: Commands) -> None:
    async with database.transaction(None) as session:
        await SchedulerRepository(session).beat("s1", "here", 1)
    asha = await person(database)
    bell = await queued(database, "buy_orders", asha, rung=False)
    id_ = await halt(database, Stops.TASKS, user_id=asha.user_id)
    said = " ".join((await muhurat("why-waiting", str(bell.execution_id))).split())
    assert f"halt {id_} by ravi: a test keeps it from beginning until somebody resumes it" in said
    assert "next of its user" not in said


async def test_what_is_paused_is_not_run_by_hand(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    bell = await queued(database, "buy_orders", asha, rung=False)
    id_ = await halt(database, Stops.TASKS)
    said = await muhurat("queues", "run", str(bell.execution_id), code=1, out=True)
    assert f"halt {id_} keeps it from beginning" in " ".join(said.split())
    assert await scalar(database, "SELECT rung_at IS NULL FROM service_task_execution") is True
    await muhurat("resume", "--all")
    await muhurat("queues", "run", str(bell.execution_id))
