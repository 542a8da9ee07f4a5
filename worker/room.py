"""How many executions one process may hold at once, and how one of them gets the process for itself."""

import threading
import time
from collections import defaultdict

# A process holds what its places run, and beyond them what it gets done in so long. Long tasks leave no such rate, so
# nothing waits claimed behind one while another worker idles.
AHEAD_SECONDS = 0.1
# Of one fetch; a claim and a script take as many in one go.
LARGEST_BATCH = 500
_WINDOW_SECONDS = 0.05
_STALE_SECONDS = 0.5


class _Rate:
    """Executions of one queue that end each second, as of late."""

    def __init__(self) -> None:
        self._rate, self._ended, self._since = 0.0, 0, time.monotonic()

    def ended(self, count: int) -> None:
        self._ended += count
        now = time.monotonic()
        if now - self._since >= _WINDOW_SECONDS:
            self._rate = (self._rate + self._ended / (now - self._since)) / 2
            self._ended, self._since = 0, now

    def now(self) -> float:
        quiet = time.monotonic() - self._since
        return self._rate if quiet < _STALE_SECONDS else self._ended / quiet


class Room:
    """Places for executions, shared by the consumers of all queues, and a little room ahead of them.

    places: executions that run at once. What is taken is given back when it ended, or was not won.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._held: dict[str, int] = defaultdict(int)
        self._rates: dict[str, _Rate] = defaultdict(_Rate)
        self._next: object | None = None
        self._whole = False
        self._closed = False
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Executions taken and not given back."""
        return sum(self._held.values())

    def take(self, queue: str, seconds: float) -> int:
        """Take the room there is for a queue, waiting for some. Returns 0 after so many seconds without."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free(queue) > 0, seconds):
                return 0
            taken = self._free(queue)
            self._held[queue] += taken
            return taken

    def take_whole(self, taker: object, queue: str, seconds: float) -> bool:
        """Take every place at once, so that nothing else runs. Returns False after so many seconds without.

        From the first call on nobody else takes any, until `give_whole` or `forgo`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._next in (None, taker), seconds):
                return False
            self._next = taker
            if not self._changed.wait_for(lambda: not self.held, seconds):
                return False
            self._held[queue], self._whole = self.places, True
            return True

    def forgo(self, taker: object) -> None:
        """Let others take again before the taker had its turn."""
        with self._changed:
            if self._next is taker and not self._whole:
                self._next = None
                self._changed.notify_all()

    def give(self, queue: str, count: int, *, ended: bool = False) -> None:
        """Give room back. ended: of executions that ran, which tells how fast the queue's are."""
        if not count:
            return
        with self._changed:
            self._held[queue] -= count
            if ended:
                self._rates[queue].ended(count)
            self._changed.notify_all()

    def give_whole(self, queue: str) -> None:
        """Give back every place that was taken at once."""
        with self._changed:
            self._held[queue] -= self.places
            self._next, self._whole = None, False
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody take any more: the process is about to end."""
        with self._changed:
            self._closed = True

    def _free(self, queue: str) -> int:
        """Return how much a queue may take now: worth a batch where there is a rate, else each place that is free."""
        if self._closed or self._next is not None:
            return 0
        ahead = int(self._rates[queue].now() * AHEAD_SECONDS)
        others = sum(rate.now() for name, rate in self._rates.items() if name != queue)
        of_all = self.places + ahead + int(others * AHEAD_SECONDS) - self.held
        of_queue = self.places + ahead - self._held[queue]
        free = min(of_all, of_queue, LARGEST_BATCH)
        return free if free > min(ahead, LARGEST_BATCH) // 2 else 0
