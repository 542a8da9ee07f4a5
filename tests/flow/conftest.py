"""Replays that nothing disturbs, each played once a test run: what the disturbed ones are held against."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ops.replay.plan import Request
from tests.flow.agreement import disagreements
from tests.flow.replays import Undisturbed, played


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Return the summary of a request's replay; the processes of one test run share it, so that none plays it twice."""
    mine = tmp_path_factory.getbasetemp()
    folder = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine

    async def summary(request: Request) -> dict[str, Any]:
        path = folder / f"undisturbed-{sha256(repr(request).encode()).hexdigest()[:16]}.json"
        with _held(path.with_suffix(".lock")):
            if not path.exists():
                path.write_text(json.dumps(await _play(request)))
            found: dict[str, Any] = json.loads(path.read_text())
            return found

    return summary


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock among processes; it blocks, and ends with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _play(request: Request) -> dict[str, Any]:
    async with played(request) as (scene, report):
        assert await disagreements(scene) == {}
        assert report.error_count == 0
        return report.summary
