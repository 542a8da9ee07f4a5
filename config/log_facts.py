"""Facts that every log line of one piece of work carries, made only when there is a line."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar

from structlog.typing import EventDict, WrappedLogger

Facts = Callable[[], Mapping[str, object]]

_BOUND: ContextVar[Facts | None] = ContextVar("log_facts", default=None)


def bind(facts: Facts) -> None:
    """Let every later line of this context carry facts; what a line says itself wins over them."""
    _BOUND.set(facts)


def merge_facts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the facts that are bound. A structlog processor."""
    facts = _BOUND.get()
    return event if facts is None else {**facts(), **event}
