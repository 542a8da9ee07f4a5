"""What a worker process reads before it takes work: a place that fell empty is filled again at once."""

import subprocess
import sys

_SEEN = "import sys, worker.child; print([name for name in ('sklearn', 'scipy', 'skops') if name in sys.modules])"


def test_only_who_trains_or_asks_a_model_waits_for_its_library() -> None:
    seen = subprocess.run([sys.executable, "-c", _SEEN], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
