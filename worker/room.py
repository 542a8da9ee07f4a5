"""How many executions one process may hold at once, and how one of them gets the process for itself."""

import threading


class Room:
    """Places for executions, shared by the consumers of all queues: what is claimed, a thread of its own will run."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._free = threads
        self._emptying = False
        self._changed = threading.Condition()

    def take(self, seconds: float) -> int:
        """Take all the room there is, waiting for some. Returns 0 after so many seconds without."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free > 0 and not self._emptying, seconds):
                return 0
            taken, self._free = self._free, 0
            return taken

    def take_whole(self, seconds: float) -> bool:
        """Take every place at once, so that nothing else runs. Meanwhile nobody takes more.

        Returns False after so many seconds: what runs is long, and other work shall not wait for it.
        """
        with self._changed:
            if self._emptying:
                return False
            self._emptying = True
            try:
                alone = self._changed.wait_for(lambda: self._free == self.threads, seconds)
                if alone:
                    self._free = 0
                return alone
            finally:
                self._emptying = False
                self._changed.notify_all()

    def give(self, count: int) -> None:
        """Give room back."""
        with self._changed:
            self._free += count
            self._changed.notify_all()
