"""How many executions one process may hold at once, and how one of them gets the process for itself."""

import threading
from collections import defaultdict

# A process holds what its places run, and beyond them what they get done in so long.
AHEAD_SECONDS = 0.1
# Executions that take longer are not claimed ahead at all: another worker may be idle. Shorter ones wait no longer than
# this behind a full house, and a place that is free waits for no claim.
LONG_SECONDS = 0.2
# Of one fetch; a claim and a script take as many in one go.
LARGEST_BATCH = 500
# How much of what was known of a queue's executions a batch of new ones leaves.
_MEMORY = 0.7


class Room:
    """Places for executions, shared by the consumers of all queues, and a little room ahead of them.

    places: executions that run at once. What is taken is given back when it ended, or was not won.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._held: dict[str, int] = defaultdict(int)
        self._passing: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, float] = {}
        self._next: object | None = None
        self._whole = False
        self._closed = False
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """What was taken and not given back, of executions and of messages that pass."""
        return sum(self._held.values()) + sum(self._passing.values())

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
            if not self._changed.wait_for(lambda: not self.held, seconds) or self._closed:
                return False
            self._held[queue], self._whole = self.places, True
            return True

    def forgo(self, taker: object) -> None:
        """Let others take again before the taker had its turn."""
        with self._changed:
            if self._next is taker and not self._whole:
                self._next = None
                self._changed.notify_all()

    def give(self, queue: str, count: int, seconds: float | None = None) -> None:
        """Give room back. seconds: that the executions ran in all, which tells how long the queue's are."""
        if not count:
            return
        with self._changed:
            self._held[queue] -= count
            if seconds is not None:
                mean = seconds / count
                self._seconds[queue] = _MEMORY * self._seconds.get(queue, mean) + (1 - _MEMORY) * mean
            self._changed.notify_all()

    def give_whole(self, queue: str) -> None:
        """Give back every place that was taken at once."""
        with self._changed:
            self._held[queue] -= self.places
            self._next, self._whole = None, False
            self._changed.notify_all()

    def let_pass(self, queue: str, count: int) -> None:
        """Exchange room for messages that Dramatiq's own threads run: they take no place of an execution."""
        with self._changed:
            self._held[queue] -= count
            self._passing[queue] += count
            self._changed.notify_all()

    def passed(self, queue: str, count: int) -> None:
        """Take note that messages pass no longer."""
        with self._changed:
            self._passing[queue] -= count
            self._changed.notify_all()

    def passing(self, queue: str) -> int:
        """Return how many messages of a queue pass."""
        with self._changed:
            return self._passing[queue]

    def wait_to_pass(self, queue: str, most: int, seconds: float) -> None:
        """Wait, for so many seconds at most, until fewer messages of a queue pass."""
        with self._changed:
            self._changed.wait_for(lambda: self._passing[queue] < most, seconds)

    def distrust(self, queue: str) -> None:
        """Let nothing be taken ahead of a queue until some of its executions turn out quick."""
        with self._changed:
            self._seconds.pop(queue, None)

    def close(self) -> None:
        """Let nobody take any more: the process is about to end."""
        with self._changed:
            self._closed = True

    def _free(self, queue: str) -> int:
        """Return how much a queue may take now: worth a batch where it claims ahead, else each place that is free."""
        if self._closed or self._next is not None:
            return 0
        places = self.places - sum(held for name, held in self._held.items() if name != queue and not self._ahead(name))
        if places <= 0:
            return 0
        ahead = min(self._ahead(queue), LARGEST_BATCH)
        free = min(places + ahead - self._held[queue], LARGEST_BATCH)
        return free if free > ahead // 2 else 0

    def _ahead(self, queue: str) -> int:
        """Return how many of a queue's executions the places get done in a moment; none of long or unknown ones."""
        seconds = self._seconds.get(queue)
        if seconds is None or seconds > LONG_SECONDS:
            return 0
        return int(self.places * AHEAD_SECONDS / max(seconds, 1e-6))
