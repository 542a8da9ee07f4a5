"""Reads messages as they lie on Redis: ours, stock clients', and what nobody can read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker.bells.pages import RawMessage
from worker.messages import TASKS

_LONGEST_SHOWN = 4000
_ARGUMENTS = 3


@dataclass(frozen=True, slots=True)
class Key:
    """Which execution a message rings for."""

    scheduled_for: datetime
    id: int
    generation: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was read as far as it can be.

    task: the actor's name, None when it cannot be read. key: None when it names no execution of ours. at: when it is
    due or died; for a ready one the moment of the look. sent: when it was first sent. error: what was stored beside it.
    """

    message_id: str
    queue: str
    task: str | None
    key: Key | None
    at: datetime
    sent: datetime | None
    length: int
    error: str | None


def letter_of(queue: str, raw: RawMessage) -> Letter:
    """Return what a message says. Never raises: what cannot be read is told as that."""
    fields = fields_of(raw.message)
    name = fields.get("actor_name")
    task = name if isinstance(name, str) else None
    return Letter(
        raw.message_id,
        queue,
        task,
        _key(task, fields.get("args")),
        moment(raw.at_ms),
        _sent(fields.get("message_timestamp")),
        raw.length,
        _error(raw.error),
    )


def fields_of(message: bytes) -> dict[str, Any]:
    """Return a message's fields; none when it is not one."""
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def moment(ms: int) -> datetime:
    """Return a moment of Redis's clock; one that no calendar knows is moved to the last one that does."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def shown(message: bytes) -> object:
    """Return a message as people read it: its fields, or the beginning of its bytes as text."""
    return fields_of(message) or message[:_LONGEST_SHOWN].decode(errors="replace")


def _key(task: str | None, arguments: object) -> Key | None:
    if task not in TASKS or not isinstance(arguments, list) or len(arguments) != _ARGUMENTS:
        return None
    id_, slot, generation = arguments
    if type(id_) is not int or type(generation) is not int or not isinstance(slot, str):
        return None
    try:
        at = datetime.fromisoformat(slot)
    except ValueError:
        return None
    in_range = 0 < id_ < 2**63 and 0 <= generation < 2**31 and at.tzinfo is not None
    return Key(at, id_, generation) if in_range else None


def _sent(ms: object) -> datetime | None:
    return moment(int(ms)) if isinstance(ms, int | float) and not isinstance(ms, bool) and abs(ms) < 1e15 else None


def _error(stored: str) -> str | None:
    if not stored:
        return None
    said = fields_of(stored.encode()).get("error")
    return said if isinstance(said, str) else stored
