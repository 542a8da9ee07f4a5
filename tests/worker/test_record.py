"""What is written of a step that failed is written whatever it broke; and which failures are tried again, and when."""

import statistics
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from adapters.prices.base import PriceSourceError
from config.servers import ServerUrls
from db.engine import make_engine
from db.executions import Execution
from db.transaction import Database
from tests.people import MORNING, queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_worker
from worker.bells.ringing import Bells
from worker.messages import JITTER, LONGEST_BACKOFF_SECONDS, PASSING, TASKS, Task, backoff_seconds
from worker.outcome import Outcome, Refuse, Retry
from worker.record import LONGEST_TRACEBACK, Recorder, TimedOut

HOST = "INSERT INTO scheduler_processes (name, host, pid) VALUES ('undone', 'h', 1)"


async def test_an_error_that_broke_a_transaction_is_recorded_outside_of_it(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(_: object, __: object) -> Outcome:
        steps = Database(make_engine(urls.sqlalchemy, pool_size=1))
        try:
            async with steps.transaction(None) as session:
                await session.execute(text(HOST))
                await session.execute(text("SELECT 1 / 0"))
        finally:
            await steps.close()
        raise AssertionError("Postgres divided by zero")

    async def over() -> bool:
        return await scalar(database, "SELECT status FROM service_task_execution") == "failed"

    await bells.ring([await queued(database, "prices")])
    with running_worker(urls, step):
        await until(over)
    assert await scalar(database, "SELECT count(*) FROM scheduler_processes WHERE name = 'undone'") == 0
    error = str(await scalar(database, "SELECT error_message FROM error_logs"))
    assert "division by zero" in error
    assert "aborted" not in error
    assert "SELECT 1 / 0" in str(await scalar(database, "SELECT traceback FROM error_logs"))


EXECUTION = Execution(MORNING, 1, 1, "prices", None, None, "", MORNING, None, 1, MORNING)
# Error -> by which word of the table it may pass by itself.
PASSES: list[tuple[BaseException, str | None]] = [
    (Retry("later"), "asked"),
    (PriceSourceError("no answer"), "source"),
    (OperationalError("SELECT 1", {}, OSError("gone")), "database"),
    (ConnectionRefusedError("gone"), "database"),
    (TimedOut("at its limit"), "timeout"),
    (Refuse("no"), None),
    (ZeroDivisionError("a bug"), None),
    (SystemExit(1), None),
]


@pytest.mark.parametrize("again", [PASSING, (), *((word,) for word in PASSING)], ids=" ".join)
@pytest.mark.parametrize(("error", "word"), PASSES, ids=[type(error).__name__ for error, _ in PASSES])
def test_an_error_is_tried_again_where_the_table_lets_it_and_never_else(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, word: str | None, again: tuple[str, ...]
) -> None:
    monkeypatch.setitem(TASKS, "prices", replace(TASKS["prices"], again=again))
    written = Recorder(str).error(EXECUTION, error, 0.1)
    assert written.status == ("retrying" if word in again else "failed")
    assert (written.error_type, written.error) == (type(error).__name__, str(error))


@pytest.mark.parametrize(("attempt", "status"), [(1, "retrying"), (2, "retrying"), (3, "failed"), (4, "failed")])
def test_there_are_as_many_attempts_as_the_table_says(
    monkeypatch: pytest.MonkeyPatch, attempt: int, status: str
) -> None:
    monkeypatch.setitem(TASKS, "prices", replace(TASKS["prices"], attempts=3))
    assert Recorder(str).error(replace(EXECUTION, attempt=attempt), Retry("later"), 0.1).status == status


def test_the_wait_doubles_with_each_attempt_up_to_a_limit_within_its_jitter() -> None:
    task = Task("t", "default", 1, attempts=9, backoff_seconds=10)
    assert [backoff_seconds(task, attempt, 0) for attempt in (1, 2, 3)] == [10, 20, 40]
    assert backoff_seconds(task, 50, 0) == LONGEST_BACKOFF_SECONDS
    assert [backoff_seconds(task, 1, jitter) for jitter in (-1, 1)] == [10 * (1 - JITTER), 10 * (1 + JITTER)]
    waits = [backoff_seconds(task, 1) for _ in range(2000)]
    assert 10 * (1 - JITTER) <= min(waits) < max(waits) <= 10 * (1 + JITTER)
    assert statistics.stdev(waits) > 1, "what failed together comes back together"
    assert abs(statistics.mean(waits) - 10) < 0.3


def test_a_task_that_this_code_does_not_have_ends_failed() -> None:
    written = Recorder(str).error(replace(EXECUTION, task_name="of a later version"), Retry("later"), 0.1)
    assert (written.status, written.reason) == ("failed", "Retry: later")


def test_of_a_traceback_the_end_is_kept_and_no_secret_in_any_text() -> None:
    def hide(words: str) -> str:
        return words.replace("hunter2", "***")

    error = Refuse("hunter2 " + "x" * LONGEST_TRACEBACK + " hunter2 is the last word")
    written = Recorder(hide).error(EXECUTION, error, 0.1)
    assert written.traceback is not None
    assert len(written.traceback) <= LONGEST_TRACEBACK
    assert written.traceback.rstrip().endswith("is the last word")
    assert "hunter2" not in f"{written}"
    outcome = Outcome("success", {"hunter2": ["hunter2", {"x": "hunter2"}]}, "hunter2")
    assert "hunter2" not in f"{Recorder(hide).outcome(EXECUTION, outcome, 0.1)}"
