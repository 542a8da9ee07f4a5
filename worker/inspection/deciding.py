"""Decides what an act makes of one execution as it stands, or why it may not be. Pure: no clock, no servers."""

from dataclasses import dataclass
from datetime import timedelta

from db.executions import UNFINISHED
from db.interventions import Change, Held
from worker.bells.actions import Place
from worker.inspection.results import Action, Command, Edit, Group, Verdict
from worker.messages import QUEUES, TASKS

# A look at the broker's book goes on whatever is stopped, while an account has orders that are not final.
_LOOKS = frozenset({"order_sync", "reconcile"})
# What each group may meet without that somebody was faster.
_EXPECTED = {
    (Group.QUEUES, Action.RUN): ("queued",),
    (Group.QUEUES, Action.REQUEUE): ("queued",),
    (Group.QUEUES, Action.EDIT): ("queued",),
    (Group.QUEUES, Action.DELETE): ("queued", "waiting"),
    (Group.QUEUES, Action.KILL): ("queued", "waiting", "running"),
}


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of an execution, and where its next message is put; NOWHERE: on no list, or when its turn comes."""

    change: Change
    place: Place


@dataclass(frozen=True, slots=True)
class Not:
    """Why nothing becomes of it."""

    verdict: Verdict
    said: str


def decide(command: Command, held: Held, generation: int | None) -> Decided | Not:
    """Return what an act makes of an open execution. generation: under which it was seen, None for any."""
    if no := standing(command, held, generation):
        return no
    match command.action:
        case Action.RUN:
            return halted(held) or _not_due(held) or _queued(held)
        case Action.REQUEUE:
            return halted(held) or (_waiting(held) if held.status == "retrying" else _not_due(held) or _queued(held))
        case Action.DELETE:
            return _ended(held, "cancelled", f"deleted by {command.by}", Place.NOWHERE)
        case Action.KILL if held.status == "running":
            return _ended(held, "cancelled", f"killed by {command.by}", Place.NOWHERE)
        case Action.KILL:
            return _ended(held, "failed", f"killed by {command.by}", Place.DEAD)
        case Action.EDIT:
            return _edited(held, command.edit)


def standing(command: Command, held: Held, generation: int | None) -> Not | None:
    """Return what it is instead, when it is not any more what the group shows."""
    if generation is not None and held.generation != generation:
        return Not(Verdict.LOST, f"it has gone on since it was seen: it is {described(held)}")
    expected = _EXPECTED.get((command.group, command.action), ("retrying",))
    if held.status in expected:
        return None
    if held.status not in UNFINISHED:
        return Not(Verdict.LOST, f"it has ended: it is {described(held)}; a final state stays")
    return Not(Verdict.LOST, f"it is {described(held)}, not {' or '.join(expected)}")


def halted(held: Held) -> Not | None:
    """Return why an execution may not begin: its deadline, or a halt. Nothing here bypasses them."""
    if held.is_late:
        return _no(f"it was useful until {held.useful_until:%Y-%m-%d %H:%M:%S} UTC, and that is over")
    if held.halt_id is not None:
        return _no(f"halt {held.halt_id} keeps it from beginning: `muhurat halts` tells why, `muhurat resume` ends it")
    if held.task_name in _LOOKS:
        return None
    if held.service_running is False:
        return _no("its user's service is stopped: start it with `muhurat users start`")
    if held.account_status not in (None, "active"):
        return _no(f"its account {held.account_id} is {held.account_status}: `muhurat accounts unblock` first")
    return None


def described(held: Held) -> str:
    """Return how an execution stands, in words."""
    if held.status == "running":
        return f"running in worker {held.worker}"
    if held.status == "retrying" and held.next_attempt_at is not None:
        return f"retrying at {held.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"
    return held.status


def _not_due(held: Held) -> Not | None:
    return None if held.is_due else _no(f"it is due at {held.scheduled_for:%Y-%m-%d %H:%M:%S} UTC, and that is to come")


def _queued(held: Held) -> Decided:
    # Nobody's share limits what belongs to no user; the others are rung by the share's own statement.
    rung = held.user_id is None
    change = Change(held, "queued", held.queue, held.attempt, is_rung=rung)
    return Decided(change, Place.READY if rung else Place.NOWHERE)


def _waiting(held: Held) -> Decided:
    delay = max(held.wait_seconds or 0.0, 0.0)
    return Decided(Change(held, "retrying", held.queue, held.attempt, delay_seconds=delay), Place.WAITING)


def _ended(held: Held, status: str, reason: str, place: Place) -> Decided:
    return Decided(Change(held, status, held.queue, held.attempt, reason=reason), place)


def _edited(held: Held, edit: Edit) -> Decided | Not:
    queue = edit.queue or held.queue
    if queue not in QUEUES:
        return _no(f"there is no queue {queue!r}: use one of {', '.join(QUEUES)}")
    attempt = _attempt(held, edit)
    if isinstance(attempt, Not):
        return attempt
    delay = edit.in_seconds if edit.due is None else (edit.due - held.now).total_seconds()
    if delay is None:
        if (queue, attempt) == (held.queue, held.attempt):
            return _no("it is so already: nothing to change")
        delay = held.wait_seconds if held.status == "retrying" else None
    elif no := _mistimed(held, delay):
        return no
    rung = delay is None and held.user_id is None and held.is_due
    status = "queued" if delay is None else "retrying"
    change = Change(held, status, queue, attempt, delay_seconds=max(delay or 0.0, 0.0), is_rung=rung)
    if delay is not None:
        return Decided(change, Place.WAITING)
    return Decided(change, Place.READY if rung else Place.NOWHERE)


def _attempt(held: Held, edit: Edit) -> int | Not:
    """Return the attempt that leaves so many."""
    if edit.attempts_left is None:
        return held.attempt
    task = TASKS.get(held.task_name)
    if task is None:
        return _no(f"there is no task {held.task_name!r} in this code")
    if not 1 <= edit.attempts_left <= task.attempts:
        return _no(f"{held.task_name} may have 1 to {task.attempts} attempts in all; to end it, delete or kill it")
    return task.attempts - edit.attempts_left


def _mistimed(held: Held, delay: float) -> Not | None:
    """Return why an execution may not be due after so many seconds. A replay's clock says nothing about seconds."""
    if delay < 0:
        return _no("that due time is past: `run` starts it now")
    due = held.market_now + timedelta(seconds=delay)
    if not held.is_due and (held.is_replay or due < held.scheduled_for):
        return _no(f"its slot is {held.scheduled_for:%Y-%m-%d %H:%M:%S} UTC: nothing runs before its slot")
    if not held.is_replay and held.useful_until is not None and due > held.useful_until:
        return _no(f"it is useful until {held.useful_until:%Y-%m-%d %H:%M:%S} UTC: it would be too late")
    return None


def _no(said: str) -> Not:
    return Not(Verdict.REFUSED, said)
