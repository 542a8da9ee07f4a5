"""Messages that wait in sight, and become ready when they are due."""

from tests.worker.bells.places import FAR_MS, Places, bell, claim, look
from worker.bells.keys import messages_key, waiting_messages_key
from worker.bells.ringing import Bells, Promoted

MANY = 1203  # more than two calls' worth


async def test_only_what_is_due_is_promoted_and_the_next_is_foretold(bells: Bells) -> None:
    assert await bells.promote() == Promoted(0, None)
    assert await bells.wait([(bell(1), FAR_MS), (bell(2), 0), (bell(3, queue="orders"), 2 * FAR_MS)]) == 3
    promoted = await bells.promote()
    assert promoted.count == 1
    assert promoted.next_due_seconds is not None
    assert FAR_MS / 1000 - 60 < promoted.next_due_seconds <= FAR_MS / 1000
    assert await look(bells.redis, "default") == Places(ready=["2.1"], due={"1.1": False})
    assert (await bells.promote()).count == 0


async def test_what_is_due_longest_comes_first(bells: Bells) -> None:
    await bells.wait([(bell(1), -10), (bell(2), -30), (bell(3), -20)])
    await bells.promote()
    assert (await look(bells.redis, "default")).ready == ["2.1", "3.1", "1.1"]


async def test_a_promotion_takes_no_more_than_it_is_told_and_says_that_more_is_due(bells: Bells) -> None:
    await bells.wait([*((bell(number), -1) for number in range(700)), (bell(1, queue="orders"), -1)])
    assert await bells.promote(3) == Promoted(3, 0.0)
    assert (await look(bells.redis, "orders")).ready == ["1.1"], "the most urgent queue is the first"
    assert await bells.promote(10_000) == Promoted(500, 0.0)
    assert await bells.promote() == Promoted(198, None)


async def test_a_promoted_message_is_what_was_sent(bells: Bells) -> None:
    await bells.wait([(bell(1), 0)])
    sent = await bells.redis.hget(waiting_messages_key("default"), "1.1")
    await bells.promote()
    assert await bells.redis.hget(messages_key("default"), "1.1") == sent


async def test_a_waiting_id_without_bytes_is_forgotten(bells: Bells) -> None:
    await bells.wait([(bell(1), 0), (bell(2), 0)])
    await bells.redis.hdel(waiting_messages_key("default"), "1.1")
    assert await bells.promote() == Promoted(1, None)
    assert await look(bells.redis, "default") == Places(ready=["2.1"])


async def test_waiting_bytes_without_an_id_do_not_keep_a_message_from_waiting(bells: Bells) -> None:
    await bells.redis.hset(waiting_messages_key("default"), "1.1", b"left behind")
    assert await bells.wait([(bell(1), 0)]) == 1
    await bells.promote()
    assert await look(bells.redis, "default") == Places(ready=["1.1"])


async def test_only_what_is_nowhere_is_let_wait(bells: Bells) -> None:
    await bells.ring([bell(1), bell(2)])
    await claim(bells, "w1")
    await bells.wait([(bell(3), 0)])
    assert await bells.wait([(bell(number), FAR_MS) for number in range(1, 5)]) == 1
    held = {"w1": {"1.1"}, "w2": set[str]()}
    assert await look(bells.redis, "default") == Places(ready=["2.1"], claimed=held, due={"3.1": True, "4.1": False})


async def test_any_number_of_messages_waits(bells: Bells) -> None:
    assert await bells.wait((bell(number), FAR_MS) for number in range(MANY)) == MANY
    assert len((await look(bells.redis, "default")).due) == MANY
