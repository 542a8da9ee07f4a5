"""How processes and their tasks end: by which signals, with which codes, and within how many seconds."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Iterable

# A platform kills the whole group so long after its TERM.
PLATFORM_SECONDS = 30.0

# A process: what runs may end (settings), Dramatiq's threads hear of it in an idle read (its workers, then its
# consumers), outcomes are settled, connections closed, the last lines written.
HEAR_SECONDS = 0.5
THREADS_SECONDS = 2 * HEAR_SECONDS
SETTLE_SECONDS = 8.0
CLOSE_SECONDS = 1.0
LOG_SECONDS = 1.0

# Its supervisor waits so long for that; then it kills what is left, and reaps it: at once, unless the kernel holds it.
STOP_SECONDS = 25.0
REAP_SECONDS = 0.5
# It writes who ended; without that their work comes back when the leases end. Its own connections and lines come last.
LAST_WORD_SECONDS = 1.0

# So long a task has to end before it is cancelled again.
_CANCEL_SECONDS = 0.2

# Linux: the kernel tells a process when its parent is gone.
_PR_SET_PDEATHSIG = 1

# A process's exit code that says: not with these settings. Starting it again would not help.
REFUSED = 2
# It cannot go on; a new one can.
BROKEN = 1


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a process to end: TERM, INT and the HUP of a terminal that closes.

    Under `nohup` HUP is ignored, and stays so. Each may come any number of times; stopping once is enough.
    """
    stops = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stops.append(signal.SIGHUP)
    return stops


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and again, until they have ended.

    Once is not enough: `asyncio.wait_for`, through which redis-py sends, forgets a cancellation that comes as what it
    waits for ends (up to Python 3.11).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_SECONDS)


def die_with(parent: int) -> None:
    """End with the parent, also when it is killed; a parent that is gone already ends us now.

    Call it in the main thread, as soon as can be. Linux only: elsewhere the watchdog sees to it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("its supervisor is gone")


class StopSignal:
    """Hears, from its making on, of a signal that asks this process to end. Make it and wait in the main thread.

    By a pipe that the interpreter writes to the moment a signal comes. A handler in Python runs only when the main
    thread does, which may just have begun to wait; and one that sets an Event may need the lock that its wait holds.
    """

    def __init__(self) -> None:
        self.has_come = False
        self._pipe, say = os.pipe()
        os.set_blocking(say, False)
        signal.set_wakeup_fd(say, warn_on_full_buffer=False)
        for number in stop_signals():
            signal.signal(number, self._hear)

    def wait(self) -> None:
        """Return once a signal has come."""
        while not self.has_come:
            self.has_come = os.read(self._pipe, 1)[0] in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def _hear(self, *_: object) -> None:
        self.has_come = True
