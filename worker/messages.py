"""What may be sent: the table of tasks. Their names are a wire format: add, drain, remove."""

import random
from dataclasses import dataclass

QUEUES = ("orders", "strategy", "ml", "default")


# What may pass by itself: a step that asks for another try, a source of prices, a database that is away, a time limit.
# Everything else, a refusal and a bug among it, never is tried again.
PASSING = ("asked", "source", "database", "timeout")


@dataclass(frozen=True, slots=True)
class Task:
    """How one task is run.

    limit_seconds: after it the step is interrupted, of machine time. attempts: in all. again: which of `PASSING` is
    tried again. backoff_seconds: before the second attempt; doubles with each further one.
    """

    name: str
    queue: str
    limit_seconds: float
    attempts: int = 1
    backoff_seconds: float = 5.0
    again: tuple[str, ...] = PASSING


# Placement is never retried blindly: submit repeats only what was provably not sent, and by its own attempts.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("prices", "default", 600, attempts=5, backoff_seconds=30),
        Task("analysis", "strategy", 1800, attempts=3, backoff_seconds=30),
        Task("buy_orders", "strategy", 600, attempts=3),
        Task("submit", "orders", 30, attempts=3, backoff_seconds=1),
        Task("order_sync", "orders", 60, attempts=3, backoff_seconds=2),
        Task("reconcile", "orders", 60, attempts=5, backoff_seconds=2),
        Task("sell_monitor", "orders", 180, attempts=3, backoff_seconds=2),
        Task("premarket_retry", "strategy", 300, attempts=3),
        Task("position_monitor", "strategy", 120, attempts=3, backoff_seconds=10),
        Task("eod_cleanup", "default", 300, attempts=5, backoff_seconds=30),
        Task("train", "ml", 3600, attempts=1),
        Task("notify", "default", 30, attempts=3, backoff_seconds=10),
        Task("retention", "default", 1800, attempts=3, backoff_seconds=60),
        Task("housekeeping", "default", 1800, attempts=3, backoff_seconds=60),
    )
}

# A process that runs something for this much longer than its limit ignores interrupts: its supervisor kills it.
HARD_LIMIT_FACTOR = 1.5

LONGEST_BACKOFF_SECONDS = 900.0
# What failed together does not come back together.
JITTER = 0.2


def backoff_seconds(task: Task, attempt: int, jitter: float | None = None) -> float:
    """Return the wait after a failed attempt (1 is the first). jitter: from -1 to 1, None for a random one."""
    spread = 1 + JITTER * (random.uniform(-1, 1) if jitter is None else jitter)  # noqa: S311  # no secret
    return min(task.backoff_seconds * 2.0 ** (attempt - 1), LONGEST_BACKOFF_SECONDS) * spread
