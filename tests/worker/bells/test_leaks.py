"""What fell out of every place is found and put back, and nothing else is."""

from typing import Any

import pytest

from tests.worker.bells.places import FAR_MS, Places, bell, claim, look
from worker.bells import leaks
from worker.bells.keys import HEARTBEATS, claims_key, messages_key, ready_key
from worker.bells.ringing import Bells, Leaks


async def test_a_queue_in_order_leaks_nothing(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(1200)])
    await claim(bells, "w1", count=10)
    await bells.wait([(bell(5000), FAR_MS)])
    await bells.bury("default", "900.1", "no")
    assert await bells.leaks("default", ["w1"]) == Leaks([], [])


async def test_a_message_in_no_place_is_found_and_put_back_once(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(60)])
    await bells.redis.ltrim(ready_key("default"), 58, -1)
    found = await bells.leaks("default", [])
    assert len(found.lost) == 58
    assert await bells.restore("default", found.lost, []) == 58
    assert await bells.restore("default", found.lost, []) == 0
    assert len((await look(bells.redis, "default")).ready) == 60
    assert await bells.leaks("default", []) == Leaks([], [])


async def test_what_a_live_worker_or_a_stock_one_claims_is_no_leak(bells: Bells) -> None:
    await bells.ring([bell(1), bell(2), bell(3)])
    await claim(bells, "w1")
    await claim(bells, "stock-uuid")
    await claim(bells, "dead")
    await bells.redis.zadd(HEARTBEATS, {"stock-uuid": 1})
    assert await bells.leaks("default", ["w1"]) == Leaks(["3.1"], [])
    assert await bells.restore("default", ["1.1", "2.1", "3.1"], ["w1"]) == 1
    assert await bells.redis.lrange(ready_key("default"), 0, -1) == [b"3.1"]


async def test_what_moved_since_it_was_looked_for_is_not_put_back(bells: Bells) -> None:
    await bells.ring([bell(1), bell(2)])
    await claim(bells, "w2")
    assert await bells.restore("default", ["1.1", "2.1", "9.1"], ["w1", "w2"]) == 0
    assert await look(bells.redis, "default") == Places(ready=["2.1"], claimed={"w1": set(), "w2": {"1.1"}})


async def test_a_claim_without_message_is_found_and_forgotten(bells: Bells) -> None:
    await bells.ring([bell(1), bell(2)])
    await claim(bells, "w1", count=2)
    await bells.redis.hdel(messages_key("default"), "1.1")
    found = await bells.leaks("default", ["w1", "w2"])
    assert found == Leaks([], [("w1", "1.1")])
    assert await bells.disclaim("default", [*found.empty, ("w1", "2.1"), ("w2", "7.1")]) == 1
    assert await look(bells.redis, "default") == Places(claimed={"w1": {"2.1"}, "w2": set()})


async def test_whoever_holds_claims_is_found_whatever_is_known_of_them(bells: Bells) -> None:
    await bells.beat(["w1"], queues=["mail.in"])
    for worker, queue in (("host.local-1", "default"), ("w2", "default"), ("w2", "mail.in"), ("w3", "default.DQ")):
        await bells.redis.sadd(claims_key(worker, queue), "1.1")
    found = await bells.claimants()
    assert found == {
        "orders": set(),
        "strategy": set(),
        "ml": set(),
        "default": {"host.local-1", "w2"},
        "mail.in": {"w2"},
    }


async def test_a_long_queue_is_read_whole_only_where_its_counts_do_not_agree(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaks, "LONG", 50)
    await bells.ring([bell(number) for number in range(60)])
    await claim(bells, "w1", count=10)

    async def read_keys() -> int:
        before = await bells.redis.info("commandstats")
        assert (await bells.leaks("default", ["w1"])).empty == []
        after = await bells.redis.info("commandstats")
        return sum(_calls(after, name) - _calls(before, name) for name in ("hscan", "lrange"))

    assert await read_keys() == 0
    await bells.redis.rpop(ready_key("default"))
    assert await read_keys() > 0
    assert len((await bells.leaks("default", ["w1"])).lost) == 1


def _calls(stats: Any, command: str) -> int:
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))
