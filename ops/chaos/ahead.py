"""A clock that runs ahead: a machine whose time is wrong. Imported before anything that looks at a clock."""

import os
import time
from collections.abc import Callable

AHEAD = "MUHURAT_CHAOS_AHEAD"
"""The variable that names the seconds a process's clock is ahead."""


def move_clock() -> None:
    """Let `time.time` run ahead in this process, if its environment says so. Call it before importing what uses it."""
    seconds = float(os.environ.get(AHEAD) or 0)
    if seconds:
        time.time = _ahead(time.time, seconds)  # noqa: TID251 - it is what is moved


def _ahead(clock: Callable[[], float], seconds: float) -> Callable[[], float]:
    return lambda: clock() + seconds
