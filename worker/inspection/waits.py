"""Says why an execution waits: in sentences for people, in codes and facts for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from db.executions import UNFINISHED
from db.halts import HaltRepository, halt_of
from db.waits import Row, WaitRepository
from trading.calendar import exchange_time
from trading.halts import Halt
from worker.bells.calls import text
from worker.bells.keys import claims_key, dead_key, messages_key, ready_key, waiting_key
from worker.inspection.reach import Reach
from worker.inspection.workers import is_live
from worker.messages import TASKS
from worker.outcome import Json

# A scheduler says every few seconds that it turns.
SCHEDULER_SECONDS = 30.0
_LOOKS = frozenset({"order_sync", "reconcile"})


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. code: for programs. said: a sentence, its times in IST."""

    code: str
    said: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one execution waits; without an execution, why there is none yet. reasons: the one that counts first."""

    execution_id: int | None
    task: str
    user_id: int | None
    account_id: int | None
    scheduled_for: datetime | None
    status: str | None
    reasons: Sequence[Reason]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Everything that is looked at. place: of its message on Redis; number: those before it on the list.

    halt: what keeps it from beginning.
    """

    row: Row
    needs: Sequence[Row]
    share: Row
    processes: Sequence[Row]
    clock: Row
    place: str
    number: int
    holder: str | None
    halt: Halt | None


async def explain(reach: Reach, execution_id: int, *, user_id: int | None = None) -> Explanation | None:
    """Say why an execution waits; None when it is not there, or not this user's. Raises RedisError or OSError."""
    async with reach.database.reading(None) as session:
        row = await WaitRepository(session).execution(execution_id)
    if row is None or (user_id is not None and row["user_id"] != user_id):
        return None
    return await _explained(reach, row)


async def explain_task(reach: Reach, task: str, user_id: int | None, slot: datetime | None) -> list[Explanation]:
    """Say why a task's executions of a user wait, or why there are none. Raises RedisError or OSError.

    user_id: None for shared ones; a task that is shared is that of the user's parameters. slot: None for those that are
    open now, and else for the next one to come.
    """
    async with reach.database.reading(None) as session:
        waits = WaitRepository(session)
        schedules = await waits.schedules(task, user_id)
        user = await waits.user(user_id) if user_id is not None else None
        shared = task == "train" or any(one["scope"] != "account" for one in schedules)
        by_parameters = any(one["scope"] == "parameters" for one in schedules)
        subject = user["parameters"] if user is not None and by_parameters else None
        rows = await waits.of_task(task, None if shared else user_id, subject, slot)
        clock = await waits.clock()
    if rows:
        return [await _explained(reach, row) for row in rows]
    reasons = list(_none(task, schedules, user, clock, slot, shared=shared))
    return [Explanation(None, task, user_id, None, slot, None, reasons)]


async def _explained(reach: Reach, row: Row) -> Explanation:
    async with reach.database.reading(None) as session:
        waits = WaitRepository(session)
        needs = await waits.needs(row["scheduled_for"], row["id"]) if row["status"] == "waiting" else []
        is_users = row["user_id"] is not None
        share = await waits.share(row["user_id"], row["queue"], row["id"]) if is_users else {"rung": 0, "ahead": 0}
        processes, clock = await waits.workers(row["worker"]), await waits.clock()
        halts = await HaltRepository(session).by_ids([row["halt_id"]]) if row["halt_id"] is not None else []
    place, number, holder = await _message(reach, row, [one["name"] for one in processes])
    halt = halt_of(halts[0]) if halts else None
    seen = _Seen(row, needs, share, processes, clock, place, number, holder, halt)
    reasons = list(_reasons(reach, seen))
    return Explanation(
        row["id"], row["task_name"], row["user_id"], row["account_id"], row["scheduled_for"], row["status"], reasons
    )


async def _message(reach: Reach, row: Row, workers: Sequence[str]) -> tuple[str, int, str | None]:
    """Return where the message of an execution is, how many are before it, and which worker claims it."""
    id_, queue = f"{row['id']}.{row['generation']}", row["queue"]
    async with reach.redis.pipeline(transaction=True) as pipeline:
        pipeline.lpos(ready_key(queue), id_)
        pipeline.zscore(waiting_key(queue), id_)
        pipeline.zscore(dead_key(queue), id_)
        pipeline.hexists(messages_key(queue), id_)
        for worker in workers:
            pipeline.sismember(claims_key(worker, queue), id_)
        number, due, died, there, *claimed = await pipeline.execute()
    if number is not None:
        return "ready", int(number), None
    if due is not None:
        return "waiting", 0, None
    holder = next((worker for worker, flag in zip(workers, claimed, strict=True) if flag), None)
    if holder is not None:
        return "claimed", 0, text(holder)
    return ("dead" if died is not None else "adrift" if there else "nowhere"), 0, None


def _reasons(reach: Reach, seen: _Seen) -> Iterator[Reason]:
    row = seen.row
    if row["status"] not in UNFINISHED:
        ended = f" at {_at(row['finished_at'])}" if row["finished_at"] else ""
        said = f"it does not wait: it ended {row['status']}{ended}: {row['reason'] or 'it did what it was for'}"
        yield Reason("ended", said, {"status": row["status"], "reason": row["reason"]})
        return
    if row["status"] == "running":
        yield _running(seen)
        return
    if row["is_late"]:
        yield Reason("late", f"it was useful until {_at(row['useful_until'])}: it ends skipped, and never runs late")
    if seen.halt is not None:
        yield _halted(seen.halt)
    yield from _of_status(reach, seen)
    if row["service_running"] is False and row["task_name"] not in _LOOKS:
        yield Reason("service_stopped", "its user's service is stopped: what is made already runs, but buys nothing")
    if row["account_status"] not in (None, "active"):
        yield Reason("account_blocked", f"its account is {row['account_status']}: it plans no new order")
    yield from _of_clock(seen.clock)


def _of_status(reach: Reach, seen: _Seen) -> Iterator[Reason]:
    row = seen.row
    if row["status"] == "waiting":
        yield from _needing(seen)
    elif not row["is_due"]:
        yield Reason("not_due", f"it is due at {_at(row['scheduled_for'])}", {"due": row["scheduled_for"].isoformat()})
    elif row["status"] == "retrying":
        yield from _retrying(seen)
    elif row["rung_at"] is None:
        if seen.halt is None:
            yield _unrung(reach, seen)
    else:
        yield from _queued(seen)


def _halted(halt: Halt) -> Reason:
    until = f"until {_at(halt.until)}, or" if halt.until is not None else "until"
    said = f"{halt} keeps it from beginning {until} somebody resumes it (`muhurat resume {halt.id}`)"
    return Reason("halted", said, halt.facts())


def _needing(seen: _Seen) -> Iterator[Reason]:
    missing = [need for need in seen.needs if not need["is_met"]]
    for need in missing:
        if need["ends"] is not None:
            facts = {"task": need["task"], "slot": need["after"].isoformat(), "execution_id": need["ends"]}
            said = f"its schedule has one follow the other: execution {need['ends']} of {_at(need['after'])} goes on"
            yield Reason("overlap", said, facts)
            continue
        whose = "of its account" if need["account"] else f"of {need['subject']}" if need["subject"] else ""
        what = f"{need['task']} {whose}".strip()
        facts = {"task": need["task"], "after": need["after"].isoformat(), "execution_id": need["id"]}
        yield Reason("needs", f"it needs {what} due at {_at(need['after'])} or later: {_met_by(need)}", facts)
    if not missing:
        yield Reason("needs_met", "all that it needs is there: a sweep queues it now")
    if seen.row["useful_until"] is not None:
        yield Reason("deadline", f"it waits until {_at(seen.row['useful_until'])} at most, then ends skipped")


def _met_by(need: Row) -> str:
    """Return what does a prerequisite, and how that stands."""
    if need["id"] is None:
        return "there is none yet; a sync is made at once, others at their slot" if need["account"] else "none yet"
    said = f"execution {need['id']} is {need['status']}"
    if need["status"] == "running":
        return f"{said} in worker {need['worker']} since {_at(need['executed_at'])}"
    if need["status"] == "retrying":
        return f"{said}, again at {_at(need['next_attempt_at'])}"
    if need["status"] in UNFINISHED:
        return f"{said} (`muhurat why-waiting {need['id']}`)"
    if need["status"] == "success":
        return f"{said}; the account is being asked once more"
    return f"{said}; " + ("it is made again" if need["repeats"] else "no other is to be expected")


def _retrying(seen: _Seen) -> Iterator[Reason]:
    row, seconds = seen.row, seen.row["wait_seconds"] or 0.0
    attempts = TASKS[row["task_name"]].attempts if row["task_name"] in TASKS else None
    facts = {"attempt": row["attempt"] + 1, "attempts": attempts, "seconds": seconds, "error": row["reason"]}
    why = f" after {row['reason']}" if row["reason"] else ""
    which = f"attempt {row['attempt'] + 1} of {attempts}"
    if seconds > 0:
        said = f"{which} is due at {_at(row['next_attempt_at'])}, in {seconds:,.0f} s{why}"
        yield Reason("back_off", said, facts)
        return
    yield Reason("overdue", f"{which} is due since {_at(row['next_attempt_at'])}{why}", facts)
    yield from _queued(seen)


def _unrung(reach: Reach, seen: _Seen) -> Reason:
    rung, ahead, queue = seen.share["rung"], seen.share["ahead"], seen.row["queue"]
    facts = {"rung": rung, "share": reach.share, "ahead": ahead}
    if rung < reach.share and not ahead:
        return Reason("not_rung", "it is next of its user: a sweep puts it on Redis within a second", facts)
    said = f"its user has {rung} of {reach.share} executions of {queue} on Redis, and {ahead} more before this one"
    return Reason("own_share", said, facts)


def _queued(seen: _Seen) -> Iterator[Reason]:
    queue = seen.row["queue"]
    serving = [one["name"] for one in seen.processes if is_live(one) and queue in one["queues"].split(",")]
    if not serving:
        yield Reason(
            "no_worker", f"no live worker serves {queue}: start one (`python -m worker.main --queues {queue}`)"
        )
    if seen.place == "ready":
        before = f"{seen.number} message{'s' * (seen.number > 1)} before it" if seen.number else "it is the next"
        facts = {"before": seen.number, "workers": len(serving)}
        yield Reason("behind_others", f"{before} in {queue}; live workers that serve it: {len(serving)}", facts)
    elif seen.place == "claimed":
        said = f"worker {seen.holder} has taken it and is about to begin it"
        yield Reason("taken", said, {"worker": seen.holder})
    elif seen.place == "waiting":
        yield Reason("promoting", "its message still waits on Redis: whoever promotes next makes it ready")
    else:
        yield Reason("message_missing", "no message of it is on Redis: a sweep rings it again within seconds")
    if seen.row["losses"]:
        said = f"workers that died with it: {seen.row['losses']}; it runs alone, once one has nothing else to do"
        yield Reason("runs_alone", said, {"losses": seen.row["losses"]})


def _running(seen: _Seen) -> Reason:
    row = seen.row
    worker = next((one for one in seen.processes if one["name"] == row["worker"]), None)
    facts = {"worker": row["worker"], "attempt": row["attempt"], "since": row["executed_at"].isoformat()}
    if worker is not None and is_live(worker):
        said = f"it runs: attempt {row['attempt']} in worker {row['worker']} since {_at(row['executed_at'])}"
        return Reason("running", said, facts)
    when = "it is unknown" if worker is None else "it has ended" if worker["ended_seconds"] is not None else None
    if when is None and worker is not None:
        gone = worker["gone_seconds"] is not None
        when = "it was seen to end" if gone else f"its lease is over for {-worker['lease_seconds']:,.0f} s"
    said = f"its worker {row['worker']} is lost ({when}): a sweep takes it back and it runs again"
    return Reason("worker_lost", said, facts)


def _of_clock(clock: Row) -> Iterator[Reason]:
    seconds = clock["scheduler_seconds"]
    if seconds is None or seconds > SCHEDULER_SECONDS:
        seen = "none runs" if seconds is None else f"the last one was seen {seconds:,.0f} s ago"
        said = (
            f"no scheduler is alive ({seen}): nothing is fired, swept or taken back; start `python -m scheduler.main`"
        )
        yield Reason("no_scheduler", said, {"seconds": seconds})
    if clock["is_replay"] and (clock["paused"] or clock["is_over"]):
        how = "is paused" if clock["paused"] else "has come to its end"
        yield Reason("clock_stands", f"the market's clock {how} at {_at(clock['market_now'])}")


def _none(
    task: str, schedules: Sequence[Row], user: Row | None, clock: Row, slot: datetime | None, *, shared: bool
) -> Iterator[Reason]:
    """Say why there is no execution to wait."""
    if slot is not None and slot <= clock["market_now"]:
        yield Reason("no_execution", f"there is none for {_at(slot)}: nothing fired for it, or it was thinned since")
    if user is not None and not shared:
        if user["service_running"] is False:
            yield Reason("service_stopped", "the user's service is stopped: nothing is scheduled until it starts")
        if not user["accounts"]:
            yield Reason("account_blocked", "the user has no active account")
    if not schedules:
        yield Reason("follow_up", f"{task} has no schedule: other work leaves it behind, or somebody asks for it")
    fires = [one for one in schedules if one["enabled"] and (shared or user is None or one["subscribed"])]
    if schedules and not fires:
        yield Reason("not_subscribed", f"no schedule of {task} is on for this user")
    for one in fires[:1]:
        if one["is_due"]:
            yield Reason("firing", f"schedule {one['name']!r} is due and about to be fired", {"schedule": one["name"]})
        elif one["next_due_at"] is not None:
            said = f"the next slot is {_at(one['next_due_at'])} (schedule {one['name']!r}: {one['trigger']})"
            when = f", if the account {one['condition'].replace('_', ' ')}" if one["condition"] else ""
            yield Reason("not_scheduled", said + when, {"next": one["next_due_at"].isoformat()})
        else:
            yield Reason("not_planned", f"schedule {one['name']!r} has no next slot: the calendar may end here")
    yield from _of_clock(clock)


def _at(moment: Any) -> str:
    """Return a moment in exchange time, as people say it."""
    return f"{exchange_time(moment):%Y-%m-%d %H:%M:%S} IST" if moment is not None else "an unknown time"
