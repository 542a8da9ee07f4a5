"""Takes messages in batches: fetch from Redis, claim in Postgres, and only then hand them to worker threads."""

import time
from collections import deque
from collections.abc import Iterable

import redis
import structlog
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed, DecodeError

from db.executions import Bell
from worker.bells.keys import claims_key, messages_key, ready_key
from worker.ledger import Ledger
from worker.messages import TASKS
from worker.room import Room
from worker.wire import bell_of

# So long may a suspect hold others up until it has the process to itself; so long they work on before it tries again.
ALONE_SECONDS = 10.0

log = structlog.get_logger(__name__)


class ClaimingConsumer(Consumer):
    """One queue's consumer in one process. Acknowledging means handing the outcome to the ledger.

    suspect: a message whose execution was held by a worker that died. It runs with nothing beside it, so that only
    what kills its worker by itself is ever blamed for it. Further ones go back to the queue, for any process.
    """

    def __init__(self, broker: RedisBroker, ledger: Ledger, room: Room, queue_name: str, timeout: int) -> None:
        self.broker, self.ledger, self.room = broker, ledger, room
        self.queue_name = queue_name
        self.block_seconds = timeout / 1000
        self.claimed: deque[Message[None]] = deque()
        self.suspect: Message[None] | None = None
        self._turn_at = 0.0
        self._alone: str | None = None

    def __next__(self) -> MessageProxy | None:
        """Return the next claimed message, or None after an idle while."""
        if not self.claimed and not self._take_alone():
            self._take()
        return MessageProxy(self.claimed.popleft()) if self.claimed else None

    def ack(self, message: MessageProxy) -> None:
        """Hand a message's outcome to the ledger, which commits it and then acknowledges."""
        if message.message_id != self._alone:
            self.ledger.finish(message)
            self.room.give(1)
            return
        # Only once its end is committed may others begin: a death among them would be charged to it.
        self._alone = None
        self.ledger.finish(message, self.room.give_whole)

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
        self.room.forgo(self)
        suspect, self.suspect = self.suspect, None
        try:
            self._put_back([suspect] if suspect else [])
        except redis.RedisError as error:
            # It stays among this process's claims; in time the sweep rings it under a new generation.
            log.warning("redis_away", error=str(error), doing="give a suspect back")

    def _take_alone(self) -> bool:
        """Claim the suspect once nothing else runs here. Returns False when others may take instead."""
        if self.suspect is None or time.monotonic() < self._turn_at:
            return False
        if not self.room.take_whole(self, self.block_seconds):
            if time.monotonic() - self._turn_at > ALONE_SECONDS:
                self.room.forgo(self)
                self._turn_at = time.monotonic() + ALONE_SECONDS
            return True
        message, self.suspect = self.suspect, None
        try:
            self._claim([message], alone=True)
        finally:
            if self.claimed:
                self._alone = message.message_id
            else:
                self.room.give_whole()
        return True

    def _give_back_room(self, message: MessageProxy) -> None:
        if message.message_id == self._alone:
            self._alone = None
            self.room.give_whole()
        else:
            self.room.give(1)

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
            message: Message[None] = Message.decode(data)
        except DecodeError:
            log.exception("message_undecodable", queue=self.queue_name, data=data[:200])
        else:
            if isinstance(message.options.get("redis_message_id"), str):
                return message
            log.error("message_without_its_id", queue=self.queue_name, data=data[:200])
        self._bury(data)
        return None

    def _bury(self, data: bytes) -> None:
        """Move what nobody can read to the dead letters. It is found by its bytes: a fetch tells no ids."""
        client: redis.Redis = self.broker.client
        claimed = list(client.smembers(claims_key(self.broker.broker_id, self.queue_name)))
        found = client.hmget(messages_key(self.queue_name), claimed) if claimed else []
        ids = [id_ for id_, bytes_ in zip(claimed, found, strict=True) if bytes_ == data]
        for id_ in ids:
            self.broker.do_nack(self.queue_name, id_)

    def _claim(self, messages: list[Message[None]], *, alone: bool = False) -> None:
        bells = {message.message_id: bell for message in messages if (bell := self._bell(message)) is not None}
        try:
            won = self.ledger.claim(list(bells.values()), alone=alone)
        except Exception as error:
            self._put_back(messages)
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]
        dropped, suspects = [], []
        for message in messages:
            if message.message_id in won.alone:
                suspects.append(message)
            elif message.message_id in bells and message.message_id not in won.ids:
                dropped.append(message.options["redis_message_id"])
            else:
                self.claimed.append(message)
        if dropped:
            log.info("messages_dropped", queue=self.queue_name, count=len(dropped), reason="copy, cancelled or late")
            self.ledger.drop(self.queue_name, dropped)
        self._suspect(suspects)

    def _suspect(self, messages: list[Message[None]]) -> None:
        """Keep one suspect for its turn."""
        if messages and self.suspect is None:
            self.suspect, *messages = messages
            self._turn_at = time.monotonic()
        self._put_back(messages)

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
