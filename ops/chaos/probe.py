"""Whether everybody still works when a fault is over: each process that lived through it takes work of each queue."""

from db.workers import application_of
from ops.chaos.eye import reached
from ops.chaos.plans import OK, TASKS_USED, Plan
from ops.chaos.scene import Scene

# More than one process takes at once, so that something is left for the others.
EXECUTIONS = 24
_FIRST_NUMBER = 1000
_SECONDS = 60.0

_NAMES = "SELECT name FROM worker_processes WHERE pid = ANY($1::int[]) AND gone_at IS NULL AND ended_at IS NULL"
_WORKING = """
SELECT DISTINCT b.application FROM chaos_begins b
JOIN service_task_execution e ON e.id = b.execution_id AND e.subject LIKE 'chaos:' || $1 || '___:%' AND e.task_name = $2
"""
_OPEN = """
SELECT count(*) FROM service_task_execution
WHERE subject LIKE 'chaos:' || $1 || '___:%' AND status NOT IN ('success', 'failed', 'skipped', 'cancelled')
"""


async def every_survivor_works(scene: Scene) -> int:
    """Wait until every process that was there from the first has begun work of every queue.

    Returns how many there are. Raises NotReachedError.
    """
    survivors: set[str] = set()
    for which, task in enumerate(TASKS_USED):
        scene.close_steps()
        first = _FIRST_NUMBER * (which + 1)
        # A number's remainder says its task; its thousands, which look it belongs to.
        plans = [Plan(first + len(TASKS_USED) * number + which, OK) for number in range(EXECUTIONS)]
        await scene.accept(plans, shared=True)
        thousand = str(which + 1)

        async def working(thousand: str = thousand, task: str = task) -> bool:
            nonlocal survivors
            scene.house.keep_running()
            survivors = await _survivors(scene)  # again and again: one that lost its lease may have its end before it
            return survivors <= {row["application"] for row in await scene.eye.rows(_WORKING, thousand, task)}

        async def over(thousand: str = thousand) -> bool:
            return not await scene.eye.one(_OPEN, thousand)

        try:
            await reached(f"every process that lived through it takes {task} again", working, _SECONDS)
        finally:
            scene.open_steps()
        await reached(f"what was asked of {task} afterwards is over", over, _SECONDS)
    return len(survivors)


async def _survivors(scene: Scene) -> set[str]:
    rows = await scene.eye.rows(_NAMES, scene.house.survivors())
    return {application_of(row["name"]) for row in rows}
