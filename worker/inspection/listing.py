"""Lists retries and dead letters: filtered, sorted, a page at a time, each with the execution behind it."""

import base64
import heapq
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.inspections import InspectionRepository
from worker.bells.pages import Kind
from worker.inspection.letters import Letter, moment
from worker.inspection.reach import Reach, Wish
from worker.inspection.walking import PAGE, Mark, find_these, queue_names, walk
from worker.messages import TASKS

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A message with the execution it rings for.

    execution_id and what follows from it are None for a message without a row. generation: the message's. status: of
    the row. is_stale: the row
    has gone on under another generation, and whoever takes this message drops it. at: when it is due or died; seconds:
    until then, or since. since: from when its age counts, as a wish means it. error: the last one's.
    """

    id: str
    message_id: str
    queue: str
    task: str | None
    execution_id: int | None
    scheduled_for: datetime | None
    generation: int | None
    user_id: int | None
    email: str | None
    account_id: int | None
    subject: str | None
    status: str | None
    is_stale: bool
    attempt: int | None
    attempts: int | None
    at: datetime
    seconds: float
    since: datetime | None
    age_seconds: float
    error: str | None
    length: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries in order. next: the cursor of the page behind it, None at the end. now: Redis's clock."""

    entries: Sequence[Entry]
    next: str | None
    now: datetime


class BadCursorError(Exception):
    """A cursor is none that a list gave, or was given by a list in another order."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is no cursor of this list: give the one that the last page named")


_FIRST = (datetime(1970, 1, 1, tzinfo=UTC), 0)
# What a list is sorted by, besides the moments that Redis keeps it sorted by.
_KEYS: Mapping[str, Callable[[Entry], str | int]] = {
    "age": lambda entry: round(entry.since.timestamp() * 1000) if entry.since is not None else 0,
    "task": lambda entry: entry.task or "",
    "user": lambda entry: entry.email or "",
    "queue": lambda entry: entry.queue,
    "attempt": lambda entry: entry.attempt or 0,
}
SORTS = {
    "waiting": ("due", "-due", *_KEYS, *(f"-{name}" for name in _KEYS)),
    "dead": ("-died", "died", *_KEYS, *(f"-{name}" for name in _KEYS)),
}
"""The orders of each list, the usual one first; a hyphen turns one round. Only Redis's own cost no more than a page."""


async def retries(reach: Reach, wish: Wish, *, sort: str = "due", limit: int = 50, cursor: str | None = None) -> Page:
    """Return what waits for its due time: retries, and what was postponed or sent with a delay.

    Raises BadCursorError, RedisError, OSError.
    """
    return await _page(reach, "waiting", wish, sort, limit, cursor)


async def dead(reach: Reach, wish: Wish, *, sort: str = "-died", limit: int = 50, cursor: str | None = None) -> Page:
    """Return dead letters of all queues. Raises BadCursorError, RedisError, OSError."""
    return await _page(reach, "dead", wish, sort, limit, cursor)


async def entries(
    reach: Reach, kind: Kind, wish: Wish, *, highest_first: bool = False, behind: Mark | None = None
) -> AsyncIterator[tuple[Mark, Entry]]:
    """Yield all that a wish asks for, in Redis's order; of one user in none, which costs no look at anybody else's."""
    batch: list[tuple[Mark, Letter]] = []
    async for mark, letter in _letters(reach, kind, wish, highest_first, behind):
        if wish.task is None or letter.task == wish.task:
            batch.append((mark, letter))
        if len(batch) >= PAGE:
            for found in await _entries(reach, kind, wish, batch):
                yield found
            batch = []
    for found in await _entries(reach, kind, wish, batch):
        yield found


async def _letters(
    reach: Reach, kind: Kind, wish: Wish, highest_first: bool, behind: Mark | None
) -> AsyncIterator[tuple[Mark, Letter]]:
    if wish.user_id is None:
        queues = await queue_names(reach.redis) if wish.queue is None else [wish.queue]
        async for found in walk(reach.redis, queues, kind, highest_first=highest_first, behind=behind):
            yield found
        return
    place = _FIRST
    while True:
        wanted = {"user_id": wish.user_id, "task": wish.task, "queue": wish.queue}
        async with reach.database.reading(None) as session:
            rows = await InspectionRepository(session).messages(kind, PAGE, place, **wanted)
        if not rows:
            return
        place = rows[-1]["at"], rows[-1]["id"]
        for found in await find_these(reach.redis, kind, [(row["queue"], _message_id(row)) for row in rows]):
            yield found


def _message_id(row: Row) -> str:
    return f"{row['id']}.{row['generation']}"


async def _page(reach: Reach, kind: Kind, wish: Wish, sort: str, limit: int, cursor: str | None) -> Page:
    name, reverse = sort.removeprefix("-"), sort.startswith("-")
    mark = _read_cursor(cursor, sort) if cursor is not None else None
    if name in _KEYS or wish.user_id is not None:
        found = await _smallest(entries(reach, kind, wish), _KEYS.get(name), reverse, limit + 1, mark)
    else:
        behind = Mark(*mark) if mark is not None else None
        found = []
        async for one, entry in entries(reach, kind, wish, highest_first=reverse, behind=behind):
            found.append(((one.at_ms, one.queue, one.message_id), entry))
            if len(found) > limit:
                break
    shown = found[:limit]
    following = _cursor(sort, shown[-1][0]) if len(found) > limit else None
    return Page([entry for _, entry in shown], following, await _now(reach))


Key = tuple[Any, str, str]


async def _smallest(
    found: AsyncIterator[tuple[Mark, Entry]],
    key: Callable[[Entry], str | int] | None,
    reverse: bool,
    count: int,
    behind: Key | None,
) -> list[tuple[Key, Entry]]:
    """Return the first few in an order that they do not come in. However many there are, no more are held.

    key: what they are sorted by; None for their moment.
    """
    kept: list[tuple[Key, Entry]] = []
    pick = heapq.nlargest if reverse else heapq.nsmallest
    async for mark, entry in found:
        place = (mark.at_ms if key is None else key(entry), mark.queue, mark.message_id)
        if behind is None or (place < behind if reverse else place > behind):
            kept.append((place, entry))
        if len(kept) >= 4 * count + PAGE:
            kept = pick(count, kept, key=lambda one: one[0])
    return pick(count, kept, key=lambda one: one[0])


async def _entries(
    reach: Reach, kind: Kind, wish: Wish, batch: Sequence[tuple[Mark, Letter]]
) -> list[tuple[Mark, Entry]]:
    if not batch:
        return []
    now = await _now(reach)
    keys = [(letter.key.scheduled_for, letter.key.id) for _, letter in batch if letter.key is not None]
    async with reach.database.reading(None) as session:
        rows = await InspectionRepository(session).of_keys(keys) if keys else {}
    found = []
    for mark, letter in batch:
        row = rows.get(letter.key.id) if letter.key is not None else None
        entry = _entry(kind, letter, row, now)
        if _is_wished(wish, entry):
            found.append((mark, entry))
    return found


def _entry(kind: Kind, letter: Letter, row: Row | None, now: datetime) -> Entry:
    span = (letter.at - now).total_seconds()
    since_sent = (now - letter.sent).total_seconds() if letter.sent is not None else 0.0
    age = row["age_seconds"] if row is not None else since_sent
    task = TASKS.get(letter.task or "")
    has_gone_on = row is not None and letter.key is not None and row["generation"] != letter.key.generation
    of_row = row if row is not None else {}
    return Entry(
        id=str(row["id"]) if row is not None else letter.message_id,
        message_id=letter.message_id,
        queue=letter.queue,
        task=letter.task,
        execution_id=of_row.get("id"),
        scheduled_for=of_row.get("scheduled_for"),
        generation=letter.key.generation if letter.key is not None else None,
        user_id=of_row.get("user_id"),
        email=of_row.get("email"),
        account_id=of_row.get("account_id"),
        subject=of_row.get("subject"),
        status=of_row.get("status"),
        is_stale=has_gone_on,
        attempt=of_row.get("attempt"),
        attempts=task.attempts if task is not None and row is not None else None,
        at=letter.at,
        seconds=span if kind == "waiting" else -span,
        since=letter.at if kind == "dead" else of_row.get("created_at", letter.sent),
        age_seconds=-span if kind == "dead" else age,
        error=of_row.get("reason") or letter.error,
        length=letter.length,
    )


def _is_wished(wish: Wish, entry: Entry) -> bool:
    if wish.user_id is not None and entry.user_id != wish.user_id:
        return False
    if wish.error is not None and wish.error.lower() not in (entry.error or "").lower():
        return False
    return wish.takes_age(entry.age_seconds)


async def _now(reach: Reach) -> datetime:
    seconds, microseconds = await reach.redis.time()
    return moment(int(seconds) * 1000 + int(microseconds) // 1000).astimezone(UTC)


def _cursor(sort: str, key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, *key]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> Key:
    try:
        given, value, queue, message_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise BadCursorError(cursor) from None
    wanted = str if sort.removeprefix("-") in ("task", "user", "queue") else int
    if given != sort or not isinstance(value, wanted) or not isinstance(queue, str) or not isinstance(message_id, str):
        raise BadCursorError(cursor)
    return value, queue, message_id
