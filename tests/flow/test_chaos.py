"""Faults of every family, each in another state, on the real scheduler and workers: a short form of `muhurat chaos`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.chaos.cases import chosen
from ops.chaos.ground import prepared
from ops.chaos.house import Street, street
from ops.chaos.suite import played

SEED = 7
# Those that no process dies of come first: they are played in one house. Servers that stand still or come back have
# tests of their own (tests/worker/test_away.py, tests/scheduler/test_stalls.py).
CASES = (
    "client_kill/settling",
    "redis_stall/fetched",
    "postgres_restart/fetched",
    "redis_flushall/retry",
    "stop_worker/running",
    "halt_kill_worker",
    "kill_worker/dead",
    "double_term/retry",
)


@pytest.fixture(scope="module")
def houses() -> Iterator[Street]:
    with (
        tempfile.TemporaryDirectory(prefix="muhurat-", ignore_cleanup_errors=True) as folder,
        prepared(Path(folder)) as ground,
        street(ground) as built,
    ):
        yield built


@pytest.mark.parametrize("name", CASES)
def test_a_fault_breaks_no_promise(houses: Street, name: str) -> None:
    [case] = chosen([name])
    result = played(houses, case, SEED)
    assert result.violations == []
    assert (result.struck, result.in_state > 0, result.executions > 0) == (True, True, True)
