"""How long a scheduler has seen Postgres without a gap: whoever was blind himself judges nobody."""

import time
from collections.abc import Callable


class Sight:
    """One scheduler's sight of Postgres, on its own machine's clock.

    gap_seconds: so long between two answers is a gap. After one, and at the beginning, it is patient for one lease:
    those that could not renew either may do so first.
    """

    def __init__(self, lease_seconds: float, gap_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease_seconds, self.gap_seconds = lease_seconds, gap_seconds
        self._clock = clock
        self._seen_at: float | None = None
        self._patient_until = 0.0

    def seen(self) -> None:
        """Note that Postgres has just answered."""
        now = self._clock()
        if self._seen_at is None or now - self._seen_at > self.gap_seconds:
            self._patient_until = now + self.lease_seconds
        self._seen_at = now

    @property
    def patient(self) -> bool:
        """Tell whether a lease that ran out says nothing about its worker yet."""
        return self._seen_at is None or self._clock() < self._patient_until
