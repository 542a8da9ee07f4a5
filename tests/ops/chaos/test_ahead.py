"""A clock that runs ahead, in a process of its own."""

import os
import subprocess
import sys
import time

import pytest

from ops.chaos.ahead import AHEAD


@pytest.mark.parametrize("seconds", ["61", "0", ""])
def test_a_process_is_ahead_by_what_its_environment_says(seconds: str) -> None:
    code = "from ops.chaos.ahead import move_clock; move_clock(); from dramatiq.common import current_millis as now; print(now())"
    said = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {AHEAD: seconds}, capture_output=True, check=True
    )
    ahead = int(said.stdout) / 1000 - time.time()  # noqa: TID251 - what the other clock is compared with
    assert abs(ahead - float(seconds or 0)) < 30
