"""How many executions one process may hold at once, and how one of them gets the process for itself."""

import threading


class Room:
    """Places for executions, shared by the consumers of all queues: what is claimed, a thread of its own will run."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._free = threads
        self._next: object | None = None
        self._changed = threading.Condition()

    def take(self, seconds: float) -> int:
        """Take all the room there is, waiting for some. Returns 0 after so many seconds without."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free > 0 and self._next is None, seconds):
                return 0
            taken, self._free = self._free, 0
            return taken

    def take_whole(self, taker: object, seconds: float) -> bool:
        """Take every place at once, so that nothing else runs. Returns False after so many seconds without.

        From the first call on nobody else takes any, until the taker has all or calls `forgo`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._next in (None, taker), seconds):
                return False
            self._next = taker
            if not self._changed.wait_for(lambda: self._free == self.threads, seconds):
                return False
            self._free, self._next = 0, None
            return True

    def forgo(self, taker: object) -> None:
        """Let others take again before the taker had its turn."""
        with self._changed:
            if self._next is taker:
                self._next = None
                self._changed.notify_all()

    def give(self, count: int) -> None:
        """Give room back."""
        with self._changed:
            self._free += count
            self._changed.notify_all()

    def give_whole(self) -> None:
        """Give back every place."""
        self.give(self.threads)
