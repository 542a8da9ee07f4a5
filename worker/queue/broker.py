"""Dramatiq's Redis broker with our consumer: an execution runs only after its row was claimed."""

import threading
from functools import partial
from typing import Any
from uuid import uuid4

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.bells.keys import NAMESPACE
from worker.bells.threads import ThreadBells
from worker.ledger import Ledger
from worker.queue.consumer import ClaimingConsumer
from worker.queue.fetching import Fetching
from worker.queue.runner import Runner
from worker.room import Room

SOCKET_SECONDS = 10.0


class QueueBroker(RedisBroker):
    """A worker process's view of the queues. name: the process's own, under which it claims. places: of its runner."""

    def __init__(
        self, url: str, name: str, ledger: Ledger, room: Room, middleware: list[Middleware] | None = None
    ) -> None:
        # A fetch may not be repeated blindly: its first answer would be lost with the messages in it. And a
        # connection that went silent is given up soon after the longest blocking read.
        client = redis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=SOCKET_SECONDS,
            encoding_errors="surrogateescape",  # an id that is no text is given back as it came
        )
        super().__init__(  # type: ignore[no-untyped-call]
            client=client,
            middleware=middleware,  # Dramatiq's own, unless told otherwise
            namespace=NAMESPACE,
            maintenance_chance=0,  # its judgement of who is dead goes by this machine's clock; the sweep's does not
        )
        self.broker_id = name
        self.ledger, self.room = ledger, room
        self.runner = Runner(self, ledger, room.places)
        self.door = ThreadBells(client, name)
        self._unsent: set[str] = set()
        self._ending = threading.local()

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue without Dramatiq's delay queue: nothing delayed is held in a worker's memory."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Enqueue a message; a delayed one, a retry too, waits in Redis's sorted set and in nobody's memory.

        delay: milliseconds. Raises redis.RedisError; what a message's end was to send may then not be lost with it.
        """
        try:
            return super().enqueue(message) if delay is None else self._let_wait(message, delay)
        except redis.RedisError:
            ending: Message[Any] | None = getattr(self._ending, "message", None)
            if ending is not None:
                self._unsent.add(ending.options["redis_message_id"])
            raise

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Tell the middleware. What it then sends is part of a message's end: a retry, a callback, a next stage."""
        if signal == "process_message":
            self._ending.message = args[0]
        try:
            super().emit_after(signal, *args, **kwargs)
        finally:
            if signal == "process_message":
                self._ending.message = None

    def is_unsent(self, id_: str) -> bool:
        """Tell, once, whether Redis did not take what a message's end was to send: then it has not ended."""
        unsent = id_ in self._unsent
        self._unsent.discard(id_)
        return unsent

    def _let_wait(self, message: Message[Any], delay: int) -> Message[Any]:
        # A retry has one id, so that what runs twice is tried again once; but not that of the message it follows.
        retries, present = message.options.get("retries"), message.options.get("redis_message_id")
        id_ = f"{message.message_id}:{retries}"
        if not retries or id_ == present:
            id_ = str(uuid4())
        message = message.copy(options={"redis_message_id": id_})
        self.emit_before("enqueue", message, delay)
        self.door.wait(message.queue_name, id_, message.encode(), delay)
        self.emit_after("enqueue", message, delay)
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> ClaimingConsumer:
        """Return a consumer that claims in batches, as many as this process has room for.

        timeout: milliseconds an idle read blocks. prefetch: of messages that are no executions of the table.
        """
        fetching = Fetching(self.client, self.broker_id, queue_name)
        bury = partial(self.door.bury, queue_name)
        return ClaimingConsumer(
            fetching, bury, self.is_unsent, self.ledger, self.room, self.runner, prefetch, timeout / 1000
        )
