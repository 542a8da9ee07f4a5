"""Dramatiq's middleware around a step of our table: which is asked, in which order, and what its errors do."""

import threading

import dramatiq
import pytest
from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.middleware import MiddlewareError, SkipMessage, default_middleware

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_broker
from worker.bells.ringing import Bells
from worker.outcome import Outcome, Refuse, done, skipped
from worker.queue.broker import QueueBroker

STATUS = "SELECT status FROM service_task_execution"
ASKED = ("before_process_message", "after_process_message", "after_skip_message")
# They act on the thread that runs an actor, or put its message back: limits and retries of our table are not theirs.
OF_STOCK_ACTORS_ALONE = {"TimeLimit", "ShutdownNotifications", "Retries"}


class Told(Middleware):
    """Notes what it is told of, under its name. refusal: raised before a message is processed."""

    def __init__(self, heard: list[tuple[str, str, object]], name: str = "", refusal: Exception | None = None) -> None:
        self.heard, self.name, self.refusal = heard, name, refusal

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self.heard.append((self.name, "before", message.message_id))
        if self.refusal is not None:
            raise self.refusal

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        self.heard.append((self.name, "after", result if exception is None else exception))

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self.heard.append((self.name, "skipped", message.message_id))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What Dramatiq's own middleware is asked, as (actor, hook, middleware), in order."""
    found: list[tuple[str, str, str]] = []

    def listen(kind: type[Middleware], hook: str) -> None:
        original = getattr(kind, hook)

        def told(self: Middleware, broker: Broker, message: MessageProxy, **values: object) -> None:
            found.append((message.actor_name, hook.split("_", maxsplit=1)[0], kind.__name__))
            original(self, broker, message, **values)

        monkeypatch.setattr(kind, hook, told)

    for kind in default_middleware:
        for hook in ASKED:
            if getattr(kind, hook) is not getattr(Middleware, hook):
                listen(kind, hook)
    return found


async def test_a_step_passes_all_but_what_acts_on_threads_in_order_and_back_and_a_stock_actor_passes_all(
    database: Database, urls: ServerUrls, bells: Bells, asked: list[tuple[str, str, str]]
) -> None:
    await worker(database)
    ran = threading.Event()

    def declare(broker: QueueBroker) -> None:
        dramatiq.actor(broker=broker, actor_name="stock")(ran.set).send()

    async def step(*_: object) -> Outcome:
        return done()

    async def both_are_over() -> bool:
        return ran.is_set() and await scalar(database, STATUS) == "success"

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=declare) as broker:
        await until(both_are_over)
        kinds = [type(one).__name__ for one in broker.middleware]
    assert kinds == [
        "AgeLimit",
        "TimeLimit",
        "ShutdownNotifications",
        "Callbacks",
        "Pipelines",
        "Retries",
        "_WorkerMiddleware",
    ]
    of_a_step = [(hook, kind) for actor, hook, kind in asked if actor == "prices"]
    of_stock = [(hook, kind) for actor, hook, kind in asked if actor == "stock"]
    before = [("before", kind) for kind in ("AgeLimit", "TimeLimit", "ShutdownNotifications")]
    after = [("after", kind) for kind in ("Retries", "Pipelines", "Callbacks", "ShutdownNotifications", "TimeLimit")]
    assert of_stock == [*before, *after]
    assert of_a_step == [(hook, kind) for hook, kind in of_stock if kind not in OF_STOCK_ACTORS_ALONE]


async def test_what_is_added_last_is_asked_last_before_a_step_and_first_after_it_and_sees_how_it_ended(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    heard: list[tuple[str, str, object]] = []

    def declare(broker: QueueBroker) -> None:
        broker.add_middleware(Told(heard, "first"), before=default_middleware[0])
        broker.add_middleware(Told(heard, "last"))

    refusal = Refuse("no")

    async def step(_: object, execution: object) -> Outcome:
        if execution.subject == "refused":  # type: ignore[attr-defined]
            raise refusal
        return done(n=1)

    async def over(status: str) -> bool:
        return await scalar(database, f"SELECT bool_or(status = '{status}') FROM service_task_execution") is True

    with running_broker(urls, step, declare=declare):
        good = await queued(database, "prices", subject="good")
        await bells.ring([good])
        await until(lambda: over("success"))
        bad = await queued(database, "prices", subject="refused")
        await bells.ring([bad])
        await until(lambda: over("failed"))
    ends = {good: done(n=1), bad: refusal}
    assert heard == [
        told
        for bell, end in ends.items()
        for told in (
            ("first", "before", f"{bell.execution_id}.1"),
            ("last", "before", f"{bell.execution_id}.1"),
            ("last", "after", end),
            ("first", "after", end),
        )
    ]


async def test_a_middleware_error_keeps_a_step_from_running_and_its_execution_ends_failed(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    told, ran = await _run_with(database, urls, bells, MiddlewareError("not now"), "failed")
    assert not ran
    assert await scalar(database, "SELECT error_type || ': ' || error_message FROM error_logs") == (
        "MiddlewareError: not now"
    )
    assert told == ["before", "after"]


async def test_a_message_that_a_middleware_skips_ends_skipped_with_its_reason(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    told, ran = await _run_with(database, urls, bells, SkipMessage("too old"), "skipped")
    assert not ran
    assert await scalar(database, "SELECT reason FROM service_task_execution") == "too old"
    assert told == ["before", "skipped"]


async def test_any_other_error_of_a_middleware_keeps_no_step_from_running(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    told, ran = await _run_with(database, urls, bells, ZeroDivisionError("its own bug"), "success")
    assert ran
    assert told == ["before", "after"]


async def test_an_error_of_a_middleware_after_a_step_changes_nothing_of_how_it_ended(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    class Broken(Middleware):
        def after_process_message(self, *_: object, **__: object) -> None:
            raise MiddlewareError("its own bug")

    def declare(broker: QueueBroker) -> None:
        broker.add_middleware(Broken())

    async def step(*_: object) -> Outcome:
        return skipped("nothing to do")

    async def over() -> bool:
        return await scalar(database, STATUS) == "skipped"

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=declare) as broker:
        await until(over)
        assert not broker.ledger.held
    assert await scalar(database, "SELECT reason FROM service_task_execution") == "nothing to do"


async def _run_with(
    database: Database, urls: ServerUrls, bells: Bells, refusal: Exception, status: str
) -> tuple[list[str], bool]:
    """Run one execution beside a middleware that raises before it. Returns what it heard, and whether the step ran."""
    await worker(database)
    heard: list[tuple[str, str, object]] = []
    ran = threading.Event()

    def declare(broker: QueueBroker) -> None:
        broker.add_middleware(Told(heard, refusal=refusal))

    async def step(*_: object) -> Outcome:
        ran.set()
        return done()

    async def over() -> bool:
        return await scalar(database, STATUS) == status

    async def has_room() -> bool:
        return broker.room.held == 0

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=declare) as broker:
        await until(over)
        await until(has_room)
    return [what for _, what, _ in heard], ran.is_set()
