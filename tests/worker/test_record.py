"""What a step's end leaves in the record: no secret in any column, the end of a traceback, JSON that Postgres takes."""

import json
from datetime import UTC, datetime

import pytest

from config.logs import hide_in_text
from config.servers import ServerUrls
from db.executions import Execution
from db.transaction import Database
from tests.people import person, queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_worker
from worker.bells.ringing import Bells
from worker.outcome import Outcome, Refuse, done, skipped
from worker.record import LONGEST_TRACEBACK, Recorder

AT = datetime(2024, 1, 2, tzinfo=UTC)
EXECUTION = Execution(AT, 1, 1, "prices", None, None, "", AT, None, 1, AT)
SECRETS = "postgres://u:hush@h/m refused password=hush, mpin: 4711"
EVERYTHING = """
    SELECT concat_ws(' | ', e.reason, e.details, a.error, l.error_message, l.traceback, s.last_error)
    FROM service_task_execution e JOIN service_status s USING (user_id)
    LEFT JOIN execution_attempts a ON a.execution_id = e.id LEFT JOIN error_logs l ON l.execution_id = e.id
"""
COLUMNS = """
    SELECT (e.reason LIKE '%***%')::int + (a.error LIKE '%***%')::int + (l.error_message LIKE '%***%')::int
           + (l.traceback LIKE '%***%')::int + (s.last_error LIKE '%***%')::int
    FROM service_task_execution e JOIN service_status s USING (user_id)
    JOIN execution_attempts a ON a.execution_id = e.id JOIN error_logs l ON l.execution_id = e.id
"""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(hide_in_text)


async def test_an_error_leaves_its_secrets_in_no_column(database: Database, urls: ServerUrls, bells: Bells) -> None:
    async def step(*_: object) -> Outcome:
        raise Refuse(SECRETS)

    await _run(database, urls, bells, step, "failed")
    said = str(await scalar(database, EVERYTHING))
    assert "hush" not in said
    assert "4711" not in said
    assert await scalar(database, COLUMNS) == 5


async def test_an_outcome_leaves_its_secrets_in_no_column(database: Database, urls: ServerUrls, bells: Bells) -> None:
    async def step(*_: object) -> Outcome:
        return skipped(SECRETS, told=[{"by": SECRETS}])

    await _run(database, urls, bells, step, "skipped")
    said = str(await scalar(database, EVERYTHING))
    assert "hush" not in said
    assert "4711" not in said


async def _run(database: Database, urls: ServerUrls, bells: Bells, step: object, ends: str) -> None:
    bell = await queued(database, "prices", await person(database))
    await worker(database)
    await bells.ring([bell])
    ended = f"SELECT count(*) = 1 FROM service_task_execution WHERE status = '{ends}'"
    with running_worker(urls, step):  # type: ignore[arg-type]  # a step, seen from here
        await until(lambda: scalar(database, ended))


def _deep(calls: int) -> None:
    if not calls:
        raise Refuse("the last line names it")
    # Two functions take turns, or Python folds the repeats into one line.
    _deeper(calls)


def _deeper(calls: int) -> None:
    _deep(calls - 1)


def test_a_long_traceback_keeps_its_end(recorder: Recorder) -> None:
    with pytest.raises(Refuse) as caught:
        _deep(200)
    kept = recorder.error(EXECUTION, caught.value, 0.1).traceback
    assert kept is not None
    assert len(kept) == LONGEST_TRACEBACK
    assert kept.endswith("worker.outcome.Refuse: the last line names it\n")
    assert not kept.startswith("Traceback")


def test_a_secret_at_the_cut_of_a_long_traceback_is_not_half_shown(recorder: Recorder) -> None:
    secret = "password='" + "hush" * (LONGEST_TRACEBACK // 4) + "'"
    kept = recorder.error(EXECUTION, Refuse(secret), 0.1).traceback
    assert kept is not None
    assert "hush" not in kept


def test_details_are_json_that_postgres_takes(recorder: Recorder) -> None:
    details = {"nan": float("nan"), "zero\x00": "a\x00b", "at": AT, "many": (1, None, True)}
    settled = recorder.outcome(EXECUTION, done(**details), 0.1)  # type: ignore[arg-type]  # what a careless step says
    assert json.loads(settled.details or "") == {
        "nan": None,
        "zero\N{REPLACEMENT CHARACTER}": "a\N{REPLACEMENT CHARACTER}b",
        "at": str(AT),
        "many": [1, None, True],
    }
