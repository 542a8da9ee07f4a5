"""Acts on messages alone: those of no execution of ours, and the dead letters of executions, which have ended.

What is to be deleted or moved is written into the audit log first, bytes and all; then one script moves it, and says
whether it was still there.
"""

import base64
import json
import secrets
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.audit_logs import AuditLogRepository
from worker.bells.actions import Move, Place, move
from worker.bells.keys import (
    dead_errors_key,
    dead_key,
    dead_messages_key,
    messages_key,
    waiting_key,
    waiting_messages_key,
)
from worker.inspection.letters import fields_of
from worker.inspection.reach import Reach
from worker.inspection.results import Action, Command, Edit, Group, Ref, Result, Verdict
from worker.inspection.walking import queue_names
from worker.messages import QUEUES
from worker.outcome import Json

_PLACES = {Group.RETRIES: Place.WAITING, Group.DEAD: Place.DEAD, Group.QUEUES: Place.READY}
# What a message remembers of its earlier tries: the next one is its first.
_OF_TRIES = ("eta", "traceback", "requeue_timestamp")


@dataclass(frozen=True, slots=True)
class Stray:
    """A message as it was found. message: empty when its bytes are gone. error: JSON text stored beside it, or ''."""

    queue: str
    message_id: str
    message: bytes
    error: str


async def act_on_message(reach: Reach, command: Command, ref: Ref, user_id: int | None = None) -> Result:
    """Do something to one message. user_id: whose execution it was of. Raises RedisError, OSError before any change."""
    name = ref.message_id or ref.id
    place = _PLACES[command.group]
    found = await find(reach.redis, place, name, ref.queue) or await find(reach.redis, place, name)
    if found is None or (command.user_id is not None and user_id != command.user_id):
        return Result(ref.id, Verdict.LOST, f"there is no message {name!r} among what is {place.value}")
    wanted = await _wanted(reach.redis, command, found)
    if isinstance(wanted, str):
        return Result(ref.id, Verdict.REFUSED, wanted)
    if command.is_dry:
        return Result(ref.id, Verdict.WOULD, f"then {_said(*wanted)}")
    await _archive(reach, command, found, ref, user_id)
    one, into = wanted
    try:
        [was] = await move(reach.redis, found.queue, [one], into=into, only_found=True)
    except (RedisError, OSError) as error:
        said = f"Redis did not answer ({str(error) or type(error).__name__}): look at it again"
        return Result(ref.id, Verdict.UNSURE, said)
    if was is Place.NOWHERE:
        return Result(ref.id, Verdict.LOST, "somebody else has it: it was claimed, moved or removed meanwhile")
    facts: dict[str, Json] = {"message_was": was.value, "message": one.to.value, "queue": into}
    if one.to is not Place.NOWHERE:
        facts["message_id"] = one.new_id
    return Result(ref.id, Verdict.DONE, _said(one, into), facts)


async def find(redis: Redis, place: Place, message_id: str, queue: str | None = None) -> Stray | None:
    """Return a message that lies in a place, in a queue or in any; a ready one may be claimed by now."""
    for name in [queue] if queue is not None else await queue_names(redis):
        async with redis.pipeline(transaction=False) as pipeline:
            if place is Place.READY:
                pipeline.hexists(messages_key(name), message_id)
                pipeline.hget(messages_key(name), message_id)
            elif place is Place.WAITING:
                pipeline.zscore(waiting_key(name), message_id)
                pipeline.hget(waiting_messages_key(name), message_id)
            else:
                pipeline.zscore(dead_key(name), message_id)
                pipeline.hget(dead_messages_key(name), message_id)
            pipeline.hget(dead_errors_key(name), message_id)
            there, message, error = await pipeline.execute()
        if bool(there) if place is Place.READY else there is not None:
            return Stray(name, message_id, message or b"", (error or b"").decode(errors="replace"))
    return None


async def _wanted(redis: Redis, command: Command, found: Stray) -> tuple[Move, str] | str:
    """Return what to do with a message and the queue it goes to, or why nothing is done."""
    is_dead = command.group is Group.DEAD
    same = Move(found.message_id, Place.NOWHERE, found.message_id, found.message, dead=is_dead)
    match command.action:
        case Action.DELETE:
            return same, found.queue
        case Action.KILL if not is_dead:
            error = json.dumps(f"killed by {command.by}")
            return _to(same, Place.DEAD, error=error), found.queue
        case Action.EDIT if not is_dead:
            return await _edited(redis, command.edit, same, found.queue)
        case Action.RUN | Action.REQUEUE if is_dead:
            return _revived(found, same)
        case Action.RUN | Action.REQUEUE if command.group is Group.RETRIES:
            return (_to(same, Place.READY), found.queue) if found.message else "its bytes are gone: only delete is left"
        case Action.RUN | Action.REQUEUE:
            return "it is ready already: a worker of its queue takes it"
    return "it is dead: requeue makes it ready again, delete removes it"


def _revived(found: Stray, same: Move) -> tuple[Move, str] | str:
    """Return a dead letter as a new message: another id, none of its tries behind it."""
    new_id = secrets.token_hex(16)
    message = rewritten(found.message, found.queue, new_id, fresh=True)
    if message is None:
        return "its bytes are no message: nobody could run it; delete removes it"
    return _to(same, Place.READY, new_id=new_id, message=message), found.queue


async def _edited(redis: Redis, edit: Edit, same: Move, queue: str) -> tuple[Move, str] | str:
    if edit.attempts_left is not None:
        return "it has no execution: how often it is tried, its own options say"
    into = edit.queue or queue
    if into != queue and into not in QUEUES:
        return f"there is no queue {into!r}: use one of {', '.join(QUEUES)}"
    message = same.message if into == queue else rewritten(same.message, into, same.message_id)
    if not message:
        return "its bytes are no message: nobody could run it; delete removes it"
    seconds, microseconds = await redis.time()
    now = int(seconds) + int(microseconds) / 1e6
    delay = edit.in_seconds if edit.due is None else edit.due.timestamp() - now
    if delay is not None and delay < 0:
        return "that due time is past: `run` starts it now"
    if delay is None:
        due_ms = await redis.zscore(waiting_key(queue), same.message_id)
        delay = None if due_ms is None else max(due_ms / 1000 - now, 0.0)
    if delay is None:
        return _to(same, Place.READY, message=message), into
    return _to(same, Place.WAITING, message=message, delay_ms=round(delay * 1000)), into


def rewritten(message: bytes, queue: str, new_id: str, *, fresh: bool = False) -> bytes | None:
    """Return a message for another queue or under another Redis id; None when its bytes are no message.

    fresh: without anything of its earlier tries.
    """
    fields = fields_of(message)
    options = fields.get("options")
    if not isinstance(options, dict) or not isinstance(fields.get("actor_name"), str):
        return None
    options = {**options, "redis_message_id": new_id}
    if fresh:
        options = {name: value for name, value in options.items() if name not in _OF_TRIES} | {"retries": 0}
    return json.dumps({**fields, "queue_name": queue, "options": options}, separators=(",", ":")).encode()


def _to(
    same: Move,
    to: Place,
    *,
    new_id: str | None = None,
    message: bytes | None = None,
    delay_ms: int = 0,
    error: str = "",
) -> Move:
    taken = same.message if message is None else message
    return Move(same.message_id, to, new_id or same.message_id, taken, delay_ms, error, same.dead)


async def _archive(reach: Reach, command: Command, found: Stray, ref: Ref, user_id: int | None) -> None:
    """Write down who does what to which message, with all that is about to be gone from Redis."""
    kept: dict[str, Json] = {"message_id": found.message_id, "queue": found.queue, **_readable(found.message)}
    if found.error:
        kept["error"] = found.error.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    kind = "message" if ref.execution_id is None else "execution"
    async with reach.database.transaction(None) as session:
        await AuditLogRepository(session).record(
            command.by, command.action, kind, ref.execution_id, user_id=user_id, changes=kept
        )


def _readable(message: bytes) -> dict[str, Json]:
    try:
        said = message.decode()
    except UnicodeDecodeError:
        said = "\x00"
    return {"message_base64": base64.b64encode(message).decode()} if "\x00" in said else {"message": said}


def _said(one: Move, into: str) -> str:
    if one.to is Place.WAITING:
        return f"it waits {one.delay_ms / 1000:,.0f} s in {into}"
    if one.to is Place.READY:
        return f"it is ready in {into}" + (f" as {one.new_id}" if one.new_id != one.message_id else "")
    return "it is killed, and lies among the dead letters" if one.to is Place.DEAD else "it is deleted"
