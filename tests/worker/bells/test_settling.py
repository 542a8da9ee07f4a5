"""What a settled batch does on Redis, once, whoever still claims its messages."""

from tests.worker.bells.places import FAR_MS, Places, bell, claim, ids, look, now_ms, scores
from worker.bells.keys import dead_key, messages_key, waiting_key
from worker.bells.ringing import Bells, Settled

MANY = 1203  # more than two calls' worth


async def test_a_settled_batch_ends_each_message_in_its_own_way(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(4)])
    await claim(bells, "w1", count=4)
    settled = Settled(["0.1"], [("1.1", bell(1, 2), FAR_MS), ("2.1", bell(2, 2), 0)], ["3.1"])
    for _ in range(2):  # a lost answer: the batch is settled again
        await bells.settle("w1", {"default": settled}, [bell(8), bell(9, queue="orders")])
        places = await look(bells.redis, "default")
        assert places == Places(ready=["2.2", "8.1"], due={"1.2": False}, dead={"3.1"})
        assert (await look(bells.redis, "orders")).ready == ["9.1"]


async def test_what_a_worker_no_longer_claims_is_left_to_its_holder(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(3)])
    await claim(bells, "w2", count=2)
    await bells.settle("w1", {"default": Settled(acknowledged=["0.1"], dead=["1.1", "2.1"])}, [])
    assert await look(bells.redis, "default") == Places(ready=["2.1"], claimed={"w1": set(), "w2": {"0.1", "1.1"}})


async def test_a_retry_is_kept_though_its_claim_was_lost(bells: Bells) -> None:
    await bells.ring([bell(1)])
    await claim(bells, "w2")
    settled = Settled(retries=[("1.1", bell(1, 2), FAR_MS), ("5.1", bell(5, 2), 0)])
    await bells.settle("w1", {"default": settled}, [])
    held = {"w1": set[str](), "w2": {"1.1"}}
    assert await look(bells.redis, "default") == Places(ready=["5.2"], claimed=held, due={"1.2": False})


async def test_a_retry_that_is_somewhere_already_is_not_doubled(bells: Bells) -> None:
    await bells.ring([bell(1, 2), bell(2, 2), bell(1)])
    await claim(bells, "w2")
    await bells.wait([(bell(3, 2), 0)])
    settled = Settled(retries=[(f"{n}.1", bell(n, 2), FAR_MS) for n in (1, 2, 3)])
    await bells.settle("w1", {"default": settled}, [])
    held = {"w1": set[str](), "w2": {"1.2"}}
    assert await look(bells.redis, "default") == Places(ready=["2.2", "1.1"], claimed=held, due={"3.2": True})


async def test_any_number_of_ends_is_settled(bells: Bells) -> None:
    many = [bell(number) for number in range(4 * MANY)]
    await bells.ring(many)
    claimed = await claim(bells, "w1", count=4 * MANY)
    acknowledged, waits, again, dead = (claimed[part * MANY : (part + 1) * MANY] for part in range(4))
    retries = [(id_, bell(int(id_.split(".")[0]), 2), FAR_MS if id_ in set(waits) else 0) for id_ in [*waits, *again]]
    nexts = [bell(number, 7) for number in range(MANY)]
    await bells.settle("w1", {"default": Settled(acknowledged, retries, dead)}, nexts)
    places = await look(bells.redis, "default")
    assert places.ready == [*(id_.replace(".1", ".2") for id_ in again if id_.endswith(".1")), *ids(nexts)]
    assert set(places.due) == {f"{id_.split('.')[0]}.2" for id_ in waits}
    assert places.dead == set(dead)
    assert places.claimed["w1"] == set()


async def test_a_retry_waits_on_the_clock_of_redis(bells: Bells) -> None:
    before = await now_ms(bells)
    await bells.settle("w1", {"default": Settled(retries=[("1.1", bell(1, 2), FAR_MS)])}, [])
    [due] = (await scores(bells, waiting_key("default"))).values()
    assert before + FAR_MS <= due <= await now_ms(bells) + FAR_MS


async def test_dead_letters_are_dated_on_the_clock_of_redis(bells: Bells) -> None:
    await bells.ring([bell(1)])
    before = await now_ms(bells)
    await bells.settle("w1", {"default": Settled(dead=await claim(bells, "w1"))}, [])
    [at] = (await scores(bells, dead_key("default"))).values()
    assert before <= at <= await now_ms(bells)


async def test_what_is_acknowledged_is_gone(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(MANY)])
    await bells.acknowledge("w1", "default", await claim(bells, "w1", count=MANY))
    assert await look(bells.redis, "default") == Places()


async def test_a_settled_claim_without_bytes_leaves_nothing(bells: Bells) -> None:
    await bells.ring([bell(1), bell(2)])
    claimed = await claim(bells, "w1", count=2)
    await bells.redis.delete(messages_key("default"))
    await bells.settle("w1", {"default": Settled(acknowledged=claimed[:1], dead=claimed[1:])}, [])
    assert await look(bells.redis, "default") == Places()
