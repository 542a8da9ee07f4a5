"""Finding out what became of an order: by looking alone."""

from datetime import timedelta

import pytest

from adapters.brokers.base import Capabilities, PlaceOutcome, Unknown
from tests.desk import DAY, EVE, Desk
from worker.outcome import Retry
from worker.steps.reconcile import MOST_ATTEMPTS

TAKES_A_TAG_TWICE = Capabilities(after_market_orders=True, one_order_per_tag=False)


async def silence() -> PlaceOutcome:
    return Unknown("timed out")


async def lost(desk: Desk, *, arrived: bool) -> int:
    """Send an order whose answer is lost. arrived: the broker has it all the same."""
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    await desk.run("submit", f"{id_}:1", before=None if arrived else silence, after=silence)
    await desk.world.change("DELETE FROM service_task_execution WHERE status = 'queued'")
    assert await desk.order() == ("unknown",)
    return id_


async def test_an_order_in_the_book_counts_as_accepted(desk: Desk) -> None:
    id_ = await lost(desk, arrived=True)
    outcome = await desk.run("reconcile", f"{id_}:1")
    now = desk.closes(EVE, 35)
    assert outcome.details == {"order": id_, "state": "acked", "found": True}
    assert await desk.order("status, attempt, broker_order_id, placed_at") == ("acked", 1, "PTAGAAA", now)
    assert await desk.follow_ups() == [("order_sync", "", now + timedelta(seconds=3))]


async def test_a_missing_order_is_sent_again_where_a_tag_is_taken_once(desk: Desk) -> None:
    id_ = await lost(desk, arrived=False)
    await desk.run("reconcile", f"{id_}:1")
    assert await desk.order("status, attempt") == ("planned", 2)
    assert [(task, subject) for task, subject, _ in await desk.follow_ups()] == [("submit", f"{id_}:2")]
    await desk.run("submit", f"{id_}:2")
    assert await desk.order() == ("acked",)


async def test_elsewhere_two_looks_apart_find_it_not_placed(desk: Desk) -> None:
    id_ = await lost(desk, arrived=False)
    await desk.run("reconcile", f"{id_}:1", capabilities=TAKES_A_TAG_TWICE)
    assert await desk.order() == ("unknown",)
    later = desk.closes(EVE, 35) + timedelta(seconds=3)
    assert await desk.follow_ups() == [("reconcile", f"{id_}:1:2", later)]
    await desk.world.set_clock(later)
    await desk.run("reconcile", f"{id_}:1:2", capabilities=TAKES_A_TAG_TWICE)
    assert await desk.order("status, reserved") == ("not_placed", 0)


async def test_looking_again_changes_nothing(desk: Desk) -> None:
    id_ = await lost(desk, arrived=True)
    await desk.run("reconcile", f"{id_}:1")
    outcome = await desk.run("reconcile", f"{id_}:1")
    assert (outcome.status, outcome.reason) == ("skipped", "the order is acked")
    assert len(await desk.follow_ups()) == 1


async def test_a_book_that_cannot_be_read_says_nothing(desk: Desk) -> None:
    id_ = await lost(desk, arrived=True)
    await desk.world.set_clock(desk.opens(DAY))
    desk.world.prices.broken = True  # type: ignore[attr-defined] # the desk's prices are listed ones
    with pytest.raises(Retry, match="cannot be read"):
        await desk.run("reconcile", f"{id_}:1")
    assert await desk.order() == ("unknown",)


async def test_an_order_that_never_arrives_is_given_up_after_many_attempts(desk: Desk) -> None:
    id_ = await lost(desk, arrived=False)
    await desk.world.change(f"UPDATE orders SET attempt = {MOST_ATTEMPTS}")
    await desk.run("reconcile", f"{id_}:{MOST_ATTEMPTS}")
    assert await desk.order("status, attempt") == ("unknown", MOST_ATTEMPTS)
    ((task, subject, later),) = await desk.follow_ups()
    await desk.world.set_clock(later)
    await desk.run(task, subject)
    assert await desk.order("status, reserved") == ("not_placed", 0)
