"""Takes messages in batches: fetch from Redis, claim in Postgres, and only then hand them to worker threads."""

import threading
from collections import deque
from collections.abc import Iterable

import redis
import structlog
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed, DecodeError

from db.executions import Bell
from worker.bells.keys import ready_key
from worker.ledger import Ledger
from worker.messages import TASKS, bell_of

log = structlog.get_logger(__name__)


class ClaimingConsumer(Consumer):
    """One queue's consumer in one process. Acknowledging means handing the outcome to the ledger."""

    def __init__(self, broker: RedisBroker, ledger: Ledger, queue_name: str, prefetch: int, timeout: int) -> None:
        self.broker, self.ledger = broker, ledger
        self.queue_name, self.prefetch = queue_name, prefetch
        self.block_seconds = timeout / 1000
        self.claimed: deque[Message[None]] = deque()
        self.outstanding: set[str] = set()
        self.room = threading.Event()

    def __next__(self) -> MessageProxy | None:
        """Return the next claimed message, or None after an idle while."""
        if not self.claimed:
            self._take()
        return MessageProxy(self.claimed.popleft()) if self.claimed else None

    def ack(self, message: MessageProxy) -> None:
        """Hand a message's outcome to the ledger, which commits it and then acknowledges."""
        self._forget(message.message_id)
        self.ledger.finish(message)

    def nack(self, message: MessageProxy) -> None:
        """Move a message to the dead letters: it has no execution that could record its error."""
        self._forget(message.message_id)
        self.broker.do_nack(self.queue_name, message.options["redis_message_id"])

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back claimed messages that never began."""
        self.ledger.hand_back(list(messages))

    def close(self) -> None:
        """Give back what was claimed and not handed out yet."""
        self.requeue([MessageProxy(message) for message in self.claimed])
        self.claimed.clear()

    def _take(self) -> None:
        room = self.prefetch - len(self.outstanding)
        if room <= 0:
            self.room.wait(self.block_seconds)
            self.room.clear()
            return
        try:
            fetched = [data for data in self.broker.do_fetch(self.queue_name, room) if data is not None]
            if not fetched:
                # A blocking peek: it wakes on our bells and on stock sends alike, and takes nothing.
                key = ready_key(self.queue_name)
                self.broker.client.blmove(key, key, self.block_seconds, "LEFT", "LEFT")  # type: ignore[arg-type]  # takes parts of a second
                return
        except redis.ConnectionError as error:
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]
        self._claim([message for message in map(self._decode, fetched) if message is not None])

    def _decode(self, data: bytes) -> Message[None] | None:
        try:
            return Message.decode(data)
        except DecodeError:
            log.exception("message_undecodable", queue=self.queue_name, data=data[:200])
            return None

    def _claim(self, messages: list[Message[None]]) -> None:
        bells = {message.message_id: bell for message in messages if (bell := self._bell(message)) is not None}
        try:
            won = self.ledger.claim(list(bells.values()))
        except Exception as error:
            self.broker.do_requeue(self.queue_name, *[message.options["redis_message_id"] for message in messages])
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]
        dropped = []
        for message in messages:
            if message.message_id in bells and message.message_id not in won:
                dropped.append(message.options["redis_message_id"])
            else:
                self.outstanding.add(message.message_id)
                self.claimed.append(message)
        if dropped:
            log.info("messages_dropped", queue=self.queue_name, count=len(dropped), reason="copy, cancelled or late")
            self.ledger.drop(self.queue_name, dropped)

    def _bell(self, message: Message[None]) -> Bell | None:
        if message.actor_name not in TASKS:
            return None
        try:
            return bell_of(message)
        except ValueError:
            log.exception("message_unreadable", queue=self.queue_name, message_id=message.message_id)
            return None

    def _forget(self, message_id: str) -> None:
        self.outstanding.discard(message_id)
        self.room.set()
