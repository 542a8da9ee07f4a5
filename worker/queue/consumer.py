"""Takes messages in batches: fetch from Redis, claim in Postgres, and only then hand them to who runs them."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import redis
import structlog
from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import DecodeError

from db.executions import Bell
from worker.ledger import Ledger
from worker.messages import TASKS
from worker.queue.fetching import Fetching
from worker.queue.runner import Runner, Work
from worker.room import Room
from worker.wire import bell_of, why_unreadable

log = structlog.get_logger(__name__)

# So long may a suspect hold others up until it has the process to itself; so long they work on before another may.
ALONE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 1.0

Message_ = Message[None]


class ClaimingConsumer(Consumer):
    """One queue's consumer in one process. The table's go to the runner, every other message to Dramatiq's threads.

    suspect: a message whose execution was held by a worker that died. It runs with nothing beside it, so that only
    what kills its worker by itself is ever blamed for it. Further ones go back to the queue, for any process.
    """

    def __init__(
        self,
        fetching: Fetching,
        bury: Callable[[str, str], object],
        is_unsent: Callable[[str], bool],
        ledger: Ledger,
        room: Room,
        runner: Runner,
        most_passing: int,
        block_seconds: float,
    ) -> None:
        """bury: moves a claimed id to the dead letters, with the error. is_unsent: Redis refused what its end sent.

        most_passing: messages of no execution that may be here at once.
        """
        self.fetching, self.bury, self.is_unsent = fetching, bury, is_unsent
        self.ledger, self.room, self.runner = ledger, room, runner
        self.queue, self.most_passing, self.block_seconds = fetching.queue, most_passing, block_seconds
        self.ready: deque[Message_] = deque()
        self.suspect: tuple[str, Message_, Bell] | None = None
        self._turn_at = 0.0
        # What an earlier life of this queue's consumer lost sight of is looked for first.
        self._has_strays, self._pause = True, 0.0

    def __next__(self) -> MessageProxy | None:
        """Return the next message for Dramatiq's threads, or None after a turn that brought none."""
        if not self.ready:
            try:
                if not self._take_alone():
                    self._take()
            except redis.RedisError as error:
                self._lose_sight(error)
        return MessageProxy(self.ready.popleft()) if self.ready else None

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message that is no execution of the table."""
        id_ = message.options["redis_message_id"]
        if self.is_unsent(id_):
            self._run_again(id_)
        else:
            self.ledger.acknowledge(self.queue, [id_])
        self.room.passed(self.queue, 1)

    def nack(self, message: MessageProxy) -> None:
        """Move a message to the dead letters: it has no execution that could record its error."""
        id_ = message.options["redis_message_id"]
        if self.is_unsent(id_):
            self._run_again(id_)
        else:
            # There is no other door to the error.
            self._bury(id_, str(message.options.get("traceback") or repr(message._exception)))  # noqa: SLF001
        self.room.passed(self.queue, 1)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back messages that Dramatiq's threads never began."""
        self._give_back([message.options["redis_message_id"] for message in messages])

    def close(self) -> None:
        """Give back what was not handed out."""
        ids = [message.options["redis_message_id"] for message in self.ready]
        self.ready.clear()
        self._give_back(ids)
        self.room.forgo(self)
        suspect, self.suspect = self.suspect, None
        if suspect is not None:
            self._put_back([suspect[0]])

    def _take(self) -> None:
        """Claim as many ready messages as there is room for; with none ready, wait for one."""
        if not self.ledger.wait_until_back(self.block_seconds):
            return
        room = self.room.take(self.queue, self.block_seconds)
        if not room:
            return
        kept = 0
        fetched: list[tuple[str, bytes]] = []
        try:
            if self._has_strays:
                self._recover()
            fetched = self.fetching.fetch(room)
            self.ledger.know(self.queue, [id_ for id_, _ in fetched])
            kept = self._sort(fetched)
        except BaseException:
            # Whatever it was, they are nobody's now: the next look for strays finds them.
            self.ready.clear()
            self._lose([id_ for id_, _ in fetched])
            raise
        finally:
            self.room.give(self.queue, room - kept)
        if not fetched:
            self.fetching.wait(self.block_seconds)
        elif not kept:
            self.room.wait_to_pass(self.queue, self.most_passing, self.block_seconds)

    def _recover(self) -> None:
        self._has_strays = False  # first: a thread that loses some meanwhile says so again
        strays = self.fetching.stray(self.ledger.known(self.queue))
        self.fetching.put_back(strays)
        if strays:
            log.warning("messages_found_again", queue=self.queue, count=len(strays))

    def _run_again(self, id_: str) -> None:
        log.warning(
            "message_runs_again", queue=self.queue, id=ascii(id_), reason="Redis did not take what its end sends"
        )
        self._lose([id_])

    def _lose(self, ids: Sequence[str]) -> None:
        """Leave messages among this process's claims, where the next look for strays finds them."""
        self.ledger.forget(self.queue, ids)
        self._has_strays = True

    def _lose_sight(self, error: redis.RedisError) -> None:
        """Pause before Redis is tried again; the answer that was lost may have held messages."""
        if not self._has_strays or not self._pause:
            log.warning("redis_away", queue=self.queue, error=str(error))
        self._has_strays = True
        self._rest()

    def _rest(self) -> None:
        """Pause after a failure, the longer the more there were in a row."""
        self._pause = min(max(2 * self._pause, 0.05), LONGEST_PAUSE_SECONDS)
        time.sleep(self._pause)

    def _sort(self, fetched: Sequence[tuple[str, bytes]]) -> int:
        """Claim the table's executions and keep the rest for Dramatiq's threads. Returns how many are held now."""
        mine: dict[str, tuple[str, Message_, Bell]] = {}
        copies, others = [], []
        for id_, data in fetched:
            read = self._decode(id_, data)
            if read is None:
                continue
            message, bell = read
            if bell is None:
                others.append(message)
                continue
            key = f"{bell.execution_id}.{bell.generation}"
            if mine.setdefault(key, (id_, message, bell))[0] != id_:
                copies.append(id_)
        self.ledger.drop(self.queue, dict.fromkeys(copies, "copy"))
        passing = self._keep(others) if others else []
        won = self._claim(list(mine.values()))
        if passing:
            self.ready.extend(passing)
            self.room.let_pass(self.queue, len(passing))
        return len(passing) + won

    def _keep(self, messages: list[Message_]) -> list[Message_]:
        """Return as many messages of other actors as may be here, and put the others behind all that is ready."""
        free = max(self.most_passing - self.room.passing(self.queue), 0)
        self._put_back([message.options["redis_message_id"] for message in messages[free:]], behind=True)
        return messages[:free]

    def _claim(self, messages: list[tuple[str, Message_, Bell]], *, alone: bool = False) -> int:
        """Claim executions and start them. Returns how many were won."""
        if not messages:
            return 0
        by_id = {id_: message for id_, message, _ in messages}
        try:
            claim = self.ledger.claim(self.queue, [(id_, bell) for id_, _, bell in messages], alone=alone)
        except Exception as error:  # noqa: BLE001  # whatever it was, the messages go back and somebody claims again
            log.warning("claim_failed", queue=self.queue, count=len(messages), error=str(error))
            self._put_back(list(by_id))
            self._rest()
            return 0
        if claim.won:
            self.runner.start([Work(by_id[held.redis_id], held) for held in claim.won])
        self.ledger.drop(self.queue, claim.dropped)
        suspects = [one for one in messages if one[0] in claim.alone]
        now = time.monotonic()
        if suspects and self.suspect is None and now >= self._turn_at:
            self.suspect, *suspects = suspects
            self._turn_at = now
        back = [*claim.locked, *(id_ for id_, _, _ in suspects)]
        self._put_back(back)
        if len(back) == len(messages):
            self._rest()  # they are the next again, and whoever is in their way may need a while
        else:
            self._pause = 0.0
        return len(claim.won)

    def _take_alone(self) -> bool:
        """Claim the suspect once nothing else runs here. Returns False when others may take instead."""
        if self.suspect is None:
            return False
        if not self.room.take_whole(self, self.queue, self.block_seconds):
            if time.monotonic() - self._turn_at > ALONE_SECONDS:
                # What runs here may be long, and another process idle.
                self.room.forgo(self)
                suspect, self.suspect = self.suspect, None
                self._put_back([suspect[0]])
                self._turn_at = time.monotonic() + ALONE_SECONDS
            return True
        suspect, self.suspect = self.suspect, None
        won = 0
        try:
            won = self._claim([suspect], alone=True)
        finally:
            if not won:
                self.room.give_whole(self.queue)
        return True

    def _decode(self, id_: str, data: bytes) -> tuple[Message_, Bell | None] | None:
        """Return a message that somebody here can run, with its bell if it is of our table.

        What nobody can read or run is buried, with the reason.
        """
        try:
            message: Message_ = Message.decode(data)
            message.options["redis_message_id"] = id_
            message.options.pop("eta", None)  # it is ready: no heap in memory may hold it back
            return message, self._bell(message)
        except Exception as error:  # noqa: BLE001  # it may hold anything, and its neighbours must run
            why = why_unreadable(error) if isinstance(error, DecodeError) else f"{type(error).__name__}: {error}"
            log.warning("message_buried", queue=self.queue, id=ascii(id_), data=data[:200], error=why)
            self._bury(id_, why)
            return None

    def _bell(self, message: Message_) -> Bell | None:
        if message.queue_name != self.queue:
            raise ValueError(f"it is for queue {message.queue_name!r} and stood in {self.queue!r}")
        if message.actor_name in TASKS:
            return bell_of(message)
        if message.actor_name not in self.runner.broker.actors:
            raise LookupError(f"no worker here knows an actor {message.actor_name!r}")
        return None

    def _bury(self, id_: str, error: str) -> None:
        try:
            self.bury(id_, error)
            self.ledger.forget(self.queue, [id_])
        except redis.RedisError as failure:
            self._lose([id_])
            log.warning("redis_away", error=str(failure), doing="bury a message")

    def _give_back(self, ids: Sequence[str]) -> None:
        self.room.passed(self.queue, len(ids))
        self._put_back(ids)

    def _put_back(self, ids: Sequence[str], *, behind: bool = False) -> None:
        try:
            self.fetching.put_back(ids, behind=behind)
            self.ledger.forget(self.queue, ids)
        except redis.RedisError as error:
            self._lose(ids)
            log.warning("redis_away", error=str(error), doing="give messages back")
