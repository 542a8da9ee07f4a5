"""Everything about one: its message as it is stored, the row behind it, attempts and errors, and what happened when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.inspections import InspectionRepository
from db.lookups import LookupRepository
from worker.bells.actions import Place
from worker.inspection.letters import shown
from worker.inspection.reach import Reach
from worker.inspection.results import Ref
from worker.inspection.strays import Stray, find


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. what: made, rung, attempt, error, log, act, due, ended."""

    at: datetime
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it lies on Redis. place: ready (or claimed by a worker), waiting, dead. error: stored beside it."""

    place: str
    queue: str
    message_id: str
    message: object
    error: str | None


@dataclass(frozen=True, slots=True)
class View:
    """One execution or message. execution: as `LookupRepository.execution` has it, None for a message without one.

    message: None when there is none on Redis. timeline: oldest first.
    """

    id: str
    message: Stored | None
    execution: Mapping[str, Any] | None
    acts: list[Mapping[str, Any]]
    timeline: list[Event]


async def show(reach: Reach, ref: Ref, *, user_id: int | None = None) -> View | None:
    """Return everything about one; None when it is not there, or not this user's. Raises RedisError or OSError."""
    if ref.execution_id is None:
        found = await _stored(reach, ref.message_id or ref.id) if user_id is None else None
        return None if found is None else View(ref.id, found, None, [], [])
    async with reach.database.reading(None) as session:
        execution = await LookupRepository(session).execution(ref.execution_id)
        acts = await InspectionRepository(session).acts(ref.execution_id)
    if execution is None or (user_id is not None and execution["user_id"] != user_id):
        return None
    message_id = f"{ref.execution_id}.{ref.generation or execution['generation']}"
    return View(ref.id, await _stored(reach, message_id), execution, acts, _timeline(execution, acts))


async def _stored(reach: Reach, message_id: str) -> Stored | None:
    for place in (Place.WAITING, Place.READY, Place.DEAD):
        found: Stray | None = await find(reach.redis, place, message_id)
        if found is not None:
            return Stored(place.value, found.queue, message_id, shown(found.message), found.error or None)
    return None


def _timeline(execution: Mapping[str, Any], acts: list[Mapping[str, Any]]) -> list[Event]:
    e = execution
    parent = f", after execution {e['parent_id']}" if e["parent_id"] else ""
    worker = f" in worker {e['worker']}" if e["worker"] else ""
    events = [
        (e["created_at"], "made", f"{e['task_name']} for slot {e['scheduled_for'].isoformat()}{parent}"),
        (e["rung_at"], "rung", f"generation {e['generation']} in {e['queue']}"),
        (e["executed_at"], "attempt", f"attempt {e['attempt']} began{worker}"),
        (e["next_attempt_at"], "due", f"attempt {e['attempt'] + 1} is due"),
        (e["finished_at"], "ended", ": ".join(filter(None, (e["status"], e["reason"])))),
    ]
    for one in e["attempts"]:
        said = f"attempt {one['attempt']} {one['outcome']}: {one['error'] or 'nothing said'}"
        events.append((one["created_at"], "attempt", said))
    events += [(one["occurred_at"], "error", f"{one['error_type']}: {one['error_message']}") for one in e["errors"]]
    events += [(one["timestamp"], "log", f"{one['level']} {one['message']}") for one in e["log"]]
    events += [(one["timestamp"], "act", f"{one['action']} by {one['actor']}") for one in acts]
    return sorted((Event(*one) for one in events if one[0] is not None), key=lambda event: event.at)
