"""Runs, deletes, kills, requeues, edits open executions: the rows in one transaction with their audit, then Redis."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import LedgerRepository
from db.executions import Bell
from db.interventions import Act, Change, Held, InterventionRepository
from db.shares import ShareRepository
from worker.bells.actions import Place
from worker.inspection.deciding import Decided, Not, decide
from worker.inspection.reach import Reach
from worker.inspection.results import Action, Command, Ref, Result, Verdict
from worker.inspection.submits import release_orders
from worker.inspection.telling import Heard, Next, tell
from worker.messages import QUEUES
from worker.outcome import Json

# A step holds its row for the length of a short transaction; whoever holds it for longer is told of.
_TRIES, _PAUSE_SECONDS = 8, 0.15


@dataclass(slots=True)
class _Done:
    """What one transaction did. busy: whose rows somebody else was changing."""

    results: dict[int, Result] = field(default_factory=dict)
    decided: list[Decided] = field(default_factory=list)
    rung: list[Bell] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)
    busy: list[Ref] = field(default_factory=list)


async def change(reach: Reach, command: Command, refs: Sequence[Ref]) -> dict[int, Result]:
    """Do one thing to executions, some hundreds at most. Returns what became of each, by its id."""
    results: dict[int, Result] = {}
    for turn in range(_TRIES):
        async with reach.database.transaction(None) as session:
            done = await _change(session, reach, command, refs)
            if command.is_dry:
                await session.rollback()
        results |= done.results | await _tell(reach, command, done)
        refs = done.busy
        if not refs:
            break
        if turn < _TRIES - 1:
            await asyncio.sleep(_PAUSE_SECONDS)
    said = "somebody is changing it at this moment: look at it and try again"
    return results | {key(ref)[1]: Result(ref.id, Verdict.LOST, said) for ref in refs}


def key(ref: Ref) -> tuple[object, int]:
    """Return slot and id of a ref that has an execution."""
    if ref.slot is None or ref.execution_id is None:
        raise ValueError(f"{ref.id} names no execution")
    return ref.slot, ref.execution_id


async def hold(
    session: AsyncSession, command: Command, refs: Sequence[Ref]
) -> tuple[dict[int, Held], dict[int, Result], list[Ref]]:
    """Lock executions. Returns those held, what is to be said of those that are not there, and those that are busy."""
    repository = InterventionRepository(session)
    keys = [(ref.slot, ref.execution_id) for ref in refs if ref.slot is not None and ref.execution_id is not None]
    held = await repository.hold(keys)
    missing = [one for one in keys if one[1] not in held]
    there = await repository.there(missing) if missing else set()
    # Another user's is told of as one that is not there.
    foreign = {id_ for id_, one in held.items() if command.user_id is not None and one.user_id != command.user_id}
    gone = {id_ for _, id_ in missing if id_ not in there} | foreign
    results = {id_: Result(str(id_), Verdict.REFUSED, f"there is no execution {id_}") for id_ in gone}
    busy = [ref for ref in refs if ref.execution_id in there]
    return {id_: one for id_, one in held.items() if id_ not in foreign}, results, busy


async def _change(session: AsyncSession, reach: Reach, command: Command, refs: Sequence[Ref]) -> _Done:
    held, results, busy = await hold(session, command, refs)
    done = _Done(results, busy=busy)
    for ref in refs:
        if ref.execution_id not in held:
            continue
        decision = decide(command, held[ref.execution_id], ref.generation)
        if isinstance(decision, Not):
            done.results[ref.execution_id] = Result(str(ref.execution_id), decision.verdict, decision.said)
        else:
            done.decided.append(decision)
    if done.decided:
        await _write(session, reach, command, done)
    return done


async def _write(session: AsyncSession, reach: Reach, command: Command, done: _Done) -> None:
    changes = [one.change for one in done.decided]
    interventions = InterventionRepository(session)
    await interventions.change(changes, command.by)
    if command.action in (Action.DELETE, Action.KILL):
        done.notes = await release_orders(session, [one.held for one in changes], f"{command.action} by {command.by}")
    acts = [Act(one.held.id, one.held.user_id, _told(one, done.notes.get(one.held.id))) for one in changes]
    await interventions.audit(command.by, command.action, acts)
    users = {one.held.user_id for one in changes if one.held.user_id is not None}
    if users:
        done.rung = await ShareRepository(session, reach.share).ring_next(users, QUEUES)
    await LedgerRepository(session).notify()


def _told(change: Change, note: str | None) -> dict[str, Json]:
    """Return what an audit says of a change: of each field that is another, before and after."""
    held = change.held
    fields: dict[str, tuple[Json, Json]] = {
        "status": (held.status, change.status),
        "generation": (held.generation, held.generation + 1),
        "queue": (held.queue, change.queue),
        "attempt": (held.attempt, change.attempt),
    }
    told: dict[str, Json] = {name: list(pair) for name, pair in fields.items() if pair[0] != pair[1]}
    if change.status == "retrying":
        before = held.next_attempt_at.isoformat() if held.next_attempt_at is not None else None
        told["next_attempt"] = [before, f"{change.delay_seconds:.3f} s from now"]
    return told | ({"order": note} if note else {})


async def _tell(reach: Reach, command: Command, done: _Done) -> dict[int, Result]:
    if not done.decided and not done.rung:
        return {}
    theirs = {(bell.execution_id, bell.generation) for bell in done.rung}
    places = {one.change.held.id: _place(one, theirs) for one in done.decided}
    nexts = [_next(one, places[one.change.held.id]) for one in done.decided]
    ours = {one.bell for one in nexts}
    others = [bell for bell in done.rung if bell not in ours]
    heard = Heard({}) if command.is_dry else await tell(reach, nexts, others)
    return {
        one.change.held.id: _result(command, one, places[one.change.held.id], heard, done.notes) for one in done.decided
    }


def _place(decided: Decided, rung: set[tuple[int, int]]) -> Place:
    """Return where the next message goes: on the list too, when it is this one's turn in its user's share."""
    held = decided.change.held
    return Place.READY if (held.id, held.generation + 1) in rung else decided.place


def _next(decided: Decided, place: Place) -> Next:
    held, change = decided.change.held, decided.change
    bell = Bell(held.task_name, change.queue, held.scheduled_for, held.id, held.generation + 1)
    old = f"{held.id}.{held.generation}"
    return Next(held.queue, old, bell, place, round(change.delay_seconds * 1000))


def _result(command: Command, decided: Decided, place: Place, heard: Heard, notes: Mapping[int, str]) -> Result:
    change, held = decided.change, decided.change.held
    facts: dict[str, Json] = {
        "status": change.status,
        "was": held.status,
        "generation": held.generation + 1,
        "queue": change.queue,
        "attempt": change.attempt,
        "message": place.value,
        "message_was": heard.found.get(f"{held.id}.{held.generation}", Place.NOWHERE).value,
    }
    said = "; ".join(filter(None, (_said(command, decided, place), notes.get(held.id))))
    if command.is_dry:
        return Result(str(held.id), Verdict.WOULD, f"then {said}", {"status": change.status, "was": held.status})
    if heard.away is None:
        return Result(str(held.id), Verdict.DONE, said, facts)
    away = f"{said}; Redis did not answer ({heard.away}): what it missed the sweep tells it"
    return Result(str(held.id), Verdict.UNSURE, away, facts)


def _said(command: Command, decided: Decided, place: Place) -> str:
    change = decided.change
    if change.status == "cancelled":
        return "it is deleted" if command.action is Action.DELETE else "it is killed: its step can change nothing more"
    if change.status == "failed":
        return "it is killed, and lies among the dead letters"
    if place is Place.WAITING:
        return f"it waits {change.delay_seconds:,.0f} s in {change.queue}"
    if place is Place.READY:
        return f"it is ready in {change.queue}"
    return f"it is queued in {change.queue}, behind others of its user's share, and rung when its turn comes"
