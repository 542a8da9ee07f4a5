"""A process that lost what it cannot do without ends by itself; one that is only busy, or was kept from running, does not."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from dramatiq.asyncio import EventLoopThread
from dramatiq.logging import get_logger

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar
from tests.waiting import until, wait_until
from tests.worker.house import house
from worker.bells.ringing import Bells
from worker.ending import BROKEN
from worker.watchdog import SILENT_LOOKS, LoopProbe, Watchdog

SILENT = "the event loop does nothing and does not answer"
ENDED = "the event loop has ended"

# A process whose watchdog looks a hundred times a second while its main thread does what it is told.
_PROCESS = """
import ctypes, os, sys, threading
from dramatiq.asyncio import EventLoopThread
from dramatiq.logging import get_logger
from worker.watchdog import SILENT_LOOKS, Watchdog

what, parent = sys.argv[1], int(sys.argv[2])
loop = EventLoopThread(get_logger("loop"))
loop.start(timeout=5)
consumer = threading.Thread(target=threading.Event().wait, daemon=True)
if what == "its consumer ends":
    consumer = threading.Thread(target=print, args=("fetching",))
consumer.start()
watchdog = Watchdog(loop.loop, lambda: [consumer, loop], lambda: False, parent, every_seconds=0.01)
watchdog.start()
print("watched", flush=True)
if what == "its interpreter is held":
    ctypes.PyDLL(None).usleep(int(3 * SILENT_LOOKS * 0.01 * 1e6))  # PyDLL lets no other thread run meanwhile
elif what == "its loop stops":
    loop.loop.call_soon_threadsafe(loop.loop.stop)
if what != "its interpreter is held":
    threading.Event().wait(30)
watchdog.close()
loop.stop()
"""

_PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], "its parent is killed", str(os.getpid())])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def loop() -> Iterator[EventLoopThread]:
    thread = EventLoopThread(get_logger("loop"))  # type: ignore[no-untyped-call]
    thread.start(timeout=5)
    yield thread
    thread.stop()  # type: ignore[no-untyped-call]


@contextmanager
def blocked(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Keep a loop from doing anything else, as a step does that never awaits."""
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        over.wait()

    loop.call_soon_threadsafe(hold)
    assert begun.wait(5)
    try:
        yield
    finally:
        over.set()


def looks(probe: LoopProbe, count: int) -> list[str | None]:
    return [probe.look() for _ in range(count)]


def test_a_process_with_all_its_threads_is_well(loop: EventLoopThread) -> None:
    watchdog = Watchdog(loop.loop, lambda: [loop, threading.main_thread()], lambda: False, os.getppid())
    assert watchdog.look() == []


def test_a_thread_that_has_ended_is_found_at_once(loop: EventLoopThread) -> None:
    consumer = threading.Thread(target=str, name="consumer of orders")
    consumer.start()
    consumer.join()
    assert Watchdog(loop.loop, lambda: [loop, consumer], lambda: True).look() == ["Thread consumer of orders has ended"]


def test_an_event_loop_that_has_ended_is_found_at_once() -> None:
    ended = EventLoopThread(get_logger("loop"))  # type: ignore[no-untyped-call]
    ended.start(timeout=5)
    ended.stop()  # type: ignore[no-untyped-call]
    assert LoopProbe(ended.loop, lambda: True).look() == ENDED


def test_a_silent_loop_is_judged_only_while_it_has_nothing_to_do(loop: EventLoopThread) -> None:
    busy = True
    probe = LoopProbe(loop.loop, lambda: busy)
    with blocked(loop.loop):
        assert set(looks(probe, 3 * SILENT_LOOKS)) == {None}
        busy = False
        assert looks(probe, SILENT_LOOKS) == [None] * (SILENT_LOOKS - 1) + [SILENT]


def test_a_loop_that_answers_again_was_well_all_the_time(loop: EventLoopThread) -> None:
    probe = LoopProbe(loop.loop, lambda: False)
    with blocked(loop.loop):
        assert set(looks(probe, SILENT_LOOKS)) == {None}  # the first of them asked
    wait_until(lambda: probe.look() is None and probe.silent_looks == 0)
    with blocked(loop.loop):
        assert set(looks(probe, SILENT_LOOKS)) == {None}


@pytest.mark.parametrize("what", ["its consumer ends", "its loop stops"])
def test_a_broken_process_ends_so_that_another_takes_its_place(what: str) -> None:
    done = _run(what)
    assert done.returncode == BROKEN
    assert "process_broken" in done.stdout
    assert "has ended" in done.stdout


def test_a_process_whose_interpreter_was_held_for_longer_than_a_loop_may_be_silent_goes_on() -> None:
    done = _run("its interpreter is held")
    assert done.returncode == 0, done.stdout


def test_a_process_ends_soon_after_its_parent_where_no_kernel_sees_to_it() -> None:
    command = [sys.executable, "-c", _PARENT, _PROCESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "watched\n"
        parent.kill()
        wait_until(lambda: not _lives(pid), 20)


async def test_a_worker_whose_consumers_have_ended_is_replaced_and_what_it_ran_runs_again(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await bells.ring([await queued(database, "prices", subject="ends its consumers")])

    async def over() -> bool:
        return await scalar(database, "SELECT status FROM service_task_execution") == "success"

    async with house(urls, database, bells):
        await until(over, 90)
    assert await scalar(database, "SELECT outcome FROM execution_attempts") == "lost"


def _run(what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROCESS, what, str(os.getpid())]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)


def _lives(pid: int) -> bool:
    """Tell whether a process lives; one that ended may wait for ever for somebody to ask how."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
