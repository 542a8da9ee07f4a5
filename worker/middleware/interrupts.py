"""Records a step that Dramatiq interrupted: its coroutine was cancelled and could say nothing itself."""

from dramatiq import Broker
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, TimeLimitExceeded

from worker.ledger import Ledger
from worker.record import TimedOut


class Interrupts(Middleware):
    """Observes only. A step that recorded its own end is left alone."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        """Write an interrupted execution's end, so that its message is never acknowledged without one."""
        execution = self.ledger.held.get(message.message_id)
        if exception is None or execution is None or message.message_id in self.ledger.settlements:
            return
        error: BaseException = exception
        if isinstance(exception, TimeLimitExceeded):
            limit = broker.get_actor(message.actor_name).options["time_limit"] / 1000
            error = TimedOut(f"interrupted at its limit of {limit:g} s")
        self.ledger.record(message.message_id, self.ledger.recorder.error(execution, error, 0.0))
