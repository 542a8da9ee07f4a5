"""The state of an operator's action on dead letters: held up in the middle of its rows while a fault strikes."""

import asyncio
import sys
from asyncio.subprocess import STDOUT, Process

from ops.chaos.eye import NotReachedError, reached
from ops.chaos.house import environment_of
from ops.chaos.instruments import ACTING
from ops.chaos.plans import FAIL, Plan
from ops.chaos.scene import Scene
from ops.chaos.states import RUNNING, State, at_least, mixed
from ops.doors import ROOT

DEAD_LETTERS, BESIDE = 20, 30
_REACH_SECONDS = 90.0
# An operator whose command fails runs it again; one that hangs is ended by him.
MOST_RUNS = 5
_RUN_SECONDS = 45.0

_DEAD = "SELECT count(*) FROM service_task_execution WHERE status = 'failed'"


async def act(scene: Scene) -> Process:
    """Start the operator's command. Returns its process."""
    command = [sys.executable, "-m", "ops.chaos.requeue"]
    with (scene.house.logs / "operator.log").open("ab") as said:
        return await asyncio.create_subprocess_exec(
            *command, env=environment_of(scene.ground), cwd=ROOT, stdout=said, stderr=STDOUT
        )


async def bring(scene: Scene) -> None:
    """Let some fail for good, others run beside, and hold the operator's action up."""
    await scene.accept([Plan(number, FAIL) for number in range(DEAD_LETTERS)])
    await reached("dead letters", lambda: _dead(scene), _REACH_SECONDS)
    await scene.accept([Plan(DEAD_LETTERS + plan.number, plan.word) for plan in mixed(BESIDE)])
    await reached("steps wait at the gate", lambda: at_least(scene, RUNNING), _REACH_SECONDS)
    await scene.hold(ACTING)
    scene.operator = await act(scene)
    await reached("the action waits at its gate", lambda: scene.held_up(ACTING), _REACH_SECONDS)


async def finish(scene: Scene) -> None:
    """Wait for the operator's command; while it fails it is run again, as he would."""
    scene.acted = True
    for run in range(MOST_RUNS):
        operator, scene.operator = scene.operator or await act(scene), None
        try:
            code = await asyncio.wait_for(operator.wait(), _RUN_SECONDS)
        except TimeoutError:
            operator.kill()
            code = await operator.wait()
        scene.notes["commands_run"] = run + 1
        if code == 0:
            return
    raise NotReachedError(f"the operator's command failed {MOST_RUNS} times")


async def _dead(scene: Scene) -> bool:
    return int(await scene.eye.one(_DEAD)) == DEAD_LETTERS


async def _count(scene: Scene) -> int:
    return int(await scene.eye.one(_DEAD)) if await scene.held_up(ACTING) else 0


ACTING_STATE = State("dead", "an operator's action on it is under way", bring, _count, DEAD_LETTERS, finish)
