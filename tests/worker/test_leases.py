"""Leases and heartbeats go on whatever stands still: a connection, a server, a sibling. Children are idle, and real."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from tests.people import scalar
from tests.waiting import until
from tests.worker.idle_child import CODE
from tests.worker.relay import Relay, relayed
from worker import supervisor as supervisor_module
from worker.bells.keys import HEARTBEATS
from worker.bells.ringing import Bells
from worker.ending import REFUSED
from worker.leases import RENEWALS_A_LEASE, Findings, Leases
from worker.supervisor import ChildRefused, Supervisor

CHILD = "tests.worker.idle_child"
LEASE = 3.0
LIVE = "SELECT count(*) FROM worker_processes WHERE ended_at IS NULL AND gone_at IS NULL AND lease_until > now()"
RENEWED = "SELECT min(lease_until)::text FROM worker_processes WHERE gone_at IS NULL"
GONE = "SELECT count(*) FROM worker_processes WHERE gone_at IS NOT NULL"


@pytest.fixture
async def lines(urls: ServerUrls) -> AsyncIterator[tuple[ServerUrls, Relay, Relay]]:
    with tempfile.TemporaryDirectory(prefix="line-") as folder:
        async with relayed(urls, Path(folder)) as relays:
            yield relays


@asynccontextmanager
async def supervising(database: Database, bells: Bells, processes: int) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(database, bells, ("default",), 1, LEASE, CHILD)
    running = asyncio.create_task(supervisor.run(processes))
    try:
        yield supervisor
        assert not running.done()
    finally:
        supervisor.stopping.set()
        await running


async def changed(look: Callable[[], Awaitable[object]], times: int = RENEWALS_A_LEASE + 1) -> None:
    """Wait until what is looked at has changed so many times."""
    seen = {await look()}

    async def often() -> bool:
        seen.add(await look())
        return len(seen) > times

    await until(often, 30)


async def test_no_lease_runs_out_though_the_connection_that_renewed_it_stands_still(
    database: Database, bells: Bells, lines: tuple[ServerUrls, Relay, Relay]
) -> None:
    addresses, postgres, _ = lines
    through = Database(make_engine(addresses.sqlalchemy, 2))
    async with supervising(through, bells, 2):
        await until(lambda: live(database, 2), 20)
        postgres.stall_present()
        before = postgres.lines

        async def renewed() -> object:
            assert await live(database, 2)
            return await scalar(database, RENEWED)

        await changed(renewed)
        assert postgres.lines > before
    await through.close()


async def test_any_number_of_deaths_while_postgres_stands_still_is_mended_and_told_when_it_goes_on(
    database: Database, bells: Bells, lines: tuple[ServerUrls, Relay, Relay]
) -> None:
    addresses, postgres, _ = lines
    # A pool that soon says that it has none to give: that, too, is Postgres being away.
    through = Database(make_engine(addresses.sqlalchemy, pool_size=1, pool_seconds=0.1))
    async with supervising(through, bells, 4) as supervisor:
        await until(lambda: live(database, 4), 20)
        first = set(supervisor.children)
        postgres.stall()
        for name in first:
            os.kill(supervisor.children[name].process.pid, signal.SIGKILL)

        async def refilled() -> bool:
            return len(supervisor.children) == 4 and not first & set(supervisor.children)

        await until(refilled, 20)
        assert await scalar(database, GONE) == 0
        postgres.resume()

        async def told() -> bool:
            return await scalar(database, GONE) == 4 and await live(database, 4)

        await until(told, 20)
    assert await scalar(database, GONE) == 8
    await through.close()


async def test_a_pool_that_has_no_connection_left_ends_no_process(database: Database, urls: ServerUrls) -> None:
    through = Database(make_engine(urls.sqlalchemy, pool_size=1, pool_seconds=0.1))
    leases = Leases(through, ("default",), LEASE)
    leases.begin("w1", 1)
    async with through.transaction(None):
        assert await leases.turn(["w1"]) == Findings()
    assert await leases.turn(["w1"]) == Findings()
    assert await live(database, 1)
    await through.close()


async def test_redis_away_disturbs_no_lease_and_postgres_away_no_heartbeat(
    database: Database, bells: Bells, lines: tuple[ServerUrls, Relay, Relay]
) -> None:
    addresses, postgres, redis = lines
    through, rung = Database(make_engine(addresses.sqlalchemy, 2)), Bells(addresses.redis)

    async def beats() -> object:
        return tuple(await heartbeats(bells))

    async def renewed() -> object:
        assert await live(database, 2)
        return await scalar(database, RENEWED)

    async with supervising(through, rung, 2) as supervisor:
        await until(lambda: live(database, 2), 20)
        redis.stall()
        await changed(renewed)
        redis.resume()
        await changed(beats)
        postgres.stall()
        await changed(beats)
        assert await living(bells) == set(supervisor.children)
        postgres.resume()
        await until(lambda: live(database, 2), 20)
    assert await living(bells) == set()
    await rung.close()
    await through.close()


async def test_heartbeats_are_of_rediss_clock_and_a_stopped_process_has_none(database: Database, bells: Bells) -> None:
    async with supervising(database, bells, 2) as supervisor:
        await until(lambda: beating(bells, 2), 20)
        stopped, other = supervisor.children
        os.kill(supervisor.children[stopped].process.pid, signal.SIGSTOP)

        async def age(name: str) -> float:
            seconds, micros = await bells.redis.time()
            return seconds + micros / 1e6 - float(await bells.redis.zscore(HEARTBEATS, name) or 0) / 1000

        async def is_silent() -> bool:
            return await age(stopped) > 2 * LEASE / RENEWALS_A_LEASE

        await until(is_silent, 20)
        assert -0.1 < await age(other) < LEASE
        await until(lambda: live(database, 1), 20)
        os.kill(supervisor.children[stopped].process.pid, signal.SIGCONT)
        await until(lambda: live(database, 2), 20)


async def test_a_process_that_cannot_be_started_is_started_later_and_its_sibling_never_noticed(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(database, bells, 2) as supervisor:
        await until(lambda: live(database, 2), 20)
        dying, sibling = supervisor.children
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/no/such/python")
            os.kill(supervisor.children[dying].process.pid, signal.SIGKILL)
            await until(lambda: live(database, 1), 20)
        await until(lambda: live(database, 2), 20)
        assert sibling in supervisor.children


async def test_a_process_that_refuses_its_settings_ends_nobody_who_was_well_with_them(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "SOUND_SECONDS", 0.0)
    async with supervising(database, bells, 2) as supervisor:
        await until(lambda: live(database, 2), 20)
        first, second = supervisor.children
        monkeypatch.setenv(CODE, str(REFUSED))
        os.kill(supervisor.children[first].process.pid, signal.SIGKILL)

        async def refused() -> bool:
            return await scalar(database, f"SELECT ({GONE}) >= 2") is True

        await until(refused, 20)
        assert second in supervisor.children
        monkeypatch.delenv(CODE)
        await until(lambda: live(database, 2), 20)


async def test_settings_that_the_first_process_refuses_end_its_supervisor_with_a_word(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CODE, str(REFUSED))
    supervisor = Supervisor(database, bells, ("default",), 1, LEASE, CHILD)
    with pytest.raises(ChildRefused, match="refused its settings"):
        await asyncio.wait_for(supervisor.run(2), 20)
    assert await live(database, 0)


async def test_who_lost_its_lease_to_others_is_killed_and_replaced(database: Database, bells: Bells) -> None:
    async with supervising(database, bells, 1) as supervisor:
        await until(lambda: live(database, 1), 20)
        [name] = supervisor.children
        async with database.transaction(None) as session:
            await session.execute(text("UPDATE worker_processes SET ended_at = now()"))

        async def replaced() -> bool:
            return name not in supervisor.children and await live(database, 1)

        await until(replaced, 20)


async def live(database: Database, count: int) -> bool:
    return await scalar(database, LIVE) == count


async def beating(bells: Bells, count: int) -> bool:
    return len(await living(bells)) == count


async def living(bells: Bells) -> set[str]:
    return {str(name) for name, _ in await heartbeats(bells)}


async def heartbeats(bells: Bells) -> list[tuple[object, float]]:
    found: list[tuple[bytes, float]] = await bells.redis.zrange(HEARTBEATS, 0, -1, withscores=True)  # type: ignore[assignment]
    return [(name.decode(), score) for name, score in found]
