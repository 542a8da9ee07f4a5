"""Looks at what a worker process cannot do without. When that is gone the process ends: a new one takes its place."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable

import structlog

from worker.ending import BROKEN

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
# So many looks in a row may an idle event loop leave unanswered. Looks and not seconds: who was kept from running
# himself, by a stopped process or by a step that holds the interpreter, has not seen the loop be silent.
SILENT_LOOKS = 30


class LoopProbe:
    """Asks an event loop for an answer, one question at a time, from any thread.

    A loop at work may be silent for as long as its work has: the supervisor's hard limits end that. A silent loop with
    nothing to do hangs in something that no limit ends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, is_busy: Callable[[], bool]) -> None:
        self.loop, self.is_busy = loop, is_busy
        self.silent_looks = 0
        self._answered = threading.Event()
        self._answered.set()

    def look(self) -> str | None:
        """Return what is wrong with the loop, None if nothing is."""
        if self.loop.is_closed() or not self.loop.is_running():
            return "the event loop has ended"
        if self._answered.is_set():
            self.silent_looks = 0
            self._answered.clear()
            try:
                self.loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # closed since we looked
                return "the event loop has ended"
        elif self.is_busy():
            self.silent_looks = 0
        else:
            self.silent_looks += 1
        if self.silent_looks >= SILENT_LOOKS:
            return "the event loop does nothing and does not answer"
        return None


class Watchdog:
    """One thread that looks every second, from `start` to `close`.

    threads: those that must not end while the process takes work (Dramatiq's consumers and workers, the loop's own),
    asked anew at each look. is_busy: whether steps are under way. parent: the pid of who started us; None is nobody.
    end: ends the process at once with a code.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: Callable[[], Iterable[threading.Thread]],
        is_busy: Callable[[], bool],
        parent: int | None = None,
        end: Callable[[int], object] = os._exit,
        every_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.probe, self.threads, self.parent = LoopProbe(loop, is_busy), threads, parent
        self._end, self._every_seconds = end, every_seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more: from now on threads end because they shall. Call it before the first of them is stopped."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(self._every_seconds)

    def look(self) -> list[str]:
        """Return what is wrong, a phrase each; nothing when the process is well."""
        found = [
            f"{type(thread).__name__} {thread.name} has ended" for thread in self.threads() if not thread.is_alive()
        ]
        silence = self.probe.look()
        if silence is not None:
            found.append(silence)
        # Linux's kernel ends us with our parent; elsewhere nobody does.
        if self.parent is not None and os.getppid() != self.parent:
            found.append("the supervisor is gone")
        return found

    def _run(self) -> None:
        while not self._closing.wait(self._every_seconds):
            try:
                found = self.look()
            except Exception:
                log.exception("watchdog_blind")
                continue
            if found and not self._closing.is_set():
                try:
                    log.critical("process_broken", found=found)
                finally:
                    self._end(BROKEN)
