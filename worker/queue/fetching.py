"""What a consumer asks of Redis from its own thread: the next messages, and to take some back.

The calls are scripts in Dramatiq's key layout, on Redis's clock. A fetch whose answer is lost leaves its messages among
the process's claims: `stray` finds them.
"""

from collections.abc import Collection, Sequence

import redis

from worker.bells.keys import HEARTBEATS, claims_key, messages_key, ready_key

# KEYS ready list, hash, claims, heartbeats; ARGV how many, worker. Returns id, bytes, id, bytes, ...; an id whose bytes
# are gone is no message any more.
_FETCH = """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
local found = {}
for _ = 1, tonumber(ARGV[1]) do
    local id = redis.call('LPOP', KEYS[1])
    if not id then
        break
    end
    local bytes = redis.call('HGET', KEYS[2], id)
    if bytes then
        redis.call('SADD', KEYS[3], id)
        found[#found + 1] = id
        found[#found + 1] = bytes
    end
end
return found
"""

# KEYS claims, ready list, hash; ARGV how to push, ids.
_PUT_BACK = """
local back = 0
for i = 2, #ARGV do
    if redis.call('SREM', KEYS[1], ARGV[i]) == 1 and redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then
        redis.call(ARGV[1], KEYS[2], ARGV[i])
        back = back + 1
    end
end
return back
"""


class Fetching:
    """One process's calls for one queue. All raise redis.RedisError."""

    def __init__(self, client: redis.Redis, worker: str, queue: str) -> None:
        self._client, self._worker, self.queue = client, worker, queue
        self._fetch, self._put_back = client.register_script(_FETCH), client.register_script(_PUT_BACK)
        self._claims = claims_key(worker, queue)

    def fetch(self, count: int) -> list[tuple[str, bytes]]:
        """Claim so many ready messages at most. Returns (id, bytes) of each."""
        keys = [ready_key(self.queue), messages_key(self.queue), self._claims, HEARTBEATS]
        found = self._fetch(keys=keys, args=[count, self._worker])
        return [(_text(found[at]), found[at + 1]) for at in range(0, len(found), 2)]

    def put_back(self, ids: Sequence[str], *, behind: bool = False) -> None:
        """Return claimed messages to their queue, in their order: to its head, as they were the next, or behind all."""
        if ids:
            ordered = ["RPUSH", *ids] if behind else ["LPUSH", *reversed(ids)]
            self._put_back(keys=[self._claims, ready_key(self.queue), messages_key(self.queue)], args=ordered)

    def stray(self, known: Collection[str]) -> list[str]:
        """Return the ids claimed in the process's name that it does not know of: of a fetch whose answer was lost."""
        claimed = {_text(id_) for id_ in self._client.smembers(self._claims)}
        return sorted(claimed - set(known))

    def wait(self, seconds: float) -> None:
        """Block until the queue has something: a peek that wakes on every kind of send, and takes nothing."""
        key = ready_key(self.queue)
        self._client.blmove(key, key, seconds, "LEFT", "LEFT")  # type: ignore[arg-type]  # a float


def _text(id_: bytes | str) -> str:
    return id_ if isinstance(id_, str) else id_.decode("utf-8", "surrogateescape")
