"""Halts at the effect: nothing they stop is planned, sent or changed, and every refusal names its halt."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from adapters.brokers.base import PlaceOutcome
from db.accounts import AccountRepository
from db.halts import HaltRepository
from db.orders import OrderRepository
from tests.desk import EVE, NEXT, Desk
from tests.evenings import candidate, evening
from tests.halted import ORDERS, TASK, halt, resume, scope_of
from tests.people import Person
from tests.worker.steps.test_premarket_retry import paid, short
from tests.worker.steps.test_sell_monitor import RECOVERED, exits, held, offered
from trading.halts import Halt, Scope, Stops
from worker.steps.order_life import want

EVENTS = "SELECT event, facts FROM order_events ORDER BY id DESC LIMIT 1"
JOURNAL = "SELECT symbol, leg, verdict, code, facts ->> 'halt', facts ->> 'reason', facts ->> 'by' FROM decisions"


async def halted(desk: Desk, *stops: Stops, kind: str = "everywhere", **scope: Any) -> int:
    me = Person(desk.who.user_id, desk.who.account_id)
    return await halt(desk.world.database, *stops, **(scope or scope_of(kind, me)))


async def ready(desk: Desk) -> str:
    """Plan a buy that may be sent now. Returns its submit's subject."""
    await desk.world.set_clock(desk.closes(EVE, 35))
    return f"{await desk.planned()}:1"


@pytest.mark.parametrize(
    "scope",
    [
        {"kind": "everywhere"},
        {"kind": "user"},
        {"kind": "account"},
        {"kind": "strategy"},
        {"kind": "task"},
        {"task_name": "submit"},
        {"symbol": "AAA"},
        {"symbol": "AAA", "strategy": "dip"},
    ],
)
async def test_a_planned_buy_that_is_halted_is_denied_with_the_halts_id_and_nothing_is_sent(
    desk: Desk, scope: dict[str, Any]
) -> None:
    subject = await ready(desk)
    id_ = await halted(desk, Stops.ENTRIES, **scope)
    outcome = await desk.run("submit", subject)
    assert (outcome.details["state"], outcome.details["code"]) == ("denied", "KILL_SWITCH")
    event, facts = await desk.world.row(EVENTS)
    assert isinstance(facts, dict)
    assert (event, facts["code"], facts["halt"], facts["by"], facts["reason"]) == (
        "deny",
        "KILL_SWITCH",
        id_,
        "ravi",
        "a test",
    )
    assert await desk.order("reason, reserved") == (f"KILL_SWITCH: halt {id_} by ravi: a test", 0)
    assert await desk.world.rows("SELECT 1 FROM paper_orders") == []
    await resume(desk.world.database)
    assert (await desk.run("submit", subject)).reason == "the order is denied", "it is not sent later by surprise"


@pytest.mark.parametrize("scope", [{"symbol": "BBB"}, {"strategy": "other"}, {"task_name": "sell_monitor"}])
async def test_a_halt_of_something_else_stops_nothing(desk: Desk, scope: dict[str, Any]) -> None:
    subject = await ready(desk)
    await halted(desk, Stops.ENTRIES, **scope)
    assert (await desk.run("submit", subject)).details["state"] == "acked"


async def test_another_users_halt_stops_nothing(desk: Desk) -> None:
    subject = await ready(desk)
    other = await desk.world.sign_up("bela")
    await halted(desk, *ORDERS, user_id=other.user_id)
    await halted(desk, *ORDERS, user_id=other.user_id, account_id=other.account_id)
    assert (await desk.run("submit", subject)).details["state"] == "acked"


@pytest.mark.parametrize("stops", [Stops.EXITS, Stops.CHANGES, Stops.TASKS])
async def test_what_stops_no_entries_lets_a_buy_be_sent(desk: Desk, stops: Stops) -> None:
    subject = await ready(desk)
    await halted(desk, stops)
    assert (await desk.run("submit", subject)).details["state"] == "acked"


async def test_of_candidates_those_that_are_halted_are_refused_in_the_journal_and_the_others_bought(
    desk: Desk,
) -> None:
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10)])
    id_ = await halted(desk, Stops.ENTRIES, symbol="BBB")
    outcome = await desk.run("buy_orders")
    assert (outcome.details["approved"], outcome.details["refused"]) == (1, {"KILL_SWITCH": 1})
    assert await desk.world.rows("SELECT symbol FROM orders") == [("AAA",)]
    assert await desk.world.rows(f"{JOURNAL} WHERE verdict = 'refused'") == [
        ("BBB", "entry", "refused", "KILL_SWITCH", str(id_), "a test", "ravi")
    ]


@pytest.mark.parametrize("kind", ["everywhere", "user", "account", "task", "strategy", "all of them"])
async def test_under_a_halt_of_entries_nothing_is_bought_whatever_its_scope(desk: Desk, kind: str) -> None:
    await evening(desk, [candidate("AAA", 20)])
    await halted(desk, Stops.ENTRIES, kind=kind)
    assert (await desk.run(TASK)).details["refused"] == {"KILL_SWITCH": 1}
    assert await desk.world.rows("SELECT 1 FROM orders") == []


async def test_a_failed_buy_that_is_halted_is_not_tried_again_before_the_open(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await halted(desk, Stops.ENTRIES, symbol="AAA")
    outcome = await desk.run("premarket_retry")
    assert (outcome.details["placed"], outcome.details["refused"]) == (0, {"KILL_SWITCH": 1})
    assert await desk.world.rows("SELECT status FROM orders") == [("failed",)]


@pytest.mark.parametrize("scope", [{"kind": "everywhere"}, {"symbol": "AAA"}, {"task_name": "sell_monitor"}])
async def test_an_exit_that_is_halted_is_not_planned_and_journalled_once_a_day(
    desk: Desk, scope: dict[str, Any]
) -> None:
    await held(desk)
    id_ = await halted(desk, Stops.EXITS, **scope)
    for _ in range(2):
        outcome = await desk.run("sell_monitor")
        assert (outcome.details["planned"], outcome.details["halted"]) == (0, 1)
    assert await desk.world.rows(JOURNAL) == [("AAA", "exit", "refused", "KILL_SWITCH", str(id_), "a test", "ravi")]
    await resume(desk.world.database)
    assert (await desk.run("sell_monitor")).details["planned"] == 1


async def test_a_halt_of_entries_lets_what_is_held_be_sold(desk: Desk) -> None:
    await held(desk)
    await halted(desk, Stops.ENTRIES, Stops.CHANGES)
    assert (await desk.run("sell_monitor")).details["planned"] == 1
    ((_, subject, _),) = await desk.follow_ups()
    assert (await desk.run("submit", subject)).details["state"] == "acked"


async def test_a_planned_exit_that_is_halted_is_denied(desk: Desk) -> None:
    await held(desk)
    await desk.run("sell_monitor")
    ((_, subject, _),) = await desk.follow_ups()
    await halted(desk, Stops.EXITS)
    assert (await desk.run("submit", subject)).details["code"] == "KILL_SWITCH"


async def test_a_live_exit_is_not_changed_under_a_halt_of_changes_and_is_after_it(desk: Desk) -> None:
    await offered(desk, RECOVERED)
    id_ = await halted(desk, Stops.CHANGES)
    assert (await desk.run("sell_monitor")).details["halted"] == 1
    ((*_, attempt, change),) = await exits(desk)
    assert (attempt, change) == (1, None)
    assert (await desk.world.row(JOURNAL))[1:5] == ("change", "refused", "KILL_SWITCH", str(id_))
    await resume(desk.world.database)
    assert (await desk.run("sell_monitor")).details["to_market"] == 1


async def test_a_change_on_its_way_is_denied_and_may_be_asked_for_again_after_the_halt(desk: Desk) -> None:
    await offered(desk, RECOVERED)
    await desk.run("sell_monitor")
    ((_, subject, _),) = await desk.follow_ups()
    id_ = await halted(desk, Stops.CHANGES)
    outcome = await desk.run("submit", subject)
    assert (outcome.details["change"], outcome.details["code"]) == ("denied", "KILL_SWITCH")
    event, facts = await desk.world.row(EVENTS)
    assert isinstance(facts, dict)
    assert (event, facts["halt"], facts["wish"]) == ("change_denied", id_, {"limit_price": None})
    assert (await desk.run("sell_monitor")).details["to_market"] == 0
    await resume(desk.world.database)
    await desk.world.change("DELETE FROM service_task_execution WHERE status = 'queued'")
    assert (await desk.run("sell_monitor")).details["to_market"] == 1
    ((_, again, _),) = await desk.follow_ups()
    assert (await desk.run("submit", again)).details["change"] == "accepted"


async def asked_to_end(desk: Desk, order_id: int) -> str:
    """Ask for an order's end. Returns its submit's subject."""
    async with desk.world.database.transaction(desk.who.user_id) as session:
        orders = OrderRepository(session, desk.who.user_id, desk.who.account_id)
        order = await orders.get(order_id)
        want(orders, order, {"cancel": True}, desk.opens(NEXT))
        return f"{order_id}:{order.attempt}"


async def test_a_cancel_passes_whatever_is_halted(desk: Desk) -> None:
    id_ = await desk.sent()
    await halted(desk, *Stops)
    subject = await asked_to_end(desk, id_)
    assert (await desk.run("submit", subject)).details["change"] == "accepted"
    assert await desk.order() == ("cancelling",)


async def test_an_end_that_is_asked_for_while_the_broker_takes_a_change_is_still_to_be_sent(desk: Desk) -> None:
    order_id = await offered(desk, RECOVERED)
    await desk.run("sell_monitor")
    ((_, subject, _),) = await desk.follow_ups()
    ends = []

    async def asked() -> PlaceOutcome | None:
        ends.append(await asked_to_end(desk, order_id))
        return None

    await desk.run_as(await desk.world.running("submit", desk.who, subject), after=asked)
    assert (await desk.world.row("SELECT change FROM orders WHERE side = 'sell'")) == ({"cancel": True},)
    sent = await desk.run("submit", ends[0])
    assert sent.details["change"] == "refused", "the broker was asked, and had sold it at market by then"


LOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND {}"


async def waits(desk: Desk, condition: str) -> None:
    """Wait until somebody waits for a lock."""
    async with asyncio.timeout(20):
        while await desk.world.row(LOCKED.format(condition)) == (0,):
            pass


async def test_a_submit_that_began_before_a_halt_sends_its_order_and_the_halt_comes_after_it(desk: Desk) -> None:
    subject = await ready(desk)
    database, who = desk.world.database, desk.who
    async with database.transaction(who.user_id) as session:
        await AccountRepository(session).lock(who.user_id, who.account_id)
        sending = asyncio.create_task(desk.run("submit", subject))
        await waits(desk, "locktype <> 'advisory'")
        halting = asyncio.create_task(halted(desk, Stops.ENTRIES))
        await waits(desk, "locktype = 'advisory'")
        assert not halting.done()
    assert (await sending).details["state"] == "acked"
    await halting
    sent, since = "SELECT min(created_at) FROM order_events WHERE event = 'send'", "SELECT created_at FROM halts"
    assert await desk.world.row(f"SELECT ({sent}) IS NOT NULL, ({since}) IS NOT NULL") == (True, True)


@pytest.mark.parametrize("task", ["submit", TASK])
async def test_a_step_that_begins_while_a_halt_commits_waits_for_it_and_is_denied(desk: Desk, task: str) -> None:
    await evening(desk, [candidate("BBB", 20)])
    subject = await ready(desk) if task == "submit" else ""
    async with desk.world.database.transaction(None) as session:
        await HaltRepository(session).add(Halt(0, Scope(), frozenset({Stops.ENTRIES}), "a test", "ravi"))
        running = asyncio.create_task(desk.run(task, subject))
        await waits(desk, "locktype = 'advisory'")
        assert not running.done()
    outcome = await running
    assert outcome.details.get("code", outcome.details.get("refused")) in ("KILL_SWITCH", {"KILL_SWITCH": 1})
    assert await desk.world.rows("SELECT 1 FROM paper_orders") == []


async def test_halts_and_effects_of_many_at_once_never_wait_for_each_other_in_a_circle(desk: Desk) -> None:
    await evening(desk, [candidate("AAA", 20), candidate("BBB", 10)])
    halts = [halted(desk, Stops.ENTRIES, symbol=f"S{number}") for number in range(4)]
    steps = [desk.run(TASK) for _ in range(2)]
    async with asyncio.timeout(30):
        await asyncio.gather(*halts, *steps)
    assert await desk.world.row("SELECT count(*) FROM orders") == (2,)
    async with desk.world.database.reading(None) as session:
        assert len((await session.execute(text("SELECT id FROM halts"))).all()) == 4
