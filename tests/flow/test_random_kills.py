"""Worker processes, their parent and the scheduler killed at random moments of a replay: the trades stay the same.

MUHURAT_KILLS says how many strikes there are and MUHURAT_SEED which, to look further than every run does.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random

import psutil

from tests.flow.agreement import disagreements
from tests.flow.replays import MOMENT_SECONDS, TWELVE_SESSIONS, Scene, Undisturbed, played
from tests.flow.test_kill_replay import hold_against

KILLS = int(os.environ.get("MUHURAT_KILLS", "6"))
SEED = int(os.environ.get("MUHURAT_SEED", "7"))
VICTIMS = ("child", "worker", "scheduler")
# The last sessions may be over before a strike is made.
LAST_STRUCK = 9
# Executions of a session's work after which a process is struck, at most.
SOON = 12
LOOK_SECONDS = 0.5
# One that was struck is started again within a second or two; until then there is nothing to strike.
AGAIN_SECONDS = 0.05
# The longest that an execution may stand in the name of a worker without a lease.
LONGEST_SECONDS = 15.0

ENDED = "SELECT count(*) FROM service_task_execution WHERE status IN ('success', 'skipped')"
LATER = f"SELECT 1 WHERE ({ENDED}) >= :count"
ALIVE = (
    "SELECT pid FROM worker_processes WHERE ended_at IS NULL AND gone_at IS NULL AND lease_until > now() ORDER BY pid"
)
# A worker without a row stands since it began: whose row is gone cannot be waited for.
STANDING = (
    "SELECT coalesce(max(extract(epoch FROM now() - coalesce(p.lease_until, e.executed_at))), 0) "
    "FROM service_task_execution e LEFT JOIN worker_processes p ON p.name = e.worker "
    "WHERE e.status = 'running' AND (p.name IS NULL OR p.lease_until < now())"
)
DUPLICATES = (
    "SELECT 1 FROM orders GROUP BY account_id, intent_key HAVING count(*) > 1 "
    "UNION ALL SELECT 1 FROM fills GROUP BY account_id, broker_fill_id HAVING count(*) > 1 "
    "UNION ALL SELECT 1 FROM paper_orders GROUP BY account_id, tag HAVING count(*) > 1"
)


@dataclass(slots=True)
class Struck:
    """What was struck, by name, and how long executions stood in the name of a worker without a lease."""

    processes: list[tuple[str, int]] = field(default_factory=list)
    longest_seconds: float = 0.0
    looks: int = 0
    _looking: asyncio.Task[None] | None = None

    def begin(self, scene: Scene) -> None:
        """Look from now on until `end`."""
        self._looking = asyncio.create_task(self._look(scene))

    async def end(self) -> None:
        """Look no more. Raises what a look raised."""
        if self._looking is not None:
            looking, self._looking = self._looking, None
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _look(self, scene: Scene) -> None:
        while True:
            self.longest_seconds = max(self.longest_seconds, float(await scene.one(STANDING)))
            self.looks += 1
            await asyncio.sleep(LOOK_SECONDS)


async def test_kills_at_random_moments_change_nothing_that_is_traded(undisturbed: Undisturbed) -> None:
    alone = await undisturbed(TWELVE_SESSIONS)
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(KILLS)]

    async def disturb(scene: Scene) -> None:
        random = Random(SEED)
        sessions = sorted(random.choices(range(2, LAST_STRUCK), k=KILLS))
        random.shuffle(victims)
        struck.begin(scene)
        for session, victim in zip(sessions, victims, strict=True):
            struck.processes.append((victim, await _strike(scene, session, victim, random)))

    async with (
        _ended(Struck()) as struck,
        played(replace(TWELVE_SESSIONS, workers=2, threads=4), disturb) as (scene, report),
    ):
        await struck.end()  # the last strike's recovery was seen, too: the replay is over
        assert await disagreements(scene) == {}
        assert await scene.rows(DUPLICATES) == []
    hold_against(report, alone)
    assert [name for name, _ in struck.processes] == victims
    assert len({pid for _, pid in struck.processes}) == KILLS
    assert struck.looks > KILLS
    assert struck.longest_seconds <= LONGEST_SECONDS


async def _strike(scene: Scene, session: int, victim: str, random: Random) -> int:
    """Kill one process somewhere in a session's work. Returns its number; it was alive."""
    await scene.reached(session)
    done = await scene.one(ENDED)
    await scene.caught(LATER, count=done + random.randrange(SOON))
    end = time.monotonic() + MOMENT_SECONDS
    while not (there := await _running(scene, victim)):
        assert time.monotonic() < end, f"no {victim} runs for {MOMENT_SECONDS} s"
        await asyncio.sleep(AGAIN_SECONDS)
    pid = random.choice(there)
    os.kill(pid, signal.SIGKILL)
    return pid


async def _running(scene: Scene, name: str) -> list[int]:
    """Return the processes of a name that are alive: of the children those that hold a lease."""
    pids = [row.pid for row in await scene.rows(ALIVE)] if name == "child" else [scene.doors[name].pid]
    return [pid for pid in pids if pid is not None and _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@asynccontextmanager
async def _ended(struck: Struck) -> AsyncIterator[Struck]:
    """Leave no look behind, however the replay ends."""
    try:
        yield struck
    finally:
        await struck.end()
