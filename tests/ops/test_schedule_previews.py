"""What is told beforehand is what fires: the real firing over a clock against preview and simulation."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from scheduler.due import Due
from scheduler.ringer import Ringer
from tests.ops.cli_runs import Commands
from tests.people import Person, person, replay_from, scalar, set_clock
from worker.bells.ringing import Bells

# A fortnight with a Saturday session (the 20th) and two holidays (the 22nd and the 26th).
FIRST, LAST = datetime(2024, 1, 14, 20, tzinfo=UTC), datetime(2024, 1, 28, 18, tzinfo=UTC)
ASHA = "asha@example.org"
Slot = tuple[str, datetime]


@pytest.fixture
async def muhurat(
    urls: ServerUrls, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    commands = Commands(urls, monkeypatch, capsys)
    commands.patch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


async def moment(database: Database, query: str) -> datetime:
    """Return a moment that a query finds."""
    found = await scalar(database, query)
    assert isinstance(found, datetime)
    return found


async def play(database: Database, bells: Bells, until: datetime, *, daily_bars: bool) -> None:
    """Fire whatever is due up to a moment, each slot when it comes."""
    due = Due(database, Ringer(bells), "s1", 1000)
    await due.plan_new(daily_bars)
    while (at := await moment(database, "SELECT min(next_due_at) FROM schedules WHERE enabled")) <= until:
        await set_clock(database, at)
        while await due.fire(daily_bars):
            pass


async def made(database: Database, user_id: int | None = None) -> list[Slot]:
    """Return what live made: schedules by name and slots, of a user or of everybody."""
    query = (
        "SELECT d.name, e.scheduled_for FROM service_task_execution e JOIN schedules d ON d.id = e.schedule_id "
        "WHERE CAST(:user_id AS bigint) IS NULL OR e.user_id = :user_id ORDER BY 2, 1"
    )
    async with database.reading(None) as session:
        return [(row[0], row[1]) for row in await session.execute(text(query), {"user_id": user_id})]


def told(preview: Any, outcomes: Sequence[str] = ("fires",)) -> list[Slot]:
    """Return what a preview says fires, in the order of `made`; what hangs on a condition left out."""
    slots = [
        (one["schedule"], datetime.fromisoformat(one["slot"]))
        for one in preview["slots"]
        if one["outcome"] in outcomes and one["condition"] in (None, "prices_missing")
    ]
    return sorted(slots, key=lambda slot: (slot[1], slot[0]))


def span(first: datetime, last: datetime) -> tuple[str, ...]:
    return ("--from", first.isoformat(), "--to", last.isoformat())


async def test_a_fortnights_preview_is_what_fires(database: Database, bells: Bells, muhurat: Commands) -> None:
    asha = await person(database)
    await person(database, "bala")
    await replay_from(database, FIRST, days=30)
    await muhurat("subscriptions", "override", ASHA, "buy_orders", "at 16:30")
    await muhurat("subscriptions", "pause", ASHA, "order_sync evening", "--until", "2024-01-18 12:00")
    await muhurat("subscriptions", "unsubscribe", ASHA, "eod_cleanup")
    everybody = await muhurat.json("schedules", "preview", *span(FIRST, LAST))
    mine = await muhurat.json("schedules", "preview", "--user", ASHA, *span(FIRST, LAST))
    await play(database, bells, LAST, daily_bars=True)
    live = await made(database, asha.user_id)
    assert told(mine) == live
    assert ("buy_orders at 16:30", datetime(2024, 1, 20, 11, tzinfo=UTC)) in live
    # An analysis is made once for both, as they trade by the same parameters.
    assert sorted(set(await made(database))) == sorted(told(everybody))
    closed = {(gap["first"], gap["reason"]) for gap in mine["gaps"]}
    assert any(day == "2024-01-22" for day, _ in closed)
    assert any(day == "2024-01-26" and "Republic Day" in reason for day, reason in closed)


async def test_a_live_days_preview_is_what_fires_minute_by_minute(
    database: Database, bells: Bells, muhurat: Commands
) -> None:
    asha = await person(database)
    first, last = datetime(2024, 1, 15, 20, tzinfo=UTC), datetime(2024, 1, 16, 20, tzinfo=UTC)
    await replay_from(database, first)
    await _live(database, asha)
    preview = await muhurat.json("schedules", "preview", "--user", ASHA, *span(first, last))
    simulated = await muhurat.json("schedules", "simulate", *span(first, last))
    await play(database, bells, last, daily_bars=False)
    # Two schedules sync at the open: they make one execution.
    assert [one["schedule"] for one in preview["slots"] if one["outcome"] == "same"] == ["order_sync while open"]
    fires = [
        (one["schedule"], datetime.fromisoformat(one["slot"])) for one in preview["slots"] if one["outcome"] == "fires"
    ]
    expected = sorted((slot for slot in fires if slot[0] != "premarket_retry"), key=lambda slot: (slot[1], slot[0]))
    live = await made(database, asha.user_id)
    assert len(live) > 2 * 375
    assert live == expected
    counts = {one["name"]: one["executions"] for one in simulated["schedules"]}
    by_name = (
        "SELECT d.name, count(*) FROM service_task_execution e JOIN schedules d ON d.id = e.schedule_id GROUP BY 1"
    )
    async with database.reading(None) as session:
        executions = {row[0]: row[1] for row in await session.execute(text(by_name))}
    assert {name: count for name, count in counts.items() if count} == executions
    assert simulated["executions"] == sum(executions.values())
    minute = "SELECT count(*) FROM service_task_execution WHERE scheduled_for = :at"
    peak = simulated["peak"]
    assert peak["executions"] == await scalar(database, minute, at=datetime.fromisoformat(peak["minute"]))


async def _live(database: Database, who: Person) -> None:
    """Let days be live ones, the clock stand all the same, and an account hold a share and have an order at its broker."""
    position = (
        "INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges, "
        "opened_at) VALUES (:user_id, :account_id, 'S1', 10, 10, 10, 0, 1, :at)"
    )
    order = (
        "INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, status, "
        "intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version) VALUES (:user_id, "
        ":account_id, 1, 'S1', 'sell', 'limit', 'regular', 10, 'open', 'k', 't', 'dip', 'exit', 1, 10, :at, :day, 1)"
    )
    values = {"user_id": who.user_id, "account_id": who.account_id, "at": FIRST}
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE market_clock SET speed = 1e-9"))
        await session.execute(text(position), values)
        await session.execute(text(order), {**values, "day": date(2024, 1, 16)})


async def test_a_stopped_service_and_a_halt_are_named(database: Database, muhurat: Commands) -> None:
    await person(database)
    await replay_from(database, FIRST, days=30)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "INSERT INTO halts (task_name, entries, exits, changes, tasks, reason, created_by) "
                "VALUES ('buy_orders', false, false, false, true, 'results day', 'ravi')"
            )
        )
    preview = await muhurat.json("schedules", "preview", "--user", ASHA, "--schedule", "buy_orders", "--next", "1")
    assert preview["slots"][0]["outcome"] == "halted"
    assert preview["standing"] == ["halt 1 of task buy_orders by ravi until resumed: results day"]
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_status SET service_running = false"))
    preview = await muhurat.json("schedules", "preview", "--user", ASHA, "--next", "4")
    assert {one["outcome"] for one in preview["slots"]} == {"stopped"}
    assert "the service is stopped" in await muhurat("schedules", "preview", "--user", ASHA)


async def test_past_the_calendar_it_is_said_that_nothing_is_known(database: Database, muhurat: Commands) -> None:
    await replay_from(database, FIRST, days=30)
    words = ("--from", "2026-12-30", "--to", "2027-01-10")
    preview = await muhurat.json("schedules", "preview", "--schedule", "buy_orders", *words)
    assert len(preview["slots"]) == 2
    assert preview["gaps"][-1]["reason"].startswith("the calendar ends 2026-12-31")


async def test_a_span_that_ends_before_it_begins_is_refused(database: Database, muhurat: Commands) -> None:
    await replay_from(database, FIRST, days=30)
    for command in ("preview", "simulate"):
        said = await muhurat("schedules", command, "--from", "2024-01-20", "--to", "2024-01-10", code=2)
        assert "is not after --from" in said


async def test_a_halt_of_others_is_not_told(database: Database, muhurat: Commands) -> None:
    await person(database)
    bala = await person(database, "bala")
    await replay_from(database, FIRST, days=30)
    halts = (
        "INSERT INTO halts (user_id, account_id, strategy, entries, exits, changes, tasks, reason, created_by) VALUES "
        "(:user_id, NULL, NULL, false, false, false, true, 'r', 'ravi'), "
        "(NULL, :account_id, NULL, false, false, false, true, 'r', 'ravi'), "
        "(NULL, NULL, 'another', false, false, false, true, 'r', 'ravi')"
    )
    async with database.transaction(None) as session:
        await session.execute(text(halts), {"user_id": bala.user_id, "account_id": bala.account_id})
    mine = await muhurat.json("schedules", "preview", "--user", ASHA, "--schedule", "buy_orders", "--next", "1")
    assert (mine["standing"], mine["slots"][0]["outcome"]) == ([], "fires")
    his = await muhurat.json("schedules", "preview", "--user", "bala@example.org", "--schedule", "buy_orders")
    assert (len(his["standing"]), his["slots"][0]["outcome"]) == (2, "halted")
