"""Runs claimed executions on the event loop, so many at once, within their limits, through Dramatiq's middleware."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import cast

import structlog
from dramatiq import Message
from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import MiddlewareError, SkipMessage

from db.claims import Settlement
from db.executions import Execution, Fenced
from worker.ledger import Held, Ledger
from worker.outcome import Outcome, skipped
from worker.queue.actor import StepActor, step_hooks
from worker.record import TimedOut

log = structlog.get_logger(__name__)

# How often limits are looked at, and what has not begun.
WATCH_SECONDS = 0.25
# A step past its limit is interrupted again and again: one interruption may be forgotten by what it waits for.
AGAIN_SECONDS = 5.0
# What was claimed ahead and has not begun by then stands behind something long, while another worker may be idle.
PATIENCE_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Work:
    """A claimed execution with its message.

    since: monotonic seconds, of its claim; once it runs, of its beginning. limit_seconds: known once it runs.
    interrupt_at: once it is overdue, when it is interrupted again.
    """

    message: Message[None]
    held: Held
    since: float = field(default_factory=time.monotonic)
    limit_seconds: float = math.inf
    task: asyncio.Task[None] | None = None
    is_overdue: bool = False
    interrupt_at: float = 0.0


class Runner:
    """One process's executions, running and in line. All but `start` belongs to the event loop.

    places: executions that run at once.
    """

    def __init__(self, broker: Broker, ledger: Ledger, places: int) -> None:
        self.broker, self.ledger, self.places = broker, ledger, places
        self.line: deque[Work] = deque()
        self.running: set[Work] = set()
        self._quiet = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._found: dict[str, list[Callable[..., None]]] = {}

    def start(self, works: Sequence[Work]) -> None:
        """Take claimed executions over from a consumer's thread."""
        self.ledger.loop.call_soon_threadsafe(self._accept, works)

    async def open(self) -> None:
        """Begin to watch limits."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self, seconds: float) -> None:
        """Hand back what has not begun, and wait for what runs; what does not end in time is cancelled."""
        self._hand_back_line()
        self.places = 0  # what a claim under way still brings is handed back too
        self._quiet.clear()
        if self.running:
            try:
                await asyncio.wait_for(self._quiet.wait(), seconds)
            except TimeoutError:
                log.warning("executions_cut_off", count=len(self.running))
        if self._watching is not None:
            self._watching.cancel()

    def _accept(self, works: Sequence[Work]) -> None:
        self.line.extend(works)
        self._fill()
        if not self.places:
            self._hand_back_line()

    def _fill(self) -> None:
        line, running = self.line, self.running
        while line and len(running) < self.places:
            work = line.popleft()
            running.add(work)
            # Not in the context of whoever ended now and so made room: its ids would stand in another's log lines.
            work.task = self.ledger.loop.create_task(self._run(work), context=Context())

    async def _run(self, work: Work) -> None:
        try:
            settlement = await self._perform(work)
        except asyncio.CancelledError:
            return  # it stays among what is held: the ledger gives it back
        except Exception:
            log.exception("outcome_unreadable", execution_id=work.held.execution.id)
            unread = RuntimeError("what it raised or returned could not be written down; the log has it")
            settlement = self.ledger.recorder.error(work.held.execution, unread, 0.0)
        finally:
            self.running.discard(work)
            self._fill()
            if not self.running:
                self._quiet.set()
        self.ledger.finish(work.held, settlement)

    async def _perform(self, work: Work) -> Settlement | None:
        """Run an execution through the middleware. Returns what to settle, None for one that was fenced."""
        proxy, execution, recorder = MessageProxy(work.message), work.held.execution, self.ledger.recorder
        error: BaseException | None = None
        outcome: Outcome | None = None
        settlement: Settlement | None = None
        work.since, began = time.monotonic(), time.perf_counter()
        try:
            actor = self._actor(execution)
            work.limit_seconds = actor.limit_seconds
            self._before(proxy)
            outcome = await actor.perform(execution)
            settlement = recorder.outcome(execution, outcome, time.perf_counter() - began)
        except SkipMessage as skip:
            settlement = recorder.outcome(execution, skipped(str(skip) or "skipped by a middleware"), 0.0)
            self._after("skip_message", proxy)
            return settlement
        except Fenced as fenced:
            error = fenced
        except asyncio.CancelledError as cancelled:
            error = TimedOut(f"interrupted at its limit of {work.limit_seconds:g} s") if work.is_overdue else cancelled
        except BaseException as raised:  # noqa: BLE001  # a step may not end the loop that runs the others
            error = raised
        # Nobody interrupts a step but for its limit or the end of the process: else it is the step's own doing.
        is_cut_off = isinstance(error, asyncio.CancelledError) and not self.places
        if error is not None and not isinstance(error, Fenced) and not is_cut_off:
            settlement = recorder.error(execution, error, time.perf_counter() - began)
        self._after("process_message", proxy, result=outcome if error is None else None, exception=error)
        if error is not None and is_cut_off:
            raise error
        return settlement

    def _actor(self, execution: Execution) -> StepActor:
        """Return what runs an execution: its row decides, whatever its message is called."""
        try:
            return cast("StepActor", self.broker.actors[execution.task_name])
        except KeyError:
            raise LookupError(f"no worker here knows an actor {execution.task_name!r}") from None

    def _before(self, proxy: MessageProxy) -> None:
        """Ask the middleware before a step begins. Raises MiddlewareError: then it does not begin."""
        for hook in self._hooks("before_process_message"):
            try:
                hook(self.broker, proxy)
            except MiddlewareError:
                raise
            except Exception:
                log.exception("middleware_failed", hook=str(hook))

    def _after(self, signal: str, proxy: MessageProxy, **told: object) -> None:
        for hook in reversed(self._hooks(f"after_{signal}")):
            try:
                hook(self.broker, proxy, **told)
            except Exception:
                log.exception("middleware_failed", hook=str(hook))

    def _hooks(self, name: str) -> list[Callable[..., None]]:
        """Return what the middleware has to say to our actors; looked up once, for there are thousands a second."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = step_hooks(self.broker, name)
        return found

    async def _watch(self) -> None:
        """Cancel what is past its limit, and hand back what waits in line for too long."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = time.monotonic()
            overdue = [one for one in self.running if now - one.since > one.limit_seconds and now >= one.interrupt_at]
            for work in overdue:
                work.is_overdue, work.interrupt_at = True, now + AGAIN_SECONDS
                if work.task is not None:
                    work.task.cancel()
            if self.line and now - self.line[0].since > PATIENCE_SECONDS:
                for queue in {work.held.queue for work in self.line}:
                    self.ledger.room.distrust(queue)
                self._hand_back_line()

    def _hand_back_line(self) -> None:
        line, self.line = list(self.line), deque()
        if line:
            log.info("executions_handed_back", count=len(line), reason="they had not begun")
            self.ledger.hand_back([work.held for work in line])
