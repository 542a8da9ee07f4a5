"""The actors of our table: their coroutine goes to the event loop, and no worker thread waits for it."""

from collections.abc import Awaitable, Callable
from typing import Any

import dramatiq
from dramatiq import Broker
from dramatiq.middleware import Middleware, Retries, ShutdownNotifications, TimeLimit
from dramatiq.results import Results

from db.executions import Execution
from worker.outcome import Outcome

# They act on the thread that runs an actor, put its message back or keep its result. Our tasks have limits, retries and
# outcomes of their own.
OF_THREADS = (TimeLimit, ShutdownNotifications, Retries, Results)

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


def step_hooks(broker: Broker, name: str) -> list[Callable[..., None]]:
    """Return the hooks of a name that concern our table's actors, in the order of the middleware."""
    concerned = [one for one in broker.middleware if not isinstance(one, OF_THREADS)]
    return [getattr(one, name) for one in concerned if getattr(type(one), name) is not getattr(Middleware, name)]
