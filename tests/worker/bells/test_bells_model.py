"""Any history of calls, each of them repeated or not, leaves the queues as a model in plain Python has them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import redis
from dramatiq import Message
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from db.executions import Bell
from ops.local import Servers
from tests.worker.bells.model import Queue, Retry
from tests.worker.bells.places import FAR_MS, WORKERS, Places, bell, ids, look, stock
from worker.bells.keys import waiting_key
from worker.bells.ringing import Bells, Settled
from worker.wire import message_id

QUEUES = ("orders", "default")
NUMBERS = range(1, 7)
GENERATIONS = range(1, 4)

A_QUEUE = st.sampled_from(QUEUES)
A_WORKER = st.sampled_from(WORKERS)
A_BELL = st.builds(bell, st.sampled_from(NUMBERS), st.sampled_from(GENERATIONS), A_QUEUE)
BELLS = st.lists(A_BELL, min_size=1, max_size=4)
HOW = st.sampled_from(["acknowledge", "retry", "retry at once", "die", "leave"])


class History(RuleBasedStateMachine):
    """Calls on a real Redis, and the same on the model."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.bells = Bells(self.url)
        self.queues = {queue: Queue() for queue in QUEUES}
        self.brokers = {worker: stock(self.client, worker) for worker in WORKERS}
        self.sent = 0

    def teardown(self) -> None:
        self.runner.run(self.bells.close())
        self.runner.close()
        self.client.close()

    def call(self, again: bool, make: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call; and make it again, because its answer was lost. The second changes nothing."""

        async def made() -> Any:
            return await make()

        answer = self.runner.run(made())
        if again:
            before = self.look()
            self.runner.run(made())
            assert self.look() == before
        return answer

    def look(self) -> dict[str, Places]:
        return {queue: self.runner.run(look(self.bells.redis, queue)) for queue in QUEUES}

    @rule(bells=BELLS, again=st.booleans())
    def ring(self, bells: list[Bell], again: bool) -> None:
        self.call(again, lambda: self.bells.ring(bells))
        for queue in QUEUES:
            self.queues[queue].ring(ids(one for one in bells if one.queue == queue))

    @rule(worker=A_WORKER, queue=A_QUEUE, count=st.integers(1, 4))
    def fetch(self, worker: str, queue: str, count: int) -> None:
        """A stock fetch tells bytes alone."""
        fetched = [message.options["redis_message_id"] for message in map(_decode, self._fetch(worker, queue, count))]
        assert fetched == self.queues[queue].fetch(worker, count)

    @rule(worker=A_WORKER, data=st.data(), nexts=st.lists(A_BELL, max_size=2), again=st.booleans())
    def settle(self, worker: str, data: st.DataObject, nexts: list[Bell], again: bool) -> None:
        """Ends of what the worker claims, and of what it lost to another, in both queues at once."""
        by_queue: dict[str, Settled] = {}
        expected: dict[str, tuple[list[str], list[Retry], list[str]]] = {}
        for name, queue in self.queues.items():
            settled = by_queue[name] = Settled()
            retries: list[Retry] = []
            for id_ in sorted(set(queue.places.live())):
                how = data.draw(HOW)
                if how == "acknowledge":
                    settled.acknowledged.append(id_)
                elif how == "die":
                    settled.dead.append(id_)
                elif how != "leave" and id_[0].isdigit():
                    number, generation = map(int, id_.split("."))
                    new = bell(number, generation + 1, name)
                    settled.retries.append((id_, new, FAR_MS if how == "retry" else 0))
                    retries.append((id_, message_id(new), how == "retry"))
            expected[name] = settled.acknowledged, retries, settled.dead
        self.call(again, lambda: self.bells.settle(worker, by_queue, nexts))
        for name, ends in expected.items():
            self.queues[name].settle(worker, *ends, ids(one for one in nexts if one.queue == name))

    @rule(bells=BELLS, is_due=st.booleans(), again=st.booleans())
    def wait(self, bells: list[Bell], is_due: bool, again: bool) -> None:
        # Due in the order given: waits that become due in one ms have none.
        first = -FAR_MS + len(self.queues["default"].order) + len(self.queues["orders"].order)
        items = [(one, first + at if is_due else FAR_MS) for at, one in enumerate(bells)]
        added = self.call(again, lambda: self.bells.wait(items))
        waiting = {queue: [(message_id(one), is_due) for one in bells if one.queue == queue] for queue in QUEUES}
        assert added == sum(self.queues[queue].wait(items) for queue, items in waiting.items())
        self._order()

    @rule(queue=A_QUEUE, data=st.data())
    def time_passes(self, queue: str, data: st.DataObject) -> None:
        later = sorted(id_ for id_, is_due in self.queues[queue].places.due.items() if not is_due)
        due = data.draw(st.lists(st.sampled_from(later), unique=True)) if later else []
        self.queues[queue].become_due(due)
        self._order()

    @rule(limit=st.integers(0, 5))
    def promote(self, limit: int) -> None:
        promoted = self.runner.run(self.bells.promote(limit))
        left = limit
        for queue in QUEUES:
            left -= self.queues[queue].promote(left)
        assert promoted.count == limit - left
        due = [is_due for queue in self.queues.values() for is_due in queue.places.due.values()]
        if not due:
            assert promoted.next_due_seconds is None
        else:
            assert promoted.next_due_seconds is not None
            assert (promoted.next_due_seconds == 0) == any(due)

    @rule(workers=st.sets(A_WORKER), again=st.booleans())
    def give_back(self, workers: set[str], again: bool) -> None:
        given = self.call(again, lambda: self.bells.give_back(sorted(workers)))
        assert given == sum(queue.give_back(worker) for queue in self.queues.values() for worker in sorted(workers))

    @rule(worker=A_WORKER, queue=A_QUEUE, data=st.data(), again=st.booleans())
    def bury(self, worker: str, queue: str, data: st.DataObject, again: bool) -> None:
        known = sorted(self.queues[queue].everywhere())
        id_ = data.draw(st.sampled_from(known)) if known else "nobody"
        won = self.call(again, lambda: self.bells.bury(queue, id_, "cannot be run", worker))
        assert won == self.queues[queue].bury(worker, id_)

    @rule(queue=A_QUEUE, has_delay=st.booleans())
    def stock_client_sends(self, queue: str, has_delay: bool) -> None:
        """As Dramatiq's broker does, but for an id that is the same when the history is played again."""
        self.sent += 1
        id_, name = f"stock-{self.sent}", f"{queue}.DQ" if has_delay else queue
        options = {"redis_message_id": id_} | ({"eta": 10**13} if has_delay else {})
        message: Message[None] = Message(name, "letter", (self.sent,), {}, options)
        self.brokers["w1"].do_enqueue(name, id_, message.encode())
        places = self.queues[queue].places
        (places.delayed if has_delay else places.ready).append(id_)

    @precondition(lambda self: any(queue.places.delayed for queue in self.queues.values()))
    @rule(again=st.booleans())
    def drain(self, again: bool) -> None:
        assert self.call(again, self.bells.drain_delayed) == sum(queue.drain() for queue in self.queues.values())

    @rule(queue=A_QUEUE)
    def heal(self, queue: str) -> None:
        """Nothing leaks, whatever happened: there is nothing to restore."""
        leaks = self.runner.run(self.bells.leaks(queue, WORKERS))
        assert (leaks.lost, leaks.empty) == ([], [])
        live = self.queues[queue].places.live()
        assert self.runner.run(self.bells.restore(queue, live, WORKERS)) == 0

    @invariant()
    def the_queues_are_as_in_the_model(self) -> None:
        assert self.look() == {name: queue.places for name, queue in self.queues.items()}

    def _fetch(self, worker: str, queue: str, count: int) -> list[bytes]:
        fetched: list[bytes] = self.brokers[worker].do_fetch(queue, count)
        return fetched

    def _order(self) -> None:
        """Set the due times of what is due as the model has them: the clock of Redis cannot be set."""
        for name, queue in self.queues.items():
            if queue.order:
                self.client.zadd(waiting_key(name), {id_: at for at, id_ in enumerate(queue.order, 1)}, xx=True)


def _decode(data: bytes) -> Message[None]:
    return Message.decode(data)


def test_any_history_of_calls_leaves_the_queues_as_the_model_has_them(servers: Servers) -> None:
    machine = type("HistoryOnRedis", (History,), {"url": servers.redis_url})
    few = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    run_state_machine_as_test(machine, settings=few)
