"""Peals: bells that differ in their execution alone are what bells one by one are, for less."""

from datetime import UTC, datetime

from dramatiq import Message

from db.executions import Peal
from tests.worker.bells.places import FAR_MS, Places, claim, look
from worker.bells.keys import messages_key
from worker.bells.ringing import Bells
from worker.wire import bell_of

MANY = 1203  # more than two calls' worth
SLOT = datetime(2024, 1, 2, 3, 45, tzinfo=UTC)


def peal(*ids: int) -> Peal:
    return Peal("order_sync", "default", SLOT, ids)


async def test_a_peal_is_its_bells_in_order(bells: Bells) -> None:
    many = peal(*range(1, MANY + 1))
    assert await bells.ring_peals([many]) == MANY
    messages = await bells.redis.hvals(messages_key("default"))
    rung = [bell_of(Message.decode(one)) for one in messages if isinstance(one, bytes)]
    assert sorted(rung, key=lambda bell: bell.execution_id) == many.bells()
    assert (await look(bells.redis, "default")).ready == [f"{number}.1" for number in range(1, MANY + 1)]


async def test_of_a_peal_only_what_is_new_is_rung(bells: Bells) -> None:
    await bells.ring_peals([peal(1, 2)])
    await claim(bells, "w1")
    assert await bells.ring_peals([peal(1, 2, 3)]) == 1
    assert (await look(bells.redis, "default")).ready == ["2.1", "3.1"]


async def test_what_waits_and_is_in_a_peal_waits_no_longer(bells: Bells) -> None:
    await bells.wait([(peal(1).bells()[0], FAR_MS)])
    assert await bells.ring_peals([peal(1, 2)]) == 2
    assert await look(bells.redis, "default") == Places(ready=["1.1", "2.1"])
