"""The broker of Dramatiq's command, with the steps of `killing_child` and an actor of the stock kind beside the table."""

import os

import dramatiq
import redis

from tests.worker.killing_child import _step
from worker import actors

actors.STEPS["prices"] = _step

from worker.stock import broker  # noqa: E402 - declares what stands in the table now

__all__ = ["broker"]


@dramatiq.actor(queue_name="stock", max_retries=2, min_backoff=10, max_backoff=10)
def note(word: str) -> None:
    """Write a word down at the second try, as people's own actors do."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    with client:
        if client.incr(f"tries:{word}") < 2:
            raise ValueError("not yet")
        client.rpush("words", word)
