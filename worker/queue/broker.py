"""Dramatiq's Redis broker with our consumer: messages reach a worker thread only after their execution was claimed."""

import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.bells.keys import NAMESPACE
from worker.ledger import Ledger
from worker.queue.consumer import ClaimingConsumer
from worker.room import Room

SOCKET_SECONDS = 10.0


class QueueBroker(RedisBroker):
    """A worker process's view of the queues. name: the process's own, under which it claims."""

    def __init__(self, url: str, name: str, middleware: list[Middleware], ledger: Ledger, threads: int) -> None:
        # A fetch may not be repeated blindly: its first answer would be lost with the messages in it. And a
        # connection that went silent is given up soon after the longest blocking read.
        client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=SOCKET_SECONDS)
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            middleware=middleware,
            namespace=NAMESPACE,
        )
        self.broker_id = name
        self.ledger = ledger
        self.room = Room(threads)

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue without Dramatiq's delay queue: nothing delayed is held in a worker's memory."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> ClaimingConsumer:
        """Return a consumer that claims in batches, as many as this process has free threads for.

        timeout: milliseconds an idle read blocks. prefetch: Dramatiq's, unused: the room is shared by all queues.
        """
        return ClaimingConsumer(self, self.ledger, self.room, queue_name, timeout)
