"""Goes through what waits or is dead, over all queues in one order, a page at a time: memory stays bounded."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from worker.bells.calls import text
from worker.bells.keys import KNOWN_QUEUES, NAMESPACE
from worker.bells.pages import Kind, RawMessage, Start, sorted_page, these
from worker.inspection.letters import Letter, letter_of
from worker.messages import QUEUES

PAGE = 500
_HASHES = (".DQ.msgs", ".XQ.msgs", ".SQ.msgs", ".msgs", ".XQ")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A message's place in the order over all queues: a walk goes on behind it, whether it is still there or not."""

    at_ms: int
    queue: str
    message_id: str


async def queue_names(redis: Redis) -> list[str]:
    """Return our queues, the most urgent first, then every other queue there is anything of. By SCAN, never KEYS."""
    found = {text(name) for name in await redis.smembers(KNOWN_QUEUES)}
    async for key in redis.scan_iter(match=f"{NAMESPACE}:*", count=1000):
        name = text(key).removeprefix(f"{NAMESPACE}:")
        suffix = next((one for one in _HASHES if name.endswith(one)), None)
        if suffix is not None and not name.startswith("__"):
            found.add(name.removesuffix(suffix))
    return [*QUEUES, *sorted(found - set(QUEUES))]


async def walk(
    redis: Redis, queues: Sequence[str], kind: Kind, *, highest_first: bool, behind: Mark | None = None
) -> AsyncIterator[tuple[Mark, Letter]]:
    """Yield what waits or is dead, by due time or time of death, then by queue and id. Raises RedisError or OSError."""
    paths = [_Path(redis, queue, kind, highest_first, behind) for queue in queues]
    heads = [(mark, path) for path in paths if (mark := await path.next()) is not None]
    while heads:
        mark, path = (max if highest_first else min)(heads, key=lambda head: head[0])
        heads.remove((mark, path))
        yield mark, letter_of(mark.queue, path.raw)
        if (following := await path.next()) is not None:
            heads.append((following, path))


async def find_these(redis: Redis, kind: Kind, ids: Sequence[tuple[str, str]]) -> list[tuple[Mark, Letter]]:
    """Return those of some messages that wait or are dead, in no order. ids: queue and message id, some hundreds."""
    by_queue: dict[str, list[str]] = defaultdict(list)
    for queue, id_ in ids:
        by_queue[queue].append(id_)
    return [
        (Mark(raw.at_ms, queue, raw.message_id), letter_of(queue, raw))
        for queue, some in by_queue.items()
        for raw in await these(redis, queue, kind, some)
    ]


class _Path:
    """The walk through one queue. raw: the message of the last mark."""

    raw: RawMessage

    def __init__(self, redis: Redis, queue: str, kind: Kind, highest_first: bool, behind: Mark | None) -> None:
        self._redis, self._queue, self._kind, self._highest_first = redis, queue, kind, highest_first
        self._behind = behind
        self._start = _start(queue, behind, highest_first)
        self._read: deque[RawMessage] = deque()
        self._over = False

    async def next(self) -> Mark | None:
        """Return the next message's mark, None at the end."""
        while True:
            if not self._read and not await self._turn_page():
                return None
            self.raw = self._read.popleft()
            mark = Mark(self.raw.at_ms, self._queue, self.raw.message_id)
            if self._is_new(mark):
                self._behind = mark
                return mark

    def _is_new(self, mark: Mark) -> bool:
        """A page that begins in the middle of equal scores tells of some of them again."""
        if self._behind is None:
            return True
        return mark < self._behind if self._highest_first else mark > self._behind

    async def _turn_page(self) -> bool:
        if self._over:
            return False
        page = await sorted_page(
            self._redis, self._queue, self._kind, self._start, PAGE, highest_first=self._highest_first
        )
        self._read.extend(page.messages)
        self._over = page.last or not page.messages
        if page.messages:
            last = page.messages[-1]
            self._start = Start("member", last.at_ms, last.message_id)
        return bool(page.messages)


def _start(queue: str, behind: Mark | None, highest_first: bool) -> Start:
    if behind is None:
        return Start()
    if queue == behind.queue:
        return Start("member", behind.at_ms, behind.message_id)
    # Of equal scores, this queue's come all before those of the mark's queue, or all behind them.
    follows = queue < behind.queue if highest_first else queue > behind.queue
    return Start("from" if follows else "after", behind.at_ms)
