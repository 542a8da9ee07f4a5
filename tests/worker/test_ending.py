"""A process hears of its end at whatever moment it is told, and all the time it may take adds up."""

import signal
import subprocess
import sys

from config.settings import LONGEST_SHUTDOWN_SECONDS
from worker import ending

# Tells itself to end at every moment around the beginning of its wait. An Event instead of a pipe hangs in here.
_PROCESS = """
import os, signal, threading
from worker.ending import StopSignal

for number in range(600):
    stop = StopSignal()
    go = threading.Event()
    def tell(turns=number % 300):
        go.wait()
        for _ in range(turns):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
    teller = threading.Thread(target=tell)
    teller.start()
    go.set()
    stop.wait()
    teller.join()
    os.close(stop._pipe)
    os.close(signal.set_wakeup_fd(-1))
"""

_IGNORING = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from worker.ending import stop_signals
print(*(one.name for one in stop_signals()))
"""


def test_a_process_told_to_end_at_any_moment_around_its_wait_hears_it() -> None:
    assert subprocess.run([sys.executable, "-c", _PROCESS], timeout=60, check=False).returncode == 0


def test_a_terminal_that_closes_ends_a_process_unless_it_runs_under_nohup() -> None:
    assert signal.SIGHUP in ending.stop_signals()
    said = subprocess.run([sys.executable, "-c", _IGNORING], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["SIGTERM", "SIGINT"]


def test_in_the_worst_case_all_of_it_fits_into_what_platforms_allow() -> None:
    process = (
        LONGEST_SHUTDOWN_SECONDS
        + 2 * ending.THREADS_SECONDS
        + ending.SETTLE_SECONDS
        + ending.CLOSE_SECONDS
        + ending.LOG_SECONDS
    )
    assert process <= ending.STOP_SECONDS
    around = ending.REAP_SECONDS + ending.LAST_WORD_SECONDS + ending.CLOSE_SECONDS + ending.LOG_SECONDS
    assert ending.STOP_SECONDS + around < ending.PLATFORM_SECONDS
