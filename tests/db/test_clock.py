"""Market time: the wall clock, a replay's row that stands, or a rehearsal that runs by itself."""

from datetime import timedelta

from sqlalchemy import text

from db.clock import ClockRepository
from db.sweeps import SweepRepository
from db.transaction import Database
from tests.people import MORNING, replay_from, scalar

LATER = "SELECT extract(epoch FROM market_now() - CAST(:at AS timestamptz))"


async def rehearse(database: Database, speed: float, hours: int = 1) -> None:
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(MORNING, MORNING + timedelta(hours=hours), speed)


async def set_back(database: Database, seconds: int) -> None:
    """Let the clock have been set so many seconds ago."""
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE market_clock SET set_at = now() - make_interval(secs => :seconds)"), {"seconds": seconds}
        )


async def passed(database: Database) -> float:
    return float(str(await scalar(database, LATER, at=MORNING)))


async def test_without_a_row_market_time_is_the_wall_clock(database: Database) -> None:
    assert await scalar(database, "SELECT market_now() = now()") is True


async def test_a_replays_clock_stands_until_it_is_moved(database: Database) -> None:
    await replay_from(database)
    await set_back(database, 100)
    assert await passed(database) == 0


async def test_a_rehearsals_clock_runs_at_its_pace_and_stops_at_its_end(database: Database) -> None:
    await rehearse(database, speed=60)
    await set_back(database, 10)
    assert 600 <= await passed(database) < 1200
    await set_back(database, 1000)
    assert await passed(database) == 3600


async def test_a_rehearsal_is_no_replay_whose_clock_the_scheduler_moves(database: Database) -> None:
    await rehearse(database, speed=60)
    async with database.reading(None) as session:
        assert not (await SweepRepository(session).outlook()).replay


async def test_a_clock_that_is_set_again_goes_on_from_there(database: Database) -> None:
    await replay_from(database)
    await rehearse(database, speed=1)
    await rehearse(database, speed=3600, hours=48)
    await set_back(database, 24)
    assert 24 * 3600 <= await passed(database) < 25 * 3600
