"""The same promises for Dramatiq's threads, which have no event loop."""

from collections.abc import Iterator

import pytest
import redis

from ops.local import Servers
from tests.worker.bells.places import FAR_MS, Places, bell, claim, look
from worker.bells.ringing import Bells
from worker.bells.threads import ThreadBells
from worker.wire import encode


@pytest.fixture
def door(servers: Servers) -> Iterator[ThreadBells]:
    with redis.Redis.from_url(servers.redis_url) as client:
        yield ThreadBells(client, "w1")


async def test_a_message_that_is_sent_with_a_delay_again_waits_once(bells: Bells, door: ThreadBells) -> None:
    assert door.wait("default", "a", b"first", FAR_MS)
    assert not door.wait("default", "a", b"again", 0)
    assert await look(bells.redis, "default") == Places(due={"a": False})


async def test_a_message_of_a_queue_nobody_knew_becomes_ready_when_it_is_due(bells: Bells, door: ThreadBells) -> None:
    door.wait("mail", "a", encode(bell(1, queue="mail")), 0)
    assert (await bells.promote()).count == 1
    assert await look(bells.redis, "mail") == Places(ready=["a"])
    assert not door.wait("mail", "a", b"again", 0)


async def test_a_thread_buries_what_its_process_claims(bells: Bells, door: ThreadBells) -> None:
    await bells.ring([bell(1), bell(2), bell(3)])
    await claim(bells, "w1")
    await claim(bells, "w2")
    assert door.bury("default", "1.1", "cannot be decoded")
    assert not door.bury("default", "1.1", "cannot be decoded")
    assert not door.bury("default", "2.1", "another's")
    places = await look(bells.redis, "default")
    assert places == Places(ready=["3.1"], claimed={"w1": set(), "w2": {"2.1"}}, dead={"1.1"})
