"""Takes messages in batches: fetch from Redis, claim in Postgres, and only then hand them to worker threads."""

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
from worker.ledger import Ledger, Won
from worker.messages import TASKS, bell_of
from worker.room import Room

log = structlog.get_logger(__name__)


class ClaimingConsumer(Consumer):
    """One queue's consumer in one process. Acknowledging means handing the outcome to the ledger.

    suspects: messages whose execution was held by a worker that died. Each runs with nothing beside it, so that only
    what kills its worker by itself is ever blamed for it.
    """

    def __init__(self, broker: RedisBroker, ledger: Ledger, room: Room, queue_name: str, timeout: int) -> None:
        self.broker, self.ledger, self.room = broker, ledger, room
        self.queue_name = queue_name
        self.block_seconds = timeout / 1000
        self.claimed: deque[Message[None]] = deque()
        self.suspects: deque[Message[None]] = deque()
        self._alone: str | None = None

    def __next__(self) -> MessageProxy | None:
        """Return the next claimed message, or None after an idle while."""
        if not self.claimed and self.suspects:
            self._take_alone()
        if not self.claimed:
            self._take()
        return MessageProxy(self.claimed.popleft()) if self.claimed else None

    def ack(self, message: MessageProxy) -> None:
        """Hand a message's outcome to the ledger, which commits it and then acknowledges."""
        self.ledger.finish(message)
        self._give_back_room(message)

    def nack(self, message: MessageProxy) -> None:
        """Move a message to the dead letters: it has no execution that could record its error."""
        self._give_back_room(message)
        self.broker.do_nack(self.queue_name, message.options["redis_message_id"])

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back claimed messages that never began."""
        given_back = list(messages)
        self.ledger.hand_back(given_back)
        for message in given_back:
            self._give_back_room(message)

    def close(self) -> None:
        """Give back what was claimed and not handed out yet."""
        self.requeue([MessageProxy(message) for message in self.claimed])
        self.claimed.clear()
        self._put_back(self.suspects)
        self.suspects.clear()

    def _take_alone(self) -> None:
        """Claim one suspect once nothing else runs here; while something does, it waits its turn."""
        if not self.room.take_whole(self.block_seconds):
            return
        message = self.suspects.popleft()
        bell, kept = self._bell(message), False
        try:
            kept = bell is not None and message.message_id in self._win([message], [bell], alone=True).ids
        finally:
            if not kept:
                self.room.give(self.room.threads)
        if kept:
            self._alone = message.message_id
            self.claimed.append(message)
        else:
            self.ledger.drop(self.queue_name, [message.options["redis_message_id"]])

    def _give_back_room(self, message: MessageProxy) -> None:
        whole = message.message_id == self._alone
        self._alone = None if whole else self._alone
        self.room.give(self.room.threads if whole else 1)

    def _take(self) -> None:
        """Claim as many ready messages as there is room for; with none ready, wait for one."""
        room = self.room.take(self.block_seconds)
        if not room:
            return
        try:
            fetched = [data for data in self.broker.do_fetch(self.queue_name, room) if data is not None]
            self._claim([message for message in map(self._decode, fetched) if message is not None])
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]
        finally:
            self.room.give(room - len(self.claimed))
        if not fetched:
            self._wait()

    def _wait(self) -> None:
        """Block until the queue has something: a peek that wakes on our bells and on stock sends, and takes nothing."""
        key = ready_key(self.queue_name)
        try:
            self.broker.client.blmove(key, key, self.block_seconds, "LEFT", "LEFT")  # type: ignore[arg-type]  # a float
        except redis.RedisError as error:
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]

    def _decode(self, data: bytes) -> Message[None] | None:
        try:
            return Message.decode(data)
        except DecodeError:
            log.exception("message_undecodable", queue=self.queue_name, data=data[:200])
            return None

    def _claim(self, messages: list[Message[None]]) -> None:
        bells = {message.message_id: bell for message in messages if (bell := self._bell(message)) is not None}
        won = self._win(messages, list(bells.values()))
        dropped = []
        for message in messages:
            if message.message_id in won.alone:
                self.suspects.append(message)
            elif message.message_id in bells and message.message_id not in won.ids:
                dropped.append(message.options["redis_message_id"])
            else:
                self.claimed.append(message)
        if dropped:
            log.info("messages_dropped", queue=self.queue_name, count=len(dropped), reason="copy, cancelled or late")
            self.ledger.drop(self.queue_name, dropped)

    def _win(self, messages: list[Message[None]], bells: list[Bell], *, alone: bool = False) -> Won:
        try:
            return self.ledger.claim(bells, alone=alone)
        except Exception as error:
            self._put_back(messages)
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]

    def _put_back(self, messages: Iterable[Message[None]]) -> None:
        ids = [message.options["redis_message_id"] for message in messages]
        if ids:
            self.broker.do_requeue(self.queue_name, *ids)

    def _bell(self, message: Message[None]) -> Bell | None:
        if message.actor_name not in TASKS:
            return None
        try:
            return bell_of(message)
        except ValueError:
            log.exception("message_unreadable", queue=self.queue_name, message_id=message.message_id)
            return None
