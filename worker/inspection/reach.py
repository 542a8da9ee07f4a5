"""What an inspection reaches, and what people wish to see of it."""

from dataclasses import dataclass

from redis.asyncio import Redis

from db.transaction import Database


@dataclass(frozen=True, slots=True)
class Reach:
    """The servers. share: how many executions of one user a queue may have on Redis."""

    database: Database
    redis: Redis
    share: int = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """Which messages or executions are meant; None asks for all.

    task: the actor. error: a text that its error holds, in any case of letters. older_seconds, newer_seconds: since its
    execution was made; of a message without one since it was first sent; of a dead letter since it died.
    user_id: whoever asks for a user sees no shared task and no message without execution.
    """

    user_id: int | None = None
    task: str | None = None
    queue: str | None = None
    error: str | None = None
    older_seconds: float | None = None
    newer_seconds: float | None = None

    def takes_age(self, seconds: float) -> bool:
        """Tell whether an age is one that is wished for."""
        old = self.older_seconds is None or seconds >= self.older_seconds
        return old and (self.newer_seconds is None or seconds <= self.newer_seconds)
