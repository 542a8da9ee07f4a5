"""An order whose submit is ended by hand is denied before it is sent, and looked for when it may have been."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.brokers.base import PlaceOutcome
from db.executions import Fenced
from ops.local import Servers
from tests.desk import EVE, Desk
from tests.worker.inspection.makings import command
from tests.world import ListedPrices, bar, open_world
from worker.bells.ringing import Bells
from worker.inspection.acting import act, resolve
from worker.inspection.reach import Reach
from worker.inspection.results import Action, Group, Result, Verdict


@pytest.fixture
async def desk(servers: Servers) -> AsyncIterator[Desk]:
    async with open_world(servers, ListedPrices([bar("AAA", EVE, "98", "101", "97", "100")])) as world:
        desk = Desk(world, await world.sign_up("asha"))
        await world.set_clock(desk.closes(EVE, 35))
        yield desk


async def _end(desk: Desk, bells: Bells, group: Group, action: Action, execution_id: int) -> Result:
    reach = Reach(desk.world.database, bells.redis)
    [result] = await act(reach, command(group, action), await resolve(reach, [str(execution_id)]))
    assert result.verdict is Verdict.DONE, result
    return result


async def test_a_submit_that_is_deleted_denies_its_order_and_frees_its_money(desk: Desk, bells: Bells) -> None:
    id_ = await desk.planned()
    execution = await desk.world.running("submit", desk.who, f"{id_}:1")
    await desk.world.change("UPDATE service_task_execution SET status = 'queued', attempt = 0")
    result = await _end(desk, bells, Group.QUEUES, Action.DELETE, execution.id)
    assert f"order {id_} is denied" in result.said
    assert await desk.order("status, reserved = 0, reason") == ("denied", True, "delete by asha")
    assert await desk.world.row("SELECT event, to_status FROM order_events ORDER BY id DESC LIMIT 1") == (
        "deny",
        "denied",
    )
    assert await desk.follow_ups() == []


async def test_a_submit_that_was_overtaken_by_another_attempt_leaves_its_order_alone(desk: Desk, bells: Bells) -> None:
    id_ = await desk.planned(attempt=2)
    execution = await desk.world.running("submit", desk.who, f"{id_}:1")
    await _end(desk, bells, Group.QUEUES, Action.KILL, execution.id)
    assert await desk.order() == ("planned",)


@pytest.mark.parametrize("reached", [True, False])
async def test_an_order_whose_submit_is_killed_in_the_call_is_found_by_the_sync_that_follows(
    desk: Desk, bells: Bells, reached: bool
) -> None:
    id_ = await desk.planned()
    execution = await desk.world.running("submit", desk.who, f"{id_}:1")
    calling, killed = asyncio.Event(), asyncio.Event()

    async def thinking() -> PlaceOutcome | None:
        calling.set()
        await killed.wait()
        if not reached:
            raise ConnectionError("it never left this machine")
        return None

    submitting = asyncio.create_task(desk.run_as(execution, before=thinking))
    await calling.wait()
    await _end(desk, bells, Group.QUEUES, Action.KILL, execution.id)
    killed.set()
    with pytest.raises(Fenced):
        await submitting
    assert await desk.order() == ("sending",)
    [(task, _, due)] = await desk.follow_ups()
    assert (task, due > desk.closes(EVE, 35.75)) == ("order_sync", True)
    await desk.world.change("UPDATE order_events SET created_at = now() - interval '1 min'")
    await desk.world.set_clock(due)
    await desk.run("order_sync")
    if reached:
        assert await desk.order() == ("parked",)
        return
    assert await desk.order() == ("unknown",)
    assert [task for task, _, _ in await desk.follow_ups()] == ["order_sync", "reconcile"]
