"""What must hold after every case, each a count of what was looked at and the violations found."""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db import invariants
from db.engine import make_engine
from db.transaction import Database
from ops.chaos.plans import ENDS, OF_AN_ORDER, TASKS_USED, is_of_an_order, plan_of
from ops.chaos.scene import Scene
from ops.chaos.watch import Watched

LATE_SECONDS = 30.0
_COUNTED = ("begins", "passes", "effects")
_NAMED = 5
FINAL = ("success", "failed", "skipped", "cancelled")

_NOT_FINAL = f"""
SELECT a.id, e.status, e.generation, e.rung_at FROM chaos_accepted a
LEFT JOIN service_task_execution e ON e.scheduled_for = a.scheduled_for AND e.id = a.id
WHERE e.id IS NULL OR e.status NOT IN {FINAL}
"""  # noqa: S608 - constants of this file
_LEFT_ITS_END = f"SELECT id, was, became FROM chaos_changes WHERE was IN {FINAL}"  # noqa: S608
_ENDS = "SELECT id, subject, status, reason, parent_id FROM service_task_execution"
_BEGUN_TWICE = """
SELECT execution_id, generation, count(*) AS times FROM chaos_begins
GROUP BY execution_id, generation HAVING count(*) > 1
"""
_NO_EFFECT = f"""
SELECT e.id FROM service_task_execution e
WHERE e.status = 'success' AND e.task_name = ANY($1::text[]) AND e.subject !~ '{OF_AN_ORDER}'
  AND NOT EXISTS (SELECT FROM chaos_effects f WHERE f.execution_id = e.id)
"""  # noqa: S608 - a constant
# A poisonous outcome is refused when its effect is made already.
_UNWANTED = """
SELECT e.id, e.status, e.reason FROM service_task_execution e
WHERE e.status IN ('failed', 'cancelled') AND e.reason IS DISTINCT FROM 'unstorable_outcome'
  AND EXISTS (SELECT FROM chaos_effects f WHERE f.execution_id = e.id)
"""
# Whoever passes the fence holds the execution then, under that generation.
_UNHELD = """
SELECT f.execution_id, f.generation, f.application FROM chaos_passes f
WHERE NOT EXISTS (
    SELECT FROM chaos_changes c WHERE c.id = f.execution_id AND c.generation = f.generation AND c.became = 'running'
      AND c.application = f.application AND c.at <= f.at)
OR EXISTS (SELECT FROM chaos_changes c WHERE c.id = f.execution_id AND c.generation > f.generation AND c.at < f.at)
"""
# A worker that settles held the execution, under the generation that it ends.
_STALE = """
SELECT c.id, c.was, c.became, c.was_generation, c.application FROM chaos_changes c
WHERE c.application LIKE 'worker %' AND c.became IN ('success', 'failed', 'retrying') AND NOT EXISTS (
    SELECT FROM chaos_changes r WHERE r.id = c.id AND r.became = 'running' AND r.generation = c.was_generation
      AND r.application = c.application AND r.at <= c.at)
"""
# How long after its due time a retry began, or came to an end without.
_RETRIES = """
SELECT w.id, w.due, extract(epoch FROM coalesce(n.at, clock_timestamp()) - w.due)::float8 AS late
FROM chaos_changes w LEFT JOIN LATERAL (
    SELECT c.at FROM chaos_changes c
    WHERE c.id = w.id AND c.at > w.at AND c.became IN ('running', 'success', 'failed', 'skipped', 'cancelled')
    ORDER BY c.at LIMIT 1) n ON true
WHERE w.became = 'retrying'
"""

_NOT_ONCE = """
SELECT e.id, (SELECT count(*) FROM chaos_accepted a WHERE a.parent_id = e.id) AS times
FROM service_task_execution e WHERE e.status = 'failed' AND e.parent_id IS NULL
AND (SELECT count(*) FROM chaos_accepted a WHERE a.parent_id = e.id) <> 1
"""


@dataclass(frozen=True, slots=True)
class Held:
    """How one promise was held in a case. counted: by name. violations: a sentence each, with the first ids."""

    counted: Mapping[str, float]
    violations: list[str]


@dataclass(frozen=True, slots=True)
class Promise:
    """One invariant."""

    name: str
    sentence: str
    look: Callable[[Scene, Watched], Awaitable[Held]]


async def unfinished(scene: Scene) -> int:
    """Return how many accepted executions have not come to their end."""
    return len(await scene.eye.rows(_NOT_FINAL))


async def _one_final_state(scene: Scene, _: Watched) -> Held:
    accepted = int(await scene.eye.one("SELECT count(*) FROM chaos_accepted"))
    open_, left = await scene.eye.rows(_NOT_FINAL), await scene.eye.rows(_LEFT_ITS_END)
    violations = _named("not in a final state", [f"{row['id']} {row['status'] or 'vanished'}" for row in open_])
    violations += _named("changed after its end", [f"{row['id']} {row['was']} -> {row['became']}" for row in left])
    if accepted < scene.accepted:
        violations.append(f"{scene.accepted} were accepted, {accepted} stand in the record")
    return Held({"executions": accepted}, violations)


async def _ends_as_it_must(scene: Scene, _: Watched) -> Held:
    rows = await scene.eye.rows(_ENDS)
    wrong = [
        f"{row['id']} {row['subject']} {row['status']}: {row['reason']}"
        for row in rows
        if row["status"] in FINAL and row["status"] not in _ends_of(scene, row)
    ]
    return Held({"executions": len(rows)}, _named("ended otherwise than it must", wrong))


def _ends_of(scene: Scene, row: Any) -> Container[str]:
    """Return how an execution may end. What an operator has done again ends well; work for an order finds it done."""
    if row["id"] not in scene.ends and is_of_an_order(row["subject"]):
        return ("success", "skipped")
    planned = ENDS[plan_of(row["subject"]).word] if row["parent_id"] is None else "success"
    return (scene.ends.get(row["id"], planned),)


async def _effects_once(scene: Scene, _: Watched) -> Held:
    eye = scene.eye
    counted = {name: int(await eye.one(f"SELECT count(*) FROM chaos_{name}")) for name in _COUNTED}  # noqa: S608
    looks = {
        "began twice under one generation": _BEGUN_TWICE,
        "an effect key was used twice": "SELECT key, generation FROM chaos_doubles",
        "succeeded without its effect": _NO_EFFECT,
        "made an effect and did not succeed": _UNWANTED,
        "passed the fence and did not hold it": _UNHELD,
        "settled and did not hold it": _STALE,
    }
    violations: list[str] = []
    for said, query in looks.items():
        values = (list(TASKS_USED),) if "$1" in query else ()
        violations += _named(said, [" ".join(map(str, row)) for row in await eye.rows(query, *values)])
    return Held(counted, violations)


async def _retries_on_time(scene: Scene, _: Watched) -> Held:
    rows = await scene.eye.rows(_RETRIES)
    late = [f"{row['id']} by {row['late']:.1f} s" for row in rows if row["late"] > LATE_SECONDS]
    latest = max((row["late"] for row in rows), default=0.0)
    return Held({"retries": len(rows), "latest_s": round(latest, 2)}, _named("retried later than due + 30 s", late))


async def _running_is_leased(_: Scene, watched: Watched) -> Held:
    longest = watched.longest_seconds
    violations = [f"{longest:.1f} s running without a live lease"] if longest > LATE_SECONDS else []
    return Held({"looks": watched.looks, "longest_s": round(longest, 2)}, violations)


async def _record_is_whole(scene: Scene, _: Watched) -> Held:
    database = Database(make_engine(scene.ground.urls.sqlalchemy, pool_size=1))
    try:
        async with database.reading(None) as session:
            found = await _broken(session)
    finally:
        await database.close()
    return Held({"invariants": len(invariants.INVARIANTS)}, found)


async def _broken(session: AsyncSession) -> list[str]:
    return [f"{one.name}: {one.count} rows, {dict(one.rows[0])}" for one in await invariants.check(session)]


async def _actions_once(scene: Scene, _: Watched) -> Held:
    if not scene.acted:
        return Held({"requeued": 0}, [])
    wrong = [f"{row['id']} {row['times']} times" for row in await scene.eye.rows(_NOT_ONCE)]
    requeued = int(await scene.eye.one("SELECT count(*) FROM chaos_accepted WHERE parent_id IS NOT NULL"))
    return Held({"requeued": requeued}, _named("a dead letter not requeued once", wrong))


async def _halts_hold(scene: Scene, _: Watched) -> Held:
    looks = {
        "after the halt": "SELECT o.order_id, o.became FROM chaos_orders o, chaos_halts h WHERE o.at > h.at "
        "AND (o.became = 'sending' OR o.became = 'planned' AND NOT EXISTS "
        "(SELECT FROM chaos_orders b WHERE b.order_id = o.order_id AND b.at < o.at))",
        "asked of a broker without being sent": "SELECT s.order_id FROM chaos_sends s WHERE NOT EXISTS "
        "(SELECT FROM chaos_orders o WHERE o.order_id = s.order_id AND o.became = 'sending' AND o.at <= s.at)",
        "asked of a broker twice": "SELECT order_id FROM chaos_sends s GROUP BY order_id HAVING count(*) > "
        "(SELECT count(*) FROM chaos_orders o WHERE o.order_id = s.order_id AND o.became = 'sending')",
        "left without an end": "SELECT id, status FROM orders WHERE status IN ('planned', 'sending', 'unknown')",
    }
    violations: list[str] = []
    for said, query in looks.items():
        violations += _named(said, [" ".join(map(str, row)) for row in await scene.eye.rows(query)])
    counts = {"halts": "chaos_halts", "orders": "orders", "sent": "chaos_sends", "placed": "paper_orders"}
    counted = {name: int(await scene.eye.one(f"SELECT count(*) FROM {table}")) for name, table in counts.items()}  # noqa: S608
    counted["stopped"] = int(await scene.eye.one("SELECT count(*) FROM orders WHERE reason LIKE 'KILL_SWITCH%'"))
    return Held(counted, violations)


PROMISES = (
    Promise("one_final_state", "every accepted execution is in exactly one final state, and stays", _one_final_state),
    Promise("ends_as_it_must", "every execution ends as its step would have it", _ends_as_it_must),
    Promise("effects_once", "no effect key is executed twice, none by who does not hold it", _effects_once),
    Promise("retries_on_time", "no retry is later than due + 30 s", _retries_on_time),
    Promise("running_is_leased", "nothing is running without a live lease for 30 s", _running_is_leased),
    Promise("actions_once", "what an operator requeues is made once", _actions_once),
    Promise("halts_hold", "no order is planned or sent after a halt of it was committed", _halts_hold),
    Promise("record_is_whole", "the invariants of the record hold", _record_is_whole),
)


def _named(said: str, what: Sequence[str]) -> list[str]:
    more = f" and {len(what) - _NAMED} more" if len(what) > _NAMED else ""
    return [f"{said} ({len(what)}): {'; '.join(what[:_NAMED])}{more}"] if what else []
