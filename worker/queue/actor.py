"""The actors of our table: their coroutine goes to the event loop, and no worker thread waits for it."""

from collections.abc import Awaitable, Callable
from typing import Any

import dramatiq
from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, Retries, ShutdownNotifications, TimeLimit

from db.executions import Execution
from worker.outcome import Outcome

Perform = Callable[[Execution], Awaitable[Outcome]]


class StepActor(dramatiq.Actor[..., Any]):
    """An actor that a `Runner` performs. limit_seconds: after it the coroutine is cancelled, by the runner's clock."""

    def __init__(
        self, perform: Perform, *, broker: Broker, actor_name: str, queue_name: str, limit_seconds: float
    ) -> None:
        self.perform, self.limit_seconds = perform, limit_seconds
        super().__init__(
            self._refuse, broker=broker, actor_name=actor_name, queue_name=queue_name, priority=0, options={}
        )

    @staticmethod
    def _refuse(*_: object) -> None:
        raise RuntimeError("an execution of the table runs on the event loop, after its claim, and nowhere else")


def _of_threads(stock: type[Middleware]) -> type[Middleware]:
    """Return a stock middleware that leaves our table's actors alone: it would act on the thread that runs them all."""

    class OfThreads(stock):  # type: ignore[valid-type,misc]
        def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
            if not is_step(broker, message):
                super().before_process_message(broker, message)

        def after_process_message(
            self,
            broker: Broker,
            message: MessageProxy,
            *,
            result: object = None,
            exception: BaseException | None = None,
        ) -> None:
            if not is_step(broker, message):
                super().after_process_message(broker, message, result=result, exception=exception)

        def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
            if not is_step(broker, message):
                super().after_skip_message(broker, message)

    OfThreads.__name__ = OfThreads.__qualname__ = stock.__name__
    return OfThreads


def is_step(broker: Broker, message: MessageProxy) -> bool:
    """Tell whether a message is for an actor of our table, whose limit and retries are ours."""
    return isinstance(broker.actors.get(message.actor_name), StepActor)


ThreadTimeLimit = _of_threads(TimeLimit)
ThreadShutdown = _of_threads(ShutdownNotifications)
ThreadRetries = _of_threads(Retries)
