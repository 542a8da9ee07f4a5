"""A halt of entries that is set while orders are planned and sent, and a fault that strikes in the middle of it.

The operator's command is the product's. It waits for the effects under way, which are held up in their transactions;
the fault strikes then. Work that plans more orders comes behind it.
"""

import asyncio
import sys
from asyncio.subprocess import STDOUT, Process
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from db.calendar import CalendarRepository
from db.clock import ClockRepository
from db.engine import make_engine
from db.partitions import PartitionRepository
from db.transaction import Database
from ops.chaos.eye import NotReachedError, reached
from ops.chaos.faults import FAULTS, Fault
from ops.chaos.further_faults import KILL_SCHEDULER, POSTGRES_CRASH
from ops.chaos.house import environment_of
from ops.chaos.instruments import SENDING
from ops.chaos.ordering import evening_of
from ops.chaos.plans import ORDER, Plan
from ops.chaos.promises import unfinished
from ops.chaos.scene import Scene, Single
from ops.doors import ROOT
from trading.calendar import exchange_day

# Of two accounts, each of which may hold six shares.
BEFORE, AFTER = 12, 20
_REACH_SECONDS = 90.0
_RUN_SECONDS, _MOST_RUNS = 60.0, 5
# One account is sent for at a time.
_HELD_UP = 1
_WORDS = ("halt", "--everywhere", "--entries", "--reason", "chaos", "--as", "chaos", "--json")

_PLANNED = "SELECT count(*) FROM orders WHERE status = 'planned'"
_WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND NOT granted"
_HALTS = "SELECT count(*) FROM chaos_halts"


def _part(fault: Fault) -> Callable[[Scene, Random], Awaitable[None]]:
    async def part(scene: Scene, random: Random) -> None:
        await _begin_evening(scene)
        await _play(scene, fault, random)

    return part


async def _play(scene: Scene, fault: Fault, random: Random) -> None:
    await scene.hold(SENDING)
    scene.open_steps()
    await _plan(scene, range(BEFORE))
    await reached("orders are held up as they are sent", lambda: _held_up(scene), _REACH_SECONDS)
    await reached("more are planned behind them", lambda: scene.eye.one(_PLANNED), _REACH_SECONDS)
    operator = await _halt(scene)
    await reached("the halt waits for the effects under way", lambda: scene.eye.one(_WAITS), _REACH_SECONDS)
    await asyncio.sleep(random.uniform(0, 0.3))
    scene.notes |= {"in_state": await scene.held_up(SENDING), "planned": await scene.eye.one(_PLANNED)}
    async with fault.strike(scene):
        scene.release()
    scene.notes["commands_run"] = await _halted(scene, operator)
    await _plan(scene, range(BEFORE, BEFORE + AFTER))

    async def over() -> bool:
        scene.house.keep_running()
        return not await unfinished(scene)

    await reached("every order has come to its end", over, _REACH_SECONDS)
    scene.notes["halts"] = await scene.eye.one(_HALTS)


async def _plan(scene: Scene, numbers: Sequence[int]) -> None:
    """Accept work that plans an order each, for the two users in turn."""
    await scene.accept([Plan(number, ORDER) for number in numbers], owned=True)


async def _held_up(scene: Scene) -> bool:
    return await scene.held_up(SENDING) >= _HELD_UP


async def _halt(scene: Scene) -> Process:
    with (scene.house.logs / "operator.log").open("ab") as told:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.cli", *_WORDS, env=environment_of(scene.ground), cwd=ROOT, stdout=told,
            stderr=STDOUT,
        )  # fmt: skip


async def _halted(scene: Scene, operator: Process) -> int:
    """Wait until the halt is in force; a command that fails is run again, as he would. Returns how often it was run."""
    for run in range(1, _MOST_RUNS + 1):
        try:
            code = await asyncio.wait_for(operator.wait(), _RUN_SECONDS)
        except TimeoutError:
            operator.kill()
            code = await operator.wait()
        if code == 0:
            return run
        operator = await _halt(scene)
    raise NotReachedError(f"the halt failed {_MOST_RUNS} times")


async def _begin_evening(scene: Scene) -> None:
    """Let it be an evening on which brokers take after-market orders, until the case was judged."""
    database = Database(make_engine(scene.ground.urls.sqlalchemy, pool_size=1))
    try:
        async with database.transaction(None) as session:
            calendar = await CalendarRepository(session).load()
            days = [one.day for one in calendar.sessions_between(calendar.first, calendar.last)]
            at = evening_of(days, exchange_day(datetime.now(UTC)))  # noqa: TID251 - a door: which evening it may be
            await PartitionRepository(session).make(exchange_day(at), exchange_day(at))
            await ClockRepository(session).rehearse(at, at + timedelta(days=365), 1.0)
    finally:
        await database.close()


_STRUCK = [one for one in FAULTS if one.name in ("kill_worker", "kill_parent", "postgres_restart", "redis_flushall")]
HALTINGS = tuple(
    Single(f"halt_{fault.name}", f"{fault.sentence}, while a halt waits for orders on their way", _part(fault))
    for fault in (*_STRUCK, POSTGRES_CRASH, KILL_SCHEDULER)
)
