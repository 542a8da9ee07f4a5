"""The bells for Dramatiq's own threads, which have no event loop: of messages that no execution stands behind."""

import json

import redis

from worker.bells.keys import KNOWN_QUEUES, bury_keys, wait_keys
from worker.bells.scripts import BURY, WAIT


class ThreadBells:
    """One process's door. worker: under which name it claims. Every call may be repeated.

    Calls raise RedisError or OSError when Redis is away; then they may have been heard all the same.
    """

    def __init__(self, client: redis.Redis, worker: str) -> None:
        self.client, self.worker = client, worker
        self._wait = client.register_script(WAIT.text)
        self._bury = client.register_script(BURY.text)

    def wait(self, queue: str, id_: str, message: bytes, delay_ms: int) -> bool:
        """Let a message wait so many ms on Redis's clock. Returns False if it is somewhere already."""
        self.client.sadd(KNOWN_QUEUES, queue)
        return bool(self._wait(keys=wait_keys(queue), args=(id_, message, delay_ms)))

    def bury(self, queue: str, id_: str, error: str) -> bool:
        """Move a message to the dead letters: a ready one, or one claimed here. Returns False if it is neither."""
        return bool(self._bury(keys=bury_keys(self.worker, queue), args=(id_, json.dumps(error))))
